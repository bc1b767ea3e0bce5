//! A socket under a session that the embedder brought.
//!
//! There are two locks, and a thread that needs both takes `out` first. The thread that holds `out`
//! sends. No system call is made under `session`. A reader waits in the kernel without either, so
//! other threads send meanwhile.
//!
//! A session may have something to send after any call, an answer to the peer's new key for
//! example. The caller's thread sends it if `out` is free. Otherwise the thread that holds `out`
//! looks again behind its unlock, and sends it then. Such a send does not wait for a peer that does
//! not read: the rest is sent by the next writer, or when a reader looks again.
//!
//! A session cannot give back what it has made of plain bytes. So even a write that would block has
//! taken its bytes. Its caller comes again with the same bytes at the front, and they are not taken
//! twice.

mod out;
mod reading;
mod sending;
mod state;

use std::any::Any;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::Transport;
use crate::io::lock::lock;
use crate::io::session::Session;
use out::{Out, Wait};
use state::{SessionState, UNSENT_BYTES};

/// Most wire bytes that a session gets at once.
const RECEIVED_BYTES: usize = 16 * 1024;

/// How long the last close waits for room in the socket's buffer.
const END_WAIT: Duration = Duration::from_millis(100);

/// Most bytes that are discarded behind a failure. Unread bytes would make the system reset the
/// connection, and the reset would destroy the session's last word.
const DISCARDED_BYTES: usize = 64 * 1024;

/// A socket under a session.
pub(crate) struct Layered {
    wire: Transport,
    out: Mutex<Out>,
    session: Mutex<SessionState>,
    /// The session has output that no thread has taken yet.
    is_due: AtomicBool,
    end: AtomicU8,
    /// No close may be said: the connection is cut, or its last message was not finished.
    is_abandoned: AtomicBool,
    /// We have ended our input, so its end is no cut.
    is_input_ended: AtomicBool,
    /// The session has failed, and nobody was told yet.
    is_failure_untold: AtomicBool,
    /// No plain byte was read yet. In a handshake, the reader's thread waits in its sends.
    is_new: AtomicBool,
    /// Something is left that no writer will come again for.
    has_rest: AtomicBool,
    is_nonblocking: AtomicBool,
    read_wait: Wait,
    write_wait: Wait,
    /// The wire's own waits for one read and one write.
    wire_read_wait: Wait,
    wire_write_wait: Wait,
}

/// The end of our side.
const OPEN: u8 = 0;
/// We have yet to say it.
const ENDING: u8 = 1;
const ENDED: u8 = 2;

impl Layered {
    pub(crate) fn new(wire: Transport, session: Box<dyn Session>) -> Layered {
        Layered {
            wire,
            out: Mutex::default(),
            session: Mutex::new(SessionState::new(session)),
            is_due: AtomicBool::new(false),
            end: AtomicU8::new(OPEN),
            is_abandoned: AtomicBool::new(false),
            is_input_ended: AtomicBool::new(false),
            is_failure_untold: AtomicBool::new(false),
            is_new: AtomicBool::new(true),
            has_rest: AtomicBool::new(false),
            is_nonblocking: AtomicBool::new(false),
            read_wait: Wait::forever(),
            write_wait: Wait::forever(),
            wire_read_wait: Wait::forever(),
            wire_write_wait: Wait::forever(),
        }
    }

    pub(crate) fn wire(&self) -> &Transport {
        &self.wire
    }

    pub(crate) fn info(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.call(|session| Ok(session.info())).ok()?
    }

    /// Why the session failed. The second call returns nothing.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        match self.is_failure_untold.swap(false, Ordering::Relaxed) {
            true => lock(&self.session).failure.take(),
            false => None,
        }
    }

    /// Calls the session, and takes its output. After an error or a panic it is not called again,
    /// and nothing but that output is sent.
    fn call<T>(&self, call: impl FnOnce(&mut dyn Session) -> io::Result<T>) -> io::Result<T> {
        self.call_locked(&mut lock(&self.session), UNSENT_BYTES, call)
    }

    fn call_locked<T>(
        &self,
        state: &mut SessionState,
        most: usize,
        call: impl FnOnce(&mut dyn Session) -> io::Result<T>,
    ) -> io::Result<T> {
        let was_over = state.has_failed;
        let result = state.call(most, call);
        if !state.pending.is_empty() {
            self.is_due.store(true, Ordering::SeqCst);
        }
        if state.has_failed && !was_over {
            self.is_failure_untold.store(true, Ordering::Relaxed);
            self.abandon();
            self.begin_end();
        }
        // Why it failed is told apart from this error.
        result.ok_or_else(|| io::Error::new(ErrorKind::ConnectionAborted, "the session has failed"))
    }

    /// Our side ends behind what is due.
    fn begin_end(&self) {
        let order = Ordering::SeqCst;
        let _ = self.end.compare_exchange(OPEN, ENDING, order, order);
    }

    /// Says that what follows is no orderly end: the peer shall not take what it has for
    /// everything.
    pub(crate) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::SeqCst);
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match how {
            Shutdown::Read => {
                self.is_input_ended.store(true, Ordering::SeqCst);
                self.wire.shutdown(how)
            }
            Shutdown::Write => {
                if thread::panicking() {
                    self.abandon();
                }
                self.begin_end();
                self.send_due(self.write_wait.get());
                Ok(())
            }
            Shutdown::Both => {
                self.abandon();
                self.is_input_ended.store(true, Ordering::SeqCst);
                self.end.store(ENDED, Ordering::SeqCst);
                self.wire.shutdown(how)
            }
        }
    }

    pub(crate) fn set_read_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        if wait.is_some_and(|wait| wait.is_zero()) {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.read_wait.set(wait);
        Ok(())
    }

    pub(crate) fn set_write_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        if wait.is_some_and(|wait| wait.is_zero()) {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.write_wait.set(wait);
        Ok(())
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.wire.set_nonblocking(nonblocking)?;
        self.is_nonblocking.store(nonblocking, Ordering::Relaxed);
        Ok(())
    }

    /// Ends the connection. Says the close, unless it was said or may not be said; if there is no
    /// room for it, a socket that may wait does so for [`END_WAIT`].
    pub(crate) fn finish(&self) {
        if lock(&self.session).is_over() {
            return;
        }
        if thread::panicking() {
            self.abandon();
        }
        self.begin_end();
        let wait = match self.is_nonblocking.load(Ordering::Relaxed) {
            true => self.wire_write_wait.get(),
            false => Some(
                self.write_wait
                    .get()
                    .map_or(END_WAIT, |wait| wait.min(END_WAIT)),
            ),
        };
        self.send_due(wait);
        let mut state = lock(&self.session);
        let has_failed = state.has_failed;
        if let Some(failure) = state.end() {
            if !has_failed {
                self.is_failure_untold.store(true, Ordering::Relaxed);
                state.failure = Some(failure);
            }
        }
        drop(state);
        if has_failed && self.wire.set_nonblocking(true).is_ok() {
            self.discard();
        }
    }

    fn discard(&self) {
        let mut scratch = [0; 4 * 1024];
        for _ in 0..DISCARDED_BYTES / scratch.len() {
            if !matches!(self.wire.read(&mut scratch), Ok(1..)) {
                return;
            }
        }
    }
}

impl Drop for Layered {
    fn drop(&mut self) {
        self.finish();
    }
}

impl fmt::Debug for Layered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered")
            .field("wire", &self.wire)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
