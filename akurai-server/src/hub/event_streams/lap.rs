//! When the thread writes to a subscriber: in the lap behind an event, and again if it stalled.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::backlog::Flushed;
use super::super::subscriber::Subscriber;
use super::{EventStreams, TICK};
use crate::clock::now;

/// How many subscribers the thread writes to before it looks for new events again.
pub(super) const WRITES: usize = 16;

/// The thread tries a stalled subscriber again after this, and then after longer and longer pauses,
/// up to a tick.
const FIRST_RETRY: Duration = Duration::from_millis(5);

/// The subscribers that wait for a write. The thread writes to those that wait when the lap begins,
/// and then begins another.
#[derive(Debug, Default)]
pub(super) struct Lap {
    /// Each with the number of the first event that it waits with, in order.
    waiting: VecDeque<(u32, u64)>,
    /// How many of them are of the lap.
    left: usize,
    begun: Option<Instant>,
    /// The thread has looked after the early subscribers in this lap.
    is_looked_after: bool,
}

impl Lap {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The number of the first event that a subscriber waits with.
    pub(super) fn first(&self) -> Option<u64> {
        self.waiting.front().map(|&(_, number)| number)
    }

    /// The subscriber in this slot has got its first event since it was written to.
    pub(super) fn wait(&mut self, slot: u32, number: u64) {
        self.waiting.push_back((slot, number));
    }

    fn next(&mut self) -> Option<u32> {
        let (slot, _) = self.waiting.pop_front()?;
        if self.left == 0 {
            self.left = self.waiting.len() + 1;
            self.begun = Some(now());
            self.is_looked_after = false;
        }
        self.left -= 1;
        Some(slot)
    }

    /// Whether the early subscribers are to be looked after: once in each lap, and whenever none is
    /// under way.
    pub(super) fn looks_after_early(&mut self) -> bool {
        self.left == 0 || !std::mem::replace(&mut self.is_looked_after, true)
    }

    /// How long the lap took, if it is over.
    fn end(&mut self) -> Option<Duration> {
        match self.left {
            0 => Some(now() - self.begun.take()?),
            _ => None,
        }
    }
}

impl EventStreams {
    /// Writes to the next subscribers of the lap. Returns how long the lap took, if it is over.
    pub(super) fn write_next(&mut self) -> Option<Duration> {
        for _ in 0..WRITES {
            let Some(slot) = self.lap.next() else {
                break;
            };
            self.flush(slot);
            if self.lap.left == 0 {
                break;
            }
        }
        self.lap.end()
    }

    /// Writes to a subscriber as much as it takes, and drops it if it takes too little.
    pub(super) fn flush(&mut self, slot: u32) {
        let options = &self.shared.options;
        let Some(subscriber) = &mut self.slots[slot as usize] else {
            return;
        };
        if let Some(at) = subscriber.retry_at.take() {
            self.stalled.remove(&(at, slot));
        }
        match subscriber.flush(&mut self.scratch) {
            Flushed::All => {}
            Flushed::Gone => self.remove(slot, Subscriber::cut),
            Flushed::Stalled => {
                let (events, bytes) = subscriber.backlog.slowness();
                let stalled = subscriber
                    .stalled
                    .map_or(Duration::ZERO, |since| now() - since);
                if events > options.max_backlog_events
                    || bytes > options.max_backlog_bytes
                    || stalled > options.no_progress
                {
                    self.shared.counts.dropped.add(1);
                    self.remove(slot, Subscriber::cut);
                    return;
                }
                let pause = (stalled / 4).clamp(FIRST_RETRY, TICK);
                let at = now() + pause;
                subscriber.retry_at = Some(at);
                self.stalled.insert((at, slot));
            }
        }
    }

    /// Tries the stalled subscribers again that are due.
    pub(super) fn retry_stalled(&mut self) {
        if self.stalled.is_empty() {
            return;
        }
        let now = now();
        while let Some(&(at, slot)) = self.stalled.first() {
            if at > now {
                break;
            }
            self.stalled.pop_first();
            let subscriber = self.slots[slot as usize].as_ref();
            // It may have left, and another may have its slot.
            if subscriber.is_some_and(|subscriber| subscriber.retry_at == Some(at)) {
                self.flush(slot);
            }
        }
    }
}
