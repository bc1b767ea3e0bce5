//! The least work of any server with a thread for each connection and without `sendfile`: open, ask
//! for the length, read pieces into a lasting buffer, write them, close. It parses only the path,
//! and checks nothing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use bench_task::{end_with_input, root};

const DEFAULT_PIECE_BYTES: usize = 256 * 1024;

/// Room for the head, in front of the first piece.
const HEAD_BYTES: usize = 256;

/// `floor-files DIR [PIECE_BYTES]`
fn main() -> io::Result<()> {
    let root = root();
    let piece = std::env::args().nth(2).and_then(|bytes| bytes.parse().ok());
    let piece = piece.unwrap_or(DEFAULT_PIECE_BYTES);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    end_with_input();
    loop {
        let (stream, _) = listener.accept()?;
        let root = root.clone();
        thread::spawn(move || serve(stream, &root, piece));
    }
}

fn serve(mut stream: TcpStream, root: &str, piece: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; HEAD_BYTES + piece];
    loop {
        let count = stream.read(&mut buffer)?;
        let request = std::str::from_utf8(&buffer[..count]).unwrap_or_default();
        // Here a request is always one segment, since the client is ours.
        let Some(path) = request.split(' ').nth(1) else {
            return Ok(());
        };
        let mut file = File::open(format!("{root}{path}"))?;
        let length = file.metadata()?.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nDate: Wed, 25 Nov 2026 12:00:00 GMT\r\nContent-Type: application/octet-stream\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        let mut start = head.len();
        buffer[..start].copy_from_slice(head.as_bytes());
        let mut left = length;
        while start > 0 || left > 0 {
            let wanted = left.min(piece as u64) as usize;
            let count = file.read(&mut buffer[start..start + wanted])?;
            if count == 0 && left > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            stream.write_all(&buffer[..start + count])?;
            left -= count as u64;
            start = 0;
        }
    }
}
