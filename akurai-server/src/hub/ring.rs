//! The last events of a hub, each encoded once.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use akurai_http::SseEvent;
use akurai_ws::Prepared;

use crate::EventId;
use crate::engine::{id_after, next_id, now_ms};

/// Longest id with its field name and line end, in bytes.
const ID_BYTES: usize = 46;

/// Events taken from the ring at a time.
pub(crate) const BATCH: usize = 256;

/// What bounds a ring.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RingLimits {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    pub(crate) age: Duration,
}

/// An event on its way to all subscribers.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) id: EventId,
    pub(crate) topic: Arc<str>,
    /// As it stands in an event stream.
    pub(crate) sse: Box<[u8]>,
    /// What a WebSocket subscriber gets, encoded when the first one does.
    data: Box<str>,
    message: OnceLock<Prepared>,
    at: Instant,
}

impl Stored {
    /// The data as a WebSocket message.
    pub(crate) fn message(&self) -> &Prepared {
        self.message.get_or_init(|| Prepared::text(&self.data))
    }

    /// The event as it stands in a stream that is not yet at its place, and must not come back with it.
    pub(crate) fn without_id(&self) -> Vec<u8> {
        let id_bytes = id_line(self.id).len();
        let mut sse = self.sse[..self.sse.len() - id_bytes].to_vec();
        sse.push(b'\n');
        sse
    }
}

#[derive(Debug)]
pub(crate) struct Ring {
    limits: RingLimits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    events: VecDeque<Arc<Stored>>,
    /// The number of the first of them; they are numbered from 0 as they come.
    first: u64,
    bytes: usize,
    /// Where whoever begins now stands: at the last event, or where it would be.
    last: EventId,
    /// What an engine brings is new if it is after this. It is the last one, unless the order began anew.
    floor: EventId,
    /// The place behind which everything is kept.
    dropped: EventId,
}

/// Events that follow one another.
#[derive(Debug)]
pub(crate) struct Run {
    /// The number of the first of them, or of the next one that will be published.
    pub(crate) first: u64,
    pub(crate) events: Vec<Arc<Stored>>,
    /// If some before them are lost, the id of the last one that is.
    pub(crate) lost: Option<EventId>,
}

/// The event with the id that a client remembers is followed by some that are lost, or was never ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gap;

impl Ring {
    /// An empty ring. Ids that are not after `origin` are of another time.
    pub(crate) fn new(limits: RingLimits, origin: EventId) -> Ring {
        Ring {
            limits,
            state: Mutex::new(State {
                events: VecDeque::new(),
                first: 0,
                bytes: 0,
                last: origin,
                floor: origin,
                dropped: origin,
            }),
        }
    }

    /// Adds an event under the next id.
    pub(crate) fn publish(&self, topic: &str, name: &str, data: &str) -> io::Result<EventId> {
        // The text is encoded before the lock is taken; the id is a line behind it.
        let mut sse = self.encode(name, data)?;
        let mut state = self.state();
        let id = next_id(state.last, now_ms());
        finish(&mut sse, id);
        state.push(id, topic, sse, data, self.limits);
        Ok(id)
    }

    /// Whether an event with this name and text fits.
    pub(crate) fn check(&self, name: &str, data: &str) -> io::Result<()> {
        self.encode(name, data).map(drop)
    }

    /// Adds an event that has its id; one that is not after the last is here already.
    pub(crate) fn add(&self, id: EventId, topic: &str, name: &str, data: &str) -> io::Result<()> {
        let mut sse = self.encode(name, data)?;
        finish(&mut sse, id);
        let mut state = self.state();
        if id > state.floor {
            state.push(id, topic, sse, data, self.limits);
        }
        Ok(())
    }

    /// Says that events between the last one here and the next are lost. What comes next is after `floor`, which may lie before
    /// what was here, if the order began anew.
    pub(crate) fn lose(&self, floor: EventId) {
        let mut state = self.state();
        state.first += state.events.len() as u64 + 1;
        state.events.clear();
        state.bytes = 0;
        // Behind the last one that anybody has seen, so that whoever stands there learns of it.
        state.floor = floor;
        state.last = id_after(state.last);
        state.dropped = state.last;
    }

    /// The number that the next event will have, and the id of the last one.
    pub(crate) fn end(&self) -> (u64, EventId) {
        let state = self.state();
        (state.first + state.events.len() as u64, state.last)
    }

    /// The events from this number on, at most `max`.
    pub(crate) fn from(&self, number: u64, max: usize) -> Run {
        let state = self.state();
        let start = number
            .saturating_sub(state.first)
            .min(state.events.len() as u64) as usize;
        Run {
            first: number.max(state.first),
            lost: (number < state.first).then_some(state.dropped),
            events: state.events.range(start..).take(max).cloned().collect(),
        }
    }

    /// The events that follow `after`, up to the one that has the number `end`.
    pub(crate) fn replay(&self, after: EventId, end: u64) -> Result<Vec<Arc<Stored>>, Gap> {
        let state = self.state();
        let start = state.behind(after).ok_or(Gap)?;
        let end = end
            .saturating_sub(state.first)
            .min(state.events.len() as u64) as usize;
        Ok(state.events.range(start..end.max(start)).cloned().collect())
    }

