//! The hub: it sends one event to many subscribers. They cost no thread, each missing event is
//! reported to them, and they delay nobody.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use akurai_http::{Request, Router};
use akurai_server::{EventId, Hub, HubOptions, Memory};
use akurai_tests::{Client, DEADLINE, End, EventStream, TestServer, eventually};

const LONG: Duration = Duration::from_secs(600);

/// A server with a hub at `/events/{topic}`; the hub checks every subscriber every 250 ms.
pub(crate) fn serving(options: HubOptions) -> (TestServer, Hub) {
    let hub = Hub::new(options).expect("threads can be made");
    (serve(&hub), hub)
}

pub(crate) fn serve(hub: &Hub) -> TestServer {
    let hub = hub.clone();
    TestServer::start(Router::new().get("/events/{topics}", move |req: &Request| {
        let topics: Vec<&str> = req.param("topics").unwrap_or("").split(',').collect();
        hub.sse(req, &topics)
    }))
}

pub(crate) fn quick() -> HubOptions {
    HubOptions::default()
        .shards(2)
        .sweep(Duration::from_millis(250))
        .heartbeat(LONG)
        .lifetime(LONG)
}

/// A client that has subscribed, and has read up to its first cursor.
pub(crate) struct Reader {
    pub(crate) client: Client,
    pub(crate) stream: EventStream,
}

pub(crate) fn subscribe(server: &TestServer, topics: &str, last_event_id: Option<&str>) -> Reader {
    let mut client = server.connect();
    let id = last_event_id.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
    client.send(format!(
        "GET /events/{topics} HTTP/1.1\r\nHost: t\r\n{id}\r\n"
    ));
    let head = client.read_head();
    assert_eq!(head.status, 200, "{head:?}");
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    Reader {
        client,
        stream: EventStream::default(),
    }
}

impl Reader {
    /// Reads until this many events have come; returns their data.
    #[track_caller]
    pub(crate) fn read(&mut self, count: usize) -> Vec<String> {
        while self.stream.dispatched.len() < count {
            let bytes = self.client.read_some();
            self.stream.feed(&bytes);
        }
        self.data()
    }

    /// Reads until the stream has sent its cursor.
    #[track_caller]
    pub(crate) fn read_cursor(&mut self) -> EventId {
        loop {
            if let Ok(id) = self.stream.last_event_id.parse() {
                return id;
            }
            let bytes = self.client.read_some();
            self.stream.feed(&bytes);
        }
    }

    fn data(&self) -> Vec<String> {
        self.stream
            .dispatched
            .iter()
            .map(|event| event.data.clone())
            .collect()
    }

    fn ids(&self) -> Vec<String> {
        self.stream
            .dispatched
            .iter()
            .map(|event| event.last_event_id.clone())
            .collect()
    }
}

#[test]
fn events_reach_all_subscribers_of_their_topic_in_order() {
    let (server, hub) = serving(quick());
    let mut readers: Vec<Reader> = (0..20).map(|_| subscribe(&server, "a", None)).collect();
    let mut other = subscribe(&server, "b,a", None);
    for reader in readers.iter_mut().chain([&mut other]) {
        reader.read_cursor();
    }
    let ids: Vec<String> = (0..50)
        .map(|n| hub.publish("a", "", &n.to_string()).unwrap().to_string())
        .collect();
    hub.publish("b", "named", "of b\nin two lines").unwrap();
    hub.publish("c", "", "of c").unwrap();
    let expected: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    for reader in &mut readers {
        assert_eq!(reader.read(50), expected);
        assert_eq!(reader.ids(), ids);
    }
    other.read(51);
    let last = other.stream.dispatched.last().unwrap();
    assert_eq!((&*last.event, &*last.data), ("named", "of b\nin two lines"));
    assert!(readers[0].client.is_silent_for(Duration::from_millis(50)));
}

