//! Why a call failed, and what a peer did wrong.

use std::{error, fmt, io};

/// Why a call on a [`WsConn`](crate::WsConn) failed.
///
/// If a peer closes or is gone, that is not an error: [`recv`](crate::WsConn::recv) then returns
/// `Ok(None)`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke the protocol. It was sent a Close with the violation's code.
    Violation(Violation),
    /// The peer did not take a frame within the write deadline. Nothing can be sent any more, since
    /// it is unknown how much of the frame arrived.
    WriteDeadline,
    /// Nothing can be sent after a Close, nor on a connection that has ended.
    Closed,
    /// Too much waits for a peer that is slow. This message was not sent.
    /// [`WhenFull`](crate::WhenFull) decides whether the connection goes on.
    Slow,
    /// Nothing came within the time given to [`recv_timeout`](crate::WsConn::recv_timeout). The
    /// connection stays as it was, even if a message has begun.
    Timeout,
    /// A text message of our own is not UTF-8 (RFC 6455 §5.6). The faulty bytes were not sent.
    NotUtf8,
    /// A Close may not carry this code (RFC 6455 §7.4). Nothing was sent.
    InvalidCloseCode(u16),
    /// A Close's reason of this many bytes is longer than 123. Nothing was sent.
    ReasonTooLong(usize),
    /// A ping's payload of this many bytes is longer than 125. Nothing was sent.
    PingTooLong(usize),
    /// The socket failed; or the application did, if it turned an error of its own into an
    /// `io::Error`.
    Io(io::Error),
    /// The program ends the connection with this code and reason: made by [`Error::close`].
    #[non_exhaustive]
    Close {
        /// The code: one that may be sent.
        code: u16,
        /// The reason: at most 123 bytes.
        reason: String,
    },
}

/// What a peer did wrong. [`code`](Self::code) is the close code for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A reserved bit is set, and no negotiated extension gives it a meaning there (RFC 6455 §5.2,
    /// RFC 7692 §6).
    ReservedBits,
    /// The opcode is 3–7 or B–F (§5.2).
    ReservedOpcode,
    /// The frame is not masked (§5.1).
    Unmasked,
    /// A control frame without FIN (§5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (§5.5).
    ControlTooLong,
    /// The length is not in its shortest form (§5.2).
    LengthNotShortest,
    /// The top bit of a 64-bit length is set (§5.2).
    LengthTopBit,
    /// A continuation without a message to continue (§5.4).
    StrayContinuation,
    /// A new message inside a fragmented one (§5.4).
    InterleavedMessage,
    /// A Close with one byte of payload (§5.5.1).
    CloseTooShort,
    /// A Close whose code may not be sent (§7.4).
    CloseCode,
    /// A Close whose reason is not UTF-8 (§5.5.1).
    CloseReason,
    /// A text message that is not UTF-8 (§8.1).
    TextNotUtf8,
    /// A compressed message that is not DEFLATE data, or refers to data before its window (RFC 7692
    /// §7.2.2).
    Compression,
    /// A frame longer than [`WsOptions::max_frame_bytes`](crate::WsOptions::max_frame_bytes).
    FrameTooLong,
    /// A message longer than [`WsOptions::max_message_bytes`](crate::WsOptions::max_message_bytes).
    MessageTooLong,
    /// A message of more frames than [`WsOptions::max_fragments`](crate::WsOptions::max_fragments).
    TooManyFragments,
    /// A message that did not end within
    /// [`WsOptions::message_deadline`](crate::WsOptions::message_deadline).
    MessageTooSlow,
}

impl Violation {
    /// The close code that the peer was sent: 1002, 1007, 1008 or 1009 (RFC 6455 §7.4.1).
    pub fn code(self) -> u16 {
        match self {
            Self::CloseReason | Self::TextNotUtf8 | Self::Compression => 1007,
            Self::TooManyFragments | Self::MessageTooSlow => 1008,
            Self::FrameTooLong | Self::MessageTooLong => 1009,
            _ => 1002,
        }
    }

