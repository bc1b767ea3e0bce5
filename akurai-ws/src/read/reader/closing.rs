//! How a connection ends, from the reader's side (RFC 6455 §7).

use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::codec::close;
use crate::codec::protocol::ConnectionState;
use crate::error::{Error, Violation};
use crate::message::{CloseFrame, Message};
use crate::write::outbox::Way;

use super::{Filled, Reader};

impl Reader {
    /// Closes with this code and reason, unless closing has begun. Then waits for the peer's Close,
    /// and for its FIN unless the connection [may end at once](Reader::may_end_at_once), for a
    /// bounded time.
    pub(crate) fn finish(mut self, code: u16, reason: &str) {
        self.socket.settle();
        let stopping = code == close::NORMAL && self.socket.is_stopping();
        let code = if stopping { close::GOING_AWAY } else { code };
        let _ = self.outbox.close(code, reason, Way::Send);
        // If a write failed, the peer is gone, or it takes nothing and would not take a FIN either.
        if !self.outbox.closing().has_failed() {
            self.discard();
            // A peer that has ended its side may still read ours.
            self.outbox.await_close();
        }
        self.outbox.abandon();
        // Half a frame is no end: FIN, which a session's close goes with, would say that it is.
        let end = match self.outbox.closing().has_failed() {
            true => Shutdown::Both,
            false => Shutdown::Write,
        };
        let _ = self.socket.shutdown(end);
        if let Some(info) = self.outbox.close_info() {
            self.socket.log("close", info.code);
        }
    }

    // Reads and discards what the peer still sends, until its Close, and mostly until its FIN. A
    // socket that is closed while bytes are unread, or still to come, resets the connection, and a
    // reset overtakes the bytes that were sent before it.
    fn discard(&mut self) {
        self.counted_to = Some(Instant::now());
        loop {
            self.notice_close();
            let (used, result) = self.protocol.receive(self.input.unread());
            self.input.consume(used);
            if let Ok(Some(Message::Close(_))) = result {
                self.outbox.peer_closed();
            }
            if self.protocol.state() == ConnectionState::Closed {
                // §7.1.1: the server closes first, by its FIN.
                let is_last = self.input.is_empty();
                self.input.clear();
                if is_last && self.may_end_at_once() {
                    break;
                }
                self.say_fin();
            }
            if !matches!(self.fill(None), Ok(Filled::Bytes(_))) {
                break;
            }
        }
    }

    // After both Closes we wait for nothing, if ours has left this machine and no input is here.
    // §5.5.1 forbids the peer only data frames behind its Close, so this is a choice: what comes
    // after this look meets a closed socket, and the reset may destroy our Close and the messages
    // that the peer has not read yet. No client that we know sends anything there.
    fn may_end_at_once(&self) -> bool {
        let is_clean = || self.outbox.close_info().is_some_and(|info| info.clean);
        !self.said_fin && is_clean() && self.socket.may_end_at_once()
    }

    fn say_fin(&mut self) {
        if !self.said_fin {
            self.said_fin = true;
            if !self.outbox.will_send_fin() {
                let _ = self.socket.shutdown(Shutdown::Write);
            }
        }
    }

    // Whether a server that stops has waited long enough for a peer that goes on sending.
    pub(super) fn has_served_on(&mut self, now: Instant) -> bool {
        let since = *self.stopping_since.get_or_insert(now);
        now.saturating_duration_since(since) >= self.outbox.settings.close_wait
    }

    // §7.4.1: a server that goes down says 1001.
    pub(super) fn go_away(&mut self) -> Result<(), Error> {
        let result = self.outbox.close(close::GOING_AWAY, "", Way::Send);
        self.written(result)
    }

    pub(super) fn answer_close(&mut self, frame: Option<&CloseFrame>) {
        // The application sent these messages before the Close came.
        let _ = self.flush();
        self.outbox.peer_closed();
        // §5.5.1: "the endpoint typically echos the status code it received". We echo the reason
        // too: a browser's CloseEvent shows the reason of the Close that comes back.
        let (code, reason) = match frame {
            Some(frame) => (frame.code, frame.reason.as_str()),
            None => (close::NO_STATUS, ""),
        };
        // A peer that sent Close and left does not need the echo, so this is not an error.
        let _ = self.outbox.close_now(code, reason);
    }

    // §7.1.7: sends Close with the code for this violation, then FIN. The bytes that the peer still
    // sends are read when the connection is given back.
    pub(super) fn fail(&mut self, violation: Violation) -> Error {
        let _ = self.flush();
        let (code, reason) = (violation.code(), violation.reason());
        let _ = self.outbox.close_now(code, reason);
        self.say_fin();
        self.protocol.end();
        violation.into()
    }

    // `None` if the peer has had its time to answer our Close and to end the connection. After half
    // of it our FIN says that nothing more comes. A peer that is busy sending may then end the
    // connection itself, so that we need not reset it.
    pub(super) fn next_while_closing(&mut self) -> Option<Duration> {
        let wait = self.outbox.settings.close_wait;
        if self.closing < wait / 2 && !self.said_fin {
            return Some(wait / 2 - self.closing);
        }
        self.say_fin();
        let left = wait.saturating_sub(self.closing);
        (!left.is_zero()).then_some(left)
    }

    // What the peer sent while the process was stopped is still unread, so none of that time
    // counts.
    pub(super) fn was_stopped_until(&mut self, now: Instant) {
        self.counted_to = self.counted_to.map(|_| now);
    }

    // Only the time that reads have waited counts: the peer's answer may lie unread while the
    // handler is busy.
    pub(super) fn waited_while_closing(&mut self, from: Instant, until: Instant) {
        if self.outbox.is_open() {
            return;
        }
        let from = self.counted_to.map_or(from, |counted_to| {
            self.counted_to = Some(until);
            counted_to
        });
        let closing = self.outbox.closing();
        let since = match closing.sent_at() {
            // Another thread may have sent it during the read.
            Some(sent_at) => sent_at.max(from),
            None if closing.has_failed() => from,
            // Our Close waits behind another thread's write, which has a deadline of its own.
            None => return,
        };
        self.closing += until.saturating_duration_since(since);
    }
}
