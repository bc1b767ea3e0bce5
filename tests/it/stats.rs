//! The counts of a hub and its engine.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use akurai_http::Request;
use akurai_server::{Batch, Engine, EventId, Hub, Memory};
use akurai_tests::{Frame, Opcode, TestServer, WsClient, eventually};
use akurai_ws::upgrade;

use crate::hub::{quick, serving, subscribe};

#[test]
fn a_hub_counts_what_it_publishes_and_who_is_there() {
    let (server, hub) = serving(quick());
    let stats = hub.stats();
    assert!(stats.ready);
    assert_eq!((stats.ring_events, stats.ring_span), (0, Duration::ZERO));
    let mut both = subscribe(&server, "a,b", None);
    let mut one = subscribe(&server, "a", None);
    both.read_cursor();
    one.read_cursor();
    let stats = hub.stats();
    assert_eq!((stats.subscribers, stats.topics), (2, 2));

    hub.publish("a", "", "to two").unwrap();
    hub.publish("b", "", "to one").unwrap();
    hub.publish("c", "", "to nobody").unwrap();
    hub.publish("a", "two\nlines", "").unwrap_err();
    let too_large = "x".repeat(16 << 20);
    hub.publish("a", "", &too_large).unwrap_err();
    both.read(2);
    one.read(1);
    let stats = hub.stats();
    assert_eq!((stats.published, stats.refused), (3, 2));
    assert_eq!((stats.deliveries, stats.ring_events), (3, 3));
    let text = "to two".len() + "to one".len() + "to nobody".len();
    assert!(stats.ring_bytes > 2 * text, "{stats:?}");
    assert_eq!((stats.publish_errors, stats.read_errors), (0, 0));
    eventually("the oldest grows older", || {
        hub.stats().ring_span > stats.ring_span
    });

    drop((both, one));
    eventually("they have left", || {
        let stats = hub.stats();
        (stats.subscribers, stats.topics) == (0, 0)
    });
}

#[test]
fn a_hub_counts_the_resets_that_clients_see() {
    let (server, hub) = serving(quick().max_ring_events(2));
    let seen = hub.publish("a", "", "seen").unwrap().to_string();
    for _ in 0..3 {
        hub.publish("a", "", "missed").unwrap();
    }
    assert_eq!(subscribe(&server, "a", Some(&seen)).read(1).len(), 1);
    assert_eq!(hub.stats().resets, 1);
    subscribe(&server, "a", Some("no id")).read(1);
    assert_eq!(hub.stats().resets, 2);
    let last = hub.last_id().to_string();
    subscribe(&server, "a", Some(&last)).read_cursor();
    subscribe(&server, "a", None).read_cursor();
    assert_eq!(hub.stats().resets, 2, "these lost nothing");
}

/// An engine that fails while the test tells it to. After that it reports seven reconnections.
struct Failing {
    memory: Memory,
    is_away: Arc<AtomicBool>,
}

impl Failing {
    fn answer<T>(&self, answer: io::Result<T>) -> io::Result<T> {
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::NotConnected.into()),
            false => answer,
        }
    }
}

impl Engine for Failing {
    fn publish(&self, topic: &str, name: &str, data: &str) -> io::Result<EventId> {
        self.answer(Ok(()))?;
        self.memory.publish(topic, name, data)
    }

    fn next(&self, after: EventId, _wait: Duration, max: usize) -> io::Result<Batch> {
        self.answer(self.memory.next(after, Duration::from_millis(10), max))
    }

    fn tail(&self, max: usize) -> io::Result<Batch> {
        self.memory.tail(max)
    }

    fn ready(&self) -> io::Result<()> {
        self.answer(Ok(()))
    }

    fn reconnections(&self) -> u64 {
        7
    }
}

#[test]
fn a_hub_counts_the_errors_of_its_engine() {
    let is_away = Arc::new(AtomicBool::new(true));
    let engine = Failing {
        memory: Memory::new(100),
        is_away: Arc::clone(&is_away),
    };
    let hub = Hub::with_engine(quick(), engine).unwrap();
    hub.publish("a", "", "lost").unwrap_err();
    hub.publish("a", "two\nlines", "").unwrap_err();
    eventually("it was asked twice", || hub.stats().read_errors >= 2);
    let stats = hub.stats();
    assert!(!stats.ready);
    assert_eq!((stats.publish_errors, stats.refused), (1, 1));
    assert_eq!((stats.published, stats.reconnections), (0, 7));
    is_away.store(false, Ordering::SeqCst);
    hub.publish("a", "", "kept").unwrap();
    eventually("it has come", || hub.stats().ring_events == 1);
    let stats = hub.stats();
    assert!(stats.ready);
    assert_eq!((stats.published, stats.publish_errors), (1, 1));
}

#[test]
fn websockets_are_members_once_for_each_topic() {
    let hub = Hub::new(quick()).unwrap();
    let rooms = hub.clone();
    let server = TestServer::start(move |req: &Request| {
        let hub = rooms.clone();
        upgrade(req, move |mut conn| {
            let _both = ["a", "b"].map(|topic| hub.join(topic, conn.sender()));
            while conn.recv()?.is_some() {}
            Ok(())
        })
    });
    let mut client = WsClient::open(server.addr(), "/");
    eventually("it has joined", || hub.stats().members == 2);
    assert_eq!((hub.stats().subscribers, hub.stats().topics), (0, 2));
    hub.publish("a", "", "one").unwrap();
    client.expect(Opcode::TEXT, "one");
    eventually("it is counted", || hub.stats().deliveries == 1);
    client.send(&Frame::close(1000, ""));
    eventually("it has left", || hub.stats().members == 0);
    assert_eq!(hub.stats().resets, 0);
}
