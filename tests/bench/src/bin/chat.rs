//! Echoed messages: `chat ADDRESS PATH BYTES CONNECTIONS DEPTH [OPTION...]`, with commands on the
//! standard input (see `client`).
//!
//! - `--binary`: instead of text
//! - `--deflate`: compressed, and the server is to compress what it finds worth it
//! - `--tls DIRECTORY`: by TLS, see `tls`
//! - `--handshake`: no message, but a connection for each opening handshake and the closing one
//!
//! The client makes its masked frame once, from rows of JSON. It sends all DEPTH messages in flight
//! at once, and again when all their echoes have arrived. It compares the first echoes with the
//! sent message; of later ones it checks the frames' headers, and counts them.

use std::borrow::Cow;
use std::net::TcpStream;
use std::path::Path;
use std::rc::Rc;

use akurai_bench::client::{Answers, Client, Request, Result, told};
use akurai_bench::frame::{
    BINARY, CLOSE, Frames, PING, PONG, Reader, TEXT, check, closed, masked, opening,
};
use akurai_bench::tls::{self, Tls};
use akurai_bench::wire::{Wire, connect};
use miniz_oxide::MZFlush;
use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::inflate::decompress_to_vec;

const EXTENSION: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n";

/// One read of the server's head.
const OPENING_BYTES: usize = 64 * 1024;

fn main() -> Result<()> {
    told(run)
}

fn run() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().ok_or("no address")?;
    let path = args.next().ok_or("no path")?;
    let bytes: usize = args.next().ok_or("no length")?.parse()?;
    let count: usize = args.next().ok_or("no count")?.parse()?;
    let depth = args.next().ok_or("no depth")?.parse()?;
    let (mut first, mut compressed, mut handshake, mut tls) = (TEXT, false, false, None);
    while let Some(option) = args.next() {
        match option.as_str() {
            "--binary" => first = BINARY,
            "--deflate" => compressed = true,
            "--handshake" => handshake = true,
            "--tls" => {
                let directory = args.next().ok_or("no directory")?;
                tls = Some(tls::client(Path::new(&directory), false)?);
            }
            _ => return Err(format!("{option} is no option").into()),
        }
    }
    let opening = opening(&path, if compressed { EXTENSION } else { "" });
    if handshake {
        let mut client = Client::new(Request {
            churn: Some(address.parse()?),
            farewell: masked(CLOSE, &1000_u16.to_be_bytes()),
            tls: tls.clone(),
            ..Request::repeated(opening.as_bytes(), 1)
        })?;
        for _ in 0..count {
            client.add(connect(&address, tls.as_ref())?, Handshakes::default())?;
        }
        return client.obey_input();
    }
    let text: Rc<[u8]> = rows(bytes).into();
    let request = match compressed {
        true => masked(first | 0x40, &compress(&text)),
        false => masked(first, &text),
    };
    let mut client = Client::new(Request::repeated(&request, depth))?;
    for _ in 0..count {
        let check = Check {
            text: Rc::clone(&text),
            first,
            compressed,
            unchecked: depth as u64,
            answers: 0,
            pong: None,
        };
        let frames = Frames::default();
        let echoes = Echoes { frames, check };
        client.add(open(&address, &opening, compressed, tls.as_ref())?, echoes)?;
    }
    client.obey_input()
}

/// This many bytes of ASCII.
fn rows(bytes: usize) -> Vec<u8> {
    let (mut text, mut seed, mut id) = (Vec::new(), 1_u32, 0);
    while text.len() < bytes {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (user, value) = (seed >> 22, seed >> 8 & 0x3fff);
        text.extend(format!("{{\"id\":{id},\"user\":\"u{user}\",\"value\":{value}}}\n").bytes());
        id += 1;
    }
    text.truncate(bytes);
    text
}

/// In the form of RFC 7692 §7.2.1.
fn compress(text: &[u8]) -> Vec<u8> {
    let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(6, -15, 0));
    let mut out = vec![0; text.len() + 1024];
    let result = deflate(&mut compressor, text, &mut out, MZFlush::Sync);
    assert_eq!(result.bytes_consumed, text.len());
    out.truncate(result.bytes_written);
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

