//! What travels on a connection.

/// [`WsConn::recv`](crate::WsConn::recv) returns this: a message, or a control frame (RFC 6455
/// §5.5, §5.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A whole text message, checked to be UTF-8.
    Text(String),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A ping's payload, at most 125 bytes. The ping has already been answered with a pong.
    Ping(Vec<u8>),
    /// A pong's payload, at most 125 bytes, whether a ping asked for it or not.
    Pong(Vec<u8>),
    /// The peer's Close, `None` if it had no code. It has already been echoed. Nothing can be sent
    /// after it, and the next `recv` returns `Ok(None)`.
    Close(Option<CloseFrame>),
}

/// The kind of a data message: see [`WsConn::recv_into`](crate::WsConn::recv_into).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 (RFC 6455 §5.6).
    Text,
    /// Any bytes.
    Binary,
}

/// A Close frame's payload (RFC 6455 §5.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why, as a number: 1000–1003, 1007–1014 or 3000–4999 (RFC 6455 §7.4).
    pub code: u16,
    /// Why, in words: at most 123 bytes of UTF-8, often empty.
    pub reason: String,
}

/// How a connection ended: see [`Sender::close_info`](crate::Sender::close_info).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseInfo {
    /// The code of the first Close frame, from either side: 1005 if it had none, and 1006 if the
    /// connection ended without a Close (RFC 6455 §7.1.5, §7.4.1).
    pub code: u16,
    /// That frame's reason.
    pub reason: String,
    /// Whether a Close has gone both ways.
    pub clean: bool,
}

impl CloseInfo {
    /// An end that is not clean, as far as is known yet.
    pub(crate) fn new(code: u16, reason: &str) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
            clean: false,
        }
    }
}
