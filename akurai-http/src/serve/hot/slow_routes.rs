//! Routes whose handlers took so long that other connections had to wait.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

/// How many routes can be told apart. Two that share a place are slow together.
const PLACES: usize = 256;

/// So many fast requests wear off a mark.
const MARK: u8 = 16;

/// A handler that takes longer is slow.
const SLOW: Duration = Duration::from_micros(500);

pub(crate) struct SlowRoutes {
    /// How many fast requests are left until the route counts as fast.
    marks: [AtomicU8; PLACES],
    /// How many places are marked.
    marked: AtomicUsize,
}

impl Default for SlowRoutes {
    fn default() -> SlowRoutes {
        SlowRoutes {
            marks: [const { AtomicU8::new(0) }; PLACES],
            marked: AtomicUsize::new(0),
        }
    }
}

impl SlowRoutes {
    /// The key, if its route is slow.
    #[inline]
    pub(crate) fn find(&self, key: impl FnOnce() -> u64) -> Option<u64> {
        match self.marked.load(Ordering::Relaxed) {
            0 => None,
            _ => Some(key()).filter(|&key| self.place(key).load(Ordering::Relaxed) > 0),
        }
    }

    pub(crate) fn mark(&self, key: u64) {
        self.change(key, |mark| mark.saturating_add(MARK));
    }

    /// Notes how long the handler of a slow route took this time.
    pub(crate) fn note(&self, key: u64, took: Duration) {
        match took > SLOW {
            true => self.mark(key),
            false => self.change(key, |mark| mark.saturating_sub(1)),
        }
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
