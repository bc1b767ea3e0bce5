//! A hub's notices of members that join and leave. They run the application's own code, which may
//! take its time.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use akurai_server::{Batch, Engine, EventId, Hub, Memory};
use akurai_tests::{DEADLINE, Frame, Gate, Opcode, TestServer, Waiter, WsClient, eventually};
use akurai_ws::{Sender, upgrade};

use crate::hub::{quick, serve, subscribe};

/// In memory. A publish to `people` waits at the gate, and then fails.
struct Stuck {
    memory: Memory,
    gate: Waiter,
}

impl Engine for Stuck {
    fn publish(&self, topic: &str, name: &str, data: &str) -> io::Result<EventId> {
        if topic == "people" {
            self.gate.wait();
            return Err(io::Error::other("on purpose"));
        }
        self.memory.publish(topic, name, data)
    }

    fn next(&self, after: EventId, wait: Duration, max: usize) -> io::Result<Batch> {
        self.memory.next(after, wait, max)
    }

    fn tail(&self, max: usize) -> io::Result<Batch> {
        self.memory.tail(max)
    }
}

/// A sender that can join many topics, with the server and client that keep its connection open.
fn sender() -> (Sender, TestServer, WsClient) {
    let (give, given) = mpsc::channel();
    let server = TestServer::start(move |req: &akurai_http::Request| {
        let give = give.clone();
        upgrade(req, move |mut conn| {
            give.send(conn.sender()).unwrap();
            while conn.recv()?.is_some() {}
            Ok(())
        })
    });
    let client = WsClient::open(server.addr(), "/");
    let sender = given.recv_timeout(DEADLINE).expect("it was opened");
    (sender, server, client)
}

#[test]
fn a_notice_whose_publish_hangs_holds_up_no_subscriber_and_no_member() {
    let gate = Gate::new();
    let engine = Stuck {
        memory: Memory::new(1_000),
        gate: gate.waiter(),
    };
    // All subscribers share one thread.
    let hub = Hub::with_engine(quick().shards(1), engine).unwrap();
    let (tell, told) = mpsc::channel();
    let (joined, left) = (tell.clone(), tell);
    let (joins, leaves) = (hub.clone(), hub.clone());
    hub.on_join(move |topic, count| {
        let _ = joined.send(format!("+{topic}{count}"));
        let _ = joins.publish("people", "", &count.to_string());
    })
    .unwrap();
    let server = serve(&hub);
    let websockets = {
        let hub = hub.clone();
        TestServer::start(move |req: &akurai_http::Request| {
            let hub = hub.clone();
            upgrade(req, move |mut conn| {
                let _member = hub.join("room", conn.sender());
                while conn.recv()?.is_some() {}
                Ok(())
            })
        })
    };
    let mut reader = subscribe(&server, "a", None);
    assert_eq!(told.recv_timeout(DEADLINE).unwrap(), "+a1");
    // The application's code for this notice hangs. Other clients can still join.
    reader.read_cursor();
    hub.on_leave(move |topic, count| {
        let _ = left.send(format!("-{topic}{count}"));
        let _ = leaves.publish("people", "", &count.to_string());
    })
    .unwrap();
    let mut leavers: Vec<_> = (0..5).map(|_| subscribe(&server, "a", None)).collect();
    for leaver in &mut leavers {
        leaver.read_cursor();
    }
    let mut member = WsClient::open(websockets.addr(), "/");
    let other = WsClient::open(websockets.addr(), "/");
    eventually("all are there", || {
        hub.present("a") == 6 && hub.present("room") == 2
    });
    drop((leavers, other));
    eventually("six have left", || {
        hub.present("a") == 1 && hub.present("room") == 1
    });
    for n in 0..10 {
        hub.publish("a", "", &n.to_string()).unwrap();
        assert_eq!(reader.read(n + 1)[n], n.to_string());
        hub.publish("room", "", &n.to_string()).unwrap();
        member.expect(Opcode::TEXT, n.to_string());
    }
    member.send(&Frame::ping("still read"));
    member.expect(Opcode::PONG, "still read");
    assert!(told.try_recv().is_err(), "the first notice still hangs");

    gate.open();
    let rest: Vec<String> = (0..13)
        .map(|_| told.recv_timeout(DEADLINE).expect("a notice"))
        .collect();
    let of_a: Vec<_> = rest.iter().filter(|told| told.contains('a')).collect();
    assert_eq!(
        of_a,
        [
            "+a2", "+a3", "+a4", "+a5", "+a6", "-a5", "-a4", "-a3", "-a2", "-a1"
        ]
    );
    let of_room: Vec<_> = rest.iter().filter(|told| told.contains("room")).collect();
    assert_eq!(of_room, ["+room1", "+room2", "-room1"]);
}

