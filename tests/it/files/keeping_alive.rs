//! Connections that ask for files: kept after each answer, pipelined, and HTTP/1.0.

use akurai_tests::{Answer, Random};

use super::byteranges::parse;
use super::{LETTERS, Site, WAYS, ask, request};

/// Method, name, fields; status and body.
type Exchange = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    u16,
    &'static str,
);

/// Requests for files under the prefix `way`, with the status and body of each. The body is empty
/// where it does not matter.
const SEQUENCE: &[Exchange] = &[
    ("GET", "letters.txt", &[], 200, LETTERS),
    ("GET", "letters.txt", &[("Range", "bytes=3-5")], 206, "def"),
    ("HEAD", "letters.txt", &[], 200, ""),
    ("GET", "letters.txt", &[("If-None-Match", "*")], 304, ""),
    ("GET", "letters.txt", &[("If-Match", "\"other\"")], 412, ""),
    ("GET", "letters.txt", &[("Range", "bytes=99-")], 416, ""),
    (
        "GET",
        "letters.txt",
        &[("Accept-Encoding", "identity;q=0")],
        406,
        "",
    ),
    ("GET", "absent.txt", &[], 404, "not found\n"),
    (
        "GET",
        "letters.txt",
        &[("Range", "bytes=0-0,25-25")],
        206,
        "",
    ),
    ("HEAD", "letters.txt", &[("Range", "bytes=0-0")], 200, ""),
    ("GET", "empty.txt", &[], 200, ""),
    ("HEAD", "letters.txt", &[("If-None-Match", "*")], 304, ""),
    ("HEAD", "letters.txt", &[("If-Match", "\"other\"")], 412, ""),
    (
        "HEAD",
        "letters.txt",
        &[("Accept-Encoding", "identity;q=0")],
        406,
        "",
    ),
    ("HEAD", "absent.txt", &[], 404, ""),
    ("GET", "empty.txt", &[("Range", "bytes=0-")], 416, ""),
    ("GET", "letters.txt", &[("Range", "bytes=-1")], 206, "z"),
];

#[track_caller]
fn check(answer: &Answer, at: usize, way: &str) {
    let (method, path, fields, status, text) = SEQUENCE[at];
    let what = format!("{method} {way}{path} {fields:?}");
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    assert_eq!(answer.minor_version, 1, "{what}");
    assert!(!answer.has_token("connection", "close"), "{what}");
    if !text.is_empty() {
        assert_eq!(answer.text(), text, "{what}");
    }
    if answer
        .header("content-type")
        .is_some_and(|of| of.starts_with("multipart"))
    {
        assert_eq!(parse(answer).unwrap().len(), 2, "{what}");
    }
    if method == "HEAD" || status == 304 {
        assert!(answer.body.is_empty(), "{what}");
    } else {
        let length = answer.body.len().to_string();
        assert_eq!(
            answer.header("content-length"),
            Some(length.as_str()),
            "{what}"
        );
    }
}

fn request_at(at: usize, way: &str) -> String {
    let (method, path, fields, ..) = SEQUENCE[at];
    request(method, &format!("{way}{path}"), fields)
}

#[test]
fn files_09_the_connection_goes_on_after_every_answer() {
    let site = Site::start();
    for way in WAYS {
        let mut client = site.connect();
        for at in (0..SEQUENCE.len()).chain((0..SEQUENCE.len()).rev()) {
            let (method, path, fields, ..) = SEQUENCE[at];
            let answer = ask(&mut client, method, &format!("{way}{path}"), fields);
            check(&answer, at, way);
        }
    }
}

#[test]
fn files_09_pipelined_requests_are_answered_in_order() {
    let mut random = Random::announced();
    let site = Site::start();
    let mut client = site.connect();
    for round in 0..20 {
        let asked: Vec<(usize, &str)> = (0..40)
            .map(|_| (random.below(SEQUENCE.len()), WAYS[random.below(3)]))
            .collect();
        let all: String = asked.iter().map(|(at, way)| request_at(*at, way)).collect();
        // All requests in one write, or cut anywhere.
        let longest = if round % 2 == 0 { all.len() } else { 200 };
        client.send_slowly(random.pieces(all.as_bytes(), longest));
        for (at, way) in asked {
            let answer = match SEQUENCE[at].0 {
                "HEAD" => client.read_response_to_head(),
                _ => client.read_response(),
            };
            check(&answer, at, way);
        }
    }
    client.finish();
    client.expect_eof();
}

#[test]
fn files_09_http_1_0_gets_the_same_and_the_end() {
    let site = Site::start();
    for way in WAYS {
        for (at, (method, path, fields, status, text)) in SEQUENCE.iter().enumerate() {
            let mut client = site.connect();
            client.send(request_at(at, way).replace("HTTP/1.1", "HTTP/1.0"));
            let answer = match *method {
                "HEAD" => client.read_response_to_head(),
                _ => client.read_response(),
            };
            let what = format!("{method} {way}{path} {fields:?}");
            assert_eq!(answer.status, *status, "{what}");
            if !text.is_empty() {
                assert_eq!(answer.text(), *text, "{what}");
            }
            // Without the length, HTTP/1.0 would take a cut body for a whole one.
            if *method == "GET" && *status != 304 {
                let length = answer.body.len().to_string();
                assert_eq!(
                    answer.header("content-length"),
                    Some(length.as_str()),
                    "{what}"
                );
            }
            assert_eq!(answer.header("transfer-encoding"), None, "{what}");
            client.expect_eof();
        }
    }
}

#[test]
fn files_09_a_request_that_closes_gets_its_answer_first() {
    let site = Site::start();
    for way in WAYS {
        for (fields, status) in [
            (&[("Connection", "close")][..], 200),
            (&[("Connection", "close"), ("Range", "bytes=0-0")], 206),
            (&[("Connection", "close"), ("If-None-Match", "*")], 304),
            (&[("Connection", "close"), ("Range", "bytes=99-")], 416),
        ] {
            let mut client = site.connect();
            let answer = ask(&mut client, "GET", &format!("{way}letters.txt"), fields);
            assert_eq!(answer.status, status, "{way}");
            assert!(answer.has_token("connection", "close"), "{way}");
            client.expect_eof();
        }
    }
}

#[test]
fn files_09_a_body_in_a_get_is_read_past() {
    let site = Site::start();
    for way in WAYS {
        let mut client = site.connect();
        for (fields, status) in [
            (&[("Content-Length", "5")][..], 200),
            (&[("Content-Length", "5"), ("Range", "bytes=0-0")], 206),
            (&[("Content-Length", "5"), ("If-None-Match", "*")], 304),
        ] {
            client.send(request("GET", &format!("{way}letters.txt"), fields) + "hello");
            assert_eq!(client.read_response().status, status, "{way}");
        }
        assert_eq!(
            ask(&mut client, "GET", &format!("{way}letters.txt"), &[]).text(),
            LETTERS
        );
    }
}
