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

/// The buffer of a long one: the window, and what is decoded behind it before it moves.
const MOST_BUFFER_BYTES: usize = WINDOW_BYTES + 64 * 1024;

/// Decompresses DEFLATE data (RFC 1951), however it is cut, in bounded memory: at most about 120 KiB, and nothing before the
/// first byte.
///
/// What comes out is handed over in pieces of 96 KiB at most, so that whoever takes them can stop a small input that becomes a
/// large output at any limit.
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
    /// Bits that were read and not yet taken, the next one lowest; above them nothing.
    bits: u64,
    count: u32,
    state: Phase,
    /// The block under way is the last.
    is_last: bool,
    window_bytes: usize,
    /// The window, and behind it what is new.
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
    /// There is more output than fits into a piece: call again, with the input that was not used.
    HasOutput,
    /// The last block has ended; the next byte of input belongs to something else.
    End,
}

/// Why data is no DEFLATE data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InflateError {
    /// A block of the reserved type 3 (§3.2.3).
    BlockType,
    /// The length of a stored block and its complement differ (§3.2.4).
    StoredLength,
    /// The lengths of a dynamic block's codes make no code (§3.2.7).
    Code,
    /// Bits that no code has, or a symbol that stands for nothing.
    Symbol,
    /// A reference to what lies before the window, or before the beginning.
    Distance,
    /// The input ends within a block. Only [`inflate`] says so.
    Unfinished,
    /// More comes out than is allowed. Only [`inflate`] says so.
    TooLong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Header,
    StoredLength,
    Stored(usize),
    /// How many codes of each kind a dynamic block describes.
    Counts,
    /// So many lengths of the precode were read.
    Precode(usize),
    /// So many lengths of the two codes were read.
    Lengths(usize),
    Symbols,
    End,
}

/// Decompresses what is there as a whole and stands by itself, into at most `most_bytes`.
///
/// It may end behind a last block or, as a message of a WebSocket does, with a sync flush, whose `00 00 ff ff` may be left off
/// (RFC 7692 §7.2.1). What follows a last block goes on with further ones. Memory grows with what has come out, and 120 KiB.
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
/// If this is no DEFLATE data, ends too early, or becomes too long.
pub fn inflate(input: &[u8], most_bytes: usize) -> Result<Vec<u8>, InflateError> {
    let mut inflate = Inflate::new();
    let mut output = Vec::new();
    let mut at = 0;
    loop {
        // By way of the window, which stays in the cache: a result to decode into would have to be filled with zeros first.
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
            // The padding of the empty block that a sync flush consists of may be all that there is of it.
            Inflated::NeedInput => match inflate.state {
                Phase::Header if inflate.count == 0 => return Ok(output),
                Phase::StoredLength if inflate.count < 8 => return Ok(output),
                _ => return Err(InflateError::Unfinished),
            },
        }
    }
}

/// How much the rest of an input is likely to become, as far as what it became so far tells; not more than three times that.
fn likely(output_bytes: usize, used_bytes: usize, rest_bytes: usize) -> usize {
    let ratio = output_bytes as f64 / used_bytes.max(1) as f64;
    let rest = (ratio * rest_bytes as f64) as usize;
    rest.min(output_bytes * 3)
}

impl Inflate {
    /// Decompresses data whose references go back 32 KiB at most, which is all that there are.
    pub fn new() -> Inflate {
        Inflate::with_window_bits(15)
    }

    /// Decompresses data whose references go back at most 2 to the power of `window_bits` bytes; a longer one is an error.
    ///
    /// # Panics
    ///
    /// If it is not 8 to 15.
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

    /// Goes on with `input`: how much of it was used, how far that led, and what came out of it.
    ///
    /// # Errors
    ///
    /// If this is no DEFLATE data. Nothing can follow an error but [`reset`](Inflate::reset).
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

    /// Behind the last block: further blocks may refer to what came before them. `true` forgets that too, and all memory.
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

    /// Whether a block has ended and nothing of another has come, which no input has left out.
    pub fn is_between_blocks(&self) -> bool {
        matches!(self.state, Phase::Header | Phase::End) && self.count == 0
    }

    /// Between two messages: keeps the window and gives all other memory back; within a block, what that needs too.
    pub fn rest(&mut self) {
        self.keep_window();
        self.buffer.truncate(self.end);
        self.buffer.shrink_to_fit();
        if matches!(self.state, Phase::Header | Phase::End) {
            self.tables = None;
        }
    }

    /// Moves the window to the front, and grows the buffer while that is still short.
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
