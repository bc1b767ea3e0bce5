//! The chunked coding (RFC 9112 §7.1).

use std::sync::mpsc;

use akurai_http::{Reply, Request, Response};
use akurai_tests::{DEADLINE, Random, TestServer};

use crate::feeds::{all_refused, all_served, served};
use crate::mirror::Mirror;

/// A POST with this text as its chunked body.
fn chunked(body: impl AsRef<[u8]>) -> Vec<u8> {
    [
        b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n",
        body.as_ref(),
    ]
    .concat()
}

/// A chunked body with one chunk of five bytes, which has this size line.
fn size_line(line: &str) -> Vec<u8> {
    chunked(format!("{line}\r\nhello\r\n0\r\n\r\n"))
}

#[test]
fn http_17_chunk_sizes() {
    let mirror = Mirror::start();
    for line in ["5", "05", "0000000000000005"] {
        assert_eq!(served(&mirror, size_line(line)).body, b"hello", "{line}");
    }
    for (size, len) in [
        ("a", 10),
        ("A", 10),
        ("1f", 31),
        ("1F", 31),
        ("fF", 255),
        ("00AbC", 2748),
    ] {
        let data = "x".repeat(len);
        let answer = served(&mirror, chunked(format!("{size}\r\n{data}\r\n0\r\n\r\n")));
        assert_eq!(answer.body.len(), len, "{size}");
    }
    assert_eq!(served(&mirror, chunked("0\r\n\r\n")).body, b"");
    assert_eq!(
        served(&mirror, chunked("0000000000000000\r\n\r\n")).body,
        b""
    );
    assert_eq!(
        served(&mirror, chunked("1\r\na\r\n2\r\nbc\r\n1\r\nd\r\n0\r\n\r\n")).body,
        b"abcd"
    );
    // The content of a body may itself look like chunks.
    let nested = "5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(
        served(&mirror, chunked(format!("f\r\n{nested}\r\n0\r\n\r\n"))).text(),
        nested
    );

    all_refused(
        &mirror,
        400,
        [
            "",
            "0x5",
            "0X5",
            "x5",
            "5x",
            "5h",
            "+5",
            "-1",
            "-5",
            "-0",
            " 5",
            "\t5",
            "5 ",
            "5\t",
            "1_0",
            "5_",
            "5.",
            "5.0",
            "5,",
            "g",
            "G",
            "five",
            "\"5\"",
            "5 5",
            "\u{ff15}",
            "\u{b}5",
            "5\u{b}",
            "\0",
            "00000000000000005",
            "FFFFFFFFFFFFFFFFF",
            "10000000000000005",
            "100000000000000000005",
        ]
        .map(size_line),
    );
    all_refused(
        &mirror,
        400,
        [
            // The same in place of the last chunk.
            "5\r\nhello\r\n-0\r\n\r\n",
            "5\r\nhello\r\n0x0\r\n\r\n",
            "5\r\nhello\r\n 0\r\n\r\n",
            "5\r\nhello\r\n0 \r\n\r\n",
            "5\r\nhello\r\n00000000000000000\r\n\r\n",
            "5\r\nhello\r\n\r\n\r\n",
        ]
        .map(chunked),
    );
}

#[test]
fn http_18_chunk_extensions() {
    let mirror = Mirror::start();
    for extension in [
        ";a",
        ";a=b",
        ";a=\"q\"",
        ";a;b;c",
        ";a=b;c=\"d e;f\"",
        ";a=\"\\\"\"",
        ";a=\"\"",
    ] {
        let body = format!("5{extension}\r\nhello\r\n0{extension}\r\n\r\n");
        assert_eq!(served(&mirror, chunked(body)).body, b"hello", "{extension}");
    }
    all_refused(
        &mirror,
        400,
        [
            ";",
            ";;",
            ";[",
            ";a;",
            ";a=\"q",
            ";\u{1}",
            ";a\u{7f}",
            ";a=\0",
            ";a=\"\u{1}\"",
            ";a\rb",
            ";a\nb",
            ";a=\"\r\"",
            ";a=\"\n\"",
            ";a\r",
            ";=b",
            ";\"q\"",
            ";a{",
            ";a/b",
            ",a",
            "[a]",
            ":a",
        ]
        .map(|extension| size_line(&format!("5{extension}"))),
    );
}

