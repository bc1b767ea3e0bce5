//! `Hub::join_after`: a WebSocket that begins behind an event gets the later ones once and in
//! order.

use std::sync::mpsc;
use std::thread;

use akurai_http::Request;
use akurai_server::{EventId, Hub, HubOptions, Memory};
use akurai_tests::{Frame, Opcode, TestServer, WsClient, eventually};
use akurai_ws::upgrade;

use crate::early::{Mode, begun, id};
use crate::hub::quick;

/// A server whose WebSockets join the topic `a`, each after the event that its query names.
fn rooms(hub: &Hub) -> TestServer {
    let hub = hub.clone();
    TestServer::start(move |req: &Request| {
        let after = req.query().and_then(|id| id.parse().ok());
        let (hub, after) = (hub.clone(), after.expect("an id"));
        upgrade(req, move |mut conn| {
            let _member = hub.join_after("a", conn.sender(), after);
            while conn.recv()?.is_some() {}
            Ok(())
        })
    })
}

fn join(server: &TestServer, after: EventId) -> WsClient {
    WsClient::open(server.addr(), &format!("/?{after}"))
}

fn hubs(options: &HubOptions) -> [Hub; 2] {
    let node = Hub::with_engine(options.clone(), Memory::new(10_000));
    [Hub::new(options.clone()).unwrap(), node.unwrap()]
}

/// Publishes an event, and waits until the hub has it, which an engine decides.
fn publish(hub: &Hub, data: &str) -> EventId {
    let id = hub.publish("a", "", data).unwrap();
    eventually("it is here", || hub.last_id() >= id);
    id
}

#[test]
fn many_that_join_while_events_come_miss_none_and_get_none_twice() {
    const JOINS: usize = 30;
    const EACH: usize = 50;
    for hub in hubs(&quick()) {
        let room = hub.clone();
        let server = TestServer::start(move |req: &Request| {
            let hub = room.clone();
            upgrade(req, move |mut conn| {
                let past = hub.history("a", None, JOINS * EACH);
                for event in &past.events {
                    conn.send_text(&event.data)?;
                }
                // In the gap between the two calls.
                hub.publish("b", "", "not this")?;
                thread::yield_now();
                let _member = hub.join_after("a", conn.sender(), past.at);
                while conn.recv()?.is_some() {}
                Ok(())
            })
        });
        let (go, goes) = mpsc::channel::<()>();
        let publisher = hub.clone();
        let publishing = thread::spawn(move || {
            let mut numbers = 0..;
            while goes.recv().is_ok() {
                for n in numbers.by_ref().take(EACH) {
                    publisher.publish("a", "", &usize::to_string(&n)).unwrap();
                }
            }
        });
        let readers: Vec<_> = (0..JOINS)
            .map(|_| {
                go.send(()).unwrap();
                let mut member = WsClient::open(server.addr(), "/");
                thread::spawn(move || {
                    (0..JOINS * EACH).for_each(|n| member.expect(Opcode::TEXT, n.to_string()));
                    member.close();
                })
            })
            .collect();
        drop(go);
        publishing.join().unwrap();
        for reader in readers {
            reader.join().unwrap();
        }
        let stats = hub.stats();
        assert_eq!((stats.resets, stats.dropped), (0, 0));
    }
}

#[test]
fn an_event_between_a_history_and_its_membership_is_not_missed() {
    for hub in hubs(&quick()) {
        let room = hub.clone();
        let server = TestServer::start(move |req: &Request| {
            let hub = room.clone();
            upgrade(req, move |mut conn| {
                let past = hub.history("a", None, 1);
                for event in &past.events {
                    conn.send_text(&event.data)?;
                }
                publish(&hub, "between");
                let _member = hub.join_after("a", conn.sender(), past.at);
                hub.publish("a", "", "later")?;
                while conn.recv()?.is_some() {}
                Ok(())
            })
        });
        publish(&hub, "too old");
        publish(&hub, "first");
        let mut first = WsClient::open(server.addr(), "/");
        for text in ["first", "between", "later"] {
            first.expect(Opcode::TEXT, text);
        }
        // The hub's thread has already delivered the event between to the first member.
        let mut second = WsClient::open(server.addr(), "/");
        for text in ["later", "between", "later"] {
            second.expect(Opcode::TEXT, text);
        }
    }
}

