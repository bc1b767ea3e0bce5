//! A comparison whose time does not tell where two secrets differ.

use std::hint::black_box;

/// Whether two secrets are equal, in a time that does not depend on where they differ.
///
/// `==` stops at the first byte that differs. By measuring many answers, a client could find a
/// secret byte by byte. This function looks at all bytes. Use it for tokens, keys and codes. It
/// does not hide whether the lengths are equal, so compare secrets of a known length.
///
/// No function in safe Rust can promise more: the compiler may change any code that keeps its
/// result. [`black_box`] keeps today's compiler from stopping early, on a best-effort basis, and a
/// processor may have timings of its own.
///
/// For passwords this is not enough: store them as a slow, salted hash (Argon2, scrypt or bcrypt
/// from a crate), and compare as that crate says.
///
/// ```
/// use akurai_http::constant_time_eq;
///
/// assert!(constant_time_eq("31d4d96e", "31d4d96e"));
/// assert!(!constant_time_eq("31d4d96e", "31d4d96f"));
/// assert!(!constant_time_eq("31d4d96e", "31d4d96"));
/// ```
pub fn constant_time_eq(a: impl AsRef<[u8]>, b: impl AsRef<[u8]>) -> bool {
    let (a, b) = (a.as_ref(), b.as_ref());
    if a.len() != b.len() {
        return false;
    }
    let differing = |bits, (a, b): (&u8, &u8)| black_box(bits | (a ^ b));
    black_box(a.iter().zip(b).fold(0, differing)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_differing_bit_is_seen_at_each_place() {
        for length in [1, 2, 31, 32, 33, 100] {
            let secret = vec![0x5a; length];
            assert!(constant_time_eq(&secret, secret.clone()));
            for place in 0..length {
                for bit in 0..8 {
                    let mut other = secret.clone();
                    other[place] ^= 1 << bit;
                    assert!(!constant_time_eq(&secret, &other), "{place} {bit}");
                }
            }
        }
    }

    #[test]
    fn differences_do_not_cancel_and_lengths_count() {
        assert!(!constant_time_eq([1, 1], [2, 2]));
        assert!(!constant_time_eq([0, 1], [1, 0]));
        assert!(!constant_time_eq("a", ""));
        assert!(!constant_time_eq("", "a"));
        assert!(!constant_time_eq("ab", "ab\0"));
        assert!(constant_time_eq("", ""));
    }
}
