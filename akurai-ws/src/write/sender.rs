//! The sending half of a connection. Any thread may hold it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ptr;
use std::sync::Arc;

use crate::codec::close;
use crate::codec::compression::ContextUse;
use crate::codec::frame::{self, CONTROL_MAX_BYTES, Opcode};
use crate::error::Error;
use crate::message::{CloseInfo, Kind};
use crate::write::message_writer::MessageWriter;
use crate::write::outbox::{FrameKind, Outbox, Outgoing, Way};
use crate::write::prepared::Prepared;

/// Sends on a connection while another thread receives. Clones send on the same connection, and any
/// number of threads may send at once: frames never interleave, and the messages of one thread
/// arrive in its order. Two senders are equal if they send on the same connection, so a set or a
/// map may hold them. That never changes, so Clippy's `mutable_key_type` may be allowed there.
///
/// A connection has no thread for sending. A sending thread that finds no other thread writing
/// writes to the socket itself, and waits while the peer is slow, for at most
/// [`WsOptions::write_deadline`](crate::WsOptions::write_deadline). A sending thread that finds
/// another thread writing leaves its message in a queue to that thread, and returns at once. A
/// thread that has written a whole queue's worth for others leaves the rest to the one thread that
/// [`post`](Self::post) describes. [`WsOptions::when_full`](crate::WsOptions::when_full) decides
/// what a full queue means. So `Ok` says that a message is on its way, in order, and not that it
/// has arrived. A message longer than the whole queue waits for its turn and is then written
/// directly, and so is each part of a [`MessageWriter`].
///
/// A sender does not keep the connection open: when the [`WsConn`](crate::WsConn) is dropped or the
/// connection ends otherwise, each send is [`Error::Closed`].
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Mutex, MutexGuard, PoisonError};
/// use akurai_ws::{Error, Prepared, Sender, WsConn};
///
/// /// The names of all who are here.
/// #[derive(Default)]
/// struct Room(Mutex<HashMap<Sender, String>>);
///
/// impl Room {
///     fn names(&self) -> MutexGuard<'_, HashMap<Sender, String>> {
///         self.0.lock().unwrap_or_else(PoisonError::into_inner)
///     }
/// }
///
/// /// Somebody in the room. A closure ends in many ways, most often by `?`, and each drops this.
/// struct Guest<'r>(&'r Room, Sender);
///
/// impl Drop for Guest<'_> {
///     fn drop(&mut self) {
///         let name = self.0.names().remove(&self.1);
///         let message = Prepared::text(&format!("{name:?} has left"));
///         // The lock is free again while this thread sends.
///         let others: Vec<Sender> = self.0.names().keys().cloned().collect();
///         for other in others {
///             let _ = other.post([&message]); // A connection that has ended drops its own guest.
///         }
///     }
/// }
///
/// fn stay(mut conn: WsConn, room: &Room, name: String) -> Result<(), Error> {
///     let guest = Guest(room, conn.sender());
///     room.names().insert(guest.1.clone(), name);
///     while conn.recv()?.is_some() {}
///     Ok(())
/// }
/// # let _ = stay;
/// ```
pub struct Sender {
    outbox: Arc<Outbox>,
    /// Only the receiving thread's own sender may hold messages back: that thread flushes them
    /// before it waits.
    way: Way,
}

