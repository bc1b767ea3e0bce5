//! Several threads and parked streams on a session whose keys change.

use std::thread;
use std::time::{Duration, Instant};

use akurai_http::{Request, Router};
use akurai_server::Hub;
use akurai_tests::{Client, DEADLINE, EventStream, Frame, Opcode, TestServer, TestSession};
use akurai_tests::{WsClient, eventually, handshake};
use akurai_ws::{Message, upgrade};

use super::{connect, connect_with, server, serving};
use crate::serving::PATIENCE;

#[test]
fn a_reader_and_ten_senders_at_once() {
    const SENDERS: usize = 10;
    const EACH: usize = 100;
    let server = server(|| TestSession::server().rekey_every(3));
    let server = TestServer::as_it_is(server, |req: &Request| {
        upgrade(req, |mut conn| {
            let senders: Vec<_> = (0..SENDERS)
                .map(|id| {
                    let sender = conn.sender();
                    thread::spawn(move || {
                        (0..EACH).try_for_each(|n| sender.send_text(&format!("{id} {n}")))
                    })
                })
                .collect();
            let mut received = 0;
            while received < EACH {
                match conn.recv()? {
                    Some(Message::Text(text)) => {
                        assert_eq!(text, format!("client {received}"));
                        received += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
            for sender in senders {
                sender.join().expect("no panic")?;
            }
            conn.send_text("all")
        })
    });
    let mut client = connect_with(&server, TestSession::client().rekey_every(2));
    client.send(handshake("/"));
    let mut ws = WsClient::opened(client).patience(PATIENCE);
    let mut pushing = ws.client.stream().try_clone().expect("a socket");
    let pusher = thread::spawn(move || {
        for n in 0..EACH {
            let frame = Frame::text(format!("client {n}")).to_bytes();
            std::io::Write::write_all(&mut pushing, &frame).expect("the server reads");
        }
    });
    let mut next = [0; SENDERS];
    for _ in 0..SENDERS * EACH {
        let frame = ws.read_frame();
        let text = String::from_utf8(frame.payload).expect("a text");
        let (id, n) = text.split_once(' ').expect("two numbers");
        let id: usize = id.parse().expect("a number");
        assert_eq!(n, next[id].to_string(), "of sender {id}");
        next[id] += 1;
    }
    ws.expect(Opcode::TEXT, "all");
    pusher.join().expect("no panic");
    ws.expect_close(1000);
    let unanswered = ws
        .client
        .stream()
        .with_session(|session| session.unanswered());
    assert_eq!(unanswered, Some(0), "each new key was answered");
}

/// Reads until a new key is answered; at most events of `stream` come meanwhile.
#[track_caller]
fn await_answer(client: &mut Client, stream: &mut EventStream) {
    let begun = Instant::now();
    while client.stream().with_session(|session| session.unanswered()) != Some(0) {
        assert!(begun.elapsed() < PATIENCE, "the server has not answered");
        if !client.is_silent_for(Duration::from_millis(5)) {
            stream.feed(&client.read_some());
        }
    }
}

#[test]
fn a_parked_subscriber_gets_its_events_and_may_change_its_key() {
    let hub = Hub::new(crate::hub::quick()).expect("threads can be made");
    let subscribing = hub.clone();
    let server =
        serving(Router::new().get("/events", move |req: &Request| subscribing.sse(req, &["a"])));
    let mut client = connect(&server);
    client.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n");
    client.read_head();
    let mut stream = EventStream::default();
    for round in 0..20 {
        if round % 3 == 0 {
            let rekey = |session: &mut TestSession| session.rekey();
            client.stream().with_session(rekey).expect("a session");
        }
        hub.publish("a", "", &round.to_string())
            .expect("it is open");
        while stream.dispatched.len() <= round {
            stream.feed(&client.read_some());
        }
        assert_eq!(stream.dispatched[round].data, round.to_string());
    }
    // Nothing is published any more: the server answers a new key by itself.
    let rekey = |session: &mut TestSession| session.rekey();
    client.stream().with_session(rekey).expect("a session");
    await_answer(&mut client, &mut stream);
    hub.publish("a", "", "last").expect("it is open");
    while stream.dispatched.len() < 21 {
        stream.feed(&client.read_some());
    }
    assert_eq!(stream.dispatched[20].data, "last");
    super::cut(&client);
    eventually("it is gone", || hub.stats().subscribers == 0);
    client.expect_no_more();
}

#[test]
fn a_request_may_come_byte_by_byte_with_a_new_key_before_each() {
    let server = server(|| TestSession::server().rekey_every(1));
    let server = TestServer::as_it_is(server, |req: &Request| {
        req.body().map(akurai_http::Response::text)
    });
    let mut client = connect_with(&server, TestSession::client().rekey_every(1));
    for body in ["", "a body"] {
        let len = body.len();
        let head = format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {len}\r\n\r\n");
        client.send_bytewise(head + body);
        assert_eq!(client.read_response().text(), body);
    }
    let begun = Instant::now();
    let unanswered = |client: &Client| {
        client
            .stream()
            .with_session(|session| session.unanswered())
            .expect("a session")
    };
    while unanswered(&client) > 0 {
        assert!(begun.elapsed() < DEADLINE, "the server has not answered");
        assert!(client.is_silent_for(Duration::from_millis(5)));
    }
}