#[test]
fn all_that_is_kept_after_an_id_comes_first() {
    for hub in hubs(&quick()) {
        let server = rooms(&hub);
        let start = hub.last_id();
        // More than the hub posts at a time.
        let ids: Vec<_> = (0..600)
            .map(|n| hub.publish("a", "", &n.to_string()).unwrap())
            .collect();
        eventually("all is here", || hub.last_id() == ids[599]);
        for (after, first) in [(start, 0), (ids[0], 1), (ids[300], 301), (ids[599], 600)] {
            let mut member = join(&server, after);
            for n in first..600 {
                member.expect(Opcode::TEXT, n.to_string());
            }
            member.close();
        }
        assert_eq!(hub.stats().resets, 0);
    }
}

#[test]
fn who_cannot_get_all_that_it_missed_is_told() {
    for hub in hubs(&quick().max_ring_events(3)) {
        let server = rooms(&hub);
        let ids: Vec<_> = ["0", "1", "2", "3", "4"]
            .map(|data| publish(&hub, data))
            .into();
        let unknown = ["1-0", "18446744073709551615-0"].map(|id| id.parse().unwrap());
        for after in [unknown[0], unknown[1], ids[0]] {
            join(&server, after).expect_close(1013);
        }
        let mut member = join(&server, ids[1]);
        for text in ["2", "3", "4"] {
            member.expect(Opcode::TEXT, text);
        }
        member.close();
        eventually("all have left", || hub.present("a") == 0);
        assert_eq!(hub.stats().resets, 3);
    }
}

#[test]
fn a_member_that_comes_from_a_node_ahead_waits_for_its_place() {
    let (order, node) = begun(5);
    let hub = Hub::with_engine(quick(), node.clone()).unwrap();
    let server = rooms(&hub);
    node.set(Mode::Silent);
    let mut ahead = join(&server, id(6));
    let mut never = join(&server, id(1_000_000));
    let mut leaves = join(&server, id(6));
    eventually("all have joined", || hub.present("a") == 3);
    leaves.send(&Frame::close(1000, ""));
    leaves.expect_close(1000);
    eventually("it has left", || hub.present("a") == 2);
    for ms in 6..9 {
        order.put(ms, "a", &ms.to_string());
    }
    node.set(Mode::Open);
    ahead.expect(Opcode::TEXT, "7");
    ahead.expect(Opcode::TEXT, "8");
    never.expect_close(1013);
    order.put(9, "a", "9");
    ahead.expect(Opcode::TEXT, "9");
}

#[test]
fn a_newcomer_whose_topic_ends_first_gets_what_was_published_before() {
    let hub = Hub::new(quick()).unwrap();
    let room = hub.clone();
    let server = TestServer::start(move |req: &Request| {
        let after = req.query().and_then(|id| id.parse().ok());
        let (hub, after) = (room.clone(), after.expect("an id"));
        upgrade(req, move |mut conn| {
            let _member = hub.join_after("a", conn.sender(), after);
            // Its thread mostly finds both at once.
            hub.end("a");
            while conn.recv()?.is_some() {}
            Ok(())
        })
    });
    let start = hub.last_id();
    publish(&hub, "missed");
    for _ in 0..30 {
        let mut client = join(&server, start);
        client.expect(Opcode::TEXT, "missed");
        client.expect_close(1000);
        client.send(&Frame::close(1000, ""));
        eventually("it has left", || hub.present("a") == 0);
    }
}

#[test]
fn a_newcomer_without_a_place_is_told_of_a_loss_when_its_topic_ends() {
    let (order, node) = begun(5);
    let hub = Hub::with_engine(quick(), node.clone()).unwrap();
    let room = hub.clone();
    let server = TestServer::start(move |req: &Request| {
        let after = req.query().and_then(|id| id.parse().ok());
        let (hub, after) = (room.clone(), after.expect("an id"));
        upgrade(req, move |mut conn| {
            let _member = hub.join_after("a", conn.sender(), after);
            conn.send_text("joined")?;
            while conn.recv()?.is_some() {}
            Ok(())
        })
    });
    node.set(Mode::Silent);
    order.put(6, "a", "not read");
    let mut ahead = join(&server, id(6));
    let mut other = join(&server, id(5));
    ahead.expect(Opcode::TEXT, "joined");
    other.expect(Opcode::TEXT, "joined");
    hub.end("a");
    other.expect_close(1000);
    ahead.expect_close(1013);
}
