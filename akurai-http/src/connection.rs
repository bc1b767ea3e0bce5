//! One connection: request after request, until one ends it or takes it away.
//!
//! ```text
//!            ┌────────────────────────── persist ─────────────────────────┐
//!            ▼                                                            │
//!   next_request ── head ──► answer ── Reply::Response ──► respond ───────┤
//!       │  │                    │                             │           │
//!       │  └─ refused ─► 4xx ───┤                             ├─ close ─► linger ─► gone
//!       │                       │                             └─ abort ─────────────► gone
//!       └─ end, idle too long ──│───────────────────────────────────────────────────► gone
//!                               └─ Reply::Upgrade ──► head written ──► the closure's
//! ```

use std::fmt;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::body_writer::BodyWriter;
use crate::codec::date::{DATE_BYTES, imf_fixdate};
use crate::codec::head::{HeadLimits, HeadParser};
use crate::codec::response::{Persistence, ResponseFraming, append_head};
use crate::error::{RequestError, is_timeout};
use crate::files;
use crate::response::{Body, Coded, StreamFn};
use crate::roster::Link;
use crate::service::Service;
use crate::wire::{OUTPUT_BYTES, Wire, write_wait};
use crate::{Method, Reply, Request, Response, Status, Upgrade, Upgraded, Version};

/// What a refused or closing client may still send before we stop listening, in bytes for each byte of
/// [`Limits::drain_bytes`](crate::Limits::drain_bytes): it was told to stop, and reading costs no memory.
const LINGER_FACTOR: u64 = 16;

/// What a closure is to do with a connection that left HTTP.
pub(crate) struct Departure {
    pub(crate) run: Box<dyn FnOnce(Upgraded) + Send>,
    pub(crate) upgraded: Upgraded,
}

/// Serves one connection to its end, or until it is upgraded.
///
/// What a thread's stack has held stays resident while the thread waits, so what is large here is on the heap, and this is never
/// a part of its caller's frame, in which a closure runs.
#[inline(never)]
pub(crate) fn serve(service: &Service, link: Arc<Link>) -> Option<Departure> {
    let mut connection = open(service, link)?;
    loop {
        let outcome = match connection.next_request() {
            Next::Request => connection.answer(),
            Next::Refused(error) => connection.refuse(error),
            Next::Gone => return None,
        };
        match outcome {
            Outcome::Persist => {}
            Outcome::Close => {
                connection.close();
                return None;
            }
            Outcome::Abort => return None,
            Outcome::Depart(departure) => return Some(departure),
        }
    }
}

#[inline(never)]
fn open(service: &Service, link: Arc<Link>) -> Option<Box<Connection<'_>>> {
    let limits = &service.limits;
    link.stream.set_nodelay().ok()?;
    let write_wait = Some(write_wait(limits.write_stall));
    link.stream.set_write_timeout(write_wait).ok()?;
    let wire = Wire::new(Arc::clone(&link), limits);
    Some(Box::new(Connection {
        service,
        head_limits: limits.head(),
        parser: HeadParser::default(),
        request: Request::on(wire, link.peer, service.proxies.clone()),
        link,
        first: true,
        date: Date::default(),
    }))
}

struct Connection<'a> {
    service: &'a Service,
    link: Arc<Link>,
    head_limits: HeadLimits,
    parser: HeadParser,
    request: Request,
    /// No request has come yet.
    first: bool,
    date: Date,
}

enum Next {
    Request,
    Refused(RequestError),
    /// The client left, or was idle too long, or the server stops.
    Gone,
}

enum Outcome {
    Persist,
    Close,
    /// Ends without a word: what was sent must not look whole.
    Abort,
    Depart(Departure),
}

