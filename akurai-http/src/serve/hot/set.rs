//! The set of busy connections, and how many threads sweep it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::heat::Heat;
use crate::serve::connection::{Next, Outcome};

/// After so many visits in a row that found nothing, a connection gets a thread.
const MISSES: u8 = 64;

/// So many visits are judged together.
const WINDOW: u32 = 512;

/// If fewer of them found something, waiting is cheaper than looking.
const FEW: u32 = WINDOW / 8;

/// If more of them found something, there is work for one thread more.
const MANY: u32 = WINDOW / 4 * 3;

/// How long nobody lends when too few visits found something: the first time, and at most.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(640);

/// A connection that may be lent.
pub(super) struct Lendable<C> {
    pub(super) connection: Box<C>,
    pub(super) heat: Heat,
    /// How many visits in a row found nothing.
    misses: u8,
}

/// What a thread is to do for a connection.
pub(crate) enum Work {
    /// Wait for its next request.
    Wait,
    Answer(Next),
    End(Outcome),
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
    visits: u32,
    hits: u32,
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
            lent: VecDeque::new(),
            given: VecDeque::new(),
            sweeps: vec![Sweep::default(); places],
            sweeping: 0,
            wanted: 0,
            number: 0,
            is_watched: false,
            visits: 0,
            hits: 0,
            pause: Duration::ZERO,
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
    pub(super) fn next(&mut self) -> Option<(Lendable<C>, u64, usize)> {
        let lendable = self.lent.pop_front()?;
        self.number += 1;
        Some((lendable, self.number, self.lent.len()))
    }

    /// Notes that a visit found nothing. The connection stays, or needs a thread.
    pub(super) fn missed(&mut self, mut lendable: Lendable<C>) -> bool {
        lendable.misses += 1;
        if lendable.misses < MISSES {
            self.lent.push_back(lendable);
            return false;
        }
        lendable.heat.cool();
        self.give(lendable, Work::Wait);
        true
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

    /// Whether there are more sweeps than wanted.
    pub(super) fn has_spare_sweep(&self) -> bool {
        self.sweeping > self.wanted
    }

    /// Ends a sweep. The last one leaves no connection behind when nobody lends.
    pub(super) fn end_sweep(&mut self, place: usize) {
        self.sweeps[place].number = None;
        self.sweeping -= 1;
        if self.wanted == 0 {
            self.give_all();
        }
    }

    /// Ends each sweep that is in the same handler as at the last call, if other connections wait.
    /// `handlers` are those in which they are now, or 0.
    pub(super) fn end_kept_sweeps(&mut self, handlers: impl Iterator<Item = u64>) {
        for (sweep, now) in self.sweeps.iter_mut().zip(handlers) {
            let is_kept = now != 0 && now == sweep.seen;
            sweep.seen = now;
            if is_kept && !self.lent.is_empty() && sweep.number.take().is_some() {
                self.sweeping -= 1;
            }
        }
    }

    /// Notes a visit, and decides how many threads sweep. True if waiting threads are to look.
    pub(super) fn judge(&mut self, is_hit: bool) -> bool {
        self.visits += 1;
        self.hits += u32::from(is_hit);
        if self.visits < WINDOW {
            return false;
        }
        let hits = std::mem::take(&mut self.hits);
        self.visits = 0;
        if hits >= FEW {
            self.pause = Duration::ZERO;
            let has_work = hits > MANY && self.lent.len() > 8 * self.wanted;
            let grows = has_work && self.wanted < self.sweeps.len();
            self.wanted += usize::from(grows);
            return grows;
        }
        self.wanted = self.wanted.saturating_sub(1);
        if self.wanted > 0 {
            return false;
        }
        self.give_all();
        self.pause = (self.pause * 2).clamp(PAUSE, LONGEST_PAUSE);
        self.closed_until = (!self.always).then(|| Instant::now() + self.pause);
        true
    }
}
