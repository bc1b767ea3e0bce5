//! A connected socket, TCP or Unix, with a session over it or without, and the listener that
//! accepts it.

mod layered;
#[cfg(unix)]
mod shared_unix;
#[cfg(windows)]
mod tcp_windows;

use std::any::Any;
use std::io::{self, IoSlice, Read, Write};
#[cfg(not(windows))]
use std::net::TcpStream as TcpSocket;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use crate::io::session::Session;
#[cfg(unix)]
use crate::io::unix_socket::UnixSocket;
use layered::Layered;
#[cfg(unix)]
pub(crate) use shared_unix::SharedUnix;
#[cfg(windows)]
use tcp_windows::TcpSocket;

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpSocket),
    #[cfg(unix)]
    Unix(UnixStream),
    /// One of the others under a session of the embedder.
    Layered(Box<Layered>),
}

/// Evaluates the same expression for each kind of socket.
macro_rules! each {
    ($self:expr, $socket:ident => $body:expr) => {
        match $self {
            Transport::Tcp($socket) => $body,
            #[cfg(unix)]
            Transport::Unix($socket) => $body,
            Transport::Layered($socket) => $body,
        }
    };
}

impl Transport {
    /// Both ends of a connection within this process. On Unix, no other process can have come in
    /// between, and neither end has a name or a port.
    #[cfg(unix)]
    pub(crate) fn pair() -> io::Result<(Transport, Transport)> {
        let (one, other) = UnixStream::pair()?;
        Ok((Transport::Unix(one), Transport::Unix(other)))
    }

    /// Both ends of a connection within this process, over loopback.
    #[cfg(not(unix))]
    pub(crate) fn pair() -> io::Result<(Transport, Transport)> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
        let one = TcpStream::connect(listener.local_addr()?)?;
        let own_addr = one.local_addr()?;
        loop {
            // Another process may have connected to our port before us.
            let (other, peer) = listener.accept()?;
            if peer == own_addr {
                return Ok((one.into(), other.into()));
            }
        }
    }

    /// The same socket, under this session from now on.
    pub(crate) fn under(self, session: Box<dyn Session>) -> Transport {
        Transport::Layered(Box::new(Layered::new(self, session)))
    }

    /// The socket itself, whose bytes are not HTTP's if there is a session over it.
    pub(crate) fn wire(&self) -> &Transport {
        match self {
            Transport::Layered(socket) => socket.wire(),
            _ => self,
        }
    }

    /// What the session, if there is one, tells handlers.
    pub(crate) fn session_info(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        match self {
            Transport::Layered(socket) => socket.info(),
            _ => None,
        }
    }

    /// Why the session has failed, if it has; once.
    pub(crate) fn take_session_failure(&self) -> Option<io::Error> {
        match self {
            Transport::Layered(socket) => socket.take_failure(),
            _ => None,
        }
    }

    /// Says that the next end of our side is no orderly one: what was written is not whole. Under a
    /// session the client learns of it; without one, only the framing can tell.
    pub(crate) fn abandon(&self) {
        if let Transport::Layered(socket) = self {
            socket.abandon();
        }
    }

    /// Ends a session, if there is one: says its close, unless it may not be said. A socket that
    /// may wait does so for 100 ms at most, if its buffer has no room.
    pub(crate) fn finish(&self) {
        if let Transport::Layered(socket) = self {
            socket.finish();
        }
    }

    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(socket) => (&*socket).read(buf),
            #[cfg(unix)]
            Transport::Unix(socket) => (&*socket).read(buf),
            Transport::Layered(socket) => socket.read(buf),
        }
    }

    pub(crate) fn write(&self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(socket) => (&*socket).write(buf),
            #[cfg(unix)]
            Transport::Unix(socket) => (&*socket).write(buf),
            Transport::Layered(socket) => socket.write(buf),
        }
    }

    pub(crate) fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Transport::Tcp(socket) => (&*socket).write_vectored(bufs),
            #[cfg(unix)]
            Transport::Unix(socket) => (&*socket).write_vectored(bufs),
            Transport::Layered(socket) => socket.write_vectored(bufs),
        }
    }

    pub(crate) fn set_read_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        each!(self, socket => socket.set_read_timeout(wait))
    }

    pub(crate) fn set_write_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        each!(self, socket => socket.set_write_timeout(wait))
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        each!(self, socket => socket.set_nonblocking(nonblocking))
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        each!(self, socket => socket.shutdown(how))
    }

    /// Whether a session carries the bytes: then the wire shows nothing of HTTP.
    pub(crate) fn is_secure(&self) -> bool {
        match self {
            Transport::Tcp(_) => false,
            #[cfg(unix)]
            Transport::Unix(_) => false,
            Transport::Layered(_) => true,
        }
    }

    /// Our own address and port, if the socket has them.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Transport::Tcp(socket) => socket.local_addr().ok(),
            #[cfg(unix)]
            Transport::Unix(_) => None,
            Transport::Layered(socket) => socket.wire().local_addr(),
        }
    }

    /// Sends each write at once: what we write is a whole answer, frame or event (invariant 10).
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Transport::Tcp(socket) => socket.set_nodelay(true),
            #[cfg(unix)]
            Transport::Unix(_) => Ok(()),
            Transport::Layered(socket) => socket.wire().set_nodelay(),
        }
    }
}

