//! Decompression.

mod symbols;

use std::fmt;

use super::codes::{Alphabet, NoCode, Table};
use super::format::{
    DISTANCE_SYMBOLS, DISTANCE_USED, DYNAMIC, END_OF_BLOCK, FIXED, FIXED_DISTANCE_BITS,
    LITLEN_SYMBOLS, LITLEN_USED, PRECODE_ORDER, PRECODE_SYMBOLS, STORED, WINDOW_BYTES,
    fixed_litlen_bits,
};

/// The buffer of a short message, in bytes.
const LEAST_BUFFER_BYTES: usize = 2 * 1024;

/// The buffer of a long one: the window, and what is decoded behind it before it moves.
const MOST_BUFFER_BYTES: usize = WINDOW_BYTES + 64 * 1024;

/// Decompresses DEFLATE data (RFC 1951), however it is cut, in bounded memory: at most about 120 KiB, and nothing before the
/// first byte.
///
/// What comes out is handed over in pieces of 64 KiB at most, so that whoever takes them can stop a small input that becomes a
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
    state: State,
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
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

/// What a block is read with.
#[derive(Debug)]
struct Tables {
    litlen: Table<4096>,
    distance: Table<1024>,
    precode: Table<128>,
    lengths: [u8; LITLEN_SYMBOLS + DISTANCE_SYMBOLS],
    litlen_count: usize,
    distance_count: usize,
    precode_count: usize,
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
            state: State::Header,
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
        let mut reader = Reader { input, at: 0 };
        let status = self.blocks(&mut reader)?;
        let mut used = reader.at;
        if status != Inflated::NeedInput {
            // Whole bytes that were read ahead go back. They are of this input: of an earlier one, only less than the next symbol
            // needs was left over.
            used -= (self.count / 8) as usize;
            self.count %= 8;
            self.bits &= (1 << self.count) - 1;
        }
        Ok((used, status, &self.buffer[begun..self.end]))
    }

    /// Behind the last block: further blocks may refer to what came before them. `true` forgets that too, and all memory.
    pub fn reset(&mut self, forget: bool) {
        self.bits = 0;
        self.count = 0;
        self.state = State::Header;
        self.is_last = false;
        if forget {
            self.buffer = Vec::new();
            self.end = 0;
            self.tables = None;
        }
    }

    /// Whether a block has ended and nothing of another has come, which no input has left out.
    pub fn is_between_blocks(&self) -> bool {
        matches!(self.state, State::Header | State::End) && self.count == 0
    }

    /// Between two messages: keeps the window and gives all other memory back.
    pub fn rest(&mut self) {
        self.keep_window();
        self.buffer.truncate(self.end);
        self.buffer.shrink_to_fit();
        self.tables = None;
    }

    /// Moves the window to the front, and grows the buffer while that is still short.
    fn make_room(&mut self) {
        if self.buffer.len() - self.end >= LEAST_BUFFER_BYTES.max(self.buffer.len() / 2) {
            return;
        }
        self.keep_window();
        let len = (self.buffer.len() * 4).clamp(LEAST_BUFFER_BYTES, MOST_BUFFER_BYTES);
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

    fn blocks(&mut self, reader: &mut Reader<'_>) -> Result<Inflated, InflateError> {
        loop {
            let more = match self.state {
                State::Header => self.header(reader)?,
                State::StoredLength => self.stored_length(reader)?,
                State::Stored(left) => {
                    if self.end == self.buffer.len() {
                        return Ok(Inflated::HasOutput);
                    }
                    self.stored(left, reader)
                }
                State::Counts => self.counts(reader)?,
                State::Precode(read) => self.precode(read, reader)?,
                State::Lengths(read) => self.lengths(read, reader)?,
                State::Symbols => {
                    let tables = self.tables.take().expect("a block's tables come first");
                    let status = self.symbols(&tables, reader);
                    self.tables = Some(tables);
                    match status? {
                        Some(status) => return Ok(status),
                        None => More::Yes,
                    }
                }
                State::End => return Ok(Inflated::End),
            };
            if more == More::No {
                return Ok(Inflated::NeedInput);
            }
        }
    }

    // BFINAL (1 bit), BTYPE (2 bits)                                    §3.2.3
    fn header(&mut self, reader: &mut Reader<'_>) -> Result<More, InflateError> {
        let Some(header) = self.take(3, reader) else {
            return Ok(More::No);
        };
        self.is_last = header & 1 != 0;
        self.state = match header >> 1 {
            STORED => State::StoredLength,
            FIXED => {
                let tables = self.tables();
                tables.lengths[..LITLEN_SYMBOLS].copy_from_slice(&fixed_litlen_bits());
                tables.lengths[LITLEN_SYMBOLS..].copy_from_slice(&FIXED_DISTANCE_BITS);
                tables.build(LITLEN_SYMBOLS, DISTANCE_SYMBOLS)?;
                State::Symbols
            }
            DYNAMIC => State::Counts,
            _ => return Err(InflateError::BlockType),
        };
        Ok(More::Yes)
    }

    // LEN and NLEN, two bytes each, from the next byte on               §3.2.4
    fn stored_length(&mut self, reader: &mut Reader<'_>) -> Result<More, InflateError> {
        let padding = self.count % 8;
        self.refill(reader);
        if self.count < padding + 32 {
            return Ok(More::No);
        }
        self.drop_bits(padding);
        let lengths = self.peek(32);
        self.drop_bits(32);
        let (len, complement) = (lengths & 0xffff, lengths >> 16);
        if len != !complement & 0xffff {
            return Err(InflateError::StoredLength);
        }
        self.state = State::Stored(len as usize);
        Ok(More::Yes)
    }

    fn stored(&mut self, mut left: usize, reader: &mut Reader<'_>) -> More {
        // First what was read ahead.
        while left > 0 && self.count > 0 && self.end < self.buffer.len() {
            self.buffer[self.end] = self.peek(8) as u8;
            self.drop_bits(8);
            self.end += 1;
            left -= 1;
        }
        let rest = &reader.input[reader.at..];
        let room = self.buffer.len() - self.end;
        let count = if self.count > 0 {
            0
        } else {
            left.min(rest.len()).min(room)
        };
        self.buffer[self.end..self.end + count].copy_from_slice(&rest[..count]);
        self.end += count;
        reader.at += count;
        left -= count;
        self.state = State::Stored(left);
        if left == 0 {
            self.end_block();
            return More::Yes;
        }
        match self.end == self.buffer.len() {
            true => More::Yes,
            false => More::No,
        }
    }

    // HLIT (5 bits), HDIST (5 bits), HCLEN (4 bits)                     §3.2.7
    fn counts(&mut self, reader: &mut Reader<'_>) -> Result<More, InflateError> {
        let Some(counts) = self.take(14, reader) else {
            return Ok(More::No);
        };
        let tables = self.tables();
        tables.litlen_count = 257 + (counts & 31) as usize;
        tables.distance_count = 1 + (counts >> 5 & 31) as usize;
        tables.precode_count = 4 + (counts >> 10) as usize;
        if tables.litlen_count > LITLEN_USED || tables.distance_count > DISTANCE_USED {
            return Err(InflateError::Code);
        }
        tables.lengths = [0; LITLEN_SYMBOLS + DISTANCE_SYMBOLS];
        self.state = State::Precode(0);
        Ok(More::Yes)
    }

    fn precode(&mut self, mut read: usize, reader: &mut Reader<'_>) -> Result<More, InflateError> {
        while read < self.tables().precode_count {
            let Some(length) = self.take(3, reader) else {
                self.state = State::Precode(read);
                return Ok(More::No);
            };
            self.tables().lengths[PRECODE_ORDER[read]] = length as u8;
            read += 1;
        }
        let tables = self.tables();
        let lengths = &tables.lengths[..PRECODE_SYMBOLS];
        tables.precode.build(Alphabet::Precode, lengths)?;
        self.state = State::Lengths(0);
        Ok(More::Yes)
    }

    /// Lengths in the precode: 0 to 15 are themselves, 16 repeats the last one 3 to 6 times, 17 and 18 are 3 to 10 and 11 to 138
    /// zeros.
    fn lengths(&mut self, mut read: usize, reader: &mut Reader<'_>) -> Result<More, InflateError> {
        let all = self.tables().litlen_count + self.tables().distance_count;
        while read < all {
            self.refill(reader);
            let bits = self.bits;
            let entry = self.tables().precode.first(bits);
            let (symbol, code_bits) = (entry >> 16 & 0xff, entry & 0x3f);
            let (extra_bits, least) = match symbol {
                16 => (2, 3),
                17 => (3, 3),
                18 => (7, 11),
                _ => (0, 1),
            };
            if self.count < code_bits + extra_bits {
                self.state = State::Lengths(read);
                return Ok(More::No);
            }
            self.drop_bits(code_bits);
            let count = least + self.peek(extra_bits) as usize;
            self.drop_bits(extra_bits);
            let tables = self.tables();
            let length = match symbol {
                16 if read == 0 => return Err(InflateError::Code),
                16 => tables.lengths[read - 1],
                17 | 18 => 0,
                length => length as u8,
            };
            if read + count > all {
                return Err(InflateError::Code);
            }
            tables.lengths[read..read + count].fill(length);
            read += count;
        }
        let tables = self.tables();
        let (litlen_count, distance_count) = (tables.litlen_count, tables.distance_count);
        if tables.lengths[END_OF_BLOCK] == 0 {
            return Err(InflateError::Code);
        }
        tables.build(litlen_count, distance_count)?;
        self.state = State::Symbols;
        Ok(More::Yes)
    }

    fn end_block(&mut self) {
        self.state = match self.is_last {
            true => State::End,
            false => State::Header,
        };
    }

    fn tables(&mut self) -> &mut Tables {
        self.tables.get_or_insert_with(Box::default)
    }

    /// The next `count` bits, 32 at most, once they are here.
    fn take(&mut self, count: u32, reader: &mut Reader<'_>) -> Option<u64> {
        self.refill(reader);
        if self.count < count {
            return None;
        }
        let bits = self.peek(count);
        self.drop_bits(count);
        Some(bits)
    }

    fn refill(&mut self, reader: &mut Reader<'_>) {
        while self.count <= 55 {
            let Some(&byte) = reader.input.get(reader.at) else {
                return;
            };
            self.bits |= u64::from(byte) << self.count;
            self.count += 8;
            reader.at += 1;
        }
    }

    fn peek(&self, count: u32) -> u64 {
        self.bits & ((1 << count) - 1)
    }

    fn drop_bits(&mut self, count: u32) {
        self.bits >>= count;
        self.count -= count;
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
        })
    }
}

impl std::error::Error for InflateError {}

impl From<NoCode> for InflateError {
    fn from(_: NoCode) -> InflateError {
        InflateError::Code
    }
}

impl Default for Tables {
    fn default() -> Tables {
        Tables {
            litlen: Table::default(),
            distance: Table::default(),
            precode: Table::default(),
            lengths: [0; LITLEN_SYMBOLS + DISTANCE_SYMBOLS],
            litlen_count: 0,
            distance_count: 0,
            precode_count: 0,
        }
    }
}

impl Tables {
    /// The tables of the two codes whose lengths stand one behind the other.
    fn build(&mut self, litlen_count: usize, distance_count: usize) -> Result<(), NoCode> {
        let (litlen, rest) = self.lengths.split_at(litlen_count);
        self.litlen.build(Alphabet::LitLen, litlen)?;
        self.distance
            .build(Alphabet::Distance, &rest[..distance_count])
    }
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

/// Whether a step has led on, or waits for input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

#[cfg(test)]
mod tests;
