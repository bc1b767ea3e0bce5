//! How long a body is (RFC 9112 §6).

use akurai_http::{Limits, Request, Response, Router};
use akurai_tests::TestServer;

use crate::feeds::{all_refused, all_served, served};
use crate::mirror::Mirror;

/// A POST with these field lines and this body.
fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: t\r\n{fields}\r\n{body}")
}

#[test]
fn http_13_content_length_forms() {
    let mirror = Mirror::start();
    let with = |value: &str| post(&format!("Content-Length: {value}\r\n"), "hello");
    all_refused(
        &mirror,
        400,
        [
            "+5",
            "-1",
            "-0",
            "-5",
            "0x5",
            "1_0",
            "1 0",
            "5 5",
            "5Z",
            "Z5",
            "5.0",
            "5e0",
            "5;",
            "\"5\"",
            "",
            " ",
            "\t",
            "5h",
            "0b1",
            "0o5",
            "\u{ff15}",
            "\u{665}",
            "18446744073709551616",
            "18446744073709551621",
            "99999999999999999999",
            "99999999999999999999999999999999999999999",
            "005",
            "05",
            "00",
            "5, 5",
            "5,5",
            "5,",
            ",5",
            "5, 6",
            "5\u{b}",
        ]
        .map(with),
    );
    all_refused(
        &mirror,
        400,
        [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 0\r\ncontent-length: 5\r\n",
            "Content-Length: 5\r\nX-A: b\r\nCONTENT-LENGTH: 5\r\n",
            "Content-Length: 5\r\nContent-Length:\r\n",
            "Content-Length:\r\nContent-Length: 5\r\n",
        ]
        .map(|fields| post(fields, "hello")),
    );
    for value in ["5", " 5", "\t5 \t", "   5"] {
        assert_eq!(served(&mirror, with(value)).body, b"hello", "{value:?}");
    }
    assert_eq!(served(&mirror, post("Content-Length: 0\r\n", "")).body, b"");
    assert_eq!(
        served(&mirror, post("Content-Length: 10\r\n", "hellohello")).body,
        b"hellohello"
    );
    // A field that only resembles Content-Length is another field.
    assert_eq!(served(&mirror, post("Content_Length: 5\r\n", "")).body, b"");
}

#[test]
fn http_14_length_and_coding_do_not_meet() {
    let mirror = Mirror::start();
    let body = "5\r\nhello\r\n0\r\n\r\n";
    all_refused(
        &mirror,
        400,
        [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            "Content-Length: 15\r\ntransfer-encoding: CHUNKED\r\n",
            "Transfer-Encoding: chunked\r\nX-A: b\r\nCONTENT-LENGTH: 15\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n",
        ]
        .map(|fields| post(fields, body)),
    );
    all_refused(
        &mirror,
        400,
        [
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "POST / HTTP/1.0\r\nHost: t\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: identity\r\n\r\n",
        ],
    );
    assert_eq!(
        served(&mirror, post("Transfer-Encoding: chunked\r\n", body)).body,
        b"hello"
    );
}

#[test]
fn http_15_transfer_codings() {
    let mirror = Mirror::start();
    let with = |coding: &str| {
        post(
            &format!("Transfer-Encoding: {coding}\r\n"),
            "5\r\nhello\r\n0\r\n\r\n",
        )
    };
    for coding in ["chunked", "Chunked", "CHUNKED", "cHuNkEd", "  chunked\t"] {
        assert_eq!(served(&mirror, with(coding)).body, b"hello", "{coding:?}");
    }
    all_refused(
        &mirror,
        501,
        [
            "gzip, chunked",
            "gzip,chunked",
            "deflate, chunked",
            "gzip, deflate, chunked",
            "x, Chunked",
        ]
        .map(with),
    );
    all_refused(
        &mirror,
        400,
        [
            "gzip",
            "identity",
            "deflate",
            "xchunked",
            "chunkedx",
            "chunked-x",
            "chunk",
            "chunked, gzip",
            "chunked, identity",
            "identity, chunked",
            "chunked, chunked",
            "chunked,chunked",
            "chunked;p",
            "chunked;p=q",
            "chunked; ",
            ",chunked",
            ", chunked",
            "chunked,",
            "chunked, ",
            ",",
            "",
            " ",
            "\"chunked\"",
            "'chunked'",
            "chunked chunked",
            "chunked\u{b}",
            "\u{b}chunked",
            "\u{a0}chunked",
            "ch\u{fc}nked",
            "chunked\0",
            "[chunked]",
        ]
        .map(with),
    );
    // A name that only resembles Transfer-Encoding leaves the length as it is.
    assert_eq!(
        served(
            &mirror,
            post(
                "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n",
                "hello"
            )
        )
        .body,
        b"hello"
    );
}

