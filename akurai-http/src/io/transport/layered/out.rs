//! What a session's transport sends, and how long its calls wait.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// An empty send buffer that is larger is freed: that of a handshake is, that of short answers is
/// not.
const KEPT_BYTES: usize = 512;

/// What is being sent.
#[derive(Default)]
pub(super) struct Out {
    wire: Vec<u8>,
    /// How much of `wire` was sent.
    pub(super) sent: usize,
    /// How many plain bytes the session has made `wire` of.
    pub(super) taken: usize,
    /// How many of them their writer was told to be written.
    pub(super) told: usize,
}

impl Out {
    /// Whether everything was sent, and its writer told.
    pub(super) fn is_done(&self) -> bool {
        self.unsent().is_empty() && self.is_told()
    }

    /// Whether no writer has yet to come again with bytes that were taken.
    pub(super) fn is_told(&self) -> bool {
        self.taken == self.told
    }

    pub(super) fn unsent(&self) -> &[u8] {
        &self.wire[self.sent..]
    }

    /// Takes all of `pending`, to be sent behind the rest.
    pub(super) fn add(&mut self, pending: &mut Vec<u8>) {
        if self.is_told() {
            // A peer that reads slowly and never stops asking must not let this grow. A writer's
            // bytes stay: what it is told depends on their place.
            self.wire.drain(..self.sent);
            self.sent = 0;
        }
        if self.wire.is_empty() {
            mem::swap(&mut self.wire, pending);
        } else {
            self.wire.append(pending);
        }
        if pending.capacity() > KEPT_BYTES {
            *pending = Vec::new();
        }
    }

    /// Forgets what was sent, and what was not.
    pub(super) fn clear(&mut self) {
        self.wire.clear();
        self.sent = 0;
        if self.wire.capacity() > KEPT_BYTES {
            self.wire = Vec::new();
        }
    }

    /// How many more plain bytes are written, for the writer that brought them; `most` at most. Of
    /// a record that was sent in part, a part of its bytes: so a writer sees that the peer takes
    /// something. The last byte is written when everything is.
    pub(super) fn tell(&mut self, most: usize) -> usize {
        let written = match self.unsent().is_empty() {
            true => self.taken,
            false => {
                let part = self.taken as u128 * self.sent as u128 / self.wire.len() as u128;
                (part as usize).min(self.taken.saturating_sub(1))
            }
        };
        let count = written.saturating_sub(self.told).min(most);
        self.told += count;
        count
    }
}

/// A wait that all threads see; without one, a call waits for ever.
pub(super) struct Wait(AtomicU64);

impl Wait {
    pub(super) const fn forever() -> Wait {
        Wait(AtomicU64::new(u64::MAX))
    }

    pub(super) fn set(&self, wait: Option<Duration>) {
        let nanos = wait.map_or(u64::MAX, |wait| {
            u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)
        });
        self.0.store(nanos, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Option<Duration> {
        let nanos = self.0.load(Ordering::Relaxed);
        (nanos != u64::MAX).then(|| Duration::from_nanos(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffers_of_a_handshake_are_freed_and_those_of_short_answers_are_not() {
        let mut out = Out::default();
        let mut pending = Vec::new();
        let mut send = |bytes: usize, out: &mut Out| {
            pending.extend(vec![0; bytes]);
            out.add(&mut pending);
            assert_eq!(out.unsent().len(), bytes);
            out.clear();
            pending.capacity() + out.wire.capacity()
        };
        assert_eq!(send(2000, &mut out), 0);
        assert_eq!(send(100_000, &mut out), 0);
        assert!((100..=2 * KEPT_BYTES).contains(&send(100, &mut out)));
        assert!((100..=2 * KEPT_BYTES).contains(&send(100, &mut out)));
        assert!(send(100_000, &mut out) <= KEPT_BYTES);
    }
}
