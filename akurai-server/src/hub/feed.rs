//! The thread that takes a hub's events from its engine.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::ring::BATCH;
use super::{Shared, spawn};
use crate::{Engine, EventId};

/// How long a hub waits for its engine at a time.
const POLL: Duration = Duration::from_secs(1);

/// What became of the calls for the next events.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// The last one panicked.
    is_broken: AtomicBool,
}

impl Feed {
    pub(super) fn ready(&self) -> io::Result<()> {
        match self.is_broken.load(Ordering::Relaxed) {
            true => Err(io::Error::other("the engine panics when it is asked")),
            false => Ok(()),
        }
    }
}

/// Starts the thread, which ends when the hub is gone.
pub(super) fn start(
    engine: Arc<dyn Engine>,
    shared: Weak<Shared>,
    after: EventId,
) -> io::Result<()> {
    spawn(move || run(&*engine, &shared, after))
}

fn run(engine: &dyn Engine, shared: &Weak<Shared>, mut after: EventId) {
    loop {
        // An engine of the application's own may panic. Its next call may go well, and without this thread none would come.
        let batch = catch_unwind(AssertUnwindSafe(|| engine.next(after, POLL, BATCH)));
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let rest = match &batch {
            Ok(Ok(batch)) => {
                after = batch.end;
                shared.take(batch);
                None
            }
            Ok(Err(_)) => Some(POLL / 10),
            // Each has its message on stderr.
            Err(_) => Some(POLL),
        };
        if rest.is_some() {
            shared.core.counts.read_errors.add(1);
        }
        shared
            .feed
            .is_broken
            .store(batch.is_err(), Ordering::Relaxed);
        shared.admit_early();
        drop(shared);
        if let Some(rest) = rest {
            thread::sleep(rest);
        }
    }
}
