//! How plain bytes are read: what the wire brings goes through the session.

use std::io::{self, ErrorKind};
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::state::{SessionState, UNSENT_BYTES};
use super::{Layered, RECEIVED_BYTES};
use crate::io::lock::lock;
use crate::io::transport::is_timeout;

/// A read into a smaller buffer receives into one of this size.
const SMALL_BYTES: usize = 1024;

/// Most receives of a read that does not wait. A peer may send records without data for ever.
const RECEIVES: usize = 16;

/// How often a waiting reader tries to send what could not be sent then.
const RETRY: Duration = Duration::from_millis(250);

/// The wire's wait may be longer by this part of it. So not each of the reads that follow one
/// another has to set its own.
const LONGER_PART: u32 = 16;

impl Layered {
    #[inline(never)] // The other kinds of transport are read where they are called.
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match buf.len() {
            0 => Ok(0),
            1..SMALL_BYTES => self.read_small(buf),
            _ => self.read_with(buf, None),
        }
    }

    #[inline(never)] // Its array would be in every reader's frame.
    fn read_small(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(buf, Some(&mut [0; SMALL_BYTES]))
    }

    /// Reads plain bytes. The wire's bytes come into `small`, or into `buf` itself, whose first
    /// bytes the plain ones then replace.
    fn read_with(&self, buf: &mut [u8], mut small: Option<&mut [u8]>) -> io::Result<usize> {
        let wait = self.read_wait.get();
        let begun = wait.map(|_| Instant::now());
        let (mut left, mut receives) = (wait, 0);
        loop {
            if let Some(count) = self.read_session(buf)? {
                return Ok(count);
            }
            if self.offer_rest()? {
                continue;
            }
            self.send_rest();
            let is_nonblocking = self.is_nonblocking.load(Ordering::Relaxed);
            if left == Some(Duration::ZERO) || is_nonblocking && receives == RECEIVES {
                return Err(ErrorKind::WouldBlock.into());
            }
            let comes_again = self.has_rest.load(Ordering::Relaxed) && !is_nonblocking;
            let wait_now = match comes_again {
                true => Some(left.map_or(RETRY, |left| left.min(RETRY))),
                false => left,
            };
            let most = RECEIVED_BYTES.min(buf.len());
            let received = small.as_deref_mut().unwrap_or(&mut buf[..most]);
            match self.read_wire(received, wait_now) {
                Ok(0) => return self.end_of_wire(),
                Ok(count) => self.offer(lock(&self.session), &received[..count])?,
                Err(error) if comes_again && is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
            receives += 1;
            // Records that hold no data do not make a read last longer.
            left = wait
                .zip(begun)
                .map(|(wait, begun)| wait.saturating_sub(begun.elapsed()));
        }
    }

    fn read_session(&self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        let len = buf.len();
        let result = self.call(|session| match session.read(buf) {
            Ok(Some(count)) if count > len => Err(io::Error::other(
                "the session says that it read more than there was room for",
            )),
            result => result,
        });
        if matches!(result, Ok(Some(_))) && self.is_new.load(Ordering::Relaxed) {
            self.is_new.store(false, Ordering::Relaxed);
        }
        self.send_due(self.patience());
        result
    }

    /// Offers what the session could not take before; false if there is nothing.
    fn offer_rest(&self) -> io::Result<bool> {
        let mut state = lock(&self.session);
        let rest = std::mem::take(&mut state.rest);
        if rest.is_empty() {
            return Ok(false);
        }
        self.offer(state, &rest).map(|()| true)
    }

    /// Offers the wire's bytes to the session, keeps what it does not take, and sends its answer.
    fn offer(&self, mut state: MutexGuard<'_, SessionState>, wire: &[u8]) -> io::Result<()> {
        let result = self.call_locked(&mut state, UNSENT_BYTES, |session| {
            match session.receive(wire)? {
                0 => Err(io::Error::other("the session takes no bytes")),
                taken if taken > wire.len() => Err(io::Error::other(
                    "the session says that it took more than there was",
                )),
                taken => Ok(taken),
            }
        });
        if let Ok(taken) = result {
            state.rest.extend_from_slice(&wire[taken..]);
        }
        drop(state);
        self.send_due(self.patience());
        result.map(drop)
    }

    fn read_wire(&self, buf: &mut [u8], wait: Option<Duration>) -> io::Result<usize> {
        if !is_near(self.wire_read_wait.get(), wait) {
            self.wire.set_read_timeout(wait)?;
            self.wire_read_wait.set(wait);
        }
        self.wire.read(buf)
    }

    /// The wire's input has ended, and the peer did not say before that its side ends.
    fn end_of_wire(&self) -> io::Result<usize> {
        match self.is_input_ended.load(Ordering::SeqCst) {
            true => Ok(0),
            false => Err(io::Error::new(
                ErrorKind::ConnectionReset,
                "the connection ended, and the peer had not ended its session",
            )),
        }
    }
}

/// Whether the wire's wait is the one that is wanted, or a little longer.
fn is_near(is: Option<Duration>, wanted: Option<Duration>) -> bool {
    match (is, wanted) {
        (Some(is), Some(wanted)) => is
            .checked_sub(wanted)
            .is_some_and(|more| more <= wanted / LONGER_PART),
        _ => is == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_is_a_little_longer_serves_and_a_shorter_one_does_not() {
        let ms = |ms| Some(Duration::from_millis(ms));
        assert!(is_near(None, None));
        assert!(is_near(ms(1000), ms(1000)));
        assert!(is_near(ms(1000), ms(999)));
        assert!(is_near(ms(1000), ms(950)));
        assert!(!is_near(ms(1000), ms(900)));
        assert!(!is_near(ms(999), ms(1000)));
        assert!(!is_near(None, ms(1000)));
        assert!(!is_near(ms(1000), None));
        assert!(is_near(Some(Duration::MAX / 2), Some(Duration::MAX / 2)));
    }
}
