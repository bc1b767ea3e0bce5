//! The Redis engine against a fake server that answers late, wrongly, only in part, or not at all.
//! `tests/scale` tests a real one.

mod beginning;
mod deleted;
mod ends;
mod fake;
mod lost_answers;
mod refusals;
mod slow;

use std::io;
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use akurai_server::{Engine, EventId, Hub, Redis, RedisOptions};
use akurai_tests::{DEADLINE, TestServer, eventually};

use self::fake::{Answer, Fake, Step, Stream, bulk, entry, say};
use crate::demo::program::routes::app;
use crate::hub::{quick, serve, subscribe};

/// The result of publishing, and how long it took.
fn publish(engine: &Redis) -> (Result<String, (io::ErrorKind, String)>, Duration) {
    let begun = Instant::now();
    let result = engine.publish("t", "", "data");
    let result = result
        .map(|id| id.to_string())
        .map_err(|error| (error.kind(), error.to_string()));
    (result, begun.elapsed())
}

#[track_caller]
fn fails(engine: &Redis, kind: io::ErrorKind, parts: &[&str], within: Duration) {
    let (result, took) = publish(engine);
    let (got, message) = result.expect_err("it must fail");
    assert_eq!(got, kind, "{message}");
    for part in parts {
        assert!(message.contains(part), "no {part:?} in {message:?}");
    }
    assert!(took < within, "{message:?} took {took:?}");
}

/// Added to each bound, since machines are slow.
const SLACK: Duration = Duration::from_millis(1500);

#[test]
fn no_server() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let engine = Redis::new(&format!("redis://{addr}"), RedisOptions::default()).unwrap();
    let named = format!("Redis at {addr}: ");
    let parts = [&*named, "; the event is not kept"];
    let refused = io::ErrorKind::ConnectionRefused;
    fails(&engine, refused, &parts, Duration::from_secs(1) + SLACK);
    let error = Hub::with_engine(quick(), engine).unwrap_err().to_string();
    assert!(error.starts_with(&named), "{error}");
}

#[test]
fn a_server_that_says_nothing() {
    let fake = Fake::start(|_, _| Answer::Nothing);
    let engine = fake.engine();
    let parts = ["does not answer in time", "may be kept or not"];
    let bound = Duration::from_secs(3) + SLACK;
    fails(&engine, io::ErrorKind::TimedOut, &parts, bound);
    let (first, again) = (fake.hears(), fake.hears());
    assert_eq!((first.0, &*first.1[0]), (0, "XADD"));
    assert_eq!((again.0, &*again.1[0]), (1, "XREVRANGE"));
    // Threads that publish meanwhile do not each wait as long again.
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| publish(&engine).0.unwrap_err());
        }
    });
    assert!(begun.elapsed() < bound * 2, "{:?}", begun.elapsed());
}

#[test]
fn an_answer_that_was_lost() {
    let fake = Fake::start(|connection, command| match (connection, &*command[0]) {
        (0, _) => Answer::Close,
        (_, "XREVRANGE") => say("*0\r\n"),
        _ => say("$3\r\n7-1\r\n"),
    });
    let engine = fake.engine();
    assert_eq!(engine.reconnections(), 0);
    assert_eq!(publish(&engine).0.unwrap(), "7-1");
    assert_eq!(engine.reconnections(), 1);
    let (first, look, again) = (fake.hears(), fake.hears(), fake.hears());
    assert_eq!((first.0, look.0, again.0), (0, 1, 1));
    assert_eq!(look.1.join(" "), "XREVRANGE akurai + - COUNT 256");
    assert_eq!(first.1, again.1, "once more, under the same key");
    let look = fake.hears();
    assert_eq!(look.1[0], "XREVRANGE", "which of two is the first?");
    let key = |command: &[String]| command.last().cloned();
    publish(&engine).0.unwrap();
    let (connection, next) = fake.hears();
    assert_eq!(connection, 1);
    assert_ne!(key(&next), key(&again.1), "another event has another key");
    let words = |range: std::ops::Range<usize>| next[range].join(" ");
    assert_eq!(words(0..6), "XADD akurai MAXLEN ~ 100000 *");
    assert_eq!(words(6..13), "topic t event  data data key");
}

