//! A session, what it wants to send, and why it failed.

use std::io;

use crate::io::contain::contain;
use crate::io::session::Session;

/// Most bytes that wait because a peer makes the session answer and does not read the answers.
pub(super) const UNSENT_BYTES: usize = 256 * 1024;

pub(super) struct SessionState {
    /// `None` when the connection has ended.
    session: Option<Box<dyn Session>>,
    /// What it wants to send and no thread has taken yet.
    pub(super) pending: Vec<u8>,
    /// The wire's bytes that it could not take yet: less than one read of the wire.
    pub(super) rest: Vec<u8>,
    /// Why it failed, until it is told.
    pub(super) failure: Option<io::Error>,
    pub(super) has_failed: bool,
    /// The close was said.
    pub(super) is_closed: bool,
}

impl SessionState {
    pub(super) fn new(session: Box<dyn Session>) -> SessionState {
        SessionState {
            session: Some(session),
            pending: Vec::new(),
            rest: Vec::new(),
            failure: None,
            has_failed: false,
            is_closed: false,
        }
    }

    /// Calls the session, and takes its output, of which `most` bytes may wait. `None` if it has
    /// failed, now or before. After an error or a panic it is not called again, but for an error's
    /// last output.
    pub(super) fn call<T>(
        &mut self,
        most: usize,
        call: impl FnOnce(&mut dyn Session) -> io::Result<T>,
    ) -> Option<T> {
        let session = self.session.as_mut().filter(|_| !self.has_failed)?;
        let mut has_returned = false;
        let result = contain(|| {
            let result = call(&mut **session);
            has_returned = true;
            result
        });
        let result = result.and_then(|returned| returned);
        let output = match has_returned {
            true => contain(|| session.output(&mut self.pending)).and_then(|done| done),
            false => Ok(()),
        };
        let failure = match (result, output) {
            (Ok(value), Ok(())) if self.pending.len() <= most => return Some(value),
            (Ok(_), Ok(())) => io::Error::other("the peer does not read what it asks for"),
            (Err(error), _) | (_, Err(error)) => error,
        };
        self.has_failed = true;
        self.failure = Some(failure);
        None
    }

    /// Drops the session. Returns its panic, if that is one.
    pub(super) fn end(&mut self) -> Option<io::Error> {
        let session = self.session.take();
        contain(|| drop(session)).err()
    }

    pub(super) fn is_over(&self) -> bool {
        self.session.is_none()
    }
}
