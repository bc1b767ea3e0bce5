//! A request, as a handler sees it.

mod client;
mod log;
mod matched;
mod peer;

use std::any::Any;
use std::fmt;
use std::io::{self, Read};
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::codec::body::{BodyLimits, Framing};
use crate::codec::head::{Head, HeadLimits, HeadParser};
use crate::codec::target::Form;
use crate::io::buffered::{BufferedTransport, IDLE_BUFFER_BYTES};
use crate::io::claimed::{CLAIM_BYTES, Claim, make_room};
use crate::io::lock::lock;
use crate::message::attached::Attached;
use crate::message::params::Params;
use crate::{Headers, Limits, Method, RequestError, Response, TrustedProxies, Version};

use log::RequestLog;

/// How much of a body's announced length we believe before any byte of it came, and without a
/// [`Claim`], in bytes.
const BELIEVED_BYTES: usize = IDLE_BUFFER_BYTES;

/// Room for a chunked body, whose length is not announced, in bytes.
const CHUNKED_BYTES: usize = 1024;

/// A request: its head, and its body to be read.
///
/// A handler borrows it. A closure of [`sse`](crate::sse) or of an [`Upgrade`](crate::Upgrade) runs
/// when the request is gone, so take out before what the closure needs: `let user =
/// req.get::<User>().cloned();`, `let id = req.param("id").map(str::to_owned);`. Threads of
/// [`std::thread::scope`] may share it.
///
/// ```
/// use akurai_http::{Method, Request};
///
/// let request = Request::new(Method::Post, "/orders?urgent=1")
///     .with_header("Content-Type", "text/plain")
///     .with_body("two of each");
/// assert_eq!(request.path(), "/orders");
/// assert_eq!(request.query(), Some("urgent=1"));
/// assert_eq!(request.body()?, b"two of each");
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "a request does nothing until an `App` handles it"]
pub struct Request {
    head: Head,
    headers: Headers,
    peer: Option<SocketAddr>,
    proxies: Option<Arc<TrustedProxies>>,
    /// Whether a session carries the connection.
    has_session: bool,
    /// What the path matched in the server's router. Its memory serves request after request.
    matched: Params,
    /// The route that it matched in a router that was called by hand, if there is no other.
    matched_by_hand: OnceLock<Box<Params>>,
    /// As `matched_by_hand`, for a pattern that has the path and not the method.
    path_by_hand: OnceLock<Box<Params>>,
    values: Attached,
    /// What the connection's session tells handlers.
    session_info: Option<Arc<dyn Any + Send + Sync>>,
    /// Its log lines, and what went wrong with it.
    log: Mutex<RequestLog>,
    /// How many bytes at the end of the path `{*name}` matched.
    rest_bytes: AtomicUsize,
    /// What it matched in the path of the request that this one was passed on for.
    rest_of_other: OnceLock<Box<str>>,
    /// Where the body comes from. A connection lends its buffers while an app answers. A request
    /// that was made by hand has its body in here.
    buffered: Mutex<Box<BufferedTransport>>,
}

// A closure that captures a request gets the plain error "borrowed data escapes".
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<Request>();
};

impl Request {
    /// The method.
    pub fn method(&self) -> Method {
        self.head.method
    }

    /// The path, percent-encoded as it came. It begins with `/`, except for the `*` of `OPTIONS *`.
    /// Routes match the decoded path, so `/%61` matches the route `/a`. Never use this string for
    /// access control.
    pub fn path(&self) -> &str {
        match self.text(self.head.path.clone()) {
            "" if self.is_asterisk() => "*",
            "" => "/",
            path => path,
        }
    }

