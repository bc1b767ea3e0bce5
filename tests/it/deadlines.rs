//! Waits and rates: each must end the connections that it exists to end. Each test sets one of them
//! short, and fails without it.

use std::io::{self, Read, Write};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use akurai_http::{Limits, Request, Response, Status, Upgrade};
use akurai_tests::{Client, DEADLINE, End, TestServer};

/// Far shorter than [`DEADLINE`], and long enough that a slow machine does not run into it.
const SHORT: Duration = Duration::from_millis(200);

/// What one write of a long body gives the client, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// A server that reads each body whole, and how each reading ended.
fn reading(limits: Limits) -> (TestServer, Receiver<Result<usize, io::ErrorKind>>) {
    let (report, reports) = mpsc::channel();
    let server = TestServer::limited(limits, move |request: &Request| -> io::Result<Response> {
        let body = request.body();
        let _ = report.send(body.as_ref().map(Vec::len).map_err(io::Error::kind));
        Ok(Response::text(body?))
    });
    (server, reports)
}

/// A server whose answer has no end, and how the writing of each ended.
fn endless(limits: Limits) -> (TestServer, Receiver<io::ErrorKind>) {
    let (report, reports) = mpsc::channel();
    let server = TestServer::limited(limits, move |_: &Request| {
        let report = report.clone();
        Response::stream(move |out| {
            let piece = [b'x'; PIECE_BYTES];
            loop {
                if let Err(error) = out.write_all(&piece) {
                    let _ = report.send(error.kind());
                    return Err(error);
                }
            }
        })
    });
    (server, reports)
}

fn post(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n")
}

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

#[track_caller]
fn expect_408(client: &mut Client) {
    let answer = client.read_response();
    assert_eq!(answer.status, 408, "{answer:?}");
    assert!(answer.has_token("connection", "close"), "{answer:?}");
    client.expect_eof();
}

#[test]
fn a_body_that_stalls_fails_the_read() {
    let limits = Limits::default().body_stall(SHORT);
    let (server, reports) = reading(limits);
    let mut client = server.connect();
    client.send(post(10) + "half");
    expect_408(&mut client);
    let outcome = reports.recv_timeout(DEADLINE);
    assert_eq!(outcome, Ok(Err(io::ErrorKind::TimedOut)));
}

#[test]
fn a_body_that_drips_fails_the_read() {
    let limits = Limits::default()
        .min_body_rate(1_000_000)
        .body_rate_grace(SHORT);
    let (server, reports) = reading(limits);
    let mut client = server.connect();
    client.send(post(1_000_000));
    // The client sends a byte whenever no answer has come: it never stalls, but is always too slow.
    let give_up = Instant::now() + DEADLINE;
    while client.is_silent_for(Duration::from_millis(20)) && Instant::now() < give_up {
        if client.try_send("x").is_err() {
            break;
        }
    }
    expect_408(&mut client);
    let outcome = reports.recv_timeout(DEADLINE);
    assert_eq!(outcome, Ok(Err(io::ErrorKind::TimedOut)));
}

#[test]
fn a_slow_body_is_served_as_long_as_it_keeps_to_the_rate() {
    let limits = Limits::default()
        .min_body_rate(10)
        .body_rate_grace(Duration::from_millis(50));
    let (server, reports) = reading(limits);
    let mut client = server.connect();
    client.send(post(200));
    for _ in 0..20 {
        assert!(client.is_silent_for(Duration::from_millis(10)));
        client.send("0123456789");
    }
    assert_eq!(client.read_response().body.len(), 200);
    assert_eq!(reports.recv_timeout(DEADLINE), Ok(Ok(200)));
}

#[test]
fn a_client_that_never_reads_is_dropped() {
    let limits = Limits::default().write_stall(SHORT).min_write_rate(0);
    let (server, reports) = endless(limits);
    let mut client = server.connect();
    client.send(GET);
    let kind = reports.recv_timeout(DEADLINE).expect("the write failed");
    assert!(
        matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        "{kind:?}"
    );
}

#[test]
fn a_client_that_reads_a_little_now_and_then_is_dropped() {
    let limits = Limits::default().write_stall(SHORT).min_write_rate(1 << 30);
    let (server, reports) = endless(limits);
    let mut client = server.connect();
    client.send(GET);
    let give_up = Instant::now() + DEADLINE;
    let mut socket = client.stream();
    let mut piece = vec![0; PIECE_BYTES];
    let kind = loop {
        assert!(Instant::now() < give_up, "a slow reader holds its thread");
        let _ = socket.read(&mut piece);
        if let Ok(kind) = reports.recv_timeout(Duration::from_millis(20)) {
            break kind;
        }
    };
    assert_eq!(kind, io::ErrorKind::TimedOut);
}

