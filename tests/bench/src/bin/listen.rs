//! Subscribers of an event stream or by WebSocket, all on one thread: `listen ADDRESS READING
//! [UNREAD] [--ws]`.
//!
//! It prints `ready` when all of them have received their heads. Then it reads commands, one on
//! each line, and answers each with a line:
//!
//! - `begin`: forget what was counted
//! - `report`: what was counted, as JSON
//! - `fin N`, `rst N`: that many of those that read leave
//! - `resume`: those that did not read do so now, and come back with `Last-Event-ID` when their
//!   stream ends
//!
//! It ends at the end of its input.

use std::collections::HashMap;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use akurai_bench::client;
use akurai_bench::frame::{self, Frames, PING, PONG, Reader, TEXT};
use akurai_bench::now_ns;
use memchr::{memchr, memmem};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, Socket, Type};

const WAKER: Token = Token(usize::MAX);

/// How many connections it opens before it waits for their heads: fewer than any backlog holds.
const AT_ONCE: usize = 64;

struct Subscriber {
    stream: TcpStream,
    /// A line whose end has not arrived.
    carry: Vec<u8>,
    head: bool,
    /// Only for a subscriber by WebSocket.
    frames: Option<Frames>,
    next: Option<u64>,
    /// If its stream ends, it reconnects from this id on.
    resumes: Option<Vec<u8>>,
}

#[derive(Default)]
struct Counts {
    deliveries: u64,
    reads: u64,
    /// Events that a subscriber missed before the one that it saw.
    lost: u64,
    twice: u64,
    resets: u64,
    resumed: u64,
    ended: u64,
    first_sent: u64,
    last_seen: u64,
    latencies_us: Vec<u32>,
}

struct Client {
    address: SocketAddr,
    sockets: bool,
    poll: Poll,
    subscribers: HashMap<usize, Subscriber>,
    unread: Vec<usize>,
    heads: usize,
    counts: Counts,
    buffer: Vec<u8>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (options, args): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|word| word.starts_with("--"));
    let mut args = args.into_iter();
    let address = args.next().ok_or("no address")?.parse()?;
    let reading: usize = args.next().ok_or("no count")?.parse()?;
    let unread: usize = args.next().unwrap_or("0".into()).parse()?;
    let mut client = Client {
        address,
        sockets: options.iter().any(|option| option == "--ws"),
        poll: Poll::new()?,
        subscribers: HashMap::new(),
        unread: (reading..reading + unread).collect(),
        heads: 0,
        counts: Counts::default(),
        buffer: vec![0; 256 * 1024],
    };
    for name in 0..reading + unread {
        client.subscribe(name, None)?;
        if name % AT_ONCE == AT_ONCE - 1 {
            client.await_heads()?;
        }
    }
    client.await_heads()?;
    for name in &client.unread {
        let subscriber = client.subscribers.get_mut(name).ok_or("no such")?;
        client.poll.registry().deregister(&mut subscriber.stream)?;
    }
    println!("ready");

    let waker = Waker::new(client.poll.registry(), WAKER)?;
    let (commands, commanded) = mpsc::channel();
    thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let _ = commands.send(line);
            let _ = waker.wake();
        }
        std::process::exit(0);
    });
    loop {
        client.turn(Duration::from_secs(1))?;
        for line in commanded.try_iter() {
            println!("{}", client.obey(&line)?);
        }
    }
}

