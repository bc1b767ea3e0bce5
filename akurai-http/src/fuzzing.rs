//! The properties that the fuzzer in `tests/fuzz` checks on the codecs: each function takes bytes
//! and asserts properties.
//!
//! This module is not in a normal build, but unit tests run each property too. Most properties
//! compare a codec with a second reading of the same RFC, which is written plainly and may be slow.
//! Others compare a codec with itself, on the same bytes cut in other places, or on bytes that must
//! mean the same.

mod body;
mod credentials;
#[path = "../../tests/fuzz/cuts.rs"]
mod cuts;
mod deflate;
mod files;
mod head;
mod multipart;
mod proxies;
#[cfg(test)]
#[path = "../../tests/fuzz/seeded.rs"]
mod seeded;
mod values;

use crate::Headers;

use self::cuts::cuts;

pub use body::body;
pub use credentials::credentials;
pub use deflate::{deflate, inflate};
pub use files::{codings_and_names, conditions, ranges};
pub use head::head;
pub use multipart::multipart;
pub use proxies::forwarded;
pub use values::{cookie, path, query};

/// Headers with these fields; `None` if they are not valid fields.
fn headers(fields: &[(&str, &[u8])]) -> Option<Headers> {
    let mut headers = Headers::default();
    for (name, value) in fields {
        headers.append(name.as_bytes(), value).ok()?;
    }
    Some(headers)
}

// tchar, as RFC 9110 §5.6.2 lists it
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

// field-vchar, SP and HTAB of RFC 9110 §5.5
fn is_field_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

fn trim(bytes: &[u8]) -> &[u8] {
    let from = bytes.iter().position(|byte| !b" \t".contains(byte));
    let to = bytes.iter().rposition(|byte| !b" \t".contains(byte));
    from.zip(to).map_or(b"", |(from, to)| &bytes[from..=to])
}

fn find(wanted: &[u8], bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// A field line without its CRLF, as RFC 9112 §5 has it: name and value.
fn field_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let is_name = !name.is_empty() && name.iter().all(|&byte| is_tchar(byte));
    let is_value = value.iter().all(|&byte| is_field_byte(byte));
    (is_name && is_value).then(|| (name, trim(value)))
}

/// Decodes each `%XX` to its byte. For a `%` without two hex digits, `otherwise` gives the result.
fn percent_decoded(text: &[u8], otherwise: impl Fn() -> Option<u8>) -> Option<Vec<u8>> {
    let digit = |at: usize| text.get(at).and_then(|byte| (*byte as char).to_digit(16));
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let pair = digit(at + 1)
            .zip(digit(at + 2))
            .filter(|_| text[at] == b'%');
        match pair {
            Some((high, low)) => bytes.push((high * 16 + low) as u8),
            None if text[at] == b'%' => bytes.push(otherwise()?),
            None => bytes.push(text[at]),
        }
        at += if pair.is_some() { 3 } else { 1 };
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{seeded::check, *};

    #[test]
    fn body_holds() {
        check("body", body);
    }

    #[test]
    fn cookie_holds() {
        check("cookie", cookie);
    }

    #[test]
    fn credentials_hold() {
        check("credentials", credentials);
    }

    #[test]
    fn deflate_holds() {
        check("deflate", |data| deflate(data, || 0));
    }

    #[test]
    fn files_holds() {
        check("files", |data| {
            // 64 bits of length, then the rest: the fuzzer reads its input the same way.
            let (len, data) = data.split_first_chunk().unwrap_or((&[0; 8], data));
            let len = u64::from_le_bytes(*len);
            ranges(data, len >> 1);
            ranges(data, len % 64);
            conditions(data);
            codings_and_names(data);
        });
    }

    #[test]
    fn forwarded_holds() {
        check("forwarded", forwarded);
    }

    #[test]
    fn head_holds() {
        check("head", head);
    }

    #[test]
    fn inflate_holds() {
        check("inflate", |data| inflate(data, || 0));
    }

    #[test]
    fn multipart_holds() {
        check("multipart", multipart);
    }

    #[test]
    fn path_holds() {
        check("path", path);
    }

    #[test]
    fn query_holds() {
        check("query", query);
    }
}
