//! Code lengths from the count of each symbol (RFC 1951 §3.2.2): Huffman's, with an upper limit.

use super::format::{LITLEN_SYMBOLS, MAX_CODE_BITS};

/// The lengths of the shortest code for these counts. No length is over `most_bits`; a symbol that
/// does not occur gets 0.
///
/// A code has at least two symbols, so that every decoder accepts it.
pub(super) fn code_lengths(counts: &[u32], most_bits: usize, lengths: &mut [u8]) {
    // Each leaf holds a count and its symbol in one number, so that they can be sorted.
    let mut leaves = [0u32; LITLEN_SYMBOLS];
    let mut used = 0;
    for (symbol, &count) in counts.iter().enumerate() {
        lengths[symbol] = 0;
        if count > 0 {
            leaves[used] = count << 9 | symbol as u32;
            used += 1;
        }
    }
    if used < 2 {
        let only = leaves[0] & 511;
        lengths[usize::from(only == 0)] = 1;
        lengths[only as usize] = 1;
        return;
    }
    let leaves = &mut leaves[..used];
    leaves.sort_unstable();
    let mut weights = [0u32; LITLEN_SYMBOLS];
    for (weight, leaf) in weights.iter_mut().zip(leaves.iter()) {
        *weight = leaf >> 9;
    }
    depths(&mut weights[..used]);

    let mut of_length = [0u32; MAX_CODE_BITS + 1];
    for &depth in &weights[..used] {
        of_length[(depth as usize).min(most_bits)] += 1;
    }
    shorten(&mut of_length, most_bits);
    // The rarest symbols, which come first, get the longest codes.
    let mut leaves = leaves.iter();
    for bits in (1..=most_bits).rev() {
        for leaf in leaves.by_ref().take(of_length[bits] as usize) {
            lengths[(leaf & 511) as usize] = bits as u8;
        }
    }
}

/// Replaces each weight by its depth in Huffman's tree (Moffat and Katajainen, In-Place Calculation
/// of Minimum-Redundancy Codes, 1995). The weights must be in ascending order.
fn depths(weights: &mut [u32]) {
    let n = weights.len();
    // The weights of inner nodes, and later their parents, replace leaves that are used up.
    weights[0] += weights[1];
    let (mut root, mut leaf) = (0, 2);
    for next in 1..n - 1 {
        for nth in 0..2 {
            let is_inner = leaf >= n || (root < next && weights[root] < weights[leaf]);
            let weight = if is_inner {
                let weight = weights[root];
                weights[root] = next as u32;
                root += 1;
                weight
            } else {
                leaf += 1;
                weights[leaf - 1]
            };
            weights[next] = if nth == 0 {
                weight
            } else {
                weights[next] + weight
            };
        }
    }
    // Turns the parents of inner nodes into their depths.
    weights[n - 2] = 0;
    for next in (0..n - 2).rev() {
        weights[next] = weights[weights[next] as usize] + 1;
    }
    // Then the depths of leaves: at each depth, all nodes that are not inner nodes are leaves.
    let (mut available, mut depth) = (1, 0);
    let (mut inner, mut next) = (n - 1, n);
    while available > 0 {
        let mut used = 0;
        while inner > 0 && weights[inner - 1] == depth {
            used += 1;
            inner -= 1;
        }
        for _ in used..available {
            next -= 1;
            weights[next] = depth;
        }
        available = 2 * used;
        depth += 1;
    }
}

/// Makes the code valid after its lengths were cut to `most_bits`: for each code too many, one
/// shorter code becomes two that are longer.
fn shorten(of_length: &mut [u32; MAX_CODE_BITS + 1], most_bits: usize) {
    let mut space: u32 = (1..=most_bits)
        .map(|bits| of_length[bits] << (most_bits - bits))
        .sum();
    while space > 1 << most_bits {
        of_length[most_bits] -= 1;
        let longest = (1..most_bits).rev().find(|&bits| of_length[bits] > 0);
        let longest = longest.expect("fewer symbols than codes of the greatest length");
        of_length[longest] -= 1;
        of_length[longest + 1] += 2;
        space -= 1;
    }
}

/// The codes that belong to these lengths (§3.2.2), first bit lowest, as they are written.
pub(super) fn codes(lengths: &[u8], codes: &mut [u16]) {
    let mut next = [0u32; MAX_CODE_BITS + 2];
    let mut of_length = [0u32; MAX_CODE_BITS + 1];
    for &length in lengths {
        of_length[usize::from(length)] += 1;
    }
    of_length[0] = 0;
    for bits in 1..=MAX_CODE_BITS {
        next[bits + 1] = (next[bits] + of_length[bits]) << 1;
    }
    for (code, &length) in codes.iter_mut().zip(lengths) {
        if length > 0 {
            let place = &mut next[usize::from(length)];
            *code = (*place as u16).reverse_bits() >> (16 - length);
            *place += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(counts: &[u32], most_bits: usize) -> Vec<u8> {
        let mut lengths = vec![99; counts.len()];
        code_lengths(counts, most_bits, &mut lengths);
        lengths
    }

    /// The space that the code uses, in units of its longest code. It must use all of the space,
    /// and no more.
    fn space(lengths: &[u8]) -> u32 {
        let used = lengths.iter().filter(|&&length| length > 0);
        used.map(|length| 1 << (15 - length)).sum()
    }

    #[test]
    fn the_rarer_the_longer() {
        assert_eq!(lengths(&[5, 1, 0, 2, 9], 15), [2, 3, 0, 3, 1]);
        assert_eq!(lengths(&[1, 1, 1, 1], 15), [2, 2, 2, 2]);
        assert_eq!(lengths(&[0, 0, 7], 15), [1, 0, 1]);
        assert_eq!(lengths(&[7, 0, 0], 15), [1, 1, 0]);
        assert_eq!(lengths(&[0, 0, 0], 15), [1, 1, 0]);
    }

    #[test]
    fn no_code_is_longer_than_it_may_be() {
        // Fibonacci numbers as counts make the deepest tree.
        let mut counts = vec![1, 1];
        while counts.len() < 30 {
            counts.push(counts[counts.len() - 1] + counts[counts.len() - 2]);
        }
        assert_eq!(lengths(&counts[..16], 15).iter().max(), Some(&15));
        for (count, most_bits) in [(16, 7), (19, 7), (30, 15), (30, 8)] {
            let lengths = lengths(&counts[..count], most_bits);
            assert!(
                lengths
                    .iter()
                    .all(|&length| (1..=most_bits as u8).contains(&length))
            );
            assert_eq!(space(&lengths), 1 << 15);
            assert!(lengths.is_sorted_by(|a, b| a >= b));
        }
    }

    #[test]
    fn rfc1951_3_2_2_example() {
        let lengths = [3, 3, 3, 3, 3, 2, 4, 4];
        let mut got = [0; 8];
        codes(&lengths, &mut got);
        let expected = ["010", "011", "100", "101", "110", "00", "1110", "1111"];
        for ((code, length), expected) in got.iter().zip(lengths).zip(expected) {
            let bits: String = (0..length)
                .map(|bit| if code >> bit & 1 == 1 { '1' } else { '0' })
                .collect();
            assert_eq!(bits, expected);
        }
    }
}
