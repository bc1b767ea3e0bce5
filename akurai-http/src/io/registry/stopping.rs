//! The stop of a server in all orders of its threads: connections that begin, wait, are served and
//! upgraded meanwhile. Each thread does what `serve` does with the registry; nothing is read but
//! the end of the input.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::model::{self, Body};
use super::{Registry, RegistryEntry, StopHook};
use crate::io::lock::lock;
use crate::io::transport::Transport;

/// What happens on a connection, one after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    /// A request comes, and its handler takes a while.
    Get,
    /// The client sends nothing for this many milliseconds, and then a request.
    Late(u64),
    /// It becomes an upgrade, whose closure waits for the end of its input, or for its hook.
    Upgrade,
    UpgradeWithHook,
    /// As [`Upgrade`](Self::Upgrade), but only a forced end reaches its closure.
    Deaf,
}

use Op::*;

const HANDLER: Duration = Duration::from_millis(30);
/// How long a client may be silent, and how long behind a stop with its first request.
const IDLE: Duration = Duration::from_secs(15);
const FIRST: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_secs(4);
const LOOK: Duration = Duration::from_millis(500);
const NEVER: Duration = Duration::from_secs(3600);

#[derive(Default)]
struct Scene {
    registry: Arc<Registry>,
    /// The clients' ends.
    clients: Mutex<Vec<Transport>>,
    stop_calls: AtomicUsize,
    hook_calls: AtomicUsize,
    stopped_at: Mutex<Option<Duration>>,
    /// When each connection ended.
    ends: Mutex<Vec<(usize, Duration)>>,
    begun: Mutex<Option<std::time::Instant>>,
}

impl Scene {
    fn now(&self) -> Duration {
        let now = model::now().expect("it runs");
        now - *lock(&self.begun).get_or_insert(now)
    }

    /// What `RunningServer::stop` does. Returns when all connections have ended or were cut.
    fn stop(&self) {
        let registry = &self.registry;
        registry.wait_for_stop();
        registry.close_idle(false);
        registry.call_stop_hooks();
        let mut unasked = registry.unasked();
        let begun = self.now();
        while registry.open() + registry.upgraded() > 0 {
            if self.now() >= begun + GRACE {
                return registry.close_all();
            }
            if self.now() >= begun + FIRST {
                let waiting = unasked.drain(..).filter_map(|entry| entry.upgrade());
                waiting.for_each(|entry| entry.close_unasked());
            }
            model::pass_time(LOOK);
        }
    }

    fn connection(self: &Arc<Scene>, ops: &[Op]) {
        let (client, ours) = Transport::pair().unwrap();
        lock(&self.clients).push(client);
        let entry = self.registry.admit(ours, None, &Arc::default());
        let entry = entry.expect("there is a place");
        entry.transport.set_nonblocking(true).unwrap();
        for (n, op) in ops.iter().enumerate() {
            let may_wait = entry.set_idle(n == 0);
            if !may_wait && n > 0 {
                return;
            }
            let most = if may_wait { IDLE } else { FIRST };
            let comes_in = match op {
                Late(millis) => Duration::from_millis(*millis),
                _ => Duration::ZERO,
            };
            if wait(&entry, comes_in.min(most)) || comes_in > most {
                return;
            }
            entry.set_busy();
            match op {
                Get | Late(_) => model::pass_time(HANDLER),
                _ => return self.upgraded(&entry, *op, n > 0),
            }
        }
        // The client leaves.
    }

    fn upgraded(self: &Arc<Scene>, entry: &Arc<RegistryEntry>, op: Op, was_idle: bool) {
        assert!(entry.take_upgrade_place());
        let scene = Arc::clone(self);
        let hook = move |entry: &Arc<RegistryEntry>| {
            // The stop may have found it idle, just before its request came: then its input ends
            // as that of an idle connection does.
            assert!(
                was_idle || !has_ended(entry),
                "its input ends before its hook"
            );
            scene.hook_calls.fetch_add(1, Ordering::Relaxed);
            model::wake(&entry.end);
        };
        entry.upgrade((op == UpgradeWithHook).then(|| StopHook::new(hook)), false);
        match op {
            UpgradeWithHook => {
                model::step();
                let guard = lock(&entry.end);
                if self.hook_calls.load(Ordering::Relaxed) == 0 && !has_ended(entry) {
                    drop(model::wait(&entry.end, guard, NEVER).0);
                }
            }
            Deaf => {
                while !entry.is_cut.load(Ordering::SeqCst) {
                    wait(entry, NEVER);
                    if has_ended(entry) {
                        model::pass_time(LOOK);
                    }
                }
            }
            _ => drop(wait(entry, NEVER)),
        }
    }
}

