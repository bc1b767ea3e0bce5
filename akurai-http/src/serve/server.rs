//! A server as its owner holds it: bind, configure, run, stop, count.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::io::limits::Limits;
use crate::io::registry::Registry;
use crate::io::transport::Listener;
#[cfg(unix)]
use crate::io::unix_socket::UnixSocket;
use crate::serve::accept::RunningServer;
use crate::serve::hosts::Hosts;
use crate::serve::serving::Serving;
use crate::serve::threads::Threads;
use crate::{App, Stats, TrustedProxies};

/// A bound server, which [`run`](Server::run) makes serve.
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
pub struct Server {
    listeners: Vec<Listener>,
    limits: Limits,
    proxies: Option<Arc<TrustedProxies>>,
    hosts: Option<Hosts>,
    registry: Arc<Registry>,
    threads: Arc<Threads>,
}

impl Server {
    /// Binds a TCP address; port 0 lets the system choose ([`local_addr`](Server::local_addr) tells).
    ///
    /// # Errors
    ///
    /// Those of [`TcpListener::bind`]: the address is in use, not ours, or not allowed.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Server> {
        TcpListener::bind(addr).map(|listener| Server::on(Listener::Tcp(listener)))
    }

    /// Serves a listener that exists already, inherited from a supervisor for example. Others who
    /// hold the same socket may go on accepting from it when this server has stopped.
    ///
    /// Whether the socket blocks is left as it is, since that is the same for all who hold it. A
    /// blocking one is better: of one that does not block, the server asks for a connection every
    /// 10 ms. So where nobody else relies on that, call
    /// [`set_nonblocking(false)`](TcpListener::set_nonblocking) first.
    ///
    /// # Errors
    ///
    /// If it has no address, as a descriptor that is no TCP socket.
    pub fn from_listener(listener: TcpListener) -> io::Result<Server> {
        listener.local_addr()?;
        Ok(Server::on(Listener::Shared(listener)))
    }

    /// Binds a Unix socket at this path; who may connect is up to the directory's permissions. The socket's file goes when
    /// the server stops, or is dropped before it ran.
    ///
    /// A server that died leaves its file behind. A socket's file that no process has open any more is removed, and bound
    /// again; anything else that stands at the path stays. Of several servers that start at once,
    /// one binds: a server that takes a path over first makes the file `PATH.lock`, which must not
    /// be there, and removes it when it has bound the path.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the path is empty: Linux would choose an address for it that no client
    /// knows. Those of [`UnixListener::bind`](std::os::unix::net::UnixListener::bind), which are
    /// `AddrInUse` if another socket listens there, if something stands there that is no socket, or
    /// if `PATH.lock` does; those of making and removing a file in that directory if a path is
    /// taken over.
    #[cfg(unix)]
    pub fn bind_unix(path: impl AsRef<Path>) -> io::Result<Server> {
        UnixSocket::bind(path.as_ref()).map(|socket| Server::on(Listener::Unix(socket)))
    }

    /// Listens at another TCP address too; limits and counts are those of the one server.
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

    fn on(listener: Listener) -> Server {
        Server {
            listeners: vec![listener],
            limits: Limits::default(),
            proxies: None,
            hosts: None,
            registry: Arc::default(),
            threads: Arc::default(),
        }
    }

    /// The same server with these limits.
    pub fn limits(mut self, limits: Limits) -> Server {
        self.limits = limits;
        self
    }

    /// Believes these proxies, and nobody else, about the client's address; see [`Request::client_addr`](crate::Request::client_addr).
    pub fn trust(mut self, proxies: TrustedProxies) -> Server {
        self.proxies = Some(Arc::new(proxies));
        self
    }

    /// Answers to these hosts alone: host names, IPv4 addresses and IPv6 addresses, each without a
    /// port. A request for another host gets 421 (RFC 9110 §15.5.20), which no router, handler or
    /// upgrade sees, and its connection ends. Called again, it adds to the list. Default: any host.
    ///
    /// This ends DNS rebinding. A page of another site has its own name lead to this server's
    /// address, on loopback or in a private network. The browser then takes page and server for one
    /// site, and the page reads every answer: `Host` and `Origin` are both the page's. So list the
    /// names that people type to get here, `localhost` for example.
    ///
    /// The server compares [`Request::authority`](crate::Request::authority) without its port, in any case, with or without a
    /// dot at its end. It answers a request without a host, which HTTP/1.0 allows and no browser
    /// sends. The list holds for all listeners, Unix sockets included. Behind a proxy that passes
    /// `Host` on, list the names that the proxy serves.
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

    /// Every TCP address that is bound, in the order in which they were.
    pub fn local_addrs(&self) -> impl Iterator<Item = io::Result<SocketAddr>> {
        self.listeners.iter().filter_map(Listener::local_addr)
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
        }
    }

    /// Serves until [`Handle::shutdown`], and returns when every thread has ended and is joined.
    ///
    /// A closure must name its argument's type: `|req: &Request| …`. A handler or closure that does not end although its
    /// connection was closed by force has one second more; then this returns without its thread.
    ///
    /// # Errors
    ///
    /// If the first thread cannot be made. Errors of single connections end those connections alone; if the system
    /// refuses to accept, for want of descriptors, the server waits [`Limits::accept_pause`] and goes on.
    pub fn run(self, app: impl App) -> io::Result<()> {
        let Server {
            listeners,
            limits,
            proxies,
            hosts,
            registry,
            threads,
        } = self;
        let serving = Serving {
            app: Box::new(app),
            limits: Arc::new(limits),
            proxies,
            hosts,
            registry,
        };
        RunningServer::new(serving, listeners, threads).run()
    }
}

/// Stops a server from any thread; see [`Server::handle`].
#[derive(Clone)]
pub struct Handle {
    registry: Arc<Registry>,
    threads: Arc<Threads>,
}

impl Handle {
    /// Makes [`Server::run`] return: no connection is accepted any more, idle ones are closed at
    /// once, requests that are being answered finish with `Connection: close`, and upgraded
    /// connections see the end of their input, or what
    /// [`Upgrade::on_stop`](crate::Upgrade::on_stop) says. What is left after `grace` is closed by
    /// force. This returns at once. Called again, it can only shorten the grace.
    pub fn shutdown(&self, grace: Duration) {
        self.registry.stop(grace);
    }

    /// What the server is doing now.
    pub fn stats(&self) -> Stats {
        Stats {
            threads: self.threads.len(),
            ..self.registry.stats()
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("stats", &self.stats())
            .finish()
    }
}
