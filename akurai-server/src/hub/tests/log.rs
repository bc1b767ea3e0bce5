//! What the threads of a program did, and what each client must have got.

use super::clients::Got;
use crate::EventId;

/// In front of all events.
pub(super) const ORIGIN: EventId = EventId { ms: 1, seq: 0 };

#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) events: Vec<(EventId, &'static str, String)>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) ends: Vec<End>,
    pub(super) gone: Vec<usize>,
    /// Counts what the threads do, so that it is known what came before what.
    pub(super) clock: usize,
}

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) client: usize,
    pub(super) topics: Vec<&'static str>,
    pub(super) is_member: bool,
    /// It gets no event up to `low`, and all from behind `high`.
    pub(super) low: EventId,
    pub(super) high: EventId,
    /// When it was on its way, and when the hub knew it.
    pub(super) came: (usize, usize),
    /// It has left, and gets nothing behind this event.
    pub(super) left_at: Option<EventId>,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) topic: &'static str,
    /// It gets all up to `low`, and nothing from behind `high`.
    pub(super) low: EventId,
    pub(super) high: EventId,
    pub(super) took: (usize, usize),
    /// All subscribers were present before.
    pub(super) is_for_all: bool,
}

impl Log {
    pub(super) fn tick(&mut self) -> usize {
        self.clock += 1;
        self.clock
    }

    /// Each event comes once, and all in their order.
    pub(super) fn check_order(&self, got: &[Got]) {
        let places = got.iter().filter_map(|one| match one {
            Got::Event(label) => self.events.iter().position(|it| it.2 == *label),
            Got::Reset => None,
        });
        let places: Vec<_> = places.collect();
        assert!(
            places.is_sorted_by(|one, next| one < next),
            "out of order, or twice: {got:?}\n{self:?}"
        );
    }

    /// The last event that a subscription must get, and from which on it must get none, if it ends.
    fn bounds(&self, one: &Subscription) -> (Option<EventId>, Option<EventId>) {
        let (mut least, mut most) = (one.left_at.map(|_| ORIGIN), one.left_at);
        for end in self
            .ends
            .iter()
            .filter(|end| one.topics.contains(&end.topic))
        {
            if end.took.1 < one.came.0 {
                continue;
            }
            least = Some(least.map_or(end.low, |least| least.min(end.low)));
            if self.is_ended(one) {
                most = Some(most.map_or(end.high, |most| most.min(end.high)));
            }
        }
        (least, most)
    }

    /// Whether one of its topics was ended. A stream on its way counts; a member does when it has
    /// joined, or was seen as present.
    pub(super) fn is_ended(&self, one: &Subscription) -> bool {
        let known = if one.is_member {
            one.came.1
        } else {
            one.came.0
        };
        let of_topic = self
            .ends
            .iter()
            .filter(|end| one.topics.contains(&end.topic));
        of_topic
            .into_iter()
            .any(|end| end.is_for_all || known < end.took.0)
    }

    pub(super) fn check(&self, one: &Subscription, got: &[Got], may_lose: bool, is_dropped: bool) {
        let (least, most) = self.bounds(one);
        let is_there = |label: &str| got.iter().any(|it| *it == Got::Event(label.to_owned()));
        let told = || format!("{one:?}\n{got:?}\n{self:?}");
        let mut lost = 0;
        let of_topics = self.events.iter().filter(|it| one.topics.contains(&it.1));
        for (id, topic, label) in of_topics {
            let is_for_it = *id > one.high || *id > one.low && label.ends_with('!');
            let must = is_for_it && least.is_none_or(|least| *id <= least);
            let must_not = *id <= one.low || most.is_some_and(|most| *id > most);
            if must && !is_there(label) {
                lost += 1;
                assert!(
                    may_lose || is_dropped,
                    "{label} of {topic} is lost: {}",
                    told()
                );
            }
            assert!(
                !must_not || !is_there(label),
                "{label} is not for it: {}",
                told()
            );
        }
        let resets = got.iter().filter(|one| **one == Got::Reset).count();
        assert!(resets <= lost, "a reset without need: {}", told());
        assert!(
            lost == 0 || resets > 0 || !may_lose,
            "not told of a loss: {}",
            told()
        );
    }
}
