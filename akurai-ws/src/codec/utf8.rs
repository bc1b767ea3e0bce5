//! UTF-8 that arrives in pieces (RFC 3629 §4; RFC 6455 §8.1).

/// Turns pieces of UTF-8 into a `String`. It refuses the first byte that cannot be part of valid
/// text, however little of the text has come. RFC 6455 §8.1 asks for failing, not for when; a peer
/// that withholds the rest learns of it at once.
///
/// Each byte is checked once. Only a code point whose last bytes are still to come is kept: at most
/// three bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decoder {
    pending: [u8; 4],
    pending_len: usize,
}

/// The bytes are not UTF-8.
#[derive(Debug, PartialEq)]
pub(crate) struct NotUtf8;

impl Decoder {
    /// Appends to `text` what `bytes` completes.
    pub(crate) fn push(&mut self, bytes: &[u8], text: &mut String) -> Result<(), NotUtf8> {
        self.decode(bytes, |valid| text.push_str(valid))
    }

    /// Checks the bytes without keeping them as text.
    pub(crate) fn check(&mut self, bytes: &[u8]) -> Result<(), NotUtf8> {
        self.decode(bytes, |_| ())
    }

    fn decode(&mut self, bytes: &[u8], mut found: impl FnMut(&str)) -> Result<(), NotUtf8> {
        let bytes = self.finish_code_point(bytes, &mut found)?;
        let error = match std::str::from_utf8(bytes) {
            Ok(valid) => {
                found(valid);
                return Ok(());
            }
            Err(error) => error,
        };
        // A length says that these bytes are wrong. Without one, they only end too early.
        if error.error_len().is_some() {
            return Err(NotUtf8);
        }
        let (valid, begun) = bytes.split_at(error.valid_up_to());
        found(std::str::from_utf8(valid).map_err(|_| NotUtf8)?);
        self.pending[..begun.len()].copy_from_slice(begun);
        self.pending_len = begun.len();
        Ok(())
    }

    /// Whether the text so far ends with a whole code point.
    pub(crate) fn is_complete(&self) -> bool {
        self.pending_len == 0
    }

    // Completes the code point that the piece before began, and returns the bytes behind it.
    fn finish_code_point<'b>(
        &mut self,
        bytes: &'b [u8],
        mut found: impl FnMut(&str),
    ) -> Result<&'b [u8], NotUtf8> {
        let mut rest = bytes;
        while self.pending_len > 0 {
            let Some((&byte, behind)) = rest.split_first() else {
                break;
            };
            rest = behind;
            // A code point has at most four bytes, and the fourth completes or breaks it.
            self.pending[self.pending_len] = byte;
            self.pending_len += 1;
            match std::str::from_utf8(&self.pending[..self.pending_len]) {
                Ok(code_point) => {
                    found(code_point);
                    self.pending_len = 0;
                }
                Err(error) if error.error_len().is_some() => return Err(NotUtf8),
                Err(_) => {}
            }
        }
        Ok(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::random::Random;

    fn decode(pieces: &[&[u8]]) -> Result<(String, bool), NotUtf8> {
        let (mut decoder, mut text) = (Decoder::default(), String::new());
        for piece in pieces {
            decoder.push(piece, &mut text)?;
        }
        Ok((text, decoder.is_complete()))
    }

    #[track_caller]
    fn check_refused_at(bytes: &[u8], at: usize) {
        let (before, wrong) = bytes[..=at].split_at(at);
        assert!(decode(&[before]).is_ok(), "{:x?} refused too early", bytes);
        assert!(decode(&[before, wrong]).is_err(), "{:x?} in two", bytes);
        assert!(decode(&[bytes]).is_err(), "{:x?} whole", bytes);
        let single: Vec<&[u8]> = bytes[..=at].chunks(1).collect();
        assert!(decode(&single).is_err(), "{:x?} byte by byte", bytes);
        assert!(
            decode(&single[..at]).is_ok(),
            "{:x?} byte by byte, too early",
            bytes
        );
    }

    #[test]
    fn case_13_refused_at_the_earliest_byte() {
        check_refused_at(b"\xc0\xaf", 0);
        check_refused_at(b"\xc1\xbf", 0);
        check_refused_at(b"\x80", 0);
        check_refused_at(b"\xbf", 0);
        check_refused_at(b"\xf5\x80\x80\x80", 0);
        check_refused_at(b"\xfe", 0);
        check_refused_at(b"\xff", 0);
        check_refused_at(b"\xe0\x9f\xbf", 1);
        check_refused_at(b"\xed\xa0\x80", 1);
        check_refused_at(b"\xf0\x8f\xbf\xbf", 1);
        check_refused_at(b"\xf4\x90\x80\x80", 1);
        check_refused_at(b"\xe2(\xa1", 1);
        check_refused_at(b"\xe2\x82(", 2);
        check_refused_at(b"\xf0\x9f\x98(", 3);
        check_refused_at(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90", 12);
    }

    #[test]
    fn case_13_cut_off() {
        for cut in [&b"\xc3"[..], b"\xe2\x82", b"\xf0\x9f\x98", b"ok \xe2"] {
            let (_, is_complete) = decode(&[cut]).unwrap();
            assert!(!is_complete, "{cut:x?}");
        }
    }

    #[test]
    fn boundaries_of_the_scalar_values() {
        let text = "\0\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}";
        let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(decode(&single), Ok((text.to_owned(), true)));
        assert_eq!(decode(&[text.as_bytes()]), Ok((text.to_owned(), true)));
    }

    #[test]
    fn property_same_as_std() {
        let alphabet = [
            "a",
            "z",
            "\u{e9}",
            "\u{7ff}",
            "\u{20ac}",
            "\u{d7ff}",
            "\u{ffff}",
            "\u{1f600}",
        ];
        for seed in 1..=3000 {
            let mut random = Random::new(seed);
            let mut bytes = Vec::new();
            for _ in 0..random.below(40) {
                bytes.extend_from_slice(alphabet[random.below(alphabet.len())].as_bytes());
            }
            for _ in 0..random.below(3) {
                if !bytes.is_empty() {
                    let at = random.below(bytes.len());
                    bytes[at] = random.below(256) as u8;
                }
            }
            let expected = std::str::from_utf8(&bytes);
            let decoded = decode(&random.cuts(&bytes));
            let decoded = decoded.ok().filter(|(_, is_complete)| *is_complete);
            assert_eq!(
                decoded.map(|(text, _)| text).as_deref(),
                expected.ok(),
                "seed {seed}"
            );
        }
    }
}
