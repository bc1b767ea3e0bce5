use std::sync::mpsc;

use akurai_http::testing::{Client, Events};
use akurai_http::{Request, event_stream};

use super::super::options::{HubOptions, Retention};
use super::lap::WRITES;
use super::*;

fn streams(options: HubOptions) -> EventStreams {
    let shared = Arc::new(Shared::new(options, EventId { ms: 1, seq: 0 }, false));
    EventStreams::new(shared, Arc::default())
}

/// The same, of a hub with an engine.
fn streams_of_engine() -> EventStreams {
    let options = HubOptions::default();
    let shared = Arc::new(Shared::new(options, EventId { ms: 1, seq: 0 }, true));
    EventStreams::new(shared, Arc::default())
}

#[test]
fn a_pass_has_no_event_from_after_an_end_that_it_does_not_have() {
    let mut streams = streams(HubOptions::default());
    let shared = Arc::clone(&streams.shared);
    let mailbox = Arc::clone(&streams.mailbox);
    shared.ring.publish("a", "", "before").unwrap();
    mailbox.signal();
    let later = Instant::now() + Duration::from_secs(60);
    let (changes, end) = streams.next_pass(later).unwrap();
    // Another thread ends the topic now, and publishes then.
    let (before, _) = shared.ring.end();
    mailbox.put(StreamChange::End(Arc::from("a"), before));
    shared.ring.publish("a", "", "too late").unwrap();
    mailbox.signal();
    assert!(changes.is_empty());
    streams.pass(changes, end);
    assert_eq!(streams.next, before);
    let (changes, end) = streams.next_pass(later).unwrap();
    assert!(matches!(changes[..], [StreamChange::End(_, at)] if at == before));
    streams.pass(changes, end);
    assert_eq!(streams.next, before + 1);
}

#[test]
fn what_a_topic_keeps_does_not_take_a_pass_beyond_its_end() {
    let mut streams = streams(HubOptions::default().max_ring_events(1));
    let ring = &Arc::clone(&streams.shared).ring;
    ring.retain("kept", Retention::default());
    for topic in ["a", "kept", "kept", "kept", "a"] {
        ring.publish(topic, "", "").unwrap();
    }
    // The last that it delivers is 1, and a client that comes back from there gets 2 and 3.
    streams.deliver(2);
    assert_eq!(streams.next, 2);
    let kept = [Arc::from("kept")];
    let numbers = |after| {
        let events = ring.replay(after, &kept, 5).unwrap();
        events.iter().map(|event| event.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(streams.last), [2, 3]);
    streams.deliver(5);
    assert_eq!(streams.next, 5);
    assert_eq!(numbers(streams.last), []);
}

/// An event stream that has begun: its subscriber to the topic `a`, and what the client gets.
fn subscriber() -> (Subscriber, Client, Events) {
    let (socket, client, events) = open();
    let ends = Instant::now() + Duration::from_secs(60);
    let subscriber = Subscriber::new(socket, Box::new([Arc::from("a")]), ends);
    (subscriber, client, events)
}

/// An event stream that has begun: its socket, and what the client gets.
fn open() -> (Socket, Client, Events) {
    let (give, given) = mpsc::channel();
    let client = Client::new(move |_: &Request| {
        let give = give.clone();
        event_stream(move |upgraded| give.send(upgraded.into_parts().1).unwrap())
    });
    let events = client.events("/").unwrap();
    let socket: Socket = given.recv().unwrap();
    socket.set_nonblocking(true).unwrap();
    (socket, client, events)
}

#[test]
fn an_early_subscriber_gets_what_was_published_before_its_topics_end() {
    let mut streams = streams_of_engine();
    let shared = Arc::clone(&streams.shared);
    let (socket, _client, events) = open();
    let seen = EventId { ms: 7, seq: 0 };
    let arrival = Arrival {
        cursor: Cursor::After(seen),
        ends: shared.topics.ends(),
        topics: Box::new([Arc::from("a")]),
        socket,
    };
    streams.admit(arrival);
    assert_eq!(streams.early.len(), 1);
    // Its event comes, and one more.
    let add = |ms, data: &str| shared.ring.add(EventId { ms, seq: 0 }, "a", "", data);
    add(7, "seen");
    add(8, "before");
    let (before, _) = shared.ring.end();
    add(9, "after");
    let end = StreamChange::End(Arc::from("a"), before);
    streams.pass(vec![end], shared.ring.end().0);
    let data: Vec<String> = events.map(|event| event.unwrap().data).collect();
    assert_eq!(data, ["before"]);
}

#[cfg_attr(
    windows,
    ignore = "a write takes all bytes, however many, while there is any room"
)]
#[test]
fn a_stream_ends_behind_what_its_client_has_yet_to_take() {
    let mut streams = streams(HubOptions::default());
    let (mut subscriber, _client, events) = subscriber();
    let shared = Arc::clone(&streams.shared);
    let text = "~".repeat(4_000_000);
    shared.ring.publish("a", "", &text).unwrap();
    shared.ring.publish("a", "", "last").unwrap();
    for event in shared.ring.read(0, 2).events {
        subscriber.backlog.queue(&event);
    }
    streams.finish(subscriber);
    let (mut subscriber, _) = streams.ending.pop().expect("its client is there");
    assert!(!subscriber.backlog.is_empty(), "no system has room for it");
    let reader = std::thread::spawn(move || {
        let events = events.map(|event| event.unwrap().data);
        events.collect::<Vec<_>>()
    });
    while subscriber.go_on_ending(&mut streams.scratch) {
        std::thread::yield_now();
    }
    assert!(subscriber.backlog.is_empty());
    drop(subscriber);
    let data = reader.join().unwrap();
    assert!(data == [&*text, "last"], "{} events", data.len());
}

