//! Waits for a condition that no socket reports.

use std::thread;
use std::time::{Duration, Instant};

use crate::DEADLINE;

/// Waits until `condition` holds, and checks it every 2 ms; fails after [`DEADLINE`].
///
/// For what shows on no socket and no channel alone: a count in `stats()`, a number under `/proc`.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < give_up, "never came true: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
