//! Routes whose handlers took so long that other connections had to wait.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use super::monitor;

/// How many routes can be told apart. Two that share a place are slow together.
const PLACES: usize = 256;

/// So many fast requests wear off a mark.
const MARK: u8 = 128;

/// A handler that takes longer is slow.
const SLOW: Duration = Duration::from_micros(500);

#[derive(Default)]
pub(crate) struct SlowRoutes {
    /// How many fast requests are left until a route counts as fast. Nested, since std has defaults
    /// of arrays up to 32.
    marks: [[AtomicU8; 32]; PLACES / 32],
    /// A route was marked once.
    has_marks: AtomicBool,
}

impl SlowRoutes {
    /// The key, if its route is slow.
    #[inline]
    pub(crate) fn find(&self, key: impl FnOnce() -> u64) -> Option<u64> {
        let has_marks = self.has_marks.load(Ordering::Relaxed);
        let key = has_marks.then(key)?;
        (self.place(key).load(Ordering::Relaxed) > 0).then_some(key)
    }

    pub(crate) fn mark(&self, key: u64) {
        self.has_marks.store(true, Ordering::Relaxed);
        self.change(key, |mark| mark.saturating_add(MARK));
    }

    /// Runs a handler. If its route is slow, notes how long it takes this time.
    pub(crate) fn time<T>(&self, slow_key: Option<u64>, handle: impl FnOnce() -> T) -> T {
        let Some(key) = slow_key else {
            return handle();
        };
        let begun = monitor::now();
        let outcome = handle();
        match monitor::now() - begun > SLOW {
            true => self.mark(key),
            false => self.change(key, |mark| mark.saturating_sub(1)),
        }
        outcome
    }

    fn change(&self, key: u64, change: impl Fn(u8) -> u8) {
        let order = Ordering::Relaxed;
        let _ = self
            .place(key)
            .fetch_update(order, order, |mark| Some(change(mark)));
    }

    fn place(&self, key: u64) -> &AtomicU8 {
        let place = key as usize % PLACES;
        &self.marks[place / 32][place % 32]
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
            assert_eq!(slow.find(|| unreachable!("no route was marked")), None);
            slow.mark(7);
            assert_eq!(slow.find(|| 7), Some(7));
            assert_eq!(slow.find(|| 8), None);
            for _ in 0..MARK {
                assert_eq!(slow.find(|| 7), Some(7));
                slow.time(Some(7), || model::pass_time(SLOW));
            }
            assert_eq!(slow.find(|| 7), None);
        });
    }

    #[test]
    fn a_slow_request_renews_a_mark() {
        in_model_time(|| {
            let slow = SlowRoutes::default();
            slow.mark(7);
            let more = SLOW + Duration::from_nanos(1);
            slow.time(Some(7), || model::pass_time(more));
            for _ in 0..u8::MAX {
                assert_eq!(slow.find(|| 7), Some(7));
                slow.time(Some(7), || ());
            }
            assert_eq!(slow.find(|| 7), None);
        });
    }

    #[test]
    fn a_mark_has_an_end() {
        in_model_time(|| {
            let slow = SlowRoutes::default();
            (0..1000).for_each(|_| slow.mark(7));
            // The same place, so the same mark.
            (0..255).for_each(|_| slow.time(Some(7 + PLACES as u64), || ()));
            assert_eq!(slow.find(|| 7), None);
        });
    }
}
