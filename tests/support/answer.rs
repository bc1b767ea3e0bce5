//! A response as the client read it, and the strict reading of its head.

use crate::shown;

/// A response: what its head said, and what body followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The minor digit of the version: 0 or 1.
    pub minor_version: u8,
    /// The status code.
    pub status: u16,
    /// The reason phrase, possibly empty.
    pub reason: String,
    /// The field lines in their order, with the names as the server wrote them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The content, after its transfer coding is removed.
    pub body: Vec<u8>,
    /// The fields after the last chunk.
    pub trailers: Vec<(String, Vec<u8>)>,
}

/// How a client finds the end of a response's body (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body: an answer to HEAD, a 1xx, 204 or 304.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks, up to the empty one.
    Chunked,
    /// All bytes until the connection ends.
    Close,
}

impl Answer {
    /// The only value of this field as text; `None` if the field is absent.
    ///
    /// # Panics
    ///
    /// If the field occurs more than once or is not UTF-8: no response of ours repeats a field by
    /// accident.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        let first = values.next()?;
        assert!(values.next().is_none(), "{name} occurs more than once");
        Some(std::str::from_utf8(first).expect("the field's value is UTF-8"))
    }

    /// Every value of this field.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let of_name = move |line: &&(String, Vec<u8>)| line.0.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(of_name)
            .map(|line| line.1.as_slice())
    }

    /// Whether a field, read as a list of tokens over all its lines, holds `token` in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The body as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// Reads a whole head, from the status line to the empty line.
    pub(crate) fn from_head(head: &[u8]) -> Result<Answer, String> {
        let mut lines = lines(head)?.into_iter();
        let status_line = lines.next().ok_or("no status line")?;
        let (minor_version, status, reason) = parse_status_line(status_line)?;
        Ok(Answer {
            minor_version,
            status,
            reason,
            headers: lines.map(parse_field_line).collect::<Result<_, _>>()?,
            body: Vec::new(),
            trailers: Vec::new(),
        })
    }

    /// The body's framing, or the reason why a server may not send it (RFC 9112 §6.1, §6.3; RFC
    /// 9110 §8.6).
    pub(crate) fn framing(&self, to_head: bool) -> Result<Framing, String> {
        let lengths: Vec<&[u8]> = self.all("content-length").collect();
        let codings: Vec<&[u8]> = self.all("transfer-encoding").collect();
        if !lengths.is_empty() && !codings.is_empty() {
            return Err("both Content-Length and Transfer-Encoding".into());
        }
        let bodiless = self.status < 200 || self.status == 204;
        if bodiless && !(lengths.is_empty() && codings.is_empty()) {
            return Err(format!(
                "{} with Content-Length or Transfer-Encoding",
                self.status
            ));
        }
        let length = match lengths.as_slice() {
            [] => None,
            [digits] => Some(parse_length(digits)?),
            _ => return Err("Content-Length more than once".into()),
        };
        let chunked = match codings.as_slice() {
            [] => false,
            [coding] if coding.eq_ignore_ascii_case(b"chunked") => true,
            _ => return Err("a Transfer-Encoding other than chunked".into()),
        };
        if to_head || bodiless || self.status == 304 {
            return Ok(Framing::None);
        }
        Ok(match (length, chunked) {
            (Some(length), _) => Framing::Length(length),
            (None, true) => Framing::Chunked,
            (None, false) => Framing::Close,
        })
    }
}

fn parse_length(digits: &[u8]) -> Result<u64, String> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(format!("Content-Length {}", shown(digits)));
    }
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| format!("Content-Length {}", shown(digits)))
}

/// The lines of `head`, each of which ends with CRLF, without the empty line at the end.
fn lines(head: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut rest = head
        .strip_suffix(b"\r\n\r\n")
        .ok_or("a head that does not end with an empty line")?;
    let mut lines = Vec::new();
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        if !rest[end..].starts_with(b"\r\n") {
            return Err(format!("a bare CR or LF in {}", shown(head)));
        }
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    Ok(lines)
}

