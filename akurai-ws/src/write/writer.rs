//! Writes whole frames to the socket, in time or not at all.

use std::fmt::Debug;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use akurai_http::Socket;

use super::monitor::now;
use crate::error::Error;
use crate::write::queue::Batch;

/// How long the peer may take before the escort waits for it. A peer that reads takes at once what
/// fits into the socket's buffer.
pub(super) const PATIENCE: Duration = Duration::from_millis(5);

/// The write deadline begins again with each MiB that the peer took.
const REARMING_BYTES: usize = 1024 * 1024;

/// Bytes beyond this may not fit into the socket's buffer at once, and a wait of some milliseconds
/// would not change that.
const LONG_BYTES: usize = 64 * 1024;

/// The socket as a [`Writer`] needs it.
pub(crate) trait Outlet: Debug + Send + Sized + 'static {
    fn write_slices(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Writes one slice, without waiting.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Longest wait of one write.
    fn set_write_timeout(&mut self, wait: Duration) -> io::Result<()>;
    fn shutdown(&self, how: Shutdown);
}

impl Outlet for Socket {
    fn write_slices(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            // A call that costs less.
            [slice] => self.write(slice),
            _ => self.write_vectored(slices),
        }
    }

    // The reader's handle is the same socket. A read that begins in between finds nothing, and its
    // thread looks at the clock and reads again.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.set_nonblocking(true)?;
        let result = self.write(bytes);
        self.set_nonblocking(false)?;
        result
    }

    fn set_write_timeout(&mut self, wait: Duration) -> io::Result<()> {
        Socket::set_write_timeout(self, Some(wait))
    }

    fn shutdown(&self, how: Shutdown) {
        let _ = Socket::shutdown(self, how);
    }
}

/// The socket, held by the thread that has the turn.
#[derive(Debug)]
pub(crate) struct Writer<O = Socket> {
    pub(super) socket: O,
    /// How long the peer may take for a whole frame, and for each MiB of a longer one.
    pub(super) deadline: Duration,
    /// The socket's own timeout, so that it is set only when it changes.
    timeout: Duration,
    /// How many bytes the socket took in all.
    pub(super) written_bytes: u64,
    /// How many bytes it had taken before the last ping that asks whether the peer is alive.
    pub(super) asked_behind_bytes: u64,
}

/// When the peer began to take a frame, or the last MiB of it.
#[derive(Debug)]
pub(super) struct FrameTime {
    pub(super) since: Instant,
    progress_bytes: usize,
}

impl<O: Outlet> Writer<O> {
    pub(crate) fn new(mut socket: O, deadline: Duration) -> io::Result<Self> {
        socket.set_write_timeout(deadline)?;
        Ok(Self {
            socket,
            deadline,
            timeout: deadline,
            written_bytes: 0,
            asked_behind_bytes: 0,
        })
    }

    /// Writes a whole batch, and `own`, a header and a payload, in one write with its end.
    pub(super) fn write_batch(&mut self, batch: &mut Batch, own: [&[u8]; 2]) -> Result<(), Error> {
        while !batch.is_at_last() {
            let piece = batch.unwritten();
            let len = piece.len();
            self.write([piece, b"", b""])?;
            batch.advance(len);
        }
        self.write([batch.unwritten(), own[0], own[1]])
    }

