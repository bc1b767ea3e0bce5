//! Why a request's head or body was refused, and which status says so.

use std::error::Error;
use std::fmt;
use std::io;

use crate::values::refusals::refusals;
use crate::values::status::Status;

refusals! {
    /// Why a request was refused, on the wire or while its body was read.
    ///
    /// Each of these ends the connection after the answer. Once two parsers could disagree about
    /// where a message ends, nothing after it can be trusted (RFC 9112 §11.2).
    ///
    /// A body's reader returns these inside an [`io::Error`]; `Reply::from` turns that error into
    /// the right status.
    ///
    /// ```
    /// use akurai_http::{Reply, RequestError, Status};
    ///
    /// let reply = Reply::from(std::io::Error::from(RequestError::ChunkSize));
    /// assert_eq!(reply.response().status(), Status::BAD_REQUEST);
    /// assert_eq!(RequestError::ChunkSize.to_string(), "chunk-size is not 1 to 16 hex digits");
    /// ```
    RequestError {
        400 RequestLine: "request line is not method, target and version with one space between",
            "RFC 9112 §3";
        400 Method: "method is not a token of 1 to 32 bytes", "RFC 9110 §9.1";
        501 MethodUnknown: "method is not implemented", "RFC 9110 §9.1";
        400 Version: "version is not HTTP/1.x", "RFC 9112 §2.3";
        505 VersionUnsupported: "only HTTP/1.0 and HTTP/1.1 are spoken here", "RFC 9110 §15.6.6";
        400 Target: "request target is malformed", "RFC 9112 §3.2";
        414 TargetTooLong: "request line is too long", "RFC 9112 §3";
        400 LineEnding: "line does not end with CRLF", "RFC 9112 §2.2";
        400 ObsFold: "field line begins with white space", "RFC 9112 §5.2";
        400 FieldName: "field name is not a token followed by a colon", "RFC 9112 §5.1";
        400 FieldValue: "field value holds a control character", "RFC 9110 §5.5";
        431 FieldsTooMany: "too many field lines", "RFC 6585 §5";
        431 FieldsTooLarge: "header section is too large", "RFC 6585 §5";
        400 HostMissing: "an HTTP/1.1 request needs a Host field", "RFC 9112 §3.2";
        400 HostRepeated: "more than one Host field", "RFC 9112 §3.2";
        400 Host: "Host is not a host with an optional port", "RFC 9112 §3.2";
        421 Misdirected: "this server does not answer to this host, which is not in its list; or \
            the target says https: and the connection has no TLS", "RFC 9110 §7.4, §15.5.20";
        400 ContentTypeConflict: "Content-Type fields differ", "RFC 9110 §8.3";
        400 ContentLength: "Content-Length is not one decimal number", "RFC 9112 §6.3";
        400 TransferEncoding: "Transfer-Encoding is not chunked", "RFC 9112 §6.1";
        501 TransferCodingUnknown: "transfer coding is not implemented", "RFC 9112 §6.1";
        400 LengthAndCoding: "both Content-Length and Transfer-Encoding", "RFC 9112 §6.1";
        501 Connect: "CONNECT is not implemented", "RFC 9110 §9.3.6";
        417 Expectation: "only the expectation 100-continue can be met", "RFC 9110 §10.1.1";
        413 BodyTooLarge: "body is larger than this server takes", "RFC 9110 §15.5.14";
        400 ChunkSize: "chunk-size is not 1 to 16 hex digits", "RFC 9112 §7.1";
        400 ChunkExtension: "chunk extension is malformed or too long", "RFC 9112 §7.1.1";
        400 ChunkData: "chunk does not end with CRLF after its data", "RFC 9112 §7.1";
        400 Trailer: "trailer section is malformed or holds a forbidden field", "RFC 9112 §7.1.2";
        400 BodyTruncated: "connection ended in mid-body", "RFC 9112 §8";
        408 HeadTooSlow: "head did not arrive in time", "RFC 9110 §15.5.9";
        408 BodyTooSlow: "body did not arrive in time", "RFC 9110 §15.5.9";
    }
}

impl RequestError {
    /// How many variants there are.
    pub(crate) const COUNT: usize = RequestError::ALL.len();

    /// All variants, in order.
    pub(crate) fn all() -> impl Iterator<Item = RequestError> {
        RequestError::ALL.iter().copied()
    }

    /// The status that answers it.
    pub(crate) fn status(self) -> Status {
        Status::new(self.code())
    }
}

impl From<RequestError> for io::Error {
    fn from(error: RequestError) -> io::Error {
        let kind = match error {
            RequestError::BodyTruncated => io::ErrorKind::UnexpectedEof,
            RequestError::HeadTooSlow | RequestError::BodyTooSlow => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

/// The refusal that `error` carries, if it carries one.
pub(crate) fn refusal(error: &io::Error) -> Option<RequestError> {
    error.get_ref()?.downcast_ref::<RequestError>().copied()
}

/// Why a field or a [cookie](crate::Cookie) that the application set was refused. It is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is no token (RFC 9110 §5.6.2, RFC 6265 §4.1.1).
    Name,
    /// The value holds CR, LF, NUL or another control character, or begins or ends with white space
    /// (RFC 9110 §5.5).
    Value,
    /// `Transfer-Encoding`, which only the server may set, or a `Content-Length` that is not a
    /// decimal number.
    Framing,
    /// An `ETag` that is not a quoted string, with or without `W/` in front (RFC 9110 §8.8.3), or a
    /// `Last-Modified` that is not an HTTP-date (§8.8.2). No condition would ever match such a
    /// value.
    Validator,
    /// A [cookie](crate::Cookie)'s value holds something other than cookie-octets (RFC 6265
    /// §4.1.1).
    CookieValue,
    /// A cookie's name and value together are longer than 4096 bytes: browsers would drop it.
    CookieTooLong,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeaderError::Name => "name is not a token",
            HeaderError::Value => "field value holds a control character or outer white space",
            HeaderError::Framing => {
                "message framing is the server's: no Transfer-Encoding, and Content-Length a number"
            }
            HeaderError::Validator => {
                "ETag is not \"…\" or W/\"…\" with its quotes, or Last-Modified is no HTTP-date"
            }
            HeaderError::CookieValue => {
                "cookie value holds white space or one of \" , ; \\ or no ASCII"
            }
            HeaderError::CookieTooLong => "cookie name and value are longer than 4096 bytes",
        })
    }
}

impl Error for HeaderError {}

/// `InvalidInput`, so that `?` works in a function that returns an [`io::Result`].
impl From<HeaderError> for io::Error {
    fn from(error: HeaderError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_stands_at_its_own_place_and_has_a_message_of_its_own() {
        let mut messages = std::collections::BTreeSet::new();
        for (index, error) in RequestError::all().enumerate() {
            assert_eq!(error as usize, index, "{error:?}");
            assert!(messages.insert(error.to_string()), "{error:?}");
        }
    }
}
