//! The events that wait to be written to one subscriber.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::stored_event::StoredEvent;

/// Queued events are joined into writes of about this size, in bytes.
const JOINED_BYTES: usize = 64 * 1024;

/// The events that wait, in the order in which they will be written.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    pending: VecDeque<Pending>,
    /// How many events in front were offered to a write. A write that would block, or that took
    /// only a part, may still have taken all of them: a session cannot take its records back. So
    /// they come again as they are, and nothing is put behind them before they are taken.
    offered: usize,
    /// How many bytes of the first event are written. It was offered if this is not 0.
    written: usize,
    bytes: usize,
    /// The part of the greeting that was not offered yet. It does not count as slowness.
    allowed_events: usize,
    allowed_bytes: usize,
}

#[derive(Debug)]
enum Pending {
    Event(Arc<StoredEvent>),
    /// Bytes for this subscriber only.
    Own(Box<[u8]>),
}

/// The result of writing to a subscriber.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    All,
    /// Its socket accepts no more bytes now.
    Stalled,
    Gone,
}

impl Pending {
    fn bytes(&self) -> &[u8] {
        match self {
            Pending::Event(event) => &event.sse,
            Pending::Own(bytes) => bytes,
        }
    }
}

impl Backlog {
    /// What waits now does not count as slowness. Each event that is offered from now on lowers
    /// what is allowed, so that a steady stream of later ones does not take the place of the
    /// greeting.
    pub(crate) fn allow(&mut self) {
        self.allowed_events = self.pending.len() - self.offered;
        self.allowed_bytes = self.waiting_bytes();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many events wait behind those that were offered, and how many bytes, not counting the
    /// greeting.
    pub(crate) fn slowness(&self) -> (usize, usize) {
        (
            (self.pending.len() - self.offered).saturating_sub(self.allowed_events),
            self.waiting_bytes().saturating_sub(self.allowed_bytes),
        )
    }

    /// How many bytes wait behind the events that were offered.
    fn waiting_bytes(&self) -> usize {
        self.bytes + self.written - self.bytes_of_first(self.offered)
    }

    fn bytes_of_first(&self, count: usize) -> usize {
        let first = self.pending.iter().take(count);
        first.map(|event| event.bytes().len()).sum()
    }

    pub(crate) fn queue(&mut self, event: &Arc<StoredEvent>) {
        self.bytes += event.sse.len();
        self.pending.push_back(Pending::Event(Arc::clone(event)));
    }

    /// Queues an event, and removes one of the same topic that waits and was not offered.
    pub(crate) fn queue_latest(&mut self, event: &Arc<StoredEvent>) {
        let same = |waiting: &Pending| match waiting {
            Pending::Event(waiting) => waiting.topic == event.topic,
            Pending::Own(_) => false,
        };
        if let Some(index) = self.pending.iter().skip(self.offered).position(same) {
            // The new event goes to the end: its id is a cursor, so it must not come before earlier
            // events.
            if let Some(old) = self.pending.remove(self.offered + index) {
                self.bytes -= old.bytes().len();
            }
        }
        self.queue(event);
    }

    pub(crate) fn queue_own(&mut self, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        self.pending
            .push_back(Pending::Own(bytes.into_boxed_slice()));
    }

    /// Gives as much of the waiting bytes to `write` as it takes now. `scratch` is for joining
    /// several events into one write, of at most [`JOINED_BYTES`].
    pub(crate) fn flush(
        &mut self,
        scratch: &mut Vec<u8>,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> Flushed {
        while let Some(first) = self.pending.front() {
            if self.offered == 0 {
                self.offered = self.joined();
                let allowed = self.offered.min(self.allowed_events);
                let bytes = self.bytes_of_first(allowed);
                self.allowed_events -= allowed;
                self.allowed_bytes = match self.allowed_events {
                    0 => 0,
                    _ => self.allowed_bytes.saturating_sub(bytes),
                };
            }
            let rest = &first.bytes()[self.written..];
            let result = match self.offered {
                // Without a copy: otherwise each attempt would copy a large event again.
                1 => write(rest),
                offered => {
                    scratch.clear();
                    // It grows to this size once, and no further.
                    scratch.reserve_exact(JOINED_BYTES);
                    scratch.extend_from_slice(rest);
                    for next in self.pending.range(1..offered) {
                        scratch.extend_from_slice(next.bytes());
                    }
                    write(scratch)
                }
            };
            match result {
                Ok(0) => return Flushed::Gone,
                Ok(count) => self.advance(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Flushed::Stalled,
                Err(_) => return Flushed::Gone,
            }
        }
        Flushed::All
    }

    /// How many events go into the next write.
    fn joined(&self) -> usize {
        let mut bytes = 0;
        let fits = |event: &&Pending| {
            bytes += event.bytes().len();
            bytes <= JOINED_BYTES
        };
        self.pending.iter().take_while(fits).count().max(1)
    }

    fn advance(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(first) = self.pending.front() {
            let left = first.bytes().len() - self.written;
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.written = 0;
            self.offered -= 1;
            self.pending.pop_front();
            if self.offered == 0 {
                break;
            }
        }
        if !self.pending.is_empty() {
            return;
        }
        // A subscriber that has caught up needs no more memory than one that never fell behind.
        if self.pending.capacity() > 16 {
            self.pending = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests;
