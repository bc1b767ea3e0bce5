//! How long a connection may wait for a request, and what shortens the wait.

use std::time::{Duration, Instant};

use akurai_http::{Limits, Request, Response};
use akurai_tests::{Client, TestServer, eventually};

/// A wait that no test waits for.
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn http_25_line_ends_do_not_stretch_the_wait_for_a_request() {
    let idle_timeout = Duration::from_secs(2);
    let limits = Limits::default().idle_timeout(idle_timeout);
    let server = TestServer::limited(limits, |_: &Request| Response::text("got"));
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.read_response().text(), "got");
    let begun = Instant::now();
    for byte in ["\r", "\n", "\r", "\n"] {
        client.is_silent_for(idle_timeout / 5);
        // On a very slow machine the connection may have ended by now.
        let _ = client.try_send(byte);
    }
    client.expect_no_more();
    // Counted from the last byte, it would have been 3.6 s.
    let waited = begun.elapsed();
    assert!(waited < Duration::from_millis(3400), "{waited:?}");
}

#[test]
fn http_25_an_idle_connection_waits_less_as_places_run_out() {
    let limits = Limits::default()
        .max_connections(8)
        .idle_timeout(Duration::from_secs(8));
    let server = TestServer::limited(limits, |_: &Request| Response::text("got"));
    let _others: Vec<Client> = (0..6).map(|_| server.connect()).collect();
    eventually("they are here", || server.handle().stats().connections == 6);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let answer = client.read_response();
    assert!(!answer.has_token("connection", "close"), "{answer:?}");
    // A quarter of the wait, where one of eight places is left.
    client.expect_eof();
    assert_eq!(server.handle().stats().connections, 6, "and no other");
}

#[test]
fn http_23_what_is_drained_for_the_next_request_is_bounded_in_bytes() {
    let limits = Limits::default()
        .max_drain_bytes(64 * 1024)
        .drain_time(LONG);
    let server = TestServer::limited(limits, |_: &Request| Response::text("unread"));
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    let answer = client.read_response();
    assert!(!answer.has_token("connection", "close"), "{answer:?}");
    client.send(format!("400\r\n{}\r\n", "x".repeat(1024)).repeat(65));
    client.send("0\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n");
    client.expect_eof();
}

#[test]
fn waits_of_zero_harm_no_client_that_is_prompt() {
    let limits = Limits::default()
        .head_deadline(Duration::ZERO)
        .body_stall(Duration::ZERO)
        .body_rate_grace(Duration::ZERO)
        .write_stall(Duration::ZERO)
        .drain_time(Duration::ZERO)
        .linger_time(Duration::ZERO)
        .linger_stall(Duration::ZERO)
        .spare_time(Duration::ZERO);
    let server = TestServer::limited(limits, |req: &Request| req.body().map(Response::text));
    let mut client = server.connect();
    for _ in 0..20 {
        client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.read_response().text(), "hello");
    }
}
