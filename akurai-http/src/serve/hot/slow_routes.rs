//! Routes whose handlers took so long that other connections had to wait.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use super::monitor;

/// How many routes can be told apart. Two that share a place are slow together.
const PLACES: usize = 256;

/// So many fast requests wear off a mark.
const MARK: u8 = 128;

/// After so many requests, of whatever routes, each mark wears off by one.
const AGE: usize = 1024;

/// A handler that takes longer is slow.
const SLOW: Duration = Duration::from_micros(500);

pub(crate) struct SlowRoutes {
    /// How many fast requests are left until the route counts as fast.
    marks: [AtomicU8; PLACES],
    /// How many places are marked.
    marked: AtomicUsize,
    /// How many threads are in a handler of such a route.
    running: AtomicUsize,
    /// How often a route was looked for while there were marks.
    asked: AtomicUsize,
}

impl Default for SlowRoutes {
    fn default() -> SlowRoutes {
        SlowRoutes {
            marks: [const { AtomicU8::new(0) }; PLACES],
            marked: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
        }
    }
}

impl SlowRoutes {
    /// The key, if its route is slow.
    #[inline]
    pub(crate) fn find(&self, key: impl FnOnce() -> u64) -> Option<u64> {
        match self.marked.load(Ordering::Relaxed) {
            0 => None,
            _ => {
                self.age();
                Some(key()).filter(|&key| self.place(key).load(Ordering::Relaxed) > 0)
            }
        }
    }

    /// Wears all marks off in the end, also those of routes that nobody asks for any more.
    fn age(&self) {
        if self.asked.fetch_add(1, Ordering::Relaxed) % AGE == AGE - 1 {
            (0..PLACES as u64).for_each(|place| self.change(place, |mark| mark.saturating_sub(1)));
        }
    }

    pub(crate) fn mark(&self, key: u64) {
        self.change(key, |mark| mark.saturating_add(MARK));
    }

    /// Runs the handler of a slow route, and notes how long it takes this time.
    pub(crate) fn time<T>(&self, key: u64, handle: impl FnOnce() -> T) -> T {
        self.running.fetch_add(1, Ordering::Relaxed);
        let begun = monitor::now();
        let outcome = handle();
        self.running.fetch_sub(1, Ordering::Relaxed);
        match monitor::now() - begun > SLOW {
            true => self.mark(key),
            false => self.change(key, |mark| mark.saturating_sub(1)),
        }
        outcome
    }

    /// Whether a thread is in a handler of a slow route.
    pub(crate) fn are_running(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }

    fn change(&self, key: u64, change: impl Fn(u8) -> u8) {
        let order = Ordering::Relaxed;
        let changed = self
            .place(key)
            .fetch_update(order, order, |mark| Some(change(mark)));
        let Ok(before) = changed else {
            return;
        };
        match (before, change(before)) {
            (0, 1..) => drop(self.marked.fetch_add(1, order)),
            (1.., 0) => drop(self.marked.fetch_sub(1, order)),
            _ => {}
        }
    }

    fn place(&self, key: u64) -> &AtomicU8 {
        &self.marks[key as usize % PLACES]
    }
}

#[cfg(test)]
mod tests {
    use super::super::model;
    use super::*;

    /// Runs in the time of a model: it passes only where the test says so.
    fn in_model_time(run: fn()) {
        model::explore(0, || (vec![Box::new(run)], Box::new(|_| ())));
    }

    #[test]
    fn a_mark_wears_off_after_fast_requests() {
        in_model_time(|| {
            let slow = SlowRoutes::default();
            assert_eq!(slow.find(|| unreachable!("no route is marked")), None);
            slow.mark(7);
            assert_eq!(slow.find(|| 7), Some(7));
            assert_eq!(slow.find(|| 8), None);
            for _ in 0..MARK {
                assert_eq!(slow.find(|| 7), Some(7));
                slow.time(7, || model::pass_time(SLOW));
            }
            assert_eq!(slow.find(|| unreachable!("no route is marked")), None);
        });
    }

    #[test]
    fn a_slow_request_renews_a_mark() {
        in_model_time(|| {
            let slow = SlowRoutes::default();
            slow.mark(7);
            let more = SLOW + Duration::from_nanos(1);
            slow.time(7, || {
                assert!(slow.are_running());
                model::pass_time(more);
            });
            assert!(!slow.are_running());
            for _ in 0..u8::MAX {
                assert_eq!(slow.find(|| 7), Some(7));
                slow.time(7, || ());
            }
            assert_eq!(slow.find(|| 7), None);
        });
    }

    #[test]
    fn a_mark_wears_off_although_nobody_asks_for_its_route() {
        let slow = SlowRoutes::default();
        slow.mark(7);
        let asks = usize::from(MARK) * AGE;
        (1..asks).for_each(|_| assert_eq!(slow.find(|| 8), None));
        assert_eq!(slow.marked.load(Ordering::Relaxed), 1);
        assert_eq!(slow.find(|| 8), None);
        assert_eq!(slow.marked.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_mark_has_an_end() {
        in_model_time(|| {
            let slow = SlowRoutes::default();
            (0..1000).for_each(|_| slow.mark(7));
            // The same place, so the same mark.
            (0..255).for_each(|_| slow.time(7 + PLACES as u64, || ()));
            assert_eq!(slow.find(|| unreachable!("no route is marked")), None);
        });
    }
}