fn has_ended(entry: &RegistryEntry) -> bool {
    entry.transport.read(&mut [0]).is_ok_and(|count| count == 0)
}

/// Waits for this long, or until the input ends; then this is true.
fn wait(entry: &RegistryEntry, most: Duration) -> bool {
    model::step();
    let guard = lock(&entry.end);
    if !has_ended(entry) && !most.is_zero() {
        drop(model::wait(&entry.end, guard, most).0);
    }
    has_ended(entry)
}

/// Runs connections beside a stop, which comes after so many milliseconds.
fn check(most_preemptions: usize, stop_after: u64, program: &[&[Op]]) {
    let more = std::env::var("AKURAI_MORE_ORDERS").map_or(0, |more| more.parse().unwrap());
    let runs = model::explore(most_preemptions + more, || {
        let scene = Arc::new(Scene::default());
        let mut bodies: Vec<Body> = Vec::new();
        let server = Arc::clone(&scene);
        bodies.push(Box::new(move || server.stop()));
        let stopper = Arc::clone(&scene);
        bodies.push(Box::new(move || {
            model::pass_time(Duration::from_millis(stop_after));
            let now = stopper.now();
            *lock(&stopper.stopped_at) = Some(now);
            stopper.registry.stop(GRACE);
        }));
        if program.is_empty() {
            let registrar = Arc::clone(&scene);
            bodies.push(Box::new(move || {
                let scene = Arc::clone(&registrar);
                model::pass_time(Duration::from_millis(stop_after));
                registrar.registry.on_stop(Box::new(move || {
                    scene.stop_calls.fetch_add(1, Ordering::Relaxed);
                }));
            }));
        }
        for (id, ops) in program.iter().enumerate() {
            let (scene, ops) = (Arc::clone(&scene), ops.to_vec());
            bodies.push(Box::new(move || {
                scene.now();
                scene.connection(&ops);
                let now = scene.now();
                lock(&scene.ends).push((id, now));
            }));
        }
        let program: Vec<Vec<Op>> = program.iter().map(|ops| ops.to_vec()).collect();
        (bodies, Box::new(move |_| verify(&scene, &program)))
    });
    println!("{runs} orders of {program:?}, stopped after {stop_after} ms");
}

fn verify(scene: &Scene, program: &[Vec<Op>]) {
    let registry = &scene.registry;
    assert_eq!((registry.open(), registry.upgraded()), (0, 0));
    assert!(lock(&registry.entries).is_empty());
    let calls = scene.stop_calls.load(Ordering::Relaxed);
    assert_eq!(calls, usize::from(program.is_empty()), "calls of on_stop");
    let stopped_at = lock(&scene.stopped_at).expect("it was stopped");
    for (id, ended_at) in &*lock(&scene.ends) {
        let ops = &program[*id];
        let took = ended_at.saturating_sub(stopped_at);
        let most = match ops[..] {
            [.., Deaf] => GRACE + LOOK * 2,
            // One request at most is under way, or the first one has yet to come.
            [Late(_), ..] => FIRST + LOOK + HANDLER,
            _ => HANDLER,
        };
        assert!(took <= most, "{ops:?} ended {took:?} behind the stop");
    }
    // One that was idle may have been ended before.
    let is_told = program.iter().any(|ops| ops[..] == [UpgradeWithHook]);
    let calls = scene.hook_calls.load(Ordering::Relaxed);
    assert!(!is_told || calls > 0, "no hook was called");
}

#[test]
fn work_that_is_called_at_the_stop() {
    check(2, 0, &[]);
}

#[test]
fn connections_that_wait() {
    check(2, 0, &[&[Get, Late(9000)]]);
    check(1, 30, &[&[Get, Late(9000)]]);
    check(1, 30, &[&[Get, Late(9000)], &[Get, Get, Late(9000)]]);
}

#[test]
fn connections_without_a_request() {
    check(2, 0, &[&[Late(9000)]]);
    check(1, 0, &[&[Late(700), Late(9000)]]);
    check(1, 10, &[&[Late(9000)], &[Late(10), Late(9000)]]);
}

#[test]
fn connections_that_are_upgraded() {
    check(1, 0, &[&[Upgrade]]);
    check(1, 30, &[&[Get, Upgrade]]);
    check(1, 0, &[&[UpgradeWithHook]]);
    check(1, 30, &[&[Get, UpgradeWithHook]]);
}

#[test]
fn connections_that_are_cut() {
    check(0, 0, &[&[Deaf], &[Get, Late(9000)]]);
}
