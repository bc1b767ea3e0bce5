//! A response, as a handler builds it.

use std::cell::Cell;
use std::fmt;
use std::io;

use crate::codec::disposition::attachment;
use crate::codec::path::percent_encode;
use crate::io::claimed::give_back;
use crate::message::body_writer::{BodyWriter, Coded};
use crate::message::headers_mut::HeadersMut;
use crate::{Headers, Status};

/// A response: status, fields and body.
///
/// The server adds `Date`, the framing (`Content-Length` or `Transfer-Encoding`) and `Connection`
/// by itself. Whatever the body is, the server sends no content with status 204, 205 and 304, nor
/// in any answer to `HEAD` (RFC 9110 §6.4). An interim status, 1xx, is no response: the server
/// sends 500 instead.
///
/// ```
/// use akurai_http::{Response, Status};
///
/// let response = Response::text("gone\n")
///     .with_status(Status::GONE)
///     .with_header("Cache-Control", "no-store");
/// assert_eq!(response.headers().get("content-type"), Some("text/plain; charset=utf-8"));
/// ```
#[must_use = "a response does nothing until the handler returns it"]
pub struct Response {
    pub(crate) parts: Box<Parts>,
}

/// The parts of a response. They stay where they are when the response is moved. The thread's next
/// response uses them again, so that a short answer costs no allocation.
pub(crate) struct Parts {
    status: Status,
    pub(super) headers: Headers,
    pub(crate) body: Body,
    /// The body, if it is [`Body::Short`].
    pub(crate) short: Vec<u8>,
    /// The body's length as the application declared it, in bytes.
    pub(crate) declared_length: Option<u64>,
    /// The body is compressed while it is streamed.
    pub(crate) coded: Option<Coded>,
    pub(crate) close: bool,
    /// What of it the request decides.
    pub(super) unsettled: Unsettled,
    /// The error that it was made of.
    pub(crate) failure: Option<io::Error>,
}

/// What of a response only the request decides; see [`Response::settle`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsettled {
    Nothing,
    /// It has validators, so the client may have this version already.
    Conditions,
    /// The library made it. The client may prefer problem+json to its text.
    OwnText,
}

/// Longest body that is copied into [`Parts::short`], in bytes. That memory is used again.
const SHORT_BYTES: usize = 1024;

thread_local! {
    /// The parts of this thread's last response, emptied.
    static SPARE: Cell<Option<Box<Parts>>> = const { Cell::new(None) };
}

/// A response's content.
pub(crate) enum Body {
    /// In [`Parts::short`].
    Short,
    Bytes(Vec<u8>),
    /// Bytes that are part of the program.
    Static(&'static [u8]),
    Stream(Box<StreamFn>),
}

pub(crate) type StreamFn = dyn FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + Send;

impl Response {
    /// A response without content.
    pub fn new(status: Status) -> Response {
        let mut parts = SPARE.take().unwrap_or_else(|| Box::new(Parts::empty()));
        parts.status = status;
        Response { parts }
    }

    /// 200 with `text/plain; charset=utf-8`.
    pub fn text(body: impl AsRef<[u8]> + Into<Vec<u8>>) -> Response {
        Response::of_type("text/plain; charset=utf-8", body)
    }

    /// 200 with `text/html; charset=utf-8`.
    pub fn html(body: impl AsRef<[u8]> + Into<Vec<u8>>) -> Response {
        Response::of_type("text/html; charset=utf-8", body)
    }

    /// 200 with `application/json`. The bytes are the caller's: nothing checks them.
    pub fn json(body: impl AsRef<[u8]> + Into<Vec<u8>>) -> Response {
        Response::of_type("application/json", body)
    }

    /// 200 with a body that `write` produces while it is sent, in constant memory.
    ///
    /// HTTP/1.1 gets it chunked and HTTP/1.0 until the connection's end, unless [`content_length`]
    /// declares the length in advance. It is a failure if `write` fails or panics, or writes more
    /// or less than was declared. Then the client gets a 500 as long as nothing was sent, and
    /// otherwise an aborted connection. An HTTP/1.1 client never takes that for a whole body. An
    /// HTTP/1.0 client cannot tell, unless the length was declared. The server does not call
    /// `write` for `HEAD`, nor for a status without content.
    ///
    /// ```
    /// use akurai_http::Response;
    /// use std::io::Write;
    ///
    /// let response = Response::stream(|out| {
    ///     for n in 0..1_000_000 {
    ///         writeln!(out, "{n}")?;
    ///     }
    ///     Ok(())
    /// });
    /// # let _ = response;
    /// ```
    ///
    /// [`content_length`]: Response::content_length
    pub fn stream(
        write: impl FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + Send + 'static,
    ) -> Response {
        Response::new(Status::OK).with_stream(write)
    }

