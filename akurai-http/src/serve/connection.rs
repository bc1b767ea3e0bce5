//! One connection: request after request, until one of them ends the connection or upgrades it.
//!
//! ```text
//!            ┌────────────────────────── persist ─────────────────────────┐
//!            ▼                                                            │
//!   next_request ── head ──► answer ── Reply::Response ──► respond ───────┤
//!       │  │                    │                             │           │
//!       │  ├─ refused ─► 4xx ───┤                             │           │
//!       │  └─ idle too long ────│─────────────────────────────┴─ close ─► linger ─► gone
//!       └─ end, or no client ───│─────────────────────────────────────────────────► gone
//!                               └─ Reply::Upgrade ──► head written ──► the closure's
//! ```

mod responding;
mod upgrading;
mod visiting;
mod waits;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::head::{HeadLimits, HeadParser};
use crate::io::buffered::{BufferedTransport, is_interrupted, write_wait};
use crate::io::clock::Date;
use crate::io::contain::contain;
use crate::io::ending::Ending;
use crate::io::failure::{FailedRequest, Failure, FailureKind, is_disconnect};
use crate::io::linger::FIRST_FLIGHT_BYTES;
use crate::io::registry::RegistryEntry;
use crate::io::transport::is_timeout;
use crate::message::app::begin_body;
use crate::message::hosts::Hosts;
use crate::message::own_answers::{internal_error, method_not_allowed};
use crate::serve::serving::{STOPPING_HEAD_TIME, Serving};
use crate::values::error::RequestError;
use crate::{App, Method, Reply, Request, Response, Status};

pub(crate) use upgrading::PendingUpgrade;
pub(crate) use visiting::{Busy, Work};
use waits::HeadWaits;

/// Makes a connection of an accepted socket.
///
/// The pages that a thread's stack has used stay resident while the thread waits. So large values
/// of a connection are on the heap.
#[inline(never)]
pub(crate) fn open(serving: &Arc<Serving>, entry: Arc<RegistryEntry>) -> Option<Box<Connection>> {
    let limits = &serving.limits;
    entry.transport.set_nodelay().ok()?;
    let write_wait = Some(write_wait(limits.write_stall));
    entry.transport.set_write_timeout(write_wait).ok()?;
    Some(Box::new(Connection {
        serving: Arc::clone(serving),
        head_limits: limits.head(),
        parser: HeadParser::accepting(&serving.other_methods),
        request: Request::on(
            entry.peer,
            serving.proxies.clone(),
            entry.transport.is_secure(),
        ),
        buffered: Box::new(BufferedTransport::new(Arc::clone(&entry), limits)),
        entry,
        first: true,
        sent_before: 0,
        begun: None,
        date: Date::default(),
    }))
}

pub(crate) struct Connection {
    serving: Arc<Serving>,
    entry: Arc<RegistryEntry>,
    head_limits: HeadLimits,
    parser: HeadParser,
    request: Request,
    /// The connection's buffers. The request has them while the app answers.
    buffered: Box<BufferedTransport>,
    /// No request has come yet.
    first: bool,
    /// How many bytes were sent when the client's last request came. We take them as received.
    sent_before: u64,
    /// Where the current answer begins; `None` before its head is written.
    begun: Option<Begun>,
    date: Date,
}

/// Where an answer begins in the output.
struct Begun {
    /// The length of [`BufferedTransport::output`] at that time. Valid if nothing was written
    /// since.
    output_bytes: usize,
    /// [`BufferedTransport::writes`] at that time.
    writes: u64,
    status: Status,
    /// [`Connection::position`] behind the head.
    body_from: u64,
}

/// What a connection has to answer.
pub(crate) enum Next {
    Request,
    Refused(RequestError),
    /// Nothing came in time, or the server stops.
    Idle,
    /// The client left, or its input was ended because the server stops.
    Gone,
}