impl Sender {
    /// Sends a text message as one frame. This waits for a slow peer, so a thread that sends to
    /// many peers uses [`post`](Self::post).
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] after a Close in either direction, and after the end of the connection;
    /// [`Error::Slow`] if too much waits already; [`Error::WriteDeadline`] and [`Error::Io`] if the
    /// peer does not take the bytes, or is gone. After these two nothing more can be sent, and
    /// every other thread that tries gets `Closed` at once.
    pub fn send_text(&self, text: &str) -> Result<(), Error> {
        self.send(Opcode::Text, text.as_bytes(), FrameKind::Data)
    }

    /// Sends a binary message as one frame, as [`send_text`](Self::send_text) does.
    pub fn send_binary(&self, bytes: &[u8]) -> Result<(), Error> {
        self.send(Opcode::Binary, bytes, FrameKind::Data)
    }

    /// Sends a message that was already encoded, as [`send_text`](Self::send_text) does: for the
    /// thread of one connection, which waits for its peer.
    pub fn send_prepared(&self, message: &Prepared) -> Result<(), Error> {
        self.pass_prepared(message, self.way)
    }

    /// Sends encoded messages without waiting for the peer: for a thread that sends to many. One
    /// message goes out without a copy. Several go out together, in one write if they are short.
    ///
    /// ```
    /// use akurai_ws::{Prepared, Sender};
    ///
    /// fn broadcast(everyone: &[Sender], text: &str) {
    ///     let message = Prepared::text(text);
    ///     for sender in everyone {
    ///         let _ = sender.post([&message]); // `Err`: that peer has left, or is too slow.
    ///     }
    /// }
    ///
    /// fn catch_up(newcomer: &Sender, history: &[Prepared]) {
    ///     let _ = newcomer.post(history);
    /// }
    /// # let _ = (broadcast, catch_up);
    /// ```
    ///
    /// One thread of the process takes over what the peer does not take within 5 to 10 ms, and what
    /// it does not take at once of a frame of over 64 KiB. That thread serves all such peers, waits
    /// for each until the write deadline, and exists only while it is needed. Meanwhile, messages
    /// wait in the queue. A full queue closes the connection with 1008, unless
    /// [`WsOptions::when_full`](crate::WsOptions::when_full) says to refuse the message. Two
    /// messages are refused without closing anything: one longer than the whole queue, and one
    /// behind a [`MessageWriter`] whose queue is full.
    ///
    /// The bytes of a frame of 16 KiB or more are not copied, however many peers are slow. Shorter
    /// frames are copied. So a slow peer costs at most twice
    /// [`WsOptions::max_queue_bytes`](crate::WsOptions::max_queue_bytes): the bytes being written
    /// and the bytes that wait.
    ///
    /// Two threads that post to the same peers at the same time may reach them in different orders.
    /// If all peers must see one order, let each thread hold one lock while it posts to all of
    /// them. Then each peer that does not read costs all threads its 5 to 10 ms, once for as long
    /// as it takes nothing. No code of the program's own should run under that lock besides.
    ///
    /// If the queue filled up while another thread was writing, this call waits for that thread
    /// before it blames the peer: until the peer has had these 5 to 10 ms, and for at most 50 ms.
    ///
    /// # Errors
    ///
    /// [`Error::Slow`] if the queue is full, and those of [`send_text`](Self::send_text). The
    /// messages in front of the one that failed were sent, and those behind it were not.
    pub fn post<'m>(&self, messages: impl IntoIterator<Item = &'m Prepared>) -> Result<(), Error> {
        let mut messages = messages.into_iter().peekable();
        while let Some(message) = messages.next() {
            let way = match messages.peek() {
                Some(_) => Way::PostLater,
                None => Way::Post,
            };
            self.pass_prepared(message, way)?;
        }
        Ok(())
    }

    /// Sends a ping with up to 125 bytes, which come back in the peer's pong (RFC 6455 §5.5.2). It
    /// does not overtake a message that was sent before it, but may go between the parts of a
    /// message that a [`MessageWriter`] sends.
    ///
    /// # Errors
    ///
    /// [`Error::PingTooLong`], and those of [`send_text`](Self::send_text).
    pub fn send_ping(&self, payload: &[u8]) -> Result<(), Error> {
        if payload.len() > CONTROL_MAX_BYTES {
            return Err(Error::PingTooLong(payload.len()));
        }
        self.send(Opcode::Ping, payload, FrameKind::Control)
    }

    /// Begins a message that is sent in fragments, each when it is written (RFC 6455 §5.4), so that
    /// it is never held whole. Until it is finished, other messages wait in the queue. Control
    /// frames go between its fragments.
    ///
    /// # Errors
    ///
    /// [`Error::Slow`] if another such message is still under way after the write deadline;
    /// [`Error::Closed`].
    pub fn send_stream(&self, kind: Kind) -> Result<MessageWriter, Error> {
        MessageWriter::begin(Arc::clone(&self.outbox), kind)
    }

    /// Sends Close behind everything that was sent before it, with a code and a reason of at most
    /// 123 bytes. Waits neither for the answer nor, as [`post`](Self::post), for a slow peer. No
    /// thread can send anything after it. A message that a [`MessageWriter`] has begun is cut off,
    /// and the messages that wait behind it are not sent. On a connection that is closing or closed
    /// already this does nothing.
    ///
    /// Usual codes are 1000, 1001 for a server that goes away, 1008 for a breach of a policy, 1011
    /// for a fault in the server, and 3000–4999 for the application's own.
    ///
    /// A receiving thread that was already waiting when this was called does not notice the call.
    /// It goes on when the peer's Close comes, which is soon if the peer is there. If none comes,
    /// its `recv` returns when the read under way is over, up to 20 s later, or up to
    /// [`WsOptions::ping_interval`](crate::WsOptions::ping_interval) if that is shorter. Otherwise
    /// it gives up after [`WsOptions::close_wait`](crate::WsOptions::close_wait), by default 5 s.
    /// So a list of who is here should drop the name when the program calls this, and not wait for
    /// the closure to end.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCloseCode`] for a code that RFC 6455 §7.4 keeps off the wire: 1004–1006,
    /// 1015, and all that it leaves undefined. [`Error::ReasonTooLong`]. Nothing was sent then.
    /// Otherwise as for [`send_text`](Self::send_text).
    pub fn close(&self, code: u16, reason: &str) -> Result<(), Error> {
        close::check(code, reason)?;
        self.outbox.close(code, reason, Way::Post)
    }

    /// Whether something can be sent: no Close has gone either way, and nothing has failed.
    pub fn is_open(&self) -> bool {
        self.outbox.is_open()
    }

    /// How the connection ended, or is ending: `None` while it is open.
    pub fn close_info(&self) -> Option<CloseInfo> {
        self.outbox.close_info()
    }

    /// The subprotocol that both sides speak: see
    /// [`WsOptions::subprotocols`](crate::WsOptions::subprotocols).
    pub fn subprotocol(&self) -> Option<&str> {
        self.outbox.subprotocol.as_deref()
    }

    /// The sender of the receiving thread, which holds messages back if the options say so.
    pub(crate) fn of_receiver(outbox: Arc<Outbox>) -> Self {
        let way = match outbox.settings.join_sends {
            true => Way::Hold,
            false => Way::Send,
        };
        Self { outbox, way }
    }

    /// Writes the messages that were held back, unless the connection has closed.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        let is_open = self.is_open();
        self.outbox.flush(Way::Send)?;
        is_open.then_some(()).ok_or(Error::Closed)
    }

    fn pass_prepared(&self, message: &Prepared, way: Way) -> Result<(), Error> {
        let compressed = message.compressed(self.outbox.settings.outbound);
        let (frame, context) = match &compressed {
            Some(frame) => (frame, ContextUse::Restart),
            None => (&message.frame, ContextUse::Unused),
        };
        let mut outgoing = Outgoing::plain(frame, b"", FrameKind::Data);
        (outgoing.shared, outgoing.context) = (Some(frame), context);
        self.outbox.send(outgoing, way)
    }

    fn pass(&self, frame: Outgoing<'_>) -> Result<(), Error> {
        self.outbox.send(frame, self.way)
    }

    fn send(&self, opcode: Opcode, payload: &[u8], kind: FrameKind) -> Result<(), Error> {
        let outbound = self.outbox.settings.outbound;
        let is_worth_it = kind == FrameKind::Data && self.outbox.is_open();
        let outbound = outbound.filter(|outbound| is_worth_it && outbound.is_for(payload));
        let header = frame::encode_header(opcode, payload.len());
        let plain = Outgoing::plain(header.as_slice(), payload, kind);
        match outbound {
            None => self.pass(plain),
            // Which messages it follows is known only when it is its turn.
            Some(outbound) if outbound.is_behind_others(payload) => self.pass(Outgoing {
                context: ContextUse::Continue(opcode),
                ..plain
            }),
            Some(outbound) => match outbound.compress_alone(payload) {
                None => self.pass(plain),
                Some(payload) => self.pass(Outgoing {
                    head: frame::encode_compressed_header(opcode, true, payload.len()).as_slice(),
                    payload: &payload,
                    context: ContextUse::Restart,
                    ..plain
                }),
            },
        }
    }
}

