//! What a client receives on one connection, and the errors that name what is missing.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::io::clock::after;
use crate::io::transport::{Transport, is_timeout};

/// Longest head or line that a client takes, in bytes.
const MAX_HEAD_BYTES: usize = 1 << 20;

/// Most bytes that one read takes.
const PIECE_BYTES: usize = 16 * 1024;

/// How soon a thread that writes a body sees that nobody reads it.
const LOOK: Duration = Duration::from_millis(20);

/// A connection, the bytes that came and were not used, and what the client waits for.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) transport: Arc<Transport>,
    pub(super) unread: Vec<u8>,
    /// Longest wait of a call.
    pub(super) wait: Duration,
    /// The last request, for errors.
    pub(super) asked: String,
}

impl Input {
    /// The next line, without its CRLF.
    pub(super) fn line(&mut self, deadline: Instant) -> io::Result<Vec<u8>> {
        let end = self.find(b"\r\n", "a line of the body's framing", deadline)?;
        let mut line: Vec<u8> = self.unread.drain(..end + 2).collect();
        line.truncate(end);
        Ok(line)
    }

    /// Where `mark` is in the input. Waits until it has come.
    pub(super) fn find(&mut self, mark: &[u8], what: &str, deadline: Instant) -> io::Result<usize> {
        let mut looked_at = 0;
        loop {
            let new = &self.unread[looked_at..];
            if let Some(at) = new.windows(mark.len()).position(|bytes| bytes == mark) {
                return Ok(looked_at + at);
            }
            looked_at = self.unread.len().saturating_sub(mark.len() - 1);
            if looked_at > MAX_HEAD_BYTES {
                return Err(self.invalid(format_args!("{what} has more than 1 MiB")));
            }
            if !self.fill(what, deadline)? {
                let so_far = String::from_utf8_lossy(&self.unread).into_owned();
                return Err(self.cut_off(format_args!("{what}, after {so_far:?}")));
            }
        }
    }

    /// The next bytes of a body of which `left` bytes are due: at least one, and no more than them.
    pub(super) fn piece(&mut self, left: u64, deadline: Instant) -> io::Result<Vec<u8>> {
        if self.unread.is_empty() && !self.fill("the rest of the body", deadline)? {
            return Err(self.cut_off(format_args!("the last {left} bytes of a body or a chunk")));
        }
        let count = usize::try_from(left).unwrap_or(usize::MAX);
        Ok(self.unread.drain(..count.min(self.unread.len())).collect())
    }

    /// The next bytes, whatever they are; `None` at the connection's end.
    pub(super) fn rest(&mut self, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
        match !self.unread.is_empty() || self.fill("the end of the body", deadline)? {
            true => Ok(Some(std::mem::take(&mut self.unread))),
            false => Ok(None),
        }
    }

    /// Waits for more input. False at the connection's end.
    fn fill(&mut self, what: &str, deadline: Instant) -> io::Result<bool> {
        let mut piece = [0; PIECE_BYTES];
        let count = self.told(match read_some(&self.transport, &mut piece, deadline) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let told = format!("{what} has not come within {:?}", self.wait);
                Err(io::Error::new(error.kind(), told))
            }
            read => read,
        })?;
        self.unread.extend_from_slice(&piece[..count]);
        Ok(count > 0)
    }

    pub(super) fn invalid(&self, told: impl Display) -> io::Error {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: {told}", self.asked),
        )
    }

    fn cut_off(&self, what: impl Display) -> io::Error {
        let told = format!("{}: the connection ended before {what}", self.asked);
        io::Error::new(io::ErrorKind::UnexpectedEof, told)
    }

    /// Adds to an error for which request it came.
    pub(super) fn told<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.asked)))
    }
}

/// The time until the deadline; `TimedOut` if it is over.
fn left_until(deadline: Instant) -> io::Result<Option<Duration>> {
    let left = deadline.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => Ok(Some(left.max(Duration::from_millis(1)))),
    }
}

pub(super) fn read_some(
    transport: &Transport,
    buf: &mut [u8],
    deadline: Instant,
) -> io::Result<usize> {
    loop {
        transport.set_read_timeout(left_until(deadline)?)?;
        match transport.read(buf) {
            Err(error) if is_timeout(&error) || error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

pub(super) fn write_some(
    transport: &Transport,
    bytes: &[u8],
    deadline: Instant,
) -> io::Result<usize> {
    loop {
        transport.set_write_timeout(left_until(deadline)?)?;
        match transport.write(bytes) {
            Err(error) if is_timeout(&error) || error.kind() == io::ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}

pub(super) fn write_all(
    transport: &Transport,
    mut bytes: &[u8],
    deadline: Instant,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match write_some(transport, bytes, deadline)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}

/// Writes a request's body until the deadline, or until nobody reads it any more. If the server
/// takes no more of it, its answer says why.
pub(super) fn write_body(
    transport: &Transport,
    mut bytes: &[u8],
    deadline: Instant,
    is_unread: &AtomicBool,
) {
    while !bytes.is_empty() && !is_unread.load(Ordering::Relaxed) {
        match write_some(transport, bytes, deadline.min(after(LOOK))) {
            Ok(count @ 1..) => bytes = &bytes[count..],
            Err(error) if is_timeout(&error) && Instant::now() < deadline => {}
            Ok(0) | Err(_) => return,
        }
    }
}
