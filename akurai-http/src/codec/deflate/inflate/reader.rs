//! Input on its way to bits (RFC 1951 §3.1.1).

/// A piece of input, and the bits that were read ahead of it.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) input: &'a [u8],
    pub(super) at: usize,
    /// Bits that were read and not yet taken, the next one lowest. Above `count` of them stands nothing, or what `input` goes on
    /// with.
    pub(super) bits: u64,
    pub(super) count: u32,
}

impl Reader<'_> {
    /// To at least 56 bits, as far as there are so many.
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

    /// To at least 56 bits, of at least eight bytes.
    #[inline(always)]
    pub(super) fn refill_fast(&mut self) {
        let bytes = &self.input[self.at..self.at + 8];
        let bytes = bytes.try_into().expect("there are eight");
        self.bits |= u64::from_le_bytes(bytes) << (self.count & 63);
        self.at += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// The next `count` bits, 32 at most, once they are here.
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

    /// Gives whole bytes that were read ahead back. They are of this input: of an earlier one, only less than the next symbol needs
    /// was left over.
    pub(super) fn give_back(&mut self) {
        self.at -= (self.count / 8) as usize;
        self.count %= 8;
        self.clear_above();
    }

    /// Forgets the bits above the count, which another piece of input would not go on with.
    pub(super) fn clear_above(&mut self) {
        self.bits = self.peek(self.count);
    }
}
