//! The last events of a hub, which all subscribers share.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::losses::Losses;
use super::options::{Retention, TOPIC_BYTES};
use super::retained::Retained;
use super::stored_event::{Draft, StoredEvent};
use crate::EventId;
use crate::engine::{id_after, next_id, now_ms};
use crate::lock::lock;

/// Events taken from the ring at a time.
pub(crate) const BATCH: usize = 256;

/// The part of a ring's bytes that remembers which topics have lost events.
const GONE_PART: usize = 8;

/// What bounds a ring.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RingLimits {
    pub(crate) events: usize,
    /// Of all that it costs.
    pub(crate) bytes: usize,
    pub(crate) age: Duration,
}

#[derive(Debug)]
pub(crate) struct Ring {
    limits: RingLimits,
    state: Mutex<RingState>,
}

#[derive(Debug)]
struct RingState {
    events: VecDeque<Arc<StoredEvent>>,
    /// The number of the first of them, or of the next one.
    first: u64,
    bytes: usize,
    /// Where a subscriber stands that begins now: at the last event, or where it would be.
    last: EventId,
    /// What an engine brings is new if it is after this. It is the last one, unless the order began
    /// again.
    floor: EventId,
    /// Where the present order begins: before all of its events, whatever their ids.
    start: EventId,
    /// An id up to this one is of an older order, or was lost when that ended, unless its event is
    /// here.
    foreign: EventId,
    /// The number of the order's first event.
    start_number: u64,
    /// The last event of the order that the ring has let go, or its start.
    evicted: EventId,
    losses: Losses,
    retained: Retained,
}

/// Events from a number on, in order.
#[derive(Debug)]
pub(crate) struct RingRead {
    pub(crate) events: Vec<Arc<StoredEvent>>,
    /// The number of the event that comes next.
    pub(crate) next: u64,
    /// What the ring has let go from that number on, if anything. Then the events are those of it
    /// that topics with [`Retention`] still keep.
    pub(crate) lost: Option<Lost>,
}

/// What a reader lost that was slower than the ring.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The id at which it goes on.
    pub(crate) at: EventId,
    start_number: u64,
    losses: Losses,
}

/// An event that follows the one with the id that a client remembers is gone, or that id was never
/// ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gap;

/// What a topic's history is, as the ring tells it.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) events: Vec<Arc<StoredEvent>>,
    pub(crate) is_complete: bool,
    pub(crate) at: EventId,
}

impl Lost {
    /// Whether an event of this topic is among it, for a reader that wants those from this number
    /// on.
    pub(crate) fn concerns(&self, topic: &str, from: u64) -> bool {
        let last = self.losses.last(topic);
        from < self.start_number || last.is_some_and(|last| last.number >= from)
    }
}

impl Ring {
    /// An empty ring. Ids that are not after `origin` are of another time.
    pub(crate) fn new(limits: RingLimits, origin: EventId) -> Ring {
        let gone_bytes = limits.bytes / GONE_PART;
        Ring {
            limits: RingLimits {
                bytes: limits.bytes - gone_bytes,
                ..limits
            },
            state: Mutex::new(RingState {
                events: VecDeque::new(),
                first: 0,
                bytes: 0,
                last: origin,
                floor: origin,
                start: origin,
                foreign: origin,
                start_number: 0,
                evicted: origin,
                losses: Losses::new(gone_bytes),
                retained: Retained::default(),
            }),
        }
    }

    /// Adds an event under the next id.
    pub(crate) fn publish(&self, topic: &str, name: &str, data: &str) -> io::Result<EventId> {
        // The text is encoded before the lock is taken; the id is a line behind it.
        let draft = self.encode(topic, name, data)?;
        let mut state = self.state();
        let id = next_id(state.last, now_ms());
        state.push(id, topic, draft, self.limits);
        Ok(id)
    }

    /// Whether this event fits.
    pub(crate) fn check(&self, topic: &str, name: &str, data: &str) -> io::Result<()> {
        self.encode(topic, name, data).map(drop)
    }

    /// Adds an event that has its id; one that is not after the last is here already. One that
    /// cannot be kept is lost to those who follow its topic, and a `reset` stands in its place.
    pub(crate) fn add(&self, id: EventId, topic: &str, name: &str, data: &str) {
        let draft = self.encode(topic, name, data);
        let mut state = self.state();
        if id > state.floor {
            let draft = draft.unwrap_or_else(|_| Draft::of_lost());
            state.push(id, cut(topic), draft, self.limits);
        }
    }