/// What follows a request.
pub(crate) enum Outcome {
    Persist,
    /// The connection ends, since no request came.
    Idle,
    /// The connection ends, but the client must still receive what was written.
    Close,
    /// The client is gone, or takes nothing.
    Gone,
    Upgrade(Box<PendingUpgrade>),
}

impl Connection {
    /// Answers what came.
    fn answer(&mut self, next: Next) -> Outcome {
        let mut outcome = match next {
            Next::Gone => Outcome::Gone,
            Next::Idle => return Outcome::Idle,
            // A panic may leave the handler's state inconsistent. That state is the handler's own,
            // as with any thread that panics.
            next => match contain(|| self.reply_to(next)) {
                Ok(outcome) => outcome,
                Err(panic) => self.after_panic(&panic),
            },
        };
        self.end_request(&mut outcome);
        outcome
    }

    /// Ends the connection, unless it is upgraded.
    pub(crate) fn end(self: Box<Self>, outcome: Outcome) -> Option<PendingUpgrade> {
        match outcome {
            Outcome::Persist | Outcome::Close => self.close(false),
            Outcome::Idle => self.close(true),
            Outcome::Gone => {}
            Outcome::Upgrade(upgrade) => return Some(*upgrade),
        }
        None
    }

    /// The next head, if all of it is here.
    fn head_here(&mut self) -> Option<Next> {
        let unread = self.buffered.unread();
        let len = match self.parser.advance(unread, &self.head_limits) {
            Ok(Some(len)) => len,
            Ok(None) => return None,
            Err(error) => return Some(self.refused(error)),
        };
        self.request.begin(&unread[..len], &mut self.parser);
        self.buffered.consume(len);
        self.entry.count_request();
        if self.serving.is_test && !self.entry.transport.is_secure() {
            self.request.believe_target();
        }
        if self.first {
            self.first = false;
            let info = self.entry.transport.session_info();
            self.request.set_session_info(info);
        }
        Some(Next::Request)
    }

    /// Reads the next head.
    fn next_request(&mut self) -> Next {
        let mut waits = HeadWaits::default();
        loop {
            if let Some(next) = self.head_here() {
                return next;
            }
            // Empty lines may precede a request line. They do not begin a request.
            let idle = self
                .buffered
                .unread()
                .iter()
                .all(|byte| matches!(byte, b'\r' | b'\n'));
            let mut wait = if idle {
                // A thread that waits owes nothing. What we write now cannot be lost if a shutdown
                // closes the connection.
                if self.buffered.flush().is_err() || self.buffered.is_broken() {
                    return Next::Gone;
                }
                waits.idle(self.serving.idle_wait(self.first))
            } else {
                waits.in_head(&self.serving)
            };
            if wait.is_zero() {
                return match idle {
                    true => Next::Idle,
                    false => self.refused(RequestError::HeadTooSlow),
                };
            }
            if idle && !self.rest(&mut wait) {
                // The last answer may still be on its way.
                return Next::Idle;
            }
            let filled = self.buffered.fill(wait);
            self.entry.set_busy();
            match filled {
                Ok(0) => return Next::Gone,
                Ok(_) if idle => self.sent_before = self.entry.sent_bytes(),
                Ok(_) => {}
                Err(error) if is_interrupted(&error) => waits.interrupted(wait),
                Err(error) if is_timeout(&error) => {}
                Err(_) => return Next::Gone,
            }
        }
    }

    /// Gives back what a connection without a request does not need. False if the server stops, so
    /// that the connection must not wait. A client that has not asked yet may still do so.
    fn rest(&mut self, wait: &mut Duration) -> bool {
        self.request.shrink();
        self.buffered.shrink();
        self.parser.shrink();
        if self.entry.set_idle(self.first) {
            return true;
        }
        *wait = (*wait).min(STOPPING_HEAD_TIME);
        self.first
    }

