//! Tests of an app without an address or a port: a [`Client`] runs the app in this process.
//!
//! ```
//! use akurai_http::testing::Client;
//! use akurai_http::{Method, Request, Response, Router, Status, sse};
//!
//! fn shout(req: &Request) -> std::io::Result<Response> {
//!     Ok(Response::text(req.body()?.to_ascii_uppercase()))
//! }
//! let app = Router::new().post("/shout", shout).get("/count", |_| {
//!     sse(|mut sink| {
//!         sink.event("count", "one")?;
//!         sink.event("count", "two")
//!     })
//! });
//!
//! let client = Client::new(app);
//! let answer = client.send(Request::new(Method::Post, "/shout").with_body("hey"))?;
//! assert_eq!((answer.status(), &*answer.text()), (Status::OK, "HEY"));
//!
//! let mut events = client.events("/count")?;
//! assert_eq!(events.next().unwrap()?.data, "one");
//! assert_eq!(events.next().unwrap()?.data, "two");
//! assert!(events.next().is_none());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The simplest tests need no client: [`Router::handle`](crate::Router::handle) answers a
//! [`Request`] that the test made. But then no stream runs, and nothing happens that is the
//! server's work. Behind a client, everything is as it is behind a listener: limits, middleware,
//! the framing of answers, `100 Continue`, upgrades, panics, and the stop.
//!
//! There is no TLS, but a request whose target begins with `https:` [is
//! secure](Request::is_secure), as in `client.get("https://localhost/")`. A listening server
//! answers 421 to such a request without TLS.
//!
//! A request may end after its answer came: its line of the access log, its counts, and what its
//! thread does last may come a moment later. So a test waits for them: let the sink of
//! [`access_log`](crate::middleware::access_log) send each line through a channel, and receive
//! from it.

mod answer;
mod client_end;
mod cookies;
mod events;
mod input;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::io::clock::after;
use crate::io::transport::Transport;
use crate::{App, Handle, Request, Server};

pub use answer::Answer;
pub use client_end::ClientEnd;
use cookies::CookieJar;
pub use events::{Event, Events};

/// How long a client waits unless a test says otherwise.
const WAIT: Duration = Duration::from_secs(10);

/// The address that a handler sees, unless a test says otherwise.
const PEER: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 49_152);

/// Runs an app in this process, asks it, and reads its answers; see the
/// [module](crate::testing).
///
/// The server is the real one, with its threads. What carries the bytes is a pair of connected
/// sockets without a name or a port; on systems other than Unix, a TCP connection over loopback.
/// Each request has a connection of its own; [`connect`](Client::connect) gives one for many.
///
/// No call waits for ever. An answer must have come whole within [`wait`](Client::wait), and an
/// event stream must give its next event within that time; otherwise the call fails with
/// `TimedOut`, and the error's text names the request and what was missing. Many threads may use a
/// client at a time.
///
/// When it is dropped, the server stops without a grace: all connections end. The drop returns when
/// their threads have ended. If that takes more than 1 s and `wait` together, it returns without
/// them and says so on stderr.
pub struct Client {
    handle: Handle,
    running: Option<JoinHandle<io::Result<()>>>,
    wait: Duration,
    peer: SocketAddr,
    cookies: Option<Arc<CookieJar>>,
}

impl Client {
    /// Runs `app` behind a server with the default [`Limits`](crate::Limits).
    ///
    /// # Panics
    ///
    /// If the system can make no thread.
    pub fn new(app: impl App) -> Client {
        Client::with_server(Server::unbound(), app)
    }

    /// Runs `app` behind this server: with limits of its own, with trusted proxies, or with a list
    /// of hosts.
    ///
    /// ```
    /// use akurai_http::testing::Client;
    /// use akurai_http::{Response, Server, Status, Request};
    ///
    /// let server = Server::unbound().hosts(["localhost"])?;
    /// let client = Client::with_server(server, |_: &Request| Response::text("hello"));
    /// assert_eq!(client.get("/")?.status(), Status::OK);
    /// let request = Request::new(akurai_http::Method::Get, "/").with_header("Host", "evil.example");
    /// assert_eq!(client.send(request)?.status(), Status::MISDIRECTED_REQUEST);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the system can make no thread.
    pub fn with_server(server: Server, app: impl App) -> Client {
        let handle = server.handle();
        let server = server.start(app, true);
        let running = thread::Builder::new()
            .name("akurai-testing".to_owned())
            .spawn(move || server.run())
            .expect("the system can make a thread");
        Client {
            handle,
            running: Some(running),
            wait: WAIT,
            peer: PEER.into(),
            cookies: None,
        }
    }

