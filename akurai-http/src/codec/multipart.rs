//! The lines between the parts of a multipart body, and the head of a part (RFC 2046 §5.1, RFC 7578
//! §4).
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
//! The first boundary stands at the beginning of the body or of a line. Before the first boundary,
//! a bare LF ends a line too: Go, PHP and Werkzeug read it so. A part without content needs no CRLF
//! after its header section, because a scan for the part's end begins with the empty line that ends
//! that section.

use crate::codec::parameters::{essence, parameter};
use crate::codec::search::find_byte;
use crate::values::field::{FieldLine, is_field_value, is_tchar, split_field_line};
use crate::values::form_error::FormError;

/// Longest boundary, in bytes (RFC 2046 §5.1.1).
const BOUNDARY_BYTES: usize = 70;

/// Longest transport-padding, in bytes.
const PADDING_BYTES: usize = 64;

/// Longest header section of a part, in bytes with its line ends and the empty line.
pub(crate) const PART_HEAD_BYTES: usize = 8 * 1024;

/// The line between two parts.
#[derive(Debug)]
pub(crate) struct Delimiter {
    bytes: Vec<u8>,
}

/// What the bytes at hand begin with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// This many bytes of content or of the preamble, not 0.
    Content(usize),
    /// A delimiter of this many bytes with its line end. A part follows it.
    Part(usize),
    /// The close-delimiter, of this many bytes.
    Close(usize),
    /// These bytes may become a delimiter, or may not: more are needed.
    More,
}

impl Delimiter {
    // boundary := 0*69<bchars> bcharsnospace                            RFC 2046 §5.1.1
    //
    // We also accept the other characters of a token, as other servers do: some clients send
    // `boundary=*****`.
    /// The delimiter of this boundary; `None` if the boundary is not allowed.
    pub(crate) fn new(boundary: &[u8]) -> Option<Delimiter> {
        let is_bchar = |byte: &u8| is_tchar(*byte) || b"(),/:=? ".contains(byte);
        let fits = (1..=BOUNDARY_BYTES).contains(&boundary.len());
        let is_boundary = fits && !boundary.ends_with(b" ") && boundary.iter().all(is_bchar);
        is_boundary.then(|| Delimiter {
            bytes: [b"\r\n--", boundary].concat(),
        })
    }

    /// Tells what `input` begins with before the first boundary. `input` begins with the preamble's
    /// last byte; at first, an LF takes the place of that byte. `at_end` says that no more bytes
    /// follow.
    ///
    /// # Errors
    ///
    /// As [`scan`](Delimiter::scan); and if the boundary stands within a line. There, some parsers
    /// take it as the end of the preamble, and others lose the part that follows.
    pub(crate) fn scan_preamble(&self, input: &[u8], at_end: bool) -> Result<Scan, FormError> {
        let dash_boundary = &self.bytes[2..];
        let mut at = 1;
        while let Some(dash) = input
            .get(at..)
            .and_then(|rest| find_byte(b'-', rest))
            .map(|n| at + n)
        {
            let candidate = &input[dash..];
            let is_whole = candidate.starts_with(dash_boundary);
            if is_whole && input[dash - 1] != b'\n' {
                return Err(FormError::Preamble);
            }
            if is_whole || dash_boundary.starts_with(candidate) {
                return match dash {
                    1 => self.line(input, 1 + dash_boundary.len(), at_end),
                    _ => Ok(Scan::Content(dash - 1)),
                };
            }
            at = dash + 1;
        }
        Ok(match input.len() {
            0 | 1 => Scan::More,
            len => Scan::Content(len - 1),
        })
    }

