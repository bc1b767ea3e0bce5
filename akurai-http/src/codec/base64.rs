//! Base64 (RFC 4648 §4), and its form for addresses and cookies, without padding (§5).

use Base64::{Padded, Url};

/// Which of the two: the 64 characters, and whether `=` fills the last group of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base64 {
    /// With `+` and `/`, padded.
    Padded,
    /// With `-` and `_`, not padded.
    Url,
}

/// `bytes` in the form for addresses.
pub(crate) fn encode_url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut octets = [0; 4];
        octets[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(octets);
        for place in 0..=group.len() {
            let sextet = (bits >> (18 - 6 * place)) & 0x3f;
            text.push(char::from(URL[sextet as usize]));
        }
    }
    text
}

const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The bytes of `text`. `None` if there is another text for the same bytes: a character of the
/// other form, padding that is missing or too much, white space, or unused bits that are not
/// zero (§3.5).
pub(crate) fn decode(text: &[u8], form: Base64) -> Option<Vec<u8>> {
    let letters = match form {
        Padded if text.len() % 4 != 0 => return None,
        // So what is stripped is just what the letters lack.
        Padded => text
            .strip_suffix(b"==")
            .or_else(|| text.strip_suffix(b"="))
            .unwrap_or(text),
        Url => text,
    };
    let mut bytes = Vec::with_capacity(letters.len() / 4 * 3 + 2);
    for group in letters.chunks(4) {
        let mut bits = 0u32;
        for &letter in group {
            bits = bits << 6 | u32::from(sextet(letter, form)?);
        }
        let unused = match group.len() {
            4 => 0,
            3 => 2,
            2 => 4,
            _ => return None,
        };
        if bits & ((1 << unused) - 1) != 0 {
            return None;
        }
        let octets = (bits >> unused).to_be_bytes();
        bytes.extend_from_slice(&octets[5 - group.len()..]);
    }
    Some(bytes)
}

fn sextet(letter: u8, form: Base64) -> Option<u8> {
    match (letter, form) {
        (b'A'..=b'Z', _) => Some(letter - b'A'),
        (b'a'..=b'z', _) => Some(letter - b'a' + 26),
        (b'0'..=b'9', _) => Some(letter - b'0' + 52),
        (b'+', Padded) | (b'-', Url) => Some(62),
        (b'/', Padded) | (b'_', Url) => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc4648_10_vectors() {
        for (bytes, padded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let bare = padded.trim_end_matches('=');
            assert_eq!(encode_url(bytes.as_bytes()), bare);
            let decoded = decode(padded.as_bytes(), Padded);
            assert_eq!(decoded.as_deref(), Some(bytes.as_bytes()), "{padded}");
            let decoded = decode(bare.as_bytes(), Url);
            assert_eq!(decoded.as_deref(), Some(bytes.as_bytes()), "{bare}");
        }
        let bytes = [0xfb, 0xff, 0xbf];
        assert_eq!(encode_url(&bytes), "-_-_");
        assert_eq!(decode(b"-_-_", Url), Some(bytes.to_vec()));
        assert_eq!(decode(b"+/+/", Padded), Some(bytes.to_vec()));
    }

    #[test]
    fn each_length_and_byte_comes_back() {
        let bytes: Vec<u8> = (0..=255).rev().collect();
        for length in 0..=bytes.len() {
            let text = encode_url(&bytes[..length]);
            assert_eq!(decode(text.as_bytes(), Url), Some(bytes[..length].to_vec()));
        }
    }

    #[track_caller]
    fn check_refused(form: Base64, texts: &[&[u8]]) {
        for text in texts {
            assert_eq!(decode(text, form), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn each_value_has_one_text() {
        check_refused(
            Padded,
            &[
                b"Zg",
                b"Zg=",
                b"Zg===",
                b"Zh==",
                b"Zm9=",
                b"Zm9",
                b"Zm9v=",
                b"Zm9v====",
                b"Z",
                b"Z===",
                b"=",
                b"==",
                b"====",
                b"Zg==Zg==",
                b"Zm=v",
                b"Zm9v\n",
                b" Zm9v",
                b"Zm 9",
                b"-_-_",
                b"\xc3\xa9==",
                b"Zg\0=",
            ],
        );
        check_refused(
            Url,
            &[
                b"Z",
                b"Zg==",
                b"Zh",
                b"Zm9",
                b"Zm9vY",
                b"+/+/",
                b"Zm9v.",
                b"Zm9v\n",
                b"=",
                b"Zg\0",
                b"\xff\xff",
            ],
        );
    }
}
