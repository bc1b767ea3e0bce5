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

use crate::codec::response::{Persistence, ResponseFraming, append_head};
use crate::connection::{self, Date, Departure, overloaded};
use crate::error::is_timeout;
use crate::limits::Limits;
use crate::roster::{Link, Roster};
use crate::stream::{Listener, Stream};
use crate::threads::Threads;
use crate::{Reply, Request, Router};

/// Threads that may wait for a connection at a time, for each listener. More end when their connection does.
const SPARE_THREADS: usize = 32;

/// A thread that waited this long for a connection ends, unless it is the last.
const SPARE_TIME: Duration = Duration::from_secs(5);

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
}

impl App for Router {
    fn handle(&self, request: &Request) -> Reply {
        Router::handle(self, request)
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
/// Server::bind("127.0.0.1:8090")?.run(app)
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    limits: Limits,
    roster: Arc<Roster>,
}

impl Server {
    /// Binds a TCP address; port 0 lets the system choose ([`local_addr`](Server::local_addr) tells).
    ///
    /// # Errors
    ///
    /// Those of [`TcpListener::bind`]: the address is in use, not ours, or not allowed.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Server> {
        TcpListener::bind(addr).map(Server::from_listener)
    }

    /// Serves a listener that exists already, inherited from a supervisor for example.
    pub fn from_listener(listener: TcpListener) -> Server {
        Server::on(Listener::Tcp(listener))
    }

    /// Binds a Unix socket at this path, which must not exist yet.
    ///
    /// # Errors
    ///
    /// Those of [`UnixListener::bind`](std::os::unix::net::UnixListener::bind).
    #[cfg(unix)]
    pub fn bind_unix(path: impl AsRef<Path>) -> io::Result<Server> {
        std::os::unix::net::UnixListener::bind(path).map(|unix| Server::on(Listener::Unix(unix)))
    }

    fn on(listener: Listener) -> Server {
        Server {
            listener,
            limits: Limits::default(),
            roster: Arc::default(),
        }
    }

    /// The same server with these limits.
    pub fn limits(mut self, limits: Limits) -> Server {
        self.limits = limits;
        self
    }

    /// The address that is bound, with the real port.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a Unix socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// A handle that can stop the server from any thread.
    pub fn handle(&self) -> Handle {
        Handle {
            roster: Arc::clone(&self.roster),
        }
    }

    /// Serves until [`Handle::shutdown`], and returns when every thread has ended, or the grace and one second more.
    ///
    /// A closure must name its argument's type: `|req: &Request| …`.
    ///
    /// # Errors
    ///
    /// If the first thread cannot be made. Errors of single connections end those connections alone; if the system
    /// refuses to accept, for want of descriptors, the server waits [`Limits::accept_pause`] and goes on.
    pub fn run(self, app: impl App) -> io::Result<()> {
        // A wait that cannot be bounded only means that spare threads stay.
        let _ = self.listener.set_accept_timeout(SPARE_TIME);
        let service = Arc::new(Service {
            app: Box::new(app),
            limits: self.limits,
            roster: self.roster,
            listener: self.listener,
            accepting: AtomicUsize::new(0),
            threads: Arc::default(),
        });
        service.spawn_acceptor()?;
        let grace = service.roster.wait_for_stop();
        service.stop(grace);
        Ok(())
    }
}

/// Stops a server from any thread; see [`Server::handle`].
#[derive(Clone)]
pub struct Handle {
    roster: Arc<Roster>,
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
            connections: self.roster.open(),
            upgraded: self.roster.upgraded(),
            panics: self.roster.panics.load(Ordering::Relaxed),
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

/// Counts of one server; see [`Handle::stats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Open connections that have not been upgraded.
    pub connections: usize,
    /// Open connections that have been upgraded.
    pub upgraded: usize,
    /// Handlers and closures that panicked since the start.
    pub panics: u64,
}

/// What the threads of a running server share.
pub(crate) struct Service {
    pub(crate) app: Box<dyn App>,
    pub(crate) limits: Limits,
    pub(crate) roster: Arc<Roster>,
    listener: Listener,
    /// Threads that wait in `accept`, or are on their way there.
    accepting: AtomicUsize,
    threads: Arc<Threads>,
}

