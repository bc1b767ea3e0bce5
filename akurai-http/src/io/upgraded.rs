//! A connection that left HTTP: its socket, and the bytes that were read with the request.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::io::ending::UpgradeEnd;
use crate::io::linger::FIRST_FLIGHT_BYTES;
use crate::io::registry::RegistryEntry;

/// What an upgrade's closure owns: the socket, and the bytes that the client sent behind its
/// request.
///
/// Reads return those bytes first, so bytes that came in the same segment as the request are not
/// lost.
#[derive(Debug)]
pub struct Upgraded {
    leftover: Vec<u8>,
    used: usize,
    /// The request's body was not read to its end: the client may still be sending it.
    is_input_unread: bool,
    socket: Socket,
}

impl Upgraded {
    pub(crate) fn new(leftover: Vec<u8>, is_input_unread: bool, socket: Socket) -> Upgraded {
        Upgraded {
            leftover,
            used: 0,
            is_input_unread,
            socket,
        }
    }

    pub(crate) fn is_input_unread(&self) -> bool {
        self.is_input_unread
    }

    /// The bytes that were read but not used, and the socket.
    pub fn into_parts(mut self) -> (Vec<u8>, Socket) {
        self.leftover.drain(..self.used);
        (self.leftover, self.socket)
    }

    /// The socket, for its waits and its peer. A read from it would skip the bytes that are already
    /// here.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }
}

impl Read for Upgraded {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.used == self.leftover.len() {
            return self.socket.read(buf);
        }
        let count = (&self.leftover[self.used..]).read(buf)?;
        self.used += count;
        if self.used == self.leftover.len() {
            self.leftover = Vec::new();
            self.used = 0;
        }
        Ok(count)
    }
}

impl Write for Upgraded {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.socket.write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A handle to an upgraded connection's socket. Clones are the same socket, so one thread may read
/// while another writes. The connection counts as upgraded
/// ([`Limits::max_upgrades`](crate::Limits::max_upgrades)) until the last clone is dropped.
///
/// TCP_NODELAY is on. A wait that runs out is an error of kind `WouldBlock` on Unix and `TimedOut`
/// on Windows. When the server shuts down, reads return 0, the end of the input, and
/// [`is_stopping`](Socket::is_stopping) is true.
///
/// Under a [`Session`](crate::Session), a write whose wait runs out, or that says it took a part,
/// may have taken all of its bytes. Come again with the same bytes at the front, or cut the
/// connection with [`shutdown`](Socket::shutdown).
#[derive(Clone)]
pub struct Socket {
    entry: Arc<RegistryEntry>,
    /// `None` if nothing is to be done at the end.
    _owned: Option<Arc<Owned>>,
}

/// All handles to an upgraded connection share this, and the last one ends the upgrade. The
/// registry holds connections too, for a moment each: so their own count does not tell the end, and
/// a thread that asks for the server's counts never runs the log's sink.
struct Owned(Arc<RegistryEntry>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.end_upgrade();
    }
}

impl Socket {
    pub(crate) fn new(entry: Arc<RegistryEntry>) -> Socket {
        Socket {
            entry,
            _owned: None,
        }
    }

    /// The socket of a connection that does this when the last clone is dropped.
    pub(crate) fn with_end(entry: Arc<RegistryEntry>, end: UpgradeEnd) -> Socket {
        entry.set_end(end);
        Socket {
            _owned: Some(Arc::new(Owned(Arc::clone(&entry)))),
            entry,
        }
    }

    /// The same socket, as a handle that does not hold back the end of the upgrade: its drop never
    /// runs the access log's sink. The connection's place is taken as long as this handle is there.
    #[doc(hidden)] // `akurai-ws` needs it, for threads that write under locks of the program.
    pub fn without_end(&self) -> Socket {
        Socket::new(Arc::clone(&self.entry))
    }

