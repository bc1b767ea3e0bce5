//! What a session's transport sends, and how long its calls wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is being sent.
#[derive(Default)]
pub(super) struct Out {
    pub(super) wire: Vec<u8>,
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
        self.sent == self.wire.len() && self.taken == self.told
    }

    /// Has these wire bytes to send behind the others.
    pub(super) fn add(&mut self, mut bytes: Vec<u8>) {
        match self.wire.is_empty() {
            true => self.wire = bytes,
            false => self.wire.append(&mut bytes),
        }
    }

    /// How many more plain bytes are written, for the writer that brought them; `most` at most. Of
    /// a record that was sent in part, a part of its bytes: so a writer sees that the peer takes
    /// something. The last byte is written when everything is.
    pub(super) fn tell(&mut self, most: usize) -> usize {
        let written = match self.sent == self.wire.len() {
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
