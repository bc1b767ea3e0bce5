//! Bind, accept, count, stop.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::{self, Departure, after};
use crate::error::is_timeout;
use crate::limits::Limits;
use crate::refusals::Refusals;
use crate::roster::{Link, Roster};
use crate::stream::{Listener, Stream};
use crate::threads::Threads;
use crate::{Reply, Request, RequestError, Router, TrustedProxies};

/// How long after a forced end the threads have to notice it.
const FORCED_TIME: Duration = Duration::from_secs(1);

/// What answers requests: a [`Router`], or any function from a request to something that turns into a [`Reply`].
///
/// ```
/// use akurai_http::{App, Request, Response};
///
/// let app = |req: &Request| Response::text(format!("you asked for {}\n", req.path()));
/// assert_eq!(app.handle(&Request::get("/x")).response().body_bytes(), Some(&b"you asked for /x\n"[..]));
/// ```
pub trait App: Send + Sync + 'static {
    /// Answers one request. It is called by many threads at a time; a panic costs one connection a 500.
    fn handle(&self, request: &Request) -> Reply;

    /// Longest body for this request, in bytes; `None` leaves it at [`Limits::body_bytes`]. It is asked only for a request
    /// that announces a body, before [`handle`](App::handle).
    fn body_bytes(&self, request: &Request) -> Option<u64> {
        let _ = request;
        None
    }
}

impl App for Router {
    fn handle(&self, request: &Request) -> Reply {
        Router::handle(self, request)
    }

    fn body_bytes(&self, request: &Request) -> Option<u64> {
        Router::body_bytes_of(self, request)
    }
}