#[test]
fn http_16_a_body_over_the_limit_is_413_unread() {
    let mirror = Mirror::start();
    let with = |length: u64| post(&format!("Content-Length: {length}\r\n"), "");
    // The bytes after the head belong to the refused body. `all_refused` asserts that the server
    // does not read them as a request.
    all_refused(&mirror, 413, [(1 << 20) + 1, 1 << 40, u64::MAX].map(with));

    let whole = served(
        &mirror,
        post("Content-Length: 200000\r\n", &"x".repeat(200_000)),
    );
    assert_eq!(whole.body.len(), 200_000);
}

#[test]
fn http_16_the_limit_is_exact() {
    let limits = Limits::default().max_body_bytes(10);
    let mirror = Mirror::limited(limits);
    all_refused(
        &mirror,
        413,
        [
            post("Content-Length: 11\r\n", "12345678901"),
            post(
                "Transfer-Encoding: chunked\r\n",
                "b\r\n12345678901\r\n0\r\n\r\n",
            ),
            post(
                "Transfer-Encoding: chunked\r\n",
                "5\r\n12345\r\n6\r\n123456\r\n0\r\n\r\n",
            ),
            post(
                "Transfer-Encoding: chunked\r\n",
                "FFFFFFFFFFFFFFFF\r\n12345",
            ),
        ],
    );
    for request in [
        post("Content-Length: 10\r\n", "1234567890"),
        post(
            "Transfer-Encoding: chunked\r\n",
            "a\r\n1234567890\r\n0\r\n\r\n",
        ),
        post(
            "Transfer-Encoding: chunked\r\n",
            "5\r\n12345\r\n5\r\n67890\r\n0\r\n\r\n",
        ),
    ] {
        assert_eq!(served(&mirror, request).body, b"1234567890");
    }
}

#[test]
fn http_16_neither_field_is_no_body() {
    let mirror = Mirror::start();
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET"] {
        let answer = served(&mirror, format!("{method} /x HTTP/1.1\r\nHost: t\r\n\r\n"));
        assert_eq!(answer.body, b"", "{method}");
    }
}

#[test]
fn http_16_a_body_that_nobody_expects_is_consumed() {
    let mirror = Mirror::start();
    let (length, coding) = ("Content-Length: 36", "Transfer-Encoding: chunked");
    // A body that the server would read as a request if it did not consume it. This is how
    // smuggling passes proxies.
    let inner = "GET /inner HTTP/1.1\r\nHost: inner\r\n\r\n";
    assert_eq!(inner.len(), 36);
    let chunk = format!("24\r\n{inner}\r\n0\r\n\r\n");
    let requests = ["/", "/unread"].map(|path| {
        [
            format!("GET {path} HTTP/1.1\r\nHost: t\r\n{length}\r\n\r\n{inner}"),
            format!("GET {path} HTTP/1.1\r\nHost: t\r\n{coding}\r\n\r\n{chunk}"),
            format!("POST {path} HTTP/1.1\r\nHost: t\r\n{length}\r\n\r\n{inner}"),
            format!("POST {path} HTTP/1.1\r\nHost: t\r\n{coding}\r\n\r\n{chunk}"),
        ]
    });
    all_served(&mirror, requests.concat());

    let server = TestServer::start(Router::new().get("/", |_: &Request| Response::text("got")));
    let mut client = server.connect();
    for (method, status) in [("HEAD", 200), ("OPTIONS", 0), ("DELETE", 405)] {
        for (fields, body) in [(length, inner), (coding, &chunk)] {
            client.send(format!(
                "{method} / HTTP/1.1\r\nHost: t\r\n{fields}\r\n\r\n{body}"
            ));
            let answer = match method {
                "HEAD" => client.read_response_to_head(),
                _ => client.read_response(),
            };
            assert!(
                status == 0 || answer.status == status,
                "{method}: {answer:?}"
            );
            client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
            assert_eq!(client.read_response().text(), "got", "{method}, {fields}");
        }
    }
}
