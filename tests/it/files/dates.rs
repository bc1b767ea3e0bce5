//! `Last-Modified`, and dates that clients send back (RFC 9110 §5.6.7, §8.8.2).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use akurai_tests::{TempDir, http_dates, imf_fixdate_seconds, set_modified};

use super::{BUILT_IN, DIR, SINGLE, Site, ask, tag};

#[track_caller]
fn seconds(date: Option<&str>) -> u64 {
    let date = date.expect("there is a date");
    imf_fixdate_seconds(date).unwrap_or_else(|| panic!("{date} is no IMF-fixdate"))
}

#[test]
fn files_03_all_three_forms_of_a_date() {
    // The second from the RFC's own examples, and two of later years: the year of the RFC 850 form
    // has two digits, and is never more than 50 years ahead.
    for modified in [784_111_777, 1_700_000_000, 951_825_600] {
        let site = Site::filled(|outer| {
            let at = UNIX_EPOCH + Duration::new(modified, 999_999_999);
            outer.write_at("root/dated.txt", "dated", at);
        });
        let mut client = site.connect();
        for way in [DIR, SINGLE] {
            let target = format!("{way}dated.txt");
            let answer = ask(&mut client, "GET", &target, &[]);
            assert_eq!(seconds(answer.header("last-modified")), modified);
            for (moved, since, unmodified) in [(-1, 200, 412), (0, 304, 200), (1, 304, 200)] {
                for date in http_dates(modified.saturating_add_signed(moved)) {
                    let mut status =
                        |name| ask(&mut client, "GET", &target, &[(name, &date)]).status;
                    assert_eq!(status("If-Modified-Since"), since, "{target} {date}");
                    assert_eq!(status("If-Unmodified-Since"), unmodified, "{target} {date}");
                }
            }
        }
    }
}

#[test]
fn files_03_the_rfcs_own_examples_of_a_date() {
    let site = Site::filled(|outer| {
        let at = UNIX_EPOCH + Duration::from_secs(784_111_777);
        outer.write_at("root/dated.txt", "dated", at);
    });
    for date in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ] {
        let answer = site.get("/files/dated.txt", &[("If-Modified-Since", date)]);
        assert_eq!(answer.status, 304, "{date}");
    }
    for date in [
        "Sun, 06 Nov 1994 08:49:36 GMT",
        "Sunday, 06-Nov-94 08:49:36 GMT",
        "Sun Nov  6 08:49:36 1994",
    ] {
        let answer = site.get("/files/dated.txt", &[("If-Modified-Since", date)]);
        assert_eq!(answer.status, 200, "{date}");
    }
}

#[test]
fn files_03_what_is_no_date_is_ignored() {
    // The file is older than the epoch's first day is long. A lenient parser would read most of
    // these dates as later than the file (304), and some as earlier (412).
    let site = Site::start();
    let mut client = site.connect();
    for date in [
        "",
        "0",
        "-1",
        "*",
        "1700000000",
        "2000000000",
        "now",
        "Tue, 14 Nov 2023 22:13:20",
        "Tue, 14 Nov 2023 22:13:20 UTC",
        "Tue, 14 Nov 2023 22:13:20 +0000",
        "Tue, 14 Nov 2023 22:13:20 GMT; length=26",
        "Tue, 14 Nov 2023 22:13:20 GMT, x",
        "Tue, 14 Nov 2023 22:13 GMT",
        "Tue, 14 Nov 2023 24:00:00 GMT",
        "Tue, 14 Nov 2023 22:60:00 GMT",
        "Tue, 14 Nov 2023 22:13:61 GMT",
        "Tue, 00 Nov 2023 22:13:20 GMT",
        "Fri, 31 Nov 2023 22:13:20 GMT",
        "Wed, 29 Feb 2023 22:13:20 GMT",
        "Tue, 14 Nvm 2023 22:13:20 GMT",
        "Tue, 14 Nov 23 22:13:20 GMT",
        "Tue, 14 Nov 12023 22:13:20 GMT",
        "Tue,14 Nov 2023 22:13:20 GMT",
        "14 Nov 2023 22:13:20 GMT",
        "2023-11-14T22:13:20Z",
        "\"Tue, 14 Nov 2023 22:13:20 GMT\"",
        "Tue Nov 14 22:13:20 GMT 2023",
        "Tue, +4 Nov 2023 22:13:20 GMT",
        "Tue, 14 Nov -023 22:13:20 GMT",
        "Tue, 1\u{664} Nov 2023 22:13:20 GMT",
    ] {
        for way in [DIR, SINGLE, BUILT_IN] {
            let target = format!("{way}letters.txt");
            for name in ["If-Modified-Since", "If-Unmodified-Since"] {
                let answer = ask(&mut client, "GET", &target, &[(name, date)]);
                assert_eq!(answer.status, 200, "{target} {name}: {date}");
            }
        }
    }
}

