//! How long a connection waits for the next head.

use std::time::{Duration, Instant};

use crate::io::clock::{after, was_stopped};
use crate::serve::serving::{STOPPING_HEAD_TIME, Serving};

/// Longest wait of one read in the middle of a head. After it the thread checks whether the server
/// stops.
const HEAD_LOOK: Duration = Duration::from_millis(250);

/// How long the next head may take.
#[derive(Default)]
pub(super) struct HeadWaits {
    idle_since: Option<Instant>,
    /// When the head that has begun must be whole.
    deadline: Option<Instant>,
    knows_of_stop: bool,
    /// When the wait under way began.
    asked: Option<Instant>,
}

impl HeadWaits {
    /// How much longer the connection may be idle, of `most` in all. Empty lines do not begin a
    /// head.
    pub(super) fn idle(&mut self, most: Duration) -> Duration {
        let now = Instant::now();
        self.asked = Some(now);
        let since = *self.idle_since.get_or_insert(now);
        most.saturating_sub(now - since)
    }

    /// How long a read may wait for more of a head. Once the server stops, at most 1 s is left.
    pub(super) fn in_head(&mut self, serving: &Serving) -> Duration {
        let deadline = *self
            .deadline
            .get_or_insert_with(|| after(serving.limits.head_deadline));
        if serving.registry.is_stopping() && !self.knows_of_stop {
            self.knows_of_stop = true;
            self.deadline = Some(deadline.min(after(STOPPING_HEAD_TIME)));
        }
        let now = Instant::now();
        self.asked = Some(now);
        let left = self.deadline.unwrap_or(deadline);
        left.saturating_duration_since(now).min(HEAD_LOOK)
    }

    /// A signal has ended a read that might wait for `wait`. After a stop of the process, what the
    /// client did meanwhile is still to be seen.
    pub(super) fn interrupted(&mut self, wait: Duration) {
        if self.asked.is_some_and(|asked| was_stopped(asked, wait)) {
            *self = HeadWaits::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_takes_nothing_from_the_wait_and_a_stop_begins_it_again() {
        let asked = Instant::now() - Duration::from_secs(2);
        for (wait_secs, is_stop) in [(0, true), (2, false)] {
            let mut waits = HeadWaits {
                idle_since: Some(asked),
                deadline: Some(asked),
                asked: Some(asked),
                ..HeadWaits::default()
            };
            waits.interrupted(Duration::from_secs(wait_secs));
            assert_eq!(waits.idle_since, (!is_stop).then_some(asked));
            assert_eq!(waits.deadline, (!is_stop).then_some(asked));
        }
        let mut waits = HeadWaits::default();
        waits.idle(Duration::MAX);
        assert!(waits.asked.is_some());
    }
}
