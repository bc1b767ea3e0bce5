//! The connection's one read buffer.

use std::io::{self, Read};
use std::ops::Range;

/// What a waiting connection holds, in bytes.
const IDLE_BYTES: usize = 4 * 1024;
/// What it grows to while a long frame arrives faster than it is read.
const BUSY_BYTES: usize = 64 * 1024;

/// Bytes that were read from the socket and not used yet.
///
/// It grows when a read filled it and the frame under way wants still more, so a peer must have sent what it makes us
/// hold; and is small again before the wait for the next frame.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    unread: Range<usize>,
    was_filled: bool,
}

impl ReadBuffer {
    /// Begins with what was read together with the handshake.
    pub(crate) fn new(leftover: Vec<u8>) -> Self {
        let unread = 0..leftover.len();
        let mut buffer = Self {
            bytes: leftover,
            unread,
            was_filled: false,
        };
        buffer.make_room(IDLE_BYTES.max(buffer.unread.len()));
        buffer
    }

    /// The bytes that were not used yet.
    pub(crate) fn unread(&mut self) -> &mut [u8] {
        &mut self.bytes[self.unread.clone()]
    }

    /// The first `used` of them are used.
    pub(crate) fn consume(&mut self, used: usize) {
        self.unread.start += used;
    }

    /// Forgets them all.
    pub(crate) fn clear(&mut self) {
        self.unread = 0..0;
    }

    /// Reads once. `wanted_bytes` are still to come of the frame under way; with 0, what is unread is less than a frame
    /// header and a control frame, and so there is always room.
    pub(crate) fn fill(&mut self, socket: &mut impl Read, wanted_bytes: u64) -> io::Result<usize> {
        let size = match self.bytes.len() {
            _ if wanted_bytes == 0 => IDLE_BYTES,
            size if self.was_filled && wanted_bytes > size as u64 => (size * 4).min(BUSY_BYTES),
            size => size,
        };
        self.make_room(size);
        let room = &mut self.bytes[self.unread.end..];
        let read = socket.read(room)?;
        self.was_filled = read == room.len();
        self.unread.end += read;
        Ok(read)
    }

    // Moves the unread bytes to the front of a buffer of this size.
    fn make_room(&mut self, size: usize) {
        if self.bytes.capacity() != size {
            let mut bytes = vec![0; size];
            bytes[..self.unread.len()].copy_from_slice(&self.bytes[self.unread.clone()]);
            self.bytes = bytes;
        } else {
            if self.unread.start > 0 {
                self.bytes.copy_within(self.unread.clone(), 0);
            }
            self.bytes.resize(size, 0);
        }
        self.unread = 0..self.unread.len();
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
        let long = vec![7; 9000];
        let mut buffer = ReadBuffer::new(long.clone());
        assert_eq!(buffer.unread(), long);
    }

    #[test]
    fn grows_only_when_filled_and_wanted_and_shrinks_again() {
        let mut endless = io::repeat(b'x');
        let mut buffer = ReadBuffer::new(Vec::new());
        let mut reads = Vec::new();
        for wanted in [0, 1 << 24, 1 << 24, 1 << 24, 1 << 24, 100, 0, 0] {
            reads.push(buffer.fill(&mut endless, wanted).unwrap());
            buffer.clear();
        }
        assert_eq!(reads, [4096, 16384, 65536, 65536, 65536, 65536, 4096, 4096]);

        let mut buffer = ReadBuffer::new(Vec::new());
        for _ in 0..10 {
            buffer.fill(&mut &b"dribbled"[..], 1 << 24).unwrap();
            buffer.clear();
        }
        assert_eq!(buffer.bytes.capacity(), IDLE_BYTES);
    }
}
