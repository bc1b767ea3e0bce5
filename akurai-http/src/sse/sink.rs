//! Server-Sent Events: a stream of events that a closure writes (WHATWG HTML §9.2).

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::codec::coding::{AcceptedCodings, ContentCoding};
use crate::codec::deflate::{Flush, Level};
use crate::codec::event;
use crate::codec::gzip::GzipEncoder;
use crate::io::random::random;
use crate::io::transport::is_timeout;
use crate::sse::event::{SseEvent, check_id, check_name};
use crate::{Reply, Request, Response, Socket, Status, Upgrade, Upgraded};

/// The comment that goes out with the head.
const PRELUDE: &[u8] = b": \n\n";

/// Answers with an event stream that `f` writes, on the connection's own thread, until it returns or the client leaves.
///
/// An `Err` of `f` ends the stream as an `Ok` does; it is said on stderr, unless it is the client
/// that left, or the server that stops: see [`Upgrade::fallible`].
///
/// The head goes out at once: `Content-Type: text/event-stream`, `Cache-Control: no-store, no-transform` and
/// `X-Accel-Buffering: no`, so that no proxy holds events back, with a first comment behind it. The stream ends with
/// the connection. A browser's `EventSource` then comes back by itself after its reconnection time, 3 s unless
/// [`SseSink::retry`] said otherwise.
///
/// A client that vanishes without a word, as a phone without network does, keeps the thread until
/// the system gives up: on Linux some 15 min after the next event, or what the sysctl
/// `net.ipv4.tcp_retries2` says (5: about 15 s), or sooner when the system's buffer is full
/// ([`Limits::write_stall`](crate::Limits::write_stall)). A stream to which nothing is sent keeps it
/// for ever, so send a [comment](SseSink::comment) now and then. Where that is too long, a program
/// may set `TCP_USER_TIMEOUT` (RFC 5482) on a listener of its own for
/// [`Server::from_listener`](crate::Server::from_listener): its connections inherit it.
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
    stream(|upgraded| f(SseSink::new(upgraded))).into()
}

/// As [`sse`], compressed with gzip where the client accepts that (RFC 9110 §12.5.3); each event goes out whole and at once, so
/// that a browser dispatches it as soon as without. For streams of large events that are alike: a stream holds about 640 KiB for
/// it.
///
/// What is secret should not stand beside what an attacker may choose: the length of an event tells whether the two are alike.
///
/// ```
/// use akurai_http::{Router, sse_gzip};
///
/// let router = Router::new().get("/prices", |req| sse_gzip(req, |mut sink| sink.data("{\"akurai\":1}")));
/// # let _ = router;
/// ```
pub fn sse_gzip(
    request: &Request,
    f: impl FnOnce(SseSink) -> io::Result<()> + Send + 'static,
) -> Reply {
    if !AcceptedCodings::of(request.headers()).prefers(ContentCoding::Gzip) {
        let mut reply = sse(f);
        reply.response_mut().vary_by_coding();
        return reply;
    }
    let mut gzip = GzipEncoder::new(Level::default());
    let mut prelude = Vec::new();
    gzip.compress(PRELUDE, Flush::Sync, &mut prelude);
    let mut upgrade = stream(|upgraded| {
        let mut sink = SseSink::new(upgraded);
        sink.gzip = Some(Box::new(gzip));
        f(sink)
    });
    upgrade.head = upgrade.head.header("Content-Encoding", "gzip");
    upgrade.head.vary_by_coding();
    upgrade.prelude = prelude.into();
    upgrade.into()
}

/// An event stream whose socket a closure owns: what [`sse`] is made of, for those who write the bytes themselves
/// ([`SseEvent::encode`]) and need not keep the thread.
///
/// If there is no place for it, the client is told to [come back](come_back_later) after one to three seconds: an error
/// status would make an `EventSource` give up for good (WHATWG HTML §9.2.3).
pub fn event_stream(run: impl FnOnce(Upgraded) + Send + 'static) -> Upgrade {
    stream(|upgraded| {
        run(upgraded);
        Ok(())
    })
}

fn stream(run: impl FnOnce(Upgraded) -> io::Result<()> + Send + 'static) -> Upgrade {
    let mut upgrade = Upgrade::fallible(head(), run);
    upgrade.prelude = PRELUDE.into();
    upgrade.when_full = || come_back_later(Duration::from_millis(1000 + random_below(2000)));
    upgrade
}

/// Answers an `EventSource` that should come back after `wait`: an empty stream that says so and ends.
///
/// Any error status, and any other content type, would end it for good. To do just that, answer with
/// [`Status::NO_CONTENT`] (WHATWG HTML §9.2.3).
///
/// ```
/// use akurai_http::come_back_later;
/// use std::time::Duration;
///
/// let response = come_back_later(Duration::from_secs(5));
/// assert_eq!(response.body_bytes(), Some(&b"retry: 5000\n\n"[..]));
/// ```
pub fn come_back_later(wait: Duration) -> Response {
    let mut body = Vec::new();
    event::append_retry(wait.as_millis(), &mut body);
    body.push(b'\n');
    head().body(body).closing()
}

