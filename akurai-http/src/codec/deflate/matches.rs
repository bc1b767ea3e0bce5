//! Finds where the same bytes stood before, in chains of positions with the same hash.

use super::format::{MAX_MATCH, MIN_MATCH, WINDOW_BYTES};

/// How hard a search tries. The names and numbers are zlib's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// After a match of this length, only a quarter of the chain is searched for a better one.
    pub(super) good: usize,
    /// After a match of this length, the next position is not searched for a better one.
    pub(super) lazy: usize,
    /// A match of this length ends the search.
    pub(super) nice: usize,
    /// Most positions of a chain that a search looks at.
    pub(super) chain: usize,
}

/// A chain's hash is over this many bytes.
const HASHED_BYTES: usize = 4;

/// Three bytes at a longer distance mostly take more bits as a reference than as literals.
const SHORT_REACH: u32 = 4096;

/// A sample of data, in bytes.
const SAMPLE_BYTES: usize = 4096;

/// With at least this many frequent byte values, matches of three bytes are worth it.
const LEAST_FREQUENT_BYTES: usize = 72;

/// Factor of a multiplicative hash: 2 to the power of 32, divided by the golden ratio.
const FACTOR: u32 = 0x9e37_79b1;

/// No position: the end of a chain, or a hash without one.
const NONE: u32 = 0;

/// All positions seen so far, by hash. Counting continues from one piece of data to the next.
#[derive(Debug)]
pub(super) struct Matches {
    /// The last position of each hash.
    heads: Vec<u32>,
    hash_shift: u32,
    /// The last position of each hash of three bytes.
    short_heads: Vec<u32>,
    short_hash_shift: u32,
    /// Whether matches of three bytes are looked for.
    wants_short: bool,
    /// For each position, the previous one with the same hash; the index is the position's lowest
    /// bits.
    previous: Vec<u32>,
    window_bytes: usize,
}

/// Earlier positions: the first of the chain, and the one where the same three bytes may have stood
/// last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidates {
    chain: u32,
    short: u32,
}

/// A match: its length, and how far back it is. Length 0 means none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) length: usize,
    pub(super) distance: usize,
}

impl Matches {
    /// Makes the tables for data of about `data_bytes` in all. A stream passes `WINDOW_BYTES`.
    pub(super) fn new(window_bytes: usize, data_bytes: usize) -> Matches {
        let measure = data_bytes.clamp(256, WINDOW_BYTES).next_power_of_two();
        let hash_bits = measure.ilog2();
        Matches {
            heads: vec![NONE; measure],
            hash_shift: 32 - hash_bits,
            short_heads: vec![NONE; measure.min(SHORT_REACH as usize)],
            short_hash_shift: 32 - hash_bits.min(SHORT_REACH.ilog2()),
            wants_short: false,
            previous: vec![NONE; window_bytes.min(measure)],
            window_bytes,
        }
    }

    /// Looks at a sample of the data that follows. Where few byte values make up most of it, as in
    /// text, three literals take fewer bits than a reference.
    pub(super) fn prepare(&mut self, data: &[u8]) {
        let sample = &data[..data.len().min(SAMPLE_BYTES)];
        let mut counts = [0u16; 256];
        for &byte in sample {
            counts[usize::from(byte)] += 1;
        }
        let least = (sample.len() / 1024) as u16;
        let frequent = counts.iter().filter(|&&count| count > least).count();
        self.wants_short = frequent >= LEAST_FREQUENT_BYTES;
    }

