//! One subscriber: its socket, and the events that wait to be written to it.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use akurai_http::Socket;

use super::early::Early;
use super::stored_event::StoredEvent;

/// Queued events are joined into writes of about this size, in bytes.
const JOINED_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Subscriber {
    /// A non-blocking socket.
    socket: Socket,
    pub(crate) topics: Box<[Arc<str>]>,
    /// Set if it is ahead of this node. It then gets no event before its place is known.
    pub(crate) early: Option<Early>,
    /// A `reset` has told it of all losses of events before this number.
    pub(crate) told: u64,
    pending: VecDeque<Pending>,
    /// How many bytes of the first pending event are written.
    written: usize,
    pending_bytes: usize,
    pub(crate) last_write: Instant,
    /// Since when it has accepted no bytes although something waits.
    pub(crate) stalled: Option<Instant>,
    /// When the thread tries a stalled subscriber again.
    pub(crate) retry_at: Option<Instant>,
    /// When its connection ends.
    pub(crate) ends: Instant,
    /// Its server is stopping, and `ends` is near.
    pub(crate) is_ending: bool,
    /// The part of its greeting that it has not taken yet. It does not count as slowness.
    allowed_events: usize,
    allowed_bytes: usize,
}

#[derive(Debug)]
enum Pending {
    Event(Arc<StoredEvent>),
    /// Bytes for this subscriber only.
    Own(Box<[u8]>),
}

/// The result of writing to a subscriber.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    All,
    /// Its socket accepts no more bytes now.
    Stalled,
    Gone,
}

/// The state of the client's side of the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Open,
    /// The client or the server has ended it.
    Ended,
    Broken,
}

/// Discards what the client has sent, at most 64 KiB: in an event stream it has no meaning, even if
/// it is the rest of a request's body. Unread bytes only stop the client from sending more.
pub(crate) fn discard_input(mut socket: &Socket) -> Input {
    let mut scratch = [0; 4 * 1024];
    for _ in 0..16 {
        match socket.read(&mut scratch) {
            Ok(0) => return Input::Ended,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(_) => return Input::Broken,
        }
    }
    Input::Open
}

impl Pending {
    fn bytes(&self) -> &[u8] {
        match self {
            Pending::Event(event) => &event.sse,
            Pending::Own(bytes) => bytes,
        }
    }
}

impl Subscriber {
    pub(crate) fn new(socket: Socket, topics: Box<[Arc<str>]>, ends: Instant) -> Subscriber {
        Subscriber {
            socket,
            topics,
            early: None,
            told: 0,
            pending: VecDeque::new(),
            written: 0,
            pending_bytes: 0,
            last_write: Instant::now(),
            stalled: None,
            retry_at: None,
            ends,
            is_ending: false,
            allowed_events: 0,
            allowed_bytes: 0,
        }
    }

    /// The bytes that wait now do not count towards the backlog until all of them are taken.
    pub(crate) fn allow_backlog(&mut self) {
        self.allowed_events = self.pending.len();
        self.allowed_bytes = self.pending_bytes;
    }

