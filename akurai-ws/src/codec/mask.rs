//! Unmasking (RFC 6455 §5.3).

/// Removes the mask from `payload` in place. `offset` says how many bytes of the frame's payload
/// came before it.
///
/// ```text
/// j                   = i MOD 4
/// transformed-octet-i = original-octet-i XOR masking-key-octet-j
/// ```
pub(crate) fn unmask(payload: &mut [u8], masking_key: [u8; 4], offset: u64) {
    // The next byte of the key is the lowest one.
    let key = u32::from_le_bytes(masking_key).rotate_right(8 * (offset % 4) as u32);
    // Eight bytes a step: the key twice. The compiler makes wider steps of it.
    let two_turns = u64::from(key) << 32 | u64::from(key);
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        let masked = u64::from_le_bytes((&*word).try_into().expect("a chunk has eight bytes"));
        word.copy_from_slice(&(masked ^ two_turns).to_le_bytes());
    }
    for (byte, key) in words
        .into_remainder()
        .iter_mut()
        .zip(two_turns.to_le_bytes())
    {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn naive(payload: &[u8], offset: usize) -> Vec<u8> {
        let masked = payload.iter().enumerate();
        masked
            .map(|(i, byte)| byte ^ KEY[(i + offset) % 4])
            .collect()
    }

    fn sample(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 167 + 13) as u8).collect()
    }

    #[test]
    fn property_same_as_the_naive_loop() {
        for len in 0..=100 {
            for offset in 0..8 {
                let mut payload = sample(len);
                let expected = naive(&payload, offset);
                unmask(&mut payload, KEY, offset as u64);
                assert_eq!(payload, expected, "length {len}, offset {offset}");
            }
        }
    }

    #[test]
    fn property_same_at_every_cut() {
        for cut in 0..=100 {
            let mut payload = sample(100);
            let expected = naive(&payload, 0);
            let (head, tail) = payload.split_at_mut(cut);
            unmask(head, KEY, 0);
            unmask(tail, KEY, cut as u64);
            assert_eq!(payload, expected, "cut at {cut}");
        }
    }

    #[test]
    fn rfc6455_5_7_hello() {
        let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        unmask(&mut payload, KEY, 0);
        assert_eq!(&payload, b"Hello");
    }

    #[test]
    fn an_offset_beyond_32_bits() {
        let mut payload = *b"abc";
        unmask(&mut payload, KEY, (1 << 40) + 3);
        assert_eq!(payload.to_vec(), naive(b"abc", 3));
    }
}
