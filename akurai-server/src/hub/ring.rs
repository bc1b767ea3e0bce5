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
use crate::engine::{id_after, id_before, next_id, now_ms};
use crate::lock::lock;

/// Events taken from the ring at a time.
pub(crate) const BATCH: usize = 256;

/// One part in this many of a ring's bytes remembers which topics have lost events.
const GONE_PART: usize = 8;

/// The limits of a ring.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RingLimits {
    pub(crate) events: usize,
    /// Most bytes, counting everything that the events cost.
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
    /// The number of the first of these events, or of the next event if there is none.
    first: u64,
    bytes: usize,
    /// The place of a subscriber that begins now: the last event, or where it would be.
    last: EventId,
    /// An event from an engine is new if its id is higher than this. This is the last event's id,
    /// unless the order began again.
    floor: EventId,
    /// Where the current order begins: before all of its events, whatever their ids.
    start: EventId,
    /// An id up to this one is from an older order, or was lost when that order ended, unless its
    /// event is here.
    foreign: EventId,
    /// The number of the order's first event.
    start_number: u64,
    /// The last event of the order that the ring has dropped, or the order's start.
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
    /// The events from that number on that the ring has dropped, if any. `events` then has those of
    /// them that topics with [`Retention`] still keep.
    pub(crate) lost: Option<Lost>,
}

/// The loss of a reader that was slower than the ring.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The id after which the reader continues.
    pub(crate) at: EventId,
    start_number: u64,
    losses: Losses,
}

/// An event after the id that a client remembers is gone, or that id was never ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gap;

/// A topic's history, from the ring.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) events: Vec<Arc<StoredEvent>>,
    pub(crate) is_complete: bool,
    pub(crate) at: EventId,
}

impl RingRead {
    /// Leaves the events from the number `end` on to the next read. Only a loss that goes beyond
    /// `end` can come with such events.
    pub(crate) fn up_to(mut self, end: u64) -> RingRead {
        let within = self.events.partition_point(|event| event.number < end);
        if let (Some(beyond), Some(lost)) = (self.events.get(within), &mut self.lost) {
            lost.at = id_before(beyond.id);
            self.events.truncate(within);
            self.next = end;
        }
        self
    }
}

impl Lost {
    /// Whether an event of this topic is lost, for a reader that wants the events from this number
    /// on.
    pub(crate) fn concerns(&self, topic: &str, from: u64) -> bool {
        let last = self.losses.last(topic);
        from < self.start_number || last.is_some_and(|last| last.number >= from)
    }
}

impl Ring {
    /// An empty ring. Ids that are not higher than `origin` are from another order.
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
        // The text is encoded before the lock is taken; the id follows as a line after it.
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

    /// Adds an event that already has an id. The ring has it already if the id is not higher than
    /// the last. An event that does not fit is lost for the subscribers of its topic, and a `reset`
    /// takes its place.
    pub(crate) fn add(&self, id: EventId, topic: &str, name: &str, data: &str) {
        let draft = self.encode(topic, name, data);
        let mut state = self.state();
        if id > state.floor {
            let draft = draft.unwrap_or_else(|_| Draft::of_lost());
            state.push(id, cut(topic), draft, self.limits);
        }
    }

    /// Notes that events between the last one here and the next are lost, and their topics are not
    /// known. The next event comes after `floor`, which may be lower than the ids here if the order
    /// began again.
    pub(crate) fn lose(&self, floor: EventId) {
        let mut state = self.state();
        state.first += state.events.len() as u64 + 1;
        state.events.clear();
        state.bytes = 0;
        state.floor = floor;
        // After the last id that any client has seen, so that a client with that id learns of the
        // loss.
        state.last = marker_after(state.last);
        state.start = state.last;
        state.foreign = state.start.max(floor);
        state.start_number = state.first;
        state.evicted = state.start;
        state.losses.clear();
        state.retained.clear();
    }

    /// Keeps the last events of a topic in a store of its own, beginning with the events that are
    /// here.
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

    /// The number of events kept, their bytes, and the age of the oldest.
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

    /// The events from this number on, at most `max`. If the ring has dropped some of them,
    /// instead: those of them that their topics keep, however many, and the loss.
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

    /// The events of these topics after `after`, up to but without the event with the number `end`.
    /// The topics are sorted.
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

    /// Notes that the engine has no event up to `end` that is not here. The next event comes after
    /// it.
    pub(crate) fn reach(&self, end: EventId) {
        let mut state = self.state();
        state.floor = state.floor.max(end);
    }

    /// A function that tells whether an id is ahead of everything read of the order so far.
    pub(crate) fn ahead(&self) -> impl Fn(EventId) -> bool + use<> {
        let state = self.state();
        let (floor, start) = (state.floor, state.start);
        move |id| id > floor && id != start
    }

    /// Whether the event with this id has the number `next` or a higher one, as far as the ring
    /// knows.
    pub(crate) fn is_from(&self, id: EventId, next: u64) -> bool {
        let state = self.state();
        if next < state.first {
            // The ring may have dropped it already.
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
        // If the last event is lost, an older one would be wrong.
        latest.filter(|event| event.data.is_some()).cloned()
    }

    /// The last events of this topic, all or those after `after`, at most `most`.
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
    /// The place of a client of these topics that has seen the event `after`: after that event, or
    /// the order's start (`Some(None)`). `None` if `after` is no place of this order. It then does
    /// not show which events the client has seen, because others may have come after it.
    ///
    /// A `foreign` id counts if its event is here. Between the foreign ids and the last event that
    /// the ring dropped, any id may belong to an event that is gone.
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
        // Most events have the same topic as the event before, so they share its name.
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

    /// The index of the event with this number, or the index where it would be.
    fn index(&self, number: u64) -> usize {
        let index = number.saturating_sub(self.first);
        index.min(self.events.len() as u64) as usize
    }

    /// All events of a topic: first its own store, then the older ones in the ring.
    fn newest_first(&self, topic: &str) -> impl Iterator<Item = &Arc<StoredEvent>> {
        let own = self.retained.events(topic);
        let own_from = self.retained.events(topic).next().map(|first| first.number);
        let end = own_from.map_or(self.events.len(), |from| self.index(from));
        let older = self.events.range(..end).rev();
        own.rev()
            .chain(older.filter(move |event| &*event.topic == topic))
    }
}

/// A place after the last event that is not an event's own id: no engine gives so many ids in one
/// millisecond.
fn marker_after(last: EventId) -> EventId {
    const FIRST: u64 = 1 << 63;
    id_after(EventId {
        seq: last.seq.max(FIRST - 1),
        ..last
    })
}

/// Cuts a topic that is too long to a shorter one that is still too long: no subscriber has it, and
/// it costs no more than other topics.
fn cut(topic: &str) -> &str {
    let end = (TOPIC_BYTES + 1..topic.len()).find(|&end| topic.is_char_boundary(end));
    &topic[..end.unwrap_or(topic.len())]
}

#[cfg(test)]
mod tests;
