//! Sends one event to many: topics, subscribers that cost no thread, and replay for clients that
//! come back.

mod backlog;
mod early;
mod end;
mod engine_reader;
mod event_streams;
mod failures;
mod greeting;
mod history;
mod losses;
mod mailbox;
mod membership;
mod notices;
mod options;
mod presence;
mod retained;
mod ring;
mod shared;
mod stats;
mod stored_event;
mod subscriber;
mod topics;
mod vanished;
mod websockets;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use akurai_http::{Reply, Request, Response, Status, event_stream, last_event_id};

use self::engine_reader::EngineHealth;
use self::event_streams::{Arrival, EventStreams, StreamChange};
use self::greeting::Cursor;
pub use self::history::History;
use self::mailbox::Mailbox;
pub use self::membership::Membership;
use self::notices::Notices;
use self::options::TOPIC_BYTES;
pub use self::options::{HubOptions, Retention};
use self::shared::Shared;
pub use self::stats::HubStats;
use self::stats::Outcome;
use self::websockets::MemberMailbox;
use crate::engine::{id_before, now_ms};
use crate::{Batch, Engine, EventId};

/// Spreads events to subscribers by topic.
///
/// A subscriber's connection is parked: after the response head is written, the connection's thread
/// is free for other work. A few threads, the shards, write to all subscribers. So a subscriber
/// costs a socket and a few hundred bytes, and a slow subscriber delays no other.
///
/// A shard writes an event at once. If the last events took a while to write, the shard first
/// rests, for three quarters of that while and 10 ms at most. The shard looks for new events before
/// each 16 subscribers. A subscriber gets in one write what was published up to the last such look:
/// at most 256 events, and at most 64 KiB or one event.
///
/// Every event has an [id](EventId). A browser that lost its connection comes back with the id of
/// the last event it saw, and gets the events it missed from the hub's ring. If some of them are
/// gone, it gets an event named `reset`, and should load its state again. [`last_id`](Hub::last_id)
/// describes a page that loads its state first and then follows the changes.
/// [`history`](Hub::history) describes a page that begins with the last events.
///
/// A clone is a handle to the same hub. The hub's threads end when the last clone is dropped.
///
/// ```no_run
/// use akurai_http::{Response, Router, Server};
/// use akurai_server::{Hub, HubOptions};
///
/// fn main() -> std::io::Result<()> {
///     let hub = Hub::new(HubOptions::default())?;
///     let publisher = hub.clone();
///     let app = Router::new()
///         .get("/news", move |req| hub.sse(req, &["news"]))
///         .post("/news", move |req| -> std::io::Result<Response> {
///             let text = String::from_utf8_lossy(&req.body()?).into_owned();
///             Ok(Response::text(publisher.publish("news", "", &text)?.to_string()))
///         });
///     Server::bind("127.0.0.1:8090")?.run(app)
/// }
/// ```
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

/// The part that all clones of a hub share. The hub's threads hold only its `shared` field, so they
/// end with the last clone.
struct Inner {
    shared: Arc<Shared>,
    threads: Threads,
    next_thread: AtomicUsize,
    engine: Option<Arc<dyn Engine>>,
    engine_health: EngineHealth,
}

/// The mailboxes that wake the hub's threads. Dropping this ends the threads, also when `start`
/// failed because one of them could not be created.
#[derive(Default)]
struct Threads {
    /// The mailboxes of the threads that write to event streams.
    event_streams: Vec<Arc<Mailbox<StreamChange>>>,
    members: Arc<MemberMailbox>,
    notices: Arc<Notices>,
    watch: Arc<Mailbox<()>>,
}

impl Hub {
    /// A hub without an engine. It keeps its events in its own memory.
    ///
    /// # Errors
    ///
    /// If its threads cannot be created.
    pub fn new(options: HubOptions) -> io::Result<Hub> {
        // An id from an earlier process is lower than this one, so a client that comes with such an
        // id learns of the gap.
        let origin = EventId {
            ms: now_ms(),
            seq: 0,
        };
        Hub::start(options, origin, None)
    }