#[test]
fn notices_come_from_one_thread_in_the_order_of_the_counts() {
    let hub = Hub::new(quick()).unwrap();
    let (tell, told) = mpsc::channel();
    let (joined, left) = (tell.clone(), tell);
    let here = || thread::current().id();
    hub.on_join(move |_, count| joined.send((here(), true, count)).unwrap())
        .unwrap();
    hub.on_leave(move |_, count| left.send((here(), false, count)).unwrap())
        .unwrap();
    let (sender, _server, _client) = sender();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..60).for_each(|_| drop(hub.join("a", sender.clone()))));
        }
        let (mut before, mut threads) = (0, HashSet::new());
        // Fewer notices than may wait, so that the application gets each.
        for n in 0..960 {
            let (thread, is_join, count) = told.recv_timeout(DEADLINE).expect("a notice");
            let expected = if is_join { before + 1 } else { before - 1 };
            assert_eq!(count, expected, "notice {n}");
            before = count;
            threads.insert(thread);
        }
        assert_eq!((before, threads.len()), (0, 1));
    });
}

#[test]
fn of_notices_that_are_too_slow_the_last_count_of_each_topic_is_told() {
    let hub = Hub::new(quick()).unwrap();
    let gate = Gate::new();
    let (tell, told) = mpsc::channel();
    let (joined, left, shut) = (tell.clone(), tell, gate.waiter());
    hub.on_join(move |topic, count| {
        shut.wait();
        joined.send((topic.to_owned(), count)).unwrap();
    })
    .unwrap();
    hub.on_leave(move |topic, count| left.send((topic.to_owned(), count)).unwrap())
        .unwrap();
    let (sender, _server, _client) = sender();
    let topics: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    let mut members = Vec::new();
    for _ in 0..400 {
        for topic in &topics {
            members.push(hub.join(topic, sender.clone()));
        }
    }
    // The application never hears of these: they came and left meanwhile.
    for n in 0..2_000 {
        drop(hub.join(&format!("gone {n}"), sender.clone()));
    }
    members.truncate(95);
    eventually("the others have left", || {
        let present: usize = topics.iter().map(|topic| hub.present(topic)).sum();
        present == 95 && hub.present("gone 1999") == 0
    });
    // A marker after all of them.
    let _marker = hub.join("marker", sender);
    gate.open();
    let told = std::iter::from_fn(|| told.recv_timeout(DEADLINE).ok());
    let told: Vec<_> = told.take_while(|(topic, _)| topic != "marker").collect();
    for topic in &topics {
        let last = told.iter().rfind(|(told, _)| told == topic);
        let present = last.map(|(_, count)| *count);
        assert_eq!(present, Some(hub.present(topic)), "{topic}");
    }
    // The notice that hung, the notices that may wait, and one for each topic.
    assert!(told.len() <= 1 + 1_024 + topics.len(), "{}", told.len());
    assert!(told.len() >= 1_024, "{}", told.len());
}

/// Uses the hub in its `Drop`.
struct AtItsEnd(Hub, mpsc::Sender<usize>);

impl Drop for AtItsEnd {
    fn drop(&mut self) {
        self.0.on_join(|_, _| {}).unwrap();
        self.1.send(self.0.present("a")).unwrap();
    }
}

#[test]
fn a_notice_that_is_replaced_is_dropped_without_a_lock() {
    let hub = Hub::new(quick()).unwrap();
    let (tell, told) = mpsc::channel();
    let at_its_end = AtItsEnd(hub.clone(), tell);
    hub.on_join(move |_, _| drop(at_its_end.1.clone())).unwrap();
    let replacing = thread::spawn(move || hub.on_join(|_, _| {}).unwrap());
    assert_eq!(told.recv_timeout(DEADLINE), Ok(0));
    replacing.join().unwrap();
}

#[test]
fn the_thread_of_notices_ends_with_the_hub() {
    // Another thread drops it while the application handles a notice, or that notice's own code
    // drops it.
    for is_own in [false, true] {
        let hub = Hub::new(quick()).unwrap();
        let (kept, gate) = (Mutex::new(Some(hub.clone())), Gate::new());
        let (alive, is_gone) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        let shut = gate.waiter();
        hub.on_join(move |_, _| {
            let _ = &alive;
            begun.send(()).unwrap();
            shut.wait();
            drop(kept.lock().unwrap().take());
        })
        .unwrap();
        let (sender, _server, _client) = sender();
        let member = hub.join("a", sender);
        has_begun.recv_timeout(DEADLINE).expect("a notice");
        if is_own {
            drop(hub);
            gate.open();
        } else {
            gate.open();
            drop(hub);
        }
        let gone = is_gone.recv_timeout(DEADLINE);
        assert_eq!(gone, Err(mpsc::RecvTimeoutError::Disconnected), "{is_own}");
        drop(member);
    }
}

#[test]
fn a_notice_that_panics_costs_itself_alone() {
    let hub = Hub::new(quick()).unwrap();
    let (tell, told) = mpsc::channel();
    let has_panicked = AtomicBool::new(false);
    hub.on_join(move |_, count| {
        if !has_panicked.swap(true, Ordering::SeqCst) {
            panic!("on purpose");
        }
        tell.send(count).unwrap();
    })
    .unwrap();
    let (sender, _server, _client) = sender();
    let _first = hub.join("a", sender.clone());
    let _second = hub.join("a", sender);
    assert_eq!(told.recv_timeout(DEADLINE), Ok(2));
}
