//! Downloads, all on one thread: `fetch ADDRESS PATH LENGTH CONNECTIONS [HEADER...]`.
//!
//! It asks for the file once on each connection as it makes it, and says `ready` when it has been there whole. Then it takes
//! commands, a line each, and answers each with a line:
//!
//! - `run`: every connection asks again as soon as it has an answer
//! - `begin`: forget what was counted
//! - `report`: what was counted, as JSON
//! - `do N`: once every connection has asked N times and has N answers
//!
//! A body is counted, not looked at. Any answer but a 200 of this length is an error. It ends with its input.
//!
//! While it waits for an answer it does not sleep: the server's writes would pay for waking it, on a virtual machine up to a third
//! of what they cost.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

const WAKER: Token = Token(usize::MAX);

/// One read, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// The longest wait for answers that are counted.
const DEADLINE: Duration = Duration::from_secs(60);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Connection {
    stream: TcpStream,
    /// The beginning of a head of which the end is not here yet.
    head: Vec<u8>,
    /// What is still to come of a body, in bytes.
    left: u64,
    /// Requests to send after the one that is under way.
    todo: u64,
    waiting: bool,
    asked: Instant,
}

#[derive(Default)]
struct Counts {
    requests: u64,
    bytes: u64,
    reads: u64,
    /// Time in which no answer was there to be read.
    idle: Duration,
    latencies_us: Vec<u32>,
}

struct Client {
    request: Vec<u8>,
    length: u64,
    poll: Poll,
    connections: Vec<Connection>,
    counts: Counts,
    /// The end of the last turn.
    turned: Instant,
    buffer: Vec<u8>,
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().ok_or("no address")?;
    let path = args.next().ok_or("no path")?;
    let length = args.next().ok_or("no length")?.parse()?;
    let count: usize = args.next().ok_or("no count")?.parse()?;
    let headers: String = args.map(|line| line + "\r\n").collect();
    let mut client = Client {
        request: format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{headers}\r\n").into_bytes(),
        length,
        poll: Poll::new()?,
        connections: Vec::new(),
        counts: Counts::default(),
        turned: Instant::now(),
        buffer: vec![0; READ_BYTES],
    };
    for name in 0..count {
        let stream = std::net::TcpStream::connect(&address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let registry = client.poll.registry();
        registry.register(&mut stream, Token(name), Interest::READABLE)?;
        client.connections.push(Connection {
            stream,
            head: Vec::new(),
            left: 0,
            todo: 0,
            waiting: false,
            asked: Instant::now(),
        });
        // One after the other, since tiny_http forgets a connection now and then when two of them come at once.
        client.exactly(1)?;
    }
    println!("ready");

    let waker = Waker::new(client.poll.registry(), WAKER)?;
    let (commands, commanded) = mpsc::channel();
    thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(std::result::Result::ok) {
            let _ = commands.send(line);
            let _ = waker.wake();
        }
        std::process::exit(0);
    });
    let mut events = Events::with_capacity(1024);
    loop {
        client.turn(&mut events)?;
        for line in commanded.try_iter() {
            println!("{}", client.obey(&line)?);
        }
    }
}

impl Client {
    fn turn(&mut self, events: &mut Events) -> Result<()> {
        let awaited = self.connections.iter().any(|each| each.waiting);
        let wait = match awaited {
            true => Duration::ZERO,
            false => Duration::from_secs(1),
        };
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in events.iter().filter(|event| event.token() != WAKER) {
            self.read(event.token().0)?;
        }
        let now = Instant::now();
        if events.is_empty() {
            self.counts.idle += now - self.turned;
        }
        self.turned = now;
        Ok(())
    }

    fn read(&mut self, name: usize) -> Result<()> {
        let connection = &mut self.connections[name];
        loop {
            match connection.stream.read(&mut self.buffer) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(count) => {
                    self.counts.reads += 1;
                    let answered =
                        connection.take(&self.buffer[..count], self.length, &mut self.counts)?;
                    if answered && connection.todo > 0 {
                        connection.ask(&self.request)?;
                    }
                    // A buffer that was not filled has drained the socket: what comes later is an event of its own.
                    if count < self.buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Asks on each connection, and goes on asking there until it was so many times.
    fn ask(&mut self, times: u64) -> Result<()> {
        for connection in &mut self.connections {
            let idle = !connection.waiting;
            connection.todo = times;
            if idle && times > 0 {
                connection.ask(&self.request)?;
            }
        }
        Ok(())
    }

    fn exactly(&mut self, times: u64) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let deadline = Instant::now() + DEADLINE;
        self.ask(times)?;
        while self.connections.iter().any(|connection| connection.waiting) {
            self.turn(&mut events)?;
            if Instant::now() > deadline {
                return Err("an answer did not come".into());
            }
        }
        Ok(())
    }

    fn obey(&mut self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("run"), None) => self.ask(u64::MAX)?,
            (Some("begin"), None) => self.counts = Counts::default(),
            (Some("report"), None) => return Ok(self.counts.report()),
            (Some("do"), Some(times)) => self.exactly(times.parse()?)?,
            _ => return Err("no such command".into()),
        }
        Ok("done".into())
    }
}

impl Connection {
    fn ask(&mut self, request: &[u8]) -> Result<()> {
        self.todo -= 1;
        self.waiting = true;
        self.asked = Instant::now();
        // The server has read all requests before this one, so that there is room for it.
        self.stream.write_all(request)?;
        Ok(())
    }

    /// Whether the answer ends here.
    fn take(&mut self, mut bytes: &[u8], length: u64, counts: &mut Counts) -> Result<bool> {
        if !self.waiting {
            return Err("bytes that nobody asked for".into());
        }
        if self.left == 0 {
            self.head.extend_from_slice(bytes);
            let Some(end) = memmem::find(&self.head, b"\r\n\r\n") else {
                return Ok(false);
            };
            check(&self.head[..end + 2], length)?;
            bytes = &bytes[bytes.len() - (self.head.len() - end - 4)..];
            self.head.clear();
            self.left = length;
        }
        let count = bytes.len() as u64;
        self.left = self
            .left
            .checked_sub(count)
            .ok_or("more than the length says")?;
        counts.bytes += count;
        if self.left > 0 {
            return Ok(false);
        }
        self.waiting = false;
        counts.requests += 1;
        let latency = self.asked.elapsed().as_micros();
        counts
            .latencies_us
            .push(latency.min(u128::from(u32::MAX)) as u32);
        Ok(true)
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

impl Counts {
    fn report(&mut self) -> String {
        self.latencies_us.sort_unstable();
        let at = |part: f64| {
            let index = (self.latencies_us.len() as f64 * part) as usize;
            self.latencies_us.get(index).copied().unwrap_or(0)
        };
        format!(
            "{{\"requests\":{},\"bytes\":{},\"reads\":{},\"idle_us\":{},\"p50_us\":{},\"p99_us\":{}}}",
            self.requests,
            self.bytes,
            self.reads,
            self.idle.as_micros(),
            at(0.5),
            at(0.99),
        )
    }
}
