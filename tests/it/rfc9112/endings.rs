//! The client gets the server's answer, whatever it is still sending (RFC 9112 §9.6).

use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use akurai_http::{Limits, Request, Response, Router, Server, Status};
use akurai_tests::{Client, DEADLINE, TestServer, as_switched, eventually};

/// A wait that no test waits for.
const LONG: Duration = Duration::from_secs(3600);

/// How often a race is tried.
const TRIES: usize = 20;

/// Bytes that a client sends before it looks for an answer: more than any kernel's buffers hold.
const UPLOAD: usize = 20_000_000;

fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n")
}

/// A client that sends all of `upload` before it reads.
#[track_caller]
fn upload(client: &mut Client, head: &str, upload: &[u8]) {
    client.send(head);
    client.await_unread();
    if let Err(error) = client.try_send(upload) {
        panic!("{head:?}: the upload was cut off: {error}");
    }
}

fn uploads() -> Router {
    Router::new()
        .post("/early", |_| {
            Response::text("who are you?").with_status(Status::UNAUTHORIZED)
        })
        .get("/page", |_| Response::text("a page"))
        .max_body_bytes("/early", UPLOAD as u64)
}

#[test]
fn http_24_an_early_answer_to_an_upload_arrives() {
    let server = TestServer::start(uploads());
    let body = vec![b'x'; UPLOAD];
    let chunked = "POST /page HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    let expecting =
        "POST /early HTTP/1.1\r\nHost: t\r\nExpect: a miracle\r\nContent-Length: 20000000\r\n\r\n";
    let waiting = "POST /early HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 20000000\r\n\r\n";
    let endless = format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}", "x".repeat(40_000));
    for (head, status) in [
        (post("/early", UPLOAD), 401),
        (waiting.to_owned(), 401),
        (post("/nowhere", UPLOAD), 413),
        (post("/page", UPLOAD), 413),
        (chunked.to_owned(), 405),
        (expecting.to_owned(), 417),
        (endless, 431),
        (
            "POST /early HTTP/1.0\r\nContent-Length: 20000000\r\n\r\n".to_owned(),
            401,
        ),
    ] {
        let mut client = server.connect();
        upload(&mut client, &head, &body);
        let answer = client.read_response();
        assert_eq!(answer.status, status, "{head:?}");
        // The next bytes should be chunks, and are none: the server finds out only later.
        let is_promised = answer.has_token("connection", "close");
        assert!(is_promised || status == 405, "{answer:?}");
        client.expect_eof();
    }
    eventually("nobody is left", || {
        server.handle().stats().connections == 0
    });
}

#[test]
fn http_24_a_503_to_an_upload_arrives() {
    let limits = Limits::default().max_connections(1);
    let server = TestServer::limited(limits, uploads());
    let mut first = server.connect();
    first.send("GET /page HTTP/1.1\r\nHost: t\r\n\r\n");
    first.await_unread();
    let body = vec![b'x'; UPLOAD / 4];
    let mut client = server.connect();
    // Some clients discard bytes that come before they have sent a request.
    assert!(client.is_silent_for(Duration::from_millis(100)));
    upload(&mut client, &post("/early", body.len()), &body);
    assert_eq!(client.read_response().status, 503);
    client.expect_eof();
}

#[test]
fn http_24_a_slow_upload_is_not_cut_off() {
    let server = TestServer::start(uploads());
    let mut client = server.connect();
    client.send(post("/early", 400_000));
    client.await_unread();
    // At 200 kB a second this takes longer than any wait for the unread rest of a body.
    client.send_paced(
        Duration::from_millis(50),
        std::iter::repeat_n(vec![b'x'; 10_000], 40),
    );
    assert_eq!(client.read_response().status, 401);
    client.expect_eof();
}

#[test]
fn http_24_lingering_is_bounded_by_silence_and_in_all() {
    let short = Duration::from_millis(200);
    for (linger_stall, linger_time) in [(short, LONG), (LONG, short), (LONG, Duration::ZERO)] {
        let limits = Limits::default()
            .linger_stall(linger_stall)
            .linger_time(linger_time);
        let server = TestServer::limited(limits, uploads());
        let mut client = server.connect();
        client.send(post("/early", UPLOAD));
        assert_eq!(client.read_response().status, 401);
        // Within the time for the whole, it does not matter that bytes still come.
        eventually("it is given up", || {
            let _ = linger_stall == LONG && client.try_send("x").is_err();
            server.handle().stats().connections == 0
        });
    }
}

