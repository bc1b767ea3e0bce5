//! A compressor that finds what was said before.

use std::collections::HashMap;

use super::{Blocks, Piece};

/// Compresses one message after the other, each in one block of the fixed codes unless it is told otherwise.
#[derive(Debug, Clone)]
pub struct Squeezer {
    window: usize,
    takeover: bool,
    history: Vec<u8>,
}

impl Squeezer {
    /// With a window of 2 to this power; with `takeover`, a message may repeat what those before it said.
    pub fn new(window_bits: u32, takeover: bool) -> Squeezer {
        Squeezer {
            window: 1 << window_bits,
            takeover,
            history: Vec::new(),
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
        let mut seen: HashMap<&[u8], usize> = HashMap::new();
        let mut pieces = Vec::new();
        let mut known = 0;
        let (mut at, mut literals) = (begin, begin);
        let all = &self.history[..];
        while at < all.len() {
            for known in known..at {
                seen.insert(&all[known..all.len().min(known + 3)], known);
            }
            known = at;
            let from = seen.get(&all[at..all.len().min(at + 3)]);
            let reach = from.filter(|from| at - **from <= self.window && at + 3 <= all.len());
            let Some(from) = reach else {
                at += 1;
                continue;
            };
            let same = all[at..].iter().zip(&all[*from..]).take(258);
            let length = same.take_while(|(one, other)| one == other).count();
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
        self.history.extend_from_slice(bytes);
        blocks.stored(bytes)
    }

    /// The message's payload, whose blocks these are.
    pub fn end(&mut self, blocks: Blocks) -> Vec<u8> {
        let kept = if self.takeover { self.window } else { 0 };
        let beyond = self.history.len().saturating_sub(kept);
        self.history.drain(..beyond);
        blocks.into_message()
    }
}
