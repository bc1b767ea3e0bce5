//! The symbols of a block: literals, and references to earlier bytes.

use super::super::codes::{DISTANCE_EXCEPTION, EXCEPTION, IS_END, IS_TABLE, LITERAL, Table};
use super::super::format::MAX_MATCH;
use super::blocks::Tables;
use super::reader::Reader;
use super::{Inflate, InflateError, Inflated};

/// A copy is made in pieces of this many bytes. The last piece may write past the copy's end.
const COPY_BYTES: usize = 32;

/// Input that two rounds of the fast loop may read, in bytes.
const FAST_INPUT_BYTES: usize = 32;

/// Output that a round of the fast loop may write, in bytes.
const FAST_BYTES: usize = SYMBOL_BYTES + 2;

/// Room for the output of any one symbol.
const SYMBOL_BYTES: usize = MAX_MATCH + COPY_BYTES;

impl Inflate {
    /// Decodes symbols up to the block's end. `None` when that is reached.
    pub(super) fn symbols(
        &mut self,
        tables: &Tables,
        reader: &mut Reader<'_>,
    ) -> Result<Option<Inflated>, InflateError> {
        loop {
            if self.symbols_fast(tables, reader)? {
                self.end_block();
                return Ok(None);
            }
            if self.buffer.len() - self.end < SYMBOL_BYTES {
                return Ok(Some(Inflated::HasOutput));
            }
            // Near the end of the input, decode one symbol, if all its bits are here.
            reader.refill();
            match self.symbol(tables, reader)? {
                Symbol::Missing => return Ok(Some(Inflated::NeedInput)),
                Symbol::End => {
                    self.end_block();
                    return Ok(None);
                }
                Symbol::Done => {}
            }
        }
    }

    /// Decodes symbols while there is enough input and room that the loop need not check for each
    /// symbol. Returns whether the block ended.
    fn symbols_fast(
        &mut self,
        tables: &Tables,
        reader: &mut Reader<'_>,
    ) -> Result<bool, InflateError> {
        // long because: its state stays in registers; a call in this loop would cost them.
        let (litlen, distance) = (&tables.litlen, &tables.distance);
        let window_bytes = self.window_bytes;
        let buffer = &mut self.buffer[..];
        let mut end = self.end;
        let last_room = buffer.len().saturating_sub(FAST_BYTES);
        let last_at = reader.input.len().saturating_sub(FAST_INPUT_BYTES);
        if end > last_room || reader.at >= last_at {
            return Ok(false);
        }
        let mut ahead = *reader;
        let mut over = None;
        ahead.refill_fast();
        // The next entry is looked up as soon as its bits are known. The rest of the work for the
        // last entry goes on meanwhile.
        let mut entry = litlen.first(ahead.bits);
        while end <= last_room && ahead.at < last_at {
            // There are 56 bits, and each literal takes at most 11.
            if entry & LITERAL != 0 {
                let room = &mut buffer[end..end + 3];
                ahead.drop_bits(entry & 0x3f);
                room[0] = (entry >> 16) as u8;
                end += 1;
                entry = litlen.first(ahead.bits);
                if entry & LITERAL != 0 {
                    ahead.drop_bits(entry & 0x3f);
                    room[1] = (entry >> 16) as u8;
                    end += 1;
                    entry = litlen.first(ahead.bits);
                    if entry & LITERAL != 0 {
                        ahead.drop_bits(entry & 0x3f);
                        room[2] = (entry >> 16) as u8;
                        end += 1;
                        entry = litlen.first(ahead.bits);
                        ahead.refill_fast();
                        continue;
                    }
                }
            }
            if entry & EXCEPTION != 0 {
                if entry & IS_TABLE != 0 {
                    ahead.drop_bits(litlen.index_bits());
                    entry = litlen.second(entry, ahead.bits);
                }
                if entry & LITERAL != 0 {
                    ahead.drop_bits(entry & 0x3f);
                    buffer[end] = (entry >> 16) as u8;
                    end += 1;
                    entry = litlen.first(ahead.bits);
                    ahead.refill_fast();
                    continue;
                }
                if entry & EXCEPTION != 0 {
                    ahead.drop_bits(entry & 0x3f);
                    over = Some(match entry & IS_END != 0 {
                        true => Ok(true),
                        false => Err(InflateError::Symbol),
                    });
                    break;
                }
            }
            let len = value(entry, ahead.bits);
            ahead.drop_bits(entry & 0x3f);

            // Two literals and a length have taken at most 42 bits, so the bits that index the
            // first table are there. A distance may need 28 in all.
            let mut entry_of_distance = distance.first(ahead.bits);
            ahead.refill_fast();
            if entry_of_distance & DISTANCE_EXCEPTION != 0 {
                if entry_of_distance & IS_TABLE != 0 {
                    ahead.drop_bits(distance.index_bits());
                    entry_of_distance = distance.second(entry_of_distance, ahead.bits);
                }
                if entry_of_distance & DISTANCE_EXCEPTION != 0 {
                    over = Some(Err(InflateError::Symbol));
                    break;
                }
            }
            let back = value(entry_of_distance, ahead.bits);
            ahead.drop_bits(entry_of_distance & 0x3f);
            if back > end || back > window_bytes {
                over = Some(Err(InflateError::Distance));
                break;
            }
            entry = litlen.first(ahead.bits);
            ahead.refill_fast();
            copy(buffer, end, back, len);
            end += len;
        }
        self.end = end;
        *reader = ahead;
        over.unwrap_or(Ok(false))
    }

