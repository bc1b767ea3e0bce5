//! The topics that have subscribers: their names, how many subscribers each has, and the gauges.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::notices::Notices;
use crate::lock::lock;

#[derive(Default)]
pub(crate) struct Topics {
    gauges: RwLock<HashSet<String>>,
    present: Mutex<HashMap<Arc<str>, usize>>,
    /// Tells the application of each change of `present`.
    pub(crate) notices: Arc<Notices>,
}

impl Topics {
    pub(crate) fn add_gauge(&self, topic: &str) {
        let mut gauges = self.gauges.write().unwrap_or_else(PoisonError::into_inner);
        gauges.insert(topic.to_owned());
    }

    pub(crate) fn is_gauge(&self, topic: &str) -> bool {
        let gauges = self.gauges.read().unwrap_or_else(PoisonError::into_inner);
        gauges.contains(topic)
    }

    /// Counts one more subscriber of the topic, and returns the topic's one shared name.
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

    /// How many topics have a subscriber.
    pub(crate) fn count(&self) -> usize {
        lock(&self.present).len()
    }
}
