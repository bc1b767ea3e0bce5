//! The bytes of one connection: one read buffer, one write buffer, and the body that is being read.

mod look;
mod writing;

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::codec::body::{BodyDecoder, BodyLimits, Framing, Step};
use crate::codec::head::Head;
use crate::io::clock::{after, was_stopped};
use crate::io::limits::Limits;
use crate::io::registry::RegistryEntry;
use crate::io::transport::is_timeout;
use crate::values::error::RequestError;

pub(crate) use writing::write_wait;
use writing::{WriteRate, is_below, write_both};

/// The read buffer of an idle connection, in bytes. It grows for a head that needs more.
pub(crate) const IDLE_BUFFER_BYTES: usize = 4 * 1024;

/// With this many bytes waiting to be written, pipelined answers are not held back any further.
pub(crate) const OUTPUT_BYTES: usize = 16 * 1024;

/// Longest wait of one read for a body, behind the first. A read that was interrupted and lasted
/// much longer tells that the process was stopped.
const BODY_LOOK: Duration = Duration::from_secs(1);

/// Reads and writes of one connection.
///
/// Bytes are read into `input` and stay there until a head, a body or an upgrade has used them, so
/// none is lost between two requests. All of `output` is written before a read may wait.
#[derive(Debug)]
pub(crate) struct BufferedTransport {
    /// `None` for a request that was made by hand: all of its input is here already.
    entry: Option<Arc<RegistryEntry>>,
    input: Vec<u8>,
    start: usize,
    end: usize,
    pub(crate) output: Vec<u8>,
    /// How many writes there were.
    pub(crate) writes: u64,
    /// The client has ended its side, or is gone.
    has_left: bool,
    /// A write failed, perhaps in the middle of a message: nothing may follow it.
    broken: bool,
    read_timeout: Option<Duration>,
    pub(crate) body: BodyDecoder,
    /// The client waits for `100 Continue` before it sends the body.
    pub(crate) owes_continue: bool,
    stall: Duration,
    rate_bytes: u64,
    rate_grace: Duration,
    waited: Duration,
    received: u64,
    write_rate: WriteRate,
}

impl BufferedTransport {
    pub(crate) fn new(entry: Arc<RegistryEntry>, limits: &Limits) -> BufferedTransport {
        BufferedTransport {
            input: vec![0; IDLE_BUFFER_BYTES],
            stall: limits.body_stall,
            rate_bytes: limits.min_body_rate,
            rate_grace: limits.body_rate_grace,
            write_rate: WriteRate::new(limits.min_write_rate, limits.write_stall),
            ..BufferedTransport::of_bytes(Some(entry), Vec::new())
        }
    }

    /// For a request that was made by hand, with this body.
    pub(crate) fn by_hand(body: Vec<u8>) -> BufferedTransport {
        let mut buffered = BufferedTransport::of_bytes(None, body);
        let framing = match buffered.end {
            0 => Framing::None,
            length => Framing::Length(length as u64),
        };
        let no_limits = BodyLimits::new(u64::MAX);
        buffered.body.begin(framing, no_limits);
        buffered
    }

    fn of_bytes(entry: Option<Arc<RegistryEntry>>, input: Vec<u8>) -> BufferedTransport {
        BufferedTransport {
            entry,
            start: 0,
            end: input.len(),
            input,
            output: Vec::new(),
            writes: 0,
            has_left: false,
            broken: false,
            read_timeout: None,
            body: BodyDecoder::default(),
            owes_continue: false,
            stall: Duration::MAX,
            rate_bytes: 0,
            rate_grace: Duration::ZERO,
            waited: Duration::ZERO,
            received: 0,
            write_rate: WriteRate::new(0, Duration::MAX),
        }
    }

