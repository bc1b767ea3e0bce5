//! A server that answers, but slowly.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use akurai_server::Engine;

use super::SLACK;
use super::fake::{Fake, say};

#[test]
fn a_server_that_is_slow_holds_nobody_for_longer() {
    // Each event is a group of its own, and the server takes most of a second for each.
    let fake = Fake::start(|_, _| {
        thread::park_timeout(Duration::from_millis(800));
        say("$3\r\n7-1\r\n")
    });
    let engine = fake.engine();
    let data = "x".repeat(1 << 20);
    let publish = || {
        let begun = Instant::now();
        let outcome = engine.publish("t", "", &data);
        (outcome.map_err(|error| error.kind()), begun.elapsed())
    };
    let outcomes = thread::scope(|scope| {
        let threads: Vec<_> = (0..12).map(|_| scope.spawn(publish)).collect();
        let outcomes = threads.into_iter().map(|thread| thread.join().unwrap());
        outcomes.collect::<Vec<_>>()
    });
    // One after the other, the last event would have waited for 9 s.
    for (outcome, took) in &outcomes {
        assert!(*took < Duration::from_secs(3) + 2 * SLACK, "{outcomes:?}");
        assert!(matches!(outcome, Ok(_) | Err(io::ErrorKind::TimedOut)));
    }
    assert!(outcomes.iter().any(|(outcome, _)| outcome.is_err()));
}