#[test]
fn what_was_added_without_an_answer_is_not_added_again() {
    let added = Mutex::new(String::new());
    let fake = Fake::start(move |_, command| {
        let mut added = added.lock().unwrap();
        match &*command[0] {
            "XADD" => {
                let fields: Vec<&str> = command[6..].iter().map(|field| &**field).collect();
                *added = entry("7-1", &fields);
                Answer::Close
            }
            _ => Answer::Say(format!("*1\r\n{added}")),
        }
    });
    assert_eq!(publish(&fake.engine()).0.unwrap(), "7-1");
    assert_eq!((fake.hears().0, fake.hears().0), (0, 1));
}

#[test]
fn what_a_server_refuses() {
    for (text, kind) in [
        ("LOADING Redis is loading", io::ErrorKind::Other),
        (
            "NOAUTH Authentication required.",
            io::ErrorKind::PermissionDenied,
        ),
        (
            "ERR Protocol error: unauthenticated multibulk length",
            io::ErrorKind::PermissionDenied,
        ),
        ("OOM command not allowed", io::ErrorKind::OutOfMemory),
        ("READONLY You can't write", io::ErrorKind::Other),
        ("MOVED 866 127.0.0.1:1", io::ErrorKind::Other),
        ("WRONGTYPE Operation against", io::ErrorKind::Other),
    ] {
        let fake = Fake::start(move |_, _| Answer::Say(format!("-{text}\r\n")));
        let engine = fake.engine();
        fails(&engine, kind, &[text, "is not kept"], DEADLINE);
        fails(&engine, kind, &[text, "is not kept"], DEADLINE);
        let connections = (fake.hears().0, fake.hears().0);
        // When a server is no master any more, the engine looks for the master again.
        let expected = usize::from(text.starts_with("READONLY") || text.starts_with("MOVED"));
        assert_eq!(connections, (0, expected), "{text}");
    }
}

#[test]
fn what_is_no_answer() {
    for (text, kind) in [
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            io::ErrorKind::InvalidData,
        ),
        (":1\r\n", io::ErrorKind::InvalidData),
        ("$3\r\nx-y\r\n", io::ErrorKind::InvalidData),
        ("$99999999999\r\n", io::ErrorKind::InvalidData),
    ] {
        let fake = Fake::start(move |_, _| say(text));
        let engine = fake.engine();
        fails(&engine, kind, &["Redis at"], DEADLINE);
    }
    // Half an answer is no answer yet.
    let fake = Fake::start(|connection, command| match (connection, &*command[0]) {
        (0, _) => say("$3\r\n7-"),
        (_, "XREVRANGE") => say("*0\r\n"),
        _ => say("$3\r\n8-0\r\n"),
    });
    assert_eq!(publish(&fake.engine()).0.unwrap(), "8-0");
}

#[test]
fn who_asks_and_where() {
    let fake = Fake::start(|_, command| match &*command[0] {
        "AUTH" | "SELECT" => say("+OK\r\n"),
        _ => say("$3\r\n7-1\r\n"),
    });
    let url = fake.url.replace("redis://", "redis://user:p%40ss@") + "/3";
    // A stream of no events would lose each event as it comes.
    for (max_events, kept) in [(7, 7), (0, 1)] {
        let options = RedisOptions::default().stream("a:1").max_events(max_events);
        publish(&Redis::new(&url, options).unwrap()).0.unwrap();
        assert_eq!(fake.hears().1.join(" "), "AUTH user p@ss");
        assert_eq!(fake.hears().1.join(" "), "SELECT 3");
        let added = fake.hears().1[..6].join(" ");
        assert_eq!(added, format!("XADD a:1 MAXLEN ~ {kept} *"));
    }

    let fake = Fake::start(|_, _| say("-WRONGPASS invalid\r\n"));
    let url = fake.url.replace("redis://", "redis://:secret@");
    let engine = Redis::new(&url, RedisOptions::default()).unwrap();
    let denied = io::ErrorKind::PermissionDenied;
    fails(&engine, denied, &["WRONGPASS", "is not kept"], DEADLINE);
    assert!(!format!("{engine:?}").contains("secret"));

    // A server that does not know the command repeats its arguments, cut off after some bytes.
    for text in [
        "ERR unknown command `AUTH`, with args beginning with: `user`, `secret`, ",
        "ERR unknown command 'AUTH', with args beginning with: 'user' 'sec",
        "ERR what is secret?",
    ] {
        let fake = Fake::start(move |_, _| Answer::Say(format!("-{text}\r\n")));
        let url = fake.url.replace("redis://", "redis://user:secret@");
        let engine = Redis::new(&url, RedisOptions::default()).unwrap();
        let (_, message) = publish(&engine).0.unwrap_err();
        assert!(message.contains("it says: ERR"), "{message}");
        assert!(!message.contains("sec"), "{message}");
    }
}

