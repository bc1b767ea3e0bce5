//! The options that a connection needs while it lives.

use std::time::Duration;

use crate::codec::compression::Outbound;

/// What happens to a message while another thread is writing, and the queue has no room for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// Its thread waits for room, for [`WsOptions::write_deadline`](crate::WsOptions::write_deadline) at most; then it gets [`Error::Slow`](crate::Error::Slow), and the message
    /// is not sent.
    Wait,
    /// It is not sent: [`Error::Slow`](crate::Error::Slow) at once, and the connection goes on.
    Refuse,
    /// Its thread waits until that write has ended, for 50 ms at most, since a peer is not slow because others sent much
    /// meanwhile. If the peer is slow, it is not sent, nor is what waits in the queue: [`Error::Slow`](crate::Error::Slow), and the connection is closed
    /// with 1008. A peer that cannot keep up is better served by a new connection than by old news.
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
    /// What was agreed on for the messages that go out.
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
