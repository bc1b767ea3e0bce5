//! A compressor that finds repetitions of earlier bytes.

use super::{Blocks, Piece};

/// Compresses one message after the other, each in one block of the fixed codes, unless the caller
/// adds other blocks.
#[derive(Debug, Clone)]
pub struct Squeezer {
    window: usize,
    takeover: bool,
    history: Vec<u8>,
    /// How many bytes have been dropped from the front.
    dropped: usize,
    /// Where three bytes with this hash last occurred, counted from the very first byte.
    seen: Vec<usize>,
}

impl Squeezer {
    /// With a window of 2 to the power `bits`. With `takeover`, a message may refer to earlier
    /// messages.
    pub fn new(window_bits: u32, takeover: bool) -> Squeezer {
        Squeezer {
            window: 1 << window_bits,
            takeover,
            history: Vec::new(),
            dropped: 0,
            seen: vec![usize::MAX; 1 << 15],
        }
    }

    /// A message's payload.
    pub fn message(&mut self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        let blocks = self.fixed(Blocks::new(), bytes.as_ref());
        self.end(blocks)
    }

    /// `bytes` in one more block of the fixed codes.
    pub fn fixed(&mut self, blocks: Blocks, bytes: &[u8]) -> Blocks {
        let begin = self.history.len();
        self.history.extend_from_slice(bytes);
        let all = &self.history[..];
        let hash = |at: usize| {
            let three = all.get(at..at + 3)?;
            let hash = three
                .iter()
                .fold(0, |hash, byte| hash << 5 ^ usize::from(*byte));
            Some(hash & 0x7fff)
        };
        let mut pieces = Vec::new();
        let (mut at, mut literals) = (begin, begin);
        while at < all.len() {
            let place = hash(at).map(|hash| &mut self.seen[hash]);
            let last = place.map(|place| std::mem::replace(place, self.dropped + at));
            let from = last.and_then(|last| last.checked_sub(self.dropped));
            let from = from.filter(|from| *from < at && at - from <= self.window);
            let length = from.map_or(0, |from| {
                let same = all[at..].iter().zip(&all[from..]).take(258);
                same.take_while(|(one, other)| one == other).count()
            });
            let (Some(from), 3..) = (from, length) else {
                at += 1;
                continue;
            };
            for passed in at + 1..at + length {
                if let Some(hash) = hash(passed) {
                    self.seen[hash] = self.dropped + passed;
                }
            }
            if literals < at {
                pieces.push(Piece::Literals(&all[literals..at]));
            }
            let distance = at - from;
            pieces.push(Piece::Copy { length, distance });
            at += length;
            literals = at;
        }
        pieces.push(Piece::Literals(&all[literals..]));
        blocks.fixed(&pieces)
    }

    /// `bytes` in one more block without compression.
    pub fn stored(&mut self, blocks: Blocks, bytes: &[u8]) -> Blocks {
        let begin = self.history.len();
        self.history.extend_from_slice(bytes);
        for at in begin..self.history.len() {
            if let Some(hash) = hash(&self.history, at) {
                self.seen[hash] = self.dropped + at;
            }
        }
        blocks.stored(bytes)
    }

    /// The payload of the message that consists of these blocks.
    pub fn end(&mut self, blocks: Blocks) -> Vec<u8> {
        let kept = if self.takeover { self.window } else { 0 };
        let beyond = self.history.len().saturating_sub(kept);
        self.history.drain(..beyond);
        self.dropped += beyond;
        blocks.into_message()
    }
}

/// The hash of the three bytes at this place, if there are three.
fn hash(all: &[u8], at: usize) -> Option<usize> {
    let three = all.get(at..at + 3)?;
    let mix = |hash: usize, byte: &u8| hash << 5 ^ usize::from(*byte);
    Some(three.iter().fold(0, mix) & 0x7fff)
}
