//! The head of a response, and chunks of its body (RFC 9112 §4, §7.1).

use crate::values::headers::Headers;
use crate::values::status::Status;

/// How the client sees where a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseFraming {
    /// The status forbids content, so no field describes any (RFC 9110 §6.4.1, §8.6).
    Bodiless,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The server closes the connection.
    Close,
}

/// What the head says about the connection (RFC 9112 §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// It persists. That is HTTP/1.1's default, so no field says it.
    Persist,
    /// It persists. HTTP/1.0 needs a field that says so.
    KeepAlive,
    /// It is closed after this response.
    Close,
    /// It leaves HTTP (RFC 9110 §7.8).
    Upgrade,
}

/// Longest part of a head that the application does not write, in bytes: status line, Date, framing
/// and Connection.
const OWN_BYTES: usize = 256;

/// Appends a whole response head, with its empty line; `headers` are the response's own.
pub(crate) fn append_head(
    status: Status,
    headers: &Headers,
    framing: ResponseFraming,
    persistence: Persistence,
    date: &[u8],
    out: &mut Vec<u8>,
) {
    out.reserve(OWN_BYTES + headers.source().len());
    append_status_line(status, out);
    if !status.is_informational() && headers.bytes("Date").is_none() {
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(date);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(headers.source());
    match framing {
        ResponseFraming::Bodiless | ResponseFraming::Close => {}
        ResponseFraming::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            append_decimal(length, out);
            out.extend_from_slice(b"\r\n");
        }
        ResponseFraming::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    // Upgrade, with 101 or 426, must be listed in Connection, since it is for the next hop alone
    // (RFC 9110 §7.8).
    let upgrade = headers.bytes("Upgrade").is_some();
    out.extend_from_slice(match (persistence, upgrade) {
        (Persistence::Persist, false) => b"\r\n",
        (Persistence::KeepAlive, false) => b"Connection: keep-alive\r\n\r\n",
        (Persistence::Close, false) => b"Connection: close\r\n\r\n",
        (Persistence::Persist | Persistence::Upgrade, _) => b"Connection: Upgrade\r\n\r\n",
        (Persistence::KeepAlive, true) => b"Connection: keep-alive, Upgrade\r\n\r\n",
        (Persistence::Close, true) => b"Connection: close, Upgrade\r\n\r\n",
    });
}

// status-line = HTTP-version SP status-code SP [ reason-phrase ]        RFC 9112 §4
fn append_status_line(status: Status, out: &mut Vec<u8>) {
    if status == Status::OK {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    append_decimal(u64::from(status.code()), out);
    out.push(b' ');
    out.extend_from_slice(status.reason().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends `chunk`, which must not be empty: an empty chunk would end the body.
pub(crate) fn append_chunk(chunk: &[u8], out: &mut Vec<u8>) {
    begin_chunk(chunk.len(), out);
    out.extend_from_slice(chunk);
    out.extend_from_slice(b"\r\n");
}

/// Appends the line before a chunk of this length, in bytes. CRLF must follow the chunk.
pub(crate) fn begin_chunk(len: usize, out: &mut Vec<u8>) {
    debug_assert!(len > 0);
    append_hex(len as u64, out);
    out.extend_from_slice(b"\r\n");
}

/// The chunk that ends a body, without trailers.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn append_decimal(number: u64, out: &mut Vec<u8>) {
    append_digits::<10>(number, out);
}

fn append_hex(number: u64, out: &mut Vec<u8>) {
    append_digits::<16>(number, out);
}

fn append_digits<const BASE: u64>(mut number: u64, out: &mut Vec<u8>) {
    // A u64 has at most 20 decimal digits.
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b"0123456789abcdef"[(number % BASE) as usize];
        number /= BASE;
        if number == 0 {
            return out.extend_from_slice(&digits[start..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, framing: ResponseFraming, persistence: Persistence, expected: &str) {
        let mut headers = Headers::default();
        headers.append(b"X-A", b"b").unwrap();
        let mut out = Vec::new();
        let status = Status::new(status);
        append_head(status, &headers, framing, persistence, b"DATE", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn heads() {
        use Persistence::*;
        check(
            200,
            ResponseFraming::Length(0),
            Persist,
            "HTTP/1.1 200 OK\r\nDate: DATE\r\nX-A: b\r\nContent-Length: 0\r\n\r\n",
        );
        check(
            200,
            ResponseFraming::Chunked,
            KeepAlive,
            "HTTP/1.1 200 OK\r\nDate: DATE\r\nX-A: b\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
        );
        check(
            799,
            ResponseFraming::Close,
            Close,
            "HTTP/1.1 799 \r\nDate: DATE\r\nX-A: b\r\nConnection: close\r\n\r\n",
        );
        check(
            101,
            ResponseFraming::Bodiless,
            Upgrade,
            "HTTP/1.1 101 Switching Protocols\r\nX-A: b\r\nConnection: Upgrade\r\n\r\n",
        );
        check(
            204,
            ResponseFraming::Bodiless,
            Persist,
            "HTTP/1.1 204 No Content\r\nDate: DATE\r\nX-A: b\r\n\r\n",
        );
    }

    #[test]
    fn numbers() {
        for (number, decimal, hex) in [
            (0, "0", "0"),
            (9, "9", "9"),
            (255, "255", "ff"),
            (u64::MAX, "18446744073709551615", "ffffffffffffffff"),
        ] {
            let mut out = Vec::new();
            append_decimal(number, &mut out);
            out.push(b' ');
            append_hex(number, &mut out);
            assert_eq!(out, format!("{decimal} {hex}").as_bytes());
        }
    }

    #[test]
    fn chunks() {
        let mut out = Vec::new();
        append_chunk(&[b'x'; 26], &mut out);
        assert_eq!(out, b"1a\r\nxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n");
    }
}
