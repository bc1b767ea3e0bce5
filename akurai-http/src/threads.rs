//! Who serves a connection: threads made on demand and joined when they end.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Instant;

use crate::roster::lock;

/// The threads of one server.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: HashMap<ThreadId, JoinHandle<()>>,
    /// The thread that ended last; whoever ends next joins it, so that at most one is unjoined.
    last: Option<JoinHandle<()>>,
}

impl Threads {
    /// Runs `work` on a thread of its own.
    pub(crate) fn spawn(self: &Arc<Threads>, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        let threads = Arc::clone(self);
        // The thread cannot leave before it is entered here, since leaving takes the same lock.
        let mut state = lock(&self.state);
        let handle = thread::Builder::new()
            .name("akurai".to_owned())
            .spawn(move || {
                let _ = catch_unwind(AssertUnwindSafe(work));
                threads.leave();
            })?;
        state.running.insert(handle.thread().id(), handle);
        Ok(())
    }

    /// Waits until every thread has ended and is joined. False if the deadline came first.
    pub(crate) fn join(&self, deadline: Instant) -> bool {
        let mut state = lock(&self.state);
        while !state.running.is_empty() {
            let wait = deadline.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return false;
            }
            state = match self.ended.wait_timeout(state, wait) {
                Ok((state, _)) => state,
                Err(poisoned) => PoisonError::into_inner(poisoned).0,
            };
        }
        if let Some(last) = state.last.take() {
            let _ = last.join();
        }
        true
    }

    /// How many threads are running.
    pub(crate) fn len(&self) -> usize {
        lock(&self.state).running.len()
    }

    fn leave(&self) {
        let mut state = lock(&self.state);
        let mine = state.running.remove(&thread::current().id());
        let previous = std::mem::replace(&mut state.last, mine);
        if state.running.is_empty() {
            self.ended.notify_all();
        }
        drop(state);
        if let Some(previous) = previous {
            let _ = previous.join();
        }
    }
}
