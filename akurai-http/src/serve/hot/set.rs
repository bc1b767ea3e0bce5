//! The set of busy connections, and how many threads sweep it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::heat::{Heat, PACE};
use super::monitor;
use crate::serve::connection::Work;

/// So many visits at least are judged together, and so many to each connection.
const WINDOW: usize = if cfg!(test) { 12 } else { 512 };
const ROUNDS: usize = if cfg!(test) { 2 } else { 8 };

/// How long nobody lends when it was not worth it again and again: at first, and at most.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(10_240);

/// A connection that may be lent.
pub(super) struct Lendable<C> {
    pub(super) connection: Box<C>,
    pub(super) heat: Heat,
}

pub(super) type Given<C> = (Lendable<C>, Work);

/// What the threads of a set share under its lock.
pub(super) struct BusySet<C> {
    lent: VecDeque<Lendable<C>>,
    /// Connections that need a thread. One that waits takes the first.
    pub(super) given: VecDeque<Given<C>>,
    /// How many threads should sweep.
    wanted: usize,
    /// The places in which no thread sweeps.
    free: Vec<usize>,
    /// What the watchman has seen in each place at its last look.
    seen: Vec<u64>,
    pub(super) is_watched: bool,
    /// When the visits began that are judged together.
    begun: Instant,
    visits: usize,
    hits: usize,
    pause: Duration,
    closed_until: Option<Instant>,
    /// For tests: nobody pauses.
    always: bool,
}

impl<C> BusySet<C> {
    /// An empty set, which so many threads may sweep.
    pub(super) fn new(places: usize, always: bool) -> BusySet<C> {
        BusySet {
            lent: VecDeque::with_capacity(64),
            given: VecDeque::new(),
            wanted: 0,
            free: (0..places).collect(),
            seen: vec![0; places],
            is_watched: false,
            begun: monitor::now(),
            visits: 0,
            hits: 0,
            pause: PAUSE,
            closed_until: None,
            always,
        }
    }

    /// Adds a connection. Gives it back if nobody lends at the moment.
    pub(super) fn add(&mut self, lendable: Lendable<C>) -> Result<(), Lendable<C>> {
        if self.closed_until > Some(monitor::now()) {
            return Err(lendable);
        }
        if self.wanted == 0 || self.sweeping() == 0 {
            // What was before is no time of these visits.
            self.begun = monitor::now();
        }
        self.wanted = self.wanted.max(1);
        self.lent.push_back(lendable);
        Ok(())
    }

    /// The connection whose turn it is, and how many others there are.
    /// `None` if the sweep is over: there are more sweeps than wanted, or nothing is left to visit.
    pub(super) fn next(&mut self) -> Option<(Lendable<C>, usize)> {
        if self.sweeping() > self.wanted {
            return None;
        }
        let lendable = self.lent.pop_front()?;
        Some((lendable, self.lent.len()))
    }

    /// Puts a connection back behind a visit. One that has been silent gets a thread.
    pub(super) fn put_back(&mut self, mut lendable: Lendable<C>, is_hit: bool) {
        match lendable.heat.is_silent(is_hit) {
            true => self.given.push_back((lendable, Work::Wait)),
            false => self.lent.push_back(lendable),
        }
    }

    /// Every connection gets its thread back.
    fn give_all(&mut self) {
        let lent = self.lent.drain(..);
        self.given.extend(lent.map(|it| (it, Work::Wait)));
    }

    pub(super) fn has_lent(&self) -> bool {
        !self.lent.is_empty()
    }

    /// How many threads sweep.
    pub(super) fn sweeping(&self) -> usize {
        self.seen.len() - self.free.len()
    }

    /// The place of one more sweep, if one is wanted.
    pub(super) fn begin_sweep(&mut self) -> Option<usize> {
        let is_wanted = self.sweeping() < self.wanted && self.has_lent();
        is_wanted.then(|| self.free.pop()).flatten()
    }

    /// Ends a sweep. It leaves no connection behind when nobody is to sweep. True if it gave
    /// connections to waiting threads, which are to look.
    pub(super) fn end_sweep(&mut self, place: usize) -> bool {
        self.free.push(place);
        let leaves = self.wanted == 0 && self.has_lent();
        if leaves {
            self.give_all();
        }
        leaves
    }

    /// The watchman's look. Ends each sweep that is in the same handler as at the last look, if
    /// other connections wait. `steps` has a number for each place, which is odd within a handler.
    pub(super) fn look(&mut self, steps: &[AtomicU64]) {
        let order = Ordering::Relaxed;
        for (place, step) in steps.iter().enumerate() {
            let now = step.load(order);
            let is_kept = now % 2 == 1 && now == self.seen[place] && self.has_lent();
            // Three, so that the number is even again, and never the one to which the thread in the
            // handler counts. The next sweep in this place goes on from there.
            if is_kept && step.compare_exchange(now, now + 3, order, order).is_ok() {
                self.free.push(place);
            }
            self.seen[place] = now;
        }
    }

    /// Notes a visit, and decides how many threads sweep. True if there is to be one more.
    pub(super) fn judge(&mut self, is_hit: bool) -> bool {
        if self.wanted == 0 {
            return false;
        }
        self.visits += 1;
        self.hits += usize::from(is_hit);
        if self.visits < WINDOW.max(self.lent.len() * ROUNDS) {
            return false;
        }
        let (hits, visits, time) = (self.hits, self.visits, monitor::now() - self.begun);
        (self.begun, self.visits, self.hits) = (monitor::now(), 0, 0);
        let is_full = hits > visits / 4 * 3;
        // If a visit takes longer than `PACE`, the switch that it spares hardly matters, and its
        // handler may well wait. With fewer hits, waiting is cheaper than looking.
        let is_slow = is_full && time * self.sweeping() as u32 > PACE * hits as u32;
        if is_slow || hits < visits / 8 {
            self.wanted -= 1;
            if self.wanted > 0 {
                return false;
            }
            self.give_all();
            if !self.always {
                self.closed_until = Some(monitor::now() + self.pause);
            }
            let growth = if is_slow { 16 } else { 2 };
            self.pause = (self.pause * growth).clamp(PAUSE, LONGEST_PAUSE);
            return false;
        }
        if hits >= visits / 4 {
            // The first lull after this is only a lull.
            self.pause = Duration::ZERO;
        }
        let others = self.lent.len();
        let grows = is_full && others > self.wanted && self.wanted < self.seen.len();
        self.wanted = match grows {
            true => self.wanted + 1,
            false => self.wanted.min(others + 1),
        };
        grows
    }
}

#[cfg(test)]
impl<C> BusySet<C> {
    /// Checks what must hold whenever no thread has the lock. Returns until when nobody lends.
    pub(super) fn check(&self) -> Option<Instant> {
        let is_free = |place| self.free.iter().filter(|it| **it == place).count();
        assert!((0..self.seen.len()).all(|place| is_free(place) <= 1));
        assert!(self.wanted <= self.seen.len());
        let is_paused = self.closed_until > Some(monitor::now());
        assert!(!is_paused || self.wanted == 0, "a pause is not kept");
        self.closed_until
    }

    /// Checks what must hold when all connections have ended.
    pub(super) fn check_end(&self) {
        self.check();
        assert!(self.lent.is_empty() && self.given.is_empty(), "left behind");
        assert!(self.sweeping() == 0 && !self.is_watched, "without a thread");
    }
}

#[cfg(test)]
mod tests;
