//! The server as an application sees it: bind, configure, run, stop, count.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::io::failure::Failure;
use crate::io::limits::Limits;
use crate::io::registry::Registry;
use crate::io::session::{Session, SessionOpener};
use crate::io::transport::Listener;
#[cfg(unix)]
use crate::io::unix_socket::UnixSocket;
use crate::message::hosts::Hosts;
use crate::serve::accept::RunningServer;
use crate::serve::acceptor::Bound;
use crate::serve::intake::{Intake, ServersIntake};
use crate::serve::serving::Serving;
use crate::serve::threads::Threads;
use crate::{App, ConnectionStats, Stats, TrustedProxies};

/// A bound server. [`run`](Server::run) makes it serve.
///
/// ```no_run
/// use akurai_http::{Response, Router, Server};
///
/// # fn main() -> std::io::Result<()> {
/// let app = Router::new().get("/", |_| Response::text("hello\n"));
/// Server::bind("127.0.0.1:8090")?.listen("[::1]:8090")?.run(app)
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a server answers nobody until `run` is called"]
pub struct Server {
    pub(super) listeners: Vec<Bound>,
    limits: Limits,
    proxies: Option<Arc<TrustedProxies>>,
    hosts: Option<Hosts>,
    registry: Arc<Registry>,
    threads: Arc<Threads>,
    intake: ServersIntake,
}

