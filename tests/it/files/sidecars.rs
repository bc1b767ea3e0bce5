//! Sidecars: `.br`, `.zst` and `.gz` files beside a file, sent as its content codings.

use std::fs;
use std::time::Duration;

use akurai_http::{Files, Request, Response, Router, Status};
use akurai_tests::{TempDir, TestServer, set_modified};

use super::{DIR, SECRET, SINGLE, STEP_NANOS, Site, ask, tag, values};

const PLAIN: &str = "let plain = 'an application';";
const CODED: &str = "0123456789 as coded by gzip";

fn with_gzip(outer: &TempDir) {
    outer.write("root/app.js.gz", CODED);
}

const GZIP: (&str, &str) = ("Accept-Encoding", "gzip");

#[test]
fn files_06_a_sidecar_is_the_file_in_another_coding() {
    let site = Site::filled(with_gzip);
    for way in [DIR, SINGLE] {
        let target = format!("{way}app.js");
        let plain = site.get(&target, &[]);
        let coded = site.get(&target, &[GZIP]);
        assert_eq!((plain.text(), coded.text()), (PLAIN, CODED));
        for (answer, coding, length) in [(&plain, None, "29"), (&coded, Some("gzip"), "27")] {
            assert_eq!(
                values(
                    answer,
                    ["content-encoding", "content-length", "content-type"]
                ),
                [coding, Some(length), Some("text/javascript; charset=utf-8")],
                "{target}"
            );
            assert_eq!(
                values(answer, ["vary", "accept-ranges", "x-content-type-options"]),
                [Some("Accept-Encoding"), Some("bytes"), Some("nosniff")],
                "{target}"
            );
        }
        assert_ne!(tag(&plain), tag(&coded));
    }
}

#[test]
fn files_06_each_variant_has_its_own_conditions() {
    let site = Site::filled(with_gzip);
    for way in [DIR, SINGLE] {
        let target = format!("{way}app.js");
        let plain = tag(&site.get(&target, &[]));
        let coded = tag(&site.get(&target, &[GZIP]));
        let both = format!("{plain}, {coded}");
        let identity = ("Accept-Encoding", "identity");
        for (accept, name, value, status) in [
            (GZIP, "If-None-Match", &coded, 304),
            (GZIP, "If-None-Match", &plain, 200),
            (GZIP, "If-None-Match", &both, 304),
            (identity, "If-None-Match", &plain, 304),
            (identity, "If-None-Match", &coded, 200),
            (identity, "If-None-Match", &both, 304),
            (GZIP, "If-Match", &coded, 200),
            (GZIP, "If-Match", &plain, 412),
            (identity, "If-Match", &plain, 200),
            (identity, "If-Match", &coded, 412),
        ] {
            let answer = site.get(&target, &[accept, (name, value)]);
            let what = format!("{target} {accept:?} {name}: {value}");
            assert_eq!(answer.status, status, "{what}");
            if status == 304 {
                let own = if accept == GZIP { &coded } else { &plain };
                assert_eq!(tag(&answer), *own, "{what}");
                assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "{what}");
                assert_eq!(answer.header("content-encoding"), None, "{what}");
            }
        }
    }
}

