//! The limits that an application may set: the server obeys each one, and names it when a request
//! exceeds it.

use std::io::Read;

use akurai_http::{Limits, Reply, Request, Response, Router, Status, Upgrade};
use akurai_tests::{Client, Gate, TestServer, eventually};

#[cfg(target_os = "linux")]
use crate::alone::{is_alone, status};
use crate::feeds::{all_refused, all_served};
use crate::mirror::Mirror;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")
}

#[test]
fn the_request_line() {
    let limits = Limits::default().max_request_line_bytes(100);
    let mirror = Mirror::limited(limits);
    // `GET /` and ` HTTP/1.1` are 14 of the bytes.
    all_served(&mirror, [get(&format!("/{}", "x".repeat(86)))]);
    all_refused(
        &mirror,
        414,
        [
            get(&format!("/{}", "x".repeat(87))),
            format!("GET /{}", "x".repeat(200)),
        ],
    );
}

#[test]
fn the_header_section() {
    let limits = Limits::default()
        .max_header_section_bytes(100)
        .max_header_fields(4);
    let mirror = Mirror::limited(limits);
    // `Host: t` and `X-A: ` with their line ends are 16 of the bytes, or 18 with the empty line.
    let with = |fields: &str| format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n");
    all_served(
        &mirror,
        [
            with(&format!("X-A: {}\r\n", "b".repeat(82))),
            with(&"X-A: b\r\n".repeat(3)),
        ],
    );
    all_refused(
        &mirror,
        431,
        [
            with(&format!("X-A: {}\r\n", "b".repeat(90))),
            with(&"X-A: b\r\n".repeat(4)),
        ],
    );
}

#[test]
fn the_body() {
    let limits = Limits::default().max_body_bytes(3 << 20);
    let mirror = Mirror::limited(limits);
    let mut client = mirror.connect();
    let body = "x".repeat(3 << 20);
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.read_response().body.len(), body.len());
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n",
        body.len() + 1
    ));
    assert_eq!(client.read_response().status, 413);
    client.expect_eof();
}

