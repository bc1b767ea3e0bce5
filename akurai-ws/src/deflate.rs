//! The options of permessage-deflate.

pub use akurai_http::Level;

use crate::codec::extensions::{Direction, Wanted};

/// How messages are compressed (permessage-deflate, RFC 7692) if the client can do it: for
/// [`WsOptions::deflate`](crate::WsOptions::deflate).
///
/// Without context takeover, each message is compressed by itself, and a connection holds nothing
/// for it between two messages. With it, a message may refer to earlier messages. That makes short
/// messages that are alike much smaller, and costs memory. By default the client may do so, as
/// every client can, and we do not.
///
/// | between two messages | nothing compressed came | short ones came | 32 KiB or more came |
/// |---|---|---|---|
/// | the client without takeover ([`lean`](Self::lean)) | 0 | 0 | 0 |
/// | the client with it (default) | 0 | the length of their content | 32 KiB: the window |
/// | we with it (`server_context_takeover`) | from our first compressed message on about 640 KiB | | |
///
/// An allocator may keep about the same amount on top. With our own takeover, a message of over 128
/// KiB, and a [`Prepared`](crate::Prepared) one, is still compressed by itself, and the next
/// message then refers to none before it. While a thread compresses a message that refers to
/// earlier ones, other threads that send on the connection wait.
///
/// ```
/// use akurai_ws::{Deflate, WsOptions};
///
/// let options = WsOptions::new().deflate(Deflate {
///     server_context_takeover: true,
///     threshold_bytes: 64,
///     ..Deflate::default()
/// });
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// How hard to try. Default 6, of 1 to 9.
    pub level: Level,
    /// Shortest message that is compressed, in bytes. Default 512. A message that compression makes
    /// no smaller is sent as it is.
    pub threshold_bytes: usize,
    /// Whether our messages may refer to earlier ones (RFC 7692 §7.1.1.1). Default false. The
    /// client may refuse it.
    pub server_context_takeover: bool,
    /// Whether the client's messages may refer to earlier ones (§7.1.1.2). Default true, unless the
    /// client offers to do without. With false the client is asked not to. Some clients ignore
    /// that, Tornado 6.6 and Mojolicious 9.31 for example, and their second message fails the
    /// connection with 1007.
    pub client_context_takeover: bool,
    /// How far back our references go at most, as a power of two: 8 to 15 (§7.1.2.1). Default 15,
    /// which is 32 KiB. The client may ask for less.
    pub server_max_window_bits: u8,
    /// How far back the client's references may go, likewise (§7.1.2.2). Default 15. With less, a
    /// client that cannot be told so gets no compression.
    pub client_max_window_bits: u8,
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
    /// As the default, but the client is asked to compress each message by itself, so that the
    /// connection holds nothing for it between two messages. Use it for many connections whose
    /// clients are known to comply.
    pub fn lean() -> Self {
        Self {
            client_context_takeover: false,
            ..Self::default()
        }
    }

    /// The terms to negotiate for.
    ///
    /// # Panics
    ///
    /// If a window has not 8 to 15 bits.
    #[track_caller]
    pub(crate) fn wanted(&self) -> Wanted {
        for bits in [self.server_max_window_bits, self.client_max_window_bits] {
            assert!(
                (8..=15).contains(&bits),
                "a window has 8 to 15 bits, not {bits}"
            );
        }
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
