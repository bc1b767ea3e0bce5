//! A second reading of RFC 1951: it reads bit by bit, needs all data at once, and computes its
//! tables from the rules of the text.

use crate::codec::deflate::InflateError;

/// The result of reading data.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) output: Vec<u8>,
    /// Where each last block ended. The data after it begins with the next byte, and may refer to
    /// earlier output.
    pub(super) ends: Vec<usize>,
    pub(super) stop: Stop,
    /// The data ends where a block ends, and at the end of a byte.
    pub(super) is_between_blocks: bool,
}

/// Why the reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The data ended.
    More,
    Failed(InflateError),
    /// There is more output than the limit.
    Large,
}

/// Reads `data`, whose references go back at most `window_bytes`, until the output is longer than
/// `most` bytes.
pub(super) fn read(data: &[u8], window_bytes: usize, most: usize) -> Outcome {
    let mut reading = Reading {
        data,
        bit: 0,
        window_bytes,
        most,
        output: Vec::new(),
        fixed: None,
    };
    let mut ends = Vec::new();
    let mut block;
    let stop = loop {
        block = reading.bit;
        match reading.block() {
            Ok(false) => {}
            Ok(true) => {
                reading.align();
                ends.push(reading.bit / 8);
            }
            Err(stop) => break stop,
        }
    };
    Outcome {
        output: reading.output,
        ends,
        stop,
        is_between_blocks: stop == Stop::More && block == data.len() * 8,
    }
}

struct Reading<'d> {
    data: &'d [u8],
    bit: usize,
    window_bytes: usize,
    most: usize,
    output: Vec<u8>,
    /// The fixed codes, after their first use.
    fixed: Option<(Code, Code)>,
}

impl Reading<'_> {
    /// Reads one block. Returns whether it is the last.
    fn block(&mut self) -> Result<bool, Stop> {
        let is_last = self.number(1)? == 1;
        match self.number(2)? {
            0 => self.stored()?,
            1 => {
                let (litlen, distance) = match self.fixed.take() {
                    Some(fixed) => fixed,
                    None => fixed_codes()?,
                };
                self.symbols(&litlen, &distance)?;
                self.fixed = Some((litlen, distance));
            }
            2 => {
                let (litlen, distance) = self.codes()?;
                self.symbols(&litlen, &distance)?;
            }
            _ => return Err(Stop::Failed(InflateError::BlockType)),
        }
        Ok(is_last)
    }

    fn stored(&mut self) -> Result<(), Stop> {
        self.align();
        let (len, complement) = (self.number(16)?, self.number(16)?);
        if len ^ complement != 0xffff {
            return Err(Stop::Failed(InflateError::StoredLength));
        }
        for _ in 0..len {
            let byte = self.number(8)?;
            self.put(byte as u8)?;
        }
        Ok(())
    }

    fn codes(&mut self) -> Result<(Code, Code), Stop> {
        let failed = Err(Stop::Failed(InflateError::Code));
        let hlit = self.number(5)? + 257;
        let hdist = self.number(5)? + 1;
        let hclen = self.number(4)? + 4;
        if hlit > 286 || hdist > 30 {
            return failed;
        }
        let mut lengths = vec![0; 19];
        let order = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        for &symbol in &order[..hclen] {
            lengths[symbol] = self.number(3)?;
        }
        let precode = Code::new(lengths, false)?;
        let mut lengths = Vec::new();
        while lengths.len() < hlit + hdist {
            let (count, length) = match self.symbol(&precode)? {
                16 => {
                    let count = 3 + self.number(2)?;
                    match lengths.last() {
                        Some(&last) => (count, last),
                        None => return failed,
                    }
                }
                17 => (3 + self.number(3)?, 0),
                18 => (11 + self.number(7)?, 0),
                length => (1, length),
            };
            lengths.extend(std::iter::repeat_n(length, count));
        }
        if lengths.len() > hlit + hdist || lengths[256] == 0 {
            return failed;
        }
        let distances = lengths.split_off(hlit);
        Ok((Code::new(lengths, true)?, Code::new(distances, true)?))
    }

    fn symbols(&mut self, litlen: &Code, distance: &Code) -> Result<(), Stop> {
        loop {
            let symbol = self.symbol(litlen)?;
            if symbol < 256 {
                self.put(symbol as u8)?;
                continue;
            }
            if symbol == 256 {
                return Ok(());
            }
            let (least, extra) = match symbol - 257 {
                symbol @ 0..28 => spaced(3, symbol, 4),
                28 => (258, 0),
                _ => return Err(Stop::Failed(InflateError::Symbol)),
            };
            let length = least + self.number(extra)?;
            let symbol = self.symbol(distance)?;
            if symbol >= 30 {
                return Err(Stop::Failed(InflateError::Symbol));
            }
            let (least, extra) = spaced(1, symbol, 2);
            let distance = least + self.number(extra)?;
            if distance > self.window_bytes.min(self.output.len()) {
                return Err(Stop::Failed(InflateError::Distance));
            }
            for _ in 0..length {
                self.put(self.output[self.output.len() - distance])?;
            }
        }
    }

    fn symbol(&mut self, code: &Code) -> Result<usize, Stop> {
        let (mut bits, mut length) = (0, 0);
        loop {
            // A code is packed from its highest bit to its lowest.
            bits = bits << 1 | self.number(1)?;
            length += 1;
            if let Some(symbol) = code.symbol(length, bits) {
                return Ok(symbol);
            }
            if length >= code.longest() {
                return Err(Stop::Failed(InflateError::Symbol));
            }
        }
    }

    /// All values except codes are packed from the lowest bit to the highest.
    fn number(&mut self, bits: usize) -> Result<usize, Stop> {
        let mut number = 0;
        for place in 0..bits {
            let byte = self.data.get(self.bit / 8).ok_or(Stop::More)?;
            number |= usize::from(byte >> (self.bit % 8) & 1) << place;
            self.bit += 1;
        }
        Ok(number)
    }

    fn align(&mut self) {
        self.bit = self.bit.next_multiple_of(8);
    }

    fn put(&mut self, byte: u8) -> Result<(), Stop> {
        self.output.push(byte);
        match self.output.len() > self.most {
            true => Err(Stop::Large),
            false => Ok(()),
        }
    }
}