    /// The text behind the first `?`, as it came; `None` without a `?`.
    pub fn query(&self) -> Option<&str> {
        self.head.query.clone().map(|range| self.text(range))
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The host and port that the request is for. They come from an absolute-form target, otherwise
    /// from the Host field (RFC 9112 §3.2.2). Empty if an HTTP/1.0 client gave neither.
    pub fn authority(&self) -> &str {
        self.text(self.head.authority.clone())
    }

    /// All fields.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The first field of this name, if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// Whether the head announces a body: a `Content-Length` above 0, or chunked.
    #[doc(hidden)] // `akurai-ws` needs it.
    pub fn announces_body(&self) -> bool {
        self.head.framing != Framing::None
    }

    /// Reads the whole body, at most [`Limits::max_body_bytes`](crate::Limits::max_body_bytes).
    ///
    /// Bytes that were read before, by this or by [`body_reader`](Request::body_reader), do not
    /// come again.
    ///
    /// # Errors
    ///
    /// If the body is too large, malformed, too slow, or cut off by the connection's end. The error
    /// carries a [`RequestError`](crate::RequestError), unless the socket itself failed. As a
    /// [`Reply`](crate::Reply) it becomes the status of that error. A body that is cut off is never
    /// taken for a whole one.
    pub fn body(&self) -> io::Result<Vec<u8>> {
        let mut buffered = lock(&self.buffered);
        let least = match self.head.framing {
            Framing::Chunked => CHUNKED_BYTES,
            Framing::None | Framing::Length(_) => 0,
        };
        // The bytes behind `filled` are room for the next read. After a short read they are not
        // cleared again.
        let (mut body, mut filled) = (Vec::new(), 0);
        let mut claim = None;
        loop {
            buffered.body.check()?;
            if buffered.body.is_over() {
                break;
            }
            // A read into little room would go by the read buffer.
            if body.len() - filled < IDLE_BUFFER_BYTES {
                // A client may claim any length. We believe as much as has come. In the beginning
                // we believe a little, or more if few others claim as much.
                let due = usize::try_from(buffered.body.due()).unwrap_or(usize::MAX);
                let mut believed = filled.max(BELIEVED_BYTES);
                let claimable = CLAIM_BYTES.saturating_sub(filled);
                if due <= believed || claimable <= believed {
                    claim = None;
                } else {
                    claim = claim.or_else(Claim::take);
                }
                if claim.is_some() {
                    believed = claimable;
                }
                let room = due.max(least).min(believed);
                let whole = filled.saturating_add(due);
                make_room(&mut body, filled, filled + room, whole);
            }
            filled += buffered.read_body(&mut body[filled..])?;
        }
        body.truncate(filled);
        Ok(body)
    }

    /// The body as a stream, in constant memory. The first read sends `100 Continue` if the client
    /// waits for it.
    ///
    /// Its errors are those of [`body`](Request::body).
    pub fn body_reader(&self) -> BodyReader<'_> {
        BodyReader { request: self }
    }

    /// A request for `target` without a connection, for a handler under test. Its Host is
    /// `localhost`, and it has no address. It is [secure](Request::is_secure) if the target begins
    /// with `https:`, as in `https://localhost/`. Its body has no limit: only a server applies
    /// [`Limits`](crate::Limits) and [`Router::max_body_bytes`](crate::Router::max_body_bytes).
    ///
    /// # Panics
    ///
    /// If `target` would be refused on the wire.
    #[track_caller]
    pub fn new(method: Method, target: &str) -> Request {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Request::by_hand(method, head.as_bytes(), Vec::new())
    }

