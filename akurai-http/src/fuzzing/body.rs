//! A request's body, with its length or in chunks.

use super::{cuts, field_line, find, is_field_byte, is_tchar};
use crate::RequestError;
use crate::codec::body::{BodyDecoder, BodyLimits, Framing, Step};

/// The result of reading a body.
#[derive(Debug, PartialEq)]
struct Outcome {
    data: Vec<u8>,
    end: End,
}

#[derive(Debug, PartialEq)]
enum End {
    /// The body ended after this many bytes, with these trailers.
    Over(usize, Vec<(Vec<u8>, Vec<u8>)>),
    More,
    Failed(RequestError),
}

/// Eight bytes choose the test's conditions. The rest is the body and the bytes after it.
pub fn body(data: &[u8]) {
    let Some((&[kind, size, most, greed, a, b, c, d], input)) = data.split_first_chunk() else {
        return;
    };
    let framing = match kind % 4 {
        0 => Framing::None,
        1 => Framing::Length(u64::from(size) + 1),
        _ => Framing::Chunked,
    };
    let body_bytes = match most {
        0 => u64::MAX,
        most => most.into(),
    };
    let wide = BodyLimits {
        body_bytes,
        chunk_line_bytes: usize::MAX,
        chunk_extension_bytes: usize::MAX,
        trailer_section_bytes: usize::MAX,
        trailer_fields: usize::MAX,
    };
    let narrow = match usize::from(size) {
        0 => BodyLimits::new(body_bytes),
        size => BodyLimits {
            chunk_line_bytes: size,
            chunk_extension_bytes: size,
            trailer_section_bytes: size,
            trailer_fields: size % 8,
            ..wide
        },
    };
    let mut outcomes = [wide, narrow].map(|limits| {
        let [whole, single, own] = cuts([a, b, c, d], input.len());
        let run = |ends: &[usize], greed| decode(framing, limits, input, ends, greed);
        let outcome = run(&whole, u8::MAX);
        assert_eq!(run(&single, greed), outcome, "byte by byte");
        assert_eq!(run(&own, greed), outcome, "in pieces to {own:?}");
        assert!(outcome.data.len() as u64 <= body_bytes);
        outcome
    });
    let [wide, narrow] = &mut outcomes;
    match framing {
        Framing::Chunked => check_chunked(input, wide, body_bytes),
        framing => check_counted(framing, input, wide, body_bytes),
    }
    // Tighter limits may refuse a body, but never change the result.
    if let End::Failed(_) = narrow.end {
        wide.data.truncate(narrow.data.len());
        narrow.end = End::More;
        wide.end = End::More;
    }
    assert_eq!(narrow, wide);
}

fn decode(
    framing: Framing,
    limits: BodyLimits,
    input: &[u8],
    ends: &[usize],
    greed: u8,
) -> Outcome {
    let mut decoder = BodyDecoder::default();
    decoder.begin(framing, limits);
    let (mut data, mut used) = (Vec::new(), 0);
    for &arrived in ends {
        loop {
            let given = &input[used..arrived];
            match decoder.step(given) {
                Ok(Step::Data(count)) => {
                    assert!((1..=given.len()).contains(&count));
                    assert!(count as u64 <= decoder.due());
                    let taken = count.min(usize::from(greed) + 1);
                    data.extend_from_slice(&given[..taken]);
                    decoder.take_data(taken);
                    used += taken;
                }
                Ok(Step::Skip(count)) => {
                    assert!((1..=given.len()).contains(&count));
                    used += count;
                }
                Ok(Step::More) => {
                    assert!(given.is_empty(), "what is there is used");
                    break;
                }
                Ok(Step::End) => {
                    assert!(decoder.is_over() && decoder.check() == Ok(()));
                    let (bytes, lines) = decoder.trailers();
                    let trailers = lines.iter().map(|line| {
                        let name = bytes[line.name.clone()].to_vec();
                        (name, bytes[line.value.clone()].to_vec())
                    });
                    let end = End::Over(used, trailers.collect());
                    return Outcome { data, end };
                }
                Err(error) => {
                    assert_eq!(decoder.check(), Err(error));
                    assert_eq!(decoder.step(b"0\r\n\r\n"), Err(error), "it stays");
                    assert!(!decoder.is_over() && decoder.due() == 0);
                    let end = End::Failed(error);
                    return Outcome { data, end };
                }
            }
        }
    }
    Outcome {
        data,
        end: End::More,
    }
}

fn check_counted(framing: Framing, input: &[u8], outcome: &Outcome, body_bytes: u64) {
    let length = match framing {
        Framing::Length(length) => length,
        _ => 0,
    };
    let available = input.len().min(length as usize);
    let end = match length {
        0 => End::Over(0, vec![]),
        length if length > body_bytes => End::Failed(RequestError::BodyTooLarge),
        length if available < length as usize => End::More,
        length => End::Over(length as usize, vec![]),
    };
    let data = match end {
        End::Failed(_) => vec![],
        _ => input[..available].to_vec(),
    };
    assert_eq!(*outcome, Outcome { data, end });
}

