//! A value behind a lock, the threads that wait until it changes, and the clock that they read.
//!
//! Everything between the write side and other threads goes through here, so that its model test
//! can decide which thread runs next and what time it is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(test)]
use super::model;
use crate::lock::lock;

pub(super) type Guard<'m, T> = MutexGuard<'m, T>;

#[derive(Debug)]
pub(super) struct Monitor<T> {
    value: Mutex<T>,
    changed: Condvar,
    /// Threads that wait; it changes under the lock alone.
    waiting: AtomicUsize,
}

impl<T> Monitor<T> {
    pub(super) const fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            changed: Condvar::new(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Each change under this lock is a single step, so a thread that panics leaves no half of one.
    pub(super) fn lock(&self) -> Guard<'_, T> {
        #[cfg(test)]
        model::step();
        lock(&self.value)
    }

    /// Waits until another thread [wakes](Self::wake) it, for at most this long.
    pub(super) fn wait<'m>(&'m self, guard: Guard<'m, T>, most: Duration) -> Guard<'m, T> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        #[cfg(test)]
        let (guard, most) = model::wait(&self.value, guard, most);
        let waited = self.changed.wait_timeout(guard, most);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Wakes each thread that waits, under the lock. A notice costs a system call, also where no
    /// thread waits.
    pub(super) fn wake(&self, _: &Guard<'_, T>) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            #[cfg(test)]
            model::wake(&self.value);
            self.changed.notify_all();
        }
    }
}

pub(super) fn now() -> Instant {
    #[cfg(test)]
    if let Some(now) = model::now() {
        return now;
    }
    Instant::now()
}

/// Starts a thread; false if the system has none to give.
pub(super) fn spawn(run: impl FnOnce() + Send + 'static) -> bool {
    #[cfg(test)]
    if model::is_running() {
        return model::spawn(run);
    }
    let builder = thread::Builder::new().name("akurai-ws".to_owned());
    builder.spawn(run).is_ok()
}