    /// Makes the part of a refused head that was read the request to answer, since the answer
    /// depends on its method.
    fn refused(&mut self, error: RequestError) -> Next {
        self.request.begin_refused(&mut self.parser);
        Next::Refused(error)
    }

    /// Answers the request, or refuses it. Values that the application made are dropped in here
    /// too.
    fn reply_to(&mut self, next: Next) -> Outcome {
        self.begun = None;
        match next {
            Next::Request => self.answer_request(),
            Next::Refused(error) => self.refuse(error),
            Next::Idle | Next::Gone => Outcome::Gone,
        }
    }

    /// Answers a request after the application panicked.
    fn after_panic(&mut self, panic: &io::Error) -> Outcome {
        self.tell_noted();
        self.note_panic(panic);
        self.drop_values();
        match self.take_back() {
            Some(outcome) => outcome,
            None => self.respond(internal_error()),
        }
    }

    /// Takes back what was written of an answer that failed. If some of it was sent, it cannot be
    /// taken back: then returns how the connection ends.
    fn take_back(&mut self) -> Option<Outcome> {
        if self.buffered.is_broken() {
            return Some(Outcome::Gone);
        }
        match &self.begun {
            Some(begun) if begun.writes != self.buffered.writes => {
                // The framing shows the client that the end is missing, except to HTTP/1.0 without
                // a length, which a session's missing close tells. What was sent before still
                // arrives.
                self.entry.transport.abandon();
                self.buffered.output.clear();
                Some(Outcome::Close)
            }
            Some(begun) => {
                self.buffered.output.truncate(begun.output_bytes);
                None
            }
            None => None,
        }
    }

    fn answer_request(&mut self) -> Outcome {
        let reply = self.ask_app();
        if let (Err(error), Reply::Response(response)) = (self.buffered.body.check(), &reply) {
            // Middleware may have answered before, with 401 for example: then that is why.
            if response.status() == error.status() {
                self.serving.registry.counts.refuse(error);
            }
        }
        match reply {
            Reply::Response(response) => self.respond(response),
            Reply::Upgrade(upgrade) => self.upgrade(upgrade),
        }
    }

    fn ask_app(&mut self) -> Reply {
        let Serving {
            app, limits, hosts, ..
        } = &*self.serving;
        let is_misdirected = |hosts: &Hosts| {
            // An HTTP/1.0 client may name no host. No browser does that.
            let authority = self.request.authority();
            !authority.is_empty() && !hosts.names(authority)
        };
        if hosts.as_ref().is_some_and(is_misdirected) || self.request.has_false_target() {
            let misdirected = RequestError::Misdirected;
            self.serving.registry.counts.refuse(misdirected);
            return Response::refusal(misdirected).into();
        }
        let reply = self.request.lend(&mut self.buffered, |request| {
            if !is_for_server(request) {
                return app.begin_and_handle(request, limits);
            }
            match begin_body(&**app, request, limits) {
                Ok(()) => answer_for_server(&**app, request),
                Err(refusal) => refusal,
            }
        });
        let panicked = self.drop_values();
        let reply = self.with_failure_told(reply);
        match panicked {
            true => internal_error().into(),
            false => reply,
        }
    }

    /// Tells the failures that a reply was made of, and the panics that it stands for.
    fn with_failure_told(&mut self, mut reply: Reply) -> Reply {
        self.request.note_failure(&mut reply);
        if self.tell_noted() {
            reply.response_mut().parts.close = true;
        }
        reply
    }

    /// Tells the failures and the panics that the request has noted. Returns whether there was a
    /// panic.
    fn tell_noted(&mut self) -> bool {
        if !self.request.has_noted() {
            return false;
        }
        let (failures, panics) = self.request.take_noted();
        for error in failures {
            // If the client left while its body was read, the handler did not fail: nothing is
            // told.
            let left = is_disconnect(&error) && self.buffered.body.check().is_err();
            if !left {
                self.tell(FailureKind::Handler, &error);
            }
        }
        panics.iter().for_each(|panic| self.note_panic(panic));
        !panics.is_empty()
    }