    /// The bytes that were read and not yet used.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end);
    }

    /// Takes the bytes that were read and not yet used, for the connection's next owner. Usually
    /// there are none. The read buffer itself is freed with the rest, before the next owner
    /// allocates its own.
    pub(crate) fn take_unread(&mut self) -> Vec<u8> {
        let leftover = self.unread().to_vec();
        self.start = self.end;
        leftover
    }

    /// Writes what is due, then waits for more input. Returns 0 at the end of the input, and
    /// `Interrupted` after a signal: only the caller knows how much of its time is left.
    pub(crate) fn fill(&mut self, wait: Duration) -> io::Result<usize> {
        self.flush()?;
        self.make_room();
        self.set_wait(wait)?;
        let count = read(self.entry.as_deref(), &mut self.input[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// Reads what is here, from a connection that is lent; `WouldBlock` if nothing is.
    pub(crate) fn fill_lent(&mut self, entry: &RegistryEntry) -> io::Result<usize> {
        self.make_room();
        let count = entry.read_lent(&mut self.input[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// Writes what the client takes of the output now. True if nothing is left of it.
    pub(crate) fn flush_lent(&mut self, entry: &RegistryEntry) -> bool {
        if self.output.is_empty() || self.broken {
            return !self.broken;
        }
        self.writes += 1;
        // An error comes again when a thread writes the rest.
        let count = entry.write_lent(&self.output).unwrap_or(0);
        self.output.drain(..count);
        self.output.is_empty()
    }

    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.input.len() > IDLE_BUFFER_BYTES {
                self.input = vec![0; IDLE_BUFFER_BYTES];
            }
        } else if self.end == self.input.len() {
            if self.start > 0 {
                self.input.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                // The caller bounds this: a head has its limits, and a body is used up as it comes.
                self.input.resize(self.end * 2, 0);
            }
        }
    }

    /// Sets the longest wait of the next read. Makes a system call only if it differs.
    fn set_wait(&mut self, wait: Duration) -> io::Result<()> {
        // A zero wait would be for ever.
        let wait = Some(wait.max(Duration::from_millis(1)));
        if self.read_timeout != wait {
            if let Some(entry) = &self.entry {
                entry.transport.set_read_timeout(wait)?;
            }
            self.read_timeout = wait;
        }
        Ok(())
    }

    /// Writes all output that is due.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.flush_with(&[])
    }

    /// Adds `data` to the output. Short data is copied; longer data is written at once, behind the
    /// output that is due.
    pub(crate) fn put(&mut self, data: &[u8]) -> io::Result<()> {
        if data.len() >= OUTPUT_BYTES {
            return self.flush_with(data);
        }
        self.output.extend_from_slice(data);
        Ok(())
    }

    /// Writes all output that is due, then `more`: in one write if the system takes it whole.
    pub(crate) fn flush_with(&mut self, more: &[u8]) -> io::Result<()> {
        if self.output.is_empty() && more.is_empty() {
            return Ok(());
        }
        self.writes += 1;
        let result = match &self.entry {
            _ if self.broken => Err(io::ErrorKind::BrokenPipe.into()),
            Some(entry) => write_both(entry, &self.output, more, &mut self.write_rate),
            None => Ok(()),
        };
        if let (Err(_), Some(entry)) = (&result, &self.entry) {
            self.broken = true;
            // What was sent must not pass for the whole answer.
            entry.transport.abandon();
        }
        if self.output.capacity() > 4 * OUTPUT_BYTES {
            self.output = Vec::new();
        }
        self.output.clear();
        result
    }

    /// Begins the body of a request. It may be refused at once, for its announced length.
    pub(crate) fn begin_body(
        &mut self,
        head: &Head,
        limits: BodyLimits,
    ) -> Result<(), RequestError> {
        self.body.begin(head.framing, limits);
        self.owes_continue = head.expects_continue;
        self.waited = Duration::ZERO;
        self.received = 0;
        self.body.check()
    }

    /// Reads data of the body. Returns 0 at its end.
    pub(crate) fn read_body(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            match self.body.step(&self.input[self.start..self.end])? {
                Step::Data(count) => {
                    let count = (&self.input[self.start..][..count]).read(buf)?;
                    self.body.take_data(count);
                    self.consume(count);
                    return Ok(count);
                }
                Step::Skip(count) => self.consume(count),
                Step::End => return Ok(0),
                Step::More => {
                    if let Some(count) = self.read_more_body(buf)? {
                        return Ok(count);
                    }
                }
            }
        }
    }

    /// Waits for more of the body. Reads into `buf` where that saves a copy, otherwise into the
    /// read buffer (and returns `None`).
    fn read_more_body(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        if std::mem::take(&mut self.owes_continue) {
            self.output
                .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        // If we cannot write to the client, it will get no answer either.
        if let Err(error) = self.flush() {
            self.body.fail(RequestError::BodyTruncated);
            return Err(error);
        }
        let due = usize::try_from(self.body.due()).unwrap_or(usize::MAX);
        let direct = due.min(buf.len());
        // Most bodies arrive soon, within the timeout that the wait for the head has set. Only a
        // longer wait sets its own.
        let mut wait = self.stall.min(self.read_timeout.unwrap_or(self.stall));
        let mut waits = BodyWaits::begin();
        let result = loop {
            let result = if direct >= IDLE_BUFFER_BYTES {
                self.set_wait(wait)?;
                read(self.entry.as_deref(), &mut buf[..direct])
            } else {
                self.fill(wait)
            };
            match result {
                Err(error) if is_interrupted(&error) => {
                    waits.interrupted(wait);
                }
                Err(error) if is_timeout(&error) => {}
                result => break result,
            }
            wait = waits.next(self.stall);
            if wait.is_zero() {
                break Err(io::ErrorKind::TimedOut.into());
            }
        };
        self.waited += waits.begun.elapsed();
        let count = match result {
            Ok(0) => return Err(self.fail_body(RequestError::BodyTruncated)),
            Ok(count) => count,
            Err(error) if is_timeout(&error) => {
                return Err(self.fail_body(RequestError::BodyTooSlow));
            }
            Err(error) => {
                self.body.fail(RequestError::BodyTruncated);
                return Err(error);
            }
        };
        self.received += count as u64;
        if self.waited > self.rate_grace && is_below(self.rate_bytes, self.received, self.waited) {
            return Err(self.fail_body(RequestError::BodyTooSlow));
        }
        if direct >= IDLE_BUFFER_BYTES {
            self.body.take_data(count);
            return Ok(Some(count));
        }
        Ok(None)
    }

    /// Discards the part of the body that is already here, without waiting for more. Returns
    /// whether that was all of it.
    pub(crate) fn skim_body(&mut self) -> bool {
        self.drain_body(u64::MAX, Duration::ZERO)
    }

    /// Whether a write failed.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    fn fail_body(&mut self, error: RequestError) -> io::Error {
        self.body.fail(error);
        error.into()
    }

    /// Reads and discards the rest of the body: at most `bytes`, for at most `time`. Returns
    /// whether all of it is gone.
    pub(crate) fn drain_body(&mut self, bytes: u64, time: Duration) -> bool {
        if self.body.is_over() {
            return true;
        }
        let deadline = after(time);
        let mut left = bytes;
        loop {
            match self.body.step(&self.input[self.start..self.end]) {
                Ok(Step::End) => return true,
                Err(_) => return false,
                Ok(Step::Skip(count)) => self.consume(count),
                Ok(Step::Data(count)) => {
                    self.body.take_data(count);
                    self.consume(count);
                    let Some(rest) = left.checked_sub(count as u64) else {
                        return false;
                    };
                    left = rest;
                }
                Ok(Step::More) => {
                    let wait = deadline.saturating_duration_since(Instant::now());
                    if wait.is_zero() {
                        return false;
                    }
                    match self.fill(wait) {
                        Ok(1..) => {}
                        Err(error) if is_interrupted(&error) => {}
                        Ok(0) | Err(_) => return false,
                    }
                }
            }
        }
    }

    /// Frees memory that only a long answer or a long trailer section needed.
    pub(crate) fn shrink(&mut self) {
        if self.output.is_empty() && self.output.capacity() > IDLE_BUFFER_BYTES {
            self.output = Vec::new();
        }
        self.body.shrink(IDLE_BUFFER_BYTES);
    }
}

fn read(entry: Option<&RegistryEntry>, buf: &mut [u8]) -> io::Result<usize> {
    entry.map_or(Ok(0), |entry| entry.read(buf))
}

/// The wait for more of a body.
#[derive(Debug)]
struct BodyWaits {
    begun: Instant,
    /// When the read under way began.
    asked: Instant,
}

impl BodyWaits {
    fn begin() -> BodyWaits {
        let now = Instant::now();
        BodyWaits {
            begun: now,
            asked: now,
        }
    }

    /// How long the next read may wait, of `most` in all; zero if that is over.
    fn next(&mut self, most: Duration) -> Duration {
        self.asked = Instant::now();
        most.saturating_sub(self.asked - self.begun).min(BODY_LOOK)
    }

    /// A signal has ended a read that might wait for `wait`. What the client did while the process
    /// was stopped is still to be seen.
    fn interrupted(&mut self, wait: Duration) {
        // The first read may wait longer than the others. A client gains that time once a body.
        if was_stopped(self.asked, wait.min(BODY_LOOK)) {
            *self = BodyWaits::begin();
        }
    }
}

/// Whether a signal ended a call before its time.
pub(crate) fn is_interrupted(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}

#[cfg(test)]
mod tests;
