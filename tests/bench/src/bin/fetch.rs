//! Downloads: `fetch ADDRESS PATH LENGTH CONNECTIONS DEPTH [HEADER...]`, as told on the standard input (see `client`).
//!
//! Of the DEPTH requests that are pipelined, all are sent at once, and again when all their answers are here. A body is counted,
//! not looked at. Any answer but a 200 of this length is an error.

use std::net::TcpStream;

use akurai_bench::client::{Answers, Client, Result};
use memchr::memmem;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().ok_or("no address")?;
    let path = args.next().ok_or("no path")?;
    let length = args.next().ok_or("no length")?.parse()?;
    let count: usize = args.next().ok_or("no count")?.parse()?;
    let depth = args.next().ok_or("no depth")?.parse()?;
    let headers: String = args.map(|line| line + "\r\n").collect();
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{headers}\r\n");
    let mut client = Client::new(request.as_bytes(), depth)?;
    for _ in 0..count {
        let head = Vec::new();
        let left = 0;
        // One after the other, since tiny_http forgets a connection now and then when two of them come at once.
        client.add(TcpStream::connect(&address)?, Bodies { length, head, left })?;
    }
    client.obey_input()
}

struct Bodies {
    length: u64,
    /// The beginning of a head of which the end is not here yet.
    head: Vec<u8>,
    /// What is still to come of a body, in bytes.
    left: u64,
}

impl Answers for Bodies {
    fn take(&mut self, mut bytes: &[u8]) -> Result<(u64, u64)> {
        let (mut answers, mut content) = (0, 0);
        while !bytes.is_empty() {
            if self.left == 0 {
                let Some(after) = self.take_head(bytes)? else {
                    break;
                };
                bytes = after;
                self.left = self.length;
            }
            let count = self.left.min(bytes.len() as u64);
            self.left -= count;
            content += count;
            answers += u64::from(self.left == 0);
            bytes = &bytes[count as usize..];
        }
        Ok((answers, content))
    }
}

impl Bodies {
    /// What follows the head, if its end is here.
    fn take_head<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>> {
        if self.head.is_empty() {
            if let Some(end) = memmem::find(bytes, b"\r\n\r\n") {
                check(&bytes[..end + 2], self.length)?;
                return Ok(Some(&bytes[end + 4..]));
            }
        }
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let Some(end) = memmem::find(&self.head, b"\r\n\r\n") else {
            return Ok(None);
        };
        check(&self.head[..end + 2], self.length)?;
        self.head.clear();
        Ok(Some(&bytes[end + 4 - before..]))
    }
}

fn check(head: &[u8], length: u64) -> Result<()> {
    let head = std::str::from_utf8(head)?;
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    let says = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("Content-Length"))
        .and_then(|(_, value)| value.trim().parse::<u64>().ok());
    match status.starts_with("HTTP/1.1 200 ") && says == Some(length) {
        true => Ok(()),
        false => Err(format!("not a 200 of {length} bytes:\n{head}").into()),
    }
}
