//! The set of busy connections, and how many threads sweep it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::heat::Heat;
use super::monitor;
use crate::serve::connection::Work;

/// After so many visits in a row that found nothing, a connection gets a thread.
pub(super) const MISSES: u8 = if cfg!(test) { 5 } else { 64 };

/// So many visits at least are judged together, and so many to each connection.
const WINDOW: usize = if cfg!(test) { 12 } else { 512 };
const ROUNDS: usize = if cfg!(test) { 2 } else { 8 };

/// How long nobody lends when too few visits found something again and again: at first, and at
/// most.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(640);

/// So many more visits than windows may lack a core while a slow handler runs. A few do when the
/// other threads of busy connections have yet to lend theirs.
const STARVED_VISITS: u32 = 4;

/// If sweeping threads are in handlers at nearly all of so many looks, requests cost so much that a
/// switch of threads does not matter, and handlers may well wait: each has its own thread then.
const LOOKS: u32 = 32;
const LOOKS_OUTSIDE: u32 = 2;
const HANDLERS_PAUSE: Duration = Duration::from_secs(5);

/// A connection that may be lent.
pub(super) struct Lendable<C> {
    pub(super) connection: Box<C>,
    pub(super) heat: Heat,
    /// How many visits in a row found nothing.
    misses: u8,
}

pub(super) type Given<C> = (Lendable<C>, Work);

/// What the threads of a set share under its lock.
pub(super) struct BusySet<C> {
    lent: VecDeque<Lendable<C>>,
    /// Connections that need a thread. One that waits takes the first.
    pub(super) given: VecDeque<Given<C>>,
    sweeps: Vec<Sweep>,
    /// How many threads sweep, and how many should.
    sweeping: usize,
    wanted: usize,
    /// The last number that was given to a sweep or a visit.
    number: u64,
    pub(super) is_watched: bool,
    visits: usize,
    hits: usize,
    /// How often the watchman has looked at a sweeping thread, and found it in no handler.
    looks: u32,
    looks_outside: u32,
    starved: u32,
    pause: Duration,
    closed_until: Option<Instant>,
    /// There are more cores than places.
    has_more_cores: bool,
    /// For tests: nobody pauses.
    always: bool,
}

/// A place for a thread that sweeps.
#[derive(Default, Clone)]
struct Sweep {
    /// The number of the sweep that goes on.
    number: Option<u64>,
    /// The handler in which the watchman has seen it.
    seen: u64,
}

impl<C> Lendable<C> {
    pub(super) fn new(connection: Box<C>) -> Lendable<C> {
        Lendable {
            connection,
            heat: Heat::default(),
            misses: 0,
        }
    }
}

impl<C> BusySet<C> {
    /// An empty set, which so many threads may sweep.
    pub(super) fn new(places: usize, has_more_cores: bool, always: bool) -> BusySet<C> {
        BusySet {
            lent: VecDeque::with_capacity(64),
            given: VecDeque::new(),
            sweeps: vec![Sweep::default(); places],
            sweeping: 0,
            wanted: 0,
            number: 0,
            is_watched: false,
            visits: 0,
            hits: 0,
            looks: 0,
            looks_outside: 0,
            starved: 0,
            pause: PAUSE,
            closed_until: None,
            has_more_cores,
            always,
        }
    }

    /// Adds a connection. Gives it back if nobody lends at the moment.
    pub(super) fn add(&mut self, lendable: Lendable<C>) -> Result<(), Lendable<C>> {
        if self
            .closed_until
            .is_some_and(|until| monitor::now() < until)
        {
            return Err(lendable);
        }
        self.closed_until = None;
        self.wanted = self.wanted.max(1);
        self.lent.push_back(lendable);
        Ok(())
    }

    /// The connection whose turn it is, the number of the visit, and how many others there are.
    /// `None` if the sweep is over: there are more sweeps than wanted, or nothing is left to visit.
    pub(super) fn next(&mut self) -> Option<(Lendable<C>, u64, usize)> {
        if self.sweeping > self.wanted {
            return None;
        }
        let lendable = self.lent.pop_front()?;
        self.number += 1;
        Some((lendable, self.number, self.lent.len()))
    }

    /// Puts a connection back where nothing had come. It gets a thread if that goes on.
    pub(super) fn missed(&mut self, mut lendable: Lendable<C>) {
        lendable.misses += 1;
        if lendable.misses < MISSES {
            return self.lent.push_back(lendable);
        }
        lendable.heat.cool();
        self.give(lendable, Work::Wait);
    }

    /// Puts a connection back whose requests were answered.
    pub(super) fn put_back(&mut self, mut lendable: Lendable<C>) {
        lendable.misses = 0;
        self.lent.push_back(lendable);
    }

    /// A thread that waits is to do this.
    pub(super) fn give(&mut self, mut lendable: Lendable<C>, work: Work) {
        lendable.misses = 0;
        self.given.push_back((lendable, work));
    }

    /// Every connection gets its thread back.
    fn give_all(&mut self) {
        while let Some(lendable) = self.lent.pop_front() {
            self.give(lendable, Work::Wait);
        }
    }

    pub(super) fn has_lent(&self) -> bool {
        !self.lent.is_empty()
    }

    pub(super) fn is_swept(&self) -> bool {
        self.sweeping > 0
    }

