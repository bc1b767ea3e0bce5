//! One thread that writes to many event streams. Their own threads are free for other work.

mod ending;
mod lap;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use akurai_http::{Socket, SseEvent};

use self::lap::Lap;
use super::early::Early;
use super::greeting::{Cursor, Greeting, here};
use super::mailbox::Mailbox;
use super::ring::{BATCH, Lost};
use super::shared::Shared;
use super::stored_event::{self, StoredEvent};
use super::subscriber::Subscriber;
use crate::EventId;
use crate::clock::{after, jitter, now};

/// How often the thread looks at a share of the subscribers.
const TICK: Duration = Duration::from_millis(250);

/// Messages of other threads for the thread that writes to event streams.
#[derive(Debug)]
pub(crate) enum StreamChange {
    Arrival(Arrival),
    /// The streams of this topic end before the event with this number.
    End(Arc<str>, u64),
}

/// A client that subscribes.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) socket: Socket,
    pub(crate) topics: Box<[Arc<str>]>,
    pub(crate) cursor: Cursor,
    /// How many topics had been ended when its handler called the hub.
    pub(crate) ends: u64,
}

/// The event streams of one thread.
pub(crate) struct EventStreams {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox<StreamChange>>,
    slots: Vec<Option<Subscriber>>,
    free: Vec<u32>,
    by_topic: HashMap<Arc<str>, Vec<u32>>,
    /// The number of the next event to deliver, and the id of the last delivered one.
    next: u64,
    last: EventId,
    lap: Lap,
    /// When the thread tries a stalled subscriber again, and its slot.
    stalled: BTreeSet<(Instant, u32)>,
    /// Subscribers that are ahead of this node; they are not in `by_topic`.
    early: Vec<u32>,
    /// Streams that end, and until when the thread keeps each.
    ending: Vec<(Subscriber, Instant)>,
    scratch: Vec<u8>,
    next_tick: Instant,
    /// The slot at which the next tick begins to look.
    look_at: usize,
    stopping: bool,
}

impl EventStreams {
    pub(crate) fn new(shared: Arc<Shared>, mailbox: Arc<Mailbox<StreamChange>>) -> EventStreams {
        let (next, last) = shared.ring.end();
        EventStreams {
            shared,
            mailbox,
            slots: Vec::new(),
            free: Vec::new(),
            by_topic: HashMap::new(),
            next,
            last,
            lap: Lap::default(),
            stalled: BTreeSet::new(),
            early: Vec::new(),
            ending: Vec::new(),
            scratch: Vec::new(),
            next_tick: now() + TICK,
            look_at: 0,
            stopping: false,
        }
    }

    /// Runs until the mailbox ends.
    ///
    /// In a lap the thread writes to each subscriber that has got an event, and it rests behind the
    /// lap. It looks for new events during the lap too: a subscriber that it has yet to write to
    /// gets them in the same write, and the others in the next lap.
    pub(crate) fn run(mut self) {
        while let Some((changes, end)) = self.next_pass(self.deadline()) {
            if let Some(took) = self.work(changes, end) {
                self.mailbox.rest(took);
            }
        }
    }

    /// Makes a pass, and does what is due behind it. Returns how long the lap took, if it is over.
    fn work(&mut self, changes: Vec<StreamChange>, end: u64) -> Option<Duration> {
        let arrivals = self.pass(changes, end);
        let took = self.write_next();
        for arrival in arrivals {
            self.admit(arrival);
        }
        if self.lap.looks_after_early() {
            self.place_early();
        }
        self.retry_stalled();
        self.tick();
        took
    }

    /// Until when the thread may wait for a pass.
    fn deadline(&self) -> Instant {
        if !self.lap.is_empty() {
            return now();
        }
        let retry = self.stalled.first();
        retry.map_or(self.next_tick, |&(at, _)| at.min(self.next_tick))
    }

    /// Waits for a pass. Returns its messages, and the number before which its events end: an event
    /// that is published after a topic's end is not of this pass unless that end is.
    fn next_pass(&self, deadline: Instant) -> Option<(Vec<StreamChange>, u64)> {
        let ring = &self.shared.ring;
        self.mailbox.wait_with(Some(deadline), || ring.end().0)
    }

