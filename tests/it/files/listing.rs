//! Listings of directories, which are off unless the program asks for them.

use std::fs::{self, File};

use akurai_http::{Files, Router};
use akurai_tests::{TempDir, TestServer};

use super::{SECRET, Site, ask, assert_not_found, values};

/// The names that a listing links to, in its order, as a browser reads them, without the link to
/// the parent.
#[track_caller]
fn links(page: &str) -> Vec<String> {
    page.split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .map(|href| {
            href.replace("&amp;", "&")
                .replace("&#39;", "'")
                .replace("&quot;", "\"")
        })
        // The link to the parent, and the empty icon.
        .filter(|href| href != "../" && href != ".." && href != "data:,")
        .map(|href| href.trim_start_matches("./").to_owned())
        .collect()
}

/// Percent-decodes, as strictly as the test needs.
#[track_caller]
fn decoded(href: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = href.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).expect(href));
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).expect(href)
}

fn start(fill: impl FnOnce(&TempDir)) -> Site {
    Site::configured(fill, Files::listing)
}

const ODD: &[&str] = &[
    "a b.txt",
    "a&b.txt",
    "a?b#c.txt",
    "per%41cent.txt",
    "quo\"te'.txt",
    "<img src=x onerror=alert(1)>.txt",
    "\"><script>alert(1)<script>.txt",
    "&lt;.txt",
    "\u{fc}ber.txt",
    "\u{1f600}.txt",
    "line\nfeed.txt",
    "a;b=c,d+e.txt",
];

#[test]
fn files_02_a_listing_names_what_can_be_requested() {
    let site = start(|outer| {
        for name in ODD {
            outer.write(format!("root/list/{name}"), name);
        }
        for name in ["zoo", "<b>", "den"] {
            outer.write(format!("root/list/{name}/x.txt"), "x");
        }
        for name in [
            ".hidden",
            ".git/config",
            "a:b.txt",
            "con",
            "trailing.",
            "nul.txt",
        ] {
            outer.write(format!("root/list/{name}"), SECRET);
        }
    });
    let mut client = site.connect();
    let answer = ask(&mut client, "GET", "/files/list/", &[]);
    assert_eq!(
        (
            answer.status,
            values(&answer, ["content-type", "cache-control"])
        ),
        (200, [Some("text/html; charset=utf-8"), Some("no-cache")])
    );
    let policy = answer.header("content-security-policy").unwrap_or("");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let page = answer.text();
    for raw in [
        "<img",
        "<script",
        "<b>",
        "onerror=alert(1)>",
        ".hidden",
        ".git",
        "a:b",
        "trailing",
        "nul",
    ] {
        assert!(!page.contains(raw), "{raw} in {page}");
    }
    let hrefs = links(page);
    let mut listed: Vec<String> = hrefs.iter().map(|href| decoded(href)).collect();
    for name in ODD.iter().filter(|name| !name.contains('\n')) {
        assert!(
            listed.contains(&(*name).to_owned()),
            "{name} is not in {listed:?}"
        );
    }
    // Directories come first, and each group is sorted by name.
    let (dirs, files): (Vec<String>, Vec<String>) =
        listed.iter().cloned().partition(|name| name.ends_with('/'));
    assert_eq!(dirs, ["<b>/", "den/", "zoo/"]);
    assert_eq!(listed, [dirs.clone(), files.clone()].concat());
    let mut sorted = files.clone();
    sorted.sort();
    let mut without_case = files.clone();
    without_case.sort_by_key(|name| name.to_lowercase());
    assert!(files == sorted || files == without_case, "{files:?}");
    listed.dedup();
    assert_eq!(listed.len(), hrefs.len());
    // Each link leads to the file that it names.
    for href in &hrefs {
        assert!(
            !href.contains([':', '?', '#', '<', '>', ' ', '\n']),
            "{href}"
        );
        let answer = ask(&mut client, "GET", &format!("/files/list/{href}"), &[]);
        assert_eq!(answer.status, 200, "{href}");
        if !href.ends_with('/') {
            assert_eq!(answer.text(), decoded(href), "{href}");
        }
    }
}

#[test]
fn files_02_a_listing_tells_sizes_and_dates() {
    let site = start(|outer| {
        outer.write("root/list/some.bin", vec![b'x'; 123_457]);
    });
    let answer = site.get("/files/list/", &[]);
    let page = answer.text();
    for part in ["some.bin", "123,457", "2023-11-14", "22:13"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let head = ask(&mut site.connect(), "HEAD", "/files/list/", &[]);
    let length = page.len().to_string();
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some(length.as_str()))
    );
}

