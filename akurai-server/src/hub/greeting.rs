//! The events that a subscriber gets before the events published from now on: the events it missed,
//! the values of its gauges, and its own place.

use std::sync::Arc;

use akurai_http::SseEvent;

use super::shared::Shared;
use super::stored_event::{self, StoredEvent};
use super::subscriber::Subscriber;
use crate::EventId;

/// The place at which a subscriber begins.
#[derive(Debug)]
pub(crate) enum Cursor {
    /// The end of the order at the time of its request.
    Now(EventId),
    After(EventId),
    /// Its request names an event that is not in this order.
    Unknown,
}

/// The greeting from a thread that has delivered all events before `next`.
pub(crate) struct Greeting<'a> {
    pub(crate) shared: &'a Shared,
    /// The number of the event that the thread delivers next, and the id of the last delivered one.
    pub(crate) next: u64,
    pub(crate) last: EventId,
}

/// An event that only says where the client is.
pub(crate) fn here(id: EventId) -> Vec<u8> {
    let here = SseEvent::default().id(id.to_string());
    here.encode().expect("an id of ours")
}

impl Greeting<'_> {
    /// Queues the greeting for a subscriber.
    pub(crate) fn queue(&self, subscriber: &mut Subscriber, cursor: &Cursor) {
        let end = match self.queue_missed(subscriber, cursor) {
            None => {
                self.shared.counts.resets.add(1);
                // The client gets this after all that was published by now, and loads its state
                // then. A loss that this thread meets later is not told again.
                subscriber.told = self.shared.ring.end().0;
                stored_event::reset(self.last)
            }
            Some(_) => here(self.last),
        };
        subscriber.backlog.queue_own(end);
    }

    /// Queues what the subscriber missed, and the values of its gauges if it begins. Returns how
    /// many events it missed; `None` if that cannot be told.
    pub(crate) fn queue_missed(
        &self,
        subscriber: &mut Subscriber,
        cursor: &Cursor,
    ) -> Option<usize> {
        let replay = match *cursor {
            Cursor::Now(id) | Cursor::After(id) => {
                let ring = &self.shared.ring;
                ring.replay(id, &subscriber.topics, self.next).ok()
            }
            Cursor::Unknown => None,
        };
        let missed = replay.as_deref().unwrap_or_default();
        let missed = self.relevant(missed);
        if !matches!((&replay, cursor), (Some(_), Cursor::After(_))) {
            // A client that begins, or begins again, gets the value of each gauge.
            let gauges = subscriber
                .topics
                .iter()
                .filter(|topic| self.shared.topics.is_gauge(topic));
            let mut latest: Vec<_> = gauges
                .filter(|topic| missed.iter().all(|event| event.topic != **topic))
                .filter_map(|topic| self.shared.ring.latest(topic, self.next))
                .collect();
            latest.sort_by_key(|event| event.id);
            for event in &latest {
                self.shared.count(event, 1);
                match replay {
                    Some(_) => subscriber.backlog.queue(event),
                    // Without an id: if the client came back with this id before it has the reset,
                    // it would never learn of the gap.
                    None => subscriber.backlog.queue_own(event.without_id()),
                }
            }
        }
        for event in &missed {
            self.shared.count(event, 1);
            subscriber.backlog.queue(event);
        }
        let missed = missed.len();
        replay.map(|_| missed)
    }

    /// The events that a client should get: for a gauge, only its last one.
    fn relevant<'a>(&self, events: &'a [Arc<StoredEvent>]) -> Vec<&'a Arc<StoredEvent>> {
        let mut seen: Vec<&str> = Vec::new();
        let mut relevant: Vec<_> = events
            .iter()
            .rev()
            .filter(|event| {
                let again = seen.contains(&&*event.topic);
                let gauge = self.shared.topics.is_gauge(&event.topic);
                if gauge && !again {
                    seen.push(&event.topic);
                }
                !(gauge && again)
            })
            .collect();
        relevant.reverse();
        relevant
    }
}
