//! The end of a connection whose client may still be sending (RFC 9112 §9.6).
//!
//! If a socket is closed while input is unread, or gets more input after the close, the system
//! answers with a reset. The reset destroys what the client has not read yet: our last answer. So
//! the server ends its own side first, and then reads and discards input until the client ends its
//! side. That costs a place and one small buffer; it is bounded in time, not in bytes.

use std::time::{Duration, Instant};

use crate::io::clock::was_stopped;
use crate::io::limits::Limits;

/// How many bytes a new connection may send at once (RFC 6928: ten segments). An answer of this
/// size has left this machine when the write returns. So the socket may be closed at once behind it
/// if no input is here and none is expected: a client that does send something, behind its WebSocket
/// Close for example, may see a reset instead of the answer.
pub(crate) const FIRST_FLIGHT_BYTES: u64 = 10 * 1460;

/// Longest silence of a client, and longest time in all, once the server stops.
const STOPPING_STALL: Duration = Duration::from_secs(1);
const STOPPING_TIME: Duration = Duration::from_secs(5);

/// When a connection began to linger, and when its last byte came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lingering {
    begun: Instant,
    last_byte: Instant,
}

/// How long a connection may linger. The bounds change while it does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LingerBounds {
    time: Duration,
    stall: Duration,
}

impl LingerBounds {
    pub(crate) fn new(limits: &Limits, taken: usize, places: usize, is_stopping: bool) -> Self {
        let quarters = free_quarters(taken, places).max(1);
        let (most_time, most_stall) = match is_stopping {
            true => (STOPPING_TIME, STOPPING_STALL),
            false => (Duration::MAX, Duration::MAX),
        };
        Self {
            time: (limits.linger_time / 4 * quarters).min(most_time),
            stall: (limits.linger_stall / 4 * quarters).min(most_stall),
        }
    }
}

impl Lingering {
    pub(crate) fn begin() -> Lingering {
        let now = Instant::now();
        Lingering {
            begun: now,
            last_byte: now,
        }
    }

    /// How much longer the client may be silent; zero if its time is over.
    pub(crate) fn left(&self, bounds: LingerBounds) -> Duration {
        let in_all = bounds.time.saturating_sub(self.begun.elapsed());
        let silent = bounds.stall.saturating_sub(self.last_byte.elapsed());
        in_all.min(silent)
    }

    /// A signal has ended a read that began at `asked` and might wait for `wait`.
    pub(crate) fn interrupted(&mut self, asked: Instant, wait: Duration) {
        if was_stopped(asked, wait) {
            *self = Lingering::begin();
        }
    }

    pub(crate) fn bytes_came(&mut self) {
        self.last_byte = Instant::now();
    }
}

/// How many quarters of a wait a connection gets: all four while half of the places are free, none
/// when all are taken.
pub(crate) fn free_quarters(taken: usize, places: usize) -> u32 {
    let places = places.clamp(1, usize::MAX / 8);
    let eighths = (places.saturating_sub(taken) * 8).div_ceil(places);
    // Few steps, so that a socket's timeout need not be set for each connection that comes or goes.
    eighths.min(4) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_shrink_as_places_run_out() {
        let table = [
            (0, 8, 4),
            (4, 8, 4),
            (5, 8, 3),
            (6, 8, 2),
            (7, 8, 1),
            (8, 8, 0),
            (9, 8, 0),
            (512, 1024, 4),
            (1023, 1024, 1),
            (1024, 1024, 0),
            (0, 1, 4),
            (1, 1, 0),
            (0, 0, 4),
            (1, 0, 0),
            (1_000_000, usize::MAX, 4),
        ];
        for (taken, places, quarters) in table {
            assert_eq!(
                free_quarters(taken, places),
                quarters,
                "{taken} of {places}"
            );
        }
    }

    #[test]
    fn a_signal_takes_nothing_from_the_wait_and_a_stop_begins_it_again() {
        let asked = Instant::now() - Duration::from_secs(2);
        for (wait_secs, is_stop) in [(0, true), (2, false)] {
            let mut lingering = Lingering {
                begun: asked,
                last_byte: asked,
            };
            lingering.interrupted(asked, Duration::from_secs(wait_secs));
            let (begun, last_byte) = (lingering.begun > asked, lingering.last_byte > asked);
            assert_eq!((begun, last_byte), (is_stop, is_stop));
        }
    }

    #[test]
    fn a_lingering_connection_has_less_time_as_places_run_out_and_at_a_stop() {
        let limits = Limits::default()
            .linger_time(Duration::from_secs(40))
            .linger_stall(Duration::from_secs(8));
        let seconds = |taken, is_stopping| {
            let bounds = LingerBounds::new(&limits, taken, 8, is_stopping);
            (bounds.time.as_secs(), bounds.stall.as_secs())
        };
        assert_eq!(seconds(1, false), (40, 8));
        assert_eq!(seconds(6, false), (20, 4));
        assert_eq!(seconds(8, false), (10, 2), "never nothing");
        assert_eq!(seconds(1, true), (5, 1));
    }
}
