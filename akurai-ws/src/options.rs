//! The options that an application may set.

use std::time::Duration;

use crate::codec::handshake::{self, Admission};
use crate::codec::origin::Origin;
use crate::codec::protocol::Limits;
use crate::deflate::Deflate;
use crate::settings::{Settings, WhenFull};

/// What a WebSocket accepts and how it behaves, with a default for everything. One value may be
/// kept and used for any number of upgrades.
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
#[must_use = "options do nothing until `upgrade` makes an answer of them"]
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

    /// Admits pages of these origins beside pages of the server's own host:
    /// `https://app.example.org`, with a port if it is not the scheme's default; also
    /// `app://bundle`, `file://` and `null`. Case does not matter. Default: none. Then a request
    /// whose Origin is another host than its Host is refused with 403, since a browser sends the
    /// user's cookies along from any page (RFC 6455 §10.2). So is a page of `http:` if the request
    /// [is secure](akurai_http::Request::is_secure). A request without Origin comes from no browser
    /// and is always admitted.
    ///
    /// # Panics
    ///
    /// If one of them is not an origin: without a scheme, with a path, with a wildcard, or with the
    /// scheme of HTTP and without a host.
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

    /// The subprotocols that this server speaks, the preferred one first. The server chooses the
    /// first one that the client offers as well, and
    /// [`Sender::subprotocol`](crate::Sender::subprotocol) tells it. Default: none. If the client
    /// offers none of them, the connection opens without a subprotocol (RFC 6455 §4.2.2). Case
    /// matters.
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

    /// Longest accepted message after reassembly, in bytes. Default 16 MiB. A longer one fails the
    /// connection with 1009 at the header that shows it (RFC 6455 §7.4.1).
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_message_bytes = bytes;
        self
    }

    /// Longest accepted payload of one data frame, in bytes. Default 16 MiB. A longer one fails the
    /// connection with 1009 at its header (RFC 6455 §7.4.1). This does not change the limit of 125
    /// bytes for control frames. A compressed frame may be longer by a 2048th and 64 bytes, which
    /// is what stored blocks add to content that does not compress.
    pub fn max_frame_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_frame_bytes = bytes;
        self
    }

    /// How many frames one message may have, empty ones counted. Default 131,072. One more fails
    /// the connection with 1008 (RFC 6455 §7.4.1). 0 is taken as 1.
    pub fn max_fragments(mut self, frames: usize) -> Self {
        self.limits.max_fragments = frames.max(1);
        self
    }

    /// Longest time from the first byte of a message to its end. Only the time that `recv` spends
    /// waiting counts. Default 60 s; `None` for no limit. A longer one fails the connection with
    /// 1008 (RFC 6455 §7.4.1).
    pub fn message_deadline(mut self, deadline: impl Into<Option<Duration>>) -> Self {
        self.settings.message_deadline = deadline.into().map(bounded);
        self
    }

    /// How long `recv` waits in silence before it asks by a ping whether the peer is alive (RFC
    /// 6455 §5.5.2). Default 20 s; `None` never asks. The receiving thread asks while it waits.
    /// While the application is busy outside of `recv`, no peer is asked and none is dropped.
    pub fn ping_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.settings.ping_interval = interval.into().map(bounded);
        self
    }

    /// How long `recv` waits for any byte after it asked. Default 20 s. Then the connection is
    /// dropped without a Close, and [`CloseInfo::code`](crate::CloseInfo::code) is 1006 (RFC 6455
    /// §7.1.5).
    ///
    /// The ping stands behind everything that was written before it, and much of that may still
    /// wait in the operating systems of both sides. So the wait is longer by a second for each KiB
    /// that was written between the last byte that came and the ping. At most 4 MiB count. A peer
    /// that takes 1 KiB/s is therefore not dropped. A peer that has stopped is found after
    /// `ping_interval`, `pong_wait` and at most 4096 s, counted while `recv` waits; after the first
    /// two, if nothing was written in between. If the peer's machine is gone and something is
    /// written, the operating system finds that out by itself (Linux: after some 15 minutes). When
    /// the system takes no more bytes, [`write_deadline`](Self::write_deadline) ends the
    /// connection.
    pub fn pong_wait(mut self, wait: Duration) -> Self {
        self.settings.pong_wait = bounded(wait);
        self
    }

    /// How long a peer may send no part of a data message. Pings and pongs do not count, and only
    /// the time that `recv` spends waiting counts. Default `None`: as long as it likes. Then the
    /// connection is closed with 1001, since this end goes away (RFC 6455 §7.4.1).
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.idle_timeout = timeout.into().map(bounded);
        self
    }

    /// How old a connection may become, so that its user must be let in again from time to time.
    /// Default `None`: as old as it likes. Then the next `recv` closes it with 1001 (RFC 6455
    /// §7.4.1).
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.settings.max_lifetime = lifetime.into().map(bounded);
        self
    }

    /// How long the peer may take for a whole frame that we send. The time begins again with each
    /// MiB that the peer took. Default 20 s. Then that send is
    /// [`Error::WriteDeadline`](crate::Error::WriteDeadline), and the connection is dropped:
    /// nothing can follow half a frame.
    pub fn write_deadline(mut self, deadline: Duration) -> Self {
        self.settings.write_deadline = bounded(deadline);
        self
    }

    /// How long the peer may take to answer our Close, and then to end the connection. While the
    /// closure runs, only the time that `recv` spends waiting counts. Default 5 s. Then the socket
    /// is closed (RFC 6455 §7.1.1).
    ///
    /// Everything that the peer sends meanwhile is read and discarded, in any amount, so that the
    /// peer gets our Close before it can see a reset. This takes no memory but the read buffer.
    /// When half of the time is over and no Close has come, we send FIN, which says that nothing
    /// follows. A peer that is busy sending may then end the connection.
    pub fn close_wait(mut self, wait: Duration) -> Self {
        self.settings.close_wait = bounded(wait);
        self
    }

    /// How much may wait in the queue while another thread is writing, in bytes with the frames'
    /// headers. Default 1 MiB. [`when_full`](Self::when_full) decides what happens beyond it. A
    /// message that is longer than this by itself waits for its turn and is then written directly.
    pub fn max_queue_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_queue_bytes = bytes;
        self
    }

    /// How many messages may wait in the queue while another thread is writing. Default 1024; 0 is
    /// taken as 1.
    pub fn max_queue_messages(mut self, messages: usize) -> Self {
        self.settings.max_queue_messages = messages.max(1);
        self
    }

    /// What happens to a message that finds the queue full. Default [`WhenFull::Close`]. While a
    /// [`MessageWriter`](crate::MessageWriter) is at work it is always [`WhenFull::Wait`], since
    /// the peer is then not to blame.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.settings.when_full = when_full;
        self
    }

    /// Whether messages that are sent through [`WsConn`](crate::WsConn) wait for each other and go
    /// out together, in one write: when the next `recv` finds no whole message and is about to
    /// wait. Default false: each message goes out at once.
    ///
    /// It is for a handler that answers each message soon, and for clients that keep many messages
    /// in flight, such as those of an RPC over one socket: with 16 in flight, an echo answered 1.93
    /// instead of 0.34 million messages/s (`tests/bench`). With one in flight it changes nothing.
    /// If the handler goes on working, or waits for something else, its answers are held back
    /// meanwhile, unless it calls [`WsConn::flush`](crate::WsConn::flush). No thread but the
    /// handler's own could send them then, so this is not always on.
    ///
    /// Up to 16 KiB are held back, with the frames' headers. A message that would exceed this is
    /// sent at once, behind the messages held back. So is everything else that is sent on the
    /// connection: a ping, a Close, the first part of a [`MessageWriter`](crate::MessageWriter), a
    /// [`Sender`](crate::Sender)'s message. However the closure ends, the messages held back are
    /// sent in front of the Close.
    ///
    /// So `Ok` says of such a message only that it is on its way. If the peer does not take it, the
    /// next call that writes reports that: `recv` returns
    /// [`Error::WriteDeadline`](crate::Error::WriteDeadline), or `Ok(None)` if the peer has left.
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

    /// Compresses messages, in both directions, if the client can do so too: permessage-deflate
    /// (RFC 7692). Default: off. It costs time for each message. It is worth that for long text
    /// over a slow network.
    ///
    /// The limits hold for messages both compressed and decompressed. 1 KiB that decompresses to 1
    /// GiB fails the connection with 1009 at [`max_message_bytes`](Self::max_message_bytes). Data
    /// that is not DEFLATE fails it with 1007.
    ///
    /// A peer can make this end hold a thousand times as much as it has sent, up to that limit.
    /// Lower the limit if strangers connect.
    ///
    /// Do not compress a secret together with data that an attacker may choose: the length of the
    /// result tells whether the two are alike (RFC 7692 §8).
    pub fn deflate(mut self, deflate: Deflate) -> Self {
        self.admission.compression = Some(deflate.wanted());
        self.deflate = deflate;
        self
    }
}

// A socket refuses a timeout of zero, and a clock cannot represent any time.
fn bounded(wait: Duration) -> Duration {
    const DECADE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    wait.clamp(Duration::from_millis(1), DECADE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::protocol::Protocol;
    use crate::error::Violation;

    // The headers of masked frames that are refused only because of the options.
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
