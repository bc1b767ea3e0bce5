//! Topics that keep events of their own, beside the ring.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::losses::Losses;
use super::options::Retention;
use super::stored_event::StoredEvent;
use crate::EventId;

/// The topics for which the program called `retain`.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    of: HashMap<Box<str>, RetainedTopic>,
}

/// The last events of a topic, without a gap after the first one here.
#[derive(Debug)]
struct RetainedTopic {
    keep: Retention,
    events: VecDeque<Arc<StoredEvent>>,
    bytes: usize,
}

impl Retained {
    /// Keeps events of this topic from now on, beginning with `kept`, its last ones. If the topic
    /// already has a store, only the limits change.
    pub(crate) fn begin<'e>(
        &mut self,
        topic: &str,
        keep: Retention,
        kept: impl Iterator<Item = &'e Arc<StoredEvent>>,
    ) {
        if let Some(topic_events) = self.of.get_mut(topic) {
            topic_events.keep = keep;
            return;
        }
        let mut topic_events = RetainedTopic {
            keep,
            events: VecDeque::new(),
            bytes: 0,
        };
        kept.for_each(|event| topic_events.push(Arc::clone(event)));
        self.of.insert(topic.into(), topic_events);
    }

    /// Removes a topic's store, and notes the events that are gone with it.
    pub(crate) fn end(&mut self, topic: &str, first: u64, losses: &mut Losses) {
        if let Some(mut topic_events) = self.of.remove(topic) {
            while let Some(oldest) = topic_events.pop() {
                note(&oldest, first, losses);
            }
        }
    }

    pub(crate) fn push(&mut self, event: &Arc<StoredEvent>, first: u64, losses: &mut Losses) {
        if self.of.is_empty() {
            return;
        }
        if let Some(topic_events) = self.of.get_mut(&*event.topic) {
            topic_events.push(Arc::clone(event));
            topic_events.trim(event.at, first, losses);
        }
    }

    /// Drops the events that are too old by now.
    pub(crate) fn trim(&mut self, topic: &str, first: u64, losses: &mut Losses) {
        if let Some(topic_events) = self.of.get_mut(topic) {
            topic_events.trim(Instant::now(), first, losses);
        }
    }

    /// Whether an event that the ring drops is kept here.
    pub(crate) fn holds(&self, event: &StoredEvent) -> bool {
        if self.of.is_empty() {
            return false;
        }
        let oldest = self
            .of
            .get(&*event.topic)
            .and_then(|topic_events| topic_events.events.front());
        oldest.is_some_and(|oldest| oldest.number <= event.number)
    }

    /// The kept events of this topic, in order.
    pub(crate) fn events(&self, topic: &str) -> impl DoubleEndedIterator<Item = &Arc<StoredEvent>> {
        self.of
            .get(topic)
            .into_iter()
            .flat_map(|topic_events| &topic_events.events)
    }

    /// The kept events of this topic after an id, in order.
    pub(crate) fn behind(
        &self,
        topic: &str,
        after: Option<EventId>,
    ) -> impl Iterator<Item = &Arc<StoredEvent>> {
        self.of
            .get(topic)
            .into_iter()
            .flat_map(move |topic_events| {
                let start = topic_events
                    .events
                    .partition_point(|event| Some(event.id) <= after);
                topic_events.events.range(start..)
            })
    }

    /// Whether the event of this topic with this id is kept.
    pub(crate) fn has(&self, topic: &str, id: EventId) -> bool {
        let topic_events = self.of.get(topic);
        topic_events.is_some_and(|topic_events| {
            let found = topic_events
                .events
                .binary_search_by_key(&id, |event| event.id);
            found.is_ok()
        })
    }

    /// The kept events of all topics with numbers from `from` to below `to`, in order.
    pub(crate) fn between(&self, from: u64, to: u64) -> Vec<Arc<StoredEvent>> {
        let mut between = Vec::new();
        for topic_events in self.of.values() {
            let start = topic_events
                .events
                .partition_point(|event| event.number < from);
            let of_topic = topic_events.events.range(start..);
            between.extend(of_topic.take_while(|event| event.number < to).cloned());
        }
        between.sort_unstable_by_key(|event| event.number);
        between
    }

    /// Empties the stores of all topics.
    pub(crate) fn clear(&mut self) {
        for topic_events in self.of.values_mut() {
            topic_events.events.clear();
            topic_events.bytes = 0;
        }
    }
}

impl RetainedTopic {
    fn push(&mut self, event: Arc<StoredEvent>) {
        self.bytes += event.bytes();
        self.events.push_back(event);
    }

    fn pop(&mut self) -> Option<Arc<StoredEvent>> {
        let oldest = self.events.pop_front()?;
        self.bytes -= oldest.bytes();
        Some(oldest)
    }

    fn trim(&mut self, now: Instant, first: u64, losses: &mut Losses) {
        let is_old = |event: &Arc<StoredEvent>, age| now.saturating_duration_since(event.at) > age;
        while self.events.len() > self.keep.max_events
            || self.bytes > self.keep.max_bytes
            || self
                .events
                .front()
                .is_some_and(|oldest| is_old(oldest, self.keep.max_age))
        {
            let Some(oldest) = self.pop() else { return };
            note(&oldest, first, losses);
        }
    }
}

/// An event that is in the ring is not gone yet.
fn note(event: &StoredEvent, first: u64, losses: &mut Losses) {
    if event.number < first {
        losses.note(event);
    }
}
