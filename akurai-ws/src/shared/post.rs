//! Sending without waiting for the peer: for one who sends to many.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{Phase, Shared};
use crate::codec::close;
use crate::error::Error;
use crate::options::WhenFull;
use crate::queue::Batch;
use crate::shared::{Guard, Place};
use crate::wire::Wire;

/// How long the peer may take before a thread of its own waits for it. A peer that reads takes what fits into the
/// socket's buffer at once.
const PATIENCE: Duration = Duration::from_millis(5);

impl Shared {
    /// Writes a frame, or leaves it to the thread that writes; and if the peer does not take it soon, to a new one.
    pub(crate) fn post(self: &Arc<Self>, frame: &[u8]) -> Result<(), Error> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(Error::Closed);
        }
        if !self.has_room(&state, frame.len()) {
            if self.settings.when_full != WhenFull::Refuse {
                drop(state);
                self.close(close::POLICY, "too slow", Place::InFront)?;
            }
            return Err(Error::Slow);
        }
        state.queue.push_data(frame, b"");
        self.settle_soon(state)
    }

    fn settle_soon<'s>(self: &'s Arc<Self>, mut state: Guard<'s>) -> Result<(), Error> {
        while state.queue.is_ready(state.is_streaming) {
            let Some(mut wire) = state.take_wire() else {
                return Ok(());
            };
            let batch = state.take_batch();
            drop(state);
            match wire.write_within(PATIENCE, &batch.bytes) {
                Ok(written) if written < batch.bytes.len() => {
                    return self.escort(wire, batch, written);
                }
                result => state = self.put_back(wire, result.map(drop))?,
            }
            if batch.has_close {
                self.close_is_out(&mut state);
            }
            state.queue.recycle(batch.bytes);
        }
        self.settle(state)
    }

    /// Gives the rest of a batch, and the wire, to a thread that waits for the peer as long as the write deadline lets it.
    fn escort(self: &Arc<Self>, mut wire: Wire, batch: Batch, written: usize) -> Result<(), Error> {
        let shared = Arc::clone(self);
        let escort = thread::Builder::new().name("akurai-ws".to_owned());
        let spawned = escort.spawn(move || {
            let result = wire.write([&batch.bytes[written..], b"", b""]);
            let Ok(mut state) = shared.put_back(wire, result) else {
                return;
            };
            if batch.has_close {
                shared.close_is_out(&mut state);
            }
            let _ = shared.settle(state);
        });
        spawned.map(drop).map_err(|error| {
            // The wire is gone with the thread that could not be made, and half a frame is out.
            let mut state = self.lock();
            state.is_writing = false;
            state.has_failed = true;
            self.finish(&mut state);
            error.into()
        })
    }
}
