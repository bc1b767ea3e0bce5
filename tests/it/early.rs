//! Clients that come from a node which is ahead: their ids have not reached the new node yet. Only
//! the engine can say whether such an id belongs to its order of events. No clock can.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use akurai_server::{Batch, Engine, Event, EventId, Hub, HubOptions};
use akurai_tests::{DEADLINE, End, TestServer, eventually};

use crate::hub::{Reader, quick, serve, subscribe};

/// One order of events. The test chooses the ids.
#[derive(Default)]
pub(crate) struct Order {
    events: Mutex<Vec<Event>>,
}

/// How the engine answers a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It returns all events that it has.
    Open,
    /// It returns one event at a time, at intervals.
    Paced,
    /// It does not answer until the mode changes.
    Silent,
    /// It fails as unavailable.
    Away,
    /// When there is no next event, it makes one itself.
    Busy,
    /// It says that the order begins again, after 3-0, and then changes to `Open`.
    Anew,
}

/// The order as one node sees it.
#[derive(Clone)]
pub(crate) struct Node(Arc<State>);

struct State {
    order: Arc<Order>,
    mode: Mutex<Mode>,
    changed: Condvar,
    /// How often the hub asked for the next events, and for the order's end.
    reads: AtomicUsize,
    ends: AtomicUsize,
}

pub(crate) fn id(ms: u64) -> EventId {
    EventId { ms, seq: 0 }
}

impl Order {
    pub(crate) fn put(&self, ms: u64, topic: &str, data: &str) -> EventId {
        let (name, topic, data) = (String::new(), topic.to_owned(), data.to_owned());
        let (id, mut events) = (id(ms), self.events.lock().unwrap());
        assert!(events.last().is_none_or(|last| last.id < id));
        events.push(Event {
            id,
            topic,
            name,
            data,
        });
        id
    }

    fn after(&self, after: EventId, max: usize) -> Batch {
        let events = self.events.lock().unwrap();
        let next = events.iter().filter(|event| event.id > after).take(max);
        let events: Vec<Event> = next.cloned().collect();
        let end = events.last().map_or(after, |last| last.id);
        Batch {
            events,
            gap: false,
            end,
        }
    }

    fn node(self: &Arc<Self>, mode: Mode) -> Node {
        Node(Arc::new(State {
            order: Arc::clone(self),
            mode: Mutex::new(mode),
            changed: Condvar::new(),
            reads: AtomicUsize::new(0),
            ends: AtomicUsize::new(0),
        }))
    }
}

impl Node {
    /// Sets the mode of every later answer.
    pub(crate) fn set(&self, mode: Mode) {
        *self.0.mode.lock().unwrap() = mode;
        self.0.changed.notify_all();
    }

    fn ends(&self) -> usize {
        self.0.ends.load(Ordering::SeqCst)
    }

    /// Waits until the hub has asked a few times more.
    fn is_read(&self) {
        let reads = || self.0.reads.load(Ordering::SeqCst);
        let before = reads();
        eventually("it is read", || reads() >= before + 5);
    }

    fn serve(&self, options: HubOptions) -> (Hub, TestServer) {
        let hub = Hub::with_engine(options, self.clone()).unwrap();
        let server = serve(&hub);
        (hub, server)
    }
}

impl Engine for Node {
    fn publish(&self, _: &str, _: &str, _: &str) -> io::Result<EventId> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn next(&self, after: EventId, wait: Duration, max: usize) -> io::Result<Batch> {
        let State { order, mode, .. } = &*self.0;
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        let mode = mode.lock().unwrap();
        let is_silent = |mode: &mut Mode| *mode == Mode::Silent;
        let wait_for = self
            .0
            .changed
            .wait_timeout_while(mode, DEADLINE * 2, is_silent);
        // Held until the answer is ready.
        let mut mode = wait_for.unwrap().0;
        let pace = Duration::from_millis(10);
        match *mode {
            Mode::Open | Mode::Silent => {
                let batch = order.after(after, max);
                if batch.events.is_empty() {
                    thread::park_timeout(wait.min(pace));
                }
                Ok(batch)
            }
            Mode::Paced => {
                thread::park_timeout(pace * 5);
                Ok(order.after(after, 1))
            }
            Mode::Away => Err(io::ErrorKind::NotConnected.into()),
            Mode::Busy => {
                thread::park_timeout(pace);
                if order.after(after, 1).events.is_empty() {
                    order.put(after.ms + 1, "noise", "");
                }
                Ok(order.after(after, 1))
            }
            Mode::Anew => {
                *mode = Mode::Open;
                let (events, end) = (Vec::new(), id(3));
                Ok(Batch {
                    events,
                    gap: true,
                    end,
                })
            }
        }
    }

