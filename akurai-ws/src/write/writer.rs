//! Writes whole frames to the socket, in time or not at all.

use std::fmt::Debug;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use akurai_http::Socket;

use super::monitor::now;
use crate::error::Error;
use crate::pause::was_stopped;
use crate::write::queue::Batch;

/// How long the peer may take before the escort waits for it. A peer that reads takes at once what
/// fits into the socket's buffer.
pub(super) const PATIENCE: Duration = Duration::from_millis(5);

/// The write deadline begins again with each MiB that the peer took.
const REARMING_BYTES: usize = 1024 * 1024;

/// Bytes beyond this may not fit into the socket's buffer at once, and a wait of some milliseconds
/// would not change that.
const LONG_BYTES: usize = 64 * 1024;

/// A thread does not go on so much later than it had planned to unless the process was stopped
/// meanwhile (SIGSTOP). What the peer did then is still to be seen, so it is not to blame for that
/// time.
const SHORTEST_STOP: Duration = Duration::from_secs(5);

/// Slices of so many bytes together are copied for the call that costs less: a header, and 1 KiB.
const JOINED_BYTES: usize = 1024 + 10;

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
            [slice, rest @ ..] if rest.iter().all(|slice| slice.is_empty()) => self.write(slice),
            _ if slices.iter().map(|slice| slice.len()).sum::<usize>() <= JOINED_BYTES => {
                write_joined(self, slices)
            }
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

// Saves 0.2 µs of the 3.5 that `writev` takes for a header and a short payload over loopback. Not
// inlined, so that the array is in no other frame.
#[inline(never)]
fn write_joined(socket: &mut Socket, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut joined = [0; JOINED_BYTES];
    let mut len = 0;
    for slice in slices {
        joined[len..len + slice.len()].copy_from_slice(slice);
        len += slice.len();
    }
    socket.write(&joined[..len])
}

/// The socket, held by the thread that has the turn.
#[derive(Debug)]
pub(crate) struct Writer<O = Socket> {
    pub(super) socket: O,
    /// The socket's own timeout, so that it is set only when it changes.
    timeout: Duration,
    /// How many bytes the socket took in all.
    pub(super) written_bytes: u64,
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
            timeout: deadline,
            written_bytes: 0,
        })
    }

    /// Writes a whole batch, and `own`, a header and a payload, in one write with its end. The peer
    /// may take until `deadline` for each piece, and for each MiB of a longer one. After an error
    /// it is unknown how many bytes arrived, and nothing more may be written.
    ///
    /// With `begun`, writes as much as the peer takes until [`PATIENCE`] is over, and once more. Of
    /// a long piece, writes only what there is room for now. Returns the time since which the peer
    /// has not taken the rest.
    pub(super) fn write(
        &mut self,
        batch: &mut Batch,
        own: &mut [&[u8]; 2],
        deadline: Duration,
        begun: Option<Instant>,
    ) -> Result<Option<Instant>, Error> {
        // For a post always the same, so that the socket's timeout need not be set for each frame.
        let most = begun.map_or(deadline, |_| PATIENCE);
        let (mut wait, mut time) = (most, None);
        loop {
            let [head, payload] = match batch.is_at_last() {
                true => *own,
                false => [&[][..]; 2],
            };
            let mut slices = [batch.unwritten(), head, payload].map(IoSlice::new);
            let mut rest = &mut slices[..];
            IoSlice::advance_slices(&mut rest, 0); // Those in front that are empty.
            let len = rest.iter().map(|slice| slice.len()).sum();
            if len == 0 {
                return Ok(None);
            }
            let since = now();
            let is_long = len > LONG_BYTES;
            let result = match begun {
                Some(begun) if since - begun >= PATIENCE => return Ok(Some(since)),
                Some(_) if is_long => self.socket.try_write(&rest[0]),
                _ => {
                    self.set_timeout(wait)?;
                    self.socket.write_slices(rest)
                }
            };
            let written = self.note(result)?;
            batch.advance_with(own, written.unwrap_or(0));
            match (begun, written) {
                (_, Some(written)) if written == len => (wait, time) = (most, None),
                (Some(_), Some(_)) if !is_long => {}
                (Some(_), _) => return Ok(Some(since)),
                // The process was stopped meanwhile, so the peer has all of its time again.
                (None, Some(written)) if is_stop(written, now() - since, wait) => {
                    (wait, time) = (most, None);
                }
                // One write lasts no longer than the socket's timeout, but a peer that takes a few
                // bytes at a time makes several writes necessary, and so does each signal.
                (None, Some(written)) => {
                    let time = time.get_or_insert(FrameTime::from(since));
                    wait = time.left(written, deadline)?;
                }
                (None, None) => return Err(Error::WriteDeadline),
            }
        }
    }

    /// Writes as much of `bytes` as there is room for in the socket's buffer. Returns how many.
    pub(super) fn try_write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let result = self.socket.try_write(bytes);
        Ok(self.note(result)?.unwrap_or(0))
    }

    /// The result of one write: how many bytes the peer took, 0 if a signal interrupted it; `None`
    /// if it took none in time.
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

    pub(super) fn set_timeout(&mut self, wait: Duration) -> io::Result<()> {
        if self.timeout != wait {
            self.socket.set_write_timeout(wait)?;
            self.timeout = wait;
        }
        Ok(())
    }
}