    /// Begins a sweep, if one more is wanted: its place, and its number.
    pub(super) fn begin_sweep(&mut self) -> Option<(usize, u64)> {
        if self.sweeping >= self.wanted || self.lent.is_empty() {
            return None;
        }
        let place = self.sweeps.iter().position(|it| it.number.is_none())?;
        self.number += 1;
        self.sweeps[place] = Sweep {
            number: Some(self.number),
            seen: 0,
        };
        self.sweeping += 1;
        Some((place, self.number))
    }

    /// Whether a sweep goes on; not if another thread has taken its place.
    pub(super) fn has_sweep(&self, place: usize, number: u64) -> bool {
        self.sweeps[place].number == Some(number)
    }

    /// Ends a sweep. It leaves no connection behind when nobody is to sweep: then this is true, and
    /// waiting threads are to look.
    pub(super) fn end_sweep(&mut self, place: usize, number: u64) -> bool {
        // Another thread takes over only while this one is in a handler.
        debug_assert!(self.has_sweep(place, number), "another sweep has its place");
        self.sweeps[place].number = None;
        self.sweeping -= 1;
        let leaves = self.wanted == 0 && !self.lent.is_empty();
        if leaves {
            self.give_all();
        }
        leaves
    }

    /// The watchman's look. Ends each sweep that is in the same handler as at the last look, if
    /// other connections wait. `handlers` has the number of the visit in whose handler each place
    /// is, or 0. True if waiting threads are to look, since nobody lends any more.
    pub(super) fn look(&mut self, handlers: &[AtomicU64]) -> bool {
        let order = Ordering::Relaxed;
        for (sweep, handler) in self.sweeps.iter_mut().zip(handlers) {
            let now = handler.load(order);
            if sweep.number.is_some() {
                self.looks += 1;
                self.looks_outside += u32::from(now == 0);
            }
            let is_kept = now != 0 && now == sweep.seen && !self.lent.is_empty();
            // From then on the place is the next sweep's, and the handler's end is not noted.
            if is_kept && handler.compare_exchange(now, 0, order, order).is_ok() {
                sweep.number = None;
                self.sweeping -= 1;
            }
            sweep.seen = now;
        }
        if self.looks < LOOKS {
            return false;
        }
        let is_within = self.looks_outside * (LOOKS / LOOKS_OUTSIDE) <= self.looks;
        (self.looks, self.looks_outside) = (0, 0);
        if is_within {
            self.close(HANDLERS_PAUSE);
        }
        is_within
    }

    /// Every connection gets its thread back, and nobody lends for so long.
    pub(super) fn close(&mut self, pause: Duration) {
        self.wanted = 0;
        self.give_all();
        (self.visits, self.hits) = (0, 0);
        (self.looks, self.looks_outside) = (0, 0);
        self.starved = 0;
        if !self.always {
            self.closed_until = self.closed_until.max(Some(monitor::now() + pause));
        }
    }

    /// Notes that a visit lacked a core while a slow handler was running. True if that handler, and
    /// others, compute: then nobody lends.
    pub(super) fn starves(&mut self) -> bool {
        self.starved += 1;
        let is_often = self.starved >= STARVED_VISITS;
        if is_often {
            self.close(HANDLERS_PAUSE);
        }
        is_often
    }

    /// Notes a visit, and decides how many threads sweep. True if waiting threads are to look.
    pub(super) fn judge(&mut self, is_hit: bool) -> bool {
        if self.wanted == 0 {
            return false;
        }
        self.visits += 1;
        self.hits += usize::from(is_hit);
        if self.visits < WINDOW.max(self.lent.len() * ROUNDS) {
            return false;
        }
        let (hits, visits) = (self.hits, self.visits);
        (self.hits, self.visits) = (0, 0);
        self.starved = self.starved.saturating_sub(1);
        // With fewer hits, waiting is cheaper than looking.
        if hits >= visits / 8 {
            if hits >= visits / 4 {
                // The first lull after this is only a lull.
                self.pause = Duration::ZERO;
            }
            let has_work = hits > visits / 4 * 3 && self.lent.len() > self.wanted;
            let is_full = self.wanted == self.sweeps.len();
            if has_work && is_full && self.has_more_cores {
                self.close(HANDLERS_PAUSE);
                return true;
            }
            let grows = has_work && !is_full;
            self.wanted = match grows {
                true => self.wanted + 1,
                false => self.wanted.min(self.lent.len() + 1),
            };
            return grows;
        }
        self.wanted = self.wanted.saturating_sub(1);
        if self.wanted > 0 {
            return false;
        }
        self.close(self.pause);
        self.pause = (self.pause * 2).clamp(PAUSE, LONGEST_PAUSE);
        true
    }
}

#[cfg(test)]
impl<C> BusySet<C> {
    /// Checks what must hold whenever no thread has the lock. Returns until when nobody lends.
    pub(super) fn check(&self) -> Option<Instant> {
        let numbers = self.sweeps.iter().filter_map(|it| it.number);
        assert_eq!(numbers.count(), self.sweeping);
        assert!(self.wanted <= self.sweeps.len());
        self.closed_until
    }

    /// Checks what must hold when all connections have ended.
    pub(super) fn check_end(&self) {
        self.check();
        assert!(self.lent.is_empty() && self.given.is_empty(), "left behind");
        assert!(!self.is_swept() && !self.is_watched, "without a thread");
    }
}

#[cfg(test)]
mod tests;
