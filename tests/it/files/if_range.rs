//! If-Range (RFC 9110 §13.1.5).

use std::time::SystemTime;

use akurai_tests::{http_dates, imf_fixdate_seconds, set_modified};

use super::{BUILT_IN, DIR, LETTERS, SINGLE, Site, WAYS, ask, tag};

const MODIFIED: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

/// Requests the first letter with each `If-Range`, in which `T` stands for the file's tag. The
/// status says whether the part or the whole came.
#[track_caller]
fn check(site: &Site, way: &str, cases: &[(&str, u16)]) {
    let target = format!("{way}letters.txt");
    let mut client = site.connect();
    let etag = tag(&ask(&mut client, "GET", &target, &[]));
    for (value, status) in cases {
        let value = match value.contains("GMT") {
            true => (*value).to_owned(),
            false => value.replace('T', &etag),
        };
        let fields = [("If-Range", value.as_str()), ("Range", "bytes=0-0")];
        let answer = ask(&mut client, "GET", &target, &fields);
        let text = if *status == 206 { "a" } else { LETTERS };
        assert_eq!(
            (answer.status, answer.text()),
            (*status, text),
            "{way} If-Range: {value}"
        );
        assert_eq!(tag(&answer), etag);
        // If the condition is false, Range does not count, satisfiable or not.
        let fields = [("If-Range", value.as_str()), ("Range", "bytes=99-")];
        let answer = ask(&mut client, "GET", &target, &fields);
        let unsatisfied = if *status == 206 { 416 } else { 200 };
        assert_eq!(
            answer.status, unsatisfied,
            "{way} If-Range: {value}, bytes=99-"
        );
        // Without Range, If-Range does nothing (§13.1.5), and for HEAD it does nothing either.
        let answer = ask(&mut client, "GET", &target, &[("If-Range", &value)]);
        assert_eq!(
            (answer.status, answer.text()),
            (200, LETTERS),
            "{way} {value} alone"
        );
        let fields = [("If-Range", value.as_str()), ("Range", "bytes=0-0")];
        let answer = ask(&mut client, "HEAD", &target, &fields);
        assert_eq!(answer.status, 200, "HEAD {way} {value}");
    }
}

#[test]
fn files_05_if_range_takes_one_strong_tag() {
    let cases = [
        ("T", 206),
        ("W/T", 200),
        ("\"other\"", 200),
        ("\"\"", 200),
        ("*", 200),
        ("T, \"other\"", 200),
        ("\"other\", T", 200),
        ("T T", 200),
        ("", 200),
        ("junk", 200),
    ];
    let site = Site::start();
    for way in WAYS {
        check(&site, way, &cases);
    }
}

#[test]
fn files_05_if_range_takes_the_exact_date() {
    let cases = [
        (MODIFIED, 206),
        ("Tue, 14 Nov 2023 22:13:19 GMT", 200),
        // A later date is not the same date: the copy may be of another version (§13.1.5).
        ("Tue, 14 Nov 2023 22:13:21 GMT", 200),
        ("Tue, 14 Nov 2033 22:13:20 GMT", 200),
        ("Tue, 14 Nov 2023 22:13:20 UTC", 200),
        ("Tue, 14 Nov 2023 22:13:20 GMT, T", 200),
    ];
    let site = Site::start();
    for way in [DIR, SINGLE] {
        check(&site, way, &cases);
    }
    let never: Vec<(&str, u16)> = cases.iter().map(|(value, _)| (*value, 200)).collect();
    check(&site, BUILT_IN, &never);
}

#[test]
fn files_05_if_range_more_than_once_never_holds() {
    let site = Site::start();
    for way in WAYS {
        let target = format!("{way}letters.txt");
        let etag = tag(&site.get(&target, &[]));
        for (one, two) in [
            (etag.as_str(), etag.as_str()),
            (&etag, MODIFIED),
            (MODIFIED, &etag),
        ] {
            let fields = [("If-Range", one), ("If-Range", two), ("Range", "bytes=0-0")];
            let answer = site.get(&target, &fields);
            assert_eq!(
                (answer.status, answer.text()),
                (200, LETTERS),
                "{way} {one} {two}"
            );
        }
    }
}

#[test]
fn files_05_a_date_of_this_second_is_too_weak_for_if_range() {
    // §8.8.2.2: within the same second the file may have changed again without a new date.
    let site = Site::start();
    let path = site.outer.join("root/letters.txt");
    let mut client = site.connect();
    let seconds = |date: Option<&str>| imf_fixdate_seconds(date.unwrap()).unwrap();
    for way in [DIR, SINGLE] {
        let target = format!("{way}letters.txt");
        let mut attempts = 0;
        loop {
            set_modified(&path, SystemTime::now());
            let whole = ask(&mut client, "GET", &target, &[]);
            let date = http_dates(seconds(whole.header("last-modified")))[0].clone();
            let fields = [("If-Range", date.as_str()), ("Range", "bytes=0-0")];
            let answer = ask(&mut client, "GET", &target, &fields);
            // The clock may have moved to the next second between the two, and then the date is
            // strong enough.
            if answer.header("date") == Some(&date) {
                assert_eq!(
                    (answer.status, answer.text()),
                    (200, LETTERS),
                    "{way} {date}"
                );
                break;
            }
            attempts += 1;
            assert!(attempts < 20, "the machine is too slow for this test");
        }
    }
}

#[test]
fn files_05_a_multipart_answer_under_if_range() {
    let site = Site::start();
    for way in WAYS {
        let target = format!("{way}letters.txt");
        let etag = tag(&site.get(&target, &[]));
        for (value, status) in [(etag.as_str(), 206), ("\"other\"", 200)] {
            let fields = [("Range", "bytes=0-0,2-2"), ("If-Range", value)];
            let answer = site.get(&target, &fields);
            assert_eq!(answer.status, status, "{way} {value}");
            assert_eq!(super::byteranges::parse(&answer).is_ok(), status == 206);
        }
    }
}