#[test]
fn who_comes_while_events_never_cease_has_its_turn() {
    let (server, hub) = serving(quick());
    // These clients read nothing, and one value of the gauge waits for each: a pass over them takes
    // longer than publishing a batch.
    hub.latest_only("gauge");
    let mut idle: Vec<Reader> = (0..100)
        .map(|_| subscribe(&server, "gauge", None))
        .collect();
    idle.iter_mut().for_each(|reader| {
        reader.read_cursor();
    });
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                hub.publish("gauge", "", "1").unwrap();
            }
        });
        for _ in 0..10 {
            let came = catch_unwind(AssertUnwindSafe(|| {
                subscribe(&server, "a", None).read_cursor()
            }));
            over.store(came.is_err(), Ordering::Relaxed);
            assert!(came.is_ok(), "it waits for a silence");
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_parked_subscriber_has_no_thread() {
    let (server, hub) = serving(quick());
    let mut readers: Vec<Reader> = (0..50).map(|_| subscribe(&server, "a", None)).collect();
    for reader in &mut readers {
        reader.read_cursor();
    }
    eventually("all threads wait for connections", || {
        let stats = server.handle().stats();
        stats.upgraded == 50 && stats.connections == 0 && stats.threads <= 33
    });
    assert_eq!(hub.present("a"), 50);
    drop(readers);
    eventually("all have left", || {
        hub.present("a") == 0 && server.handle().stats().upgraded == 0
    });
}

#[test]
fn who_comes_back_gets_what_it_missed_and_nothing_twice() {
    let (server, hub) = serving(quick());
    let mut reader = subscribe(&server, "a", None);
    let start = reader.read_cursor();
    hub.publish("a", "", "1").unwrap();
    hub.publish("b", "", "not this").unwrap();
    reader.read(1);
    let seen = reader.stream.last_event_id.clone();
    drop(reader);
    hub.publish("a", "", "2").unwrap();
    let mut back = subscribe(&server, "a", Some(&seen));
    hub.publish("a", "", "3").unwrap();
    assert_eq!(back.read(2), ["2", "3"]);
    // Also from a cursor that came without an event.
    let mut again = subscribe(&server, "a", Some(&start.to_string()));
    assert_eq!(again.read(3), ["1", "2", "3"]);
    // A first connection may also choose where to begin.
    let mut query = server.connect();
    query.send(format!(
        "GET /events/a?last_event_id={start} HTTP/1.1\r\nHost: t\r\n\r\n"
    ));
    query.read_through(b"data: 3");
}

#[test]
fn a_page_begins_where_its_state_was_read() {
    let node = Hub::with_engine(quick(), Memory::new(100)).unwrap();
    for hub in [Hub::new(quick()).unwrap(), node] {
        let server = serve(&hub);
        // In the first round, nothing has ever been published.
        for n in ["0", "1"] {
            let at = hub.last_id();
            let id = hub.publish("a", "", n).unwrap();
            let mut page = subscribe(&server, "a", Some(&at.to_string()));
            assert_eq!(page.read(1), [n]);
            assert_eq!(hub.last_id(), id);
        }
    }
}

#[test]
fn a_gap_is_told() {
    let options = quick().max_ring_events(2);
    let (server, hub) = serving(options);
    let mut reader = subscribe(&server, "a", None);
    let start = reader.read_cursor().to_string();
    for n in 0..5 {
        hub.publish("a", "", &n.to_string()).unwrap();
    }
    for cursor in [&*start, "1-0", "99999999999999-0", "nonsense"] {
        let mut back = subscribe(&server, "a", Some(cursor));
        back.read(1);
        let reset = &back.stream.dispatched[0];
        assert_eq!(reset.event, "reset", "{cursor}");
        // The stream continues with new events.
        let id = hub.publish("a", "", "next").unwrap();
        assert_eq!(back.read(2)[1], "next");
        assert_eq!(back.ids()[1], id.to_string());
    }
}

#[test]
fn an_idle_subscriber_is_sent_its_cursor() {
    let options = quick().heartbeat(Duration::from_millis(300));
    let (server, hub) = serving(options);
    let mut reader = subscribe(&server, "a", None);
    reader.read_cursor();
    // An event of another topic moves the cursor, and the heartbeat reports it.
    let id = hub.publish("b", "", "other").unwrap();
    reader
        .client
        .read_through(format!("id: {id}\n\n").as_bytes());
}

#[test]
fn a_sweep_may_take_for_ever() {
    // As a number of ticks this does not fit into 64 bits.
    let options = quick().sweep(Duration::from_secs(1 << 62));
    let (server, hub) = serving(options);
    let mut reader = subscribe(&server, "a", None);
    reader.read_cursor();
    assert!(reader.client.is_silent_for(Duration::from_millis(600)));
    hub.publish("a", "", "after some ticks").unwrap();
    assert_eq!(reader.read(1), ["after some ticks"]);
}

#[test]
fn who_has_left_is_noticed_without_a_publish() {
    let (server, hub) = serving(quick());
    let mut by_fin = subscribe(&server, "a", None);
    let mut by_reset = subscribe(&server, "a", None);
    by_fin.read_cursor();
    by_reset.read_cursor();
    assert_eq!(hub.present("a"), 2);
    drop(by_fin);
    eventually("the FIN was noticed", || hub.present("a") == 1);
    hub.publish("a", "", "unread").unwrap();
    by_reset.client.leave_by_reset();
    eventually("the RST was noticed", || hub.present("a") == 0);
}

#[test]
fn one_who_does_not_read_is_dropped_and_comes_back_without_loss() {
    let options = quick().max_backlog_events(100).max_ring_bytes(1 << 30);
    let (server, hub) = serving(options);
    let mut slow = subscribe(&server, "a", None);
    let mut reader = subscribe(&server, "a", None);
    let start = slow.read_cursor();
    reader.read_cursor();
    let text = "x".repeat(100_000);
    let mut count = 0;
    let begun = std::time::Instant::now();
    while hub.stats().dropped == 0 {
        assert!(begun.elapsed() < DEADLINE, "the slow one is never dropped");
        hub.publish("a", "", &format!("{count} {text}")).unwrap();
        count += 1;
        // The others do not delay the client that reads.
        reader.read(count);
    }
    assert_eq!(reader.stream.dispatched.len(), count);
    let (bytes, _) = slow.client.read_to_end();
    slow.stream.feed(&bytes);
    let seen = slow.stream.dispatched.len();
    assert!(seen < count, "{seen} of {count}");
    let cursor = match &*slow.stream.last_event_id {
        "" => start.to_string(),
        id => id.to_owned(),
    };
    let mut back = subscribe(&server, "a", Some(&cursor));
    let rest = back.read(count - seen);
    let numbers = slow.data().into_iter().chain(rest);
    let numbers: Vec<usize> = numbers
        .map(|data| data.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
}

#[test]
fn one_who_takes_nothing_is_dropped_in_time() {
    let options = quick()
        .no_progress(Duration::from_millis(300))
        .max_backlog_events(usize::MAX)
        .max_backlog_bytes(usize::MAX);
    let (server, hub) = serving(options);
    let mut slow = subscribe(&server, "a", None);
    slow.read_cursor();
    hub.publish("a", "", &"x".repeat(7_000_000)).unwrap();
    eventually("it is dropped", || hub.stats().dropped == 1);
    eventually("its place is free", || {
        server.handle().stats().upgraded == 0
    });
}

#[test]
fn connections_end_when_their_time_is_over() {
    let options = quick()
        .lifetime(Duration::from_millis(100))
        .retry(Duration::from_millis(400));
    let (server, _hub) = serving(options);
    let mut reader = subscribe(&server, "a", None);
    let (bytes, end) = reader.client.read_to_end();
    assert_eq!(end, End::Fin);
    reader.stream.feed(&bytes);
    let retry = reader.stream.retry.expect("it says when to come back");
    assert!((200..=600).contains(&retry), "{retry:?}");
}

#[test]
fn when_the_server_stops_all_are_told_when_to_come_back() {
    let options = quick().spread(Duration::from_millis(200));
    let (server, hub) = serving(options);
    let mut readers: Vec<Reader> = (0..20).map(|_| subscribe(&server, "a", None)).collect();
    for reader in &mut readers {
        reader.read_cursor();
    }
    server.handle().shutdown(LONG);
    for reader in &mut readers {
        let (bytes, end) = reader.client.read_to_end();
        assert_eq!(end, End::Fin);
        assert!(
            bytes.starts_with(b"retry: "),
            "{}",
            String::from_utf8_lossy(&bytes)
        );
    }
    eventually("all have left", || hub.present("a") == 0);
}

#[test]
fn presence_is_told() {
    let (server, hub) = serving(quick());
    let (tell, told) = mpsc::channel();
    let joined = tell.clone();
    hub.on_join(move |topic, count| drop(joined.send(format!("+{topic}{count}"))))
        .unwrap();
    hub.on_leave(move |topic, count| drop(tell.send(format!("-{topic}{count}"))))
        .unwrap();
    let mut first = subscribe(&server, "a", None);
    first.read_cursor();
    let mut second = subscribe(&server, "a,b", None);
    second.read_cursor();
    drop(second);
    let notices: Vec<String> = (0..5)
        .map(|_| told.recv_timeout(DEADLINE).expect("a notice"))
        .collect();
    assert_eq!(notices, ["+a1", "+a2", "+b1", "-a1", "-b0"]);
}

#[test]
fn two_nodes_of_one_engine_have_the_same_order() {
    let engine = Memory::new(1000);
    let nodes: Vec<Hub> = (0..2)
        .map(|_| Hub::with_engine(quick(), engine.clone()).unwrap())
        .collect();
    let servers: Vec<TestServer> = nodes.iter().map(serve).collect();
    let mut readers: Vec<Reader> = servers
        .iter()
        .map(|server| subscribe(server, "a", None))
        .collect();
    let cursors: Vec<EventId> = readers.iter_mut().map(Reader::read_cursor).collect();
    for n in 0..100 {
        nodes[n % 2].publish("a", "", &n.to_string()).unwrap();
    }
    let expected: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    for reader in &mut readers {
        assert_eq!(reader.read(100), expected);
    }
    assert_eq!(readers[0].ids(), readers[1].ids());
    // A client that loses one node continues at the other.
    let mut moved = subscribe(&servers[1], "a", Some(&readers[0].ids()[89]));
    assert_eq!(moved.read(10), expected[90..]);
    assert_eq!(cursors[0], cursors[1]);
    // A later node has the same events as the engine.
    let third = Hub::with_engine(quick(), engine).unwrap();
    let server = serve(&third);
    let mut late = subscribe(&server, "a", Some(&readers[0].ids()[49]));
    assert_eq!(late.read(50), expected[50..]);
}

#[test]
fn an_event_that_cannot_be_encoded_is_refused() {
    let hub = Hub::new(quick()).unwrap();
    let error = hub.publish("a", "two\nlines", "").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    // It also refuses an event that does not fit into the ring, which would be lost at once.
    let error = hub.publish("a", "", &"x".repeat(9 << 20)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn what_was_missed_may_be_more_than_a_backlog() {
    let options = quick()
        .max_backlog_events(2)
        .max_backlog_bytes(100_000)
        .max_ring_bytes(1 << 30);
    let (server, hub) = serving(options);
    let mut reader = subscribe(&server, "a", None);
    let start = reader.read_cursor();
    drop(reader);
    let text = "x".repeat(1_500_000);
    for n in 0..8 {
        hub.publish("a", "", &format!("{n} {text}")).unwrap();
    }
    let mut back = subscribe(&server, "a", Some(&start.to_string()));
    let data = back.read(8);
    assert!(
        data.iter()
            .enumerate()
            .all(|(n, data)| data.starts_with(&format!("{n} ")))
    );
    assert_eq!(hub.stats().dropped, 0);
}

#[test]
fn a_notice_that_panics_harms_nobody() {
    let (server, hub) = serving(quick());
    hub.on_join(|_, _| panic!("on purpose")).unwrap();
    hub.on_leave(|_, _| panic!("on purpose")).unwrap();
    let mut leaver = subscribe(&server, "a", None);
    let mut reader = subscribe(&server, "a", None);
    leaver.read_cursor();
    reader.read_cursor();
    drop(leaver);
    eventually("one has left", || hub.present("a") == 1);
    hub.publish("a", "", "still here").unwrap();
    assert_eq!(reader.read(1), ["still here"]);
}
