//! The parts of a block around its symbols: headers, stored bytes, and the descriptions of its
//! codes.

use super::super::codes::{Alphabet, NoCode, Table};
use super::super::format::{
    DISTANCE_SYMBOLS, DISTANCE_USED, DYNAMIC, END_OF_BLOCK, FIXED, LITLEN_SYMBOLS, LITLEN_USED,
    PRECODE_ORDER, PRECODE_SYMBOLS, STORED,
};
use super::reader::Reader;
use super::{Inflate, InflateError, Inflated, Phase};

/// The tables that a block is read with.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) litlen: Table<4096>,
    pub(super) distance: Table<1024>,
    precode: Table<128>,
    lengths: [u8; LITLEN_SYMBOLS + DISTANCE_SYMBOLS],
    litlen_count: usize,
    distance_count: usize,
    precode_count: usize,
}

impl Inflate {
    pub(super) fn blocks(&mut self, reader: &mut Reader<'_>) -> Result<Inflated, InflateError> {
        loop {
            let more = match self.state {
                Phase::Header => self.header(reader)?,
                Phase::StoredLength => self.stored_length(reader)?,
                Phase::Stored(left) => {
                    if self.end == self.buffer.len() {
                        return Ok(Inflated::HasOutput);
                    }
                    self.stored(left, reader)
                }
                Phase::Counts => self.counts(reader)?,
                Phase::Precode(read) => self.precode(read, reader)?,
                Phase::Lengths(read) => self.lengths(read, reader)?,
                Phase::Symbols => {
                    let tables = self.tables.take().expect("a block's tables come first");
                    let status = self.symbols(&tables, reader);
                    self.tables = Some(tables);
                    match status? {
                        Some(status) => return Ok(status),
                        None => More::Yes,
                    }
                }
                Phase::End => return Ok(Inflated::End),
            };
            if more == More::No {
                return Ok(Inflated::NeedInput);
            }
        }
    }

    // BFINAL (1 bit), BTYPE (2 bits)                                    §3.2.3
    fn header(&mut self, reader: &mut Reader<'_>) -> Result<More, InflateError> {
        let Some(header) = reader.take_bits(3) else {
            return Ok(More::No);
        };
        self.is_last = header & 1 != 0;
        self.state = match header >> 1 {
            STORED => Phase::StoredLength,
            FIXED => {
                let tables = self.tables();
                tables.litlen.build_fixed(Alphabet::LitLen);
                tables.distance.build_fixed(Alphabet::Distance);
                Phase::Symbols
            }
            DYNAMIC => Phase::Counts,
            _ => return Err(InflateError::BlockType),
        };
        Ok(More::Yes)
    }

    // LEN and NLEN, two bytes each, from the next byte on               §3.2.4
    fn stored_length(&mut self, reader: &mut Reader<'_>) -> Result<More, InflateError> {
        let padding = reader.count % 8;
        reader.refill();
        if reader.count < padding + 32 {
            return Ok(More::No);
        }
        reader.drop_bits(padding);
        let lengths = reader.peek(32);
        reader.drop_bits(32);
        let (len, complement) = (lengths & 0xffff, lengths >> 16);
        if len != !complement & 0xffff {
            return Err(InflateError::StoredLength);
        }
        self.state = Phase::Stored(len as usize);
        Ok(More::Yes)
    }

    fn stored(&mut self, mut left: usize, reader: &mut Reader<'_>) -> More {
        // The bytes that were read ahead come first.
        while left > 0 && reader.count > 0 && self.end < self.buffer.len() {
            self.buffer[self.end] = reader.peek(8) as u8;
            reader.drop_bits(8);
            self.end += 1;
            left -= 1;
        }
        // Copied bytes pass over the bits above the count, so these must not stay.
        reader.clear_above();
        let rest = &reader.input[reader.at..];
        let room = self.buffer.len() - self.end;
        let count = if reader.count > 0 {
            0
        } else {
            left.min(rest.len()).min(room)
        };
        self.buffer[self.end..self.end + count].copy_from_slice(&rest[..count]);
        self.end += count;
        reader.at += count;
        left -= count;
        self.state = Phase::Stored(left);
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
        let Some(counts) = reader.take_bits(14) else {
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
        self.state = Phase::Precode(0);
        Ok(More::Yes)
    }

    fn precode(&mut self, mut read: usize, reader: &mut Reader<'_>) -> Result<More, InflateError> {
        let tables = self.tables.get_or_insert_with(Box::default);
        while read < tables.precode_count {
            let Some(length) = reader.take_bits(3) else {
                self.state = Phase::Precode(read);
                return Ok(More::No);
            };
            tables.lengths[PRECODE_ORDER[read]] = length as u8;
            read += 1;
        }
        let lengths = &tables.lengths[..PRECODE_SYMBOLS];
        tables.precode.build(Alphabet::Precode, lengths)?;
        self.state = Phase::Lengths(0);
        Ok(More::Yes)
    }

    /// Reads code lengths in the precode: 0 to 15 are lengths, 16 repeats the last length 3 to 6
    /// times, 17 and 18 stand for 3 to 10 and 11 to 138 zeros.
    fn lengths(&mut self, mut read: usize, reader: &mut Reader<'_>) -> Result<More, InflateError> {
        let tables = self.tables.get_or_insert_with(Box::default);
        let all = tables.litlen_count + tables.distance_count;
        while read < all {
            if reader.count < 14 {
                reader.refill();
            }
            let entry = tables.precode.first(reader.bits);
            let (symbol, code_bits) = (entry >> 16 & 0xff, entry & 0x3f);
            let (extra_bits, least) = match symbol {
                16 => (2, 3),
                17 => (3, 3),
                18 => (7, 11),
                _ => (0, 1),
            };
            if reader.count < code_bits + extra_bits {
                self.state = Phase::Lengths(read);
                return Ok(More::No);
            }
            reader.drop_bits(code_bits);
            if symbol < 16 {
                tables.lengths[read] = symbol as u8;
                read += 1;
                continue;
            }
            let count = least + reader.peek(extra_bits) as usize;
            reader.drop_bits(extra_bits);
            let length = match symbol {
                16 if read == 0 => return Err(InflateError::Code),
                16 => tables.lengths[read - 1],
                _ => 0,
            };
            if read + count > all {
                return Err(InflateError::Code);
            }
            tables.lengths[read..read + count].fill(length);
            read += count;
        }
        if tables.lengths[END_OF_BLOCK] == 0 {
            return Err(InflateError::Code);
        }
        tables.build()?;
        self.state = Phase::Symbols;
        Ok(More::Yes)
    }

    pub(super) fn end_block(&mut self) {
        self.state = match self.is_last {
            true => Phase::End,
            false => Phase::Header,
        };
    }

    fn tables(&mut self) -> &mut Tables {
        self.tables.get_or_insert_with(Box::default)
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
    /// Builds the tables of the two codes. Their lengths stand one after the other.
    fn build(&mut self) -> Result<(), NoCode> {
        let (litlen, rest) = self.lengths.split_at(self.litlen_count);
        self.litlen.build(Alphabet::LitLen, litlen)?;
        self.distance
            .build(Alphabet::Distance, &rest[..self.distance_count])
    }
}

/// Whether a step went on, or waits for input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Yes,
    No,
}
