//! Entity tags (RFC 9110 §8.8.3).

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use akurai_http::{Files, Router};
use akurai_tests::{Random, TempDir, TestServer, set_modified};

use super::{BUILT_IN, DIR, SINGLE, STEP_NANOS, Site, WAYS, ask, tag};

#[test]
fn files_04_a_tag_is_of_length_time_and_coding() {
    let site = Site::filled(|outer| {
        outer.write("root/app.js.br", "coded by br");
        outer.write("root/app.js.zst", "coded by zstd");
        outer.write("root/app.js.gz", "coded by gzip: gz");
    });
    let nanos = 1_700_000_000_123_456_700_u64;
    let mut client = site.connect();
    for way in [DIR, SINGLE] {
        for (file, coding, expected) in [
            ("letters.txt", "", format!("\"{:x}-{nanos:x}\"", 26)),
            ("empty.txt", "", format!("\"0-{nanos:x}\"")),
            ("app.js", "", format!("\"{:x}-{nanos:x}\"", 29)),
            ("app.js", "br", format!("\"{:x}-{nanos:x}-br\"", 11)),
            ("app.js", "zstd", format!("\"{:x}-{nanos:x}-zstd\"", 13)),
            ("app.js", "gzip", format!("\"{:x}-{nanos:x}-gzip\"", 17)),
        ] {
            let fields = [("Accept-Encoding", coding)];
            let answer = ask(&mut client, "GET", &format!("{way}{file}"), &fields);
            assert_eq!(tag(&answer), expected, "{way}{file} as {coding:?}");
        }
    }
}

#[test]
fn files_04_whatever_changes_gets_another_tag() {
    let site = Site::start();
    let path = site.outer.join("root/letters.txt");
    let mut client = site.connect();
    let mut seen = HashSet::new();
    for (content, nanos) in [
        ("abc", 0),
        ("abc", STEP_NANOS),
        ("abc", 1_000_000_000 - STEP_NANOS),
        ("abc", 1_000_000_000),
        ("abcd", 0),
        ("abcd", STEP_NANOS),
        ("", 0),
    ] {
        fs::write(&path, content).unwrap();
        set_modified(&path, TempDir::long_ago() + Duration::from_nanos(nanos));
        let of_dir = tag(&ask(&mut client, "GET", "/files/letters.txt", &[]));
        let of_single = tag(&ask(&mut client, "GET", "/one/letters.txt", &[]));
        assert_eq!(of_dir, of_single, "one file, one tag");
        assert!(of_dir.starts_with('"'), "it is old, hence strong: {of_dir}");
        assert!(
            seen.insert(of_dir),
            "{content:?} at {nanos} has a tag that was there"
        );
    }
}

#[test]
fn files_04_a_tag_is_weak_while_the_file_is_young() {
    let site = Site::start();
    let path = site.outer.join("root/letters.txt");
    let mut client = site.connect();
    for way in [DIR, SINGLE] {
        let target = format!("{way}letters.txt");
        // If the machine stands still for 2 s between the two, the file is no longer new: then the
        // test tries again.
        let mut attempts = 0;
        let etag = loop {
            let begun = Instant::now();
            set_modified(&path, SystemTime::now());
            let etag = tag(&ask(&mut client, "GET", &target, &[]));
            if begun.elapsed() < Duration::from_millis(1900) {
                break etag;
            }
            attempts += 1;
            assert!(attempts < 20, "the machine is too slow for this test");
        };
        assert!(etag.starts_with("W/\""), "{etag}");
        set_modified(&path, SystemTime::now() - Duration::from_millis(2100));
        let etag = tag(&ask(&mut client, "GET", &target, &[]));
        assert!(etag.starts_with('"'), "{etag} of a file that is 2.1 s old");
    }
}

#[test]
fn files_04_a_weak_tag_serves_caches_and_nothing_else() {
    let site = Site::start();
    let path = site.outer.join("root/letters.txt");
    let mut client = site.connect();
    for way in [DIR, SINGLE] {
        let target = format!("{way}letters.txt");
        // A time in the future: the tag stays weak, however long the test takes.
        set_modified(&path, SystemTime::now() + Duration::from_secs(7200));
        let weak = tag(&ask(&mut client, "GET", &target, &[]));
        assert!(weak.starts_with("W/\""), "{weak}");
        let opaque = weak.trim_start_matches("W/");
        for (fields, status) in [
            (&[("If-None-Match", weak.as_str())][..], 304),
            (&[("If-None-Match", opaque)], 304),
            // Strong comparison: two weak tags are never equal, and a weak tag does not equal a
            // strong one with the same opaque tag (RFC 9110 §8.8.3.2).
            (&[("If-Match", weak.as_str())], 412),
            (&[("If-Match", opaque)], 412),
            (&[("If-Match", "*")], 200),
            (&[("Range", "bytes=0-0")], 206),
            (&[("Range", "bytes=0-0"), ("If-Range", weak.as_str())], 200),
            (&[("Range", "bytes=0-0"), ("If-Range", opaque)], 200),
        ] {
            let answer = ask(&mut client, "GET", &target, fields);
            assert_eq!(answer.status, status, "{target} {fields:?}");
        }
        let answer = ask(&mut client, "GET", &target, &[("If-None-Match", &weak)]);
        assert_eq!(tag(&answer), weak);
    }
}

