//! When one topic of a hub loses events, other topics do not notice, and no other topic displaces
//! the events that a topic keeps.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use akurai_http::Request;
use akurai_server::{Batch, Engine, EventId, History, Hub, Memory, Retention};
use akurai_tests::{DEADLINE, Frame, Opcode, TestServer, WsClient, eventually};
use akurai_ws::upgrade;

use crate::hub::{Reader, quick, serve, serving, subscribe};

/// A server whose WebSockets join the topic of their path.
fn rooms(hub: &Hub) -> TestServer {
    let hub = hub.clone();
    TestServer::start(move |req: &Request| {
        let (hub, topic) = (hub.clone(), req.path()[1..].to_owned());
        upgrade(req, move |mut conn| {
            let _member = hub.join(&topic, conn.sender());
            while conn.recv()?.is_some() {}
            Ok(())
        })
    })
}

fn member(server: &TestServer, hub: &Hub, topic: &str) -> WsClient {
    let before = hub.present(topic);
    let client = WsClient::open(server.addr(), &format!("/{topic}"));
    eventually("it has joined", || hub.present(topic) == before + 1);
    client
}

/// Names and data of the first `count` events.
#[track_caller]
fn read(reader: &mut Reader, count: usize) -> Vec<(String, String)> {
    reader.read(count);
    let events = reader.stream.dispatched.iter();
    events
        .map(|event| (event.event.clone(), event.data.clone()))
        .collect()
}

/// Reads up to every reader's first cursor.
fn begin(readers: &mut [Reader]) {
    for reader in readers {
        reader.read_cursor();
    }
}

/// Publishes `count` events to another topic.
fn noise(hub: &Hub, count: usize) {
    for _ in 0..count {
        hub.publish("noisy", "", "noise").unwrap();
    }
}

fn message(data: &str) -> (String, String) {
    ("message".to_owned(), data.to_owned())
}

fn reset() -> (String, String) {
    ("reset".to_owned(), "events were lost".to_owned())
}

#[test]
fn who_follows_a_quiet_topic_comes_back_though_another_was_busy() {
    let (server, hub) = serving(quick());
    let seen = hub.publish("quiet", "", "seen").unwrap().to_string();
    noise(&hub, 10_001);
    let mut back = subscribe(&server, "quiet", Some(&seen));
    let mut both = subscribe(&server, "noisy,quiet", Some(&seen));
    // Events that come before the client got the reset are lost with the others.
    assert_eq!(read(&mut both, 1), [reset()]);
    let first = hub.publish("quiet", "", "next").unwrap();
    assert_eq!(read(&mut back, 1), [message("next")]);
    assert_eq!(read(&mut both, 2), [reset(), message("next")]);
    // The loss of a topic's own event is reported, and only to that topic's clients.
    noise(&hub, 10_001);
    let mut late = subscribe(&server, "quiet", Some(&seen));
    assert_eq!(read(&mut late, 1), [reset()]);
    let mut in_time = subscribe(&server, "quiet", Some(&first.to_string()));
    let mut other = subscribe(&server, "other", Some(&seen));
    hub.publish("quiet", "", "last").unwrap();
    hub.publish("other", "", "first").unwrap();
    assert_eq!(read(&mut late, 2), [reset(), message("last")]);
    assert_eq!(read(&mut in_time, 1), [message("last")]);
    assert_eq!(read(&mut other, 1), [message("first")]);
}

