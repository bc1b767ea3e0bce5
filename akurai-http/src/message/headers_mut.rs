//! The fields of a response, to be changed in place.

use crate::codec::conditional::EntityTag;
use crate::codec::date::http_date;
use crate::values::error::HeaderError;
use crate::values::field::content_length;
use crate::values::headers::Headers;

/// Changes the fields of a response; see [`Response::headers_mut`](crate::Response::headers_mut).
/// None of its methods panics.
///
/// Three fields are the server's own. `Connection: close` closes the connection after the response;
/// the server sets the other connection options itself and leaves out those given here.
/// `Content-Length` declares the [length](crate::Response::content_length) of a streamed body.
/// `Transfer-Encoding` is refused.
///
/// ```
/// use akurai_http::{HeaderError, Response};
///
/// let mut page = Response::text("hello").with_header("Cache-Control", "no-store");
/// let mut headers = page.headers_mut();
/// headers.set("cache-control", "max-age=60")?;
/// headers.append("Vary", "Origin")?;
/// headers.append("Vary", "Cookie")?;
/// headers.remove("Content-Type");
/// assert_eq!(headers.set("X-Name", "a\r\nSet-Cookie: forged=1"), Err(HeaderError::Value));
/// let fields: Vec<_> = page.headers().iter().collect();
/// assert_eq!(fields, [("cache-control", &b"max-age=60"[..]), ("Vary", b"Origin"), ("Vary", b"Cookie")]);
/// # Ok::<(), HeaderError>(())
/// ```
#[derive(Debug)]
pub struct HeadersMut<'a> {
    pub(super) headers: &'a mut Headers,
    pub(super) declared_length: &'a mut Option<u64>,
    pub(super) close: &'a mut bool,
}

impl HeadersMut<'_> {
    /// Sets a field: it replaces every field of this name.
    ///
    /// # Errors
    ///
    /// As for [`append`](HeadersMut::append). Then the fields stay as they were.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        self.append(name, value)?;
        self.headers.keep_last(name);
        Ok(())
    }

    /// Adds a field, after those of the same name. But a `Content-Type` replaces the one before: a
    /// message has one (RFC 9110 §5.3).
    ///
    /// # Errors
    ///
    /// If the name is no token; if the value holds CR, LF, NUL or another control character, or
    /// begins or ends with white space; or if the field is `Transfer-Encoding`, a `Content-Length`
    /// that is no number, an `ETag` without its quotes or a `Last-Modified` that is no HTTP-date.
    /// Then the fields stay as they were. If `?` passes the error on, it becomes a 500.
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        self.append_bytes(name, value.as_ref())
    }

    fn append_bytes(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        if name.eq_ignore_ascii_case("Transfer-Encoding") {
            return Err(HeaderError::Framing);
        }
        if name.eq_ignore_ascii_case("Content-Length") {
            let length = content_length(value).map_err(|_| HeaderError::Framing)?;
            *self.declared_length = Some(length);
            return Ok(());
        }
        let is_malformed_validator = name.eq_ignore_ascii_case("ETag")
            && EntityTag::parse(value).is_none()
            || name.eq_ignore_ascii_case("Last-Modified") && http_date(value, 0).is_none();
        if is_malformed_validator {
            return Err(HeaderError::Validator);
        }
        self.headers.append(name.as_bytes(), value)?;
        // `Response::text` and the like have set theirs before.
        if name.eq_ignore_ascii_case("Content-Type") {
            self.headers.keep_last(name);
        }
        if name.eq_ignore_ascii_case("Connection") {
            *self.close |= self
                .headers
                .tokens("Connection")
                .any(|option| option.eq_ignore_ascii_case(b"close"));
            self.headers.remove("Connection");
        }
        Ok(())
    }

    /// Removes every field of this name. For `Content-Length`, removes the declared length.
    pub fn remove(&mut self, name: &str) {
        if name.eq_ignore_ascii_case("Content-Length") {
            *self.declared_length = None;
        }
        self.headers.remove(name);
    }
}
