//! Subscribers that are ahead of this node, and how the hub learns from its engine how far the
//! order goes.
//!
//! A client that comes from another node may have read events that this node has not read yet. It
//! is *early*: its stream is open, but its place in the order is not known. The place is known as
//! soon as this node has read as far as the client. If the engine's order ends before that, the
//! client's id is from another order of events, and the client gets a `reset`. A look at the
//! engine's end shows this, provided that the look began after the client came. Only the engine
//! decides: no clock and no time limit does.

use std::sync::{Mutex, MutexGuard};

use crate::EventId;
use crate::lock::lock;

/// A subscriber's place in the order, which this node has not reached yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Early {
    pub(crate) id: EventId,
    /// The first look that began after the subscriber came.
    look: u64,
}

/// The looks at the engine's end. The thread that reads the engine takes them while a subscriber
/// needs one. They are numbered from 1 in the order in which they begin.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    state: Mutex<LooksState>,
}

#[derive(Debug, Default)]
struct LooksState {
    begun: u64,
    wanted: Option<Wanted>,
    shown: Shown,
}

/// A subscriber waits for this look or a later one.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    look: u64,
    /// No subscriber waits for it once this node has read as far as this id.
    until: EventId,
}

/// The result of the last look.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shown {
    look: u64,
    /// The engine had no event after this id when the look began.
    end: EventId,
}

impl Looks {
    /// Asks for a look, for a subscriber that comes with this id.
    pub(crate) fn want(&self, id: EventId) -> Early {
        let mut state = self.state();
        let look = state.begun + 1;
        let until = state.wanted.map_or(id, |wanted| wanted.until.max(id));
        state.wanted = Some(Wanted { look, until });
        Early { id, look }
    }

    /// Asks for a look for all early subscribers there may be: the result of the last look is no
    /// longer valid, because the order began again.
    pub(crate) fn want_again(&self) {
        const LAST: EventId = EventId {
            ms: u64::MAX,
            seq: u64::MAX,
        };
        self.want(LAST);
    }

    /// Begins a look, and returns its number.
    pub(crate) fn begin(&self) -> u64 {
        let mut state = self.state();
        state.begun += 1;
        state.begun
    }

    /// Whether a subscriber waits for a look.
    pub(crate) fn is_wanted(&self) -> bool {
        self.state().wanted.is_some()
    }

    /// Whether a subscriber that already waited when look `look` began still waits, now that this
    /// node has read as far as `read_to`.
    pub(crate) fn is_wanted_since(&self, look: u64, read_to: EventId) -> bool {
        let mut state = self.state();
        state.wanted = state.wanted.filter(|wanted| wanted.until > read_to);
        state.wanted.is_some_and(|wanted| wanted.look <= look)
    }

    /// Stores the result of a look. Returns whether a subscriber waited for it.
    pub(crate) fn show(&self, look: u64, end: EventId) -> bool {
        let mut state = self.state();
        state.shown = Shown { look, end };
        let was_wanted = state.wanted;
        state.wanted = was_wanted.filter(|wanted| wanted.look > look);
        was_wanted.is_some()
    }

    pub(crate) fn shown(&self) -> Shown {
        self.state().shown
    }

    fn state(&self) -> MutexGuard<'_, LooksState> {
        lock(&self.state)
    }
}

impl Shown {
    /// Whether the engine's order ends before this subscriber's place.
    pub(crate) fn is_short_of(&self, early: Early) -> bool {
        self.look >= early.look && self.end < early.id
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::ring::{Ring, RingLimits};
    use super::*;

    fn id(ms: u64) -> EventId {
        EventId { ms, seq: 0 }
    }

    fn ring() -> Ring {
        let limits = RingLimits {
            events: 3,
            bytes: 100_000,
            age: Duration::from_secs(60),
        };
        Ring::new(limits, id(1))
    }

    #[test]
    fn a_look_decides_about_those_who_came_before_it_began() {
        let looks = Looks::default();
        let first = looks.begin();
        let early = looks.want(id(7));
        // It was in progress when the subscriber came, and shows an earlier state.
        looks.show(first, id(6));
        assert!(looks.is_wanted());
        assert!(!looks.shown().is_short_of(early));
        assert!(!looks.is_wanted_since(first, id(6)));

        let second = looks.begin();
        assert!(looks.is_wanted_since(second, id(6)));
        assert!(looks.show(second, id(7)));
        assert!(!looks.is_wanted() && !looks.shown().is_short_of(early));

        looks.want_again();
        let third = looks.begin();
        assert!(looks.is_wanted_since(third, id(7)));
        looks.show(third, id(3));
        assert!(!looks.is_wanted() && looks.shown().is_short_of(early));
        assert!(!looks.show(looks.begin(), id(3)), "nobody has waited");
    }

    #[test]
    fn nobody_waits_for_a_look_behind_what_is_read() {
        let looks = Looks::default();
        looks.want(id(9));
        looks.want(id(7));
        let look = looks.begin();
        assert!(looks.is_wanted_since(look, id(8)));
        assert!(!looks.is_wanted_since(look, id(9)));
        assert!(!looks.is_wanted());
    }

    #[test]
    fn what_is_ahead_of_what_was_read() {
        let ring = ring();
        let ahead = |ms| ring.ahead()(id(ms));
        ring.add(id(500), "t", "", "500");
        assert!(!ahead(499) && !ahead(500) && ahead(501));
        // The id up to which the node has read need not belong to an event.
        ring.reach(id(502));
        assert!(!ahead(502) && ahead(503));
        ring.reach(id(1));
        assert!(!ahead(502));
        assert_eq!(ring.end().1, id(500));
        // The order begins again at lower ids. The node that announced this gave out its own place
        // for it, and other nodes gave out the same.
        ring.lose(id(3));
        assert!(ahead(4) && ahead(500));
        assert!(!ring.ahead()(ring.end().1));
        ring.add(id(4), "t", "", "4");
        assert!(!ahead(4) && ahead(5));
    }

    #[test]
    fn an_event_that_a_thread_has_yet_to_deliver() {
        let ring = ring();
        // The ring has three of five events.
        for ms in 2..7 {
            ring.add(id(ms), "t", "", "");
        }
        // The first two are gone, so the ring no longer knows which ids they had.
        let all = Vec::from_iter(0..9);
        for (next, expected) in [
            (0, &all[..]),
            (1, &all[..]),
            (2, &[4, 5, 6]),
            (3, &[5, 6]),
            (5, &[]),
        ] {
            let held: Vec<u64> = (0..9).filter(|&ms| ring.is_from(id(ms), next)).collect();
            assert_eq!(held, expected, "from number {next} on");
        }
    }
}
