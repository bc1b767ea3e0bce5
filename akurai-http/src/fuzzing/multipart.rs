//! A form with files.

use std::io::{self, Read};

use super::{cuts, field_line, find, is_tchar, trim};
use crate::codec::multipart::PART_HEAD_BYTES;
use crate::{FormError, Multipart};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The parts that a form gave before its end or an error.
#[derive(Debug, Default, PartialEq)]
struct Form {
    parts: Vec<Part>,
    error: Option<FormError>,
}

#[derive(Debug, PartialEq)]
struct Part {
    name: String,
    file_name: Option<String>,
    fields: Fields,
    /// The content; all of it if there was no error.
    content: Vec<u8>,
}

/// Longest body that the test feeds byte by byte, in bytes.
const SINGLE_BYTES: usize = 4 * 1024;

/// Seven bytes choose the test's conditions. The rest is the body. The boundary is `b` or `b--`.
pub fn multipart(data: &[u8]) {
    let Some((&[kind, fill, read, a, b, c, d], bytes)) = data.split_first_chunk() else {
        return;
    };
    let boundary: &[u8] = if kind & 1 == 0 { b"b" } else { b"b--" };
    // A long preamble moves the rest to the end of the reader's buffer, and past it. Only for few
    // inputs, since it takes ten times as long.
    let fill = match kind >> 1 {
        1 => usize::from(fill) * 70,
        _ => 0,
    };
    let body = [&vec![b'\n'; fill], bytes].concat();
    let expected = reference(&body, boundary);
    let [whole, single, own] = cuts([a, b, c, d], body.len());
    let check = |ends: Vec<usize>, read: u8| {
        let form = receive(&body, boundary, &ends, usize::from(read) + 1);
        assert_eq!(form, expected, "cut at {ends:?}, read by {read}");
    };
    check(whole, u8::MAX);
    check(own, read);
    if body.len() <= SINGLE_BYTES {
        check(single, read);
    }
}

/// Gives the pieces of a body, one read after the other.
struct Pieces<'p> {
    body: &'p [u8],
    ends: std::slice::Iter<'p, usize>,
    arrived: usize,
    given: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.given == self.arrived {
            self.arrived = self.ends.next().copied().unwrap_or(self.body.len());
        }
        let count = buf.len().min(self.arrived - self.given);
        buf[..count].copy_from_slice(&self.body[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

fn receive(body: &[u8], boundary: &[u8], ends: &[usize], read: usize) -> Form {
    let pieces = Pieces {
        body,
        ends: ends.iter(),
        arrived: 0,
        given: 0,
    };
    let mut form = Form::default();
    let mut multipart = Multipart::new(pieces, boundary).expect("it is a boundary");
    if let Err(error) = read_parts(&mut multipart, read, &mut form) {
        form.error = FormError::within(&error);
        assert!(form.error.is_some(), "{error}");
        let again = multipart.next_part().expect_err("an error stays");
        assert_eq!(FormError::within(&again), form.error);
    }
    form
}

fn read_parts(
    multipart: &mut Multipart<Pieces<'_>>,
    read: usize,
    form: &mut Form,
) -> io::Result<()> {
    let mut buf = vec![0; read];
    while let Some(mut part) = multipart.next_part()? {
        let fields = part.headers().iter();
        form.parts.push(Part {
            name: part.name().to_owned(),
            file_name: part.file_name().map(str::to_owned),
            fields: fields
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            content: Vec::new(),
        });
        let held = form.parts.last_mut().expect("it was pushed");
        loop {
            match part.read(&mut buf)? {
                0 => break,
                count => held.content.extend_from_slice(&buf[..count]),
            }
        }
    }
    Ok(())
}

/// Reads a body by RFC 2046 §5.1.1, when all of it is there. The first boundary must begin a line.
/// The empty line after a head belongs to the content or delimiter that follows it.
fn reference(body: &[u8], boundary: &[u8]) -> Form {
    let mut form = Form::default();
    let mut next = behind_preamble(body, boundary);
    form.error = loop {
        let rest = match next {
            Ok(Some(rest)) => rest,
            Ok(None) => break None,
            Err(error) => break Some(error),
        };
        let (mut part, len) = match part_head(rest) {
            Ok(head) => head,
            Err(error) => break Some(error),
        };
        let (content, behind) = content(&rest[len..], boundary);
        part.content = content.get(2..).unwrap_or_default().to_vec();
        form.parts.push(part);
        next = behind;
    };
    form
}

fn behind_preamble<'b>(body: &'b [u8], boundary: &[u8]) -> Result<Option<&'b [u8]>, FormError> {
    let dash_boundary = [b"--", boundary].concat();
    let Some(at) = find(&dash_boundary, body) else {
        return Err(FormError::Truncated);
    };
    match body[..at].last() {
        None | Some(b'\n') => behind_boundary(&body[at + dash_boundary.len()..]),
        Some(_) => Err(FormError::Preamble),
    }
}

/// The content up to a delimiter, and the result after it: another part, the end, or an error.
fn content<'b>(rest: &'b [u8], boundary: &[u8]) -> (&'b [u8], Result<Option<&'b [u8]>, FormError>) {
    let delimiter = [b"\r\n--", boundary].concat();
    let Some(at) = find(&delimiter, rest) else {
        // Bytes that may begin a delimiter are not returned as content.
        let begun = (0..delimiter.len())
            .rev()
            .find(|&len| rest.ends_with(&delimiter[..len]));
        let content = &rest[..rest.len() - begun.unwrap_or(0)];
        return (content, Err(FormError::Truncated));
    };
    let (content, behind) = (&rest[..at], &rest[at + delimiter.len()..]);
    (content, behind_boundary(behind))
}

