//! What bounds a hub.

use std::time::Duration;

/// Longest topic, in bytes.
pub(crate) const TOPIC_BYTES: usize = 1024;

/// What a hub keeps and how long it waits. Sizes are in bytes.
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
    /// Threads that write to subscribers. Default one for each core, at most 4.
    pub shards: usize,
    /// Most events kept for those who come back, one at least. Default 10,000.
    pub ring_events: usize,
    /// Most bytes of them, with all that an event costs beside its text: its topic and name, and
    /// some 250 bytes. The text counts twice, as it was published and as it stands in a stream. An
    /// eighth of these bytes is for remembering which topics have lost events, so an event may
    /// count as seven eighths at most. Default 16 MiB.
    pub ring_bytes: usize,
    /// How long they are kept, if there is room. An older one goes when the next is published.
    /// Default 5 min.
    pub ring_age: Duration,
    /// Most events that wait for one subscriber who reads slowly. Default 1,000. With one more, its connection ends, and it
    /// comes back with `Last-Event-ID`.
    pub backlog_events: usize,
    /// Most bytes of them. Default 1 MiB.
    pub backlog_bytes: usize,
    /// A subscriber who takes nothing for so long while something waits for it is dropped. Default 5 s.
    pub no_progress: Duration,
    /// A subscriber whose system acknowledges nothing for so long, although ours has sent it
    /// something again and again, is dropped. Default 30 s.
    ///
    /// It is for clients that vanish without a word: a phone without network, a NAT that forgot the
    /// connection. [`no_progress`](Self::no_progress) does not find them, for heartbeats fit into the
    /// system's buffer. With all defaults, such a client is gone 63 s after it vanished: up to 20 s
    /// until a heartbeat is due (`heartbeat` and `sweep`), 30 s, a quarter of that until the next
    /// look at the system's list, and 5 s until the next `sweep`. One that comes back within the 30 s
    /// loses nothing; one that comes back later finds its connection ended, and returns with
    /// `Last-Event-ID`.
    ///
    /// Linux tells of this in `/proc/net/tcp`, about TCP's connections. On other systems, without
    /// that file, and with a wait longer than the system's own, the system's ends them: on Linux
    /// after 15 min, or what the sysctl `net.ipv4.tcp_retries2` says. Behind a proxy it is the proxy
    /// that notices (HAProxy: `tcp-ut`). A WebSocket is found by its
    /// [ping](akurai_ws::WsOptions::ping_interval) instead, within 40 s.
    pub no_acknowledgement: Duration,
    /// A subscriber who was sent nothing for so long is sent where it stands (`id:` alone) at the next sweep, or a comment while
    /// that is not known here. Default 15 s.
    pub heartbeat: Duration,
    /// Every subscriber is looked at so often, and noticed if it has left. Default 5 s.
    pub sweep: Duration,
    /// How long a connection lasts, an eighth more or less, so that they move on to new servers little by little. Default
    /// 1 h. The client comes back by itself.
    pub lifetime: Duration,
    /// How long a client waits before it comes back, half of it more or less. Default 2 s.
    pub retry: Duration,
    /// Over how long the connections are ended when the server stops. Default 2 s.
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

/// What a topic keeps of its own: see [`Hub::retain`](crate::Hub::retain). The first bound that is
/// reached decides.
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
    /// Most bytes of them, counted as for [`HubOptions::ring_bytes`]. Default 1 MiB.
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
