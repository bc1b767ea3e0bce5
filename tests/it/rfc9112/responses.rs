//! What the server writes (RFC 9112 §4, §6; RFC 9110 §6.4, §8.6, §15).

use std::io::Write;

use akurai_http::{Reply, Request, Response, Router, Status, Upgrade};
use akurai_tests::{Answer, Client, TestServer, imf_fixdate_seconds, unix_seconds_now};

fn ask(client: &mut Client, method: &str, path: &str) {
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
}

#[track_caller]
fn get(client: &mut Client, path: &str) -> Answer {
    ask(client, "GET", path);
    client.read_response()
}

/// A stream of ten lines.
fn ten_lines() -> Response {
    Response::stream(|out| {
        for n in 0..10 {
            writeln!(out, "line {n}")?;
        }
        Ok(())
    })
}

const TEN_LINES: &str =
    "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\nline 6\nline 7\nline 8\nline 9\n";

fn app() -> TestServer {
    TestServer::start(
        Router::new()
            .get("/text", |_: &Request| {
                Response::text("hello\n").with_header("X-A", "b")
            })
            .get("/empty", |_: &Request| Response::text(""))
            .get("/stream", |_: &Request| ten_lines())
            .get("/measured", |_: &Request| ten_lines().content_length(70))
            .get("/204", |_: &Request| {
                Response::text("not sent").with_status(Status::NO_CONTENT)
            })
            .get("/204-stream", |_: &Request| {
                ten_lines().with_status(Status::NO_CONTENT)
            })
            .get("/304", |_: &Request| {
                Response::text("not sent")
                    .with_status(Status::NOT_MODIFIED)
                    .with_header("ETag", "\"a\"")
            })
            .get("/304-stream", |_: &Request| {
                ten_lines().with_status(Status::NOT_MODIFIED)
            }),
    )
}

#[test]
fn http_28_head_is_get_without_the_body() {
    let server = app();
    let mut client = server.connect();
    for path in ["/text", "/empty", "/stream", "/measured", "/304", "/absent"] {
        let got = get(&mut client, path);
        ask(&mut client, "HEAD", path);
        let head = client.read_response_to_head();
        assert_eq!(head.status, got.status, "{path}");
        let fields = |answer: &Answer| -> Vec<(String, Vec<u8>)> {
            let all = answer.headers.iter();
            all.filter(|(name, _)| name != "Date").cloned().collect()
        };
        assert_eq!(fields(&head), fields(&got), "{path}");
    }
    ask(&mut client, "HEAD", "/text");
    assert_eq!(
        client.read_response_to_head().header("content-length"),
        Some("6")
    );
    // The connection is still in step.
    assert_eq!(get(&mut client, "/text").text(), "hello\n");
}

#[test]
fn http_28_a_refusal_is_not_the_answer_to_the_head_before_it() {
    let server = app();
    for (bad, status) in [
        ("GET / HTTP/1.1\r\nHost: t\r\nBad Name: x\r\n\r\n", 400),
        ("GET / HTTP/9.9\r\nHost: t\r\n\r\n", 505),
        ("\0", 400),
    ] {
        for together in [true, false] {
            let mut client = server.connect();
            let head = "HEAD /text HTTP/1.1\r\nHost: t\r\n\r\n";
            if together {
                client.send(format!("{head}{bad}"));
                client.read_response_to_head();
            } else {
                client.send(head);
                client.read_response_to_head();
                client.send(bad);
            }
            let answer = client.read_response();
            assert_eq!(answer.status, status, "{bad:?}");
            assert!(
                !answer.body.is_empty(),
                "{bad:?} got a refusal without its text"
            );
            client.expect_eof();
        }
    }
}

#[test]
fn http_28_a_refused_head_gets_no_body_either() {
    let server = app();
    for (request, status) in [
        ("HEAD /text HTTP/1.1\r\n\r\n", 400),
        ("HEAD /text HTTP/1.1\r\nHost: t\r\nHost: t\r\n\r\n", 400),
        ("HEAD /text HTTP/1.1\r\nHost: t\r\nExpect: x\r\n\r\n", 417),
        (
            "HEAD /text HTTP/1.1\r\nHost: t\r\nContent-Length: 9999999\r\n\r\n",
            413,
        ),
    ] {
        let mut client = server.connect();
        client.send(request);
        assert_eq!(client.read_response_to_head().status, status, "{request:?}");
        client.expect_eof();
    }
}

#[test]
fn http_28_204_and_304_have_no_body() {
    let server = app();
    let mut client = server.connect();
    for path in ["/204", "/204-stream"] {
        // The client asserts for every 204 that there is neither Content-Length nor
        // Transfer-Encoding.
        let answer = get(&mut client, path);
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{path}");
        assert!(
            !answer.has_token("connection", "close"),
            "{path}: {answer:?}"
        );
    }
    for path in ["/304", "/304-stream"] {
        let answer = get(&mut client, path);
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{path}");
        assert!(
            !answer.has_token("connection", "close"),
            "{path}: {answer:?}"
        );
    }
    assert_eq!(get(&mut client, "/304").header("etag"), Some("\"a\""));
    assert_eq!(get(&mut client, "/text").text(), "hello\n");
}

