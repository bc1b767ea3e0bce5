//! DEFLATE blocks made by hand, right or wrong.

use super::{CODE_LENGTH_ORDER, DISTANCE_EXTRA, DISTANCES, END_OF_BLOCK, LENGTH_EXTRA, LENGTHS};

/// What a block of [`Blocks::fixed`] is made of.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// Literal bytes.
    Literals(&'a [u8]),
    /// `length` bytes, 3 to 258, from `distance` bytes before, 1 to 32768.
    Copy {
        /// The number of bytes.
        length: usize,
        /// How far back they are.
        distance: usize,
    },
}

/// DEFLATE blocks, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Blocks {
    bytes: Vec<u8>,
    /// How many bits of the last byte are still unused.
    free: u32,
    is_final: bool,
}

impl Blocks {
    /// Without blocks.
    pub fn new() -> Blocks {
        Blocks::default()
    }

    /// The next block gets BFINAL, and is padded to the end of a byte (RFC 7692 §7.2.1).
    pub fn with_bfinal(mut self) -> Blocks {
        self.is_final = true;
        self
    }

    /// A block without compression; several where `bytes` do not fit into one.
    pub fn stored(mut self, bytes: impl AsRef<[u8]>) -> Blocks {
        let bytes = bytes.as_ref();
        let pieces = bytes
            .chunks(0xffff)
            .chain(bytes.is_empty().then_some(bytes));
        for piece in pieces {
            let len = piece.len() as u16;
            self = self.stored_claiming(len, !len);
            self.bytes.extend_from_slice(piece);
        }
        self
    }

    /// The header of a block without compression, with any LEN and NLEN.
    pub fn stored_claiming(self, len: u16, nlen: u16) -> Blocks {
        let mut blocks = self.header(0).align();
        blocks.bytes.extend(len.to_le_bytes());
        blocks.bytes.extend(nlen.to_le_bytes());
        blocks
    }

    /// A block of the fixed Huffman codes (RFC 1951 §3.2.6).
    pub fn fixed(self, pieces: &[Piece<'_>]) -> Blocks {
        let is_final = self.is_final;
        let blocks = self.unended_fixed(pieces).fixed_symbol(END_OF_BLOCK);
        if is_final { blocks.align() } else { blocks }
    }

    /// The same without the end of the block.
    pub fn unended_fixed(self, pieces: &[Piece<'_>]) -> Blocks {
        pieces
            .iter()
            .fold(self.header(1), |blocks, piece| match *piece {
                Piece::Literals(bytes) => bytes
                    .iter()
                    .fold(blocks, |blocks, byte| blocks.fixed_symbol((*byte).into())),
                Piece::Copy { length, distance } => {
                    let symbol = LENGTHS.partition_point(|base| usize::from(*base) <= length) - 1;
                    let extra = length - usize::from(LENGTHS[symbol]);
                    let blocks = blocks
                        .fixed_symbol(END_OF_BLOCK + 1 + symbol)
                        .bits(extra, LENGTH_EXTRA[symbol].into());
                    let symbol =
                        DISTANCES.partition_point(|base| usize::from(*base) <= distance) - 1;
                    let extra = distance - usize::from(DISTANCES[symbol]);
                    blocks
                        .code(symbol, 5)
                        .bits(extra, DISTANCE_EXTRA[symbol].into())
                }
            })
    }

    /// A symbol of the fixed literal and length code, 0 to 287.
    pub fn fixed_symbol(self, symbol: usize) -> Blocks {
        match symbol {
            0..144 => self.code(0x30 + symbol, 8),
            144..256 => self.code(0x190 + symbol - 144, 9),
            256..280 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    /// A block of dynamic codes (RFC 1951 §3.2.7) that contains `x` once and then copies it 258
    /// times, as often as the caller asks. Each input byte inflates to 1032 bytes, the most that
    /// DEFLATE can do.
    pub fn bomb(self, copies: usize) -> Blocks {
        let is_final = self.is_final;
        let mut blocks = self.header(2).bits(286 - 257, 5).bits(0, 5).bits(18 - 4, 4);
        for at in &CODE_LENGTH_ORDER[..18] {
            blocks = blocks.bits(*[0, 2, 2].get(*at).unwrap_or(&usize::from(*at == 18)), 3);
        }
        // The code lengths 1 and 2 as they are, and 18 for each run of zeros.
        let zeros = |blocks: Blocks, count: usize| blocks.code(0, 1).bits(count - 11, 7);
        let (one, two) = ((0b10, 2), (0b11, 2));
        blocks = zeros(blocks, 120).code(two.0, two.1);
        blocks = zeros(blocks, 135).code(two.0, two.1);
        blocks = zeros(blocks, 28).code(one.0, one.1).code(one.0, one.1);
        // `x`, the copies of two zero bits each, the end of the block.
        blocks = blocks.code(0b10, 2);
        let first = blocks.free.min(2 * copies as u32);
        let left = 2 * copies - first as usize;
        blocks = blocks.bits(0, first);
        blocks.bytes.extend(vec![0; left / 8]);
        blocks = blocks.bits(0, (left % 8) as u32).code(0b11, 2);
        if is_final { blocks.align() } else { blocks }
    }

    /// Bits in their order, the lowest first.
    pub fn bits(mut self, value: usize, count: u32) -> Blocks {
        for n in 0..count {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let bit = (value as u64 >> n & 1) as u8;
            *self.bytes.last_mut().expect("just pushed") |= bit << (8 - self.free);
            self.free -= 1;
        }
        self
    }

    /// A Huffman code, whose highest bit goes first.
    pub fn code(self, code: usize, len: u32) -> Blocks {
        (0..len)
            .rev()
            .fold(self, |blocks, n| blocks.bits(code >> n & 1, 1))
    }

    /// BFINAL and the block's type.
    pub fn header(mut self, block_type: usize) -> Blocks {
        let bfinal = std::mem::take(&mut self.is_final);
        self.bits(bfinal.into(), 1).bits(block_type, 2)
    }

    /// The bytes so far, padded to the end of a byte.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A message's payload: followed by an empty block without compression, minus its last four
    /// bytes (RFC 7692 §7.2.1).
    pub fn into_message(self) -> Vec<u8> {
        self.header(0).bytes
    }

    fn align(mut self) -> Blocks {
        self.free = 0;
        self
    }
}
