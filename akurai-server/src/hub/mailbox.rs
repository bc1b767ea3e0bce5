//! What wakes a thread that gives events to many, and when.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ring::BATCH;

/// After a pass that took a while, a thread rests twice as long as that took, at most so long; what is published meanwhile goes
/// out in one write for each of those who get it. A pass that was shorter than a [`SHORT_PASS`] needs no rest.
///
/// So whoever gives much works a third of the time, and an event comes at most so much later than it would. Where events are
/// rare, the rest is over before the next one, and nothing is later. At 500 events/s to 1,000 subscribers, where a pass takes 3.5 to
/// 5 ms, five to seven events share a write. And a rest ends when a whole batch waits, as in a burst: there is no more to gain.
const LONGEST_REST: Duration = Duration::from_millis(10);
const SHORT_PASS: Duration = Duration::from_micros(300);

/// A thread's letter box, with the bell that wakes it.
#[derive(Debug)]
pub(crate) struct Bell<T> {
    state: Mutex<State<T>>,
    rung: Condvar,
}

#[derive(Debug)]
struct State<T> {
    letters: Vec<T>,
    /// How often it was rung since the thread last looked.
    rings: usize,
    /// At how many rings the thread is to be woken. None while it works: it looks by itself before it waits.
    wakes_at: Option<usize>,
    over: bool,
}

impl<T> Default for Bell<T> {
    fn default() -> Bell<T> {
        Bell {
            state: Mutex::new(State {
                letters: Vec::new(),
                rings: 0,
                wakes_at: None,
                over: false,
            }),
            rung: Condvar::new(),
        }
    }
}

impl<T> Bell<T> {
    /// Leaves something for the thread.
    pub(crate) fn leave(&self, letter: T) {
        self.change(|state| state.letters.push(letter));
    }

    /// Says that there is a new event.
    pub(crate) fn ring(&self) {
        self.change(|_| {});
    }

    /// Ends the thread.
    pub(crate) fn end(&self) {
        self.change(|state| {
            state.over = true;
            // Out of a rest, too.
            state.rings = BATCH;
        });
    }

    /// Waits until the bell rings, at most until `deadline`; what was left meanwhile. `None` if the thread is over.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Option<Vec<T>> {
        let mut state = self.wait_for(1, deadline);
        state.rings = 0;
        (!state.over).then(|| std::mem::take(&mut state.letters))
    }

    /// Rests after a pass that took so long, until a batch waits at most.
    pub(crate) fn rest(&self, pass: Duration) {
        if pass >= SHORT_PASS {
            let rest = (pass * 2).min(LONGEST_REST);
            drop(self.wait_for(BATCH, Some(Instant::now() + rest)));
        }
    }

    fn wait_for(&self, rings: usize, deadline: Option<Instant>) -> MutexGuard<'_, State<T>> {
        let mut state = self.lock();
        state.wakes_at = Some(rings);
        while state.rings < rings {
            state = match deadline {
                None => self
                    .rung
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    let waited = self.rung.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        state.wakes_at = None;
        state
    }

    fn change(&self, change: impl FnOnce(&mut State<T>)) {
        let mut state = self.lock();
        change(&mut state);
        state.rings += 1;
        // Once: who was woken already need not be woken again.
        if state.wakes_at.is_some_and(|rings| rings <= state.rings) {
            state.wakes_at = None;
            self.rung.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_comes_before_the_wait_is_not_missed() {
        let bell = Bell::default();
        bell.ring();
        bell.leave("a");
        bell.leave("b");
        assert_eq!(bell.wait(None), Some(vec!["a", "b"]));
        // It has been heard.
        assert_eq!(bell.wait(Some(Instant::now())), Some(vec![]));
        bell.end();
        assert_eq!(bell.wait(None), None);
    }

    #[test]
    fn a_rest_is_bounded_and_ends_when_enough_waits() {
        let bell = Bell::<()>::default();
        let begun = Instant::now();
        bell.rest(Duration::ZERO);
        bell.ring();
        bell.rest(SHORT_PASS);
        assert!(begun.elapsed() >= SHORT_PASS * 2);
        bell.rest(LONG);
        assert!(begun.elapsed() >= LONGEST_REST);
        assert!(begun.elapsed() < LONG);
        // What rang during the rest is still heard.
        assert_eq!(bell.wait(None), Some(vec![]));
        let bell = Bell::<()>::default();
        let woken = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| drop(bell.wait_for(BATCH, Some(Instant::now() + LONG))));
            (0..BATCH).for_each(|_| bell.ring());
            waiter.join()
        });
        assert!(woken.is_ok());
        assert!(begun.elapsed() < LONG);
    }

    #[test]
    fn whoever_waits_is_woken() {
        let bell = Bell::default();
        let heard = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let mut heard = Vec::new();
                while let Some(letters) = bell.wait(None) {
                    heard.extend(letters);
                    if heard.len() == 1000 {
                        break;
                    }
                }
                heard
            });
            (0..1000).for_each(|n| bell.leave(n));
            waiter.join()
        });
        assert_eq!(heard.unwrap(), (0..1000).collect::<Vec<_>>());
    }
}