/// Its arrival and the end wait in the same mailbox.
#[test]
fn a_stream_on_its_way_gets_what_came_before_its_topics_end() {
    for is_back in [false, true] {
        let (socket, _client, events) = open();
        let mut streams = streams(HubOptions::default());
        let shared = Arc::clone(&streams.shared);
        let from = shared.ring.publish("a", "", "earlier").unwrap();
        let arrival = Arrival {
            socket,
            topics: Box::new([shared.topics.joined("a")]),
            cursor: match is_back {
                true => Cursor::After(from),
                false => Cursor::Now(from),
            },
            ends: shared.topics.ends(),
        };
        shared.ring.publish("a", "", "before").unwrap();
        shared.ring.publish("b", "", "another").unwrap();
        let (before, _) = shared.ring.end();
        let topic = shared.topics.end("a", before).unwrap();
        shared.ring.publish("a", "", "behind").unwrap();
        let changes = vec![
            StreamChange::Arrival(arrival),
            StreamChange::End(topic, before),
        ];
        streams.work(changes, shared.ring.end().0);
        drop(streams);
        let data = events.map(|event| event.unwrap().data);
        assert_eq!(data.collect::<Vec<_>>(), ["before"]);
    }
}

#[test]
fn a_loss_that_a_greeting_has_told_is_not_told_again() {
    let (subscriber, _client, mut events) = subscriber();
    let mut streams = streams(HubOptions::default());
    let shared = Arc::clone(&streams.shared);
    let (ring, resets) = (&shared.ring, || shared.counts.read().resets);
    ring.publish("a", "", "seen").unwrap();
    streams.deliver(ring.end().0);
    // The thread has not met this loss yet when the client comes.
    ring.lose(EventId { ms: 1, seq: 0 });
    ring.publish("a", "", "kept").unwrap();
    streams.slots.push(None);
    streams.place(0, subscriber, Cursor::Unknown);
    streams.deliver(ring.end().0);
    assert_eq!(resets(), 1);
    ring.lose(EventId { ms: 1, seq: 0 });
    streams.deliver(ring.end().0);
    assert_eq!(resets(), 2);
    let names: Vec<_> = events
        .by_ref()
        .take(3)
        .map(|event| event.unwrap().event)
        .collect();
    assert_eq!(names, ["reset", "message", "reset"]);
}

/// A shard with this many subscribers to the topic `a`.
fn crowd(count: usize) -> (EventStreams, Vec<(Client, Events)>) {
    crowd_of(streams(HubOptions::default()), count)
}

fn crowd_of(mut streams: EventStreams, count: usize) -> (EventStreams, Vec<(Client, Events)>) {
    let mut clients = Vec::new();
    for slot in 0..count {
        let (subscriber, client, events) = subscriber();
        clients.push((client, events));
        streams.slots.push(None);
        let here = Cursor::Now(streams.last);
        streams.place(slot as u32, subscriber, here);
    }
    (streams, clients)
}

/// How many events wait for each subscriber.
fn waiting(streams: &EventStreams) -> Vec<usize> {
    let subscribers = streams.slots.iter().flatten();
    subscribers
        .map(|subscriber| subscriber.backlog.slowness().0)
        .collect()
}

#[test]
fn an_event_joins_a_write_that_is_still_to_come() {
    let (mut streams, clients) = crowd(WRITES + 1);
    let shared = Arc::clone(&streams.shared);
    let deliver = |streams: &mut EventStreams, text| {
        shared.ring.publish("a", "", text).unwrap();
        streams.pass(Vec::new(), shared.ring.end().0);
    };
    streams.next_tick += Duration::from_secs(600);
    assert!(streams.write_next().is_none(), "nothing waits");
    deliver(&mut streams, "first");
    assert!(streams.write_next().is_none(), "one is left");
    deliver(&mut streams, "second");
    let mut expected = vec![1; WRITES];
    expected.push(2);
    assert_eq!(waiting(&streams), expected);
    assert!(streams.write_next().is_some(), "a lap of all");
    expected[WRITES] = 0;
    assert_eq!(waiting(&streams), expected);
    assert!(streams.deadline() <= Instant::now(), "it does not wait");
    assert!(streams.write_next().is_some(), "a lap of the others");
    assert_eq!(waiting(&streams), [0; WRITES + 1]);
    assert!(streams.deadline() > Instant::now());
    assert!(streams.write_next().is_none());
    for (_client, mut events) in clients {
        let data = [(); 2].map(|()| events.next().unwrap().unwrap().data);
        assert_eq!(data, ["first", "second"]);
    }
}

