//! The hub's WebSocket subscribers.

use std::io::Write;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use akurai_http::Request;
use akurai_server::{Hub, HubOptions};
use akurai_tests::{DEADLINE, Frame, Opcode, TestServer, WsClient, eventually, handshake};
use akurai_ws::{Error, Kind, Message, Sender, WhenFull, WsConn, WsOptions};

use crate::hub::quick;

/// A server whose WebSockets join the topic of their path, and publish each message that they get
/// there. With `?` in the target the server pings often, so that it drops a member that does not
/// read soon, even if our Close still fit into its buffers.
fn rooms(options: HubOptions) -> (TestServer, Hub) {
    // The server drops a member that does not read soon, to keep the tests short.
    let soon = Duration::from_millis(500);
    let websocket = WsOptions::new().write_deadline(soon).close_wait(soon);
    let asking = websocket.clone().ping_interval(soon);
    let hub = Hub::new(options).unwrap();
    let room = hub.clone();
    let server = TestServer::start(move |req: &Request| {
        let (hub, topic) = (room.clone(), req.path()[1..].to_owned());
        let options = req.query().map_or(&websocket, |_| &asking);
        options.upgrade(req, move |mut conn| {
            let _member = hub.join(&topic, conn.sender());
            while let Some(message) = conn.recv()? {
                if let Message::Text(text) = message {
                    hub.publish(&topic, "", &text)?;
                }
            }
            Ok(())
        })
    });
    (server, hub)
}

#[test]
fn websockets_join_a_topic_and_leave_it() {
    let (server, hub) = rooms(quick());
    let mut members: Vec<WsClient> = (0..10)
        .map(|_| WsClient::open(server.addr(), "/a"))
        .collect();
    let mut other = WsClient::open(server.addr(), "/b");
    eventually("all have joined", || {
        hub.present("a") == 10 && hub.present("b") == 1
    });
    for n in 0..20 {
        members[n % 10].send(&Frame::text(n.to_string()));
        // Every member gets them in the order of publishing.
        for member in &mut members {
            member.expect(Opcode::TEXT, n.to_string());
        }
    }
    other.send(&Frame::text("in b"));
    other.expect(Opcode::TEXT, "in b");
    members.pop().unwrap().close();
    drop(members.pop());
    eventually("two have left", || hub.present("a") == 8);
    hub.publish("a", "", "for those who stay").unwrap();
    members[0].expect(Opcode::TEXT, "for those who stay");
}

#[test]
fn a_websocket_that_does_not_read_holds_up_nobody_and_is_closed() {
    let (server, hub) = rooms(quick());
    let slow: Vec<WsClient> = (0..5)
        .map(|_| WsClient::open(server.addr(), "/a?"))
        .collect();
    let mut reader = WsClient::open(server.addr(), "/a");
    eventually("all have joined", || hub.present("a") == 6);
    let text = "x".repeat(100_000);
    let begun = std::time::Instant::now();
    let mut longest = Duration::ZERO;
    while hub.present("a") > 1 {
        assert!(begun.elapsed() < DEADLINE, "the slow ones are never closed");
        let sent = std::time::Instant::now();
        hub.publish("a", "", &text).unwrap();
        reader.expect(Opcode::TEXT, &text);
        longest = longest.max(sent.elapsed());
    }
    drop(slow);
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    hub.publish("a", "", "still here").unwrap();
    reader.expect(Opcode::TEXT, "still here");
}

