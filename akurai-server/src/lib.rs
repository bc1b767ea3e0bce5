//! One event to many, on top of `akurai-http` and `akurai-ws`; and the demo of all three.
//!
//! A [`Hub`] has topics. [`Hub::publish`] gives an event to everybody who subscribed to one: event streams by [`Hub::sse`],
//! whose connections are parked and cost no thread, and WebSockets by [`Hub::join`]. Each event has an [`EventId`], which a
//! browser sends back when it lost its connection, so that it gets what it missed. Events live in the hub itself, or in an
//! [`Engine`] that several nodes share: [`Memory`] within a process, [`Redis`] between processes.
//!
//! The demo's routes are [`app`], to embed or to test:
//!
//! ```no_run
//! # fn main() -> std::io::Result<()> {
//! let hub = akurai_server::Hub::new(akurai_server::HubOptions::default())?;
//! akurai_http::Server::bind("127.0.0.1:8090")?.run(akurai_server::app(&hub))
//! # }
//! ```
//!
//! [`guide`] has pages about building a program, deploying, sizing, migrating, security and
//! who may follow an event stream.

#![forbid(unsafe_code)]

mod demo;
mod engine;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(any(doc, doctest))]
pub mod guide;
mod hub;

pub use demo::{Publisher, app, metrics};
pub use engine::{
    Batch, Engine, Event, EventId, EventIdError, Memory, Redis, RedisOptions, shard_of,
};
pub use hub::{History, Hub, HubOptions, HubStats, Membership, Retention};

#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
struct Readme;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct CrateReadme;
