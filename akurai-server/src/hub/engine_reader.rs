//! The thread that reads a hub's events from its engine.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use akurai_http::program::contain;

use super::ring::BATCH;
use super::{Inner, spawn};
use crate::{Batch, Engine, EventId};

/// How long one call may wait in the engine.
const POLL: Duration = Duration::from_secs(1);

/// Whether the engine returns its next events.
#[derive(Debug, Default)]
pub(super) struct EngineHealth {
    /// The last call for the next events panicked.
    has_panicked: AtomicBool,
}

impl EngineHealth {
    pub(super) fn ready(&self) -> io::Result<()> {
        match self.has_panicked.load(Ordering::Relaxed) {
            true => Err(io::Error::other("the engine panics when it is asked")),
            false => Ok(()),
        }
    }
}

/// Starts the thread, which ends when the hub is gone.
pub(super) fn start(engine: Arc<dyn Engine>, hub: Weak<Inner>, after: EventId) -> io::Result<()> {
    spawn(move || run(&*engine, &hub, after))
}

fn run(engine: &dyn Engine, hub: &Weak<Inner>, mut after: EventId) {
    let mut was_failing = false;
    while let Some((look, wait)) = hub.upgrade().map(|hub| hub.begin_look()) {
        // An application's own engine may panic. Its next call may succeed, and without this thread
        // the hub would get no more events.
        let outcome = contain(|| {
            let batch = engine.next(after, wait, BATCH)?;
            let Some(hub) = hub.upgrade() else {
                return Ok(());
            };
            hub.add(&batch);
            let before = std::mem::replace(&mut after, batch.end);
            hub.end_look(engine, look, before, &batch)
        });
        let Some(hub) = hub.upgrade() else {
            return;
        };
        let has_panicked = outcome.is_err();
        hub.engine_health
            .has_panicked
            .store(has_panicked, Ordering::Relaxed);
        let failure = match &outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(("the engine failed", error)),
            Err(panic) => Some(("the engine panicked", panic)),
        };
        if let Some((work, error)) = failure {
            hub.shared.counts.read_errors.add(1);
            // The engine may fail for hours, ten times a second.
            if !was_failing {
                hub.shared.failures().tell(work, error);
            }
        }
        was_failing = failure.is_some();
        drop(hub);
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(_)) => thread::sleep(POLL / 10),
            Err(_) => thread::sleep(POLL),
        }
    }
}

impl Inner {
    /// Each read of the engine's next events is also a look at its end. Returns the number of the
    /// look that begins, and how long the engine may wait for an event.
    fn begin_look(&self) -> (u64, Duration) {
        let looks = &self.shared.looks;
        let wait = match looks.is_wanted() {
            true => Duration::ZERO,
            false => POLL,
        };
        (looks.begin(), wait)
    }

    /// Finds out how far the order goes, for subscribers that are ahead of this node.
    fn end_look(
        &self,
        engine: &dyn Engine,
        look: u64,
        before: EventId,
        batch: &Batch,
    ) -> io::Result<()> {
        let looks = &self.shared.looks;
        if batch.gap {
            looks.want_again();
        } else if batch.events.is_empty() && batch.end == before {
            self.show(look, before);
        } else if looks.is_wanted_since(look, batch.end) {
            // If new events never stop, no read reaches the end.
            let look = looks.begin();
            self.show(look, engine.end()?);
        }
        Ok(())
    }

    fn show(&self, look: u64, end: EventId) {
        if self.shared.looks.show(look, end) {
            self.wake();
        }
    }
}
