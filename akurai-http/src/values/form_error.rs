//! Why a form was refused, and which status says so.

use std::error::Error;
use std::fmt;
use std::io;

use crate::values::status::Status;

/// Why a form in a body was refused, by [`Request::form`](crate::Request::form) or
/// [`Multipart`](crate::Multipart).
///
/// The HTTP message itself is intact, so the connection may go on. The readers return these inside
/// an [`io::Error`]; `Reply::from` turns that error into the right status.
///
/// ```
/// use akurai_http::{FormError, Status};
///
/// assert_eq!(FormError::MediaType.status(), Status::UNSUPPORTED_MEDIA_TYPE);
/// assert_eq!(FormError::Truncated.to_string(), "multipart body ends without its final boundary");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // Each variant's text is what `Display` prints, below.
pub enum FormError {
    MediaType,
    TooManyPairs,
    Boundary,
    Preamble,
    Delimiter,
    Truncated,
    PartHead,
    PartHeadTooLarge,
    Disposition,
    TooManyParts,
    PartTooLarge,
}

impl FormError {
    /// The status that answers it: 415 for another media type, 413 for a part that is too large,
    /// otherwise 400.
    pub fn status(self) -> Status {
        use FormError::*;
        match self {
            MediaType => Status::UNSUPPORTED_MEDIA_TYPE,
            PartHeadTooLarge | PartTooLarge => Status::CONTENT_TOO_LARGE,
            _ => Status::BAD_REQUEST,
        }
    }

    /// The form error that `error` carries, if it carries one.
    pub(crate) fn within(error: &io::Error) -> Option<FormError> {
        error.get_ref()?.downcast_ref::<FormError>().copied()
    }

    fn message(self) -> &'static str {
        use FormError::*;
        match self {
            MediaType => "body is not of the form's media type",
            TooManyPairs => "form has too many pairs",
            Boundary => "boundary parameter is missing or malformed",
            Preamble => "first boundary does not begin a line",
            Delimiter => "boundary is followed by something else than its line's end",
            Truncated => "multipart body ends without its final boundary",
            PartHead => "part's header section is malformed",
            PartHeadTooLarge => "part's header section is too large",
            Disposition => "part has no well-formed Content-Disposition with a name",
            TooManyParts => "form has too many parts",
            PartTooLarge => "part is larger than its handler takes",
        }
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl Error for FormError {}

impl From<FormError> for io::Error {
    fn from(error: FormError) -> io::Error {
        let kind = match error {
            FormError::Truncated => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}