fn head() -> Response {
    Response::new(Status::OK)
        .header("Content-Type", "text/event-stream")
        .header("Cache-Control", "no-store, no-transform")
        .header("X-Accel-Buffering", "no")
}

/// A number below `bound`, so that clients do not come back all at once. It need not be unpredictable, only spread.
fn random_below(bound: u64) -> u64 {
    random() % bound
}

/// Writes events to one client. Each verb is one write, on its way when the call returns.
///
/// Text is written as it is: a line break within it (LF, CR or CRLF) becomes a second line of the same field, and
/// never a field of its own.
///
/// # Errors
///
/// Every verb fails once the client has left or the server stops. After a client has left, the first write may still
/// succeed, since it takes the network a round trip to say so; [`wait`](SseSink::wait) notices at once. A write that
/// makes no progress for [`Limits::write_stall`](crate::Limits::write_stall) fails too.
#[derive(Debug)]
pub struct SseSink {
    socket: Socket,
    buffer: Vec<u8>,
    keep_alive: Option<Duration>,
    last_sent: Instant,
    /// The client has sent something that was not read, or may be sending it.
    is_input_unread: bool,
    /// What compresses the stream, if anything does.
    gzip: Option<Box<GzipEncoder>>,
}

impl SseSink {
    fn new(upgraded: Upgraded) -> SseSink {
        // An event stream has no input; what a client sent behind its request means nothing.
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

    /// Sends a named event: the browser dispatches `name` with this text. An empty name is `message`.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, and nothing is sent, if the name holds a line break.
    pub fn event(&mut self, name: &str, text: &str) -> io::Result<()> {
        check_name(name)?;
        event::append_name(name, &mut self.buffer);
        event::append_data(text, &mut self.buffer);
        self.write()
    }

    /// Sets the id that the browser remembers, and sends as `Last-Event-ID` when it comes back. An empty one resets it.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, and nothing is sent, if the id holds a control character but a tab, or begins or ends with white space: it would
    /// not come back as it was sent.
    pub fn id(&mut self, id: &str) -> io::Result<()> {
        check_id(id)?;
        event::append_id(id, &mut self.buffer);
        self.write()
    }

    /// Tells the browser how long to wait before it comes back, in whole milliseconds.
    pub fn retry(&mut self, wait: Duration) -> io::Result<()> {
        event::append_retry(wait.as_millis(), &mut self.buffer);
        self.write()
    }

    /// Sends a comment, which the browser ignores and proxies take for a sign of life.
    pub fn comment(&mut self, text: &str) -> io::Result<()> {
        event::append_comment(text, &mut self.buffer);
        self.write()
    }

    /// Sleeps, but ends at once when the client leaves or the server stops: the better `thread::sleep` of a stream. It may
    /// last up to an eighth longer, since that is how exactly Linux keeps a socket's waits.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` when the client left, `ConnectionAborted` when the server stops.
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
            // The kernel counts in jiffies and may wake a little early; then we wait for the rest.
            self.socket
                .set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            match (&self.socket).read(&mut scratch) {
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
    /// `InvalidInput`, and nothing is sent, if its name or id cannot stand on the wire; see [`SseEvent::encode`].
    pub fn send(&mut self, event: &SseEvent) -> io::Result<()> {
        event.append(&mut self.buffer)?;
        self.write_buffer()
    }

    /// From now on, [`wait`](SseSink::wait) sends an empty comment whenever nothing was sent for `period`, so that no
    /// proxy takes the stream for dead. Default never, which is also what zero means; proxies tend to give up after 60 s.
    pub fn keep_alive(&mut self, period: Duration) {
        self.keep_alive = (!period.is_zero()).then_some(period);
    }

    /// Ends the event that is in the buffer and writes it.
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
        // After half an event, whatever followed would be read as its rest.
        let result = (&self.socket)
            .write_all(&self.buffer)
            .inspect_err(|_| drop(self.socket.shutdown(Shutdown::Both)));
        self.buffer.clear();
        self.buffer.shrink_to(4 * 1024);
        result
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
    /// Ends the stream so that the last event arrives, also to a client that is still sending: see
    /// [`Socket::linger`].
    fn drop(&mut self) {
        if let Some(gzip) = &mut self.gzip {
            // Where an event could not be written, neither can the end.
            let mut end = Vec::new();
            gzip.compress(b"", Flush::Finish, &mut end);
            let _ = (&self.socket).write_all(&end);
        }
        // An EventSource sends nothing, and is not waited for.
        if self.is_input_unread || !self.socket.is_input_empty() {
            let _ = self.socket.set_nonblocking(false);
            self.socket.linger();
        }
    }
}
