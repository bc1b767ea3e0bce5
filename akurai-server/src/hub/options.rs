//! The limits of a hub.

use std::time::Duration;

/// Longest topic, in bytes.
pub(crate) const TOPIC_BYTES: usize = 1024;

/// How much a hub keeps and how long it waits. Sizes are in bytes.
///
/// ```
/// use akurai_server::{Hub, HubOptions};
///
/// let hub = Hub::new(HubOptions::default().max_ring_events(100))?;
/// # let _ = hub;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a hub has options only if `Hub::new` is given them"]
pub struct HubOptions {
    pub(crate) shards: usize,
    pub(crate) max_ring_events: usize,
    pub(crate) max_ring_bytes: usize,
    pub(crate) max_ring_age: Duration,
    pub(crate) max_backlog_events: usize,
    pub(crate) max_backlog_bytes: usize,
    pub(crate) no_progress: Duration,
    pub(crate) no_acknowledgement: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) sweep: Duration,
    pub(crate) lifetime: Duration,
    pub(crate) retry: Duration,
    pub(crate) spread: Duration,
}

impl HubOptions {
    /// Threads that write to event streams. Default one for each core, at most 4.
    pub fn shards(mut self, shards: usize) -> HubOptions {
        self.shards = shards;
        self
    }

    /// Most events kept for clients that come back, at least one. Default 10,000.
    pub fn max_ring_events(mut self, max_ring_events: usize) -> HubOptions {
        self.max_ring_events = max_ring_events;
        self
    }

    /// Most bytes of these events. Each event counts with its topic, its name, its text twice (as
    /// published, and as written to a stream) and about 250 bytes more. The hub uses an eighth of
    /// these bytes to remember which topics have lost events, so a single event may count for seven
    /// eighths at most. Default 16 MiB.
    pub fn max_ring_bytes(mut self, max_ring_bytes: usize) -> HubOptions {
        self.max_ring_bytes = max_ring_bytes;
        self
    }

    /// How long these events are kept, if there is room. The hub removes an older event when the
    /// next one is published. Default 5 min.
    pub fn max_ring_age(mut self, max_ring_age: Duration) -> HubOptions {
        self.max_ring_age = max_ring_age;
        self
    }

    /// Most events that wait for one subscriber that reads slowly, behind the write under way: one
    /// event, or several that have at most 64 KiB together. Default 1,000. With one more, the hub
    /// cuts its connection, and the client comes back with `Last-Event-ID`.
    pub fn max_backlog_events(mut self, max_backlog_events: usize) -> HubOptions {
        self.max_backlog_events = max_backlog_events;
        self
    }

    /// Most bytes of these waiting events. Default 1 MiB. The write under way comes on top: up to
    /// 64 KiB, or one event. So does what is left of the events that a new subscriber gets first.
    pub fn max_backlog_bytes(mut self, max_backlog_bytes: usize) -> HubOptions {
        self.max_backlog_bytes = max_backlog_bytes;
        self
    }

    /// The hub drops a subscriber that accepts no bytes for this long while something waits for it.
    /// Default 5 s.
    pub fn no_progress(mut self, no_progress: Duration) -> HubOptions {
        self.no_progress = no_progress;
        self
    }

