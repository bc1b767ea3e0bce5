//! A connected socket of either kind, and what accepts them.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

#[cfg(unix)]
use crate::io::unix_socket::UnixSocket;

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// The same expression for whichever socket it is.
macro_rules! either {
    ($enum:ident, $self:expr, $socket:ident => $body:expr) => {
        match $self {
            $enum::Tcp($socket) => $body,
            #[cfg(unix)]
            $enum::Unix($socket) => $body,
        }
    };
}

impl Transport {
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        either!(Transport, self, socket => { let mut socket = socket; socket.read(buf) })
    }

    pub(crate) fn write(&self, buf: &[u8]) -> io::Result<usize> {
        either!(Transport, self, socket => { let mut socket = socket; socket.write(buf) })
    }

    pub(crate) fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(Transport, self, socket => { let mut socket = socket; socket.write_vectored(bufs) })
    }

    pub(crate) fn set_read_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        either!(Transport, self, socket => socket.set_read_timeout(wait))
    }

    pub(crate) fn set_write_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        either!(Transport, self, socket => socket.set_write_timeout(wait))
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        either!(Transport, self, socket => socket.set_nonblocking(nonblocking))
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        either!(Transport, self, socket => socket.shutdown(how))
    }

    /// Our own end's address and port, if it has them.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Transport::Tcp(socket) => socket.local_addr().ok(),
            #[cfg(unix)]
            Transport::Unix(_) => None,
        }
    }

    /// Sends each write at once: what we write is a whole answer, frame or event (invariant 10).
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Transport::Tcp(socket) => socket.set_nodelay(true),
            #[cfg(unix)]
            Transport::Unix(_) => Ok(()),
        }
    }
}

/// Whether a socket's wait ran out. Unix says `WouldBlock`, Windows `TimedOut`.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    /// Not ours alone: what the whole socket would feel is not done to it.
    Shared(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
}

impl Listener {
    /// The next connection, and the address at its other end if it has one.
    pub(crate) fn accept(&self) -> io::Result<(Transport, Option<SocketAddr>)> {
        match self {
            Listener::Tcp(listener) | Listener::Shared(listener) => {
                let (socket, peer) = listener.accept()?;
                // Elsewhere a connection is as its listener is.
                if self.is_shared() && !cfg!(target_os = "linux") {
                    socket.set_nonblocking(false)?;
                }
                Ok((Transport::Tcp(socket), Some(peer)))
            }
            #[cfg(unix)]
            Listener::Unix(socket) => Ok((Transport::Unix(socket.listener.accept()?.0), None)),
        }
    }

    /// Whether others hold the same socket, so that it may not block.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Listener::Shared(_))
    }

    /// Makes an `accept` that waits longer than this return with a timeout, where the system can do so.
    pub(crate) fn set_accept_timeout(&self, wait: Duration) -> io::Result<()> {
        match self.as_transport()? {
            // Linux lets the receive timeout of a listening socket bound accept(2); see socket(7).
            Some(transport) => transport.set_read_timeout(Some(wait)),
            None => Ok(()),
        }
    }

    /// Makes an `accept` that waits return, or several.
    pub(crate) fn wake(&self) -> io::Result<()> {
        // Linux ends a listening socket's accept(2) on shutdown(2), for every thread, now and later.
        if let Some(Ok(())) = self.as_transport()?.map(|s| s.shutdown(Shutdown::Both)) {
            return Ok(());
        }
        // Elsewhere a connection of our own wakes one thread, which then sees that the server stops.
        match self {
            Listener::Tcp(listener) | Listener::Shared(listener) => {
                let mut addr = listener.local_addr()?;
                if addr.ip().is_unspecified() {
                    addr.set_ip(match addr {
                        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
                    });
                }
                TcpStream::connect_timeout(&addr, Duration::from_secs(1)).map(drop)
            }
            #[cfg(unix)]
            Listener::Unix(socket) => {
                let addr = socket.listener.local_addr()?;
                UnixStream::connect_addr(&addr).map(drop)
            }
        }
    }

    /// Removes a Unix socket's file, without which others than Linux cannot wake who waits in `accept`.
    pub(crate) fn remove_file(&self) {
        #[cfg(unix)]
        if let Listener::Unix(socket) = self {
            socket.remove_file();
        }
    }

    /// Its address and port; a Unix socket has neither.
    pub(crate) fn local_addr(&self) -> Option<io::Result<SocketAddr>> {
        match self {
            Listener::Tcp(listener) | Listener::Shared(listener) => Some(listener.local_addr()),
            #[cfg(unix)]
            Listener::Unix(_) => None,
        }
    }

    /// The listening descriptor in a connected socket's clothes, for the options that std gives only to those; `None` if it
    /// is shared.
    #[cfg(unix)]
    fn as_transport(&self) -> io::Result<Option<Transport>> {
        use std::os::fd::OwnedFd;
        Ok(match self {
            Listener::Tcp(listener) => {
                let fd = OwnedFd::from(listener.try_clone()?);
                Some(Transport::Tcp(TcpStream::from(fd)))
            }
            Listener::Shared(_) => None,
            Listener::Unix(socket) => {
                let fd = OwnedFd::from(socket.listener.try_clone()?);
                Some(Transport::Unix(UnixStream::from(fd)))
            }
        })
    }

    #[cfg(not(unix))]
    fn as_transport(&self) -> io::Result<Option<Transport>> {
        Ok(None)
    }
}
