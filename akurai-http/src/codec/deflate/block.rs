//! Writes tokens as a block of bits (RFC 1951 §3.2.3–3.2.7), of the block type that takes the
//! fewest bits.

use super::format::{
    DISTANCE_SYMBOLS, DISTANCE_USED, DISTANCES, DYNAMIC, END_OF_BLOCK, FIXED, FIXED_DISTANCE_BITS,
    LENGTHS, LITLEN_SYMBOLS, LITLEN_USED, MAX_CODE_BITS, MAX_MATCH, MAX_PRECODE_BITS, MIN_MATCH,
    PRECODE_ORDER, PRECODE_SYMBOLS, STORED, STORED_MAX_BYTES, WINDOW_BYTES, fixed_litlen_bits,
};
use super::lengths::{code_lengths, codes};

/// With fewer tokens, the codes of a dynamic block never save the bits that their description
/// costs.
const LEAST_DYNAMIC_TOKENS: usize = 48;

/// A literal is its byte. A reference has its distance in the low bits, and its length minus 3
/// above them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token(u32);

impl Token {
    pub(super) fn literal(byte: u8) -> Token {
        Token(byte.into())
    }

    pub(super) fn reference(length: usize, distance: usize) -> Token {
        debug_assert!((MIN_MATCH..=MAX_MATCH).contains(&length));
        debug_assert!((1..=WINDOW_BYTES).contains(&distance));
        Token(1 << 31 | ((length - MIN_MATCH) as u32) << 16 | distance as u32)
    }

    fn is_literal(self) -> bool {
        self.0 >> 31 == 0
    }

    /// Minus 3.
    fn length(self) -> usize {
        (self.0 >> 16 & 0xff) as usize
    }

    fn distance(self) -> usize {
        (self.0 & 0xffff) as usize
    }
}

/// The symbol of each length minus 3.
static LENGTH_SYMBOLS: [u8; MAX_MATCH - MIN_MATCH + 1] = {
    let mut symbols = [0; MAX_MATCH - MIN_MATCH + 1];
    let mut symbol = 0;
    while symbol < LENGTHS.len() {
        let (base, extra) = LENGTHS[symbol];
        let mut at = base as usize - MIN_MATCH;
        let end = at + (1 << extra);
        while at < end && at < symbols.len() {
            symbols[at] = symbol as u8;
            at += 1;
        }
        symbol += 1;
    }
    symbols
};

/// The symbol of each distance up to 256, minus 1; above that, one for each step of 128.
static DISTANCE_SYMBOLS_OF: [u8; 512] = {
    let mut symbols = [0; 512];
    let mut symbol = 0;
    while symbol < DISTANCES.len() {
        let (base, extra) = DISTANCES[symbol];
        let mut at = base as usize - 1;
        let end = at + (1 << extra);
        while at < end {
            if at < 256 {
                symbols[at] = symbol as u8;
                at += 1;
            } else {
                symbols[256 + (at >> 7)] = symbol as u8;
                at += 128;
            }
        }
        symbol += 1;
    }
    symbols
};

fn distance_symbol(distance: usize) -> usize {
    let at = distance - 1;
    let index = if at < 256 { at } else { 256 + (at >> 7) };
    DISTANCE_SYMBOLS_OF[index & 511].into()
}

/// The counts from which a block's codes are made.
#[derive(Debug, Clone)]
pub(super) struct Frequencies {
    litlen: [u32; LITLEN_SYMBOLS],
    distance: [u32; DISTANCE_SYMBOLS],
}

impl Frequencies {
    fn of(tokens: &[Token]) -> Frequencies {
        let mut counts = Frequencies {
            litlen: [0; LITLEN_SYMBOLS],
            distance: [0; DISTANCE_SYMBOLS],
        };
        for token in tokens {
            if token.is_literal() {
                counts.litlen[(token.0 & 0xff) as usize] += 1;
            } else {
                let symbol = usize::from(LENGTH_SYMBOLS[token.length()]);
                counts.litlen[END_OF_BLOCK + 1 + symbol] += 1;
                counts.distance[distance_symbol(token.distance()) & 31] += 1;
            }
        }
        counts.litlen[END_OF_BLOCK] = 1;
        counts
    }

