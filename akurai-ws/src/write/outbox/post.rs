//! Sending without waiting for the peer: for one who sends to many.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sending::Excuse::{Excused, ToBlame};
use super::{Context, Guard, Outbox, Phase, Place};
use crate::codec::close;
use crate::error::Error;
use crate::options::WhenFull;
use crate::write::queue::Batch;
use crate::write::writer::Writer;

/// How long the peer may take before the escort waits for it. A peer that reads takes what fits
/// into the socket's buffer at once.
pub(super) const PATIENCE: Duration = Duration::from_millis(5);

impl Outbox {
    /// Writes a frame, or leaves it to the thread that writes; and if the peer does not take it
    /// soon, to the [`escort`](super::escort).
    pub(crate) fn post(self: &Arc<Self>, frame: &Arc<[u8]>, context: Context) -> Result<(), Error> {
        let mut state = self.lock();
        if state.is_closed() || !state.is_at_rest() {
            drop(state);
            return self.settle_soon(self.queue(frame, context)?);
        }
        state.follows(context);
        let mut writer = state.take_writer().expect("it is free");
        drop(state);
        let begun = Instant::now();
        match writer.write_within(PATIENCE, frame) {
            Ok(written) if written < frame.len() => {
                self.escort(writer, Batch::of_shared(frame, written), begun)
            }
            result => self.settle_soon(self.put_back(writer, result.map(drop))?),
        }
    }

    /// Leaves a frame in the queue, to be written together with what follows.
    pub(crate) fn post_later(
        self: &Arc<Self>,
        frame: &Arc<[u8]>,
        context: Context,
    ) -> Result<(), Error> {
        self.queue(frame, context).map(drop)
    }

    /// Writes what was left in the queue, as [`post`](Self::post) does.
    pub(crate) fn post_now(self: &Arc<Self>) -> Result<(), Error> {
        self.settle_soon(self.lock())
    }

    /// Sends Close behind what waits, and does not wait for the peer.
    pub(crate) fn post_close(self: &Arc<Self>, code: u16, reason: &str) -> Result<(), Error> {
        let payload = close::encode(code, reason)?;
        let mut state = self.lock();
        if state.phase == Phase::Open {
            self.queue_close(&mut state, &payload, code, reason, Place::Behind);
        }
        self.settle_soon(state)
    }

    fn queue<'s>(
        self: &'s Arc<Self>,
        frame: &Arc<[u8]>,
        context: Context,
    ) -> Result<Guard<'s>, Error> {
        let mut until = None;
        let mut state = self.lock();
        loop {
            if state.is_closed() {
                return Err(Error::Closed);
            }
            // One that is longer than the queue may ever be goes while nothing else does.
            if self.has_room(&state, frame.len()) || state.is_at_rest() {
                break;
            }
            if state.is_free() && state.queue.is_ready(state.is_streaming) {
                // That nobody has written yet what was left for later, or what the receiving thread holds back, is no fault
                // of the peer's.
                self.settle_soon(state)?;
                state = self.lock();
                continue;
            }
            // That the message is long, or our own fragmented one in the way, is no fault of the peer's.
            let is_peers = frame.len() <= self.settings.max_queue_bytes && !state.is_streaming;
            if !is_peers || self.settings.when_full == WhenFull::Refuse {
                return Err(Error::Slow);
            }
            match self.excuse(state, &mut until)? {
                Excused(changed) => state = changed,
                ToBlame(state) => {
                    self.settle_soon(state)?;
                    return Err(Error::Slow);
                }
            }
        }
        state.waits_behind();
        state.follows(context);
        state.queue.push_shared(frame);
        Ok(state)
    }

    fn settle_soon<'s>(self: &'s Arc<Self>, mut state: Guard<'s>) -> Result<(), Error> {
        let begun = Instant::now();
        while let Some((mut writer, mut batch)) = self.take_turn(&mut state, 0) {
            drop(state);
            match write_soon(&mut writer, &mut batch, begun) {
                Ok(Some(since)) => return self.escort(writer, batch, since),
                result => state = self.put_back(writer, result.map(drop))?,
            }
            self.is_written(&mut state, batch);
        }
        self.rest(state);
        Ok(())
    }
}

/// Writes as much of a batch as the peer takes soon: since when it has not taken the rest.
fn write_soon(
    writer: &mut Writer,
    batch: &mut Batch,
    begun: Instant,
) -> Result<Option<Instant>, Error> {
    while !batch.is_written() {
        let since = Instant::now();
        if since - begun >= PATIENCE {
            // Others keep the queue full, or the pieces are many: the escort is better at that.
            return Ok(Some(since));
        }
        let bytes = batch.unwritten();
        // Always the same wait, so that the socket's timeout need not be set for each frame.
        let written = writer.write_within(PATIENCE, bytes)?;
        let is_all = written == bytes.len();
        batch.advance(written);
        if !is_all {
            return Ok(Some(since));
        }
    }
    Ok(None)
}

impl super::State {
    /// Whether nothing more can be sent by the application.
    pub(super) fn is_closed(&self) -> bool {
        self.phase != Phase::Open || self.is_retired
    }

    /// Whether nobody writes and nothing waits.
    fn is_at_rest(&self) -> bool {
        self.is_free() && !self.is_streaming && !self.queue.is_ready(false)
    }

    /// A message that was compressed by itself has begun the context anew.
    fn follows(&mut self, context: Context) {
        if context == Context::Anew {
            self.deflate = None;
        }
    }
}
