//! Sending without waiting for the peer: for one who sends to many.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::sending::Excuse::{Excused, ToBlame};
use super::{Context, Guard, Phase, Place, Shared};
use crate::codec::close;
use crate::error::Error;
use crate::options::WhenFull;
use crate::queue::Batch;
use crate::wire::Wire;

/// How long the peer may take before a thread of its own waits for it. A peer that reads takes what fits into the
/// socket's buffer at once.
const PATIENCE: Duration = Duration::from_millis(5);

impl Shared {
    /// Writes a frame, or leaves it to the thread that writes; and if the peer does not take it soon, to a new one.
    pub(crate) fn post(self: &Arc<Self>, frame: &[u8], context: Context) -> Result<(), Error> {
        let mut state = self.lock();
        if state.is_closed() || !state.is_at_rest() {
            drop(state);
            return self.deliver(self.queue(frame, context)?);
        }
        // Nothing waits: then it need not be copied.
        state.follows(context);
        let mut wire = state.take_wire().expect("it is free");
        drop(state);
        match wire.write_within(PATIENCE, frame) {
            Ok(written) if written < frame.len() => {
                let bytes = frame.to_vec();
                let has_close = false;
                self.blame();
                self.escort(wire, Batch { bytes, has_close }, written)
            }
            result => self.settle_soon(self.put_back(wire, result.map(drop))?),
        }
    }

    /// Leaves a frame in the queue, to be written together with what follows.
    pub(crate) fn post_later(
        self: &Arc<Self>,
        frame: &[u8],
        context: Context,
    ) -> Result<(), Error> {
        self.queue(frame, context).map(drop)
    }

    /// Writes what was left in the queue, as [`post`](Self::post) does.
    pub(crate) fn post_now(self: &Arc<Self>) -> Result<(), Error> {
        self.deliver(self.lock())
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

    fn queue<'s>(self: &'s Arc<Self>, frame: &[u8], context: Context) -> Result<Guard<'s>, Error> {
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
        state.queue.push_data(frame, b"");
        Ok(state)
    }

    fn deliver<'s>(self: &'s Arc<Self>, state: Guard<'s>) -> Result<(), Error> {
        let is_tiring = !state.is_free() && state.is_tired;
        if is_tiring && state.takers == 0 && !state.has_relief && state.queue.is_ready(false) {
            return self.send_relief(state);
        }
        self.settle_soon(state)
    }

    fn settle_soon<'s>(self: &'s Arc<Self>, mut state: Guard<'s>) -> Result<(), Error> {
        let begun = Instant::now();
        while state.is_free() && state.queue.is_ready(state.is_streaming) {
            let mut wire = state.take_wire().expect("it is free");
            let batch = state.take_batch();
            self.wake(&state); // There is room again.
            drop(state);
            let is_late = begun.elapsed() >= PATIENCE;
            let result = match is_late {
                // Others keep the queue full: a thread of its own is better at that.
                true => Ok(0),
                // Always the same wait, so that the socket's timeout need not be set for each frame.
                false => wire.write_within(PATIENCE, &batch.bytes),
            };
            match result {
                Ok(written) if written < batch.bytes.len() => {
                    if !is_late {
                        self.blame();
                    }
                    return self.escort(wire, batch, written);
                }
                result => state = self.put_back(wire, result.map(drop))?,
            }
            if batch.has_close {
                self.close_is_out(&mut state);
            }
            state.recycle(batch.bytes);
        }
        self.rest(state);
        Ok(())
    }

    /// The peer has had its time: whoever waits behind the write under way need not.
    fn blame(&self) {
        let mut state = self.lock();
        state.is_slow = true;
        self.wake(&state);
    }

    /// Gives the rest of a batch, and the wire, to a thread that waits for the peer as long as the write deadline lets it.
    fn escort(self: &Arc<Self>, wire: Wire, batch: Batch, written: usize) -> Result<(), Error> {
        let shared = Arc::clone(self);
        // Whoever gets it: the thread, or we again if it cannot be made.
        let cargo = Arc::new(Mutex::new(Some((wire, batch))));
        let carried = Arc::clone(&cargo);
        let spawned = spawn(Box::new(move || {
            let Some((mut wire, batch)) = take(&carried) else {
                return;
            };
            let result = wire.write([&batch.bytes[written..], b"", b""]);
            let Ok(mut state) = shared.put_back(wire, result) else {
                return;
            };
            if batch.has_close {
                shared.close_is_out(&mut state);
            }
            state.recycle(batch.bytes);
            let _ = shared.settle(state);
        }));
        let Err(error) = spawned else {
            return Ok(());
        };
        match take(&cargo) {
            // Half a frame may be out, and nobody can write the rest.
            Some((wire, _)) => self.put_back(wire, Err(error.into())).map(drop),
            None => Ok(()),
        }
    }

    /// Has a new thread take over from one that has written enough for others, its own reader perhaps.
    fn send_relief(self: &Arc<Self>, mut state: Guard<'_>) -> Result<(), Error> {
        state.has_relief = true;
        drop(state);
        let shared = Arc::clone(self);
        let spawned = spawn(Box::new(move || {
            let _ = shared.relieve(shared.lock());
            shared.lock().has_relief = false;
        }));
        if spawned.is_err() {
            // Then it goes on as before.
            self.lock().has_relief = false;
        }
        Ok(())
    }
}

fn spawn(work: Box<dyn FnOnce() + Send>) -> std::io::Result<()> {
    let builder = thread::Builder::new().name("akurai-ws".to_owned());
    builder.spawn(work).map(drop)
}

fn take<T>(cargo: &Mutex<Option<T>>) -> Option<T> {
    cargo.lock().unwrap_or_else(PoisonError::into_inner).take()
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
