//! The surroundings of a program of the model test: connections without sockets, and the
//! properties that must hold at any time and when all threads have ended.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::super::heat::MISSES;
use super::super::model::{self, Body, Report};
use super::super::monitor::{self, Monitor};
use super::super::set::BusySet;
use super::super::{Hot, LOOK, NAP};
use crate::io::lock::lock;
use crate::serve::connection::{Busy, Next, Outcome, Work};

/// What comes next on a connection. Each comes as soon as the last answer is out, if nothing else
/// is said. The client leaves after the last one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op {
    Get,
    /// It came together with the one before it.
    Behind,
    /// After so many quarters of a millisecond.
    Late(u32),
    /// A part of its head; the rest comes [`REST`] later.
    Part,
    /// Its handler takes so many quarters of a millisecond.
    Slow(u32),
    /// As [`Slow`](Self::Slow); it came together with the one before it.
    SlowBehind(u32),
    /// As [`Slow`](Self::Slow); its route is known to be slow.
    Known(u32),
    /// Its handler waits until [`Publish`](Self::Publish) is served.
    Poll,
    Publish,
    /// The connection ends behind its answer. The set does not tell this from an upgrade.
    Close,
    /// A visit panics when it finds this. A thread finds the end.
    Fault,
    /// The same, behind its handler's beginning.
    FaultWithin,
}

use Op::*;

/// The route of [`Op::Known`].
const KNOWN: u64 = 3;

const QUARTER: Duration = Duration::from_micros(250);
const REST: Duration = Duration::from_millis(3);

pub(super) struct Scene {
    world: Arc<World>,
    hot: Arc<Hot<Script>>,
}

/// What the connections of a program share.
struct World {
    places: usize,
    program: Vec<Vec<Op>>,
    hot: OnceLock<Weak<Hot<Script>>>,
    is_published: Monitor<bool>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    /// How many requests of each connection were served.
    served: Vec<usize>,
    /// How often each connection ended.
    ends: Vec<usize>,
    /// The routes whose handlers visits have called, as long as they run.
    visited: Vec<u64>,
    /// The routes whose handlers have kept a thread.
    kept: Vec<u64>,
    paused_until: Option<Instant>,
}

struct Script {
    id: usize,
    world: Arc<World>,
    /// The current request.
    at: usize,
    /// When the current request comes.
    due: Instant,
    /// The current request, or a part of it, was read.
    is_read: bool,
    /// The route of the last request that was read.
    key: u64,
    /// How many visits in a row found nothing.
    misses: u8,
}

impl Scene {
    pub(super) fn new(places: usize, program: &[&[Op]]) -> Scene {
        let hot = Arc::new(Hot {
            // Nobody lends during a pause, but else after each request.
            set: Monitor::new(BusySet::new(places, false)),
            ..Hot::new(places, true)
        });
        hot.slow.mark(KNOWN);
        let world = Arc::new(World {
            places,
            program: program.iter().map(|ops| ops.to_vec()).collect(),
            hot: OnceLock::from(Arc::downgrade(&hot)),
            is_published: Monitor::new(false),
            log: Mutex::new(Log {
                served: vec![0; program.len()],
                ends: vec![0; program.len()],
                ..Log::default()
            }),
        });
        Scene { world, hot }
    }

    /// The thread with which a connection begins.
    pub(super) fn thread(&self, id: usize) -> Body {
        let (hot, world) = (Arc::clone(&self.hot), Arc::clone(&self.world));
        Box::new(move || {
            let mut script = Script {
                id,
                at: 0,
                due: monitor::now(),
                is_read: false,
                key: 0,
                misses: 0,
                world,
            };
            script.expect_next();
            let (script, outcome) = hot.serve(Box::new(script));
            let is_closed = script.at > 0 && script.ops()[script.at - 1] == Close;
            assert_eq!(matches!(outcome, Outcome::Close), is_closed);
            lock(&script.world.log).ends[script.id] += 1;
        })
    }

    pub(super) fn verify(&self, _: Report) {
        self.hot.set.lock().check_end();
        let log = lock(&self.world.log);
        for key in &log.kept {
            assert!(self.hot.slow.find(|| *key).is_some(), "not known as slow");
        }
        let counts = log.served.iter().zip(&log.ends);
        for (ops, (served, ends)) in self.world.program.iter().zip(counts) {
            let end = |op: &Op| matches!(op, Close | Fault | FaultWithin);
            let expected = match ops.iter().position(end) {
                Some(at) => at + usize::from(ops[at] == Close),
                None => ops.len(),
            };
            assert_eq!(*served, expected, "requests of {ops:?}");
            assert_eq!(*ends, 1, "ends of {ops:?}");
        }
    }
}

impl World {
    fn hot(&self) -> Arc<Hot<Script>> {
        let hot = self.hot.get().and_then(Weak::upgrade);
        hot.expect("a thread has it")
    }

    /// Checks what must hold whenever no thread has the lock.
    fn check(&self) {
        let paused_until = self.hot().set.peek().check();
        let before = std::mem::replace(&mut lock(&self.log).paused_until, paused_until);
        let is_over = before.is_none_or(|end| end <= monitor::now());
        assert!(is_over || before <= paused_until, "a pause is cut short");
    }

