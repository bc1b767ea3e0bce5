//! Reads bits from the input (RFC 1951 §3.1.1).

/// A piece of input, and the bits already read from it.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) input: &'a [u8],
    pub(super) at: usize,
    /// Bits that were read and not yet used, the next one lowest. Above `count` bits stand zeros,
    /// or the bits with which `input` continues.
    pub(super) bits: u64,
    pub(super) count: u32,
}

impl Reader<'_> {
    /// Reads up to at least 56 bits, or as many as there are.
    pub(super) fn refill(&mut self) {
        if self.input.len() - self.at >= 8 {
            return self.refill_fast();
        }
        while self.count < 56 {
            let Some(&byte) = self.input.get(self.at) else {
                return;
            };
            self.bits |= u64::from(byte) << self.count;
            self.count += 8;
            self.at += 1;
        }
    }

    /// Reads up to at least 56 bits. At least eight bytes of input must be left.
    #[inline(always)]
    pub(super) fn refill_fast(&mut self) {
        let bytes = &self.input[self.at..self.at + 8];
        let bytes = bytes.try_into().expect("there are eight");
        self.bits |= u64::from_le_bytes(bytes) << (self.count & 63);
        self.at += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// Takes the next `count` bits, at most 32. `None` if they have not all arrived.
    pub(super) fn take_bits(&mut self, count: u32) -> Option<u64> {
        self.refill();
        if self.count < count {
            return None;
        }
        let bits = self.peek(count);
        self.drop_bits(count);
        Some(bits)
    }

    #[inline(always)]
    pub(super) fn peek(&self, count: u32) -> u64 {
        self.bits & ((1 << count) - 1)
    }

    #[inline(always)]
    pub(super) fn drop_bits(&mut self, count: u32) {
        self.bits >>= count;
        self.count -= count;
    }

    /// Returns the whole bytes that were read ahead to the input. They come from this piece of
    /// input: from an earlier piece, only fewer bits than the next symbol needs were left.
    pub(super) fn give_back(&mut self) {
        self.at -= (self.count / 8) as usize;
        self.count %= 8;
        self.clear_above();
    }

    /// Clears the bits above the count. They would be wrong for another piece of input.
    pub(super) fn clear_above(&mut self) {
        self.bits = self.peek(self.count);
    }
}
