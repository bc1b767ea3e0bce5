//! What all connections of a server share.

use std::sync::Arc;
use std::time::Duration;

use crate::io::limits::Limits;
use crate::io::linger::free_quarters;
use crate::io::registry::Registry;
use crate::message::hosts::Hosts;
use crate::{App, Method, TrustedProxies};

/// How long the rest of a head may take once the server stops, and a connection's first head from
/// its first byte on. A client whose connection was just accepted cannot know that the server
/// stops.
pub(crate) const STOPPING_HEAD_TIME: Duration = Duration::from_secs(1);

/// The app, and what bounds and counts its connections.
pub(crate) struct Serving {
    pub(crate) app: Box<dyn App>,
    /// The methods without a variant that the app takes.
    pub(crate) other_methods: Vec<Method>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) proxies: Option<Arc<TrustedProxies>>,
    /// The hosts that the server answers to; `None` for any.
    pub(crate) hosts: Option<Hosts>,
    pub(crate) registry: Arc<Registry>,
    /// A [`Client`](crate::testing::Client) runs the server: a request for an `https:` target is
    /// secure, as one that was made by hand.
    pub(crate) is_test: bool,
}

impl Serving {
    /// How long a connection may wait for its next request: less as places run out, zero when all
    /// are taken. The wait for its first request never shrinks to zero, and is 1 s at most once the
    /// server stops.
    pub(crate) fn idle_wait(&self, first: bool) -> Duration {
        let wait = self.running_idle_wait(first);
        match first && self.registry.is_stopping() {
            true => wait.min(STOPPING_HEAD_TIME),
            false => wait,
        }
    }

    fn running_idle_wait(&self, first: bool) -> Duration {
        if first && self.limits.idle_timeout.is_zero() {
            return self.limits.head_deadline;
        }
        let quarters = free_quarters(self.registry.open(), self.limits.max_connections);
        self.limits.idle_timeout / 4 * quarters.max(u32::from(first))
    }

    /// Whether a connection may wait for another request at all.
    pub(crate) fn may_wait(&self) -> bool {
        self.registry.open() < self.limits.max_connections && !self.limits.idle_timeout.is_zero()
    }
}
