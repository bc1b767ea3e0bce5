//! RESP2, which Redis and Valkey speak: encodes commands, and decodes replies. Pure, like a
//! `codec/`.
//!
//! A reply may arrive in pieces of any size, and its size is limited. The decoder skips a bulk
//! string that would take a reply past the limit, and returns [`Reply::TooLong`] in its place. So
//! one huge value costs neither the memory nor the connection.

use std::fmt;
use std::mem;

// reply   = simple / error / integer / bulk / array
// simple  = "+" line CRLF
// error   = "-" line CRLF
// integer = ":" ["-"] 1*DIGIT CRLF
// bulk    = "$" length CRLF length(OCTET) CRLF / "$-1" CRLF
// array   = "*" count CRLF count(reply) / "*-1" CRLF
// https://redis.io/docs/latest/develop/reference/protocol-spec/

/// Longest line: a simple string, an error or a number, in bytes.
const LINE_BYTES: usize = 16 * 1024;

/// Longest bulk string, in bytes: the default limit of a server (`proto-max-bulk-len`).
const BULK_BYTES: u64 = 512 << 20;

/// A bulk string longer than this, in bytes, may not use the last eighth of a reply's limit. That
/// part is for short ones: ids and names of fields, without which the rest would have no meaning.
const SHORT_BYTES: u64 = 64;

/// Deepest array within arrays: XREAD's reply is streams, their entries, an entry, its fields.
const DEPTH: usize = 8;

/// One reply of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    /// A bulk string of this many bytes, which the decoder skipped.
    TooLong(u64),
    Array(Vec<Reply>),
    Nil,
}

/// The bytes are no reply, or the reply is beyond the limits. The connection is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Violation {
    /// The reply begins with this unknown byte.
    Type(u8),
    Line,
    Number,
    /// A bulk string does not end at its stated length.
    BulkEnd,
    TooLong,
    TooDeep,
}

/// Takes replies out of the received bytes.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// Most bytes of one reply that the decoder keeps. An element counts with its size in memory.
    reply_bytes: usize,
    received: Vec<u8>,
    /// How many received bytes are used up, and how far the decoder has searched the line after
    /// them.
    used: usize,
    scanned: usize,
    /// The incomplete arrays, from the outermost to the innermost.
    open: Vec<Open>,
    bulk: Option<Bulk>,
    held: usize,
}

#[derive(Debug)]
struct Open {
    left: u64,
    items: Vec<Reply>,
}

/// A bulk string whose length was read.
#[derive(Debug, Clone, Copy)]
enum Bulk {
    Keep(usize),
    /// How many bytes are left of it, not counting its CRLF.
    Skip {
        left: u64,
        len: u64,
    },
}

impl Decoder {
    pub(crate) fn new(reply_bytes: usize) -> Decoder {
        Decoder {
            reply_bytes,
            received: Vec::new(),
            used: 0,
            scanned: 0,
            open: Vec::new(),
            bulk: None,
            held: 0,
        }
    }