    /// The longest time that a request may wait. Each other connection is visited once before it,
    /// and each handler that keeps a sweeping thread costs two looks.
    fn longest_wait(&self) -> Duration {
        let is_slow = |op: &Op| matches!(op, Slow(_) | SlowBehind(_) | Poll);
        let program = self.program.iter();
        let slow = program.filter(|ops| ops.iter().any(is_slow)).count();
        LOOK * 2 * slow as u32 + NAP * 3
    }

    /// A visit calls a handler. If only one thread may sweep, it is not in another handler.
    fn note_visit(&self, key: u64) {
        let is_known = self.hot().slow.find(|| key).is_some();
        assert!(!is_known, "a slow handler keeps a sweeping thread");
        let log = &mut *lock(&self.log);
        if self.places == 1 {
            log.kept.extend(&log.visited);
        }
        log.visited.push(key);
    }

    fn note_visits_end(&self, key: u64) {
        let visited = &mut lock(&self.log).visited;
        let at = visited.iter().position(|it| *it == key);
        visited.swap_remove(at.expect("it was noted"));
    }
}

impl Script {
    fn ops(&self) -> &[Op] {
        &self.world.program[self.id]
    }

    /// The current request; `None` at the end.
    fn op(&self) -> Option<Op> {
        self.ops().get(self.at).copied()
    }

    /// The client sends the current request.
    fn expect_next(&mut self) {
        self.due = monitor::now();
        if let Some(Late(quarters)) = self.op() {
            self.due += QUARTER * quarters;
        }
        self.is_read = matches!(self.op(), Some(Behind | SlowBehind(_)));
    }

    /// How long it is until the current request is here, or its part.
    fn is_due_in(&self) -> Duration {
        self.due.saturating_duration_since(monitor::now())
    }

    fn is_whole_in(&self) -> Duration {
        let whole = self.due
            + if self.op() == Some(Part) {
                REST
            } else {
                Duration::ZERO
            };
        whole.saturating_duration_since(monitor::now())
    }

    fn read(&mut self) {
        self.is_read = true;
        self.key = match self.op() {
            Some(Slow(_) | SlowBehind(_)) => 1,
            Some(Poll) => 2,
            Some(Known(_)) => KNOWN,
            _ => 0,
        };
    }

    fn answer(&mut self) -> Outcome {
        self.world.check();
        match self.op() {
            None | Some(Fault | FaultWithin) => Outcome::Gone,
            Some(op) => self.handle(op),
        }
    }

    fn handle(&mut self, op: Op) -> Outcome {
        let is_whole_at = self.due + if op == Part { REST } else { Duration::ZERO };
        let waited = monitor::now().duration_since(is_whole_at);
        assert!(
            waited <= self.world.longest_wait(),
            "{op:?} of {} waited {waited:?}",
            self.id
        );
        let published = &self.world.is_published;
        match op {
            Slow(quarters) | SlowBehind(quarters) | Known(quarters) => {
                model::pass_time(QUARTER * quarters)
            }
            Poll => {
                let mut is_published = published.lock();
                while !*is_published {
                    is_published = published.wait(is_published, Duration::MAX);
                }
            }
            Publish => {
                *published.lock() = true;
                published.notify_all();
            }
            _ => model::step(),
        }
        lock(&self.world.log).served[self.id] += 1;
        self.at += 1;
        self.expect_next();
        match op {
            Close => Outcome::Close,
            _ => Outcome::Persist,
        }
    }
}

impl Busy for Script {
    fn go_on(&mut self, work: Work) -> Outcome {
        self.world.check();
        self.misses = 0;
        match work {
            Work::Wait => {
                let wait = self.is_whole_in();
                if !wait.is_zero() {
                    model::pass_time(wait);
                }
                self.read();
            }
            Work::Answer(_) => {}
            Work::End(outcome) => return outcome,
        }
        self.answer()
    }

    fn may_be_lent(&mut self) -> bool {
        !self.is_read
    }

    fn visit(
        &mut self,
        is_slow: impl Fn(&Self) -> bool,
        step: impl Fn() -> bool,
    ) -> Result<bool, Work> {
        self.world.check();
        if !self.is_read && !self.is_due_in().is_zero() {
            self.misses += 1;
            assert!(self.misses <= MISSES, "it is silent, and stays");
            return Ok(false);
        }
        self.misses = 0;
        self.read();
        while self.is_read {
            let Some(op) = self.op() else {
                return Err(Work::End(Outcome::Gone));
            };
            self.read();
            if op == Fault {
                resume_unwind(Box::new("a fault of ours"));
            }
            if !self.is_whole_in().is_zero() {
                return Err(Work::Wait);
            }
            if is_slow(self) {
                return Err(Work::Answer(Next::Request));
            }
            step();
            if op == FaultWithin {
                resume_unwind(Box::new("a fault of ours"));
            }
            let key = self.key;
            self.world.note_visit(key);
            let outcome = self.answer();
            self.world.note_visits_end(key);
            let may_go_on = step();
            if !matches!(outcome, Outcome::Persist) {
                return Err(Work::End(outcome));
            }
            if !may_go_on {
                return Err(Work::Wait);
            }
        }
        Ok(true)
    }

    fn route_key(&self) -> u64 {
        self.key
    }
}
