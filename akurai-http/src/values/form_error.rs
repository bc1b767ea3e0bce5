//! Why a form was refused, and which status says so.

use std::io;

use crate::values::refusals::refusals;
use crate::values::status::Status;

refusals! {
    /// Why a form in a body was refused, by [`Request::form`](crate::Request::form) or
    /// [`Multipart`](crate::Multipart).
    ///
    /// The HTTP message itself is intact, so the connection may go on. The readers return these
    /// inside an [`io::Error`]; `Reply::from` turns that error into the right status.
    ///
    /// ```
    /// use akurai_http::{FormError, Reply, Status};
    ///
    /// let reply = Reply::from(std::io::Error::from(FormError::MediaType));
    /// assert_eq!(reply.response().status(), Status::UNSUPPORTED_MEDIA_TYPE);
    /// assert_eq!(FormError::Truncated.to_string(), "multipart body ends without its final boundary");
    /// ```
    FormError {
        415 MediaType: "body is not of the form's media type", "RFC 9110 §15.5.16";
        400 TooManyPairs: "form has too many pairs", "more than 1,000";
        400 Boundary: "boundary parameter is missing or malformed", "RFC 2046 §5.1.1";
        400 Preamble: "first boundary does not begin a line", "RFC 2046 §5.1.1";
        400 Delimiter: "boundary is followed by something else than its line's end",
            "RFC 2046 §5.1.1";
        400 Truncated: "multipart body ends without its final boundary", "RFC 2046 §5.1.1";
        400 PartHead: "part's header section is malformed", "RFC 7578 §4.8";
        413 PartHeadTooLarge: "part's header section is too large", "RFC 9110 §15.5.14";
        400 Disposition: "part has no well-formed Content-Disposition with a name", "RFC 7578 §4.2";
        400 TooManyParts: "form has too many parts", "more than 1,000";
        413 PartTooLarge: "part is larger than its handler takes", "RFC 9110 §15.5.14";
    }
}

impl FormError {
    /// The status that answers it.
    pub(crate) fn status(self) -> Status {
        Status::new(self.code())
    }

    /// The form error that `error` carries, if it carries one.
    pub(crate) fn within(error: &io::Error) -> Option<FormError> {
        error.get_ref()?.downcast_ref::<FormError>().copied()
    }
}

impl From<FormError> for io::Error {
    fn from(error: FormError) -> io::Error {
        let kind = match error {
            FormError::Truncated => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}