impl Server {
    /// Binds a TCP address. With port 0 the system chooses one, which
    /// [`local_addr`](Server::local_addr) returns.
    ///
    /// # Errors
    ///
    /// Those of [`TcpListener::bind`]: the address is in use, is not this machine's, or is not
    /// allowed.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Server> {
        TcpListener::bind(addr).map(|listener| Server::on(vec![Listener::Tcp(listener)]))
    }

    /// Serves a listener that exists already, for example one that a supervisor has passed on.
    /// Other processes that hold the same socket may go on accepting from it when this server has
    /// stopped.
    ///
    /// The server does not change whether the socket blocks, since that is the same for all
    /// processes that hold it. A blocking socket is better: the server asks a non-blocking one for
    /// a connection every 10 ms. So if no other process relies on non-blocking, call
    /// [`set_nonblocking(false)`](TcpListener::set_nonblocking) first.
    ///
    /// # Errors
    ///
    /// If the listener has no address, as a descriptor that is no TCP socket.
    pub fn from_listener(listener: TcpListener) -> io::Result<Server> {
        listener.local_addr()?;
        Ok(Server::on(vec![Listener::Shared(listener)]))
    }

    /// Binds a Unix socket at this path. The directory's permissions decide which users may
    /// connect. The socket's file is removed when the server stops, or when it is dropped before it
    /// ran.
    ///
    /// A server that died leaves its file behind. If no process has a socket's file open any more,
    /// this removes the file and binds the path again. Anything else at the path stays. If several
    /// servers start at once, one binds: a server that takes a path over first makes the file
    /// `PATH.lock`, which must not exist yet, and removes it when it has bound the path.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the path is empty: Linux would choose an address for it that no client
    /// knows. Those of [`UnixListener::bind`](std::os::unix::net::UnixListener::bind). Among these
    /// is `AddrInUse`: another socket listens there, something stands there that is no socket, or
    /// `PATH.lock` exists. If a path is taken over, also those of making and removing a file in
    /// that directory.
    #[cfg(unix)]
    pub fn bind_unix(path: impl AsRef<Path>) -> io::Result<Server> {
        UnixSocket::bind(path.as_ref()).map(|socket| Server::on(vec![Listener::Unix(socket)]))
    }

    /// Listens at another TCP address too. The server's limits and counts hold for all addresses
    /// together.
    ///
    /// # Errors
    ///
    /// Those of [`bind`](Server::bind).
    pub fn listen(mut self, addr: impl ToSocketAddrs) -> io::Result<Server> {
        self.listeners.extend(Server::bind(addr)?.listeners);
        Ok(self)
    }

    /// Listens at a Unix socket too.
    ///
    /// # Errors
    ///
    /// Those of [`bind_unix`](Server::bind_unix).
    #[cfg(unix)]
    pub fn listen_unix(mut self, path: impl AsRef<Path>) -> io::Result<Server> {
        self.listeners.extend(Server::bind_unix(path)?.listeners);
        Ok(self)
    }

    /// Puts a [`Session`], TLS for example, under each connection of the listener that was added
    /// last. So one server may have listeners with a session and without, of any kind:
    ///
    /// ```no_run
    /// use akurai_http::{Response, Router, Server, Session};
    ///
    /// fn serve<Tls: Session>(new_tls: fn() -> std::io::Result<Tls>) -> std::io::Result<()> {
    ///     Server::bind("0.0.0.0:443")?
    ///         .with_session(move |_peer| new_tls())?
    ///         .listen("127.0.0.1:80")? // without a session
    ///         .run(Router::new().get("/", |_| Response::text("hello\n")))
    /// }
    /// ```
    ///
    /// `open` gets the peer's address, or `None` on a Unix socket. It makes the session, and must
    /// not wait for the peer. The connection's own thread calls it, when the connection has its
    /// place among [`Limits::max_connections`]. The handshake happens as the server reads: it
    /// counts towards the wait for the first request, [`Limits::idle_timeout`], as a whole. A
    /// connection beyond the limit is closed without a 503, which only a finished handshake could
    /// carry.
    ///
    /// If `open` returns an error or panics, the connection is closed, and
    /// [`on_error`](Server::on_error) gets a
    /// [`FailureKind::Session`](crate::FailureKind::Session).
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the server has no listener yet, or if the last one has a session.
    pub fn with_session<S: Session>(
        mut self,
        open: impl Fn(Option<SocketAddr>) -> io::Result<S> + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let message = match self.listeners.last_mut() {
            Some(bound) if bound.opener.is_none() => {
                bound.opener = Some(SessionOpener::new(open));
                return Ok(self);
            }
            Some(_) => "the listener that was added last has a session already",
            None => "a session belongs to a listener, and there is none yet",
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }

    /// A server without an address, for a test's
    /// [`Client`](crate::testing::Client::with_server); for connections that all come by
    /// [`Handle::adopt`]; or one whose addresses all come by [`listen`](Server::listen).
    pub fn unbound() -> Server {
        Server::on(Vec::new())
    }

    pub(super) fn on(listeners: Vec<Listener>) -> Server {
        Server {
            listeners: listeners.into_iter().map(Bound::from).collect(),
            limits: Limits::default(),
            proxies: None,
            hosts: None,
            registry: Arc::default(),
            threads: Arc::default(),
            intake: ServersIntake::default(),
        }
    }

    /// The same server with these limits.
    pub fn limits(mut self, limits: Limits) -> Server {
        self.limits = limits;
        self
    }

    /// Believes only these proxies about the client's address and scheme; see
    /// [`Request::client_addr`](crate::Request::client_addr) and
    /// [`Request::is_secure`](crate::Request::is_secure).
    pub fn trust(mut self, proxies: TrustedProxies) -> Server {
        self.proxies = Some(Arc::new(proxies));
        self
    }

    /// Answers only to these hosts: host names, IPv4 addresses and IPv6 addresses, each without a
    /// port. A request for another host gets 421 (RFC 9110 §15.5.20), and its connection ends. No
    /// router, handler or upgrade sees it. Another call adds to the list. Default: any host. With
    /// [`Router::host`](crate::Router::host), a host has routes of its own.
    ///
    /// This stops DNS rebinding. In that attack, a page of another site makes its own name lead to
    /// this server's address, on loopback or in a private network. The browser then takes page and
    /// server for one site, and the page can read every answer: `Host` and `Origin` both hold the
    /// page's name. So list the names that people type to get here, `localhost` for example.
    ///
    /// The server compares [`Request::authority`](crate::Request::authority) without its port,
    /// without regard to case, with or without a dot at its end. It answers a request without a
    /// host, which HTTP/1.0 allows and no browser sends. The list holds for all listeners, Unix
    /// sockets included. Behind a proxy that passes `Host` on, list the names that the proxy
    /// serves.
    ///
    /// ```
    /// use akurai_http::Server;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let server = Server::bind("127.0.0.1:0")?.hosts(["localhost", "127.0.0.1", "[::1]"])?;
    /// # let _ = server;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` if one of them is no host, or has a port; the error names it.
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = impl AsRef<str>>) -> io::Result<Server> {
        let list = self.hosts.get_or_insert_default();
        for host in hosts {
            list.add(host.as_ref())?;
        }
        Ok(self)
    }

    /// Calls `hook` with each [`Failure`] of the program. Without a hook, each is one line on
    /// stderr. Another call replaces the hook.
    ///
    /// A failure is told once. It is no failure if a client left or was too slow, sent a request
    /// that was refused, or broke the protocol that it had upgraded to; [`Handle::stats`] counts
    /// refused requests. A peer that breaks a [session](Server::with_session), in a TLS handshake
    /// for example, is told of, at most once a second: the cause may be our certificate.
    ///
    /// The thread that met the failure calls the hook, usually the connection's own, and the
    /// connection waits for it: the hook should not wait for anything long. Several threads may
    /// call it at once. A thread that calls [`Handle::stats`] may be one of them, if it happens to
    /// be the last to hold a connection: so the hook takes no lock under which the program calls
    /// that. If the hook panics, the failure becomes a line on stderr, and nothing else changes.
    ///
    /// The standard library also prints each panic on stderr; see
    /// [`std::panic::set_hook`](std::panic::set_hook).
    ///
    /// ```no_run
    /// use akurai_http::{FailureKind, Response, Router, Server};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let server = Server::bind("127.0.0.1:8090")?.on_error(|failure| match failure.kind() {
    ///     FailureKind::Panic => eprintln!("<2>{failure}"), // a priority for systemd's journal
    ///     _ => eprintln!("<3>{failure}"),
    /// });
    /// server.run(Router::new().get("/", |_| Response::text("hello\n")))
    /// # }
    /// ```
    pub fn on_error(self, hook: impl Fn(&Failure<'_>) + Send + Sync + 'static) -> Server {
        self.registry.failures.set_hook(Arc::new(hook));
        self
    }

    /// The first TCP address that is bound, with the real port.
    ///
    /// # Errors
    ///
    /// `Unsupported` if there are only Unix sockets.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addrs().next().unwrap_or_else(|| {
            Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a Unix socket has a path, not an address and port",
            ))
        })
    }

    /// Every TCP address that is bound, in the order of binding.
    pub fn local_addrs(&self) -> impl Iterator<Item = io::Result<SocketAddr>> {
        let listeners = self.listeners.iter();
        listeners.filter_map(|bound| bound.listener.local_addr())
    }

    /// A handle that can stop the server from any thread.
    ///
    /// ```no_run
    /// use akurai_http::{Response, Router, Server};
    /// use std::time::Duration;
    ///
    /// fn main() -> std::io::Result<()> {
    ///     let server = Server::bind("127.0.0.1:8090")?;
    ///     let handle = server.handle();
    ///     std::thread::spawn(move || {
    ///         let _ = std::io::stdin().read_line(&mut String::new()); // until Enter, or the end of the input
    ///         handle.shutdown(Duration::from_secs(10));
    ///     });
    ///     server.run(Router::new().get("/", |_| Response::text("hello\n")))
    /// }
    /// ```
    pub fn handle(&self) -> Handle {
        Handle {
            registry: Arc::clone(&self.registry),
            threads: Arc::clone(&self.threads),
            intake: Arc::clone(&self.intake.0),
        }
    }

    /// Serves until [`Handle::shutdown`], and returns when every thread has ended and is joined.
    ///
    /// A closure must name its argument's type, as here. Without it the compiler says
    /// "implementation of `FnOnce` is not general enough". The routes of a
    /// [`Router`](crate::Router) need no type.
    ///
    /// ```no_run
    /// use akurai_http::{Request, Response, Server};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Server::bind("127.0.0.1:8090")?.run(|req: &Request| Response::text(req.path()))
    /// # }
    /// ```
    ///
    /// After the grace, connections
    /// are closed by force. A handler or closure that has not ended one second later is left
    /// behind: this method returns without its thread.
    ///
    /// # Errors
    ///
    /// If the first thread of a listener cannot be made. An error of a single connection ends that
    /// connection alone. If the system refuses to accept, for lack of descriptors, the server waits
    /// 50 ms and goes on.
    pub fn run(self, app: impl App) -> io::Result<()> {
        self.start(app, false).run()
    }

    /// The server, ready to run. A test's client may say `https:` without a session.
    pub(crate) fn start(self, app: impl App, is_test: bool) -> Arc<RunningServer> {
        let Server {
            listeners,
            limits,
            proxies,
            hosts,
            registry,
            threads,
            intake,
        } = self;
        let serving = Serving {
            other_methods: app.methods(),
            app: Box::new(app),
            limits: Arc::new(limits),
            proxies,
            hosts,
            registry,
            is_test,
        };
        let server = RunningServer::new(serving, listeners, threads);
        intake.0.begin(&server);
        server
    }
}

