//! The threads that serve connections: made on demand, and joined when they end.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Instant;

use crate::io::contain::contain;
use crate::io::lock::{lock, wait_at_most};

/// The threads of one server.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    state: Mutex<Joinable>,
    ended: Condvar,
    /// Makes `spawn` fail, as if the system could make no thread.
    #[cfg(test)]
    pub(crate) refuses: std::sync::atomic::AtomicBool,
}

#[derive(Debug, Default)]
struct Joinable {
    running: HashMap<ThreadId, JoinHandle<()>>,
    /// Threads that are about to end. A thread that ends joins only those that have finished, and
    /// waits for no other. If each thread waited for the one before it, they would end one wake-up
    /// after the other, more slowly than a busy core starts new ones.
    ending: Vec<JoinHandle<()>>,
    /// How many [`Hold`]s there are.
    holds: usize,
}

impl Joinable {
    fn is_empty(&self) -> bool {
        self.running.is_empty() && self.holds == 0
    }
}

/// A thread of the program is about to spawn one of ours; see [`Threads::hold`].
pub(crate) struct Hold<'a>(&'a Threads);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).holds -= 1;
        self.0.ended.notify_all();
    }
}

impl Threads {
    /// Runs `work` on a thread of its own.
    pub(crate) fn spawn(self: &Arc<Threads>, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        #[cfg(test)]
        if self.refuses.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let threads = Arc::clone(self);
        // The thread cannot leave before it is in `running`, since leaving takes the same lock.
        let mut state = lock(&self.state);
        let handle = thread::Builder::new()
            .name("akurai".to_owned())
            .spawn(move || {
                let _ = contain(work);
                threads.leave();
            })?;
        state.running.insert(handle.thread().id(), handle);
        Ok(())
    }

    /// Until this is dropped, `join` waits, and joins what the caller has spawned meanwhile.
    pub(crate) fn hold(&self) -> Hold<'_> {
        lock(&self.state).holds += 1;
        Hold(self)
    }

    /// Waits until every thread has ended and is joined. False if the deadline came first.
    pub(crate) fn join(&self, deadline: Instant) -> bool {
        let mut state = lock(&self.state);
        while !state.is_empty() {
            let wait = deadline.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return false;
            }
            state = wait_at_most(&self.ended, state, wait);
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

    /// Whether just so many threads are running, and no other is about to be spawned.
    pub(crate) fn are(&self, count: usize) -> bool {
        let state = lock(&self.state);
        state.holds == 0 && state.running.len() == count
    }

    fn leave(&self) {
        let mut state = lock(&self.state);
        let (ended, mut ending): (Vec<_>, Vec<_>) = std::mem::take(&mut state.ending)
            .into_iter()
            .partition(JoinHandle::is_finished);
        ending.extend(state.running.remove(&thread::current().id()));
        state.ending = ending;
        if state.is_empty() {
            self.ended.notify_all();
        }
        drop(state);
        for ended in ended {
            let _ = ended.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::{PoisonError, mpsc};
    use std::time::Duration;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// What a thread of these tests does when it has returned and cannot be joined yet.
    struct AtEnd(Box<dyn Fn() + Send>);

    impl Drop for AtEnd {
        fn drop(&mut self) {
            (self.0)();
        }
    }

    thread_local! {
        static AT_END: Cell<Option<AtEnd>> = const { Cell::new(None) };
    }

    fn spawn(threads: &Arc<Threads>, at_end: impl Fn() + Send + 'static) {
        let at_end = AtEnd(Box::new(at_end));
        threads
            .spawn(Box::new(move || AT_END.set(Some(at_end))))
            .expect("a thread can be made");
    }

    // Windows starts no thread while another drops its thread-local values, as the first one here.
    #[cfg_attr(windows, ignore = "the first thread holds up the start of all others")]
    #[test]
    fn who_ends_waits_for_none_that_has_not() {
        let threads = Arc::new(Threads::default());
        let gate = Arc::new(Mutex::new(()));
        let (tell, told) = mpsc::channel();

        // The first thread has returned, and ends when the gate opens.
        let closed = lock(&gate);
        let (at_gate, gate_of_first) = (tell.clone(), Arc::clone(&gate));
        spawn(&threads, move || {
            let _ = at_gate.send("first");
            drop(lock(&gate_of_first));
        });
        assert_eq!(told.recv_timeout(DEADLINE), Ok("first"));

        // The second thread takes the first for finished, and waits in joining it.
        spawn(&threads, || {});
        let state = lock(&threads.state);
        let waited = threads
            .ended
            .wait_timeout_while(state, DEADLINE, |state| !state.running.is_empty());
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        assert!(state.running.is_empty());
        let unfinished: Vec<_> = state.ending.iter().map(JoinHandle::is_finished).collect();
        assert_eq!(unfinished, [false], "the second alone, which waits");
        drop(state);

        // The third thread does not wait.
        spawn(&threads, move || {
            let _ = tell.send("third");
        });
        assert_eq!(told.recv_timeout(DEADLINE), Ok("third"));

        drop(closed);
        assert!(threads.join(Instant::now() + DEADLINE));
        assert!(lock(&threads.state).ending.is_empty());
    }

    #[test]
    fn a_join_waits_for_what_is_about_to_be_spawned() {
        let threads = Arc::new(Threads::default());
        let hold = threads.hold();
        assert!(!threads.join(Instant::now() + Duration::from_millis(20)));
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let joining = scope.spawn(|| threads.join(Instant::now() + DEADLINE));
            spawn(&threads, move || {
                let _ = tell.send(());
            });
            assert_eq!(told.recv_timeout(DEADLINE), Ok(()));
            assert!(!joining.is_finished());
            drop(hold);
            assert_eq!(joining.join().ok(), Some(true));
        });
        assert_eq!(threads.len(), 0);
    }
}
