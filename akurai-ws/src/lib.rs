//! The server's side of WebSocket (RFC 6455) for [`akurai_http`], on `std` alone: blocking, a thread for each connection.
//!
//! # A first handler
//!
//! [`upgrade`] answers the opening handshake and runs a closure that owns the connection. This one is an echo:
//!
//! ```
//! use akurai_http::{Reply, Request};
//!
//! fn echo(req: &Request) -> Reply {
//!     use akurai_ws::{upgrade, Message};
//!     // in a handler returning `akurai_http::Reply`:
//!     upgrade(req, |mut conn| {
//!         while let Some(msg) = conn.recv()? {
//!             match msg {
//!                 Message::Text(t) => conn.send_text(&t)?, // echo
//!                 Message::Binary(b) => conn.send_binary(&b)?,
//!                 Message::Close(_) => break,
//!                 _ => {}
//!             }
//!         }
//!         Ok(())
//!     })
//! }
//! # let _ = echo;
//! ```
//!
//! In a browser: `new WebSocket("ws://localhost:8090/api/ws")`.
//!
//! # What it does
//!
//! - The handshake: `Upgrade`, `Connection`, `Sec-WebSocket-Key` and `-Version` are checked to the letter, and the Origin
//!   of a page must be the server's own host unless [`WsOptions::any_origin`] says otherwise.
//! - Frames: a client's must be masked and in their shortest form; fragments are put together before you see a message.
//! - Text is checked to be UTF-8 as it arrives: the first wrong byte fails the connection.
//! - Pings are answered with pongs.
//! - Closing: a Close is echoed; a violation is answered with the Close that names it, then FIN, never a reset.
//! - One read and one write for a message that goes there and back.
//!
//! What it does not do: the client's side, TLS (an edge proxy ends that), extensions such as permessage-deflate.
//!
//! # How a connection ends
//!
//! | what happens | [`WsConn::recv`] | the peer sees | [`CloseInfo::code`] |
//! |---|---|---|---|
//! | the peer sends Close | `Message::Close`, then `Ok(None)` | its code and reason | its code; 1005 without one |
//! | it just ends | `Ok(None)` | – | 1006 |
//! | it breaks the protocol | `Err(Error::Violation)` | 1002, 1007, 1008 or 1009 | the same |
//! | the server stops | `Ok(None)` | 1001 | 1001 |
//! | [`WsConn::close`] | `Message::Close`, then `Ok(None)` | the given code | the same |
//! | the closure returns `Ok` | – | 1000 | – |
//! | it returns `Err`, or panics | – | 1011 | – |
//!
//! # Limits
//!
//! | what | default | beyond it | set by |
//! |---|---|---|---|
//! | message, reassembled | 16 MiB | 1009 at the header that shows it | [`WsOptions::max_message_bytes`] |
//! | data frame | 16 MiB | 1009 at its header | [`WsOptions::max_frame_bytes`] |
//! | frames of one message, empty ones counted | 131,072 | 1008 | [`WsOptions::max_fragments`] |
//! | control frame | 125 bytes | 1002 | RFC 6455 §5.5 |
//! | write deadline of a frame, anew with each MiB | 20 s | [`Error::WriteDeadline`] | fixed |
//! | wait for the peer's Close and FIN | 5 s | the socket is closed | fixed |
//! | bytes discarded meanwhile | 256 KiB | the socket is closed | fixed |
//! | read buffer, waiting / in a long frame | 4 KiB / 64 KiB | – | fixed |
//!
//! Nothing is allocated for a length that a peer claims: memory follows the bytes that came.
//!
//! # The public list
//!
//! [`upgrade`] · [`WsOptions`] · [`WsConn`] · [`Message`], [`CloseFrame`] · [`CloseInfo`] · [`Error`], [`Violation`]

#![forbid(unsafe_code)]

mod channel;
mod codec;
mod conn;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod message;
mod message_reader;
mod message_writer;
mod options;
mod prepared;
mod queue;
mod read;
mod receiver;
mod sender;
mod shared;
mod upgrade;
mod waits;
mod wire;

pub use conn::WsConn;
pub use error::{Error, Violation};
pub use message::{CloseFrame, CloseInfo, Kind, Message};
pub use message_reader::MessageReader;
pub use message_writer::MessageWriter;
pub use options::{WhenFull, WsOptions};
pub use prepared::Prepared;
pub use receiver::Receiver;
pub use sender::Sender;
pub use upgrade::upgrade;
