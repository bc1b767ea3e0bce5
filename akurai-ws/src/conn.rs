//! The connection as an application holds it.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::codec::close;
use crate::error::Error;
use crate::lock::lock;
use crate::message::{Kind, Message};
use crate::read::message_reader::MessageReader;
use crate::read::reader::Reader;
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
/// The closure may also give the connection to another thread and return `Ok`. The connection is
/// then closed, in the same way, when it is dropped. If the closure fails after that, its Close
/// goes out at once, and the other thread gets the peer's answer.
///
/// One thread receives. It also sends: a connection has all methods of a [`Sender`], such as
/// [`send_text`](Sender::send_text), [`close`](Sender::close) and
/// [`close_info`](Sender::close_info). Any number of threads may send meanwhile, each through its
/// own [`sender`](Self::sender).
///
/// While a closure holds its connection and does not receive, no ping is answered. If it drops the
/// connection, each send is [`Error::Closed`] from then on, but the connection closes only when the
/// closure returns. So a closure that has nothing more to do with it should return.
pub struct WsConn {
    // `None` only while it is dropped.
    reader: Option<Box<Reader>>,
    // No code of the application runs under this lock.
    slot: Arc<Mutex<Slot>>,
    sender: Sender,
}

impl WsConn {
    /// The next message, in the order in which the peer sent them. Waits for it as long as the
    /// connection lives.
    ///
    /// Fragments are put together, text is checked to be UTF-8, and a ping has been answered before
    /// it is returned. A peer's Close is echoed and returned once, as [`Message::Close`]. After it,
    /// and when the connection ends without a Close, `recv` returns `Ok(None)`.
    /// [`close_info`](Sender::close_info) tells the two apart.
    ///
    /// While `recv` waits, it asks a silent peer whether it is alive
    /// ([`WsOptions::ping_interval`](crate::WsOptions::ping_interval)). If the peer does not
    /// answer, `recv` returns `Ok(None)`, and the close code is 1006. Time that passes outside of
    /// `recv` does not count against a peer.
    ///
    /// After our own [`close`](Sender::close), everything that the peer sends before its Close is
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
        self.reader_mut().recv(None)
    }

    /// As [`recv`](Self::recv), but waits for at most `wait`, and then returns [`Error::Timeout`].
    /// The connection stays as it was: the part of a message that has come is kept for the next
    /// call of any receiving method. With a wait of zero, it takes what has already come.
    ///
    /// If the wait differs from one call to the next, each call costs one more system call.
    pub fn recv_timeout(&mut self, wait: Duration) -> Result<Option<Message>, Error> {
        // If the clock cannot represent that time, the wait has no end.
        let until = Instant::now().checked_add(wait);
        self.reader_mut().recv(until)
    }

    /// The next data message, which replaces the content of `buffer`. No memory is allocated if the
    /// message fits into it. Pings are answered and pongs are skipped. At a Close, and at any other
    /// end, this returns `Ok(None)`; [`close_info`](Sender::close_info) tells which. The bytes of a
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
        self.reader_mut().recv_into(buffer)
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
        MessageReader::begin(self.reader_mut())
    }

    /// Sends the messages that [`WsOptions::join_sends`](crate::WsOptions::join_sends) holds back,
    /// in a handler that is about to do something other than receive. Without that option there is
    /// never anything to flush.
    ///
    /// # Errors
    ///
    /// Those of [`Sender::send_text`]. Also [`Error::Closed`] if a Close has been sent meanwhile:
    /// the messages held back went out in front of it, unless the connection failed.
    pub fn flush(&self) -> Result<(), Error> {
        self.sender.flush()
    }

    /// The sending half, for another thread. It does not keep the connection open.
    ///
    /// When the receiving thread reads the peer's Close, it answers at once. What the other threads
    /// have not sent by then is lost: messages that wait in the queue are dropped, although their
    /// sends were `Ok`, and each later send is [`Error::Closed`].
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
    #[must_use = "a sender sends nothing by itself"]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// The connection, and the place that it comes back to.
    pub(crate) fn lend(reader: Box<Reader>) -> (Self, Lent) {
        let slot = Arc::new(Mutex::new(Slot::Lent));
        let conn = Self {
            sender: Sender::of_receiver(Arc::clone(reader.outbox())),
            reader: Some(reader),
            slot: Arc::clone(&slot),
        };
        (conn, Lent(slot))
    }

    fn reader_mut(&mut self) -> &mut Reader {
        let reader = self.reader.as_mut();
        reader.expect("it is taken only when the connection is dropped")
    }
}

/// Sending, closing and what is known of the connection. A message of the receiving thread may be
/// held back ([`WsOptions::join_sends`](crate::WsOptions::join_sends)).
impl Deref for WsConn {
    type Target = Sender;

    fn deref(&self) -> &Sender {
        &self.sender
    }
}

impl Drop for WsConn {
    // The closing code depends on what the closure returns, which is known only after its values
    // are dropped. So the connection goes back to the caller of the closure.
    fn drop(&mut self) {
        let Some(reader) = self.reader.take() else {
            return;
        };
        let mut slot = lock(&self.slot);
        if matches!(*slot, Slot::Lent) {
            reader.outbox().retire();
            *slot = Slot::Returned(reader);
            return;
        }
        drop(slot);
        let code = match std::thread::panicking() {
            true => close::INTERNAL_ERROR,
            false => close::NORMAL,
        };
        reader.finish(code, "");
    }
}

impl fmt::Debug for WsConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsConn")
            .field("close_info", &self.close_info())
            .finish_non_exhaustive()
    }
}

/// A connection that the application holds for now.
pub(crate) struct Lent(Arc<Mutex<Slot>>);

impl Lent {
    /// The connection, if it was dropped. Otherwise it will close itself.
    pub(crate) fn take_back(self) -> Option<Box<Reader>> {
        match std::mem::replace(&mut *lock(&self.0), Slot::GivenAway) {
            Slot::Returned(reader) => Some(reader),
            Slot::Lent | Slot::GivenAway => None,
        }
    }
}

enum Slot {
    Lent,
    Returned(Box<Reader>),
    GivenAway,
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
