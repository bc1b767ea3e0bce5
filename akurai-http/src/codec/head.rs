//! The head of a request: request line and header section (RFC 9112 §3, §5).
//!
//! [`HeadParser`] gets the unread bytes of a connection again each time that more of them arrive.
//! It remembers how far it came. So a peer that sends a head byte by byte costs time linear in the
//! bytes sent. A fault is reported at the line that shows it, not at the end of the head.

use std::ops::Range;

use crate::codec::body::Framing;
use crate::codec::search::find_byte;
use crate::codec::target::{self, Form};
use crate::values::error::RequestError;
use crate::values::field::{
    FieldLine, content_length, is_tchar, is_token, split_field_line, trim_ows,
};
use crate::values::method::{METHOD_BYTES, Method};
use crate::values::version::Version;

/// Empty lines before a request line that are ignored (RFC 9112 §2.2 asks for at least one).
const EMPTY_LINES: u8 = 2;

/// Field lines that a parser keeps room for while it waits for the next head.
const USUAL_LINES: usize = 32;

/// The limits on a head, in bytes and lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    pub(crate) request_line_bytes: usize,
    pub(crate) header_section_bytes: usize,
    pub(crate) header_fields: usize,
}

/// What a head says, as offsets into its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) form: Form,
    /// The path, percent-encoded as it came; empty for an absolute-form without one, and for `*`.
    pub(crate) path: Range<usize>,
    pub(crate) query: Option<Range<usize>>,
    /// The absolute-form's authority, otherwise the Host field's value; empty if an HTTP/1.0
    /// request has neither.
    pub(crate) authority: Range<usize>,
    pub(crate) framing: Framing,
    /// Whether the client lets the connection persist (RFC 9112 §9.3).
    pub(crate) keep_alive: bool,
    /// Whether the client asks to close the connection, and so must not send anything after this
    /// request (§9.6).
    pub(crate) is_last: bool,
    pub(crate) expects_continue: bool,
}

/// Reads one head from bytes that arrive in pieces.
#[derive(Debug, Default)]
pub(crate) struct HeadParser {
    /// Where the next line begins.
    at: usize,
    /// Up to where the search for that line's end has come.
    searched: usize,
    empty_lines: u8,
    section_start: Option<usize>,
    head: Head,
    lines: Vec<FieldLine>,
    seen: Seen,
    /// The methods without a variant that the app takes.
    other_methods: Vec<Method>,
}

/// The fields that the server itself must understand, noted as they are read.
#[derive(Debug, Default)]
struct Seen {
    host: Option<Range<usize>>,
    content_type: Option<Range<usize>>,
    content_length: Option<u64>,
    coding: Option<Coding>,
    close: bool,
    persist: bool,
}

/// What a Transfer-Encoding that ends in `chunked` asks for.
#[derive(Debug)]
enum Coding {
    Chunked,
    /// Another coding under `chunked`, which we do not decode.
    Unknown,
}

impl HeadParser {
    /// A parser that also accepts these methods, which have no variant of their own.
    pub(crate) fn accepting(other_methods: &[Method]) -> HeadParser {
        HeadParser {
            other_methods: other_methods.to_vec(),
            ..HeadParser::default()
        }
    }

