//! The work that remains without a protocol, for both floors: finding the end of a request or a
//! message, and making the answer. The floors read only the length of a POST, no other field. They
//! check nothing: neither text, nor lengths, nor time.

use std::io;

use bench_task::{TEXT, asked};
use memchr::memmem::{self, Finder};

/// The first size of a connection's only buffer, which grows to the longest message.
const READ_BYTES: usize = 128 * 1024;

/// The answer for RFC 6455's own key, which the client uses.
const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

enum Mode {
    Requests,
    /// How many bytes are still to come, and how many there are in all.
    Upload(u64, u64),
    Messages,
}

/// One connection.
pub struct Floor {
    buffer: Vec<u8>,
    filled: usize,
    out: Vec<u8>,
    answer: Vec<u8>,
    end: Finder<'static>,
    mode: Mode,
    /// Bytes of a download that are still to be sent; the caller sends them.
    pub owed: u64,
    /// The connection reads no more.
    pub ends: bool,
}

impl Default for Floor {
    fn default() -> Self {
        Self {
            buffer: vec![0; READ_BYTES],
            filled: 0,
            out: Vec::new(),
            answer: [head(TEXT.len() as u64).as_bytes(), TEXT.as_bytes()].concat(),
            end: Finder::new("\r\n\r\n"),
            mode: Mode::Requests,
            owed: 0,
            ends: false,
        }
    }
}

fn head(bytes: u64) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nDate: Thu, 26 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {bytes}\r\n\r\n"
    )
}

impl Floor {
    /// The space for the next read.
    pub fn room(&mut self) -> &mut [u8] {
        if self.filled == self.buffer.len() {
            self.buffer.resize(2 * self.filled, 0);
        }
        &mut self.buffer[self.filled..]
    }

    /// Handles this many bytes that were read there, and sends the answers.
    pub fn took(
        &mut self,
        count: usize,
        mut send: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.filled += count;
        match self.mode {
            Mode::Messages => self.messages(send),
            _ => {
                self.requests();
                let sent = send(&self.out);
                self.out.clear();
                sent
            }
        }
    }

    fn requests(&mut self) {
        let mut begin = 0;
        loop {
            let here = &self.buffer[begin..self.filled];
            if let Mode::Upload(left, whole) = &mut self.mode {
                let count = (here.len() as u64).min(*left);
                *left -= count;
                begin += count as usize;
                if *left > 0 {
                    break;
                }
                let text = whole.to_string();
                self.out
                    .extend_from_slice(head(text.len() as u64).as_bytes());
                self.out.extend_from_slice(text.as_bytes());
                self.mode = Mode::Requests;
                continue;
            }
            let Some(len) = self.end.find(here) else {
                break;
            };
            let whole = len + 4;
            // The most frequent request stands first.
            if here.starts_with(b"GET / ") {
                self.out.extend_from_slice(&self.answer);
            } else if here.starts_with(b"GET /echo ") {
                self.out.extend_from_slice(UPGRADED.as_bytes());
                self.mode = Mode::Messages;
            } else if here.starts_with(b"GET /close ") {
                self.out.extend_from_slice(&self.answer);
                self.ends = true;
            } else if here.starts_with(b"POST /post ") {
                let body = content_length(&here[..whole]) as usize;
                if here.len() < whole + body {
                    break;
                }
                self.out.extend_from_slice(head(body as u64).as_bytes());
                self.out.extend_from_slice(&here[whole..whole + body]);
                begin += body;
            } else if here.starts_with(b"POST /upload ") {
                let body = content_length(&here[..whole]);
                self.mode = Mode::Upload(body, body);
            } else {
                let target = here.split(|byte| *byte == b' ').nth(1);
                self.owed = asked(std::str::from_utf8(target.unwrap_or_default()).unwrap_or(""));
                self.out.extend_from_slice(head(self.owed).as_bytes());
            }
            begin += whole;
        }
        self.buffer.copy_within(begin..self.filled, 0);
        self.filled -= begin;
    }

    /// Unmasks a frame in place and sends it from there: the header of the answer is shorter by the
    /// key.
    fn messages(&mut self, mut send: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let buffer = &mut self.buffer;
        let (mut begin, mut out) = (0, 0..0);
        while let Some((head, payload)) = frame(&buffer[begin..self.filled]) {
            // A client that has got its Close back leaves.
            self.ends |= buffer[begin] & 0x0f == 8;
            let data = begin + head + 4;
            let key: [u8; 4] = std::array::from_fn(|index| buffer[begin + head + index]);
            unmask(&mut buffer[data..data + payload], key);
            if out.is_empty() {
                out = begin + 4..begin + 4;
            }
            buffer.copy_within(begin..begin + head, out.end);
            buffer[out.end + 1] &= 0x7f;
            if out.end + head != data {
                buffer.copy_within(data..data + payload, out.end + head);
            }
            out.end += head + payload;
            begin = data + payload;
        }
        if !out.is_empty() {
            send(&buffer[out])?;
        }
        buffer.copy_within(begin..self.filled, 0);
        self.filled -= begin;
        Ok(())
    }
}

fn content_length(head: &[u8]) -> u64 {
    let digits = memmem::find(head, b"Content-Length: ").map_or(&[][..], |at| &head[at + 16..]);
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// The lengths of the header, without the key, and of the payload, if the whole frame has arrived.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (head, payload) = match bytes.get(1)? & 0x7f {
        126 => (
            4,
            u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into(),
        ),
        127 => (
            10,
            u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize,
        ),
        short => (2, short.into()),
    };
    (bytes.len() >= head + 4 + payload).then_some((head, payload))
}

fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let word = u64::from_ne_bytes(std::array::from_fn(|index| key[index % 4]));
    let mut words = payload.chunks_exact_mut(8);
    for bytes in &mut words {
        let value = u64::from_ne_bytes((&*bytes).try_into().expect("eight bytes"));
        bytes.copy_from_slice(&(value ^ word).to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}
