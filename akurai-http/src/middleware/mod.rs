//! Ready-made functions for [`Router::wrap`](crate::Router::wrap).
//!
//! A function that is wrapped later goes around the earlier ones. So wrap the log last: its
//! duration then includes all others.
//!
//! ```
//! use akurai_http::middleware::{self, Cors};
//! use akurai_http::{Response, Router};
//!
//! let router = Router::new()
//!     .get("/", |_| Response::text("hello\n"))
//!     .wrap(Cors::origins(["https://app.example"]).middleware())
//!     .wrap(middleware::security_headers())
//!     .wrap(middleware::server_timing())
//!     .wrap(middleware::access_log(|line| println!("{line}")));
//! # let _ = router;
//! ```
//!
//! They also get the server's own answers, where there is a request: see
//! [`Router::wrap`](crate::Router::wrap).
//!
//! The functions that set fields also set them on the head of an event stream. They leave a 101
//! (Switching Protocols) as it is: the bytes after it are no longer HTTP.

mod access_log;
mod cors;
mod cross_origin;
mod gzip;
mod rate_limit;
mod request_id;
mod security_headers;
mod timing;

use crate::{Reply, Response, Status};

pub use access_log::{LogLine, access_log};
pub use cors::Cors;
pub use cross_origin::CrossOriginProtection;
pub use gzip::Gzip;
pub use rate_limit::RateLimit;
pub use request_id::{RequestId, request_id};
pub use security_headers::security_headers;
pub use timing::server_timing;

/// The head, if fields may be added to it.
fn http_head(reply: &mut Reply) -> Option<&mut Response> {
    let response = reply.response_mut();
    (response.status() != Status::SWITCHING_PROTOCOLS).then_some(response)
}

/// Adds a field whose name and value are known to be well-formed.
fn add(response: &mut Response, name: &str, value: &str) {
    response
        .headers_mut()
        .append(name, value.as_bytes())
        .expect("the name is a constant, and the value was checked");
}
