//! The least work of any server with one thread and an epoll. Like `floor-web`, but it waits for
//! all connections at once, and keeps the bytes that a connection does not take yet.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};

use akurai_bench::floor::Floor;
use bench_task::{end_with_input, pieces};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);

struct Connection {
    stream: TcpStream,
    floor: Floor,
    /// The bytes from `sent` on are not sent yet.
    waiting: Vec<u8>,
    sent: usize,
}

fn main() -> io::Result<()> {
    let mut listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address"))?;
    println!("{}", listener.local_addr()?);
    end_with_input();
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut connections, mut next) = (HashMap::new(), 0);
    let mut events = Events::with_capacity(1024);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(next), both)?;
                    connections.insert(next, Connection::new(stream));
                    next += 1;
                }
            } else if let Some(connection) = connections.get_mut(&event.token().0) {
                if !connection.advance(event.is_readable()).unwrap_or(false) {
                    connections.remove(&event.token().0);
                }
            }
        }
    }
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            floor: Floor::default(),
            waiting: Vec::new(),
            sent: 0,
        }
    }

    /// Returns whether the connection continues.
    fn advance(&mut self, readable: bool) -> io::Result<bool> {
        // While bytes waited for the client, the server read nothing, so the socket may be readable
        // without an event.
        let waited = !self.waiting.is_empty() || self.floor.owed > 0;
        if !self.flush()? || !(readable || waited) {
            return Ok(true);
        }
        loop {
            let room = self.floor.room();
            let space = room.len();
            let count = match self.stream.read(room) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            };
            let (stream, waiting) = (&mut self.stream, &mut self.waiting);
            self.floor.took(count, |bytes| {
                let sent = write(stream, bytes)?;
                waiting.extend_from_slice(&bytes[sent..]);
                Ok(())
            })?;
            let flushed = self.flush()?;
            if self.floor.ends {
                return Ok(!flushed);
            }
            // A read that did not fill the buffer has emptied the socket: later bytes cause a new
            // event.
            if !flushed || count < space {
                return Ok(true);
            }
        }
    }

    /// Returns whether everything has been sent.
    fn flush(&mut self) -> io::Result<bool> {
        self.sent += write(&mut self.stream, &self.waiting[self.sent..])?;
        if self.sent < self.waiting.len() {
            return Ok(false);
        }
        self.waiting.clear();
        self.sent = 0;
        for piece in pieces(self.floor.owed) {
            let sent = write(&mut self.stream, piece)?;
            self.floor.owed -= sent as u64;
            if sent < piece.len() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Returns how many bytes the socket took.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
