//! The tools of the integration tests: a server on its own port, a raw client with a deadline on
//! every wait, frames and DEFLATE blocks made by hand, an event stream parser that follows the
//! standard, a seeded source of random numbers.
//!
//! All of it runs over a session too, with `AKURAI_TEST_SESSION=1`: see [`is_over_session`].
//!
//! Of the crates under test it uses only the public server. The client reads responses, chunks,
//! frames, compressed messages and events with code that shares nothing with the crates, so that
//! two bugs cannot cancel each other out. It reads strictly: a response that only a lenient client
//! would accept fails the test.
//!
//! Every failure is a panic at the caller's line. No call waits longer than [`DEADLINE`], unless
//! the caller sets another deadline.

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
mod program;
mod random;
mod server;
mod session;
mod stream;
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
pub use program::this_program;
pub use random::Random;
pub use server::TestServer;
pub use session::{SessionInfo, TestSession};
pub use stream::{TestSocket, TestStream, as_switched, is_over_session};
pub use temp::{TempDir, set_modified};
pub use websocket::{ACCEPT, KEY, WsClient, handshake};

use std::io::ErrorKind;
use std::time::Duration;

use akurai_http::Limits;

/// Whether a blocking write failed because the connection is gone. Wine 8 says that a write which
/// waited for room when the reset came wrote nothing.
pub fn is_gone(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => true,
        ErrorKind::ConnectionAborted | ErrorKind::WriteZero => cfg!(windows),
        _ => false,
    }
}

/// How long a wait may take before the test fails, unless the client has another deadline: 5 s, or
/// as many times that as `AKURAI_TEST_PATIENCE` says when the tests are built, for machines that
/// are slow. An emulator of another processor is one.
pub const DEADLINE: Duration = Duration::from_secs(5 * patience());

/// The default limits. On a slow machine the deadline of a head is as many times longer as
/// [`DEADLINE`] is: a test that sends 40,000 bytes one by one may take longer than 10 s there.
pub fn patient_limits() -> Limits {
    Limits::default().head_deadline(2 * DEADLINE)
}

const fn patience() -> u64 {
    let Some(times) = option_env!("AKURAI_TEST_PATIENCE") else {
        return 1;
    };
    match u64::from_str_radix(times, 10) {
        Ok(times) if times > 0 => times,
        _ => panic!("AKURAI_TEST_PATIENCE is a whole number"),
    }
}

#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
struct Readme;