impl From<TcpStream> for Transport {
    fn from(socket: TcpStream) -> Transport {
        #[cfg(windows)]
        let socket = TcpSocket::new(socket);
        Transport::Tcp(socket)
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
    /// Others hold the socket too: we do nothing that would affect them.
    Shared(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
    /// Others hold this Unix socket too. Its file is theirs.
    #[cfg(unix)]
    SharedUnix(SharedUnix),
}

impl Listener {
    /// Accepts the next connection. Returns it with its peer's address, if it has one.
    pub(crate) fn accept(&self) -> io::Result<(Transport, Option<SocketAddr>)> {
        match self {
            Listener::Tcp(listener) | Listener::Shared(listener) => {
                let (socket, peer) = listener.accept()?;
                // On other systems, an accepted socket blocks or not as its listener does.
                if self.is_shared() && !cfg!(target_os = "linux") {
                    socket.set_nonblocking(false)?;
                }
                Ok((socket.into(), Some(peer)))
            }
            #[cfg(unix)]
            Listener::Unix(socket) => Ok((Transport::Unix(socket.listener.accept()?.0), None)),
            #[cfg(unix)]
            Listener::SharedUnix(shared) => {
                let (socket, _) = shared.listener.accept()?;
                if !cfg!(target_os = "linux") {
                    socket.set_nonblocking(false)?;
                }
                Ok((Transport::Unix(socket), None))
            }
        }
    }

    /// Whether others hold the same socket. They may have made it non-blocking.
    pub(crate) fn is_shared(&self) -> bool {
        match self {
            Listener::Shared(_) => true,
            #[cfg(unix)]
            Listener::SharedUnix(_) => true,
            _ => false,
        }
    }

    /// Bounds the wait of an `accept`, where the system can do so. After it, `accept` returns a
    /// timeout.
    pub(crate) fn set_accept_timeout(&self, wait: Duration) -> io::Result<()> {
        match self.as_transport()? {
            // Linux applies the receive timeout of a listening socket to accept(2); see socket(7).
            Some(transport) => transport.set_read_timeout(Some(wait)),
            None => Ok(()),
        }
    }

    /// Wakes one thread that waits in `accept`, or several.
    pub(crate) fn wake(&self) -> io::Result<()> {
        // On Linux, shutdown(2) of a listening socket ends accept(2) for every thread, now and
        // later.
        if let Some(Ok(())) = self.as_transport()?.map(|s| s.shutdown(Shutdown::Both)) {
            return Ok(());
        }
        // Elsewhere we connect, which wakes one thread. That thread then sees that the server
        // stops.
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
            #[cfg(unix)]
            Listener::SharedUnix(shared) => shared.wake(),
        }
    }

    /// Removes a Unix socket's file. Except on Linux, `wake` needs that file.
    pub(crate) fn remove_file(&self) {
        #[cfg(unix)]
        if let Listener::Unix(socket) = self {
            socket.remove_file();
        }
    }

    /// The listener's address and port; a Unix socket has neither.
    pub(crate) fn local_addr(&self) -> Option<io::Result<SocketAddr>> {
        match self {
            Listener::Tcp(listener) | Listener::Shared(listener) => Some(listener.local_addr()),
            #[cfg(unix)]
            Listener::Unix(_) | Listener::SharedUnix(_) => None,
        }
    }

    /// A copy of the listening descriptor as the type of a connected socket, for options that std
    /// offers only there. `None` if the socket is shared.
    #[cfg(unix)]
    fn as_transport(&self) -> io::Result<Option<Transport>> {
        use std::os::fd::OwnedFd;
        Ok(match self {
            Listener::Tcp(listener) => {
                let fd = OwnedFd::from(listener.try_clone()?);
                Some(TcpStream::from(fd).into())
            }
            Listener::Shared(_) | Listener::SharedUnix(_) => None,
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
