//! Server-Sent Events: a stream of events that a closure writes (WHATWG HTML §9.2).

use std::io::{self, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use crate::codec::deflate::Flush;
use crate::codec::event;
use crate::codec::gzip::GzipEncoder;
use crate::io::random::random;
use crate::io::transport::is_timeout;
use crate::sse::event::{SseEvent, check_name};
use crate::{Reply, Response, Socket, Status, Upgrade, Upgraded};

/// The comment that is sent together with the head.
pub(super) const PRELUDE: &[u8] = b": \n\n";

/// Answers with an event stream. `f` writes it on the connection's own thread, until `f` returns or
/// the client leaves.
///
/// `f` outlives the request, so it cannot borrow it. Take out first what `f` needs, and move it in:
/// `let user = req.get::<User>().cloned();`, `let id = req.param("id").map(str::to_owned);`. The
/// handler runs for each request. So what it has captured stays its own, and each `f` needs a
/// clone: clone outside of `f`, and move the clone in.
///
/// ```
/// use akurai_http::{Router, sse};
/// use std::sync::Arc;
///
/// let greeting = Arc::new("hello".to_owned());
/// let router = Router::new().get("/events", move |_| {
///     let greeting = Arc::clone(&greeting);
///     sse(move |mut sink| sink.event("greeting", &greeting))
/// });
/// # let _ = router;
/// ```
///
/// An `Err` of `f` ends the stream as an `Ok` does. The server tells the error to
/// [`Server::on_error`](crate::Server::on_error), unless the client left or the server stops: see
/// [`Upgrade::new`].
///
/// The head is sent at once, followed by a first comment. It has `Content-Type: text/event-stream`,
/// `Cache-Control: no-store, no-transform` and `X-Accel-Buffering: no`, so that no proxy holds
/// events back. The stream ends when the connection closes. Then a browser's `EventSource`
/// reconnects by itself after its reconnection time: 3 s unless [`SseEvent::retry`] set another.
///
/// A client may vanish without closing the connection, as a phone without network does. Then the
/// thread stays until the system gives up: on Linux some 15 min after the next event, or as the
/// sysctl `net.ipv4.tcp_retries2` says (5: about 15 s). It ends sooner if the system's buffer is
/// full ([`Limits::write_stall`](crate::Limits::write_stall)). If nothing is sent, the thread stays
/// for ever, so send a [comment](SseEvent::comment) now and then. If that is too long, a program
/// may set `TCP_USER_TIMEOUT` (RFC 5482) on its own listener for
/// [`Server::from_listener`](crate::Server::from_listener): the listener's connections inherit it.
///
/// ```
/// use akurai_http::{sse, Reply};
/// fn events() -> Reply {
///     sse(|mut sink| {
///         let mut n = 0;
///         loop {
///             n += 1;
///             sink.event("tick", &n.to_string())?; // event: tick\ndata: N\n\n
///             std::thread::sleep(std::time::Duration::from_secs(1));
///         }
///     })
/// }
/// # let _ = events();
/// ```
pub fn sse(f: impl FnOnce(SseSink) -> io::Result<()> + Send + 'static) -> Reply {
    open(|upgraded| f(SseSink::new(upgraded))).into()
}

/// An event stream whose socket a closure owns. [`sse`] is built on it. Use it to write the bytes
/// yourself ([`SseEvent::encode`]) without keeping the thread.
///
/// If there is no place for the stream, the server tells the client to come back after one to three
/// seconds. After an error status, an `EventSource` would never reconnect (WHATWG HTML §9.2.3).
#[doc(hidden)]
pub fn event_stream(run: impl FnOnce(Upgraded) + Send + 'static) -> Upgrade {
    let mut upgrade = open(|upgraded| {
        run(upgraded);
        Ok(())
    });
    upgrade.may_fail = false;
    upgrade
}

pub(super) fn open(run: impl FnOnce(Upgraded) -> io::Result<()> + Send + 'static) -> Upgrade {
    let mut upgrade = Upgrade::new(head(), run);
    upgrade.prelude = PRELUDE.into();
    upgrade.when_full = || come_back_later(Duration::from_millis(1000 + random_below(2000)));
    upgrade
}

/// Answers an `EventSource` that should reconnect after `wait`: a stream with only this time, which
/// then ends.
///
/// After an error status or another content type, it would never reconnect. If you want that,
/// answer with [`Status::NO_CONTENT`] (WHATWG HTML §9.2.3).
fn come_back_later(wait: Duration) -> Response {
    let mut body = Vec::new();
    event::append_retry(wait.as_millis(), &mut body);
    body.push(b'\n');
    head().with_body(body).closing()
}

fn head() -> Response {
    Response::new(Status::OK)
        .with_header("Content-Type", "text/event-stream")
        .with_header("Cache-Control", "no-store, no-transform")
        .with_header("X-Accel-Buffering", "no")
}

/// A number below `bound`, so that clients do not all come back at the same time. It may be
/// predictable; it only has to be spread.
fn random_below(bound: u64) -> u64 {
    random() % bound
}

/// Writes events to one client. Each method makes one write, and the bytes are on their way when it
/// returns.
///
/// A line break in a text (LF, CR or CRLF) becomes a second line of the same field, never a field
/// of its own.
///
/// # Errors
///
/// Every method fails after the client has left or when the server stops. The first write after a
/// client has left may still succeed, because the news takes one network round trip;
/// [`wait`](SseSink::wait) notices at once. A write that makes no progress for
/// [`Limits::write_stall`](crate::Limits::write_stall) fails too.
#[derive(Debug)]
pub struct SseSink {
    socket: Socket,
    buffer: Vec<u8>,
    /// [`wait`](SseSink::wait) sends a comment after this time without one.
    pub(super) keep_alive: Option<Duration>,
    last_sent: Instant,
    /// The client has sent bytes that were not read, or may be sending some.
    is_input_unread: bool,
    /// The encoder, if the stream is compressed.
    pub(super) gzip: Option<Box<GzipEncoder>>,
}

impl SseSink {
    pub(super) fn new(upgraded: Upgraded) -> SseSink {
        // An event stream has no input, so bytes that a client sent after its request are ignored.
        let is_input_unread = upgraded.is_input_unread();
        let (_, socket) = upgraded.into_parts();
        SseSink {
            socket,
            buffer: Vec::new(),
            keep_alive: None,
            last_sent: Instant::now(),
            is_input_unread,
            gzip: None,
        }
    }

    /// Sends a message: the browser dispatches `message` with this text.
    pub fn data(&mut self, text: &str) -> io::Result<()> {
        event::append_data(text, &mut self.buffer);
        self.write()
    }

    /// Sends a named event: the browser dispatches `name` with this text. An empty name means
    /// `message`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the name has a line break. Then nothing is sent.
    pub fn event(&mut self, name: &str, text: &str) -> io::Result<()> {
        check_name(name)?;
        event::append_name(name, &mut self.buffer);
        event::append_data(text, &mut self.buffer);
        self.write()
    }

    fn comment(&mut self, text: &str) -> io::Result<()> {
        event::append_comment(text, &mut self.buffer);
        self.write()
    }

    /// Sleeps for `duration`, but returns an error at once when the client leaves or the server
    /// stops. Use it in a stream instead of `thread::sleep`. It may take up to an eighth longer,
    /// since Linux keeps a socket's timeouts only that exactly.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` when the client left, or `ConnectionReset` if it left without an end of its
    /// [session](crate::Session); `ConnectionAborted` when the server stops.
    pub fn wait(&mut self, duration: Duration) -> io::Result<()> {
        let begun = Instant::now();
        let mut scratch = [0; 1024];
        loop {
            let left = duration.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return self.check();
            }
            let silence = self
                .keep_alive
                .map(|period| period.saturating_sub(self.last_sent.elapsed()));
            if silence == Some(Duration::ZERO) {
                self.comment("")?;
                continue;
            }
            let left = silence.map_or(left, |silence| silence.min(left));
            // The kernel counts in jiffies and may wake a little early. Then the loop waits for the
            // rest.
            self.socket
                .set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            match self.socket.entry().read_in_time(&mut scratch) {
                Ok(0) => {
                    self.check()?;
                    return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client left"));
                }
                Ok(_) => self.is_input_unread = true,
                Err(error) if is_timeout(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends an event with any of its fields.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the name has a line break, or if the id has a control character other than
    /// a tab, or white space at either end: it would not come back as it was sent. Then nothing is
    /// sent.
    pub fn send(&mut self, event: &SseEvent) -> io::Result<()> {
        event.append(&mut self.buffer)?;
        self.write_buffer()
    }

    /// Ends the event in the buffer and writes it.
    fn write(&mut self) -> io::Result<()> {
        self.buffer.push(b'\n');
        self.write_buffer()
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.last_sent = Instant::now();
        if let Err(error) = self.check() {
            self.buffer.clear();
            return Err(error);
        }
        if let Some(gzip) = &mut self.gzip {
            let mut coded = Vec::new();
            gzip.compress(&self.buffer, Flush::Sync, &mut coded);
            self.buffer = coded;
        }
        let result = self.write_or_cut(&self.buffer);
        self.buffer.clear();
        self.buffer.shrink_to(4 * 1024);
        result
    }

    /// After half an event, the client would read later bytes as its rest. So the connection ends.
    fn write_or_cut(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.socket)
            .write_all(bytes)
            .inspect_err(|_| drop(self.socket.shutdown(Shutdown::Both)))
    }

    fn check(&self) -> io::Result<()> {
        match self.socket.is_stopping() {
            true => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the server is stopping",
            )),
            false => Ok(()),
        }
    }
}

impl Drop for SseSink {
    /// Ends the stream so that the last event arrives, even if the client is still sending: see
    /// [`Socket::linger`].
    fn drop(&mut self) {
        if thread::panicking() {
            // The client still gets the last event, but no word that nothing is missing.
            self.socket.entry().transport.abandon();
        } else if let Some(gzip) = &mut self.gzip {
            // If an event could not be written, the end cannot be written either.
            let mut end = Vec::new();
            gzip.compress(b"", Flush::Finish, &mut end);
            let _ = self.write_or_cut(&end);
        }
        // An EventSource sends nothing, so usually there is nothing to wait for.
        if self.is_input_unread || !self.socket.is_input_empty() {
            self.socket.linger();
        }
    }
}
