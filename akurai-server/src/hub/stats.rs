//! The counts of a hub.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The current state of one hub, and its counts since it was created, on this node alone; see
/// [`Hub::stats`](crate::Hub::stats).
///
/// The counts (from `published` on) never go back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct HubStats {
    /// Whether events get through now, as far as the hub knows; see
    /// [`Hub::ready`](crate::Hub::ready).
    pub ready: bool,
    /// Event streams that are open.
    pub subscribers: usize,
    /// Subscriptions of WebSockets: one for each topic that a WebSocket joined.
    pub members: usize,
    /// Topics with at least one subscriber or member.
    pub topics: usize,
    /// Events that the hub's ring keeps for clients that come back.
    pub ring_events: usize,
    /// Bytes of these events, as [`HubOptions::max_ring_bytes`](crate::HubOptions::max_ring_bytes)
    /// counts them.
    pub ring_bytes: usize,
    /// Age of the oldest of these events. A client that was away for less than this loses nothing.
    /// Zero if the ring is empty.
    pub ring_span: Duration,
    /// Events that [`publish`](crate::Hub::publish) accepted.
    pub published: u64,
    /// Events that it refused because they were invalid or did not fit (`InvalidInput`).
    pub refused: u64,
    /// Events that the engine did not accept, or may or may not have kept. Always 0 for a hub
    /// without an engine.
    pub publish_errors: u64,
    /// Failed reads from the engine. The hub tries again, so this grows while the engine is
    /// unreachable.
    pub read_errors: u64,
    /// How often the engine connected again after it lost a connection; see
    /// [`Engine::reconnections`](crate::Engine::reconnections).
    pub reconnections: u64,
    /// Events given to subscribers and members: each event counts once for each of them, also when
    /// it is replayed. A gauge's value that a newer one replaces before it is written counts too.
    pub deliveries: u64,
    /// Subscribers that the hub dropped because they took too little or acknowledged nothing. They
    /// come back by themselves.
    pub dropped: u64,
    /// Subscribers and members that [`end`](crate::Hub::end) ended.
    pub ended: u64,
    /// How often the hub told a client that it lost events: a subscriber by an event named `reset`,
    /// a member by close 1013.
    pub resets: u64,
}

/// The counts that the hub itself keeps.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    subscribers: AtomicUsize,
    published: Count,
    refused: Count,
    publish_errors: Count,
    pub(crate) read_errors: Count,
    pub(crate) deliveries: Count,
    pub(crate) dropped: Count,
    pub(crate) ended: Count,
    pub(crate) resets: Count,
}

/// A number that only grows. Threads read it alone, so it needs no memory ordering.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The result of publishing an event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    Published,
    Refused,
    Failed,
}

impl Counts {
    pub(crate) fn subscriber_came(&self) {
        self.subscribers.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn subscriber_left(&self) {
        self.subscribers.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Published => &self.published,
            Outcome::Refused => &self.refused,
            Outcome::Failed => &self.publish_errors,
        };
        count.add(1);
    }

    /// The counts of this struct; the fields of other parts are zero.
    pub(crate) fn read(&self) -> HubStats {
        HubStats {
            subscribers: self.subscribers.load(Ordering::Relaxed),
            published: self.published.read(),
            refused: self.refused.read(),
            publish_errors: self.publish_errors.read(),
            read_errors: self.read_errors.read(),
            deliveries: self.deliveries.read(),
            dropped: self.dropped.read(),
            ended: self.ended.read(),
            resets: self.resets.read(),
            ..HubStats::default()
        }
    }
}