fn behind_boundary(behind: &[u8]) -> Result<Option<&[u8]>, FormError> {
    let line_end = find(b"\r\n", behind);
    let is_blank = |bytes: &[u8]| bytes.iter().all(|byte| b" \t".contains(byte));
    match (behind.strip_prefix(b"--"), line_end) {
        (Some([] | [b' ' | b'\t' | b'\r', ..]), _) => Ok(None),
        (Some(_), _) => Err(FormError::Delimiter),
        (None, Some(end)) if end <= 64 && is_blank(&behind[..end]) => Ok(Some(&behind[end + 2..])),
        // The body ends where more bytes could have made a valid line.
        (None, None) if behind == b"-" => Err(FormError::Truncated),
        (None, None) if is_cut_padding(behind) => Err(FormError::Truncated),
        (None, _) => Err(FormError::Delimiter),
    }
}

fn is_cut_padding(behind: &[u8]) -> bool {
    let padding = behind.strip_suffix(b"\r").unwrap_or(behind);
    padding.len() <= 64 && padding.iter().all(|byte| b" \t".contains(byte))
}

/// A part's head, and its length without the last CRLF.
fn part_head(rest: &[u8]) -> Result<(Part, usize), FormError> {
    // Each line, joined with the lines that continue it.
    let mut whole_lines: Vec<Vec<u8>> = Vec::new();
    let mut at = 0;
    loop {
        let end = rest[at..]
            .iter()
            .position(|&byte| byte == b'\n')
            .map(|n| at + n);
        let Some(end) = end.filter(|&end| end < PART_HEAD_BYTES) else {
            return Err(match rest.len() >= PART_HEAD_BYTES {
                true => FormError::PartHeadTooLarge,
                false => FormError::Truncated,
            });
        };
        let line = rest[at..end]
            .strip_suffix(b"\r")
            .ok_or(FormError::PartHead)?;
        if line.is_empty() {
            break;
        }
        if !matches!(line, [b' ' | b'\t', ..]) {
            whole_lines.push(line.to_vec());
        } else {
            let whole = whole_lines.last_mut().ok_or(FormError::PartHead)?;
            whole.extend_from_slice(if trim(line).is_empty() { b"" } else { line });
        }
        field_line(whole_lines.last().expect("one was pushed")).ok_or(FormError::PartHead)?;
        at = end + 1;
    }
    let fields = whole_lines.iter().filter_map(|line| field_line(line));
    let fields: Fields = fields
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    let is_named =
        |(name, _): &&(Vec<u8>, Vec<u8>)| name.eq_ignore_ascii_case(b"content-disposition");
    let mut named = fields.iter().filter(is_named);
    let (name, file_name) = match (named.next(), named.next()) {
        (Some((_, value)), None) => disposition(value).ok_or(FormError::Disposition)?,
        _ => return Err(FormError::Disposition),
    };
    let part = Part {
        name,
        file_name,
        fields,
        content: Vec::new(),
    };
    Ok((part, at))
}

/// The name of a part and of its file. Both searches look at all parameters, so that each error
/// counts.
fn disposition(value: &[u8]) -> Option<(String, Option<String>)> {
    let pieces = outside_quotes(value)?;
    if !trim(pieces[0]).eq_ignore_ascii_case(b"form-data") {
        return None;
    }
    let (mut name, mut file_name) = (None, None);
    for parameter in pieces[1..].iter().map(|piece| trim(piece)) {
        if parameter.is_empty() {
            continue;
        }
        let equals = parameter.iter().position(|&byte| byte == b'=')?;
        let (known, value) = (&parameter[..equals], &parameter[equals + 1..]);
        let is_token = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(|&b| is_tchar(b));
        if !is_token(known) {
            return None;
        }
        let value = match value {
            [b'"', quoted @ ..] => unescaped(quoted)?,
            token => Some(token.to_vec()).filter(|token| is_token(token))?,
        };
        let text = String::from_utf8_lossy(&value).into_owned();
        let is_twice = match &*known.to_ascii_lowercase() {
            b"name" => name.replace(text).is_some(),
            b"filename" => file_name.replace(text).is_some(),
            _ => false,
        };
        if is_twice {
            return None;
        }
    }
    Some((name?, file_name))
}

/// The pieces between semicolons outside quotes; `None` if a quote is not closed.
fn outside_quotes(value: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut pieces, mut start, mut at, mut quoted) = (Vec::new(), 0, 0, false);
    while at < value.len() {
        match &value[at..] {
            [b'\\', b'\\' | b'"', ..] if quoted => at += 1,
            [b'"', ..] => quoted = !quoted,
            [b';', ..] if !quoted => {
                pieces.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    pieces.push(&value[start..]);
    (!quoted).then_some(pieces)
}

/// The text before the closing quote; `None` if more follows the quote. A backslash escapes a quote
/// and a backslash.
fn unescaped(quoted: &[u8]) -> Option<Vec<u8>> {
    match quoted {
        [b'"'] => Some(Vec::new()),
        [] | [b'"', ..] => None,
        [b'\\', byte @ (b'"' | b'\\'), rest @ ..] | [byte, rest @ ..] => {
            let mut bytes = unescaped(rest)?;
            bytes.insert(0, *byte);
            Some(bytes)
        }
    }
}