    fn tail(&self, max: usize) -> io::Result<Batch> {
        let mut batch = self.0.order.after(EventId::default(), usize::MAX);
        batch.events.drain(..batch.events.len().saturating_sub(max));
        Ok(batch)
    }

    fn end(&self) -> io::Result<EventId> {
        self.0.ends.fetch_add(1, Ordering::SeqCst);
        Ok(self.tail(0)?.end)
    }
}

/// Reads until an event has this text.
#[track_caller]
fn read_to(reader: &mut Reader, data: &str) {
    let is_there = |reader: &Reader| {
        reader
            .stream
            .dispatched
            .last()
            .is_some_and(|e| e.data == data)
    };
    while !is_there(reader) {
        let count = reader.stream.dispatched.len();
        reader.read(count + 1);
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_millis() as u64
}

/// An order that has one event `first` of topic `a`, and a node that has read it.
pub(crate) fn begun(ms: u64) -> (Arc<Order>, Node) {
    let order = Arc::new(Order::default());
    order.put(ms, "a", "first");
    let node = order.node(Mode::Open);
    (order, node)
}

/// Waits until the sweep has removed all clients that have left.
#[track_caller]
fn have_left(hub: &Hub) {
    eventually("they have left", || hub.present("a") == 0);
}

/// Connects a client with this id, and waits until a shard has taken it. No client of the topic may
/// be leaving meanwhile.
#[track_caller]
fn comes(hub: &Hub, server: &TestServer, topics: &str, id: EventId) -> Reader {
    let before = hub.present("a");
    let mut reader = subscribe(server, topics, Some(&id.to_string()));
    while reader.stream.retry.is_none() {
        let bytes = reader.client.read_some();
        reader.stream.feed(&bytes);
    }
    assert_eq!(hub.present("a"), before + 1);
    reader
}

#[test]
fn the_clock_of_a_node_decides_nothing() {
    // The engine's ids are this far from the process's clock, as if the node's clock were behind or
    // ahead by as much.
    for offset in [-3_600_000_i64, -120_000, -50_000, 120_000, 3_600_000] {
        let ms = now().saturating_add_signed(offset);
        let (order, late) = begun(ms);
        let (_, ahead) = order.node(Mode::Open).serve(quick());
        let (hub, server) = late.serve(quick());
        late.set(Mode::Silent);
        let mut reader = subscribe(&ahead, "a", Some(&id(ms).to_string()));
        order.put(ms + 1, "a", "second");
        assert_eq!(reader.read(1), ["second"]);
        let seen: EventId = reader.stream.last_event_id.parse().unwrap();
        let mut moved = comes(&hub, &server, "a", seen);
        order.put(ms + 2, "a", "third");
        late.set(Mode::Open);
        assert_eq!(moved.read(1), ["third"], "at {offset} ms");
        // The client moves back.
        let mut back = subscribe(&ahead, "a", Some(&moved.stream.last_event_id));
        order.put(ms + 3, "a", "fourth");
        assert_eq!(
            (back.read(1), moved.read(2)[1].as_str()),
            (vec!["fourth".to_owned()], "fourth")
        );
    }
}

#[test]
fn an_early_client_ends_with_its_topic() {
    let (order, node) = begun(5);
    let (hub, server) = node.serve(quick());
    node.set(Mode::Silent);
    let mut ended = comes(&hub, &server, "a,b", id(7));
    let mut other = comes(&hub, &server, "a", id(7));
    hub.end("b");
    assert_eq!(ended.client.read_to_end().1, End::Fin);
    eventually("it has left", || hub.present("a") == 1);
    order.put(7, "a", "seen");
    order.put(8, "a", "next");
    node.set(Mode::Open);
    assert_eq!(other.read(1), ["next"]);
    assert_eq!(hub.stats().ended, 1);
}

#[test]
fn a_node_that_is_far_behind_is_waited_for() {
    let (order, node) = begun(5);
    let (hub, server) = node.serve(quick());
    node.set(Mode::Silent);
    for ms in 6..=60 {
        order.put(ms, "a", &ms.to_string());
    }
    let mut reader = comes(&hub, &server, "a", id(58));
    let mut other = comes(&hub, &server, "a", id(57));
    // Nearly three seconds, in which no read returns empty.
    node.set(Mode::Paced);
    assert_eq!(reader.read(2), ["59", "60"]);
    assert_eq!(other.read(3), ["58", "59", "60"]);
    let ends = node.ends();
    assert!(
        (1..=2).contains(&ends),
        "one look is enough for each: {ends}"
    );
}

#[test]
fn an_id_that_never_comes_is_told_in_an_idle_order() {
    let (order, node) = begun(5);
    let (hub, server) = node.serve(quick());
    hub.latest_only("gauge");
    order.put(6, "gauge", "1");
    eventually("it is here", || hub.last_id() == id(6));
    for never in [id(7), id(now() + 50_000), id(u64::MAX)] {
        let mut reader = comes(&hub, &server, "a,gauge", never);
        assert_eq!(reader.read(2), ["1", "events were lost"]);
        let ids: Vec<_> = reader
            .stream
            .dispatched
            .iter()
            .map(|event| &*event.last_event_id)
            .collect();
        assert_eq!(ids, ["", "6-0"]);
        drop(reader);
        have_left(&hub);
    }
    assert_eq!(node.ends(), 0, "the empty reads say so");
    order.put(7, "a", "next");
    let mut reader = comes(&hub, &server, "a", id(9));
    // The node may send the reset before it has read the next event, which then comes after.
    assert_eq!(reader.read(1)[0], "events were lost");
    order.put(8, "a", "last");
    read_to(&mut reader, "last");
}

#[test]
fn an_id_that_never_comes_is_told_in_a_busy_order() {
    let (_order, node) = begun(5);
    let (hub, server) = node.serve(quick());
    node.set(Mode::Busy);
    node.is_read();
    assert_eq!(node.ends(), 0, "no subscriber needs a look");
    let mut reader = comes(&hub, &server, "a,noise", id(now()));
    reader.read(2);
    assert_eq!(reader.stream.dispatched[0].data, "events were lost");
    // The client continues from there.
    let ids: Vec<EventId> = reader.stream.dispatched[..2]
        .iter()
        .map(|event| event.last_event_id.parse().unwrap())
        .collect();
    assert_eq!(ids[0].ms + 1, ids[1].ms);
    let ends = node.ends();
    assert_eq!(ends, 1);
    node.is_read();
    assert_eq!(node.ends(), ends, "no subscriber needs a look");
}

/// The comment that keeps an idle stream open.
const HEARTBEAT: &[u8] = b": \n\n";

fn with_heartbeats() -> HubOptions {
    quick().heartbeat(Duration::from_millis(100))
}

#[test]
fn an_engine_that_is_away_says_nothing() {
    let (order, node) = begun(5);
    let (hub, server) = node.serve(with_heartbeats());
    for mode in [Mode::Away, Mode::Silent] {
        node.set(mode);
        let ms = order.after(EventId::default(), 99).end.ms;
        let mut ahead = comes(&hub, &server, "a", id(ms + 1));
        let mut never = comes(&hub, &server, "a", id(now()));
        for reader in [&mut ahead, &mut never] {
            // Longer than any of the hub's own waits.
            for _ in 0..12 {
                let bytes = reader.client.read_through(HEARTBEAT);
                reader.stream.feed(&bytes);
            }
            assert_eq!(reader.stream.last_event_id, "", "its cursor is set back");
            assert!(reader.stream.retry.is_some());
            assert_eq!(reader.stream.dispatched.len(), 0);
        }
        order.put(ms + 1, "a", "seen");
        order.put(ms + 2, "a", "unseen");
        node.set(Mode::Open);
        assert_eq!(ahead.read(1), ["unseen"]);
        assert_eq!(never.read(1), ["events were lost"]);
        drop((ahead, never));
        have_left(&hub);
    }
}

#[test]
fn a_stream_whose_place_is_not_known_ends_like_others() {
    let brief = quick().lifetime(Duration::from_millis(300));
    for (options, stops) in [(brief, false), (quick(), true)] {
        let (_, node) = begun(5);
        let (hub, server) = node.serve(options);
        node.set(Mode::Away);
        let mut reader = comes(&hub, &server, "a", id(6));
        if stops {
            server.handle().shutdown(DEADLINE);
        }
        let (bytes, end) = reader.client.read_to_end();
        assert_eq!(end, End::Fin);
        reader.stream.feed(&bytes);
        assert!(reader.stream.retry.is_some());
        assert_eq!(
            (
                &*reader.stream.last_event_id,
                reader.stream.dispatched.len()
            ),
            ("", 0)
        );
        eventually("it has left", || hub.present("a") == 0);
    }
}

#[test]
fn who_leaves_before_its_place_is_known_is_noticed_once() {
    let (order, node) = begun(5);
    let one_shard = quick().shards(1);
    let (hub, server) = node.serve(one_shard);
    let (tell, told) = mpsc::channel();
    hub.on_leave(move |topic, count| drop(tell.send(format!("{topic}{count}"))))
        .unwrap();
    node.set(Mode::Silent);
    let mut stays = comes(&hub, &server, "a", id(6));
    for n in 0..3 {
        let leaves = comes(&hub, &server, "a,b", id(6 + n));
        drop(leaves);
        let mut left = [
            told.recv_timeout(DEADLINE).unwrap(),
            told.recv_timeout(DEADLINE).unwrap(),
        ];
        left.sort();
        assert_eq!(left, ["a1", "b0"]);
    }
    // The client gets the place of those that left.
    let mut next = comes(&hub, &server, "b,a", id(7));
    for ms in 6..9 {
        order.put(ms, "a", &ms.to_string());
    }
    node.set(Mode::Open);
    assert_eq!(stays.read(2), ["7", "8"]);
    assert_eq!(next.read(1), ["8"]);
    assert!(told.try_recv().is_err());
}

#[test]
fn many_that_are_early_at_once() {
    const MANY: u64 = 300;
    let (order, node) = begun(5);
    let (hub, server) = node.serve(quick());
    node.set(Mode::Silent);
    // Of every three clients one is where the node is, one is ahead, and one has an id that never
    // comes.
    let mut readers: Vec<(u64, Reader)> = (0..MANY)
        .map(|n| {
            let ms = [5, 6 + n % 10, 100 + n][n as usize % 3];
            (ms, comes(&hub, &server, "a", id(ms)))
        })
        .collect();
    for ms in 6..=20 {
        order.put(ms, "a", &ms.to_string());
    }
    node.set(Mode::Open);
    for (ms, reader) in &mut readers {
        if *ms > 20 {
            // A shard may send the reset before the events that came meanwhile.
            assert_eq!(reader.read(1)[0], "events were lost", "{ms}");
            continue;
        }
        let expected: Vec<_> = (*ms + 1..=20).map(|ms| ms.to_string()).collect();
        assert_eq!(reader.read(expected.len()), expected, "{ms}");
    }
    order.put(21, "a", "21");
    for (ms, reader) in &mut readers {
        read_to(reader, "21");
        assert_eq!(reader.stream.last_event_id, "21-0", "{ms}");
    }
}

#[test]
fn an_order_that_begins_again_while_a_client_is_early() {
    let (order, node) = begun(500);
    let (hub, server) = node.serve(quick());
    node.set(Mode::Silent);
    // An id of the old order: its client gets one reset, possibly together with others that lost
    // events.
    let mut old = comes(&hub, &server, "a", id(501));
    let mut reader = comes(&hub, &server, "a", id(500));
    order.events.lock().unwrap().clear();
    node.set(Mode::Anew);
    assert_eq!(reader.read(1), ["events were lost"]);
    assert_eq!(old.read(1), ["events were lost"]);
    // An id of the current order: another node has already read it.
    node.set(Mode::Silent);
    let mut new = comes(&hub, &server, "a", id(41));
    order.put(41, "a", "41");
    order.put(42, "a", "42");
    node.set(Mode::Open);
    assert_eq!(new.read(1), ["42"]);
    for reader in [&mut old, &mut reader] {
        assert_eq!(reader.read(3)[1..], ["41", "42"]);
    }
}
