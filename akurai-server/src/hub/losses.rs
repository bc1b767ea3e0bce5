//! Which topics have lost events, and how far.

use std::collections::HashMap;
use std::mem::size_of;
use std::sync::Arc;

use super::stored_event::Stored;
use crate::EventId;

/// What a topic costs here beside its name, in bytes: its entry, in a table that may be less than
/// half full, the counts in front of the name, and the allocation.
const TOPIC_OVERHEAD: usize = 5 * size_of::<(Arc<str>, Place)>() / 2 + 32;

/// The place of an event. The number orders all events; the id those of one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) number: u64,
    pub(crate) id: EventId,
}

/// For each topic, the last of its events that is gone. It is bounded: where it is full it forgets
/// the half that lost nothing for longest, and what it forgot is judged as one topic.
#[derive(Debug, Clone)]
pub(crate) struct Gone {
    of: HashMap<Arc<str>, Place>,
    bytes: usize,
    most_bytes: usize,
    /// The last event that is gone of all topics that are forgotten.
    forgotten: Option<Place>,
}

impl Gone {
    pub(crate) fn new(most_bytes: usize) -> Gone {
        Gone {
            of: HashMap::new(),
            bytes: 0,
            most_bytes,
            forgotten: None,
        }
    }

    /// Remembers an event that is gone, the last one of its topic.
    pub(crate) fn note(&mut self, event: &Stored) {
        let place = Place {
            number: event.number,
            id: event.id,
        };
        if let Some(known) = self.of.get_mut(&event.topic) {
            debug_assert!(known.number < place.number, "{known:?} {place:?}");
            *known = place;
            return;
        }
        self.of.insert(Arc::clone(&event.topic), place);
        self.bytes += TOPIC_OVERHEAD + event.topic.len();
        if self.bytes > self.most_bytes {
            self.forget_half();
        }
    }

    /// The last event of this topic that is gone, or one behind it if this is not known any more.
    pub(crate) fn last(&self, topic: &str) -> Option<Place> {
        self.of.get(topic).copied().or(self.forgotten)
    }

    /// Forgets everything, and that it did.
    pub(crate) fn clear(&mut self) {
        *self = Gone::new(self.most_bytes);
    }

    /// At once, so that an event costs little on average.
    fn forget_half(&mut self) {
        let mut places: Vec<Place> = self.of.values().copied().collect();
        let middle = places.len() / 2;
        let (_, &mut newest, _) = places.select_nth_unstable(middle);
        let bytes = &mut self.bytes;
        self.of.retain(|topic, place| {
            let is_kept = *place > newest;
            if !is_kept {
                *bytes -= TOPIC_OVERHEAD + topic.len();
            }
            is_kept
        });
        self.forgotten = Some(newest);
    }
}

#[cfg(test)]
mod tests {
    use super::super::stored_event::Draft;
    use super::*;

    fn event(number: u64, topic: &str) -> Stored {
        let id = EventId { ms: number, seq: 0 };
        Draft::of_lost().store(number, id, Arc::from(topic))
    }

    fn last(gone: &Gone, topic: &str) -> Option<u64> {
        gone.last(topic).map(|place| place.number)
    }

    #[test]
    fn a_forgotten_topic_is_judged_by_the_newest_that_was_forgotten() {
        let mut gone = Gone::new(4 * (TOPIC_OVERHEAD + 1));
        for (number, topic) in [(1, "a"), (2, "b"), (3, "c"), (4, "a"), (5, "d")] {
            gone.note(&event(number, topic));
        }
        assert_eq!(
            ["a", "b", "c", "d", "e"].map(|topic| last(&gone, topic)),
            [Some(4), Some(2), Some(3), Some(5), None]
        );
        gone.note(&event(6, "e"));
        // Of the five, b, c and a lost nothing for longest.
        assert_eq!(
            ["a", "b", "c", "d", "e"].map(|topic| last(&gone, topic)),
            [Some(4), Some(4), Some(4), Some(5), Some(6)]
        );
        gone.note(&event(7, "b"));
        assert_eq!(
            ["a", "b"].map(|topic| last(&gone, topic)),
            [Some(4), Some(7)]
        );
        gone.clear();
        assert_eq!(last(&gone, "b"), None);
    }

    #[test]
    fn it_never_holds_more_than_its_bytes() {
        let most = 10_000;
        let mut gone = Gone::new(most);
        for number in 0..5_000 {
            gone.note(&event(
                number,
                &format!("{number:>0$}", number as usize % 300),
            ));
            let held = gone.of.keys().map(|topic| TOPIC_OVERHEAD + topic.len());
            assert_eq!(gone.bytes, held.sum::<usize>());
            assert!(gone.bytes <= most);
        }
        // Also where not even one topic fits.
        let mut tiny = Gone::new(10);
        tiny.note(&event(1, "a"));
        assert_eq!(
            (tiny.of.len(), last(&tiny, "a"), last(&tiny, "b")),
            (0, Some(1), Some(1))
        );
    }
}
