//! What a session makes of plain bytes, what it says of its own, and our end.

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::atomic::{Ordering, fence};
use std::sync::{MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use super::out::Out;
use super::state::UNSENT_BYTES;
use super::{ENDED, ENDING, Layered, OPEN};
use crate::io::lock::lock;
use crate::io::transport::is_timeout;

/// Most plain bytes that a session takes before what it made of them is sent. With more, the
/// buffers of a write are so large together that an allocator gives their memory back to the
/// system.
const TAKEN_BYTES: usize = 32 * 1024;

/// How long a send waits that no writer asked for: not for a peer that does not read.
const BRIEF: Duration = Duration::from_millis(1);

impl Layered {
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
        self.send_due(Some(BRIEF));
        result
    }

    /// Writes as the kernel does: everything, or what the peer takes in time.
    fn write_in_time(&self, out: &mut Out, bufs: &[IoSlice<'_>], len: usize) -> io::Result<usize> {
        let mut written = 0;
        // Only a second send, or one of what was left before, makes a write long.
        let mut begun = (!out.is_done()).then(Instant::now);
        loop {
            let sent = match out.is_done() {
                _ if self.end.load(Ordering::SeqCst) != OPEN => Err(ErrorKind::BrokenPipe.into()),
                true => self.take(out, bufs, written),
                false => Ok(()),
            };
            // An end that another thread asks for meanwhile comes behind this write.
            let sent = self.flush(out, self.write_wait.get(), false).and(sent);
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
                // If what was left before took all the time, nothing of this write was taken.
                return match written {
                    0 => Err(ErrorKind::WouldBlock.into()),
                    _ => Ok(written),
                };
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
        let taken = self.call_locked(
            &mut lock(&self.session),
            usize::MAX,
            |session| match session.write(slices)? {
                0 => Err(ErrorKind::WriteZero.into()),
                taken if taken > offered => Err(io::Error::other(
                    "the session says that it took more than there was",
                )),
                taken => Ok(taken),
            },
        )?;
        (out.taken, out.told) = (taken, 0);
        Ok(())
    }

    /// Sends what is due, and then our end if that is due and `may_end`. The caller holds `out`.
    fn flush(&self, out: &mut Out, wait: Option<Duration>, may_end: bool) -> io::Result<()> {
        loop {
            let end = self.end.load(Ordering::SeqCst);
            let is_ending = end == ENDING && may_end;
            // A writer that does not come again leaves its last message unfinished.
            if is_ending && out.is_told() {
                self.say_close();
            }
            if self.is_due.swap(false, Ordering::SeqCst) {
                out.add(&mut lock(&self.session).pending);
            }
            if end == ENDED {
                out.clear();
            }
            let sent = self.send(out, wait);
            let has_rest = sent.is_err() && out.is_told();
            self.has_rest.store(has_rest, Ordering::Relaxed);
            sent.inspect_err(|error| {
                if !is_timeout(error) || has_rest && out.unsent().len() > UNSENT_BYTES {
                    // Nothing can be sent any more.
                    self.abandon();
                    self.end.store(ENDED, Ordering::SeqCst);
                }
            })?;
            if self.is_due.load(Ordering::SeqCst) {
                continue;
            }
            if is_ending {
                self.end.store(ENDED, Ordering::SeqCst);
                self.wire.shutdown(Shutdown::Write)?;
            }
            return Ok(());
        }
    }

    fn send(&self, out: &mut Out, wait: Option<Duration>) -> io::Result<()> {
        if !out.unsent().is_empty() && self.wire_write_wait.get() != wait {
            self.wire.set_write_timeout(wait)?;
            self.wire_write_wait.set(wait);
        }
        let mut interrupted = None;
        while !out.unsent().is_empty() {
            match self.wire.write(out.unsent()) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    let is_short = count < out.unsent().len();
                    out.sent += count;
                    if is_short {
                        // The wait is over, or the socket does not wait.
                        return Err(ErrorKind::WouldBlock.into());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    // A wait begins again once: more signals must not make it endless.
                    let since = *interrupted.get_or_insert_with(Instant::now);
                    if wait.is_some_and(|wait| since.elapsed() >= wait) {
                        return Err(ErrorKind::WouldBlock.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        out.clear();
        Ok(())
    }

    /// Lets the session say its close, once.
    fn say_close(&self) {
        if self.is_abandoned.load(Ordering::SeqCst) {
            return;
        }
        let mut state = lock(&self.session);
        if !std::mem::replace(&mut state.is_closed, true) {
            let _ = self.call_locked(&mut state, UNSENT_BYTES, |session| session.close());
        }
    }

    /// Sends what the session has to say, and our end if that is due, unless another thread holds
    /// `out`: that thread calls this behind its unlock. If a writer has yet to come again, it sends
    /// this too.
    pub(super) fn send_due(&self, wait: Option<Duration>) {
        loop {
            // One of two threads must see what the other has done: one sets the flag and finds
            // `out` locked, the other unlocks it and looks at the flag.
            fence(Ordering::SeqCst);
            let is_ending = self.end.load(Ordering::SeqCst) == ENDING;
            if !is_ending && !self.is_due.load(Ordering::SeqCst) {
                return;
            }
            let Some(mut out) = self.try_out() else {
                // If the other thread's send fails, a reader looks again. If not, it takes this
                // back.
                self.has_rest.store(true, Ordering::Relaxed);
                return;
            };
            let comes_again = !out.is_told() && !is_ending;
            if comes_again || self.flush(&mut out, wait, true).is_err() {
                return;
            }
        }
    }

    /// Sends what could not be sent before, and what is due.
    pub(super) fn send_rest(&self) {
        let has_rest = self.has_rest.load(Ordering::Relaxed);
        if let Some(mut out) = has_rest.then(|| self.try_out()).flatten() {
            match out.is_told() {
                true => drop(self.flush(&mut out, self.patience(), true)),
                false => self.has_rest.store(false, Ordering::Relaxed), // Its writer comes again.
            }
        }
        self.send_due(self.patience());
    }

    /// How long a reader's sends wait. The peer must read what a handshake says.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self.is_new.load(Ordering::Relaxed) {
            true => self.write_wait.get(),
            false => Some(BRIEF),
        }
    }

    pub(super) fn try_out(&self) -> Option<MutexGuard<'_, Out>> {
        match self.out.try_lock() {
            Ok(out) => Some(out),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
