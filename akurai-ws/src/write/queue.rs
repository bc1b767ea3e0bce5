//! The frames that wait while another thread writes.

use std::collections::VecDeque;
use std::mem;
use std::ops::Deref;
use std::sync::Arc;

use crate::codec::frame::{self, Opcode};

/// Largest buffer that the queue keeps while nothing waits, in bytes.
const IDLE_BYTES: usize = 4 * 1024;

/// A shared frame of this many bytes or more is kept as it is. A shorter one is copied, and goes
/// out in one write with the frames beside it.
const SHARED_BYTES: usize = 16 * 1024;

/// Encoded frames, in the order in which they will be written: a pong and a ping of the reader,
/// control frames, data, Close.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// If several pings came meanwhile, the last one is answered (RFC 6455 §5.5.3).
    pong: Option<Vec<u8>>,
    /// The reader asks whether the peer is alive.
    pub(crate) keepalive: bool,
    /// The application's pings that had no data in front of them.
    control: Vec<u8>,
    control_frames: usize,
    /// Data up to the last shared frame.
    front: VecDeque<Piece>,
    front_bytes: usize,
    /// Data behind it.
    data: Vec<u8>,
    data_frames: usize,
    pub(crate) close: Option<Vec<u8>>,
}

/// Whole frames that are written one after the other.
#[derive(Debug)]
pub(crate) enum Piece {
    Own(Vec<u8>),
    /// One frame, whose bytes other connections use as well.
    Shared(Arc<[u8]>),
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Default for Piece {
    fn default() -> Self {
        Self::Own(Vec::new())
    }
}

/// The frames to write next.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The pieces before the last one, one write each.
    front: VecDeque<Piece>,
    last: Piece,
    /// How many bytes of the first piece are written.
    written: usize,
    /// It ends with Close, after which the connection sends nothing.
    pub(crate) has_close: bool,
}

impl Batch {
    /// One frame.
    pub(crate) fn of_shared(frame: &Arc<[u8]>) -> Self {
        Self {
            last: Piece::Shared(Arc::clone(frame)),
            ..Self::default()
        }
    }

    /// The next bytes to write, from one piece; none at the end.
    pub(crate) fn unwritten(&self) -> &[u8] {
        &self.front.front().unwrap_or(&self.last)[self.written..]
    }

    /// Marks so many bytes as written. A piece that is written is dropped.
    pub(crate) fn advance(&mut self, count: usize) {
        self.written += count;
        if self
            .front
            .front()
            .is_some_and(|piece| self.written == piece.len())
        {
            self.front.pop_front();
            self.written = 0;
        }
    }

    pub(crate) fn is_at_last(&self) -> bool {
        self.front.is_empty()
    }

    pub(crate) fn is_written(&self) -> bool {
        self.unwritten().is_empty()
    }

    /// How many bytes are not written yet.
    pub(crate) fn len(&self) -> usize {
        let front = self.front.iter().map(|piece| piece.len());
        front.sum::<usize>() + self.last.len() - self.written
    }
}

impl Queue {
    /// How many bytes of messages wait.
    pub(crate) fn bytes(&self) -> usize {
        self.control.len() + self.front_bytes + self.data.len()
    }

    /// How many messages wait.
    pub(crate) fn messages(&self) -> usize {
        self.control_frames + self.data_frames
    }

    /// Whether something may be written; `only_control` while a fragmented message is under way,
    /// which other messages may not interrupt (RFC 6455 §5.4).
    pub(crate) fn is_ready(&self, only_control: bool) -> bool {
        let has_data = !only_control && self.has_data();
        has_data
            || self.keepalive
            || self.pong.is_some()
            || self.close.is_some()
            || !self.control.is_empty()
    }

    pub(crate) fn has_data(&self) -> bool {
        !self.data.is_empty() || !self.front.is_empty()
    }

    pub(crate) fn push_data(&mut self, head: &[u8], payload: &[u8]) {
        self.data_frames += 1;
        push(&mut self.data, head, payload);
    }

    /// A frame that other connections get as well. A long one is not copied.
    pub(crate) fn push_shared(&mut self, frame: &Arc<[u8]>) {
        if frame.len() < SHARED_BYTES {
            return self.push_data(frame, b"");
        }
        self.data_frames += 1;
        let before = mem::take(&mut self.data);
        self.front_bytes += before.len() + frame.len();
        if !before.is_empty() {
            self.front.push_back(Piece::Own(before));
        }
        self.front.push_back(Piece::Shared(Arc::clone(frame)));
    }

    /// A ping. It does not go in front of data that came before it, since its pong may tell the
    /// application that this data has arrived.
    pub(crate) fn push_control(&mut self, head: &[u8], payload: &[u8]) {
        if !self.has_data() {
            self.control_frames += 1;
            push(&mut self.control, head, payload);
        } else {
            self.push_data(head, payload);
        }
    }

    pub(crate) fn set_pong(&mut self, payload: &[u8]) {
        self.pong = Some(encode(Opcode::Pong, payload));
    }

    pub(crate) fn set_close(&mut self, payload: &[u8]) {
        self.close = Some(encode(Opcode::Close, payload));
    }

    /// Forgets the messages that wait.
    pub(crate) fn drop_data(&mut self) {
        self.data = Vec::new();
        self.front = VecDeque::new();
        (self.front_bytes, self.data_frames) = (0, 0);
    }

