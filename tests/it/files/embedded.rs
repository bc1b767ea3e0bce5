//! Files that are embedded in the program itself.

use std::panic::catch_unwind;

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
        "sub//index.html",
        "../letters.txt",
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

const CODED: &[(&str, &[u8])] = &[
    ("app.js", b"let plain = 'an application';"),
    ("app.js.br", b"coded by br"),
    ("app.js.gz", b"0123456789 as coded by gzip"),
    // No compressor made this sidecar: both files have the same bytes.
    ("same.js", b"the same"),
    ("same.js.gz", b"the same"),
    ("alone.js.gz", b"alone"),
    ("picture.png", b"plain"),
    ("picture.png.gz", b"coded"),
    ("index.html", b"plain"),
    ("index.html.gz", b"coded"),
    (".well-known/security.txt", b"Contact: us"),
];

#[test]
fn files_06_an_embedded_sidecar_is_one_more_file() {
    let server = TestServer::start(Router::new().files("/built", Files::embedded(CODED)));
    let mut client = server.connect();
    for (name, accept, coding, text) in [
        ("app.js", "", None, "let plain = 'an application';"),
        ("app.js", "br, gzip", Some("br"), "coded by br"),
        (
            "app.js",
            "gzip",
            Some("gzip"),
            "0123456789 as coded by gzip",
        ),
        ("app.js", "zstd", None, "let plain = 'an application';"),
        (
            "app.js",
            "zstd, gzip;q=0.5, br;q=0",
            Some("gzip"),
            "0123456789 as coded by gzip",
        ),
        (
            "app.js",
            "gzip, identity;q=0",
            Some("gzip"),
            "0123456789 as coded by gzip",
        ),
        ("same.js", "gzip", Some("gzip"), "the same"),
        ("picture.png", "gzip", None, "plain"),
        ("", "gzip", Some("gzip"), "coded"),
        ("app.js.gz", "gzip", None, "0123456789 as coded by gzip"),
        (".well-known/security.txt", "", None, "Contact: us"),
    ] {
        let target = format!("/built/{name}");
        let fields = [("Accept-Encoding", accept)];
        let answer = ask(&mut client, "GET", &target, &fields);
        assert_eq!(
            (answer.status, answer.text()),
            (200, text),
            "{name} {accept}"
        );
        assert_eq!(answer.header("content-encoding"), coding, "{name} {accept}");
        let fields = [fields[0], ("If-None-Match", &*tag(&answer))];
        assert_eq!(
            ask(&mut client, "GET", &target, &fields).status,
            304,
            "{name}"
        );
    }
    let answer = ask(
        &mut client,
        "GET",
        "/built/alone.js",
        &[("Accept-Encoding", "gzip")],
    );
    assert_not_found(&answer, "alone.js");
    let fields = [("Accept-Encoding", "zstd, identity;q=0")];
    assert_eq!(
        ask(&mut client, "GET", "/built/app.js", &fields).status,
        406
    );
}

#[test]
fn files_06_embedded_variants_have_tags_of_their_own() {
    let server = TestServer::start(Router::new().files("/built", Files::embedded(CODED)));
    let mut client = server.connect();
    for name in ["app.js", "same.js", "index.html"] {
        let target = format!("/built/{name}");
        let gzip = ("Accept-Encoding", "gzip");
        let plain = tag(&ask(&mut client, "GET", &target, &[]));
        let coded = tag(&ask(&mut client, "GET", &target, &[gzip]));
        assert_ne!(plain, coded, "{name}");
        for (fields, status) in [
            (&[gzip, ("If-None-Match", &*coded)][..], 304),
            (&[gzip, ("If-None-Match", &*plain)], 200),
            (&[("If-None-Match", &*coded)], 200),
            (&[gzip, ("Range", "bytes=0-1"), ("If-Range", &*coded)], 206),
            (&[gzip, ("Range", "bytes=0-1"), ("If-Range", &*plain)], 200),
            (&[("Range", "bytes=0-1"), ("If-Range", &*coded)], 200),
        ] {
            let answer = ask(&mut client, "GET", &target, fields);
            assert_eq!(answer.status, status, "{name} {fields:?}");
            assert_eq!(
                answer.header("vary"),
                Some("Accept-Encoding"),
                "{name} {fields:?}"
            );
        }
    }
    let fields = [("Accept-Encoding", "gzip"), ("Range", "bytes=-4")];
    let answer = ask(&mut client, "GET", "/built/app.js", &fields);
    assert_eq!(
        (answer.text(), answer.header("content-range")),
        ("gzip", Some("bytes 23-26/27"))
    );
}

#[test]
fn files_10_embedded_names_that_nobody_could_ask_for_are_refused_at_once() {
    const REFUSED: &[&[(&str, &[u8])]] = &[
        &[("/a.txt", b"a")],
        &[("a/../b.txt", b"a")],
        &[("../a.txt", b"a")],
        &[("./a.txt", b"a")],
        &[(".hidden", b"a")],
        &[("a/.hidden", b"a")],
        &[("a.txt", b"a"), ("b.txt", b"b"), ("a.txt", b"c")],
    ];
    for files in REFUSED {
        let made = catch_unwind(|| drop(Files::embedded(files)));
        assert!(made.is_err(), "{files:?}");
    }
}
