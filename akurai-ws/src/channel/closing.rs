//! How a connection ends, from the reader's side (RFC 6455 §7).

use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::codec::close;
use crate::codec::protocol::State;
use crate::error::{Error, Violation};
use crate::message::{CloseFrame, Message};
use crate::shared::Place;

use super::{Channel, Filled};

impl Channel {
    /// Closes with `code`, unless that has begun; waits for the peer's Close and then for its FIN, within bounds.
    pub(crate) fn finish(mut self, code: u16) {
        let stopping = code == close::NORMAL && self.socket.is_stopping();
        let code = if stopping { close::GOING_AWAY } else { code };
        let _ = self.shared.close(code, "", Place::Behind);
        // If a write failed, the peer is gone, or it takes nothing and would not take a FIN.
        if !self.shared.has_failed() {
            self.drain();
            // A server that stops has ended our input, and a peer may push more than we drain.
            self.shared.await_close();
            let _ = self.socket.shutdown(Shutdown::Write);
        }
        self.shared.abandon(&self.socket);
    }

    fn drain(&mut self) {
        self.closing = Duration::ZERO;
        let mut drained_bytes = 0;
        let mut said_fin = false;
        while drained_bytes < self.shared.settings.max_drain_bytes {
            self.notice_close();
            let (used, result) = self.protocol.receive(self.input.unread());
            self.input.consume(used);
            if let Ok(Some(Message::Close(_))) = result {
                self.shared.peer_closed();
            }
            if self.protocol.state() == State::Closed {
                self.input.clear();
                if !said_fin {
                    // §7.1.1: the server closes first. Its FIN says so, while what the peer sent is still read.
                    self.shared.fin(&self.socket);
                    said_fin = true;
                }
            }
            match self.fill(None) {
                Ok(Filled::Bytes(read)) => drained_bytes += read,
                _ => break,
            }
        }
    }

    pub(super) fn answer_close(&mut self, frame: Option<&CloseFrame>) {
        // The application has sent it, and in time.
        let _ = self.flush();
        self.shared.peer_closed();
        // §5.5.1: "the endpoint typically echos the status code it received". We echo the reason too: a browser's
        // CloseEvent shows the reason of the Close that comes back.
        let (code, reason) = match frame {
            Some(frame) => (frame.code, frame.reason.as_str()),
            None => (close::NO_STATUS, ""),
        };
        let payload = match frame {
            Some(_) => close::encode(code, reason).unwrap_or_default(),
            None => Vec::new(),
        };
        // A peer that sent Close and left has no use for the echo: no error.
        let _ = self
            .shared
            .close_with(&payload, code, reason, Place::InFront);
    }

    // §7.1.7: Close with the code that says why, then FIN. What the peer still sends is read when the connection is
    // given back.
    pub(super) fn fail(&mut self, violation: Violation) -> Error {
        let _ = self.flush();
        let (code, reason) = (violation.code(), violation.reason());
        let _ = self.shared.close(code, reason, Place::InFront);
        self.shared.fin(&self.socket);
        self.protocol.end();
        violation.into()
    }

    // `None` when the peer has had its time to answer our Close, or to end the connection.
    pub(super) fn next_while_closing(&self) -> Option<Duration> {
        let left = self.shared.settings.close_wait.saturating_sub(self.closing);
        (!left.is_zero()).then_some(left)
    }

    // Only what reads have waited counts: the answer of a peer may lie there unread while the handler is busy.
    pub(super) fn waited_while_closing(&mut self, from: Instant, until: Instant) {
        if self.shared.is_open() {
            return;
        }
        let since = match self.shared.close_sent_at() {
            // Another thread may have sent it during the read.
            Some(sent_at) => sent_at.max(from),
            None if self.shared.has_failed() => from,
            // It waits for what another thread writes, which has a deadline of its own.
            None => return,
        };
        self.closing += until.saturating_duration_since(since);
    }
}