#[test]
fn who_joins_hears_what_is_published_from_then_on() {
    let (server, hub) = rooms(quick());
    let mut members: Vec<WsClient> = (0..4)
        .map(|_| WsClient::open(server.addr(), "/a"))
        .collect();
    eventually("all have joined", || hub.present("a") == 4);
    let (stop, stopped) = mpsc::channel::<()>();
    // It waits for the hub's thread: otherwise events are lost where there is no core for that.
    let mut pace = members.pop().unwrap();
    let publisher = std::thread::spawn(move || {
        while let Err(mpsc::TryRecvError::Empty) = stopped.try_recv() {
            hub.publish("a", "", "noise").unwrap();
            pace.client.read_through(b"noise");
        }
    });
    let readers: Vec<_> = members
        .drain(..)
        .map(|mut member| {
            std::thread::spawn(move || while member.client.try_read_exactly(1).is_ok() {})
        })
        .collect();
    for n in 0..30 {
        let mine = format!("mine {n}");
        let mut client = server.connect();
        // Its first message comes together with its handshake, so the server publishes it as soon
        // as the member has joined.
        client.send([handshake("/a").as_bytes(), &Frame::text(&*mine).to_bytes()].concat());
        client.read_through(mine.as_bytes());
    }
    drop(stop);
    publisher.join().unwrap();
    drop(server);
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn of_several_topics_events_come_in_one_order() {
    let hub = Hub::new(quick()).unwrap();
    let room = hub.clone();
    let server = TestServer::start(move |req: &Request| {
        let hub = room.clone();
        akurai_ws::upgrade(req, move |mut conn| {
            let _a = hub.join("a", conn.sender());
            let _b = hub.join("b", conn.sender());
            while conn.recv()?.is_some() {}
            Ok(())
        })
    });
    let mut members: Vec<WsClient> = (0..20)
        .map(|_| WsClient::open(server.addr(), "/"))
        .collect();
    eventually("all have joined", || {
        (hub.present("a"), hub.present("b")) == (20, 20)
    });
    // More messages than the hub takes at a time, so that many wait for each member.
    for n in 0..600 {
        let topic = if n % 3 == 0 { "a" } else { "b" };
        hub.publish(topic, "", &n.to_string()).unwrap();
    }
    for member in &mut members {
        (0..600).for_each(|n| member.expect(Opcode::TEXT, n.to_string()));
    }
    eventually("all are counted", || hub.stats().deliveries == 20 * 600);
}

/// A server that gives its only WebSocket, a member of `a`, to `serve`. Returns the client too, and
/// a sender that shows the connection's state.
fn member(
    hub: &Hub,
    options: WsOptions,
    serve: impl Fn(WsConn) -> Result<(), Error> + Clone + Send + Sync + 'static,
) -> (TestServer, WsClient, Sender) {
    let (tell, told) = mpsc::channel();
    let room = hub.clone();
    let server = TestServer::start(move |req: &Request| {
        let (hub, tell, serve) = (room.clone(), tell.clone(), serve.clone());
        options.upgrade(req, move |conn| {
            let _member = hub.join("a", conn.sender());
            let _ = tell.send(conn.sender());
            serve(conn)
        })
    });
    let client = WsClient::open(server.addr(), "/");
    let sender = told.recv_timeout(DEADLINE).expect("it has joined");
    (server, client, sender)
}

/// Publishes numbered events of this length until the member is closed; returns how many.
#[track_caller]
fn publish_until_closed(hub: &Hub, sender: &Sender, len: usize) -> usize {
    let (begun, padding) = (Instant::now(), "x".repeat(len));
    let mut count = 0;
    while sender.is_open() {
        assert!(begun.elapsed() < DEADLINE, "it is never told");
        hub.publish("a", "", &format!("{count} {padding}")).unwrap();
        count += 1;
    }
    count
}

#[test]
fn who_missed_an_event_is_told_where_the_message_is_refused() {
    let options = [
        // The first queue is too small for the message.
        WsOptions::new().max_queue_bytes(1000),
        WsOptions::new().when_full(WhenFull::Refuse),
    ];
    for options in options {
        // The hub's thread for WebSockets never falls so far behind that the ring drops its events.
        let hub = Hub::new(quick().max_ring_events(1000).max_ring_bytes(200_000_000));
        let hub = hub.unwrap();
        let (_server, mut client, sender) = member(&hub, options, |mut conn| {
            while conn.recv()?.is_some() {}
            Ok(())
        });
        // It reads only after the server closed, so that published messages find the connection
        // busy.
        let count = publish_until_closed(&hub, &sender, 100_000);
        let mut seen = 0;
        let close = loop {
            let frame = client.read_frame();
            if frame.opcode != Opcode::TEXT {
                break frame;
            }
            assert!(frame.payload.starts_with(format!("{seen} ").as_bytes()));
            seen += 1;
        };
        assert_eq!(close.close_code(), Some(1013));
        assert!(seen < count, "{seen} of {count}");
    }
}

#[test]
fn who_missed_an_event_behind_a_message_in_parts_is_told_at_once() {
    let hub = Hub::new(quick()).unwrap();
    let (published, is_published) = mpsc::channel::<()>();
    let is_published = std::sync::Arc::new(std::sync::Mutex::new(is_published));
    let options = WsOptions::new().max_queue_messages(3);
    let (_server, mut client, sender) = member(&hub, options, move |conn| {
        let mut message = conn.send_stream(Kind::Text)?;
        message.write_all(b"part")?;
        let _ = is_published.lock().unwrap().recv_timeout(DEADLINE);
        message.finish()
    });
    let part = client.read_frame();
    assert_eq!((part.fin, &*part.payload), (false, &b"part"[..]));
    assert!(publish_until_closed(&hub, &sender, 1) > 3);
    // The hub did not wait for the message, which may never end.
    client.expect_close(1013);
    drop(published);
    client.send(&Frame::close(1013, ""));
    client.client.expect_eof();
}
