//! The frames that wait while another thread writes.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use crate::codec::frame::{self, Opcode};

/// Largest buffer that the queue keeps while nothing waits, in bytes.
const IDLE_BYTES: usize = 4 * 1024;

/// A shared frame of this many bytes or more is kept as it is. A shorter one is copied, and goes
/// out in one write with the frames beside it.
const SHARED_BYTES: usize = 16 * 1024;

/// Encoded frames, in the order in which they will be written: a pong and a ping of the reader,
/// control frames, data. A Close is the last of the data.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// If several pings came meanwhile, the last one is answered (RFC 6455 §5.5.3).
    pong: Vec<u8>,
    /// The reader asks whether the peer is alive.
    pub(crate) keepalive: bool,
    /// The application's pings that had no data in front of them.
    control: Vec<u8>,
    control_frames: usize,
    data: Batch,
    data_frames: usize,
}

/// Frames that are written one after the other.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The pieces before the last one, one write each: whole frames, most of them long ones that
    /// other connections send as well.
    front: VecDeque<Arc<[u8]>>,
    last: Vec<u8>,
    /// How many bytes of the first piece are written.
    written: usize,
    /// How many bytes are not written yet.
    pub(crate) len: usize,
}

impl Batch {
    /// The last `len` bytes of a frame.
    pub(crate) fn end_of(frame: &Arc<[u8]>, len: usize) -> Self {
        Self {
            front: VecDeque::from([Arc::clone(frame)]),
            last: Vec::new(),
            written: frame.len() - len,
            len,
        }
    }

    /// The next bytes to write, from one piece; none at the end.
    pub(crate) fn unwritten(&self) -> &[u8] {
        &self.front.front().map_or(&self.last[..], |piece| piece)[self.written..]
    }

    /// Marks so many bytes as written. A piece that is written is dropped.
    pub(crate) fn advance(&mut self, count: usize) {
        self.written += count;
        self.len -= count;
        if !self.is_at_last() && self.unwritten().is_empty() {
            self.front.pop_front();
            self.written = 0;
        }
    }

    /// Marks so many bytes of the batch, and of `own` behind it, as written.
    pub(crate) fn advance_with(&mut self, own: &mut [&[u8]; 2], count: usize) {
        let mut behind = count.saturating_sub(self.unwritten().len());
        self.advance(count - behind);
        for part in own {
            let taken = behind.min(part.len());
            *part = &part[taken..];
            behind -= taken;
        }
    }

    pub(crate) fn is_at_last(&self) -> bool {
        self.front.is_empty()
    }

    pub(crate) fn is_written(&self) -> bool {
        self.len == 0
    }
}

impl Queue {
    /// How many bytes of messages wait.
    pub(crate) fn bytes(&self) -> usize {
        self.control.len() + self.data.len
    }

    /// How many messages wait.
    pub(crate) fn messages(&self) -> usize {
        self.control_frames + self.data_frames
    }

    /// Whether something may be written; `only_control` while a fragmented message is under way,
    /// which other messages may not interrupt (RFC 6455 §5.4).
    pub(crate) fn is_ready(&self, only_control: bool) -> bool {
        !only_control && self.has_data()
            || self.keepalive
            || !self.pong.is_empty()
            || !self.control.is_empty()
    }

    pub(crate) fn has_data(&self) -> bool {
        !self.data.is_written()
    }

    pub(crate) fn push_data(&mut self, head: &[u8], payload: &[u8]) {
        self.data_frames += 1;
        self.data.len += head.len() + payload.len();
        push(&mut self.data.last, head, payload);
    }

    /// A frame that other connections get as well. A long one is not copied.
    pub(crate) fn push_shared(&mut self, frame: &Arc<[u8]>) {
        if frame.len() < SHARED_BYTES {
            return self.push_data(frame, b"");
        }
        self.data_frames += 1;
        self.data.len += frame.len();
        let Batch { front, last, .. } = &mut self.data;
        if !last.is_empty() {
            front.push_back(Arc::from(&last[..]));
            last.clear();
        }
        front.push_back(Arc::clone(frame));
    }