/// `status-line = HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 §4).
fn parse_status_line(line: &[u8]) -> Result<(u8, u16, String), String> {
    let wrong = || format!("status line {}", shown(line));
    let text = std::str::from_utf8(line).map_err(|_| wrong())?;
    let rest = text.strip_prefix("HTTP/1.").ok_or_else(wrong)?;
    let minor = match rest.as_bytes() {
        [minor @ (b'0' | b'1'), b' ', _, _, _, b' ', ..] => minor - b'0',
        _ => return Err(wrong()),
    };
    let (code, reason) = (&rest.as_bytes()[2..5], &rest[6..]);
    if !code.iter().all(u8::is_ascii_digit) || code[0] == b'0' {
        return Err(wrong());
    }
    if reason.bytes().any(|byte| byte < b' ' && byte != b'\t') {
        return Err(wrong());
    }
    let status = code
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    Ok((minor, status, reason.to_owned()))
}

/// `field-line = field-name ":" OWS field-value OWS` (RFC 9112 §5).
pub(crate) fn parse_field_line(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let wrong = || format!("field line {}", shown(line));
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or_else(wrong)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if name.is_empty() || !name.iter().all(is_tchar) {
        return Err(wrong());
    }
    if value
        .iter()
        .any(|byte| byte.is_ascii_control() && *byte != b'\t')
    {
        return Err(wrong());
    }
    let name = name.iter().map(|byte| char::from(*byte)).collect();
    Ok((name, value.trim_ascii().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9112_4_and_5_heads() {
        let answer =
            Answer::from_head(b"HTTP/1.1 200 OK\r\nA: b\r\na:\t c, D \r\nE:\r\n\r\n").unwrap();
        assert_eq!((answer.minor_version, answer.status), (1, 200));
        assert_eq!(answer.reason, "OK");
        assert_eq!(answer.all("A").collect::<Vec<_>>(), [&b"b"[..], b"c, D"]);
        assert_eq!(answer.header("e"), Some(""));
        assert!(answer.has_token("a", "d") && !answer.has_token("a", "e"));
        assert_eq!(
            Answer::from_head(b"HTTP/1.0 204 \r\n\r\n").unwrap().status,
            204
        );

        for head in [
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.2 200 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: a\r\n\r\n",
        ] {
            assert!(Answer::from_head(head.as_bytes()).is_err(), "{head:?}");
        }
    }

    #[test]
    fn rfc9112_6_3_framing() {
        let framing = |head: &str, to_head| {
            Answer::from_head(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes())
                .unwrap()
                .framing(to_head)
                .ok()
        };
        for (head, plain, to_head) in [
            (
                "200 OK\r\nContent-Length: 5",
                Some(Framing::Length(5)),
                Some(Framing::None),
            ),
            (
                "200 OK\r\nTransfer-Encoding: chunked",
                Some(Framing::Chunked),
                Some(Framing::None),
            ),
            ("200 OK", Some(Framing::Close), Some(Framing::None)),
            (
                "304 Not Modified\r\nContent-Length: 5",
                Some(Framing::None),
                Some(Framing::None),
            ),
            ("204 No Content", Some(Framing::None), Some(Framing::None)),
            ("204 No Content\r\nContent-Length: 0", None, None),
            (
                "101 Switching Protocols\r\nTransfer-Encoding: chunked",
                None,
                None,
            ),
            (
                "200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
                None,
                None,
            ),
            (
                "200 OK\r\nContent-Length: 5\r\nContent-Length: 5",
                None,
                None,
            ),
            ("200 OK\r\nContent-Length: +5", None, None),
            ("200 OK\r\nTransfer-Encoding: gzip, chunked", None, None),
        ] {
            assert_eq!(framing(head, false), plain, "{head:?}");
            assert_eq!(framing(head, true), to_head, "{head:?}, to HEAD");
        }
    }
}