#[test]
fn no_subscriber_waits_for_its_write_with_more_than_a_batch() {
    let (mut streams, clients) = crowd(WRITES + 1);
    let ring = &Arc::clone(&streams.shared).ring;
    let publish = |count| {
        for _ in 0..count {
            ring.publish("a", "", "~").unwrap();
        }
    };
    publish(10);
    streams.deliver(ring.end().0);
    streams.write_next();
    // Nothing is written to the last yet.
    publish(3 * BATCH);
    streams.deliver(ring.end().0);
    let most = waiting(&streams).into_iter().max();
    assert!(most <= Some(BATCH), "{most:?}");
    assert_eq!(streams.next, ring.end().0);
    while !streams.lap.is_empty() {
        streams.write_next();
    }
    for (_client, events) in clients {
        assert_eq!(events.take(10 + 3 * BATCH).count(), 10 + 3 * BATCH);
    }
}

#[test]
fn early_subscribers_are_looked_after_once_in_a_lap() {
    let (mut streams, _clients) = crowd_of(streams_of_engine(), 3 * WRITES);
    streams.next_tick += Duration::from_secs(600);
    let shared = Arc::clone(&streams.shared);
    let (mut early, _client, _events) = subscriber();
    let slot = streams.slots.len() as u32;
    let cursor = Cursor::After(EventId {
        ms: u64::MAX,
        seq: 0,
    });
    early.early = streams.early(&cursor);
    assert!(early.early.is_some());
    streams.early.push(slot);
    streams.slots.push(Some(early));
    shared.ring.publish("a", "", "~").unwrap();
    let end = shared.ring.end().0;
    assert!(streams.work(Vec::new(), end).is_none(), "the lap begins");
    // The engine has no such event.
    shared.looks.show(shared.looks.begin(), shared.ring.end().1);
    assert!(streams.work(Vec::new(), end).is_none(), "in its midst");
    assert_eq!(streams.early, [slot]);
    assert!(streams.work(Vec::new(), end).is_some(), "its end");
    assert!(streams.early.is_empty());
}

#[cfg_attr(
    windows,
    ignore = "a write takes all bytes, however many, while there is any room"
)]
#[test]
fn a_subscriber_that_stalls_again_is_tried_again_once() {
    let (mut streams, mut clients) = crowd(2);
    // On a slow machine, this would be earlier than the moment that is meant below.
    streams.next_tick += Duration::from_secs(3600);
    let shared = Arc::clone(&streams.shared);
    let text = "~".repeat(4_000_000);
    let stall = |streams: &mut EventStreams| {
        shared.ring.publish("a", "", &text).unwrap();
        streams.deliver(shared.ring.end().0);
        while !streams.lap.is_empty() {
            streams.write_next();
        }
        let mut slots: Vec<u32> = streams.stalled.iter().map(|&(_, slot)| slot).collect();
        slots.sort_unstable();
        slots
    };
    assert_eq!(stall(&mut streams), [0, 1], "no system has room for it");
    let earliest = streams
        .slots
        .iter()
        .flatten()
        .filter_map(|one| one.retry_at)
        .min();
    assert_eq!(Some(streams.deadline()), earliest);
    let (client, mut events) = clients.remove(0);
    let reader = std::thread::spawn(move || {
        assert!(events.next().is_some());
        events
    });
    while !streams.slots[0].as_ref().unwrap().backlog.is_empty() {
        streams.flush(0);
        std::thread::yield_now();
    }
    let listed: Vec<u32> = streams.stalled.iter().map(|&(_, slot)| slot).collect();
    assert_eq!(listed, [1]);
    let events = reader.join().unwrap();
    assert_eq!(stall(&mut streams), [0, 1]);
    drop((client, events));
    // Its slot is free, and no other that gets it is tried too early.
    streams.remove(1, Subscriber::cut);
    let (later, _client, _events) = subscriber();
    streams.place(1, later, Cursor::Now(streams.last));
    let last = streams.stalled.iter().map(|&(at, _)| at).max();
    while last.is_some_and(|last| Instant::now() <= last) {
        std::thread::yield_now();
    }
    streams.retry_stalled();
    assert!(streams.stalled.iter().all(|&(_, slot)| slot == 0));
}