    /// The same request with one more field. Fields of the same name stay, but a `Host` replaces
    /// the one that is there.
    ///
    /// # Panics
    ///
    /// If the field would be refused on the wire.
    #[track_caller]
    pub fn with_header(self, name: &str, value: impl AsRef<[u8]>) -> Request {
        let source = self.headers.source();
        let line_end = source.windows(2).position(|pair| pair == b"\r\n");
        let mut head = source[..line_end.map_or(0, |end| end + 2)].to_vec();
        let replaced =
            |known: &[u8]| name.eq_ignore_ascii_case("Host") && known.eq_ignore_ascii_case(b"Host");
        let kept = self.headers.lines().filter(|(known, _)| !replaced(known));
        for (name, value) in kept.chain([(name.as_bytes(), value.as_ref())]) {
            for part in [name, b": ", value, b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        head.extend_from_slice(b"\r\n");
        let body = lock(&self.buffered).take_unread();
        Request {
            values: self.values,
            ..Request::by_hand(self.head.method, &head, body)
        }
    }

    /// The same request with this body, announced by `Content-Length`.
    #[track_caller]
    pub fn with_body(self, body: impl Into<Vec<u8>>) -> Request {
        let body = body.into();
        let length = body.len().to_string();
        let mut request = self.with_header("Content-Length", length);
        request.buffered = Mutex::new(Box::new(BufferedTransport::by_hand(body)));
        request
    }

    #[track_caller]
    fn by_hand(method: Method, head: &[u8], body: Vec<u8>) -> Request {
        let mut request = Request::on(None, None, false);
        let mut parser = HeadParser::accepting(&[method]);
        let no_limits = HeadLimits {
            request_line_bytes: usize::MAX,
            header_section_bytes: usize::MAX,
            header_fields: usize::MAX,
        };
        match parser.advance(head, &no_limits) {
            Ok(Some(len)) if len == head.len() => request.begin(head, &mut parser),
            Ok(_) => panic!("malformed request: {}", String::from_utf8_lossy(head)),
            Err(error) => panic!("malformed request: {error}"),
        }
        request.believe_target();
        request.buffered = Mutex::new(Box::new(BufferedTransport::by_hand(body)));
        request.serve_by_hand();
        request
    }

    /// The request of a connection, which uses it again and again.
    pub(crate) fn on(
        peer: Option<SocketAddr>,
        proxies: Option<Arc<TrustedProxies>>,
        has_session: bool,
    ) -> Request {
        Request {
            head: Head::default(),
            headers: Headers::default(),
            peer,
            proxies,
            has_session,
            matched: Params::default(),
            matched_by_hand: OnceLock::new(),
            path_by_hand: OnceLock::new(),
            values: Attached::default(),
            session_info: None,
            log: Mutex::default(),
            rest_bytes: AtomicUsize::new(0),
            rest_of_other: OnceLock::new(),
            buffered: Mutex::new(Box::new(BufferedTransport::by_hand(Vec::new()))),
        }
    }

    /// Has this to tell of the connection's session, for this request and those after it.
    pub(crate) fn set_session_info(&mut self, info: Option<Arc<dyn Any + Send + Sync>>) {
        self.session_info = info;
    }

    /// Becomes the request that consists of `bytes`, and whose head `parser` has just read.
    pub(crate) fn begin(&mut self, bytes: &[u8], parser: &mut HeadParser) {
        let (head, lines) = parser.take_head();
        self.headers.assign(bytes, lines);
        self.head = head;
        self.forget_last();
    }

    /// Becomes a refused request: the method and version that `parser` has read of it, on which the
    /// answer depends.
    pub(crate) fn begin_refused(&mut self, parser: &mut HeadParser) {
        let (head, _) = parser.take_head();
        self.head = Head {
            method: head.method,
            version: head.version,
            ..Head::default()
        };
        self.headers.clear();
        self.forget_last();
    }

    /// Forgets what the connection's last request left here.
    fn forget_last(&mut self) {
        debug_assert!(self.values.is_empty(), "values of the last request");
        self.begin_log();
        self.matched.clear();
        self.matched_by_hand.take();
        self.path_by_hand.take();
        *self.rest_bytes.get_mut() = 0;
        self.rest_of_other.take();
    }

    /// Begins its body, which may be refused at once for its length. `own_bytes` is the longest
    /// body that its route takes, if the route has a limit of its own.
    pub(crate) fn begin_body(
        &self,
        limits: &Limits,
        own_bytes: Option<u64>,
    ) -> Result<(), RequestError> {
        let limits = BodyLimits::new(own_bytes.unwrap_or(limits.max_body_bytes));
        lock(&self.buffered).begin_body(&self.head, limits)
    }

    /// Lends the connection's buffers to the request, so that `work` can read its body.
    pub(crate) fn lend<T>(
        &mut self,
        buffered: &mut Box<BufferedTransport>,
        work: impl FnOnce(&mut Request) -> T,
    ) -> T {
        let loan = Loan {
            request: self,
            buffered,
        };
        mem::swap(loan.buffered, loan.request.own_buffers());
        work(loan.request)
    }

    /// Whether the client asks for the protocol that this head switches to, and may switch
    /// (RFC 9110 §7.8, §15.2.2).
    pub(crate) fn asks_for(&self, head: &Response) -> bool {
        let offered = |wanted: &[u8]| {
            self.headers
                .tokens("Upgrade")
                .any(|protocol| protocol.eq_ignore_ascii_case(wanted))
        };
        let is_hop = |option: &[u8]| option.eq_ignore_ascii_case(b"upgrade");
        self.version() == Version::Http11
            && self.method() != Method::Head
            && self.headers.tokens("Connection").any(is_hop)
            && head.headers().tokens("Upgrade").any(offered)
    }

    /// Frees memory that only a large request needed, before the connection waits for the next one.
    pub(crate) fn shrink(&mut self) {
        if self.headers.capacity_bytes() > IDLE_BUFFER_BYTES {
            self.headers = Headers::default();
            self.head = Head::default();
            self.matched = Params::default();
        }
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    pub(crate) fn is_asterisk(&self) -> bool {
        self.head.form == Form::Asterisk
    }

    fn own_buffers(&mut self) -> &mut Box<BufferedTransport> {
        let buffered = self.buffered.get_mut();
        buffered.unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self, range: std::ops::Range<usize>) -> &str {
        std::str::from_utf8(&self.headers.source()[range])
            .expect("targets and hosts were checked to be ASCII")
    }
}

/// Buffers that a connection has lent to its request. It gets them back even if a handler panics.
struct Loan<'a> {
    request: &'a mut Request,
    buffered: &'a mut Box<BufferedTransport>,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        mem::swap(self.buffered, self.request.own_buffers());
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method())
            .field("path", &self.path())
            .field("query", &self.query())
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// A request's body as a stream; see [`Request::body_reader`].
#[derive(Debug)]
pub struct BodyReader<'a> {
    request: &'a Request,
}

impl BodyReader<'_> {
    /// The trailer section of a chunked body. Empty until the body was read to its end, and if
    /// there is none.
    ///
    /// Trailers are kept apart from the header fields. The server refuses trailers that could
    /// change what the message means (`Content-Length`, `Host`, `Authorization` …) (RFC 9110 §6.5).
    pub fn trailers(&self) -> Headers {
        let mut trailers = Headers::default();
        let buffered = lock(&self.request.buffered);
        if buffered.body.is_over() {
            let (bytes, lines) = buffered.body.trailers();
            trailers.assign(bytes, &mut lines.to_vec());
        }
        trailers
    }
}

impl Read for BodyReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        lock(&self.request.buffered).read_body(buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_by_hand_reads_as_one_from_the_wire() {
        let request = Request::new(Method::Put, "http://other/a%20b?c")
            .with_header("X", "1")
            .with_body(vec![7; 10])
            .with_header("Y", "2");
        assert_eq!(request.authority(), "other");
        assert_eq!((request.path(), request.query()), ("/a%20b", Some("c")));
        assert_eq!(
            (request.header("x"), request.header("y")),
            (Some("1"), Some("2"))
        );
        assert!(request.announces_body());
        assert_eq!(request.body().unwrap(), vec![7; 10]);
        assert_eq!(request.body().unwrap(), b"");
        let request = request.with_header("host", "a").with_header("Host", "b");
        assert_eq!(request.authority(), "other");
        assert_eq!(request.headers().all("Host").count(), 1);
        assert_eq!(Request::new(Method::Options, "*").path(), "*");
        assert_eq!(Request::new(Method::Get, "http://h").path(), "/");
    }

    #[test]
    #[should_panic(expected = "malformed request: request target is malformed")]
    fn a_bad_target_by_hand_is_told() {
        let _ = Request::new(Method::Get, "no-slash");
    }
}
