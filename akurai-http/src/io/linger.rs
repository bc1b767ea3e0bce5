//! The end of a connection whose client may still be sending (RFC 9112 §9.6).
//!
//! A socket that is closed while input is unread, or that gets more input afterwards, answers with
//! a reset, and the reset destroys what the client has not read yet: our last answer. So the server
//! ends its own side first, and then reads and throws away what comes until the client ends its
//! side. That costs a place and no memory; it is bounded in time, not in bytes.

use std::io;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::io::limits::Limits;
use crate::io::registry::Link;
use crate::io::transport::is_timeout;

/// What one read throws away at most, in bytes.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Longest wait of one read. After it the thread looks whether places run out, or the server stops.
const LOOK: Duration = Duration::from_millis(250);

/// Longest silence of a client once the server stops, and longest time in all.
const STOPPING_STALL: Duration = Duration::from_secs(1);
const STOPPING_TIME: Duration = Duration::from_secs(5);

/// How long a connection has lingered, and for how long nothing has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lingering {
    begun: Instant,
    last_byte: Instant,
}

/// The bounds of that, which change while it lasts.
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

    pub(crate) fn bytes_came(&mut self) {
        self.last_byte = Instant::now();
    }
}

impl Link {
    /// Ends our side, and reads what the client still sends until it ends its own, within
    /// [`Limits::linger_time`] and [`Limits::linger_stall`].
    pub(crate) fn linger(&self) {
        self.set_lingering();
        // Its reads wait, whatever the socket was set to before.
        let may_wait = !self.limits.linger_time.is_zero()
            && self.stream.shutdown(Shutdown::Write).is_ok()
            && self.stream.set_nonblocking(false).is_ok();
        if !may_wait {
            return;
        }
        let mut lingering = Lingering::begin();
        let mut scratch = vec![0; SCRATCH_BYTES];
        loop {
            let wait = lingering.left(self.linger_bounds()).min(LOOK);
            if wait.is_zero() {
                return;
            }
            let wait = wait.max(Duration::from_millis(1));
            if self.stream.set_read_timeout(Some(wait)).is_err() {
                return;
            }
            match self.read(&mut scratch) {
                Ok(0) => return,
                Ok(_) => lingering.bytes_came(),
                Err(error) if is_timeout(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Whether nothing of the client's waits in the kernel, as far as can be told without waiting.
    pub(crate) fn is_input_empty(&self) -> bool {
        let mut byte = [0];
        let looked = self
            .stream
            .set_nonblocking(true)
            .and_then(|()| self.read(&mut byte));
        match looked {
            Ok(count) => count == 0,
            Err(error) => is_timeout(&error),
        }
    }
}

/// How many quarters of a wait a connection gets: all four while half of the places are free, none
/// when all are taken.
pub(crate) fn free_quarters(taken: usize, places: usize) -> u32 {
    let places = places.clamp(1, usize::MAX / 8);
    let eighths = (places.saturating_sub(taken) * 8).div_ceil(places);
    // In few steps, so that a socket's timeout need not be set for each connection that comes or
    // goes.
    eighths.min(4) as u32
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::io::registry::Roster;

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
    fn a_lingering_connection_has_less_time_as_places_run_out_and_at_a_stop() {
        let limits = Limits {
            linger_time: Duration::from_secs(40),
            linger_stall: Duration::from_secs(8),
            ..Limits::default()
        };
        let seconds = |taken, is_stopping| {
            let bounds = LingerBounds::new(&limits, taken, 8, is_stopping);
            (bounds.time.as_secs(), bounds.stall.as_secs())
        };
        assert_eq!(seconds(1, false), (40, 8));
        assert_eq!(seconds(6, false), (20, 4));
        assert_eq!(seconds(8, false), (10, 2), "never nothing");
        assert_eq!(seconds(1, true), (5, 1));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_lingering_thread_sleeps() {
        use std::io::Write;
        use std::net::{TcpListener, TcpStream};

        use crate::io::transport::Stream;

        let cpu = || {
            let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
            let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
            Duration::from_nanos(nanos.expect("a number"))
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let mut client = TcpStream::connect(addr).expect("it listens");
        client.write_all(b"more").expect("it is open");
        let (socket, _) = listener.accept().expect("it has connected");
        let limits = Arc::new(Limits {
            linger_stall: Duration::from_millis(500),
            ..Limits::default()
        });
        let roster: Arc<Roster> = Arc::default();
        let link = roster.admit(Stream::Tcp(socket), None, &limits);
        let link = link.expect("there is a place");
        while link.is_input_empty() {}
        let (begun, before) = (Instant::now(), cpu());
        link.linger();
        assert!(
            begun.elapsed() >= limits.linger_stall,
            "the client is silent"
        );
        let worked = cpu() - before;
        assert!(worked < limits.linger_stall / 5, "{worked:?}");
    }
}
