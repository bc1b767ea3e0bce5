//! The limits of a hub.

use std::time::Duration;

/// Longest topic, in bytes.
pub(crate) const TOPIC_BYTES: usize = 1024;

/// How much a hub keeps and how long it waits. Sizes are in bytes.
///
/// ```
/// use akurai_server::{Hub, HubOptions};
///
/// let hub = Hub::new(HubOptions { ring_events: 100, ..HubOptions::default() })?;
/// # let _ = hub;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubOptions {
    /// Threads that write to event streams. Default one for each core, at most 4.
    pub shards: usize,
    /// Most events kept for clients that come back, at least one. Default 10,000.
    pub ring_events: usize,
    /// Most bytes of these events. Each event counts with its topic, its name, its text twice (as
    /// published, and as written to a stream) and about 250 bytes more. The hub uses an eighth of
    /// these bytes to remember which topics have lost events, so a single event may count for seven
    /// eighths at most. Default 16 MiB.
    pub ring_bytes: usize,
    /// How long these events are kept, if there is room. The hub removes an older event when the
    /// next one is published. Default 5 min.
    pub ring_age: Duration,
    /// Most events that wait for one subscriber that reads slowly. Default 1,000. With one more,
    /// the hub ends its connection, and the client comes back with `Last-Event-ID`.
    pub backlog_events: usize,
    /// Most bytes of these waiting events. Default 1 MiB.
    pub backlog_bytes: usize,
    /// The hub drops a subscriber that accepts no bytes for this long while something waits for it.
    /// Default 5 s.
    pub no_progress: Duration,
    /// The hub drops a subscriber whose system acknowledges nothing for this long, although our
    /// system has sent it something again and again. Default 30 s.
    ///
    /// This is for clients that vanish without closing: a phone without network, a NAT that forgot
    /// the connection. [`no_progress`](Self::no_progress) does not find them, because heartbeats
    /// fit into the system's send buffer. With all defaults, the hub drops such a client at most 63
    /// s after it vanished: up to 20 s until a heartbeat is due (`heartbeat` and `sweep`), 30 s of
    /// this wait, a quarter of it until the hub next reads the system's list, and 5 s until the
    /// next `sweep`. A client that is reachable again within the 30 s loses nothing. A client that
    /// is reachable again later finds its connection ended, and comes back with `Last-Event-ID`.
    ///
    /// Linux reports this in `/proc/net/tcp`, for TCP connections only. The system's own timeout
    /// ends the connection where that file is missing, on other systems, and where this wait is
    /// longer than that timeout: on Linux after 15 min, or as the sysctl `net.ipv4.tcp_retries2`
    /// says. Behind a proxy, the proxy has to notice it (HAProxy: `tcp-ut`). For a WebSocket, its
    /// [ping](akurai_ws::WsOptions::ping_interval) finds it instead, within 40 s.
    pub no_acknowledgement: Duration,
    /// When a subscriber was sent nothing for this long, the next sweep sends it a heartbeat: its
    /// place (an `id:` line alone), or a comment while this node does not know its place. Default
    /// 15 s.
    pub heartbeat: Duration,
    /// How often the hub looks at every subscriber, and notices clients that left. Default 5 s.
    pub sweep: Duration,
    /// How long a connection lasts, an eighth more or less. So clients move to new servers little
    /// by little. Default 1 h. The client comes back by itself.
    pub lifetime: Duration,
    /// How long a client waits before it connects again, half of it more or less. Default 2 s.
    pub retry: Duration,
    /// When the server stops, the hub ends the connections spread over this time. Default 2 s.
    pub spread: Duration,
}

impl Default for HubOptions {
    fn default() -> HubOptions {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        HubOptions {
            shards: cores.min(4),
            ring_events: 10_000,
            ring_bytes: 16 << 20,
            ring_age: Duration::from_secs(5 * 60),
            backlog_events: 1_000,
            backlog_bytes: 1 << 20,
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
/// hub.retain("announcements", Retention { age: day, ..Retention::default() });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Most events. Default 100.
    pub events: usize,
    /// Most bytes of these events, counted as for [`HubOptions::ring_bytes`]. Default 1 MiB.
    pub bytes: usize,
    /// How long an event is kept. Default 1 h.
    pub age: Duration,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            events: 100,
            bytes: 1 << 20,
            age: Duration::from_secs(60 * 60),
        }
    }
}
