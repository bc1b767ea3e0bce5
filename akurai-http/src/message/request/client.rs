//! What a handler can do for the client that waits for its answer, and learn of it.

use std::sync::TryLockError;

use super::Request;
use crate::codec::response::{Persistence, ResponseFraming, append_head};
use crate::io::lock::lock;
use crate::{HeaderError, Headers, Status, Version};

/// Fields about the message or the connection, which an interim response has no use for
/// (RFC 9112 §6.1, RFC 9110 §7.6.1, §8.6).
const NOT_INTERIM: [&str; 8] = [
    "Connection",
    "Content-Length",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

impl Request {
    /// Sends `103 Early Hints` (RFC 8297): fields that the answer is likely to have, at once, while
    /// the handler still works on the answer. A browser can then load what the page will need. Any
    /// number of them may go before the answer, which must set its own fields again.
    ///
    /// This waits while another thread reads the body, and then for a client that takes nothing: up
    /// to [`Limits::write_stall`](crate::Limits::write_stall).
    ///
    /// An HTTP/1.0 client gets none, and so does a request that was made by hand. Without a field,
    /// nothing is sent. Middleware does not see it. Most browsers heed it over HTTP/2 and HTTP/3
    /// only, so behind a proxy that passes it on. Some old clients take an interim response for the
    /// answer (RFC 8297 §3): send it to those that are known to understand it, browsers for example
    /// by `Sec-Fetch-Mode: navigate`.
    ///
    /// ```
    /// use akurai_http::{Request, Response};
    ///
    /// fn page(req: &Request) -> std::io::Result<Response> {
    ///     let style = ("Link", "</style.css>; rel=preload; as=style");
    ///     if req.header("Sec-Fetch-Mode") == Some("navigate") {
    ///         req.early_hints(&[style])?;
    ///     }
    ///     let body = "…"; // takes its time
    ///     Ok(Response::html(body).with_header(style.0, style.1))
    /// }
    /// # let _ = page;
    /// ```
    ///
    /// # Errors
    ///
    /// If a field is malformed, or is about the message or the connection (`Content-Length`,
    /// `Transfer-Encoding`, `Connection` …). Then nothing is sent. If the client is gone, that is
    /// no error here: the answer will find out.
    pub fn early_hints(&self, fields: &[(&str, &str)]) -> Result<(), HeaderError> {
        let mut headers = Headers::default();
        for (name, value) in fields {
            if NOT_INTERIM.iter().any(|not| name.eq_ignore_ascii_case(not)) {
                return Err(HeaderError::Framing);
            }
            headers.append(name.as_bytes(), value.as_bytes())?;
        }
        if headers.is_empty() || self.version() == Version::Http10 {
            return Ok(());
        }
        let mut head = Vec::new();
        append_head(
            Status::EARLY_HINTS,
            &headers,
            ResponseFraming::Bodiless,
            Persistence::Persist,
            b"",
            &mut head,
        );
        lock(&self.buffered).send_interim(&head);
        Ok(())
    }

    /// Whether the client has left, so that nobody would read the answer. For a handler that
    /// computes long: it calls this now and then, and gives up. It looks at the socket, which costs
    /// a few system calls and never waits. Once true, it stays true for this connection.
    ///
    /// | what the client did | `client_left` |
    /// |---|---|
    /// | waits for the answer, or for `100 Continue` | false |
    /// | sent more: the rest of the body, or a pipelined request | false; the bytes are kept |
    /// | closed the connection, or reset it | true |
    /// | ended its sending side only (a half-close, as `nc -N` does) | true |
    /// | vanished without a word: no power, no network | false |
    ///
    /// A TCP server cannot tell a half-close from a close before it writes. So a client that has
    /// ended its side counts as gone, as in Go's `Request.Context` and for nginx's proxy. Still, an
    /// answer that the handler gives is sent, and arrives if the client reads on.
    ///
    /// While another thread reads the body, this is false: that thread's read tells whether the
    /// client has left.
    ///
    /// The look goes past what the client has sent, up to 4 KiB that nobody has read yet. If more
    /// waits, it cannot see the end behind it, and says false: read the body first. Behind a proxy,
    /// the client is the proxy, and most proxies close when their own client leaves. A request that
    /// was made by hand has no client that could leave. After a shutdown's grace, this is true.
    ///
    /// ```
    /// use akurai_http::{Request, Response, Status};
    ///
    /// fn report(req: &Request) -> Response {
    ///     let mut sum = 0u64;
    ///     for part in 0..1_000 {
    ///         if req.client_left() {
    ///             return Response::new(Status::NO_CONTENT); // nobody reads it
    ///         }
    ///         sum += (0..1_000).map(|n| n * part).sum::<u64>();
    ///     }
    ///     Response::text(format!("{sum}\n"))
    /// }
    /// # let _ = report;
    /// ```
    ///
    /// A [streamed body](crate::Response::stream) and an event stream learn it from their next
    /// write, which fails.
    pub fn client_left(&self) -> bool {
        match self.buffered.try_lock() {
            Ok(mut buffered) => buffered.has_client_left(),
            Err(TryLockError::Poisoned(buffered)) => buffered.into_inner().has_client_left(),
            Err(TryLockError::WouldBlock) => false,
        }
    }
}
