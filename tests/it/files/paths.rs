//! Which file a path names, and which paths name no file.

use akurai_http::{Files, Router};
use akurai_tests::{TempDir, TestServer};

use super::{
    BUILT_IN, CONTENT, DIR, LETTERS, SECRET, SINGLE, Site, ask, assert_not_found, assert_refused,
};

/// Names of served files, and paths that name them.
const NAMED: &[(&str, &[&str])] = &[
    ("a b.txt", &["a%20b.txt", "%61%20b%2etxt"]),
    ("a+b.txt", &["a+b.txt", "a%2Bb.txt", "a%2bb.txt"]),
    ("\u{fc}.txt", &["%C3%BC.txt", "%c3%bc.txt"]),
    ("\u{1f600}", &["%F0%9F%98%80"]),
    ("100%.txt", &["100%25.txt"]),
    // A second decoding would change these names.
    ("%2e%2e", &["%252e%252e", "%252e%25%32e"]),
    ("%2e", &["%252e"]),
    ("a%2fb.txt", &["a%252fb.txt"]),
    ("%00.txt", &["%2500.txt"]),
    ("%41.txt", &["%2541.txt"]),
    ("a&b;c=d,e.txt", &["a&b;c=d,e.txt", "a%26b%3Bc%3Dd%2Ce.txt"]),
    #[cfg(not(windows))] // Not allowed there, or refused by us.
    ("a?b#c.txt", &["a%3Fb%23c.txt"]),
    #[cfg(not(windows))]
    ("~a!$'()*@.txt", &["~a!$'()*@.txt"]),
    ("a..b", &["a..b", "a%2e%2eb"]),
    ("console.txt", &["console.txt"]),
    ("auxiliary", &["auxiliary"]),
    ("com10", &["com10"]),
    ("lpt", &["lpt"]),
    ("a.con", &["a.con"]),
    (
        "deep/er/and/deeper.txt",
        &["deep/er/and/deeper.txt", "d%65ep/er/%61nd/deeper.txt"],
    ),
];

fn content(name: &str) -> String {
    format!("content of {name}")
}

fn named_site() -> Site {
    Site::filled(|outer| {
        for (name, _) in NAMED {
            outer.write(format!("root/{name}"), content(name));
        }
    })
}

#[test]
fn files_01_a_path_is_decoded_once() {
    let site = named_site();
    let mut client = site.connect();
    for (name, paths) in NAMED {
        for path in *paths {
            for way in [DIR, SINGLE] {
                for query in ["", "?", "?a=b/../c%2F"] {
                    let target = format!("{way}{path}{query}");
                    let answer = ask(&mut client, "GET", &target, &[]);
                    assert_eq!(
                        (answer.status, answer.text()),
                        (200, content(name).as_str()),
                        "{target}"
                    );
                }
            }
        }
    }
}

#[test]
fn files_01_an_embedded_path_is_decoded_once() {
    const NAMES: &[(&str, &[u8])] = &[
        ("a b.txt", b"a b.txt"),
        ("a+b.txt", b"a+b.txt"),
        ("\u{fc}.txt", "\u{fc}.txt".as_bytes()),
        ("100%.txt", b"100%.txt"),
        ("%2e%2e", b"%2e%2e"),
        ("%41.txt", b"%41.txt"),
        ("d/e/f.txt", b"d/e/f.txt"),
    ];
    let server = TestServer::start(Router::new().files("/built", Files::embedded(NAMES)));
    let mut client = server.connect();
    for (path, name) in [
        ("a%20b.txt", "a b.txt"),
        ("a+b.txt", "a+b.txt"),
        ("a%2bb.txt", "a+b.txt"),
        ("%c3%BC.txt", "\u{fc}.txt"),
        ("100%25.txt", "100%.txt"),
        ("%252e%252e", "%2e%2e"),
        ("%2541.txt", "%41.txt"),
        ("%64/e/%66.txt", "d/e/f.txt"),
    ] {
        let answer = ask(&mut client, "GET", &format!("/built/{path}"), &[]);
        assert_eq!((answer.status, answer.text()), (200, name), "{path}");
    }
    for path in [
        "d%2fe/f.txt",
        "d/e%2Ff.txt",
        "%41.txt",
        "A.txt",
        "d//e/f.txt",
        "d/../d/e/f.txt",
    ] {
        let answer = ask(&mut client, "GET", &format!("/built/{path}"), &[]);
        assert_refused(&answer, path);
    }
}

