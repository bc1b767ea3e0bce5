//! What any server must do that has a thread for each connection: read, find where a request ends, write, answers to what came
//! together together. No field is looked at and nothing is checked, neither text nor lengths nor time.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use akurai_bench::{TEXT, end_with_input};
use memchr::memmem;

/// Of a connection's only buffer, until a message is longer.
const READ_BYTES: usize = 128 * 1024;

/// Of RFC 6455's own key, which the client has.
const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    end_with_input();
    loop {
        let (stream, _) = listener.accept()?;
        thread::spawn(move || serve(stream));
    }
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nDate: Thu, 26 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\n\r\n{TEXT}",
        TEXT.len()
    );
    let end = memmem::Finder::new("\r\n\r\n");
    let mut buffer = vec![0; READ_BYTES];
    let mut out = Vec::new();
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let mut begin = 0;
        while let Some(len) = end.find(&buffer[begin..filled]) {
            if buffer[begin..].starts_with(b"GET /echo ") {
                stream.write_all(UPGRADED.as_bytes())?;
                return echo(stream, buffer);
            }
            out.extend_from_slice(answer.as_bytes());
            begin += len + 4;
        }
        stream.write_all(&out)?;
        out.clear();
        buffer.copy_within(begin..filled, 0);
        filled -= begin;
    }
}

/// A frame is unmasked where it lies, and what goes out as well: its header is shorter by the key.
fn echo(mut stream: TcpStream, mut buffer: Vec<u8>) -> io::Result<()> {
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            buffer.resize(2 * filled, 0);
        }
        let count = stream.read(&mut buffer[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let (mut begin, mut out) = (0, 0..0);
        while let Some((head, payload)) = frame(&buffer[begin..filled]) {
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
        stream.write_all(&buffer[out])?;
        buffer.copy_within(begin..filled, 0);
        filled -= begin;
    }
}

/// The lengths of header, without the key, and payload of a frame that is here whole.
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