fn open(
    address: &str,
    opening: &str,
    compressed: bool,
    tls: Option<&Tls>,
) -> Result<Wire<TcpStream>> {
    let mut stream = connect(address, tls)?;
    stream.write_all(opening.as_bytes())?;
    let (mut head, mut buffer) = (Vec::new(), vec![0; OPENING_BYTES]);
    // No server sends a frame before the first message.
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Err("the server closed a connection".into()),
            count => head.extend_from_slice(&buffer[..count]),
        }
    }
    check(&head)?;
    let agreed = String::from_utf8(head)?.contains("permessage-deflate");
    match agreed == compressed {
        true => Ok(stream),
        false => Err("the server does not compress".into()),
    }
}

struct Echoes {
    frames: Frames,
    check: Check,
}

struct Check {
    text: Rc<[u8]>,
    /// The first byte of the sent frame, without compression.
    first: u8,
    compressed: bool,
    /// Frames whose content is still to be compared.
    unchecked: u64,
    answers: u64,
    /// The answer to a ping.
    pong: Option<Vec<u8>>,
}

impl Answers for Echoes {
    fn take(&mut self, bytes: &[u8]) -> Result<(u64, u64)> {
        self.frames.take(bytes, &mut self.check)?;
        Ok((std::mem::take(&mut self.check.answers), bytes.len() as u64))
    }

    fn reply(&mut self) -> Option<Vec<u8>> {
        self.check.pong.take()
    }
}

impl Reader for Check {
    fn begins(&mut self, first: u8, bytes: u64) -> Result<bool> {
        let plain = first == self.first && bytes == self.text.len() as u64;
        let echo = plain || self.compressed && first == self.first | 0x40;
        match echo || first == CLOSE || first == PING {
            true => Ok(!echo || self.unchecked > 0),
            false => Err(format!("not what was sent: {first:#x}, {bytes} bytes").into()),
        }
    }

    fn ends(&mut self, first: u8, payload: &[u8]) -> Result<()> {
        match first {
            CLOSE => return Err(closed(payload).into()),
            PING => self.pong = Some(masked(PONG, payload)),
            _ => {
                self.answers += 1;
                if self.unchecked > 0 {
                    self.unchecked -= 1;
                    if *text_of(first, payload) != *self.text {
                        return Err("not what was sent".into());
                    }
                }
            }
        }
        Ok(())
    }
}

fn text_of(first: u8, payload: &[u8]) -> Cow<'_, [u8]> {
    match first & 0x40 {
        0 => payload.into(),
        _ => {
            // The bytes that RFC 7692 §7.2.2 appends, and an empty last block.
            let ended = [payload, &[0, 0, 0xff, 0xff, 3, 0]].concat();
            decompress_to_vec(&ended).unwrap_or_default().into()
        }
    }
}

/// The handshakes of one connection; the server's head is the answer.
#[derive(Default)]
struct Handshakes {
    head: Vec<u8>,
    frames: Frames,
}

impl Answers for Handshakes {
    fn take(&mut self, bytes: &[u8]) -> Result<(u64, u64)> {
        if self.head.ends_with(b"\r\n\r\n") {
            self.frames.take(bytes, &mut OnlyClose)?;
            return Ok((0, 0));
        }
        self.head.extend_from_slice(bytes);
        if !self.head.ends_with(b"\r\n\r\n") {
            return Ok((0, 0));
        }
        check(&self.head)?;
        Ok((1, 0))
    }

    fn renew(&mut self) {
        *self = Self::default();
    }
}

struct OnlyClose;

impl Reader for OnlyClose {
    fn begins(&mut self, first: u8, bytes: u64) -> Result<bool> {
        match first {
            CLOSE => Ok(false),
            _ => Err(format!("not a Close: {first:#x}, {bytes} bytes").into()),
        }
    }

    fn ends(&mut self, _: u8, _: &[u8]) -> Result<()> {
        Ok(())
    }
}