    /// Writes all of `parts`, in one write if the peer takes it, and without a copy. After an error
    /// it is unknown how many bytes arrived, and nothing more may be written.
    fn write(&mut self, parts: [&[u8]; 3]) -> Result<(), Error> {
        let mut slices = parts.map(IoSlice::new);
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, 0); // Those in front that are empty.
        let mut time = FrameTime::from(now());
        let mut wait = self.deadline;
        while !rest.is_empty() {
            self.set_timeout(wait)?;
            let result = self.socket.write_slices(rest);
            let written = self.note(result)?.ok_or(Error::WriteDeadline)?;
            IoSlice::advance_slices(&mut rest, written);
            if !rest.is_empty() {
                // One write lasts no longer than the socket's timeout, but a peer that takes a few
                // bytes at a time makes several writes necessary.
                wait = time.left(written, self.deadline)?;
            }
        }
        Ok(())
    }

    /// Writes as much of a batch as the peer takes until [`PATIENCE`] is over, and once more. Of a
    /// long piece, writes only what there is room for now. Returns the time since which the peer
    /// has not taken the rest.
    pub(super) fn write_soon(
        &mut self,
        batch: &mut Batch,
        begun: Instant,
    ) -> Result<Option<Instant>, Error> {
        while !batch.is_written() {
            let since = now();
            if since - begun >= PATIENCE {
                return Ok(Some(since));
            }
            let bytes = batch.unwritten();
            let (len, is_long) = (bytes.len(), bytes.len() > LONG_BYTES);
            let result = if is_long {
                self.socket.try_write(bytes)
            } else {
                // Always the same wait, so that the socket's timeout need not be set for each
                // frame.
                self.set_timeout(PATIENCE)?;
                self.socket.write_slices(&[IoSlice::new(bytes)])
            };
            let written = self.note(result)?;
            batch.advance(written.unwrap_or(0));
            if written.is_none() || is_long && written != Some(len) {
                return Ok(Some(since));
            }
        }
        Ok(None)
    }

    /// Writes as much of `bytes` as there is room for in the socket's buffer. Returns how many.
    pub(super) fn try_write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let result = self.socket.try_write(bytes);
        Ok(self.note(result)?.unwrap_or(0))
    }

    /// The result of one write: how many bytes the peer took; `None` if it took none in time.
    fn note(&mut self, result: io::Result<usize>) -> Result<Option<usize>, Error> {
        let error = match result {
            Ok(0) => ErrorKind::WriteZero.into(),
            Ok(written) => {
                self.written_bytes += written as u64;
                return Ok(Some(written));
            }
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::Interrupted => Ok(Some(0)),
            // Linux says the former, others the latter.
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(None),
            _ => Err(error.into()),
        }
    }

    fn set_timeout(&mut self, wait: Duration) -> io::Result<()> {
        if self.timeout != wait {
            self.socket.set_write_timeout(wait)?;
            self.timeout = wait;
        }
        Ok(())
    }
}

impl FrameTime {
    pub(super) fn from(since: Instant) -> Self {
        Self {
            since,
            progress_bytes: 0,
        }
    }