    /// Tells what `input` begins with after a part's header section. `at_end` says that no more
    /// bytes follow.
    ///
    /// A delimiter has a CR only at its beginning. So two candidates never overlap, and the time is
    /// linear.
    ///
    /// # Errors
    ///
    /// If a delimiter is not followed by the end of its line. RFC 2046 still calls such a line a
    /// delimiter, and other parsers take it for content. We refuse what two parsers would read
    /// differently.
    pub(crate) fn scan(&self, input: &[u8], at_end: bool) -> Result<Scan, FormError> {
        let mut at = 0;
        while let Some(cr) = find_byte(b'\r', &input[at..]).map(|n| at + n) {
            let candidate = &input[cr..];
            if candidate.starts_with(&self.bytes) || self.bytes.starts_with(candidate) {
                return match cr {
                    0 => self.line(candidate, self.bytes.len(), at_end),
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

    /// Tells what `input` is: a delimiter up to `boundary_end`, or the beginning of a delimiter.
    fn line(&self, input: &[u8], boundary_end: usize, at_end: bool) -> Result<Scan, FormError> {
        let Some(behind) = input.get(boundary_end..) else {
            return Ok(Scan::More);
        };
        if let [b'-', b'-', after @ ..] = behind {
            return match after {
                [] if !at_end => Ok(Scan::More),
                [] | [b' ' | b'\t' | b'\r', ..] => Ok(Scan::Close(boundary_end + 2)),
                _ => Err(FormError::Delimiter),
            };
        }
        let is_padding = |byte: &&u8| matches!(byte, b' ' | b'\t');
        let padding = behind.iter().take_while(is_padding).count();
        match &behind[padding..] {
            _ if padding > PADDING_BYTES => Err(FormError::Delimiter),
            [b'\r', b'\n', ..] => Ok(Scan::Part(boundary_end + padding + 2)),
            [] | [b'\r'] => Ok(Scan::More),
            [b'-'] if padding == 0 => Ok(Scan::More),
            _ => Err(FormError::Delimiter),
        }
    }
}

/// Reads the header section of one part from bytes that arrive in pieces.
#[derive(Debug, Default)]
pub(crate) struct PartHeadParser {
    /// Where the next line begins.
    at: usize,
    /// Up to where the search for that line's end has come.
    searched: usize,
    /// The header section, with each folded field on one line.
    pub(crate) unfolded: Vec<u8>,
    pub(crate) lines: Vec<FieldLine>,
}

impl PartHeadParser {
    /// Continues in `input`. It must begin at the same byte as at the last call; new bytes are
    /// added only at its end. `Some` is the length of the header section with the empty line after
    /// it.
    ///
    /// Lines end with CRLF, as in a request's head. A line that begins with white space continues
    /// the field before it, as in any MIME header (RFC 5322 §2.2.3) and in other servers.
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
            match &input[line] {
                [] => {
                    self.unfolded.extend_from_slice(b"\r\n");
                    return Ok(Some(self.at));
                }
                folded @ [b' ' | b'\t', ..] => self.extend_field(folded)?,
                line => self.begin_field(line)?,
            }
        }
    }

    fn begin_field(&mut self, line: &[u8]) -> Result<(), FormError> {
        let start = self.unfolded.len();
        self.unfolded.extend_from_slice(line);
        let field = split_field_line(&self.unfolded, start..self.unfolded.len());
        self.lines.push(field.map_err(|_| FormError::PartHead)?);
        self.unfolded.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Adds a line that continues the last field. The line end before it is left out; its own white
    /// space stays.
    fn extend_field(&mut self, line: &[u8]) -> Result<(), FormError> {
        let field = self.lines.last_mut().filter(|_| is_field_value(line));
        let value = &mut field.ok_or(FormError::PartHead)?.value;
        let text = line.trim_ascii();
        if !text.is_empty() {
            self.unfolded.truncate(self.unfolded.len() - 2);
            let indent = line.len() - line.trim_ascii_start().len();
            let start = self.unfolded.len() + indent;
            if value.start == value.end {
                value.start = start;
            }
            value.end = start + text.len();
            self.unfolded.extend_from_slice(line);
            self.unfolded.extend_from_slice(b"\r\n");
        }
        Ok(())
    }
}

// content-disposition := "form-data" *( ";" parameter )                 RFC 7578 §4.2, RFC 2183 §2
/// The name that a `Content-Disposition` gives to its part, and the name of its file if it is one.
///
/// Both are UTF-8 (RFC 7578 §5.1); U+FFFD replaces bytes that are not. `filename*` is not read:
/// RFC 7578 §4.2 forbids it, and a second name for a file could bypass a check of the first one.
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