#[test]
fn files_06_ranges_count_the_coded_bytes() {
    let site = Site::filled(with_gzip);
    for way in [DIR, SINGLE] {
        let target = format!("{way}app.js");
        let plain = tag(&site.get(&target, &[]));
        let coded = tag(&site.get(&target, &[GZIP]));
        for (range, text, content_range) in [
            ("bytes=0-9", "0123456789", "bytes 0-9/27"),
            ("bytes=-4", "gzip", "bytes 23-26/27"),
            ("bytes=26-99", "p", "bytes 26-26/27"),
        ] {
            let answer = site.get(&target, &[GZIP, ("Range", range), ("If-Range", &coded)]);
            assert_eq!(
                (answer.status, answer.text()),
                (206, text),
                "{target} {range}"
            );
            assert_eq!(
                values(
                    &answer,
                    ["content-range", "content-encoding", "vary", "etag"]
                ),
                [
                    Some(content_range),
                    Some("gzip"),
                    Some("Accept-Encoding"),
                    Some(&coded)
                ],
                "{target} {range}"
            );
        }
        // Only the plain file has a byte 28.
        let answer = site.get(&target, &[GZIP, ("Range", "bytes=28-28")]);
        assert_eq!(
            (answer.status, answer.header("content-range")),
            (416, Some("bytes */27"))
        );
        let answer = site.get(&target, &[("Range", "bytes=28-28")]);
        assert_eq!((answer.status, answer.text()), (206, ";"));
        // A part of one variant never completes the other variant.
        let answer = site.get(
            &target,
            &[GZIP, ("Range", "bytes=0-9"), ("If-Range", &plain)],
        );
        assert_eq!((answer.status, answer.text()), (200, CODED));
        let answer = site.get(&target, &[("Range", "bytes=0-2"), ("If-Range", &coded)]);
        assert_eq!((answer.status, answer.text()), (200, PLAIN));
        // Content-Encoding would seem to describe the multipart body, which is not coded.
        let answer = site.get(&target, &[GZIP, ("Range", "bytes=0-2,-4")]);
        assert_eq!((answer.status, answer.text()), (200, CODED));
    }
}

#[test]
fn files_06_a_sidecar_that_is_older_than_its_file_does_not_count() {
    let site = Site::filled(with_gzip);
    let sidecar = site.outer.join("root/app.js.gz");
    for (nanos_older, coding) in [(0, Some("gzip")), (STEP_NANOS, None), (2_000_000_000, None)] {
        set_modified(
            &sidecar,
            TempDir::long_ago() - Duration::from_nanos(nanos_older),
        );
        for way in [DIR, SINGLE] {
            let answer = site.get(&format!("{way}app.js"), &[GZIP]);
            assert_eq!(
                answer.header("content-encoding"),
                coding,
                "{way} {nanos_older} ns older"
            );
            assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
        }
    }
    set_modified(&sidecar, TempDir::long_ago() + Duration::from_secs(3600));
    let answer = site.get("/files/app.js", &[GZIP]);
    assert_eq!(
        (answer.text(), answer.header("content-encoding")),
        (CODED, Some("gzip"))
    );
    // If one of several is too old, the server chooses among the others.
    site.outer.write_at(
        "root/app.js.br",
        "old",
        TempDir::long_ago() - Duration::from_secs(1),
    );
    let fields = [("Accept-Encoding", "br, gzip;q=0.5")];
    assert_eq!(
        site.get("/files/app.js", &fields)
            .header("content-encoding"),
        Some("gzip")
    );
    let fields = [("Accept-Encoding", "br, identity;q=0")];
    assert_eq!(site.get("/files/app.js", &fields).status, 406);
}

#[test]
fn files_06_a_sidecar_alone_is_no_file() {
    let site = Site::filled(|outer| {
        with_gzip(outer);
        outer.write("root/alone.js.gz", CODED);
        outer.write("root/picture.png.gz", SECRET);
    });
    for way in [DIR, SINGLE] {
        let answer = site.get(&format!("{way}alone.js"), &[GZIP]);
        super::assert_not_found(&answer, "alone.js");
        // Requested by its own name, it is a file like any other, without a coding.
        let answer = site.get(&format!("{way}app.js.gz"), &[GZIP]);
        assert_eq!((answer.status, answer.text()), (200, CODED), "{way}");
        let fields = ["content-type", "content-encoding", "vary"];
        assert_eq!(
            values(&answer, fields),
            [Some("application/gzip"), None, None],
            "{way}"
        );
        // A file that is already compressed has no sidecar.
        let answer = site.get(&format!("{way}picture.png"), &[GZIP]);
        assert_eq!(
            (answer.status, answer.header("content-encoding")),
            (200, None),
            "{way}"
        );
        super::assert_no_secret(&answer, way);
    }
}