    /// Continues in `input`. It must begin at the same byte as at the last call; new bytes are
    /// added only at its end. `Some` is the length of the whole head with the empty line after it;
    /// `None` asks for more bytes.
    pub(crate) fn advance(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<usize>, RequestError> {
        loop {
            let Some(end) = find_byte(b'\n', &input[self.searched..]).map(|n| n + self.searched)
            else {
                self.searched = input.len();
                self.check_unfinished(input, limits)?;
                return Ok(None);
            };
            // First checked as if its end had not arrived, so that the error is the same however
            // the bytes arrive.
            self.check_unfinished(&input[..end], limits)?;
            // We refuse a bare LF as a line's end. RFC 9112 §2.2 allows but does not require to
            // accept it. Parsers disagree about it, and that makes request smuggling possible.
            if end == self.at || input[end - 1] != b'\r' {
                return Err(RequestError::LineEnding);
            }
            let line = self.at..end - 1;
            self.at = end + 1;
            self.searched = self.at;
            match self.section_start {
                None => self.first_line(input, line)?,
                Some(_) if line.is_empty() => {
                    self.finish(input)?;
                    return Ok(Some(self.at));
                }
                Some(start) => {
                    if self.at - start > limits.header_section_bytes {
                        return Err(RequestError::FieldsTooLarge);
                    }
                    if self.lines.len() >= limits.header_fields {
                        return Err(RequestError::FieldsTooMany);
                    }
                    self.field_line(input, line)?;
                }
            }
        }
    }

    /// Takes the head that `advance` completed, and makes the parser ready for the next one.
    pub(crate) fn take_head(&mut self) -> (Head, &mut Vec<FieldLine>) {
        self.at = 0;
        self.searched = 0;
        self.empty_lines = 0;
        self.section_start = None;
        self.seen = Seen::default();
        (std::mem::take(&mut self.head), &mut self.lines)
    }

    /// Frees the memory for field lines if there are more than most requests have.
    pub(crate) fn shrink(&mut self) {
        if self.lines.capacity() > USUAL_LINES {
            self.lines = Vec::new();
        }
    }

    /// Checks whether an incomplete line is already longer than a complete one may be.
    fn check_unfinished(&self, input: &[u8], limits: &HeadLimits) -> Result<(), RequestError> {
        let line = &input[self.at..];
        match self.section_start {
            // A client that speaks another protocol (TLS, for example) is refused before its first
            // line ends. A single CR may begin an empty line, so the parser waits.
            None if line.first().is_some_and(|&first| !is_tchar(first)) && line != b"\r" => {
                Err(RequestError::Method)
            }
            None if line.len() > limits.request_line_bytes.saturating_add(1) => {
                Err(too_long(&line[..limits.request_line_bytes + 2]))
            }
            Some(start) if input.len() - start > limits.header_section_bytes.saturating_add(2) => {
                Err(RequestError::FieldsTooLarge)
            }
            _ => Ok(()),
        }
    }

    fn first_line(&mut self, input: &[u8], line: Range<usize>) -> Result<(), RequestError> {
        if line.is_empty() {
            self.empty_lines += 1;
            return match self.empty_lines > EMPTY_LINES {
                true => Err(RequestError::RequestLine),
                false => Ok(()),
            };
        }
        self.lines.clear();
        self.section_start = Some(self.at);
        self.request_line(input, line)
    }

    // request-line = method SP request-target SP HTTP-version           RFC 9112 §3
    fn request_line(&mut self, input: &[u8], line: Range<usize>) -> Result<(), RequestError> {
        let bytes = &input[line.clone()];
        let method_len = bytes
            .iter()
            .position(|&byte| !is_tchar(byte))
            .unwrap_or(bytes.len());
        if method_len == 0 || method_len > METHOD_BYTES {
            return Err(RequestError::Method);
        }
        match bytes.get(method_len) {
            Some(b' ') => {}
            Some(b'\t') | None => return Err(RequestError::RequestLine),
            Some(_) => return Err(RequestError::Method),
        }
        let target_start = method_len + 1;
        let target_len = bytes[target_start..]
            .iter()
            .position(|&byte| byte == b' ')
            .ok_or(RequestError::RequestLine)?;
        if target_len == 0 {
            return Err(RequestError::RequestLine);
        }
        let target_end = target_start + target_len;
        let method = &bytes[..method_len];
        let known = self.method(method);
        // Noted even if the rest is refused: an answer to HEAD has no body.
        self.head.method = known.unwrap_or_default();
        self.head.version = http_version(&bytes[target_end + 1..])?;

        let target = &bytes[target_start..target_end];
        if known == Some(Method::Connect) {
            return Err(match target::is_authority_form(target) {
                true => RequestError::Connect,
                false => RequestError::Target,
            });
        }
        let parsed = target::parse(target, known == Some(Method::Options))?;
        let base = line.start + target_start;
        let shift = |range: Range<usize>| base + range.start..base + range.end;
        self.head.form = parsed.form;
        self.head.path = shift(parsed.path);
        self.head.query = parsed.query.map(shift);
        self.head.authority = shift(parsed.authority);
        known.map(drop).ok_or(RequestError::MethodUnknown)
    }

    #[inline]
    fn method(&self, token: &[u8]) -> Option<Method> {
        let is_it = |other: &&Method| other.as_str().as_bytes() == token;
        Method::from_token(token).or_else(|| self.other_methods.iter().find(is_it).copied())
    }

    fn field_line(&mut self, input: &[u8], line: Range<usize>) -> Result<(), RequestError> {
        let field = split_field_line(input, line)?;
        let name = &input[field.name.clone()];
        let value = &input[field.value.clone()];
        // The length decides for most names; only then are the letters compared.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if self.seen.host.replace(field.value.clone()).is_some() {
                    return Err(RequestError::HostRepeated);
                }
                if !target::is_host(value) {
                    return Err(RequestError::Host);
                }
            }
            6 if name.eq_ignore_ascii_case(b"expect") => self.expect(value)?,
            10 if name.eq_ignore_ascii_case(b"connection") => self.connection(value),
            12 if name.eq_ignore_ascii_case(b"content-type") => {
                if let Some(earlier) = self.seen.content_type.replace(field.value.clone()) {
                    if input[earlier] != *value {
                        return Err(RequestError::ContentTypeConflict);
                    }
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = content_length(value)?;
                // We refuse a second field even if it is equal, although RFC 9110 §8.6 would let us
                // merge them.
                if self.seen.content_length.replace(length).is_some() {
                    return Err(RequestError::ContentLength);
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                // One field line only: with several, proxies differ in which one they obey.
                let coding = transfer_encoding(value)?;
                if self.seen.coding.replace(coding).is_some() {
                    return Err(RequestError::TransferEncoding);
                }
            }
            _ => {}
        }
        self.lines.push(field);
        Ok(())
    }