    /// Says that the engine has nothing up to `end` which is not here: what comes next is after it.
    pub(crate) fn reach(&self, end: EventId) {
        let mut state = self.state();
        state.floor = state.floor.max(end);
    }

    /// Tells of an id whether it lies ahead of all that was read of the order so far.
    pub(crate) fn ahead(&self) -> impl Fn(EventId) -> bool + use<> {
        let state = self.state();
        let (floor, start) = (state.floor, state.dropped);
        move |id| id > floor && id != start
    }

    /// Whether the event with this id is here and has the number `next` or a higher one.
    pub(crate) fn is_from(&self, id: EventId, next: u64) -> bool {
        let state = self.state();
        let found = state.events.binary_search_by_key(&id, |event| event.id);
        found.is_ok_and(|at| state.first + at as u64 >= next)
    }

    /// The last event of this topic, if it is still here and has a number below `end`.
    pub(crate) fn latest(&self, topic: &str, end: u64) -> Option<Arc<Stored>> {
        let state = self.state();
        let end = end
            .saturating_sub(state.first)
            .min(state.events.len() as u64) as usize;
        let mut events = state.events.range(..end).rev();
        events.find(|event| &*event.topic == topic).cloned()
    }

    fn encode(&self, name: &str, data: &str) -> io::Result<Vec<u8>> {
        let sse = SseEvent::data(data).event(name).encode()?;
        if sse.len() + data.len() + ID_BYTES > self.limits.bytes {
            let message = "event is larger than the hub's ring";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(sse)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Where the events behind `after` begin. An id that is neither here nor the place where the ring begins tells nothing of
    /// what its client has seen: it may be of another time, in which others came behind it.
    fn behind(&self, after: EventId) -> Option<usize> {
        if after == self.dropped {
            return Some(0);
        }
        let found = self.events.binary_search_by_key(&after, |event| event.id);
        found.ok().map(|at| at + 1)
    }

    fn push(&mut self, id: EventId, topic: &str, sse: Vec<u8>, data: &str, limits: RingLimits) {
        // Most events are about what the last one was about.
        let topic = match self.events.back() {
            Some(last) if &*last.topic == topic => Arc::clone(&last.topic),
            _ => Arc::from(topic),
        };
        let at = Instant::now();
        self.last = id;
        self.floor = id;
        self.bytes += sse.len() + data.len();
        self.events.push_back(Arc::new(Stored {
            id,
            topic,
            sse: sse.into_boxed_slice(),
            data: data.into(),
            message: OnceLock::new(),
            at,
        }));
        while self.events.len() > limits.events
            || self.bytes > limits.bytes
            || self
                .events
                .front()
                .is_some_and(|oldest| at - oldest.at > limits.age)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.events.pop_front() {
            self.first += 1;
            self.bytes -= oldest.sse.len() + oldest.data.len();
            self.dropped = oldest.id;
        }
    }
}

/// Puts the id into an encoded event, before the empty line that ends it.
fn finish(sse: &mut Vec<u8>, id: EventId) {
    sse.truncate(sse.len() - 1);
    sse.extend_from_slice(id_line(id).as_bytes());
}

/// What an event ends with.
fn id_line(id: EventId) -> String {
    format!("id: {id}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id_before;

    const LIMITS: RingLimits = RingLimits {
        events: 3,
        bytes: 1000,
        age: Duration::from_secs(60),
    };

    fn ring() -> Ring {
        Ring::new(LIMITS, EventId { ms: 1, seq: 0 })
    }

    fn text(events: &[Arc<Stored>]) -> String {
        let text: Vec<_> = events
            .iter()
            .map(|event| {
                std::str::from_utf8(&event.sse)
                    .unwrap()
                    .lines()
                    .next()
                    .unwrap()
            })
            .collect();
        text.join(" ").replace("data: ", "")
    }

    #[test]
    fn an_event_is_encoded_with_its_id() {
        let ring = ring();
        let id = ring.publish("t", "tick", "a\nb").unwrap();
        let Run { events, lost, .. } = ring.from(0, 10);
        assert_eq!(lost, None);
        let expected = format!("event: tick\ndata: a\ndata: b\nid: {id}\n\n");
        assert_eq!(std::str::from_utf8(&events[0].sse), Ok(&*expected));
        assert_eq!(events[0].without_id(), b"event: tick\ndata: a\ndata: b\n\n");
        assert!(ring.publish("t", "a\nb", "").is_err());
        assert_eq!(ring.end(), (1, id));
    }

    #[test]
    fn what_is_lost_is_told() {
        let ring = ring();
        let ids: Vec<_> = (0..5)
            .map(|n| ring.publish("t", "", &n.to_string()).unwrap())
            .collect();
        assert_eq!(text(&ring.from(2, 10).events), "2 3 4");
        assert_eq!(
            (ring.from(2, 10).lost, ring.from(1, 10).lost),
            (None, Some(ids[1]))
        );
        assert_eq!(text(&ring.from(3, 1).events), "3");
        assert_eq!(text(&ring.from(9, 1).events), "");
        assert_eq!(text(&ring.replay(ids[1], 5).unwrap()), "2 3 4");
        assert_eq!(text(&ring.replay(ids[2], 4).unwrap()), "3");
        assert_eq!(text(&ring.replay(ids[4], 5).unwrap()), "");
        assert_eq!(ring.replay(ids[0], 5).unwrap_err(), Gap);
        assert_eq!(ring.replay(EventId::default(), 5).unwrap_err(), Gap);
        let later = EventId {
            ms: u64::MAX,
            seq: 0,
        };
        assert_eq!(ring.replay(later, 5).unwrap_err(), Gap);
        ring.lose(ids[4]);
        assert_eq!(ring.replay(ids[3], 9).unwrap_err(), Gap);
        // Whoever had seen all is told as well: the next may not be the one that follows.
        assert_eq!(ring.replay(ids[4], 9).unwrap_err(), Gap);
        let run = ring.from(5, 10);
        assert!(run.lost.is_some_and(|lost| lost > ids[4]));
        assert_eq!((run.first, run.events.len()), (6, 0));
        let (number, last) = ring.end();
        assert_eq!(number, 6);
        // Whoever was told goes on from there.
        assert_eq!(text(&ring.replay(last, 9).unwrap()), "");
    }

    #[test]
    fn bounds_of_bytes_and_age() {
        let large = "x".repeat(200);
        let ring = ring();
        for _ in 0..3 {
            ring.publish("t", "", &large).unwrap();
        }
        assert_eq!(ring.from(0, 10).events.len(), 2);
        let brief = RingLimits {
            age: Duration::ZERO,
            ..LIMITS
        };
        let ring = Ring::new(brief, EventId::default());
        ring.publish("t", "", "1").unwrap();
        while ring.end().1.ms == now_ms() {}
        ring.publish("t", "", "2").unwrap();
        assert_eq!(text(&ring.from(0, 10).events), "2");
    }

    #[test]
    fn ids_of_others_come_in_order_and_once() {
        let ring = ring();
        let id = |ms| EventId { ms, seq: 0 };
        for ms in [5, 7, 7, 6, 9] {
            ring.add(id(ms), "t", "", &ms.to_string()).unwrap();
        }
        assert_eq!(text(&ring.from(0, 10).events), "5 7 9");
        assert_eq!(ring.latest("t", 2).map(|event| event.id), Some(id(7)));
        assert!(ring.latest("other", 9).is_none());

        let empty = Ring::new(LIMITS, EventId::default());
        empty.add(id(5), "t", "", "5").unwrap();
        assert_eq!(text(&empty.replay(EventId::default(), 1).unwrap()), "5");
        assert_eq!(empty.replay(id(4), 1).unwrap_err(), Gap);

        // What came before is elsewhere.
        let later = Ring::new(LIMITS, id_before(id(5)));
        later.add(id(5), "t", "", "5").unwrap();
        assert_eq!(later.replay(EventId::default(), 1).unwrap_err(), Gap);
        assert_eq!(text(&later.replay(id_before(id(5)), 1).unwrap()), "5");
    }

    #[test]
    fn an_id_that_was_never_here_is_a_gap() {
        let ring = ring();
        let id = |ms| EventId { ms, seq: 0 };
        for ms in [5, 9] {
            ring.add(id(ms), "t", "", &ms.to_string()).unwrap();
        }
        for ms in [0, 2, 7, 10] {
            assert_eq!(ring.replay(id(ms), 9).unwrap_err(), Gap, "{ms}");
        }
    }

    #[test]
    fn behind_the_last_id_of_a_millisecond_is_the_next_one() {
        let ring = ring();
        let last = EventId {
            ms: 5,
            seq: u64::MAX,
        };
        ring.add(last, "t", "", "5").unwrap();
        ring.lose(last);
        assert_eq!(ring.end().1, EventId { ms: 6, seq: 0 });
        assert_eq!(next_id(last, 5), EventId { ms: 6, seq: 0 });
    }

    #[test]
    fn an_order_that_begins_anew_may_have_lower_ids() {
        let ring = ring();
        let id = |ms| EventId { ms, seq: 0 };
        ring.add(id(9), "t", "", "9").unwrap();
        ring.lose(id(3));
        for ms in [3, 4, 5] {
            ring.add(id(ms), "t", "", &ms.to_string()).unwrap();
        }
        assert_eq!(text(&ring.from(0, 9).events), "4 5");
        assert_eq!(ring.end().1, id(5));
        assert_eq!(text(&ring.replay(id(4), 9).unwrap()), "5");
        for old in [id(3), id(9)] {
            assert_eq!(ring.replay(old, 9).unwrap_err(), Gap);
        }
        // Who was told of it while nothing was here yet stands before the first.
        let told = EventId { ms: 9, seq: 1 };
        assert_eq!(text(&ring.replay(told, 9).unwrap()), "4 5");
    }
}
