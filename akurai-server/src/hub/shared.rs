//! What a hub's threads share.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::early::Looks;
use super::notices::Notices;
use super::options::HubOptions;
use super::ring::{Ring, RingLimits};
use super::stats::Counts;
use super::vanished::Vanished;
use crate::EventId;
use crate::lock::lock;

pub(crate) struct Shared {
    pub(crate) options: HubOptions,
    pub(crate) ring: Ring,
    /// The events come from an engine, which other nodes have too.
    pub(crate) has_engine: bool,
    pub(crate) looks: Looks,
    gauges: RwLock<HashSet<String>>,
    present: Mutex<HashMap<Arc<str>, usize>>,
    pub(crate) notices: Arc<Notices>,
    pub(crate) vanished: Vanished,
    pub(crate) counts: Counts,
}

impl Shared {
    pub(crate) fn new(options: HubOptions, origin: EventId, has_engine: bool) -> Shared {
        let limits = RingLimits {
            events: options.ring_events.max(1),
            bytes: options.ring_bytes,
            age: options.ring_age,
        };
        Shared {
            ring: Ring::new(limits, origin),
            options,
            has_engine,
            looks: Looks::default(),
            gauges: RwLock::default(),
            present: Mutex::default(),
            notices: Arc::default(),
            vanished: Vanished::default(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn add_gauge(&self, topic: &str) {
        let mut gauges = self.gauges.write().unwrap_or_else(PoisonError::into_inner);
        gauges.insert(topic.to_owned());
    }

    pub(crate) fn is_gauge(&self, topic: &str) -> bool {
        let gauges = self.gauges.read().unwrap_or_else(PoisonError::into_inner);
        gauges.contains(topic)
    }

    /// The topic's one name, and one more who is there for it.
    pub(crate) fn joined(&self, topic: &str) -> Arc<str> {
        let mut present = lock(&self.present);
        let name = match present.get_key_value(topic) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(topic),
        };
        let count = present.entry(Arc::clone(&name)).or_default();
        *count += 1;
        self.notices.put(&name, *count - 1, *count);
        name
    }

    pub(crate) fn left(&self, topics: &[Arc<str>]) {
        for topic in topics {
            let mut present = lock(&self.present);
            let Some(&before) = present.get(topic) else {
                continue;
            };
            match before - 1 {
                0 => present.remove(topic),
                left => present.insert(Arc::clone(topic), left),
            };
            self.notices.put(topic, before, before - 1);
        }
    }

    pub(crate) fn present(&self, topic: &str) -> usize {
        let present = lock(&self.present);
        present.get(topic).copied().unwrap_or(0)
    }

    /// How many topics somebody is there for.
    pub(crate) fn topics(&self) -> usize {
        let present = lock(&self.present);
        present.len()
    }
}
