//! The receiving half of a connection. When it ends, the connection closes.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::codec::close;
use crate::error::Error;
use crate::lock::lock;
use crate::message::{CloseInfo, Kind, Message};
use crate::read::message_reader::MessageReader;
use crate::read::reader::Reader;

/// The receiving half of a [`WsConn`](crate::WsConn) that was [`split`](crate::WsConn::split). It
/// receives as a `WsConn` does, and cannot send.
///
/// The connection closes when this is dropped, even if a [`Sender`](crate::Sender) still exists: at
/// once if the closure given to [`upgrade`](crate::upgrade) has returned, and otherwise when it
/// returns, with the code that belongs to its outcome. Until then nothing is read, no ping is
/// answered, and each send is [`Error::Closed`]. So a closure that has nothing more to do with the
/// connection should return.
pub struct Receiver {
    // `None` only while it is dropped.
    reader: Option<Box<Reader>>,
    // No code of the application runs under this lock.
    slot: Arc<Mutex<Slot>>,
}

impl Receiver {
    /// As [`WsConn::recv`](crate::WsConn::recv).
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        self.reader_mut().recv(None)
    }

    /// As [`WsConn::recv_timeout`](crate::WsConn::recv_timeout).
    pub fn recv_timeout(&mut self, wait: Duration) -> Result<Option<Message>, Error> {
        // If the clock cannot represent that time, the wait has no end.
        let until = Instant::now().checked_add(wait);
        self.reader_mut().recv(until)
    }

    /// As [`WsConn::recv_into`](crate::WsConn::recv_into).
    pub fn recv_into(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Kind>, Error> {
        self.reader_mut().recv_into(buffer)
    }

    /// As [`WsConn::recv_stream`](crate::WsConn::recv_stream).
    pub fn recv_stream(&mut self) -> Result<Option<MessageReader<'_>>, Error> {
        MessageReader::begin(self.reader_mut())
    }

    /// As [`WsConn::close_info`](crate::WsConn::close_info).
    pub fn close_info(&self) -> Option<CloseInfo> {
        self.reader().outbox().close_info()
    }

    /// As [`WsConn::subprotocol`](crate::WsConn::subprotocol).
    pub fn subprotocol(&self) -> Option<&str> {
        self.reader().outbox().subprotocol.as_deref()
    }

    /// The connection, and the place that it comes back to.
    pub(crate) fn lend(reader: Box<Reader>) -> (Self, Lent) {
        let slot = Arc::new(Mutex::new(Slot::Lent));
        let receiver = Self {
            reader: Some(reader),
            slot: Arc::clone(&slot),
        };
        (receiver, Lent(slot))
    }

    fn reader(&self) -> &Reader {
        self.reader.as_ref().expect(TAKEN_IN_DROP)
    }

    fn reader_mut(&mut self) -> &mut Reader {
        self.reader.as_mut().expect(TAKEN_IN_DROP)
    }
}

const TAKEN_IN_DROP: &str = "it is taken only when the connection is dropped";

impl Drop for Receiver {
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
        let panicking = std::thread::panicking();
        reader.finish(if panicking {
            close::INTERNAL_ERROR
        } else {
            close::NORMAL
        });
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
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