    /// How many bits a block's tokens take in codes of these lengths.
    fn bits(&self, litlen: &[u8; LITLEN_SYMBOLS], distance: &[u8; DISTANCE_SYMBOLS]) -> u64 {
        let mut bits = 0;
        for (symbol, &count) in self.litlen.iter().enumerate() {
            let extra = match symbol.checked_sub(END_OF_BLOCK + 1) {
                Some(length) => LENGTHS.get(length).map_or(0, |&(_, extra)| extra),
                None => 0,
            };
            bits += u64::from(count) * u64::from(litlen[symbol] + extra);
        }
        for (symbol, &count) in self.distance.iter().enumerate() {
            let extra = DISTANCES.get(symbol).map_or(0, |&(_, extra)| extra);
            bits += u64::from(count) * u64::from(distance[symbol] + extra);
        }
        bits
    }
}

/// The two codes of a block.
#[derive(Debug)]
struct Codes {
    litlen_bits: [u8; LITLEN_SYMBOLS],
    distance_bits: [u8; DISTANCE_SYMBOLS],
}

/// The lengths of a dynamic block's codes, in the form in which they are written.
struct Description {
    litlen_count: usize,
    distance_count: usize,
    precode_count: usize,
    precode_bits: [u8; PRECODE_SYMBOLS],
    /// Symbols of the precode, each with the value of its extra bits.
    items: Vec<(u8, u8)>,
}

/// Bits that are not yet written as bytes, the first one lowest (§3.1.1).
#[derive(Debug, Default)]
pub(super) struct Bits {
    held: u64,
    count: u32,
}

