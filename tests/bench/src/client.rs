//! The client: many connections on one thread and one epoll, each with a fixed number of requests
//! in flight, or at a pace (see `pace`).
//!
//! A client prints `ready` when each connection has received its first answers. Then it reads
//! commands, one on each line, and answers each with a line:
//!
//! - `run`: every connection asks again as soon as it has its answers, or at its pace
//! - `stop`: no connection asks any more; answered once all have their answers
//! - `begin`: forget what was counted
//! - `report`: what was counted, as JSON
//! - `do N`: once every connection has asked N times and has its answers
//!
//! It ends at the end of its input, and does not report errors after that. While it waits for an
//! answer or for a time to ask, it does not sleep. Otherwise the server's writes would pay for
//! waking it, on a virtual machine up to a third of their cost.

use std::error::Error;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::counts::Counts;
use crate::pace::{Due, Pace, Random};
use crate::tls::Tls;
use crate::wire::Wire;

const WAKER: Token = Token(usize::MAX);

/// One read, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// The longest wait for counted answers.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long an error waits for the end of the input, which may explain it: the process that ends
/// this one may have ended the server as well.
const GRACE: Duration = Duration::from_millis(300);

/// The part of the requests that are slow ones, if there are any.
const SLOW_PART: f64 = 0.01;

/// A long body repeats this.
static FILL: [u8; READ_BYTES] = [b'x'; READ_BYTES];

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The body of a client's `main`.
pub fn told(work: impl FnOnce() -> Result<()>) -> Result<()> {
    work().inspect_err(|_| thread::sleep(GRACE))
}

/// Reads the answers on one connection.
pub trait Answers {
    /// Returns how many answers end in these bytes, and how many bytes of content they have.
    /// Anything but an answer is an error.
    fn take(&mut self, bytes: &[u8]) -> Result<(u64, u64)>;

    /// The connection is a new one.
    fn renew(&mut self) {}

    /// The reply to bytes that came without a request, if the server may send such bytes.
    fn reply(&mut self) -> Option<Vec<u8>> {
        None
    }
}

/// The request that a connection sends whenever its answers have arrived.
#[derive(Default)]
pub struct Request {
    /// The bytes of one write: `depth` requests.
    pub bytes: Vec<u8>,
    /// The length of a body that follows; only with a depth of 1.
    pub body: u64,
    pub depth: u64,
    /// The address for a new connection, if the server closes the connection after its answer.
    pub churn: Option<SocketAddr>,
    /// Sent after an answer, before the server closes.
    pub farewell: Vec<u8>,
    /// For a new connection.
    pub tls: Option<Tls>,
    /// The bytes of a request that takes long, if one request in a hundred, chosen at random, is
    /// one; only with a depth of 1. Its answer counts separately.
    pub slow: Vec<u8>,
    /// When a connection asks; without it, as soon as it has its answers. A request that is due
    /// while the answer to the last one has not arrived is sent after that, but its latency counts
    /// from the time at which it was due.
    pub pace: Option<Pace>,
}

impl Request {
    /// This request `depth` times, in one write.
    pub fn repeated(request: &[u8], depth: usize) -> Self {
        Self {
            bytes: request.repeat(depth),
            depth: depth as u64,
            ..Self::default()
        }
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64 + self.body
    }
}

struct Connection<A> {
    stream: Wire<TcpStream>,
    answers: A,
    /// How much of the request has been sent.
    sent: u64,
    /// Answers that are still to come; with churn, also the end of the connection.
    owed: u64,
    /// How often to send the request again after that.
    todo: u64,
    asked: Instant,
    /// When to ask next, with a pace.
    due: Instant,
    /// Waits for the answer to a slow request.
    is_slow: bool,
    /// Closed by the server, or about to be closed.
    used: bool,
}

pub struct Client<A> {
    request: Request,
    poll: Poll,
    commands: mpsc::Receiver<String>,
    connections: Vec<Connection<A>>,
    /// The first connections, which ask when they are told. The others are idle.
    busy: usize,
    due: Due,
    random: Random,
    /// The connections ask at their pace.
    paced: bool,
    /// Connections that wait for answers.
    waiting: usize,
    counts: Counts,
    /// The end of the last turn.
    turned: Instant,
    events: Events,
    buffer: Vec<u8>,
}

