//! Faults around a server: clients that leave, stall, reset or send noise, and handlers that fail.

use std::io::{Read, Write};
use std::sync::mpsc;

use akurai_http::{Reply, Request, Response, Router, Status, Upgrade};
use akurai_tests::{
    Client, DEADLINE, Frame, Gate, Opcode, Random, TestServer, WsClient, eventually,
};

use crate::mirror::Mirror;
use crate::rfc6455::echo;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")
}

#[test]
fn sixty_four_idle_connections_and_a_65th_served_at_once() {
    let mirror = Mirror::start();
    let mut idle: Vec<Client> = (0..64).map(|_| mirror.connect()).collect();
    for client in &mut idle {
        client.send(get("/first"));
        assert_eq!(client.read_response().status, 200);
    }
    // All of those connections are still open and silent.
    for n in 0..20 {
        let mut client = mirror.connect();
        client.send(get(&format!("/{n}")));
        assert_eq!(
            client.read_response().header("x-path"),
            Some(format!("/{n}").as_str())
        );
    }
    for client in &mut idle {
        client.send(get("/again"));
        assert_eq!(client.read_response().header("x-path"), Some("/again"));
    }
}

#[test]
fn clients_that_stall_in_a_head_or_body_hold_up_nobody() {
    let mirror = Mirror::start();
    let beginnings = [
        "",
        "G",
        "GET / HTTP/1.1\r\nHost: t\r\n",
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhell",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ];
    let stalled: Vec<Client> = (0..100)
        .map(|n| {
            let mut client = mirror.connect();
            client.send(beginnings[n % beginnings.len()]);
            client
        })
        .collect();
    let mut client = mirror.connect();
    for _ in 0..50 {
        client.send(get("/"));
        assert_eq!(client.read_response().status, 200);
    }
    drop(stalled);
}

#[test]
fn clients_that_leave_at_any_byte() {
    let (server, _) = echo();
    let mirror = Mirror::start();
    let request =
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for cut in 0..=request.len() {
        let mut client = mirror.connect();
        client.send(&request[..cut]);
    }
    let opening = akurai_tests::handshake("/");
    for cut in 0..=opening.len() {
        let mut client = server.connect();
        client.send(&opening[..cut]);
    }
    let mut client = mirror.connect();
    client.send(get("/"));
    assert_eq!(client.read_response().status, 200);
    WsClient::open(server.addr(), "/").close();
    eventually("every connection is gone", || {
        let stats = server.handle().stats();
        (stats.connections, stats.upgraded, stats.panics) == (0, 0, 0)
    });
}

#[test]
fn a_client_that_leaves_while_it_is_answered() {
    let (told, tells) = mpsc::channel();
    let app = Router::new()
        .get("/large", |_: &Request| Response::text(vec![b'x'; 20 << 20]))
        .get("/endless", move |_: &Request| {
            let told = told.clone();
            Response::stream(move |out| {
                let outcome = loop {
                    if let Err(error) = out.write_all(&[b'x'; 1000]) {
                        break error;
                    }
                };
                let _ = told.send(outcome.kind());
                Err(outcome)
            })
        })
        .get("/", |_: &Request| Response::text("got"));
    let server = TestServer::start(app);
    for _ in 0..3 {
        let mut client = server.connect();
        client.send(get("/endless"));
        client.read_until(|bytes| bytes.len() > 5000);
        drop(client);
        assert!(
            tells.recv_timeout(DEADLINE).is_ok(),
            "the stream goes on for nobody"
        );

        let mut client = server.connect();
        client.send(get("/large"));
        assert_eq!(client.read_head().status, 200);
        client.leave_by_reset();
    }
    let mut client = server.connect();
    client.send(get("/"));
    assert_eq!(client.read_response().text(), "got");
    eventually("one connection is left", || {
        server.handle().stats().connections == 1
    });
}

#[test]
fn a_reset_while_the_handler_works() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let (told, tells) = mpsc::channel();
    let server = TestServer::start(move |request: &Request| {
        if request.path() == "/held" {
            let _ = told.send(());
            waiter.wait();
        }
        Response::text("got")
    });
    let mut client = server.connect();
    // The client leaves the answer unread, which turns its close into a reset.
    client.send(get("/"));
    client.await_unread();
    client.send(get("/held"));
    tells.recv_timeout(DEADLINE).expect("the handler works");
    client.leave_by_reset();
    gate.open();
    let mut client = server.connect();
    client.send(get("/"));
    assert_eq!(client.read_response().text(), "got");
    assert_eq!(server.handle().stats().panics, 0);
}

#[test]
fn a_closure_that_panics_after_its_upgrade_costs_one_connection() {
    let server = TestServer::start(|request: &Request| -> Reply {
        if request.path() != "/panic" {
            return Response::text("got").into();
        }
        let head = Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "x");
        Upgrade::new(head, |mut upgraded| {
            let mut byte = [0];
            upgraded
                .read_exact(&mut byte)
                .expect("the client sends one");
            upgraded.write_all(&byte).expect("the client is there");
            panic!("a planned panic in a closure")
        })
        .into()
    });
    for n in 1..=20 {
        let mut client = server.connect();
        client.send("GET /panic HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\na");
        assert_eq!(client.read_response().status, 101);
        assert_eq!(client.read_exactly(1), b"a");
        client.expect_no_more();
        eventually("the panic is counted", || {
            server.handle().stats().panics == n
        });
    }
    eventually("no upgrade is left", || {
        server.handle().stats().upgraded == 0
    });
    let mut client = server.connect();
    client.send(get("/"));
    assert_eq!(client.read_response().text(), "got");
}

#[test]
fn noise_of_any_kind_ends_connections_and_nothing_else() {
    let (server, _) = echo();
    let mut random = Random::announced();
    for n in 0..200 {
        let len = random.below(3000);
        let noise = random.bytes(len);
        let mut client = server.connect();
        if n % 2 == 0 {
            client.send(akurai_tests::handshake("/"));
        }
        // The server may close before the client has sent all of it.
        for piece in random.pieces(&noise, 500) {
            if client.try_send(piece).is_err() {
                break;
            }
        }
    }
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("still there"));
    ws.expect(Opcode::TEXT, "still there");
    ws.close();
    eventually("every connection is gone", || {
        let stats = server.handle().stats();
        (stats.connections, stats.upgraded, stats.panics) == (0, 0, 0)
    });
}
