//! An answer as a client reads it: its head, and how its body is framed (RFC 9112 §6.3).

use std::borrow::Cow;
use std::io;
use std::time::Instant;

use super::input::Input;
use crate::codec::gzip::GzipDecoder;
use crate::values::field::trim_ows;
use crate::{Headers, Status};

/// Longest body that a client takes, in bytes.
const MAX_BODY_BYTES: usize = 256 << 20;

/// An answer, as it came over the connection.
#[derive(Debug, Clone)]
pub struct Answer {
    status: Status,
    headers: Headers,
    body: Vec<u8>,
    interim: Vec<(Status, Headers)>,
}

impl Answer {
    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// All fields, those that the server adds included.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The first field of this name, if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The whole body, without its chunked framing. A gzip body, which a server sends only if the
    /// request has `Accept-Encoding: gzip`, is decompressed; but not that of a range (206). Empty
    /// if the answer has none, as the answer to `HEAD`.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as text. Bytes that are not UTF-8 are replaced by `U+FFFD`.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The heads that came before this answer, `100 Continue` for example (RFC 9110 §15.2).
    pub fn interim(&self) -> &[(Status, Headers)] {
        &self.interim
    }

    /// Whether the server announces that it closes the connection after this answer.
    pub(super) fn is_last(&self) -> bool {
        let close = |option: &[u8]| option.eq_ignore_ascii_case(b"close");
        self.headers.tokens("Connection").any(close)
    }

    pub(super) fn new(interim: Vec<(Status, Headers)>, head: (Status, Headers)) -> Answer {
        Answer {
            status: head.0,
            headers: head.1,
            body: Vec::new(),
            interim,
        }
    }

    /// The same answer with the rest of its body, which must come before the deadline.
    pub(super) fn with_rest(
        mut self,
        mut rest: BodyRest,
        input: &mut Input,
        deadline: Instant,
    ) -> io::Result<Answer> {
        while let Some(piece) = rest.next(input, deadline)? {
            self.body.extend_from_slice(&piece);
            if self.body.len() > MAX_BODY_BYTES {
                return Err(input.invalid("the body has more than 256 MiB"));
            }
        }
        Ok(self)
    }
}

/// Parses a head without its last, empty line.
pub(super) fn parse_head(head: &[u8]) -> Result<(Status, Headers), String> {
    let text = String::from_utf8_lossy(head).into_owned();
    let mut lines = head.split(|&byte| byte == b'\n');
    let begin = lines.next().unwrap_or_default();
    let code = begin
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|rest| match rest {
            [code @ .., b'\r'] => code.get(..4)?.strip_suffix(b" "),
            _ => None,
        });
    let code = code.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok());
    let Some(code @ 100..=999) = code else {
        return Err(format!("no status line: {text:?}"));
    };
    let mut headers = Headers::default();
    for line in lines.filter(|line| !line.is_empty()) {
        let line = line.strip_suffix(b"\r");
        let colon = line.and_then(|line| line.iter().position(|&byte| byte == b':'));
        let (Some(line), Some(colon)) = (line, colon) else {
            return Err(format!("a line of the head is no field: {text:?}"));
        };
        headers
            .append(&line[..colon], trim_ows(&line[colon + 1..]))
            .map_err(|error| format!("{error}: {text:?}"))?;
    }
    Ok((Status::new(code), headers))
}

/// What is left of an answer's body.
#[derive(Debug)]
pub(super) struct BodyRest {
    framing: Framed,
    gzip: Option<GzipDecoder>,
    /// No byte of the body has come yet.
    is_empty: bool,
}

#[derive(Debug, Clone, Copy)]
enum Framed {
    Over,
    /// This many bytes are left.
    Length(u64),
    /// The line with a chunk's size comes next.
    ChunkSize,
    /// This many bytes of a chunk are left, and then its line end.
    Chunk(u64),
    /// It ends with the connection.
    Close,
}

impl BodyRest {
    /// The body behind this head, which answers a `HEAD` request if `is_head`.
    pub(super) fn of(answer: &Answer, is_head: bool) -> Result<BodyRest, String> {
        let (status, headers) = (answer.status, &answer.headers);
        let length = headers.get("Content-Length");
        let framing = match (headers.get("Transfer-Encoding"), length) {
            _ if is_head || status.is_bodiless() => Framed::Over,
            (Some("chunked"), None) => Framed::ChunkSize,
            (Some(coding), _) => return Err(format!("a Transfer-Encoding {coding:?}")),
            // Not only `parse`, which takes a sign.
            (None, Some(length)) => match length.parse() {
                _ if !length.bytes().all(|byte| byte.is_ascii_digit()) => {
                    return Err(format!("a Content-Length {length:?}"));
                }
                Ok(length) if headers.all("Content-Length").count() == 1 => Framed::Length(length),
                _ => return Err(format!("a Content-Length {length:?}")),
            },
            (None, None) if answer.is_last() => Framed::Close,
            (None, None) => return Err("neither a length nor Connection: close".to_owned()),
        };
        let is_gzip = headers.get("Content-Encoding") == Some("gzip")
            && status.code() != 206
            && !matches!(framing, Framed::Over);
        Ok(BodyRest {
            framing,
            gzip: is_gzip.then(GzipDecoder::default),
            is_empty: true,
        })
    }