/// A clone is for any thread, so it holds no message back.
impl Clone for Sender {
    fn clone(&self) -> Self {
        Self {
            outbox: Arc::clone(&self.outbox),
            way: Way::Send,
        }
    }
}

impl PartialEq for Sender {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.outbox, &other.outbox)
    }
}

impl Eq for Sender {}

impl Hash for Sender {
    fn hash<H: Hasher>(&self, state: &mut H) {
        ptr::hash(Arc::as_ptr(&self.outbox), state);
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("close_info", &self.close_info())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn any_thread_may_hold_it() {
        fn check<T: Clone + Send + Sync + 'static>() {}
        check::<Sender>();
    }

    #[test]
    // What makes two senders equal never changes.
    #[allow(clippy::mutable_key_type)]
    fn senders_of_one_connection_are_equal() {
        let sender = || Sender::of_receiver(Outbox::new(Settings::default(), None));
        let (one, other) = (sender(), sender());
        assert_eq!(one, one.clone());
        assert_ne!(one, other);
        let all = HashSet::from([one.clone(), other.clone(), one.clone()]);
        assert_eq!(all.len(), 2);
        assert!(all.contains(&one) && all.contains(&other));
    }

    #[test]
    fn a_clone_holds_nothing_back() {
        let settings = Settings {
            join_sends: true,
            ..Settings::default()
        };
        let own = Sender::of_receiver(Outbox::new(settings, None));
        assert_eq!((own.way, own.clone().way), (Way::Hold, Way::Send));
    }
}
