//! Inflates the server's bytes, bit by bit.

use super::{CODE_LENGTH_ORDER, DISTANCE_EXTRA, DISTANCES, END_OF_BLOCK, LENGTH_EXTRA, LENGTHS};

type Result<T> = std::result::Result<T, &'static str>;

const ENDS_EARLY: &str = "it ends within a block";

/// Inflates its input, and remembers the output so far.
#[derive(Debug, Clone)]
pub struct Inflater {
    window: usize,
    /// The output, with the newest bytes last; it keeps at least the part that a copy may reach.
    history: Vec<u8>,
    /// The farthest that any copy has reached back, in bytes.
    pub farthest: usize,
}

impl Inflater {
    /// With a window of 2 to the power `bits`; all copies must stay within it.
    pub fn new(window_bits: u32) -> Inflater {
        Inflater {
            window: 1 << window_bits,
            history: Vec::new(),
            farthest: 0,
        }
    }

    /// Forgets all earlier output, for a message without context takeover.
    pub fn forget(&mut self) {
        self.history.clear();
    }

    /// Inflates a compressed message's payload (RFC 7692 §7.2.2), or says what is wrong with it.
    pub fn message(&mut self, payload: &[u8]) -> Result<Vec<u8>> {
        let input = [payload, &[0, 0, 0xff, 0xff]].concat();
        let before = self.trim();
        let mut bits = Bits::new(&input);
        while bits.at < bits.end() {
            if self.block(&mut bits)? {
                bits.align();
            }
        }
        Ok(self.history[before..].to_vec())
    }

    /// Inflates a DEFLATE stream up to its final block; returns the output and the number of bytes
    /// used.
    pub fn stream(&mut self, input: &[u8]) -> Result<(Vec<u8>, usize)> {
        let before = self.trim();
        let mut bits = Bits::new(input);
        while !self.block(&mut bits)? {}
        bits.align();
        Ok((self.history[before..].to_vec(), bits.at / 8))
    }

    /// Drops the part that no copy may reach; returns how much is left.
    fn trim(&mut self) -> usize {
        let beyond = self.history.len().saturating_sub(self.window);
        self.history.drain(..beyond);
        self.history.len()
    }

    /// Returns whether it was the final block.
    fn block(&mut self, bits: &mut Bits<'_>) -> Result<bool> {
        let is_final = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => self.stored(bits)?,
            1 => {
                let lengths = [[8; 144].as_slice(), &[9; 112], &[7; 24], &[8; 8]].concat();
                self.codes(bits, &Codes::new(&lengths)?, &Codes::new(&[5; 32])?)?;
            }
            2 => {
                let (literals, distances) = dynamic_codes(bits)?;
                self.codes(bits, &literals, &distances)?;
            }
            _ => return Err("block type 3"),
        }
        Ok(is_final)
    }

    fn stored(&mut self, bits: &mut Bits<'_>) -> Result<()> {
        bits.align();
        let len = bits.take(16)?;
        if len ^ bits.take(16)? != 0xffff {
            return Err("LEN and NLEN do not match");
        }
        for _ in 0..len {
            let byte = bits.take(8)?;
            self.history.push(byte as u8);
        }
        Ok(())
    }

    fn codes(&mut self, bits: &mut Bits<'_>, literals: &Codes, distances: &Codes) -> Result<()> {
        loop {
            let symbol = literals.decode(bits)?;
            match symbol {
                END_OF_BLOCK => return Ok(()),
                0..END_OF_BLOCK => self.history.push(symbol as u8),
                _ => {
                    let at = symbol - END_OF_BLOCK - 1;
                    let base = LENGTHS.get(at).ok_or("length symbol 286 or 287")?;
                    let length = usize::from(*base) + bits.take(LENGTH_EXTRA[at])?;
                    let at = distances.decode(bits)?;
                    let base = DISTANCES.get(at).ok_or("distance symbol 30 or 31")?;
                    let distance = usize::from(*base) + bits.take(DISTANCE_EXTRA[at])?;
                    self.copy(length, distance)?;
                }
            }
        }
    }

    fn copy(&mut self, length: usize, distance: usize) -> Result<()> {
        if distance > self.window {
            return Err("a distance beyond the window");
        }
        if distance > self.history.len() {
            return Err("a distance before the beginning");
        }
        self.farthest = self.farthest.max(distance);
        for _ in 0..length {
            self.history
                .push(self.history[self.history.len() - distance]);
        }
        Ok(())
    }
}

fn dynamic_codes(bits: &mut Bits<'_>) -> Result<(Codes, Codes)> {
    let (literals, distances) = (257 + bits.take(5)?, 1 + bits.take(5)?);
    let code_lengths = 4 + bits.take(4)?;
    if literals > 286 || distances > 30 {
        return Err("more codes than there are symbols");
    }
    let mut lengths = [0; 19];
    for at in &CODE_LENGTH_ORDER[..code_lengths] {
        lengths[*at] = bits.take(3)? as u8;
    }
    let codes = Codes::new(&lengths)?;
    let mut lengths: Vec<u8> = Vec::new();
    while lengths.len() < literals + distances {
        let (length, times) = match codes.decode(bits)? {
            16 => {
                let last = lengths.last().ok_or("nothing to repeat")?;
                (*last, 3 + bits.take(2)?)
            }
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length as u8, 1),
        };
        lengths.extend(std::iter::repeat_n(length, times));
    }
    if lengths.len() > literals + distances {
        return Err("more lengths than codes");
    }
    if lengths[END_OF_BLOCK] == 0 {
        return Err("a block without an end");
    }
    let (literals, distances) = lengths.split_at(literals);
    Ok((Codes::new(literals)?, Codes::new(distances)?))
}

/// A Huffman code by its lengths (RFC 1951 §3.2.2).
struct Codes {
    /// How many codes each length has.
    counts: [usize; 16],
    /// The symbols in the order of their codes.
    symbols: Vec<usize>,
}

impl Codes {
    fn new(lengths: &[u8]) -> Result<Codes> {
        let mut counts = [0; 16];
        for length in lengths {
            counts[usize::from(*length)] += 1;
        }
        counts[0] = 0;
        let mut left = 1isize;
        for count in &counts[1..] {
            left = left * 2 - *count as isize;
            if left < 0 {
                return Err("more codes than bits can tell apart");
            }
        }
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|at| lengths[*at] > 0).collect();
        symbols.sort_by_key(|at| lengths[*at]);
        // A single code has one bit, and a block of literals needs no distance.
        if left > 0 && symbols.len() > counts[1].min(1) {
            return Err("an incomplete code");
        }
        Ok(Codes { counts, symbols })
    }

    fn decode(&self, bits: &mut Bits<'_>) -> Result<usize> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.take(1)?;
            if code < first + count {
                return Ok(self.symbols[index + code - first]);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err("a code that stands for nothing")
    }
}

/// Input, read from the lowest bit on (RFC 1951 §3.1.1).
struct Bits<'a> {
    input: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> Bits<'a> {
    fn new(input: &'a [u8]) -> Bits<'a> {
        Bits { input, at: 0 }
    }

    fn end(&self) -> usize {
        self.input.len() * 8
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    fn take(&mut self, count: u8) -> Result<usize> {
        let mut value = 0;
        for n in 0..count {
            let byte = self.input.get(self.at / 8).ok_or(ENDS_EARLY)?;
            value |= usize::from(byte >> (self.at % 8) & 1) << n;
            self.at += 1;
        }
        Ok(value)
    }
}