#[test]
fn many_publishers_share_a_connection() {
    let counter = Mutex::new(0_u64);
    let fake = Fake::start(move |_, _| {
        let mut number = counter.lock().unwrap();
        *number += 1;
        Answer::Say(bulk(&format!("{number}-0")))
    });
    let engine = fake.engine();
    let mut ids: Vec<EventId> = thread::scope(|scope| {
        let publish = || (0..50).map(|_| engine.publish("t", "", "x").unwrap());
        let threads: Vec<_> = (0..20)
            .map(|_| scope.spawn(move || publish().collect::<Vec<_>>()))
            .collect();
        let all = threads.into_iter().flat_map(|one| one.join().unwrap());
        all.collect()
    });
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
    for n in 1..=1000 {
        let (connection, command) = fake.hears();
        assert_eq!(connection, 0);
        let key = command.last().unwrap();
        assert!(key.ends_with(&format!("-{n}")), "{key} is not the {n}th");
    }
}

#[test]
fn replicas_that_are_waited_for() {
    let fake = Fake::start(|_, command| match &*command[0] {
        "WAIT" => say(":1\r\n"),
        _ => say("$3\r\n7-1\r\n"),
    });
    let with = |replicas| {
        let options = RedisOptions::default().replicas(replicas);
        Redis::new(&fake.url, options).unwrap()
    };
    assert_eq!(publish(&with(1)).0.unwrap(), "7-1");
    let late = io::ErrorKind::TimedOut;
    fails(&with(2), late, &["is kept, but 1 of 2 replicas"], DEADLINE);
}

#[test]
fn replicas_are_waited_for_on_a_connection_that_wrote() {
    // Like a real server: WAIT answers for this connection's writes, and so for nothing if the
    // connection wrote nothing.
    let state = Mutex::new((String::new(), None));
    let fake = Fake::start(move |connection, command| {
        let (added, wrote) = &mut *state.lock().unwrap();
        match &*command[0] {
            "XADD" => {
                *wrote = Some(connection);
                if connection == 0 {
                    let fields: Vec<&str> = command[6..].iter().map(|field| &**field).collect();
                    *added = entry("7-1", &fields);
                    return Answer::Close;
                }
                say("$3\r\n8-0\r\n")
            }
            "XREVRANGE" => Answer::Say(format!("*1\r\n{added}")),
            _ if *wrote == Some(connection) => say(":0\r\n"),
            _ => say(":1\r\n"),
        }
    });
    let options = RedisOptions::default().replicas(1);
    let engine = Redis::new(&fake.url, options).unwrap();
    let late = io::ErrorKind::TimedOut;
    fails(&engine, late, &["is kept, but 0 of 1 replicas"], DEADLINE);
}

