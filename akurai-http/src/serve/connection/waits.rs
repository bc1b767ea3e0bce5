//! How long a connection waits for the next head.

use std::time::{Duration, Instant};

use crate::io::clock::after;
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
}

impl HeadWaits {
    /// How much longer the connection may be idle, of `most` in all. Empty lines do not begin a
    /// head.
    pub(super) fn idle(&mut self, most: Duration) -> Duration {
        let now = Instant::now();
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
        let left = self.deadline.unwrap_or(deadline);
        left.saturating_duration_since(Instant::now())
            .min(HEAD_LOOK)
    }
}
