//! Points in time and waits, some of them with jitter so that many clients do not come at once.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

/// The time; in a model test, the model's.
pub(crate) fn now() -> Instant {
    #[cfg(test)]
    if let Some(now) = crate::model::now() {
        return now;
    }
    Instant::now()
}

/// The point in time after this wait. If that overflows, it is a hundred years from now.
pub(crate) fn after(wait: Duration) -> Instant {
    let now = now();
    now.checked_add(wait)
        .unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 86_400))
}

/// `duration`, more or less by at most one `part`-th of it.
pub(crate) fn jitter(duration: Duration, part: u32) -> Duration {
    let range = duration / part;
    duration - range + below(range * 2)
}

/// A random time below `duration`. It need not be unpredictable, only spread.
pub(crate) fn below(duration: Duration) -> Duration {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random() % millis.max(1))
}

/// A number that differs from process to process and from call to call; it need not be
/// unpredictable.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
