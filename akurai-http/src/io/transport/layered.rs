//! A socket under a session that the embedder brought.
//!
//! There are two locks, and a thread that needs both takes `out` first. The thread that holds `out`
//! sends. No system call is made under `session`. A reader waits in the kernel without either, so
//! other threads send meanwhile.
//!
//! A session may have something to send after any call, an answer to the peer's new key for
//! example. The caller's thread sends it if `out` is free. Otherwise the thread that holds `out`
//! looks again behind its unlock, and sends it then.
//!
//! A session cannot give back what it has made of plain bytes. So a write that would block has
//! taken its bytes all the same: its caller comes again with the same bytes at the front, and they
//! are not taken twice.

mod out;
mod state;

use std::any::Any;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Transport, is_timeout};
use crate::io::lock::lock;
use crate::io::session::Session;
use out::{Out, Wait};
use state::{SessionState, UNSENT_BYTES};

/// Most wire bytes that a session gets at once.
const RECEIVED_BYTES: usize = 4 * 1024;

/// A read into a smaller buffer receives into one of this size.
const SMALL_BYTES: usize = 1024;

/// Most plain bytes that a session takes before what it made of them is sent.
const TAKEN_BYTES: usize = 64 * 1024;

/// A wait may be longer by this part of it, so that not each of the reads that follow one another
/// has to set its own.
const LONGER_PART: u32 = 16;

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
    /// No plain byte was read yet. In a handshake, the reader's thread sends, even what was left
    /// over before.
    is_new: AtomicBool,
    read_wait: Wait,
    /// The wire's own wait for one read.
    wire_wait: Wait,
    write_wait: Wait,
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
            read_wait: Wait::forever(),
            wire_wait: Wait::forever(),
            write_wait: Wait::forever(),
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

    #[inline(never)] // The other kinds of transport are read where they are called.
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match buf.len() {
            0 => Ok(0),
            1..SMALL_BYTES => self.read_small(buf),
            _ => self.read_with(buf, None),
        }
    }

    #[inline(never)] // Its array would be in every reader's frame.
    fn read_small(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(buf, Some(&mut [0; SMALL_BYTES]))
    }

    /// Reads plain bytes. The wire's bytes come into `small`, or into `buf` itself, whose first
    /// bytes the plain ones then replace.
    fn read_with(&self, buf: &mut [u8], mut small: Option<&mut [u8]>) -> io::Result<usize> {
        let wait = self.read_wait.get();
        let begun = wait.map(|_| Instant::now());
        let mut left = wait;
        loop {
            if let Some(count) = self.read_session(buf)? {
                return Ok(count);
            }
            self.send_rest();
            if left == Some(Duration::ZERO) {
                return Err(ErrorKind::WouldBlock.into());
            }
            let most = RECEIVED_BYTES.min(buf.len());
            let received = small.as_deref_mut().unwrap_or(&mut buf[..most]);
            let count = self.read_wire(received, left)?;
            if count == 0 {
                return self.end_of_wire();
            }
            let result = self.call(|session| session.receive(&received[..count]));
            self.send_due();
            result?;
            // Records that hold no data do not make a read last longer.
            left = wait
                .zip(begun)
                .map(|(wait, begun)| wait.saturating_sub(begun.elapsed()));
        }
    }

    fn read_session(&self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        let len = buf.len();
        let result = self.call(|session| match session.read(buf) {
            Ok(Some(count)) if count > len => Err(io::Error::other(
                "the session says that it read more than there was room for",
            )),
            result => result,
        });
        match result {
            Ok(Some(_)) if self.is_new.load(Ordering::Relaxed) => {
                self.is_new.store(false, Ordering::Relaxed);
            }
            Err(_) => self.send_due(),
            _ => {}
        }
        result
    }

    fn read_wire(&self, buf: &mut [u8], wait: Option<Duration>) -> io::Result<usize> {
        if !is_near(self.wire_wait.get(), wait) {
            self.wire.set_read_timeout(wait)?;
            self.wire_wait.set(wait);
        }
        self.wire.read(buf)
    }

    /// The wire's input has ended, and the peer did not say before that its side ends.
    fn end_of_wire(&self) -> io::Result<usize> {
        match self.is_input_ended.load(Ordering::SeqCst) {
            true => Ok(0),
            false => Err(io::Error::new(
                ErrorKind::ConnectionReset,
                "the connection ended, and the peer had not ended its session",
            )),
        }
    }

    pub(crate) fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    pub(crate) fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        if len == 0 {
            return Ok(0);
        }
        let mut out = lock(&self.out);
        let result = match self.end.load(Ordering::SeqCst) {
            OPEN => self.write_in_time(&mut out, bufs, len),
            _ => Err(ErrorKind::BrokenPipe.into()),
        };
        drop(out);
        self.send_due();
        result
    }

    /// Writes as the kernel does: everything, or what the peer takes in time.
    fn write_in_time(&self, out: &mut Out, bufs: &[IoSlice<'_>], len: usize) -> io::Result<usize> {
        let mut written = 0;
        let mut begun = None;
        loop {
            let sent = match out.is_done() {
                _ if self.end.load(Ordering::SeqCst) != OPEN => Err(ErrorKind::BrokenPipe.into()),
                true => self.take(out, bufs, written),
                false => Ok(()),
            };
            let sent = self.flush(out).and(sent);
            written += out.tell(len - written);
            match sent {
                Ok(()) if written == len => return Ok(written),
                Ok(()) => {}
                Err(_) if written > 0 => return Ok(written),
                Err(error) => return Err(error),
            }
            let begun = *begun.get_or_insert_with(Instant::now);
            if self
                .write_wait
                .get()
                .is_some_and(|wait| begun.elapsed() >= wait)
            {
                return Ok(written);
            }
        }
    }

    /// Lets the session take plain bytes, without the first `skipped`.
    fn take(&self, out: &mut Out, bufs: &[IoSlice<'_>], skipped: usize) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); 4];
        let (mut skip, mut offered) = (skipped, 0);
        let mut rest = slices.iter_mut();
        for buf in bufs {
            let from = skip.min(buf.len());
            skip -= from;
            let most = (buf.len() - from).min(TAKEN_BYTES - offered);
            if most > 0 {
                let Some(slice) = rest.next() else { break };
                *slice = IoSlice::new(&buf[from..from + most]);
                offered += most;
            }
        }
        let free = rest.len();
        let slices = &slices[..slices.len() - free];
        let taken = self.call(|session| match session.write(slices)? {
            0 => Err(ErrorKind::WriteZero.into()),
            taken if taken > offered => Err(io::Error::other(
                "the session says that it took more than there was",
            )),
            taken => Ok(taken),
        })?;
        (out.taken, out.told) = (taken, 0);
        Ok(())
    }

    /// Sends what is due, and then our end if that is due. The caller holds `out`.
    fn flush(&self, out: &mut Out) -> io::Result<()> {
        loop {
            let end = self.end.load(Ordering::SeqCst);
            // A writer that does not come again leaves its last message unfinished.
            if end == ENDING && out.taken == out.told {
                self.say_close();
            }
            if self.is_due.swap(false, Ordering::SeqCst) {
                out.add(mem::take(&mut lock(&self.session).pending));
            }
            if end == ENDED {
                out.wire.clear();
            }
            self.send(out).inspect_err(|error| {
                if !is_timeout(error) || out.wire.len() - out.sent > UNSENT_BYTES {
                    // Nothing can be sent any more.
                    self.abandon();
                    self.end.store(ENDED, Ordering::SeqCst);
                }
            })?;
            if self.is_due.load(Ordering::SeqCst) {
                continue;
            }
            if end == ENDING {
                self.end.store(ENDED, Ordering::SeqCst);
                self.wire.shutdown(Shutdown::Write)?;
            }
            return Ok(());
        }
    }

    fn send(&self, out: &mut Out) -> io::Result<()> {
        while out.sent < out.wire.len() {
            let unsent = &out.wire[out.sent..];
            match self.wire.write(unsent) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    let is_short = count < unsent.len();
                    out.sent += count;
                    if is_short {
                        // The wait is over, or the socket does not wait.
                        return Err(ErrorKind::WouldBlock.into());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // A connection that waits keeps no buffer.
        (out.wire, out.sent) = (Vec::new(), 0);
        Ok(())
    }

    /// Lets the session say its close, once.
    fn say_close(&self) {
        if self.is_abandoned.load(Ordering::SeqCst) {
            return;
        }
        let mut state = lock(&self.session);
        if !mem::replace(&mut state.is_closed, true) {
            let _ = self.call_locked(&mut state, |session| session.close());
        }
    }

    /// Sends what the session has to say, and our end if that is due, unless another thread holds
    /// `out`: that thread calls this behind its unlock.
    fn send_due(&self) {
        while self.is_due.load(Ordering::SeqCst) || self.end.load(Ordering::SeqCst) == ENDING {
            let Some(mut out) = self.try_out() else {
                return;
            };
            if self.flush(&mut out).is_err() {
                return;
            }
        }
    }

    /// Sends what could not be sent before, where the reader's thread alone can do so: in the
    /// handshake, and after our end.
    fn send_rest(&self) {
        if self.is_new.load(Ordering::Relaxed)
            && let Some(mut out) = self.try_out()
        {
            let _ = self.flush(&mut out);
        }
        self.send_due();
    }

    fn try_out(&self) -> Option<MutexGuard<'_, Out>> {
        match self.out.try_lock() {
            Ok(out) => Some(out),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Calls the session, and takes its output. After an error or a panic it is not called again,
    /// and nothing but that output is sent.
    fn call<T>(&self, call: impl FnOnce(&mut dyn Session) -> io::Result<T>) -> io::Result<T> {
        self.call_locked(&mut lock(&self.session), call)
    }

    fn call_locked<T>(
        &self,
        state: &mut SessionState,
        call: impl FnOnce(&mut dyn Session) -> io::Result<T>,
    ) -> io::Result<T> {
        let was_over = state.has_failed;
        let result = state.call(call);
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
                self.begin_end();
                self.send_due();
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
        self.wire.set_write_timeout(wait)?;
        self.write_wait.set(wait);
        Ok(())
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.wire.set_nonblocking(nonblocking)
    }
}

/// Whether the wire's wait is the one that is wanted, or a little longer.
fn is_near(is: Option<Duration>, wanted: Option<Duration>) -> bool {
    match (is, wanted) {
        (Some(is), Some(wanted)) => (wanted..=wanted + wanted / LONGER_PART).contains(&is),
        _ => is == wanted,
    }
}

impl Drop for Layered {
    /// Says the close, unless it was said or may not be said. This does not wait.
    fn drop(&mut self) {
        if thread::panicking() {
            self.abandon();
        }
        self.begin_end();
        if self.wire.set_nonblocking(true).is_ok() {
            self.send_due();
        }
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
