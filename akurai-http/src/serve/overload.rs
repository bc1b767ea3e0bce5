//! Connections that found no place. Each gets a 503 once its client sends something, and is read
//! until the client has the answer or its time is up.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::Shutdown;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::codec::response::{Persistence, ResponseFraming, append_head};
use crate::io::clock::Date;
use crate::io::limits::Limits;
use crate::io::linger::{LingerBounds, Lingering};
use crate::io::lock::lock;
use crate::io::registry::Registry;
use crate::io::transport::Transport;
use crate::message::own_answers::overloaded;

/// Most refused connections that are kept at a time. Beyond that the oldest is closed: its client
/// has had the most time to read the answer.
const KEPT: usize = 256;

/// How often one thread reads from them. The thread exists only while there are any.
const LOOK: Duration = Duration::from_millis(20);

/// Most bytes that one read discards.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Most reads of one connection in a round, so that a client that sends fast does not hold up the
/// others.
const READS: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct Refusals {
    state: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The oldest first.
    kept: VecDeque<Refused>,
    is_watched: bool,
    /// The server has ended by force.
    is_over: bool,
}

#[derive(Debug)]
struct Refused {
    transport: Transport,
    lingering: Lingering,
    /// The answer was written. We write it when the first byte comes, or when the connection is
    /// dropped: some clients discard an answer that comes before they have asked (Go's net/http).
    is_told: bool,
}

impl Refusals {
    /// Keeps the connection, to answer 503. True if the caller must start a thread that calls
    /// [`watch`](Self::watch).
    pub(crate) fn refuse(&self, transport: Transport) -> bool {
        if transport.set_nonblocking(true).is_err() {
            return false;
        }
        let mut state = lock(&self.state);
        if state.is_over {
            return false;
        }
        state.kept.push_back(Refused {
            transport,
            lingering: Lingering::begin(),
            is_told: false,
        });
        if state.kept.len() > KEPT {
            state.kept.pop_front();
        }
        !mem::replace(&mut state.is_watched, true)
    }

    /// Reads what the refused clients still send, until none is left.
    pub(crate) fn watch(&self, registry: &Registry, limits: &Limits) {
        let mut scratch = vec![0; SCRATCH_BYTES];
        loop {
            thread::sleep(LOOK);
            // We take the connections out of the lock, so that no accepting thread waits for these
            // reads.
            let mut looked_at = mem::take(&mut lock(&self.state).kept);
            let bounds = LingerBounds::new(limits, looked_at.len(), KEPT, registry.is_stopping());
            looked_at.retain_mut(|refused| refused.look(&mut scratch, bounds));
            let mut state = lock(&self.state);
            if state.is_over {
                return;
            }
            looked_at.append(&mut state.kept);
            let surplus = looked_at.len().saturating_sub(KEPT);
            looked_at.drain(..surplus);
            state.is_watched = !looked_at.is_empty();
            state.kept = looked_at;
            if !state.is_watched {
                return;
            }
        }
    }

    /// Closes all kept connections, since no thread can watch them.
    pub(crate) fn forget(&self) {
        let mut state = lock(&self.state);
        state.kept.clear();
        state.is_watched = false;
    }

    /// Closes all kept connections, and keeps no further ones.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.state);
        state.kept.clear();
        state.is_over = true;
    }
}

impl Drop for Refused {
    fn drop(&mut self) {
        self.tell();
    }
}

impl Refused {
    /// Reads and discards input. False if this connection is over.
    fn look(&mut self, scratch: &mut [u8], bounds: LingerBounds) -> bool {
        for _ in 0..READS {
            match self.transport.read(scratch) {
                Ok(0) => return false,
                Ok(_) => {
                    if !self.tell() {
                        return false;
                    }
                    self.lingering.bytes_came();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        !self.lingering.left(bounds).is_zero()
    }

    /// Writes the answer, once. False if the client is gone.
    fn tell(&mut self) -> bool {
        // A new socket's buffer is empty, so this does not wait.
        let told = |transport: &Transport| {
            transport.write(&answer_bytes()).is_ok() && transport.shutdown(Shutdown::Write).is_ok()
        };
        mem::replace(&mut self.is_told, true) || told(&self.transport)
    }
}

fn answer_bytes() -> Vec<u8> {
    let response = overloaded();
    let body = response.body().unwrap_or_default();
    let mut answer = Vec::new();
    append_head(
        response.status(),
        response.headers(),
        ResponseFraming::Length(body.len() as u64),
        Persistence::Close,
        Date::default().now(),
        &mut answer,
    );
    answer.extend_from_slice(body);
    answer
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn of_too_many_refused_connections_the_oldest_goes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let refusals = Refusals::default();
        let mut clients = Vec::new();
        for number in 0..KEPT + 3 {
            clients.push(TcpStream::connect(addr).unwrap());
            let (transport, _) = listener.accept().unwrap();
            let is_first = refusals.refuse(transport.into());
            assert_eq!(is_first, number == 0, "one thread watches them all");
        }
        let state = lock(&refusals.state);
        assert_eq!(state.kept.len(), KEPT);
        let Transport::Tcp(oldest) = &state.kept[0].transport else {
            panic!("all of them are TCP");
        };
        assert_eq!(oldest.peer_addr().ok(), clients[3].local_addr().ok());
        let mut answer = String::new();
        clients[0].read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");

        drop(state);
        refusals.end();
        let last = TcpStream::connect(addr).unwrap();
        assert!(!refusals.refuse(listener.accept().unwrap().0.into()));
        assert!(lock(&refusals.state).kept.is_empty(), "none is kept");
        drop(last);
    }
}