#[test]
fn http_28_101_is_a_head_and_nothing_else() {
    let server = TestServer::start(|request: &Request| -> Reply {
        let status = match request.path() {
            "/101" => Status::SWITCHING_PROTOCOLS,
            _ => return Response::new(Status::CONTINUE).into(),
        };
        let head = Response::text("not sent")
            .with_status(status)
            .with_header("Upgrade", "x");
        Upgrade::new(head, |mut upgraded| upgraded.write_all(b"new protocol")).into()
    });
    let mut client = server.connect();
    client.send("GET /101 HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    // The client asserts for every 1xx that there is neither Content-Length nor Transfer-Encoding.
    assert_eq!(client.read_response().status, 101);
    assert_eq!(client.read_to_end().0, b"new protocol");

    // An interim response is no final answer: the client would wait for one.
    assert_eq!(get(&mut server.connect(), "/100").status, 500);
}

#[test]
fn http_29_a_body_of_unknown_length() {
    let server = app();
    let mut client = server.connect();
    let answer = get(&mut client, "/stream");
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.text(), TEN_LINES);
    let answer = get(&mut client, "/measured");
    assert_eq!(answer.header("content-length"), Some("70"));
    assert_eq!(answer.text(), TEN_LINES);
    assert_eq!(
        get(&mut client, "/empty").header("content-length"),
        Some("0")
    );

    // HTTP/1.0 has no chunks: the end of the connection is the end of the body, whatever the client
    // asked for.
    for fields in ["", "Connection: keep-alive\r\n"] {
        let mut client = server.connect();
        client.send(format!("GET /stream HTTP/1.0\r\n{fields}\r\n"));
        let answer = client.read_response();
        assert_eq!(answer.header("transfer-encoding"), None);
        assert_eq!(answer.header("content-length"), None);
        assert!(!answer.has_token("connection", "keep-alive"), "{answer:?}");
        assert_eq!(answer.text(), TEN_LINES);
        client.expect_eof();
    }
    // With a length, an HTTP/1.0 connection may continue.
    let mut client = server.connect();
    client.send("GET /measured HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".repeat(2));
    for _ in 0..2 {
        let answer = client.read_response();
        assert!(answer.has_token("connection", "keep-alive"), "{answer:?}");
        assert_eq!(answer.text(), TEN_LINES);
    }
}

#[test]
fn http_29_a_large_stream_arrives_whole() {
    const PIECES: usize = 3000;
    let server = TestServer::start(|_: &Request| {
        Response::stream(|out| {
            for n in 0..PIECES {
                out.write_all(&[n as u8; 1000])?;
            }
            Ok(())
        })
    });
    let mut client = server.connect();
    let answer = get(&mut client, "/");
    assert_eq!(answer.body.len(), PIECES * 1000);
    let intact = |(n, piece): (usize, &[u8])| piece.iter().all(|byte| *byte == n as u8);
    assert!(answer.body.chunks(1000).enumerate().all(intact));
}

#[test]
fn http_30_every_final_response_has_a_date() {
    let server = TestServer::start(
        Router::new()
            .get("/text", |_: &Request| Response::text("hello"))
            .get("/204", |_: &Request| Response::new(Status::NO_CONTENT))
            .get("/304", |_: &Request| Response::new(Status::NOT_MODIFIED))
            .get("/stream", |_: &Request| ten_lines())
            .get("/panic", |_: &Request| -> Response {
                panic!("a planned panic")
            }),
    );
    for (request, status) in [
        ("GET /text HTTP/1.1\r\nHost: t\r\n\r\n", 200),
        ("GET /text HTTP/1.0\r\n\r\n", 200),
        ("GET /204 HTTP/1.1\r\nHost: t\r\n\r\n", 204),
        ("GET /304 HTTP/1.1\r\nHost: t\r\n\r\n", 304),
        ("GET /stream HTTP/1.1\r\nHost: t\r\n\r\n", 200),
        ("GET /absent HTTP/1.1\r\nHost: t\r\n\r\n", 404),
        ("POST /text HTTP/1.1\r\nHost: t\r\n\r\n", 405),
        ("GET /panic HTTP/1.1\r\nHost: t\r\n\r\n", 500),
        ("BREW /text HTTP/1.1\r\nHost: t\r\n\r\n", 501),
        ("GET /text HTTP/1.1\r\n\r\n", 400),
        ("GET /text HTTP/2.0\r\nHost: t\r\n\r\n", 505),
        ("POST /text HTTP/1.1\r\nHost: t\r\nExpect: x\r\n\r\n", 417),
    ] {
        let before = unix_seconds_now();
        let mut client = server.connect();
        client.send(request);
        let answer = client.read_response();
        assert_eq!(answer.status, status, "{request:?}");
        let date = answer
            .header("date")
            .unwrap_or_else(|| panic!("{request:?} got no Date: {answer:?}"));
        let seconds =
            imf_fixdate_seconds(date).unwrap_or_else(|| panic!("no IMF-fixdate: {date:?}"));
        // The server may keep a date for a second.
        let now = before.saturating_sub(2)..=unix_seconds_now() + 1;
        assert!(now.contains(&seconds), "{date} is not now");
    }
}

#[test]
fn http_30_refusals_say_what_they_must() {
    let server = TestServer::start(
        Router::new()
            .get("/x", |_: &Request| Response::text("hello"))
            .post("/body", |request: &Request| {
                request.body().map(Response::text)
            }),
    );
    let mut client = server.connect();
    ask(&mut client, "PATCH", "/x");
    let answer = client.read_response();
    assert_eq!(answer.status, 405);
    assert!(answer.has_token("allow", "GET"), "{answer:?}");

    client.send("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 2000000\r\n\r\n");
    let answer = client.read_response();
    assert_eq!(answer.status, 413);
    assert!(answer.has_token("connection", "close"), "{answer:?}");
    client.expect_eof();
    // 503 with Retry-After: limits::too_many_connections_are_told_to_come_back.
}

#[test]
fn http_30_a_date_of_the_handlers_own_stands_alone() {
    let own = "Sun, 06 Nov 1994 08:49:37 GMT";
    let server = TestServer::start(move |_: &Request| Response::text("x").with_header("Date", own));
    // `header` fails on a field that occurs twice.
    assert_eq!(get(&mut server.connect(), "/").header("date"), Some(own));
}
