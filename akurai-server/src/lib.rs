//! Sends one event to many clients, on top of `akurai-http` and `akurai-ws`.
//!
//! A [`Hub`] has topics. [`Hub::publish`] gives an event to every subscriber of its topic: to event
//! streams, which [`Hub::sse`] opens and whose connections are parked and cost no thread, and to
//! WebSockets, which [`Hub::join`] adds. Each event has an [`EventId`]. A browser that lost its
//! connection sends back the last id it saw, and gets the events it missed. Events live in the hub
//! itself, or in an [`Engine`] that several nodes share: [`Memory`] within a process, [`Redis`]
//! between processes.
//!
//! ```no_run
//! use akurai_http::{Router, Server};
//! use akurai_server::{Hub, HubOptions};
//!
//! # fn main() -> std::io::Result<()> {
//! let hub = Hub::new(HubOptions::default())?;
//! let app = Router::new().get("/news", move |req| hub.sse(req, &["news"]));
//! Server::bind("127.0.0.1:8090")?.run(app)
//! # }
//! ```
//!
//! For any server, [`stop_on_signals`] ends it on Ctrl-C and SIGTERM, and [`Metrics`] shows
//! durations and counts to Prometheus.
//!
//! The program `akurai-server` is a demo of all three crates. This library contains no part of it.
//!
//! [`guide`] has pages about building a program, deploying, proxies, TLS, sizing, limits,
//! migrating, security and authorising an event stream.

mod clock;
mod engine;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(any(doc, doctest))]
pub mod guide;
mod hub;
mod lock;
mod metrics;
#[cfg(test)]
#[path = "../../tests/model/scheduler.rs"]
#[allow(dead_code, reason = "other crates use the rest")]
mod model;
#[allow(unsafe_code)]
mod signals;

pub use engine::{Batch, Engine, Event, EventId, Memory, Redis, RedisOptions};
pub use hub::{History, Hub, HubOptions, HubStats, Membership, Retention};
pub use metrics::Metrics;
#[cfg(unix)]
pub use signals::on_hangup;
pub use signals::stop_on_signals;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
