//! Messages that come back: `chat ADDRESS PATH BYTES CONNECTIONS DEPTH`, as told on the standard input (see `client`).
//!
//! The masked frame is made once, of ASCII text. Of the DEPTH messages in flight, all are sent at once, and again when all are
//! back. The first are compared with what was sent; later ones by their frames' headers, and counted.

use std::io::{Read, Write};
use std::net::TcpStream;

use akurai_bench::client::{Answers, Client, Result};

/// RFC 6455's own, §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().ok_or("no address")?;
    let path = args.next().ok_or("no path")?;
    let bytes: usize = args.next().ok_or("no length")?.parse()?;
    let count: usize = args.next().ok_or("no count")?.parse()?;
    let depth = args.next().ok_or("no depth")?.parse()?;
    let text: Vec<u8> = (b'a'..=b'z').cycle().take(bytes).collect();
    let masked = text.iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b);
    let mut request = header(bytes, 0x80);
    let echo = [header(bytes, 0), text.clone()].concat();
    request.extend(MASK);
    request.extend(masked);
    let mut client = Client::new(&request, depth)?;
    for _ in 0..count {
        let echoes = Echoes {
            head: echo.len() - bytes,
            echo: echo.clone(),
            at: 0,
            unchecked: depth as u64,
        };
        client.add(shake_hands(&address, &path)?, echoes)?;
    }
    client.obey_input()
}

/// A text frame's, without the key.
fn header(bytes: usize, mask_bit: u8) -> Vec<u8> {
    match bytes {
        0..=125 => vec![0x81, mask_bit | bytes as u8],
        126..=0xffff => [&[0x81, mask_bit | 126], &(bytes as u16).to_be_bytes()[..]].concat(),
        _ => [&[0x81, mask_bit | 127], &(bytes as u64).to_be_bytes()[..]].concat(),
    }
}

fn shake_hands(address: &str, path: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )?;
    let mut head = Vec::new();
    // A byte each: what follows is the connection's.
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8(head)?;
    match head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT) {
        true => Ok(stream),
        false => Err(format!("not a 101 with {ACCEPT}:\n{head}").into()),
    }
}

struct Echoes {
    /// The frame as it comes back, and its header's length.
    echo: Vec<u8>,
    head: usize,
    /// Up to where it came.
    at: usize,
    /// Frames whose content is to be compared.
    unchecked: u64,
}

impl Answers for Echoes {
    fn take(&mut self, mut bytes: &[u8]) -> Result<(u64, u64)> {
        let (mut answers, total) = (0, bytes.len() as u64);
        while !bytes.is_empty() {
            let count = bytes.len().min(self.echo.len() - self.at);
            let (here, after) = bytes.split_at(count);
            let compared = match self.unchecked {
                0 => count.min(self.head.saturating_sub(self.at)),
                _ => count,
            };
            if here[..compared] != self.echo[self.at..][..compared] {
                return Err("not what was sent".into());
            }
            self.at += count;
            if self.at == self.echo.len() {
                self.at = 0;
                answers += 1;
                self.unchecked = self.unchecked.saturating_sub(1);
            }
            bytes = after;
        }
        Ok((answers, total))
    }
}