#[test]
fn files_06_an_index_has_sidecars_too() {
    let site = Site::filled(|outer| {
        outer.write("root/index.html.gz", CODED);
        outer.write("root/sub/index.html.gz", CODED);
    });
    for path in ["/files/", "/files/index.html", "/files/sub/"] {
        let answer = site.get(path, &[GZIP]);
        assert_eq!(
            (answer.text(), answer.header("content-encoding")),
            (CODED, Some("gzip"))
        );
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8"),
            "{path}"
        );
    }
}

#[test]
fn files_06_a_sidecar_that_is_no_file_does_not_count() {
    let site = Site::filled(|outer| {
        fs::create_dir(outer.join("root/app.js.gz")).unwrap();
        outer.write("root/app.js.br/x", "x");
    });
    for way in [DIR, SINGLE] {
        let answer = site.get(&format!("{way}app.js"), &[("Accept-Encoding", "br, gzip")]);
        assert_eq!((answer.status, answer.text()), (200, PLAIN), "{way}");
        assert_eq!(answer.header("content-encoding"), None);
    }
}

#[cfg(unix)]
#[test]
fn files_06_a_sidecar_that_leads_out_of_the_root_does_not_count() {
    use std::os::unix::fs::symlink;

    let site = Site::filled(|outer| {
        let secret = outer.write("secret.txt", SECRET);
        symlink(&secret, outer.join("root/app.js.gz")).unwrap();
        symlink("../secret.txt", outer.join("root/app.js.br")).unwrap();
        symlink("/dev/zero", outer.join("root/app.js.zst")).unwrap();
    });
    for accept in ["br", "gzip", "zstd", "br, gzip, zstd"] {
        let answer = site.get("/files/app.js", &[("Accept-Encoding", accept)]);
        assert_eq!((answer.status, answer.text()), (200, PLAIN), "{accept}");
        assert_eq!(answer.header("content-encoding"), None, "{accept}");
    }
    let fields = [("Accept-Encoding", "br, gzip, zstd, identity;q=0")];
    assert_eq!(site.get("/files/app.js", &fields).status, 406);
}

#[test]
fn files_06_vary_stands_on_whatever_could_have_a_sidecar() {
    let site = Site::filled(|outer| {
        for name in ["a.css", "a.json", "a.svg", "a.wasm", "a.unknown", "none"] {
            outer.write(format!("root/{name}"), "x");
        }
        for name in [
            "a.jpg", "a.gif", "a.webp", "a.mp4", "a.woff2", "a.zip", "a.gz", "a.pdf",
        ] {
            outer.write(format!("root/{name}"), "x");
        }
    });
    let mut client = site.connect();
    let varies = ["letters.txt", "index.html", "app.js"];
    let varies =
        varies
            .into_iter()
            .chain(["a.css", "a.json", "a.svg", "a.wasm", "a.unknown", "none"]);
    let does_not = ["picture.png", "a.jpg", "a.gif", "a.webp", "a.mp4"];
    let does_not = does_not
        .into_iter()
        .chain(["a.woff2", "a.zip", "a.gz", "a.pdf"]);
    let cases = varies.map(|name| (name, Some("Accept-Encoding")));
    for (name, vary) in cases.chain(does_not.map(|name| (name, None))) {
        for way in [DIR, SINGLE] {
            for (fields, status) in [
                (&[][..], 200),
                (&[GZIP], 200),
                (&[("Range", "bytes=0-0")], 206),
                (&[("If-None-Match", "*")], 304),
            ] {
                let answer = ask(&mut client, "GET", &format!("{way}{name}"), fields);
                assert_eq!(answer.status, status, "{way}{name} {fields:?}");
                assert_eq!(answer.header("vary"), vary, "{way}{name} {fields:?}");
            }
        }
    }
}