#[test]
fn files_02_a_listing_stands_in_for_index_html_alone() {
    let site = start(|outer| {
        fs::create_dir(outer.join("root/empty")).unwrap();
        outer.write("root/.hidden/x.txt", SECRET);
        outer.write("outside/x.txt", SECRET);
    });
    let mut client = site.connect();
    for (path, text) in [
        ("/files/", "<title>index</title>"),
        ("/files/sub/", "<title>sub</title>"),
    ] {
        assert_eq!(ask(&mut client, "GET", path, &[]).text(), text);
    }
    let answer = ask(&mut client, "GET", "/files/empty/", &[]);
    assert_eq!((answer.status, links(answer.text())), (200, Vec::new()));
    let answer = ask(&mut client, "GET", "/files/bare/", &[]);
    assert_eq!(
        (answer.status, links(answer.text())),
        (200, vec!["leaf.txt".to_owned()])
    );
    let answer = ask(&mut client, "GET", "/files/bare?x", &[]);
    assert_eq!(
        (answer.status, answer.header("location")),
        (301, Some("/files/bare/?x"))
    );
    let fields = [("Content-Length", "0")];
    assert_eq!(
        ask(&mut client, "POST", "/files/bare/", &fields).status,
        405
    );
    for path in [
        "/files/.hidden/",
        "/files/absent/",
        "/files/letters.txt/",
        "/files/%2e%2e/",
        "/files/sub%2f",
    ] {
        assert_not_found(&ask(&mut client, "GET", path, &[]), path);
    }
}

#[cfg(unix)]
#[test]
fn files_02_a_listing_leaves_out_what_is_no_file() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    let mut socket = None;
    let site = start(|outer| {
        outer.write("secret.txt", SECRET);
        let list = outer.join("root/list");
        fs::create_dir(&list).unwrap();
        super::special::make_fifo(&list.join("fifo"));
        socket = Some(UnixListener::bind(list.join("socket")).unwrap());
        for (to, name) in [
            ("../../secret.txt", "out"),
            ("../..", "up"),
            ("/dev/zero", "zero"),
        ] {
            symlink(to, list.join(name)).unwrap();
        }
        for (to, name) in [("nowhere", "dangling"), ("loop", "loop")] {
            symlink(to, list.join(name)).unwrap();
        }
        File::create(list.join(OsStr::from_bytes(b"not-utf8-\xff"))).unwrap();
        outer.write("root/list/fine.txt", "fine");
    });
    let answer = site.get("/files/list/", &[]);
    assert_eq!(
        (answer.status, links(answer.text())),
        (200, vec!["fine.txt".to_owned()])
    );
    for name in ["fifo", "socket", "zero", "dangling", "loop", "not-utf8"] {
        assert!(!answer.text().contains(name), "{name}");
    }
}

#[test]
fn files_02_a_listing_is_bounded() {
    let dir = TempDir::new();
    for n in 0..10_050 {
        File::create(dir.join(format!("{n}.txt"))).unwrap();
    }
    let files = Files::dir(dir.path()).listing();
    let server = TestServer::start(Router::new().files("/files", files));
    let mut client = server.connect().patience(4 * akurai_tests::DEADLINE);
    let answer = ask(&mut client, "GET", "/files/", &[]);
    assert_eq!((answer.status, links(answer.text()).len()), (200, 10_000));
}

#[test]
fn files_02_embedded_directories_can_be_listed_too() {
    const FILES: &[(&str, &[u8])] = &[
        ("z.txt", b"z"),
        ("a b.txt", b"ab"),
        ("<b>/x.txt", b"x"),
        ("den/er/deep.txt", b"deep"),
        ("den/index.html", b"den"),
    ];
    let files = Files::embedded(FILES).listing();
    let server = TestServer::start(Router::new().files("/built", files));
    let mut client = server.connect();
    let answer = ask(&mut client, "GET", "/built/", &[]);
    assert_eq!(
        (
            answer.status,
            values(&answer, ["content-type", "cache-control"])
        ),
        (200, [Some("text/html; charset=utf-8"), Some("no-cache")])
    );
    assert!(!answer.text().contains("<b>"));
    let listed: Vec<String> = links(answer.text())
        .iter()
        .map(|href| decoded(href))
        .collect();
    assert_eq!(listed, ["<b>/", "den/", "a b.txt", "z.txt"]);
    for (path, expected) in [("%3Cb%3E/", "x.txt"), ("den/er/", "deep.txt")] {
        let answer = ask(&mut client, "GET", &format!("/built/{path}"), &[]);
        assert_eq!(links(answer.text()), [expected]);
    }
    let answer = ask(&mut client, "GET", "/built/den/", &[]);
    assert_eq!(answer.text(), "den");
    assert_not_found(&ask(&mut client, "GET", "/built/absent/", &[]), "absent");
}