impl<A: Answers> Client<A> {
    pub fn new(request: Request) -> Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let (told, commands) = mpsc::channel();
        thread::spawn(move || {
            for line in std::io::stdin().lines().map_while(std::result::Result::ok) {
                let _ = told.send(line);
                let _ = waker.wake();
            }
            std::process::exit(0);
        });
        Ok(Self {
            request,
            poll,
            commands,
            connections: Vec::new(),
            busy: 0,
            due: Due::default(),
            random: Random::default(),
            paced: false,
            waiting: 0,
            counts: Counts::new(),
            turned: Instant::now(),
            events: Events::with_capacity(1024),
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Adds a connection, and lets it get its first answers.
    pub fn add(&mut self, stream: Wire<std::net::TcpStream>, answers: A) -> Result<()> {
        self.add_idle(stream, answers)?;
        self.busy = self.connections.len();
        Ok(())
    }

    /// Adds a connection that asks nothing after its first answers. No busy one is added later.
    pub fn add_idle(&mut self, stream: Wire<std::net::TcpStream>, answers: A) -> Result<()> {
        let name = self.connections.len();
        let stream = stream.over(|stream| {
            stream.set_nonblocking(true)?;
            self.register(name, TcpStream::from_std(stream))
        })?;
        self.connections.push(Connection {
            stream,
            answers,
            sent: self.request.len(),
            owed: 0,
            todo: 1,
            asked: Instant::now(),
            due: Instant::now(),
            is_slow: false,
            used: false,
        });
        self.ask(name, Instant::now())?;
        self.settle()
    }

    fn register(&self, name: usize, mut stream: TcpStream) -> std::io::Result<TcpStream> {
        stream.set_nodelay(true)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        registry.register(&mut stream, Token(name), both)?;
        Ok(stream)
    }

    /// Obeys the commands on the standard input to its end.
    pub fn obey_input(mut self) -> Result<()> {
        println!("ready");
        loop {
            self.turn()?;
            while let Ok(line) = self.commands.try_recv() {
                self.obey(&line)?;
            }
        }
    }

    fn obey(&mut self, line: &str) -> Result<()> {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("run"), None) => self.run()?,
            (Some("stop"), None) => {
                self.paced = false;
                self.due.clear();
                self.ask_all(0)?;
                self.settle()?;
            }
            (Some("begin"), None) => self.counts = Counts::new(),
            (Some("do"), Some(times)) => {
                self.ask_all(times.parse()?)?;
                self.settle()?;
            }
            (Some("report"), None) => {
                println!("{}", self.counts.report());
                return Ok(());
            }
            _ => return Err("no such command".into()),
        }
        println!("done");
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let Some(pace) = self.request.pace else {
            return self.ask_all(u64::MAX);
        };
        self.paced = true;
        let now = Instant::now();
        for name in 0..self.busy {
            let due = now + pace.first(&mut self.random);
            self.connections[name].due = due;
            self.due.push(due, name);
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<()> {
        let wait = match self.waiting {
            0 if !self.paced => Duration::from_secs(1),
            _ => Duration::ZERO,
        };
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => other?,
        }
        for event in events.iter().filter(|event| event.token() != WAKER) {
            let name = event.token().0;
            self.connections[name].write(&self.request, &mut self.counts)?;
            if event.is_readable() {
                self.read(name)?;
            }
        }
        let was_due = self.ask_due()?;
        let now = Instant::now();
        if events.is_empty() && !was_due {
            self.counts.idle += now - self.turned;
        }
        self.turned = now;
        self.events = events;
        Ok(())
    }

    /// Returns whether a request was due.
    fn ask_due(&mut self) -> Result<bool> {
        let (now, mut was_due) = (Instant::now(), false);
        while let (Some(pace), Some(name)) = (self.request.pace, self.due.pop(now)) {
            let due = self.connections[name].due;
            self.connections[name].due += pace.next(&mut self.random);
            self.connections[name].todo = 1;
            self.ask(name, due)?;
            was_due = true;
        }
        Ok(was_due)
    }

    fn read(&mut self, name: usize) -> Result<()> {
        loop {
            let connection = &mut self.connections[name];
            match connection.stream.read(&mut self.buffer) {
                Ok(0) => return self.ended(name),
                Ok(count) => {
                    self.counts.reads += 1;
                    let bytes = &self.buffer[..count];
                    let answered = connection.take(bytes, &self.request, &mut self.counts)?;
                    let has_more = connection.stream.has_more();
                    if answered {
                        self.answered(name)?;
                    }
                    // A read that did not fill the buffer has emptied the socket: later bytes cause
                    // a new event. An end that came with these bytes causes none.
                    if !has_more && self.request.churn.is_none() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The server closed the connection, which is expected only with churn.
    fn ended(&mut self, name: usize) -> Result<()> {
        let connection = &mut self.connections[name];
        match connection.owed {
            1 if connection.used => {}
            // A second report of the same end.
            0 if connection.used => return Ok(()),
            _ => return Err("the server closed a connection".into()),
        }
        connection.owed = 0;
        self.counts.latency(connection.asked);
        self.answered(name)
    }

    /// The connection has received all its answers.
    fn answered(&mut self, name: usize) -> Result<()> {
        self.waiting -= 1;
        match self.connections[name].todo {
            0 if self.paced => self.due.push(self.connections[name].due, name),
            0 => {}
            _ => self.ask(name, Instant::now())?,
        }
        Ok(())
    }

    fn ask(&mut self, name: usize, asked: Instant) -> Result<()> {
        if let (Some(address), true) = (self.request.churn, self.connections[name].used) {
            let stream = self.register(name, TcpStream::connect(address)?)?;
            self.connections[name].stream = Wire::new(stream, self.request.tls.as_ref())?;
            self.connections[name].answers.renew();
        }
        self.waiting += 1;
        let connection = &mut self.connections[name];
        connection.used = self.request.churn.is_some();
        connection.todo -= 1;
        connection.owed = self.request.depth + u64::from(connection.used);
        connection.asked = asked;
        connection.sent = 0;
        connection.is_slow = !self.request.slow.is_empty() && self.random.part() < SLOW_PART;
        connection.write(&self.request, &mut self.counts)
    }

    /// Sends the request on each connection, `times` times in all.
    fn ask_all(&mut self, times: u64) -> Result<()> {
        for name in 0..self.busy {
            self.connections[name].todo = times;
            if self.connections[name].owed == 0 && times > 0 {
                self.ask(name, Instant::now())?;
            }
        }
        Ok(())
    }

    /// Waits until no connection waits for answers.
    fn settle(&mut self) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while self.waiting > 0 {
            self.turn()?;
            if Instant::now() > deadline {
                return Err("an answer did not come".into());
            }
        }
        Ok(())
    }
}

impl<A: Answers> Connection<A> {
    /// Sends as much as the socket takes; an event reports more room.
    fn write(&mut self, request: &Request, counts: &mut Counts) -> Result<()> {
        match self.stream.flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            other => other?,
        }
        let (bytes, len) = match self.is_slow {
            true => (&request.slow, request.slow.len() as u64),
            false => (&request.bytes, request.len()),
        };
        while self.sent < len {
            let left = (len - self.sent) as usize;
            let (here, content) = match bytes.get(self.sent as usize..) {
                Some(here) if !here.is_empty() => (here, false),
                _ => (&FILL[..left.min(FILL.len())], true),
            };
            match self.stream.write(here) {
                Ok(count) => {
                    self.sent += count as u64;
                    counts.bytes += if content { count as u64 } else { 0 };
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Returns whether the last of the answers ends here.
    fn take(&mut self, bytes: &[u8], request: &Request, counts: &mut Counts) -> Result<bool> {
        let (answers, content) = self.answers.take(bytes)?;
        match self.is_slow {
            true => counts.slow += answers,
            false => counts.answers += answers,
        }
        counts.bytes += content;
        if self.owed == 0 && answers == 0 {
            let reply = self.answers.reply().ok_or("bytes that nobody asked for")?;
            self.stream.write_all(&reply)?;
            return Ok(false);
        }
        if answers > self.owed.saturating_sub(u64::from(self.used)) {
            return Err("more answers than requests".into());
        }
        if answers > 0 && !self.is_slow && self.sent < request.len() {
            return Err("an answer to half a request".into());
        }
        self.owed -= answers;
        if self.used && self.owed == 1 && answers > 0 {
            self.stream.write_all(&request.farewell)?;
        }
        if self.owed > 0 {
            return Ok(false);
        }
        if !self.is_slow {
            counts.latency(self.asked);
        }
        Ok(true)
    }
}
