//! The surroundings of a program of the model test: a hub, its clients, and what must hold when all
//! threads have ended.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use akurai_http::Socket;
use akurai_ws::Sender;

use super::super::engine_reader::EngineHealth;
use super::super::event_streams::{Arrival, EventStreams};
use super::super::greeting::Cursor;
use super::super::mailbox::Mailbox;
use super::super::options::HubOptions;
use super::super::shared::Shared;
use super::super::{Hub, Inner, Membership, Threads, websockets};
use super::clients::{self, Client};
use super::log::{End, Log, ORIGIN, Subscription};
use crate::engine::id_after;
use crate::lock::lock;
use crate::model::{self, Body};
use crate::{Batch, Event, EventId};

/// A step of a program's thread. Each client has a number, and the thread that lets it begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op {
    Publish(&'static str),
    /// More than a socket takes.
    Large(&'static str),
    /// A stream from now on.
    Subscribe(usize, &'static [&'static str]),
    /// A stream behind the hub's begin.
    Return(usize, &'static [&'static str]),
    /// A stream behind the event that its thread has published last.
    Follow(usize, &'static [&'static str]),
    /// A stream behind the event with this number, which this node has yet to read from its engine.
    Ahead(usize, &'static [&'static str], u64),
    /// An event that this node reads from its engine.
    Read(&'static str),
    /// An event, if the topic has this many subscribers already: each of them gets it.
    Greet(&'static str, usize),
    /// The client closes its stream.
    Gone(usize),
    Join(usize, &'static str),
    /// As [`Join`](Self::Join), behind the hub's begin.
    JoinAfter(usize, &'static str),
    Leave(usize),
    End(&'static str),
    /// Ends a topic, if it has this many subscribers already: each of them ends.
    EndAll(&'static str, usize),
    /// The hub's threads have done what they had to do.
    Pause,
}

use Op::{
    Ahead, EndAll, Follow, Gone, Greet, Join, JoinAfter, Large, Leave, Pause, Publish, Read,
    Return, Subscribe,
};

/// Longer than the hub needs for anything but what its ticks notice, of which the first comes
/// behind all pauses of a program: what waits for a tick was not woken.
const SETTLED: Duration = Duration::from_millis(40);

/// More than two ticks.
const SLOW: Duration = Duration::from_millis(600);

#[derive(Clone)]
pub(super) struct Scene(Arc<World>);

struct World {
    options: HubOptions,
    program: Vec<Vec<Op>>,
    hub: Mutex<Option<Hub>>,
    /// Threads of the program that have not ended.
    left: Mutex<usize>,
    sockets: Mutex<HashMap<usize, Socket>>,
    senders: Mutex<HashMap<usize, Sender>>,
    clients: Mutex<HashMap<usize, Client>>,
    memberships: Mutex<HashMap<usize, Vec<Membership>>>,
    log: Mutex<Log>,
}

impl Scene {
    pub(super) fn new(options: HubOptions, program: &[&[Op]]) -> Scene {
        let world = World {
            options: options.shards(1),
            program: program.iter().map(|ops| ops.to_vec()).collect(),
            hub: Mutex::default(),
            left: Mutex::new(program.len()),
            sockets: Mutex::default(),
            senders: Mutex::default(),
            clients: Mutex::default(),
            memberships: Mutex::default(),
            log: Mutex::default(),
        };
        for op in world.program.iter().flatten() {
            match *op {
                Subscribe(id, _) | Return(id, _) | Follow(id, _) | Ahead(id, ..) => {
                    let (socket, client) = clients::stream();
                    lock(&world.sockets).insert(id, socket);
                    lock(&world.clients).insert(id, client);
                }
                Join(id, _) | JoinAfter(id, _) if !lock(&world.senders).contains_key(&id) => {
                    let (sender, client) = clients::web_socket();
                    lock(&world.senders).insert(id, sender);
                    lock(&world.clients).insert(id, client);
                }
                _ => {}
            }
        }
        Scene(Arc::new(world))
    }

    /// The first thread: it begins the hub and all other threads.
    pub(super) fn main(&self) -> Body {
        let scene = self.clone();
        Box::new(move || {
            let hub = scene.begin_hub();
            scene.0.hub.lock().unwrap().replace(hub);
            // The hub's threads wait for their first message.
            model::pass_time(Duration::ZERO);
            for id in 1..scene.0.program.len() {
                let scene = scene.clone();
                model::spawn(move || scene.run(id));
            }
            scene.run(0);
        })
    }

    fn begin_hub(&self) -> Hub {
        let World {
            options, program, ..
        } = &*self.0;
        let ops = || program.iter().flatten();
        let has_engine = ops().any(|op| matches!(op, Read(_)));
        let shared = Arc::new(Shared::new(options.clone(), ORIGIN, has_engine));
        let mut threads = Threads::default();
        threads.notices = Arc::clone(&shared.topics.notices);
        let mailbox = Arc::new(Mailbox::default());
        threads.event_streams.push(Arc::clone(&mailbox));
        let is_stream = |op: &Op| matches!(op, Subscribe(..) | Return(..) | Follow(..) | Ahead(..));
        if ops().any(is_stream) {
            let streams = EventStreams::new(Arc::clone(&shared), mailbox);
            model::spawn(move || streams.run());
        }
        if ops().any(|op| matches!(op, Join(..) | JoinAfter(..))) {
            let (seen, mailbox) = (Arc::clone(&shared), Arc::clone(&threads.members));
            model::spawn(move || websockets::run(&seen, &mailbox));
        }
        Hub {
            inner: Arc::new(Inner {
                shared,
                threads,
                next_thread: AtomicUsize::new(0),
                engine: None,
                engine_health: EngineHealth::default(),
            }),
        }
    }

    /// The life of a thread. The last one ends the hub.
    fn run(&self, id: usize) {
        let world = &*self.0;
        let hub = world.hub.lock().unwrap().clone().expect("it has begun");
        let mut published = ORIGIN;
        for (n, op) in world.program[id].iter().enumerate() {
            self.act(&hub, *op, format!("{id}.{n}"), &mut published);
        }
        drop(hub);
        let is_last = {
            let mut left = world.left.lock().unwrap();
            *left -= 1;
            *left == 0
        };
        if is_last {
            model::pass_time(SETTLED);
            self.take();
            let mut ops = world.program.iter().flatten();
            if ops.any(|op| matches!(op, Large(_))) {
                // A slow client has room now. What ends is tried at ticks.
                model::pass_time(SLOW);
                self.take();
            }
            world.memberships.lock().unwrap().clear();
            drop(world.hub.lock().unwrap().take());
        }
    }

    fn take(&self) {
        self.0
            .clients
            .lock()
            .unwrap()
            .values_mut()
            .for_each(Client::take);
    }

    fn act(&self, hub: &Hub, op: Op, label: String, published: &mut EventId) {
        let world = &*self.0;
        match op {
            Publish(topic) | Large(topic) => {
                let data = match op {
                    Publish(_) => label.clone(),
                    _ => format!("{label} {}", "~".repeat(400_000)),
                };
                *published = hub.publish(topic, "", &data).unwrap();
                let mut log = world.log.lock().unwrap();
                log.events.push((*published, topic, label));
            }
            Subscribe(id, topics) => {
                let end = hub.inner.shared.ring.end().1;
                self.stream(hub, id, topics, Cursor::Now(end), end);
            }
            Return(id, topics) => self.stream(hub, id, topics, Cursor::After(ORIGIN), ORIGIN),
            Follow(id, topics) => {
                self.stream(hub, id, topics, Cursor::After(*published), *published);
            }
            Ahead(id, topics, seq) => {
                let after = EventId { ms: 1, seq };
                self.stream(hub, id, topics, Cursor::After(after), after);
            }
            Read(topic) => self.read(hub, topic, label),
            Greet(topic, count) if hub.present(topic) < count => {}
            Greet(topic, _) => self.act(hub, Publish(topic), format!("{label}!"), published),
            Gone(id) => {
                world.log.lock().unwrap().gone.push(id);
                drop(world.clients.lock().unwrap().remove(&id));
            }
            Join(id, topic) => self.join(hub, id, topic, None),
            JoinAfter(id, topic) => self.join(hub, id, topic, Some(ORIGIN)),
            Leave(id) => self.leave(hub, id),
            Op::End(topic) => self.end(hub, topic, false),
            EndAll(topic, count) if hub.present(topic) < count => {}
            EndAll(topic, _) => self.end(hub, topic, true),
            Pause => model::pass_time(SETTLED),
        }
    }

    /// What the thread of the engine's reader does.
    fn read(&self, hub: &Hub, topic: &'static str, label: String) {
        let id = id_after(hub.last_id());
        let event = Event {
            id,
            topic: topic.to_owned(),
            name: String::new(),
            data: label.clone(),
        };
        hub.inner.add(&Batch {
            events: vec![event],
            gap: false,
            end: id,
        });
        self.0.log.lock().unwrap().events.push((id, topic, label));
    }

    fn leave(&self, hub: &Hub, id: usize) {
        let memberships = self.0.memberships.lock().unwrap().remove(&id);
        drop(memberships);
        let after = hub.last_id();
        let mut log = self.0.log.lock().unwrap();
        let of_client = |it: &&mut Subscription| it.client == id;
        for one in log.subscriptions.iter_mut().filter(of_client) {
            one.left_at = Some(after);
        }
    }

    fn end(&self, hub: &Hub, topic: &'static str, is_for_all: bool) {
        let begun = self.0.log.lock().unwrap().tick();
        let low = hub.last_id();
        hub.end(topic);
        let high = hub.last_id();
        let mut log = self.0.log.lock().unwrap();
        let took = (begun, log.tick());
        log.ends.push(End {
            topic,
            low,
            high,
            took,
            is_for_all,
        });
    }

    /// What [`Hub::sse`] does, without a request.
    fn stream(&self, hub: &Hub, id: usize, topics: &[&'static str], cursor: Cursor, at: EventId) {
        let world = &*self.0;
        let ends = hub.inner.shared.topics.ends();
        let begun = world.log.lock().unwrap().tick();
        let socket = world
            .sockets
            .lock()
            .unwrap()
            .remove(&id)
            .expect("it is new");
        hub.inner.shared.counts.subscriber_came();
        let joined = topics
            .iter()
            .map(|topic| hub.inner.shared.topics.joined(topic));
        let arrival = Arrival {
            socket,
            topics: joined.collect(),
            cursor,
            ends,
        };
        hub.inner.arrive(arrival);
        let mut log = world.log.lock().unwrap();
        let came = (begun, log.tick());
        log.subscriptions.push(Subscription {
            client: id,
            topics: topics.to_vec(),
            is_member: false,
            low: at,
            high: at,
            came,
            left_at: None,
        });
    }

    fn join(&self, hub: &Hub, id: usize, topic: &'static str, after: Option<EventId>) {
        let world = &*self.0;
        let sender = world.senders.lock().unwrap()[&id].clone();
        let begun = world.log.lock().unwrap().tick();
        let low = hub.last_id();
        let membership = match after {
            None => hub.join(topic, sender),
            Some(after) => hub.join_after(topic, sender, after),
        };
        let high = hub.last_id();
        let mut memberships = world.memberships.lock().unwrap();
        memberships.entry(id).or_default().push(membership);
        let mut log = world.log.lock().unwrap();
        let came = (begun, log.tick());
        log.subscriptions.push(Subscription {
            client: id,
            topics: vec![topic],
            is_member: true,
            low: after.unwrap_or(low),
            high: after.unwrap_or(high),
            came,
            left_at: None,
        });
    }

    /// Checks what must hold when all threads have ended.
    pub(super) fn verify(&self) {
        self.take();
        let mut log = self.0.log.lock().unwrap();
        log.events.sort();
        let may_lose = self.0.options.max_ring_events == 1;
        let may_drop = self.0.options.max_backlog_events == 1;
        for (id, client) in &*self.0.clients.lock().unwrap() {
            let of_client = |it: &&Subscription| it.client == *id;
            let all: Vec<_> = log.subscriptions.iter().filter(of_client).collect();
            let is_member = all.iter().any(|it| it.is_member);
            let (got, is_cut) = match is_member {
                true => (clients::messages(&client.taken).0, false),
                false => clients::events(&client.taken),
            };
            assert!(!is_cut || may_drop, "client {id} has half an event");
            log.check_order(&got);
            for subscription in all {
                log.check(subscription, &got, may_lose, may_drop && client.has_ended);
            }
            let must_end = log
                .subscriptions
                .iter()
                .filter(of_client)
                .any(|it| log.is_ended(it));
            let has_left = log
                .subscriptions
                .iter()
                .filter(of_client)
                .any(|it| it.left_at.is_some());
            assert!(
                !must_end || client.has_ended || is_member,
                "client {id} did not end"
            );
            if is_member {
                let code = clients::messages(&client.taken).1;
                assert!(
                    !must_end || has_left || code == Some(1000) || may_lose,
                    "client {id} did not end"
                );
            }
        }
    }
}
