//! Base64 (RFC 4648 §4): the accept value is encoded in it, and the client's key must be 16 bytes
//! in it.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `bytes` in base64, padded.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut octets = [0; 4];
        octets[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(octets);
        for place in 0..4 {
            let sextet = (bits >> (18 - 6 * place)) & 0x3f;
            let padding = place > group.len();
            text.push(if padding {
                '='
            } else {
                char::from(ALPHABET[sextet as usize])
            });
        }
    }
    text
}

/// Whether `text` is 16 bytes in base64: 22 letters of the alphabet and `==`. The last four bits,
/// which no byte uses, may be anything (RFC 4648 §3.5): the example of RFC 6455 §4.1 has some set.
pub(crate) fn is_16_bytes(text: &[u8]) -> bool {
    let Some(letters) = text.strip_suffix(b"==") else {
        return false;
    };
    letters.len() == 22 && letters.iter().all(|letter| ALPHABET.contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc4648_10_vectors() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
        }
        assert_eq!(encode(&[0xfb, 0xff, 0xbf]), "+/+/");
    }

    #[track_caller]
    fn check(text: &[u8], is_key: bool) {
        assert_eq!(is_16_bytes(text), is_key, "{}", text.escape_ascii());
    }

    #[test]
    fn sixteen_bytes_whatever_the_unused_bits() {
        check(b"dGhlIHNhbXBsZSBub25jZQ==", true);
        check(b"AAAAAAAAAAAAAAAAAAAAAA==", true);
        check(b"+/+/+/+/+/+/+/+/+/+/+w==", true);
        check(b"", false);
        check(b"==", false);
        for last in b"QRSTUVWXYZabcdef" {
            check(
                &[b"dGhlIHNhbXBsZSBub25jZ", &[*last][..], b"=="].concat(),
                true,
            );
        }
        check(b"AQIDBAUGBwgJCgsMDQ4PEC==", true); // RFC 6455 §4.1
        check(b"dGhlIHNhbXBsZSBub25jZQ=", false);
        check(b"dGhlIHNhbXBsZSBub25jZQ", false);
        check(b"dGhlIHNhbXBsZSBub25j", false); // 15 bytes
        check(b"dGhlIHNhbXBsZSBub25jZWE=", false); // 17 bytes
        check(b"dGhlIHNhbXBsZSBub25jZQ===", false);
        check(b"dGhlIHNhbXBsZSBub25jZQ==A", false); // trailing
        check(b"dGhlIHNhbXBsZSBub2-_ZQ==", false); // the URL alphabet
        check(b"dGhlIHNhbXBsZSBub2 jZQ==", false);
        check(b"dGhlIHNhbXBs=SBub25jZQ==", false);
        for bytes in [[0; 16], [255; 16], *b"the sample nonce"] {
            check(encode(&bytes).as_bytes(), true);
        }
    }
}
