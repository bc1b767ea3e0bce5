//! Busy connections: a few threads serve them all, without a switch from thread to thread for each
//! request.
//!
//! A connection has a thread of its own. Where many are busy at once, that costs a switch for each
//! request. So a thread whose connection is [hot](heat::Heat) *lends* it to the set in here, and
//! waits until it gets one back: any one, not its own. So as many threads are in here as
//! connections, and one that needs a thread always finds one.
//!
//! ```text
//!  a thread ── lend ──► lent ──► a sweeping thread takes the first, answers what is here, ──┐
//!                        ▲                                                                  │
//!                        ├───────────────────── and puts it back behind the others ◄────────┤
//!  a thread ◄── given ◄──┴───────────── or gives it to a waiting thread, with what to do ◄──┘
//! ```
//!
//! A connection leaves the set when it needs more than an answer at once: the rest of a request, an
//! upgrade, its end; and when it has been silent for some time. All leave when so few visits find
//! something that waiting is cheaper.
//!
//! A handler may take long. One waiting thread, the *watchman*, looks each millisecond, and sweeps
//! in the place of a thread that a handler keeps. The [slow routes](slow_routes::SlowRoutes) are
//! remembered: their requests get a thread before the handler is called.

mod heat;
#[cfg(test)]
#[path = "../../../tests/model/scheduler.rs"]
#[allow(dead_code, reason = "other crates use the rest")]
mod model;
mod monitor;
mod set;
mod slow_routes;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::io::contain::contain;
use crate::io::registry::RegistryEntry;
use crate::serve::connection::{self, Busy, Connection, Outcome, PendingUpgrade, Visit, Work};
use crate::serve::serving::Serving;
use monitor::Monitor;
use set::{BusySet, Given, Lendable};
use slow_routes::SlowRoutes;

/// How often the watchman looks.
const LOOK: Duration = Duration::from_millis(1);

/// If a visit takes longer while a slow handler runs, that handler computes. Then threads that wait
/// for their requests get a core sooner than one that is always busy.
const STARVED: Duration = Duration::from_millis(2);

/// After so many rounds in a row that found nothing, a sweeping thread sleeps after each.
const EMPTY_ROUNDS: u32 = if cfg!(test) { 1 } else { 4 };
const NAP: Duration = Duration::from_micros(if cfg!(test) { 1000 } else { 50 });

/// So many threads may sweep at a time: with more, they would wait for the lock.
const MOST_PLACES: usize = 16;

/// The busy connections of a server.
pub(crate) struct Hot<C> {
    /// It changes when a connection is given, or a thread is to sweep or to watch.
    set: Monitor<BusySet<C>>,
    /// How many requests the server has answered.
    served: AtomicU64,
    slow: SlowRoutes,
    /// For each place of the set: the number of the visit whose handler is running, or 0.
    handlers: Vec<AtomicU64>,
    /// Every connection is lent after every request.
    always: bool,
}

/// Serves one connection to its end, or until it is upgraded. It may become another connection
/// meanwhile.
///
/// The pages that a thread's stack has used stay resident while the thread waits. So this function
/// is never inlined: its frame must be gone when the caller runs a closure.
#[inline(never)]
pub(crate) fn serve(
    serving: &Arc<Serving>,
    hot: &Hot<Connection>,
    entry: Arc<RegistryEntry>,
) -> Option<PendingUpgrade> {
    let (connection, outcome) = hot.serve(connection::open(serving, entry)?);
    connection.end(outcome)
}

impl<C: Busy> Hot<C> {
    /// For this number of cores. `always` lends every connection after every request, for tests.
    pub(crate) fn new(cores: usize, always: bool) -> Hot<C> {
        let places = cores.min(MOST_PLACES);
        Hot {
            set: Monitor::new(BusySet::new(places, cores > places, always)),
            served: AtomicU64::new(0),
            slow: SlowRoutes::default(),
            handlers: (0..places).map(|_| AtomicU64::new(0)).collect(),
            always,
        }
    }

    /// Serves one connection until it needs more than an answer: that connection, or another one
    /// that it has become.
    fn serve(&self, connection: Box<C>) -> (Box<C>, Outcome) {
        let mut lendable = Lendable::new(connection);
        let mut work = Work::Wait;
        loop {
            let connection = &mut lendable.connection;
            let outcome = match work {
                Work::Wait => {
                    let next = connection.next_request();
                    connection.answer(next)
                }
                Work::Answer(next) => self.timed(connection, |connection| connection.answer(next)),
                Work::End(outcome) => outcome,
            };
            if !matches!(outcome, Outcome::Persist) {
                return (lendable.connection, outcome);
            }
            work = Work::Wait;
            if self.takes(&mut lendable) {
                (lendable, work) = self.lend(lendable);
                lendable.connection.reclaim();
            }
        }
    }

    /// Answers a request that has left the set. If its route is slow, finds out whether it still
    /// is.
    fn timed(&self, connection: &mut C, answer: impl FnOnce(&mut C) -> Outcome) -> Outcome {
        let Some(key) = self.slow.find(|| connection.route_key()) else {
            return answer(connection);
        };
        self.slow.time(key, || answer(connection))
    }

