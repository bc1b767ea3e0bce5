//! The scheduler of the model tests: it runs threads one at a time, in all orders. The crates that
//! have such a test include this file.
//!
//! The threads are real, but only one of them runs at a time. The scheduler may switch to another
//! thread wherever a thread takes a lock, writes or waits. A run is described by the choices that
//! were made in it. The next run changes the last of them, until there is no other choice. A thread
//! may give way itself as often as it likes. The scheduler interrupts it at most `most_preemptions`
//! times in a run: few faults take more than two.
//!
//! Time passes only when all threads wait: it then goes on to the end of the first wait.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

pub(super) type Body = Box<dyn FnOnce() + Send>;

/// More steps than any program needs that comes to its end.
const MOST_STEPS: usize = 5000;

thread_local! {
    static ME: RefCell<Option<(Arc<Scheduler>, usize)>> = const { RefCell::new(None) };
}

/// The outcome of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Report {
    /// When the last thread of the program ended.
    pub(super) ended_at: Duration,
    /// Something took time, or failed: see [`disturb`].
    pub(super) is_disturbed: bool,
}

struct Scheduler(Mutex<Run>);

#[derive(Default)]
struct Run {
    threads: Vec<ModelThread>,
    joins: Vec<JoinHandle<()>>,
    running: usize,
    time: Duration,
    /// The choices so far: which one was taken, and of how many.
    path: Vec<(usize, usize)>,
    step: usize,
    steps: usize,
    preemptions_left: usize,
    /// How many threads belong to the program.
    own: usize,
    report: Report,
    failure: Option<String>,
}

struct ModelThread {
    thread: Thread,
    state: ThreadState,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ThreadState {
    Ready,
    /// For this value to change, or only for the time to pass.
    Waiting(usize, Duration),
    Done,
}

/// Runs a program in all orders of its threads, and checks what must hold after each run. Returns
/// how many runs there were.
pub(super) fn explore(
    most_preemptions: usize,
    program: impl Fn() -> (Vec<Body>, Box<dyn FnOnce(Report)>),
) -> usize {
    let mut path = Vec::new();
    for runs in 1.. {
        let (bodies, verify) = program();
        let mut run = run(bodies, path, most_preemptions);
        let failure = run.failure.take();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| match failure {
            Some(failure) => panic!("{failure}"),
            None => verify(run.report),
        }));
        path = run.path;
        if let Err(panic) = outcome {
            let choices: Vec<usize> = path.iter().map(|(taken, _)| *taken).collect();
            println!(
                "in run {runs}, after {:?}, by the choices {choices:?}",
                run.time
            );
            panic::resume_unwind(panic);
        }
        while path.last().is_some_and(|(taken, of)| taken + 1 == *of) {
            path.pop();
        }
        match path.last_mut() {
            Some((taken, _)) => *taken += 1,
            None => return runs,
        }
    }
    unreachable!("the loop has no end of its own")
}

fn run(bodies: Vec<Body>, path: Vec<(usize, usize)>, most_preemptions: usize) -> Run {
    let scheduler = Arc::new(Scheduler(Mutex::new(Run {
        path,
        preemptions_left: most_preemptions,
        own: bodies.len(),
        running: usize::MAX,
        ..Run::default()
    })));
    for body in bodies {
        scheduler.add(body);
    }
    scheduler.go_on(usize::MAX);
    loop {
        let join = scheduler.run().joins.pop();
        match join {
            Some(join) => join.join().expect("a panic is told by the run"),
            None => break,
        }
    }
    let mut run = scheduler.run();
    Run {
        path: std::mem::take(&mut run.path),
        failure: run.failure.take(),
        ..Run {
            report: run.report,
            time: run.time,
            ..Run::default()
        }
    }
}

