//! How a server that stops reaches a reader that waits.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use akurai_http::Socket;

use crate::codec::close;
use crate::write::outbox::{Outbox, Way};

impl Outbox {
    /// The reader is about to wait. False if it must not, since the server stops: the reader has to
    /// send Close.
    pub(super) fn begin_read(&self, socket: &Socket) -> bool {
        // The flag is set first: so either the server that stops sees it, or this thread sees that
        // it stops.
        self.is_reading.store(true, Ordering::SeqCst);
        let must_close = self.is_open() && socket.is_stopping();
        if must_close {
            self.end_read();
        }
        !must_close
    }

    pub(super) fn end_read(&self) {
        self.is_reading.store(false, Ordering::Release);
    }

    /// The server stops. A reader that waits does not see that, so this sends Close for it, and the
    /// peer's Close wakes it. A busy handler may still send what it has; its next `recv` sends
    /// Close.
    pub(crate) fn server_stops(self: &Arc<Self>, socket: &Socket) {
        if !self.is_reading.load(Ordering::SeqCst) {
            return;
        }
        if self.is_open() {
            let _ = self.close(close::GOING_AWAY, "", Way::Post);
            return;
        }
        let sent_at = self.closing().sent_at();
        if sent_at.is_some_and(|at| at.elapsed() >= self.settings.close_wait) {
            // The read under way began before our Close, and may wait longer than that.
            let _ = socket.shutdown(Shutdown::Read);
        }
    }
}
