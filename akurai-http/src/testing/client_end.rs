//! The client's end of one connection.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::answer::{Answer, BodyRest, parse_head};
use super::cookies::CookieJar;
use super::input::{Input, read_some, write_all, write_body, write_some};
use crate::io::clock::after;
use crate::io::transport::Transport;
use crate::{Headers, Method, Request, Status};

/// The client's end of one connection; [`Client::connect`](crate::testing::Client::connect) opens
/// it.
///
/// [`send`](ClientEnd::send) asks and reads an answer, again and again on one connection. Beside
/// that it is a stream of bytes: what a test writes goes to the server as it is, and reads return
/// what follows the last answer. So a test can send what is no request, and can speak another
/// protocol after a 101. A read or write fails with `TimedOut` after the client's
/// [`wait`](crate::testing::Client::wait). A drop ends the connection.
///
/// ```
/// use akurai_http::testing::Client;
/// use akurai_http::{Request, Response, Router};
/// use std::io::{Read, Write};
///
/// let client = Client::new(Router::new().get("/", |_| Response::text("hello")));
/// let mut end = client.connect()?;
/// assert_eq!(end.send("/")?.text(), "hello");
/// assert_eq!(end.send("/")?.text(), "hello");
/// end.write_all(b"GET  / HTTP/1.1\r\n\r\n")?;
/// let mut refusal = String::new();
/// end.read_to_string(&mut refusal)?;
/// assert!(refusal.starts_with("HTTP/1.1 400 Bad Request\r\n"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ClientEnd {
    pub(super) input: Input,
    cookies: Option<Arc<CookieJar>>,
}

impl ClientEnd {
    pub(super) fn new(
        transport: Transport,
        wait: Duration,
        cookies: Option<Arc<CookieJar>>,
    ) -> ClientEnd {
        ClientEnd {
            input: Input {
                transport: Arc::new(transport),
                unread: Vec::new(),
                wait,
                asked: "a connection".to_owned(),
            },
            cookies,
        }
    }

    /// Sends a request, or a `GET` request for a target, and returns the whole answer. An answer of
    /// status 101 has no body; the bytes behind it are read through [`Read`].
    ///
    /// # Errors
    ///
    /// Those of [`Client::send`](crate::testing::Client::send).
    ///
    /// # Panics
    ///
    /// If the target would be refused on the wire.
    pub fn send(&mut self, request: impl Into<Request>) -> io::Result<Answer> {
        self.ask(request.into(), |input, answer, rest, deadline| {
            answer.with_rest(rest, input, deadline)
        })
    }

    /// The longest wait of each call; see [`Client::wait`](crate::testing::Client::wait).
    pub fn wait(&self) -> Duration {
        self.input.wait
    }

    /// As a read of the stream, but until this deadline: for a call that reads several times.
    #[doc(hidden)] // `akurai-ws` needs it: each call of its peer has one deadline.
    pub fn read_by(&mut self, buf: &mut [u8], deadline: Instant) -> io::Result<usize> {
        if !self.input.unread.is_empty() {
            let count = (&self.input.unread[..]).read(buf)?;
            self.input.unread.drain(..count);
            return Ok(count);
        }
        read_some(&self.input.transport, buf, deadline)
    }