    /// Says that the program's code has ended. What the protocol still reads and writes, and waits
    /// of its own that ran out, excuse no error of the program: see
    /// [`Upgrade::new`](crate::Upgrade::new).
    #[doc(hidden)] // `akurai-ws` needs it, which closes behind the closure.
    pub fn settle(&self) {
        self.entry.settle();
    }

    /// The connection, to judge an error of the closure by.
    pub(crate) fn entry(&self) -> &Arc<RegistryEntry> {
        &self.entry
    }

    /// Longest wait of one read; `None` waits for ever. An upgrade begins with `None`.
    ///
    /// # Errors
    ///
    /// A wait of zero is refused, as in [`std::net::TcpStream::set_read_timeout`].
    pub fn set_read_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        self.entry.transport.set_read_timeout(wait)
    }

    /// Longest wait of one write for room. An upgrade begins with
    /// [`Limits::write_stall`](crate::Limits::write_stall).
    ///
    /// # Errors
    ///
    /// A wait of zero is refused, as in [`std::net::TcpStream::set_write_timeout`].
    pub fn set_write_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        self.entry.transport.set_write_timeout(wait)
    }

    /// Whether reads and writes fail rather than wait, for all clones.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.entry.transport.set_nonblocking(nonblocking)
    }

    /// Ends one direction of the connection or both, for all clones. `Write` is an orderly end, at
    /// which a [`Session`](crate::Session) says its close; `Both` is a cut, at which it does not.
    /// The drop of the last clone is orderly too, except by a panic.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.entry.transport.shutdown(how)
    }

    /// Ends this side, then reads and discards what the client still sends until it ends its own
    /// side. Without this, closing a socket with unread input makes the system reset the
    /// connection, and the reset destroys what the client has not read yet (RFC 9112 §9.6). Waits
    /// at most [`Limits::linger_time`](crate::Limits::linger_time), and at most 5 s without a byte.
    ///
    /// Call this last, in a protocol of your own whose client may still be sending.
    pub fn linger(&self) {
        self.entry.linger();
    }

    /// Whether the connection may end without [`linger`](Socket::linger), if the client has said
    /// that it sends nothing more: no input is here, and all that was written has left this machine.
    /// If so, the socket may not block any more. Under a session this is false, since the client
    /// may answer the session's close.
    #[doc(hidden)] // `akurai-ws` needs it, behind the closing handshake.
    pub fn may_end_at_once(&self) -> bool {
        let may_end = !self.entry.transport.is_secure()
            && self.entry.sent_bytes() <= FIRST_FLIGHT_BYTES
            && self.entry.is_input_empty();
        if !may_end {
            let _ = self.set_nonblocking(false);
        }
        may_end
    }

    pub(crate) fn is_input_empty(&self) -> bool {
        self.entry.is_input_empty()
    }

    /// The client's address; `None` on a Unix socket.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.entry.peer
    }

    /// The server's address that the client connected to; `None` on a Unix socket, or if the system
    /// does not tell.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.entry.transport.local_addr()
    }

    /// Adds a field to the line that [`access_log`](crate::middleware::access_log) gives when this
    /// connection ends, as [`Request::log`](crate::Request::log) does before the upgrade. For what
    /// only the protocol knows: `akurai-ws` adds `close`, the code of the close. Without an access
    /// log it does nothing.
    pub fn log(&self, name: &'static str, value: impl fmt::Display) {
        self.entry.log(name, &value);
    }

    /// Whether the server is shutting down.
    pub fn is_stopping(&self) -> bool {
        self.entry.is_stopping()
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.entry.read_upgraded(buf)
    }
}

impl Read for &Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.entry.read_upgraded(buf)
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.entry.write_upgraded(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.entry.write_vectored_upgraded(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for &Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.entry.write_upgraded(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.entry.write_vectored_upgraded(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("peer", &self.entry.peer)
            .finish_non_exhaustive()
    }
}
