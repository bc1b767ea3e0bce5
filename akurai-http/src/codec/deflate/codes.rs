//! Tables that map the next bits to a symbol and its meaning (RFC 1951 §3.2.2).
//!
//! The first bits of the input are the index of an entry. For a code that is longer than the index,
//! the entry leads to a second, smaller table further on. An entry holds all that the decoder
//! needs:
//!
//! ```text
//! bit 31        LITERAL: the value is a byte
//! bit 30        EXCEPTION: end of block, a second table, or bits that are no code
//! bits 16..=29  the value: a byte, the shortest length, or the start of the second table;
//!               for a distance, bits 16..=30
//! bits 8..=11   length of the code in bits, after which the extra bits begin;
//!               for a second table, its index bits
//! bits 0..=5    how many bits to take in all, with the extra bits
//! ```

use super::format::{
    DISTANCE_SYMBOLS, DISTANCE_USED, DISTANCES, END_OF_BLOCK, FIXED_LITLEN_MOST_BITS, LENGTHS,
    LITLEN_SYMBOLS, LITLEN_USED, MAX_CODE_BITS, PRECODE_SYMBOLS, fixed_litlen_bits,
};

pub(super) const LITERAL: u32 = 1 << 31;
pub(super) const EXCEPTION: u32 = 1 << 30;
/// With `EXCEPTION`.
pub(super) const IS_END: u32 = 1 << 15;
pub(super) const IS_TABLE: u32 = 1 << 14;
/// The exception flag of a distance's entry: there, bit 30 belongs to the value.
pub(super) const DISTANCE_EXCEPTION: u32 = 1 << 31;

/// The code that a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    Precode,
    LitLen,
    Distance,
}

/// A table for one code, in `N` entries, a power of two. The next code reuses its memory.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    entries: [u32; N],
    index_bits: u32,
}

/// These lengths make no code: too many are short, or some bits would mean nothing.
#[derive(Debug)]
pub(super) struct NoCode;

impl<const N: usize> Default for Table<N> {
    fn default() -> Self {
        Self {
            entries: [0; N],
            index_bits: 0,
        }
    }
}

impl<const N: usize> Table<N> {
    /// How many bits are the index into the first table.
    pub(super) fn index_bits(&self) -> u32 {
        self.index_bits
    }

    /// The entry at the index of the next bits.
    #[inline(always)]
    pub(super) fn first(&self, bits: u64) -> u32 {
        // The second mask tells the compiler that the index is in bounds.
        let index = bits & ((1 << self.index_bits) - 1);
        self.entries[index as usize & (N - 1)]
    }

    /// The entry in the second table that `entry` leads to. `bits` begin after the first table's
    /// index.
    #[inline(always)]
    pub(super) fn second(&self, entry: u32, bits: u64) -> u32 {
        let index = bits & ((1 << (entry >> 8 & 15)) - 1);
        self.entries[((entry >> 16 & 0x3fff) as usize + index as usize) & (N - 1)]
    }

    /// Makes this the table for the fixed code.
    pub(super) fn build_fixed(&mut self, alphabet: Alphabet) {
        let fixed = match alphabet {
            Alphabet::Distance => &FIXED_DISTANCE[..],
            _ => &FIXED_LITLEN[..],
        };
        self.entries[..fixed.len()].copy_from_slice(fixed);
        self.index_bits = fixed.len().ilog2();
    }

    /// Makes this the table for the code with these `lengths`, one for each symbol; 0 for a symbol
    /// without a code.
    pub(super) fn build(&mut self, alphabet: Alphabet, lengths: &[u8]) -> Result<(), NoCode> {
        let mut counts = [0u16; MAX_CODE_BITS + 1];
        for &length in lengths {
            counts[usize::from(length)] += 1;
        }
        counts[0] = 0;
        let longest = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
        check_complete(&counts, longest, alphabet)?;
        let (sorted, used) = sorted_by_code(lengths, &counts);

        let index_bits = longest.clamp(1, most_index_bits(alphabet));
        self.index_bits = index_bits as u32;
        let (symbols, nothing) = match alphabet {
            Alphabet::Precode => (&PRECODE_ENTRIES[..], EXCEPTION),
            Alphabet::LitLen => (&LITLEN_ENTRIES[..], EXCEPTION),
            Alphabet::Distance => (&DISTANCE_ENTRIES[..], DISTANCE_EXCEPTION),
        };
        // Entries that no code leads to stay exceptions.
        self.entries[..1 << index_bits].fill(nothing);
        let mut end = 1 << index_bits;
        let mut second = Second::default();
        let (mut code, mut last_length) = (0u32, 0);
        for &symbol in &sorted[..used] {
            let length = usize::from(lengths[usize::from(symbol)]);
            code <<= length - last_length;
            last_length = length;
            // Codes are sent highest bit first, all other values lowest bit first (§3.1.1).
            let reversed = (code.reverse_bits() >> (32 - length)) as usize;
            code += 1;
            let (place, step, bits) = if length <= index_bits {
                (&mut self.entries[..1 << index_bits], reversed, length)
            } else {
                let first = reversed & ((1 << index_bits) - 1);
                if second.start == 0 || second.first != first {
                    let bits = second_bits(length, index_bits, &counts);
                    second = Second { first, start: end };
                    end += 1 << bits;
                    self.entries[second.start..end].fill(nothing);
                    let table = (second.start as u32) << 16 | (bits as u32) << 8;
                    self.entries[first] = nothing | IS_TABLE | table | index_bits as u32;
                }
                let rest = length - index_bits;
                (
                    &mut self.entries[second.start..end],
                    reversed >> index_bits,
                    rest,
                )
            };
            let entry = of_bits(symbols[usize::from(symbol)], bits as u32);
            for place in place[step..].iter_mut().step_by(1 << bits) {
                *place = entry;
            }
            counts[length] -= 1;
        }
        Ok(())
    }
}