#[test]
fn a_client_that_reads_now_and_then_is_not_dropped_however_small_the_pieces() {
    let limits = Limits::default().write_stall(Duration::from_secs(2));
    let (report, reports) = mpsc::channel();
    let server = TestServer::limited(limits, move |_: &Request| {
        let report = report.clone();
        Response::stream(move |out| {
            let piece = [b'x'; 8 * 1024];
            loop {
                if let Err(error) = out.write_all(&piece).and_then(|()| out.flush()) {
                    let _ = report.send(error.kind());
                    return Err(error);
                }
            }
        })
    });
    let mut client = server.connect();
    client.send(GET);
    // The sum of the pauses is longer than any allowed wait.
    for _ in 0..6 {
        let dropped = reports.recv_timeout(Duration::from_millis(700));
        assert_eq!(dropped, Err(mpsc::RecvTimeoutError::Timeout));
        client.read_exactly(1024 * 1024);
    }
}

#[test]
fn a_body_may_wait_longer_than_a_connection_may_be_idle() {
    let limits = Limits::default().idle_timeout(SHORT).body_stall(DEADLINE);
    let (server, _reports) = reading(limits);
    for body in ["body", &"x".repeat(20_000)] {
        let mut client = server.connect();
        client.send(post(body.len()));
        assert!(client.is_silent_for(2 * SHORT));
        client.send(body);
        assert_eq!(client.read_response().text(), body);
    }
}

#[test]
fn limits_without_end_are_limits() {
    let limits = Limits::default()
        .max_request_line_bytes(usize::MAX)
        .max_header_section_bytes(usize::MAX)
        .max_header_fields(usize::MAX)
        .max_body_bytes(u64::MAX)
        .min_body_rate(u64::MAX)
        .min_write_rate(u64::MAX)
        .max_connections(usize::MAX)
        .max_upgrades(usize::MAX)
        .max_spare_threads(usize::MAX);
    let (server, _reports) = reading(limits);
    let mut client = server.connect();
    client.send(format!("{}body", post(4)));
    assert_eq!(client.read_response().text(), "body");
    client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nbody\r\n0\r\nA: b\r\n\r\n");
    assert_eq!(client.read_response().text(), "body");
    client.send(format!(
        "GET /{} HTTP/1.1\r\nHost: t\r\n\r\n",
        "x".repeat(50_000)
    ));
    assert_eq!(client.read_response().status, 200);
}

#[test]
fn a_body_that_never_comes_is_not_waited_for_for_long() {
    let limits = Limits::default().drain_time(SHORT);
    let server = TestServer::limited(limits, |_: &Request| Response::text("at once"));
    let mut client = server.connect();
    client.send(post(100));
    assert_eq!(client.read_response().text(), "at once");
    client.expect_eof();
}

#[test]
fn keep_alive_shrinks_as_places_run_out() {
    let limits = Limits::default()
        .max_connections(2)
        .idle_timeout(DEADLINE * 10);
    let server = TestServer::limited(limits, |_: &Request| Response::text("got"));
    let mut first = server.connect();
    first.send(GET);
    assert!(!first.read_response().has_token("connection", "close"));
    // When the last place is taken, no connection may stay idle.
    let mut second = server.connect();
    second.send(GET);
    assert!(second.read_response().has_token("connection", "close"));
    second.expect_eof();
}

#[test]
fn no_keep_alive_at_all_still_serves_one_request_each() {
    let limits = Limits::default().idle_timeout(Duration::ZERO);
    let server = TestServer::limited(limits, |_: &Request| Response::text("got"));
    for _ in 0..3 {
        let mut client = server.connect();
        client.send(GET);
        let answer = client.read_response();
        assert_eq!(answer.text(), "got");
        assert!(answer.has_token("connection", "close"), "{answer:?}");
        client.expect_eof();
    }
}

#[test]
fn waits_without_end_are_waits() {
    let limits = Limits::default()
        .idle_timeout(Duration::MAX)
        .head_deadline(Duration::MAX)
        .body_stall(Duration::MAX)
        .write_stall(Duration::MAX)
        .drain_time(Duration::MAX)
        .max_drain_bytes(u64::MAX)
        .linger_time(Duration::MAX)
        .linger_stall(Duration::MAX);
    let (server, _reports) = reading(limits);
    let mut client = server.connect();
    client.send_slowly([&post(4)[..10], &post(4)[10..], "bo", "dy"]);
    assert_eq!(client.read_response().text(), "body");
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.read_response().status, 400);
    assert_eq!(client.read_to_end(), (Vec::new(), End::Fin));
}

#[test]
fn an_upgrade_waits_for_all_of_the_write_stall() {
    let limits = Limits::default().write_stall(Duration::from_secs(1));
    let (report, reports) = mpsc::channel();
    let server = TestServer::limited(limits, move |_: &Request| {
        let report = report.clone();
        let head = Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "x");
        Upgrade::new(head, move |mut upgraded| {
            let waited = loop {
                let begun = Instant::now();
                if upgraded.write(&[b'x'; PIECE_BYTES]).is_err() {
                    break begun.elapsed();
                }
            };
            let _ = report.send(waited);
            Ok(())
        })
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    let waited = reports.recv_timeout(DEADLINE * 4).expect("it gives up");
    // Each write of a response may wait a quarter of it.
    assert!(waited > Duration::from_millis(700), "{waited:?}");
    assert_eq!(client.read_head().status, 101);
}
