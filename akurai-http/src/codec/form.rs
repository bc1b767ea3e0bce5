//! `application/x-www-form-urlencoded`, of a query or a body (WHATWG URL §5.1).

/// The pairs of `input` in order. Empty sequences are skipped. U+FFFD replaces bytes that are not
/// UTF-8.
pub(crate) fn pairs(input: &[u8]) -> impl Iterator<Item = (String, String)> {
    byte_pairs(input).map(|(name, value)| (text(name), text(value)))
}

/// The pairs of `input` in order, as bytes.
pub(crate) fn byte_pairs(input: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let sequences = input.split(|&byte| byte == b'&');
    sequences
        .filter(|sequence| !sequence.is_empty())
        .map(|sequence| {
            let equals = sequence.iter().position(|&byte| byte == b'=');
            let (name, value) = match equals {
                Some(at) => (&sequence[..at], &sequence[at + 1..]),
                None => (sequence, &b""[..]),
            };
            (decode(name), decode(value))
        })
}

/// `+` becomes a space and `%XX` a byte; a `%` without two hex digits stays as it is.
fn decode(encoded: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [first, after @ ..] = rest {
        rest = after;
        decoded.push(match (first, percent_encoded(after)) {
            (b'+', _) => b' ',
            (b'%', Some((byte, after))) => {
                rest = after;
                byte
            }
            (&byte, _) => byte,
        });
    }
    decoded
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The byte of the two hex digits with which `input` begins, and the rest of the input.
fn percent_encoded(input: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = input else {
        return None;
    };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let byte = u8::try_from(digit(high)? << 4 | digit(low)?).expect("two hex digits are a byte");
    Some((byte, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &[u8], expected: &[(&str, &str)]) {
        let got: Vec<_> = pairs(input).collect();
        let got: Vec<_> = got.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(got, expected, "{}", String::from_utf8_lossy(input));
    }

    #[test]
    fn whatwg_url_5_1_pairs() {
        check(b"", &[]);
        check(b"&&&", &[]);
        check(b"a=b", &[("a", "b")]);
        check(b"&a=b&&c=d&", &[("a", "b"), ("c", "d")]);
        check(b"b=1&a=2&b=3", &[("b", "1"), ("a", "2"), ("b", "3")]);
        check(b"a", &[("a", "")]);
        check(b"a=", &[("a", "")]);
        check(b"=b", &[("", "b")]);
        check(b"=", &[("", "")]);
        check(b"a=b=c", &[("a", "b=c")]);
        // A semicolon no longer separates pairs.
        check(b"a=b;c=d", &[("a", "b;c=d")]);
    }

    #[test]
    fn whatwg_url_5_1_decoding_is_done_once() {
        check(b"a+b=c+d", &[("a b", "c d")]);
        check(b"a%2Bb=%2b", &[("a+b", "+")]);
        check(b"a%3Db=%26", &[("a=b", "&")]);
        check(b"a=%2541", &[("a", "%41")]);
        check(b"a=%00", &[("a", "\0")]);
        for cut in ["%", "%4", "%zz", "%4z", "%+4", "%-1"] {
            let value = cut.replace('+', " ");
            check(format!("a={cut}").as_bytes(), &[("a", &value)]);
        }
        check(b"a=%2%41", &[("a", "%2A")]);
        check(b"a=%%41", &[("a", "%A")]);
    }

    #[test]
    fn whatwg_url_5_1_utf8_without_bom() {
        check("ä=%C3%A4".as_bytes(), &[("ä", "ä")]);
        check(b"a=%FF", &[("a", "\u{fffd}")]);
        check(b"a=\xff", &[("a", "\u{fffd}")]);
        // An incomplete sequence becomes one U+FFFD; so does each byte that begins no sequence.
        check(b"a=%E2%82x", &[("a", "\u{fffd}x")]);
        check(b"a=%C0%AF", &[("a", "\u{fffd}\u{fffd}")]);
        check(b"a=%EF%BB%BF", &[("a", "\u{feff}")]);
    }
}
