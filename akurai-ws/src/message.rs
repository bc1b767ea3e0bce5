//! What travels on a connection.

/// What [`WsConn::recv`](crate::WsConn::recv) returns: a message, or a control frame (RFC 6455 §5.5, §5.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A whole text message, checked to be UTF-8.
    Text(String),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A ping's payload, 125 bytes at most. It was answered with a pong before it came here.
    Ping(Vec<u8>),
    /// A pong's payload, 125 bytes at most, whether a ping asked for it or not.
    Pong(Vec<u8>),
    /// The peer's Close, `None` when it carried no code. It was echoed before it came here, nothing can be sent after it,
    /// and the next `recv` is `Ok(None)`.
    Close(Option<CloseFrame>),
}

/// What a data message is: see [`WsConn::recv_into`](crate::WsConn::recv_into).
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
    /// Why, in words: 123 bytes of UTF-8 at most, and often empty.
    pub reason: String,
}

/// How a connection ended: see [`WsConn::close_info`](crate::WsConn::close_info).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseInfo {
    /// The code of the first Close frame, whoever sent it: 1005 when it carried none, and 1006 when the connection ended
    /// without any (RFC 6455 §7.1.5, §7.4.1).
    pub code: u16,
    /// That frame's reason.
    pub reason: String,
    /// Whether a Close has gone both ways.
    pub clean: bool,
}

impl CloseInfo {
    /// One that is not clean, as far as is known yet.
    pub(crate) fn new(code: u16, reason: &str) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
            clean: false,
        }
    }
}