    /// Says that events between the last one here and the next are lost, and nobody knows of which
    /// topics. What comes next is after `floor`, which may lie before what was here, if the order
    /// began again.
    pub(crate) fn lose(&self, floor: EventId) {
        let mut state = self.state();
        state.first += state.events.len() as u64 + 1;
        state.events.clear();
        state.bytes = 0;
        state.floor = floor;
        // Behind the last one that any client has seen, so that a client that stands there learns
        // of it.
        state.last = marker_after(state.last);
        state.start = state.last;
        state.foreign = state.start.max(floor);
        state.start_number = state.first;
        state.evicted = state.start;
        state.losses.clear();
        state.retained.clear();
    }

    /// Keeps the last events of a topic for themselves, beginning with those that are here.
    pub(crate) fn retain(&self, topic: &str, keep: Retention) {
        let state = &mut *self.state();
        let here = state.events.iter().filter(|event| &*event.topic == topic);
        state.retained.begin(topic, keep, here);
        state.trim(topic);
    }

    /// Ends what [`retain`](Ring::retain) began.
    pub(crate) fn release(&self, topic: &str) {
        let state = &mut *self.state();
        state.retained.end(topic, state.first, &mut state.losses);
    }

    /// How many events are kept, their bytes, and how old the oldest of them is.
    pub(crate) fn usage(&self) -> (usize, usize, Duration) {
        let state = self.state();
        let oldest = state.events.front();
        let span = oldest.map_or(Duration::ZERO, |oldest| oldest.at.elapsed());
        (state.events.len(), state.bytes, span)
    }

    /// The number that the next event will have, and the id of the last one.
    pub(crate) fn end(&self) -> (u64, EventId) {
        let state = self.state();
        (state.first + state.events.len() as u64, state.last)
    }

    /// The events from this number on, at most `max`; where the ring has let some of them go, those
    /// of them that their topics keep, however many, and what is lost.
    pub(crate) fn read(&self, number: u64, max: usize) -> RingRead {
        let state = self.state();
        if number < state.first {
            return RingRead {
                events: state.retained.between(number, state.first),
                next: state.first,
                lost: Some(Lost {
                    at: state.evicted,
                    start_number: state.start_number,
                    losses: state.losses.from(number),
                }),
            };
        }
        let start = state.index(number);
        let events: Vec<_> = state.events.range(start..).take(max).cloned().collect();
        RingRead {
            next: number + events.len() as u64,
            events,
            lost: None,
        }
    }

    /// The events of these topics that follow `after`, up to the one that has the number `end`. The
    /// topics are sorted.
    pub(crate) fn replay(
        &self,
        after: EventId,
        topics: &[Arc<str>],
        end: u64,
    ) -> Result<Vec<Arc<StoredEvent>>, Gap> {
        debug_assert!(topics.is_sorted());
        let state = &mut *self.state();
        let after = state.place(after, topics).ok_or(Gap)?;
        for topic in topics {
            state.trim(topic);
            if state.losses.last(topic).map(|gone| gone.id) > after {
                return Err(Gap);
            }
        }
        let mut events: Vec<Arc<StoredEvent>> = Vec::new();
        for topic in topics {
            let kept = state.retained.behind(topic, after);
            let kept = kept.take_while(|event| event.number < state.first.min(end));
            events.extend(kept.cloned());
        }
        events.sort_unstable_by_key(|event| event.number);
        let start = state
            .events
            .partition_point(|event| Some(event.id) <= after);
        let here = state.events.range(start..state.index(end).max(start));
        let wanted = here.filter(|event| topics.binary_search(&event.topic).is_ok());
        events.extend(wanted.cloned());
        Ok(events)
    }

    /// Says that the engine has nothing up to `end` which is not here: what comes next is after it.
    pub(crate) fn reach(&self, end: EventId) {
        let mut state = self.state();
        state.floor = state.floor.max(end);
    }

    /// Tells of an id whether it lies ahead of all that was read of the order so far.
    pub(crate) fn ahead(&self) -> impl Fn(EventId) -> bool + use<> {
        let state = self.state();
        let (floor, start) = (state.floor, state.start);
        move |id| id > floor && id != start
    }

    /// Whether the event with this id has the number `next` or a higher one, as far as is known
    /// here.
    pub(crate) fn is_from(&self, id: EventId, next: u64) -> bool {
        let state = self.state();
        if next < state.first {
            // It may be gone already.
            return true;
        }
        let found = state.events.binary_search_by_key(&id, |event| event.id);
        found.is_ok_and(|at| state.first + at as u64 >= next)
    }

    /// The last event of this topic, if it is still here and has a number below `end`.
    pub(crate) fn latest(&self, topic: &str, end: u64) -> Option<Arc<StoredEvent>> {
        let state = &mut *self.state();
        state.trim(topic);
        let latest = state.newest_first(topic).find(|event| event.number < end);
        // Where it is the last that is lost, an older one would be wrong.
        latest.filter(|event| event.data.is_some()).cloned()
    }

