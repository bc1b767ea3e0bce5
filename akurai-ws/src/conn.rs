//! The connection as an application holds it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::channel::Channel;
use crate::codec::close;
use crate::codec::frame::{CONTROL_MAX_BYTES, Opcode};
use crate::error::Error;
use crate::message::{CloseInfo, Message};

/// A WebSocket connection, open until it is closed from either side.
///
/// It belongs to the closure given to [`upgrade`](crate::upgrade). When that returns `Ok`, the connection is closed with
/// 1000, or with 1001 if the server is stopping; after an `Err` or a panic with 1011; and if it is closing already, that
/// is completed. In each case our Close goes out, the peer's is awaited for 5 s at most while up to 256 KiB of what it
/// still sends is discarded, and then the socket is closed (RFC 6455 §7.1).
///
/// A closure may also give it away to another thread, and return: then it is closed so where it is dropped.
pub struct WsConn {
    // `None` only while it is dropped.
    channel: Option<Box<Channel>>,
    slot: Arc<Mutex<Slot>>,
}

impl WsConn {
    /// The next message, in the order of the wire; waits for it as long as the connection lives.
    ///
    /// Fragments are put together, text is checked to be UTF-8, and a ping was answered before it is returned. A peer's
    /// Close is echoed and comes once, as [`Message::Close`]; after it, and when the connection just ends, this is
    /// `Ok(None)`, and [`close_info`](Self::close_info) says which it was. The same when the server stops: the peer was
    /// sent 1001 then.
    ///
    /// After our own [`close`](Self::close), whatever the peer sent before its Close is discarded, and that is awaited for
    /// 5 s at most.
    ///
    /// # Errors
    ///
    /// [`Error::Violation`] when the peer breaks the protocol: it was sent Close with the right code (RFC 6455 §7.4.1).
    /// [`Error::WriteDeadline`] when it does not take our pong within 20 s, and [`Error::Io`] when the socket fails.
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        self.channel().recv()
    }

    /// Sends a text message as one frame, in one write. The peer must take it within 20 s, and a longer one each MiB of
    /// it; else this is [`Error::WriteDeadline`].
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.channel().send(Opcode::Text, text.as_bytes())
    }

    /// Sends a binary message as one frame, as [`send_text`](Self::send_text) does.
    pub fn send_binary(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.channel().send(Opcode::Binary, bytes)
    }

    /// Sends a ping, with up to 125 bytes that come back in the peer's pong (RFC 6455 §5.5.2).
    pub fn send_ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        if payload.len() > CONTROL_MAX_BYTES {
            return Err(Error::PingTooLong(payload.len()));
        }
        self.channel().send(Opcode::Ping, payload)
    }

    /// Sends Close with a code and a reason of 123 bytes at most, and does not wait. Nothing can be sent after it;
    /// [`recv`](Self::recv) goes on to the peer's Close. On a connection that is closing or closed already this does
    /// nothing.
    ///
    /// Usual codes are 1000, 1001 for a server that goes away, 1008 against a policy, 1011 for a fault in the server, and
    /// 3000–4999 for the application's own. 1004–1006, 1015 and what RFC 6455 §7.4 leaves undefined are refused with
    /// [`Error::CloseCode`].
    pub fn close(&mut self, code: u16, reason: &str) -> Result<(), Error> {
        self.channel().start_closing(code, reason)
    }

    /// How the connection ended, or is ending: `None` while it is open.
    pub fn close_info(&self) -> Option<&CloseInfo> {
        self.channel
            .as_ref()
            .and_then(|channel| channel.close_info())
    }

    /// The subprotocol that both sides speak: see [`WsOptions::subprotocols`](crate::WsOptions::subprotocols).
    pub fn subprotocol(&self) -> Option<&str> {
        self.channel
            .as_ref()
            .and_then(|channel| channel.subprotocol())
    }

    /// The connection, and where it comes back to.
    pub(crate) fn lend(channel: Channel) -> (Self, Lent) {
        let slot = Arc::new(Mutex::new(Slot::Lent));
        let conn = Self {
            channel: Some(Box::new(channel)),
            slot: Arc::clone(&slot),
        };
        (conn, Lent(slot))
    }

    fn channel(&mut self) -> &mut Channel {
        self.channel
            .as_mut()
            .expect("it is taken only when the connection is dropped")
    }
}

impl Drop for WsConn {
    // The code to close with follows from what the closure returns, which is known only after its values are dropped: so
    // the connection goes back to whoever called the closure.
    fn drop(&mut self) {
        let Some(channel) = self.channel.take() else {
            return;
        };
        let mut slot = lock(&self.slot);
        if matches!(*slot, Slot::Lent) {
            *slot = Slot::Returned(channel);
            return;
        }
        drop(slot);
        let panicking = std::thread::panicking();
        channel.finish(if panicking {
            close::INTERNAL_ERROR
        } else {
            close::NORMAL
        });
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
    /// The connection, if it was dropped. If it was not, it will close itself.
    pub(crate) fn take_back(self) -> Option<Box<Channel>> {
        match std::mem::replace(&mut *lock(&self.0), Slot::GivenAway) {
            Slot::Returned(channel) => Some(channel),
            Slot::Lent | Slot::GivenAway => None,
        }
    }
}

enum Slot {
    Lent,
    Returned(Box<Channel>),
    GivenAway,
}

// No code of the application runs under this lock, and a slot is whole at any time.
fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
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
