//! A TCP socket on Windows, where the system lacks two things that we need.
//!
//! - No thread can wake another one that waits in a read: `shutdown` does so elsewhere. So a read
//!   waits in slices, and looks between them whether the input has been ended.
//! - When a write's wait runs out, nobody knows how many of its bytes went out. So the system never
//!   waits in a write: this module does.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::io::lock::lock;

/// Longest wait of a read without a look whether the input has been ended. Some systems wait for
/// twice as long.
const SLICE: Duration = Duration::from_millis(250);

/// Most bytes that the system gets at once. It takes all of them if it has room for one, and a slow
/// client is known by how much is taken.
const PIECE_BYTES: usize = 64 * 1024;

/// First and longest pause before a write is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(16));

#[derive(Debug)]
pub(crate) struct TcpSocket {
    socket: TcpStream,
    /// Our side has ended the input. Then a read returns what is here, or 0.
    is_ended: AtomicBool,
    waits: Mutex<Waits>,
}

#[derive(Debug)]
struct Waits {
    /// Neither reads nor writes wait.
    is_nonblocking: bool,
    /// How long a read waits, and a write; `None` for a wait without end.
    read: Option<Duration>,
    write: Option<Duration>,
}

impl TcpSocket {
    pub(super) fn new(socket: TcpStream) -> TcpSocket {
        let waits = Waits {
            is_nonblocking: false,
            read: None,
            write: None,
        };
        let socket = TcpSocket {
            socket,
            is_ended: AtomicBool::new(false),
            waits: Mutex::new(waits),
        };
        let _ = socket.set_read_timeout(None); // It fails if the socket is of no use.
        socket
    }

    pub(super) fn set_read_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        let slice = wait.map_or(SLICE, |wait| wait.min(SLICE));
        self.socket.set_read_timeout(Some(slice))?;
        lock(&self.waits).read = wait;
        Ok(())
    }

    pub(super) fn set_write_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        if wait == Some(Duration::ZERO) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        lock(&self.waits).write = wait;
        Ok(())
    }

    pub(super) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        let mut waits = lock(&self.waits);
        self.socket.set_nonblocking(nonblocking)?;
        waits.is_nonblocking = nonblocking;
        Ok(())
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Write {
            self.is_ended.store(true, Ordering::SeqCst);
        }
        // The system's end of the input would drop what is here.
        match how {
            Shutdown::Read => Ok(()),
            how => self.socket.shutdown(how),
        }
    }

    pub(super) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.set_nodelay(nodelay)
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    #[cfg(test)]
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Writes, and waits for room as long as a write may wait.
    fn write_within(
        &self,
        write: impl Fn(&mut &TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let (begun, mut pause) = (Instant::now(), PAUSES.0);
        loop {
            let (written, wait) = self.try_write(&write);
            let left = wait.map(|wait| wait.saturating_sub(begun.elapsed()));
            let is_full = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
            match written {
                Err(error) if is_full(&error) && wait != Some(Duration::ZERO) => {}
                written => return written,
            }
            if left == Some(Duration::ZERO) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(left.map_or(pause, |left| left.min(pause)));
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Writes what there is room for. Returns also how long the write may wait: not at all, or
    /// without end (`None`).
    fn try_write(
        &self,
        write: impl Fn(&mut &TcpStream) -> io::Result<usize>,
    ) -> (io::Result<usize>, Option<Duration>) {
        let waits = lock(&self.waits);
        if waits.is_nonblocking {
            return (write(&mut &self.socket), Some(Duration::ZERO));
        }
        // Reads do not wait meanwhile either, and are repeated.
        let written = self.socket.set_nonblocking(true);
        let written = written.and_then(|()| write(&mut &self.socket));
        let written = self.socket.set_nonblocking(false).and(written);
        (written, waits.write)
    }
}

/// Writes as many pieces as there is room for.
fn write_pieces(mut socket: &TcpStream, buf: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    for piece in buf.chunks(PIECE_BYTES) {
        match socket.write(piece) {
            Ok(count) => {
                taken += count;
                if count < piece.len() {
                    break;
                }
            }
            Err(_) if taken > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

impl Read for &TcpSocket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let begun = Instant::now();
        loop {
            let asked = Instant::now();
            // A `recv` whose wait runs out may lose bytes on Windows, so we wait in `peek`.
            let error = match self.socket.peek(&mut [0]) {
                Ok(_) => return (&self.socket).read(buf),
                Err(error) => error,
            };
            if self.is_ended.load(Ordering::SeqCst) {
                return Ok(0);
            }
            let (is_nonblocking, wait) = {
                let waits = lock(&self.waits);
                (waits.is_nonblocking, waits.read)
            };
            if error.kind() == io::ErrorKind::WouldBlock && !is_nonblocking {
                // A write was just being tried.
                thread::sleep(PAUSES.0);
                continue;
            }
            // A wait may end some milliseconds early.
            let is_over = wait.is_some_and(|wait| begun.elapsed() + PAUSES.1 >= wait);
            // A connection that the system has given up says `TimedOut` too, and at once.
            let is_slice = error.kind() == io::ErrorKind::TimedOut && asked.elapsed() > SLICE / 4;
            if is_over || !is_slice {
                return Err(error);
            }
        }
    }
}

impl Write for &TcpSocket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_within(|socket| write_pieces(socket, buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let len: usize = bufs.iter().map(|buf| buf.len()).sum();
        match bufs.iter().find(|buf| !buf.is_empty()) {
            Some(first) if len > PIECE_BYTES => self.write(first),
            _ => self.write_within(|socket| socket.write_vectored(bufs)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (TcpSocket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let client = TcpStream::connect(listener.local_addr().unwrap()).expect("it listens");
        let (ours, _) = listener.accept().expect("it has connected");
        (TcpSocket::new(ours), client)
    }

    #[test]
    fn an_end_of_the_input_wakes_a_read_that_waits() {
        let (ours, mut client) = pair();
        thread::scope(|scope| {
            let reading = scope.spawn(|| (&ours).read(&mut [0; 9]));
            ours.shutdown(Shutdown::Read).unwrap();
            assert_eq!(reading.join().unwrap().unwrap(), 0);
        });
        // What is here can still be read.
        client.write_all(b"late").unwrap();
        ours.socket.peek(&mut [0]).expect("it has come");
        assert_eq!((&ours).read(&mut [0; 9]).unwrap(), 4);
        assert_eq!((&ours).read(&mut [0; 9]).unwrap(), 0);
    }

    #[test]
    fn it_is_known_what_a_write_took_that_ran_out_of_time() {
        let (ours, client) = pair();
        let wait = Duration::from_millis(20);
        ours.set_write_timeout(Some(wait)).unwrap();
        let mut taken = 0;
        let error = loop {
            match (&ours).write(&[b'x'; 20 * PIECE_BYTES]) {
                Ok(count) => taken += count,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        ours.shutdown(Shutdown::Write).unwrap();
        let all = io::copy(&mut &client, &mut io::sink()).unwrap();
        assert_eq!(all, taken as u64);
    }

    #[test]
    fn a_wait_is_as_long_as_it_was_set() {
        let (ours, _client) = pair();
        for millis in [1, 100, 600] {
            let wait = Duration::from_millis(millis);
            ours.set_read_timeout(Some(wait)).unwrap();
            let begun = Instant::now();
            let error = (&ours).read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(begun.elapsed() + PAUSES.1 >= wait, "{wait:?}");
        }
        ours.set_nonblocking(true).unwrap();
        let error = (&ours).read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
