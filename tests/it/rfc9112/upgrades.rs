//! How a connection leaves HTTP, also with an unread request body.

use std::io::{Read, Write};
use std::time::Duration;

use akurai_http::{Limits, Reply, Request, Response, Router, Status, Upgrade, event_stream, sse};
use akurai_server::{Hub, HubOptions};
use akurai_tests::{Client, End, Gate, TestServer, eventually};

/// A wait that no test waits for.
const LONG: Duration = Duration::from_secs(3600);

/// The length of a body that no kernel's buffers can hold, in bytes.
const UPLOAD: usize = 20_000_000;

fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn http_23_a_body_left_unread_does_not_hinder_an_event_stream() {
    // The hub checks its subscribers every 250 ms.
    let options = HubOptions::default().sweep(Duration::from_millis(250));
    let hub = Hub::new(options).expect("threads can be made");
    let parked = hub.clone();
    let app = Router::new()
        .post("/sse", |_| {
            sse(|mut sink| {
                sink.data("one")?;
                sink.wait(Duration::from_millis(50))?;
                sink.data("two")
            })
        })
        .post("/bytes", |_| -> Reply {
            event_stream(|mut upgraded| {
                let _ = upgraded.write_all(b"data: one\n\ndata: two\n\n");
                upgraded.socket().linger();
            })
            .into()
        })
        .post("/hub", move |req| parked.sse(req, &["topic"]))
        .max_body_bytes("/sse", UPLOAD as u64);
    let server = TestServer::start(app);
    let events = |client: &mut Client| {
        let head = client.read_head();
        assert_eq!(head.status, 200, "{head:?}");
        client.read_through(b"data: one\n\n");
        client.read_through(b"data: two\n\n");
    };
    for path in ["/sse", "/bytes"] {
        for length in [1, 100, 100_000] {
            let body = "x".repeat(length);
            // The whole body at once.
            let mut client = server.connect();
            client.send(post(path, length) + &body);
            events(&mut client);
            client.expect_eof();
            // One half once the stream has begun.
            let mut client = server.connect();
            client.send(post(path, length) + &body[..length / 2]);
            assert_eq!(client.read_head().status, 200);
            client.send(&body[length / 2..]);
            client.read_through(b"data: two\n\n");
            client.expect_eof();
            // A client that waits for a 100 sends no body.
            let mut client = server.connect();
            client.send(format!(
                "POST {path} HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
            ));
            events(&mut client);
            client.finish();
            client.expect_eof();
        }
    }
    let body = vec![b'x'; UPLOAD];
    let mut client = server.connect();
    client.send(post("/sse", UPLOAD));
    client.send(&body);
    events(&mut client);
    client.expect_eof();

    // A stream whose thread has ended.
    let mut client = server.connect();
    client.send(post("/hub", 300_000));
    assert_eq!(client.read_head().status, 200);
    client.send("x".repeat(300_000));
    eventually("it is subscribed", || hub.present("topic") == 1);
    for n in 0..3 {
        hub.publish("topic", "", &n.to_string())
            .expect("the hub works");
        client.read_through(format!("data: {n}\n").as_bytes());
    }
    server.handle().shutdown(LONG);
    client.send("x".repeat(100_000));
    // The client is told when to come back, and gets FIN instead of a reset.
    let (rest, end) = client.read_to_end();
    assert_eq!(end, End::Fin, "behind {:?}", String::from_utf8_lossy(&rest));
}

/// Answers `Upgrade: shout` by sending all bytes back in capitals.
fn shouting(request: &Request) -> Reply {
    if request.path() != "/shout" {
        return Response::text("plain").into();
    }
    let head = Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "shout");
    Upgrade::new(head, |mut upgraded| {
        let mut heard = [0; 5];
        upgraded.read_exact(&mut heard)?;
        upgraded.write_all(&heard.to_ascii_uppercase())
    })
    .into()
}

#[test]
fn http_27_a_protocol_switches_only_where_the_client_can() {
    let server = TestServer::start(shouting);
    let asks = "Connection: x, UPGRADE\r\nUpgrade: other\r\nUpgrade: a/1, Shout\r\n\r\n";
    let mut client = server.connect();
    client.send(format!("GET /shout HTTP/1.1\r\nHost: t\r\n{asks}hello"));
    assert_eq!(client.read_head().status, 101);
    assert_eq!(client.read_exactly(5), b"HELLO");

    for (line, fields) in [
        ("HEAD /shout HTTP/1.1", asks),
        ("GET /shout HTTP/1.0", asks),
        ("GET /shout HTTP/1.1", "\r\n"),
        ("GET /shout HTTP/1.1", "Connection: upgrade\r\n\r\n"),
        ("GET /shout HTTP/1.1", "Upgrade: shout\r\n\r\n"),
        (
            "GET /shout HTTP/1.1",
            "Connection: upgrade\r\nUpgrade: shouting\r\n\r\n",
        ),
    ] {
        let mut client = server.connect();
        client.send(format!("{line}\r\nHost: t\r\n{fields}"));
        let answer = match line.starts_with("HEAD") {
            true => client.read_response_to_head(),
            false => client.read_response(),
        };
        assert_eq!(answer.status, 426, "{line} {fields:?}");
        assert_eq!(answer.header("upgrade"), Some("shout"));
        assert!(answer.has_token("connection", "upgrade"), "{answer:?}");
        if line.ends_with("1.1") {
            client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
            assert_eq!(client.read_response().text(), "plain");
        }
    }
}

#[test]
fn http_27_another_protocol_begins_behind_the_body() {
    let server = TestServer::start(shouting);
    let asks = "POST /shout HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: shout\r\n";
    let mut client = server.connect();
    client.send(format!("{asks}Content-Length: 300000\r\n\r\n"));
    client.send("x".repeat(300_000) + "hello");
    assert_eq!(client.read_head().status, 101);
    assert_eq!(client.read_exactly(5), b"HELLO");

    let chunked = format!("{asks}Transfer-Encoding: chunked\r\n\r\n");
    let mut client = server.connect();
    client.send(format!("{chunked}3\r\nabc\r\n0\r\n\r\nhello"));
    assert_eq!(client.read_head().status, 101);
    assert_eq!(client.read_exactly(5), b"HELLO");

    // A client that waits for a 100 gets it before the 101 (RFC 9110 §7.8).
    let mut client = server.connect();
    client.send(format!(
        "{asks}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    ));
    assert_eq!(client.read_head().status, 100);
    client.send("abhello");
    assert_eq!(client.read_head().status, 101);
    assert_eq!(client.read_exactly(5), b"HELLO");

    let mut client = server.connect();
    client.send(format!("{chunked}3\r\nabcd\r\n0\r\n\r\nhello"));
    assert_eq!(client.read_response().status, 400);
    client.expect_eof();
}

#[test]
fn an_upgrade_that_found_no_place_is_refused_behind_its_gate() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let limits = Limits::default().max_upgrades(1);
    let app = move |_: &Request| {
        let waiter = waiter.clone();
        sse(move |mut sink| {
            waiter.wait();
            sink.data("done")
        })
    };
    let server = TestServer::limited(limits, app);
    let mut first = server.connect();
    first.send(post("/", 100_000));
    assert_eq!(first.read_head().status, 200);
    let mut second = server.connect();
    second.send(post("/", 100_000) + &"x".repeat(100_000));
    let told = second.read_response();
    assert!(told.text().starts_with("retry: "), "{told:?}");
    second.expect_eof();
    gate.open();
}
