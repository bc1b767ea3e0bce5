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
    /// Threads that are about to end. Whoever ends later joins those that have, and waits for no other: if each waited for the
    /// one before it, they would end one wake-up after the other, more slowly than a busy core begins new ones.
    ending: Vec<JoinHandle<()>>,
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
        for ending in state.ending.drain(..) {
            let _ = ending.join();
        }
        true
    }

    /// How many threads are running.
    pub(crate) fn len(&self) -> usize {
        lock(&self.state).running.len()
    }

    fn leave(&self) {
        let mut state = lock(&self.state);
        let (ended, mut ending): (Vec<_>, Vec<_>) = std::mem::take(&mut state.ending)
            .into_iter()
            .partition(JoinHandle::is_finished);
        ending.extend(state.running.remove(&thread::current().id()));
        state.ending = ending;
        if state.running.is_empty() {
            self.ended.notify_all();
        }
        drop(state);
        for ended in ended {
            let _ = ended.join();
        }
    }
}