/// Stops a server from any thread; see [`Server::handle`].
#[derive(Clone)]
pub struct Handle {
    registry: Arc<Registry>,
    threads: Arc<Threads>,
    pub(super) intake: Arc<Intake>,
}

impl Handle {
    /// Waits until every thread has ended. False if the deadline came first.
    pub(crate) fn join(&self, deadline: Instant) -> bool {
        self.threads.join(deadline)
    }

    /// Makes [`Server::run`] return. The server accepts no more connections, and closes idle ones
    /// at once. A client that has connected and not sent a request has 1 s for its first one.
    /// Requests that are being answered finish with `Connection: close`. Upgraded
    /// connections see the end of their input; a WebSocket of `akurai-ws` says 1001 instead. After
    /// `grace`, the server closes by force what is left. This method waits for nothing but what
    /// [`on_stop`](Handle::on_stop) was given. Another call can only shorten the grace.
    ///
    /// On Windows a thread that waits in a read sees the end up to half a second later.
    pub fn shutdown(&self, grace: Duration) {
        self.registry.stop(grace);
    }

    /// Whether [`shutdown`](Handle::shutdown) was called, by whichever thread.
    pub fn is_stopping(&self) -> bool {
        self.registry.is_stopping()
    }

    /// Calls `work` once, when the first [`shutdown`](Handle::shutdown) is called; at once if that
    /// has happened. So threads of the program itself, which the server does not know, can end with
    /// it. For connections there is [`Socket::is_stopping`](crate::Socket::is_stopping), and a
    /// WebSocket's `recv` returns.
    ///
    /// The thread that calls `shutdown` calls each `work`, one after the other, and no lock is held
    /// meanwhile. The server stops at the same time: it does not wait for `work`, and `work` should
    /// not wait for anything long. If it panics, [`Server::on_error`] is told. It is kept until
    /// then, so call this for each thread of the program, not for each request.
    ///
    /// ```no_run
    /// use akurai_http::{Response, Router, Server};
    /// use std::sync::mpsc::{RecvTimeoutError::Timeout, channel};
    /// use std::thread;
    /// use std::time::Duration;
    ///
    /// fn main() -> std::io::Result<()> {
    ///     let server = Server::bind("127.0.0.1:8090")?;
    ///     let (stop, stopped) = channel::<()>();
    ///     let worker = thread::spawn(move || {
    ///         while stopped.recv_timeout(Duration::from_secs(1)) == Err(Timeout) {
    ///             // What this thread does each second.
    ///         }
    ///     });
    ///     server.handle().on_stop(move || drop(stop)); // ends the wait at once
    ///     server.run(Router::new().get("/", |_| Response::text("hello\n")))?;
    ///     worker.join().expect("the worker did not panic");
    ///     Ok(())
    /// }
    /// ```
    pub fn on_stop(&self, work: impl FnOnce() + Send + 'static) {
        self.registry.on_stop(Box::new(work));
    }

    /// What the server is doing now.
    pub fn stats(&self) -> Stats {
        Stats {
            threads: self.threads.len(),
            ..self.registry.stats()
        }
    }

    /// The open connections, the newest first, and no more than `at_most`. For a page of the
    /// operator, or to see which clients hold the places when these run out. [`Handle::stats`] has
    /// the number of all.
    ///
    /// The addresses and counts tell about other people: show them to the operator only. The
    /// cost follows what is listed: 50 take some microseconds, however many there are.
    ///
    /// ```
    /// use akurai_http::{Response, Router, Server};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let server = Server::bind("127.0.0.1:0")?;
    /// let handle = server.handle();
    /// let app = Router::new().get("/admin/connections", move |_| {
    ///     let mut text = String::new();
    ///     for one in handle.connections(100) {
    ///         let (seconds, bytes) = (one.age.as_secs(), one.bytes_sent);
    ///         text += &format!("{:?} {:?}: {seconds} s, {bytes} B sent\n", one.peer, one.state);
    ///     }
    ///     Response::text(text)
    /// });
    /// # let _ = app;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connections(&self, at_most: usize) -> Vec<ConnectionStats> {
        self.registry.connections(at_most)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("stats", &self.stats())
            .finish()
    }
}
