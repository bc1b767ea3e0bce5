//! What a hub's shards share.

use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::options::HubOptions;
use super::ring::{Ring, RingLimits};
use super::stats::Counts;
use crate::EventId;
use crate::engine::now_ms;

/// How far another node's clock may be ahead of ours, in milliseconds.
const AHEAD_MS: u64 = 60_000;

type Notice = Arc<dyn Fn(&str, usize) + Send + Sync>;

pub(crate) struct Core {
    pub(crate) options: HubOptions,
    pub(crate) ring: Ring,
    /// The events come from an engine, which other nodes have too.
    has_engine: bool,
    gauges: RwLock<HashSet<String>>,
    present: Mutex<HashMap<Arc<str>, usize>>,
    pub(crate) on_join: RwLock<Option<Notice>>,
    pub(crate) on_leave: RwLock<Option<Notice>>,
    pub(crate) counts: Counts,
}

impl Core {
    pub(crate) fn new(options: HubOptions, origin: EventId, has_engine: bool) -> Core {
        let limits = RingLimits {
            events: options.ring_events.max(1),
            bytes: options.ring_bytes,
            age: options.ring_age,
        };
        Core {
            ring: Ring::new(limits, origin),
            options,
            has_engine,
            gauges: RwLock::default(),
            present: Mutex::default(),
            on_join: RwLock::default(),
            on_leave: RwLock::default(),
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
        let (name, count) = {
            let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
            let name = match present.get_key_value(topic) {
                Some((name, _)) => Arc::clone(name),
                None => Arc::from(topic),
            };
            let count = present.entry(Arc::clone(&name)).or_default();
            *count += 1;
            (name, *count)
        };
        notify(&self.on_join, topic, count);
        name
    }

    pub(crate) fn left(&self, topics: &[Arc<str>]) {
        for topic in topics {
            let count = {
                let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
                let left = present.get(topic).map_or(0, |count| count - 1);
                match left {
                    0 => present.remove(topic),
                    left => present.insert(Arc::clone(topic), left),
                };
                left
            };
            notify(&self.on_leave, topic, count);
        }
    }

    pub(crate) fn present(&self, topic: &str) -> usize {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.get(topic).copied().unwrap_or(0)
    }

    /// How many topics somebody is there for.
    pub(crate) fn topics(&self) -> usize {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.len()
    }

    /// Whether a client that stands behind `last` may come from another node which was ahead, and not from another time.
    pub(crate) fn may_be_ahead(&self, id: EventId, last: EventId) -> bool {
        self.has_engine && id > last && id.ms <= now_ms().saturating_add(AHEAD_MS)
    }

    /// `duration`, and up to a `part` of it more or less.
    pub(crate) fn jitter(&self, duration: Duration, part: u32) -> Duration {
        let range = duration / part;
        duration - range + self.below(range * 2)
    }

    /// A time below `duration`. It need not be unpredictable, only spread.
    pub(crate) fn below(&self, duration: Duration) -> Duration {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(RandomState::new().build_hasher().finish() % millis.max(1))
    }
}

fn notify(notice: &RwLock<Option<Notice>>, topic: &str, count: usize) {
    // The application's own code runs without a lock of ours, and its panic is its own: a shard has others to serve.
    let notice = notice
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if let Some(notice) = notice {
        let _ = catch_unwind(AssertUnwindSafe(|| notice(topic, count)));
    }
}

/// The moment after this wait; a wait without end ends in a hundred years.
pub(crate) fn after(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait)
        .unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 86_400))
}
