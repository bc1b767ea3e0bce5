//! Random numbers that can be repeated.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// A xorshift64* generator. The same seed gives the same numbers on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed. Zero, which xorshift cannot leave, is replaced by another fixed
    /// seed.
    pub fn seeded(seed: u64) -> Random {
        Random(if seed == 0 {
            0x9e37_79b9_7f4a_7c15
        } else {
            seed
        })
    }

    /// A generator whose seed is `AKURAI_SEED`, or else comes from the clock. It prints the seed:
    /// cargo shows a test's output when the test fails.
    pub fn announced() -> Random {
        let seed = match env::var("AKURAI_SEED") {
            Ok(text) => text.parse().expect("AKURAI_SEED is a decimal u64"),
            Err(_) => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(1, |since| since.as_nanos() as u64),
        };
        println!("seed: AKURAI_SEED={seed}");
        Random::seeded(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`.
    ///
    /// # Panics
    ///
    /// If `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // For every bound that a test uses, the bias of the remainder is below 2^-32.
        (self.next_u64() % bound as u64) as usize
    }

    /// `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next_u64() >> 56) as u8).collect()
    }

    /// `bytes` cut at random into pieces of 1 to `longest` bytes.
    pub fn pieces<'a>(&mut self, mut bytes: &'a [u8], longest: usize) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let len = 1 + self.below(longest.min(bytes.len()));
            let (piece, rest) = bytes.split_at(len);
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let draw = |seed| {
            let mut random = Random::seeded(seed);
            (random.bytes(40), random.below(7), random.next_u64())
        };
        assert_eq!(draw(42), draw(42));
        assert_ne!(draw(42).0, draw(43).0);
        assert_ne!(draw(0).0, vec![0; 40]);
    }

    #[test]
    fn pieces_are_the_whole_again() {
        let mut random = Random::seeded(7);
        let bytes = random.bytes(1000);
        let pieces = random.pieces(&bytes, 9);
        assert!(pieces.iter().all(|piece| (1..=9).contains(&piece.len())));
        assert_eq!(pieces.concat(), bytes);
    }
}
