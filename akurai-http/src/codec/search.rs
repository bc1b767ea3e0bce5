//! Finding one byte among many.

/// The position of the first `wanted` in `bytes`. It compares eight bytes at a time.
pub(crate) fn find_byte(wanted: u8, bytes: &[u8]) -> Option<usize> {
    const LOW: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let pattern = u64::from_le_bytes([wanted; 8]);
    let mut words = bytes.chunks_exact(8);
    let mut at = 0;
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of eight")) ^ pattern;
        // The lowest byte with its high bit set here was zero before: there stands `wanted`.
        let zeros = word.wrapping_sub(LOW) & !word & HIGH;
        if zeros != 0 {
            return Some(at + zeros.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let tail = words.remainder();
    tail.iter().position(|&byte| byte == wanted).map(|n| at + n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_is_found_wherever_it_stands() {
        for wanted in [0, b'\r', 0x7f, 0x80, 0xff] {
            // The arithmetic could confuse `wanted` with values that differ in one bit or by one.
            for other in [
                wanted ^ 1,
                wanted ^ 0x80,
                wanted.wrapping_add(1),
                wanted.wrapping_sub(1),
            ] {
                for len in 0..40 {
                    let mut bytes = vec![other; len];
                    assert_eq!(find_byte(wanted, &bytes), None);
                    for at in (0..len).rev() {
                        bytes[at] = wanted;
                        assert_eq!(find_byte(wanted, &bytes), Some(at), "{wanted} in {bytes:?}");
                    }
                }
            }
        }
    }
}