    /// The hub drops a subscriber whose system acknowledges nothing for this long, although our
    /// system has sent it something again and again. Default 30 s.
    ///
    /// This is for clients that vanish without closing: a phone without network, a NAT that forgot
    /// the connection. [`no_progress`](Self::no_progress) does not find them, because heartbeats
    /// fit into the system's send buffer. With all defaults, the hub drops such a client at most 63
    /// s after it vanished: up to 20 s until a heartbeat is due ([`heartbeat`](Self::heartbeat) and
    /// [`sweep`](Self::sweep)), 30 s of this wait, a quarter of it until the hub next reads the
    /// system's list, and 5 s until the next `sweep`. A client that is reachable again within the
    /// 30 s loses nothing. A client that is reachable again later finds its connection ended, and
    /// comes back with `Last-Event-ID`.
    ///
    /// A look at that list takes long where the system has very many sockets, or the processors are
    /// busy. Then the hub rests for 50 times as long before the next look, at most for half of this
    /// wait. So the client may be dropped later: at most 85 s after it vanished, and the time of
    /// the looks on top.
    ///
    /// Linux reports this in `/proc/net/tcp`, for TCP connections only. The hub reads that list
    /// while the system sends something again, of which `/proc/net/snmp` has a count, and otherwise
    /// about once in this wait. So if the system cannot even send again, because the client's host
    /// is unreachable, the hub may drop the client by this wait later.
    ///
    /// The system's own timeout ends the connection where the list is missing, on other systems,
    /// and where this wait is longer than that timeout: on Linux after 15 min, or as the sysctl
    /// `net.ipv4.tcp_retries2` says. Behind a proxy, the proxy has to notice it (HAProxy:
    /// `tcp-ut`). For a WebSocket, its [ping](akurai_ws::WsOptions::ping_interval) finds it
    /// instead, within 40 s.
    pub fn no_acknowledgement(mut self, no_acknowledgement: Duration) -> HubOptions {
        self.no_acknowledgement = no_acknowledgement;
        self
    }

    /// When a subscriber was sent nothing for this long, the next sweep sends it a heartbeat: its
    /// place (an `id:` line alone), or a comment while this node does not know its place. Default
    /// 15 s.
    pub fn heartbeat(mut self, heartbeat: Duration) -> HubOptions {
        self.heartbeat = heartbeat;
        self
    }

    /// How often the hub looks at every subscriber, and notices clients that left. Default 5 s.
    pub fn sweep(mut self, sweep: Duration) -> HubOptions {
        self.sweep = sweep;
        self
    }

    /// How long a connection lasts, an eighth more or less. So clients move to new servers little
    /// by little. Default 1 h. The client comes back by itself.
    pub fn lifetime(mut self, lifetime: Duration) -> HubOptions {
        self.lifetime = lifetime;
        self
    }

    /// How long a client waits before it connects again, half of it more or less. Default 2 s.
    pub fn retry(mut self, retry: Duration) -> HubOptions {
        self.retry = retry;
        self
    }

    /// When the server stops, the hub ends the connections spread over this time. Default 2 s.
    pub fn spread(mut self, spread: Duration) -> HubOptions {
        self.spread = spread;
        self
    }
}

impl Default for HubOptions {
    fn default() -> HubOptions {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        HubOptions {
            shards: cores.min(4),
            max_ring_events: 10_000,
            max_ring_bytes: 16 << 20,
            max_ring_age: Duration::from_secs(5 * 60),
            max_backlog_events: 1_000,
            max_backlog_bytes: 1 << 20,
            no_progress: Duration::from_secs(5),
            no_acknowledgement: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            sweep: Duration::from_secs(5),
            lifetime: Duration::from_secs(60 * 60),
            retry: Duration::from_secs(2),
            spread: Duration::from_secs(2),
        }
    }
}

/// How much a topic keeps of its own: see [`Hub::retain`](crate::Hub::retain). An event goes as
/// soon as one of these limits is reached.
///
/// ```
/// use std::time::Duration;
///
/// use akurai_server::{Hub, HubOptions, Retention};
///
/// let hub = Hub::new(HubOptions::default())?;
/// let day = Duration::from_secs(24 * 60 * 60);
/// hub.retain("announcements", Retention::default().max_age(day));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a topic keeps its own events only if `Hub::retain` is given this"]
pub struct Retention {
    pub(crate) max_events: usize,
    pub(crate) max_bytes: usize,
    pub(crate) max_age: Duration,
}

impl Retention {
    /// Most events. Default 100.
    pub fn max_events(mut self, max_events: usize) -> Retention {
        self.max_events = max_events;
        self
    }

    /// Most bytes of these events, counted as for [`HubOptions::max_ring_bytes`]. Default 1 MiB.
    pub fn max_bytes(mut self, max_bytes: usize) -> Retention {
        self.max_bytes = max_bytes;
        self
    }

    /// How long an event is kept. Default 1 h.
    pub fn max_age(mut self, max_age: Duration) -> Retention {
        self.max_age = max_age;
        self
    }
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            max_events: 100,
            max_bytes: 1 << 20,
            max_age: Duration::from_secs(60 * 60),
        }
    }
}