#[test]
fn http_18_extensions_are_bounded() {
    let mirror = Mirror::start();
    let chunks = |count: usize| {
        let chunk = format!("1;{}\r\nx\r\n", "a".repeat(99));
        chunked(format!("{}0\r\n\r\n", chunk.repeat(count)))
    };
    assert_eq!(served(&mirror, chunks(30)).body.len(), 30);
    all_refused(&mirror, 400, [chunks(50), chunks(300)]);

    // A size line has 256 bytes at most; the server refuses a longer one before its end.
    assert_eq!(
        served(&mirror, size_line(&format!("5;{}", "a".repeat(200)))).body,
        b"hello"
    );
    all_refused(
        &mirror,
        400,
        [
            size_line(&format!("5;{}", "a".repeat(300))),
            chunked(format!("5;{}", "a".repeat(5000))),
        ],
    );
}

#[test]
fn http_19_chunk_data() {
    let mirror = Mirror::start();
    all_refused(
        &mirror,
        400,
        [
            // Data shorter than the size.
            "6\r\nhello\r\n0\r\n\r\n",
            "7\r\nhello\r\n0\r\n\r\n",
            "5\r\nhell\r\n0\r\n\r\n",
            // Data longer than the size.
            "5\r\nhello!\r\n0\r\n\r\n",
            "4\r\nhello\r\n0\r\n\r\n",
            "0\r\nhello\r\n0\r\n\r\n",
            // Without a line end after the data, or with a wrong one.
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\r0\r\n\r\n",
            "5\r\nhello\r\r\n0\r\n\r\n",
            "5\r\nhello\n\r0\r\n\r\n",
            "5\r\nhello\r\n\n0\r\n\r\n",
            "5\r\nhello  0\r\n\r\n",
            // A size line that ends with LF or CR alone.
            "5\nhello\r\n0\r\n\r\n",
            "5\rhello\r\n0\r\n\r\n",
            "5\r\rhello\r\n0\r\n\r\n",
            "5\r\nhello\r\n0\n\r\n",
            "5\r\nhello\r\n0\r\n\n",
            "5\r\nhello\r\n0\r\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\r\n",
            "5\n\nhello\r\n0\r\n\r\n",
        ]
        .map(chunked),
    );
    assert_eq!(
        served(&mirror, chunked("5\r\nhello\r\n0\r\n\r\n")).body,
        b"hello"
    );
    assert_eq!(
        served(&mirror, chunked("7\r\nhello\r\n\r\n0\r\n\r\n")).body,
        b"hello\r\n"
    );
}

