//! What a hub counts.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// What one hub is doing and has done since it was made, on this node alone; see
/// [`Hub::stats`](crate::Hub::stats).
///
/// What counts since then (from `published` on) never goes back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct HubStats {
    /// Whether events come through just now, as far as is known; see
    /// [`Hub::ready`](crate::Hub::ready).
    pub ready: bool,
    /// Event streams that are open.
    pub subscribers: usize,
    /// WebSockets' subscriptions, one for each topic that one joined.
    pub members: usize,
    /// Topics that somebody is subscribed to.
    pub topics: usize,
    /// Events that are kept for clients that come back.
    pub ring_events: usize,
    /// Their bytes, as [`HubOptions::ring_bytes`](crate::HubOptions::ring_bytes) counts them.
    pub ring_bytes: usize,
    /// How old the oldest of them is: a client may be away for so long and lose nothing. Zero if
    /// there is none.
    pub ring_span: Duration,
    /// Events that [`publish`](crate::Hub::publish) took.
    pub published: u64,
    /// Those that it refused since they were no event or did not fit (`InvalidInput`).
    pub refused: u64,
    /// Those that the engine did not take, or that may be kept or not. A hub without an engine has
    /// none.
    pub publish_errors: u64,
    /// How often the engine could not be read. It is tried again, so this grows while it is away.
    pub read_errors: u64,
    /// How often the engine connected again after it had lost a connection; see
    /// [`Engine::reconnections`](crate::Engine::reconnections).
    pub reconnections: u64,
    /// Events given to subscribers and members: each event once for each of them, replayed ones
    /// included. A gauge's value that a newer one replaces before it is written counts too.
    pub deliveries: u64,
    /// Subscribers that were dropped since they took too little. They come back by themselves.
    pub dropped: u64,
    /// How often a client was told that events were lost to it: a subscriber by an event named
    /// `reset`, a member by close 1013.
    pub resets: u64,
}

/// The hub's own part of them.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    subscribers: AtomicUsize,
    published: Count,
    refused: Count,
    publish_errors: Count,
    pub(crate) read_errors: Count,
    pub(crate) deliveries: Count,
    pub(crate) dropped: Count,
    pub(crate) resets: Count,
}

/// A number that only grows. It is read by itself, so that no order is needed.
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

/// What came of publishing an event.
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

    /// What is counted here; the fields of other parts are zero.
    pub(crate) fn read(&self) -> HubStats {
        HubStats {
            subscribers: self.subscribers.load(Ordering::Relaxed),
            published: self.published.read(),
            refused: self.refused.read(),
            publish_errors: self.publish_errors.read(),
            read_errors: self.read_errors.read(),
            deliveries: self.deliveries.read(),
            dropped: self.dropped.read(),
            resets: self.resets.read(),
            ..HubStats::default()
        }
    }
}
