//! The connection as an application holds it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::message::{CloseInfo, Kind, Message};
use crate::read::message_reader::MessageReader;
use crate::read::reader::Reader;
use crate::read::receiver::{Lent, Receiver};
use crate::write::message_writer::MessageWriter;
use crate::write::prepared::Prepared;
use crate::write::sender::Sender;

/// A WebSocket connection, open until either side closes it.
///
/// It belongs to the closure given to [`upgrade`](crate::upgrade). When the closure returns `Ok`,
/// the connection is closed with 1000, or with 1001 if the server is stopping. After an `Err` or a
/// panic it is closed with 1011. If it is closing already, that close is completed. In each case
/// our Close goes out behind everything that was sent before it. Then the peer's Close is awaited
/// for at most 5 s, while everything that the peer still sends is discarded, and then the socket is
/// closed (RFC 6455 §7.1; [`WsOptions::close_wait`](crate::WsOptions::close_wait)).
///
/// The closure may also give the connection to another thread and return. The connection is then
/// closed, in the same way, when it is dropped.
///
/// One thread receives. Any number of threads may send meanwhile, each through its own
/// [`sender`](Self::sender).
pub struct WsConn {
    receiver: Receiver,
    sender: Sender,
}

impl WsConn {
    /// The next message, in the order in which the peer sent them. Waits for it as long as the
    /// connection lives.
    ///
    /// Fragments are put together, text is checked to be UTF-8, and a ping has been answered before
    /// it is returned. A peer's Close is echoed and returned once, as [`Message::Close`]. After it,
    /// and when the connection ends without a Close, `recv` returns `Ok(None)`.
    /// [`close_info`](Self::close_info) tells the two apart.
    ///
    /// While `recv` waits, it asks a silent peer whether it is alive
    /// ([`WsOptions::ping_interval`](crate::WsOptions::ping_interval)). If the peer does not
    /// answer, `recv` returns `Ok(None)`, and the close code is 1006. Time that passes outside of
    /// `recv` does not count against a peer.
    ///
    /// After our own [`close`](Self::close), everything that the peer sends before its Close is
    /// discarded, and the Close is awaited for at most 5 s. The same happens when
    /// [`WsOptions::idle_timeout`](crate::WsOptions::idle_timeout) or
    /// [`max_lifetime`](crate::WsOptions::max_lifetime) is over, and when the server stops: the
    /// peer was then sent 1001.
    ///
    /// # Errors
    ///
    /// [`Error::Violation`] when the peer breaks the protocol: the peer was sent a Close with the
    /// right code (RFC 6455 §7.4.1). [`Error::WriteDeadline`] when the peer does not take our pong
    /// within 20 s, and [`Error::Io`] when the socket fails.
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        self.receiver.recv()
    }

    /// As [`recv`](Self::recv), but waits for at most `wait`, and then returns [`Error::Timeout`].
    /// The connection stays as it was: the part of a message that has come is kept for the next
    /// call of any receiving method. With a wait of zero, it takes what has already come.
    ///
    /// If the wait differs from one call to the next, each call costs one more system call.
    pub fn recv_timeout(&mut self, wait: Duration) -> Result<Option<Message>, Error> {
        self.receiver.recv_timeout(wait)
    }

    /// The next data message, which replaces the content of `buffer`. No memory is allocated if the
    /// message fits into it. Pings are answered and pongs are skipped. At a Close, and at any other
    /// end, this returns `Ok(None)`; [`close_info`](Self::close_info) tells which. The bytes of a
    /// [`Kind::Text`] are UTF-8.
    ///
    /// ```
    /// use akurai_ws::{Error, Kind, WsConn};
    ///
    /// fn count_bytes(mut conn: WsConn) -> Result<usize, Error> {
    ///     let (mut buffer, mut bytes) = (Vec::new(), 0);
    ///     while let Some(_kind) = conn.recv_into(&mut buffer)? {
    ///         bytes += buffer.len();
    ///     }
    ///     Ok(bytes)
    /// }
    /// # let _ = count_bytes;
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn recv_into(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Kind>, Error> {
        self.receiver.recv_into(buffer)
    }

    /// Waits for the next data message to begin, and reads it as it comes, so that it is never
    /// held whole. At most 64 KiB of it are in memory at a time, and 128 KiB of the content of a
    /// compressed message. Control frames that come meanwhile are treated as in
    /// [`recv_into`](Self::recv_into).
    ///
    /// The limits hold. For messages longer than 16 MiB, raise
    /// [`WsOptions::max_message_bytes`](crate::WsOptions::max_message_bytes) and, for peers that do
    /// not fragment, [`max_frame_bytes`](crate::WsOptions::max_frame_bytes). Perhaps raise
    /// [`message_deadline`](crate::WsOptions::message_deadline) too.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn recv_stream(&mut self) -> Result<Option<MessageReader<'_>>, Error> {
        self.receiver.recv_stream()
    }

    /// Sends a text message as one frame, in one write. The peer must take the frame within 20 s,
    /// and each MiB of a longer one within 20 s. Otherwise this is [`Error::WriteDeadline`].
    /// [`Sender::send_text`] lists all errors.
    pub fn send_text(&self, text: &str) -> Result<(), Error> {
        self.sender.send_text(text)
    }

    /// Sends a binary message as one frame, as [`send_text`](Self::send_text) does.
    pub fn send_binary(&self, bytes: &[u8]) -> Result<(), Error> {
        self.sender.send_binary(bytes)
    }

    /// Sends a message that was already encoded, as [`send_text`](Self::send_text) does.
    pub fn send_prepared(&self, message: &Prepared) -> Result<(), Error> {
        self.sender.send_prepared(message)
    }

    /// Sends a ping with up to 125 bytes, which come back in the peer's pong (RFC 6455 §5.5.2).
    pub fn send_ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.sender.send_ping(payload)
    }

    /// Begins a message that is sent in fragments, as [`Sender::send_stream`] does.
    pub fn send_stream(&self, kind: Kind) -> Result<MessageWriter, Error> {
        self.sender.send_stream(kind)
    }

    /// Sends the messages that [`WsOptions::join_sends`](crate::WsOptions::join_sends) holds back,
    /// and those that [`Sender::post_later`] left in the queue. Without these two there is never
    /// anything to flush. Call it in a handler that is about to do something other than receive.
    ///
    /// # Errors
    ///
    /// Those of [`Sender::send_text`]. Also [`Error::Closed`] if a Close has been sent meanwhile:
    /// the messages held back went out in front of it, unless the connection failed.
    pub fn flush(&self) -> Result<(), Error> {
        self.sender.flush()
    }

    /// Sends Close with a code and a reason of at most 123 bytes, and does not wait. Nothing can be
    /// sent after it. [`recv`](Self::recv) goes on until the peer's Close. On a connection that is
    /// closing or closed already this does nothing.
    ///
    /// Usual codes are 1000, 1001 for a server that goes away, 1008 for a breach of a policy, 1011
    /// for a fault in the server, and 3000–4999 for the application's own. 1004–1006, 1015 and all
    /// codes that RFC 6455 §7.4 leaves undefined are refused with [`Error::CloseCode`].
    pub fn close(&self, code: u16, reason: &str) -> Result<(), Error> {
        self.sender.close(code, reason)
    }

    /// The sending half, for another thread. It does not keep the connection open.
    ///
    /// ```
    /// use std::time::Duration;
    /// use akurai_ws::{Error, WsConn};
    ///
    /// fn tick_while_listening(mut conn: WsConn) -> Result<(), Error> {
    ///     let sender = conn.sender();
    ///     std::thread::spawn(move || {
    ///         // Until the connection is closed.
    ///         while sender.send_text("tick").is_ok() {
    ///             std::thread::sleep(Duration::from_secs(1));
    ///         }
    ///     });
    ///     while let Some(message) = conn.recv()? {
    ///         println!("{message:?}");
    ///     }
    ///     Ok(())
    /// }
    /// # let _ = tick_while_listening;
    /// ```
    pub fn sender(&self) -> Sender {
        self.sender.of_others()
    }

    /// Both halves, for a program that gives them to different owners.
    pub fn split(self) -> (Receiver, Sender) {
        // The thread that gets the sender may not be the thread that waits in `recv`.
        let _ = self.sender.flush();
        (self.receiver, self.sender.of_others())
    }

    /// How the connection ended, or is ending: `None` while it is open.
    pub fn close_info(&self) -> Option<CloseInfo> {
        self.sender.close_info()
    }

    /// The subprotocol that both sides speak: see
    /// [`WsOptions::subprotocols`](crate::WsOptions::subprotocols).
    pub fn subprotocol(&self) -> Option<&str> {
        self.sender.subprotocol()
    }

    /// The connection, and the place that it comes back to.
    pub(crate) fn lend(reader: Box<Reader>) -> (Self, Lent) {
        let sender = Sender::of_receiver(Arc::clone(reader.outbox()));
        let (receiver, lent) = Receiver::lend(reader);
        (Self { receiver, sender }, lent)
    }
}

impl fmt::Debug for WsConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsConn")
            .field("close_info", &self.close_info())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn may_be_given_to_another_thread() {
        fn check<T: Send>() {}
        check::<WsConn>();
    }
}