/// Symbols by length, and within one length by value, which is the order of their codes. Also how
/// many there are.
fn sorted_by_code(
    lengths: &[u8],
    counts: &[u16; MAX_CODE_BITS + 1],
) -> ([u16; LITLEN_SYMBOLS], usize) {
    let mut offsets = [0u16; MAX_CODE_BITS + 2];
    for bits in 1..=MAX_CODE_BITS {
        offsets[bits + 1] = offsets[bits] + counts[bits];
    }
    let mut sorted = [0; LITLEN_SYMBOLS];
    for (symbol, &length) in lengths.iter().enumerate() {
        if length > 0 {
            let place = &mut offsets[usize::from(length)];
            sorted[usize::from(*place)] = symbol as u16;
            *place += 1;
        }
    }
    (sorted, usize::from(offsets[MAX_CODE_BITS]))
}

/// More index bits mean fewer second tables, but the first table takes longer to fill.
fn most_index_bits(alphabet: Alphabet) -> usize {
    match alphabet {
        Alphabet::Precode => 7,
        Alphabet::LitLen => 11,
        Alphabet::Distance => 9,
    }
}

/// The index bits of a second table whose first code has `length` bits: the fewest with which the
/// remaining codes fill the table.
fn second_bits(length: usize, index_bits: usize, counts: &[u16; MAX_CODE_BITS + 1]) -> usize {
    let mut bits = length - index_bits;
    let mut left = 1i32 << bits;
    for &count in &counts[length..MAX_CODE_BITS] {
        left -= i32::from(count);
        if left <= 0 {
            break;
        }
        bits += 1;
        left <<= 1;
    }
    bits
}

/// The second table that is being filled.
#[derive(Debug, Default)]
struct Second {
    first: usize,
    start: usize,
}

/// Checks that every sequence of bits has a meaning. Only a code of at most one symbol may leave
/// some without (§3.2.7).
fn check_complete(
    counts: &[u16; MAX_CODE_BITS + 1],
    longest: usize,
    alphabet: Alphabet,
) -> Result<(), NoCode> {
    let mut space = 1i32;
    for &count in &counts[1..] {
        space = (space << 1) - i32::from(count);
        if space < 0 {
            return Err(NoCode);
        }
    }
    // "If only one distance code is used, it is encoded using one bit". A block of literals alone
    // has no distance code.
    match space > 0 && (longest > 1 || alphabet == Alphabet::Precode) {
        true => Err(NoCode),
        false => Ok(()),
    }
}

/// The first table of the fixed litlen code (§3.2.6).
static FIXED_LITLEN: [u32; 1 << FIXED_LITLEN_MOST_BITS] = {
    let mut entries = [EXCEPTION; 1 << FIXED_LITLEN_MOST_BITS];
    let lengths = fixed_litlen_bits();
    let (mut bits, mut code) = (1, 0u32);
    while bits <= FIXED_LITLEN_MOST_BITS {
        code <<= 1;
        let mut symbol = 0;
        while symbol < LITLEN_SYMBOLS {
            if lengths[symbol] as usize == bits {
                let mut at = (code.reverse_bits() >> (32 - bits)) as usize;
                while at < entries.len() {
                    entries[at] = of_bits(LITLEN_ENTRIES[symbol], bits as u32);
                    at += 1 << bits;
                }
                code += 1;
            }
            symbol += 1;
        }
        bits += 1;
    }
    entries
};

/// The fixed distance code, whose symbols have 5 bits each.
static FIXED_DISTANCE: [u32; DISTANCE_SYMBOLS] = {
    let mut entries = [0; DISTANCE_SYMBOLS];
    let mut symbol = 0;
    while symbol < DISTANCE_SYMBOLS {
        let at = (symbol as u32).reverse_bits() >> 27;
        entries[at as usize] = of_bits(DISTANCE_ENTRIES[symbol], 5);
        symbol += 1;
    }
    entries
};

