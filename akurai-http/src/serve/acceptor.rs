//! A listener, and the threads that wait for its next connection. A few are in `accept`, the others
//! rest.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::io::lock::{lock, wait_at_most};
use crate::io::session::SessionOpener;
use crate::io::transport::Listener;

/// Most threads in `accept` at a time. Linux reserves a descriptor's number for each thread there,
/// before a connection comes, and nothing lists that number. If all threads of a burst waited
/// there, few numbers would be left for files.
const ACCEPTING: usize = 4;

/// A listener, and what makes its connections' sessions, if they have any.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) listener: Listener,
    pub(crate) opener: Option<SessionOpener>,
}

#[derive(Debug)]
pub(crate) struct Acceptor {
    pub(crate) listener: Listener,
    pub(crate) opener: Option<SessionOpener>,
    state: Mutex<Waiting>,
    called: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Threads in `accept`, or on their way there.
    accepting: usize,
    /// Threads that hold no descriptor, and wait until they are called to `accept`.
    resting: usize,
    /// Threads that were called and count as accepting, but have not noticed the call yet.
    calls: usize,
}

impl From<Listener> for Bound {
    fn from(listener: Listener) -> Bound {
        Bound {
            listener,
            opener: None,
        }
    }
}

impl Acceptor {
    pub(crate) fn new(Bound { listener, opener }: Bound) -> Acceptor {
        Acceptor {
            listener,
            opener,
            state: Mutex::default(),
            called: Condvar::new(),
        }
    }

    /// A thread goes to `accept`.
    pub(crate) fn enter(&self) {
        lock(&self.state).accepting += 1;
    }

    /// A thread leaves `accept`. If it was the last there, it calls a resting one. False if there
    /// is none, so that no thread accepts.
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

    /// A thread leaves `accept` for good. If it is the last there, it must stay: then this is
    /// false.
    pub(crate) fn leave_others(&self) -> bool {
        let mut state = lock(&self.state);
        let is_spare = state.accepting > 1;
        state.accepting -= usize::from(is_spare);
        is_spare
    }

    /// A thread that has served its connection goes back to `accept`, at once or when it is called.
    /// False if it must end: `most` threads wait already, no call came for as long as `wait`, or
    /// the server `is_over`.
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

    /// How many threads are in `accept`, or on their way there.
    pub(crate) fn accepting(&self) -> usize {
        lock(&self.state).accepting
    }

    /// Makes waiting threads check whether the server is over. It may take several calls until all
    /// threads have.
    pub(crate) fn stop(&self) {
        let accepting = {
            let state = lock(&self.state);
            self.called.notify_all();
            state.accepting
        };
        match accepting {
            // No thread accepts any more. The next server may have the path while this one still
            // serves.
            0 => self.listener.remove_file(),
            // Where a single call cannot wake all threads in `accept`, each call wakes one.
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
        Acceptor::new(Listener::Tcp(listener).into())
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