    /// The longest wait of each call: for a whole answer, for an event, or for one read or write.
    /// Default 10 s.
    #[must_use = "this gives the client back"]
    pub fn wait(mut self, longest: Duration) -> Client {
        self.wait = longest;
        self
    }

    /// The address that handlers see as the client's
    /// ([`Request::peer_addr`](crate::Request::peer_addr)). Default `127.0.0.1:49152`.
    #[must_use = "this gives the client back"]
    pub fn peer_addr(mut self, addr: SocketAddr) -> Client {
        self.peer = addr;
        self
    }

    /// Keeps the cookies that answers set, and sends them with each request that has no `Cookie`
    /// field of its own. A cookie whose `Max-Age` or `Expires` is over is removed. The client does
    /// not look at `Domain`, `Path` and `Secure`: it sends each cookie everywhere.
    ///
    /// ```
    /// use akurai_http::testing::Client;
    /// use akurai_http::{Cookie, Request, Response, Router};
    ///
    /// let app = Router::new()
    ///     .get("/login", |_| Response::text("").cookie(Cookie::new("user", "ann")))
    ///     .get("/", |req| Response::text(req.cookie("user").unwrap_or("nobody").to_owned()));
    /// let client = Client::new(app).keep_cookies();
    /// client.get("/login")?;
    /// assert_eq!(client.get("/")?.text(), "ann");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use = "this gives the client back"]
    pub fn keep_cookies(mut self) -> Client {
        self.cookies = Some(Arc::default());
        self
    }

    /// Sends a `GET` request for this target, and returns the whole answer.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Client::send).
    ///
    /// # Panics
    ///
    /// If the target would be refused on the wire.
    #[track_caller]
    pub fn get(&self, target: &str) -> io::Result<Answer> {
        self.send(target)
    }

    /// Sends a request, or a `GET` request for a target, and returns the whole answer. A request
    /// with `Expect: 100-continue` holds its body back until the server asks for it.
    ///
    /// # Errors
    ///
    /// `TimedOut` if the answer has not come whole within [`wait`](Client::wait), as that of an
    /// event stream never does; `UnexpectedEof` if the connection ended before the answer did;
    /// `InvalidData` if the answer breaks RFC 9112, or is no gzip although it says so, or has more
    /// than 256 MiB; `ConnectionRefused` if the server was stopped.
    ///
    /// # Panics
    ///
    /// If the target would be refused on the wire.
    #[track_caller]
    pub fn send(&self, request: impl Into<Request>) -> io::Result<Answer> {
        let request = request.into(); // A panic names the caller.
        self.connect()?.send(request)
    }

    /// Opens an event stream. `request` is a target, or a [`Request`] with more fields, such as
    /// `Last-Event-ID`.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Client::send), and `InvalidData` if the answer is no event stream: the
    /// error's text has its status and the beginning of its body.
    ///
    /// # Panics
    ///
    /// If the target would be refused on the wire.
    pub fn events(&self, request: impl Into<Request>) -> io::Result<Events> {
        Events::open(self.connect()?, request.into())
    }

    /// Opens a connection: for several requests on it, for bytes that are no valid request, or for
    /// another protocol behind an upgrade.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` if the server was stopped. Otherwise those of the system, if it has no
    /// descriptor or thread left.
    pub fn connect(&self) -> io::Result<ClientEnd> {
        let (ours, theirs) = Transport::pair()?;
        self.handle.take_in(theirs, Some(self.peer))?;
        Ok(ClientEnd::new(ours, self.wait, self.cookies.clone()))
    }

    /// The server's handle: its counts, and [`shutdown`](Handle::shutdown) with a grace.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.handle.shutdown(Duration::ZERO);
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
        if !self.handle.join(after(self.wait)) {
            eprintln!(
                "akurai-http: {:?} after a test's client was dropped, a handler still runs",
                self.wait
            );
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("handle", &self.handle)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

impl From<&str> for Request {
    /// A `GET` request for this target, as [`Request::new`] makes it for a test.
    ///
    /// # Panics
    ///
    /// If the target would be refused on the wire.
    #[track_caller]
    fn from(target: &str) -> Request {
        Request::new(crate::Method::Get, target)
    }
}