impl Scheduler {
    fn run(&self) -> MutexGuard<'_, Run> {
        lock(&self.0)
    }

    fn add(self: &Arc<Self>, body: Body) {
        let mut run = self.run();
        let id = run.threads.len();
        let scheduler = Arc::clone(self);
        let join = thread::spawn(move || {
            ME.set(Some((Arc::clone(&scheduler), id)));
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
                scheduler.await_turn(id);
                body();
            }));
            let mut run = scheduler.run();
            run.threads[id].state = ThreadState::Done;
            if id < run.own {
                run.report.ended_at = run.time;
            }
            if let Err(panic) = outcome {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                run.failure.get_or_insert(text.unwrap_or_default());
            }
            drop(run);
            scheduler.go_on(id);
        });
        run.threads.push(ModelThread {
            thread: join.thread().clone(),
            state: ThreadState::Ready,
        });
        run.joins.push(join);
    }

    /// Lets another thread run, or the same one.
    fn go_on(&self, me: usize) {
        let mut run = self.run();
        let Some(next) = run.next(me) else {
            return;
        };
        run.running = next;
        let thread = run.threads[next].thread.clone();
        let goes_away =
            next != me && me < run.threads.len() && run.threads[me].state != ThreadState::Done;
        drop(run);
        if next != me {
            thread.unpark();
        }
        if goes_away {
            self.await_turn(me);
        }
        self.leave_if_failed(me);
    }

    fn await_turn(&self, me: usize) {
        while self.run().running != me {
            thread::park();
        }
        self.leave_if_failed(me);
    }

    fn leave_if_failed(&self, me: usize) {
        let run = self.run();
        let is_under_way = run
            .threads
            .get(me)
            .is_some_and(|thread| thread.state != ThreadState::Done);
        if run.failure.is_some() && is_under_way && !thread::panicking() {
            drop(run);
            panic::resume_unwind(Box::new("another thread has failed"));
        }
    }
}

impl Run {
    /// The thread that runs now; `None` when all are done.
    fn next(&mut self, me: usize) -> Option<usize> {
        let mut ids = 0..self.threads.len();
        self.steps += 1;
        if self.steps > MOST_STEPS {
            let failure = "the threads go on for ever";
            self.failure.get_or_insert(failure.to_owned());
        }
        if self.failure.is_some() {
            let is_left = |id: &usize| self.threads[*id].state != ThreadState::Done;
            // This one may wait for a lock that another gives back.
            let other = ids.clone().find(|id| *id != me && is_left(id));
            return other.or_else(|| ids.find(is_left));
        }
        let mut ready: Vec<usize> = ids
            .filter(|id| self.threads[*id].state == ThreadState::Ready)
            .collect();
        if ready.is_empty() {
            let waits = self.threads.iter().filter_map(|thread| match thread.state {
                ThreadState::Waiting(_, until) => Some(until),
                _ => None,
            });
            let end = waits.min()?;
            if end == Duration::MAX {
                let failure = "each thread waits for another";
                self.failure.get_or_insert(failure.to_owned());
                return self.next(me);
            }
            self.time = end;
            for thread in &mut self.threads {
                if matches!(thread.state, ThreadState::Waiting(_, until) if until <= self.time) {
                    thread.state = ThreadState::Ready;
                }
            }
            return self.next(me);
        }
        if let Some(at) = ready.iter().position(|id| *id == me) {
            // The first choice is to go on with the same thread.
            ready.swap(0, at);
            if self.preemptions_left == 0 {
                ready.truncate(1);
            }
        }
        let next = ready[self.choose(ready.len())];
        if ready[0] == me && next != me {
            self.preemptions_left -= 1;
        }
        Some(next)
    }

    fn waiting_for(&self, value: usize) -> Vec<usize> {
        let waits = |id: &usize| matches!(self.threads[*id].state, ThreadState::Waiting(on, _) if on == value);
        (0..self.threads.len()).filter(waits).collect()
    }

