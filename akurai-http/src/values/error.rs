//! Why a request's head or body was refused, and which status says so.

use std::error::Error;
use std::fmt;
use std::io;

use crate::values::status::Status;

/// Why a request was refused, on the wire or while its body was read.
///
/// Each of these ends the connection after the answer. Once two parsers could disagree about where
/// a message ends, nothing after it can be trusted (RFC 9112 §11.2).
///
/// A body's reader returns these inside an [`io::Error`]; `Reply::from` turns that error into the
/// right status.
///
/// ```
/// use akurai_http::{RequestError, Status};
///
/// assert_eq!(RequestError::ChunkSize.status(), Status::BAD_REQUEST);
/// assert_eq!(RequestError::ChunkSize.to_string(), "chunk-size is not 1 to 16 hex digits");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // Each variant's text is what `Display` prints, below.
pub enum RequestError {
    RequestLine,
    Method,
    MethodUnknown,
    Version,
    VersionUnsupported,
    Target,
    TargetTooLong,
    LineEnding,
    ObsFold,
    FieldName,
    FieldValue,
    FieldsTooMany,
    FieldsTooLarge,
    HostMissing,
    HostRepeated,
    Host,
    Misdirected,
    ContentTypeConflict,
    ContentLength,
    TransferEncoding,
    TransferCodingUnknown,
    LengthAndCoding,
    Connect,
    Expectation,
    BodyTooLarge,
    ChunkSize,
    ChunkExtension,
    ChunkData,
    Trailer,
    BodyTruncated,
    HeadTooSlow,
    BodyTooSlow,
}

impl RequestError {
    /// How many variants there are.
    pub(crate) const COUNT: usize = RequestError::BodyTooSlow as usize + 1;

    /// All variants, in order.
    pub(crate) fn all() -> impl Iterator<Item = RequestError> {
        use RequestError::*;
        let all: [RequestError; RequestError::COUNT] = [
            RequestLine,
            Method,
            MethodUnknown,
            Version,
            VersionUnsupported,
            Target,
            TargetTooLong,
            LineEnding,
            ObsFold,
            FieldName,
            FieldValue,
            FieldsTooMany,
            FieldsTooLarge,
            HostMissing,
            HostRepeated,
            Host,
            Misdirected,
            ContentTypeConflict,
            ContentLength,
            TransferEncoding,
            TransferCodingUnknown,
            LengthAndCoding,
            Connect,
            Expectation,
            BodyTooLarge,
            ChunkSize,
            ChunkExtension,
            ChunkData,
            Trailer,
            BodyTruncated,
            HeadTooSlow,
            BodyTooSlow,
        ];
        all.into_iter()
    }

    /// The status that answers it.
    pub fn status(self) -> Status {
        use RequestError::*;
        match self {
            TargetTooLong => Status::URI_TOO_LONG,
            FieldsTooMany | FieldsTooLarge => Status::REQUEST_HEADER_FIELDS_TOO_LARGE,
            BodyTooLarge => Status::CONTENT_TOO_LARGE,
            HeadTooSlow | BodyTooSlow => Status::REQUEST_TIMEOUT,
            Expectation => Status::EXPECTATION_FAILED,
            Misdirected => Status::MISDIRECTED_REQUEST,
            MethodUnknown | TransferCodingUnknown | Connect => Status::NOT_IMPLEMENTED,
            VersionUnsupported => Status::HTTP_VERSION_NOT_SUPPORTED,
            _ => Status::BAD_REQUEST,
        }
    }

    fn message(self) -> &'static str {
        use RequestError::*;
        match self {
            RequestLine => "request line is not method, target and version with one space between",
            Method => "method is not a token of 1 to 32 bytes",
            MethodUnknown => "method is not implemented",
            Version => "version is not HTTP/1.x",
            VersionUnsupported => "only HTTP/1.0 and HTTP/1.1 are spoken here",
            Target => "request target is malformed",
            TargetTooLong => "request line is too long",
            LineEnding => "line does not end with CRLF",
            ObsFold => "field line begins with white space",
            FieldName => "field name is not a token followed by a colon",
            FieldValue => "field value holds a control character",
            FieldsTooMany => "too many field lines",
            FieldsTooLarge => "header section is too large",
            HostMissing => "an HTTP/1.1 request needs a Host field",
            HostRepeated => "more than one Host field",
            Host => "Host is not a host with an optional port",
            Misdirected => "this server does not answer to this host (its hosts are listed)",
            ContentTypeConflict => "Content-Type fields differ",
            ContentLength => "Content-Length is not one decimal number",
            TransferEncoding => "Transfer-Encoding is not chunked",
            TransferCodingUnknown => "transfer coding is not implemented",
            LengthAndCoding => "both Content-Length and Transfer-Encoding",
            Connect => "CONNECT is not implemented",
            Expectation => "only the expectation 100-continue can be met",
            BodyTooLarge => "body is larger than this server takes",
            ChunkSize => "chunk-size is not 1 to 16 hex digits",
            ChunkExtension => "chunk extension is malformed or too long",
            ChunkData => "chunk does not end with CRLF after its data",
            Trailer => "trailer section is malformed or holds a forbidden field",
            BodyTruncated => "connection ended in mid-body",
            HeadTooSlow => "head did not arrive in time",
            BodyTooSlow => "body did not arrive in time",
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl Error for RequestError {}

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

/// Why a field that the application set was refused. A refused field is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is no token (RFC 9110 §5.6.2).
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
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeaderError::Name => "field name is not a token",
            HeaderError::Value => "field value holds a control character or outer white space",
            HeaderError::Framing => {
                "message framing is the server's: no Transfer-Encoding, and Content-Length a number"
            }
            HeaderError::Validator => {
                "ETag is not \"…\" or W/\"…\" with its quotes, or Last-Modified is no HTTP-date"
            }
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
    fn every_error_stands_at_its_own_place() {
        for (index, error) in RequestError::all().enumerate() {
            assert_eq!(error as usize, index, "{error:?}");
        }
    }
}
