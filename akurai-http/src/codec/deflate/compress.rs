//! Compression.

use std::fmt;

use super::block::{self, Bits, Token};
use super::format::WINDOW_BYTES;
use super::matches::{Candidates, Effort, Match, Matches};

/// A block ends after this many tokens: later tokens may need other codes.
const BLOCK_TOKENS: usize = 24 * 1024;

/// Input is gathered up to this many bytes, unless it is flushed.
const GATHERED_BYTES: usize = 64 * 1024;

/// A search of fewer chain positions than this does not look for matches of three bytes.
const LEAST_CHAIN_FOR_SHORT: usize = 8;

/// Most bytes that are passed over without a search, after many searches that found nothing.
const MOST_SKIPPED: usize = 15;

/// How much time to spend for a smaller output: 1 is the fastest, 9 the smallest. Default 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

/// What happens to input that could become part of a longer match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// It may wait for more input.
    None,
    /// All of it is written out, followed by an empty stored block, so that the output ends with
    /// `00 00 ff ff` (RFC 7692 §7.2.1).
    Sync,
    /// All of it is written out, in the last block; nothing may follow.
    Finish,
}

/// Compresses to DEFLATE data (RFC 1951) by LZ77 with lazy matching. Each block has the type that
/// makes it smallest. A stream takes about 640 KiB, most of it for earlier data and the tables to
/// find it.
///
/// ```
/// use akurai_http::deflate::{Deflate, Flush, Inflate, Level};
///
/// let mut compressed = Vec::new();
/// let mut deflate = Deflate::new(Level::default());
/// deflate.compress(b"to be or not to be", Flush::None, &mut compressed);
/// deflate.compress(b", that is the question", Flush::Finish, &mut compressed);
///
/// let mut inflate = Inflate::new();
/// let (_, _, output) = inflate.advance(&compressed)?;
/// assert_eq!(output, b"to be or not to be, that is the question");
/// # Ok::<(), akurai_http::deflate::InflateError>(())
/// ```
pub struct Deflate {
    level: Level,
    window_bytes: usize,
    /// The bytes that may be referred to, and after them the bytes that wait.
    data: Vec<u8>,
    /// Where in `data` the waiting bytes begin.
    pending: usize,
    /// The position of the first byte of `data` in the whole stream.
    base: u32,
    matches: Option<Matches>,
    tokens: Vec<Token>,
    bits: Bits,
}

impl Level {
    /// The fastest.
    pub const FASTEST: Level = Level(1);
    /// The smallest.
    pub const SMALLEST: Level = Level(9);

    /// Level 1 to 9.
    ///
    /// # Panics
    ///
    /// If it is out of this range.
    #[track_caller]
    pub const fn new(level: u8) -> Level {
        assert!(level >= 1 && level <= 9, "a level is 1 to 9");
        Level(level)
    }

    /// Whether a match is only taken after a look for a longer one at the next position.
    fn is_lazy(self) -> bool {
        self.0 > 3
    }

    fn effort(self) -> Effort {
        let (good, lazy, nice, chain) = match self.0 {
            1 => (4, 4, 8, 2),
            2 => (4, 5, 16, 8),
            3 => (4, 6, 32, 32),
            4 => (4, 4, 16, 16),
            5 => (8, 16, 32, 32),
            6 => (8, 16, 128, 128),
            7 => (8, 32, 128, 256),
            8 => (32, 128, 258, 512),
            _ => (32, 258, 258, 1024),
        };
        Effort {
            good,
            lazy,
            nice,
            chain,
        }
    }
}

impl Default for Level {
    fn default() -> Level {
        Level(6)
    }
}

impl Deflate {
    /// A stream with references of up to 32 KiB.
    pub fn new(level: Level) -> Deflate {
        Deflate::with_window_bits(level, 15)
    }

