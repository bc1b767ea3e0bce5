//! A gate that holds handlers until the test lets them through.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Holds every [`Waiter`] until it is opened. Dropping it opens it too, so that a failing test
/// leaves no thread behind.
#[derive(Debug, Default)]
pub struct Gate(Arc<State>);

/// The handler's side of a [`Gate`].
#[derive(Debug, Clone)]
pub struct Waiter(Arc<State>);

#[derive(Debug, Default)]
struct State {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// A side at which a handler can wait.
    pub fn waiter(&self) -> Waiter {
        Waiter(Arc::clone(&self.0))
    }

    /// Lets every waiter pass, now and later.
    pub fn open(&self) {
        *self.0.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.changed.notify_all();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

impl Waiter {
    /// Blocks until the gate is open, at most 30 s. That limit is for a failing test; no test
    /// relies on it.
    pub fn wait(&self) {
        let open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self
            .0
            .changed
            .wait_timeout_while(open, Duration::from_secs(30), |open| !*open);
    }
}