    /// A hub whose events all come from an engine, also the events that this hub publishes. So
    /// every node of the engine sees the events in the same order.
    ///
    /// # Errors
    ///
    /// If the engine cannot return its last events, or the threads cannot be created.
    pub fn with_engine(options: HubOptions, engine: impl Engine) -> io::Result<Hub> {
        let engine: Arc<dyn Engine> = Arc::new(engine);
        let tail = engine.tail(options.max_ring_events.max(1))?;
        // This hub has no earlier events, although it never dropped any.
        let origin = match tail.events.first() {
            Some(first) => id_before(first.id),
            None => tail.end,
        };
        let hub = Hub::start(options, origin, Some(Arc::clone(&engine)))?;
        hub.inner.add(&tail);
        engine_reader::start(engine, Arc::downgrade(&hub.inner), tail.end)?;
        Ok(hub)
    }

    fn start(
        options: HubOptions,
        origin: EventId,
        engine: Option<Arc<dyn Engine>>,
    ) -> io::Result<Hub> {
        let shared = Arc::new(Shared::new(options, origin, engine.is_some()));
        let mut threads = Threads::default();
        threads.notices = Arc::clone(&shared.topics.notices);
        for _ in 0..shared.options.shards.max(1) {
            let mailbox = Arc::new(Mailbox::default());
            threads.event_streams.push(Arc::clone(&mailbox));
            let streams = EventStreams::new(Arc::clone(&shared), mailbox);
            spawn(move || streams.run())?;
        }
        let (seen, mailbox) = (Arc::clone(&shared), Arc::clone(&threads.members));
        spawn(move || websockets::run(&seen, &mailbox))?;
        if cfg!(target_os = "linux") {
            let (seen, mailbox) = (Arc::clone(&shared), Arc::clone(&threads.watch));
            spawn(move || {
                let limit = seen.options.no_acknowledgement;
                let is_anybody_present = || seen.topics.count() > 0;
                vanished::watch(&seen.vanished, limit, is_anybody_present, &mailbox);
            })?;
        }
        Ok(Hub {
            inner: Arc::new(Inner {
                shared,
                threads,
                next_thread: AtomicUsize::new(0),
                engine,
                engine_health: EngineHealth::default(),
            }),
        })
    }

    /// Publishes an event to every subscriber of `topic`, and returns the event's id. `name` is the
    /// event name that a browser dispatches; `""` means `message`. This waits for no subscriber.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the topic is longer than 1,024 bytes, if the name holds a line break, or
    /// if the event would not fit into the ring ([`HubOptions::max_ring_bytes`], where its text
    /// counts twice). Also the errors of the engine.
    pub fn publish(&self, topic: &str, name: &str, data: &str) -> io::Result<EventId> {
        if let Some(engine) = &self.inner.engine {
            // The publisher gets the error here. Otherwise every node would have to refuse the
            // event.
            self.counted(
                self.inner.shared.ring.check(topic, name, data),
                Outcome::Refused,
            )?;
            let id = self.counted(engine.publish(topic, name, data), Outcome::Failed)?;
            self.inner.shared.counts.count(Outcome::Published);
            return Ok(id);
        }
        let added = self.inner.shared.ring.publish(topic, name, data);
        let id = self.counted(added, Outcome::Refused)?;
        self.inner.shared.counts.count(Outcome::Published);
        self.inner.wake();
        Ok(id)
    }

    /// Counts `outcome` if `result` is an error.
    fn counted<T>(&self, result: io::Result<T>, outcome: Outcome) -> io::Result<T> {
        if result.is_err() {
            self.inner.shared.counts.count(outcome);
        }
        result
    }

