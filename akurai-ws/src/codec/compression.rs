//! The payload of compressed messages (RFC 7692 §7.2), outgoing and incoming.

use akurai_http::deflate::{Deflate, Flush, Inflate, Inflated, Level};

use super::extensions::Direction;
use super::frame::{self, Opcode};
use crate::error::Violation;

/// How outgoing data messages are compressed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outbound {
    pub(crate) level: Level,
    pub(crate) threshold_bytes: usize,
    pub(crate) direction: Direction,
}

/// What a frame does with the compression context that our messages may share (§7.1.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ContextUse {
    /// Nothing: the frame is not compressed.
    Unused,
    /// The frame is compressed by itself, but it moves the peer's window on, so the context must
    /// restart.
    Restart,
    /// When its turn comes, the frame is compressed behind the messages that were sent before it.
    Continue(Opcode),
}

impl ContextUse {
    /// The compressed frame for this payload, behind the messages that `deflate` has seen; `None`
    /// if this is not wanted or makes it no shorter. From now on the frame keeps its place in the
    /// order of all frames.
    pub(crate) fn compress(
        self,
        outbound: Option<Outbound>,
        deflate: &mut Option<Deflate>,
        payload: &[u8],
    ) -> Option<Vec<u8>> {
        match (self, outbound) {
            (Self::Continue(opcode), Some(outbound)) => {
                let payload = outbound.compress_behind(deflate, payload)?;
                let header = frame::encode_compressed_header(opcode, true, payload.len());
                return Some([header.as_slice(), &payload].concat());
            }
            (Self::Restart, _) => *deflate = None,
            _ => {}
        }
        None
    }
}

/// The end of each message's last block, which is not sent (§7.2.1): the end of an empty stored
/// block.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

impl Outbound {
    /// Whether the message is long enough to be compressed.
    pub(crate) fn is_for(&self, message: &[u8]) -> bool {
        message.len() >= self.threshold_bytes
    }

    /// Whether a message is compressed behind the messages before it. That happens when its turn
    /// comes, while all threads that send wait. So a long message, which gains little by it, is
    /// compressed by itself.
    pub(crate) fn is_behind_others(&self, message: &[u8]) -> bool {
        const MOST_BYTES: usize = 128 * 1024;
        self.direction.takeover && message.len() <= MOST_BYTES
    }

    /// The compressed payload of `message` by itself, if it is shorter.
    pub(crate) fn compress_alone(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut payload = Vec::new();
        let bits = self.direction.window_bits;
        Deflate::compress_alone(self.level, bits, message, Flush::Sync, &mut payload);
        payload.truncate(payload.len() - TAIL.len());
        (payload.len() < message.len()).then_some(payload)
    }

    /// The compressed payload of `message` behind the messages that `context` has seen, if it is
    /// shorter. Otherwise the message is sent as it is, which no context sees, and `context` begins
    /// again.
    pub(crate) fn compress_behind(
        &self,
        context: &mut Option<Deflate>,
        message: &[u8],
    ) -> Option<Vec<u8>> {
        let mut payload = Vec::new();
        let deflate = context.get_or_insert_with(|| self.stream());
        deflate.compress(message, Flush::Sync, &mut payload);
        payload.truncate(payload.len() - TAIL.len());
        if payload.len() < message.len() {
            return Some(payload);
        }
        *context = None;
        None
    }

    /// The compressor of a message whose parts are compressed as they come.
    pub(crate) fn stream(&self) -> Deflate {
        Deflate::with_window_bits(self.level, self.direction.window_bits)
    }
}

/// Compresses `bytes` as the next part of a streamed message: a whole number of bytes, which the
/// next part can follow.
pub(crate) fn compress_part(stream: &mut Deflate, bytes: &[u8]) -> Vec<u8> {
    let mut part = Vec::new();
    stream.compress(bytes, Flush::Sync, &mut part);
    part
}

