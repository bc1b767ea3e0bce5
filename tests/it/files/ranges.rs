//! Ranges (RFC 9110 §14).

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};

use akurai_tests::{Answer, Client, TempDir, set_modified};

use super::byteranges::{Part, boundary, parse};
use super::{BUILT_IN, DIR, LETTERS, SINGLE, Site, WAYS, ask, tag, values};

/// The expected answer to a `Range` field on the letters.
#[derive(Debug, Clone, Copy)]
enum Gets {
    /// 200 with all of it: the field is ignored.
    Whole,
    /// 206 with this.
    One(usize, usize),
    /// 206 with these, as multipart/byteranges.
    Several(&'static [(usize, usize)]),
    /// 416.
    Nothing,
}
use Gets::{Nothing, One, Several, Whole};

#[track_caller]
fn check(site: &Site, cases: &[(&str, Gets)]) {
    for way in WAYS {
        let mut client = site.connect();
        let target = format!("{way}letters.txt");
        let whole = ask(&mut client, "GET", &target, &[]);
        for (range, gets) in cases {
            let answer = ask(&mut client, "GET", &target, &[("Range", range)]);
            check_answer(&answer, &whole, *gets, &format!("{way} {range}"));
            // RFC 9110 §14.2: only GET has ranges.
            let head = ask(&mut client, "HEAD", &target, &[("Range", range)]);
            let fields = ["content-length", "content-range", "etag"];
            assert_eq!(
                (head.status, values(&head, fields)),
                (200, [Some("26"), None, whole.header("etag")]),
                "HEAD {way} {range}"
            );
        }
    }
}

#[track_caller]
fn check_answer(answer: &Answer, whole: &Answer, gets: Gets, what: &str) {
    let status = match gets {
        Whole => 200,
        One(..) | Several(_) => 206,
        Nothing => 416,
    };
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    assert!(!answer.has_token("connection", "close"), "{what}");
    let length = answer.body.len().to_string();
    assert_eq!(
        answer.header("content-length"),
        Some(length.as_str()),
        "{what}"
    );
    if matches!(gets, Nothing) {
        let fields = ["content-range", "etag"];
        assert_eq!(values(answer, fields), [Some("bytes */26"), None], "{what}");
        return;
    }
    for name in [
        "etag",
        "last-modified",
        "vary",
        "accept-ranges",
        "x-content-type-options",
    ] {
        assert_eq!(answer.header(name), whole.header(name), "{what}: {name}");
    }
    let (media_type, range) = (whole.header("content-type"), answer.header("content-range"));
    match gets {
        Whole => {
            assert_eq!((answer.text(), range), (LETTERS, None), "{what}");
            assert_eq!(answer.header("content-type"), media_type, "{what}");
        }
        One(first, last) => {
            assert_eq!(answer.text(), &LETTERS[first..=last], "{what}");
            assert_eq!(
                range,
                Some(format!("bytes {first}-{last}/26").as_str()),
                "{what}"
            );
            assert_eq!(answer.header("content-type"), media_type, "{what}");
        }
        Several(ranges) => {
            // RFC 9110 §15.3.7.2: only the parts have that field.
            assert_eq!(range, None, "{what}");
            let expected: Vec<Part> = ranges
                .iter()
                .map(|(first, last)| Part {
                    media_type: media_type.map(str::to_owned),
                    first: *first as u64,
                    last: *last as u64,
                    complete: 26,
                    content: LETTERS.as_bytes()[*first..=*last].to_vec(),
                })
                .collect();
            assert_eq!(parse(answer), Ok(expected), "{what}");
        }
        Nothing => {}
    }
}

#[test]
fn files_05_one_range() {
    check(
        &Site::start(),
        &[
            ("bytes=0-0", One(0, 0)),
            ("bytes=0-25", One(0, 25)),
            ("bytes=5-9", One(5, 9)),
            ("bytes=25-25", One(25, 25)),
            ("bytes=0-", One(0, 25)),
            ("bytes=20-", One(20, 25)),
            ("bytes=25-", One(25, 25)),
            ("bytes=-1", One(25, 25)),
            ("bytes=-5", One(21, 25)),
            ("bytes=-26", One(0, 25)),
            // Longer than the file: the server clamps it, however long it is.
            ("bytes=-27", One(0, 25)),
            ("bytes=-18446744073709551615", One(0, 25)),
            ("bytes=-18446744073709551616", One(0, 25)),
            (
                "bytes=-99999999999999999999999999999999999999999",
                One(0, 25),
            ),
            ("bytes=20-26", One(20, 25)),
            ("bytes=20-18446744073709551615", One(20, 25)),
            ("bytes=20-18446744073709551616", One(20, 25)),
            (
                "bytes=20-99999999999999999999999999999999999999999",
                One(20, 25),
            ),
            (
                "bytes=00000000000000000000000000000000000005-0009",
                One(5, 9),
            ),
            ("bytes=-00000000000000000000000000000000000001", One(25, 25)),
            // RFC 9110 §14.1: a unit's name is case-insensitive.
            ("BYTES=5-9", One(5, 9)),
            ("Bytes=-1", One(25, 25)),
        ],
    );
}

#[test]
fn files_05_not_satisfiable() {
    check(
        &Site::start(),
        &[
            ("bytes=26-", Nothing),
            ("bytes=26-26", Nothing),
            ("bytes=99-100", Nothing),
            ("bytes=-0", Nothing),
            ("bytes=-000", Nothing),
            ("bytes=18446744073709551615-", Nothing),
            ("bytes=18446744073709551616-", Nothing),
            ("bytes=18446744073709551616-18446744073709551617", Nothing),
            ("bytes=99999999999999999999999999999999999999999-", Nothing),
            ("bytes=26-,-0,99-100", Nothing),
        ],
    );
}

#[test]
fn files_05_what_is_no_range_is_ignored() {
    check(
        &Site::start(),
        &[
            ("", Whole),
            ("bytes", Whole),
            ("bytes=", Whole),
            ("bytes=-", Whole),
            ("bytes=,", Whole),
            ("bytes=,,", Whole),
            ("bytes=1", Whole),
            ("bytes=a-b", Whole),
            ("bytes=1-b", Whole),
            ("bytes=1-2-3", Whole),
            ("bytes=--1", Whole),
            ("bytes=-1-", Whole),
            ("bytes=-5-6", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1-+2", Whole),
            ("bytes=-+2", Whole),
            ("bytes=0x1-2", Whole),
            ("bytes=1.0-2", Whole),
            ("bytes=1 -2", Whole),
            ("bytes=1- 2", Whole),
            ("bytes=1-2;3-4", Whole),
            ("bytes=1-2 3-4", Whole),
            ("bytes=1-2/26", Whole),
            ("bytes=\"1-2\"", Whole),
            ("bytes 1-2", Whole),
            ("bytes:1-2", Whole),
            ("bytes =1-2", Whole),
            ("=1-2", Whole),
            ("1-2", Whole),
            ("bytes=\u{661}-\u{662}", Whole),
            // The last position before the first (RFC 9110 §14.1.1), alone or among others, in the
            // file or past it.
            ("bytes=5-4", Whole),
            ("bytes=0-1,5-4", Whole),
            ("bytes=99-98", Whole),
            ("bytes=0-1,x", Whole),
            ("bytes=99-,x", Whole),
            ("bytes=0-1,bytes=3-4", Whole),
            // Other units.
            ("items=0-1", Whole),
            ("none", Whole),
            ("byte=0-1", Whole),
            ("bytess=0-1", Whole),
            ("seconds=0-1, bytes=0-1", Whole),
            ("bits=99-", Whole),
        ],
    );
}

#[test]
fn files_05_backwards_is_invalid_however_long_the_numbers() {
    // RFC 9110 §14.1.1: an int-range is invalid if its last-pos is less than its first-pos.
    check(
        &Site::start(),
        &[
            ("bytes=18446744073709551616-18446744073709551615", Whole),
            ("bytes=18446744073709551617-18446744073709551616", Whole),
            (
                "bytes=0-1,99999999999999999999999-99999999999999999999998",
                Whole,
            ),
            ("bytes=18446744073709551616-0", Whole),
        ],
    );
}

#[test]
fn files_05_several_ranges() {
    check(
        &Site::start(),
        &[
            ("bytes=0-0,25-25", Several(&[(0, 0), (25, 25)])),
            ("bytes=0-1,4-5,-1", Several(&[(0, 1), (4, 5), (25, 25)])),
            // In the order of the request.
            (
                "bytes=20-21,0-1,10-11",
                Several(&[(20, 21), (0, 1), (10, 11)]),
            ),
            ("bytes=-2,0-1", Several(&[(24, 25), (0, 1)])),
            ("bytes=0-12,13-25", Several(&[(0, 12), (13, 25)])),
            // White space around the commas and empty elements (RFC 9110 §5.6.1.2).
            ("bytes=0-1 , 4-5", Several(&[(0, 1), (4, 5)])),
            ("bytes=0-1\t,\t4-5", Several(&[(0, 1), (4, 5)])),
            ("bytes=,0-1,,4-5, ,", Several(&[(0, 1), (4, 5)])),
            // The ranges that are left after the unsatisfiable ones; if one is left, the answer is
            // no multipart.
            ("bytes=0-1,99-,4-5", Several(&[(0, 1), (4, 5)])),
            ("bytes=0-1,99-", One(0, 1)),
            ("bytes=-0,3-4", One(3, 4)),
            ("bytes=,3-4", One(3, 4)),
            ("bytes=3-4,,", One(3, 4)),
            ("bytes=24-99,26-", One(24, 25)),
            // Two ranges may overlap, but not three.
            ("bytes=0-9,5-6", Several(&[(0, 9), (5, 6)])),
            ("bytes=3-4,3-4", Several(&[(3, 4), (3, 4)])),
            ("bytes=3-4,3-4,8-8", Several(&[(3, 4), (3, 4), (8, 8)])),
            ("bytes=3-4,3-4,3-4", Whole),
            ("bytes=0-3,2-5,4-7", Whole),
            ("bytes=0-1,1-2,8-9,9-10", Whole),
            // Together the ranges must be no longer than the file.
            ("bytes=0-12,12-25", Whole),
            ("bytes=0-25,0-0", Whole),
            ("bytes=0-,0-", Whole),
            ("bytes=-99,0-99", Whole),
            ("bytes=0-24,25-25", Several(&[(0, 24), (25, 25)])),
        ],
    );
}

#[test]
fn files_05_several_range_lines_are_ignored() {
    let site = Site::start();
    for way in WAYS {
        let target = format!("{way}letters.txt");
        for second in ["bytes=0-0", "bytes=1-1", "bytes=99-", "junk"] {
            let fields = [("Range", "bytes=0-0"), ("Range", second)];
            let answer = site.get(&target, &fields);
            assert_eq!(
                (answer.status, answer.text()),
                (200, LETTERS),
                "{way} {second}"
            );
        }
    }
}

#[test]
fn files_05_at_most_64_ranges() {
    let site = Site::filled(|outer| {
        outer.write("root/long.bin", vec![b'.'; 10_000]);
    });
    let mut client = site.connect();
    for way in [DIR, SINGLE] {
        for (count, status) in [
            (2, 206),
            (20, 206),
            (63, 206),
            (64, 206),
            (65, 200),
            (500, 200),
        ] {
            let specs: Vec<String> = (0..count)
                .map(|n| format!("{}-{}", n * 10, n * 10))
                .collect();
            let range = format!("bytes={}", specs.join(","));
            let target = format!("{way}long.bin");
            let answer = ask(&mut client, "GET", &target, &[("Range", &range)]);
            assert_eq!(answer.status, status, "{count} ranges");
            if status == 206 {
                let parts = parse(&answer).unwrap();
                assert_eq!(parts.len(), count);
                let firsts: Vec<u64> = parts.iter().map(|part| part.first).collect();
                assert_eq!(
                    firsts,
                    (0..count as u64).map(|n| n * 10).collect::<Vec<_>>()
                );
            } else {
                assert_eq!(answer.body.len(), 10_000);
            }
        }
    }
}

#[test]
fn files_05_an_empty_file_has_no_range() {
    let site = Site::start();
    for way in WAYS {
        let target = format!("{way}empty.txt");
        for range in [
            "bytes=0-",
            "bytes=0-0",
            "bytes=-0",
            "bytes=5-9",
            "bytes=0-,1-",
        ] {
            let answer = site.get(&target, &[("Range", range)]);
            assert_eq!(answer.status, 416, "{way} {range}");
            let fields = ["content-range", "etag"];
            assert_eq!(
                values(&answer, fields),
                [Some("bytes */0"), None],
                "{way} {range}"
            );
        }
        // A suffix of an empty file is empty, and no Content-Range can say so.
        for range in ["bytes=-1", "bytes=-5", "bytes=1-0", "junk"] {
            let answer = site.get(&target, &[("Range", range)]);
            assert_eq!((answer.status, answer.text()), (200, ""), "{way} {range}");
            assert_eq!(
                values(&answer, ["content-length", "content-range"]),
                [Some("0"), None]
            );
        }
    }
}

#[test]
fn files_05_every_byte_by_itself_and_every_split() {
    let site = Site::start();
    for way in WAYS {
        let target = format!("{way}letters.txt");
        let mut client = site.connect();
        let mut get = |range: String| {
            let answer = ask(&mut client, "GET", &target, &[("Range", &range)]);
            assert_eq!(answer.status, 206, "{range}");
            answer.text().to_owned()
        };
        let singly: String = (0..26).map(|n| get(format!("bytes={n}-{n}"))).collect();
        assert_eq!(singly, LETTERS);
        for split in 1..26 {
            let (head, tail) = (
                get(format!("bytes=0-{}", split - 1)),
                get(format!("bytes={split}-")),
            );
            assert_eq!(head + &tail, LETTERS, "split at {split}");
            assert_eq!(get(format!("bytes=-{split}")), &LETTERS[26 - split..]);
        }
    }
}

#[test]
fn files_05_the_boundary_stands_in_no_part() {
    let site = Site::start();
    let path = site.outer.join("root/letters.txt");
    let target = "/files/letters.txt";
    let ranges = [("Range", "bytes=0-99,200-299")];
    let ask_twice = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        set_modified(&path, TempDir::long_ago());
        let answer = site.get(target, &ranges);
        let parts = parse(&answer).expect("the boundary is not in the content");
        assert_eq!(parts[0].content, content[..100]);
        assert_eq!(parts[1].content, content[200..300]);
        boundary(answer.header("content-type").unwrap()).unwrap()
    };
    // An attacker's file: it contains the boundary that another file of the same length and time
    // got.
    let seen = ask_twice(&[b'.'; 1000]);
    let line = format!("\r\n--{seen}--\r\n--{seen}\r\n");
    let hostile: Vec<u8> = line.bytes().cycle().take(1000).collect();
    ask_twice(&hostile);
}

#[test]
fn files_05_ranges_past_four_gigabytes() {
    const FAR: u64 = (4 << 30) + 17;
    const SIZE: u64 = 5 << 30;
    let site = Site::filled(|outer| {
        let path = outer.write("root/huge.bin", "");
        let mut file = File::options().write(true).open(&path).unwrap();
        file.set_len(SIZE).unwrap();
        for (at, bytes) in [(FAR, "far!"), (SIZE - 1, "$")] {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(bytes.as_bytes()).unwrap();
        }
        set_modified(&path, TempDir::long_ago());
    });
    let mut client: Client = site.connect();
    for way in [DIR, SINGLE] {
        let target = format!("{way}huge.bin");
        for (range, content, content_range) in [
            (
                format!("bytes={FAR}-{}", FAR + 3),
                "far!",
                format!("bytes {FAR}-{}/{SIZE}", FAR + 3),
            ),
            (
                "bytes=-1".to_owned(),
                "$",
                format!("bytes {}-{}/{SIZE}", SIZE - 1, SIZE - 1),
            ),
        ] {
            let answer = ask(&mut client, "GET", &target, &[("Range", &range)]);
            assert_eq!((answer.status, answer.text()), (206, content), "{range}");
            assert_eq!(answer.header("content-range"), Some(content_range.as_str()));
        }
        let range = format!("bytes={SIZE}-");
        let answer = ask(&mut client, "GET", &target, &[("Range", &range)]);
        let unsatisfied = format!("bytes */{SIZE}");
        assert_eq!(answer.status, 416);
        assert_eq!(answer.header("content-range"), Some(unsatisfied.as_str()));
        let head = ask(&mut client, "HEAD", &target, &[]);
        assert_eq!(
            head.header("content-length"),
            Some(SIZE.to_string().as_str())
        );
        let several = format!("bytes=-1,{FAR}-{}", FAR + 3);
        let answer = ask(&mut client, "GET", &target, &[("Range", &several)]);
        let parts = parse(&answer).unwrap();
        assert_eq!(
            (&parts[0].content[..], &parts[1].content[..]),
            (&b"$"[..], &b"far!"[..])
        );
    }
}

#[test]
fn files_05_a_plain_get_says_that_ranges_are_welcome() {
    let site = Site::start();
    for way in WAYS {
        let answer = site.get(&format!("{way}letters.txt"), &[]);
        assert_eq!(answer.header("accept-ranges"), Some("bytes"), "{way}");
        assert!(tag(&answer).starts_with('"'), "{way}");
    }
    let answer = site.get(&format!("{BUILT_IN}letters.txt"), &[("Range", "bytes=1-1")]);
    assert_eq!(answer.text(), "b");
}
