//! Files that lie in the program itself.

use akurai_http::{Files, Router};
use akurai_tests::{TestServer, imf_fixdate_seconds};

use super::{CONTENT, Site, ask, assert_not_found, assert_refused, tag, values};

#[test]
fn files_10_embedded_files_are_served_as_those_of_a_directory() {
    let site = Site::start();
    let mut client = site.connect();
    for (name, content) in CONTENT {
        let built = ask(&mut client, "GET", &format!("/built/{name}"), &[]);
        let of_dir = ask(&mut client, "GET", &format!("/files/{name}"), &[]);
        assert_eq!((built.status, &built.body[..]), (200, *content), "{name}");
        for field in [
            "content-type",
            "content-length",
            "accept-ranges",
            "vary",
            "x-content-type-options",
        ] {
            assert_eq!(built.header(field), of_dir.header(field), "{name}: {field}");
        }
        assert!(tag(&built).starts_with('"'), "{name}");
        assert_eq!(built.header("last-modified"), None, "{name}");
        let date = built.header("date").expect("a Date");
        assert!(imf_fixdate_seconds(date).is_some(), "{date}");
    }
}

#[test]
fn files_10_embedded_names_are_exact() {
    let site = Site::start();
    let mut client = site.connect();
    for path in [
        "absent.txt",
        "Letters.txt",
        "letters.tx",
        "letters.txtx",
        "letters.txt/",
        "letters.txt/x",
        "sub/absent",
        "su/index.html",
        "bare/",
        "sub/index.html/",
    ] {
        assert_not_found(
            &ask(&mut client, "GET", &format!("/built/{path}"), &[]),
            path,
        );
    }
    for path in [
        "/sub/index.html",
        "sub//index.html",
        "./letters.txt",
        "sub/../letters.txt",
        "sub%2findex.html",
    ] {
        assert_refused(
            &ask(&mut client, "GET", &format!("/built/{path}"), &[]),
            path,
        );
    }
}

#[test]
fn files_10_an_embedded_set_may_be_empty_or_one_file() {
    const NONE: &[(&str, &[u8])] = &[];
    const ONE: &[(&str, &[u8])] = &[("only.txt", b"only")];
    let app = Router::new()
        .files("/none", Files::embedded(NONE))
        .files("/one", Files::embedded(ONE));
    let server = TestServer::start(app);
    let mut client = server.connect();
    for path in ["/none/", "/none/index.html", "/one/", "/one/index.html"] {
        assert_not_found(&ask(&mut client, "GET", path, &[]), path);
    }
    let answer = ask(&mut client, "GET", "/one/only.txt", &[]);
    assert_eq!((answer.status, answer.text()), (200, "only"));
}

#[test]
fn files_10_embedded_files_know_codings_by_name_only() {
    let site = Site::start();
    let target = "/built/letters.txt";
    for (accept, status) in [
        ("gzip, br, zstd", 200),
        ("*", 200),
        ("identity", 200),
        ("gzip;q=x", 200),
        ("identity;q=0", 406),
        ("*;q=0", 406),
        ("gzip, *;q=0", 406),
    ] {
        let answer = site.get(target, &[("Accept-Encoding", accept)]);
        assert_eq!(answer.status, status, "{accept}");
        assert_eq!(answer.header("content-encoding"), None, "{accept}");
        if status == 200 {
            let fields = ["vary", "content-length"];
            assert_eq!(
                values(&answer, fields),
                [Some("Accept-Encoding"), Some("26")],
                "{accept}"
            );
        }
    }
}

#[test]
fn files_09_a_large_embedded_file_comes_whole() {
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let leaked: &'static [u8] = Box::leak(content.into_boxed_slice());
    let files: &'static [(&'static str, &'static [u8])] =
        Box::leak(Box::new([("large.bin", leaked)]));
    let server = TestServer::start(Router::new().files("/built", Files::embedded(files)));
    let mut client = server.connect();
    let answer = ask(&mut client, "GET", "/built/large.bin", &[]);
    assert!(
        answer.body == leaked,
        "not the same {} bytes",
        answer.body.len()
    );
    let range = [("Range", "bytes=262143-1000000")];
    let answer = ask(&mut client, "GET", "/built/large.bin", &range);
    assert!(answer.status == 206 && answer.body == leaked[262_143..=1_000_000]);
}