    /// As a write to the stream, but until this deadline.
    #[doc(hidden)] // As `read_by`.
    pub fn write_by(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<usize> {
        write_some(&self.input.transport, bytes, deadline)
    }

    /// Sends a request, and lets `read` read the body behind the answer's head. The request's body
    /// is written meanwhile, since a handler may answer before it has read all of it. If the answer
    /// says that the connection ends behind it, the rest of the body is not written.
    pub(super) fn ask<T>(
        &mut self,
        request: Request,
        read: impl FnOnce(&mut Input, Answer, BodyRest, Instant) -> io::Result<T>,
    ) -> io::Result<T> {
        let request = match &self.cookies {
            Some(cookies) => cookies.add_to(request),
            None => request,
        };
        let deadline = after(self.input.wait);
        let query = request
            .query()
            .map_or(String::new(), |query| format!("?{query}"));
        self.input.asked = format!("{} {}{query}", request.method(), request.path());
        let is_head = request.method() == Method::Head;
        let body = request.body()?;
        let transport = Arc::clone(&self.input.transport);
        self.input
            .told(write_all(&transport, request.headers().source(), deadline))?;
        // A head that comes while the client still waits for a 100 may be the answer already.
        let (mut interim, mut head) = (Vec::new(), None);
        let mut is_held_back = !body.is_empty() && expects_continue(&request);
        while is_held_back && head.is_none() {
            let next = self.head(deadline)?;
            is_held_back = next.0.code() != 100;
            match is_interim(next.0) {
                true => interim.push(next),
                false => head = Some(next),
            }
        }
        let may_write = head.is_none() && !body.is_empty();
        let is_unread = AtomicBool::new(false);
        thread::scope(|scope| {
            if may_write {
                let write = || write_body(&transport, &body, deadline, &is_unread);
                thread::Builder::new().spawn_scoped(scope, write)?;
            }
            let read = |input: &mut Input, answer: Answer, rest, deadline| {
                // Behind such an answer, the server reads no more of the body.
                is_unread.store(answer.is_last(), Ordering::Relaxed);
                read(input, answer, rest, deadline)
            };
            let outcome = self.read_answer(interim, head, is_head, deadline, read);
            if outcome.is_err() {
                let _ = transport.shutdown(Shutdown::Both); // The writer's wait is over.
            }
            outcome
        })
    }

    fn read_answer<T>(
        &mut self,
        mut interim: Vec<(Status, Headers)>,
        head: Option<(Status, Headers)>,
        is_head: bool,
        deadline: Instant,
        read: impl FnOnce(&mut Input, Answer, BodyRest, Instant) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut head = match head {
            Some(head) => head,
            None => self.head(deadline)?,
        };
        while is_interim(head.0) {
            interim.push(head);
            head = self.head(deadline)?;
        }
        let answer = Answer::new(interim, head);
        if let Some(cookies) = &self.cookies {
            cookies.take_from(answer.headers());
        }
        let rest = BodyRest::of(&answer, is_head)
            .map_err(|told| self.input.invalid(format_args!("the answer has {told}")))?;
        read(&mut self.input, answer, rest, deadline)
    }

    fn head(&mut self, deadline: Instant) -> io::Result<(Status, Headers)> {
        let end = self
            .input
            .find(b"\r\n\r\n", "the head of an answer", deadline)?;
        let head: Vec<u8> = self.input.unread.drain(..end + 4).collect();
        parse_head(&head[..end + 2]).map_err(|told| self.input.invalid(told))
    }
}

/// Whether the client waits for a 100 before it sends the body (RFC 9110 §10.1.1).
fn expects_continue(request: &Request) -> bool {
    let continues = |expected: &[u8]| expected.eq_ignore_ascii_case(b"100-continue");
    request.headers().tokens("Expect").any(continues)
}

/// Whether another head follows this one for the same request (RFC 9110 §15.2).
fn is_interim(status: Status) -> bool {
    status.is_informational() && status != Status::SWITCHING_PROTOCOLS
}

impl Read for ClientEnd {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_by(buf, after(self.input.wait))
    }
}

impl Write for ClientEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_by(bytes, after(self.input.wait))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ClientEnd {
    fn drop(&mut self) {
        let _ = self.input.transport.shutdown(Shutdown::Both);
    }
}

impl fmt::Debug for ClientEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientEnd")
            .field("asked", &self.input.asked)
            .field("unread_bytes", &self.input.unread.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::testing::Client;
    use crate::{Limits, Response, Router, Server, sse};

    /// A wait that only a broken client needs.
    const LONG: Duration = Duration::from_secs(120);

    /// An answer that ends the connection does not wait until the request's body is written: nobody
    /// reads it.
    #[test]
    fn a_body_that_nobody_reads_holds_no_answer_back() {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let app = Router::new()
                .post("/events", |_| {
                    sse(|mut sink| {
                        sink.data("one")?;
                        sink.wait(LONG)
                    })
                })
                .post("/last", |_| {
                    Response::text("last").with_header("Connection", "close")
                });
            let limits = Limits::default().max_body_bytes(64 << 20);
            let client = Client::with_server(Server::unbound().limits(limits), app).wait(LONG);
            let request = |path| Request::new(Method::Post, path).with_body(vec![b'x'; 16 << 20]);
            let mut events = client.events(request("/events")).expect("a stream");
            let _ = tell.send(events.next().expect("no end").expect("an event").data);
            let answer = client.send(request("/last")).expect("an answer");
            let _ = tell.send(answer.text().into_owned());
        });
        // A fraction of the wait.
        for expected in ["one", "last"] {
            assert_eq!(told.recv_timeout(LONG / 4).as_deref(), Ok(expected));
        }
    }
}
