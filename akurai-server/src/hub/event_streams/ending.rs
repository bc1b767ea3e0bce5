//! How event streams end: their lifetime is over, the program ends their topic, or the server
//! stops.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use akurai_http::SseEvent;

use super::super::greeting::{Cursor, Greeting, here};
use super::super::subscriber::Subscriber;
use super::EventStreams;
use crate::clock::{after, below, jitter};

/// How long the thread keeps a stream that ends. Its client may need time for what waits. It may
/// also still be sending, and a reset of the connection would destroy the last events (RFC 9112
/// §9.6).
const ENDING_TIME: Duration = Duration::from_secs(5);

impl EventStreams {
    /// Ends a connection whose lifetime is over. Its client comes back, maybe to another server.
    pub(super) fn end_if_due(&mut self, slot: u32, now: Instant) {
        let subscriber = self.slots[slot as usize].as_ref();
        if subscriber.is_none_or(|subscriber| now < subscriber.ends) {
            return;
        }
        if let Some(subscriber) = self.take(slot) {
            self.finish(subscriber);
        }
    }

    /// Ends the streams of a topic.
    pub(super) fn end_topic(&mut self, topic: &str) {
        let mut slots = self.by_topic.remove(topic).unwrap_or_default();
        let is_of_topic = |slot: &&u32| {
            let subscriber = self.slots[**slot as usize].as_ref();
            subscriber.is_some_and(|early| early.topics.iter().any(|other| **other == *topic))
        };
        slots.extend(self.early.iter().filter(is_of_topic));
        let mut others: HashSet<Arc<str>> = HashSet::new();
        for &slot in &slots {
            if let Some(subscriber) = self.slots[slot as usize].take() {
                others.extend(subscriber.topics.iter().cloned());
                self.shared.counts.ended.add(1);
                self.finish(subscriber);
            }
        }
        // Once for each topic: for each stream, the work would grow with the square of their
        // number.
        let all = &self.slots;
        for other in others {
            if let Some(of_other) = self.by_topic.get_mut(&other) {
                of_other.retain(|&slot| all[slot as usize].is_some());
                if of_other.is_empty() {
                    self.by_topic.remove(&other);
                }
            }
        }
        self.early.retain(|&slot| all[slot as usize].is_some());
        self.free.append(&mut slots);
    }

    /// Ends a stream whose topic was ended before the event with this number, while the stream was
    /// still on its way.
    pub(super) fn end_arrival(&mut self, mut subscriber: Subscriber, cursor: &Cursor, before: u64) {
        self.shared.counts.ended.add(1);
        let greeting = Greeting {
            shared: &self.shared,
            next: before,
            last: self.last,
        };
        let missed = greeting.queue_missed(&mut subscriber, cursor);
        if let (Cursor::Now(id), None | Some(0)) = (cursor, missed) {
            // Otherwise its client would come back without an id, and begin at a later "now".
            subscriber.backlog.queue_own(here(*id));
        }
        subscriber.backlog.allow();
        self.finish(subscriber);
    }

    /// Ends the stream of a subscriber that has no slot any more. Its client comes back.
    pub(super) fn finish(&mut self, mut subscriber: Subscriber) {
        let retry = SseEvent::default().retry(jitter(self.shared.options.retry, 2));
        subscriber
            .backlog
            .queue_own(retry.encode().expect("it has neither name nor id"));
        let topics = mem::take(&mut subscriber.topics);
        // If its time is over before all is taken, the client asks again for what it missed.
        if subscriber.end(&mut self.scratch) {
            self.ending.push((subscriber, after(ENDING_TIME)));
        }
        self.count_left(&topics);
    }

    /// When the server stops, the thread spreads the ends of the connections, so that the clients
    /// do not all come to the next server at once.
    pub(super) fn notice_stop(&mut self, now: Instant) {
        for subscriber in self.slots.iter_mut().flatten() {
            if !subscriber.is_ending && subscriber.is_stopping() {
                subscriber.is_ending = true;
                let spread = below(self.shared.options.spread);
                subscriber.ends = subscriber.ends.min(now + spread);
                self.stopping = true;
            }
        }
    }
}