    /// Records the position of `data[at]`, which is `base + at`. Returns the earlier positions with
    /// the same hashes.
    #[inline(always)]
    pub(super) fn insert(&mut self, data: &[u8], at: usize, base: u32) -> Candidates {
        let Some(bytes) = data.get(at..at + HASHED_BYTES) else {
            return Candidates {
                chain: NONE,
                short: NONE,
            };
        };
        let word = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
        let position = at as u32 + base;
        let short = match self.wants_short {
            true => {
                let hash = (word << 8).wrapping_mul(FACTOR) >> self.short_hash_shift;
                std::mem::replace(&mut self.short_heads[hash as usize], position)
            }
            false => NONE,
        };
        let hash = word.wrapping_mul(FACTOR) >> self.hash_shift;
        let head = &mut self.heads[hash as usize];
        let chain = std::mem::replace(head, position);
        let mask = self.previous.len() - 1;
        self.previous[position as usize & mask] = chain;
        Candidates { chain, short }
    }

    /// The longest match for the bytes at `at`, if it is longer than `least`. It searches the
    /// candidates and their chain.
    #[inline]
    pub(super) fn longest(
        &self,
        data: &[u8],
        at: usize,
        base: u32,
        candidates: Candidates,
        least: usize,
        effort: Effort,
    ) -> Match {
        let mut best = Match::default();
        let most = MAX_MATCH.min(data.len() - at);
        let mut longest = least.max(HASHED_BYTES - 1);
        if longest >= most {
            return best;
        }
        let nice = effort.nice.min(most);
        let position = at as u32 + base;
        let mask = self.previous.len() - 1;
        let reach = self.window_bytes.min(at) as u32;
        let mut tries = match least >= effort.good {
            true => effort.chain / 4,
            false => effort.chain,
        };
        let here = &data[at..at + most];
        // A longer match must have the same last bytes, up to one byte after the longest match so
        // far.
        let mut wanted = tail(here, longest);
        let mut candidate = candidates.chain;
        while candidate != NONE {
            let distance = position.wrapping_sub(candidate);
            if distance > reach || distance == 0 {
                break;
            }
            let there = &data[at - distance as usize..][..most];
            if tail(there, longest) == wanted {
                let length = common(there, here);
                if length > longest {
                    longest = length;
                    best = Match {
                        length,
                        distance: distance as usize,
                    };
                    if length >= nice {
                        break;
                    }
                    wanted = tail(here, longest);
                }
            }
            tries -= 1;
            let before = self.previous[candidate as usize & mask];
            // A chain only goes back. Otherwise, a later position has overwritten the entry.
            if tries == 0 || before >= candidate {
                break;
            }
            candidate = before;
        }
        if best.length == 0 && least < MIN_MATCH && candidates.short != NONE {
            return self.short(here, data, at, position.wrapping_sub(candidates.short));
        }
        best
    }

    /// A match at `distance` before `at`: of three bytes, or a longer one that the chain no longer
    /// reached.
    #[inline]
    fn short(&self, here: &[u8], data: &[u8], at: usize, distance: u32) -> Match {
        let reach = (self.window_bytes.min(at) as u32).min(SHORT_REACH);
        if distance == 0 || distance > reach {
            return Match::default();
        }
        let there = &data[at - distance as usize..][..here.len()];
        match common(there, here) {
            length @ MIN_MATCH.. => Match {
                length,
                distance: distance as usize,
            },
            _ => Match::default(),
        }
    }
}

/// The four bytes that end at `end`.
#[inline(always)]
fn tail(bytes: &[u8], end: usize) -> u32 {
    let bytes = &bytes[end - 3..=end];
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

/// How many bytes the two slices have in common from the start. They have the same length.
#[inline(always)]
fn common(one: &[u8], other: &[u8]) -> usize {
    let mut length = 0;
    let mut ones = one.chunks_exact(8);
    let mut others = other.chunks_exact(8);
    for (one, other) in ones.by_ref().zip(others.by_ref()) {
        let one = u64::from_le_bytes(one.try_into().expect("eight bytes"));
        let other = u64::from_le_bytes(other.try_into().expect("eight bytes"));
        let differing = one ^ other;
        if differing != 0 {
            return length + differing.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let rest = ones.remainder().iter().zip(others.remainder());
    length + rest.take_while(|(one, other)| one == other).count()
}
