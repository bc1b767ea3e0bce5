//! How the sending side closes (RFC 6455 §7).

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Closing, Escorted, Outbox, Queue, StateGuard, Turn, Way};
use crate::codec::close;
use crate::codec::frame::{self, Opcode};
use crate::error::Error;
use crate::message::CloseInfo;
use crate::write::monitor::now;

/// How long the peer's Close waits for a thread that may just have written ours.
const NOTED_WITHIN: Duration = Duration::from_millis(250);

impl<O: Escorted> Outbox<O> {
    pub(crate) fn closing(&self) -> Closing {
        self.lock().closing
    }

    pub(crate) fn close_info(&self) -> Option<CloseInfo> {
        let state = self.lock();
        let clean = state.peer_closed && state.closing.sent_at().is_some();
        let info = state.close_info.clone()?;
        Some(CloseInfo { clean, ..info })
    }

    /// Sends Close behind the messages that wait, unless a Close has gone either way. The code is
    /// one that may be sent, or 1005 for none.
    pub(crate) fn close(self: &Arc<Self>, code: u16, reason: &str, way: Way) -> Result<(), Error> {
        let mut state = self.lock();
        self.queue_close(&mut state, code, reason, false);
        self.drain(state, way)
    }

    /// Sends Close as [`close`](Self::close) does, but forgets the messages that wait.
    pub(crate) fn close_now(self: &Arc<Self>, code: u16, reason: &str) -> Result<(), Error> {
        let mut state = self.lock();
        self.queue_close(&mut state, code, reason, true);
        self.drain(state, Way::Send)
    }

    pub(super) fn queue_close(
        &self,
        state: &mut StateGuard<'_, O>,
        code: u16,
        reason: &str,
        forgets: bool,
    ) {
        if state.closing.is_begun() {
            return;
        }
        // A fragmented message is cut off.
        if mem::take(&mut state.is_streaming) || forgets {
            state.queue.drop_data();
        }
        let payload = close::encode(code, reason).unwrap_or_default();
        let header = frame::encode_header(Opcode::Close, payload.len());
        state.queue.push_data(header.as_slice(), &payload);
        state.close_info = Some(CloseInfo::new(code, reason));
        self.set_closing(state, Closing::Queued { then_fin: false });
    }

    /// No thread receives any more, so none may send: the peer's Close would not be answered.
    pub(crate) fn retire(&self) {
        let mut state = self.lock();
        if state.closing == Closing::Open {
            self.set_closing(&mut state, Closing::Retired);
        }
    }

    fn set_closing(&self, state: &mut StateGuard<'_, O>, closing: Closing) {
        state.closing = closing;
        state.deflate = None;
        self.is_open.store(false, Ordering::Release);
        self.state.wake(state);
    }

    /// The peer's Close came. It may answer the Close that another thread has just written and not
    /// yet noted.
    pub(crate) fn peer_closed(&self) {
        self.lock().peer_closed = true;
        self.await_close_for(NOTED_WITHIN);
    }

    /// Waits until our Close is out, if it stands behind another thread's write, for no longer than
    /// that write may take.
    pub(crate) fn await_close(&self) {
        self.await_close_for(self.settings.write_deadline);
    }

    fn await_close_for(&self, most: Duration) {
        let (until, mut state) = (now() + most, self.lock());
        while state.closing.is_due() && now() < until {
            state = self.pause(state, until - now());
        }
    }

    /// Whether a thread still writes. If that is our Close, FIN follows it. If it is the rest of a
    /// frame, the connection ends when it is [given up](Self::abandon). If no thread writes, the
    /// caller sends FIN now.
    pub(crate) fn will_send_fin(&self) -> bool {
        let mut state = self.lock();
        if state.closing.is_due() {
            state.closing = Closing::Queued { then_fin: true };
        }
        state.closing.is_due() || matches!(state.turn, Turn::Taken(_))
    }

    /// The transport has ended, or the peer is gone without a word. A thread that writes will find
    /// that out itself.
    pub(crate) fn end(&self, has_failed: bool) {
        self.finish(&mut self.lock(), has_failed);
    }

    /// Gives the connection up. If a thread still writes, it has failed.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        let is_writing = matches!(state.turn, Turn::Taken(_));
        self.finish(&mut state, is_writing);
    }

    pub(super) fn finish(&self, state: &mut StateGuard<'_, O>, has_failed: bool) {
        if let Turn::Free(_) = state.turn {
            state.turn = Turn::Gone;
        }
        state.queue = Queue::default();
        let info = || CloseInfo::new(close::ABNORMAL, "");
        state.close_info.get_or_insert_with(info);
        let ended = Closing::Ended {
            sent_at: state.closing.sent_at(),
            has_failed: has_failed || state.closing.has_failed(),
        };
        self.set_closing(state, ended);
    }
}

impl Closing {
    /// Whether our Close has been queued, or the connection has ended without one.
    pub(super) fn is_begun(self) -> bool {
        !matches!(self, Self::Open | Self::Retired)
    }

    /// Whether our Close waits or is being written.
    pub(crate) fn is_due(self) -> bool {
        matches!(self, Self::Queued { .. })
    }

    /// When our Close went out.
    pub(crate) fn sent_at(self) -> Option<Instant> {
        match self {
            Self::Sent(at) => Some(at),
            Self::Ended { sent_at, .. } => sent_at,
            _ => None,
        }
    }

    /// Whether it is unknown what the peer has of the last frame.
    pub(crate) fn has_failed(self) -> bool {
        matches!(
            self,
            Self::Ended {
                has_failed: true,
                ..
            }
        )
    }

    /// Notes that our Close is out. Returns whether FIN is to follow.
    pub(super) fn is_out(&mut self) -> bool {
        let then_fin = *self == Self::Queued { then_fin: true };
        match self {
            Self::Ended { sent_at, .. } => *sent_at = Some(now()),
            closing => *closing = Self::Sent(now()),
        }
        then_fin
    }
}
