//! A TCP socket on Windows, where no thread can wake another one that waits in a read: `shutdown`
//! does so elsewhere.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest wait without a look whether the input has been ended.
const SLICE: Duration = Duration::from_millis(250);

/// Most bytes of one write. A write that waits takes all of its bytes there, and never a part: so
/// this many must go out in the time that a write may wait.
const WRITE_BYTES: usize = 64 * 1024;

/// A socket whose reads wait in slices.
#[derive(Debug)]
pub(crate) struct TcpSocket {
    socket: TcpStream,
    /// Our side has ended the input. Then a read returns what is here, or 0.
    is_ended: AtomicBool,
    /// Of how many slices one wait consists. The most, for a wait without end, are 34 years.
    slices: AtomicU32,
}

impl TcpSocket {
    pub(super) fn new(socket: TcpStream) -> TcpSocket {
        let socket = TcpSocket {
            socket,
            is_ended: AtomicBool::new(false),
            slices: AtomicU32::new(u32::MAX),
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

    pub(super) fn set_write_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        self.socket.set_write_timeout(wait)
    }

    pub(super) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
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
        (&self.socket).write(&buf[..buf.len().min(WRITE_BYTES)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let len: usize = bufs.iter().map(|buf| buf.len()).sum();
        match bufs.iter().find(|buf| !buf.is_empty()) {
            Some(first) if len > WRITE_BYTES => self.write(first),
            _ => (&self.socket).write_vectored(bufs),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
