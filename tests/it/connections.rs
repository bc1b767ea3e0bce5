//! The list of live connections that a server gives its operator.

use akurai_http::{ConnectionState, ConnectionStats, Limits, Request, Response, Router, sse};
use akurai_tests::{Frame, Gate, Opcode, TestServer, WsClient, eventually, handshake};
use akurai_ws::{Message, upgrade};
#[cfg(unix)]
use {
    akurai_http::Server,
    akurai_tests::{TempDir, TestStream},
};

use ConnectionState::{EventStream, Idle, InRequest, Lingering, Upgraded};

/// The connection of this number, if it is open.
fn numbered(server: &TestServer, id: u64) -> Option<ConnectionStats> {
    let all = server.handle().connections(usize::MAX);
    all.into_iter().find(|one| one.id == id)
}

#[track_caller]
fn becomes(server: &TestServer, id: u64, state: ConnectionState) -> ConnectionStats {
    eventually(&format!("connection {id} is {state:?}"), || {
        numbered(server, id).is_some_and(|one| one.state == state)
    });
    numbered(server, id).expect("it is open")
}

fn app(gate: &Gate) -> Router {
    let (slow, streams) = (gate.waiter(), gate.waiter());
    Router::new()
        .get("/", |_| Response::text("hello"))
        .get("/slow", move |_| {
            slow.wait();
            Response::text("done")
        })
        .get("/events", move |_| {
            let streams = streams.clone();
            sse(move |mut sink| {
                sink.event("", "one")?;
                streams.wait();
                Ok(())
            })
        })
        .get("/ws", |req: &Request| {
            upgrade(req, |mut conn| {
                while let Some(Message::Text(text)) = conn.recv()? {
                    conn.send_text(&text)?;
                }
                Ok(())
            })
        })
        .post("/refused", |req: &Request| {
            req.body().map(|_| Response::text("read"))
        })
}

#[test]
fn each_connection_is_listed_with_what_it_does() {
    let gate = Gate::new();
    let server = TestServer::limited(Limits::default().max_body_bytes(4), app(&gate));
    assert_eq!(server.handle().connections(9), []);

    let mut idle = server.connect();
    let at_first = becomes(&server, 0, Idle);
    assert!(at_first.peer.is_some_and(|peer| peer.ip().is_loopback()));
    assert_eq!((at_first.requests, at_first.bytes_received), (0, 0));
    let asked = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    idle.send(asked);
    idle.read_response();
    let idle_now = becomes(&server, 0, Idle);
    assert_eq!(idle_now.requests, 1);
    assert_eq!(idle_now.bytes_received, asked.len() as u64);
    assert!(idle_now.bytes_sent > 5 && idle_now.age >= at_first.age);

    let mut slow = server.connect();
    slow.send("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("its request has come", || {
        numbered(&server, 1).is_some_and(|one| one.requests == 1)
    });
    becomes(&server, 1, InRequest);
    let mut events = server.connect();
    events.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n");
    events.read_through(b"data: one\n\n");
    becomes(&server, 2, EventStream);
    let mut ws = server.connect();
    ws.send(handshake("/ws"));
    let mut ws = WsClient::opened(ws);
    ws.send(&Frame::text("x".repeat(1000)));
    ws.expect(Opcode::TEXT, "x".repeat(1000));
    becomes(&server, 3, Upgraded);
    eventually("its bytes are counted", || {
        let counted = |one: ConnectionStats| one.bytes_received > 1000 && one.bytes_sent > 1000;
        numbered(&server, 3).is_some_and(counted)
    });
    // The server refuses the body, and the client goes on sending it: the server reads on.
    let mut refused = server.connect();
    refused.send("POST /refused HTTP/1.1\r\nHost: t\r\nContent-Length: 99\r\n\r\n1");
    assert_eq!(refused.read_response().status, 413);
    becomes(&server, 4, Lingering);

    let listed = |at_most| -> Vec<(u64, ConnectionState)> {
        let newest = server.handle().connections(at_most);
        newest.iter().map(|one| (one.id, one.state)).collect()
    };
    let newest_first = [
        (4, Lingering),
        (3, Upgraded),
        (2, EventStream),
        (1, InRequest),
        (0, Idle),
    ];
    for at_most in [0, 1, 3, 4, 5, 6, usize::MAX] {
        assert_eq!(listed(at_most), newest_first[..at_most.min(5)], "{at_most}");
    }

    ws.send(&Frame::close(1000, ""));
    ws.expect_close_and_eof(1000);
    drop(ws);
    eventually("its end is seen", || numbered(&server, 3).is_none());
    gate.open();
}

#[cfg(unix)]
#[test]
fn a_connection_without_an_address_is_listed_without_one() {
    let dir = TempDir::new();
    let path = dir.path().join("socket");
    let server = Server::bind("127.0.0.1:0").expect("a port is free");
    let server = TestServer::of(
        server.listen_unix(&path).expect("the path is free"),
        |_: &Request| Response::text("hello"),
    );
    let _client = TestStream::connect_unix(&path).expect("it listens");
    assert_eq!(becomes(&server, 0, Idle).peer, None);
}
