//! Connections that the program ends by their topic: `Hub::end`.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use akurai_http::{Request, Router, last_event_id};
use akurai_server::Hub;
use akurai_tests::{DEADLINE, End, EventStream, Frame, Opcode, TestServer, WsClient, eventually};
use akurai_ws::upgrade;

use crate::hub::{Reader, quick, serving, subscribe};

/// Reads to the end of the stream. Returns the data of its events.
fn read_to_end(reader: &mut Reader) -> Vec<String> {
    let (bytes, end) = reader.client.read_to_end();
    assert_eq!(end, End::Fin);
    reader.stream.feed(&bytes);
    reader
        .stream
        .data()
        .iter()
        .map(|&data| data.to_owned())
        .collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[test]
fn streams_of_a_topic_end_between_two_events_and_others_go_on() {
    let options = quick().retry(Duration::from_millis(400));
    let (server, hub) = serving(options);
    let topics = ["a", "a,b", "b", "b,c"];
    let mut readers: Vec<Reader> = (0..40)
        .map(|n| subscribe(&server, topics[n % 4], None))
        .collect();
    readers.iter_mut().for_each(|reader| {
        reader.read_cursor();
    });
    for n in 0..100 {
        hub.publish("a", "", &n.to_string()).unwrap();
    }
    hub.end("a");
    for n in 100..200 {
        hub.publish("a", "", &n.to_string()).unwrap();
    }
    for (n, reader) in readers.iter_mut().enumerate().filter(|(n, _)| n % 4 < 2) {
        reader.stream.retry = None;
        assert_eq!(read_to_end(reader), numbers(0..100));
        let retry = reader.stream.retry.expect("it says when to come back");
        assert!((200..=600).contains(&retry), "{retry:?}");
        let id = reader.stream.last_event_id.clone();
        *reader = subscribe(&server, topics[n % 4], Some(&id));
        // It comes back without a loss.
        assert_eq!(reader.read(100), numbers(100..200));
    }
    assert_eq!(hub.stats().ended, 20);
    eventually("those who left are not counted", || {
        (hub.present("a"), hub.present("b"), hub.stats().subscribers) == (20, 30, 40)
    });
    assert_eq!(hub.stats().dropped, 0);
    // Each gets the events of its own topics only, and once.
    let id = hub.publish("b", "", "to b").unwrap();
    hub.publish("c", "", "to c").unwrap();
    hub.end("b");
    for (n, reader) in readers.iter_mut().enumerate().filter(|(n, _)| n % 4 > 0) {
        let data = read_to_end(reader);
        let data = data.iter().filter(|data| data.starts_with("to "));
        let expected: &[&str] = match topics[n % 4] {
            "b,c" => &["to b", "to c"],
            _ => &["to b"],
        };
        assert!(data.eq(expected), "{}", topics[n % 4]);
    }
    assert_eq!(hub.stats().ended, 50);
    eventually("one in four is left", || hub.stats().subscribers == 10);
    let mut late = subscribe(&server, "a,b", Some(&id.to_string()));
    hub.publish("b", "", "later").unwrap();
    assert_eq!(late.read(1), ["later"]);
}

#[test]
fn an_end_without_subscribers_does_nothing() {
    let (server, hub) = serving(quick());
    hub.end("a");
    hub.end(&"x".repeat(2000));
    let mut reader = subscribe(&server, "a", None);
    reader.read_cursor();
    hub.end("b");
    hub.publish("a", "", "here").unwrap();
    assert_eq!(reader.read(1), ["here"]);
    assert_eq!(hub.stats().ended, 0);
}

#[test]
fn a_stream_that_is_on_its_way_ends_too() {
    let hub = Hub::new(quick()).unwrap();
    let at = hub.publish("a", "", "seen").unwrap();
    hub.publish("a", "", "before").unwrap();
    let (called, calls) = mpsc::channel();
    let (go, goes) = mpsc::channel();
    let (streams, goes) = (hub.clone(), Mutex::new(goes));
    let app = Router::new().get("/events/{topic}", move |req: &Request| {
        let reply = streams.sse(req, &[req.param("topic").unwrap_or("")]);
        called.send(()).unwrap();
        goes.lock().unwrap().recv_timeout(DEADLINE).unwrap();
        reply
    });
    let server = TestServer::start(app);
    let open = |topic: &str, meanwhile: &dyn Fn()| {
        let mut client = server.connect();
        client.send(format!(
            "GET /events/{topic} HTTP/1.1\r\nHost: t\r\nLast-Event-ID: {at}\r\n\r\n"
        ));
        calls.recv_timeout(DEADLINE).unwrap();
        meanwhile();
        go.send(()).unwrap();
        assert_eq!(client.read_head().status, 200);
        let stream = EventStream::default();
        Reader { client, stream }
    };
    let end = || {
        hub.end("a");
        hub.publish("a", "", "after").unwrap();
    };
    let mut ended = open("a", &end);
    assert_eq!(read_to_end(&mut ended), ["before"]);
    assert_eq!(hub.stats().ended, 1);
    eventually("it has left", || {
        hub.present("a") == 0 && hub.stats().subscribers == 0
    });
    let mut other = open("a", &|| hub.end("b"));
    assert_eq!(other.read(2), ["before", "after"]);
    hub.end("a");
    let mut later = open("a", &|| {});
    assert_eq!(later.read(2), ["before", "after"]);
}

#[test]
fn websockets_of_a_topic_are_closed_between_two_events() {
    let hub = Hub::new(quick()).unwrap();
    let room = hub.clone();
    let server = TestServer::start(move |req: &Request| {
        let (hub, topic) = (room.clone(), req.path()[1..].to_owned());
        upgrade(req, move |mut conn| {
            let _member = hub.join(&topic, conn.sender());
            while conn.recv()?.is_some() {}
            Ok(())
        })
    });
    let open = |topic: &str| WsClient::open(server.addr(), &format!("/{topic}"));
    let mut members: Vec<WsClient> = (0..10).map(|_| open("a")).collect();
    let mut other = open("b");
    eventually("all have joined", || {
        (hub.present("a"), hub.present("b")) == (10, 1)
    });
    for n in 0..100 {
        hub.publish("a", "", &n.to_string()).unwrap();
    }
    hub.end("a");
    for _ in 0..100 {
        hub.publish("a", "", "too late").unwrap();
    }
    hub.publish("b", "", "here").unwrap();
    for mut member in members.drain(..) {
        for n in 0..100 {
            member.expect(Opcode::TEXT, n.to_string());
        }
        member.expect_close(1000);
        member.send(&Frame::close(1000, ""));
    }
    other.expect(Opcode::TEXT, "here");
    eventually("they have left", || {
        (hub.present("a"), hub.stats().ended) == (0, 10)
    });
    let mut late = open("a");
    eventually("one has joined", || hub.present("a") == 1);
    hub.publish("a", "", "again").unwrap();
    late.expect(Opcode::TEXT, "again");
}

#[test]
fn a_stream_that_ends_before_it_began_has_an_id_to_come_back_with() {
    let hub = Hub::new(quick()).unwrap();
    let streams = hub.clone();
    let app = Router::new().get("/events", move |req: &Request| {
        let reply = streams.sse(req, &["a", "b"]);
        if last_event_id(req).is_none() {
            streams.end("a");
            streams.publish("b", "", "meanwhile").unwrap();
        }
        reply
    });
    let server = TestServer::start(app);
    let open = |field: &str| {
        let mut client = server.connect();
        client.send(format!("GET /events HTTP/1.1\r\nHost: t\r\n{field}\r\n"));
        assert_eq!(client.read_head().status, 200);
        let stream = EventStream::default();
        Reader { client, stream }
    };
    let at = hub.publish("b", "", "earlier").unwrap();
    let mut ended = open("");
    assert_eq!(read_to_end(&mut ended), [""; 0]);
    let id = ended.stream.last_event_id;
    assert_eq!(id, at.to_string());
    let mut back = open(&format!("Last-Event-ID: {id}\r\n"));
    assert_eq!(back.read(1), ["meanwhile"]);
}

#[test]
fn a_stream_that_is_ended_on_its_way_has_the_value_of_its_gauge() {
    let hub = Hub::new(quick()).unwrap();
    hub.latest_only("job");
    let streams = hub.clone();
    let app = Router::new().get("/events", move |req: &Request| {
        let reply = streams.sse(req, &["job"]);
        streams.end("job");
        streams.publish("job", "", "of another run").unwrap();
        reply
    });
    let server = TestServer::start(app);
    hub.publish("job", "", "half").unwrap();
    hub.publish("job", "", "done").unwrap();
    let mut client = server.connect();
    client.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.read_head().status, 200);
    let stream = EventStream::default();
    assert_eq!(read_to_end(&mut Reader { client, stream }), ["done"]);
}

#[test]
fn nothing_published_after_an_end_reaches_those_who_were_there() {
    const ROUNDS: usize = 30;
    let hub = Hub::new(quick()).unwrap();
    let (room, (give, given)) = (hub.clone(), mpsc::channel());
    let server = TestServer::start(move |req: &Request| {
        let (hub, give) = (room.clone(), give.clone());
        upgrade(req, move |mut conn| {
            let _member = hub.join("a", conn.sender());
            give.send(conn.sender()).unwrap();
            while conn.recv()?.is_some() {}
            Ok(())
        })
    });
    for _ in 0..ROUNDS {
        let mut member = WsClient::open(server.addr(), "/");
        let sender = given.recv_timeout(DEADLINE).unwrap();
        hub.publish("a", "", "before").unwrap();
        member.expect(Opcode::TEXT, "before");
        // The hub's thread is busy with these when the topic ends.
        let many = (0..2_000).map(|_| hub.join("b", sender.clone()));
        let many: Vec<_> = many.collect();
        hub.end("a");
        hub.publish("a", "", "secret").unwrap();
        member.expect_close(1000);
        drop(many);
        member.send(&Frame::close(1000, ""));
        eventually("it has left", || hub.present("a") == 0);
    }
}