    fn note_panic(&self, panic: &io::Error) {
        let request = Some(failed_request(&self.request));
        self.serving.registry.note_panic(request, panic);
    }

    /// Tells the program of a fault of its own. The client learns nothing of it.
    fn tell(&self, kind: FailureKind, cause: &io::Error) {
        self.serving.registry.failures.tell(&Failure {
            kind,
            request: Some(failed_request(&self.request)),
            peer: None,
            cause,
        });
    }

    /// Tells the log that the request is over, unless its upgrade has taken the log away. The
    /// client need not wait for the log: its answer is written first, unless the client has
    /// pipelined more requests, whose answers are written together.
    fn end_request(&mut self, outcome: &mut Outcome) {
        if !self.request.has_end() {
            return;
        }
        if self.buffered.unread().is_empty() && self.buffered.flush().is_err() {
            *outcome = Outcome::Gone;
        }
        let mut ending = Ending::default();
        if let Some(begun) = &self.begun {
            ending.status = Some(begun.status);
            ending.bytes_sent = self.position().saturating_sub(begun.body_from);
        }
        for panic in self.request.end(ending) {
            self.note_panic(&panic);
        }
        // The log's function may have attached some. The next request must not get them.
        self.drop_values();
    }

    /// Drops the values that the application has attached. Returns whether one of them panicked.
    fn drop_values(&mut self) -> bool {
        if !self.request.has_values() {
            return false;
        }
        let panics = self.request.drop_values();
        panics.iter().for_each(|panic| self.note_panic(panic));
        !panics.is_empty()
    }

    /// How many bytes were written so far, with those that wait in the output.
    fn position(&self) -> u64 {
        self.entry.sent_bytes() + self.buffered.output.len() as u64
    }

    fn refuse(&mut self, error: RequestError) -> Outcome {
        self.serving.registry.counts.refuse(error);
        self.respond(Response::refusal(error))
    }

    /// Ends the connection after what was written.
    fn close(mut self: Box<Self>, is_idle: bool) {
        if self.buffered.flush().is_err() || self.may_close_at_once(is_idle) {
            return;
        }
        let entry = Arc::clone(&self.entry);
        drop(self); // Its buffers are of no use any more.
        entry.linger();
    }

    /// Whether no reset can destroy what was written: all of it has left this machine, and no input
    /// is unread or expected.
    fn may_close_at_once(&mut self, is_idle: bool) -> bool {
        // A client that asked for the end sends nothing after its request (RFC 9112 §9.6).
        // Under a session, its peer may still say its own end, or answer ours.
        let has_asked = self.request.head().is_last
            && !self.entry.transport.is_secure()
            && !self.request.announces_body()
            && self.buffered.unread().is_empty();
        (is_idle || has_asked)
            && self.entry.sent_bytes() - self.sent_before <= FIRST_FLIGHT_BYTES
            && self.entry.is_input_empty()
    }
}

fn failed_request(request: &Request) -> FailedRequest<'_> {
    FailedRequest {
        method: request.method(),
        path: request.path(),
        client: request.client_addr(),
        fields: request.log_fields(),
    }
}

/// Whether the server answers this request without the app. The answer that `TRACE` asks for would
/// show a page the credentials that its browser adds.
fn is_for_server(request: &Request) -> bool {
    request.is_asterisk() || request.method() == Method::Trace
}

fn answer_for_server(app: &dyn App, request: &Request) -> Reply {
    let known = match app.allow(request) {
        Ok(known) => known,
        Err(error) => return Response::refusal(error).into(),
    };
    let (response, allow) = match request.is_asterisk() {
        true => (Response::new(Status::NO_CONTENT), None),
        false => (method_not_allowed(), known),
    };
    let allow = allow.unwrap_or_else(|| Method::list(&app.methods()));
    response.with_header("Allow", allow).into()
}