    /// Counts a request. True if its connection is to be lent.
    fn takes(&self, lendable: &mut Lendable<C>) -> bool {
        let served = self.served.fetch_add(1, Ordering::Relaxed) + 1;
        if !lendable.connection.is_input_used() {
            lendable.heat.note_pipelined();
            return false;
        }
        (lendable.heat.note(served) || self.always) && lendable.connection.may_be_lent()
    }

    /// Lends a connection, and waits until one needs this thread.
    fn lend(&self, lendable: Lendable<C>) -> Given<C> {
        let mut set = self.set.lock();
        if let Err(mut lendable) = set.add(lendable) {
            lendable.heat.cool();
            return (lendable, Work::Wait);
        }
        loop {
            let (given, sweep) = match set.given.pop_front() {
                None => (None, set.begin_sweep()),
                given => (given, None),
            };
            if (given.is_some() || sweep.is_some()) && !set.is_watched && set.has_lent() {
                // This thread waits no more. Another one becomes the watchman, or sweeps.
                self.set.notify_one();
            }
            if let Some(given) = given {
                return given;
            }
            if let Some((place, number)) = sweep {
                drop(set);
                if let Some(given) = self.sweep(place, number) {
                    return given;
                }
                set = self.set.lock();
            } else if set.is_watched || !set.is_swept() {
                set = self.set.wait(set);
            } else {
                set.is_watched = true;
                let until = monitor::now() + LOOK;
                set = self.set.wait_at_most(set, LOOK);
                set.is_watched = false;
                if monitor::now() >= until && set.look(&self.handlers) {
                    self.set.notify_all();
                }
            }
        }
    }

    /// Visits one connection after the other, until the sweep is over. If a handler has kept this
    /// thread, another thread sweeps, and this one goes on with the handler's connection.
    fn sweep(&self, place: usize, number: u64) -> Option<Given<C>> {
        let mut set = self.set.lock();
        let mut rounds = Rounds::default();
        while let Some((mut lendable, visit_number, others)) = set.next() {
            drop(set);
            rounds.wait(others);
            let begun = self.slow.are_running().then(monitor::now);
            let visit = self.visit(&mut lendable.connection, place, visit_number);
            let lacks_core = begun.is_some_and(|begun| monitor::now() - begun > STARVED);
            let is_hit = !matches!(visit, Visit::Nothing);
            rounds.note(is_hit);
            set = self.set.lock();
            if !set.has_sweep(place, number) {
                debug_assert!(is_hit, "lost outside of a handler");
                drop(set);
                if !matches!(visit, Visit::Leaves(Work::End(Outcome::Upgrade(_)))) {
                    self.slow.mark(lendable.connection.route_key());
                }
                return Some(match visit {
                    Visit::Leaves(work) => (lendable, work),
                    _ => (lendable, Work::Wait),
                });
            }
            let given = set.given.len();
            match visit {
                Visit::Nothing => set.missed(lendable),
                Visit::Served(_) => set.put_back(lendable),
                Visit::Leaves(work) => {
                    // Behind a slow handler the connection comes straight back. One whose requests
                    // come in pieces is to be hot again before.
                    if self.slow.find(|| lendable.connection.route_key()).is_none() {
                        lendable.heat.cool();
                    }
                    set.give(lendable, work);
                }
            }
            if lacks_core && set.starves() || set.judge(is_hit) {
                self.set.notify_all();
            } else if set.given.len() > given {
                self.set.notify_one();
            }
        }
        if set.end_sweep(place, number) {
            self.set.notify_all();
        }
        None
    }

    fn visit(&self, connection: &mut C, place: usize, number: u64) -> Visit {
        let handler = &self.handlers[place];
        let is_slow = |connection: &C| self.slow.find(|| connection.route_key()).is_some();
        // The watchman may have ended the sweep while the handler was running.
        let order = Ordering::Relaxed;
        let note_end = || handler.compare_exchange(number, 0, order, order).is_ok();
        let note_handler = |is_running| match is_running {
            true => {
                handler.store(number, order);
                true
            }
            false => note_end(),
        };
        // Only a fault of ours panics here. It costs one connection.
        let visit = contain(|| connection.visit(is_slow, note_handler)).unwrap_or_else(|_| {
            note_end();
            Visit::Leaves(Work::End(Outcome::Gone))
        });
        if let Visit::Served(count) = visit {
            self.served.fetch_add(count, Ordering::Relaxed);
        }
        visit
    }
}

/// How many rounds in a row found nothing.
#[derive(Default)]
struct Rounds {
    /// Visits of the current one.
    visits: usize,
    empty: u32,
}

impl Rounds {
    fn note(&mut self, is_hit: bool) {
        match is_hit {
            true => *self = Rounds::default(),
            false => self.visits += 1,
        }
    }

    /// Lets other threads run if a round is over. There are so many other connections.
    fn wait(&mut self, others: usize) {
        if self.visits <= others {
            return;
        }
        self.visits = 0;
        self.empty = (self.empty + 1).min(EMPTY_ROUNDS + 1);
        match self.empty > EMPTY_ROUNDS {
            true => monitor::sleep(NAP),
            false => monitor::give_way(),
        }
    }
}
