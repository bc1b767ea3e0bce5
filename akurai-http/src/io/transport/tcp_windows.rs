//! A TCP socket on Windows, where the system lacks two things that we need.
//!
//! - No thread can wake another one that waits in a read: `shutdown` does so elsewhere. So a read
//!   waits in slices, and looks between them whether the input has been ended.
//! - When a write's wait runs out, nobody knows how many of its bytes went out. So the system never
//!   waits in a write: this module does.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::io::lock::lock;

/// Longest wait of a read without a look whether the input has been ended.
const SLICE: Duration = Duration::from_millis(250);

/// Most bytes of one write. The system takes all bytes of a write if it has room for one, and a
/// slow client is known by how much it takes.
const WRITE_BYTES: usize = 64 * 1024;

/// First and longest pause before a write is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(16));

#[derive(Debug)]
pub(crate) struct TcpSocket {
    socket: TcpStream,
    /// Our side has ended the input. Then a read returns what is here, or 0.
    is_ended: AtomicBool,
    /// Of how many slices the wait of a read consists. The most, for a wait without end, are 34
    /// years.
    slices: AtomicU32,
    waits: Mutex<Waits>,
}

#[derive(Debug)]
struct Waits {
    /// Neither reads nor writes wait.
    is_nonblocking: bool,
    /// How long a write waits; `None` for a wait without end.
    write: Option<Duration>,
}

impl TcpSocket {
    pub(super) fn new(socket: TcpStream) -> TcpSocket {
        let waits = Waits {
            is_nonblocking: false,
            write: None,
        };
        let socket = TcpSocket {
            socket,
            is_ended: AtomicBool::new(false),
            slices: AtomicU32::new(u32::MAX),
            waits: Mutex::new(waits),
        };
        let _ = socket.set_read_timeout(None); // It fails if the socket is of no use.
        socket
    }

    pub(super) fn set_read_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        let slices = |wait: Duration| wait.as_millis().div_ceil(SLICE.as_millis()).max(1);
        let slices = wait.map_or(u32::MAX, |wait| {
            u32::try_from(slices(wait)).unwrap_or(u32::MAX)
        });
        self.slices.store(slices, Ordering::Relaxed);
        let slice = wait.map_or(SLICE, |wait| wait / slices);
        self.socket.set_read_timeout(Some(slice))
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

impl Read for &TcpSocket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut left = self.slices.load(Ordering::Relaxed);
        loop {
            let asked = Instant::now();
            // When a wait for bytes runs out, the system may lose them. It only looks here.
            let error = match self.socket.peek(&mut [0]) {
                Ok(_) => return (&self.socket).read(buf),
                Err(error) => error,
            };
            if self.is_ended.load(Ordering::SeqCst) {
                return Ok(0);
            }
            if error.kind() == io::ErrorKind::WouldBlock && !lock(&self.waits).is_nonblocking {
                // A write was just being tried.
                thread::sleep(PAUSES.0);
                continue;
            }
            left -= 1;
            // A connection that the system has given up says `TimedOut` too, and at once.
            let is_slice = error.kind() == io::ErrorKind::TimedOut && asked.elapsed() > SLICE / 4;
            if !is_slice || left == 0 {
                return Err(error);
            }
        }
    }
}

impl Write for &TcpSocket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let buf = &buf[..buf.len().min(WRITE_BYTES)];
        self.write_within(|socket| socket.write(buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let len: usize = bufs.iter().map(|buf| buf.len()).sum();
        match bufs.iter().find(|buf| !buf.is_empty()) {
            Some(first) if len > WRITE_BYTES => self.write(first),
            _ => self.write_within(|socket| socket.write_vectored(bufs)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
