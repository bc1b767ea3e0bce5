//! Time: a moment that may be far away, and the Date field's value.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::codec::date::{DATE_BYTES, imf_fixdate};

/// The moment after this wait. If that is too far away for an [`Instant`], in a hundred years.
pub(crate) fn after(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait)
        .unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 86_400))
}

/// Even a busy machine lets a thread go on in this time after a signal.
const ALLOWANCE: Duration = Duration::from_secs(1);

/// Whether the process was stopped (SIGSTOP) in an interrupted call that began at `since` and may
/// wait for `wait`. What the client did meanwhile is still to be seen, so it is not to blame for
/// that time.
///
/// Linux interrupts a socket's wait for each signal that the process handles, also for a timer's or
/// a profiler's. Such a call ends within its own wait, and its time counts as that of any other.
pub(crate) fn was_stopped(since: Instant, wait: Duration) -> bool {
    since.elapsed() > wait.saturating_add(ALLOWANCE)
}

/// The Date field's value, formatted once a second.
#[derive(Default)]
pub(crate) struct Date {
    /// The second since 1970 that `text` shows; `None` before the first use.
    second: Option<u64>,
    text: [u8; DATE_BYTES],
}

impl Date {
    pub(crate) fn now(&mut self) -> &[u8] {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_secs();
        if self.second != Some(now) {
            self.second = Some(now);
            self.text = imf_fixdate(now);
        }
        &self.text
    }
}
