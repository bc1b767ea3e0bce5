//! The stream as a connection: how it begins, how it ends, and how many there may be.

use std::sync::mpsc;
use std::time::Duration;

use akurai_http::{Reply, Request, Response, Router, Status, sse};
use akurai_tests::{Client, DEADLINE, End, EventStream, Gate, TestServer, eventually};

use super::{ask, read_opening, streaming};

#[test]
fn the_head_and_a_first_comment_come_before_any_event() {
    let gate = Gate::new();
    let server = streaming(&gate, |sink| sink.data("first"));
    let mut client = server.connect();
    ask(&mut client);
    // The gate is closed, so none of this can come from the closure.
    let head = read_opening(&mut client);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(head.header("cache-control"), Some("no-store, no-transform"));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    assert!(head.header("date").is_some(), "{head:?}");
    assert!(client.is_silent_for(Duration::from_millis(20)));
    gate.open();
    assert_eq!(
        client.read_to_end(),
        (b"data: first\n\n".to_vec(), End::Fin)
    );
}

#[test]
fn sse_23_and_25_http_1_1_gets_an_honest_close() {
    let gate = Gate::new();
    gate.open();
    let server = streaming(&gate, |sink| sink.data("only"));
    let mut client = server.connect();
    ask(&mut client);
    let head = read_opening(&mut client);
    assert_eq!(head.minor_version, 1);
    assert!(head.has_token("connection", "close"), "{head:?}");
    assert_eq!(head.header("transfer-encoding"), None);
    assert_eq!(head.header("content-length"), None);
    assert_eq!(client.read_to_end(), (b"data: only\n\n".to_vec(), End::Fin));
}

#[test]
fn sse_24_http_1_0_gets_it_too() {
    let gate = Gate::new();
    gate.open();
    let server = streaming(&gate, |sink| sink.data("only"));
    for fields in ["", "Connection: keep-alive\r\n"] {
        let mut client = server.connect();
        client.send(format!("GET /events HTTP/1.0\r\n{fields}\r\n"));
        let head = read_opening(&mut client);
        assert!(!head.has_token("connection", "keep-alive"), "{head:?}");
        assert_eq!(head.header("transfer-encoding"), None);
        assert_eq!(client.read_to_end(), (b"data: only\n\n".to_vec(), End::Fin));
    }
}

#[test]
fn what_follows_the_request_ends_no_stream_early() {
    let gate = Gate::new();
    let server = streaming(&gate, |sink| sink.data("only"));
    let mut client = server.connect();
    client.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\nGET /second HTTP/1.1\r\nHost: t\r\n\r\n");
    read_opening(&mut client);
    client.send("GET /third HTTP/1.1\r\nHost: t\r\n\r\n");
    gate.open();
    // The server does not answer bytes that came meanwhile, and they cause no reset that would
    // destroy the last event.
    assert_eq!(client.read_to_end(), (b"data: only\n\n".to_vec(), End::Fin));
}

#[test]
fn head_of_a_stream_is_a_head() {
    let (told, tells) = mpsc::channel();
    let app = Router::new().get("/events", move |_: &Request| {
        let told = told.clone();
        sse(move |mut sink| {
            let _ = told.send(());
            sink.data("only")
        })
    });
    let server = TestServer::start(app);
    let mut client = server.connect();
    client.send("HEAD /events HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    let answer = client.read_response_to_head();
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/event-stream"))
    );
    client.expect_eof();
    assert!(tells.try_recv().is_err(), "the closure ran for HEAD");
}

#[test]
fn a_stream_that_panics_ends_and_the_server_goes_on() {
    let gate = Gate::new();
    gate.open();
    let server = streaming(&gate, |sink| {
        sink.data("begun")?;
        panic!("a planned panic in a stream")
    });
    for _ in 0..10 {
        let mut client = server.connect();
        ask(&mut client);
        read_opening(&mut client);
        assert_eq!(client.read_to_end().0, b"data: begun\n\n");
    }
}

#[test]
fn a_client_that_leaves_ends_the_closure() {
    let (told, tells) = mpsc::channel();
    let gate = Gate::new();
    gate.open();
    let server = streaming(&gate, move |sink| {
        // There is no pause: only the socket's full buffer stops this loop.
        let outcome = loop {
            if let Err(error) = sink.data(&"x".repeat(1000)) {
                break error;
            }
        };
        let _ = told.send(outcome.kind());
        Err(outcome)
    });
    for _ in 0..3 {
        let mut client = server.connect();
        ask(&mut client);
        client.read_until(|bytes| bytes.len() > 5000);
        // The client leaves with unread bytes, as a closed page does.
        drop(client);
        let ended = tells.recv_timeout(DEADLINE);
        assert!(ended.is_ok(), "the closure goes on for nobody: {ended:?}");
    }
    eventually("no connection is left", || {
        server.handle().stats().upgraded == 0
    });
}

#[test]
fn a_client_that_leaves_ends_a_wait_at_once() {
    let (told, tells) = mpsc::channel();
    let gate = Gate::new();
    gate.open();
    let server = streaming(&gate, move |sink| {
        sink.data("begun")?;
        let outcome = sink.wait(Duration::from_secs(60));
        let _ = told.send(outcome.is_err());
        outcome
    });
    let mut client = server.connect();
    ask(&mut client);
    read_opening(&mut client);
    assert_eq!(client.read_some(), b"data: begun\n\n");
    drop(client);
    assert_eq!(tells.recv_timeout(DEADLINE), Ok(true));
}

#[test]
fn two_hundred_streams_while_plain_requests_are_answered() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let app = Router::new()
        .get("/plain", |_: &Request| Response::text("plain"))
        .get("/events", move |_: &Request| -> Reply {
            let waiter = waiter.clone();
            sse(move |mut sink| {
                sink.data("first")?;
                waiter.wait();
                sink.data("last")
            })
        })
        .get("/gone", |_: &Request| Response::new(Status::NO_CONTENT));
    let server = TestServer::start(app);
    let mut streams: Vec<Client> = (0..200).map(|_| server.connect()).collect();
    for client in &mut streams {
        ask(client);
    }
    for client in &mut streams {
        client.read_until(|bytes| bytes.ends_with(b"data: first\n\n"));
    }
    assert_eq!(server.handle().stats().upgraded, 200);

    let mut plain = server.connect();
    for _ in 0..100 {
        plain.send("GET /plain HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(plain.read_response().text(), "plain");
    }
    for _ in 0..20 {
        let mut other = server.connect();
        other.send("GET /plain HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        assert_eq!(other.read_response().text(), "plain");
        other.expect_eof();
    }

    gate.open();
    for client in &mut streams {
        let (bytes, end) = client.read_to_end();
        assert_eq!(
            (EventStream::read_all(&bytes).data(), end),
            (vec!["last"], End::Fin)
        );
    }
    eventually("every stream's place is free", || {
        server.handle().stats().upgraded == 0
    });

    // Row 26, how a server says "do not come back".
    plain.send("GET /gone HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(plain.read_response().status, 204);
}
