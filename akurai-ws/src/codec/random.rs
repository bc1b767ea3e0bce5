//! Repeatable random numbers for the tests.

/// A small xorshift generator, so that a failing run can be repeated from its seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % bound as u64) as usize
    }

    pub(crate) fn cuts<'b>(&mut self, bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let longest = 1 + self.below(20);
        let mut pieces = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(1 + self.below(longest)));
            pieces.push(piece);
            rest = behind;
        }
        pieces
    }
}
