//! The process may be stopped in the middle of a wait (SIGSTOP).

use std::time::Duration;

/// Even a busy machine lets a thread go on in this time after a signal.
const ALLOWANCE: Duration = Duration::from_secs(1);

/// Whether the process was stopped in an interrupted call that `lasted` so long and may wait for
/// `wait`. What the peer did meanwhile is still to be seen, so it is not to blame for that time.
///
/// Linux interrupts a socket's wait for each signal that the process handles, also for a timer's or
/// a profiler's. Such a call ends within its own wait, and its time counts as that of any other.
pub(crate) fn was_stopped(lasted: Duration, wait: Duration) -> bool {
    lasted > wait.saturating_add(ALLOWANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_ends_a_wait_early_and_a_stop_late() {
        let wait = Duration::from_secs(20);
        assert!(!was_stopped(Duration::ZERO, wait));
        assert!(!was_stopped(wait, wait));
        assert!(was_stopped(wait + 2 * ALLOWANCE, wait));
        assert!(!was_stopped(wait, Duration::MAX));
    }
}