    /// Sends the client to another place, which `Location` names: an absolute URL, or a reference
    /// relative to the request's own (RFC 9110 §10.2.2), such as `/login`. Bytes that are not ASCII
    /// are percent-encoded (RFC 3987 §3.1). The status decides what the client sends next (§15.4):
    ///
    /// | status | for | the next request |
    /// |---|---|---|
    /// | [`SEE_OTHER`](Status::SEE_OTHER), 303 | the answer to a form | `GET`, without a body |
    /// | [`TEMPORARY_REDIRECT`](Status::TEMPORARY_REDIRECT), 307 | now | keeps method and body |
    /// | [`PERMANENT_REDIRECT`](Status::PERMANENT_REDIRECT), 308 | from now on | keeps method and body |
    /// | [`FOUND`](Status::FOUND), 302 | now | as 307, but browsers turn `POST` into `GET` |
    /// | [`MOVED_PERMANENTLY`](Status::MOVED_PERMANENTLY), 301 | from now on | as 308, but browsers turn `POST` into `GET` |
    ///
    /// ```
    /// use akurai_http::{Response, Status};
    ///
    /// let response = Response::redirect(Status::SEE_OTHER, "/login");
    /// assert_eq!(response.headers().get("location"), Some("/login"));
    /// ```
    ///
    /// # Panics
    ///
    /// If the status is none of these, or the location is malformed as a field. Use
    /// [`headers_mut`](Response::headers_mut) for a location that comes from outside. Also check
    /// where it leads: otherwise a link to this server can send people anywhere.
    #[track_caller]
    pub fn redirect(status: Status, location: impl AsRef<[u8]>) -> Response {
        assert!(
            matches!(status.code(), 301 | 302 | 303 | 307 | 308),
            "{status} is no redirect"
        );
        Response::new(status).with_header("Location", percent_encode(location, |_| true))
    }

    /// The same response with another status.
    pub fn with_status(mut self, status: Status) -> Response {
        self.parts.status = status;
        self
    }

    /// Adds a field. Fields of the same name that are there already stay, and are sent too; but a
    /// response has one `Content-Type`, so that one is replaced. To replace another field, use
    /// [`HeadersMut::set`](crate::HeadersMut::set) of [`headers_mut`](Response::headers_mut).
    ///
    /// `Connection: close` closes the connection after this response. The server itself sets the
    /// other connection options; those given here are left out. For `Content-Length` see
    /// [`content_length`](Response::content_length).
    ///
    /// ```
    /// use akurai_http::Response;
    ///
    /// let script = Response::text("let x = 1;")
    ///     .with_header("Vary", "Origin")
    ///     .with_header("content-type", "text/javascript")
    ///     .with_header("Vary", "Cookie");
    /// let fields: Vec<_> = script.headers().iter().collect();
    /// assert_eq!(fields, [("Vary", &b"Origin"[..]), ("content-type", b"text/javascript"), ("Vary", b"Cookie")]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the field is malformed: such a value could forge another field or a second response. Also
    /// if it is an `ETag` without its quotes or a `Last-Modified` that is no date: no condition
    /// would match it. Use [`headers_mut`](Response::headers_mut) for a value that comes from
    /// outside.
    #[track_caller]
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Response {
        match self.headers_mut().append(name, value) {
            Ok(()) => self,
            Err(error) => panic!("header {name:?}: {error}"),
        }
    }

    /// The fields, to be changed in place: by middleware, or with a value that comes from outside,
    /// since an error takes the place of a panic.
    ///
    /// ```
    /// use akurai_http::{Cookie, Method, Reply, Request, Response, Status};
    ///
    /// fn remember(req: &Request) -> std::io::Result<Response> {
    ///     let pairs = req.query_pairs();
    ///     let lang = pairs.get("lang").unwrap_or("en");
    ///     let mut response = Response::text("").cookie(Cookie::try_new("lang", lang)?);
    ///     response.headers_mut().set("Content-Language", lang)?;
    ///     Ok(response)
    /// }
    /// let status = |path| Reply::from(remember(&Request::new(Method::Get, path))).response().status();
    /// assert_eq!(status("/?lang=de"), Status::OK);
    /// assert_eq!(status("/?lang=d%0Ae"), Status::INTERNAL_SERVER_ERROR);
    /// ```
    pub fn headers_mut(&mut self) -> HeadersMut<'_> {
        let Parts {
            headers,
            declared_length,
            close,
            ..
        } = &mut *self.parts;
        HeadersMut {
            headers,
            declared_length,
            close,
        }
    }

