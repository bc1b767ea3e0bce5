//! Where a request's body ends (RFC 9112 §6.3), and its bytes without the framing (§7.1).

use std::ops::Range;

use crate::values::error::RequestError;
use crate::values::field::{FieldLine, is_field_value, is_tchar, split_field_line};

/// What bounds a body and its framing, in bytes and lines.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BodyLimits {
    pub(crate) body_bytes: u64,
    pub(crate) chunk_line_bytes: usize,
    pub(crate) chunk_extension_bytes: usize,
    pub(crate) trailer_section_bytes: usize,
    pub(crate) trailer_fields: usize,
}

impl BodyLimits {
    /// The limits of a body that may have `body_bytes` without its framing.
    pub(crate) fn new(body_bytes: u64) -> BodyLimits {
        BodyLimits {
            body_bytes,
            chunk_line_bytes: 256,
            chunk_extension_bytes: 4 * 1024,
            trailer_section_bytes: 8 * 1024,
            trailer_fields: 32,
        }
    }
}

/// How a message's body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Framing {
    /// There is none.
    #[default]
    None,
    /// Content-Length gives its length in bytes, which is not 0.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// What the next bytes of the input are. The counts are in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// This many bytes are data. [`BodyDecoder::take_data`] says how many of them were used.
    Data(usize),
    /// This many bytes are framing, and the decoder is done with them.
    Skip(usize),
    /// There are too few bytes to tell.
    More,
    /// The body is over; what follows belongs to the next message.
    End,
}

/// Tells a body's data from its framing, as the bytes arrive. It copies no data.
#[derive(Debug, Default)]
pub(crate) struct BodyDecoder {
    limits: BodyLimits,
    state: State,
    /// Bytes that are still to come: of the body, or of the chunk.
    remaining: u64,
    /// Data bytes that a chunked body may still bring before it is too large.
    allowance: u64,
    line_bytes: usize,
    extension_bytes: usize,
    digits: u8,
    trailer: Vec<u8>,
    trailer_lines: Vec<FieldLine>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    End,
    Length,
    /// In a chunk-size line.
    Size(SizeLine),
    Data,
    DataCr,
    DataLf,
    Trailer,
    Failed(RequestError),
}

/// The place within the line `chunk-size [ chunk-ext ] CRLF`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SizeLine {
    Digits,
    NameStart,
    Name,
    ValueStart,
    Token,
    Quoted,
    Escaped,
    AfterQuoted,
    Lf,
}

impl BodyDecoder {
    /// Begins a body of this framing.
    pub(crate) fn begin(&mut self, framing: Framing, limits: BodyLimits) {
        self.limits = limits;
        self.trailer.clear();
        self.trailer_lines.clear();
        self.extension_bytes = 0;
        self.allowance = limits.body_bytes;
        self.remaining = 0;
        self.state = match framing {
            Framing::None => State::End,
            Framing::Length(length) if length > limits.body_bytes => {
                State::Failed(RequestError::BodyTooLarge)
            }
            Framing::Length(length) => {
                self.remaining = length;
                State::Length
            }
            Framing::Chunked => self.size_line(),
        };
    }

    /// Frees the memory of a trailer section of more than `most` bytes, once nobody can ask for it
    /// any more.
    pub(crate) fn shrink(&mut self, most: usize) {
        if self.trailer.capacity() > most {
            self.trailer = Vec::new();
            self.trailer_lines = Vec::new();
        }
    }