impl Client {
    fn subscribe(&mut self, name: usize, resumes: Option<Vec<u8>>) -> Result<(), Box<dyn Error>> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if self.unread.contains(&name) {
            // Segments as on an Ethernet. With the loopback's segments of 64 KiB the server's
            // kernel would take 2.6 MiB for each subscriber before the server notices that they do
            // not read.
            socket.set_tcp_mss(1448)?;
            socket.set_recv_buffer_size(4096)?;
        }
        socket.connect(&self.address.into())?;
        let mut request = match self.sockets {
            true => frame::opening("/ws", "").into_bytes(),
            false => b"GET /events HTTP/1.1\r\nHost: bench\r\n".to_vec(),
        };
        if let Some(id) = &resumes {
            request.extend_from_slice(b"Last-Event-ID: ");
            request.extend_from_slice(id);
            request.extend_from_slice(b"\r\n");
        }
        if !self.sockets {
            request.extend_from_slice(b"\r\n");
        }
        let mut stream: std::net::TcpStream = socket.into();
        stream.write_all(&request)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let registry = self.poll.registry();
        registry.register(&mut stream, Token(name), Interest::READABLE)?;
        let next = self.subscribers.remove(&name).and_then(|old| old.next);
        let subscriber = Subscriber {
            stream,
            carry: Vec::new(),
            head: false,
            frames: self.sockets.then(Frames::default),
            next,
            resumes,
        };
        self.subscribers.insert(name, subscriber);
        Ok(())
    }

    fn await_heads(&mut self) -> Result<(), Box<dyn Error>> {
        while self.heads < self.subscribers.len() {
            if self.counts.ended > 0 {
                return Err("a subscriber was turned away".into());
            }
            self.turn(Duration::from_secs(1))?;
        }
        Ok(())
    }

    fn turn(&mut self, wait: Duration) -> Result<(), Box<dyn Error>> {
        let mut events = Events::with_capacity(1024);
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &events {
            if event.token() != WAKER && !self.read(event.token().0, event.is_read_closed()) {
                self.end(event.token().0)?;
            }
        }
        Ok(())
    }

    /// Returns whether the subscriber's stream continues. If `ending`, reads the stream to its end.
    fn read(&mut self, name: usize, ending: bool) -> bool {
        let Some(subscriber) = self.subscribers.get_mut(&name) else {
            return true;
        };
        loop {
            match subscriber.stream.read(&mut self.buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    self.counts.reads += 1;
                    let bytes = &self.buffer[..count];
                    self.heads += usize::from(subscriber.take(bytes, &mut self.counts));
                    // A read that did not fill the buffer has emptied the socket: later bytes cause
                    // a new event.
                    if count < self.buffer.len() && !ending {
                        return true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    fn end(&mut self, name: usize) -> Result<(), Box<dyn Error>> {
        self.counts.ended += 1;
        let Some(subscriber) = self.subscribers.get_mut(&name) else {
            return Ok(());
        };
        if let Some(id) = subscriber.resumes.take() {
            self.counts.resumed += 1;
            return self.subscribe(name, Some(id));
        }
        self.subscribers.remove(&name);
        Ok(())
    }

    fn obey(&mut self, line: &str) -> Result<String, Box<dyn Error>> {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("begin"), None) => self.counts = Counts::default(),
            (Some("report"), None) => return Ok(self.report()),
            (Some(how @ ("fin" | "rst")), Some(count)) => {
                let count = count.parse()?;
                let names: Vec<_> = self.subscribers.keys().take(count).copied().collect();
                for name in names {
                    let Some(subscriber) = self.subscribers.remove(&name) else {
                        continue;
                    };
                    let socket = Socket::from(std::net::TcpStream::from(subscriber.stream));
                    if how == "rst" {
                        socket.set_linger(Some(Duration::ZERO))?;
                    }
                }
            }
            (Some("resume"), None) => {
                for name in std::mem::take(&mut self.unread) {
                    let Some(subscriber) = self.subscribers.get_mut(&name) else {
                        continue;
                    };
                    subscriber.resumes = Some(Vec::new());
                    let registry = self.poll.registry();
                    registry.register(&mut subscriber.stream, Token(name), Interest::READABLE)?;
                }
            }
            _ => return Err("no such command".into()),
        }
        Ok("done".into())
    }

    fn report(&mut self) -> String {
        let counts = &mut self.counts;
        counts.latencies_us.sort_unstable();
        let at = |part: f64| {
            let index = (counts.latencies_us.len() as f64 * part) as usize;
            counts.latencies_us.get(index).copied().unwrap_or(0)
        };
        format!(
            "{{\"deliveries\":{},\"reads\":{},\"lost\":{},\"twice\":{},\"resets\":{},\"resumed\":{},\"ended\":{},\
             \"span_us\":{},\"p50_us\":{},\"p99_us\":{},\"max_us\":{}}}",
            counts.deliveries,
            counts.reads,
            counts.lost,
            counts.twice,
            counts.resets,
            counts.resumed,
            counts.ended,
            counts.last_seen.saturating_sub(counts.first_sent) / 1000,
            at(0.5),
            at(0.99),
            counts.latencies_us.last().copied().unwrap_or(0),
        )
    }
}

impl Subscriber {
    /// Returns whether the head ended here.
    fn take(&mut self, mut bytes: &[u8], counts: &mut Counts) -> bool {
        let now = now_ns();
        let mut ended = false;
        if !self.head {
            self.carry.extend_from_slice(bytes);
            let Some(end) = memmem::find(&self.carry, b"\r\n\r\n") else {
                return false;
            };
            self.head = true;
            ended = true;
            bytes = &bytes[bytes.len() - (self.carry.len() - end - 4)..];
            self.carry = Vec::new();
        }
        match self.frames.take() {
            Some(mut frames) => {
                let mut messages = Messages {
                    subscriber: self,
                    now,
                    counts,
                };
                // This reader accepts all frames, so nothing fails.
                let _ = frames.take(bytes, &mut messages);
                self.frames = Some(frames);
            }
            None => self.lines(bytes, now, counts),
        }
        ended
    }

    fn lines(&mut self, mut bytes: &[u8], now: u64, counts: &mut Counts) {
        while let Some(end) = memchr(b'\n', bytes) {
            if self.carry.is_empty() {
                self.line(&bytes[..end], now, counts);
            } else {
                let mut line = std::mem::take(&mut self.carry);
                line.extend_from_slice(&bytes[..end]);
                self.line(&line, now, counts);
            }
            bytes = &bytes[end + 1..];
        }
        self.carry.extend_from_slice(bytes);
    }

    fn line(&mut self, line: &[u8], now: u64, counts: &mut Counts) {
        if let Some(data) = line.strip_prefix(b"data: ") {
            self.event(data, now, counts);
        } else if let (Some(id), Some(slot)) = (line.strip_prefix(b"id: "), &mut self.resumes) {
            slot.clear();
            slot.extend_from_slice(id);
        } else if line == b"event: reset" {
            counts.resets += 1;
        }
    }

    fn event(&mut self, data: &[u8], now: u64, counts: &mut Counts) {
        let (Some(sent), Some(number)) = (digits(data, 0, 19), digits(data, 20, 10)) else {
            return;
        };
        match self.next {
            Some(next) if number > next => counts.lost += number - next,
            Some(next) if number < next => counts.twice += 1,
            _ => {}
        }
        self.next = Some(number + 1);
        counts.deliveries += 1;
        if counts.first_sent == 0 || sent < counts.first_sent {
            counts.first_sent = sent;
        }
        counts.last_seen = now;
        let latency = now.saturating_sub(sent) / 1000;
        counts
            .latencies_us
            .push(latency.min(u64::from(u32::MAX)) as u32);
    }
}

struct Messages<'a> {
    subscriber: &'a mut Subscriber,
    now: u64,
    counts: &'a mut Counts,
}

impl Reader for Messages<'_> {
    fn begins(&mut self, _: u8, _: u64) -> client::Result<bool> {
        Ok(true)
    }

    fn ends(&mut self, first: u8, payload: &[u8]) -> client::Result<()> {
        match first {
            PING => {
                let pong = frame::masked(PONG, payload);
                self.subscriber.stream.write_all(&pong)?;
            }
            TEXT => self.subscriber.event(payload, self.now, self.counts),
            _ => {}
        }
        Ok(())
    }
}

fn digits(data: &[u8], at: usize, count: usize) -> Option<u64> {
    let digits = data.get(at..at + count)?;
    let number = digits.iter().fold(0_u64, |number, digit| {
        number
            .wrapping_mul(10)
            .wrapping_add(u64::from(digit.wrapping_sub(b'0')))
    });
    Some(number)
}
