//! What every connection of a server is served by.

use std::sync::Arc;
use std::time::Duration;

use crate::io::limits::Limits;
use crate::io::linger::free_quarters;
use crate::io::registry::Registry;
use crate::serve::hosts::Hosts;
use crate::{App, TrustedProxies};

/// The app, and what bounds and counts its connections.
pub(crate) struct Serving {
    pub(crate) app: Box<dyn App>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) proxies: Option<Arc<TrustedProxies>>,
    /// Those that are answered to; `None` for any.
    pub(crate) hosts: Option<Hosts>,
    pub(crate) registry: Arc<Registry>,
}

impl Serving {
    /// How long a connection may wait for its next request: less as the places run out, nothing
    /// when they have. The wait for its first one never shrinks to nothing.
    pub(crate) fn idle_wait(&self, first: bool) -> Duration {
        if first && self.limits.idle_timeout.is_zero() {
            return self.limits.head_deadline;
        }
        let quarters = free_quarters(self.registry.open(), self.limits.connections);
        self.limits.idle_timeout / 4 * quarters.max(u32::from(first))
    }

    /// Whether a connection may wait for another request at all.
    pub(crate) fn may_wait(&self) -> bool {
        self.registry.open() < self.limits.connections && !self.limits.idle_timeout.is_zero()
    }
}
