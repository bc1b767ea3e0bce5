//! SHA-1 (FIPS 180-4 §6.1), for `Sec-WebSocket-Accept` alone.
//!
//! RFC 6455 §10.8: the handshake needs no property of SHA-1 that its known collisions break. It
//! proves that the server understood the request, and keeps no secret.

const BLOCK_BYTES: usize = 64;

/// The digest of `message`.
pub(crate) fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
    let mut blocks = message.chunks_exact(BLOCK_BYTES);
    for block in &mut blocks {
        compress(&mut state, block);
    }

    // §5.1.1 padding: a one bit, zeroes, then the length in bits as 64 bits, big-endian, at the end
    // of a block.
    let rest = blocks.remainder();
    let mut padded = [0; 2 * BLOCK_BYTES];
    padded[..rest.len()].copy_from_slice(rest);
    padded[rest.len()] = 0x80;
    let end = if rest.len() + 1 + 8 <= BLOCK_BYTES {
        BLOCK_BYTES
    } else {
        2 * BLOCK_BYTES
    };
    let length_bits = (message.len() as u64).wrapping_mul(8);
    padded[end - 8..end].copy_from_slice(&length_bits.to_be_bytes());
    for block in padded[..end].chunks_exact(BLOCK_BYTES) {
        compress(&mut state, block);
    }

    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

// §6.1.2, steps 1 to 4, for one block of 64 bytes.
fn compress(state: &mut [u32; 5], block: &[u8]) {
    // A round looks at only the 16 words of the schedule before its own.
    let mut schedule = [0u32; 16];
    for (word, bytes) in schedule.iter_mut().zip(block.chunks_exact(4)) {
        *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }

    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for t in 0..80 {
        let word = schedule[t % 16];
        let mixed =
            schedule[(t + 13) % 16] ^ schedule[(t + 8) % 16] ^ schedule[(t + 2) % 16] ^ word;
        schedule[t % 16] = mixed.rotate_left(1);
        // §4.1.1 and §4.2.1: the function and the constant of each 20 rounds.
        let (f, k) = match t {
            0..20 => ((b & c) | (!b & d), 0x5a827999),
            20..40 => (b ^ c ^ d, 0x6ed9eba1),
            40..60 => ((b & c) | (b & d) | (c & d), 0x8f1bbcdc),
            _ => (b ^ c ^ d, 0xca62c1d6),
        };
        let next = a
            .rotate_left(5)
            .wrapping_add(f)
            .wrapping_add(e)
            .wrapping_add(k)
            .wrapping_add(word);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    for (sum, word) in state.iter_mut().zip([a, b, c, d, e]) {
        *sum = sum.wrapping_add(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &[u8], digest: &str) {
        let hex: String = sha1(message)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, digest);
    }

    #[test]
    fn fips_180_vectors() {
        check(b"", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        check(b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
        check(
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
        );
        check(
            &[b'a'; 1_000_000],
            "34aa973cd4c4daa4f61eeb2bdbad27316534016f",
        );
    }

    #[test]
    fn padding_around_a_block() {
        check(&[b'a'; 55], "c1c8bbdc22796e28c0e15163d20899b65621d65a");
        check(&[b'a'; 56], "c2db330f6083854c99d4b5bfb6e8f29f201be699");
        check(&[b'a'; 57], "f08f24908d682555111be7ff6f004e78283d989a");
        check(&[b'a'; 63], "03f09f5b158a7a8cdad920bddc29b81c18a551f5");
        check(&[b'a'; 64], "0098ba824b5c16427bd7a1122a5a442a25ec644d");
        check(&[b'a'; 65], "11655326c708d70319be2610e8a57d9a5b959d3b");
        check(&[b'a'; 119], "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56");
        check(&[b'a'; 120], "f34c1488385346a55709ba056ddd08280dd4c6d6");
        check(&[b'a'; 127], "89d95fa32ed44a7c610b7ee38517ddf57e0bb975");
        check(&[b'a'; 128], "ad5b3fdbcb526778c2839d2f151ea753995e26a0");
    }
}
