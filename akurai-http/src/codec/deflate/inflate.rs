//! Decompression.

mod blocks;
mod reader;
mod symbols;

use std::fmt;

use super::codes::NoCode;
use super::format::WINDOW_BYTES;
use blocks::Tables;
use reader::Reader;

/// The buffer of a short message, in bytes.
const LEAST_BUFFER_BYTES: usize = 2 * 1024;

/// The buffer of a long message: the window, and the bytes decoded after it before the window
/// moves.
const MOST_BUFFER_BYTES: usize = WINDOW_BYTES + 64 * 1024;

/// Decompresses DEFLATE data (RFC 1951) in pieces of any size and in bounded memory: at most about
/// 120 KiB, and none before the first byte.
///
/// It returns output in pieces of 96 KiB at most. So the caller can stop at any limit when a small
/// input becomes a large output.
///
/// ```
/// use akurai_http::deflate::{Inflate, Inflated};
///
/// let mut inflate = Inflate::new();
/// let (used, status, output) = inflate.advance(&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00])?;
/// assert_eq!((used, status, output), (7, Inflated::End, &b"Hello"[..]));
/// # Ok::<(), akurai_http::deflate::InflateError>(())
/// ```
pub struct Inflate {
    /// Bits that were read and not yet used, the next one lowest; all bits above them are zero.
    bits: u64,
    count: u32,
    state: Phase,
    /// The current block is the last.
    is_last: bool,
    window_bytes: usize,
    /// The window, and after it the new bytes.
    buffer: Vec<u8>,
    /// Where the buffer's content ends.
    end: usize,
    tables: Option<Box<Tables>>,
}

/// How far [`Inflate::advance`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inflated {
    /// All input is used up, and more is needed.
    NeedInput,
    /// More output is ready than fits into a piece: call again, with the input that was not used.
    HasOutput,
    /// The last block has ended; the next byte of input belongs to something else.
    End,
}

/// Why the data is not DEFLATE data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InflateError {
    /// A block of the reserved type 3 (§3.2.3).
    BlockType,
    /// The length of a stored block and its complement differ (§3.2.4).
    StoredLength,
    /// The lengths of a dynamic block do not make a code (§3.2.7).
    Code,
    /// Bits that are no code, or a symbol without a meaning.
    Symbol,
    /// A reference to bytes before the window, or before the beginning of the data.
    Distance,
    /// The input ends within a block. Only [`inflate`] returns this.
    Unfinished,
    /// The output is longer than allowed. Only [`inflate`] returns this.
    TooLong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Header,
    StoredLength,
    Stored(usize),
    /// The number of codes of each kind in a dynamic block comes next.
    Counts,
    /// This many lengths of the precode were read.
    Precode(usize),
    /// This many lengths of the two codes were read.
    Lengths(usize),
    Symbols,
    End,
}

/// Decompresses data that is complete and refers to nothing before it, into at most `most_bytes`.
///
/// The data may end after a last block, or with a sync flush as a WebSocket message does; the
/// flush's `00 00 ff ff` may be left out (RFC 7692 §7.2.1). More blocks may follow a last block.
/// Memory grows with the output, plus 120 KiB.
///
/// ```
/// use akurai_http::deflate::{InflateError, inflate};
///
/// let message = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
/// assert_eq!(inflate(&message, 5).as_deref(), Ok(&b"Hello"[..]));
/// assert_eq!(inflate(&message, 4), Err(InflateError::TooLong));
/// ```
///
/// # Errors
///
/// If this is not DEFLATE data, ends too early, or its output is too long.
pub fn inflate(input: &[u8], most_bytes: usize) -> Result<Vec<u8>, InflateError> {
    let mut inflate = Inflate::new();
    let mut output = Vec::new();
    let mut at = 0;
    loop {
        // Decoding goes through the window, which stays in the CPU cache. Decoding straight into
        // the result would require to fill that with zeros first.
        let (used, status, piece) = inflate.advance(&input[at..])?;
        at += used;
        if piece.len() > most_bytes - output.len() {
            return Err(InflateError::TooLong);
        }
        output.extend_from_slice(piece);
        match status {
            Inflated::HasOutput => {
                let rest = likely(output.len(), at, input.len() - at);
                output.reserve(rest.min(most_bytes - output.len()));
            }
            Inflated::End if at == input.len() => return Ok(output),
            Inflated::End => inflate.reset(false),
            // Of the empty block that a sync flush consists of, only the padding may be there.
            Inflated::NeedInput => match inflate.state {
                Phase::Header if inflate.count == 0 => return Ok(output),
                Phase::StoredLength if inflate.count < 8 => return Ok(output),
                _ => return Err(InflateError::Unfinished),
            },
        }
    }
}

