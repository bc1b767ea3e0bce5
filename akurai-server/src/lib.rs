//! The demo server of the akurai crates, as a library: its routes, to embed or to test.
//!
//! ```no_run
//! # fn main() -> std::io::Result<()> {
//! let hub = akurai_server::Hub::new(akurai_server::HubOptions::default())?;
//! akurai_http::Server::bind("127.0.0.1:8090")?.run(akurai_server::app(&hub))
//! # }
//! ```

#![forbid(unsafe_code)]

mod app;
mod chat;
mod dashboard;
mod engine;
mod hub;
mod metrics;

pub use app::app;
pub use dashboard::Publisher;
pub use engine::{Batch, Engine, Event, EventId, EventIdError, Memory};
pub use hub::{Hub, HubOptions, Membership};
pub use metrics::metrics;

#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
struct Readme;
