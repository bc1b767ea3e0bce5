//! What an application may set.

use std::time::Duration;

use crate::codec::handshake::{self, Admission};
use crate::codec::origin::Origin;
use crate::codec::protocol::Limits;
use crate::deflate::Deflate;
use crate::settings::{Settings, WhenFull};

/// What a WebSocket admits, with a default for everything. A value may be kept and used for any number of upgrades.
///
/// ```
/// use akurai_http::{Reply, Request};
/// use akurai_ws::WsOptions;
///
/// fn small_messages(req: &Request) -> Reply {
///     WsOptions::new().max_message_bytes(64 * 1024).upgrade(req, |mut conn| {
///         while let Some(_message) = conn.recv()? {}
///         Ok(())
///     })
/// }
/// # let _ = small_messages;
/// ```
#[derive(Clone, Debug, Default)]
pub struct WsOptions {
    pub(crate) admission: Admission,
    pub(crate) limits: Limits,
    pub(crate) settings: Settings,
    pub(crate) deflate: Deflate,
}

impl WsOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Admits pages of these origins beside those of the server's own host:
    /// `https://app.example.org`, with a port if it is not the scheme's default; also
    /// `app://bundle`, `file://` and `null`. Case does not matter. Default: none, and then a
    /// request whose Origin is another host than its Host is refused with 403, since a browser
    /// sends the user's cookies along wherever the page came from (RFC 6455 §10.2). A request
    /// without Origin comes from no browser and is always admitted.
    ///
    /// # Panics
    ///
    /// If one of them is no origin: without a scheme, with a path, with a wildcard, or by HTTP and
    /// without a host.
    #[track_caller]
    pub fn allow_origins<O: AsRef<str>>(mut self, origins: impl IntoIterator<Item = O>) -> Self {
        for origin in origins {
            let origin = origin.as_ref();
            let parsed = Origin::parse(origin);
            let parsed = parsed.unwrap_or_else(|| panic!("not an origin: {origin:?}"));
            self.admission.origins.push(parsed);
        }
        self
    }

    /// Admits pages of every origin.
    pub fn any_origin(mut self) -> Self {
        self.admission.any_origin = true;
        self
    }

    /// The subprotocols that this server speaks, the preferred one first. The first that the client offers as well is
    /// spoken, and [`WsConn::subprotocol`](crate::WsConn::subprotocol) tells it. Default: none. Where nothing is spoken on both sides, the connection
    /// is opened without (RFC 6455 §4.2.2). Case matters.
    ///
    /// # Panics
    ///
    /// If one of them is not a token (RFC 9110 §5.6.2).
    #[track_caller]
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.admission.subprotocols = names.into_iter().map(S::into).collect();
        for name in &self.admission.subprotocols {
            assert!(
                handshake::is_subprotocol(name),
                "not a subprotocol: {name:?}"
            );
        }
        self
    }

    /// Longest accepted message after reassembly, in bytes. Default 16 MiB. A longer one fails the connection with 1009 at
    /// the header that shows it (RFC 6455 §7.4.1).
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_message_bytes = bytes;
        self
    }

    /// Longest accepted payload of one data frame, in bytes. Default 16 MiB. A longer one fails the connection with 1009
    /// at its header (RFC 6455 §7.4.1). Control frames have 125 bytes at most, whatever is set here; a compressed frame may be
    /// longer by what stored blocks add to content that compresses badly: a 2048th and 64 bytes.
    pub fn max_frame_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_frame_bytes = bytes;
        self
    }

    /// How many frames one message may come in, empty ones counted. Default 131,072. One more fails the connection with
    /// 1008 (RFC 6455 §7.4.1). 0 is taken as 1.
    pub fn max_fragments(mut self, frames: usize) -> Self {
        self.limits.max_fragments = frames.max(1);
        self
    }

    /// Longest time from the first byte of a message to its end, of which only what `recv` spent waiting counts. Default
    /// 60 s; `None` for no limit. A longer one fails the connection with 1008 (RFC 6455 §7.4.1).
    pub fn message_deadline(mut self, deadline: impl Into<Option<Duration>>) -> Self {
        self.settings.message_deadline = deadline.into().map(bounded);
        self
    }

    /// How long `recv` waits in silence before it asks by a ping whether the peer is alive (RFC 6455 §5.5.2). Default 20 s;
    /// `None` never asks. The reader asks in its own wait: while the application is busy outside of `recv`, nothing is
    /// asked, and nobody is dropped.
    pub fn ping_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.settings.ping_interval = interval.into().map(bounded);
        self
    }

    /// How long `recv` waits for any byte after it asked. Default 20 s. Then the connection is dropped without a Close,
    /// and [`CloseInfo::code`](crate::CloseInfo::code) is 1006 (RFC 6455 §7.1.5).
    ///
    /// The ping stands behind what was written before it, and much of that may still wait in the
    /// systems of both sides. So the wait is longer by a second for each KiB that was written after
    /// something last came and before the ping; of more than 4 MiB, no more than that counts. A
    /// peer that takes 1 KiB/s is not dropped, then. One that has stopped is found at the latest
    /// after `ping_interval`, `pong_wait` and 4096 s, each as far as `recv` waits: with nothing
    /// written in between, after the first two. Where the peer's machine is gone and something is
    /// written, the operating system finds it out by itself (Linux: after some 15 minutes), and
    /// when the system takes no more, so does [`write_deadline`](Self::write_deadline).
    pub fn pong_wait(mut self, wait: Duration) -> Self {
        self.settings.pong_wait = bounded(wait);
        self
    }

    /// How long a peer may send nothing of a data message, whatever its pings and pongs, of which only what `recv` spent
    /// waiting counts. Default `None`: as long as it likes. Then the connection is closed with 1001, for this end goes away
    /// (RFC 6455 §7.4.1).
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.idle_timeout = timeout.into().map(bounded);
        self
    }

    /// How old a connection may become, so that its user is let in anew from time to time. Default `None`: as old as it
    /// likes. Then the next `recv` closes it with 1001 (RFC 6455 §7.4.1).
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.settings.max_lifetime = lifetime.into().map(bounded);
        self
    }

    /// How long the peer may take for a whole frame that we send, beginning anew with each MiB it took. Default 20 s. Then
    /// that send is [`Error::WriteDeadline`](crate::Error::WriteDeadline), and the connection is dropped: half a frame can be followed by nothing.
    pub fn write_deadline(mut self, deadline: Duration) -> Self {
        self.settings.write_deadline = bounded(deadline);
        self
    }

    /// How long the peer may take to answer our Close, and then to end the connection: of the time
    /// in the closure, only what `recv` spent waiting counts. Default 5 s. Then the socket is
    /// closed (RFC 6455 §7.1.1).
    ///
    /// What the peer sends meanwhile is read and discarded, however much it is, so that it has our
    /// Close before it can see a reset. This takes no memory but the read buffer. When half of the
    /// time is over and no Close has come, our FIN says that nothing follows: a peer that is busy
    /// sending may end by that.
    pub fn close_wait(mut self, wait: Duration) -> Self {
        self.settings.close_wait = bounded(wait);
        self
    }

    /// How much may wait while another thread is writing, in bytes with the frames' headers. Default 1 MiB. Beyond it,
    /// [`when_full`](Self::when_full) says; but a message that is longer than this by itself waits for its turn to be
    /// written directly.
    pub fn max_queue_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_queue_bytes = bytes;
        self
    }

    /// How many messages may wait while another thread is writing. Default 1024; 0 is taken as 1.
    pub fn max_queue_messages(mut self, messages: usize) -> Self {
        self.settings.max_queue_messages = messages.max(1);
        self
    }

    /// What happens to a message that finds the queue full. Default [`WhenFull::Close`]. While a
    /// [`MessageWriter`](crate::MessageWriter) is at work it is always [`WhenFull::Wait`], since that is no fault of the
    /// peer's.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.settings.when_full = when_full;
        self
    }

    /// Whether messages that are sent through [`WsConn`](crate::WsConn) wait for each other and go out together, in one write: when
    /// the next `recv` finds no whole message that has come already and is about to wait. Default false: each goes out at once.
    ///
    /// It is for a handler that answers each message soon, to clients that send the next one before they have the answer
    /// to the last. A handler that goes on working, or waits for something else, holds its answers back meanwhile, unless it calls
    /// [`WsConn::flush`](crate::WsConn::flush); so it is not done unasked.
    ///
    /// Up to 16 KiB are held, with the frames' headers. The message that would be too much takes them along at once, and so does
    /// whatever else is sent on the connection, in the order in which it was sent: a ping, a Close, the first part of a
    /// [`MessageWriter`](crate::MessageWriter), a [`Sender`](crate::Sender)'s message. When the closure ends, in whichever
    /// way, they are sent in front of the Close.
    ///
    /// So `Ok` says of such a message only that it is on its way. When the peer does not take it, that is told by the
    /// next call that writes: `recv` has [`Error::WriteDeadline`](crate::Error::WriteDeadline) then, and of a peer that has left, `Ok(None)`.
    ///
    /// ```
    /// use akurai_http::{Reply, Request};
    /// use akurai_ws::{Message, WsOptions};
    ///
    /// fn shout(req: &Request) -> Reply {
    ///     WsOptions::new().join_sends(true).upgrade(req, |mut conn| {
    ///         while let Some(message) = conn.recv()? {
    ///             if let Message::Text(text) = message {
    ///                 conn.send_text(&text.to_uppercase())?;
    ///             }
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// # let _ = shout;
    /// ```
    pub fn join_sends(mut self, joined: bool) -> Self {
        self.settings.join_sends = joined;
        self
    }

    /// Compresses messages where the client can do so too: permessage-deflate (RFC 7692), both ways. Default: off. It costs
    /// time for each message, and is worth it for text of some length over a slow network.
    ///
    /// The limits are of messages as they are before they are compressed and after: one of 1 KiB that stands for 1 GiB fails the
    /// connection with 1009 at [`max_message_bytes`](Self::max_message_bytes), and what no compressor has made with 1007.
    ///
    /// A peer may so make this end hold a thousand times what it has sent, up to that limit: lower it where strangers connect.
    ///
    /// What is secret should not be compressed together with what an attacker may choose: the length tells whether the two are
    /// alike (RFC 7692 §8).
    ///
    /// # Panics
    ///
    /// If a window has not 8 to 15 bits.
    #[track_caller]
    pub fn deflate(mut self, deflate: Deflate) -> Self {
        self.admission.compression = Some(deflate.wanted());
        self.deflate = deflate;
        self
    }
}

