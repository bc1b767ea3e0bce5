//! A connection of the shared set: the thread that sweeps the set serves what is here, and waits
//! for nothing.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Connection, Next, Outcome};
use crate::codec::body::Framing;
use crate::io::transport::is_timeout;

/// Most requests that one visit answers. The other connections have their turn then.
const MOST: usize = 16;

/// What a thread is to do for a connection.
pub(crate) enum Work {
    /// Wait for its next request, or for the rest of one.
    Wait,
    Answer(Next),
    End(Outcome),
}

/// A connection that may be lent.
pub(crate) trait Busy: Send {
    /// Does what is to be done, and answers the request that it waits for.
    fn go_on(&mut self, work: Work) -> Outcome;

    /// Writes what is due, as before a wait. False if the connection cannot wait in the set.
    fn may_be_lent(&mut self) -> bool;

    /// Serves what is here. `is_slow` tells whether the handler of the request may take long, and
    /// `step` is called when a handler begins, and when it has ended. False: it took so long that
    /// another thread sweeps, and this one goes on with the connection.
    ///
    /// The connection stays in the set, with true if anything had come, or fails with what a thread
    /// is to do for it.
    fn visit(
        &mut self,
        is_slow: impl Fn(&Self) -> bool,
        step: impl Fn() -> bool,
    ) -> Result<bool, Work>;

    /// Stands for the requests that the same handler is likely to answer: those whose paths differ
    /// only in parts with digits, such as ids.
    fn route_key(&self) -> u64;
}

impl Busy for Connection {
    fn go_on(&mut self, work: Work) -> Outcome {
        if self.entry.reclaim().is_err() {
            return Outcome::Gone;
        }
        let next = match work {
            Work::Wait => self.next_request(),
            Work::Answer(next) => next,
            Work::End(outcome) => return outcome,
        };
        self.answer(next)
    }

    fn may_be_lent(&mut self) -> bool {
        self.is_input_used() && self.buffered.flush().is_ok() && self.may_rest()
    }

    fn visit(
        &mut self,
        is_slow: impl Fn(&Self) -> bool,
        step: impl Fn() -> bool,
    ) -> Result<bool, Work> {
        if self.is_input_used() {
            match self.buffered.fill_lent(&self.entry) {
                Err(error) if is_timeout(&error) => return Ok(false),
                Ok(0) | Err(_) => return Err(Work::End(Outcome::Gone)),
                Ok(_) => self.sent_before = self.entry.sent_bytes(),
            }
        }
        self.entry.set_busy();
        for _ in 0..MOST {
            let next = match self.head_here() {
                Some(Next::Request) if self.is_body_here() && !is_slow(self) => Next::Request,
                Some(next) => return Err(Work::Answer(next)),
                None => return Err(Work::Wait),
            };
            step();
            let outcome = self.answer(next);
            let may_go_on = step();
            if !matches!(outcome, Outcome::Persist) {
                return Err(Work::End(outcome));
            }
            if !may_go_on {
                return Err(Work::Wait);
            }
            if self.is_input_used() {
                break;
            }
        }
        let may_stay =
            self.buffered.flush_lent(&self.entry) && (!self.is_input_used() || self.may_rest());
        may_stay.then_some(true).ok_or(Work::Wait)
    }

    fn route_key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.request.method().as_str().hash(&mut hasher);
        let parts = self.request.path().split('/');
        let is_id = |part: &&str| part.bytes().any(|byte| byte.is_ascii_digit());
        parts
            .filter(|part| !is_id(part))
            .for_each(|part| part.hash(&mut hasher));
        hasher.finish()
    }
}

impl Connection {
    /// Whether all that the client sent was answered.
    fn is_input_used(&self) -> bool {
        self.buffered.unread().is_empty()
    }

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