#[test]
fn http_19_large_bodies_however_they_are_cut() {
    let mirror = Mirror::start();
    let mut random = Random::announced();
    let mut client = mirror.connect();
    for longest in [10, 1000, 70_000, 400_000] {
        let data = random.bytes(400_000);
        let mut body = Vec::new();
        for chunk in random.pieces(&data, longest) {
            body.extend(format!("{:X}\r\n", chunk.len()).into_bytes());
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\n\r\n");
        client.send_slowly(random.pieces(&chunked(body), 100_000));
        let answer = client.read_response();
        assert!(
            answer.body == data,
            "chunks of up to {longest}: {} bytes came back",
            answer.body.len()
        );
    }
}

#[test]
fn http_19_trailers_are_parsed_and_never_merged() {
    let mirror = Mirror::start();
    let with = |trailers: &str| chunked(format!("5\r\nhello\r\n0\r\n{trailers}\r\n"));
    for trailers in [
        "X-T: a\r\n",
        "X-T: a\r\nX-T: b\r\n",
        "X-T:\r\n",
        "x-t:\t\u{e9}\r\nX-U: v\r\n",
    ] {
        let answer = served(&mirror, with(trailers));
        assert_eq!(answer.body, b"hello");
        assert_eq!(
            answer.header("x-t"),
            None,
            "{trailers:?} reached the headers"
        );
        assert_eq!(
            answer.header("x-fields"),
            Some("2"),
            "{trailers:?} reached the headers"
        );
    }
    all_refused(
        &mirror,
        400,
        [
            "Content-Length: 5\r\n",
            "content-length: 5\r\n",
            "Transfer-Encoding: chunked\r\n",
            "TRANSFER-ENCODING: chunked\r\n",
            "Host: u\r\n",
            "host: t\r\n",
            "Authorization: Basic YTpi\r\n",
            "authorization: x\r\n",
            "X-T: a\r\nHost: u\r\n",
            // And lines that may be no field line.
            "X-T\r\n",
            "X-T : a\r\n",
            " X-T: a\r\n",
            "X-T: a\r\n b\r\n",
            ": a\r\n",
            "X T: a\r\n",
            "X-T: a\0\r\n",
            "X-T: a\u{7f}\r\n",
            "X-T: a\n",
            "X-T: a\rX-U: b\r\n",
            "X-T: a\r\r\n",
            "X-T: a\r\n\n",
            "GET /inner HTTP/1.1\r\n",
        ]
        .map(with),
    );
}

#[test]
fn http_19_trailers_are_bounded() {
    let mirror = Mirror::start();
    let with = |trailers: String| chunked(format!("5\r\nhello\r\n0\r\n{trailers}\r\n"));
    all_served(
        &mirror,
        [
            with("X-T: a\r\n".repeat(32)),
            with(format!("X-T: {}\r\n", "a".repeat(8000))),
        ],
    );
    all_refused(
        &mirror,
        400,
        [
            with("X-T: a\r\n".repeat(33)),
            with("X-T: a\r\n".repeat(600)),
            with(format!("X-T: {}\r\n", "a".repeat(8200))),
            with(format!("X-T: {}\r\n", "a".repeat(4100)).repeat(2)),
            chunked(format!("0\r\nX-T: {}", "a".repeat(9000))),
        ],
    );
}

#[test]
fn http_20_the_end_in_mid_body_is_an_error_to_the_handler() {
    let (told, tells) = mpsc::channel();
    let server = TestServer::start(move |request: &Request| -> Reply {
        let body = request.body();
        told.send(body.as_ref().map(Vec::clone).map_err(ToString::to_string))
            .expect("the test is there");
        match body {
            Ok(body) => Response::text("whole")
                .with_header("X-Length", body.len().to_string())
                .into(),
            Err(error) => error.into(),
        }
    });
    let head = "POST / HTTP/1.1\r\nHost: t\r\n";
    for (cut, rest) in [
        ("Content-Length: 5\r\n\r\nhell", "o"),
        ("Content-Length: 5\r\n\r\n", "hello"),
        (
            "Transfer-Encoding: chunked\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n5",
            "\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
            "lo\r\n0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello",
            "\r\n0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0",
            "\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            "\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r",
            "\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: a\r\n",
            "\r\n",
        ),
    ] {
        let mut client = server.connect();
        client.send(format!("{head}{cut}"));
        client.finish();
        let read = tells.recv_timeout(DEADLINE).expect("the handler ran");
        assert!(
            read.is_err(),
            "{cut:?} was taken for a whole body: {read:?}"
        );
        // A client that has closed only its sending side also gets an answer, and it is no success.
        let (bytes, _) = client.read_to_end();
        assert!(
            !bytes.starts_with(b"HTTP/1.1 2"),
            "{cut:?} got {}",
            bytes.escape_ascii()
        );

        let mut client = server.connect();
        client.send_slowly([format!("{head}{cut}"), rest.to_owned()]);
        let read = tells.recv_timeout(DEADLINE).expect("the handler ran");
        assert_eq!(read.as_deref(), Ok(&b"hello"[..]), "{cut:?} and its rest");
        assert_eq!(client.read_response().text(), "whole");
    }
}
