//! Ready-made functions for [`Router::wrap`](crate::Router::wrap).
//!
//! What is wrapped later goes around what was wrapped before, so the log comes last: it then counts all the others.
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
//! They get the server's own answers too, where there is a request: see
//! [`Router::wrap`](crate::Router::wrap).
//!
//! Those that set fields set them on the head of an event stream too. They leave a 101 (Switching Protocols) as it is:
//! what follows it is no longer HTTP.

mod access_log;
mod cors;
mod gzip;
mod security_headers;
mod timing;

use crate::{Reply, Response, Status};

pub use access_log::{LogLine, access_log};
pub use cors::Cors;
pub use gzip::Gzip;
pub use security_headers::security_headers;
pub use timing::server_timing;

/// The head that fields may be added to.
fn http_head(reply: &mut Reply) -> Option<&mut Response> {
    let response = reply.response_mut();
    (response.status() != Status::SWITCHING_PROTOCOLS).then_some(response)
}

/// Adds a field whose name and value are known to be well-formed.
fn add(response: &mut Response, name: &str, value: &str) {
    response
        .add_header(name, value.as_bytes())
        .expect("the name is a constant, and the value was checked");
}