/// The end of a streamed message, behind parts that have kept their tails: an empty stored block
/// without its own tail (§7.2.3.6).
pub(crate) const LAST_PART: &[u8] = &[0x00];

/// Decompresses incoming messages.
#[derive(Debug)]
pub(crate) struct Inbound {
    inflate: Inflate,
    takeover: bool,
    /// The payload so far ended with a last block: its sender left out no tail.
    is_over: bool,
}

/// How far a payload was inflated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Decompressed {
    /// All of it.
    Whole,
    /// Up to this many bytes: the sink has enough for now.
    Paused(usize),
}

impl Inbound {
    pub(crate) fn new(direction: Direction) -> Self {
        Self {
            inflate: Inflate::with_window_bits(direction.window_bits),
            takeover: direction.takeover,
            is_over: false,
        }
    }

    /// Gives the content of `payload` to `sink`. The sink says whether it takes more.
    pub(crate) fn push(
        &mut self,
        payload: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<bool, Violation>,
    ) -> Result<Decompressed, Violation> {
        let mut used = 0;
        loop {
            if used < payload.len() {
                self.is_over = false;
            }
            let advanced = self.inflate.advance(&payload[used..]);
            let (count, status, output) = advanced.map_err(|_| Violation::Compression)?;
            used += count;
            let takes_more = sink(output)?;
            match status {
                Inflated::NeedInput => return Ok(Decompressed::Whole),
                // §7.2.3.4: a last block may be followed by others, from the next byte on.
                Inflated::End => {
                    self.inflate.reset(false);
                    self.is_over = true;
                    if used == payload.len() {
                        return Ok(Decompressed::Whole);
                    }
                }
                Inflated::HasOutput => {}
            }
            if !takes_more {
                return Ok(Decompressed::Paused(used));
            }
        }
    }

    /// The same with the tail that the end of a message has left out, without its first `from`
    /// bytes.
    pub(crate) fn push_tail(
        &mut self,
        from: usize,
        sink: impl FnMut(&[u8]) -> Result<bool, Violation>,
    ) -> Result<Decompressed, Violation> {
        if self.is_over {
            return Ok(Decompressed::Whole);
        }
        self.push(&TAIL[from..], sink)
    }

    /// Ends a message. Its last block must have ended too.
    pub(crate) fn end_message(&mut self) -> Result<(), Violation> {
        if !self.inflate.is_between_blocks() {
            return Err(Violation::Compression);
        }
        self.is_over = false;
        match self.takeover {
            true => self.inflate.rest(),
            false => self.inflate.reset(true),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn inflated(payload: &[u8]) -> Result<Vec<u8>, Violation> {
        let direction = Direction {
            takeover: false,
            window_bits: 15,
        };
        let mut inbound = Inbound::new(direction);
        let mut content = Vec::new();
        let mut sink = |output: &[u8]| {
            content.extend_from_slice(output);
            Ok(true)
        };
        assert_eq!(inbound.push(payload, &mut sink)?, Decompressed::Whole);
        assert_eq!(inbound.push_tail(0, &mut sink)?, Decompressed::Whole);
        inbound.end_message()?;
        Ok(content)
    }

    #[test]
    fn rfc7692_7_2_3_4_a_last_block() {
        let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        // With the empty block that the RFC puts behind it, and without.
        assert_eq!(
            inflated(&[&last[..], &[0x00]].concat()),
            Ok(b"Hello".to_vec())
        );
        assert_eq!(inflated(&last), Ok(b"Hello".to_vec()));
        assert_eq!(inflated(&[last, last].concat()), Ok(b"HelloHello".to_vec()));
    }

    #[test]
    fn a_message_ends_where_a_block_does() {
        assert_eq!(inflated(&[0x00]), Ok(Vec::new()));
        assert_eq!(
            inflated(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
            Ok(b"Hello".to_vec())
        );
        assert_eq!(inflated(&[0xf2, 0x48, 0xcd]), Err(Violation::Compression));
        assert_eq!(inflated(&[]), Err(Violation::Compression));
    }
}