    /// Adds received bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        if self.used == self.received.len() {
            self.received.clear();
        } else if self.used > self.received.len() / 2 {
            self.received.drain(..self.used);
        } else {
            self.received.extend_from_slice(bytes);
            return;
        }
        self.used = 0;
        // Small replies do not need the memory that one large reply took.
        if self.received.capacity() > 1 << 20 && self.received.len() < 1 << 16 {
            self.received.shrink_to(1 << 16);
        }
        self.received.extend_from_slice(bytes);
    }

    /// The next reply, if it is complete.
    pub(crate) fn next(&mut self) -> Result<Option<Reply>, Violation> {
        while let Some(item) = self.item()? {
            if let Some(reply) = self.complete(item) {
                self.held = 0;
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// The next item: a reply that is not an array with elements. The elements of an array come
    /// after it.
    fn item(&mut self) -> Result<Option<Reply>, Violation> {
        loop {
            if let Some(bulk) = self.bulk {
                return self.bulk(bulk);
            }
            let Some(line) = self.line()? else {
                return Ok(None);
            };
            let (kind, text) = self.received[line.0..line.1]
                .split_first()
                .ok_or(Violation::Line)?;
            let words = || String::from_utf8_lossy(text).into_owned();
            let item = match kind {
                b'+' => Reply::Simple(words()),
                b'-' => Reply::Error(words()),
                b':' => Reply::Integer(number(text)?),
                b'$' => match length(text)? {
                    Some(len) if len > BULK_BYTES => return Err(Violation::TooLong),
                    Some(len) => {
                        self.bulk = Some(self.admit(len)?);
                        continue;
                    }
                    None => Reply::Nil,
                },
                b'*' => match length(text)? {
                    None => Reply::Nil,
                    Some(0) => Reply::Array(Vec::new()),
                    Some(_) if self.open.len() == DEPTH => return Err(Violation::TooDeep),
                    Some(left) => {
                        self.hold(0)?;
                        // Allocates nothing for a count that is only claimed.
                        let items = Vec::new();
                        self.open.push(Open { left, items });
                        continue;
                    }
                },
                &other => return Err(Violation::Type(other)),
            };
            self.hold(text.len())?;
            return Ok(Some(item));
        }
    }

    /// Where the next line begins and ends, if it is complete.
    fn line(&mut self) -> Result<Option<(usize, usize)>, Violation> {
        let from = self.used + self.scanned;
        let is_end = |byte: &u8| *byte == b'\r' || *byte == b'\n';
        let Some(at) = self.received[from..].iter().position(is_end) else {
            self.scanned = self.received.len() - self.used;
            return match self.scanned > LINE_BYTES {
                true => Err(Violation::TooLong),
                false => Ok(None),
            };
        };
        let (begin, end) = (self.used, from + at);
        self.scanned = end - begin;
        if self.scanned > LINE_BYTES {
            return Err(Violation::TooLong);
        }
        match (self.received[end], self.received.get(end + 1)) {
            (b'\r', None) => Ok(None),
            (b'\r', Some(b'\n')) => {
                self.used = end + 2;
                self.scanned = 0;
                Ok(Some((begin, end)))
            }
            _ => Err(Violation::Line),
        }
    }

    fn admit(&mut self, len: u64) -> Result<Bulk, Violation> {
        let left = match len > SHORT_BYTES {
            true => self.reply_bytes / 8,
            false => 0,
        };
        let room = self.reply_bytes.saturating_sub(self.held + left);
        match usize::try_from(len) {
            Ok(len) if len.saturating_add(mem::size_of::<Reply>()) <= room => {
                self.hold(len)?;
                Ok(Bulk::Keep(len))
            }
            _ => {
                self.hold(0)?;
                Ok(Bulk::Skip { left: len, len })
            }
        }
    }

    fn bulk(&mut self, bulk: Bulk) -> Result<Option<Reply>, Violation> {
        let waiting = &self.received[self.used..];
        let (item, taken) = match bulk {
            Bulk::Keep(len) if waiting.len() < len + 2 => return Ok(None),
            Bulk::Keep(len) => (Reply::Bulk(waiting[..len].to_vec()), len),
            Bulk::Skip { left, len } => {
                let taken = (waiting.len() as u64).min(left);
                let rest = left - taken;
                // At most what is there, so that it fits.
                let taken = taken as usize;
                if rest > 0 || waiting.len() < taken + 2 {
                    self.used += taken;
                    self.bulk = Some(Bulk::Skip { left: rest, len });
                    return Ok(None);
                }
                (Reply::TooLong(len), taken)
            }
        };
        if &waiting[taken..taken + 2] != b"\r\n" {
            return Err(Violation::BulkEnd);
        }
        self.used += taken + 2;
        self.bulk = None;
        Ok(Some(item))
    }

    /// Adds an item to its array. Returns the outermost reply if this completes it.
    fn complete(&mut self, mut item: Reply) -> Option<Reply> {
        while let Some(open) = self.open.last_mut() {
            open.items.push(item);
            open.left -= 1;
            if open.left > 0 {
                return None;
            }
            item = Reply::Array(mem::take(&mut open.items));
            self.open.pop();
        }
        Some(item)
    }

    fn hold(&mut self, bytes: usize) -> Result<(), Violation> {
        self.held += bytes + mem::size_of::<Reply>();
        match self.held > self.reply_bytes {
            true => Err(Violation::TooLong),
            false => Ok(()),
        }
    }
}

/// The length of a bulk string or an array; `None` for -1, which means null.
fn length(text: &[u8]) -> Result<Option<u64>, Violation> {
    match number(text)? {
        -1 => Ok(None),
        count => u64::try_from(count)
            .map(Some)
            .map_err(|_| Violation::Number),
    }
}

fn number(text: &[u8]) -> Result<i64, Violation> {
    let text = std::str::from_utf8(text).map_err(|_| Violation::Number)?;
    // `parse` would take a plus sign too.
    match text.starts_with('+') {
        true => Err(Violation::Number),
        false => text.parse().map_err(|_| Violation::Number),
    }
}

/// Appends a command: an array of bulk strings.
pub(crate) fn command<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Violation::Type(_) => "a reply is of no known type",
            Violation::Line => "a line does not end in CRLF",
            Violation::Number => "a length is no number",
            Violation::BulkEnd => "a string does not end where it should",
            Violation::TooLong => "a reply is too long",
            Violation::TooDeep => "a reply has too many levels",
        })
    }
}

