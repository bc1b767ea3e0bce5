//! Whether a connection is one of many that are busy at the same time.

use std::time::{Duration, Instant};

use super::monitor;

/// Longest time that each request of others may have taken, between two of ours.
pub(super) const PACE: Duration = Duration::from_micros(40);

/// So many requests in a row must have come at this pace.
const STREAK: u8 = 4;

/// After so many visits in a row that found nothing, a connection gets a thread.
pub(super) const MISSES: u8 = if cfg!(test) { 5 } else { 64 };

/// How a connection's requests come, among those of the whole server.
#[derive(Debug, Default)]
pub(crate) struct Heat {
    /// How many requests the server had answered at our last one.
    seen: u64,
    /// When that was, if others were busy too.
    at: Option<Instant>,
    streak: u8,
    /// How many visits in a row found nothing.
    misses: u8,
}

impl Heat {
    /// Notes a request. `served` are all requests of the server, with this one. True if the
    /// connection is hot.
    pub(crate) fn note(&mut self, served: u64) -> bool {
        let others = served.wrapping_sub(self.seen).saturating_sub(1);
        (self.seen, self.misses) = (served, 0);
        // A server with little to do looks at no clock.
        if others < 2 {
            self.streak = 0;
            return false;
        }
        let now = monitor::now();
        let others = u32::try_from(others).unwrap_or(u32::MAX);
        let is_dense = self
            .at
            .is_some_and(|at| now.duration_since(at) <= PACE.saturating_mul(others));
        self.at = Some(now);
        self.streak = match is_dense {
            true => (self.streak + 1).min(STREAK),
            false => 0,
        };
        self.streak == STREAK
    }

    /// Notes a visit. True if the connection has been silent: then it is cool.
    pub(crate) fn is_silent(&mut self, is_hit: bool) -> bool {
        self.misses = if is_hit { 0 } else { self.misses + 1 };
        let is_silent = self.misses == MISSES;
        if is_silent {
            self.cool();
        }
        is_silent
    }

    pub(crate) fn cool(&mut self) {
        (self.streak, self.misses) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::model;
    use super::*;

    /// Requests of a connection: after how long each comes, and how many of others the server has
    /// answered before it. Which of them find it hot.
    fn check(requests: &[(Duration, u64)], expected: &[bool]) {
        let (requests, expected) = (requests.to_vec(), expected.to_vec());
        let program = || {
            let (requests, expected) = (requests.clone(), expected.clone());
            let run = move || {
                let (mut heat, mut served) = (Heat::default(), 0);
                let note = |&(time, others): &(Duration, u64)| {
                    model::pass_time(time);
                    served += others + 1;
                    heat.note(served)
                };
                let noted: Vec<bool> = requests.iter().map(note).collect();
                assert_eq!(noted, expected, "{requests:?}");
            };
            let verify: Box<dyn FnOnce(model::Report)> = Box::new(|_| ());
            (vec![Box::new(run) as model::Body], verify)
        };
        model::explore(0, program);
    }

    #[test]
    fn many_busy_connections_are_hot() {
        const F: bool = false;
        let (dense, sparse) = (PACE * 10, PACE * 10 + Duration::from_nanos(1));
        check(&[(dense, 10); 6], &[F, F, F, F, true, true]);
        check(&[(sparse, 10); 6], &[F; 6]);
        // Two others are enough, one is not.
        check(&[(PACE * 2, 2); 5], &[F, F, F, F, true]);
        check(&[(Duration::ZERO, 1); 6], &[F; 6]);
        // One request of another pace begins it again.
        let mut requests = [(dense, 10); 11];
        requests[5] = (sparse, 10);
        check(&requests, &[F, F, F, F, true, F, F, F, F, true, true]);
        // After one at which the clock was not read, the next one's time is too long.
        requests[5] = (dense, 1);
        check(&requests, &[F, F, F, F, true, F, F, F, F, F, true]);
    }

    #[test]
    fn a_connection_that_is_silent_among_visits_is_cool() {
        let mut heat = Heat {
            streak: STREAK,
            ..Heat::default()
        };
        for _ in 0..3 {
            assert!((1..MISSES).all(|_| !heat.is_silent(false)));
            // A visit that finds something, or a request to a thread, begins it again.
            assert!(!heat.is_silent(true));
            assert!((1..MISSES).all(|_| !heat.is_silent(false)));
            heat.note(0);
        }
        heat.streak = STREAK;
        assert!((1..MISSES).all(|_| !heat.is_silent(false)));
        assert!(heat.is_silent(false));
        assert_eq!(heat.streak, 0);
    }

    #[test]
    fn a_connection_that_was_silent_is_cool() {
        let mut heat = Heat {
            streak: STREAK,
            ..Heat::default()
        };
        heat.cool();
        assert!(!heat.note(100));
        assert!(heat.streak < STREAK);
    }
}