    /// A stream with references of at most 2 to the power of `window_bits` bytes.
    ///
    /// # Panics
    ///
    /// If `window_bits` is not 8 to 15.
    #[track_caller]
    pub fn with_window_bits(level: Level, window_bits: u8) -> Deflate {
        assert!((8..=15).contains(&window_bits), "a window has 8 to 15 bits");
        Deflate {
            level,
            window_bytes: 1 << window_bits,
            data: Vec::new(),
            pending: 0,
            base: 1,
            matches: None,
            tokens: Vec::new(),
            bits: Bits::default(),
        }
    }

    /// Compresses more `input`, which may refer to all input before it, and appends the output that
    /// is ready to `out`.
    pub fn compress(&mut self, input: &[u8], flush: Flush, out: &mut Vec<u8>) {
        for piece in pieces(input) {
            self.data.extend_from_slice(piece);
            if self.data.len() - self.pending >= GATHERED_BYTES {
                self.run(false, out);
            }
        }
        match flush {
            Flush::None => {}
            Flush::Sync => {
                self.run(false, out);
                block::write_stored(b"", false, &mut self.bits, out);
            }
            Flush::Finish => {
                self.run(true, out);
                self.bits.align(out);
            }
        }
    }

    /// Compresses `input` by itself: it refers to nothing before it, and later input cannot refer
    /// to it. The memory grows with the length of `input`; over 2 MiB, it is a stream's.
    ///
    /// # Panics
    ///
    /// As [`with_window_bits`](Deflate::with_window_bits).
    #[track_caller]
    pub fn compress_alone(
        level: Level,
        window_bits: u8,
        input: &[u8],
        flush: Flush,
        out: &mut Vec<u8>,
    ) {
        let mut deflate = Deflate::with_window_bits(level, window_bits);
        // No input follows for which it could wait.
        let flush = match flush {
            Flush::None => Flush::Sync,
            flush => flush,
        };
        if input.len() > WINDOW_BYTES * 64 {
            // Positions have 32 bits. A stream starts counting again before they overflow.
            return deflate.compress(input, flush, out);
        }
        let mut matches = Matches::new(deflate.window_bytes, input.len());
        let is_last = flush == Flush::Finish;
        let blocks = Blocks {
            effort: level.effort(),
            is_lazy: level.is_lazy(),
            base: 1,
            misses: 0,
            matches: &mut matches,
            tokens: &mut deflate.tokens,
            bits: &mut deflate.bits,
        };
        blocks.write(input, 0, is_last, out);
        match is_last {
            true => deflate.bits.align(out),
            false => block::write_stored(b"", false, &mut deflate.bits, out),
        }
    }

    /// Compresses the bytes that wait.
    fn run(&mut self, is_last: bool, out: &mut Vec<u8>) {
        // Positions must not wrap around.
        if self.base > u32::MAX / 2 {
            self.matches = None;
            self.base = 1;
        }
        let window_bytes = self.window_bytes;
        let matches = self
            .matches
            .get_or_insert_with(|| Matches::new(window_bytes, WINDOW_BYTES));
        let blocks = Blocks {
            effort: self.level.effort(),
            is_lazy: self.level.is_lazy(),
            base: self.base,
            misses: 0,
            matches,
            tokens: &mut self.tokens,
            bits: &mut self.bits,
        };
        blocks.write(&self.data, self.pending, is_last, out);
        // Keeps the window. It moves only when at least as many bytes lie before it as are
        // gathered, so that each byte moves once.
        let before = self.data.len().saturating_sub(window_bytes);
        if before >= GATHERED_BYTES {
            self.data.copy_within(before.., 0);
            self.data.truncate(window_bytes);
            self.base += before as u32;
        }
        self.pending = self.data.len();
    }
}

/// `input` in pieces of at most `GATHERED_BYTES`; none if it is empty.
fn pieces(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.chunks(GATHERED_BYTES)
}

impl fmt::Debug for Deflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflate")
            .field("level", &self.level)
            .field("window_bytes", &self.window_bytes)
            .finish_non_exhaustive()
    }
}

