//! The options of permessage-deflate.

use akurai_http::Level;

use crate::codec::extensions::{Direction, Wanted};

/// How messages are compressed (permessage-deflate, RFC 7692) if the client can do it: for
/// [`WsOptions::deflate`](crate::WsOptions::deflate).
///
/// Without context takeover, each message is compressed by itself, and a connection holds nothing
/// for it between two messages. With it, a message may refer to earlier messages. That makes short
/// messages that are alike much smaller, and costs memory. By default the client may do so, as
/// every client can, and we do not. [`client_context_takeover`](Self::client_context_takeover) and
/// [`server_context_takeover`](Self::server_context_takeover) say otherwise.
///
/// | between two messages | nothing compressed came | short ones came | 32 KiB or more came |
/// |---|---|---|---|
/// | the client without takeover | 0 | 0 | 0 |
/// | the client with it (default) | 0 | the length of their content | 32 KiB: the window |
/// | we with it | from our first compressed message on about 640 KiB | | |
///
/// An allocator may keep about the same amount on top. With our own takeover, a message of over 128
/// KiB, and a [`Prepared`](crate::Prepared) one, is still compressed by itself, and the next
/// message then refers to none before it. While a thread compresses a message that refers to
/// earlier ones, other threads that send on the connection wait.
///
/// ```
/// use akurai_ws::{Deflate, WsOptions};
///
/// let deflate = Deflate::default().server_context_takeover(true).threshold_bytes(64);
/// let options = WsOptions::new().deflate(deflate);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "nothing is compressed until `WsOptions::deflate` gets this"]
pub struct Deflate {
    pub(crate) level: Level,
    pub(crate) threshold_bytes: usize,
    server_context_takeover: bool,
    client_context_takeover: bool,
    server_max_window_bits: u8,
    client_max_window_bits: u8,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            level: Level::default(),
            threshold_bytes: 512,
            server_context_takeover: false,
            client_context_takeover: true,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        }
    }
}

impl Deflate {
    /// How hard to try. Default 6, of 1 to 9.
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Shortest message that is compressed, in bytes. Default 512. A message that compression makes
    /// no smaller is sent as it is.
    pub fn threshold_bytes(mut self, bytes: usize) -> Self {
        self.threshold_bytes = bytes;
        self
    }

    /// Whether our messages may refer to earlier ones (RFC 7692 §7.1.1.1). Default false. The
    /// client may refuse it.
    pub fn server_context_takeover(mut self, takeover: bool) -> Self {
        self.server_context_takeover = takeover;
        self
    }

    /// Whether the client's messages may refer to earlier ones (RFC 7692 §7.1.1.2). Default true,
    /// unless the client offers to do without. With false the client is asked not to, and the
    /// connection holds nothing for it between two messages: for many connections whose clients are
    /// known to comply. Some clients ignore it, Tornado 6.6 and Mojolicious 9.31 for example, and
    /// their second message fails the connection with 1007.
    pub fn client_context_takeover(mut self, takeover: bool) -> Self {
        self.client_context_takeover = takeover;
        self
    }

    /// How far back our references go at most, as a power of two: 8 to 15 (RFC 7692 §7.1.2.1).
    /// Default 15, which is 32 KiB. The client may ask for less.
    ///
    /// # Panics
    ///
    /// If it is not 8 to 15.
    #[track_caller]
    pub fn server_max_window_bits(mut self, bits: u8) -> Self {
        self.server_max_window_bits = window(bits);
        self
    }

    /// How far back the client's references may go, likewise (RFC 7692 §7.1.2.2). Default 15. With
    /// less, a client that cannot be told so gets no compression.
    ///
    /// # Panics
    ///
    /// If it is not 8 to 15.
    #[track_caller]
    pub fn client_max_window_bits(mut self, bits: u8) -> Self {
        self.client_max_window_bits = window(bits);
        self
    }

    /// The terms to negotiate for.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            server: Direction {
                takeover: self.server_context_takeover,
                window_bits: self.server_max_window_bits,
            },
            client: Direction {
                takeover: self.client_context_takeover,
                window_bits: self.client_max_window_bits,
            },
        }
    }
}

#[track_caller]
fn window(bits: u8) -> u8 {
    let is_allowed = (8..=15).contains(&bits);
    assert!(is_allowed, "a window has 8 to 15 bits, not {bits}");
    bits
}
