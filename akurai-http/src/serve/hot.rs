//! Busy connections: a few threads serve them all, without a switch from thread to thread for each
//! request.
//!
//! A connection has a thread of its own. Where many are busy at once, that costs a switch for each
//! request. So a thread whose connection is [hot](Heat) *lends* it to the set in here, and waits
//! until it gets one back: any one, not its own. So as many threads are in here as connections,
//! and one that needs a thread always finds one.
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
//! A handler may take long. One waiting thread, the *watchman*, looks each millisecond, and lets
//! another thread sweep if a handler keeps one. The [slow](SlowRoutes) handlers are remembered.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::io::contain::contain;
use crate::io::lock::{lock, wait, wait_at_most};
use crate::io::registry::RegistryEntry;
use crate::serve::connection::{self, Connection, Handler, Next, Outcome, PendingUpgrade, Visit};
use crate::serve::serving::Serving;
use crate::serve::slow_routes::SlowRoutes;

/// After so many visits in a row that found nothing, a connection gets a thread.
const MISSES: u8 = 64;

/// So many visits are judged together.
const WINDOW: u32 = 512;

/// How long nobody lends when too few visits found something: the first time, and at most.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(640);

/// How often the watchman looks.
const LOOK: Duration = Duration::from_millis(1);

/// After so many rounds in a row that found nothing, a sweeping thread sleeps after each.
const EMPTY_ROUNDS: u32 = 4;
const NAP: Duration = Duration::from_micros(50);

/// A connection, and what a thread is to do with it; `None` if it waits for a request.
type Given = (Box<Connection>, Option<Work>);

enum Work {
    Answer(Next),
    End(Outcome),
}

/// The set of busy connections of a server.
pub(crate) struct Hot {
    state: Mutex<State>,
    /// A connection is given, or a thread is to sweep.
    changed: Condvar,
    /// How many requests the server has answered.
    served: AtomicU64,
    slow: SlowRoutes,
    /// For each thread that sweeps: the number of the request whose handler it is in, or 0.
    handlers: Vec<AtomicU64>,
    /// Every connection is lent after every request; for tests.
    always: bool,
}

#[derive(Default)]
struct State {
    lent: VecDeque<(Box<Connection>, u8)>,
    given: VecDeque<Given>,
    /// Who sweeps: for each of them a number that is used once.
    sweeps: Vec<Sweep>,
    sweeping: usize,
    /// How many threads should sweep.
    wanted: usize,
    numbers: u64,
    is_watched: bool,
    visits: u32,
    hits: u32,
    pause: Duration,
    closed_until: Option<Instant>,
}

/// A place for a thread that sweeps.
#[derive(Default, Clone)]
struct Sweep {
    /// The number of the sweep that goes on.
    number: Option<u64>,
    /// The handler in which the watchman has seen it.
    seen: u64,
}

impl Default for Hot {
    fn default() -> Hot {
        let cores = thread::available_parallelism().map_or(1, |count| count.get());
        Hot {
            state: Mutex::new(State {
                sweeps: vec![Sweep::default(); cores],
                ..State::default()
            }),
            changed: Condvar::new(),
            served: AtomicU64::new(0),
            slow: SlowRoutes::default(),
            handlers: (0..cores).map(|_| AtomicU64::new(0)).collect(),
            always: cfg!(debug_assertions) && std::env::var_os("AKURAI_TEST_LEND").is_some(),
        }
    }
}

/// Serves one connection to its end, or until it is upgraded. It may become another connection
/// meanwhile.
///
/// The pages that a thread's stack has used stay resident while the thread waits. So this function
/// is never inlined: its frame must be gone when the caller runs a closure.
#[inline(never)]
pub(crate) fn serve(
    serving: &Arc<Serving>,
    hot: &Hot,
    entry: Arc<RegistryEntry>,
) -> Option<PendingUpgrade> {
    let mut connection = connection::open(serving, entry)?;
    let mut work = None;
    loop {
        let next = match work.take() {
            None => connection.next_request(),
            Some(Work::Answer(next)) => next,
            Some(Work::End(outcome)) => return connection.end(outcome),
        };
        match hot.timed(&mut connection, next) {
            Outcome::Persist => {}
            outcome => return connection.end(outcome),
        }
        if hot.takes(&mut connection) {
            (connection, work) = hot.lend(connection);
            connection.reclaim();
        }
    }
}

impl Hot {
    /// Answers on the connection's own thread. If the handler is known as slow, finds out whether
    /// it still is.
    fn timed(&self, connection: &mut Connection, next: Next) -> Outcome {
        let is_request = matches!(next, Next::Request);
        let key = match is_request {
            true => self.slow.find(|| connection.route_key()),
            false => None,
        };
        let Some(key) = key else {
            return connection.answer(next);
        };
        let begun = Instant::now();
        let outcome = connection.answer(next);
        self.slow.note(key, begun.elapsed());
        outcome
    }

    /// Counts a request. True if its connection is to be lent.
    fn takes(&self, connection: &mut Connection) -> bool {
        let served = self.served.fetch_add(1, Ordering::Relaxed) + 1;
        if !connection.is_input_used() {
            return false;
        }
        (connection.heat.note(served) || self.always) && connection.flush_and_rest()
    }

