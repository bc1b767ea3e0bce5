//! The server's side of WebSocket (RFC 6455) for [`akurai_http`], on `std` alone: blocking, one
//! thread per connection.
//!
//! # A first handler
//!
//! [`upgrade`] answers the opening handshake and runs a closure that owns the connection. This
//! handler is an echo:
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
//! - The handshake: `Upgrade`, `Connection`, `Sec-WebSocket-Key` and `-Version` are checked to the
//!   letter. The Origin of a page must be the server's own host, unless
//!   [`WsOptions::allow_origins`] or [`WsOptions::any_origin`] admits it. Of the
//!   [subprotocols](WsOptions::subprotocols) that both sides speak, the server chooses the one that
//!   it prefers.
//! - Frames: a client's frames must be masked, and their lengths in the shortest form. Fragments
//!   are put together before the application sees a message.
//! - Text is checked to be UTF-8 as it arrives. The first wrong byte fails the connection.
//! - Pings are answered with pongs, and a silent peer is asked by a ping whether it is alive.
//! - Closing: a Close is echoed. A violation is answered with the Close that names it, and then
//!   with FIN, never with a reset.
//! - A short message that goes there and back costs one read and one write. If
//!   [`WsOptions::join_sends`] asks for it, the answers to all messages that came together cost one
//!   write.
//!
//! - Compression, if [`WsOptions::deflate`] asks for it: permessage-deflate (RFC 7692), written by
//!   hand and bounded.
//!
//! The crate does not do the client's side, TLS (a proxy in front of the server does, or an
//! [`akurai_http::Session`] under it), or any other extension.
//!
//! # To send while another thread receives
//!
//! [`WsConn::sender`] gives a [`Sender`], which any thread may clone and hold. This handler sends a
//! tick each second, whatever the peer sends:
//!
//! ```
//! # fn ticker(req: &akurai_http::Request) -> akurai_http::Reply {
//! # use akurai_ws::upgrade;
//! upgrade(req, |mut conn| {
//!     let sender = conn.sender();
//!     std::thread::spawn(move || {
//!         // It does not keep the connection open: once that has ended, sending fails.
//!         while sender.send_text("tick").is_ok() {
//!             std::thread::sleep(std::time::Duration::from_secs(1));
//!         }
//!     });
//!     while let Some(_message) = conn.recv()? {}
//!     Ok(())
//! })
//! # }
//! # let _ = ticker;
//! ```
//!
//! Frames never interleave, and the messages of one thread arrive in its order. To send the same
//! message to many peers, encode it once as [`Prepared`], and [`post`](Sender::post) it. The
//! examples have an echo, a chat between browsers, a ticker, and an upload that reports its
//! progress.
//!
//! # Messages larger than one wants to hold
//!
//! [`WsConn::recv_stream`] reads a message as it comes, through [`Read`](std::io::Read).
//! [`Sender::send_stream`] writes a message in fragments, through [`Write`](std::io::Write).
//! [`WsConn::recv_into`] receives each message into the same buffer.
//!
//! # How a connection ends
//!
//! | what happens | [`WsConn::recv`] | the peer sees | [`CloseInfo::code`] |
//! |---|---|---|---|
//! | the peer sends Close | `Message::Close`, then `Ok(None)` | its code and reason | its code; 1005 without one |
//! | it ends the connection without Close | `Ok(None)` | – | 1006 |
//! | it answers no ping | `Ok(None)` | – | 1006 |
//! | it does not take what is sent | `Ok(None)`; [`Error::WriteDeadline`] from the send | – | 1006 |
//! | too much waits for it | `Message::Close`, then `Ok(None)`; [`Error::Slow`] from the send | 1008 | 1008 |
//! | it breaks the protocol | `Err(Error::Violation)` | 1002, 1007, 1008 or 1009 | the same |
//! | it is idle, or the connection old | `Message::Close`, then `Ok(None)` | 1001 | 1001 |
//! | the server stops | `Message::Close`, then `Ok(None)` | 1001 | 1001 |
//! | [`Sender::close`] | `Message::Close`, then `Ok(None)` | the given code | the same |
//! | the closure returns `Ok` | – | 1000 | – |
//! | it returns [`Error::close`] | – | the given code | – |
//! | it returns another `Err`, or panics | – | 1011 | – |
//!
//! If the peer does not answer our Close in time, no `Message::Close` comes before the `Ok(None)`.
//!
//! Everything that was sent before our Close arrives, and the Close too, even if the peer is in the
//! middle of sending. A socket that is closed with unread bytes resets the connection, and a reset
//! may overtake bytes that are on their way. So the server reads and discards what the peer still
//! sends, in any amount, until the peer's Close and FIN have come (RFC 6455 §7.1.1), for at most
//! [`WsOptions::close_wait`]. The server does not wait if nothing can be delivered: after a write
//! that failed, and when the peer is gone. It does not wait for the FIN either if both Closes have
//! come and gone, no more bytes are there, and the connection has sent so little, 14,600 bytes with
//! its head, that all of it has left this machine. A peer that sends something behind its own Close
//! may then see a reset in place of our Close, and of the messages that it has not read yet. RFC
//! 6455 forbids it only data frames there (§5.5.1); no client that we know sends a Ping or Pong
//! either. Under a session, the server always waits.
//!
//! A server that stops tells each peer in the same way, and waits for the answer. A busy handler
//! may still send what it has. Its next `recv` first gives the messages that have already come, for
//! at most `close_wait`. After the grace of [`Handle::shutdown`](akurai_http::Handle::shutdown),
//! the server cuts off every connection that is left.
//!
//! # Limits
//!
//! | what | default | beyond it | set by |
//! |---|---|---|---|
//! | message, reassembled and decompressed | 16 MiB | 1009 at the header or the byte that shows it | [`WsOptions::max_message_bytes`] |
//! | data frame | 16 MiB | 1009 at its header | [`WsOptions::max_frame_bytes`] |
//! | compression, if [`WsOptions::deflate`] switches it on | messages from 512 bytes; the client may keep its context, ours is not kept | sent uncompressed | [`Deflate`] |
//! | frames of one message, empty ones counted | 131,072 | 1008 | [`WsOptions::max_fragments`] |
//! | control frame | 125 bytes | 1002 | RFC 6455 §5.5 |
//! | message, from its first byte to its end | 60 s | 1008 | [`WsOptions::message_deadline`] |
//! | silence before a ping | 20 s | a ping is sent | [`WsOptions::ping_interval`] |
//! | wait for any byte after the ping | 20 s, and a second for each KiB in front of the ping | dropped, 1006 | [`WsOptions::pong_wait`] |
//! | silence without any part of a data message | none | 1001 | [`WsOptions::idle_timeout`] |
//! | age of a connection | none | 1001 | [`WsOptions::max_lifetime`] |
//! | write deadline of a frame, and again of each MiB | 20 s | [`Error::WriteDeadline`], dropped | [`WsOptions::write_deadline`] |
//! | queue while another thread writes | 1 MiB, 1024 messages | [`Error::Slow`], 1008 | [`WsOptions::max_queue_bytes`], [`max_queue_messages`](WsOptions::max_queue_messages), [`when_full`](WsOptions::when_full) |
//! | wait for the peer's Close and FIN; bytes that come meanwhile are discarded | 5 s | the socket is closed | [`WsOptions::close_wait`] |
//! | read buffer: at first / after a read has filled it / in a long frame | 1 KiB / 4 KiB / 64 KiB | – | fixed |
//! | read buffers of 64 KiB kept for reuse, in the whole process | 16 | freed | fixed |
//! | messages held back to go out together | 16 KiB | sent at once | [`WsOptions::join_sends`] |
//! | queue's buffer while nothing waits | 4 KiB | – | fixed |
//!
//! Waits for the peer count only while the application is in `recv`: a peer is not blamed for the
//! time that a handler spends elsewhere. The opening handshake is a request, with the deadlines of
//! [`akurai_http::Limits`]. Nothing is allocated for a length that a peer claims: memory follows
//! the bytes that came.
//!
//! # The public list
//!
//! [`upgrade`] · [`WsOptions`], [`WhenFull`], [`Deflate`] · [`WsConn`], [`Sender`] · [`Message`],
//! [`Kind`], [`CloseFrame`] · [`MessageReader`], [`MessageWriter`], [`Prepared`] · [`CloseInfo`] ·
//! [`Error`], [`Violation`] · [`testing::Peer`]

#![forbid(unsafe_code)]

mod codec;
mod conn;
mod deflate;
mod error;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod lock;
mod message;
mod options;
mod pause;
mod read;
mod settings;
pub mod testing;
mod upgrade;
mod write;

pub use conn::WsConn;
pub use deflate::Deflate;
pub use error::{Error, Violation};
pub use message::{CloseFrame, CloseInfo, Kind, Message};
pub use options::WsOptions;
pub use read::message_reader::MessageReader;
pub use settings::WhenFull;
pub use upgrade::upgrade;
pub use write::message_writer::MessageWriter;
pub use write::prepared::Prepared;
pub use write::sender::Sender;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
