//! Who is connected: the counts and their bounds, and the sockets that a shutdown must reach.

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::stream::Stream;

/// All connections of one server.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    links: Mutex<HashMap<u64, Weak<Link>>>,
    next_id: AtomicU64,
    /// Connections that speak HTTP.
    open: AtomicUsize,
    upgraded: AtomicUsize,
    pub(crate) panics: AtomicU64,
    stopping: AtomicBool,
    /// How long those that are busy may take to end, once somebody asked for it.
    grace: Mutex<Option<Duration>>,
    asked: Condvar,
}

/// One connection's socket and its place in the count, which it holds until the last handle to it is dropped.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) stream: Stream,
    pub(crate) peer: Option<SocketAddr>,
    phase: AtomicU8,
    id: u64,
    roster: Arc<Roster>,
}

/// Waits for a request, so that a shutdown may close it.
const IDLE: u8 = 0;
/// Has a request to answer, so that a shutdown lets it finish.
const BUSY: u8 = 1;
/// Belongs to a closure, which learns of a shutdown as the end of its input.
const UPGRADED: u8 = 2;

impl Roster {
    /// Gives the socket a place among the connections, or gives it back if all `limit` places are taken.
    pub(crate) fn admit(
        self: &Arc<Roster>,
        stream: Stream,
        peer: Option<SocketAddr>,
        limit: usize,
    ) -> Result<Arc<Link>, Stream> {
        if !take_place(&self.open, limit) {
            return Err(stream);
        }
        let link = Arc::new(Link {
            stream,
            peer,
            phase: AtomicU8::new(BUSY),
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            roster: Arc::clone(self),
        });
        lock(&self.links).insert(link.id, Arc::downgrade(&link));
        Ok(link)
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn upgraded(&self) -> usize {
        self.upgraded.load(Ordering::Relaxed)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Asks the server to stop; the first to ask sets the grace.
    pub(crate) fn stop(&self, grace: Duration) {
        lock(&self.grace).get_or_insert(grace);
        self.stopping.store(true, Ordering::SeqCst);
        self.asked.notify_all();
    }

    /// Waits until somebody asks the server to stop, and returns the grace.
    pub(crate) fn wait_for_stop(&self) -> Duration {
        let mut grace = lock(&self.grace);
        loop {
            match *grace {
                Some(grace) => return grace,
                None => {
                    grace = self
                        .asked
                        .wait(grace)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Ends the input of every connection that has no request to answer.
    pub(crate) fn close_idle(&self) {
        for link in self.links() {
            if link.phase.load(Ordering::SeqCst) != BUSY {
                let _ = link.stream.shutdown(Shutdown::Read);
            }
        }
    }

    /// Ends every connection.
    pub(crate) fn close_all(&self) {
        for link in self.links() {
            let _ = link.stream.shutdown(Shutdown::Both);
        }
    }

    fn links(&self) -> Vec<Arc<Link>> {
        lock(&self.links)
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }
}

impl Link {
    /// Says that the connection waits for a request. False if it should not, since the server stops.
    pub(crate) fn set_idle(&self) -> bool {
        // Whoever stops the server sets its flag before it looks for idle links, and we look at the flag after we
        // became one: one of the two sees the other.
        self.phase.store(IDLE, Ordering::SeqCst);
        !self.roster.is_stopping()
    }

    /// Says that a request has arrived.
    pub(crate) fn set_busy(&self) {
        self.phase.store(BUSY, Ordering::SeqCst);
    }

    /// Moves from the connections' count to the upgrades'. False if all `limit` places there are taken.
    pub(crate) fn upgrade(&self, limit: usize) -> bool {
        if !take_place(&self.roster.upgraded, limit) {
            return false;
        }
        self.roster.open.fetch_sub(1, Ordering::Relaxed);
        self.phase.store(UPGRADED, Ordering::SeqCst);
        if self.roster.is_stopping() {
            let _ = self.stream.shutdown(Shutdown::Read);
        }
        true
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.roster.is_stopping()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        lock(&self.roster.links).remove(&self.id);
        let count = match *self.phase.get_mut() {
            UPGRADED => &self.roster.upgraded,
            _ => &self.roster.open,
        };
        count.fetch_sub(1, Ordering::Relaxed);
    }
}

fn take_place(count: &AtomicUsize, limit: usize) -> bool {
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            (taken < limit).then_some(taken + 1)
        })
        .is_ok()
}

/// A lock whose data stays valid even if a holder panicked: each critical section here is a single step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
