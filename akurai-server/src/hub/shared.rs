//! The state that a hub's threads share.

use super::early::Looks;
use super::failures::HubFailures;
use super::options::HubOptions;
use super::ring::{Ring, RingLimits};
use super::stats::Counts;
use super::stored_event::StoredEvent;
use super::topics::Topics;
use super::vanished::Vanished;
use crate::EventId;

pub(crate) struct Shared {
    pub(crate) options: HubOptions,
    pub(crate) ring: Ring,
    /// The events come from an engine, which other nodes have too.
    pub(crate) has_engine: bool,
    pub(crate) looks: Looks,
    pub(crate) topics: Topics,
    pub(crate) vanished: Vanished,
    pub(crate) counts: Counts,
}

impl Shared {
    pub(crate) fn new(options: HubOptions, origin: EventId, has_engine: bool) -> Shared {
        let limits = RingLimits {
            events: options.max_ring_events.max(1),
            bytes: options.max_ring_bytes,
            age: options.max_ring_age,
        };
        Shared {
            ring: Ring::new(limits, origin),
            options,
            has_engine,
            looks: Looks::default(),
            topics: Topics::default(),
            vanished: Vanished::default(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn failures(&self) -> &HubFailures {
        &self.topics.notices.failures
    }

    /// Counts an event that so many subscribers are given.
    pub(crate) fn count(&self, event: &StoredEvent, subscribers: usize) {
        match event.data {
            Some(_) => self.counts.deliveries.add(subscribers),
            // What stands in its place is a `reset`.
            None => self.counts.resets.add(subscribers),
        }
    }
}