#[test]
fn what_a_topic_keeps_is_replayed_though_another_was_busy() {
    let options = quick().max_ring_events(10);
    let (server, hub) = serving(options);
    hub.latest_only("gauge");
    hub.retain("gauge", Retention::default().max_events(1));
    let keep = Retention::default().max_events(3);
    hub.retain("kept", keep);
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(hub.publish("kept", "", &n.to_string()).unwrap().to_string());
        hub.publish("gauge", "", &format!("gauge {n}")).unwrap();
        noise(&hub, 20);
    }
    let mut back = subscribe(&server, "kept", Some(&ids[1]));
    assert_eq!(read(&mut back, 3), ["2", "3", "4"].map(message));
    // In the order of both topics.
    let last = hub.publish("other", "", "other").unwrap();
    let mut back = subscribe(&server, "kept,other", Some(&ids[3]));
    assert_eq!(read(&mut back, 2), ["4", "other"].map(message));
    assert_eq!(back.stream.last_event_id, last.to_string());
    let mut late = subscribe(&server, "kept", Some(&ids[0]));
    assert_eq!(read(&mut late, 1), [reset()]);
    let mut fresh = subscribe(&server, "gauge", None);
    assert_eq!(read(&mut fresh, 1), [message("gauge 4")]);
    // Without retention, the topic has only the ring's events.
    hub.release("kept");
    let mut back = subscribe(&server, "kept", Some(&ids[3]));
    assert_eq!(read(&mut back, 1), [reset()]);
    let mut back = subscribe(&server, "kept", Some(&ids[4]));
    hub.publish("kept", "", "5").unwrap();
    assert_eq!(read(&mut back, 1), [message("5")]);
}

#[test]
fn those_whom_a_busy_topic_overtakes_lose_nothing_of_another() {
    let options = quick().max_ring_events(2);
    let (server, hub) = serving(options);
    let rooms = rooms(&hub);
    hub.retain(
        "kept",
        Retention::default().max_events(100_000).max_bytes(1 << 30),
    );
    let topics = ["noisy", "quiet", "kept", "kept,noisy", "kept,noisy"];
    let mut streams = topics.map(|topic| subscribe(&server, topic, None));
    begin(&mut streams);
    let [mut noisy, mut quiet, mut kept, both @ ..] = streams;
    let [mut busy, mut calm, mut keeper] =
        ["noisy", "quiet", "kept"].map(|topic| member(&rooms, &hub, topic));

    // Until both a shard and the thread for WebSockets were too slow for a ring of two.
    let begun = Instant::now();
    let (mut bursts, mut was_closed) = (0, false);
    while !was_closed
        || !noisy
            .stream
            .dispatched
            .iter()
            .any(|event| event.event == "reset")
    {
        assert!(begun.elapsed() < DEADLINE, "nobody is overtaken");
        noise(&hub, 500);
        hub.publish("kept", "", &format!("kept {bursts}")).unwrap();
        noise(&hub, 500);
        let mark = format!("burst {bursts}");
        hub.publish("noisy", "", &mark).unwrap();
        while noisy
            .stream
            .dispatched
            .last()
            .is_none_or(|event| event.data != mark)
        {
            let count = noisy.stream.dispatched.len();
            noisy.read(count + 1);
        }
        while !was_closed {
            let frame = busy.read_frame();
            if frame.opcode == Opcode::CLOSE {
                assert_eq!(frame.close_code(), Some(1013));
                was_closed = true;
            } else if frame.payload == mark.as_bytes() {
                break;
            }
        }
        bursts += 1;
    }
    let expected: Vec<_> = (0..bursts).map(|n| message(&format!("kept {n}"))).collect();
    assert_eq!(read(&mut kept, bursts), expected);
    for mut both in both {
        let mark = format!("burst {}", bursts - 1);
        while both
            .stream
            .dispatched
            .last()
            .is_none_or(|event| event.data != mark)
        {
            let count = both.stream.dispatched.len();
            both.read(count + 1);
        }
        // Between two retained events come the mark and a thousand others, or a reset.
        let (mut between, mut is_told) = (501, false);
        for event in &both.stream.dispatched {
            is_told |= event.event == "reset";
            if event.data.starts_with("kept") {
                assert!(
                    between == 1001 || is_told,
                    "{}: {between} before it",
                    event.data
                );
                (between, is_told) = (0, false);
            } else {
                between += 1;
            }
        }
    }
    for n in 0..bursts {
        keeper.expect(Opcode::TEXT, format!("kept {n}"));
    }
    hub.publish("quiet", "", "over").unwrap();
    assert_eq!(read(&mut quiet, 1), [message("over")]);
    calm.expect(Opcode::TEXT, "over");
}

