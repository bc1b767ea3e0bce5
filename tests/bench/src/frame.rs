//! Reads the frames that a server sends, wherever reads cut them (RFC 6455 §5.2).

use crate::client::Result;

/// First bytes of whole frames.
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The key from RFC 6455 §1.3, and the server's answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The opening handshake; `fields` are whole lines.
pub fn opening(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{fields}\r\n"
    )
}

/// Fails unless the server's head accepts the handshake.
pub fn check(head: &[u8]) -> Result<()> {
    let head = std::str::from_utf8(head)?;
    match head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT) {
        true => Ok(()),
        false => Err(format!("not a 101 with {ACCEPT}:\n{head}").into()),
    }
}

/// Receives the frames. `first` is a frame's first byte.
pub trait Reader {
    /// A frame's header has arrived, with the payload's length. Returns whether the payload is
    /// wanted.
    fn begins(&mut self, first: u8, bytes: u64) -> Result<bool>;

    /// The whole frame has arrived. The payload is empty if it was not wanted.
    fn ends(&mut self, first: u8, payload: &[u8]) -> Result<()>;
}

#[derive(Default)]
pub struct Frames {
    head: [u8; 10],
    /// How many bytes of the head have arrived.
    filled: usize,
    /// The head has arrived, and a part of the payload is still to come.
    amid: bool,
    left: u64,
    wanted: bool,
    /// The parts of a payload that reads have cut.
    cut: Vec<u8>,
}

impl Frames {
    pub fn take(&mut self, mut bytes: &[u8], reader: &mut impl Reader) -> Result<()> {
        while let [byte, rest @ ..] = bytes {
            if !self.amid {
                self.head[self.filled] = *byte;
                self.filled += 1;
                bytes = rest;
                let Some(left) = payload_len(&self.head[..self.filled]) else {
                    continue;
                };
                self.filled = 0;
                self.amid = true;
                self.left = left;
                self.wanted = reader.begins(self.head[0], left)?;
            }
            let count = self.left.min(bytes.len() as u64);
            let (here, after) = bytes.split_at(count as usize);
            bytes = after;
            self.left -= count;
            if self.wanted && (self.left > 0 || !self.cut.is_empty()) {
                self.cut.extend_from_slice(here);
            }
            if self.left == 0 {
                self.amid = false;
                match (self.wanted, self.cut.is_empty()) {
                    (false, _) => reader.ends(self.head[0], &[])?,
                    (true, true) => reader.ends(self.head[0], here)?,
                    (true, false) => reader.ends(self.head[0], &self.cut)?,
                }
                self.cut.clear();
            }
        }
        Ok(())
    }
}

/// The payload's length, if the head is whole.
fn payload_len(head: &[u8]) -> Option<u64> {
    match (head.get(1)? & 0x7f, &head[2..]) {
        (126, len) => Some(u16::from_be_bytes(len.try_into().ok()?).into()),
        (127, len) => Some(u64::from_be_bytes(len.try_into().ok()?)),
        (len, _) => Some(len.into()),
    }
}

/// A client's frame.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        bytes @ 0..=125 => frame.push(0x80 | bytes as u8),
        bytes @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((bytes as u16).to_be_bytes());
        }
        bytes => {
            frame.push(0x80 | 127);
            frame.extend((bytes as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b));
    frame
}

/// The error text for a server's Close.
pub fn closed(payload: &[u8]) -> String {
    let code = payload
        .first_chunk()
        .map_or(1005, |code| u16::from_be_bytes(*code));
    format!("the server closed: {code}")
}