impl Bits {
    pub(super) fn put(&mut self, bits: u64, count: u32, out: &mut Vec<u8>) {
        self.held |= bits << self.count;
        self.count += count;
        while self.count >= 8 {
            out.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Fills the unfinished byte with zeros.
    pub(super) fn align(&mut self, out: &mut Vec<u8>) {
        if self.count > 0 {
            self.put(0, 8 - self.count, out);
        }
    }
}

/// Appends `tokens`, which stand for `data`, as a block.
pub(super) fn write(
    data: &[u8],
    tokens: &[Token],
    is_last: bool,
    bits: &mut Bits,
    out: &mut Vec<u8>,
) {
    let counts = Frequencies::of(tokens);
    let fixed = Codes {
        litlen_bits: fixed_litlen_bits(),
        distance_bits: FIXED_DISTANCE_BITS,
    };
    let fixed_cost = counts.bits(&fixed.litlen_bits, &fixed.distance_bits);
    let dynamic = (tokens.len() >= LEAST_DYNAMIC_TOKENS).then(|| {
        let codes = Codes::for_counts(&counts);
        let description = Description::of(&codes);
        let cost = counts.bits(&codes.litlen_bits, &codes.distance_bits) + description.bits();
        (codes, description, cost)
    });
    let coded_cost = dynamic
        .as_ref()
        .map_or(fixed_cost, |(_, _, cost)| fixed_cost.min(*cost));
    // Each stored block has a header and the padding to the next byte.
    let stored_blocks = data.len().div_ceil(STORED_MAX_BYTES).max(1) as u64;
    if (data.len() as u64) * 8 + stored_blocks * 40 <= coded_cost + 3 {
        return write_stored(data, is_last, bits, out);
    }
    bits.put(u64::from(is_last), 1, out);
    match dynamic {
        Some((codes, description, cost)) if cost < fixed_cost => {
            bits.put(DYNAMIC, 2, out);
            description.write(bits, out);
            codes.write(tokens, bits, out);
        }
        _ => {
            bits.put(FIXED, 2, out);
            fixed.write(tokens, bits, out);
        }
    }
}

/// Appends `data` as stored blocks; without data, one empty block.
pub(super) fn write_stored(data: &[u8], is_last: bool, bits: &mut Bits, out: &mut Vec<u8>) {
    let mut rest = data;
    loop {
        let (block, after) = rest.split_at(rest.len().min(STORED_MAX_BYTES));
        bits.put(u64::from(is_last && after.is_empty()), 1, out);
        bits.put(STORED, 2, out);
        bits.align(out);
        let len = block.len() as u16;
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(block);
        rest = after;
        if rest.is_empty() {
            return;
        }
    }
}

impl Codes {
    fn for_counts(counts: &Frequencies) -> Codes {
        let mut codes = Codes {
            litlen_bits: [0; LITLEN_SYMBOLS],
            distance_bits: [0; DISTANCE_SYMBOLS],
        };
        let litlen = &mut codes.litlen_bits[..LITLEN_USED];
        code_lengths(&counts.litlen[..LITLEN_USED], MAX_CODE_BITS, litlen);
        let distance = &mut codes.distance_bits[..DISTANCE_USED];
        code_lengths(&counts.distance[..DISTANCE_USED], MAX_CODE_BITS, distance);
        codes
    }

    fn write(&self, tokens: &[Token], bits: &mut Bits, out: &mut Vec<u8>) {
        let mut litlen_codes = [0; LITLEN_SYMBOLS];
        let mut distance_codes = [0; DISTANCE_SYMBOLS];
        codes(&self.litlen_bits, &mut litlen_codes);
        codes(&self.distance_bits, &mut distance_codes);
        let mut sink = Sink::new(bits, out);
        for token in tokens {
            if token.is_literal() {
                let byte = (token.0 & 0xff) as usize;
                sink.put(litlen_codes[byte].into(), self.litlen_bits[byte].into());
                sink.drain();
                continue;
            }
            let length = token.length();
            let symbol = usize::from(LENGTH_SYMBOLS[length]);
            let (base, extra) = LENGTHS[symbol];
            let at = END_OF_BLOCK + 1 + symbol;
            sink.put(litlen_codes[at].into(), self.litlen_bits[at].into());
            sink.put(
                (length + MIN_MATCH - usize::from(base)) as u64,
                extra.into(),
            );
            let distance = token.distance();
            let symbol = distance_symbol(distance) & 31;
            let (base, extra) = DISTANCES[symbol];
            sink.put(
                distance_codes[symbol].into(),
                self.distance_bits[symbol].into(),
            );
            sink.put((distance - usize::from(base)) as u64, extra.into());
            sink.drain();
        }
        sink.put(
            litlen_codes[END_OF_BLOCK].into(),
            self.litlen_bits[END_OF_BLOCK].into(),
        );
        sink.finish();
    }
}

/// Collects bits in a word and whole bytes in a buffer, which it writes out when it is full.
struct Sink<'a> {
    bits: &'a mut Bits,
    out: &'a mut Vec<u8>,
    held: u64,
    count: u32,
    piece: [u8; 512],
    len: usize,
}

impl Sink<'_> {
    fn new<'a>(bits: &'a mut Bits, out: &'a mut Vec<u8>) -> Sink<'a> {
        Sink {
            held: bits.held,
            count: bits.count,
            bits,
            out,
            piece: [0; 512],
            len: 0,
        }
    }

    /// At most 48 bits between two drains.
    #[inline(always)]
    fn put(&mut self, bits: u64, count: u32) {
        self.held |= bits << self.count;
        self.count += count;
    }

    #[inline(always)]
    fn drain(&mut self) {
        self.piece[self.len..self.len + 8].copy_from_slice(&self.held.to_le_bytes());
        let bytes = self.count / 8;
        self.len += bytes as usize;
        self.held >>= bytes * 8;
        self.count %= 8;
        if self.len > self.piece.len() - 8 {
            self.out.extend_from_slice(&self.piece[..self.len]);
            self.len = 0;
        }
    }

    fn finish(mut self) {
        self.drain();
        self.out.extend_from_slice(&self.piece[..self.len]);
        *self.bits = Bits {
            held: self.held,
            count: self.count,
        };
    }
}