#[test]
fn an_event_that_a_node_cannot_keep_is_lost_to_its_topic_alone() {
    let engine = Memory::new(100);
    let options = quick().max_ring_bytes(100_000);
    let hub = Hub::with_engine(options, engine.clone()).unwrap();
    let (server, rooms) = (serve(&hub), rooms(&hub));
    let before = engine.publish("large", "", "before").unwrap();
    eventually("it is here", || hub.last_id() == before);
    let topics = ["large", "malformed", "sound"];
    let mut streams = topics.map(|topic| subscribe(&server, topic, None));
    begin(&mut streams);
    let mut members = topics.map(|topic| member(&rooms, &hub, topic));

    // Another node has larger limits, or accepts events that this node refuses.
    engine.publish("large", "", &"x".repeat(100_000)).unwrap();
    engine.publish("malformed", "two\nlines", "").unwrap();
    engine.publish(&"é".repeat(100_000), "", "").unwrap();
    for topic in topics {
        engine.publish(topic, "", "next").unwrap();
    }
    for (at, expected) in [
        vec![reset(), message("next")],
        vec![reset(), message("next")],
        vec![message("next")],
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(
            read(&mut streams[at], expected.len()),
            expected,
            "{}",
            topics[at]
        );
    }
    members[0].expect_close(1013);
    members[1].expect_close(1013);
    members[2].expect(Opcode::TEXT, "next");
    // A client that comes back is told, too: once, and at the right place.
    let mut back = subscribe(&server, "large", Some(&before.to_string()));
    assert_eq!(read(&mut back, 2), [reset(), message("next")]);
    let told = back.stream.dispatched[0].last_event_id.clone();
    let mut back = subscribe(&server, "large", Some(&told));
    assert_eq!(read(&mut back, 1), [message("next")]);
    let mut other = subscribe(&server, "sound", Some(&before.to_string()));
    assert_eq!(read(&mut other, 1), [message("next")]);
}

/// In memory. When the test asks for it, it reports once that events are lost.
struct Losing {
    memory: Memory,
    loses: Arc<AtomicBool>,
}

impl Engine for Losing {
    fn publish(&self, topic: &str, name: &str, data: &str) -> io::Result<EventId> {
        self.memory.publish(topic, name, data)
    }

    fn next(&self, after: EventId, _wait: Duration, max: usize) -> io::Result<Batch> {
        let batch = self.memory.next(after, Duration::from_millis(10), max)?;
        let gap = batch.gap || self.loses.swap(false, Ordering::SeqCst);
        Ok(Batch { gap, ..batch })
    }

    fn tail(&self, max: usize) -> io::Result<Batch> {
        self.memory.tail(max)
    }
}

#[test]
fn what_an_engine_lost_is_told_to_all() {
    let loses = Arc::new(AtomicBool::new(false));
    let engine = Losing {
        memory: Memory::new(100),
        loses: Arc::clone(&loses),
    };
    let hub = Hub::with_engine(quick(), engine).unwrap();
    let (server, rooms) = (serve(&hub), rooms(&hub));
    hub.retain("kept", Retention::default());
    let seen = hub.publish("kept", "", "seen").unwrap();
    eventually("it is here", || hub.last_id() == seen);
    let topics = ["kept", "never"];
    let mut streams = topics.map(|topic| subscribe(&server, topic, None));
    begin(&mut streams);
    let members = topics.map(|topic| member(&rooms, &hub, topic));
    loses.store(true, Ordering::SeqCst);
    for reader in &mut streams {
        assert_eq!(read(reader, 1), [reset()]);
    }
    for mut member in members {
        member.expect_close(1013);
    }
    for topic in topics {
        let mut back = subscribe(&server, topic, Some(&seen.to_string()));
        assert_eq!(read(&mut back, 1), [reset()], "{topic}");
        // A client that has got the reset does not get it again.
        let id = back.stream.last_event_id.clone();
        let mut back = subscribe(&server, topic, Some(&id));
        hub.publish(topic, "", "next").unwrap();
        assert_eq!(read(&mut back, 1), [message("next")], "{topic}");
    }
    let past = hub.history("kept", None, 10);
    let data: Vec<_> = past.events.iter().map(|event| &*event.data).collect();
    assert_eq!(data, ["next"]);
}