#[test]
fn http_24_a_lingering_connection_keeps_its_place() {
    let limits = Limits::default().linger_stall(LONG).linger_time(LONG);
    let server = TestServer::limited(limits, uploads());
    let mut client = server.connect();
    client.send(post("/early", UPLOAD));
    assert_eq!(client.read_response().status, 401);
    client.expect_eof();
    client.send(vec![b'x'; 1_000_000]);
    let stats = server.handle().stats();
    assert_eq!((stats.connections, stats.in_request), (1, 0));
    client.finish();
    eventually("the client's end is the end", || {
        server.handle().stats().connections == 0
    });
}

#[test]
fn http_24_a_shutdown_waits_a_second_for_those_that_linger_silently() {
    let limits = Limits::default().linger_stall(LONG).linger_time(LONG);
    let server = as_switched(Server::bind("127.0.0.1:0").unwrap().limits(limits));
    let (addr, handle) = (server.local_addr().unwrap(), server.handle());
    let (report, ended) = mpsc::channel();
    thread::spawn(move || report.send(server.run(uploads())));
    let mut silent = Client::connect(addr);
    silent.send(post("/early", UPLOAD));
    assert_eq!(silent.read_response().status, 401);
    silent.expect_eof();
    // It has begun a head, and never finishes it.
    let mut half = Client::connect(addr);
    half.send("GET / HTTP/1.1\r\nHos");
    eventually("both are here", || {
        let stats = handle.stats();
        (stats.connections, stats.in_request) == (2, 1)
    });
    handle.shutdown(LONG);
    let result = ended.recv_timeout(DEADLINE).expect("run returned");
    result.expect("it served to the end");
    assert_eq!(half.read_response().status, 408);
}

#[test]
fn http_24_a_line_end_behind_a_close_does_not_cut_the_answer() {
    let large = "x".repeat(3_000_000);
    let app = Router::new()
        .get("/large", move |_| Response::text(large.clone()))
        .get("/small", |_| Response::text("small"));
    let server = TestServer::start(app);
    for (path, length) in [("/large", 3_000_000), ("/small", 5)] {
        for behind in [
            "\r\n",
            "\r\n\r\n\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: t\r\n\r\n",
        ] {
            for _ in 0..TRIES {
                let mut client = server.connect();
                client.send(format!(
                    "GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
                ));
                client.await_unread();
                let _ = client.try_send(behind);
                let answer = client.read_response();
                assert_eq!(answer.body.len(), length, "{path} and {behind:?}");
            }
        }
    }
}

#[test]
fn http_24_an_idle_end_does_not_cut_the_answer_before_it() {
    let limits = Limits::default().idle_timeout(Duration::from_millis(100));
    let large = "x".repeat(3_000_000);
    let server = TestServer::limited(limits, move |_: &Request| Response::text(large.clone()));
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    client.await_unread();
    // All of the body may be in the kernel's buffer. Then the server waits for the next request,
    // and gives up.
    eventually("the server has had enough", || {
        let stats = server.handle().stats();
        stats.bytes_sent > 3_000_000 && stats.in_request == 0
    });
    let late = ["GET / HTTP/1.1\r\nHost: t\r\n\r\n"];
    client.send_paced(Duration::from_millis(300), late);
    assert_eq!(client.read_response().body.len(), 3_000_000);
}

#[test]
fn http_32_an_answer_that_fails_does_not_cut_those_before_it() {
    let large = "x".repeat(1_000_000);
    let app = Router::new()
        .get("/large", move |_| Response::text(large.clone()))
        .get("/torn", |_| {
            Response::stream(|out| {
                out.write_all(&[b'x'; 100_000])?;
                Err(std::io::ErrorKind::Other.into())
            })
        });
    let server = TestServer::start(app);
    for _ in 0..TRIES {
        let mut client = server.connect();
        client.send("GET /large HTTP/1.1\r\nHost: t\r\n\r\nGET /torn HTTP/1.1\r\nHost: t\r\n\r\n");
        client.await_unread();
        client.send("x".repeat(100_000));
        assert_eq!(client.read_response().body.len(), 1_000_000);
        client
            .try_read_response(false)
            .expect_err("it must not look whole");
    }
}
