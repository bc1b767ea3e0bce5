//! Wrong responses from a handler: no false byte reaches the client, and no other client is harmed
//! (RFC 9112 §8).

use std::io::{self, Write};

use akurai_http::{Request, Response, Router, Status};
use akurai_tests::{Answer, Client, ReadError, TestServer};

#[track_caller]
fn get(client: &mut Client, path: &str) -> Answer {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
    client.read_response()
}

#[test]
fn http_29_another_length_than_declared_is_an_abort() {
    /// Declares five bytes and writes `pieces`. If `eager`, it flushes between them, so that the
    /// head is sent.
    fn wrong(pieces: &'static [&'static str], eager: bool) -> Response {
        let stream = Response::stream(move |out| {
            for piece in pieces {
                out.write_all(piece.as_bytes())?;
                if eager {
                    out.flush()?;
                }
            }
            Ok(())
        });
        stream.content_length(5)
    }
    let server = TestServer::start(
        Router::new()
            .get("/less", |_: &Request| wrong(&["hell"], false))
            .get("/less-flushed", |_: &Request| wrong(&["he", "ll"], true))
            .get("/none", |_: &Request| wrong(&[], false))
            .get("/more", |_: &Request| wrong(&["hello!"], false))
            .get("/more-flushed", |_: &Request| wrong(&["hello", "!"], true))
            .get("/much-more", |_: &Request| {
                Response::stream(|out| out.write_all(&[b'x'; 1 << 20])).content_length(5)
            })
            .get("/right", |_: &Request| wrong(&["he", "llo"], true)),
    );
    for path in [
        "/less",
        "/less-flushed",
        "/none",
        "/more",
        "/more-flushed",
        "/much-more",
    ] {
        let mut client = server.connect();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: t\r\n\r\nGET /right HTTP/1.1\r\nHost: t\r\n\r\n"
        ));
        match client.try_read_response(false) {
            // Nothing had been sent yet, so the server could report the fault.
            Ok(answer) if answer.status == 500 => {
                assert!(
                    answer.has_token("connection", "close"),
                    "{path}: {answer:?}"
                );
                client.expect_eof();
            }
            // The sent bytes fit the length. No extra byte may follow, and no other response.
            Ok(answer) => {
                assert!(path.starts_with("/m"), "{path} looks whole: {answer:?}");
                assert_eq!(answer.body.len(), 5);
                client.expect_no_more();
            }
            // Fewer bytes than declared, which any client notices.
            Err(ReadError::Ended(..)) => {}
            Err(error) => panic!("{path}: {error}"),
        }
    }
    let mut client = server.connect();
    assert_eq!(get(&mut client, "/right").text(), "hello");
}

#[test]
fn http_31_a_field_that_would_split_the_response_is_an_error_where_it_is_set() {
    for (name, value) in [
        ("X-A", "a\r\nSet-Cookie: b=c"),
        ("X-A", "a\nb"),
        ("X-A", "a\rb"),
        ("X-A", "a\0b"),
        ("X-A", "\r\n\r\nHTTP/1.1 200 OK"),
        ("X-A\r\nX-B", "a"),
        ("X-A: b\r\nX-C", "a"),
        ("X A", "a"),
        ("X-A:", "a"),
        ("X-\u{c4}", "a"),
        ("X-A\0", "a"),
        ("", "a"),
    ] {
        let tried = Response::text("x").headers_mut().append(name, value);
        assert!(tried.is_err(), "{name:?}: {value:?} was taken");
    }
    for (name, value) in [
        ("X-A", "a b\tc"),
        ("X-A", ""),
        ("x_a!", "\u{e9}"),
        ("X-A", "a: b, c;d=\"e\""),
    ] {
        assert!(
            Response::text("x")
                .headers_mut()
                .append(name, value)
                .is_ok(),
            "{name:?}: {value:?} was refused"
        );
    }
}

#[test]
fn http_31_nothing_of_an_injected_field_reaches_the_wire() {
    let server = TestServer::start(
        Router::new()
            .get("/panics/{value}", |request: &Request| {
                Response::text("x")
                    .with_header("Location", request.param("value").unwrap_or_default())
            })
            .get("/tries/{value}", |request: &Request| {
                let mut response = Response::text("x");
                let place = request.param("value").unwrap_or_default();
                match response.headers_mut().set("Location", place) {
                    Ok(()) => response,
                    Err(_) => Response::text("no such place").with_status(Status::BAD_REQUEST),
                }
            }),
    );
    for (path, status) in [
        ("/tries/here", 200),
        ("/tries/a%0d%0aSet-Cookie:%20forged=1", 400),
        ("/tries/a%0aSet-Cookie:%20forged=1", 400),
        ("/tries/a%0d%0a%0d%0aforged", 400),
        ("/panics/here", 200),
        ("/panics/a%0d%0aSet-Cookie:%20forged=1", 500),
        ("/panics/a%0d%0a%0d%0aforged", 500),
    ] {
        let mut client = server.connect();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
        ));
        let (bytes, _) = client.read_to_end();
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {text}"
        );
        assert!(!text.contains("forged"), "{path}: {text}");
    }
}

#[test]
fn http_32_a_panic_is_500_and_the_server_goes_on() {
    let server = TestServer::start(
        Router::new()
            .get("/fine", |_: &Request| Response::text("fine"))
            .get("/panic", |_: &Request| -> Response {
                panic!("a planned panic")
            })
            .post("/panic-after-reading", |request: &Request| -> Response {
                let body = request.body();
                panic!("a planned panic after {:?}", body.map(|body| body.len()))
            }),
    );
    let mut bystander = server.connect();
    assert_eq!(get(&mut bystander, "/fine").text(), "fine");
    for request in [
        "GET /panic HTTP/1.1\r\nHost: t\r\n\r\n",
        "POST /panic-after-reading HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        // More panics than any pool has threads: each would be lost if a panic ended its thread.
        for _ in 0..20 {
            let mut client = server.connect();
            client.send(format!("{request}GET /fine HTTP/1.1\r\nHost: t\r\n\r\n"));
            let answer = client.read_response();
            assert_eq!(answer.status, 500);
            assert!(answer.has_token("connection", "close"), "{answer:?}");
            assert!(
                !answer.text().contains("planned"),
                "the panic's message went out: {answer:?}"
            );
            client.expect_eof();
        }
    }
    assert_eq!(get(&mut bystander, "/fine").text(), "fine");
    assert_eq!(get(&mut server.connect(), "/fine").text(), "fine");
}

#[test]
fn http_32_a_failure_in_mid_body_is_an_abort() {
    let server = TestServer::start(
        Router::new()
            .get("/panic", |_: &Request| {
                Response::stream(|out| {
                    out.write_all(b"begun")?;
                    out.flush()?;
                    panic!("a planned panic in mid-body")
                })
            })
            .get("/error", |_: &Request| {
                Response::stream(|out| {
                    out.write_all(b"begun")?;
                    out.flush()?;
                    Err(io::Error::other("planned"))
                })
            })
            .get("/fine", |_: &Request| Response::text("fine")),
    );
    for path in ["/panic", "/error"] {
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
        match client.try_read_response(false) {
            Err(ReadError::Ended(..)) => {}
            other => panic!("{path} is not aborted: {other:?}"),
        }
    }
    assert_eq!(get(&mut server.connect(), "/fine").text(), "fine");
}