impl Connection<'_> {
    /// Reads the next head.
    fn next_request(&mut self) -> Next {
        let mut deadline = None;
        loop {
            let wire = self.request.wire.get_mut();
            match self.parser.advance(wire.buffered(), &self.head_limits) {
                Ok(Some(len)) => {
                    self.request.begin(len, &mut self.parser);
                    self.link.count_request();
                    self.first = false;
                    return Next::Request;
                }
                Ok(None) => {}
                Err(error) => return self.refused(error),
            }
            // The empty lines that may precede a request line are not yet a request.
            let idle = wire
                .buffered()
                .iter()
                .all(|byte| matches!(byte, b'\r' | b'\n'));
            let wait = if idle {
                // Whoever waits owes nothing: what is written now cannot be lost to a shutdown.
                if wire.flush().is_err() {
                    return Next::Gone;
                }
                self.service.idle_wait(self.first)
            } else {
                let deadline =
                    *deadline.get_or_insert_with(|| after(self.service.limits.head_deadline));
                deadline.saturating_duration_since(Instant::now())
            };
            if wait.is_zero() {
                return match idle {
                    true => Next::Gone,
                    false => self.refused(RequestError::HeadTooSlow),
                };
            }
            if idle && !self.link.set_idle() {
                return Next::Gone;
            }
            let filled = wire.fill(wait);
            self.link.set_busy();
            match filled {
                Ok(0) => return Next::Gone,
                Ok(_) => {}
                Err(error) if is_timeout(&error) && !idle => {
                    return self.refused(RequestError::HeadTooSlow);
                }
                Err(_) => return Next::Gone,
            }
        }
    }

    /// Makes what was read of a refused head the request to answer, since the answer depends on its method.
    fn refused(&mut self, error: RequestError) -> Next {
        self.request.begin_refused(&mut self.parser);
        Next::Refused(error)
    }

    fn answer(&mut self) -> Outcome {
        // The handler's state may be torn by a panic; it is the handler's own, as with any thread that panicked.
        let reply = catch_unwind(AssertUnwindSafe(|| self.ask_app()));
        if let (Ok(Ok(_)), Err(error)) = (&reply, self.request.wire.get_mut().body.check()) {
            // The handler has met it when it read the body, and most likely answers with it.
            self.service.roster.counts.refuse(error);
        }
        match reply {
            Ok(Ok(Reply::Response(response))) => self.respond(response),
            Ok(Ok(Reply::Upgrade(upgrade))) => self.upgrade(upgrade),
            Ok(Err(error)) => self.refuse(error),
            Err(_) => {
                self.count_panic();
                self.respond(internal_error())
            }
        }
    }

    fn ask_app(&self) -> Result<Reply, RequestError> {
        let Service { app, limits, .. } = self.service;
        let request = &self.request;
        let own_bytes = match request.announces_body() {
            true => app.body_bytes(request),
            false => None,
        };
        request.begin_body(limits.body(own_bytes.unwrap_or(limits.body_bytes)))?;
        if request.is_asterisk() {
            return Ok(Response::new(Status::NO_CONTENT)
                .header("Allow", Method::list())
                .into());
        }
        // It would show a page the credentials that its browser adds.
        if request.method() == Method::Trace {
            let allow = app.allow(request).unwrap_or_else(Method::list);
            return Ok(Response::new(Status::METHOD_NOT_ALLOWED)
                .header("Allow", allow)
                .into());
        }
        Ok(app.handle(request))
    }

    fn count_panic(&self) {
        self.service
            .roster
            .counts
            .panics
            .fetch_add(1, Ordering::Relaxed);
    }

    /// A fault of the program's, which stderr should show; the client learns nothing of it.
    fn blame(&self, fault: &dyn fmt::Display) {
        let (method, path) = (self.request.method(), self.request.path());
        let _ = writeln!(io::stderr(), "akurai-http: {method} {path}: {fault}");
    }

    fn refuse(&mut self, error: RequestError) -> Outcome {
        self.service.roster.counts.refuse(error);
        self.respond(Response::refusal(error))
    }

    fn respond(&mut self, response: Response) -> Outcome {
        // A router has done so already, so that middleware sees what is sent.
        let mut response = files::settle_response(&self.request, response);
        let framing = match self.framing(&response) {
            Ok(framing) => framing,
            Err(fault) => {
                self.blame(&fault);
                return self.respond(internal_error());
            }
        };
        let persist = self.may_persist(&response) && framing != ResponseFraming::Close;
        let persistence = match (persist, self.request.version()) {
            (false, _) => Persistence::Close,
            (true, Version::Http10) => Persistence::KeepAlive,
            (true, Version::Http11) => Persistence::Persist,
        };
        let committed = self.request.wire.get_mut().output.len();
        self.append_head(&response, framing, persistence);
        if self.request.method() != Method::Head && !is_empty(response.status()) {
            let wire = self.request.wire.get_mut();
            if let Some(bytes) = response.body_bytes() {
                if wire.put(bytes).is_err() {
                    return Outcome::Abort;
                }
            } else if let Body::Stream(write) = response.parts.take_body() {
                let coded = response.parts.coded;
                if let Some(outcome) = self.stream(write, framing, coded, committed) {
                    return outcome;
                }
            }
        }
        response.recycle();
        self.after_response(persist)
    }

    /// How the end of this response is shown, or why it cannot be sent.
    fn framing(&self, response: &Response) -> Result<ResponseFraming, &'static str> {
        let status = response.status();
        if status.is_informational() {
            return Err("a handler answered with an interim status");
        }
        if is_empty(status) {
            return Ok(match status {
                Status::RESET_CONTENT => ResponseFraming::Length(0),
                _ => ResponseFraming::Bodiless,
            });
        }
        let length = response.body_bytes().map(|bytes| bytes.len() as u64);
        match (length, response.parts.declared_length) {
            (Some(0), Some(declared)) if self.request.method() == Method::Head => {
                Ok(ResponseFraming::Length(declared))
            }
            (Some(length), Some(declared)) if length != declared => {
                Err("a handler declared another length than its body has")
            }
            (Some(length), _) | (None, Some(length)) => Ok(ResponseFraming::Length(length)),
            (None, None) if self.request.version() == Version::Http11 => {
                Ok(ResponseFraming::Chunked)
            }
            (None, None) => Ok(ResponseFraming::Close),
        }
    }

    /// Writes a streamed body. `Some` if it failed.
    fn stream(
        &mut self,
        write: Box<StreamFn>,
        framing: ResponseFraming,
        coded: Option<Coded>,
        committed: usize,
    ) -> Option<Outcome> {
        let wire = self.request.wire.get_mut();
        let writes = wire.writes;
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut body = BodyWriter::new(wire, framing, coded);
            write(&mut body).and_then(|()| body.finish())
        }));
        if result.is_err() {
            self.count_panic();
        }
        let wire = self.request.wire.get_mut();
        let (is_broken, is_committed) = (wire.is_broken(), wire.writes > writes);
        if is_broken {
            return Some(Outcome::Abort);
        }
        match result {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => self.blame(&format_args!("the body failed: {error}")),
            Err(_) => {}
        }
        if is_committed {
            return Some(Outcome::Abort);
        }
        // Nothing of it was sent yet, so that the client can still be told properly.
        self.request.wire.get_mut().output.truncate(committed);
        Some(self.respond(internal_error()))
    }

    fn upgrade(&mut self, upgrade: Upgrade) -> Outcome {
        let service = self.service;
        let limits = &service.limits;
        let wire = self.request.wire.get_mut();
        // What follows the body belongs to the closure, so the body must be gone; a client that waits for a 100 will not
        // send it.
        let gone = wire.body.is_over()
            || !wire.owes_continue && wire.drain_body(limits.drain_bytes, limits.drain_time);
        if let Err(error) = wire.body.check() {
            return self.refuse(error);
        }
        if !gone {
            let told = Response::plain(Status::BAD_REQUEST, "an upgrade takes no body");
            return self.respond(told.closing());
        }
        let Upgrade {
            head,
            prelude,
            when_full,
            run,
            stop_hook,
        } = upgrade;
        if self.request.method() == Method::Head {
            self.append_head(&head, ResponseFraming::Close, Persistence::Close);
            return Outcome::Close;
        }
        if !self.link.upgrade(limits.upgrades, stop_hook) {
            self.service
                .roster
                .counts
                .overloaded
                .fetch_add(1, Ordering::Relaxed);
            return self.respond(when_full());
        }
        let persistence = match head.status() {
            Status::SWITCHING_PROTOCOLS => Persistence::Upgrade,
            _ => Persistence::Close,
        };
        self.append_head(&head, ResponseFraming::Bodiless, persistence);
        let wire = self.request.wire.get_mut();
        wire.output.extend_from_slice(&prelude);
        if wire.flush().is_err() || self.release_timeouts().is_err() {
            return Outcome::Abort;
        }
        Response::free_spare();
        let wire = self.request.wire.get_mut();
        Outcome::Depart(Departure {
            run,
            upgraded: Upgraded::new(wire.take_buffered(), Arc::clone(&self.link)),
        })
    }

    /// Lets reads wait for ever and a single write as long as it may, as an upgrade's closure is promised.
    fn release_timeouts(&self) -> io::Result<()> {
        let write_stall = self
            .service
            .limits
            .write_stall
            .max(Duration::from_millis(1));
        self.link.stream.set_read_timeout(None)?;
        self.link.stream.set_write_timeout(Some(write_stall))
    }

    /// Whether another request may follow this response, as far as can be told before it is written.
    fn may_persist(&mut self, response: &Response) -> bool {
        let wire = self.request.wire.get_mut();
        // A client that still waits for its 100 has been answered without; whether it now sends the body is anyone's
        // guess (RFC 9110 §10.1.1). The rest of a chunked body may be of any length; we try.
        let body_may_end = wire.skim_body()
            || !wire.owes_continue
                && wire.body.check().is_ok()
                && wire.body.due() <= self.service.limits.drain_bytes;
        body_may_end
            && self.request.head().keep_alive
            && !response.parts.close
            && !self.link.is_stopping()
            && self.service.may_wait()
    }

    fn after_response(&mut self, persist: bool) -> Outcome {
        let service = self.service;
        let limits = &service.limits;
        let wire = self.request.wire.get_mut();
        if !persist || !wire.drain_body(limits.drain_bytes, limits.drain_time) {
            return Outcome::Close;
        }
        // Answers to pipelined requests are written together, when the input runs out or this much is due.
        if wire.output.len() >= OUTPUT_BYTES && wire.flush().is_err() {
            return Outcome::Abort;
        }
        Outcome::Persist
    }

    /// Ends the connection behind an answer.
    fn close(&mut self) {
        let service = self.service;
        let limits = &service.limits;
        // Behind a request with `Connection: close` nothing comes, but for a line's end that some send behind a body: there is
        // nothing to wait for, and no reset that overtakes the answer (RFC 9112 §9.6).
        let is_last = self.request.head().is_last && !self.request.announces_body();
        let wire = self.request.wire.get_mut();
        if is_last && wire.buffered().is_empty() {
            let _ = wire.flush();
            return;
        }
        wire.close_lingering(
            limits.drain_bytes.saturating_mul(LINGER_FACTOR),
            limits.drain_time,
        );
    }

    fn append_head(&mut self, head: &Response, framing: ResponseFraming, persistence: Persistence) {
        let wire = self.request.wire.get_mut();
        append_head(
            head.status(),
            head.headers(),
            framing,
            persistence,
            self.date.now(),
            &mut wire.output,
        );
    }
}

/// Whether the status forbids content: 1xx, 204 and 304 (RFC 9110 §6.4.1), and 205 (§15.3.6).
fn is_empty(status: Status) -> bool {
    status.is_bodiless() || status == Status::RESET_CONTENT
}

/// The Date field's value, formatted once a second.
#[derive(Default)]
pub(crate) struct Date {
    /// The second since 1970 that `text` is of; `None` before the first use.
    second: Option<u64>,
    text: [u8; DATE_BYTES],
}

impl Date {
    pub(crate) fn now(&mut self) -> &[u8] {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_secs();
        if self.second != Some(now) {
            self.second = Some(now);
            self.text = imf_fixdate(now);
        }
        &self.text
    }
}

fn internal_error() -> Response {
    Response::plain(Status::INTERNAL_SERVER_ERROR, "internal error").closing()
}

/// The moment after this wait; a wait without end ends in a hundred years.
pub(crate) fn after(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait)
        .unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 86_400))
}

/// The answer when all places are taken.
pub(crate) fn overloaded() -> Response {
    Response::plain(Status::SERVICE_UNAVAILABLE, "too many connections")
        .header("Retry-After", "1")
        .closing()
}