    /// The next bytes, decompressed; `None` at the body's end. They may be empty.
    pub(super) fn next(
        &mut self,
        input: &mut Input,
        deadline: Instant,
    ) -> io::Result<Option<Vec<u8>>> {
        let Some(piece) = self.next_framed(input, deadline)? else {
            // An event stream may end anywhere.
            let has_end = !matches!(self.framing, Framed::Close);
            return match &self.gzip {
                Some(gzip) if has_end && !self.is_empty && !gzip.is_over() => {
                    Err(input.invalid("the gzip body is cut off"))
                }
                _ => Ok(None),
            };
        };
        self.is_empty &= piece.is_empty();
        let Some(gzip) = &mut self.gzip else {
            return Ok(Some(piece));
        };
        let mut content = Vec::new();
        match gzip.decompress(&piece, &mut content) {
            Ok(()) => Ok(Some(content)),
            Err(told) => Err(input.invalid(format_args!("the body is not gzip: {told}"))),
        }
    }

    fn next_framed(&mut self, input: &mut Input, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
        loop {
            match self.framing {
                Framed::Over => return Ok(None),
                Framed::Length(0) => self.framing = Framed::Over,
                Framed::Chunk(0) => {
                    if !input.line(deadline)?.is_empty() {
                        return Err(input.invalid("a chunk is longer than its size says"));
                    }
                    self.framing = Framed::ChunkSize;
                }
                Framed::ChunkSize => {
                    let size = input.line(deadline)?;
                    let hex = std::str::from_utf8(&size).ok();
                    let hex = hex.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
                    match hex.and_then(|hex| u64::from_str_radix(hex, 16).ok()) {
                        Some(0) => {
                            while !input.line(deadline)?.is_empty() {} // Trailers.
                            self.framing = Framed::Over;
                        }
                        Some(size) => self.framing = Framed::Chunk(size),
                        None => {
                            let size = String::from_utf8_lossy(&size);
                            return Err(input.invalid(format_args!("a chunk's size {size:?}")));
                        }
                    }
                }
                Framed::Length(left) => {
                    let piece = input.piece(left, deadline)?;
                    self.framing = Framed::Length(left - piece.len() as u64);
                    return Ok(Some(piece));
                }
                Framed::Chunk(left) => {
                    let piece = input.piece(left, deadline)?;
                    self.framing = Framed::Chunk(left - piece.len() as u64);
                    return Ok(Some(piece));
                }
                Framed::Close => return input.rest(deadline),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::io::clock::after;
    use crate::io::transport::Transport;

    /// The body that a client reads, or why it reads none.
    fn read(fields: &str, body: &str) -> Result<Vec<u8>, String> {
        let (ours, _theirs) = Transport::pair().expect("the system has sockets");
        let wait = Duration::from_secs(1);
        let mut input = Input {
            transport: Arc::new(ours),
            unread: body.as_bytes().to_vec(),
            wait,
            asked: "GET /".to_owned(),
        };
        let head = parse_head(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes())?;
        let answer = Answer::new(Vec::new(), head);
        let rest = BodyRest::of(&answer, false)?;
        let answer = answer.with_rest(rest, &mut input, after(wait));
        answer
            .map(|answer| answer.body)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn rfc9112_lengths_have_no_sign() {
        assert_eq!(
            read("Content-Length: 5", "12345").as_deref(),
            Ok(&b"12345"[..])
        );
        let chunked = "Transfer-Encoding: chunked";
        let chunks = "a\r\n1234567890\r\n0\r\n\r\n";
        assert_eq!(read(chunked, chunks).as_deref(), Ok(&b"1234567890"[..]));
        let told = read("Content-Length: +5", "12345");
        assert_eq!(told, Err("a Content-Length \"+5\"".to_owned()));
        let told = read(chunked, &format!("+{chunks}"));
        assert_eq!(told, Err("GET /: a chunk's size \"+a\"".to_owned()));
    }

    #[test]
    fn an_empty_body_is_no_gzip_that_is_cut_off() {
        let coded = "Content-Encoding: gzip\r\nContent-Length: ";
        assert_eq!(read(&format!("{coded}0"), "").as_deref(), Ok(&b""[..]));
        let cut = read(&format!("{coded}1"), "\x1f");
        assert_eq!(cut, Err("GET /: the gzip body is cut off".to_owned()));
    }
}