fn fixed_codes() -> Result<(Code, Code), Stop> {
    let litlen = (0..288).map(|symbol| match symbol {
        0..=143 => 8,
        144..=255 => 9,
        256..=279 => 7,
        _ => 8,
    });
    let litlen = Code::new(litlen.collect(), true)?;
    Ok((litlen, Code::new(vec![5; 32], true)?))
}

/// The smallest value of `symbol`, and its number of extra bits. Lengths and distances follow the
/// same rule: the first twice `group` symbols have no extra bits, and each further `group` of
/// symbols has one more than the group before it.
fn spaced(first: usize, symbol: usize, group: usize) -> (usize, usize) {
    let extra = |symbol: usize| (symbol / group).saturating_sub(1);
    let least = (0..symbol).map(|before| 1 << extra(before)).sum::<usize>();
    (first + least, extra(symbol))
}

/// Symbols, grouped by the length of their codes. Codes of one length are consecutive, in the order
/// of their symbols.
struct Code {
    of_length: [Vec<usize>; 16],
    first: [usize; 16],
}

impl Code {
    /// No code may be the beginning of another, and each sequence of bits must begin with a code. A
    /// code for a block's symbols, but not the code for their lengths, may also be a single code of
    /// one bit, or empty.
    fn new(lengths: Vec<usize>, is_for_symbols: bool) -> Result<Code, Stop> {
        let mut of_length = [const { Vec::new() }; 16];
        for (symbol, length) in lengths.into_iter().enumerate() {
            of_length[length].push(symbol);
        }
        of_length[0].clear();
        let mut first = [0; 16];
        for length in 1..16 {
            first[length] = (first[length - 1] + of_length[length - 1].len()) << 1;
        }
        let code = Code { of_length, first };
        let space = (1..16).map(|length| code.of_length[length].len() << (15 - length));
        let (space, all) = (space.sum::<usize>(), 1 << 15);
        match space == all || (is_for_symbols && space < all && code.longest() <= 1) {
            true => Ok(code),
            false => Err(Stop::Failed(InflateError::Code)),
        }
    }

    fn longest(&self) -> usize {
        let longest = self.of_length.iter().rposition(|of| !of.is_empty());
        longest.unwrap_or(0)
    }

    fn symbol(&self, length: usize, bits: usize) -> Option<usize> {
        let symbols = self.of_length.get(length)?;
        symbols.get(bits.checked_sub(self.first[length])?).copied()
    }
}
