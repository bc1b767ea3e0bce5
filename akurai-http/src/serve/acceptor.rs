//! A listener, and the threads that wait for its next connection: a few in `accept`, the others at
//! rest.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::io::lock::{lock, wait_at_most};
use crate::io::transport::Listener;

/// Most threads in `accept` at a time. A thread that waits there holds the number of a descriptor
/// that nothing lists: Linux reserves it before the connection comes. So a burst would leave few
/// numbers for files, if all of its threads waited there.
const ACCEPTING: usize = 4;

#[derive(Debug)]
pub(crate) struct Acceptor {
    pub(crate) listener: Listener,
    state: Mutex<Waiting>,
    called: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Threads in `accept`, or on their way there.
    accepting: usize,
    /// Threads that hold no descriptor, and wait to be called there.
    resting: usize,
    /// Threads that were called, count as accepting, and have not yet heard it.
    calls: usize,
}

impl Acceptor {
    pub(crate) fn new(listener: Listener) -> Acceptor {
        Acceptor {
            listener,
            state: Mutex::default(),
            called: Condvar::new(),
        }
    }

    /// A thread goes to `accept`.
    pub(crate) fn enter(&self) {
        lock(&self.state).accepting += 1;
    }

    /// A thread leaves `accept`, and calls a resting one if it was the last. False if there is
    /// none, so that nobody accepts.
    pub(crate) fn leave(&self) -> bool {
        let mut state = lock(&self.state);
        state.accepting -= 1;
        if state.accepting == 0 && state.resting > 0 {
            state.resting -= 1;
            state.accepting += 1;
            state.calls += 1;
            self.called.notify_one();
        }
        state.accepting > 0
    }

    /// A thread leaves `accept` for good, unless it is the last there: then this is false.
    pub(crate) fn leave_others(&self) -> bool {
        let mut state = lock(&self.state);
        let is_spare = state.accepting > 1;
        state.accepting -= usize::from(is_spare);
        is_spare
    }

    /// A thread that has served its connection goes to `accept`, at once or when it is called.
    /// False if it is to end:
    /// `most` threads wait already, or nobody called it for so long, or the server `is_over`.
    pub(crate) fn come_back(
        &self,
        most: usize,
        wait: Duration,
        is_over: impl Fn() -> bool,
    ) -> bool {
        let mut state = lock(&self.state);
        if state.accepting + state.resting >= most {
            return false;
        }
        if state.accepting < ACCEPTING {
            state.accepting += 1;
            return true;
        }
        state.resting += 1;
        let begun = Instant::now();
        loop {
            let left = wait.saturating_sub(begun.elapsed());
            if state.calls > 0 {
                state.calls -= 1;
                return true;
            }
            if left.is_zero() || is_over() {
                state.resting -= 1;
                return false;
            }
            state = wait_at_most(&self.called, state, left);
        }
    }

    /// Has the threads that wait look whether the server is over. It may take several calls until
    /// all have.
    pub(crate) fn stop(&self) {
        let accepting = {
            let state = lock(&self.state);
            self.called.notify_all();
            state.accepting
        };
        match accepting {
            // The next server may have the path, while this one serves to the end.
            0 => self.listener.remove_file(),
            // Where a single call cannot wake all threads in accept, each call wakes one.
            _ => drop(self.listener.wake()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn acceptor() -> Acceptor {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        Acceptor::new(Listener::Tcp(listener))
    }

    fn come_back(acceptor: &Acceptor, wait: Duration) -> bool {
        acceptor.come_back(32, wait, || false)
    }

    #[test]
    fn few_accept_and_the_others_rest() {
        let acceptor = acceptor();
        assert!((0..ACCEPTING).all(|_| come_back(&acceptor, LONG)));
        assert!(!come_back(&acceptor, Duration::ZERO), "nobody calls it");
        assert!(!acceptor.come_back(ACCEPTING, LONG, || false), "too many");
        assert!(!acceptor.come_back(32, LONG, || true), "it is over");
        assert_eq!(lock(&acceptor.state).resting, 0);
        assert!((1..ACCEPTING).all(|_| acceptor.leave_others()));
        assert!(!acceptor.leave_others(), "it is the last");
        assert!(!acceptor.leave(), "and now nobody accepts");
    }

    #[test]
    fn the_last_that_accepts_calls_one_that_rests() {
        let acceptor = acceptor();
        (0..ACCEPTING).for_each(|_| acceptor.enter());
        thread::scope(|scope| {
            let resting: Vec<_> = (0..2)
                .map(|_| scope.spawn(|| come_back(&acceptor, LONG)))
                .collect();
            while lock(&acceptor.state).resting < resting.len() {
                thread::yield_now();
            }
            assert!((0..ACCEPTING).all(|_| acceptor.leave()), "one is called");
            assert!(acceptor.leave(), "and then the other");
            assert!(resting.into_iter().all(|thread| thread.join().unwrap()));
            assert!(!acceptor.leave(), "there is none left");
        });
    }
}
