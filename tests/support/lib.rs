//! What the integration tests stand on: a server on a port of its own, a raw client with a deadline
//! on every wait, frames and DEFLATE blocks built by hand, an event stream parser by the book, a
//! seeded source of numbers.
//!
//! Of the crates under test it uses the public server alone. Responses, chunks, frames, compressed
//! messages and events are read here by code that shares nothing with theirs, so that two bugs
//! cannot cancel each other out. What it reads it reads strictly: a response that a lenient client
//! would have taken is a failed test.
//!
//! Everything that fails does so by a panic at the caller's line; nothing here waits for longer
//! than [`DEADLINE`] unless it is told to.

mod answer;
mod client;
mod date;
pub mod deflate;
mod deflate_client;
mod events;
mod frame;
mod gate;
mod names;
mod poll;
mod random;
mod server;
mod temp;
mod websocket;

pub use answer::{Answer, Framing};
pub use client::{Client, End, ReadError};
pub use date::{http_dates, imf_fixdate_seconds, unix_seconds_now};
pub use deflate_client::{Agreement, DeflateClient, Received, offering};
pub use events::{Dispatched, EventStream};
pub use frame::{Frame, LengthForm, Opcode, ServerFrame};
pub use gate::{Gate, Waiter};
pub use names::shown;
pub use poll::eventually;
pub use random::Random;
pub use server::TestServer;
pub use temp::{TempDir, set_modified};
pub use websocket::{ACCEPT, KEY, WsClient, handshake};

use std::time::Duration;

/// How long a wait may take before the test fails, unless the client was told otherwise: 5 s.
pub const DEADLINE: Duration = Duration::from_secs(5);
