//! The connection's one read buffer.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Mutex;

use crate::lock::lock;

/// Size of the buffer that a connection begins with, in bytes. A connection that only listens never
/// gets a larger one.
const FIRST_BYTES: usize = 1024;
/// Size of the buffer once a read has filled the first one, in bytes.
const IDLE_BYTES: usize = 4 * 1024;
/// Size of the buffer while a long frame arrives, in bytes.
const BUSY_BYTES: usize = 64 * 1024;
/// How many buffers of 64 KiB are kept while no connection uses them, in the whole process.
const SPARE_BUFFERS: usize = 16;

/// Allocating such a buffer costs as much as copying a long message. A buffer that was just used is
/// also still in the cache.
static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Bytes that were read from the socket and not used yet.
///
/// The buffer grows once, when a read has filled it. When a read has filled that one too and the
/// frame under way wants still more, a large buffer takes its place; so a peer must have sent
/// something for it. The large buffer is given back before the wait for the next frame.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    idle: Vec<u8>,
    /// Used instead of `idle`, if there is one.
    busy: Option<Vec<u8>>,
    unread: Range<usize>,
    was_filled: bool,
}

impl ReadBuffer {
    /// Begins with the bytes that were read together with the handshake.
    pub(crate) fn new(leftover: Vec<u8>) -> Self {
        let unread = 0..leftover.len();
        let mut idle = vec![0; FIRST_BYTES];
        let busy = match idle.get_mut(unread.clone()) {
            Some(room) => {
                room.copy_from_slice(&leftover);
                None
            }
            None => Some(leftover),
        };
        Self {
            idle,
            busy,
            unread,
            was_filled: false,
        }
    }

    /// The bytes that were not used yet.
    pub(crate) fn unread(&mut self) -> &mut [u8] {
        let bytes = self.busy.as_mut().unwrap_or(&mut self.idle);
        &mut bytes[self.unread.clone()]
    }

    /// Whether no bytes are unread.
    pub(crate) fn is_empty(&self) -> bool {
        self.unread.is_empty()
    }

    /// Marks the first `used` unread bytes as used.
    pub(crate) fn consume(&mut self, used: usize) {
        self.unread.start += used;
    }

    /// Forgets all unread bytes.
    pub(crate) fn clear(&mut self) {
        self.unread = 0..0;
    }

    /// Reads once. `wanted_bytes` are still to come of the frame under way. With 0, the unread
    /// bytes are fewer than a frame header and a control frame, so there is always room.
    pub(crate) fn fill(&mut self, socket: &mut impl Read, wanted_bytes: u64) -> io::Result<usize> {
        if wanted_bytes == 0 {
            self.be_idle();
        }
        if self.was_filled {
            let busy_bytes = self.busy.as_ref().map(Vec::len);
            if busy_bytes.is_none() && self.idle.len() < IDLE_BYTES {
                self.grow();
            } else if wanted_bytes > IDLE_BYTES as u64 && busy_bytes < Some(BUSY_BYTES) {
                self.be_busy();
            }
        }
        let bytes = self.busy.as_mut().unwrap_or(&mut self.idle);
        if self.unread.start > 0 {
            bytes.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        let room = &mut bytes[self.unread.end..];
        let read = socket.read(room)?;
        self.was_filled = read == room.len();
        self.unread.end += read;
        Ok(read)
    }

    // Allocates exactly this size: `resize` may allocate more.
    fn grow(&mut self) {
        let mut bytes = vec![0; IDLE_BYTES];
        bytes[..self.idle.len()].copy_from_slice(&self.idle);
        self.idle = bytes;
    }

    fn be_busy(&mut self) {
        let spare = lock(&SPARE).pop();
        let mut bytes = spare.unwrap_or_else(|| vec![0; BUSY_BYTES]);
        // It takes the place of the idle buffer, or of a leftover.
        let unread = self.unread();
        bytes[..unread.len()].copy_from_slice(unread);
        self.unread = 0..self.unread.len();
        self.busy = Some(bytes);
    }

    fn be_idle(&mut self) {
        let Some(bytes) = self.busy.take() else {
            return;
        };
        self.idle[..self.unread.len()].copy_from_slice(&bytes[self.unread.clone()]);
        self.unread = 0..self.unread.len();
        give_back(bytes);
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        if let Some(bytes) = self.busy.take() {
            give_back(bytes);
        }
    }
}

fn give_back(bytes: Vec<u8>) {
    let mut spare = lock(&SPARE);
    if bytes.len() == BUSY_BYTES && spare.len() < SPARE_BUFFERS {
        spare.push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftover_comes_first() {
        let mut buffer = ReadBuffer::new(b"hand".to_vec());
        assert_eq!(buffer.unread(), b"hand");
        buffer.consume(3);
        assert_eq!(buffer.fill(&mut &b"shake"[..], 0).unwrap(), 5);
        assert_eq!(buffer.unread(), b"dshake");
        for len in [
            FIRST_BYTES - 1,
            FIRST_BYTES,
            FIRST_BYTES + 1,
            IDLE_BYTES,
            9000,
        ] {
            let long = vec![7; len];
            let mut buffer = ReadBuffer::new(long.clone());
            assert_eq!(buffer.unread(), long);
            buffer.consume(len - 1);
            assert_eq!(buffer.fill(&mut &b"shake"[..], 0).unwrap(), 5);
            assert_eq!(buffer.unread(), b"\x07shake");
            assert!(buffer.busy.is_none());
        }
    }

    #[test]
    fn grows_only_when_filled_and_wanted_and_shrinks_again() {
        let mut endless = io::repeat(b'x');
        let mut buffer = ReadBuffer::new(Vec::new());
        let mut reads = Vec::new();
        for wanted in [0, 4097, 4096, 4097, 1 << 24, 100, 0, 0] {
            reads.push(buffer.fill(&mut endless, wanted).unwrap());
            buffer.clear();
        }
        assert_eq!(reads, [1024, 4096, 4096, 65536, 65536, 65536, 4096, 4096]);

        let mut buffer = ReadBuffer::new(Vec::new());
        for _ in 0..10 {
            buffer.fill(&mut &b"dribbled"[..], 1 << 24).unwrap();
            buffer.clear();
        }
        assert!(buffer.busy.is_none());
        assert_eq!(buffer.idle.capacity(), FIRST_BYTES);
    }

    #[test]
    fn a_long_frame_behind_a_long_leftover_is_read_as_any_other() {
        for len in [FIRST_BYTES + 1, 9000] {
            let mut buffer = ReadBuffer::new(vec![7; len]);
            buffer.clear();
            let mut reads = Vec::new();
            for wanted in [1 << 24, 4096, 1 << 24, 0] {
                reads.push(buffer.fill(&mut io::repeat(b'x'), wanted).unwrap());
                buffer.clear();
            }
            assert_eq!(reads, [len, len, BUSY_BYTES, IDLE_BYTES]);
        }
    }

    #[test]
    fn what_is_unread_moves_along() {
        let mut buffer = ReadBuffer::new(Vec::new());
        let mut wire: Vec<u8> = (0..100_000).map(|n| (n % 251) as u8).collect();
        let mut socket = &wire.clone()[..];
        let mut seen = Vec::new();
        for wanted in [0, 1 << 24, 1 << 24, 1 << 24, 0, 0, 1 << 24, 1 << 24] {
            buffer.fill(&mut socket, wanted).unwrap();
            let used = buffer.unread().len() - 3;
            seen.extend_from_slice(&buffer.unread()[..used]);
            buffer.consume(used);
        }
        wire.truncate(seen.len());
        assert_eq!(seen, wire);
    }
}