/// Turns data into blocks.
struct Blocks<'a> {
    effort: Effort,
    is_lazy: bool,
    base: u32,
    /// Consecutive searches that found nothing.
    misses: usize,
    matches: &'a mut Matches,
    tokens: &'a mut Vec<Token>,
    bits: &'a mut Bits,
}

impl Blocks<'_> {
    /// Writes `data` from `start` on; it may refer to the bytes before `start`.
    fn write(mut self, data: &[u8], start: usize, is_last: bool, out: &mut Vec<u8>) {
        self.tokens.clear();
        let mut at = start;
        let mut block_start = start;
        self.prepare(&data[start..]);
        while at < data.len() {
            at = match self.is_lazy {
                true => self.step_lazily(data, at),
                false => self.step(data, at),
            };
            if self.tokens.len() >= BLOCK_TOKENS && at < data.len() {
                block::write(&data[block_start..at], self.tokens, false, self.bits, out);
                self.tokens.clear();
                block_start = at;
                self.prepare(&data[at..]);
            }
        }
        if !self.tokens.is_empty() || is_last {
            block::write(&data[block_start..], self.tokens, is_last, self.bits, out);
        }
    }

    /// Writes one token, for the first match found. Returns where the next token begins.
    fn step(&mut self, data: &[u8], at: usize) -> usize {
        let candidates = self.matches.insert(data, at, self.base);
        let found = self.longest(data, at, candidates, 0);
        if found.length == 0 {
            return self.miss(data, at);
        }
        self.misses = 0;
        self.tokens
            .push(Token::reference(found.length, found.distance));
        // After a long match, its inner positions are left out: a search is likely to find them
        // with it.
        if found.length <= self.effort.lazy {
            self.insert(data, at + 1..at + found.length);
        }
        at + found.length
    }

    /// Writes a token for a match, once the next position has no longer one. While it has one,
    /// writes a literal and goes on to that position. Returns where the next token begins.
    fn step_lazily(&mut self, data: &[u8], mut at: usize) -> usize {
        let candidates = self.matches.insert(data, at, self.base);
        let mut found = self.longest(data, at, candidates, 0);
        if found.length == 0 {
            return self.miss(data, at);
        }
        let mut inserted = at + 1;
        while found.length < self.effort.lazy && at + 1 < data.len() {
            let candidates = self.matches.insert(data, at + 1, self.base);
            inserted = at + 2;
            let next = self.longest(data, at + 1, candidates, found.length);
            if next.length <= found.length {
                break;
            }
            self.tokens.push(Token::literal(data[at]));
            at += 1;
            found = next;
        }
        self.misses = 0;
        self.tokens
            .push(Token::reference(found.length, found.distance));
        let end = at + found.length;
        self.insert(data, inserted..end);
        end
    }

    /// Prepares the block that begins with `data`.
    fn prepare(&mut self, data: &[u8]) {
        if self.effort.chain >= LEAST_CHAIN_FOR_SHORT {
            self.matches.prepare(data);
        }
    }

    /// Writes a literal. After many failed searches in a row it writes several, since the following
    /// bytes are most likely incompressible too. Returns where the next token begins.
    fn miss(&mut self, data: &[u8], at: usize) -> usize {
        let patience = if self.is_lazy { 8 } else { 6 };
        let count = 1 + (self.misses >> patience).min(MOST_SKIPPED);
        let literals = &data[at..data.len().min(at + count)];
        self.tokens
            .extend(literals.iter().map(|&byte| Token::literal(byte)));
        self.misses += 1;
        at + literals.len()
    }

    fn longest(&self, data: &[u8], at: usize, candidates: Candidates, least: usize) -> Match {
        self.matches
            .longest(data, at, self.base, candidates, least, self.effort)
    }

    fn insert(&mut self, data: &[u8], positions: std::ops::Range<usize>) {
        for at in positions {
            self.matches.insert(data, at, self.base);
        }
    }
}
