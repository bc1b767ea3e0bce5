//! Sending without waiting for the peer: for one who sends to many.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

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
        if state.is_closed() {
            return Err(Error::Closed);
        }
        if !self.has_room(&state, frame.len()) && state.is_free() {
            // What the thread that receives holds back is no fault of the peer's.
            self.settle_soon(state)?;
            state = self.lock();
        }
        // One that is longer than the queue may ever be goes while nothing else does.
        let is_at_rest = state.is_free() && !state.is_streaming && !state.queue.is_ready(false);
        if !self.has_room(&state, frame.len()) && !is_at_rest {
            // That the message is long, or our own fragmented one in the way, is no fault of the peer's.
            let is_peers = frame.len() <= self.settings.max_queue_bytes && !state.is_streaming;
            if is_peers && self.settings.when_full != WhenFull::Refuse {
                let payload = close::encode(close::POLICY, TOO_SLOW)?;
                self.queue_close(
                    &mut state,
                    &payload,
                    close::POLICY,
                    TOO_SLOW,
                    Place::InFront,
                );
                self.settle_soon(state)?;
            }
            return Err(Error::Slow);
        }
        if context == Context::Anew {
            state.deflate = None;
        }
        state.queue.push_data(frame, b"");
        if !state.is_free() && state.is_tired && state.takers == 0 && !state.has_relief {
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
            let result = match begun.elapsed() >= PATIENCE {
                // Others keep the queue full: a thread of its own is better at that.
                true => Ok(0),
                // Always the same wait, so that the socket's timeout need not be set for each frame.
                false => wire.write_within(PATIENCE, &batch.bytes),
            };
            match result {
                Ok(written) if written < batch.bytes.len() => {
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

    /// Gives the rest of a batch, and the wire, to a thread that waits for the peer as long as the write deadline lets it.
    fn escort(self: &Arc<Self>, wire: Wire, batch: Batch, written: usize) -> Result<(), Error> {
        let shared = Arc::clone(self);
        // Whoever gets it: the thread, or we again if it cannot be made.
        let cargo = Arc::new(Mutex::new(Some((wire, batch))));
        let carried = Arc::clone(&cargo);
        let spawned = spawn(move || {
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
        });
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
        let spawned = spawn(move || {
            let _ = shared.relieve(shared.lock());
            shared.lock().has_relief = false;
        });
        if spawned.is_err() {
            // Then it goes on as before.
            self.lock().has_relief = false;
        }
        Ok(())
    }
}

const TOO_SLOW: &str = "too slow";

fn spawn(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
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
}