    /// Whether the whole body has been read.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::End
    }

    /// The error that ended the body, if there was one.
    pub(crate) fn check(&self) -> Result<(), RequestError> {
        match self.state {
            State::Failed(error) => Err(error),
            _ => Ok(()),
        }
    }

    /// How many bytes of data are known to follow without framing between them.
    pub(crate) fn due(&self) -> u64 {
        match self.state {
            State::Length | State::Data => self.remaining,
            _ => 0,
        }
    }

    /// The trailer section's field lines and the bytes that they point into. They are complete once
    /// the body is over.
    pub(crate) fn trailers(&self) -> (&[u8], &[FieldLine]) {
        (&self.trailer, &self.trailer_lines)
    }

    /// Says what `input` begins with; `input` holds the bytes that are not yet used. After an
    /// error, each later call returns the same error.
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<Step, RequestError> {
        self.try_step(input).inspect_err(|&error| self.fail(error))
    }

    /// Uses `count` bytes of data, which must not be more than the last step gave.
    pub(crate) fn take_data(&mut self, count: usize) {
        self.remaining -= count as u64;
        if self.remaining == 0 {
            self.state = match self.state {
                State::Data => State::DataCr,
                _ => State::End,
            };
        }
    }

    /// Makes every later step fail with `error`.
    pub(crate) fn fail(&mut self, error: RequestError) {
        self.state = State::Failed(error);
    }

    fn try_step(&mut self, input: &[u8]) -> Result<Step, RequestError> {
        match self.state {
            State::End => Ok(Step::End),
            State::Failed(error) => Err(error),
            _ if input.is_empty() => Ok(Step::More),
            State::Length | State::Data => {
                let due = usize::try_from(self.remaining).unwrap_or(usize::MAX);
                Ok(Step::Data(due.min(input.len())))
            }
            State::Size(place) => self.chunk_size_line(place, input),
            State::DataCr => self.expect(b'\r', State::DataLf, input),
            State::DataLf => {
                let next = self.size_line();
                self.expect(b'\n', next, input)
            }
            State::Trailer => self.trailer_section(input),
        }
    }

    fn expect(&mut self, byte: u8, next: State, input: &[u8]) -> Result<Step, RequestError> {
        if input[0] != byte {
            return Err(RequestError::ChunkData);
        }
        self.state = next;
        Ok(Step::Skip(1))
    }

    fn size_line(&mut self) -> State {
        self.line_bytes = 0;
        self.digits = 0;
        State::Size(SizeLine::Digits)
    }

    // chunk      = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
    // chunk-size = 1*HEXDIG                                             RFC 9112 §7.1
    fn chunk_size_line(&mut self, start: SizeLine, input: &[u8]) -> Result<Step, RequestError> {
        let mut place = start;
        for (index, &byte) in input.iter().enumerate() {
            if place == SizeLine::Lf {
                if byte != b'\n' {
                    return Err(RequestError::LineEnding);
                }
                self.chunk_begins()?;
                return Ok(Step::Skip(index + 1));
            }
            // A CR may stand only at the line's end, and is not counted.
            if byte != b'\r' {
                self.line_bytes += 1;
                if place != SizeLine::Digits || byte == b';' {
                    self.extension_bytes += 1;
                }
            }
            if self.line_bytes > self.limits.chunk_line_bytes
                || self.extension_bytes > self.limits.chunk_extension_bytes
            {
                return Err(RequestError::ChunkExtension);
            }
            place = match place {
                SizeLine::Digits => self.digit(byte)?,
                _ => extension(place, byte).ok_or(RequestError::ChunkExtension)?,
            };
        }
        self.state = State::Size(place);
        Ok(Step::Skip(input.len()))
    }

    fn digit(&mut self, byte: u8) -> Result<SizeLine, RequestError> {
        match (byte as char).to_digit(16) {
            // Sixteen hex digits fit into a u64, so this cannot overflow.
            Some(digit) if self.digits < 16 => {
                self.digits += 1;
                self.remaining = self.remaining << 4 | u64::from(digit);
                Ok(SizeLine::Digits)
            }
            None if self.digits > 0 && byte == b'\r' => Ok(SizeLine::Lf),
            None if self.digits > 0 && byte == b';' => Ok(SizeLine::NameStart),
            _ => Err(RequestError::ChunkSize),
        }
    }

    fn chunk_begins(&mut self) -> Result<(), RequestError> {
        if self.remaining == 0 {
            self.state = State::Trailer;
            return Ok(());
        }
        self.allowance = self
            .allowance
            .checked_sub(self.remaining)
            .ok_or(RequestError::BodyTooLarge)?;
        self.state = State::Data;
        Ok(())
    }

    // trailer-section = *( field-line CRLF )                            RFC 9112 §7.1.2
    fn trailer_section(&mut self, input: &[u8]) -> Result<Step, RequestError> {
        let (count, whole) = match input.iter().position(|&byte| byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (input.len(), false),
        };
        if self.trailer.len() + count > self.limits.trailer_section_bytes {
            return Err(RequestError::Trailer);
        }
        self.trailer.extend_from_slice(&input[..count]);
        if whole {
            self.trailer_line()?;
        }
        Ok(Step::Skip(count))
    }

    fn trailer_line(&mut self) -> Result<(), RequestError> {
        let start = self.trailer_lines.last().map_or(0, |line| {
            // The value is followed by trimmed white space and CRLF; the next line begins after the
            // LF.
            let rest = &self.trailer[line.value.end..];
            line.value.end + rest.iter().position(|&b| b == b'\n').unwrap_or(0) + 1
        });
        let line: Range<usize> = match &self.trailer[start..] {
            [b'\r', b'\n'] => {
                self.state = State::End;
                return Ok(());
            }
            [.., b'\r', b'\n'] => start..self.trailer.len() - 2,
            _ => return Err(RequestError::LineEnding),
        };
        let field = split_field_line(&self.trailer, line)?;
        if is_forbidden_trailer(&self.trailer[field.name.clone()])
            || self.trailer_lines.len() >= self.limits.trailer_fields
        {
            return Err(RequestError::Trailer);
        }
        self.trailer_lines.push(field);
        Ok(())
    }
}

// chunk-ext = *( ";" chunk-ext-name [ "=" chunk-ext-val ] )             RFC 9112 §7.1.1
// chunk-ext-val = token / quoted-string
//
// We refuse the "bad white space" that the grammar tolerates around ";" and "=".
fn extension(place: SizeLine, byte: u8) -> Option<SizeLine> {
    use SizeLine::*;
    match (place, byte) {
        (Name | Token | AfterQuoted, b'\r') => Some(Lf),
        (Name | Token | AfterQuoted, b';') => Some(NameStart),
        (Name, b'=') => Some(ValueStart),
        (NameStart | Name, _) if is_tchar(byte) => Some(Name),
        (ValueStart, b'"') => Some(Quoted),
        (ValueStart | Token, _) if is_tchar(byte) => Some(Token),
        (Quoted, b'"') => Some(AfterQuoted),
        (Quoted, b'\\') => Some(Escaped),
        (Quoted | Escaped, _) if is_field_value(&[byte]) => Some(Quoted),
        _ => None,
    }
}

/// These fields would change how the message is framed, routed or trusted. In a trailer section
/// they come too late (RFC 9110 §6.5.1).
fn is_forbidden_trailer(name: &[u8]) -> bool {
    const FORBIDDEN: [&str; 20] = [
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "max-forwards",
        "proxy-authorization",
        "range",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "www-authenticate",
    ];
    FORBIDDEN
        .iter()
        .any(|forbidden| name.eq_ignore_ascii_case(forbidden.as_bytes()))
}

#[cfg(test)]
mod tests;
