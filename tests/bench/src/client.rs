//! Who asks, all on one thread and over one epoll: many connections, each with so many requests in flight.
//!
//! A client says `ready` when each connection has had its first answers. Then it takes commands, a line each, and answers each
//! with a line:
//!
//! - `run`: every connection asks again as soon as it has its answers
//! - `begin`: forget what was counted
//! - `report`: what was counted, as JSON
//! - `do N`: once every connection has asked N times and has its answers
//!
//! It ends with its input. While it waits for an answer it does not sleep: the server's writes would pay for waking it, on a
//! virtual machine up to a third of what they cost.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

const WAKER: Token = Token(usize::MAX);

/// One read, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// The longest wait for answers that are counted.
const DEADLINE: Duration = Duration::from_secs(60);

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What comes back on one connection.
pub trait Answers {
    /// How many answers end in these bytes, and how much content they have. Anything but an answer is an error.
    fn take(&mut self, bytes: &[u8]) -> Result<(u64, u64)>;
}

struct Connection<A> {
    stream: TcpStream,
    answers: A,
    /// Of the request, what is not sent yet begins here.
    sent: usize,
    /// Answers that are still to come to what was asked.
    owed: u64,
    /// How often to ask once they are here.
    todo: u64,
    asked: Instant,
}

#[derive(Default)]
struct Counts {
    answers: u64,
    bytes: u64,
    reads: u64,
    /// Time in which no answer was there to be read.
    idle: Duration,
    latencies_us: Vec<u32>,
}

pub struct Client<A> {
    /// As it goes out in one piece: `depth` requests.
    request: Vec<u8>,
    depth: u64,
    poll: Poll,
    connections: Vec<Connection<A>>,
    counts: Counts,
    /// The end of the last turn.
    turned: Instant,
    buffer: Vec<u8>,
}

impl<A: Answers> Client<A> {
    /// `depth` times this request whenever the answers are there.
    pub fn new(request: &[u8], depth: usize) -> Result<Self> {
        Ok(Self {
            request: request.repeat(depth),
            depth: depth as u64,
            poll: Poll::new()?,
            connections: Vec::new(),
            counts: Counts::default(),
            turned: Instant::now(),
            buffer: vec![0; READ_BYTES],
        })
    }

    /// One more connection, which has had its answers once afterwards.
    pub fn add(&mut self, stream: std::net::TcpStream, answers: A) -> Result<()> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let name = Token(self.connections.len());
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, name, both)?;
        self.connections.push(Connection {
            stream,
            answers,
            sent: self.request.len(),
            owed: 0,
            todo: 0,
            asked: Instant::now(),
        });
        self.exactly(1)
    }

    /// Obeys the standard input to its end.
    pub fn obey_input(mut self) -> Result<()> {
        println!("ready");
        let waker = Waker::new(self.poll.registry(), WAKER)?;
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
            self.turn(&mut events)?;
            for line in commanded.try_iter() {
                println!("{}", self.obey(&line)?);
            }
        }
    }

    fn turn(&mut self, events: &mut Events) -> Result<()> {
        let awaited = self.connections.iter().any(|each| each.owed > 0);
        let wait = match awaited {
            true => Duration::ZERO,
            false => Duration::from_secs(1),
        };
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in events.iter().filter(|event| event.token() != WAKER) {
            let name = event.token().0;
            self.connections[name].write(&self.request)?;
            if event.is_readable() {
                self.read(name)?;
            }
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
                    let answered = connection.take(&self.buffer[..count], &mut self.counts)?;
                    if answered && connection.todo > 0 {
                        connection.ask(&self.request, self.depth)?;
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
            connection.todo = times;
            if connection.owed == 0 && times > 0 {
                connection.ask(&self.request, self.depth)?;
            }
        }
        Ok(())
    }

    fn exactly(&mut self, times: u64) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let deadline = Instant::now() + DEADLINE;
        self.ask(times)?;
        while self
            .connections
            .iter()
            .any(|connection| connection.owed > 0)
        {
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

impl<A: Answers> Connection<A> {
    fn ask(&mut self, request: &[u8], depth: u64) -> Result<()> {
        self.todo -= 1;
        self.owed = depth;
        self.asked = Instant::now();
        self.sent = 0;
        self.write(request)
    }

    /// Sends what there is room for; an event tells when there is more.
    fn write(&mut self, request: &[u8]) -> Result<()> {
        while self.sent < request.len() {
            match self.stream.write(&request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether the last of the answers ends here.
    fn take(&mut self, bytes: &[u8], counts: &mut Counts) -> Result<bool> {
        let (answers, content) = self.answers.take(bytes)?;
        counts.answers += answers;
        counts.bytes += content;
        if self.owed == 0 || answers > self.owed {
            return Err("bytes that nobody asked for".into());
        }
        self.owed -= answers;
        if self.owed > 0 {
            return Ok(false);
        }
        let latency = self.asked.elapsed().as_micros();
        counts
            .latencies_us
            .push(latency.min(u128::from(u32::MAX)) as u32);
        Ok(true)
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
            self.answers,
            self.bytes,
            self.reads,
            self.idle.as_micros(),
            at(0.5),
            at(0.99),
        )
    }
}