/// An estimate of the output from the rest of an input, from the ratio so far; at most three times
/// the output so far.
fn likely(output_bytes: usize, used_bytes: usize, rest_bytes: usize) -> usize {
    let ratio = output_bytes as f64 / used_bytes.max(1) as f64;
    let rest = (ratio * rest_bytes as f64) as usize;
    rest.min(output_bytes * 3)
}

impl Inflate {
    /// Decompresses data whose references go back at most 32 KiB, which is the format's limit.
    pub fn new() -> Inflate {
        Inflate::with_window_bits(15)
    }

    /// Decompresses data whose references go back at most 2 to the power of `window_bits` bytes. A
    /// longer reference is an error.
    ///
    /// # Panics
    ///
    /// If `window_bits` is not 8 to 15.
    pub fn with_window_bits(window_bits: u8) -> Inflate {
        assert!((8..=15).contains(&window_bits), "a window has 8 to 15 bits");
        Inflate {
            bits: 0,
            count: 0,
            state: Phase::Header,
            is_last: false,
            window_bytes: 1 << window_bits,
            buffer: Vec::new(),
            end: 0,
            tables: None,
        }
    }

    /// Decompresses more `input`. Returns how many bytes of it were used, how far that led, and the
    /// output.
    ///
    /// # Errors
    ///
    /// If this is not DEFLATE data. After an error, only [`reset`](Inflate::reset) may be called.
    pub fn advance(&mut self, input: &[u8]) -> Result<(usize, Inflated, &[u8]), InflateError> {
        self.make_room();
        let begun = self.end;
        let mut reader = Reader {
            input,
            at: 0,
            bits: self.bits,
            count: self.count,
        };
        let status = self.blocks(&mut reader)?;
        match status {
            Inflated::NeedInput => reader.clear_above(),
            _ => reader.give_back(),
        }
        (self.bits, self.count) = (reader.bits, reader.count);
        Ok((reader.at, status, &self.buffer[begun..self.end]))
    }

    /// Makes it ready for more blocks after the last one. They may refer to the bytes before them.
    /// If `forget` is true, they may not, and all memory is freed.
    pub fn reset(&mut self, forget: bool) {
        self.bits = 0;
        self.count = 0;
        self.state = Phase::Header;
        self.is_last = false;
        if forget {
            self.buffer = Vec::new();
            self.end = 0;
            self.tables = None;
        }
    }

    /// Whether a block has ended and no bit of another has come. No input at all counts too.
    pub fn is_between_blocks(&self) -> bool {
        matches!(self.state, Phase::Header | Phase::End) && self.count == 0
    }

    /// Frees memory between two messages, and keeps the window. Within a block, it also keeps the
    /// tables that this block needs.
    pub fn rest(&mut self) {
        self.keep_window();
        self.buffer.truncate(self.end);
        self.buffer.shrink_to_fit();
        if matches!(self.state, Phase::Header | Phase::End) {
            self.tables = None;
        }
    }

    /// Moves the window to the front, and grows the buffer while it is below its largest size.
    fn make_room(&mut self) {
        if self.buffer.len() - self.end >= LEAST_BUFFER_BYTES.max(self.buffer.len() / 2) {
            return;
        }
        self.keep_window();
        let len = self
            .buffer
            .len()
            .saturating_mul(4)
            .clamp(LEAST_BUFFER_BYTES, MOST_BUFFER_BYTES);
        if self.buffer.len() - self.end < LEAST_BUFFER_BYTES.max(len / 2) {
            let len = len
                .max(self.end + LEAST_BUFFER_BYTES)
                .min(MOST_BUFFER_BYTES);
            self.buffer.resize(len, 0);
        }
    }

    fn keep_window(&mut self) {
        let start = self.end.saturating_sub(self.window_bytes);
        if start > 0 {
            self.buffer.copy_within(start..self.end, 0);
            self.end -= start;
        }
    }
}

impl Default for Inflate {
    fn default() -> Inflate {
        Inflate::new()
    }
}

impl fmt::Debug for Inflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflate")
            .field("state", &self.state)
            .field("window_bytes", &self.window_bytes)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InflateError::BlockType => "deflate: block of a type that there is not",
            InflateError::StoredLength => {
                "deflate: length of a stored block and its complement differ"
            }
            InflateError::Code => "deflate: code lengths are of no code",
            InflateError::Symbol => "deflate: bits that the code has no symbol for",
            InflateError::Distance => "deflate: distance reaches before the window",
            InflateError::Unfinished => "deflate: input ends within a block",
            InflateError::TooLong => "deflate: output is longer than allowed",
        })
    }
}

impl std::error::Error for InflateError {}

impl From<NoCode> for InflateError {
    fn from(_: NoCode) -> InflateError {
        InflateError::Code
    }
}

#[cfg(test)]
mod tests;