// A socket knows no wait of nothing, and a clock no end of time.
fn bounded(wait: Duration) -> Duration {
    const DECADE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    wait.clamp(Duration::from_millis(1), DECADE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::protocol::Protocol;
    use crate::error::Violation;

    // Headers of masked frames that the options alone refuse.
    #[track_caller]
    fn check(options: WsOptions, frames: &[u8], violation: Violation) {
        let first = |options: WsOptions| {
            let (_, result) = Protocol::new(options.limits).receive(&mut frames.to_vec());
            result
        };
        assert_eq!(first(options), Err(violation));
        assert_eq!(first(WsOptions::new()), Ok(None), "by default");
    }

    #[test]
    fn limits_reach_the_protocol() {
        let six_bytes = b"\x82\x86\0\0\0\0";
        check(
            WsOptions::new().max_frame_bytes(5),
            six_bytes,
            Violation::FrameTooLong,
        );
        check(
            WsOptions::new().max_message_bytes(5),
            six_bytes,
            Violation::MessageTooLong,
        );
        let two_frames = b"\x02\x80\0\0\0\0\x00\x80\0\0\0\0";
        check(
            WsOptions::new().max_fragments(1),
            two_frames,
            Violation::TooManyFragments,
        );
        check(
            WsOptions::new().max_fragments(0),
            two_frames,
            Violation::TooManyFragments,
        );
    }
}
