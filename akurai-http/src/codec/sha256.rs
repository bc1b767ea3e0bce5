//! SHA-256 (FIPS 180-4 §6.2), and HMAC with it (RFC 2104).

const BLOCK_BYTES: usize = 64;

/// The length of a digest and of an HMAC, in bytes.
pub(crate) const DIGEST_BYTES: usize = 32;

/// SHA-256 of a message that comes in parts.
#[derive(Clone)]
pub(crate) struct Sha256 {
    state: [u32; 8],
    /// The last bytes of the message, which fill no block yet.
    block: [u8; BLOCK_BYTES],
    block_bytes: usize,
    message_bytes: u64,
}

impl Sha256 {
    pub(crate) fn new() -> Sha256 {
        Sha256 {
            state: INITIAL,
            block: [0; BLOCK_BYTES],
            block_bytes: 0,
            message_bytes: 0,
        }
    }

    /// The message goes on with `part`.
    pub(crate) fn update(&mut self, mut part: &[u8]) {
        self.message_bytes = self.message_bytes.wrapping_add(part.len() as u64);
        if self.block_bytes > 0 {
            let taken = part.len().min(BLOCK_BYTES - self.block_bytes);
            self.block[self.block_bytes..self.block_bytes + taken].copy_from_slice(&part[..taken]);
            self.block_bytes += taken;
            part = &part[taken..];
            if self.block_bytes < BLOCK_BYTES {
                return;
            }
            compress(&mut self.state, &self.block);
        }
        let mut blocks = part.chunks_exact(BLOCK_BYTES);
        for block in &mut blocks {
            compress(&mut self.state, block);
        }
        let rest = blocks.remainder();
        self.block[..rest.len()].copy_from_slice(rest);
        self.block_bytes = rest.len();
    }

    /// The digest of the whole message.
    pub(crate) fn finish(mut self) -> [u8; DIGEST_BYTES] {
        // §5.1.1 padding: a one bit, zeroes, then the length in bits as 64 bits, big-endian, at the
        // end of a block.
        let length_bits = self.message_bytes.wrapping_mul(8);
        let used = self.block_bytes + 1;
        let zeroes = (2 * BLOCK_BYTES - 8 - used) % BLOCK_BYTES;
        let mut padding = [0; BLOCK_BYTES + 8];
        padding[0] = 0x80;
        padding[1 + zeroes..9 + zeroes].copy_from_slice(&length_bits.to_be_bytes());
        self.update(&padding[..9 + zeroes]);
        debug_assert_eq!(self.block_bytes, 0, "the padding ends a block");

        let mut digest = [0; DIGEST_BYTES];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }
}

// HMAC(K, text) = H((K XOR opad) || H((K XOR ipad) || text))            RFC 2104 §2
/// HMAC-SHA-256 of a message that comes in parts.
#[derive(Clone)]
pub(crate) struct HmacSha256 {
    inner: Sha256,
    outer: Sha256,
}

impl HmacSha256 {
    /// A key longer than a block, 64 bytes, counts as its digest.
    pub(crate) fn new(key: &[u8]) -> HmacSha256 {
        let mut block = [0; BLOCK_BYTES];
        if key.len() > BLOCK_BYTES {
            let mut hash = Sha256::new();
            hash.update(key);
            block[..DIGEST_BYTES].copy_from_slice(&hash.finish());
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let begun = |pad: u8| {
            let mut hash = Sha256::new();
            hash.update(&block.map(|byte| byte ^ pad));
            hash
        };
        HmacSha256 {
            inner: begun(0x36),
            outer: begun(0x5c),
        }
    }

    /// The message goes on with `part`.
    pub(crate) fn update(&mut self, part: &[u8]) {
        self.inner.update(part);
    }

    /// The code of the whole message.
    pub(crate) fn finish(mut self) -> [u8; DIGEST_BYTES] {
        self.outer.update(&self.inner.finish());
        self.outer.finish()
    }
}

// §6.2.2, steps 1 to 4, for one block of 64 bytes.
fn compress(state: &mut [u32; 8], block: &[u8]) {
    // A round looks at only the 16 words of the schedule before its own.
    let mut schedule = [0u32; 16];
    for (word, bytes) in schedule.iter_mut().zip(block.chunks_exact(4)) {
        *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }

    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (t, constant) in ROUNDS.into_iter().enumerate() {
        let word = schedule[t % 16];
        let temp1 = h
            .wrapping_add(e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25))
            .wrapping_add((e & f) ^ (!e & g))
            .wrapping_add(constant)
            .wrapping_add(word);
        let temp2 = (a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22))
            .wrapping_add((a & b) ^ (a & c) ^ (b & c));
        (h, g, f, e) = (g, f, e, d.wrapping_add(temp1));
        (d, c, b, a) = (c, b, a, temp1.wrapping_add(temp2));

        // The word of the round after the next 15.
        let (x, y) = (schedule[(t + 1) % 16], schedule[(t + 14) % 16]);
        schedule[t % 16] = word
            .wrapping_add(x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3))
            .wrapping_add(schedule[(t + 9) % 16])
            .wrapping_add(y.rotate_right(17) ^ y.rotate_right(19) ^ (y >> 10));
    }
    for (sum, word) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *sum = sum.wrapping_add(word);
    }
}

/// The fractional parts of the square roots of the first 8 primes (§5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// The fractional parts of the cube roots of the first 64 primes (§4.2.2).
const ROUNDS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

#[cfg(test)]
mod tests;
