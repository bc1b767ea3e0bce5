//! A blocking HTTP/1.1 server on `std` alone, with a thread for each connection, made for live
//! connections.
//!
//! # From the top
//!
//! ```no_run
//! use akurai_http::{Request, Response, Router, Server, sse};
//! use std::time::Duration;
//!
//! fn shout(req: &Request) -> std::io::Result<Response> {
//!     Ok(Response::text(req.body()?.to_ascii_uppercase()))
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     let app = Router::new()
//!         .get("/", |_| Response::text("hello\n"))
//!         .get("/users/{id}", |req| Response::text(req.param("id").unwrap()))
//!         .post("/shout", shout)
//!         .get("/events", |_| {
//!             sse(|mut sink| {
//!                 for n in 1.. {
//!                     sink.event("tick", &n.to_string())?;
//!                     sink.wait(Duration::from_secs(1))?;
//!                 }
//!                 Ok(())
//!             })
//!         });
//!     Server::bind("127.0.0.1:8090")?.run(app)
//! }
//! ```
//!
//! A [`Server`] gives each [`Request`] to an [`App`], usually a [`Router`]. The app returns a
//! [`Reply`]: a [`Response`], or an [`Upgrade`], which takes the connection out of HTTP and hands
//! its socket to a closure. [`sse`] is such an upgrade; `akurai-ws` has another. The closure keeps
//! the connection's thread until it returns, and the server starts another thread for the next
//! connection. Where many connections are busy at once, few threads serve them all, without a
//! switch of threads for each request. So a handler may find itself on another thread with the next
//! request of the same connection: what belongs to a connection does not belong into a
//! `thread_local!`.
//!
//! The crate also has [`middleware`] (access log, CORS, cross-origin protection, gzip, limits for
//! each client address, request ids, security headers, timing), Basic and Bearer credentials
//! ([`Request::basic_credentials`], [`Request::bearer_token`]), signed values ([`Signer`]),
//! [`Cookie`]s, forms ([`Request::form`], [`Request::multipart`]), static files ([`Files`],
//! [`Response::file`]), conditions for answers that are no files ([`Response::etag`],
//! [`Request::check_preconditions`]), interim answers ([`Request::early_hints`]), a look whether
//! the client is still there ([`Request::client_left`]), a client's address and scheme behind
//! proxies ([`TrustedProxies`]), a server's counts ([`Handle::stats`]), the program's own failures
//! ([`Server::on_error`]), and a client that tests an app without a port ([`testing`]).
//!
//! The library's own errors are a line of text, or problem+json (RFC 9457: `type` about:blank,
//! `title`, `status`, `detail`) for a client whose `Accept` gives JSON a greater weight than text,
//! or names it with the same weight. Both have `Vary: Accept` (RFC 9110 §12.5.5). If a head is
//! refused, no field of it counts, and the answer is text; so is the 503 for a connection without a
//! place.
//!
//! # What it promises
//!
//! - **Strict.** The server refuses a request that two parsers could read differently
//!   (RFC 9112 §11.2): bare LF, obs-fold, a repeated or malformed `Content-Length`, a
//!   `Transfer-Encoding` that is not exactly `chunked`. See [`RequestError`].
//! - **Bounded.** Every size, count and wait has a limit in [`Limits`], with its default and unit.
//!   Memory use follows the bytes that arrived, never a length that a client claims.
//! - **Nothing is lost.** Each connection has one read buffer. The server answers pipelined
//!   requests in order, and bytes that came behind an upgrade's request reach its closure. The
//!   server writes the answers to pipelined requests together, so an answer may wait for the
//!   handler of the next request.
//! - **A panic costs one connection.** The client gets a 500, or an aborted connection if the
//!   answer was on its way. The server and its other connections go on. With `panic = "abort"`, a
//!   panic ends the process.
//!
//! # What it leaves out
//!
//! For HTTP/2 and HTTP/3, put a proxy in front (nginx, Caddy, HAProxy). The proxy speaks TLS too;
//! or your program brings a TLS library as a [`Session`]. There is no async runtime, no template
//! engine, no JSON: bring your own. Nothing is encrypted, and no password is hashed: SHA-256 and
//! HMAC are here for signed values alone.

#![forbid(unsafe_code)]

mod codec;
mod files;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod io;
mod message;
pub mod middleware;
mod router;
mod serve;
mod sse;
pub mod testing;
mod values;

pub use codec::constant_time::constant_time_eq;
pub use io::stats::{ConnectionState, ConnectionStats, Stats};
pub use message::app::App;
pub use message::body_writer::BodyWriter;
/// How to run the program's code and print its text, for our own crates. Its names may change in
/// any version.
#[doc(hidden)]
pub mod program {
    pub use crate::codec::json::one_line;
    pub use crate::io::contain::contain;
}
/// DEFLATE (RFC 1951), for our own crates. Its names may change in any version.
#[doc(hidden)]
pub mod deflate {
    pub use crate::codec::deflate::{
        Deflate, Flush, Inflate, InflateError, Inflated, Level, inflate,
    };
}
pub use codec::deflate::Level;
pub use files::Files;
pub use io::failure::{Failure, FailureKind};
pub use io::limits::Limits;
pub use io::session::Session;
pub use io::upgraded::{Socket, Upgraded};
pub use message::cookie::{Cookie, SameSite};
pub use message::form::Pairs;
pub use message::headers_mut::HeadersMut;
pub use message::multipart::{Multipart, Part};
pub use message::proxies::TrustedProxies;
pub use message::reply::{IntoReply, Reply, Upgrade};
pub use message::request::{BodyReader, Request};
pub use message::response::Response;
pub use message::signer::{SignatureError, SignedValue, Signer};
pub use router::Router;
pub use serve::server::{Handle, Server};
pub use sse::event::{SseEvent, last_event_id};
pub use sse::options::SseOptions;
pub use sse::sink::{SseSink, event_stream, sse};
pub use values::error::{HeaderError, RequestError};
pub use values::form_error::FormError;
pub use values::headers::Headers;
pub use values::method::Method;
pub use values::status::Status;
pub use values::version::Version;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
