//! The topics that have subscribers: their names, how many subscribers each has, and the gauges.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::notices::Notices;
use crate::lock::lock;

/// How many of the last ended topics are known by name.
const RECENT_ENDS: usize = 256;

#[derive(Default)]
pub(crate) struct Topics {
    ends: Mutex<Ends>,
    gauges: RwLock<HashSet<String>>,
    present: Mutex<HashMap<Arc<str>, usize>>,
    /// Tells the application of each change of `present`.
    pub(crate) notices: Arc<Notices>,
}

/// The topics whose subscribers were ended last, for those that were still on their way then. Each
/// has the number of the first event that these do not get.
#[derive(Default)]
struct Ends {
    count: u64,
    /// The last of them is the newest.
    recent: VecDeque<(Arc<str>, u64)>,
}

impl Topics {
    /// Notes that the subscribers of a topic are ended before the event with this number. Returns
    /// the topic's shared name, `None` if it has none.
    pub(crate) fn end(&self, topic: &str, before: u64) -> Option<Arc<str>> {
        let mut ends = lock(&self.ends);
        ends.count += 1;
        if ends.recent.len() == RECENT_ENDS {
            ends.recent.pop_front();
        }
        ends.recent.push_back((Arc::from(topic), before));
        drop(ends);
        let present = lock(&self.present);
        present
            .get_key_value(topic)
            .map(|(name, _)| Arc::clone(name))
    }

    /// How many ends there were.
    pub(crate) fn ends(&self) -> u64 {
        lock(&self.ends).count
    }

    /// The number of the event before which one of these topics was ended after `ends` ends; `None`
    /// if none was. If more topics were ended than are known by name, it is 0: the stream ends
    /// without events, but with an id to come back with, and loses nothing.
    pub(crate) fn ended_since(&self, ends: u64, topics: &[Arc<str>]) -> Option<u64> {
        let known = lock(&self.ends);
        let later = usize::try_from(known.count - ends).unwrap_or(usize::MAX);
        if later > known.recent.len() {
            return Some(0);
        }
        let recent = known.recent.iter().rev().take(later);
        let of_topics = recent.filter(|(topic, _)| topics.contains(topic));
        of_topics.map(|&(_, before)| before).min()
    }

    pub(crate) fn add_gauge(&self, topic: &str) {
        let mut gauges = self.gauges.write().unwrap_or_else(PoisonError::into_inner);
        gauges.insert(topic.to_owned());
    }

    pub(crate) fn is_gauge(&self, topic: &str) -> bool {
        let gauges = self.gauges.read().unwrap_or_else(PoisonError::into_inner);
        gauges.contains(topic)
    }

    /// The topic's name, which its subscribers share.
    pub(crate) fn name(&self, topic: &str) -> Arc<str> {
        let present = lock(&self.present);
        let known = present.get_key_value(topic);
        known.map_or_else(|| Arc::from(topic), |(name, _)| Arc::clone(name))
    }

    /// Counts one more subscriber of the topic, and returns the topic's name.
    pub(crate) fn joined(&self, topic: &str) -> Arc<str> {
        let name = self.name(topic);
        self.count_one_more(&name);
        name
    }

    pub(crate) fn count_one_more(&self, name: &Arc<str>) {
        let mut present = lock(&self.present);
        let count = present.entry(Arc::clone(name)).or_default();
        *count += 1;
        self.notices.put(name, *count - 1, *count);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_concerns_those_who_were_on_their_way() {
        let topics = Topics::default();
        let of =
            |names: &[&str]| -> Vec<Arc<str>> { names.iter().map(|&name| name.into()).collect() };
        assert_eq!(topics.end("a", 5), None);
        let since = topics.ends();
        assert_eq!(topics.ended_since(since, &of(&["a", "b"])), None);
        topics.joined("b");
        assert_eq!(topics.end("b", 7).as_deref(), Some("b"));
        assert_eq!(topics.ended_since(since, &of(&["a", "b"])), Some(7));
        assert_eq!(topics.ended_since(since, &of(&["a"])), None);
        // It never names more than the last, and then takes no risk.
        for _ in 1..RECENT_ENDS {
            topics.end("c", 9);
        }
        assert_eq!(topics.ended_since(since, &of(&["a"])), None);
        topics.end("c", 9);
        assert_eq!(topics.ended_since(since, &of(&["a"])), Some(0));
        assert_eq!(lock(&topics.ends).recent.len(), RECENT_ENDS);
    }
}