#[test]
fn files_03_an_invalid_date_does_not_shade_the_other_conditions() {
    let site = Site::start();
    let whole = site.get("/files/letters.txt", &[]);
    let etag = tag(&whole);
    for (fields, status) in [
        (
            [("If-Modified-Since", "0"), ("If-None-Match", etag.as_str())],
            304,
        ),
        (
            [
                ("If-Unmodified-Since", "0"),
                ("If-None-Match", etag.as_str()),
            ],
            304,
        ),
        (
            [("If-Unmodified-Since", "0"), ("If-Match", "\"other\"")],
            412,
        ),
        (
            [
                ("If-Unmodified-Since", "0"),
                ("If-Modified-Since", "Tue, 14 Nov 2023 22:13:20 GMT"),
            ],
            304,
        ),
    ] {
        assert_eq!(
            site.get("/files/letters.txt", &fields).status,
            status,
            "{fields:?}"
        );
    }
}

#[test]
fn files_04_last_modified_is_never_in_the_future() {
    // RFC 9110 §8.8.2.1: a server replaces a time in the future by the time of the message.
    let site = Site::start();
    let path = site.outer.join("root/letters.txt");
    let mut client = site.connect();
    for ahead in [1, 2, 60, 86_400, 3_000_000_000] {
        set_modified(&path, SystemTime::now() + Duration::from_secs(ahead));
        for way in [DIR, SINGLE] {
            for method in ["GET", "HEAD"] {
                let answer = ask(&mut client, method, &format!("{way}letters.txt"), &[]);
                let modified = seconds(answer.header("last-modified"));
                let date = seconds(answer.header("date"));
                assert!(modified <= date, "{way}: {modified} is after {date}");
                assert_eq!(answer.status, 200);
            }
            // The client sends back what it got, and the file has not changed since.
            let answer = ask(&mut client, "GET", &format!("{way}letters.txt"), &[]);
            let fields = [("If-None-Match", &*tag(&answer))];
            let again = ask(&mut client, "GET", &format!("{way}letters.txt"), &fields);
            assert_eq!(again.status, 304);
        }
    }
}

#[test]
fn files_04_odd_times_of_modification_break_nothing() {
    let site = Site::start();
    let path = site.outer.join("root/letters.txt");
    let before_the_epoch = UNIX_EPOCH - Duration::from_millis(86_400_500);
    let mut client = site.connect();
    for modified in [
        UNIX_EPOCH,
        UNIX_EPOCH + Duration::from_nanos(1),
        UNIX_EPOCH - Duration::from_nanos(1),
        before_the_epoch,
        UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX) + 5),
        TempDir::long_ago(),
    ] {
        set_modified(&path, modified);
        for way in [DIR, SINGLE] {
            let target = format!("{way}letters.txt");
            let answer = ask(&mut client, "GET", &target, &[]);
            assert_eq!(
                (answer.status, answer.text()),
                (200, super::LETTERS),
                "{modified:?}"
            );
            let etag = tag(&answer);
            if let Some(date) = answer.header("last-modified") {
                assert!(imf_fixdate_seconds(date).is_some(), "{modified:?}: {date}");
            }
            let again = ask(&mut client, "GET", &target, &[("If-None-Match", &etag)]);
            assert_eq!((again.status, tag(&again)), (304, etag), "{modified:?}");
        }
    }
}

#[test]
fn files_04_last_modified_is_the_files_time_in_whole_seconds() {
    let site = Site::start();
    for way in [DIR, SINGLE] {
        let answer = site.get(&format!("{way}letters.txt"), &[]);
        assert_eq!(
            answer.header("last-modified"),
            Some("Tue, 14 Nov 2023 22:13:20 GMT")
        );
    }
    let answer = site.get("/built/letters.txt", &[]);
    assert_eq!(answer.header("last-modified"), None);
}