    /// Events published before go to the subscribers that are already here. A new subscriber begins
    /// after them; it is among those that this returns.
    fn pass(&mut self, changes: Vec<StreamChange>, end: u64) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        for change in changes {
            match change {
                StreamChange::Arrival(arrival) => arrivals.push(arrival),
                StreamChange::End(topic, before) => {
                    self.deliver(before);
                    self.place_early();
                    self.end_topic(&topic);
                }
            }
        }
        self.deliver(end);
        arrivals
    }

    fn admit(&mut self, arrival: Arrival) {
        let Arrival {
            socket,
            topics,
            cursor,
            ends,
        } = arrival;
        let options = &self.shared.options;
        // It was still on its way when its topic was ended.
        let is_over = self.shared.topics.ended_since(ends, &topics);
        let ends = after(jitter(options.lifetime, 8));
        let retry = SseEvent::default().retry(jitter(options.retry, 2));
        let mut subscriber = Subscriber::new(socket, topics, ends);
        if let Some(before) = is_over {
            return self.end_arrival(subscriber, &cursor, before);
        }
        subscriber
            .backlog
            .queue_own(retry.encode().expect("it has neither name nor id"));
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                (self.slots.len() - 1) as u32
            }
        };
        if let Some(early) = self.early(&cursor) {
            subscriber.early = Some(early);
            self.early.push(slot);
            self.slots[slot as usize] = Some(subscriber);
            self.flush(slot);
            return;
        }
        self.place(slot, subscriber, cursor);
    }

    /// A subscriber at this cursor is early if this thread does not know its place yet.
    fn early(&self, cursor: &Cursor) -> Option<Early> {
        let Cursor::After(id) = *cursor else {
            return None;
        };
        let is_ahead = self.shared.has_engine && self.shared.ring.ahead()(id);
        // Another thread may have given it an event that this thread has not delivered yet.
        let is_early = is_ahead || self.shared.ring.is_from(id, self.next);
        is_early.then(|| self.shared.looks.want(id))
    }

    /// Gives early subscribers their place, if it is known now.
    fn place_early(&mut self) {
        if self.early.is_empty() {
            return;
        }
        let is_ahead = self.shared.ring.ahead();
        let shown = self.shared.looks.shown();
        for slot in std::mem::take(&mut self.early) {
            let subscriber = self.slots[slot as usize].take_if(|subscriber| {
                subscriber.early.is_some_and(|early| {
                    match self.shared.has_engine && is_ahead(early.id) {
                        true => shown.is_short_of(early),
                        false => !self.shared.ring.is_from(early.id, self.next),
                    }
                })
            });
            let Some(mut subscriber) = subscriber else {
                self.early.push(slot);
                continue;
            };
            let cursor = match subscriber.early.take() {
                Some(early) if !is_ahead(early.id) => Cursor::After(early.id),
                _ => Cursor::Unknown,
            };
            self.place(slot, subscriber, cursor);
        }
    }

    /// Puts a subscriber at its place in the order.
    fn place(&mut self, slot: u32, mut subscriber: Subscriber, cursor: Cursor) {
        let greeting = Greeting {
            shared: &self.shared,
            next: self.next,
            last: self.last,
        };
        greeting.queue(&mut subscriber, &cursor);
        subscriber.backlog.allow();
        for topic in &subscriber.topics {
            self.by_topic
                .entry(Arc::clone(topic))
                .or_default()
                .push(slot);
        }
        self.slots[slot as usize] = Some(subscriber);
        self.flush(slot);
    }

    /// Gives new events to the subscribers of their topics, up to the event with the number `end`.
    fn deliver(&mut self, end: u64) {
        // An event published meanwhile sends its own signal. So this ends even if events never
        // stop.
        while self.next < end {
            // Before its write, no subscriber gets more than a batch: it has not been slow.
            let first = self.lap.first().unwrap_or(self.next);
            let most = (first + BATCH as u64).min(end).saturating_sub(self.next);
            if most == 0 {
                self.write_next();
                continue;
            }
            let most = most as usize;
            let read = self.shared.ring.read(self.next, most).up_to(end);
            if let Some(lost) = &read.lost {
                // This thread was so far behind that the ring has dropped events it did not
                // deliver. The affected clients get a `reset` before any later event, with an id
                // before the loss. If a client is cut off in between, it learns of the loss when it
                // comes back.
                if read.events.is_empty() {
                    self.last = lost.at;
                }
                self.reset_those(lost);
            }
            if let Some(last) = read.events.last() {
                self.last = last.id;
            }
            let mut events = &read.events[..];
            while let [event, later @ ..] = events {
                self.queue(event, later);
                events = later;
            }
            if let Some(lost) = read.lost {
                self.last = lost.at;
            }
            self.next = read.next;
        }
    }

    /// Queues an event. It will be written together with the events in `later`.
    fn queue(&mut self, event: &Arc<StoredEvent>, later: &[Arc<StoredEvent>]) {
        let Some(slots) = self.by_topic.get(&event.topic) else {
            return;
        };
        let gauge = self.shared.topics.is_gauge(&event.topic);
        let is_replaced = gauge && later.iter().any(|later| later.topic == event.topic);
        if !(is_replaced && event.data.is_none()) {
            self.shared.count(event, slots.len());
        }
        if is_replaced {
            // A later event replaces it for each subscriber, before the thread writes to any of
            // them.
            return;
        }
        for &slot in slots {
            let Some(subscriber) = &mut self.slots[slot as usize] else {
                continue;
            };
            if subscriber.backlog.is_empty() {
                self.lap.wait(slot, event.number);
            }
            match gauge {
                true => subscriber.backlog.queue_latest(event),
                false => subscriber.backlog.queue(event),
            }
        }
    }

    /// Sends a `reset` to subscribers that lost an event between the last delivered event and the
    /// next.
    fn reset_those(&mut self, lost: &Lost) {
        let reset = stored_event::reset(self.last);
        for slot in 0..self.slots.len() {
            let subscriber = self.slots[slot].as_mut();
            // An early subscriber may have seen the lost events. Its place will tell.
            let Some(subscriber) = subscriber.filter(|subscriber| subscriber.early.is_none())
            else {
                continue;
            };
            let from = self.next.max(subscriber.told);
            let mut topics = subscriber.topics.iter();
            if topics.any(|topic| lost.concerns(topic, from)) {
                subscriber.backlog.queue_own(reset.clone());
                self.shared.counts.resets.add(1);
                self.flush(slot as u32);
            }
        }
    }

    /// Looks at a share of the subscribers. All of them are looked at within a sweep.
    fn tick(&mut self) {
        let now = now();
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        self.notice_stop(now);
        self.ending.retain_mut(|(subscriber, until)| {
            now < *until && subscriber.go_on_ending(&mut self.scratch)
        });
        let ticks = self.shared.options.sweep.as_millis() / TICK.as_millis();
        let ticks = usize::try_from(ticks).unwrap_or(usize::MAX);
        let share = self.slots.len().div_ceil(ticks.max(1));
        for _ in 0..share {
            if self.look_at >= self.slots.len() {
                self.look_at = 0;
            }
            self.look(self.look_at as u32, now);
            self.look_at += 1;
        }
        if self.stopping {
            for slot in 0..self.slots.len() {
                self.end_if_due(slot as u32, now);
            }
        }
    }

    fn look(&mut self, slot: u32, now: Instant) {
        let Some(subscriber) = &mut self.slots[slot as usize] else {
            return;
        };
        if !subscriber.is_there() {
            return self.remove(slot, drop);
        }
        if self.shared.vanished.has(|| subscriber.ends_of_connection()) {
            self.shared.counts.dropped.add(1);
            return self.remove(slot, Subscriber::cut);
        }
        let idle = now.saturating_duration_since(subscriber.last_write);
        if subscriber.backlog.is_empty() && idle >= self.shared.options.heartbeat {
            subscriber.backlog.queue_own(match subscriber.early {
                None => here(self.last),
                // With our id, it would come back from a place before its own.
                Some(_) => SseEvent::comment("").encode().expect("it is empty"),
            });
            self.flush(slot);
        }
        self.end_if_due(slot, now);
    }

    fn remove(&mut self, slot: u32, end: impl FnOnce(Subscriber)) {
        if let Some(subscriber) = self.take(slot) {
            let topics = subscriber.topics.clone();
            end(subscriber);
            self.count_left(&topics);
        }
    }

    fn count_left(&self, topics: &[Arc<str>]) {
        self.shared.counts.subscriber_left();
        self.shared.topics.left(topics);
    }

    /// Frees a subscriber's slot.
    fn take(&mut self, slot: u32) -> Option<Subscriber> {
        let subscriber = self.slots[slot as usize].take()?;
        self.free.push(slot);
        if subscriber.early.is_some() {
            self.early.retain(|&other| other != slot);
        }
        for topic in &subscriber.topics {
            if let Some(slots) = self.by_topic.get_mut(topic) {
                slots.retain(|&other| other != slot);
                if slots.is_empty() {
                    self.by_topic.remove(topic);
                }
            }
        }
        Some(subscriber)
    }
}

#[cfg(test)]
mod tests;