    /// Whether nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.socket.is_stopping()
    }

    /// How many events wait after the one that is being written, and how many bytes, not counting
    /// the greeting.
    pub(crate) fn backlog(&self) -> (usize, usize) {
        let first = self.pending.front().map_or(0, |first| first.bytes().len());
        let waiting = self
            .pending_bytes
            .saturating_sub(first - self.written.min(first));
        (
            self.pending.len().saturating_sub(1 + self.allowed_events),
            waiting.saturating_sub(self.allowed_bytes),
        )
    }

    pub(crate) fn queue(&mut self, event: &Arc<StoredEvent>) {
        self.pending_bytes += event.sse.len();
        self.pending.push_back(Pending::Event(Arc::clone(event)));
    }

    /// Queues an event, and removes a waiting event of the same topic.
    pub(crate) fn queue_latest(&mut self, event: &Arc<StoredEvent>) {
        let begun = usize::from(self.written > 0);
        let same = |waiting: &Pending| match waiting {
            Pending::Event(waiting) => waiting.topic == event.topic,
            Pending::Own(_) => false,
        };
        if let Some(index) = self.pending.iter().skip(begun).position(same) {
            // The new event goes to the end: its id is a cursor, so it must not come before earlier
            // events.
            if let Some(old) = self.pending.remove(index + begun) {
                self.pending_bytes -= old.bytes().len();
            }
        }
        self.queue(event);
    }

    pub(crate) fn queue_own(&mut self, bytes: Vec<u8>) {
        self.pending_bytes += bytes.len();
        self.pending
            .push_back(Pending::Own(bytes.into_boxed_slice()));
    }

    /// Writes as much of the waiting bytes as the socket takes now. `scratch` is for joining
    /// several events into one write, of at most [`JOINED_BYTES`].
    pub(crate) fn flush(&mut self, scratch: &mut Vec<u8>) -> Flushed {
        while let Some(first) = self.pending.front() {
            let rest = &first.bytes()[self.written..];
            let written = if self.pending.len() == 1 || rest.len() >= JOINED_BYTES {
                // Without a copy: otherwise each attempt would copy a large event again.
                self.write(rest)
            } else {
                scratch.clear();
                // It grows to this size once, and no further.
                scratch.reserve_exact(JOINED_BYTES);
                scratch.extend_from_slice(rest);
                for next in self.pending.iter().skip(1) {
                    if scratch.len() + next.bytes().len() > JOINED_BYTES {
                        break;
                    }
                    scratch.extend_from_slice(next.bytes());
                }
                self.write(scratch)
            };
            match written {
                Ok(count) => self.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stalled.get_or_insert_with(Instant::now);
                    return Flushed::Stalled;
                }
                Err(_) => return Flushed::Gone,
            }
        }
        Flushed::All
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match (&self.socket).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn advance(&mut self, mut count: usize) {
        self.stalled = None;
        self.last_write = Instant::now();
        self.pending_bytes -= count;
        while let Some(first) = self.pending.front() {
            let left = first.bytes().len() - self.written;
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.written = 0;
            self.pending.pop_front();
        }
        self.allowed_events = 0;
        self.allowed_bytes = 0;
        // A subscriber that has caught up needs no more memory than one that never fell behind.
        if self.pending.capacity() > 16 {
            self.pending = VecDeque::new();
        }
    }

    /// Whether the client is still there.
    pub(crate) fn is_there(&self) -> bool {
        match discard_input(&self.socket) {
            Input::Open => true,
            // A server that stops ends the input of all streams. Their clients still get a proper
            // end.
            Input::Ended => self.socket.is_stopping(),
            Input::Broken => false,
        }
    }

    /// Our address and the client's; `None` on a Unix socket.
    pub(crate) fn ends_of_connection(&self) -> Option<[SocketAddr; 2]> {
        Some([self.socket.local_addr()?, self.socket.peer_addr()?])
    }

    /// Ends the stream after the written bytes. The caller keeps the socket until the client has
    /// ended its side too.
    pub(crate) fn end(self) -> Socket {
        let _ = self.socket.shutdown(Shutdown::Write);
        self.socket
    }

    /// Cuts the stream off. The browser discards an incomplete event, and comes back.
    pub(crate) fn cut(self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use akurai_http::{Server, event_stream};

    use super::*;

    /// The socket of an event stream that has begun, and its client.
    fn stream() -> (Socket, TcpStream) {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let addr = server.local_addr().unwrap();
        let (give, given) = mpsc::channel();
        thread::spawn(move || {
            server.run(move |_: &akurai_http::Request| {
                let give = give.clone();
                event_stream(move |upgraded| give.send(upgraded.into_parts().1).unwrap())
            })
        });
        let mut client = TcpStream::connect(addr).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
            .unwrap();
        let socket = given.recv_timeout(Duration::from_secs(60)).unwrap();
        socket.set_nonblocking(true).unwrap();
        (socket, client)
    }

    #[test]
    fn a_large_event_is_not_copied() {
        let (socket, mut client) = stream();
        let ends = Instant::now() + Duration::from_secs(600);
        let mut subscriber = Subscriber::new(socket, Box::default(), ends);
        let mut expected = 0;
        // Small events are joined, with large ones between them. No head contains a tilde.
        for len in [
            10,
            20_000_000,
            10,
            30,
            JOINED_BYTES,
            1,
            3 * JOINED_BYTES / 4,
            JOINED_BYTES - 1,
        ] {
            subscriber.queue_own(vec![b'~'; len]);
            expected += len;
        }
        let reader = thread::spawn(move || {
            let (mut text, mut piece) = (Vec::new(), [0; 64 * 1024]);
            while !text.ends_with(b"end") {
                let count = client.read(&mut piece).unwrap();
                assert!(count > 0, "it ends before its end");
                text.extend_from_slice(&piece[..count]);
            }
            text.iter().filter(|&&byte| byte == b'~').count()
        });
        subscriber.queue_own(b"end".to_vec());
        let mut scratch = Vec::new();
        while subscriber.flush(&mut scratch) == Flushed::Stalled {
            assert!(Instant::now() < ends);
            thread::yield_now();
        }
        assert!(subscriber.is_idle());
        assert_eq!(reader.join().unwrap(), expected);
        assert_eq!(scratch.capacity(), JOINED_BYTES);
    }
}