    /// Decodes the next symbol, if all its bits are here.
    fn symbol(&mut self, tables: &Tables, reader: &mut Reader<'_>) -> Result<Symbol, InflateError> {
        let (mut bits, mut left) = (reader.bits, reader.count);
        let entry = match next_entry(&tables.litlen, EXCEPTION, &mut bits, &mut left) {
            Some(entry) => entry,
            None => return Ok(Symbol::Missing),
        };
        let is_end = entry & EXCEPTION != 0 && entry & IS_END != 0;
        if entry & EXCEPTION != 0 && !is_end {
            return Err(InflateError::Symbol);
        }
        let value_of_length = value(entry, bits);
        bits >>= entry & 0x3f;
        left -= entry & 0x3f;
        if entry & LITERAL != 0 {
            self.buffer[self.end] = (entry >> 16) as u8;
            self.end += 1;
        } else if !is_end {
            let entry = match next_entry(&tables.distance, DISTANCE_EXCEPTION, &mut bits, &mut left)
            {
                Some(entry) => entry,
                None => return Ok(Symbol::Missing),
            };
            if entry & DISTANCE_EXCEPTION != 0 {
                return Err(InflateError::Symbol);
            }
            let back = value(entry, bits);
            bits >>= entry & 0x3f;
            left -= entry & 0x3f;
            if back > self.end || back > self.window_bytes {
                return Err(InflateError::Distance);
            }
            copy(&mut self.buffer, self.end, back, value_of_length);
            self.end += value_of_length;
        }
        (reader.bits, reader.count) = (bits, left);
        Ok(match is_end {
            true => Symbol::End,
            false => Symbol::Done,
        })
    }
}

enum Symbol {
    Done,
    End,
    Missing,
}

/// The entry of the next code. Its bits are not taken yet; the bits that index the first table are,
/// if there is a second one. `None` if some bits are missing; then the caller drops `bits` and
/// `left`.
fn next_entry<const N: usize>(
    table: &Table<N>,
    exception: u32,
    bits: &mut u64,
    left: &mut u32,
) -> Option<u32> {
    let mut entry = table.first(*bits);
    if entry & exception != 0 && entry & IS_TABLE != 0 {
        let index_bits = table.index_bits();
        *left = left.checked_sub(index_bits)?;
        *bits >>= index_bits;
        entry = table.second(entry, *bits);
    }
    // Bits that are no code are noticed as soon as one bit is there.
    (*left > 0 && *left >= entry & 0x3f).then_some(entry)
}

/// The value of an entry, with the extra bits after its code.
#[inline(always)]
fn value(entry: u32, bits: u64) -> usize {
    let taken = bits & ((1 << (entry & 0x3f)) - 1);
    (entry >> 16 & 0x7fff) as usize + (taken >> (entry >> 8 & 15)) as usize
}

/// Factors that repeat the first 1 to 7 of eight bytes, by their number.
const REPEATED: [u64; 8] = {
    let mut factors = [0; 8];
    let mut back = 1;
    while back < 8 {
        let mut at = 0;
        while at < 8 {
            factors[back] |= 1 << (8 * at);
            at += back;
        }
        back += 1;
    }
    factors
};

/// Copies `len` bytes from `back` bytes before `end` to `end`. The copy may overlap its source
/// (§3.2.3). Up to 31 bytes after the copy may change too.
#[inline(always)]
fn copy(buffer: &mut [u8], end: usize, back: usize, len: usize) {
    let (mut from, mut to) = (end - back, end);
    let stop = end + len;
    if back >= COPY_BYTES {
        loop {
            copy_piece::<COPY_BYTES>(buffer, from, to);
            from += COPY_BYTES;
            to += COPY_BYTES;
            if to >= stop {
                return;
            }
        }
    }
    if back >= 16 {
        loop {
            copy_piece::<16>(buffer, from, to);
            from += 16;
            to += 16;
            if to >= stop {
                return;
            }
        }
    }
    if back >= 8 {
        while to < stop {
            copy_piece::<8>(buffer, from, to);
            from += 8;
            to += 8;
        }
        return;
    }
    let first = &buffer[from..from + 8];
    let first = u64::from_le_bytes(first.try_into().expect("eight bytes"));
    let repeated = (first & ((1 << (8 * back)) - 1)).wrapping_mul(REPEATED[back & 7]);
    let step = 8 / back * back;
    while to < stop {
        buffer[to..to + 8].copy_from_slice(&repeated.to_le_bytes());
        to += step;
    }
}

#[inline(always)]
fn copy_piece<const N: usize>(buffer: &mut [u8], from: usize, to: usize) {
    let piece: [u8; N] = buffer[from..from + N].try_into().expect("N bytes");
    buffer[to..to + N].copy_from_slice(&piece);
}
