//! Engines that an application writes itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use akurai_http::{Method, Request};
use akurai_server::{Batch, Engine, EventId, Hub, HubOptions, Memory};
use akurai_tests::{DEADLINE, TestServer, eventually};

use crate::demo::program::routes::app;

/// In memory; fails while `fails` says so, as an engine without its server.
struct Failing {
    memory: Memory,
    fails: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
}

impl Engine for Failing {
    fn publish(&self, topic: &str, name: &str, data: &str) -> io::Result<EventId> {
        self.memory.publish(topic, name, data)
    }

    fn next(&self, after: EventId, _wait: Duration, max: usize) -> io::Result<Batch> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            let kind = io::ErrorKind::ConnectionRefused;
            // As a hostile server might say it.
            let text = "no server\n<0>forged\u{1b}[2J\u{202e}";
            return Err(io::Error::new(kind, text));
        }
        self.memory.next(after, Duration::from_millis(10), max)
    }

    fn tail(&self, max: usize) -> io::Result<Batch> {
        self.memory.tail(max)
    }
}

/// What a hub tells its application.
fn told_by(hub: &Hub) -> mpsc::Receiver<(io::ErrorKind, String)> {
    let (tell, told) = mpsc::channel();
    hub.on_error(move |error| {
        let _ = tell.send((error.kind(), error.to_string()));
    });
    told
}

#[test]
fn an_engine_that_fails_is_told_once_until_it_recovers() {
    let fails = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicUsize::new(0));
    let engine = Failing {
        memory: Memory::new(100),
        fails: Arc::clone(&fails),
        calls: Arc::clone(&calls),
    };
    let hub = Hub::with_engine(HubOptions::default(), engine).expect("it begins well");
    let told = told_by(&hub);
    let more_calls = || {
        let before = calls.load(Ordering::SeqCst);
        eventually("it is asked again", || {
            calls.load(Ordering::SeqCst) >= before + 3
        });
    };
    for _ in 0..2 {
        fails.store(true, Ordering::SeqCst);
        let (kind, text) = told.recv_timeout(DEADLINE).expect("it is told");
        assert_eq!(kind, io::ErrorKind::ConnectionRefused);
        assert_eq!(
            text,
            r"the engine failed: no server\n<0>forged\u{1b}[2J\u{202e}"
        );
        more_calls();
        assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Empty));
        fails.store(false, Ordering::SeqCst);
        more_calls();
    }
}

#[test]
fn a_hook_of_a_hub_that_panics_harms_nobody() {
    let hub = Hub::new(HubOptions::default()).expect("its threads begin");
    let (tell, told) = mpsc::channel();
    hub.on_error(move |error| {
        let _ = tell.send(error.to_string());
        panic!("in the hook");
    });
    hub.on_join(|_, _| panic!("planned"))
        .expect("its thread begins");
    let joined = hub.clone();
    let server = TestServer::start(move |req: &Request| joined.sse(req, &["news"]));
    for _ in 0..2 {
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        client.read_head();
        let text = told.recv_timeout(DEADLINE).expect("it is told");
        assert_eq!(text, "a notice of on_join panicked: planned");
    }
}

/// In memory; panics when the hub asks for events while it is broken.
struct Breakable {
    memory: Memory,
    is_broken: Arc<AtomicBool>,
    panics: Arc<AtomicUsize>,
}

impl Engine for Breakable {
    fn publish(&self, topic: &str, name: &str, data: &str) -> io::Result<EventId> {
        self.memory.publish(topic, name, data)
    }

    fn next(&self, after: EventId, _wait: Duration, max: usize) -> io::Result<Batch> {
        if self.is_broken.load(Ordering::SeqCst) {
            self.panics.fetch_add(1, Ordering::SeqCst);
            panic!("on purpose");
        }
        self.memory.next(after, Duration::from_millis(10), max)
    }

    fn tail(&self, max: usize) -> io::Result<Batch> {
        self.memory.tail(max)
    }
}

#[test]
fn a_node_whose_engine_panics_is_not_ready_until_it_does_not() {
    let is_broken = Arc::new(AtomicBool::new(false));
    let panics = Arc::new(AtomicUsize::new(0));
    let engine = Breakable {
        memory: Memory::new(100),
        is_broken: Arc::clone(&is_broken),
        panics: Arc::clone(&panics),
    };
    let hub = Hub::with_engine(HubOptions::default(), engine).expect("it begins well");
    let app = app(&hub);
    let ready = || {
        let reply = app.handle(&Request::new(Method::Get, "/api/ready"));
        reply.response().status().code()
    };
    let first = hub.publish("news", "", "first").unwrap();
    eventually("the first is here", || hub.last_id() == first);
    assert_eq!(ready(), 200);

    let told = told_by(&hub);
    is_broken.store(true, Ordering::SeqCst);
    eventually("it is not ready", || ready() == 503);
    let error = hub.ready().unwrap_err().to_string();
    assert_eq!(error, "the engine panics when it is asked");
    let second = hub.publish("news", "", "second").unwrap();
    eventually("it is asked again", || panics.load(Ordering::SeqCst) >= 2);
    assert_eq!((ready(), hub.last_id()), (503, first));
    let panic = "the engine panicked: on purpose".to_owned();
    let told: Vec<_> = told.try_iter().collect();
    assert_eq!(
        told,
        [(io::ErrorKind::Other, panic)],
        "once for all of them"
    );

    is_broken.store(false, Ordering::SeqCst);
    eventually("the second is here", || hub.last_id() == second);
    eventually("it is ready", || ready() == 200);
}