    fn choose(&mut self, of: usize) -> usize {
        if of == 1 {
            return 0;
        }
        if self.step == self.path.len() {
            self.path.push((0, of));
        }
        let (taken, before) = self.path[self.step];
        assert_eq!(before, of, "a run is no function of its choices");
        self.step += 1;
        taken
    }
}

fn me() -> Option<(Arc<Scheduler>, usize)> {
    ME.with_borrow(Option::clone)
}

/// The scheduler may switch to another thread here.
pub(super) fn step() {
    if let Some((scheduler, me)) = me() {
        if scheduler.run().failure.is_none() {
            scheduler.go_on(me);
        }
    }
}

/// As [`step`], in front of a lock that another thread may hold while it takes a step. The caller
/// goes on when the lock is free.
pub(super) fn step_to<T>(mutex: &Mutex<T>) {
    step();
    let Some((scheduler, me)) = me() else {
        return;
    };
    while matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)) {
        let has_failed = scheduler.run().failure.is_some();
        match has_failed {
            // The thread with the lock ends, too, and gives it back.
            true => scheduler.go_on(me),
            false => pass_time(Duration::ZERO),
        }
    }
}

/// Chooses one of `of` ways to go on.
pub(super) fn choose(of: usize) -> usize {
    me().map_or(0, |(scheduler, _)| scheduler.run().choose(of))
}

/// Notes that something takes time, or fails.
pub(super) fn disturb() {
    if let Some((scheduler, _)) = me() {
        scheduler.run().report.is_disturbed = true;
    }
}

pub(super) fn pass_time(time: Duration) {
    wait_until_woken(0, time);
}

fn wait_until_woken(value: usize, most: Duration) {
    if let Some((scheduler, me)) = me() {
        let mut run = scheduler.run();
        let until = run.time.saturating_add(most);
        run.threads[me].state = ThreadState::Waiting(value, until);
        if run.failure.is_some() {
            // No thread wakes another any more.
            run.threads[me].state = ThreadState::Ready;
            run.time = until;
            drop(run);
            scheduler.leave_if_failed(me);
            return;
        }
        drop(run);
        scheduler.go_on(me);
    }
}

/// Waits until another thread wakes it, for at most this long; [`Duration::MAX`] has no end. Returns
/// how long the caller is still to wait: all of it outside of a run.
pub(super) fn wait<'m, T>(
    value: &'m Mutex<T>,
    guard: MutexGuard<'m, T>,
    most: Duration,
) -> (MutexGuard<'m, T>, Duration) {
    if me().is_none() {
        return (guard, most);
    }
    drop(guard);
    wait_until_woken(address(value), most);
    (lock(value), Duration::ZERO)
}

/// Wakes each thread that waits for this value.
pub(super) fn wake<T>(value: &Mutex<T>) {
    if let Some((scheduler, _)) = me() {
        let mut run = scheduler.run();
        for id in run.waiting_for(address(value)) {
            run.threads[id].state = ThreadState::Ready;
        }
    }
}

/// Wakes one of the threads that wait for this value, whichever it is.
pub(super) fn wake_one<T>(value: &Mutex<T>) {
    if let Some((scheduler, _)) = me() {
        let mut run = scheduler.run();
        let waiting = run.waiting_for(address(value));
        if !waiting.is_empty() && run.failure.is_none() {
            let woken = waiting[run.choose(waiting.len())];
            run.threads[woken].state = ThreadState::Ready;
        }
    }
}

fn address<T>(value: &Mutex<T>) -> usize {
    std::ptr::from_ref(value).addr()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn now() -> Option<Instant> {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let (scheduler, _) = me()?;
    let time = scheduler.run().time;
    Some(*BEGIN.get_or_init(Instant::now) + time)
}

/// Starts a thread that does not belong to the program. False outside of a run.
pub(super) fn spawn(body: impl FnOnce() + Send + 'static) -> bool {
    me().map(|(scheduler, _)| scheduler.add(Box::new(body)))
        .is_some()
}

pub(super) fn is_running() -> bool {
    me().is_some()
}
