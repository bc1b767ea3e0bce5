//! A connection of the shared set: the thread that sweeps the set serves what is here, and waits
//! for nothing.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Connection, Next, Outcome};
use crate::codec::body::Framing;
use crate::io::transport::is_timeout;

/// Most requests that one visit answers. The other connections have their turn then.
const MOST: u64 = 16;

/// What a visit came to.
pub(crate) enum Visit {
    /// Nothing had come.
    Nothing,
    /// So many requests were answered, and all answers are written.
    Served(u64),
    /// The connection needs a thread.
    Leaves(Work),
}

/// What a thread is to do for a connection.
pub(crate) enum Work {
    /// Wait for its next request, or for the rest of one.
    Wait,
    Answer(Next),
    End(Outcome),
}

/// A connection that may be lent.
pub(crate) trait Busy: Send {
    /// Waits for the next request.
    fn next_request(&mut self) -> Next;

    fn answer(&mut self, next: Next) -> Outcome;

    /// Whether all that the client sent was answered.
    fn is_input_used(&self) -> bool;

    /// Writes what is due, as before a wait. False if the connection cannot wait in the set.
    fn may_be_lent(&mut self) -> bool;

    /// Serves what is here. `is_slow` tells whether the handler of the request may take long, and
    /// `note_handler` is called when a handler begins, and when it has ended. False: it took so
    /// long that another thread sweeps, and this one goes on with the connection.
    fn visit(
        &mut self,
        is_slow: impl Fn(&Self) -> bool,
        note_handler: impl Fn(bool) -> bool,
    ) -> Visit;

    /// Stands for all requests that the same handler answers, as far as can be told: for those of
    /// a route, or of an app without routes for those whose path begins alike.
    fn route_key(&self) -> u64;

    /// From now on the socket waits again. One that cannot fails at its next read.
    fn reclaim(&self);
}

impl Busy for Connection {
    fn next_request(&mut self) -> Next {
        Connection::next_request(self)
    }

    fn answer(&mut self, next: Next) -> Outcome {
        Connection::answer(self, next)
    }

    fn is_input_used(&self) -> bool {
        self.buffered.unread().is_empty()
    }

    fn may_be_lent(&mut self) -> bool {
        self.buffered.flush().is_ok() && self.may_rest()
    }

    fn visit(
        &mut self,
        is_slow: impl Fn(&Self) -> bool,
        note_handler: impl Fn(bool) -> bool,
    ) -> Visit {
        if self.is_input_used() {
            match self.buffered.fill_lent() {
                Ok(0) => return Visit::Leaves(Work::End(Outcome::Gone)),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => return Visit::Nothing,
                Err(_) => return Visit::Leaves(Work::End(Outcome::Gone)),
            }
            self.sent_before = self.entry.sent_bytes();
        }
        self.entry.set_busy();
        let mut served = 0;
        while served < MOST && !self.is_input_used() {
            let next = match self.head_here() {
                Some(Next::Request) if self.is_body_here() && !is_slow(self) => Next::Request,
                Some(next) => return Visit::Leaves(Work::Answer(next)),
                None => return Visit::Leaves(Work::Wait),
            };
            note_handler(true);
            let outcome = self.answer(next);
            let may_go_on = note_handler(false);
            served += 1;
            if !matches!(outcome, Outcome::Persist) {
                return Visit::Leaves(Work::End(outcome));
            }
            if !may_go_on {
                return Visit::Leaves(Work::Wait);
            }
        }
        let may_stay = self.buffered.flush_lent() && (!self.is_input_used() || self.may_rest());
        match may_stay {
            true => Visit::Served(served),
            false => Visit::Leaves(Work::Wait),
        }
    }

    fn route_key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let first = || self.request.path().split('/').nth(1).unwrap_or("");
        let route = self.serving.app.route(&self.request);
        route.unwrap_or_else(first).hash(&mut hasher);
        self.request.method().as_str().hash(&mut hasher);
        hasher.finish()
    }

    fn reclaim(&self) {
        let _ = self.entry.reclaim();
    }
}

impl Connection {
    fn is_body_here(&self) -> bool {
        match self.request.head().framing {
            Framing::None => true,
            Framing::Length(length) => self.buffered.unread().len() as u64 >= length,
            Framing::Chunked => false,
        }
    }

    /// Gives back what a connection without a request does not need. False if it must not wait like
    /// any other: places run out, or the server stops.
    fn may_rest(&mut self) -> bool {
        let mut wait = self.serving.idle_wait(false);
        !wait.is_zero() && self.rest(&mut wait)
    }
}
