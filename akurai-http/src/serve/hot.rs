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
//! something that waiting is cheaper, or when a visit takes so long that the switch hardly matters.
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

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use crate::io::contain::contain;
use crate::io::registry::RegistryEntry;
use crate::serve::connection::{self, Busy, Connection, Outcome, PendingUpgrade, Work};
use crate::serve::serving::Serving;
use heat::Heat;
use monitor::Monitor;
use set::{BusySet, Given, Lendable};
use slow_routes::SlowRoutes;

/// How often the watchman looks.
const LOOK: Duration = Duration::from_millis(1);

/// After so many rounds in a row that found nothing, a sweeping thread sleeps after each.
const EMPTY_ROUNDS: usize = if cfg!(test) { 1 } else { 4 };
const NAP: Duration = Duration::from_micros(if cfg!(test) { 1000 } else { 50 });

/// The busy connections of a server.
pub(crate) struct Hot<C> {
    /// It changes when a connection is given, or a thread is to sweep or to watch.
    set: Monitor<BusySet<C>>,
    /// About how many requests the server has answered: pipelined ones may count as one.
    served: AtomicU64,
    slow: SlowRoutes,
    /// For each place of the set, a number that is one more when a handler begins there, and when
    /// it has ended. So it is odd while one runs.
    steps: Vec<AtomicU64>,
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
    /// As many threads may sweep as there are cores. `always` lends every connection after every
    /// request, for tests.
    pub(crate) fn new(cores: usize, always: bool) -> Hot<C> {
        Hot {
            set: Monitor::new(BusySet::new(cores, always)),
            served: AtomicU64::new(0),
            slow: SlowRoutes::default(),
            steps: (0..cores).map(|_| AtomicU64::new(0)).collect(),
            always,
        }
    }

    /// Serves one connection until it needs more than an answer: that connection, or another one
    /// that it has become.
    fn serve(&self, connection: Box<C>) -> (Box<C>, Outcome) {
        let heat = Heat::default();
        let (mut lendable, mut work) = (Lendable { connection, heat }, Work::Wait);
        loop {
            let connection = &mut lendable.connection;
            // A request that has left the set may have a slow route.
            let slow_key = match work {
                Work::Answer(_) => self.slow.find(|| connection.route_key()),
                _ => None,
            };
            let outcome = self.slow.time(slow_key, || connection.go_on(work));
            if !matches!(outcome, Outcome::Persist) {
                return (lendable.connection, outcome);
            }
            work = Work::Wait;
            let served = self.served.fetch_add(1, Ordering::Relaxed) + 1;
            let is_hot = lendable.heat.note(served) || self.always;
            if is_hot && lendable.connection.may_be_lent() {
                (lendable, work) = self.lend(lendable);
            }
        }
    }

    /// Lends a connection, and waits until one needs this thread.
    fn lend(&self, lendable: Lendable<C>) -> Given<C> {
        let mut set = self.set.lock();
        if let Err(mut lendable) = set.add(lendable) {
            lendable.heat.cool();
            return (lendable, Work::Wait);
        }
        loop {
            let (given, place) = match set.given.pop_front() {
                None => (None, set.begin_sweep()),
                given => (given, None),
            };
            if (given.is_some() || place.is_some()) && !set.is_watched && set.has_lent() {
                // This thread waits no more. Another one becomes the watchman, or sweeps.
                self.set.notify_one();
            }
            if let Some(given) = given {
                return given;
            }
            if let Some(place) = place {
                match self.sweep(set, place) {
                    Ok(given) => return given,
                    Err(again) => set = again,
                }
            } else if set.is_watched || set.sweeping() == 0 {
                set = self.set.wait(set, Duration::MAX);
            } else {
                set.is_watched = true;
                let until = monitor::now() + LOOK;
                set = self.set.wait(set, LOOK);
                set.is_watched = false;
                if monitor::now() >= until {
                    set.look(&self.steps);
                }
            }
        }
    }

    /// Visits one connection after the other, until the sweep is over. If a handler has kept this
    /// thread, another thread sweeps, and this one goes on with the handler's connection.
    fn sweep<'m>(
        &'m self,
        mut set: MutexGuard<'m, BusySet<C>>,
        place: usize,
    ) -> Result<Given<C>, MutexGuard<'m, BusySet<C>>> {
        let mut misses = 0;
        while let Some((mut lendable, others)) = set.next() {
            drop(set);
            if misses > 0 && misses % (others + 1) == 0 {
                // A round has found nothing.
                monitor::give_way((misses > EMPTY_ROUNDS * (others + 1)).then_some(NAP));
            }
            let (visit, is_kept) = self.visit(&mut lendable.connection, &self.steps[place]);
            if is_kept {
                self.slow.mark(lendable.connection.route_key());
                return Ok((lendable, visit.err().unwrap_or(Work::Wait)));
            }
            misses = if matches!(visit, Ok(false)) {
                misses + 1
            } else {
                0
            };
            let is_served = matches!(visit, Ok(true));
            if is_served {
                self.served.fetch_add(1, Ordering::Relaxed);
            }
            // Behind a slow handler the connection comes straight back. One whose requests come in
            // pieces must first become hot again.
            let is_slow = matches!(visit, Err(Work::Answer(_)))
                && self.slow.find(|| lendable.connection.route_key()).is_some();
            if visit.is_err() && !is_slow {
                lendable.heat.cool();
            }
            set = self.set.lock();
            let given = set.given.len();
            match visit {
                Ok(_) => set.put_back(lendable, is_served),
                Err(work) => set.given.push_back((lendable, work)),
            }
            let grows = set.judge(is_served);
            match set.given.len() - given + usize::from(grows) {
                0 => {}
                1 => self.set.notify_one(),
                _ => self.set.notify_all(),
            }
        }
        if set.end_sweep(place) {
            self.set.notify_all();
        }
        Err(set)
    }

    /// What a visit came to, and whether the watchman has ended the sweep meanwhile, since the
    /// handler took long.
    fn visit(&self, connection: &mut C, steps: &AtomicU64) -> (Result<bool, Work>, bool) {
        let order = Ordering::Relaxed;
        let count = Cell::new(steps.load(order));
        let is_slow = |connection: &C| self.slow.find(|| connection.route_key()).is_some();
        let step = || {
            let from = count.replace(count.get() + 1);
            steps.compare_exchange(from, from + 1, order, order).is_ok()
        };
        // Only a fault of ours panics here. It costs one connection.
        let visit =
            contain(|| connection.visit(is_slow, step)).unwrap_or(Err(Work::End(Outcome::Gone)));
        let is_kept = steps.load(order) != count.get() || count.get() % 2 == 1 && !step();
        (visit, is_kept)
    }
}