    /// The last events of this topic behind `after`, or of all, at most so many.
    pub(crate) fn history(&self, topic: &str, after: Option<EventId>, most: usize) -> Past {
        let state = &mut *self.state();
        state.trim(topic);
        let place = match after {
            None => Some(None),
            Some(after) => state.place(after, &[topic]),
        };
        let after = place.unwrap_or_default();
        let gone = state.losses.last(topic).map(|gone| gone.id);
        let mut is_complete = place.is_some() && gone <= after;
        let mut events = Vec::new();
        for event in state.newest_first(topic) {
            if Some(event.id) <= after {
                break;
            }
            if events.len() == most || event.data.is_none() {
                is_complete = false;
                break;
            }
            events.push(Arc::clone(event));
        }
        events.reverse();
        Past {
            events,
            is_complete,
            at: state.last,
        }
    }

    fn encode(&self, topic: &str, name: &str, data: &str) -> io::Result<Draft> {
        Draft::new(topic, name, data, self.limits.bytes)
    }

    fn state(&self) -> MutexGuard<'_, RingState> {
        lock(&self.state)
    }
}

impl RingState {
    /// Where a client of these topics stands that has seen the event `after`: behind that, or at
    /// the order's start. `None` if that is no place of this order: then it tells nothing of what
    /// its client has seen, since others may have come behind it.
    ///
    /// An id that is `foreign` counts if its event is here. Behind those, up to the last event that
    /// the ring let go, any id may have been that of an event which is gone.
    fn place<T: AsRef<str>>(&self, after: EventId, topics: &[T]) -> Option<Option<EventId>> {
        if after == self.start {
            return Some(None);
        }
        let is_evicted = self.foreign < after && after <= self.evicted;
        let is_here = || {
            let found = self.events.binary_search_by_key(&after, |event| event.id);
            found.is_ok()
        };
        let is_kept = || {
            let mut topics = topics.iter();
            topics.any(|topic| self.retained.has(topic.as_ref(), after))
        };
        (is_evicted || is_here() || is_kept()).then_some(Some(after))
    }

    fn push(&mut self, id: EventId, topic: &str, draft: Draft, limits: RingLimits) {
        // Most events are about what the last one was about.
        let topic = match self.events.back() {
            Some(last) if &*last.topic == topic => Arc::clone(&last.topic),
            _ => Arc::from(topic),
        };
        let number = self.first + self.events.len() as u64;
        let event = Arc::new(draft.store(number, id, topic));
        let at = event.at;
        self.last = id;
        self.floor = id;
        self.bytes += event.bytes();
        self.retained.push(&event, self.first, &mut self.losses);
        self.events.push_back(event);
        while self.events.len() > limits.events
            || self.bytes > limits.bytes
            || self
                .events
                .front()
                .is_some_and(|oldest| at - oldest.at > limits.age)
        {
            self.evict_oldest();
        }
    }

    fn evict_oldest(&mut self) {
        if let Some(oldest) = self.events.pop_front() {
            self.first += 1;
            self.bytes -= oldest.bytes();
            self.evicted = oldest.id;
            if !self.retained.holds(&oldest) {
                self.losses.note(&oldest);
            }
        }
    }

    fn trim(&mut self, topic: &str) {
        self.retained.trim(topic, self.first, &mut self.losses);
    }

    /// Where the event with this number is, or would be.
    fn index(&self, number: u64) -> usize {
        let index = number.saturating_sub(self.first);
        index.min(self.events.len() as u64) as usize
    }

    /// All events of a topic: its own, and those in the ring that are older.
    fn newest_first(&self, topic: &str) -> impl Iterator<Item = &Arc<StoredEvent>> {
        let own = self.retained.events(topic);
        let own_from = self.retained.events(topic).next().map(|first| first.number);
        let end = own_from.map_or(self.events.len(), |from| self.index(from));
        let older = self.events.range(..end).rev();
        own.rev()
            .chain(older.filter(move |event| &*event.topic == topic))
    }
}

/// A place behind the last event that is no event's own: no engine gives so many events in a
/// millisecond.
fn marker_after(last: EventId) -> EventId {
    const FIRST: u64 = 1 << 63;
    id_after(EventId {
        seq: last.seq.max(FIRST - 1),
        ..last
    })
}

/// A topic that is too long is cut to what is still too long: no subscriber has it, and it costs no
/// more than others.
fn cut(topic: &str) -> &str {
    let end = (TOPIC_BYTES + 1..topic.len()).find(|&end| topic.is_char_boundary(end));
    &topic[..end.unwrap_or(topic.len())]
}

#[cfg(test)]
mod tests;