#[test]
fn a_topic_of_100_kb_is_refused() {
    let (server, hub) = serving(quick());
    let rooms = rooms(&hub);
    let error = hub.publish(&"t".repeat(100_000), "", "1").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(
        error.to_string(),
        "topic of 100000 bytes is longer than 1024"
    );
    let node = Hub::with_engine(quick(), Memory::new(10)).unwrap();
    assert!(node.publish(&"t".repeat(1025), "", "1").is_err());

    let long = "t".repeat(1025);
    let mut client = server.connect();
    client.send(format!("GET /events/a,{long} HTTP/1.1\r\nHost: t\r\n\r\n"));
    let answer = client.read_response();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body, b"topic is longer than 1024 bytes\n");
    let mut refused = WsClient::open(rooms.addr(), &format!("/{long}"));
    refused.expect_close(1008);
    hub.retain(&long, Retention::default());
    hub.latest_only(&long);
    assert_eq!(hub.present(&long), 0);

    let longest = &long[1..];
    let mut reader = subscribe(&server, longest, None);
    reader.read_cursor();
    let mut client = member(&rooms, &hub, longest);
    hub.publish(longest, "", "fits").unwrap();
    assert_eq!(reader.read(1), ["fits"]);
    client.expect(Opcode::TEXT, "fits");
    client.send(&Frame::close(1000, ""));
    client.expect_close(1000);
}

#[test]
fn a_history_and_its_stream_have_no_hole_and_no_repetition() {
    const ROUNDS: usize = 20;
    const EACH: usize = 100;
    let node = Hub::with_engine(quick(), Memory::new(10_000)).unwrap();
    for hub in [Hub::new(quick()).unwrap(), node] {
        let server = serve(&hub);
        let (go, goes) = mpsc::channel::<()>();
        let publisher = hub.clone();
        let publishing = std::thread::spawn(move || {
            let mut numbers = 0..;
            while goes.recv().is_ok() {
                for n in numbers.by_ref().take(EACH) {
                    publisher.publish("a", "", &i32::to_string(&n)).unwrap();
                    publisher.publish("b", "", "not this").unwrap();
                }
            }
        });
        let pages: Vec<_> = (0..ROUNDS)
            .map(|_| {
                go.send(()).unwrap();
                let History {
                    events,
                    is_complete,
                    at,
                    ..
                } = hub.history("a", None, ROUNDS * EACH);
                assert!(is_complete);
                let stream = subscribe(&server, "a", Some(&at.to_string()));
                (events, stream)
            })
            .collect();
        drop(go);
        publishing.join().unwrap();
        let expected: Vec<String> = (0..ROUNDS * EACH).map(|n| n.to_string()).collect();
        for (events, mut stream) in pages {
            let mut all: Vec<String> = events.into_iter().map(|event| event.data).collect();
            all.extend(stream.read(expected.len() - all.len()));
            assert_eq!(all, expected);
        }
        eventually("all is here", || {
            hub.history("a", None, usize::MAX).events.len() == expected.len()
        });
        let last = hub.history("a", None, 2);
        assert!(!last.is_complete);
        let data: Vec<_> = last.events.iter().map(|event| &*event.data).collect();
        assert_eq!(data, ["1998", "1999"]);
        let behind = hub.history("a", Some(last.events[0].id), 10);
        assert!(behind.is_complete);
        assert_eq!(behind.events, last.events[1..]);
    }
}
