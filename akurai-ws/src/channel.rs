//! The protocol on its socket: reads, answers, writes, and ends in the right order.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use akurai_http::{Socket, Upgraded};

use crate::codec::close;
use crate::codec::frame::Opcode;
use crate::codec::protocol::{Limits, Protocol, State};
use crate::error::{Error, Violation};
use crate::message::{CloseFrame, CloseInfo, Message};
use crate::read::ReadBuffer;
use crate::write::{WRITE_DEADLINE, write_frame};

/// How long the peer may take to answer our Close, and then to end the connection.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// How much of what it still sends meanwhile is read and thrown away. With bytes unread, closing the socket would reset
/// the connection, and a reset may overtake our Close.
const DRAIN_MAX_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(crate) struct Channel {
    socket: Socket,
    protocol: Protocol,
    input: ReadBuffer,
    subprotocol: Option<String>,
    close_info: Option<CloseInfo>,
    write_failed: bool,
    /// Once a Close was sent, until when it is worth reading on.
    read_until: Option<Instant>,
}

impl Channel {
    pub(crate) fn new(
        upgraded: Upgraded,
        limits: Limits,
        subprotocol: Option<String>,
    ) -> io::Result<Self> {
        let (leftover, socket) = upgraded.into_parts();
        // Set once, so that a message costs one read and one write and no other call. Reads wait without end already.
        socket.set_write_timeout(Some(WRITE_DEADLINE))?;
        Ok(Self {
            socket,
            protocol: Protocol::new(limits),
            input: ReadBuffer::new(leftover),
            subprotocol,
            close_info: None,
            write_failed: false,
            read_until: None,
        })
    }

    pub(crate) fn close_info(&self) -> Option<&CloseInfo> {
        self.close_info.as_ref()
    }

    pub(crate) fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    pub(crate) fn recv(&mut self) -> Result<Option<Message>, Error> {
        loop {
            let (used, result) = self.protocol.receive(self.input.unread());
            self.input.consume(used);
            match result {
                Ok(Some(message)) => {
                    self.answer(&message)?;
                    return Ok(Some(message));
                }
                Err(violation) => {
                    self.fail(violation);
                    return Err(violation.into());
                }
                Ok(None) if self.protocol.state() == State::Closed => return Ok(None),
                Ok(None) => {
                    self.fill()?;
                }
            }
        }
    }

    pub(crate) fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        if self.protocol.state() != State::Open {
            return Err(Error::Closed);
        }
        self.write(opcode, payload)
    }

    /// Sends Close, unless one has gone either way.
    pub(crate) fn start_closing(&mut self, code: u16, reason: &str) -> Result<(), Error> {
        let payload = close::encode(code, reason)?;
        if self.protocol.state() != State::Open {
            return Ok(());
        }
        self.protocol.start_closing();
        self.close_info = Some(CloseInfo {
            code,
            reason: reason.to_owned(),
            clean: false,
        });
        self.read_until = Some(Instant::now() + CLOSE_WAIT);
        self.write(Opcode::Close, &payload)
    }

    /// Closes with `code`, unless that has begun; waits for the peer's Close and then for its FIN, within bounds.
    pub(crate) fn finish(mut self, code: u16) {
        let stopping = code == close::NORMAL && self.socket.is_stopping();
        let _ = self.start_closing(if stopping { close::GOING_AWAY } else { code }, "");
        if self.write_failed {
            // Either the peer is gone, or it takes nothing, and would not take a FIN.
            return;
        }
        self.read_until = Some(Instant::now() + CLOSE_WAIT);
        let mut drained_bytes = 0;
        let mut said_fin = false;
        while drained_bytes < DRAIN_MAX_BYTES {
            let (used, _) = self.protocol.receive(self.input.unread());
            self.input.consume(used);
            if self.protocol.state() == State::Closed {
                self.input.clear();
                if !said_fin {
                    // §7.1.1: the server closes first. Its FIN says so, while what the peer sent is still read.
                    let _ = self.socket.shutdown(Shutdown::Write);
                    said_fin = true;
                }
            }
            match self.fill() {
                Ok(read @ 1..) => drained_bytes += read,
                _ => break,
            }
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    // §5.5.1 and §5.5.2: a Close is answered with a Close, a Ping with a Pong.
    fn answer(&mut self, message: &Message) -> Result<(), Error> {
        match message {
            Message::Ping(payload) => match self.write(Opcode::Pong, payload) {
                // Whoever left before the answer came has just left: the next read says so.
                Err(Error::Io(error)) if is_gone(&error) => Ok(()),
                result => result,
            },
            Message::Close(frame) => {
                self.answer_close(frame.as_ref());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn answer_close(&mut self, frame: Option<&CloseFrame>) {
        if let Some(ours) = &mut self.close_info {
            ours.clean = true;
            return;
        }
        // §5.5.1: "the endpoint typically echos the status code it received". We echo the reason too: a browser's
        // CloseEvent shows the reason of the Close that comes back.
        let (code, reason) = match frame {
            Some(frame) => (frame.code, frame.reason.as_str()),
            None => (close::NO_STATUS, ""),
        };
        let payload = match frame {
            Some(_) => close::encode(code, reason).unwrap_or_default(),
            None => Vec::new(),
        };
        // A peer that sent Close and left has no use for the echo: no error.
        let clean = self.write(Opcode::Close, &payload).is_ok();
        self.close_info = Some(CloseInfo {
            code,
            reason: reason.to_owned(),
            clean,
        });
    }

    // §7.1.7: Close with the code that says why, then FIN. What the peer still sends is read when the connection is
    // given back.
    fn fail(&mut self, violation: Violation) {
        if self.close_info.is_none() {
            let (code, reason) = (violation.code(), violation.reason());
            if let Ok(payload) = close::encode(code, reason) {
                let _ = self.write(Opcode::Close, &payload);
            }
            self.close_info = Some(CloseInfo {
                code,
                reason: reason.to_owned(),
                clean: false,
            });
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    fn write(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        if self.write_failed {
            return Err(Error::Closed);
        }
        let result = write_frame(&mut &self.socket, opcode, payload);
        if result.is_err() {
            self.write_failed = true;
            self.end();
        }
        result
    }

    // Reads once; 0 when nothing more comes, and then the protocol is closed.
    fn fill(&mut self) -> Result<usize, Error> {
        loop {
            if let Some(until) = self.read_until {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    self.end();
                    return Ok(0);
                }
                self.socket.set_read_timeout(Some(left))?;
            }
            let wanted_bytes = self.protocol.wanted_bytes();
            let error = match self.input.fill(&mut &self.socket, wanted_bytes) {
                Ok(0) => break,
                Ok(read) => return Ok(read),
                Err(error) => error,
            };
            match error.kind() {
                // A timeout: the deadline above decides.
                ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                _ if is_gone(&error) => break,
                _ => {
                    self.end();
                    return Err(error.into());
                }
            }
        }
        if self.socket.is_stopping() {
            let _ = self.start_closing(close::GOING_AWAY, "");
        }
        self.end();
        Ok(0)
    }

    // The transport is at its end.
    fn end(&mut self) {
        self.protocol.end();
        self.close_info.get_or_insert_with(|| CloseInfo {
            code: close::ABNORMAL,
            reason: String::new(),
            clean: false,
        });
    }
}

/// Whether the peer has left, by FIN or by RST.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}