#[test]
fn files_04_a_weak_tag_still_matches_when_the_file_is_old() {
    let site = Site::start();
    let path = site.outer.join("root/letters.txt");
    set_modified(&path, SystemTime::now() + Duration::from_secs(7200));
    let weak = tag(&site.get("/files/letters.txt", &[]));
    // Only the clock makes it differ from the strong tag, so a cache's copy is still good.
    set_modified(&path, TempDir::long_ago());
    let strong = tag(&site.get("/files/letters.txt", &[]));
    let fields = [("If-None-Match", format!("W/{strong}"))];
    let fields = fields
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    assert_eq!(site.get("/files/letters.txt", &fields).status, 304);
    let fields = [("If-None-Match", weak.as_str())];
    assert_eq!(
        site.get("/files/letters.txt", &fields).status,
        200,
        "of another time"
    );
}

#[test]
fn files_04_our_own_tag_always_matches() {
    let mut random = Random::announced();
    let site = Site::start();
    let path = site.outer.join("root/letters.txt");
    let mut client = site.connect();
    for round in 0..200 {
        let len = random.below(3000);
        fs::write(&path, random.bytes(len)).unwrap();
        let nanos = random.next_u64() % 4_000_000_000_000_000_000;
        set_modified(&path, UNIX_EPOCH + Duration::from_nanos(nanos));
        for way in [DIR, SINGLE] {
            let target = format!("{way}letters.txt");
            let etag = tag(&ask(&mut client, "GET", &target, &[]));
            let others = format!("\"{round}\", W/\"x\", {etag}, \"y\"");
            for list in [&etag, &others] {
                let answer = ask(&mut client, "GET", &target, &[("If-None-Match", list)]);
                assert_eq!((answer.status, tag(&answer)), (304, etag.clone()), "{list}");
                if etag.starts_with('"') {
                    let answer = ask(&mut client, "HEAD", &target, &[("If-Match", list)]);
                    assert_eq!(answer.status, 200, "{list}");
                }
            }
        }
    }
}

#[test]
fn files_04_an_embedded_tag_is_of_length_and_content() {
    const ONE: &[(&str, &[u8])] = &[("a.txt", b"same"), ("b.txt", b"same"), ("c.txt", b"emas")];
    const TWO: &[(&str, &[u8])] = &[("a.txt", b"same"), ("d.txt", b"sam"), ("e.txt", b"")];
    let start = |files| TestServer::start(Router::new().files("/built", Files::embedded(files)));
    let (one, two) = (start(ONE), start(TWO));
    let of = |server: &TestServer, name| {
        let etag = tag(&ask(
            &mut server.connect(),
            "GET",
            &format!("/built/{name}"),
            &[],
        ));
        assert!(etag.starts_with('"'), "{etag} is weak");
        etag
    };
    let a = of(&one, "a.txt");
    assert_eq!(
        a,
        of(&two, "a.txt"),
        "another start of the program, the same tag"
    );
    for (server, name) in [(&one, "c.txt"), (&two, "d.txt"), (&two, "e.txt")] {
        assert_ne!(a, of(server, name), "{name}");
    }
}

#[test]
fn files_04_every_answer_with_the_file_names_its_tag() {
    let site = Site::start();
    let mut client = site.connect();
    for way in WAYS {
        let target = format!("{way}letters.txt");
        let etag = tag(&ask(&mut client, "GET", &target, &[]));
        for (method, fields, status) in [
            ("HEAD", &[][..], 200),
            ("GET", &[("Range", "bytes=1-2")], 206),
            ("GET", &[("Range", "bytes=1-2,4-5")], 206),
            ("GET", &[("If-None-Match", "*")], 304),
        ] {
            let answer = ask(&mut client, method, &target, fields);
            assert_eq!(
                (answer.status, tag(&answer)),
                (status, etag.clone()),
                "{way}"
            );
        }
        let answer = ask(&mut client, "GET", &target, &[("Range", "bytes=99-")]);
        assert_eq!((answer.status, answer.header("etag")), (416, None), "{way}");
    }
    let whole = ask(&mut client, "GET", &format!("{BUILT_IN}letters.txt"), &[]);
    assert_eq!(whole.header("last-modified"), None);
}