    /// Takes all that may be written.
    // Not inlined: most often nothing waits, and its large stack frame would cost each write 30
    // instructions.
    #[inline(never)]
    pub(crate) fn take(&mut self, only_control: bool) -> Batch {
        let mut batch = Batch::default();
        let mut bytes = self.pong.take().unwrap_or_default();
        if mem::take(&mut self.keepalive) {
            push(
                &mut bytes,
                frame::encode_header(Opcode::Ping, 0).as_slice(),
                b"",
            );
        }
        bytes.append(&mut self.control);
        self.control_frames = 0;
        if !only_control {
            batch.front = mem::take(&mut self.front);
            (self.front_bytes, self.data_frames) = (0, 0);
            if !batch.front.is_empty() && !bytes.is_empty() {
                batch.front.push_front(Piece::Own(mem::take(&mut bytes)));
            }
            match bytes.is_empty() {
                true => mem::swap(&mut bytes, &mut self.data),
                false => bytes.append(&mut self.data),
            }
        }
        if let Some(close) = self.close.take() {
            bytes.extend_from_slice(&close);
            batch.has_close = true;
        }
        batch.last = Piece::Own(bytes);
        batch
    }

    /// Reuses the buffer of a batch that was written.
    pub(crate) fn recycle(&mut self, batch: Batch) {
        if let Piece::Own(mut bytes) = batch.last {
            if self.data.is_empty() && bytes.capacity() > self.data.capacity() {
                bytes.clear();
                self.data = bytes;
            }
        }
    }

    /// Frees large buffers that are empty.
    pub(crate) fn shrink(&mut self) {
        for buffer in [&mut self.control, &mut self.data] {
            if buffer.is_empty() && buffer.capacity() > IDLE_BYTES {
                *buffer = Vec::new();
            }
        }
    }
}

fn push(buffer: &mut Vec<u8>, head: &[u8], payload: &[u8]) {
    buffer.extend_from_slice(head);
    buffer.extend_from_slice(payload);
}

fn encode(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let header = frame::encode_header(opcode, payload.len());
    [header.as_slice(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_shared_frame_is_not_copied_and_keeps_its_place() {
        let long: Arc<[u8]> = vec![7; SHARED_BYTES].into();
        let short: Arc<[u8]> = Arc::from(&b"\x81\x01s"[..]);
        let mut queue = Queue::default();
        queue.push_data(b"\x81\x01", b"a");
        queue.push_shared(&long);
        queue.push_shared(&short);
        queue.push_shared(&long);
        // Behind the data, although that is not where its bytes are.
        queue.push_control(b"\x89\x01", b"?");
        queue.set_pong(b"!");
        queue.set_close(b"");
        assert_eq!(queue.bytes(), 9 + 2 * long.len());
        assert_eq!(queue.messages(), 5);
        assert_eq!(
            (Arc::strong_count(&long), Arc::strong_count(&short)),
            (3, 1)
        );

        // While a message is being streamed, no data goes.
        assert_eq!(queue.take(true).unwritten(), b"\x8a\x01!\x88\x00");
        assert!(queue.has_data() && queue.is_ready(false));
        queue.set_pong(b"!");
        let mut batch = queue.take(false);
        assert_eq!((queue.bytes(), queue.messages()), (0, 0));
        assert!(!queue.has_data());
        let mut written = Vec::new();
        while !batch.is_written() {
            assert_eq!(batch.len() + written.len(), 12 + 2 * long.len());
            let piece = &batch.unwritten()[..batch.unwritten().len().min(9000)];
            written.extend_from_slice(piece);
            batch.advance(piece.len());
        }
        let begin = &b"\x8a\x01!\x81\x01a"[..];
        let all = [begin, &long, &short, &long, b"\x89\x01?"].concat();
        assert_eq!(written, all);
        // What was written is not held.
        assert_eq!(Arc::strong_count(&long), 1);

        queue.push_shared(&long);
        queue.drop_data();
        assert_eq!((queue.bytes(), Arc::strong_count(&long)), (0, 1));
        assert!(!queue.is_ready(false));
    }

    #[test]
    fn control_goes_first_and_close_last() {
        let mut queue = Queue::default();
        queue.push_control(b"\x89\x01", b"1");
        queue.push_data(b"\x81\x01", b"a");
        queue.push_control(b"\x89\x01", b"2");
        queue.push_data(b"\x81\x01", b"b");
        queue.keepalive = true;
        queue.set_close(b"");
        queue.set_pong(b"old");
        queue.set_pong(b"!");
        assert_eq!((queue.bytes(), queue.messages()), (12, 4));
        let batch = queue.take(false);
        let order = b"\x8a\x01!\x89\x00\x89\x011\x81\x01a\x89\x012\x81\x01b\x88\x00";
        assert_eq!((batch.unwritten(), batch.has_close), (&order[..], true));
        assert!(!queue.is_ready(false));
        assert_eq!((queue.bytes(), queue.messages()), (0, 0));
    }

    #[test]
    fn rfc6455_5_4_only_control_goes_between_fragments() {
        let mut queue = Queue::default();
        queue.push_data(b"\x81\x01", b"a");
        assert!(queue.is_ready(false) && !queue.is_ready(true));
        queue.set_pong(b"!");
        assert!(queue.is_ready(true));
        assert_eq!(queue.take(true).unwritten(), b"\x8a\x01!");
        assert_eq!((queue.bytes(), queue.messages()), (3, 1));
        assert_eq!(queue.take(false).unwritten(), b"\x81\x01a");
    }

    #[test]
    fn a_buffer_that_grew_is_not_kept() {
        let mut queue = Queue::default();
        queue.push_data(&[0; 1000], &[0; 1000]);
        let batch = queue.take(false);
        queue.recycle(batch);
        queue.shrink();
        assert!(queue.data.capacity() >= 2000, "a small one is");
        queue.push_data(&[0; 1000], &[0; 100_000]);
        let batch = queue.take(false);
        queue.recycle(batch);
        queue.shrink();
        assert_eq!(queue.data.capacity(), 0);
    }
}