/// The entries of all symbols, without the bits of their codes.
static LITLEN_ENTRIES: [u32; LITLEN_SYMBOLS] = entries(Alphabet::LitLen);
static DISTANCE_ENTRIES: [u32; DISTANCE_SYMBOLS] = entries(Alphabet::Distance);
static PRECODE_ENTRIES: [u32; PRECODE_SYMBOLS] = entries(Alphabet::Precode);

const fn entries<const N: usize>(alphabet: Alphabet) -> [u32; N] {
    let mut entries = [0; N];
    let mut symbol = 0;
    while symbol < N {
        entries[symbol] = match alphabet {
            Alphabet::Precode => (symbol as u32) << 16,
            Alphabet::LitLen if symbol < END_OF_BLOCK => LITERAL | (symbol as u32) << 16,
            Alphabet::LitLen if symbol == END_OF_BLOCK => EXCEPTION | IS_END,
            Alphabet::LitLen if symbol < LITLEN_USED => {
                extended(LENGTHS[symbol - END_OF_BLOCK - 1])
            }
            Alphabet::LitLen => EXCEPTION,
            Alphabet::Distance if symbol < DISTANCE_USED => extended(DISTANCES[symbol]),
            Alphabet::Distance => DISTANCE_EXCEPTION,
        };
        symbol += 1;
    }
    entries
}

const fn extended((base, extra): (u16, u8)) -> u32 {
    (base as u32) << 16 | extra as u32
}

/// An entry whose code has this many bits.
const fn of_bits(entry: u32, bits: u32) -> u32 {
    entry + (bits << 8 | bits)
}

#[cfg(test)]
mod tests {
    use super::super::format::FIXED_DISTANCE_BITS;
    use super::*;

    /// Checks that every code of these lengths, bit by bit, leads to its symbol.
    #[track_caller]
    fn check(lengths: &[u8]) {
        let mut table = Table::<4096>::default();
        table.build(Alphabet::LitLen, lengths).expect("a code");
        let mut code = 0u32;
        for bits in 1..=15u32 {
            for (symbol, _) in lengths
                .iter()
                .enumerate()
                .filter(|(_, length)| u32::from(**length) == bits)
            {
                let reversed = u64::from(code.reverse_bits() >> (32 - bits));
                for noise in [0, u64::MAX << bits, 0x5555_5555_5555 << bits] {
                    let mut entry = table.first(reversed | noise);
                    let mut taken = 0;
                    if entry & EXCEPTION != 0 && entry & IS_TABLE != 0 {
                        taken = table.index_bits();
                        entry = table.second(entry, (reversed | noise) >> taken);
                    }
                    assert_eq!(entry & LITERAL, LITERAL, "symbol {symbol}");
                    assert_eq!((entry >> 16 & 0xff) as usize, symbol);
                    assert_eq!((entry & 0x3f) + taken, bits);
                }
                code += 1;
            }
            code <<= 1;
        }
    }

    #[test]
    fn rfc1951_3_2_2_example() {
        // A to H have the lengths (3, 3, 3, 3, 3, 2, 4, 4).
        check(&[3, 3, 3, 3, 3, 2, 4, 4]);
    }

    #[test]
    fn rfc1951_3_2_6_fixed_codes() {
        let (mut built, mut fixed) = (Table::<1024>::default(), Table::<1024>::default());
        for (alphabet, lengths) in [
            (Alphabet::LitLen, &fixed_litlen_bits()[..]),
            (Alphabet::Distance, &FIXED_DISTANCE_BITS),
        ] {
            built.build(alphabet, lengths).expect("a code");
            fixed.build_fixed(alphabet);
            assert_eq!(built.index_bits, fixed.index_bits);
            let used = ..1 << built.index_bits;
            assert_eq!(built.entries[used], fixed.entries[used]);
        }
    }

    #[test]
    fn codes_of_all_lengths() {
        check(&[1, 1]);
        check(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 15]);
        check(&[15, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
        check(&[8; 256]);
        let mut mixed = vec![12; 64];
        mixed.extend([13; 64]);
        mixed.splice(0..0, [2, 2, 3, 4, 5, 6, 7]);
        let space: u32 = mixed.iter().map(|&length| 1 << (15 - length)).sum();
        // One more code or several use the rest of the space.
        let mut left = (1u32 << 15) - space;
        while left > 0 {
            let length = 15 - left.ilog2();
            mixed.push(length as u8);
            left -= 1 << (15 - length);
        }
        check(&mixed);
    }

    #[test]
    fn what_is_no_code() {
        let build = |lengths: &[u8]| {
            Table::<1024>::default()
                .build(Alphabet::Distance, lengths)
                .is_ok()
        };
        assert!(build(&[0; 30]) && build(&[1]) && build(&[1, 1]) && build(&[2, 2, 2, 2]));
        assert!(!build(&[1, 1, 1]) && !build(&[2]) && !build(&[1, 2]) && !build(&[15; 30]));
        assert!(
            Table::<128>::default()
                .build(Alphabet::Precode, &[1])
                .is_err()
        );
    }
}
