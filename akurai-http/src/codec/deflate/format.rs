//! The constants of the format that both directions need (RFC 1951 §3.2.5–3.2.7).

/// Longest distance of a reference, in bytes (§3.2.5).
pub(super) const WINDOW_BYTES: usize = 32 * 1024;
pub(super) const MIN_MATCH: usize = 3;
pub(super) const MAX_MATCH: usize = 258;

/// Symbols that the literal/length code, and the distance code, may have.
pub(super) const LITLEN_SYMBOLS: usize = 288;
pub(super) const DISTANCE_SYMBOLS: usize = 32;
/// How many of these symbols have a meaning.
pub(super) const LITLEN_USED: usize = 286;
pub(super) const DISTANCE_USED: usize = 30;
/// Symbols of the precode, the code in which the lengths of the other two codes are written.
pub(super) const PRECODE_SYMBOLS: usize = 19;

pub(super) const END_OF_BLOCK: usize = 256;

pub(super) const MAX_CODE_BITS: usize = 15;
pub(super) const MAX_PRECODE_BITS: usize = 7;

/// Block types (§3.2.3).
pub(super) const STORED: u64 = 0;
pub(super) const FIXED: u64 = 1;
pub(super) const DYNAMIC: u64 = 2;

/// Longest stored block, in bytes (§3.2.4).
pub(super) const STORED_MAX_BYTES: usize = 65_535;

/// The order in which the lengths of the precode are written (§3.2.7).
pub(super) const PRECODE_ORDER: [usize; PRECODE_SYMBOLS] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// The shortest length of each symbol from 257 on, and the number of extra bits that are added to
/// it (§3.2.5).
pub(super) const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// The shortest distance of each symbol, and the number of its extra bits.
pub(super) const DISTANCES: [(u16, u8); DISTANCE_USED] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

/// The code lengths of the fixed literal/length code (§3.2.6). In the fixed distance code, all
/// lengths are 5.
pub(super) const fn fixed_litlen_bits() -> [u8; LITLEN_SYMBOLS] {
    let mut bits = [8; LITLEN_SYMBOLS];
    let mut symbol = 144;
    while symbol < LITLEN_SYMBOLS {
        bits[symbol] = match symbol {
            144..=255 => 9,
            256..=279 => 7,
            _ => 8,
        };
        symbol += 1;
    }
    bits
}

pub(super) const FIXED_LITLEN_MOST_BITS: usize = 9;

pub(super) const FIXED_DISTANCE_BITS: [u8; DISTANCE_SYMBOLS] = [5; DISTANCE_SYMBOLS];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_distances_follow_without_a_gap() {
        for table in [&LENGTHS[..28], &DISTANCES[..]] {
            for pair in table.windows(2) {
                assert_eq!(pair[0].0 + (1 << pair[0].1), pair[1].0);
            }
        }
        // 258 has its own symbol, although the symbol before it reaches that far.
        assert_eq!(LENGTHS[27], (227, 5));
        assert_eq!(usize::from(DISTANCES[29].0) + (1 << 13) - 1, WINDOW_BYTES);
    }
}
