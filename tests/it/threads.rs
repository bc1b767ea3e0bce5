//! Threads: the server makes them on demand, reuses them, and ends them when they are idle.

use std::time::Duration;

use akurai_http::{Limits, Request, Response};
use akurai_tests::{Client, TestServer, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

fn got(_: &Request) -> Response {
    Response::text("got")
}

#[test]
fn a_thread_for_each_connection_and_one_that_waits() {
    const SPARE: usize = 8;
    let limits = Limits::default()
        .max_spare_threads(SPARE)
        .spare_time(Duration::from_millis(50));
    let server = TestServer::limited(limits, got);
    let threads = || server.handle().stats().threads;
    eventually("one thread waits", || threads() == 1);
    let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(GET);
        assert_eq!(client.read_response().text(), "got");
    }
    assert!((21..=22).contains(&threads()), "{}", threads());
    drop(clients);
    // Elsewhere `accept` cannot time out, and the spare threads stay.
    let most = if cfg!(target_os = "linux") { 1 } else { SPARE };
    eventually("they are gone when they idled", || threads() <= most);
    assert_eq!(server.handle().stats().connections, 0);
}

#[test]
fn threads_are_used_again() {
    let server = TestServer::start(got);
    for _ in 0..50 {
        let mut client = server.connect();
        client.send(GET);
        assert_eq!(client.read_response().text(), "got");
        drop(client);
        eventually("it is gone", || server.handle().stats().connections == 0);
    }
    assert!(server.handle().stats().threads <= 3);
    assert_eq!(server.handle().stats().accepted, 50);
}

#[test]
fn at_most_so_many_threads_wait() {
    let limits = Limits::default()
        .max_spare_threads(2)
        .spare_time(Duration::from_secs(60));
    let server = TestServer::limited(limits, got);
    let clients: Vec<Client> = (0..10).map(|_| server.connect()).collect();
    eventually("all are accepted", || {
        server.handle().stats().connections == 10
    });
    drop(clients);
    eventually("the rest ended", || server.handle().stats().threads <= 2);
}

#[test]
fn the_counts_tell_what_happened() {
    let server = TestServer::start(|request: &Request| -> Response {
        match request.path() {
            "/panic" => panic!("on purpose"),
            _ => Response::text("got"),
        }
    });
    let mut client = server.connect();
    client.send(GET.repeat(2));
    client.read_response();
    client.read_response();
    client.send("GET /panic HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.read_response().status, 500);
    client.expect_eof();
    drop(client); // The server reads until then.
    for _ in 0..2 {
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\n\r\n");
        assert_eq!(client.read_response().status, 400);
    }
    eventually("all have ended", || {
        server.handle().stats().connections == 0
    });
    let stats = server.handle().stats();
    assert_eq!((stats.accepted, stats.requests, stats.panics), (3, 3, 1));
    let refused: Vec<_> = stats
        .refused
        .iter()
        .map(|(why, n)| (why.to_string(), *n))
        .collect();
    assert_eq!(
        refused,
        [("an HTTP/1.1 request needs a Host field".to_owned(), 2)]
    );
    let sent = 2 * GET.len() + "GET /panic HTTP/1.1\r\nHost: t\r\n\r\n".len() + 2 * 18;
    assert_eq!(stats.bytes_received, sent as u64);
    assert!(stats.bytes_sent > 500, "{stats:?}");
}