/// As apt asks for `./InRelease` (RFC 3986 §5.2.4). The server never removes segments of two dots.
#[test]
fn files_01_segments_of_one_dot_count_for_nothing() {
    let site = Site::filled(|outer| {
        outer.write("root/.hidden", SECRET);
        outer.write("root/.well-known/x.txt", "known");
    });
    let mut client = site.connect();
    for way in [DIR, BUILT_IN] {
        for (path, text) in [
            ("./letters.txt", LETTERS),
            ("%2e/letters.txt", LETTERS),
            ("././%2E/letters.txt", LETTERS),
            ("sub/./leaf.txt", "leaf"),
            ("./sub/%2e/leaf.txt", "leaf"),
            (".", "<title>index</title>"),
            ("./", "<title>index</title>"),
            ("sub/.", "<title>sub</title>"),
            ("sub/%2e/", "<title>sub</title>"),
        ] {
            let target = format!("{way}{path}");
            let answer = ask(&mut client, "GET", &target, &[]);
            assert_eq!((answer.status, answer.text()), (200, text), "{target}");
        }
        let target = format!("{way}./%2e/sub?q");
        let answer = ask(&mut client, "GET", &target, &[]);
        let location = format!("{way}sub/?q");
        assert_eq!(
            (answer.status, answer.header("location")),
            (301, Some(&*location))
        );
    }
    let answer = ask(&mut client, "GET", "/files/./.well-known/x.txt", &[]);
    assert_eq!((answer.status, answer.text()), (200, "known"));
    for path in [
        "./.hidden",
        "sub/./.well-known/x.txt",
        "./..",
        "...",
        "./...",
    ] {
        let target = format!("/files/{path}");
        assert_refused(&ask(&mut client, "GET", &target, &[]), &target);
    }
}

/// Paths that name no file, whatever exists: `%2e` and so on would lead to existing files.
const REFUSED: &[&str] = &[
    "letters.txt%00",
    "%00letters.txt",
    "letters.txt%00.png",
    "sub%2fleaf.txt",
    "sub%2Fleaf.txt",
    "sub%5cleaf.txt",
    "sub%5Cleaf.txt",
    "sub\\leaf.txt",
    "%252e/letters.txt",
    "%2e%2f/letters.txt",
    "sub/../letters.txt",
    "sub/%2e%2e/letters.txt",
    "sub/.%2e/letters.txt",
    "sub/%2E./letters.txt",
    "./sub/../letters.txt",
    ".//letters.txt",
    "sub/.//leaf.txt",
    "sub/..",
    "..",
    "../root/letters.txt",
    "letters.txt/.",
    "letters.txt/%2e",
    "letters.txt/./",
    "letters.txt/..",
    "letters.txt/../letters.txt",
    "sub%2f..%2fletters.txt",
    // Not UTF-8: a lone byte, a cut sequence, overlong forms, a surrogate, past the last code
    // point.
    "%ff",
    "letters.txt%80",
    "%c3",
    "%c0%ae%c0%ae/secret.txt",
    "sub%c0%afleaf.txt",
    "%e0%80%ae/letters.txt",
    "%ed%a0%80",
    "%f4%90%80%80",
    // Not percent-encoding.
    "%",
    "%4",
    "%zz",
    "letters%2.txt",
    "%u002e%u002e/secret.txt",
];

#[test]
fn files_01_what_is_no_path_is_no_file() {
    let site = Site::start();
    for way in [DIR, BUILT_IN] {
        for path in REFUSED {
            let target = format!("{way}{path}");
            // Some of these are no valid request at all; after them the connection ends.
            let answer = ask(&mut site.connect(), "GET", &target, &[]);
            assert_refused(&answer, &target);
            let absolute = format!("http://t{target}");
            let answer = ask(&mut site.connect(), "GET", &absolute, &[]);
            assert_refused(&answer, &absolute);
        }
    }
}

/// Names that some system interprets as something else.
const ODD: &[&str] = &[
    "a:b.txt",
    "letters.txt:$DATA",
    "letters.txt::$DATA",
    "C:letters.txt",
    "trailing.",
    "trailing..",
    "trailing ",
    "trailing. ",
    "con",
    "CON",
    "Con.txt",
    "con.tar.gz",
    "prn",
    "AUX.h",
    "nul",
    "NUL.txt",
    "com1",
    "COM9.log",
    "lpt1",
    "LPT9.x",
    "com\u{b9}",
    "LPT\u{b3}.txt",
    "conin$",
    "CONOUT$",
];

#[test]
fn files_01_names_that_windows_reads_otherwise_are_404_on_every_system() {
    let site = Site::filled(|outer| {
        if cfg!(unix) {
            for name in ODD {
                outer.write(format!("root/{name}"), SECRET);
                outer.write(format!("root/{name}.d/{name}/x.txt"), SECRET);
                outer.write(format!("root/sub/{name}/x.txt"), SECRET);
            }
        }
    });
    let mut client = site.connect();
    for way in [DIR, BUILT_IN] {
        for name in ODD {
            let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
            for path in [
                format!("{way}{encoded}"),
                format!("{way}{encoded}.d/{encoded}/x.txt"),
                format!("{way}sub/{encoded}/x.txt"),
                format!("{way}{encoded}/"),
            ] {
                let answer = ask(&mut client, "GET", &path, &[]);
                assert_not_found(&answer, &format!("{name:?} as {path}"));
            }
        }
    }
}