#[test]
fn a_server_that_may_throw_events_away() {
    for (policy, warns) in [("noeviction", false), ("allkeys-lru", true)] {
        let text = bulk(&format!("# Memory\r\nmaxmemory_policy:{policy}\r\n"));
        let fake = Fake::start(move |_, _| Answer::Say(text.clone()));
        let warning = fake.engine().warning().unwrap();
        let named = warning.is_some_and(|text| text.contains(policy));
        assert_eq!(named, warns, "{policy}");
    }
    let fake = Fake::start(|_, _| say("-NOPERM no\r\n"));
    let error = fake.engine().warning().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn what_was_written_twice_comes_once() {
    let stream = Stream::start();
    let hub = Hub::with_engine(quick(), stream.fake.engine()).unwrap();
    let server = serve(&hub);
    let mut reader = subscribe(&server, "a", None);
    reader.read_cursor();
    stream.event("5-0", "one", "w-1");
    stream.event("5-1", "two", "w-2");
    stream.event("6-0", "one", "w-1");
    stream.event("6-1", "two", "w-2");
    stream.event("7-0", "three", "w-3");
    stream.entry("8-0", &["topic", "a", "data", "of another program"]);
    let data = reader.read(4);
    assert_eq!(data, ["one", "two", "three", "of another program"]);
    assert_eq!(reader.stream.last_event_id, "8-0");
}

#[test]
fn another_history_is_told() {
    let stream = Stream::start();
    let hub = Hub::with_engine(quick(), stream.fake.engine()).unwrap();
    let server = serve(&hub);
    let mut reader = subscribe(&server, "a", None);
    reader.read_cursor();
    stream.event("500-0", "one", "w-1");
    reader.read(1);
    // The stream was emptied, and has nothing in it yet.
    stream.next.send(Step::Flush).unwrap();
    assert_eq!(reader.read(2)[1], "events were lost");
    // It begins again, by a clock that is behind.
    stream.event("40-0", "two", "w-2");
    assert_eq!(reader.read(3)[2], "two");
    assert_eq!(reader.stream.last_event_id, "40-0");
    // The same id but another entry: the reader takes it for the earlier entry.
    stream.next.send(Step::Flush).unwrap();
    stream.event("40-0", "other", "w-3");
    stream.event("41-0", "three", "w-4");
    assert_eq!(reader.read(5)[3..], ["events were lost", "three"]);
    // A client that comes with an id from before is also told.
    let mut back = subscribe(&server, "a", Some("500-0"));
    assert_eq!(back.read(1), ["events were lost"]);
}

#[test]
fn who_comes_from_a_node_that_is_ahead_goes_on_where_it_was() {
    let stream = Stream::start();
    let hub = Hub::with_engine(quick(), stream.fake.engine()).unwrap();
    let server = serve(&hub);
    let mut reader = subscribe(&server, "a", None);
    reader.read_cursor();
    stream.event("5-0", "one", "w-1");
    reader.read(1);
    let mut ahead = subscribe(&server, "a", Some("6-0"));
    eventually("it has come", || hub.present("a") == 2);
    stream.event("6-0", "two", "w-2");
    stream.event("7-0", "three", "w-3");
    assert_eq!(ahead.read(1), ["three"]);
    assert_eq!(reader.read(3), ["one", "two", "three"]);
}

#[test]
fn an_entry_that_is_no_event_is_told() {
    let stream = Stream::start();
    let hub = Hub::with_engine(quick(), stream.fake.engine()).unwrap();
    let server = serve(&hub);
    let mut reader = subscribe(&server, "a", None);
    reader.read_cursor();
    stream.event("5-0", "one", "w-1");
    stream.entry("6-0", &["something", "else"]);
    stream.event("7-0", "two", "w-2");
    assert_eq!(reader.read(3), ["one", "events were lost", "two"]);
}

#[test]
fn streams_stay_open_while_the_server_is_away() {
    let stream = Stream::start();
    let hub = Hub::with_engine(quick(), stream.fake.engine()).unwrap();
    let server = TestServer::start(app(&hub).get("/events/{topics}", {
        let hub = hub.clone();
        move |req: &akurai_http::Request| hub.sse(req, &["a"])
    }));
    let status = |path: &str| {
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
        client.read_response().status
    };
    let mut reader = subscribe(&server, "a", None);
    reader.read_cursor();
    stream.event("5-0", "one", "w-1");
    reader.read(1);
    assert_eq!(status("/api/ready"), 200);
    stream.away.store(true, Ordering::SeqCst);
    eventually("it is not ready", || status("/api/ready") == 503);
    assert_eq!(status("/api/health"), 200);
    stream.event("6-0", "two", "w-2");
    stream.away.store(false, Ordering::SeqCst);
    // On the same connection, from its last position.
    assert_eq!(reader.read(2), ["one", "two"]);
    eventually("it is ready", || status("/api/ready") == 200);
}

/// The milliseconds of the events that a stream has.
type Kept = Arc<Mutex<Vec<u64>>>;

/// An engine on a stream that has events of these milliseconds, and a function for its next batch:
/// the data, after `gap` if there is one.
fn kept(max_events: usize) -> (Kept, impl FnMut(EventId) -> (EventId, String)) {
    let kept = Kept::default();
    let those = Arc::clone(&kept);
    let fake = Fake::start(move |_, command| {
        let kept = those.lock().unwrap();
        let after: Option<EventId> = command.last().and_then(|id| id.parse().ok());
        let is_asked = |ms: &u64| match &*command[0] {
            "XRANGE" => command[2] == format!("{ms}-0"),
            "XREVRANGE" => Some(ms) == kept.last(),
            _ => after < Some(EventId { ms: *ms, seq: 0 }),
        };
        let found = kept.iter().find(|ms| is_asked(ms)).map(|ms| {
            let (id, data, key) = (format!("{ms}-0"), ms.to_string(), format!("w-{ms}"));
            let fields = ["topic", "a", "data", &*data, "key", &*key];
            format!("*1\r\n{}", entry(&id, &fields))
        });
        match (&*command[0], found) {
            ("XLEN", _) => Answer::Say(format!(":{}\r\n", kept.len())),
            ("XREAD", None) => say("*-1\r\n"),
            ("XREAD", Some(found)) => Answer::Say(format!("*1\r\n*2\r\n{}{found}", bulk("akurai"))),
            (_, found) => Answer::Say(found.unwrap_or_else(|| "*0\r\n".to_owned())),
        }
    });
    let options = RedisOptions::default().max_events(max_events);
    let engine = Redis::new(&fake.url, options).unwrap();
    let next = move |after| {
        let batch = engine.next(after, Duration::ZERO, 10).unwrap();
        let data = batch.events.into_iter().map(|event| event.data);
        let gap = batch.gap.then(|| "gap".to_owned());
        let parts: Vec<String> = gap.into_iter().chain(data).collect();
        (batch.end, parts.join(" "))
    };
    (kept, next)
}

#[test]
fn what_is_trimmed_behind_a_gap_is_another_gap() {
    let (kept, mut next) = kept(100);
    *kept.lock().unwrap() = vec![5];
    let (after, told) = next(EventId::default());
    assert_eq!(told, "5");
    // Event 6 was there and is gone, and then event 8 comes.
    *kept.lock().unwrap() = vec![7];
    let (after, told) = next(after);
    assert_eq!(told, "gap 7");
    *kept.lock().unwrap() = vec![9];
    let (after, told) = next(after);
    assert_eq!(told, "gap 9");
    assert_eq!(next(after).1, "");
}

#[test]
fn what_is_trimmed_before_the_first_was_read_is_a_gap() {
    for (max_events, expected) in [(3, ""), (2, "gap ")] {
        let (kept, mut next) = kept(max_events);
        let (after, told) = next(EventId::default());
        assert_eq!(told, "");
        // A stream that was never full still has every event.
        *kept.lock().unwrap() = vec![5, 6];
        assert_eq!(next(after).1, format!("{expected}5"));
    }
}

#[test]
fn a_wait_without_end() {
    let fake = Fake::start(|_, _| say("*-1\r\n"));
    let waited = fake
        .engine()
        .next(EventId::default(), Duration::MAX, usize::MAX);
    assert_eq!(waited.unwrap().events, []);
}
