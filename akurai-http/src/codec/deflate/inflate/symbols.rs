//! The symbols of a block: literals, and references to what came before.

use super::super::codes::{DISTANCE_EXCEPTION, EXCEPTION, IS_END, IS_TABLE, LITERAL, Table};
use super::super::format::MAX_MATCH;
use super::blocks::{Reader, Tables};
use super::{Inflate, InflateError, Inflated};

/// A copy is made in pieces of so many bytes, the last of which may write behind its end.
const COPY_BYTES: usize = 16;

/// Room for whatever one symbol stands for.
pub(super) const SYMBOL_BYTES: usize = MAX_MATCH + COPY_BYTES;

impl Inflate {
    /// Symbols up to the block's end. `None` when it is reached.
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
            // Near the end of the input: one symbol, if all of it is here.
            self.refill(reader);
            match self.symbol(tables)? {
                Symbol::Missing => return Ok(Some(Inflated::NeedInput)),
                Symbol::End => {
                    self.end_block();
                    return Ok(None);
                }
                Symbol::Done => {}
            }
        }
    }

    /// Symbols while there is so much input and room that neither need be looked at for each bit. Whether the block ended.
    fn symbols_fast(
        &mut self,
        tables: &Tables,
        reader: &mut Reader<'_>,
    ) -> Result<bool, InflateError> {
        let Tables {
            litlen, distance, ..
        } = tables;
        let window_bytes = self.window_bytes;
        let buffer = &mut self.buffer[..];
        let (mut bits, mut count, mut end) = (self.bits, self.count, self.end);
        let mut at = reader.at;
        let input = reader.input;
        let last_room = buffer.len().saturating_sub(SYMBOL_BYTES + 2);
        let mut is_over = false;
        let mut fault = None;
        while end <= last_room {
            // Twice is the input read for a reference.
            if input.len() - at < 16 {
                break;
            }
            bits |= eight_bytes(input, at) << count;
            at += ((63 - count) >> 3) as usize;
            count |= 56;

            let mut entry = litlen.first(bits);
            // After two literals, of 15 bits at most, the longest reference might want more than is left.
            if entry & LITERAL != 0 {
                bits >>= entry & 0x3f;
                count -= entry & 0x3f;
                buffer[end] = (entry >> 16) as u8;
                end += 1;
                entry = litlen.first(bits);
                if entry & LITERAL != 0 {
                    bits >>= entry & 0x3f;
                    count -= entry & 0x3f;
                    buffer[end] = (entry >> 16) as u8;
                    end += 1;
                    continue;
                }
            }
            if entry & EXCEPTION != 0 {
                if entry & IS_TABLE != 0 {
                    let index_bits = litlen.index_bits();
                    bits >>= index_bits;
                    count -= index_bits;
                    entry = litlen.second(entry, bits);
                }
                if entry & LITERAL != 0 {
                    bits >>= entry & 0x3f;
                    count -= entry & 0x3f;
                    buffer[end] = (entry >> 16) as u8;
                    end += 1;
                    continue;
                }
                if entry & EXCEPTION != 0 {
                    bits >>= entry & 0x3f;
                    count -= entry & 0x3f;
                    match entry & IS_END != 0 {
                        true => is_over = true,
                        false => fault = Some(InflateError::Symbol),
                    }
                    break;
                }
            }
            let len = value(entry, bits);
            bits >>= entry & 0x3f;
            count -= entry & 0x3f;

            // Of the 56 bits, a literal and a length have taken 35 at most, and a distance may need 28.
            if count < 28 {
                bits |= eight_bytes(input, at) << count;
                at += ((63 - count) >> 3) as usize;
                count |= 56;
            }
            let mut entry = distance.first(bits);
            if entry & DISTANCE_EXCEPTION != 0 {
                if entry & IS_TABLE != 0 {
                    let index_bits = distance.index_bits();
                    bits >>= index_bits;
                    count -= index_bits;
                    entry = distance.second(entry, bits);
                }
                if entry & DISTANCE_EXCEPTION != 0 {
                    fault = Some(InflateError::Symbol);
                    break;
                }
            }
            let back = value(entry, bits);
            bits >>= entry & 0x3f;
            count -= entry & 0x3f;
            if back > end || back > window_bytes {
                fault = Some(InflateError::Distance);
                break;
            }
            copy(buffer, end, back, len);
            end += len;
        }
        self.end = end;
        self.count = count;
        self.bits = bits & ((1 << count) - 1);
        reader.at = at;
        match fault {
            Some(fault) => Err(fault),
            None => Ok(is_over),
        }
    }

    /// The next symbol, if all of its bits are here.
    fn symbol(&mut self, tables: &Tables) -> Result<Symbol, InflateError> {
        let (mut bits, mut left) = (self.bits, self.count);
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
        (self.bits, self.count) = (bits, left);
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

/// The entry of the next code, its bits still there; those of a first table that led to a second one are taken. `None` if some are
/// missing, and nothing matters then.
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
    // What no code has is seen with its first bit.
    (*left > 0 && *left >= entry & 0x3f).then_some(entry)
}

/// What an entry stands for, with the extra bits behind its code.
#[inline(always)]
fn value(entry: u32, bits: u64) -> usize {
    let taken = bits & ((1 << (entry & 0x3f)) - 1);
    (entry >> 16 & 0x7fff) as usize + (taken >> (entry >> 8 & 15)) as usize
}

#[inline(always)]
fn eight_bytes(input: &[u8], at: usize) -> u64 {
    let bytes = &input[at..at + 8];
    u64::from_le_bytes(bytes.try_into().expect("there are eight"))
}

/// Copies `len` bytes from `back` before `end` to there; what is copied may overlap what it makes (§3.2.3). Up to 15 bytes more
/// may change behind it.
#[inline(always)]
fn copy(buffer: &mut [u8], end: usize, back: usize, len: usize) {
    let from = end - back;
    if back >= COPY_BYTES {
        let mut done = 0;
        while done < len {
            let piece: [u8; COPY_BYTES] = buffer[from + done..from + done + COPY_BYTES]
                .try_into()
                .expect("a piece is as long as it is");
            buffer[end + done..end + done + COPY_BYTES].copy_from_slice(&piece);
            done += COPY_BYTES;
        }
    } else if back == 1 {
        let byte = buffer[from];
        buffer[end..end + len].fill(byte);
    } else {
        for at in 0..len {
            buffer[end + at] = buffer[from + at];
        }
    }
}
