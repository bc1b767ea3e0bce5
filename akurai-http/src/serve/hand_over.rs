//! Sockets that the server did not make: listeners that another process hands over, and connections
//! that are there already.

use std::io;
use std::net::SocketAddr;
#[cfg(not(unix))]
use std::net::TcpStream;
#[cfg(unix)]
use std::os::fd::{AsFd, OwnedFd};

use crate::Handle;
#[cfg(unix)]
use crate::Server;
#[cfg(unix)]
use crate::io::handed_over;
use crate::io::transport::Transport;
use crate::serve::accept::stopped;

#[cfg(unix)]
impl Server {
    /// Serves a listening socket that another process hands over, TCP or Unix: a supervisor, or the
    /// program's predecessor. What [`from_listener`](Server::from_listener) says of others that
    /// hold the socket holds here too. The server does not remove the file of a Unix socket: the
    /// process that made the socket does, or systemd with `RemoveOnStop=`.
    ///
    /// A stop cannot always wake the threads that wait at such a socket: it connects to the socket
    /// itself, and nobody can if the file of a Unix socket is gone. Then [`run`](Server::run)
    /// returns 2 s after everything else has ended, and those threads stay. Each of them takes one
    /// more client and closes its connection at once, also one that another holder of the socket
    /// would have answered. So end the process when `run` has returned.
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use std::os::fd::OwnedFd;
    ///
    /// use akurai_http::Server;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let server = Server::from_fd(OwnedFd::from(listener.try_clone()?))?;
    /// assert_eq!(server.local_addr()?, listener.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the descriptor is no listening TCP or Unix socket; the text says what it
    /// is. std cannot tell a socket that is bound and does not listen: then each `accept` fails,
    /// which [`on_error`](Server::on_error) tells. Only Linux lets us recognise a Unix datagram
    /// socket.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Server> {
        handed_over::listener(fd, "the descriptor").map(|listener| Server::on(vec![listener]))
    }

    /// Serves the listening socket that is the process's standard input, as
    /// [`from_fd`](Server::from_fd) does. systemd gives a socket so with `StandardInput=socket`, a
    /// shell with `<&3`, and a Rust program with
    /// [`Command::stdin`](std::process::Command::stdin):
    ///
    /// ```no_run
    /// use std::net::TcpListener;
    /// use std::os::fd::OwnedFd;
    /// use std::process::Command;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let listener = TcpListener::bind("127.0.0.1:8090")?;
    /// Command::new("server").stdin(OwnedFd::from(listener)).spawn()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Standard input stays open. So a program that this one starts gets the listener too, and
    /// keeps it open, unless it gets another standard input
    /// ([`Stdio::null`](std::process::Stdio::null)).
    ///
    /// # Errors
    ///
    /// Those of [`from_fd`](Server::from_fd): standard input is a terminal, a file or `/dev/null`,
    /// for example.
    pub fn from_stdin() -> io::Result<Server> {
        let fd = io::stdin().as_fd().try_clone_to_owned()?;
        handed_over::listener(fd, "standard input").map(|listener| Server::on(vec![listener]))
    }

    /// Serves another socket that is handed over too: a supervisor passes one for each address.
    ///
    /// # Errors
    ///
    /// Those of [`from_fd`](Server::from_fd).
    pub fn listen_fd(mut self, fd: OwnedFd) -> io::Result<Server> {
        self.listeners.extend(Server::from_fd(fd)?.listeners);
        Ok(self)
    }
}

impl Handle {
    /// Serves a connection that is there already, on a thread of its own: one of a test's pair of
    /// sockets, one that inetd passes, or one of a port that several protocols share. To look at
    /// its first bytes before, use [`TcpStream::peek`](std::net::TcpStream::peek), since this
    /// server must read them too.
    ///
    /// `stream` is a connected TCP or Unix socket: a [`TcpStream`](std::net::TcpStream), a
    /// [`UnixStream`](std::os::unix::net::UnixStream), or a descriptor of either. On systems other
    /// than Unix it is a `TcpStream`. The server makes it block, which also holds for clones of it,
    /// and sets its waits. `peer` is what [`Request::peer_addr`](crate::Request::peer_addr) tells.
    /// With `None`, that is the address of the socket's own peer; a Unix socket has none, and then
    /// counts as a proxy if [`TrustedProxies`](crate::TrustedProxies) has `unix`.
    ///
    /// The connection is like one that a listener has accepted, but no session of a listener lies
    /// over it. It has a place under
    /// [`Limits::max_connections`](crate::Limits::max_connections): if all are taken, it gets 503
    /// as others do, and this returns `Ok`. Before [`Server::run`], up to 128 connections wait
    /// until the server runs. If the `Server` is dropped instead, they are closed.
    ///
    /// ```
    /// # #[cfg(unix)]
    /// # fn main() -> std::io::Result<()> {
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    /// use std::time::Duration;
    ///
    /// use akurai_http::{Response, Router, Server};
    ///
    /// let server = Server::unbound();
    /// let handle = server.handle();
    /// let (mut ours, theirs) = UnixStream::pair()?;
    /// handle.adopt(theirs, None)?;
    /// let app = Router::new().get("/", |_| Response::text("hello"));
    /// let running = std::thread::spawn(move || server.run(app));
    ///
    /// ours.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")?;
    /// let mut answer = String::new();
    /// ours.read_to_string(&mut answer)?;
    /// assert!(answer.ends_with("hello"));
    /// handle.shutdown(Duration::from_secs(1));
    /// running.join().expect("no panic")
    /// # }
    /// # #[cfg(not(unix))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `stream` is no connected TCP or Unix socket, or its client is gone;
    /// `ConnectionRefused` after [`shutdown`](Handle::shutdown), or if the server was dropped
    /// before it ran; `WouldBlock` if 128 connections wait and the server does not run yet; those
    /// of the system, if it can make no thread. The connection is then closed.
    #[cfg(unix)]
    pub fn adopt(&self, stream: impl Into<OwnedFd>, peer: Option<SocketAddr>) -> io::Result<()> {
        let (transport, own_peer) = handed_over::connection(stream.into())?;
        transport.set_nonblocking(false)?;
        self.take_in(transport, peer.or(own_peer))
    }

    /// Serves a connection that is there already, on a thread of its own. On Unix, `stream` may
    /// also be a Unix socket.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` after [`shutdown`](Handle::shutdown), or if the server was dropped
    /// before it ran; `WouldBlock` if 128 connections wait and the server does not run yet; those
    /// of the system. The connection is then closed.
    #[cfg(not(unix))]
    pub fn adopt(&self, stream: TcpStream, peer: Option<SocketAddr>) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        let own_peer = stream.peer_addr().ok();
        self.take_in(stream.into(), peer.or(own_peer))
    }

    pub(crate) fn take_in(&self, transport: Transport, peer: Option<SocketAddr>) -> io::Result<()> {
        match self.is_stopping() {
            true => Err(stopped()),
            false => self.intake.take_in(transport, peer),
        }
    }
}