impl<F, R> App for F
where
    F: Fn(&Request) -> R + Send + Sync + 'static,
    R: Into<Reply>,
{
    fn handle(&self, request: &Request) -> Reply {
        self(request).into()
    }
}

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
    roster: Arc<Roster>,
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

    /// Serves a listener that exists already, inherited from a supervisor for example. Others who hold the same socket may
    /// go on accepting from it when this server has stopped.
    ///
    /// # Errors
    ///
    /// If it cannot be made to block, as a thread for each connection needs it.
    pub fn from_listener(listener: TcpListener) -> io::Result<Server> {
        listener.set_nonblocking(false)?;
        Ok(Server::on(Listener::Shared(listener)))
    }

    /// Binds a Unix socket at this path, which must not exist yet; who may connect is up to the directory's permissions.
    /// The file stays when the server has stopped.
    ///
    /// # Errors
    ///
    /// Those of [`UnixListener::bind`](std::os::unix::net::UnixListener::bind).
    #[cfg(unix)]
    pub fn bind_unix(path: impl AsRef<Path>) -> io::Result<Server> {
        std::os::unix::net::UnixListener::bind(path).map(|unix| Server::on(Listener::Unix(unix)))
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
            roster: Arc::default(),
            threads: Arc::default(),
        }
    }

    /// The same server with these limits.
    pub fn limits(mut self, limits: Limits) -> Server {
        self.limits = limits;
        self
    }

    /// Believes these proxies, and nobody else, about the client's address; see [`Request::client_addr`].
    pub fn trust(mut self, proxies: TrustedProxies) -> Server {
        self.proxies = Some(Arc::new(proxies));
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

    /// Every TCP address that is bound, in the order in which they were.
    pub fn local_addrs(&self) -> impl Iterator<Item = io::Result<SocketAddr>> {
        self.listeners.iter().filter_map(Listener::local_addr)
    }

    /// A handle that can stop the server from any thread.
    pub fn handle(&self) -> Handle {
        Handle {
            roster: Arc::clone(&self.roster),
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
        let spare_time = self.limits.spare_time.max(Duration::from_millis(1));
        let acceptors = self.listeners.into_iter().map(|listener| {
            // A wait that cannot be bounded only means that spare threads stay.
            let _ = listener.set_accept_timeout(spare_time);
            Acceptor {
                listener,
                waiting: AtomicUsize::new(0),
            }
        });
        let service = Arc::new(Service {
            app: Box::new(app),
            limits: self.limits,
            proxies: self.proxies,
            roster: self.roster,
            acceptors: acceptors.collect(),
            refusals: Refusals::default(),
            threads: self.threads,
        });
        for index in 0..service.acceptors.len() {
            if let Err(error) = service.spawn_acceptor(index) {
                service.roster.stop(Duration::ZERO);
                service.stop(Duration::ZERO);
                return Err(error);
            }
        }
        let grace = service.roster.wait_for_stop();
        service.stop(grace);
        Ok(())
    }
}

/// Stops a server from any thread; see [`Server::handle`].
#[derive(Clone)]
pub struct Handle {
    roster: Arc<Roster>,
    threads: Arc<Threads>,
}

impl Handle {
    /// Makes [`Server::run`] return: no connection is accepted any more, idle ones are closed at once, requests that
    /// are being answered finish with `Connection: close`, and upgraded connections see the end of their input. What
    /// is left after `grace` is closed by force. This returns at once.
    pub fn shutdown(&self, grace: Duration) {
        self.roster.stop(grace);
    }

    /// What the server is doing now.
    pub fn stats(&self) -> Stats {
        Stats {
            threads: self.threads.len(),
            ..self.roster.stats()
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

/// What one server is doing and has done since it was made; see [`Handle::stats`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that were accepted and found a place.
    pub accepted: u64,
    /// Open connections that have not been upgraded.
    pub connections: usize,
    /// Those of them that have a request to answer.
    pub in_request: usize,
    /// Open connections that have been upgraded.
    pub upgraded: usize,
    /// Threads that serve a connection or wait for one.
    pub threads: usize,
    /// Requests whose head was read.
    pub requests: u64,
    /// Bytes received, upgraded connections included.
    pub bytes_in: u64,
    /// Bytes sent, upgraded connections included.
    pub bytes_out: u64,
    /// Connections and upgrades that found no place: 503.
    pub overloaded: u64,
    /// Handlers and closures that panicked.
    pub panics: u64,
    /// Requests that were refused, by reason; a reason that never occurred is left out.
    pub refused: Vec<(RequestError, u64)>,
}

/// What the threads of a running server share.
pub(crate) struct Service {
    pub(crate) app: Box<dyn App>,
    pub(crate) limits: Limits,
    pub(crate) proxies: Option<Arc<TrustedProxies>>,
    pub(crate) roster: Arc<Roster>,
    acceptors: Vec<Acceptor>,
    refusals: Refusals,
    threads: Arc<Threads>,
}

/// A listener, and how many threads wait in its `accept` or are on their way there.
struct Acceptor {
    listener: Listener,
    waiting: AtomicUsize,
}

impl Service {
    /// How long a connection may wait for its next request: less as the places run out, nothing when they have. The
    /// wait for its first one never shrinks to nothing.
    pub(crate) fn idle_wait(&self, first: bool) -> Duration {
        let (open, limit) = (self.roster.open(), self.limits.connections);
        // In four steps, so that the socket's timeout need not be set again for each connection that comes or goes.
        if first && self.limits.idle_timeout.is_zero() {
            return self.limits.head_deadline;
        }
        let free = limit
            .saturating_sub(open)
            .saturating_mul(8)
            .div_ceil(limit.max(1));
        self.limits.idle_timeout / 4 * free.clamp(usize::from(first), 4) as u32
    }

    fn spawn_acceptor(self: &Arc<Service>, index: usize) -> io::Result<()> {
        let waiting = &self.acceptors[index].waiting;
        waiting.fetch_add(1, Ordering::SeqCst);
        let service = Arc::clone(self);
        let result = self.threads.spawn(move || service.accept_and_serve(index));
        result.inspect_err(|_| {
            waiting.fetch_sub(1, Ordering::SeqCst);
        })
    }

    /// A thread's life: it accepts a connection, sees that another thread waits for the next one, and serves its own.
    /// So a connection costs no hand-over, and none waits for another's slowness.
    fn accept_and_serve(self: Arc<Service>, index: usize) {
        let acceptor = &self.acceptors[index];
        while let Some((stream, peer)) = self.accept(acceptor) {
            let last = acceptor.waiting.fetch_sub(1, Ordering::SeqCst) == 1;
            if last && self.spawn_acceptor(index).is_err() {
                // Without another thread, this one must go on accepting.
                acceptor.waiting.fetch_add(1, Ordering::SeqCst);
                self.refuse(stream);
                continue;
            }
            match self.roster.admit(stream, peer, self.limits.connections) {
                Ok(link) => self.serve(link),
                Err(stream) => self.refuse(stream),
            }
            if self.roster.is_stopping() {
                return;
            }
            // In one step: while this thread counted, another that accepts would take it for its successor.
            let spare = |waiting| (waiting < self.limits.spare_threads).then_some(waiting + 1);
            let order = Ordering::SeqCst;
            if acceptor.waiting.fetch_update(order, order, spare).is_err() {
                return;
            }
        }
    }

    fn refuse(self: &Arc<Service>, stream: Stream) {
        self.roster
            .counts
            .overloaded
            .fetch_add(1, Ordering::Relaxed);
        if self.refusals.refuse(stream, self.limits.drain_time) {
            let service = Arc::clone(self);
            if self
                .threads
                .spawn(move || service.refusals.watch(&service.roster))
                .is_err()
            {
                self.refusals.forget();
            }
        }
    }

    fn serve(&self, link: Arc<Link>) {
        let Some(Departure { run, upgraded }) = connection::serve(self, link) else {
            return;
        };
        if catch_unwind(AssertUnwindSafe(|| run(upgraded))).is_err() {
            self.roster.counts.panics.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The next connection; `None` if this thread is to end.
    fn accept(&self, acceptor: &Acceptor) -> Option<(Stream, Option<SocketAddr>)> {
        loop {
            let accepted = match self.roster.is_stopping() {
                true => Err(io::ErrorKind::ConnectionRefused.into()),
                false => acceptor.listener.accept(),
            };
            if self.roster.is_stopping() {
                acceptor.waiting.fetch_sub(1, Ordering::SeqCst);
                return None;
            }
            match accepted {
                Ok(accepted) => return Some(accepted),
                Err(error) if is_timeout(&error) => {
                    let spare = |waiting| (waiting > 1).then(|| waiting - 1);
                    let order = Ordering::SeqCst;
                    if acceptor.waiting.fetch_update(order, order, spare).is_ok() {
                        return None;
                    }
                }
                Err(error) if is_of_the_peer(&error) => {}
                // The system lacks something, descriptors most likely. They come back when connections end.
                Err(_) => thread::sleep(self.limits.accept_pause),
            }
        }
    }

    fn stop(&self, grace: Duration) {
        let deadline = after(grace);
        self.roster.close_idle();
        loop {
            for acceptor in &self.acceptors {
                // Where a single call cannot wake all threads in accept, each call wakes one.
                if acceptor.waiting.load(Ordering::SeqCst) > 0 {
                    let _ = acceptor.listener.wake();
                }
            }
            let soon = Instant::now() + Duration::from_millis(20);
            // A closure may have given its socket to a thread of its own; that has the grace too.
            if self.threads.join(deadline.min(soon)) {
                if self.roster.upgraded() == 0 {
                    return;
                }
                thread::sleep(soon.saturating_duration_since(Instant::now()));
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        self.roster.close_all();
        self.threads.join(Instant::now() + FORCED_TIME);
    }
}

/// Whether an error of `accept` concerns the one connection that was to be accepted.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        Interrupted | ConnectionAborted | ConnectionReset
    )
}