    /// Lends a connection, and waits until a connection needs this thread.
    fn lend(&self, connection: Box<Connection>) -> Given {
        let mut state = lock(&self.state);
        if state.closed_until.is_some_and(|until| Instant::now() < until) {
            return (connection, None);
        }
        state.closed_until = None;
        state.lent.push_back((connection, 0));
        state.wanted = state.wanted.max(1);
        loop {
            if let Some(given) = state.given.pop_front() {
                if !state.is_watched && state.sweeping > 0 {
                    // Another thread becomes the watchman.
                    self.changed.notify_one();
                }
                return given;
            }
            if state.may_sweep() {
                let (left, kept) = self.sweep(state);
                state = left;
                if let Some(given) = kept {
                    return given;
                }
            } else if state.is_watched || state.sweeping == 0 {
                state = wait(&self.changed, state);
            } else {
                state.is_watched = true;
                state = wait_at_most(&self.changed, state, LOOK);
                state.is_watched = false;
                self.look(&mut state);
            }
        }
    }

    /// The watchman's look: if a handler has kept a thread since the last one, another thread
    /// sweeps in its place.
    fn look(&self, state: &mut State) {
        let State {
            lent,
            sweeps,
            sweeping,
            ..
        } = state;
        let have_others = !lent.is_empty();
        for (sweep, handler) in sweeps.iter_mut().zip(&self.handlers) {
            let now = handler.load(Ordering::Relaxed);
            let is_kept = now != 0 && now == sweep.seen;
            sweep.seen = now;
            if have_others && is_kept && sweep.number.take().is_some() {
                *sweeping -= 1;
            }
        }
    }

    /// Visits one connection after the other. Returns a connection whose handler has kept this
    /// thread too long.
    fn sweep<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
    ) -> (MutexGuard<'a, State>, Option<Given>) {
        let Some((place, number)) = state.begin_sweep() else {
            return (state, None);
        };
        let handler = &self.handlers[place];
        let mut rounds = Rounds::default();
        while state.sweeping <= state.wanted {
            let Some((mut connection, mut misses)) = state.lent.pop_front() else {
                break;
            };
            let others = state.lent.len();
            state.numbers += 1;
            let visit_number = state.numbers;
            drop(state);
            rounds.wait(others);
            let is_slow = |connection: &Connection| {
                let key = || connection.route_key();
                self.slow.find(key).is_some()
            };
            let note = |what| match what {
                Handler::Begins => handler.store(visit_number, Ordering::Relaxed),
                Handler::Ended => handler.store(0, Ordering::Relaxed),
            };
            // Only a fault of ours panics here: it costs one connection.
            let visit = contain(|| connection.visit(is_slow, note));
            let visit = visit.unwrap_or(Visit::Ended(Outcome::Gone));
            let is_hit = !matches!(visit, Visit::Nothing);
            rounds.note(is_hit);
            state = lock(&self.state);
            misses = if is_hit { 0 } else { misses + 1 };
            let given = match visit {
                Visit::Nothing if misses < MISSES => None,
                Visit::Nothing => {
                    connection.heat.cool();
                    Some(None)
                }
                Visit::Served(count) => {
                    self.served.fetch_add(count.into(), Ordering::Relaxed);
                    None
                }
                Visit::Came(next) => Some(next.map(Work::Answer)),
                Visit::Ended(outcome) => {
                    self.served.fetch_add(1, Ordering::Relaxed);
                    Some(Some(Work::End(outcome)))
                }
            };
            if state.sweeps[place].number != Some(number) {
                self.slow.mark(connection.route_key());
                return (state, Some((connection, given.unwrap_or(None))));
            }
            match given {
                None => state.lent.push_back((connection, misses)),
                Some(work) => {
                    state.given.push_back((connection, work));
                    self.changed.notify_one();
                }
            }
            if state.judge(is_hit, self.always) {
                self.changed.notify_all();
            }
        }
        state.sweeps[place].number = None;
        state.sweeping -= 1;
        if state.wanted == 0 {
            state.give_all();
            self.changed.notify_all();
        }
        (state, None)
    }
}

impl State {
    fn may_sweep(&self) -> bool {
        self.sweeping < self.wanted && !self.lent.is_empty()
    }

    fn begin_sweep(&mut self) -> Option<(usize, u64)> {
        let place = self.sweeps.iter().position(|it| it.number.is_none())?;
        self.numbers += 1;
        self.sweeps[place] = Sweep {
            number: Some(self.numbers),
            seen: 0,
        };
        self.sweeping += 1;
        Some((place, self.numbers))
    }

    /// Every connection gets its thread back.
    fn give_all(&mut self) {
        let lent = self.lent.drain(..);
        self.given
            .extend(lent.map(|(connection, _)| (connection, None)));
    }

    /// Notes a visit, and decides how many threads sweep. True if waiting threads are to look.
    fn judge(&mut self, is_hit: bool, always: bool) -> bool {
        self.visits += 1;
        self.hits += u32::from(is_hit);
        if self.visits < WINDOW {
            return false;
        }
        let hits = std::mem::take(&mut self.hits);
        self.visits = 0;
        if hits >= WINDOW / 8 {
            self.pause = Duration::ZERO;
        }
        match hits {
            0..64 if self.wanted > 1 => self.wanted -= 1,
            0..64 => {
                self.wanted = 0;
                self.give_all();
                self.pause = (self.pause * 2).clamp(PAUSE, LONGEST_PAUSE);
                self.closed_until = (!always).then(|| Instant::now() + self.pause);
                return true;
            }
            385.. if self.wanted < self.sweeps.len() && self.lent.len() > 8 * self.wanted => {
                self.wanted += 1;
                return true;
            }
            _ => {}
        }
        false
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
            true => thread::sleep(NAP),
            false => thread::yield_now(),
        }
    }
}
