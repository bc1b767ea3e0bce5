//! The set of busy connections, and how many threads sweep it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::heat::Heat;
use crate::serve::connection::Work;

/// After so many visits in a row that found nothing, a connection gets a thread.
const MISSES: u8 = 64;

/// So many visits at least are judged together, and so many to each connection.
const WINDOW: usize = 512;
const ROUNDS: usize = 8;

/// How long nobody lends when too few visits found something again and again: at first, and at most.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(640);

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
    pause: Duration,
    closed_until: Option<Instant>,
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
    pub(super) fn new(places: usize, always: bool) -> BusySet<C> {
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
            pause: PAUSE,
            closed_until: None,
            always,
        }
    }

    /// Adds a connection. Gives it back if nobody lends at the moment.
    pub(super) fn add(&mut self, lendable: Lendable<C>) -> Result<(), Lendable<C>> {
        if self
            .closed_until
            .is_some_and(|until| Instant::now() < until)
        {
            return Err(lendable);
        }
        self.closed_until = None;
        self.wanted = self.wanted.max(1);
        self.lent.push_back(lendable);
        Ok(())
    }

    /// The connection whose turn it is, the number of the visit, and how many others there are.
    /// `None` if the sweep is over: another thread has its place, there are more sweeps than
    /// wanted, or nothing is left to visit.
    pub(super) fn next(&mut self, place: usize, number: u64) -> Option<(Lendable<C>, u64, usize)> {
        if !self.has_sweep(place, number) || self.sweeping > self.wanted {
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
        if self.has_sweep(place, number) {
            self.sweeps[place].number = None;
            self.sweeping -= 1;
        }
        let leaves = self.wanted == 0 && !self.lent.is_empty();
        if leaves {
            self.give_all();
        }
        leaves
    }

    /// Ends each sweep that is in the same handler as at the last call, if other connections wait.
    /// `handlers` are those in which they are now, or 0.
    pub(super) fn end_kept_sweeps(&mut self, handlers: impl Iterator<Item = u64>) {
        for (sweep, now) in self.sweeps.iter_mut().zip(handlers) {
            // A smaller number is of a sweep whose place this one has taken.
            let is_of_sweep = sweep.number.is_some_and(|number| now > number);
            if is_of_sweep && now == sweep.seen && !self.lent.is_empty() {
                sweep.number = None;
                self.sweeping -= 1;
            }
            sweep.seen = now;
        }
    }

    /// As [`close`](Self::close), with a pause in any case.
    pub(super) fn close_for_others(&mut self) {
        self.pause = self.pause.max(PAUSE);
        self.close();
    }

    /// Every connection gets its thread back, and nobody lends for the pause.
    fn close(&mut self) {
        self.wanted = 0;
        self.give_all();
        if !self.always {
            self.closed_until = Some(Instant::now() + self.pause);
            self.pause = (self.pause * 2).clamp(PAUSE, LONGEST_PAUSE);
        }
    }

    /// Notes a visit, and decides how many threads sweep. True if waiting threads are to look.
    pub(super) fn judge(&mut self, is_hit: bool) -> bool {
        self.visits += 1;
        self.hits += usize::from(is_hit);
        if self.visits < WINDOW.max(self.lent.len() * ROUNDS) {
            return false;
        }
        let (hits, visits) = (self.hits, self.visits);
        (self.hits, self.visits) = (0, 0);
        // With fewer hits, waiting is cheaper than looking.
        if hits >= visits / 8 {
            if hits >= visits / 4 {
                // The first lull after this is only a lull.
                self.pause = Duration::ZERO;
            }
            let has_work = hits > visits / 4 * 3 && self.lent.len() > 8 * self.wanted;
            let grows = has_work && self.wanted < self.sweeps.len();
            self.wanted += usize::from(grows);
            return grows;
        }
        self.wanted = self.wanted.saturating_sub(1);
        if self.wanted > 0 {
            return false;
        }
        self.close();
        true
    }
}
