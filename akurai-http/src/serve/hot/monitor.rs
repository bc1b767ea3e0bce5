//! A value behind a lock, the threads that wait until it changes, and the clock that they read.
//!
//! Everything between the threads of a set goes through here, so that its model test can decide
//! which thread runs next and what time it is.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(test)]
use super::model;
use crate::io::lock;

pub(super) struct Monitor<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Monitor<T> {
    pub(super) fn new(value: T) -> Monitor<T> {
        Monitor {
            value: Mutex::new(value),
            changed: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        #[cfg(test)]
        model::step();
        lock::lock(&self.value)
    }

    /// As [`lock`](Self::lock); no step of its own.
    #[cfg(test)]
    pub(super) fn peek(&self) -> MutexGuard<'_, T> {
        lock::lock(&self.value)
    }

    /// Waits until another thread notifies this one, for so long at most. It may also wake up for
    /// no reason.
    pub(super) fn wait<'m>(
        &'m self,
        guard: MutexGuard<'m, T>,
        longest: Duration,
    ) -> MutexGuard<'m, T> {
        #[cfg(test)]
        if model::is_running() {
            return model::wait(&self.value, guard, longest).0;
        }
        lock::wait_at_most(&self.changed, guard, longest)
    }

    pub(super) fn notify_one(&self) {
        #[cfg(test)]
        model::wake_one(&self.value);
        self.changed.notify_one();
    }

    pub(super) fn notify_all(&self) {
        #[cfg(test)]
        model::wake(&self.value);
        self.changed.notify_all();
    }
}

pub(super) fn now() -> Instant {
    #[cfg(test)]
    if let Some(now) = model::now() {
        return now;
    }
    Instant::now()
}

/// Lets other threads run, for so long if that is said.
pub(super) fn give_way(nap: Option<Duration>) {
    #[cfg(test)]
    if model::is_running() {
        return nap.map_or_else(model::step, model::pass_time);
    }
    nap.map_or_else(thread::yield_now, thread::sleep);
}