    /// The rest of `deadline` after the peer has taken `written` bytes more.
    pub(super) fn left(&mut self, written: usize, deadline: Duration) -> Result<Duration, Error> {
        let now = now();
        self.progress_bytes += written;
        if self.progress_bytes >= REARMING_BYTES {
            *self = Self::from(now);
        }
        match deadline.saturating_sub(now - self.since) {
            Duration::ZERO => Err(Error::WriteDeadline),
            left => Ok(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::write::queue::Queue;

    /// Takes so many bytes with each write, and then fails.
    #[derive(Debug)]
    struct Peer {
        takes: Vec<usize>,
        fails: ErrorKind,
        taken: Vec<u8>,
        writes: usize,
        timeouts: Vec<Duration>,
    }

    impl Outlet for Peer {
        fn write_slices(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.writes += 1;
            if self.takes.is_empty() {
                return Err(self.fails.into());
            }
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let taken = all.len().min(self.takes.remove(0));
            self.taken.extend(&all[..taken]);
            Ok(taken)
        }

        fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_slices(&[IoSlice::new(bytes)])
        }

        fn set_write_timeout(&mut self, wait: Duration) -> io::Result<()> {
            self.timeouts.push(wait);
            Ok(())
        }

        fn shutdown(&self, _: Shutdown) {}
    }

    const DEADLINE: Duration = Duration::from_secs(20);

    fn writer(takes: &[usize], fails: ErrorKind) -> Writer<Peer> {
        let peer = Peer {
            takes: takes.to_vec(),
            fails,
            taken: Vec::new(),
            writes: 0,
            timeouts: Vec::new(),
        };
        Writer::new(peer, DEADLINE).unwrap()
    }

    #[test]
    fn one_write_for_all_parts() {
        for parts in [
            [&b""[..], b"\x81\x05", b"Hello"],
            [b"", b"\x81\x00", b""],
            [b"queued", b"", b""],
            [b"queued", b"\x81\x05", b"Hello"],
        ] {
            let mut writer = writer(&[usize::MAX], ErrorKind::BrokenPipe);
            writer.write(parts).unwrap();
            assert_eq!(writer.socket.writes, 1);
            assert_eq!(writer.socket.taken, parts.concat());
            assert_eq!(writer.socket.timeouts, [DEADLINE]);
        }
        writer(&[], ErrorKind::BrokenPipe).write([b""; 3]).unwrap();
    }

    #[test]
    fn partial_writes_are_finished() {
        let mut writer = writer(&[1, 2, 1, 3, 1000], ErrorKind::BrokenPipe);
        writer.write([b"", b"\x81\x05", b"Hello"]).unwrap();
        assert_eq!(writer.socket.taken, b"\x81\x05Hello");
        assert_eq!(writer.socket.writes, 4);
        assert_eq!(writer.written_bytes, 7);
    }

    #[test]
    fn patience_ends_before_the_deadline() {
        let mut writer = writer(&[2, 1], ErrorKind::WouldBlock);
        let mut batch = Batch::of_shared(&Arc::from(&b"hello"[..]));
        let rest = writer.write_soon(&mut batch, Instant::now()).unwrap();
        assert!(rest.is_some());
        assert_eq!(batch.unwritten(), b"lo");
        assert_eq!(writer.written_bytes, 3);
        assert_eq!(writer.socket.timeouts, [DEADLINE, PATIENCE]);
        writer.socket.takes = vec![1000];
        writer.write_batch(&mut batch, [b""; 2]).unwrap();
        assert_eq!(writer.socket.taken, b"hello");
        assert_eq!(writer.socket.timeouts, [DEADLINE, PATIENCE, DEADLINE]);
        // Where it is over already, nothing is tried.
        let mut batch = Batch::of_shared(&Arc::from(&b"again"[..]));
        let begun = Instant::now() - PATIENCE;
        assert!(writer.write_soon(&mut batch, begun).unwrap().is_some());
        assert_eq!(batch.unwritten(), b"again");
    }

    #[test]
    fn what_is_long_is_written_without_a_wait() {
        let long = Arc::from(vec![7; LONG_BYTES + 1001]);
        let mut batch = Batch::of_shared(&long);
        let mut writer = writer(&[1000], ErrorKind::WouldBlock);
        for _ in 0..2 {
            let rest = writer.write_soon(&mut batch, Instant::now()).unwrap();
            assert!(rest.is_some());
            assert_eq!(batch.unwritten().len(), LONG_BYTES + 1);
        }
        assert_eq!(writer.socket.timeouts, [DEADLINE]);
        writer.socket.fails = ErrorKind::BrokenPipe;
        assert!(writer.write_soon(&mut batch, Instant::now()).is_err());
    }

    #[test]
    fn a_batch_is_written_piece_by_piece_and_a_frame_with_its_end() {
        let mut queue = Queue::default();
        queue.push_data(b"one ", b"two ");
        queue.push_shared(&Arc::from(vec![7; 20_000]));
        queue.push_data(b"three ", b"");
        let mut batch = queue.take(false);
        let mut writer = writer(&[3, 5, 20_000, usize::MAX], ErrorKind::BrokenPipe);
        writer.write_batch(&mut batch, [b"fo", b"ur"]).unwrap();
        let all = [&b"one two "[..], &[7; 20_000], b"three four"].concat();
        assert_eq!(writer.socket.taken, all);
        assert_eq!(writer.socket.writes, 4);
    }

    #[test]
    fn what_is_left_of_the_deadline_bounds_the_next_write() {
        let mut dribbler = writer(&[1, 1, 1000], ErrorKind::BrokenPipe);
        dribbler.write([b"", b"\x81\x05", b"Hello"]).unwrap();
        let timeouts = &dribbler.socket.timeouts;
        assert!(timeouts.is_sorted_by(|a, b| a > b), "{timeouts:?}");
        // The next frame has all of it again, and with each MiB the same.
        dribbler.socket.takes = vec![1000];
        dribbler.write([b"", b"\x81\x00", b""]).unwrap();
        assert_eq!(dribbler.socket.timeouts.last(), Some(&DEADLINE));

        let mut hasty = writer(&[1, 1], ErrorKind::BrokenPipe);
        hasty.deadline = Duration::from_nanos(1);
        assert!(matches!(
            hasty.write([b"", b"\x81\x05", b"Hello"]),
            Err(Error::WriteDeadline)
        ));
        assert_eq!(hasty.socket.writes, 1);
    }

    #[test]
    fn a_timeout_is_the_write_deadline() {
        for timeout in [ErrorKind::WouldBlock, ErrorKind::TimedOut] {
            let result = writer(&[3], timeout).write([b"", b"\x81\x05", b"Hello"]);
            assert!(matches!(result, Err(Error::WriteDeadline)));
        }
        let result = writer(&[3, 0], ErrorKind::Other).write([b"", b"\x81\x05", b"Hello"]);
        assert!(matches!(result, Err(Error::Io(error)) if error.kind() == ErrorKind::WriteZero));
        let result = writer(&[3], ErrorKind::BrokenPipe).write([b"", b"\x81\x05", b"Hello"]);
        assert!(matches!(result, Err(Error::Io(error)) if error.kind() == ErrorKind::BrokenPipe));
    }
}