#[test]
fn what_is_drained() {
    let limits = Limits::default().max_drain_bytes(10);
    let mirror = Mirror::limited(limits);
    let post = |body: &str| {
        format!(
            "POST /unread HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
    };
    let mut client = mirror.connect();
    client.send(post("1234567890") + "1234567890");
    assert!(!client.read_response().has_token("connection", "close"));
    client.send(post("12345678901"));
    assert!(client.read_response().has_token("connection", "close"));
    client.expect_eof();
}

#[test]
fn too_many_connections_are_told_to_come_back() {
    let limits = Limits::default().max_connections(4);
    let gate = Gate::new();
    let waiter = gate.waiter();
    let app = Router::new()
        .get("/held", move |_: &Request| {
            waiter.wait();
            Response::text("held")
        })
        .get("/", |_: &Request| Response::text("got"));
    let server = TestServer::limited(limits, app);
    let mut held: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    for client in &mut held {
        client.send(get("/held"));
    }
    eventually("all places are taken", || {
        server.handle().stats().connections == 4
    });
    let mut fifth = server.connect();
    fifth.send(get("/"));
    let answer = fifth.read_response();
    assert_eq!(answer.status, 503);
    assert!(answer.has_token("connection", "close"), "{answer:?}");
    let wait = answer
        .header("retry-after")
        .expect("a 503 says when to come back");
    assert!(wait.bytes().all(|byte| byte.is_ascii_digit()), "{wait}");
    assert!(answer.header("date").is_some(), "{answer:?}");
    fifth.expect_eof();

    gate.open();
    for client in &mut held {
        assert_eq!(client.read_response().text(), "held");
    }
    drop(held);
    // There is room again as soon as the server has noticed that they left.
    eventually("a connection is served again", || {
        let mut client = server.connect();
        client.send(get("/"));
        client
            .try_read_response(false)
            .is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn too_many_upgrades_are_told_to_come_back() {
    let limits = Limits::default().max_connections(4).max_upgrades(2);
    let server = TestServer::limited(limits, |request: &Request| -> Reply {
        if request.path() != "/upgrade" {
            return Response::text("plain").into();
        }
        let head = Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "silence");
        Upgrade::new(head, |mut upgraded| upgraded.read(&mut [0]).map(drop)).into()
    });
    let handshake =
        "GET /upgrade HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: silence\r\n\r\n";
    let mut upgraded: Vec<Client> = (0..2).map(|_| server.connect()).collect();
    for client in &mut upgraded {
        client.send(handshake);
        assert_eq!(client.read_response().status, 101);
    }
    let mut third = server.connect();
    third.send(handshake);
    let answer = third.read_response();
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some(), "{answer:?}");

    // Upgraded connections do not use the places of other connections.
    let mut plain: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for client in &mut plain {
        client.send(get("/"));
        assert_eq!(client.read_response().text(), "plain");
    }

    upgraded.pop();
    eventually("an upgrade is possible again", || {
        let mut client = server.connect();
        client.send(handshake);
        client
            .try_read_response(false)
            .is_ok_and(|answer| answer.status == 101)
    });
}

#[test]
fn the_framing_of_chunks() {
    let mirror = Mirror::start();
    let post = |body: &str| {
        format!("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
    };
    let line = |extension: usize| format!("1;{}\r\nx\r\n", "e".repeat(extension));
    let end = |trailers: &str| format!("0\r\n{trailers}\r\n");
    all_served(
        &mirror,
        [
            // The size and the semicolon are 2 of the 256 bytes.
            post(&(line(254) + &end(""))),
            // The semicolon and the extension count: 16 times 255 and 16 bytes are 4 KiB.
            post(&(line(254).repeat(16) + &line(15) + &end(""))),
            post(&end(&"A: b\r\n".repeat(32))),
            post(&end(&format!("A: {}\r\n", "b".repeat(8192 - 7)))),
        ],
    );
    all_refused(
        &mirror,
        400,
        [
            post(&(line(255) + &end(""))),
            post(&(line(254).repeat(16) + &line(16) + &end(""))),
            post(&end(&"A: b\r\n".repeat(33))),
            post(&end(&format!("A: {}\r\n", "b".repeat(8192)))),
        ],
    );
}

#[test]
fn the_body_of_one_route() {
    let app = Router::new()
        .post("/large", |req: &Request| req.body().map(Response::text))
        .max_body_bytes("/large", 20)
        .post("/small", |req: &Request| req.body().map(Response::text));
    let limits = Limits::default().max_body_bytes(10);
    let server = TestServer::limited(limits, app);
    for (path, length, status) in [
        ("/large", 20, 200),
        ("/large", 21, 413),
        ("/small", 10, 200),
        ("/small", 11, 413),
        ("/nothing", 11, 413),
    ] {
        let body = "x".repeat(length);
        let mut client = server.connect();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        assert_eq!(client.read_response().status, status, "{path} {length}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn bodies_that_are_claimed_and_do_not_come_hold_little() {
    if !is_alone("limits::bodies_that_are_claimed_and_do_not_come_hold_little") {
        return;
    }
    const STALLED: usize = 400;
    let body = "x".repeat(64 * 1024);
    let head = format!(
        "POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let app = |req: &Request| req.body().map(Response::text);
    let server = TestServer::start(Router::new().post("/", app));
    let claim = || {
        let mut client = server.connect();
        client.send(&head);
        // The server says so behind making room.
        assert_eq!(
            client.read_through(b"\r\n\r\n"),
            b"HTTP/1.1 100 Continue\r\n\r\n"
        );
        client.send(&body[..1]);
        client
    };
    let before = status("VmRSS:");
    let mut stalled: Vec<Client> = (0..STALLED).map(|_| claim()).collect();
    let grown = status("VmRSS:").saturating_sub(before);
    println!("{grown} KiB for {STALLED} stalled bodies");
    // They claim 25 MiB. Some may have what they claim, 4 MiB in all; a thread has a stack and
    // other buffers.
    assert!(grown < 4096 + STALLED * 48, "{grown} KiB");
    // Those that have no room for what they claim are served too, and so are later ones.
    stalled.push(claim());
    for client in stalled.iter_mut().rev().take(3).chain(&mut [claim()]) {
        client.send(&body[1..]);
        assert_eq!(client.read_response().text(), body);
    }
}