impl std::error::Error for Violation {}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.into())
    }

    /// The replies; the bytes are fed whole and byte by byte.
    #[track_caller]
    fn check(bytes: &[u8], expected: Result<&[Reply], Violation>) {
        for piece in [bytes.len(), 1] {
            let mut decoder = Decoder::new(1000);
            let mut replies = Vec::new();
            let mut failed = None;
            'all: for bytes in bytes.chunks(piece) {
                decoder.feed(bytes);
                loop {
                    match decoder.next() {
                        Ok(Some(reply)) => replies.push(reply),
                        Ok(None) => break,
                        Err(violation) => {
                            failed = Some(violation);
                            break 'all;
                        }
                    }
                }
            }
            match expected {
                Ok(expected) => assert_eq!((&*replies, failed), (expected, None)),
                Err(violation) => assert_eq!(failed, Some(violation), "{replies:?}"),
            }
        }
    }

    #[test]
    fn replies() {
        let text = b"+OK\r\n-ERR no\r\n:-12\r\n$5\r\na\r\nbc\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n";
        let expected = [
            Reply::Simple("OK".into()),
            Reply::Error("ERR no".into()),
            Reply::Integer(-12),
            bulk("a\r\nbc"),
            bulk(""),
            Reply::Nil,
            Reply::Nil,
            Reply::Array(Vec::new()),
        ];
        check(text, Ok(&expected));
        let nested = [
            Reply::Array(vec![
                Reply::Array(vec![bulk("x"), Reply::Array(Vec::new())]),
                Reply::Integer(1),
            ]),
            Reply::Simple(String::new()),
        ];
        check(b"*2\r\n*2\r\n$1\r\nx\r\n*0\r\n:1\r\n+\r\n", Ok(&nested));
        // Half a reply is not a reply yet.
        check(b"*2\r\n:1\r\n", Ok(&[]));
        check(b"$3\r\nab", Ok(&[]));
        // The same where an address has 32 bits.
        check(b"*9223372036854775807\r\n:1\r\n", Ok(&[]));
    }

    #[test]
    fn what_is_no_reply() {
        for (bytes, violation) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], Violation::Type(b'H')),
            (b"\r\n", Violation::Line),
            (b"+a\n", Violation::Line),
            (b"+a\rb", Violation::Line),
            (b":\r\n", Violation::Number),
            (b":+1\r\n", Violation::Number),
            (b":1 \r\n", Violation::Number),
            (b"$-2\r\n", Violation::Number),
            (b"*9223372036854775808\r\n", Violation::Number),
            (b"$1\r\nab\r\n", Violation::BulkEnd),
            (b"$536870913\r\n", Violation::TooLong),
            (&[b'+'; LINE_BYTES + 2], Violation::TooLong),
            (&b"*1\r\n".repeat(9), Violation::TooDeep),
            // Many small elements are limited in the same way as one long one.
            (
                &[&b"*99\r\n"[..], &b":1\r\n".repeat(99)].concat(),
                Violation::TooLong,
            ),
        ] {
            check(bytes, Err(violation));
        }
    }

    #[test]
    fn a_long_string_is_read_over_and_what_follows_is_whole() {
        let mut text = b"*3\r\n$2000\r\n".to_vec();
        text.extend_from_slice(&[b'x'; 2000]);
        text.extend_from_slice(b"\r\n$1\r\na\r\n:7\r\n+OK\r\n");
        let expected = [
            Reply::Array(vec![Reply::TooLong(2000), bulk("a"), Reply::Integer(7)]),
            Reply::Simple("OK".into()),
        ];
        check(&text, Ok(&expected));
    }

    #[test]
    fn what_stands_around_long_strings_is_whole() {
        // The long ones nearly fill the limit, and short ones still have room.
        for long in (8_000..10_000).step_by(7) {
            let mut text = b"*6\r\n".to_vec();
            for len in [long, 2_000] {
                text.extend_from_slice(format!("$3\r\n1-0\r\n${len}\r\n").as_bytes());
                text.resize(text.len() + len, b'x');
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"$1\r\na\r\n:7\r\n");
            let mut decoder = Decoder::new(10_000);
            decoder.feed(&text);
            let Ok(Some(Reply::Array(items))) = decoder.next() else {
                panic!("{long} bytes are too much");
            };
            assert_eq!((&items[0], &items[2]), (&bulk("1-0"), &bulk("1-0")));
            assert_eq!(items[4..], [bulk("a"), Reply::Integer(7)], "{long}");
        }
    }

    #[test]
    fn nothing_is_set_aside_for_what_is_claimed() {
        let mut decoder = Decoder::new(1 << 30);
        decoder.feed(b"*1000000000\r\n$500000000\r\nabc");
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.received.capacity() < 1000);
        assert_eq!(decoder.open[0].items.capacity(), 0);
    }

    #[test]
    fn commands() {
        let mut out = Vec::new();
        command(&mut out, &["XADD", "a b", ""]);
        assert_eq!(out, b"*3\r\n$4\r\nXADD\r\n$3\r\na b\r\n$0\r\n\r\n");
    }
}