    /// Answers with an event stream of these topics. The stream begins after the last event that
    /// the client saw, or now if the client names none.
    ///
    /// [`last_event_id`] reads the id of that event from the field `Last-Event-ID`, which a browser
    /// sends when it comes back. Without the field, it reads `last_event_id` in the query, for a
    /// page that has its state from [`last_id`](Hub::last_id) or [`history`](Hub::history). If a
    /// later event of one of these topics is lost, or the id is not from this hub, the stream
    /// begins with an event named `reset`, whose data is a text for people, and continues from now.
    /// Before the `reset` come the last values of [gauges](Hub::latest_only), without ids.
    ///
    /// A client gets no `reset` because of events that other topics lost. There are three
    /// exceptions, where the hub no longer knows which events a topic lost:
    ///
    /// - The hub remembers the names of topics that lost events, in an eighth of
    ///   [`HubOptions::max_ring_bytes`]. When that is full, it forgets the topics whose last loss
    ///   is oldest.
    /// - The order of the engine begins again with lower ids.
    /// - A node that starts knows only the engine's last
    ///   [`max_ring_events`](HubOptions::max_ring_events) events. A client whose last event is
    ///   older gets a `reset`.
    ///
    /// Heartbeats give a connected client a newer id, so the third exception affects only clients
    /// that were away.
    ///
    /// A client that comes from another node of the hub's [`Engine`] may have seen events that this
    /// node has not read yet. Its stream stays open, with comments as heartbeats, until this node
    /// has read that far, or the engine says that it has no such event. While the engine is
    /// unreachable, the client waits.
    ///
    /// If a topic is longer than 1,024 bytes, the answer is 400: nothing can be published to it.
    pub fn sse(&self, req: &Request, topics: &[&str]) -> Reply {
        if topics.iter().any(|topic| topic.len() > TOPIC_BYTES) {
            let text = format!("topic is longer than {TOPIC_BYTES} bytes\n");
            return Response::text(text).with_status(Status::BAD_REQUEST).into();
        }
        let cursor = match last_event_id(req).as_deref() {
            // "Now" is the time of the request, not the time at which the response head reaches the
            // client.
            None | Some(b"") => Cursor::Now(self.inner.shared.ring.end().1),
            Some(id) => match std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()) {
                Some(id) => Cursor::After(id),
                None => Cursor::Unknown,
            },
        };
        let inner = Arc::clone(&self.inner);
        let ends = inner.shared.topics.ends();
        let mut names: Vec<String> = topics.iter().map(|&topic| topic.to_owned()).collect();
        names.sort();
        names.dedup();
        let upgrade = event_stream(move |upgraded| {
            let (_, socket) = upgraded.into_parts();
            if socket.set_nonblocking(true).is_ok() {
                // Counted before the topics count it, so that a presence notice already sees the
                // subscriber.
                inner.shared.counts.subscriber_came();
                inner.arrive(Arrival {
                    socket,
                    topics: names
                        .iter()
                        .map(|name| inner.shared.topics.joined(name))
                        .collect(),
                    cursor,
                    ends,
                });
            }
        });
        upgrade.into()
    }

    /// The id after which a stream that begins now would begin: the id of the hub's last event or,
    /// if there is none yet, the start of the hub's order.
    ///
    /// Use it to connect a page's state to its stream. A handler reads this id first and the state
    /// second, and gives both to the page. The page opens its stream after this id. It then misses
    /// no event, provided that the program changes the state before it publishes the change. A
    /// change between the two reads is in the state, and also comes as an event.
    ///
    /// ```
    /// use std::sync::Mutex;
    ///
    /// use akurai_http::{Method, Request, Response, Router};
    /// use akurai_server::{Hub, HubOptions};
    ///
    /// static SCORE: Mutex<u32> = Mutex::new(0);
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let hub = Hub::new(HubOptions::default())?;
    /// let (state, scorer, events) = (hub.clone(), hub.clone(), hub);
    /// let app = Router::new()
    ///     .get("/score", move |_| {
    ///         let at = state.last_id();
    ///         let score = SCORE.lock().unwrap();
    ///         let body = format!(r#"{{"score":{score},"at":"{at}"}}"#);
    ///         Response::json(body).with_header("Cache-Control", "no-store")
    ///     })
    ///     .post("/score", move |_| -> std::io::Result<Response> {
    ///         // Published under the lock, so that the events come in the order of the changes.
    ///         let mut score = SCORE.lock().unwrap();
    ///         *score += 1;
    ///         scorer.publish("score", "", &score.to_string())?;
    ///         Ok(Response::text(""))
    ///     })
    ///     .get("/events", move |req| events.sse(req, &["score"]));
    /// # let reply = app.handle(&Request::new(Method::Get, "/score"));
    /// # assert!(reply.response().body().unwrap().starts_with(br#"{"score":0,"at":""#));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// ```js
    /// async function begin() {
    ///   let { score, at } = await (await fetch("/score")).json();
    ///   show(score);
    ///   const events = new EventSource("/events?last_event_id=" + at);
    ///   events.onmessage = (event) => show(event.data);
    ///   events.addEventListener("reset", () => { events.close(); begin(); });
    /// }
    /// ```
    pub fn last_id(&self) -> EventId {
        self.inner.shared.ring.end().1
    }

    /// Makes a topic a gauge, of which only the last value matters. A subscriber that falls behind
    /// gets only the newest value, behind what was being written to it. A new subscriber gets the
    /// last value at once, if the hub still has it ([`retain`](Hub::retain) keeps it). A WebSocket
    /// subscriber gets every value. This does nothing for a topic longer than 1,024 bytes, which
    /// has no events.
    pub fn latest_only(&self, topic: &str) {
        if topic.len() <= TOPIC_BYTES {
            self.inner.shared.topics.add_gauge(topic);
        }
    }

    /// Whether events get through now, as far as this hub knows. Without an engine they always do.
    /// While they do not, streams stay open, and publishing fails.
    ///
    /// # Errors
    ///
    /// The reason, in the engine's words, which may name hosts. Or: the last call of the engine's
    /// [`next`](Engine::next) panicked; the hub calls it again after 1 s.
    pub fn ready(&self) -> io::Result<()> {
        let engine = self.inner.engine.as_ref();
        self.inner.engine_health.ready()?;
        engine.map_or(Ok(()), |engine| engine.ready())
    }

    /// The current state of this hub, and its counts since it was created. They cover this node
    /// only, not other nodes of its engine. This waits for no publisher and no engine.
    pub fn stats(&self) -> HubStats {
        let shared = &self.inner.shared;
        let (ring_events, ring_bytes, ring_span) = shared.ring.usage();
        let engine = self.inner.engine.as_ref();
        HubStats {
            ready: self.ready().is_ok(),
            members: self.inner.threads.members.count(),
            topics: shared.topics.count(),
            ring_events,
            ring_bytes,
            ring_span,
            reconnections: engine.map_or(0, |engine| engine.reconnections()),
            ..shared.counts.read()
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = thread::Builder::new().name("akurai-hub".to_owned());
    builder.spawn(work).map(drop)
}

impl Inner {
    fn wake(&self) {
        for mailbox in &self.threads.event_streams {
            mailbox.signal();
        }
        self.threads.members.signal();
    }

    fn arrive(&self, arrival: Arrival) {
        let next = self.next_thread.fetch_add(1, Ordering::Relaxed);
        let event_streams = &self.threads.event_streams;
        event_streams[next % event_streams.len()].put(StreamChange::Arrival(arrival));
    }

    /// Adds the events of a batch from the engine.
    fn add(&self, batch: &Batch) {
        if batch.gap {
            let floor = batch.events.first().map(|first| id_before(first.id));
            self.shared.ring.lose(floor.unwrap_or(batch.end));
        }
        for event in &batch.events {
            let ring = &self.shared.ring;
            ring.add(event.id, &event.topic, &event.name, &event.data);
        }
        self.shared.ring.reach(batch.end);
        if batch.gap || !batch.events.is_empty() {
            self.wake();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for mailbox in &self.event_streams {
            mailbox.end();
        }
        self.members.end();
        self.notices.end();
        self.watch.end();
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("options", &self.inner.shared.options)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, unix))]
mod tests;