    /// A ping. It does not go in front of data that came before it, since its pong may tell the
    /// application that this data has arrived.
    pub(crate) fn push_control(&mut self, head: &[u8], payload: &[u8]) {
        if self.has_data() {
            return self.push_data(head, payload);
        }
        self.control_frames += 1;
        push(&mut self.control, head, payload);
    }

    pub(crate) fn set_pong(&mut self, head: &[u8], payload: &[u8]) {
        self.pong.clear();
        push(&mut self.pong, head, payload);
    }

    /// Forgets the messages that wait.
    pub(crate) fn drop_data(&mut self) {
        (self.data, self.data_frames) = (Batch::default(), 0);
    }

    /// Takes all that may be written.
    // Not inlined: most often nothing waits, and its large stack frame would cost each write 30
    // instructions.
    #[inline(never)]
    pub(crate) fn take(&mut self, only_control: bool) -> Batch {
        let mut control = mem::take(&mut self.pong);
        if mem::take(&mut self.keepalive) {
            let ping = frame::encode_header(Opcode::Ping, 0);
            push(&mut control, ping.as_slice(), b"");
        }
        control.append(&mut self.control);
        self.control_frames = 0;
        let mut batch = Batch::default();
        if !only_control {
            (batch, self.data_frames) = (mem::take(&mut self.data), 0);
        }
        if control.is_empty() {
            return batch;
        }
        batch.len += control.len();
        if batch.is_at_last() {
            control.append(&mut batch.last);
            batch.last = control;
        } else {
            batch.front.push_front(control.into());
        }
        batch
    }

    /// Reuses the buffer of a batch that was written.
    pub(crate) fn recycle(&mut self, batch: Batch) {
        let (mut buffer, data) = (batch.last, &mut self.data.last);
        if data.is_empty() && buffer.capacity() > data.capacity() {
            buffer.clear();
            *data = buffer;
        }
    }

    /// Frees large buffers that are empty.
    pub(crate) fn shrink(&mut self) {
        for buffer in [&mut self.control, &mut self.data.last] {
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
        queue.set_pong(b"\x8a\x01", b"!");
        assert_eq!(queue.bytes(), 9 + 2 * long.len());
        assert_eq!(queue.messages(), 5);
        assert_eq!(
            (Arc::strong_count(&long), Arc::strong_count(&short)),
            (3, 1)
        );

        // While a message is being streamed, no data goes.
        assert_eq!(queue.take(true).unwritten(), b"\x8a\x01!");
        assert!(queue.has_data() && queue.is_ready(false));
        queue.set_pong(b"\x8a\x01", b"!");
        let mut batch = queue.take(false);
        assert_eq!((queue.bytes(), queue.messages()), (0, 0));
        assert!(!queue.has_data());
        let mut written = Vec::new();
        while !batch.is_written() {
            assert_eq!(batch.len + written.len(), 12 + 2 * long.len());
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
    fn control_goes_first() {
        let mut queue = Queue::default();
        queue.push_control(b"\x89\x01", b"1");
        queue.push_data(b"\x81\x01", b"a");
        queue.push_control(b"\x89\x01", b"2");
        queue.push_data(b"\x81\x01", b"b");
        queue.keepalive = true;
        queue.set_pong(b"\x8a\x03", b"old");
        queue.set_pong(b"\x8a\x01", b"!");
        assert_eq!((queue.bytes(), queue.messages()), (12, 4));
        let batch = queue.take(false);
        let order = b"\x8a\x01!\x89\x00\x89\x011\x81\x01a\x89\x012\x81\x01b";
        assert_eq!(batch.unwritten(), order);
        assert!(!queue.is_ready(false));
        assert_eq!((queue.bytes(), queue.messages()), (0, 0));
    }

    #[test]
    fn rfc6455_5_4_only_control_goes_between_fragments() {
        let mut queue = Queue::default();
        queue.push_data(b"\x81\x01", b"a");
        assert!(queue.is_ready(false) && !queue.is_ready(true));
        queue.set_pong(b"\x8a\x01", b"!");
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
        assert!(queue.data.last.capacity() >= 2000, "a small one is");
        queue.push_data(&[0; 1000], &[0; 100_000]);
        let batch = queue.take(false);
        queue.recycle(batch);
        queue.shrink();
        assert_eq!(queue.data.last.capacity(), 0);
    }
}
