//! Frames into the socket: by whom, and in which order.

use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::codec::close;
use crate::codec::frame::{self, Opcode};
use crate::error::Error;
use crate::options::WhenFull;
use crate::write::queue::Batch;
use crate::write::writer::Writer;

use super::{Context, Guard, Lane, Outbox, Outgoing, Phase, Place, State};

/// How much may be held back to be written together, in bytes with the frames' headers.
const HELD_BYTES: usize = 16 * 1024;
/// How long the write of another thread may last before the peer is blamed for what waits behind it. On a busy machine, such a
/// thread may have to wait for a processor.
const EXCUSE: Duration = Duration::from_millis(50);

/// Whether a full queue is the peer's fault.
pub(super) enum Excuse<'s> {
    /// No; something has changed, or time has passed.
    Excused(Guard<'s>),
    /// Yes: the Close that says so is to be written.
    ToBlame(Guard<'s>),
}

impl Outbox {
    /// Writes a frame, or leaves it to the thread that writes.
    pub(crate) fn send(self: &Arc<Self>, frame: Outgoing<'_>) -> Result<(), Error> {
        let len = frame.head.len() + frame.payload.len();
        let is_fragment = matches!(frame.lane, Lane::Fragment { .. });
        // What would never fit is written by its own thread.
        let may_be_queued = !is_fragment && len <= self.settings.max_queue_bytes;
        let mut until = None;
        let mut state = self.lock();
        loop {
            if state.is_closed() {
                let _ = self.settle(state);
                return Err(Error::Closed);
            }
            let is_free = state.is_free_for(frame.lane);
            if is_free || may_be_queued && self.has_room(&state, len) {
                let compressed = state.compressed(&frame, self.settings.outbound);
                let (head, payload) = match &compressed {
                    Some(whole) => (&whole[..], &[][..]),
                    None => (frame.head, frame.payload),
                };
                if is_free {
                    return self.write_now(
                        state,
                        Outgoing {
                            head,
                            payload,
                            ..frame
                        },
                    );
                }
                state.waits_behind();
                match (frame.lane, frame.shared) {
                    (Lane::Control, _) => state.queue.push_control(head, payload),
                    (_, Some(shared)) => state.queue.push_shared(shared),
                    _ => state.queue.push_data(head, payload),
                }
                return self.settle(state);
            }
            // That our own fragmented message is in the way is no fault of the peer's.
            let may_wait = !may_be_queued || state.is_streaming;
            match self.settings.when_full {
                WhenFull::Refuse if !may_wait => return Err(Error::Slow),
                WhenFull::Close if !may_wait => match self.excuse(state, &mut until)? {
                    Excuse::Excused(changed) => state = changed,
                    Excuse::ToBlame(state) => {
                        self.settle(state)?;
                        return Err(Error::Slow);
                    }
                },
                _ => state = self.wait(state, &mut until, !may_be_queued)?,
            }
        }
    }

    /// Leaves a message in the queue although nobody writes, to be written together with what follows: by whoever writes next, or
    /// by [`flush`](Self::flush) at the latest. What would be too much is written at once, with those in front of it.
    pub(crate) fn hold(self: &Arc<Self>, frame: Outgoing<'_>) -> Result<(), Error> {
        let len = frame.head.len() + frame.payload.len();
        let mut state = self.lock();
        let fits = self.has_room(&state, len) && state.queue.bytes() + len <= HELD_BYTES;
        if !fits || state.is_closed() || frame.lane != Lane::Data || !state.is_free_for(frame.lane)
        {
            drop(state);
            return self.send(frame);
        }
        match state.compressed(&frame, self.settings.outbound) {
            Some(whole) => state.queue.push_data(&whole, b""),
            None => state.queue.push_data(frame.head, frame.payload),
        }
        Ok(())
    }

    /// Writes what was held back.
    pub(crate) fn flush(self: &Arc<Self>) -> Result<(), Error> {
        let state = self.lock();
        let is_closed = state.is_closed();
        self.settle(state)?;
        match is_closed {
            true => Err(Error::Closed),
            false => Ok(()),
        }
    }

    /// Begins a fragmented message, behind what was sent before; waits for one that is under way.
    pub(crate) fn begin_stream(self: &Arc<Self>) -> Result<(), Error> {
        let mut until = None;
        let mut state = self.lock();
        loop {
            if state.is_closed() {
                let _ = self.settle(state);
                return Err(Error::Closed);
            }
            if state.is_free_for(Lane::Data) && !state.queue.is_ready(false) {
                state.is_streaming = true;
                return Ok(());
            }
            if state.is_free_for(Lane::Data) {
                self.settle(state)?;
                state = self.lock();
            } else {
                state = self.wait(state, &mut until, true)?;
            }
        }
    }

    /// Answers a ping (RFC 6455 §5.5.3); after Close, with nothing.
    pub(crate) fn pong(self: &Arc<Self>, payload: &[u8]) -> Result<(), Error> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Ok(());
        }
        if state.is_free() {
            let header = frame::encode_header(Opcode::Pong, payload.len());
            let head = header.as_slice();
            let pong = Outgoing {
                head,
                payload,
                shared: None,
                lane: Lane::Control,
                context: Context::Apart,
            };
            return self.write_now(state, pong);
        }
        state.queue.set_pong(payload);
        Ok(())
    }

    /// Asks whether the peer is alive.
    pub(crate) fn keepalive(self: &Arc<Self>) -> Result<(), Error> {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.queue.set_keepalive();
        }
        self.settle(state)
    }

    /// How much had been written before the question went out; `None` while it stands behind what
    /// another thread writes.
    pub(crate) fn asked_behind_bytes(&self) -> Option<u64> {
        let state = self.lock();
        let has_asked = state.writer.is_some() && !state.queue.has_keepalive();
        has_asked.then_some(state.asked_behind_bytes)
    }

    /// Waits until our Close is out, if it stands behind what another thread writes; no longer than that may take.
    pub(crate) fn await_close(&self) {
        let mut until = None;
        let mut state = self.lock();
        while state.phase == Phase::Closing && state.close_sent_at.is_none() {
            match self.wait(state, &mut until, false) {
                Ok(changed) => state = changed,
                Err(_) => return,
            }
        }
    }

    // The caller's own frame, behind what waits.
    fn write_now(self: &Arc<Self>, mut state: Guard<'_>, frame: Outgoing<'_>) -> Result<(), Error> {
        let mut writer = state.take_writer().expect("the caller saw it");
        let is_first = !state.queue.is_ready(state.is_streaming);
        let mut batch = match is_first {
            true => Batch::default(),
            false => state.take_batch(),
        };
        if !is_first {
            self.wake(&state); // There is room again.
        }
        drop(state);
        let drained_bytes = batch.len();
        let result = writer.write_batch(&mut batch, frame.head, frame.payload);
        let mut state = self.put_back(writer, result)?;
        self.is_written(&mut state, batch);
        if frame.lane == (Lane::Fragment { fin: true }) {
            state.is_streaming = false;
            self.wake(&state);
        }
        self.settle_after(drained_bytes, state)
    }

    // Writes what waits, if nobody does. Wherever a frame was queued or the writer was put back, this comes last.
    pub(super) fn settle<'s>(self: &'s Arc<Self>, state: Guard<'s>) -> Result<(), Error> {
        self.settle_after(0, state)
    }

    // The same for a thread that has written so many bytes for others already. A queue's worth is
    // enough.
    fn settle_after<'s>(
        self: &'s Arc<Self>,
        mut drained_bytes: usize,
        mut state: Guard<'s>,
    ) -> Result<(), Error> {
        while let Some((mut writer, mut batch)) = self.take_turn(&mut state, drained_bytes) {
            drop(state);
            if drained_bytes >= self.settings.max_queue_bytes {
                return self.escort(writer, batch, Instant::now());
            }
            drained_bytes += batch.len();
            let result = writer.write_batch(&mut batch, b"", b"");
            state = self.put_back(writer, result)?;
            self.is_written(&mut state, batch);
        }
        self.rest(state);
        Ok(())
    }

    // The writer and what is to be written next, if nobody writes and something waits. After a
    // queue's worth, a thread that waits to write something itself comes first.
    pub(super) fn take_turn(
        &self,
        state: &mut State,
        drained_bytes: usize,
    ) -> Option<(Writer, Batch)> {
        if !state.is_free() || !state.queue.is_ready(state.is_streaming) {
            return None;
        }
        let is_enough = drained_bytes >= self.settings.max_queue_bytes;
        if is_enough && state.takers > 0 && !state.is_streaming {
            // Kept for one of them, or the next thread that comes would have it.
            state.is_reserved = true;
            return None;
        }
        let writer = state.take_writer()?;
        let batch = state.take_batch();
        self.wake(state); // There is room again.
        Some((writer, batch))
    }

    pub(super) fn is_written(&self, state: &mut State, batch: Batch) {
        if batch.has_close {
            self.close_is_out(state);
        }
        state.recycle(batch.bytes);
    }

    // Nothing more is to be written now, unless another thread does.
    pub(super) fn rest(&self, mut state: Guard<'_>) {
        if state.writer.is_some() {
            state.is_slow &= state.queue.is_ready(state.is_streaming);
            state.queue.shrink();
            self.wake(&state);
        }
    }

    pub(super) fn put_back(
        &self,
        writer: Writer,
        result: Result<(), Error>,
    ) -> Result<Guard<'_>, Error> {
        let mut state = self.lock();
        state.is_writing = false;
        state.busy_since = None;
        self.written_bytes
            .store(writer.written_bytes(), Ordering::Relaxed);
        let has_ended = state.phase == Phase::Ended;
        match result {
            Ok(()) => {
                if !has_ended {
                    state.writer = Some(writer);
                }
                Ok(state)
            }
            Err(error) => {
                state.has_failed = true;
                self.finish(&mut state);
                drop(state);
                // Half a frame is out: nothing can follow it, and the reader need not wait for anything.
                writer.shutdown(Shutdown::Both);
                Err(if has_ended { Error::Closed } else { error })
            }
        }
    }

    pub(super) fn has_room(&self, state: &State, len: usize) -> bool {
        state.queue.messages() < self.settings.max_queue_messages
            && state.queue.bytes() + len <= self.settings.max_queue_bytes
    }

    // Until something changes: for the write deadline in all.
    fn wait<'s>(
        &'s self,
        state: Guard<'s>,
        until: &mut Option<Instant>,
        is_taker: bool,
    ) -> Result<Guard<'s>, Error> {
        let left = self.time_left(until);
        if left == Duration::ZERO {
            return Err(Error::Slow);
        }
        Ok(self.pause(state, left, is_taker))
    }

    // Waits for room behind another thread's write. That much came while it wrote is no fault of the peer's, nor that others were
    // faster to take the room: so each write has its time, and the caller has the write deadline in all.
    pub(super) fn excuse<'s>(
        &'s self,
        mut state: Guard<'s>,
        until: &mut Option<Instant>,
    ) -> Result<Excuse<'s>, Error> {
        let since = *state.busy_since.get_or_insert_with(Instant::now);
        let left = EXCUSE.saturating_sub(since.elapsed());
        let left = left.min(self.time_left(until));
        if !state.is_slow && !left.is_zero() {
            return Ok(Excuse::Excused(self.pause(state, left, false)));
        }
        let reason = "too slow";
        let payload = close::encode(close::POLICY, reason)?;
        self.queue_close(&mut state, &payload, close::POLICY, reason, Place::InFront);
        Ok(Excuse::ToBlame(state))
    }

    fn time_left(&self, until: &mut Option<Instant>) -> Duration {
        let now = Instant::now();
        let until = *until.get_or_insert(now + self.settings.write_deadline);
        until.saturating_duration_since(now)
    }

    // Until something changes, for so long at most.
    pub(super) fn pause<'s>(
        &'s self,
        mut state: Guard<'s>,
        most: Duration,
        is_taker: bool,
    ) -> Guard<'s> {
        state.waiting += 1;
        state.takers += usize::from(is_taker);
        let (mut state, _) = self
            .changed
            .wait_timeout(state, most)
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        if is_taker {
            state.takers -= 1;
            // What this thread does now, it does before the lock is free again.
            state.is_reserved = false;
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::mpsc;

    use akurai_http::deflate::{Level, inflate};
    use akurai_http::{Request, Response, Server, Status, Upgrade};

    use super::*;
    use crate::codec::compression::Outbound;
    use crate::codec::extensions::Direction;
    use crate::message::Kind;
    use crate::options::Settings;
    use crate::write::message_writer::MessageWriter;

    #[test]
    fn rfc7692_a_part_that_did_not_go_out_is_referred_to_by_none() {
        // A socket, and the client at its other end.
        let (give, given) = mpsc::channel();
        let server = Server::bind("127.0.0.1:0").unwrap();
        let (addr, handle) = (server.local_addr().unwrap(), server.handle());
        let serving = std::thread::spawn(move || {
            server.run(move |_: &Request| {
                let give = give.clone();
                Upgrade::new(
                    Response::new(Status::SWITCHING_PROTOCOLS).header("Upgrade", "a"),
                    move |upgraded| {
                        let _ = give.send(upgraded.into_parts().1);
                    },
                )
            })
        });
        let mut client = TcpStream::connect(addr).unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n";
        client.write_all(request).unwrap();
        let socket = given.recv().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }

        let outbound = Outbound {
            level: Level::default(),
            threshold_bytes: 0,
            direction: Direction {
                takeover: false,
                window_bits: 15,
            },
        };
        let settings = Settings {
            write_deadline: Duration::from_millis(10),
            ..Settings::default()
        };
        let outbox = Outbox::new(&settings, Some(outbound), None);
        outbox.connect(socket).unwrap();
        let mut message = MessageWriter::begin(Arc::clone(&outbox), Kind::Text).unwrap();
        message.write_all(b"begun, ").unwrap();
        // Another thread writes, for longer than a part waits.
        let writer = outbox.lock().take_writer().unwrap();
        let refused = message.write(b"a part that is sent again later");
        assert!(matches!(Error::from(refused.unwrap_err()), Error::Slow));
        drop(outbox.put_back(writer, Ok(())).unwrap());
        message
            .write_all(b"a part that is sent again later")
            .unwrap();
        message.finish().unwrap();
        outbox.end();
        drop(outbox);

        // Short frames that are not masked: two bytes of header each.
        let mut frames = Vec::new();
        client.read_to_end(&mut frames).unwrap();
        let (mut rest, mut payload) = (&frames[..], Vec::new());
        while let [_, len, behind @ ..] = rest {
            let (part, behind) = behind.split_at(usize::from(*len));
            payload.extend_from_slice(part);
            rest = behind;
        }
        let text = inflate(&payload, 1000).unwrap();
        assert_eq!(text, b"begun, a part that is sent again later");
        handle.shutdown(Duration::ZERO);
        serving.join().unwrap().unwrap();
    }
}