#[test]
fn files_06_a_sidecar_of_the_same_bytes_and_time_has_a_tag_of_its_own() {
    let site = Site::filled(|outer| {
        for name in ["same.js", "same.js.br", "same.js.zst", "same.js.gz"] {
            outer.write(format!("root/{name}"), "the same");
        }
    });
    for way in [DIR, SINGLE] {
        let mut tags: Vec<String> = ["identity", "br", "zstd", "gzip"]
            .iter()
            .map(|coding| tag(&site.get(&format!("{way}same.js"), &[("Accept-Encoding", coding)])))
            .collect();
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 4, "{tags:?}");
    }
}

#[test]
fn files_06_the_date_of_each_variant_comes_back() {
    let site = Site::filled(|outer| {
        let later = TempDir::long_ago() + Duration::from_secs(3600);
        outer.write_at("root/app.js.gz", CODED, later);
    });
    for way in [DIR, SINGLE] {
        let target = format!("{way}app.js");
        for accept in ["identity", "gzip"] {
            let accept = ("Accept-Encoding", accept);
            let answer = site.get(&target, &[accept]);
            let date = answer.header("last-modified").expect("a date");
            for (name, status) in [("If-Modified-Since", 304), ("If-Unmodified-Since", 200)] {
                let answer = site.get(&target, &[accept, (name, date)]);
                assert_eq!(answer.status, status, "{target} {accept:?} {name}: {date}");
            }
            let fields = [accept, ("Range", "bytes=0-0"), ("If-Range", date)];
            assert_eq!(
                site.get(&target, &fields).status,
                206,
                "{target} {accept:?}"
            );
        }
    }
}

/// One user uploads `x.html`, and another one `x.html.gz`, for example.
#[test]
fn files_06_no_sidecar_takes_the_place_of_a_file_where_they_are_off() {
    const EMBEDDED: &[(&str, &[u8])] = &[("app.js", b"plain"), ("app.js.gz", b"coded")];
    let root = TempDir::new();
    for (name, content) in EMBEDDED {
        root.write(name, content);
    }
    let options: [fn(Files) -> Files; 3] = [Files::without_sidecars, Files::attachments, |files| {
        files.with_header("content-disposition", "Attachment; filename=x")
    }];
    let mut app = Router::new();
    for (n, option) in options.into_iter().enumerate() {
        app = app
            .files(&format!("/dir/{n}"), option(Files::dir(root.path())))
            .files(&format!("/built/{n}"), option(Files::embedded(EMBEDDED)));
    }
    let path = root.join("app.js");
    let app = app.get("/one/download/app.js", move |request: &Request| {
        Response::new(Status::OK)
            .attachment("app.js")
            .send_file(request, &path)
    });
    let server = TestServer::start(app);
    let mut client = server.connect();
    let all = (0..3).flat_map(|n| [format!("/dir/{n}/"), format!("/built/{n}/")]);
    for way in all.chain(["/one/download/".to_owned()]) {
        for accept in ["gzip", "*", "gzip, identity;q=0", "identity;q=0"] {
            let target = format!("{way}app.js");
            let answer = ask(&mut client, "GET", &target, &[("Accept-Encoding", accept)]);
            assert_eq!((answer.status, answer.text()), (200, "plain"), "{target}");
            assert_eq!(
                values(&answer, ["content-encoding", "vary", "accept-ranges"]),
                [None, None, Some("bytes")],
                "{target} {accept}"
            );
        }
        // Requested by its own name, it is a file like any other.
        if !way.starts_with("/one") {
            let answer = ask(&mut client, "GET", &format!("{way}app.js.gz"), &[GZIP]);
            assert_eq!((answer.status, answer.text()), (200, "coded"), "{way}");
            assert_eq!(answer.header("content-encoding"), None, "{way}");
        }
    }
}

#[test]
fn files_06_a_page_shown_inline_keeps_its_sidecars() {
    let site = Site::configured(with_gzip, |files| {
        files.with_header("Content-Disposition", "inline; filename=attachment")
    });
    let answer = site.get("/files/app.js", &[GZIP]);
    assert_eq!((answer.status, answer.text()), (200, CODED));
}
