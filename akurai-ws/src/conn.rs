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

/// A WebSocket connection, open until it is closed from either side.
///
/// It belongs to the closure given to [`upgrade`](crate::upgrade). When that returns `Ok`, the connection is closed with
/// 1000, or with 1001 if the server is stopping; after an `Err` or a panic with 1011; and if it is closing already, that
/// is completed. In each case our Close goes out behind what was sent before, the peer's is awaited for 5 s at most while
/// what it still sends is discarded, and then the socket is closed (RFC 6455 §7.1;
/// [`WsOptions::close_wait`](crate::WsOptions::close_wait)).
///
/// A closure may also give it away to another thread, and return: then it is closed so where it is dropped.
///
/// One thread receives; any number may send meanwhile, each through its own [`sender`](Self::sender).
pub struct WsConn {
    receiver: Receiver,
    sender: Sender,
}

impl WsConn {
    /// The next message, in the order of the wire; waits for it as long as the connection lives.
    ///
    /// Fragments are put together, text is checked to be UTF-8, and a ping was answered before it is returned. A peer's
    /// Close is echoed and comes once, as [`Message::Close`]; after it, and when the connection just ends, this is
    /// `Ok(None)`, and [`close_info`](Self::close_info) says which it was.
    ///
    /// While it waits, it asks a silent peer whether it is alive
    /// ([`WsOptions::ping_interval`](crate::WsOptions::ping_interval)); one that does not answer has left, and this is
    /// `Ok(None)` with 1006. Time that passes outside of `recv` is not held against a peer.
    ///
    /// After our own [`close`](Self::close), whatever the peer sent before its Close is discarded,
    /// and that is awaited for 5 s at most. The same when
    /// [`WsOptions::idle_timeout`](crate::WsOptions::idle_timeout) or
    /// [`max_lifetime`](crate::WsOptions::max_lifetime) is over, and when the server stops: the
    /// peer was sent 1001 then.
    ///
    /// # Errors
    ///
    /// [`Error::Violation`] when the peer breaks the protocol: it was sent Close with the right code (RFC 6455 §7.4.1).
    /// [`Error::WriteDeadline`] when it does not take our pong within 20 s, and [`Error::Io`] when the socket fails.
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        self.receiver.recv()
    }

    /// As [`recv`](Self::recv), but waits for `wait` at most, and then gives [`Error::Timeout`]. The connection is as it
    /// was: what has come of a message is kept for the next call, of this or of any other. With a wait of zero, it takes
    /// what is there.
    ///
    /// Where the wait differs from one call to the next, each costs one system call more.
    pub fn recv_timeout(&mut self, wait: Duration) -> Result<Option<Message>, Error> {
        self.receiver.recv_timeout(wait)
    }

    /// The next data message, put into `buffer` instead of what was there; no memory is allocated if that has room for it.
    /// Pings are answered, pongs are passed over, and at a Close, as at any other end, this is `Ok(None)`:
    /// [`close_info`](Self::close_info) tells which. Of a [`Kind::Text`] the bytes are UTF-8.
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

    /// Waits for the next data message to begin, and reads it as it comes, so that nobody need hold it whole: at most
    /// 64 KiB of it are here at a time, and of a compressed one 128 KiB of what it says. Control frames meanwhile are treated as
    /// in [`recv_into`](Self::recv_into).
    ///
    /// The limits hold: for longer messages than 16 MiB, raise
    /// [`WsOptions::max_message_bytes`](crate::WsOptions::max_message_bytes) and, for peers that do not fragment,
    /// [`max_frame_bytes`](crate::WsOptions::max_frame_bytes); and perhaps
    /// [`message_deadline`](crate::WsOptions::message_deadline).
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn recv_stream(&mut self) -> Result<Option<MessageReader<'_>>, Error> {
        self.receiver.recv_stream()
    }

    /// Sends a text message as one frame, in one write. The peer must take it within 20 s, and a longer one each MiB of
    /// it; else this is [`Error::WriteDeadline`]. [`Sender::send_text`] has all of the errors.
    pub fn send_text(&self, text: &str) -> Result<(), Error> {
        self.sender.send_text(text)
    }

    /// Sends a binary message as one frame, as [`send_text`](Self::send_text) does.
    pub fn send_binary(&self, bytes: &[u8]) -> Result<(), Error> {
        self.sender.send_binary(bytes)
    }

    /// Sends a message that was encoded before, as [`send_text`](Self::send_text) does.
    pub fn send_prepared(&self, message: &Prepared) -> Result<(), Error> {
        self.sender.send_prepared(message)
    }

    /// Sends a ping, with up to 125 bytes that come back in the peer's pong (RFC 6455 §5.5.2).
    pub fn send_ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.sender.send_ping(payload)
    }

    /// Begins a message that is sent in fragments, as [`Sender::send_stream`] does.
    pub fn send_stream(&self, kind: Kind) -> Result<MessageWriter, Error> {
        self.sender.send_stream(kind)
    }

    /// Sends what [`WsOptions::join_sends`](crate::WsOptions::join_sends) holds back, and what [`Sender::post_later`] left; without
    /// these there is never anything. For a handler that is about to do something else than to receive.
    ///
    /// # Errors
    ///
    /// Those of [`Sender::send_text`]. [`Error::Closed`] too where a Close has gone meanwhile: what was held back went in front
    /// of it, unless the connection failed.
    pub fn flush(&self) -> Result<(), Error> {
        self.sender.flush()
    }

    /// Sends Close with a code and a reason of 123 bytes at most, and does not wait. Nothing can be sent after it;
    /// [`recv`](Self::recv) goes on to the peer's Close. On a connection that is closing or closed already this does
    /// nothing.
    ///
    /// Usual codes are 1000, 1001 for a server that goes away, 1008 against a policy, 1011 for a fault in the server, and
    /// 3000–4999 for the application's own. 1004–1006, 1015 and what RFC 6455 §7.4 leaves undefined are refused with
    /// [`Error::CloseCode`].
    pub fn close(&self, code: u16, reason: &str) -> Result<(), Error> {
        self.sender.close(code, reason)
    }

    /// The sending half, for another thread; it does not keep the connection open.
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

    /// Both halves, for a program that passes them on to different owners.
    pub fn split(self) -> (Receiver, Sender) {
        // Whoever gets the sender may not be the one who waits.
        let _ = self.sender.flush();
        (self.receiver, self.sender.of_others())
    }

    /// How the connection ended, or is ending: `None` while it is open.
    pub fn close_info(&self) -> Option<CloseInfo> {
        self.sender.close_info()
    }

    /// The subprotocol that both sides speak: see [`WsOptions::subprotocols`](crate::WsOptions::subprotocols).
    pub fn subprotocol(&self) -> Option<&str> {
        self.sender.subprotocol()
    }

    /// The connection, and where it comes back to.
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
