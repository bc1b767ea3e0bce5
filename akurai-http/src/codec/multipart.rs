//! The lines between the parts of a multipart body, and the head of a part (RFC 2046 §5.1, RFC 7578 §4).
//!
//! ```text
//! multipart-body    := [preamble CRLF]
//!                      dash-boundary transport-padding CRLF
//!                      body-part *encapsulation
//!                      close-delimiter transport-padding
//!                      [CRLF epilogue]
//! dash-boundary     := "--" boundary
//! encapsulation     := delimiter transport-padding CRLF body-part
//! delimiter         := CRLF "--" boundary
//! close-delimiter   := delimiter "--"
//! body-part         := MIME-part-headers [CRLF *OCTET]
//! transport-padding := *LWSP-char
//! ```
//!
//! The first boundary of a body needs no CRLF before it, and a part without content none behind its header section.
//! Whoever scans puts one before a body, and begins with the empty line that ends a header section; then every
//! boundary is a delimiter.

use crate::codec::head::{FieldLine, split_field_line};
use crate::codec::parameters::{essence, parameter};
use crate::codec::search::find_byte;
use crate::form_error::FormError;

/// Longest boundary, in bytes (RFC 2046 §5.1.1).
const BOUNDARY_BYTES: usize = 70;

/// Longest transport-padding, in bytes.
const PADDING_BYTES: usize = 64;

/// Longest header section of a part, in bytes with its line ends and the empty line.
pub(crate) const PART_HEAD_BYTES: usize = 8 * 1024;

/// What stands between two parts.
#[derive(Debug)]
pub(crate) struct Delimiter {
    bytes: Vec<u8>,
}

/// What the bytes at hand begin with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// This many bytes of content, not 0.
    Content(usize),
    /// A delimiter of this many bytes with its line end, and a part behind it.
    Part(usize),
    /// The close-delimiter, of this many bytes.
    Close(usize),
    /// What may become a delimiter, or nothing.
    More,
}

impl Delimiter {
    // boundary := 0*69<bchars> bcharsnospace                            RFC 2046 §5.1.1
    /// The delimiter of this boundary, if it is one.
    pub(crate) fn new(boundary: &[u8]) -> Option<Delimiter> {
        let is_bchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
        let fits = (1..=BOUNDARY_BYTES).contains(&boundary.len());
        let is_boundary = fits && !boundary.ends_with(b" ") && boundary.iter().all(is_bchar);
        is_boundary.then(|| Delimiter {
            bytes: [b"\r\n--", boundary].concat(),
        })
    }

    /// Tells what `input` begins with. `at_end` says that nothing comes behind it.
    ///
    /// A delimiter has its CR at its beginning alone, so that two candidates never overlap, and the time is linear.
    ///
    /// # Errors
    ///
    /// If a delimiter is followed by something else than its line's end. RFC 2046 calls the line a delimiter
    /// nevertheless, and others take it for content: we refuse what two parsers would read differently.
    pub(crate) fn scan(&self, input: &[u8], at_end: bool) -> Result<Scan, FormError> {
        let mut at = 0;
        while let Some(cr) = find_byte(b'\r', &input[at..]).map(|n| at + n) {
            let candidate = &input[cr..];
            if candidate.starts_with(&self.bytes) || self.bytes.starts_with(candidate) {
                return match cr {
                    0 => self.line(candidate, at_end),
                    content => Ok(Scan::Content(content)),
                };
            }
            at = cr + 1;
        }
        Ok(match input.len() {
            0 => Scan::More,
            content => Scan::Content(content),
        })
    }

    /// Tells what `input` is, which is a delimiter or the beginning of one.
    fn line(&self, input: &[u8], at_end: bool) -> Result<Scan, FormError> {
        let Some(behind) = input.get(self.bytes.len()..) else {
            return Ok(Scan::More);
        };
        if let [b'-', b'-', after @ ..] = behind {
            return match after {
                [] if !at_end => Ok(Scan::More),
                [] | [b' ' | b'\t' | b'\r', ..] => Ok(Scan::Close(self.bytes.len() + 2)),
                _ => Err(FormError::Delimiter),
            };
        }
        let is_padding = |byte: &&u8| matches!(byte, b' ' | b'\t');
        let padding = behind.iter().take_while(is_padding).count();
        match &behind[padding..] {
            _ if padding > PADDING_BYTES => Err(FormError::Delimiter),
            [b'\r', b'\n', ..] => Ok(Scan::Part(self.bytes.len() + padding + 2)),
            [] | [b'\r'] => Ok(Scan::More),
            [b'-'] if padding == 0 => Ok(Scan::More),
            _ => Err(FormError::Delimiter),
        }
    }
}

/// Reads the header section of one part from bytes that arrive in pieces.
#[derive(Debug, Default)]
pub(crate) struct PartHeadParser {
    /// Where the line that comes next begins.
    at: usize,
    /// Up to where that line has been searched for its end.
    searched: usize,
    pub(crate) lines: Vec<FieldLine>,
}

impl PartHeadParser {
    /// Goes on in `input`, which begins where it began at the last call and has grown at its end. `Some` is the length
    /// of the header section with the empty line after it.
    ///
    /// Lines end with CRLF and are not folded, as in a request's head.
    pub(crate) fn advance(&mut self, input: &[u8]) -> Result<Option<usize>, FormError> {
        loop {
            let Some(end) = find_byte(b'\n', &input[self.searched..]).map(|n| n + self.searched)
            else {
                self.searched = input.len();
                return match self.searched >= PART_HEAD_BYTES {
                    true => Err(FormError::PartHeadTooLarge),
                    false => Ok(None),
                };
            };
            if end >= PART_HEAD_BYTES {
                return Err(FormError::PartHeadTooLarge);
            }
            if end == self.at || input[end - 1] != b'\r' {
                return Err(FormError::PartHead);
            }
            let line = self.at..end - 1;
            self.at = end + 1;
            self.searched = self.at;
            if line.is_empty() {
                return Ok(Some(self.at));
            }
            let field = split_field_line(input, line).map_err(|_| FormError::PartHead)?;
            self.lines.push(field);
        }
    }
}

// content-disposition := "form-data" *( ";" parameter )                 RFC 7578 §4.2, RFC 2183 §2
/// The name that a `Content-Disposition` gives to its part, and the name of its file if it is one.
///
/// Both are UTF-8 (RFC 7578 §5.1), with U+FFFD in place of what is not. `filename*` is not read: RFC 7578 §4.2 forbids
/// it, and two names for one file would be a way past whoever checks the other one.
pub(crate) fn disposition(value: &[u8]) -> Result<(String, Option<String>), FormError> {
    if !essence(value).eq_ignore_ascii_case(b"form-data") {
        return Err(FormError::Disposition);
    }
    let text = |name| match parameter(value, name) {
        Ok(found) => Ok(found.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())),
        Err(_) => Err(FormError::Disposition),
    };
    let name = text("name")?.ok_or(FormError::Disposition)?;
    Ok((name, text("filename")?))
}

#[cfg(test)]
mod tests;
