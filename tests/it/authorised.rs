//! Event streams of a hub that only some clients may follow, as the guide's page about authorising
//! describes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use akurai_http::{Reply, Request, Response, Router, Status};
use akurai_server::Hub;
use akurai_tests::{EventStream, TestServer};

use crate::hub::quick;

#[test]
fn a_stream_ends_with_its_lifetime_and_is_asked_again_who_it_is() {
    let hub = Hub::new(quick().lifetime(Duration::from_millis(100))).unwrap();
    let is_valid = Arc::new(AtomicBool::new(true));
    let (streams, asked) = (hub.clone(), Arc::clone(&is_valid));
    let app = Router::new().get("/events", move |req: &Request| -> Reply {
        match asked.load(Ordering::SeqCst) {
            true => streams.sse(req, &["a"]),
            false => Response::new(Status::UNAUTHORIZED).into(),
        }
    });
    let server = TestServer::start(app);
    let mut stream = EventStream::default();
    let mut follow = || {
        let mut client = server.connect();
        let id = match &*stream.last_event_id {
            "" => String::new(),
            id => format!("Last-Event-ID: {id}\r\n"),
        };
        client.send(format!("GET /events HTTP/1.1\r\nHost: t\r\n{id}\r\n"));
        let head = client.read_head();
        if head.status == 200 {
            let (bytes, _) = client.read_to_end();
            stream.feed(&bytes);
        }
        (head.status, stream.data().join(" "))
    };
    assert_eq!(follow(), (200, String::new()));
    hub.publish("a", "", "one").unwrap();
    // Each time the client comes back it gets the events that it missed, until its session is over.
    assert_eq!(follow(), (200, "one".to_owned()));
    hub.publish("a", "", "two").unwrap();
    assert_eq!(follow(), (200, "one two".to_owned()));
    is_valid.store(false, Ordering::SeqCst);
    hub.publish("a", "", "secret").unwrap();
    assert_eq!(follow(), (401, "one two".to_owned()));
}

#[test]
fn a_stream_ends_at_once_with_its_session() {
    let hub = Hub::new(quick()).unwrap();
    let is_valid = Arc::new(Mutex::new(true));
    let (streams, asked) = (hub.clone(), Arc::clone(&is_valid));
    let app = Router::new().get("/events", move |req: &Request| -> Reply {
        let is_valid = asked.lock().unwrap();
        match *is_valid {
            true => streams.sse(req, &["news", "session:7"]),
            false => Response::new(Status::UNAUTHORIZED).into(),
        }
    });
    let server = TestServer::start(app);
    let mut client = server.connect();
    client.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.read_head().status, 200);
    let mut stream = EventStream::default();
    while stream.last_event_id.is_empty() {
        stream.feed(&client.read_some());
    }
    hub.publish("news", "", "old").unwrap();
    *is_valid.lock().unwrap() = false;
    hub.end("session:7");
    hub.publish("news", "", "secret").unwrap();
    stream.feed(&client.read_to_end().0);
    assert_eq!(stream.data(), ["old"]);
    let mut back = server.connect();
    let id = &stream.last_event_id;
    back.send(format!(
        "GET /events HTTP/1.1\r\nHost: t\r\nLast-Event-ID: {id}\r\n\r\n"
    ));
    assert_eq!(back.read_response().status, 401);
}
