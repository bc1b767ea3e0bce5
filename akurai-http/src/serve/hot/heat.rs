//! Whether a connection is one of many that are busy at the same time.

use std::time::{Duration, Instant};

/// Longest time that each request of others may have taken, between two of ours.
const PACE: Duration = Duration::from_micros(40);

/// So many requests in a row must have come at this pace.
const STREAK: u8 = 4;

/// How a connection's requests come, among those of the whole server.
#[derive(Debug, Default)]
pub(crate) struct Heat {
    /// How many requests the server had answered at our last one.
    seen: u64,
    /// When that was, if others were busy too.
    at: Option<Instant>,
    streak: u8,
}

impl Heat {
    /// Notes a request. `served` are all requests of the server, with this one. True if the
    /// connection is hot.
    pub(crate) fn note(&mut self, served: u64) -> bool {
        let others = served.wrapping_sub(self.seen).saturating_sub(1);
        self.seen = served;
        // A server with little to do looks at no clock.
        if others < 2 {
            self.streak = 0;
            return false;
        }
        let now = Instant::now();
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

    /// The connection has been silent.
    pub(crate) fn cool(&mut self) {
        self.streak = 0;
    }
}
