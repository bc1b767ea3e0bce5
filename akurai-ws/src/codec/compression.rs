//! The payload of compressed messages (RFC 7692 §7.2): what goes out, and what comes in.

use akurai_http::deflate::{Deflate, Flush, Inflate, Inflated, Level};

use super::extensions::Direction;
use super::frame::{self, Opcode};
use crate::error::Violation;

/// How data messages are compressed on their way out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outbound {
    pub(crate) level: Level,
    pub(crate) threshold_bytes: usize,
    pub(crate) direction: Direction,
}

/// What a frame has to do with the compression context that our messages share (§7.1.1), if they do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ContextUse {
    /// Nothing: it is not compressed.
    Unused,
    /// It is compressed by itself, and still moves the peer's window on.
    Restart,
    /// It is to be compressed behind those that were sent before it, when it is its turn.
    Continue(Opcode),
}

impl ContextUse {
    /// A frame of this payload in the place in the order of all frames that is its own from now on,
    /// behind what `deflate` has seen: compressed if that is wanted, and makes it shorter.
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

/// What every message's last block leaves out (§7.2.1): the end of an empty stored block.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

impl Outbound {
    /// Whether the message is worth a try.
    pub(crate) fn is_for(&self, message: &[u8]) -> bool {
        message.len() >= self.threshold_bytes
    }

    /// Whether it is compressed behind the messages before it. That happens when it is its turn, while all who send wait; so a long
    /// one, which gains little by it, is compressed by itself.
    pub(crate) fn is_behind_others(&self, message: &[u8]) -> bool {
        const MOST_BYTES: usize = 128 * 1024;
        self.direction.takeover && message.len() <= MOST_BYTES
    }

    /// The payload that stands for `message` by itself, if it is shorter than that.
    pub(crate) fn compress_alone(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut payload = Vec::new();
        let bits = self.direction.window_bits;
        Deflate::compress_alone(self.level, bits, message, Flush::Sync, &mut payload);
        payload.truncate(payload.len() - TAIL.len());
        (payload.len() < message.len()).then_some(payload)
    }

    /// The payload that stands for `message` behind those that `context` has seen, if it is shorter. If it is not, the message is
    /// sent as it is, which no context sees, and `context` begins anew.
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

    /// For a message whose parts are compressed as they come.
    pub(crate) fn stream(&self) -> Deflate {
        Deflate::with_window_bits(self.level, self.direction.window_bits)
    }
}

/// The part of a streamed message that `bytes` are: a whole number of bytes, to which the next part is joined.
pub(crate) fn compress_part(stream: &mut Deflate, bytes: &[u8]) -> Vec<u8> {
    let mut part = Vec::new();
    stream.compress(bytes, Flush::Sync, &mut part);
    part
}

/// The end of a streamed message, behind parts that have kept their tails: an empty stored block, less its own (§7.2.3.6).
pub(crate) const LAST_PART: &[u8] = &[0x00];

/// Decompresses the messages that come in.
#[derive(Debug)]
pub(crate) struct Inbound {
    inflate: Inflate,
    takeover: bool,
    /// The payload so far ended with a last block: its sender has left no tail out.
    is_over: bool,
}

/// How far a payload was inflated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Decompressed {
    /// All of it.
    Whole,
    /// Up to so many bytes, since whoever takes what comes out has enough for now.
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

    /// Gives to `sink` what `payload` stands for. The sink says whether it takes more.
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

    /// The same with what the end of a message has left out, but for its first `from` bytes.
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

    /// A message is over, and so must be its last block.
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