impl Service {
    /// How long a connection may wait for its next request: less as the places run out, nothing when they have. The
    /// wait for its first one never shrinks to nothing.
    pub(crate) fn idle_wait(&self, first: bool) -> Duration {
        let (open, limit) = (self.roster.open(), self.limits.connections);
        // In four steps, so that the socket's timeout need not be set again for each connection that comes or goes.
        let free = limit
            .saturating_sub(open)
            .saturating_mul(8)
            .div_ceil(limit.max(1));
        self.limits.idle_timeout / 4 * free.clamp(usize::from(first), 4) as u32
    }

    fn spawn_acceptor(self: &Arc<Service>) -> io::Result<()> {
        self.accepting.fetch_add(1, Ordering::SeqCst);
        let service = Arc::clone(self);
        self.threads
            .spawn(move || service.accept_and_serve())
            .inspect_err(|_| {
                self.accepting.fetch_sub(1, Ordering::SeqCst);
            })
    }

    /// A thread's life: it accepts a connection, sees that another thread waits for the next one, and serves its own.
    /// So a connection costs no hand-over, and none waits for another's slowness.
    fn accept_and_serve(self: Arc<Service>) {
        while let Some((stream, peer)) = self.accept() {
            let link = match self.roster.admit(stream, peer, self.limits.connections) {
                Ok(link) => link,
                Err(stream) => {
                    refuse(&stream);
                    continue;
                }
            };
            let last = self.accepting.fetch_sub(1, Ordering::SeqCst) == 1;
            if last && self.spawn_acceptor().is_err() {
                // Without another thread, this one must go on accepting.
                self.accepting.fetch_add(1, Ordering::SeqCst);
                refuse(&link.stream);
                continue;
            }
            self.serve(link);
            if self.roster.is_stopping() {
                return;
            }
            if self.accepting.fetch_add(1, Ordering::SeqCst) >= SPARE_THREADS {
                self.accepting.fetch_sub(1, Ordering::SeqCst);
                return;
            }
        }
    }

    fn serve(&self, link: Arc<Link>) {
        let Some(Departure { run, upgraded }) = connection::serve(self, link) else {
            return;
        };
        if catch_unwind(AssertUnwindSafe(|| run(upgraded))).is_err() {
            self.roster.panics.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The next connection; `None` if this thread is to end.
    fn accept(&self) -> Option<(Stream, Option<SocketAddr>)> {
        loop {
            if self.roster.is_stopping() {
                return None;
            }
            match self.listener.accept() {
                Ok(accepted) => return (!self.roster.is_stopping()).then_some(accepted),
                Err(error) if is_timeout(&error) => {
                    let spare = |waiting| (waiting > 1).then(|| waiting - 1);
                    let order = Ordering::SeqCst;
                    if self.accepting.fetch_update(order, order, spare).is_ok() {
                        return None;
                    }
                }
                Err(error) if is_of_the_peer(&error) => {}
                // The system lacks something, descriptors most likely. They come back when connections end.
                Err(_) if !self.roster.is_stopping() => thread::sleep(self.limits.accept_pause),
                Err(_) => return None,
            }
        }
    }

    fn stop(&self, grace: Duration) {
        let deadline = Instant::now().checked_add(grace);
        let deadline =
            deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(u32::MAX.into()));
        self.roster.close_idle();
        loop {
            // Where a single call cannot wake all threads in accept, each call wakes one.
            let _ = self.listener.close();
            let soon = Instant::now() + Duration::from_millis(20);
            if self.threads.join(deadline.min(soon)) {
                return;
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        self.roster.close_all();
        self.threads.join(Instant::now() + FORCED_TIME);
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("threads", &self.threads.len())
            .finish_non_exhaustive()
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

/// Answers a connection that has no place.
fn refuse(stream: &Stream) {
    let response = overloaded();
    let body = response.body_bytes().unwrap_or_default();
    let mut out = Vec::new();
    append_head(
        response.status(),
        response.headers(),
        ResponseFraming::Length(body.len() as u64),
        Persistence::Close,
        Date::default().now(),
        &mut out,
    );
    out.extend_from_slice(body);
    // A new socket's buffer is empty, so this does not wait; and if it fails, the client is gone.
    let _ = stream.write(&out);
}