/// Whether the process was stopped in a write that lasted so long, of at most `wait`.
fn is_stop(written: usize, lasted: Duration, wait: Duration) -> bool {
    match written {
        0 => was_stopped(lasted, wait),
        // Under a session a write may last for two waits.
        _ => lasted > wait.saturating_mul(2).saturating_add(SHORTEST_STOP),
    }
}

impl FrameTime {
    pub(super) fn from(since: Instant) -> Self {
        Self {
            since,
            progress_bytes: 0,
        }
    }

    /// Begins again if a thread goes on at `now` long after it had planned to.
    pub(super) fn excuse(&mut self, planned: Instant, now: Instant) {
        if now > planned + SHORTEST_STOP {
            *self = Self::from(now);
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
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::lock::lock;
    use crate::write::model;
    use crate::write::queue::Queue;

    /// Says that it takes so many bytes with each write, and then fails, later with `BrokenPipe`.
    /// It has taken all bytes, as a session does: those that it did not tell of come again.
    #[derive(Debug)]
    struct Peer {
        takes: Vec<usize>,
        fails: ErrorKind,
        /// Before it fails, so many writes are interrupted, each after so long.
        interrupts: usize,
        lasts: Duration,
        taken: Vec<u8>,
        untold: usize,
        writes: usize,
        timeouts: Vec<Duration>,
    }

    impl Outlet for Peer {
        fn write_slices(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.writes += 1;
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let untold = &self.taken[self.taken.len() - self.untold..];
            let again = untold.len().min(all.len());
            assert!(all[..again] == untold[..again], "other bytes come again");
            self.taken.extend(&all[again..]);
            self.untold += all.len() - again;
            if self.takes.is_empty() && self.interrupts > 0 {
                self.interrupts -= 1;
                model::pass_time(self.lasts);
                return Err(ErrorKind::Interrupted.into());
            }
            if self.takes.is_empty() {
                return Err(std::mem::replace(&mut self.fails, ErrorKind::BrokenPipe).into());
            }
            let told = all.len().min(self.takes.remove(0));
            self.untold -= told;
            Ok(told)
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
            interrupts: 0,
            lasts: Duration::ZERO,
            taken: Vec::new(),
            untold: 0,
            writes: 0,
            timeouts: Vec::new(),
        };
        Writer::new(peer, DEADLINE).unwrap()
    }

    /// Writes what was queued, a header and a payload.
    fn send(writer: &mut Writer<Peer>, parts: [&[u8]; 3]) -> Result<(), Error> {
        let mut queue = Queue::default();
        queue.push_data(parts[0], b"");
        let (mut batch, mut own) = (queue.take(false), [parts[1], parts[2]]);
        let rest = writer.write(&mut batch, &mut own, DEADLINE, None)?;
        assert!(rest.is_none() && batch.is_written());
        assert_eq!(own, [b""; 2]);
        Ok(())
    }

    /// The result of a write that signals interrupt so many times, each after so long, and that
    /// then fails.
    fn write_interrupted(lasts: Duration, times: usize) -> Result<Option<Instant>, Error> {
        let result = Arc::new(Mutex::new(None));
        model::explore(0, || {
            let told = Arc::clone(&result);
            let body = move || {
                let mut writer = writer(&[], ErrorKind::BrokenPipe);
                (writer.socket.interrupts, writer.socket.lasts) = (times, lasts);
                let mut own = [&b"\x81\x05"[..], b"Hello"];
                let result = writer.write(&mut Batch::default(), &mut own, DEADLINE, None);
                *lock(&told) = Some(result);
            };
            (vec![Box::new(body)], Box::new(|_| ()))
        });
        let result = lock(&result).take();
        result.expect("it was run")
    }

    fn post(writer: &mut Writer<Peer>, own: &mut [&[u8]; 2]) -> Result<Option<Instant>, Error> {
        writer.write(&mut Batch::default(), own, DEADLINE, Some(Instant::now()))
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
            send(&mut writer, parts).unwrap();
            assert_eq!(writer.socket.writes, 1);
            assert_eq!(writer.socket.taken, parts.concat());
            assert_eq!(writer.socket.timeouts, [DEADLINE]);
        }
        let mut writer = writer(&[], ErrorKind::BrokenPipe);
        send(&mut writer, [b""; 3]).unwrap();
        assert_eq!(writer.socket.writes, 0);
    }

    #[test]
    fn partial_writes_are_finished() {
        let mut writer = writer(&[1, 2, 1, 3, 1000], ErrorKind::BrokenPipe);
        send(&mut writer, [b"", b"\x81\x05", b"Hello"]).unwrap();
        assert_eq!(writer.socket.taken, b"\x81\x05Hello");
        assert_eq!(writer.socket.writes, 4);
        assert_eq!(writer.written_bytes, 7);
    }

    #[test]
    fn patience_ends_before_the_deadline() {
        let mut writer = writer(&[2, 1], ErrorKind::WouldBlock);
        let mut own = [&b"hello"[..], b""];
        assert!(post(&mut writer, &mut own).unwrap().is_some());
        assert_eq!(own, [&b"lo"[..], b""]);
        assert_eq!(writer.written_bytes, 3);
        assert_eq!(writer.socket.timeouts, [DEADLINE, PATIENCE]);
        writer.socket.takes = vec![1000];
        let mut batch = Batch::end_of(&Arc::from(&b"hello"[..]), own[0].len());
        let rest = writer.write(&mut batch, &mut [b""; 2], DEADLINE, None);
        assert!(rest.unwrap().is_none());
        assert_eq!(writer.socket.taken, b"hello");
        assert_eq!(writer.socket.timeouts, [DEADLINE, PATIENCE, DEADLINE]);
        // Where it is over already, nothing is tried.
        let (mut batch, mut own) = (Batch::default(), [&b"again"[..], b""]);
        let begun = Some(Instant::now() - PATIENCE);
        let rest = writer.write(&mut batch, &mut own, DEADLINE, begun);
        assert!(rest.unwrap().is_some());
        assert_eq!(own, [&b"again"[..], b""]);
    }

    #[test]
    fn what_is_long_is_written_without_a_wait() {
        let long = [7; LONG_BYTES + 1001];
        let mut own = [&long[..], b""];
        let mut writer = writer(&[1000], ErrorKind::WouldBlock);
        for _ in 0..2 {
            assert!(post(&mut writer, &mut own).unwrap().is_some());
            assert_eq!(own[0].len(), LONG_BYTES + 1);
        }
        assert_eq!(writer.socket.timeouts, [DEADLINE]);
        writer.socket.fails = ErrorKind::BrokenPipe;
        assert!(post(&mut writer, &mut own).is_err());
    }

    #[test]
    fn a_batch_is_written_piece_by_piece_and_a_frame_with_its_end() {
        let mut queue = Queue::default();
        queue.push_data(b"one ", b"two ");
        queue.push_shared(&Arc::from(vec![7; 20_000]));
        queue.push_data(b"three ", b"");
        let mut batch = queue.take(false);
        let mut writer = writer(&[3, 5, 20_000, usize::MAX], ErrorKind::BrokenPipe);
        let rest = writer.write(&mut batch, &mut [b"fo", b"ur"], DEADLINE, None);
        assert!(rest.unwrap().is_none());
        let all = [&b"one two "[..], &[7; 20_000], b"three four"].concat();
        assert_eq!(writer.socket.taken, all);
        assert_eq!(writer.socket.writes, 4);
    }

    #[test]
    fn what_is_left_of_the_deadline_bounds_the_next_write() {
        let mut dribbler = writer(&[1, 1, 1000], ErrorKind::BrokenPipe);
        send(&mut dribbler, [b"", b"\x81\x05", b"Hello"]).unwrap();
        let timeouts = &dribbler.socket.timeouts;
        assert!(timeouts.is_sorted_by(|a, b| a > b), "{timeouts:?}");
        // The next frame has all of it again, and with each MiB the same.
        dribbler.socket.takes = vec![1000];
        send(&mut dribbler, [b"", b"\x81\x00", b""]).unwrap();
        assert_eq!(dribbler.socket.timeouts.last(), Some(&DEADLINE));

        let mut hasty = writer(&[1, 1], ErrorKind::BrokenPipe);
        let mut own = [&b"\x81\x05"[..], b"Hello"];
        let no_time = Duration::from_nanos(1);
        let result = hasty.write(&mut Batch::default(), &mut own, no_time, None);
        assert!(matches!(result, Err(Error::WriteDeadline)));
        assert_eq!(hasty.socket.writes, 1);
    }

    #[test]
    fn the_time_in_which_the_process_was_stopped_is_not_the_peers() {
        for (lasts, is_excused) in [(DEADLINE * 2, true), (DEADLINE, false)] {
            let result = write_interrupted(lasts, 3);
            let end = match is_excused {
                true => matches!(result, Err(Error::Io(_))),
                false => matches!(result, Err(Error::WriteDeadline)),
            };
            assert!(end, "{lasts:?}: {result:?}");
        }
        let now = Instant::now();
        let (late, in_time) = (now + DEADLINE, now + SHORTEST_STOP);
        for (at, is_excused) in [(late, true), (in_time, false)] {
            let mut time = FrameTime::from(now);
            time.excuse(now, at);
            assert_eq!(time.since > now, is_excused);
        }
    }

    #[test]
    fn signals_take_nothing_from_the_deadline() {
        // 40 of them are 20 s.
        let lasts = Duration::from_millis(500);
        let result = write_interrupted(lasts, 39);
        assert!(matches!(result, Err(Error::Io(error)) if error.kind() == ErrorKind::BrokenPipe));
        let result = write_interrupted(lasts, 41);
        assert!(matches!(result, Err(Error::WriteDeadline)));
    }

    #[test]
    fn a_timeout_is_the_write_deadline() {
        for timeout in [ErrorKind::WouldBlock, ErrorKind::TimedOut] {
            let result = send(&mut writer(&[3], timeout), [b"", b"\x81\x05", b"Hello"]);
            assert!(matches!(result, Err(Error::WriteDeadline)));
        }
        let result = send(
            &mut writer(&[3, 0], ErrorKind::Other),
            [b"", b"\x81\x05", b"Hello"],
        );
        assert!(matches!(result, Err(Error::Io(error)) if error.kind() == ErrorKind::WriteZero));
        let result = send(
            &mut writer(&[3], ErrorKind::BrokenPipe),
            [b"", b"\x81\x05", b"Hello"],
        );
        assert!(matches!(result, Err(Error::Io(error)) if error.kind() == ErrorKind::BrokenPipe));
    }
}
