//! When the thread writes to a subscriber: at its turn behind an event, and again if it stalled.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::backlog::Flushed;
use super::super::subscriber::Subscriber;
use super::{EventStreams, TICK};

/// How many subscribers the thread writes to before it looks for new events again.
pub(super) const TURNS: usize = 16;

/// The thread tries a stalled subscriber again after this, and then after longer and longer pauses,
/// up to a tick.
const FIRST_RETRY: Duration = Duration::from_millis(5);

/// The subscribers that wait for their turn. Those that wait when a lap begins have theirs in it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Each with the number of the first event that it waits with, in order.
    waiting: VecDeque<(u32, u64)>,
    /// How many of them are of the lap.
    left: usize,
    begun: Option<Instant>,
}

impl Turns {
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
            self.begun = Some(Instant::now());
        }
        self.left -= 1;
        Some(slot)
    }

    /// How long the lap took, if it is over.
    fn end_lap(&mut self) -> Option<Duration> {
        match self.left {
            0 => Some(self.begun.take()?.elapsed()),
            _ => None,
        }
    }
}

impl EventStreams {
    /// Writes to the next subscribers of the lap. Returns how long the lap took, if it is over.
    pub(super) fn take_turns(&mut self) -> Option<Duration> {
        for _ in 0..TURNS {
            let Some(slot) = self.turns.next() else {
                break;
            };
            self.flush(slot);
            if self.turns.left == 0 {
                break;
            }
        }
        self.turns.end_lap()
    }

    /// Writes to a subscriber as much as it takes, and drops it if it takes too little.
    pub(super) fn flush(&mut self, slot: u32) {
        let options = &self.shared.options;
        let Some(subscriber) = &mut self.slots[slot as usize] else {
            return;
        };
        let known = subscriber.retry_at.is_some();
        match subscriber.flush(&mut self.scratch) {
            Flushed::All => subscriber.retry_at = None,
            Flushed::Gone => self.remove(slot, Subscriber::cut),
            Flushed::Stalled => {
                let (events, bytes) = subscriber.backlog.slowness();
                let stalled = subscriber
                    .stalled
                    .map_or(Duration::ZERO, |since| since.elapsed());
                if events > options.max_backlog_events
                    || bytes > options.max_backlog_bytes
                    || stalled > options.no_progress
                {
                    self.shared.counts.dropped.add(1);
                    self.remove(slot, Subscriber::cut);
                    return;
                }
                let pause = (stalled / 4).clamp(FIRST_RETRY, TICK);
                subscriber.retry_at = Some(Instant::now() + pause);
                if !known {
                    self.stalled.push(slot);
                }
            }
        }
    }

    pub(super) fn retry_stalled(&mut self) {
        if self.stalled.is_empty() {
            return;
        }
        let now = Instant::now();
        for slot in std::mem::take(&mut self.stalled) {
            let due = self.slots[slot as usize]
                .as_ref()
                .and_then(|subscriber| subscriber.retry_at);
            match due {
                None => {}
                Some(at) if at > now => self.stalled.push(slot),
                Some(_) => {
                    if let Some(subscriber) = &mut self.slots[slot as usize] {
                        // So that it counts as newly stalled if it is still stalled.
                        subscriber.retry_at = None;
                    }
                    self.flush(slot);
                }
            }
        }
    }
}
