//! Requests: `fetch ADDRESS PATH LENGTH CONNECTIONS DEPTH [OPTION...]`, with commands on the
//! standard input (see `client`).
//!
//! - `--header LINE`: one more field
//! - `--expect TEXT`: what the answer is, which is compared
//! - `--post BYTES`: a body, made once and sent with its head
//! - `--upload BYTES`: a body, sent in pieces
//! - `--idle COUNT`: so many more connections, each of which asks once, at the beginning
//! - `--each RATE`: requests a second on each connection, at even times
//! - `--all RATE`: requests a second on all connections together, at random times
//! - `--slow PATH`: where one request in a hundred goes, whose answer takes long and counts
//!   separately
//! - `--churn`: a connection for each request, which the server closes
//! - `--tls DIRECTORY`, `--tls-resumed DIRECTORY`: by TLS, see `tls`; a new connection resumes the
//!   session of an earlier one or does not
//!
//! The client sends all DEPTH pipelined requests at once, and again when all their answers have
//! arrived. It counts a body's bytes, and compares them only with `--expect`. Any answer except a
//! 200 of this length is an error.

use std::path::Path;

use std::time::Duration;

use akurai_bench::client::{Answers, Client, Request, Result, told};
use akurai_bench::pace::Pace;
use akurai_bench::tls;
use akurai_bench::wire::connect;
use memchr::memmem;

fn main() -> Result<()> {
    told(run)
}

fn run() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().ok_or("no address")?;
    let path = args.next().ok_or("no path")?;
    let length = args.next().ok_or("no length")?.parse()?;
    let count: usize = args.next().ok_or("no count")?.parse()?;
    let depth = args.next().ok_or("no depth")?.parse()?;
    let (mut method, mut fields, mut body, mut expect) = ("GET", String::new(), vec![], vec![]);
    let (mut upload, mut churn, mut tls) = (0, None, None);
    let (mut idle, mut pace, mut slow) = (0, None, None);
    while let Some(option) = args.next() {
        if option == "--churn" {
            churn = Some(address.parse()?);
            fields += "Connection: close\r\n";
            continue;
        }
        let value = args.next().ok_or("an option has no value")?;
        match option.as_str() {
            "--header" => fields += &(value + "\r\n"),
            "--expect" => expect = value.into_bytes(),
            "--tls" => tls = Some(tls::client(Path::new(&value), false)?),
            "--tls-resumed" => tls = Some(tls::client(Path::new(&value), true)?),
            "--idle" => idle = value.parse()?,
            "--each" => pace = Some(Pace::Even(period(1.0, &value)?)),
            "--all" => pace = Some(Pace::Random(period(count as f64, &value)?)),
            "--slow" => slow = Some(value),
            "--post" | "--upload" => {
                method = "POST";
                fields += &format!("Content-Length: {value}\r\n");
                match option.as_str() {
                    "--post" => body = vec![b'x'; value.parse()?],
                    _ => upload = value.parse()?,
                }
            }
            _ => return Err(format!("{option} is no option").into()),
        }
    }
    let head = |path| format!("{method} {path} HTTP/1.1\r\nHost: bench\r\n{fields}\r\n");
    let mut client = Client::new(Request {
        body: upload,
        churn,
        tls: tls.clone(),
        slow: slow.map_or(vec![], |path| head(path).into_bytes()),
        pace,
        ..Request::repeated(&[head(path).as_bytes(), &body].concat(), depth)
    })?;
    for number in 0..count + idle {
        let bodies = Bodies {
            length,
            expect: expect.clone(),
            head: Vec::new(),
            left: 0,
        };
        // One after the other, since tiny_http sometimes forgets a connection when two arrive at
        // once.
        let stream = connect(&address, tls.as_ref())?;
        match number < count {
            true => client.add(stream, bodies)?,
            false => client.add_idle(stream, bodies)?,
        }
    }
    client.obey_input()
}

/// The time between two requests of one connection.
fn period(connections: f64, rate: &str) -> Result<Duration> {
    let rate: f64 = rate.parse()?;
    Ok(Duration::try_from_secs_f64(connections / rate)?)
}

struct Bodies {
    length: u64,
    /// The expected bodies, or nothing if their content does not matter.
    expect: Vec<u8>,
    /// The beginning of a head whose end has not arrived.
    head: Vec<u8>,
    /// The bytes of a body that are still to come.
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
            if !self.expect.is_empty() {
                let at = (self.length - self.left) as usize;
                let here = &bytes[..count as usize];
                if self.expect.get(at..at + here.len()) != Some(here) {
                    return Err(format!("not the text: {}", String::from_utf8_lossy(here)).into());
                }
            }
            self.left -= count;
            content += count;
            answers += u64::from(self.left == 0);
            bytes = &bytes[count as usize..];
        }
        Ok((answers, content))
    }
}

impl Bodies {
    /// The bytes after the head, if its end has arrived.
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
