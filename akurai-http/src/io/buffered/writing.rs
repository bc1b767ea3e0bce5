//! Writes to a client, and how fast it takes them.

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use super::{OUTPUT_BYTES, is_interrupted};
use crate::io::clock::was_stopped;
use crate::io::registry::RegistryEntry;
use crate::io::transport::is_timeout;

/// How fast the client takes what we write.
///
/// A write's own timeout cannot tell. When it expires after some bytes, the system reports only how
/// many it took, and many of those may only have gone into its own buffers. So each write waits for
/// a quarter of `stall`, and the waits are summed. A client is too slow if it takes no byte during
/// a whole `stall`. It is also too slow if it takes fewer bytes than the rate asks for in a window,
/// which lasts until the waits in it reach `stall`.
#[derive(Debug)]
pub(super) struct WriteRate {
    bytes_per_second: u64,
    stall: Duration,
    /// Time waited in the current window, which ends when this reaches `stall`.
    waited: Duration,
    written: u64,
    /// Time waited since the last byte.
    idle: Duration,
}

pub(super) fn write_both(
    entry: &RegistryEntry,
    mut first: &[u8],
    mut second: &[u8],
    rate: &mut WriteRate,
) -> io::Result<()> {
    let wait = write_wait(rate.stall);
    let mut is_timed = false;
    while !first.is_empty() || !second.is_empty() {
        // A short answer is not worth two looks at the clock, unless the client has already made a
        // write wait in this window.
        is_timed |= first.len() + second.len() >= OUTPUT_BYTES || !rate.waited.is_zero();
        let begun = is_timed.then(Instant::now);
        let written = if second.is_empty() {
            entry.write(first)
        } else if first.is_empty() {
            entry.write(second)
        } else {
            entry.write_vectored(&[IoSlice::new(first), IoSlice::new(second)])
        };
        let count = match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => count,
            Err(error) if is_interrupted(&error) => {
                // The time of a call that was not timed is unknown, so the next one is timed.
                is_timed = true;
                if let Some(begun) = begun {
                    rate.interrupted(begun)?;
                }
                continue;
            }
            Err(error) if is_timeout(&error) => {
                rate.count(wait, 0)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        // A write under a session may last for two waits; in a longer one, the process was stopped.
        let waited = begun.map_or(Duration::ZERO, |begun| begun.elapsed().min(wait * 2));
        rate.count(waited, count)?;
        let of_first = count.min(first.len());
        first = &first[of_first..];
        second = &second[count - of_first..];
    }
    Ok(())
}

/// How long a single write waits: a quarter of the longest allowed wait without progress, and at
/// least 1 ms.
pub(crate) fn write_wait(stall: Duration) -> Duration {
    (stall / 4).max(Duration::from_millis(1))
}

impl WriteRate {
    pub(super) fn new(bytes_per_second: u64, stall: Duration) -> WriteRate {
        WriteRate {
            bytes_per_second,
            // With a `stall` of zero, a write that did not wait at all would count as too slow.
            stall: stall.max(Duration::from_millis(1)),
            waited: Duration::ZERO,
            written: 0,
            idle: Duration::ZERO,
        }
    }

    /// Counts a write that began at `begun` and that a signal has ended.
    fn interrupted(&mut self, begun: Instant) -> io::Result<()> {
        let wait = write_wait(self.stall);
        // Under a session it may last for two waits.
        match was_stopped(begun, wait * 2) {
            true => Ok(()),
            false => self.count(begun.elapsed().min(wait), 0),
        }
    }

    /// Counts a write of `bytes` that took the time `waited`. An error if the client is too slow.
    pub(super) fn count(&mut self, waited: Duration, bytes: usize) -> io::Result<()> {
        self.idle = match bytes {
            0 => self.idle + waited,
            _ => Duration::ZERO,
        };
        self.waited += waited;
        // A window begins with a wait. Bytes written before it, without a wait, are no credit.
        if !self.waited.is_zero() {
            self.written += bytes as u64;
        }
        if self.idle >= self.stall {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if self.waited >= self.stall {
            if is_below(self.bytes_per_second, self.written, self.waited) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.waited = Duration::ZERO;
            self.written = 0;
        }
        Ok(())
    }
}

/// Whether `bytes` in this time are fewer than the rate asks for.
pub(super) fn is_below(bytes_per_second: u64, bytes: u64, time: Duration) -> bool {
    u128::from(bytes) * 1000 < u128::from(bytes_per_second) * time.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_take_nothing_from_the_stall_and_a_stop_does_not_count() {
        // Each write has waited for 2 s.
        let begun = Instant::now() - Duration::from_secs(2);
        let mut rate = WriteRate::new(0, Duration::from_secs(9));
        for _ in 0..4 {
            rate.interrupted(begun).expect("8 s and a little");
        }
        assert!(rate.interrupted(begun).is_err());

        let mut rate = WriteRate::new(0, Duration::from_millis(1));
        for _ in 0..9 {
            rate.interrupted(begun).expect("the process was stopped");
        }
    }
}
