//! What waits while another thread writes.

use crate::codec::frame::{self, Opcode};

/// What the sending side keeps of its queue's buffer when it is at rest, in bytes.
const IDLE_BYTES: usize = 4 * 1024;

/// Encoded frames, in the order in which they will be written: a pong and a ping of the reader, control frames, data,
/// Close.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Of several pings that came meanwhile, the last is answered (RFC 6455 §5.5.3).
    pong: Option<Vec<u8>>,
    /// The reader asks whether the peer is alive.
    keepalive: bool,
    /// The application's pings that no data was in front of.
    control: Vec<u8>,
    control_frames: usize,
    data: Vec<u8>,
    data_frames: usize,
    close: Option<Vec<u8>>,
}

/// What is to be written next.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    /// It ends with Close, and so does the connection's sending.
    pub(crate) has_close: bool,
}

impl Queue {
    /// How many bytes of messages wait.
    pub(crate) fn bytes(&self) -> usize {
        self.control.len() + self.data.len()
    }

    /// How many messages wait.
    pub(crate) fn messages(&self) -> usize {
        self.control_frames + self.data_frames
    }

    /// Whether something may be written; `only_control` while a fragmented message is under way, which other messages may
    /// not interrupt (RFC 6455 §5.4).
    pub(crate) fn is_ready(&self, only_control: bool) -> bool {
        let has_data = !only_control && self.has_data();
        has_data
            || self.keepalive
            || self.pong.is_some()
            || self.close.is_some()
            || !self.control.is_empty()
    }

    pub(crate) fn has_data(&self) -> bool {
        !self.data.is_empty()
    }

    pub(crate) fn push_data(&mut self, head: &[u8], payload: &[u8]) {
        self.data_frames += 1;
        push(&mut self.data, head, payload);
    }

    /// A ping: not in front of data that came before it, since its pong may tell the application that this has arrived.
    pub(crate) fn push_control(&mut self, head: &[u8], payload: &[u8]) {
        if self.data.is_empty() {
            self.control_frames += 1;
            push(&mut self.control, head, payload);
        } else {
            self.push_data(head, payload);
        }
    }

    pub(crate) fn set_pong(&mut self, payload: &[u8]) {
        self.pong = Some(encode(Opcode::Pong, payload));
    }

    pub(crate) fn set_keepalive(&mut self) {
        self.keepalive = true;
    }

    pub(crate) fn has_keepalive(&self) -> bool {
        self.keepalive
    }

    pub(crate) fn set_close(&mut self, payload: &[u8]) {
        self.close = Some(encode(Opcode::Close, payload));
    }

    /// Forgets the messages that wait.
    pub(crate) fn drop_data(&mut self) {
        self.data = Vec::new();
        self.data_frames = 0;
    }

    /// Takes all that may be written.
    pub(crate) fn take(&mut self, only_control: bool) -> Batch {
        let mut bytes = self.pong.take().unwrap_or_default();
        if std::mem::take(&mut self.keepalive) {
            push(
                &mut bytes,
                frame::encode_header(Opcode::Ping, 0).as_slice(),
                b"",
            );
        }
        bytes.append(&mut self.control);
        self.control_frames = 0;
        if !only_control {
            if bytes.is_empty() {
                std::mem::swap(&mut bytes, &mut self.data);
            } else {
                bytes.append(&mut self.data);
            }
            self.data_frames = 0;
        }
        let close = self.close.take();
        let has_close = close.is_some();
        bytes.extend(close.unwrap_or_default());
        Batch { bytes, has_close }
    }

    /// Uses the buffer of a batch that was written again.
    pub(crate) fn recycle(&mut self, mut bytes: Vec<u8>) {
        if self.data.is_empty() && bytes.capacity() > self.data.capacity() {
            bytes.clear();
            self.data = bytes;
        }
    }

    /// At rest: nothing large is kept.
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
    [
        frame::encode_header(opcode, payload.len()).as_slice(),
        payload,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_goes_first_and_close_last() {
        let mut queue = Queue::default();
        queue.push_control(b"\x89\x01", b"1");
        queue.push_data(b"\x81\x01", b"a");
        queue.push_control(b"\x89\x01", b"2");
        queue.push_data(b"\x81\x01", b"b");
        queue.set_keepalive();
        queue.set_close(b"");
        queue.set_pong(b"old");
        queue.set_pong(b"!");
        assert_eq!((queue.bytes(), queue.messages()), (12, 4));
        let batch = queue.take(false);
        let order = b"\x8a\x01!\x89\x00\x89\x011\x81\x01a\x89\x012\x81\x01b\x88\x00";
        assert_eq!((&batch.bytes[..], batch.has_close), (&order[..], true));
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
        assert_eq!(queue.take(true).bytes, b"\x8a\x01!");
        assert_eq!((queue.bytes(), queue.messages()), (3, 1));
        assert_eq!(queue.take(false).bytes, b"\x81\x01a");
    }

    #[test]
    fn a_buffer_that_grew_is_not_kept() {
        let mut queue = Queue::default();
        queue.push_data(&[0; 1000], &[0; 1000]);
        let batch = queue.take(false);
        queue.recycle(batch.bytes);
        queue.shrink();
        assert!(queue.data.capacity() >= 2000, "a small one is");
        queue.push_data(&[0; 1000], &[0; 100_000]);
        let batch = queue.take(false);
        queue.recycle(batch.bytes);
        queue.shrink();
        assert_eq!(queue.data.capacity(), 0);
    }
}
