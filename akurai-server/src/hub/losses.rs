//! Which topics have lost events, and up to which event.

use std::collections::HashMap;
use std::mem::size_of;
use std::sync::Arc;

use super::stored_event::StoredEvent;
use crate::EventId;

/// Memory that a topic needs here in addition to its name, in bytes: its entry, in a table that may
/// be less than half full, the counts before the name, and the allocation.
const TOPIC_OVERHEAD: usize = 5 * size_of::<(Arc<str>, Position)>() / 2 + 32;

/// The place of an event. The number orders all events, the id only the events of one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) number: u64,
    pub(crate) id: EventId,
}

/// For each topic, the last of its events that is gone. The size is limited. When it is full, it
/// forgets the half of the topics whose last loss is oldest, and treats all forgotten topics as
/// one.
#[derive(Debug, Clone)]
pub(crate) struct Losses {
    of: HashMap<Arc<str>, Position>,
    bytes: usize,
    most_bytes: usize,
    /// The last event that any forgotten topic lost.
    forgotten: Option<Position>,
}

impl Losses {
    pub(crate) fn new(most_bytes: usize) -> Losses {
        Losses {
            of: HashMap::new(),
            bytes: 0,
            most_bytes,
            forgotten: None,
        }
    }

    /// Notes an event that is gone. It is the last of its topic that is gone.
    pub(crate) fn note(&mut self, event: &StoredEvent) {
        let position = Position {
            number: event.number,
            id: event.id,
        };
        if let Some(known) = self.of.get_mut(&event.topic) {
            debug_assert!(known.number < position.number, "{known:?} {position:?}");
            *known = position;
            return;
        }
        self.of.insert(Arc::clone(&event.topic), position);
        self.bytes += TOPIC_OVERHEAD + event.topic.len();
        if self.bytes > self.most_bytes {
            self.forget_half();
        }
    }

    /// The last event of this topic that is gone. For a forgotten topic: the last event that any
    /// forgotten topic lost, which is its own or a later one.
    pub(crate) fn last(&self, topic: &str) -> Option<Position> {
        self.of.get(topic).copied().or(self.forgotten)
    }

    /// Only the losses that affect a reader of the events from this number on.
    pub(crate) fn from(&self, number: u64) -> Losses {
        let is_asked = |position: &Position| position.number >= number;
        // Without its entry, a topic would count as a forgotten one.
        let all = self.forgotten.as_ref().is_some_and(is_asked);
        let of = self
            .of
            .iter()
            .filter(|(_, position)| all || is_asked(position));
        Losses {
            of: of
                .map(|(topic, position)| (Arc::clone(topic), *position))
                .collect(),
            forgotten: self.forgotten,
            ..Losses::new(self.most_bytes)
        }
    }

    /// Forgets everything, also which topics were forgotten.
    pub(crate) fn clear(&mut self) {
        *self = Losses::new(self.most_bytes);
    }

    /// Half at once, so that noting an event is cheap on average.
    fn forget_half(&mut self) {
        let mut positions: Vec<Position> = self.of.values().copied().collect();
        let middle = positions.len() / 2;
        let (_, &mut newest, _) = positions.select_nth_unstable(middle);
        let bytes = &mut self.bytes;
        self.of.retain(|topic, position| {
            let is_kept = *position > newest;
            if !is_kept {
                *bytes -= TOPIC_OVERHEAD + topic.len();
            }
            is_kept
        });
        // A topic with its own store may have dropped events older than those of topics forgotten
        // before.
        self.forgotten = self.forgotten.max(Some(newest));
    }
}

#[cfg(test)]
mod tests {
    use super::super::stored_event::Draft;
    use super::*;

    fn event(number: u64, topic: &str) -> StoredEvent {
        let id = EventId { ms: number, seq: 0 };
        Draft::of_lost().store(number, id, Arc::from(topic))
    }

    fn last(losses: &Losses, topic: &str) -> Option<u64> {
        losses.last(topic).map(|position| position.number)
    }

    #[test]
    fn a_forgotten_topic_is_judged_by_the_newest_that_was_forgotten() {
        let mut losses = Losses::new(4 * (TOPIC_OVERHEAD + 1));
        for (number, topic) in [(1, "a"), (2, "b"), (3, "c"), (4, "a"), (5, "d")] {
            losses.note(&event(number, topic));
        }
        assert_eq!(
            ["a", "b", "c", "d", "e"].map(|topic| last(&losses, topic)),
            [Some(4), Some(2), Some(3), Some(5), None]
        );
        losses.note(&event(6, "e"));
        // Of the five topics, b, c and a have the oldest last losses.
        assert_eq!(
            ["a", "b", "c", "d", "e"].map(|topic| last(&losses, topic)),
            [Some(4), Some(4), Some(4), Some(5), Some(6)]
        );
        losses.note(&event(7, "b"));
        assert_eq!(
            ["a", "b"].map(|topic| last(&losses, topic)),
            [Some(4), Some(7)]
        );
        losses.clear();
        assert_eq!(last(&losses, "b"), None);
    }

    #[test]
    fn what_was_forgotten_stays_forgotten() {
        let mut losses = Losses::new(4 * (TOPIC_OVERHEAD + 1));
        for (number, topic) in [(10, "a"), (11, "b"), (12, "c"), (13, "d"), (14, "e")] {
            losses.note(&event(number, topic));
        }
        assert_eq!(last(&losses, "a"), Some(12));
        // Topics that keep their own events drop them later than the ring does.
        for (number, topic) in [(1, "p"), (2, "q"), (3, "r")] {
            losses.note(&event(number, topic));
        }
        assert_eq!(
            ["a", "p", "d"].map(|topic| last(&losses, topic)),
            [Some(12), Some(12), Some(13)]
        );
    }

    #[test]
    fn a_copy_for_a_reader_says_the_same_of_what_it_wants() {
        let mut losses = Losses::new(4 * (TOPIC_OVERHEAD + 1));
        for (number, topic) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
            losses.note(&event(number, topic));
        }
        let concerns = |losses: &Losses, from: u64| {
            ["a", "b", "c", "d", "e"].map(|topic| last(losses, topic).is_some_and(|n| n >= from))
        };
        assert_eq!(losses.from(3).of.len(), 2);
        for from in 0..9 {
            assert_eq!(
                concerns(&losses.from(from), from),
                concerns(&losses, from),
                "{from}"
            );
        }
        losses.note(&event(9, "e"));
        for from in 0..11 {
            assert_eq!(
                concerns(&losses.from(from), from),
                concerns(&losses, from),
                "{from}"
            );
        }
    }

    #[test]
    fn it_never_holds_more_than_its_bytes() {
        let most = 10_000;
        let mut losses = Losses::new(most);
        for number in 0..5_000 {
            losses.note(&event(
                number,
                &format!("{number:>0$}", number as usize % 300),
            ));
            let held = losses.of.keys().map(|topic| TOPIC_OVERHEAD + topic.len());
            assert_eq!(losses.bytes, held.sum::<usize>());
            assert!(losses.bytes <= most);
        }
        // This also holds if not even one topic fits.
        let mut tiny = Losses::new(10);
        tiny.note(&event(1, "a"));
        assert_eq!(
            (tiny.of.len(), last(&tiny, "a"), last(&tiny, "b")),
            (0, Some(1), Some(1))
        );
    }
}
