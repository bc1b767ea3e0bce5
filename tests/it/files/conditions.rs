//! Conditions, in the order of RFC 9110 §13.2.2.

use akurai_tests::{Answer, Client, http_dates, imf_fixdate_seconds};

use super::{BUILT_IN, DIR, LETTERS, SINGLE, Site, WAYS, ask, names, request, tag, values};

/// The file's own values, which fill the placeholders in conditions.
struct Validators {
    tag: String,
    /// In seconds; none for an embedded file.
    modified: Option<u64>,
}

impl Validators {
    #[track_caller]
    fn of(answer: &Answer) -> Validators {
        assert_eq!((answer.status, answer.text()), (200, LETTERS));
        let modified = answer.header("last-modified");
        Validators {
            tag: tag(answer),
            modified: modified.map(|date| imf_fixdate_seconds(date).expect("an IMF-fixdate")),
        }
    }

    /// `T` stands for the file's tag, and `W/T` for the same tag as a weak one; `at`, `before`,
    /// `after` and `future` stand for dates.
    fn fill(&self, value: &str) -> String {
        let modified = self.modified.unwrap_or(1_700_000_000);
        let date = |seconds| http_dates(seconds)[0].clone();
        match value {
            "at" => date(modified),
            "before" => date(modified - 1),
            "after" => date(modified + 1),
            "future" => date(akurai_tests::unix_seconds_now() + 86_400),
            _ => value.replace('T', &self.tag),
        }
    }
}

const IF_MATCH: &str = "If-Match";
const SINCE: &str = "If-Unmodified-Since";
const NONE: &str = "If-None-Match";
const MODIFIED: &str = "If-Modified-Since";

