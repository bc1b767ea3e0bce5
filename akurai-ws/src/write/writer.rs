//! The sending side of a connection: whole frames, in time or not at all.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use akurai_http::Socket;

use crate::error::Error;
use crate::write::queue::Batch;

/// The write deadline begins again with each MiB that the peer took.
pub(crate) const REARMING_BYTES: usize = 1024 * 1024;

/// What is longer than this may not fit into the socket's buffer whole, and a wait of some
/// milliseconds would not change that.
const LONG_BYTES: usize = 64 * 1024;

/// What a [`Writer`] needs of a socket.
pub(crate) trait Outlet {
    fn write_slices(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// The same of one slice and without a wait.
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

/// Whoever holds it is the one who writes.
#[derive(Debug)]
pub(crate) struct Writer<O = Socket> {
    socket: O,
    /// How long the peer may take for a whole frame, and for each MiB of a longer one.
    deadline: Duration,
    /// What the socket's own timeout is, so that it is set only when it changes.
    timeout: Duration,
    /// How much the socket took, in all.
    written_bytes: u64,
}

impl<O: Outlet> Writer<O> {
    pub(crate) fn new(mut socket: O, deadline: Duration) -> io::Result<Self> {
        socket.set_write_timeout(deadline)?;
        Ok(Self {
            socket,
            deadline,
            timeout: deadline,
            written_bytes: 0,
        })
    }

    /// Writes all of `parts`, in one write if the peer takes it, and without a copy. After an error, nobody knows how
    /// much of it arrived, and nothing more may be written.
    pub(crate) fn write(&mut self, parts: [&[u8]; 3]) -> Result<(), Error> {
        let mut slices = parts.map(IoSlice::new);
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, 0); // Those in front that are empty.
        let mut since = Instant::now();
        let mut progress_bytes = 0;
        let mut wait = self.deadline;
        while !rest.is_empty() {
            self.set_timeout(wait)?;
            let written = match self.socket.write_slices(rest) {
                Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
                Ok(written) => written,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => 0,
                    // Linux says the former, others the latter.
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                        return Err(Error::WriteDeadline);
                    }
                    _ => return Err(error.into()),
                },
            };
            self.written_bytes += written as u64;
            IoSlice::advance_slices(&mut rest, written);
            if rest.is_empty() {
                break;
            }

            // One write lasts no longer than the socket's timeout, but a peer that dribbles makes it several.
            progress_bytes += written;
            if progress_bytes >= REARMING_BYTES {
                since = Instant::now();
                progress_bytes = 0;
            }
            wait = self.deadline.saturating_sub(since.elapsed());
            if wait.is_zero() {
                return Err(Error::WriteDeadline);
            }
        }
        Ok(())
    }

    /// Writes a whole batch, and `head` and `payload` in one write with its end.
    pub(crate) fn write_batch(
        &mut self,
        batch: &mut Batch,
        head: &[u8],
        payload: &[u8],
    ) -> Result<(), Error> {
        while !batch.front.is_empty() {
            let piece = batch.unwritten();
            let len = piece.len();
            self.write([piece, b"", b""])?;
            batch.advance(len);
        }
        self.write([batch.unwritten(), head, payload])
    }

    /// Writes as much of `bytes` as there is room for in the socket's buffer; how much that was.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let written = match self.socket.try_write(bytes) {
            Ok(0) if !bytes.is_empty() => return Err(io::Error::from(ErrorKind::WriteZero).into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            result => result?,
        };
        self.written_bytes += written as u64;
        Ok(written)
    }

    /// Longest wait for a whole frame, and for each [`REARMING_BYTES`] of a longer one.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Writes as much of `bytes` as the peer takes within `patience`, and of what is long as much
    /// as there is room for just now; how much that was.
    pub(crate) fn write_within(
        &mut self,
        patience: Duration,
        bytes: &[u8],
    ) -> Result<usize, Error> {
        if bytes.len() > LONG_BYTES {
            return self.try_write(bytes);
        }
        let begun = Instant::now();
        let mut written = 0;
        self.set_timeout(patience)?;
        while written < bytes.len() {
            match self.socket.write_slices(&[IoSlice::new(&bytes[written..])]) {
                Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
                Ok(count) => {
                    self.written_bytes += count as u64;
                    written += count;
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => break,
                    _ => return Err(error.into()),
                },
            }
            if begun.elapsed() >= patience {
                break;
            }
        }
        Ok(written)
    }

    pub(crate) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    pub(crate) fn shutdown(&self, how: Shutdown) {
        self.socket.shutdown(how);
    }

    fn set_timeout(&mut self, wait: Duration) -> io::Result<()> {
        if self.timeout != wait {
            self.socket.set_write_timeout(wait)?;
            self.timeout = wait;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::write::queue::Queue;

    /// Takes so many bytes with each write, and then fails.
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
        assert_eq!(writer.written_bytes(), 7);
    }

    #[test]
    fn patience_ends_before_the_deadline() {
        let mut writer = writer(&[2, 1], ErrorKind::WouldBlock);
        let patience = Duration::from_secs(1);
        assert_eq!(writer.write_within(patience, b"hello").unwrap(), 3);
        assert_eq!(writer.written_bytes(), 3);
        assert_eq!(writer.socket.timeouts, [DEADLINE, patience]);
        writer.socket.takes = vec![1000];
        writer.write([b"lo", b"", b""]).unwrap();
        assert_eq!(writer.socket.taken, b"hello");
        assert_eq!(writer.socket.timeouts, [DEADLINE, patience, DEADLINE]);
    }

    #[test]
    fn what_is_long_is_written_without_a_wait() {
        let long = vec![7; LONG_BYTES + 1];
        let mut writer = writer(&[1000], ErrorKind::WouldBlock);
        assert_eq!(writer.write_within(DEADLINE * 2, &long).unwrap(), 1000);
        assert_eq!(writer.write_within(DEADLINE * 2, &long).unwrap(), 0);
        assert_eq!(writer.socket.timeouts, [DEADLINE]);
        writer.socket.fails = ErrorKind::BrokenPipe;
        assert!(writer.write_within(DEADLINE * 2, &long).is_err());
    }

    #[test]
    fn a_batch_is_written_piece_by_piece_and_a_frame_with_its_end() {
        let mut queue = Queue::default();
        queue.push_data(b"one ", b"two ");
        queue.push_shared(&Arc::from(vec![7; 20_000]));
        queue.push_data(b"three ", b"");
        let mut batch = queue.take(false);
        let mut writer = writer(&[3, 5, 20_000, usize::MAX], ErrorKind::BrokenPipe);
        writer.write_batch(&mut batch, b"fo", b"ur").unwrap();
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
