//! One subscriber: its socket, and when the hub writes to it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use akurai_http::Socket;

use super::backlog::{Backlog, Flushed};
use super::early::Early;
use crate::clock::now;

/// If something waits when it is dropped, its client gets a cut stream.
#[derive(Debug)]
pub(crate) struct Subscriber {
    /// A non-blocking socket.
    socket: Socket,
    pub(crate) topics: Box<[Arc<str>]>,
    /// Set if it is ahead of this node. It then gets no event before its place is known.
    pub(crate) early: Option<Early>,
    /// A `reset` has told it of all losses of events before this number.
    pub(crate) told: u64,
    pub(crate) backlog: Backlog,
    pub(crate) last_write: Instant,
    /// Since when it has accepted no bytes although something waits.
    pub(crate) stalled: Option<Instant>,
    /// When the thread tries a stalled subscriber again.
    pub(crate) retry_at: Option<Instant>,
    /// When its connection ends.
    pub(crate) ends: Instant,
    /// Its server is stopping, and `ends` is near.
    pub(crate) is_ending: bool,
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

impl Subscriber {
    pub(crate) fn new(socket: Socket, topics: Box<[Arc<str>]>, ends: Instant) -> Subscriber {
        Subscriber {
            socket,
            topics,
            early: None,
            told: 0,
            backlog: Backlog::default(),
            last_write: now(),
            stalled: None,
            retry_at: None,
            ends,
            is_ending: false,
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.socket.is_stopping()
    }

    /// Writes as much of the waiting bytes as the socket takes now. `scratch` is for joining
    /// several events into one write.
    pub(crate) fn flush(&mut self, scratch: &mut Vec<u8>) -> Flushed {
        let before = self.backlog.bytes();
        let flushed = self.backlog.flush(scratch, |bytes| {
            let mut socket = &self.socket;
            socket.write(bytes)
        });
        if self.backlog.bytes() < before {
            self.stalled = None;
            self.last_write = now();
        }
        if flushed == Flushed::Stalled {
            self.stalled.get_or_insert_with(now);
        }
        flushed
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

    /// Goes on with the end of the stream: what waits goes out first. The socket is kept until the
    /// client has ended its side too. False when nothing is left to do.
    pub(crate) fn go_on_ending(&mut self, scratch: &mut Vec<u8>) -> bool {
        if self.backlog.is_empty() {
            return discard_input(&self.socket) == Input::Open;
        }
        self.is_there() && self.end(scratch)
    }

    /// Ends the stream after what waits, if the client takes that now. False if the client is gone.
    pub(crate) fn end(&mut self, scratch: &mut Vec<u8>) -> bool {
        let flushed = self.flush(scratch);
        if flushed == Flushed::All {
            let _ = self.socket.shutdown(Shutdown::Write);
        }
        flushed != Flushed::Gone
    }

    /// Cuts the stream off. The browser discards an incomplete event, and comes back.
    pub(crate) fn cut(self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // The client may have half an event. With a session, the end would otherwise look whole.
        if !self.backlog.is_empty() {
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}