/// The fields of a request, and the status of its answer.
type Case = (&'static [(&'static str, &'static str)], u16);

/// Requests the letters with the fields of each case, by GET and by HEAD. Where GET gets 206, HEAD
/// gets 200.
#[track_caller]
fn check(site: &Site, way: &str, cases: &[Case]) {
    let target = format!("{way}letters.txt");
    let mut client = site.connect();
    let validators = Validators::of(&ask(&mut client, "GET", &target, &[]));
    for (fields, status) in cases {
        let filled: Vec<(&str, String)> = fields
            .iter()
            .map(|(name, value)| (*name, validators.fill(value)))
            .collect();
        let filled: Vec<(&str, &str)> = filled
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = ask(&mut client, "GET", &target, &filled);
        assert_eq!(answer.status, *status, "{way} {filled:?}: {answer:?}");
        if *status == 200 {
            assert_eq!(answer.text(), LETTERS, "{way} {filled:?}");
        }
        let to_head = if *status == 206 { 200 } else { *status };
        let answer = ask(&mut client, "HEAD", &target, &filled);
        assert_eq!(answer.status, to_head, "HEAD {way} {filled:?}: {answer:?}");
    }
}

#[test]
fn files_03_if_match_compares_strongly() {
    let cases: &[Case] = &[
        (&[(IF_MATCH, "T")], 200),
        (&[(IF_MATCH, "*")], 200),
        (&[(IF_MATCH, "\"other\", T")], 200),
        (&[(IF_MATCH, "\"other\",T,\"x\"")], 200),
        (&[(IF_MATCH, "T , , \"other\"")], 200),
        (&[(IF_MATCH, ", T")], 200),
        (&[(IF_MATCH, "W/\"other\", T")], 200),
        (&[(IF_MATCH, "\"a,b\", T")], 200),
        (&[(IF_MATCH, "\"other\""), (IF_MATCH, "T")], 200),
        (&[(IF_MATCH, "\"other\"")], 412),
        (&[(IF_MATCH, "\"\"")], 412),
        (&[(IF_MATCH, "W/T")], 412),
        (&[(IF_MATCH, "\"*\"")], 412),
        (&[(IF_MATCH, "\"other\""), (IF_MATCH, "\"another\"")], 412),
        (&[(IF_MATCH, "\"a,T,b\"")], 412),
    ];
    let site = Site::start();
    for way in WAYS {
        check(&site, way, cases);
    }
}

#[test]
fn files_03_if_none_match_compares_weakly() {
    let cases: &[Case] = &[
        (&[(NONE, "T")], 304),
        (&[(NONE, "W/T")], 304),
        (&[(NONE, "*")], 304),
        (&[(NONE, "\"other\", T")], 304),
        (&[(NONE, "\"other\",W/T,\"x\"")], 304),
        (&[(NONE, "T,,\"other\"")], 304),
        (&[(NONE, ",T,")], 304),
        (&[(NONE, "\"a,b\", T")], 304),
        (&[(NONE, "\"a\\\", T")], 304),
        (&[(NONE, "\"\u{e9}\", T")], 304),
        (&[(NONE, "\"other\"\t,\tT")], 304),
        (&[(NONE, "\"other\""), (NONE, "T")], 304),
        (&[("if-none-match", "T")], 304),
        (&[(NONE, "\"other\"")], 200),
        (&[(NONE, "W/\"other\"")], 200),
        (&[(NONE, "\"\"")], 200),
        (&[(NONE, "\"*\"")], 200),
    ];
    let site = Site::start();
    for way in WAYS {
        check(&site, way, cases);
    }
}

#[test]
fn files_03_a_malformed_list_matches_nothing() {
    // RFC 9110 §8.8.3: `W/` is case-sensitive, tags are quoted, and `*` stands alone (§13.1.1,
    // §13.1.2).
    let lists = [
        "junk",
        "T junk",
        "T, junk",
        "junk, T",
        "T T",
        "w/T",
        "W/ T",
        "W/",
        "T, \"open",
        "\"",
        "*, T",
        "T, *",
        "**",
        "T;x=y",
        "\"a b\", T",
        "T,\"a\tb\"",
        "'T'",
        "",
    ];
    let site = Site::start();
    for way in WAYS {
        for list in lists {
            let leaked: &'static [_] = Box::leak(Box::new([(IF_MATCH, list)]));
            check(&site, way, &[(leaked, 412)]);
            let leaked: &'static [_] = Box::leak(Box::new([(NONE, list)]));
            check(&site, way, &[(leaked, 200)]);
        }
    }
}

#[test]
fn files_03_dates_of_modification() {
    let cases: &[Case] = &[
        (&[(SINCE, "at")], 200),
        (&[(SINCE, "after")], 200),
        (&[(SINCE, "future")], 200),
        (&[(SINCE, "before")], 412),
        (&[(MODIFIED, "at")], 304),
        (&[(MODIFIED, "after")], 304),
        (&[(MODIFIED, "before")], 200),
        (&[(MODIFIED, "future")], 200),
        // A field on more than one line is no date.
        (&[(SINCE, "before"), (SINCE, "before")], 200),
        (&[(MODIFIED, "at"), (MODIFIED, "at")], 200),
    ];
    let site = Site::start();
    for way in [DIR, SINGLE] {
        check(&site, way, cases);
    }
    // An embedded file was never modified, so it has no date to compare (RFC 9110 §13.1.3,
    // §13.1.4).
    let ignored: Vec<Case> = cases.iter().map(|(fields, _)| (*fields, 200)).collect();
    check(&site, BUILT_IN, &ignored);
}

#[test]
fn files_03_the_order_of_conditions() {
    let cases: &[Case] = &[
        // If-Match has priority over If-Unmodified-Since, which is then ignored.
        (&[(IF_MATCH, "T"), (SINCE, "before")], 200),
        (&[(SINCE, "before"), (IF_MATCH, "T")], 200),
        (&[(IF_MATCH, "\"other\""), (SINCE, "after")], 412),
        (&[(IF_MATCH, "*"), (SINCE, "before")], 200),
        // If-None-Match has priority over If-Modified-Since.
        (&[(NONE, "\"other\""), (MODIFIED, "at")], 200),
        (&[(MODIFIED, "at"), (NONE, "\"other\"")], 200),
        (&[(NONE, "T"), (MODIFIED, "before")], 304),
        (&[(NONE, "junk"), (MODIFIED, "at")], 200),
        // The first pair has priority over the second.
        (&[(IF_MATCH, "\"other\""), (NONE, "T")], 412),
        (&[(IF_MATCH, "T"), (NONE, "T")], 304),
        (&[(IF_MATCH, "T"), (NONE, "\"other\"")], 200),
        (&[(SINCE, "after"), (NONE, "T")], 304),
        // All of them have priority over Range.
        (&[("Range", "bytes=0-0"), (NONE, "T")], 304),
        (&[("Range", "bytes=0-0"), (NONE, "\"other\"")], 206),
        (&[("Range", "bytes=0-0"), (IF_MATCH, "\"other\"")], 412),
        (&[("Range", "bytes=0-0"), (IF_MATCH, "T")], 206),
        (&[("Range", "bytes=99-"), (NONE, "T")], 304),
        (&[("Range", "bytes=99-"), (IF_MATCH, "\"other\"")], 412),
        (
            &[("Range", "bytes=0-0"), ("If-Range", "T"), (NONE, "T")],
            304,
        ),
        (
            &[
                ("Range", "bytes=0-0"),
                ("If-Range", "\"other\""),
                (IF_MATCH, "T"),
            ],
            200,
        ),
        (
            &[
                ("Range", "bytes=0-0"),
                ("If-Range", "T"),
                (IF_MATCH, "\"other\""),
            ],
            412,
        ),
    ];
    let site = Site::start();
    for way in WAYS {
        check(&site, way, cases);
    }
    let of_dates: &[Case] = &[
        (&[(SINCE, "before"), (NONE, "T")], 412),
        (&[(SINCE, "at"), (MODIFIED, "at")], 304),
        (&[(SINCE, "before"), (MODIFIED, "at")], 412),
        (&[(IF_MATCH, "T"), (MODIFIED, "at")], 304),
        (&[("Range", "bytes=0-0"), (MODIFIED, "at")], 304),
        (&[("Range", "bytes=0-0"), (MODIFIED, "before")], 206),
        (&[("Range", "bytes=0-0"), (SINCE, "before")], 412),
    ];
    for way in [DIR, SINGLE] {
        check(&site, way, of_dates);
    }
}

#[test]
fn files_03_what_is_not_there_has_no_conditions() {
    // RFC 9110 §13.2.1: conditions count only where the answer without them would be 2xx or 412.
    let site = Site::start();
    let mut client = site.connect();
    for fields in [
        [(IF_MATCH, "*")],
        [(IF_MATCH, "\"x\"")],
        [(NONE, "*")],
        [(NONE, "\"x\"")],
        [(MODIFIED, "Tue, 14 Nov 2023 22:13:20 GMT")],
        [(SINCE, "Tue, 14 Nov 2023 22:13:20 GMT")],
        [("Range", "bytes=99-")],
    ] {
        for way in WAYS {
            let target = format!("{way}absent.txt");
            let answer = ask(&mut client, "GET", &target, &fields);
            super::assert_not_found(&answer, &format!("{target} {fields:?}"));
        }
    }
}

#[test]
fn files_03_a_304_carries_the_fields_that_a_cache_needs() {
    let site = Site::configured(|_| {}, |files| files.cache_control("public, max-age=60"));
    let mut client = site.connect();
    for (way, file) in [
        (DIR, "letters.txt"),
        (BUILT_IN, "letters.txt"),
        (DIR, "picture.png"),
    ] {
        let target = format!("{way}{file}");
        let whole = ask(&mut client, "GET", &target, &[]);
        let etag = tag(&whole);
        for method in ["GET", "HEAD"] {
            let answer = ask(&mut client, method, &target, &[(NONE, &etag)]);
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{target}");
            for name in ["etag", "vary", "cache-control"] {
                assert_eq!(answer.header(name), whole.header(name), "{target} {name}");
            }
            assert_only_needed(&answer, &whole);
        }
    }
    // Unless the program sets Cache-Control, there is none. A date gets the same 304 as a tag.
    let site = Site::start();
    let fields = [(MODIFIED, "Tue, 14 Nov 2023 22:13:20 GMT")];
    for way in [DIR, SINGLE] {
        let whole = site.get(&format!("{way}letters.txt"), &[]);
        let answer = site.get(&format!("{way}letters.txt"), &fields);
        assert_eq!(answer.status, 304);
        assert_eq!(
            values(&answer, ["etag", "vary", "cache-control"]),
            [whole.header("etag"), Some("Accept-Encoding"), None]
        );
        assert_only_needed(&answer, &whole);
    }
}

/// A 304 has no field of the content: RFC 9110 §15.4.5 asks a server not to send more than caches
/// need.
#[track_caller]
fn assert_only_needed(answer: &Answer, whole: &Answer) {
    let date = answer.header("date").expect("a 304 has a Date");
    assert!(imf_fixdate_seconds(date).is_some(), "{date}");
    if let Some(length) = answer.header("content-length") {
        assert_eq!(
            Some(length),
            whole.header("content-length"),
            "of the 200 (RFC 9110 §8.6)"
        );
    }
    for name in names(answer) {
        let needed = ["date", "etag", "vary", "cache-control"].contains(&name.as_str());
        let allowed = ["x-content-type-options", "content-length"].contains(&name.as_str());
        assert!(needed || allowed, "a 304 with {name}");
    }
}

#[test]
fn files_03_a_412_is_text_and_the_connection_goes_on() {
    let site = Site::start();
    for way in WAYS {
        let target = format!("{way}letters.txt");
        let mut client: Client = site.connect();
        for _ in 0..3 {
            let answer = ask(&mut client, "GET", &target, &[(IF_MATCH, "\"other\"")]);
            assert_eq!(answer.status, 412, "{way}");
            let media_type = answer.header("content-type").unwrap_or("");
            assert!(media_type.starts_with("text/plain"), "{way} {media_type}");
            assert_ne!(answer.text(), LETTERS);
            assert!(!answer.has_token("connection", "close"), "{way}");
        }
        client.send(request("GET", &target, &[]));
        assert_eq!(client.read_response().text(), LETTERS);
    }
}