#[test]
fn files_01_refused_and_missing_look_the_same() {
    let site = Site::filled(|outer| {
        outer.write("root/.hidden", SECRET);
        outer.write("secret.txt", SECRET);
    });
    let mut client = site.connect();
    let mut paths = vec![
        "absent.txt",
        "absent/",
        "absent/letters.txt",
        "letters.txt/",
        "letters.txt/x",
        ".hidden",
        ".absent",
        "bare/",
        "a%00",
        "%2e%2e/secret.txt",
        "x%2fy",
        "nul",
        #[cfg(not(windows))] // It finds a name in any case.
        "Letters.txt",
    ];
    let long = "x".repeat(300);
    let deep = "d/".repeat(2000);
    paths.extend([long.as_str(), deep.as_str()]);
    for way in [DIR, BUILT_IN] {
        for path in &paths {
            let target = format!("{way}{path}");
            let head = ask(&mut client, "HEAD", &target, &[]);
            assert_eq!(
                (head.status, head.header("content-length")),
                (404, Some("10")),
                "{target}"
            );
            let answer = ask(&mut client, "GET", &target, &[]);
            assert_not_found(&answer, &target);
        }
    }
    for path in [
        "absent.txt",
        "absent/letters.txt",
        "letters.txt/x",
        "sub",
        long.as_str(),
    ] {
        let target = format!("{SINGLE}{path}");
        assert_not_found(&ask(&mut client, "GET", &target, &[]), &target);
    }
}

#[test]
fn files_01_a_root_may_be_relative_and_several_may_stand_side_by_side() {
    let one = TempDir::new();
    one.write("x.txt", "one");
    let two = TempDir::new();
    two.write("x.txt", "two");
    let server = TestServer::start(
        Router::new()
            // Tests run in the directory of their package.
            .files("/source", "it")
            .files("/one", one.path())
            .files("/one/two/", two.path().to_path_buf())
            .files("/built", Files::embedded(CONTENT)),
    );
    let mut client = server.connect();
    let source = ask(&mut client, "GET", "/source/files/paths.rs", &[]);
    assert_eq!(
        (source.status, source.text()),
        (200, include_str!("paths.rs"))
    );
    for (path, text) in [
        ("/one/x.txt", "one"),
        ("/one/two/x.txt", "two"),
        ("/built/letters.txt", LETTERS),
    ] {
        let answer = ask(&mut client, "GET", path, &[]);
        assert_eq!((answer.status, answer.text()), (200, text), "{path}");
    }
    for path in [
        "/source/Cargo.toml",
        "/source/..%2fCargo.toml",
        "/one/letters.txt",
    ] {
        assert_not_found(&ask(&mut client, "GET", path, &[]), path);
    }
}

#[test]
fn files_01_a_root_serves_at_the_top_too() {
    for prefix in ["/", ""] {
        let dir = TempDir::new();
        dir.write("index.html", "top");
        dir.write("x.txt", "x");
        let app = Router::new()
            .get("/api/{id}", |_| akurai_http::Response::text("api"))
            .files(prefix, dir.path());
        let server = TestServer::start(app);
        let mut client = server.connect();
        for (path, text) in [("/", "top"), ("/x.txt", "x"), ("/api/7", "api")] {
            let answer = ask(&mut client, "GET", path, &[]);
            assert_eq!(
                (answer.status, answer.text()),
                (200, text),
                "{prefix:?} {path}"
            );
        }
        for path in ["/absent", "/x.txt/", "//etc/passwd", "/%2e%2e/x.txt"] {
            let answer = ask(&mut client, "GET", path, &[]);
            assert_refused(&answer, path);
            assert_eq!(answer.header("location"), None, "{path}");
        }
    }
}

#[test]
fn files_01_an_empty_segment_names_nothing() {
    let site = Site::start();
    let mut client = site.connect();
    for way in [DIR, BUILT_IN] {
        for path in [
            "/letters.txt",
            "//letters.txt",
            "/",
            "//",
            "sub//",
            "sub//index.html",
            "/sub/index.html",
            "/sub",
            "/sub/",
        ] {
            let target = format!("{way}{path}");
            assert_not_found(&ask(&mut client, "GET", &target, &[]), &target);
        }
    }
    let dir = TempDir::new();
    dir.write("index.html", "top");
    dir.write("x.txt", "x");
    let server = TestServer::start(Router::new().files("/", dir.path()));
    let mut client = server.connect();
    for path in ["//", "//x.txt", "//index.html"] {
        assert_not_found(&ask(&mut client, "GET", path, &[]), path);
    }
}

#[test]
fn files_01_a_root_may_come_later() {
    let outer = TempDir::new();
    let server = TestServer::start(Router::new().files("/files", outer.join("root")));
    let mut client = server.connect();
    for path in ["/files/", "/files/x.txt"] {
        assert_not_found(&ask(&mut client, "GET", path, &[]), path);
    }
    outer.write("root/x.txt", "x");
    let answer = ask(&mut client, "GET", "/files/x.txt", &[]);
    assert_eq!((answer.status, answer.text()), (200, "x"));
}