fn check_chunked(input: &[u8], outcome: &Outcome, body_bytes: u64) {
    let expected = Chunked::read(input);
    match (&outcome.end, expected) {
        (End::Over(used, trailers), Ok(read)) => {
            assert_eq!((&outcome.data, *used), (&read.data, read.used));
            assert_eq!(*trailers, read.trailers);
            for never in [
                &b"content-length"[..],
                b"transfer-encoding",
                b"host",
                b"authorization",
            ] {
                assert!(
                    !trailers
                        .iter()
                        .any(|(name, _)| name.eq_ignore_ascii_case(never))
                );
            }
        }
        (End::Failed(RequestError::BodyTooLarge), Ok(read)) => {
            assert!(read.data.len() as u64 > body_bytes);
        }
        (End::Failed(RequestError::BodyTooLarge), _) => {}
        (End::Failed(RequestError::Trailer), Ok(read)) => assert!(!read.trailers.is_empty()),
        (End::Failed(_), Err(_)) | (End::More, Err(Fault::Incomplete)) => {}
        (end, read) => panic!("{end:?}, but {read:?}"),
    }
}

/// Reads a chunked body by RFC 9112 §7.1, when all bytes are there.
#[derive(Debug, Default)]
struct Chunked {
    data: Vec<u8>,
    used: usize,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug)]
enum Fault {
    Incomplete,
    Malformed,
}

impl Chunked {
    fn read(input: &[u8]) -> Result<Chunked, Fault> {
        let mut read = Chunked::default();
        loop {
            let size = chunk_size(read.line(input)?).ok_or(Fault::Malformed)?;
            if size == 0 {
                break;
            }
            let rest = &input[read.used..];
            let size = usize::try_from(size).map_err(|_| Fault::Incomplete)?;
            let end = size.checked_add(2).ok_or(Fault::Incomplete)?;
            let chunk = rest.get(..end).ok_or(Fault::Incomplete)?;
            let data = chunk.strip_suffix(b"\r\n").ok_or(Fault::Malformed)?;
            read.data.extend_from_slice(data);
            read.used += end;
        }
        loop {
            let line = read.line(input)?;
            if line.is_empty() {
                return Ok(read);
            }
            let (name, value) = field_line(line).ok_or(Fault::Malformed)?;
            read.trailers.push((name.to_vec(), value.to_vec()));
        }
    }

    fn line<'i>(&mut self, input: &'i [u8]) -> Result<&'i [u8], Fault> {
        let rest = &input[self.used..];
        let end = find(b"\r\n", rest).ok_or(Fault::Incomplete)?;
        self.used += end + 2;
        Ok(&rest[..end])
    }
}

/// The size, if the line is `chunk-size [ chunk-ext ]`. The line is cut at semicolons outside
/// quotes.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let mut parts = vec![Vec::new()];
    let (mut quoted, mut escaped) = (false, false);
    for &byte in line {
        if byte == b';' && !quoted {
            parts.push(Vec::new());
            continue;
        }
        if quoted {
            quoted = byte != b'"' || escaped;
            escaped = byte == b'\\' && !escaped;
        } else {
            quoted = byte == b'"';
        }
        parts.last_mut()?.push(byte);
    }
    let extensions_hold = parts[1..].iter().all(|part| is_extension(part));
    let digits = String::from_utf8(parts.swap_remove(0)).ok()?;
    let is_size = (1..=16).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let size = u64::from_str_radix(&digits, 16).ok();
    size.filter(|_| is_size && extensions_hold && !quoted)
}

// chunk-ext-name [ "=" ( token / quoted-string ) ]
fn is_extension(part: &[u8]) -> bool {
    let is_token = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(|&byte| is_tchar(byte));
    let Some(equals) = part.iter().position(|&byte| byte == b'=') else {
        return is_token(part);
    };
    let (name, value) = (&part[..equals], &part[equals + 1..]);
    let is_quoted = |value: &[u8]| match value {
        [b'"', inner @ .., b'"'] => is_quotable(inner),
        _ => false,
    };
    is_token(name) && (is_token(value) || is_quoted(value))
}

// *( qdtext / quoted-pair ), where each quote needs a backslash before it
fn is_quotable(inner: &[u8]) -> bool {
    match inner {
        [] => true,
        [b'\\', escaped, rest @ ..] => is_field_byte(*escaped) && is_quotable(rest),
        [b'\\' | b'"', ..] => false,
        [byte, rest @ ..] => is_field_byte(*byte) && is_quotable(rest),
    }
}