    /// Makes browsers save the content under this name instead of showing it. Sets
    /// `Content-Disposition: attachment` with `filename`, and with `filename*` where the name needs
    /// it (RFC 6266). A slash, backslash or control character in the name becomes `_`. Behind
    /// [`Gzip`](crate::middleware::Gzip), `Cache-Control: no-transform` keeps the content's ranges.
    pub fn attachment(mut self, file_name: &str) -> Response {
        self.parts.headers.remove("Content-Disposition");
        self.with_header("Content-Disposition", attachment(file_name))
    }

    /// Declares the length of a streamed body, in bytes. In an answer to `HEAD`, declares the
    /// length that `GET` would send.
    pub fn content_length(mut self, bytes: u64) -> Response {
        self.parts.declared_length = Some(bytes);
        self
    }

    /// The same response with this body.
    pub fn with_body(mut self, body: impl AsRef<[u8]> + Into<Vec<u8>>) -> Response {
        let bytes = body.as_ref();
        if self.parts.unsettled == Unsettled::OwnText {
            self.parts.unsettled = Unsettled::Nothing;
        }
        if bytes.len() <= SHORT_BYTES {
            self.parts.short.clear();
            self.parts.short.extend_from_slice(bytes);
            self.parts.body = Body::Short;
        } else {
            self.parts.body = Body::Bytes(body.into());
        }
        self
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.parts.status
    }

    /// The fields that were set. The server adds further ones when it sends the response.
    pub fn headers(&self) -> &Headers {
        &self.parts.headers
    }

    /// The body; `None` if it is a stream, as for a file.
    pub fn body(&self) -> Option<&[u8]> {
        match &self.parts.body {
            Body::Short => Some(&self.parts.short),
            Body::Bytes(bytes) => Some(bytes),
            Body::Static(bytes) => Some(bytes),
            Body::Stream(_) => None,
        }
    }

    /// Says that the content depends on `Accept-Encoding` (RFC 9110 §12.5.5), unless it says so
    /// already.
    pub(crate) fn vary_by_coding(&mut self) {
        self.vary_by("Accept-Encoding");
    }

    pub(super) fn vary_by(&mut self, field: &str) {
        let names_it = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(field.as_bytes());
        if !self.headers().tokens("Vary").any(names_it) {
            self.parts.headers.append_known(b"Vary", field.as_bytes());
        }
    }

    /// The same response without fields of this name.
    pub(crate) fn without_header(mut self, name: &str) -> Response {
        self.headers_mut().remove(name);
        self
    }

    pub(crate) fn with_stream(
        mut self,
        write: impl FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + Send + 'static,
    ) -> Response {
        self.parts.body = Body::Stream(Box::new(write));
        self
    }

    /// Closes the connection after this response.
    pub(crate) fn closing(mut self) -> Response {
        self.parts.close = true;
        self
    }

    /// Leaves its parts to the thread's next response.
    pub(crate) fn recycle(mut self) {
        self.parts.clear();
        SPARE.set(Some(self.parts));
    }

    /// Frees the parts that [`recycle`](Response::recycle) has left.
    pub(crate) fn free_spare() {
        SPARE.take();
    }

    fn of_type(media_type: &'static str, body: impl AsRef<[u8]> + Into<Vec<u8>>) -> Response {
        let mut response = Response::new(Status::OK);
        response
            .parts
            .headers
            .append_known(b"Content-Type", media_type.as_bytes());
        response.with_body(body)
    }
}

impl Parts {
    fn empty() -> Parts {
        Parts {
            status: Status::OK,
            headers: Headers::default(),
            body: Body::Short,
            short: Vec::new(),
            declared_length: None,
            coded: None,
            close: false,
            unsettled: Unsettled::Nothing,
            failure: None,
        }
    }

    /// Takes the body out, since a stream's closure runs once.
    pub(crate) fn take_body(&mut self) -> Body {
        std::mem::replace(&mut self.body, Body::Short)
    }

    /// Becomes empty. Keeps as much memory as a usual response needs.
    fn clear(&mut self) {
        self.headers.clear();
        if let Body::Bytes(bytes) = self.take_body() {
            give_back(bytes);
        }
        self.short.clear();
        self.declared_length = None;
        self.coded = None;
        self.close = false;
        self.unsettled = Unsettled::Nothing;
        self.failure = None;
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status())
            .field("headers", self.headers())
            .field("body", &self.parts)
            .finish_non_exhaustive()
    }
}

/// The body's kind and length.
impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.body {
            Body::Short => write!(f, "{} bytes", self.short.len()),
            Body::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Body::Static(bytes) => write!(f, "{} static bytes", bytes.len()),
            Body::Stream(_) => f.write_str("a stream"),
        }
    }
}

#[cfg(test)]
mod tests;
