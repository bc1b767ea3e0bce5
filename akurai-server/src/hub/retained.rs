//! Topics that keep events of their own, beside the ring.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::losses::Gone;
use super::options::Retention;
use super::stored_event::Stored;

/// The topics for which a program asked for this.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    of: HashMap<Box<str>, Lane>,
}

/// The last events of a topic: all of them behind the first that is here.
#[derive(Debug)]
struct Lane {
    keep: Retention,
    events: VecDeque<Arc<Stored>>,
    bytes: usize,
}

impl Lanes {
    /// Keeps events of this topic from now on, beginning with these, its last ones. Where it does
    /// already, only the bounds change.
    pub(crate) fn begin<'e>(
        &mut self,
        topic: &str,
        keep: Retention,
        kept: impl Iterator<Item = &'e Arc<Stored>>,
    ) {
        if let Some(lane) = self.of.get_mut(topic) {
            lane.keep = keep;
            return;
        }
        let mut lane = Lane {
            keep,
            events: VecDeque::new(),
            bytes: 0,
        };
        kept.for_each(|event| lane.push(Arc::clone(event)));
        self.of.insert(topic.into(), lane);
    }

    /// Ends it, and notes what is gone with it.
    pub(crate) fn end(&mut self, topic: &str, first: u64, gone: &mut Gone) {
        if let Some(mut lane) = self.of.remove(topic) {
            while let Some(oldest) = lane.pop() {
                note(&oldest, first, gone);
            }
        }
    }

    pub(crate) fn push(&mut self, event: &Arc<Stored>, first: u64, gone: &mut Gone) {
        if self.of.is_empty() {
            return;
        }
        if let Some(lane) = self.of.get_mut(&*event.topic) {
            lane.push(Arc::clone(event));
            lane.trim(event.at, first, gone);
        }
    }

    /// Lets go what is too old by now.
    pub(crate) fn trim(&mut self, topic: &str, first: u64, gone: &mut Gone) {
        if let Some(lane) = self.of.get_mut(topic) {
            lane.trim(Instant::now(), first, gone);
        }
    }

    /// Whether an event that the ring lets go is kept here.
    pub(crate) fn holds(&self, event: &Stored) -> bool {
        if self.of.is_empty() {
            return false;
        }
        let oldest = self
            .of
            .get(&*event.topic)
            .and_then(|lane| lane.events.front());
        oldest.is_some_and(|oldest| oldest.number <= event.number)
    }

    /// What is kept of this topic, in order.
    pub(crate) fn events(&self, topic: &str) -> impl DoubleEndedIterator<Item = &Arc<Stored>> {
        self.of.get(topic).into_iter().flat_map(|lane| &lane.events)
    }

    /// What is kept of all topics with the numbers from `from` up to `to`, in order.
    pub(crate) fn between(&self, from: u64, to: u64) -> Vec<Arc<Stored>> {
        let mut between = Vec::new();
        for lane in self.of.values() {
            let start = lane.events.partition_point(|event| event.number < from);
            let of_lane = lane.events.range(start..);
            between.extend(of_lane.take_while(|event| event.number < to).cloned());
        }
        between.sort_unstable_by_key(|event| event.number);
        between
    }

    /// Empties them all.
    pub(crate) fn clear(&mut self) {
        for lane in self.of.values_mut() {
            lane.events.clear();
            lane.bytes = 0;
        }
    }
}

impl Lane {
    fn push(&mut self, event: Arc<Stored>) {
        self.bytes += event.bytes();
        self.events.push_back(event);
    }

    fn pop(&mut self) -> Option<Arc<Stored>> {
        let oldest = self.events.pop_front()?;
        self.bytes -= oldest.bytes();
        Some(oldest)
    }

    fn trim(&mut self, now: Instant, first: u64, gone: &mut Gone) {
        let is_old = |event: &Arc<Stored>, age| now.saturating_duration_since(event.at) > age;
        while self.events.len() > self.keep.events
            || self.bytes > self.keep.bytes
            || self
                .events
                .front()
                .is_some_and(|oldest| is_old(oldest, self.keep.age))
        {
            let Some(oldest) = self.pop() else { return };
            note(&oldest, first, gone);
        }
    }
}

/// An event that is in the ring is not gone yet.
fn note(event: &Stored, first: u64, gone: &mut Gone) {
    if event.number < first {
        gone.note(event);
    }
}
