//! The engine for a single process: events in memory, which are gone when the process ends.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Batch, Engine, Event, EventId, id_after};
use crate::lock::{self, lock};

/// Keeps the last events in memory. Clones share them, so that several hubs of one process can be
/// nodes of one engine. So a program that runs on several nodes of a [`Redis`](crate::Redis) can
/// test them together without a server. A hub on its own needs no engine:
/// [`Hub::new`](crate::Hub::new).
///
/// ```
/// use akurai_server::{Engine, Memory};
/// use std::time::Duration;
///
/// let engine = Memory::new(10_000);
/// let first = engine.publish("news", "", "one")?;
/// engine.publish("news", "", "two")?;
/// let batch = engine.next(first, Duration::ZERO, 10)?;
/// assert_eq!(batch.events[0].data, "two");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Memory {
    log: Arc<Log>,
}

#[derive(Debug)]
struct Log {
    state: Mutex<LogState>,
    published: Condvar,
    events: usize,
}

#[derive(Debug)]
struct LogState {
    events: VecDeque<Event>,
    last: EventId,
    /// The id of the last event that was dropped. All later events are still here.
    dropped: EventId,
}

impl Memory {
    /// An empty engine that keeps the last `events` events, at least one.
    pub fn new(events: usize) -> Memory {
        Memory {
            log: Arc::new(Log {
                state: Mutex::new(LogState {
                    events: VecDeque::new(),
                    last: EventId::default(),
                    dropped: EventId::default(),
                }),
                published: Condvar::new(),
                events: events.max(1),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, LogState> {
        lock(&self.log.state)
    }
}

impl Engine for Memory {
    fn publish(&self, topic: &str, name: &str, data: &str) -> io::Result<EventId> {
        let mut state = self.state();
        let id = next_id(state.last, now_ms());
        state.last = id;
        if state.events.len() == self.log.events {
            if let Some(oldest) = state.events.pop_front() {
                state.dropped = oldest.id;
            }
        }
        state.events.push_back(Event {
            id,
            topic: topic.to_owned(),
            name: name.to_owned(),
            data: data.to_owned(),
        });
        drop(state);
        self.log.published.notify_all();
        Ok(id)
    }

    fn next(&self, after: EventId, wait: Duration, max: usize) -> io::Result<Batch> {
        let deadline = Instant::now().checked_add(wait);
        let mut state = self.state();
        while state.last <= after {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(Batch {
                    end: after,
                    ..Batch::default()
                });
            }
            state = lock::wait(&self.log.published, state, deadline);
        }
        let start = state.events.partition_point(|event| event.id <= after);
        let events: Vec<Event> = state.events.range(start..).take(max).cloned().collect();
        Ok(Batch {
            gap: after < state.dropped,
            end: events.last().map_or(after, |last| last.id),
            events,
        })
    }

    fn tail(&self, max: usize) -> io::Result<Batch> {
        let state = self.state();
        let start = state.events.len().saturating_sub(max);
        Ok(Batch {
            events: state.events.range(start..).cloned().collect(),
            gap: false,
            end: state.last,
        })
    }
}

/// The next id after `last`. It follows the clock, but never goes back: if the clock was set back,
/// only the sequence number grows.
pub(crate) fn next_id(last: EventId, now_ms: u64) -> EventId {
    match now_ms > last.ms {
        true => EventId { ms: now_ms, seq: 0 },
        false => id_after(last),
    }
}

pub(crate) fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn ids_only_grow() {
        let id = |ms, seq| EventId { ms, seq };
        assert_eq!(next_id(id(5, 3), 6), id(6, 0));
        assert_eq!(next_id(id(5, 3), 5), id(5, 4));
        assert_eq!(next_id(id(5, 3), 1), id(5, 4));
    }

    #[test]
    fn what_was_dropped_is_a_gap() {
        let engine = Memory::new(2);
        let ids: Vec<_> = (0..4)
            .map(|n| engine.publish("t", "", &n.to_string()).unwrap())
            .collect();
        let next = |after| {
            let batch = engine.next(after, Duration::ZERO, 10).unwrap();
            let data: Vec<_> = batch.events.into_iter().map(|event| event.data).collect();
            (data.join(" "), batch.gap)
        };
        assert_eq!(next(ids[0]), ("2 3".into(), true));
        assert_eq!(next(ids[1]), ("2 3".into(), false));
        assert_eq!(next(ids[2]), ("3".into(), false));
        assert_eq!(next(ids[3]), (String::new(), false));
        assert_eq!(next(EventId::default()), ("2 3".into(), true));
        let empty = Memory::new(2).next(EventId::default(), Duration::ZERO, 10);
        assert_eq!(empty.unwrap(), Batch::default());
        let tail = engine.tail(1).unwrap();
        assert_eq!((&*tail.events[0].data, tail.end), ("3", tail.events[0].id));
        let none = engine.tail(0).unwrap();
        assert_eq!((none.events.len(), none.end), (0, tail.end));
    }

    #[test]
    fn a_reader_waits_for_the_next_event() {
        let engine = Memory::new(2);
        let reader = engine.clone();
        let after = engine.publish("t", "", "seen").unwrap();
        let waiting =
            thread::spawn(move || reader.next(after, Duration::from_secs(5), 10).unwrap());
        engine.publish("t", "", "new").unwrap();
        let batch = waiting.join().unwrap();
        assert_eq!(batch.events[0].data, "new");
        assert!(
            engine
                .next(batch.events[0].id, Duration::from_millis(5), 1)
                .unwrap()
                .events
                .is_empty()
        );
    }
}