    // Expect = #expectation                                             RFC 9110 §10.1.1
    //
    // Empty elements of a list are ignored (§5.6.1.2).
    fn expect(&mut self, value: &[u8]) -> Result<(), RequestError> {
        let elements = value.split(|&byte| byte == b',').map(trim_ows);
        for expectation in elements.filter(|element| !element.is_empty()) {
            if !expectation.eq_ignore_ascii_case(b"100-continue") {
                return Err(RequestError::Expectation);
            }
            self.head.expects_continue = true;
        }
        Ok(())
    }

    // Connection = #connection-option                                   RFC 9110 §7.6.1
    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',').map(trim_ows) {
            self.seen.close |= option.eq_ignore_ascii_case(b"close");
            self.seen.persist |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// Checks what needs the whole section: Host (RFC 9112 §3.2), framing (§6.3) and persistence
    /// (§9.3).
    fn finish(&mut self, input: &[u8]) -> Result<(), RequestError> {
        let head = &mut self.head;
        let is_1_1 = head.version == Version::Http11;
        match &self.seen.host {
            None if is_1_1 => return Err(RequestError::HostMissing),
            Some(host) if head.form != Form::Absolute => head.authority = host.clone(),
            _ => {}
        }
        debug_assert!(head.authority.end <= input.len());
        head.framing = match (&self.seen.coding, self.seen.content_length) {
            // §6.1 lets a server answer such a request and then close. We do not answer it at all,
            // since one of the two fields was meant to mislead another parser.
            (Some(_), Some(_)) => return Err(RequestError::LengthAndCoding),
            // HTTP/1.0 has no Transfer-Encoding. A client that sends it there hopes that some
            // parser ignores it (§6.1).
            (Some(_), None) if !is_1_1 => return Err(RequestError::TransferEncoding),
            (Some(Coding::Unknown), None) => return Err(RequestError::TransferCodingUnknown),
            (Some(Coding::Chunked), None) => Framing::Chunked,
            (None, Some(0) | None) => Framing::None,
            (None, Some(length)) => Framing::Length(length),
        };
        head.keep_alive = !self.seen.close && (is_1_1 || self.seen.persist);
        head.is_last = self.seen.close;
        // An HTTP/1.0 client cannot wait for a 100 (RFC 9110 §10.1.1).
        head.expects_continue &= is_1_1 && head.framing != Framing::None;
        Ok(())
    }
}

/// The error for a request line that is too long and begins with these bytes. Either its target is
/// too long (RFC 9112 §3), or already its method.
fn too_long(line: &[u8]) -> RequestError {
    match line[..line.len().min(METHOD_BYTES + 1)].contains(&b' ') {
        true => RequestError::TargetTooLong,
        false => RequestError::Method,
    }
}

// HTTP-version = HTTP-name "/" DIGIT "." DIGIT                          RFC 9112 §2.3
fn http_version(bytes: &[u8]) -> Result<Version, RequestError> {
    let [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] = bytes else {
        return Err(RequestError::Version);
    };
    match (major, minor) {
        (b'1', b'0') => Ok(Version::Http10),
        // A later minor version is answered with the highest that we know (RFC 9110 §2.5).
        (b'1', b'1'..=b'9') => Ok(Version::Http11),
        (b'2'..=b'9', b'0'..=b'9') => Err(RequestError::VersionUnsupported),
        _ => Err(RequestError::Version),
    }
}

// Transfer-Encoding = #transfer-coding                                  RFC 9112 §6.1
//
// We understand `chunked` alone. A list that ends in `chunked` shows where the body ends, but has a
// coding that we do not decode: 501. Any other list leaves the end of the body unknown: 400. Empty
// elements and parameters are refused.
fn transfer_encoding(value: &[u8]) -> Result<Coding, RequestError> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Coding::Chunked);
    }
    let mut codings = value.rsplit(|&byte| byte == b',').map(trim_ows);
    let ends_chunked = codings
        .next()
        .is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
    let others_plain = codings.all(|coding| {
        is_token(coding)
            && !coding.eq_ignore_ascii_case(b"chunked")
            && !coding.eq_ignore_ascii_case(b"identity")
    });
    match ends_chunked && others_plain {
        true => Ok(Coding::Unknown),
        false => Err(RequestError::TransferEncoding),
    }
}

#[cfg(test)]
mod tests;