impl Description {
    fn of(codes: &Codes) -> Description {
        let used = |bits: &[u8], least: usize| {
            let last = bits.iter().rposition(|&bits| bits > 0);
            last.map_or(0, |last| last + 1).max(least)
        };
        let litlen_count = used(&codes.litlen_bits, END_OF_BLOCK + 1);
        let distance_count = used(&codes.distance_bits, 1);
        let mut lengths = codes.litlen_bits[..litlen_count].to_vec();
        lengths.extend_from_slice(&codes.distance_bits[..distance_count]);
        let items = runs(&lengths);
        let mut counts = [0; PRECODE_SYMBOLS];
        for &(symbol, _) in &items {
            counts[usize::from(symbol)] += 1;
        }
        let mut precode_bits = [0; PRECODE_SYMBOLS];
        code_lengths(&counts, MAX_PRECODE_BITS, &mut precode_bits);
        let last = PRECODE_ORDER
            .iter()
            .rposition(|&symbol| precode_bits[symbol] > 0);
        Description {
            litlen_count,
            distance_count,
            precode_count: last.map_or(0, |last| last + 1).max(4),
            precode_bits,
            items,
        }
    }

    fn bits(&self) -> u64 {
        let bits_of = |&(symbol, _): &(u8, u8)| {
            u64::from(self.precode_bits[usize::from(symbol)]) + u64::from(extra_bits(symbol))
        };
        14 + 3 * self.precode_count as u64 + self.items.iter().map(bits_of).sum::<u64>()
    }

    fn write(&self, bits: &mut Bits, out: &mut Vec<u8>) {
        bits.put((self.litlen_count - 257) as u64, 5, out);
        bits.put((self.distance_count - 1) as u64, 5, out);
        bits.put((self.precode_count - 4) as u64, 4, out);
        for &symbol in &PRECODE_ORDER[..self.precode_count] {
            bits.put(self.precode_bits[symbol].into(), 3, out);
        }
        let mut precodes = [0; PRECODE_SYMBOLS];
        codes(&self.precode_bits, &mut precodes);
        for &(symbol, extra) in &self.items {
            let at = usize::from(symbol);
            bits.put(precodes[at].into(), self.precode_bits[at].into(), out);
            bits.put(extra.into(), extra_bits(symbol), out);
        }
    }
}

/// Extra bits of the precode's symbols.
fn extra_bits(symbol: u8) -> u32 {
    match symbol {
        16 => 2,
        17 => 3,
        18 => 7,
        _ => 0,
    }
}

/// Code lengths as symbols of the precode; runs of equal lengths become repetitions.
fn runs(lengths: &[u8]) -> Vec<(u8, u8)> {
    let mut items = Vec::with_capacity(lengths.len());
    for run in lengths.chunk_by(|a, b| a == b) {
        let (length, mut left) = (run[0], run.len());
        if length == 0 {
            while left >= 3 {
                let count = left.min(138);
                items.push(match count {
                    11.. => (18, (count - 11) as u8),
                    _ => (17, (count - 3) as u8),
                });
                left -= count;
            }
        } else {
            items.push((length, 0));
            left -= 1;
            while left >= 3 {
                let count = left.min(6);
                items.push((16, (count - 3) as u8));
                left -= count;
            }
        }
        items.extend(std::iter::repeat_n((length, 0), left));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_lengths_and_distances() {
        for length in MIN_MATCH..=MAX_MATCH {
            let (base, extra) = LENGTHS[usize::from(LENGTH_SYMBOLS[length - MIN_MATCH])];
            let above = length - usize::from(base);
            assert!(above < 1 << extra, "{length}");
        }
        assert_eq!(LENGTH_SYMBOLS[255], 28);
        for distance in 1..=WINDOW_BYTES {
            let (base, extra) = DISTANCES[distance_symbol(distance)];
            let above = distance.checked_sub(base.into());
            assert!(above.is_some_and(|above| above < 1 << extra), "{distance}");
        }
    }

    #[test]
    fn runs_of_lengths() {
        for (lengths, items) in [
            (&[][..], &[][..]),
            (&[5, 5, 5], &[(5, 0), (5, 0), (5, 0)]),
            (&[5, 5, 5, 5], &[(5, 0), (16, 0)]),
            (&[5; 8], &[(5, 0), (16, 3), (5, 0)]),
            (&[0, 0], &[(0, 0), (0, 0)]),
            (&[0; 3], &[(17, 0)]),
            (&[0; 10], &[(17, 7)]),
            (&[0; 11], &[(18, 0)]),
            (&[0; 140], &[(18, 127), (0, 0), (0, 0)]),
        ] {
            assert_eq!(runs(lengths), items);
        }
    }
}