    // This is also the Close frame's reason, so it stays below 124 bytes.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::ReservedBits => "frame: a reserved bit is set that means nothing there",
            Self::ReservedOpcode => "frame: reserved opcode",
            Self::Unmasked => "frame: not masked",
            Self::FragmentedControl => "control frame: fragmented",
            Self::ControlTooLong => "control frame: more than 125 bytes",
            Self::LengthNotShortest => "frame: length not in its shortest form",
            Self::LengthTopBit => "frame: the top bit of the length is set",
            Self::StrayContinuation => "message: a continuation of nothing",
            Self::InterleavedMessage => "message: begins inside a fragmented one",
            Self::CloseTooShort => "close: one byte of payload",
            Self::CloseCode => "close: a code that may not be sent",
            Self::CloseReason => "close: the reason is not utf-8",
            Self::TextNotUtf8 => "text message: not utf-8",
            Self::Compression => "message: compressed data is malformed",
            Self::FrameTooLong => "frame: too long",
            Self::MessageTooLong => "message: too long",
            Self::TooManyFragments => "message: too many fragments",
            Self::MessageTooSlow => "message: not complete in time",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl error::Error for Violation {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(violation) => write!(f, "peer's {violation}"),
            Self::WriteDeadline => f.write_str("send: the peer did not take the frame in time"),
            Self::Closed => f.write_str("send: the connection is closed"),
            Self::Slow => f.write_str("send: the peer is slow, and the queue is full"),
            Self::Timeout => f.write_str("recv: nothing came in time"),
            Self::NotUtf8 => f.write_str("send: the text is not utf-8"),
            Self::InvalidCloseCode(code) => write!(f, "close: code {code} may not be sent"),
            Self::ReasonTooLong(bytes) => {
                write!(f, "close: the reason has {bytes} bytes, more than 123")
            }
            Self::PingTooLong(bytes) => {
                write!(f, "ping: the payload has {bytes} bytes, more than 125")
            }
            Self::Io(error) => write!(f, "connection: {error}"),
            Self::Close { code, reason } => write!(f, "close: {code} {reason}"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Violation(violation) => Some(violation),
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// An [`Error`] that came through [`Read`](io::Read) or [`Write`](io::Write) becomes itself again.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(Self::Io)
    }
}

/// The kind says roughly the same, and the error itself is the source.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Io(error) => return error,
            Error::Violation(_) => io::ErrorKind::InvalidData,
            Error::Closed => io::ErrorKind::BrokenPipe,
            Error::WriteDeadline | Error::Slow | Error::Timeout => io::ErrorKind::TimedOut,
            Error::InvalidCloseCode(_)
            | Error::ReasonTooLong(_)
            | Error::PingTooLong(_)
            | Error::NotUtf8 => io::ErrorKind::InvalidInput,
            Error::Close { .. } => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// For a program that boxes its errors, so that `?` passes them on. An [`Error`] in the box becomes
/// itself again. Any other is [`Error::Io`], which closes the connection with 1011.
impl From<Box<dyn error::Error + Send + Sync>> for Error {
    fn from(error: Box<dyn error::Error + Send + Sync>) -> Self {
        match error.downcast::<io::Error>() {
            Ok(error) => Self::from(*error),
            Err(error) => Self::from(io::Error::other(error)),
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[track_caller]
    fn check(error: Error, message: &str, has_source: bool) {
        assert_eq!(error.to_string(), message);
        assert_eq!(error.source().is_some(), has_source);
    }

    #[test]
    fn reasons_fit_a_close_frame() {
        use Violation::*;
        for violation in [
            ReservedBits,
            ReservedOpcode,
            Unmasked,
            FragmentedControl,
            ControlTooLong,
            LengthNotShortest,
            LengthTopBit,
            StrayContinuation,
            InterleavedMessage,
            CloseTooShort,
            CloseCode,
            CloseReason,
            TextNotUtf8,
            Compression,
            FrameTooLong,
            MessageTooLong,
            TooManyFragments,
            MessageTooSlow,
        ] {
            assert!(crate::codec::close::encode(violation.code(), violation.reason()).is_ok());
        }
    }

    #[test]
    fn messages_name_the_place() {
        check(Violation::Unmasked.into(), "peer's frame: not masked", true);
        check(
            Violation::TextNotUtf8.into(),
            "peer's text message: not utf-8",
            true,
        );
        check(
            Error::WriteDeadline,
            "send: the peer did not take the frame in time",
            false,
        );
        check(Error::Closed, "send: the connection is closed", false);
        check(
            Error::InvalidCloseCode(1005),
            "close: code 1005 may not be sent",
            false,
        );
        check(
            Error::ReasonTooLong(124),
            "close: the reason has 124 bytes, more than 123",
            false,
        );
        check(
            Error::PingTooLong(126),
            "ping: the payload has 126 bytes, more than 125",
            false,
        );
        check(
            Error::Slow,
            "send: the peer is slow, and the queue is full",
            false,
        );
        check(Error::Timeout, "recv: nothing came in time", false);
        check(Error::NotUtf8, "send: the text is not utf-8", false);
        check(
            io::Error::other("no route").into(),
            "connection: no route",
            true,
        );
    }

    #[test]
    fn a_close_of_the_program() {
        check(Error::close(4003, "banned"), "close: 4003 banned", false);
        let refused = Error::close(1005, "");
        assert!(matches!(refused, Error::InvalidCloseCode(1005)));
        // Two bytes each, so that the limit lies within one.
        let cut = Error::close(1008, &"ü".repeat(100));
        assert!(matches!(cut, Error::Close { code: 1008, reason } if reason == "ü".repeat(61)));
        let back = Error::from(io::Error::from(Error::close(3000, "")));
        assert!(matches!(back, Error::Close { code: 3000, .. }));
    }

    #[test]
    fn out_of_a_box() {
        type Boxed = Box<dyn error::Error + Send + Sync>;
        let unboxed = |error: Boxed| Error::from(error);
        assert!(matches!(unboxed(Error::Slow.into()), Error::Slow));
        let within_io = io::Error::from(Error::Slow);
        assert!(matches!(unboxed(within_io.into()), Error::Slow));
        check(unboxed("no route".into()), "connection: no route", true);
    }

    #[test]
    fn through_io_and_back() {
        let error = io::Error::from(Error::from(Violation::Unmasked));
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let back = Error::from(error);
        assert!(matches!(back, Error::Violation(Violation::Unmasked)));
        let error = io::Error::from(Error::Io(io::ErrorKind::NotFound.into()));
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(matches!(Error::from(error), Error::Io(_)));
    }
}
