//! Engines that an application writes itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use akurai_http::{Method, Request};
use akurai_server::{Batch, Engine, EventId, Hub, HubOptions, Memory};
use akurai_tests::eventually;

use crate::demo::program::routes::app;

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

    is_broken.store(true, Ordering::SeqCst);
    eventually("it is not ready", || ready() == 503);
    let error = hub.ready().unwrap_err().to_string();
    assert_eq!(error, "the engine panics when it is asked");
    let second = hub.publish("news", "", "second").unwrap();
    eventually("it is asked again", || panics.load(Ordering::SeqCst) >= 2);
    assert_eq!((ready(), hub.last_id()), (503, first));

    is_broken.store(false, Ordering::SeqCst);
    eventually("the second is here", || hub.last_id() == second);
    eventually("it is ready", || ready() == 200);
}
