//! The options that a connection needs while it lives.

use std::time::Duration;

use crate::codec::compression::Outbound;

/// What happens to a message while another thread is writing, and the queue has no room for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The sending thread waits for room, for at most
    /// [`WsOptions::write_deadline`](crate::WsOptions::write_deadline). Then it gets
    /// [`Error::Slow`](crate::Error::Slow), and the message is not sent.
    Wait,
    /// The message is not sent: [`Error::Slow`](crate::Error::Slow) at once. The connection goes
    /// on.
    Refuse,
    /// The sending thread waits until that write has ended, for at most 50 ms, since a peer is not
    /// slow because other threads sent much meanwhile. If the peer is slow, neither this message
    /// nor the queue is sent: the thread gets [`Error::Slow`](crate::Error::Slow), and the
    /// connection is closed with 1008. A peer that cannot keep up is better served by a new
    /// connection than by old news.
    #[default]
    Close,
}

/// What a connection needs to know of the options while it lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) ping_interval: Option<Duration>,
    pub(crate) pong_wait: Duration,
    pub(crate) message_deadline: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) write_deadline: Duration,
    pub(crate) close_wait: Duration,
    pub(crate) max_queue_bytes: usize,
    pub(crate) max_queue_messages: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) join_sends: bool,
    /// The compression that was agreed on for outgoing messages.
    pub(crate) outbound: Option<Outbound>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ping_interval: Some(Duration::from_secs(20)),
            pong_wait: Duration::from_secs(20),
            message_deadline: Some(Duration::from_secs(60)),
            idle_timeout: None,
            max_lifetime: None,
            write_deadline: Duration::from_secs(20),
            close_wait: Duration::from_secs(5),
            max_queue_bytes: 1024 * 1024,
            max_queue_messages: 1024,
            when_full: WhenFull::default(),
            join_sends: false,
            outbound: None,
        }
    }
}
