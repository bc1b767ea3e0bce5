//! The protocol on its socket: it reads, answers, and ends in the right order.

mod closing;

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use akurai_http::{Socket, Upgraded};

use crate::codec::close;
use crate::codec::protocol::{ConnectionState, Protocol};
use crate::error::{Error, Violation};
use crate::message::{Kind, Message};
use crate::pause::was_stopped;
use crate::read::buffer::ReadBuffer;
use crate::read::keepalive::{Due, Keepalive};
use crate::write::outbox::{Closing, Outbox, Way};

/// The reading side. Everything that is written goes through [`Outbox`].
#[derive(Debug)]
pub(crate) struct Reader {
    socket: Socket,
    outbox: Arc<Outbox>,
    protocol: Box<Protocol>,
    input: ReadBuffer,
    keepalive: Keepalive,
    /// The socket's own timeout, so that it is set only when it changes. At first it is unknown,
    /// and this is longer than any.
    read_timeout: Duration,
    /// How long reads have waited since our Close went out.
    closing: Duration,
    /// The time up to which `closing` is counted while the thread does nothing but read, so that
    /// all time counts.
    counted_to: Option<Instant>,
    /// FIN was sent, or follows our Close.
    said_fin: bool,
    /// When this thread first saw that the server stops.
    stopping_since: Option<Instant>,
}

/// A read that does not wait.
const NO_WAIT: Duration = Duration::from_millis(1);

/// Once so many bytes of a compressed message are decompressed, no more are decompressed before its
/// reader takes them. The next piece is at most 96 KiB, so at most 128 KiB are held.
const PART_BYTES: usize = 32 * 1024;

/// The outcome of a wait.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Filled {
    Bytes(usize),
    /// Nothing more comes, and the protocol is closed.
    End,
    /// The caller's time is over.
    TimedOut,
}

/// What a message that is read in parts has brought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Part {
    /// More of it follows.
    Some,
    /// It ends with this.
    Last,
    /// The connection ended, in the message or before it.
    End,
}

impl Reader {
    // Not inlined, so that it adds nothing to the stack frame under which the closure runs.
    #[inline(never)]
    pub(crate) fn new(
        upgraded: Upgraded,
        outbox: Arc<Outbox>,
        protocol: Box<Protocol>,
    ) -> io::Result<Box<Self>> {
        let (leftover, socket) = upgraded.into_parts();
        // A thread that sends may be the last to drop the writer, under locks of the program. So
        // only the reader's thread ends the upgrade.
        outbox.connect(socket.without_end())?;
        let keepalive = Keepalive::new(&outbox.settings, Instant::now());
        Ok(Box::new(Self {
            outbox,
            socket,
            protocol,
            input: ReadBuffer::new(leftover),
            keepalive,
            read_timeout: Duration::MAX,
            closing: Duration::ZERO,
            counted_to: None,
            said_fin: false,
            stopping_since: None,
        }))
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Waits for the next message or control frame, and returns it.
    pub(crate) fn recv(&mut self, until: Option<Instant>) -> Result<Option<Message>, Error> {
        self.protocol.limit_parts(usize::MAX);
        let mut is_late = false;
        loop {
            // No unread bytes and no message in progress: nothing to parse.
            if !self.input.is_empty() || self.protocol.is_in_message() {
                if let Some(message) = self.take_message()? {
                    return Ok(Some(message));
                }
            }
            if self.protocol.state() == ConnectionState::Closed {
                return Ok(None);
            }
            if is_late {
                return Err(Error::Timeout);
            }
            self.fill(until)?;
            is_late = until.is_some_and(|until| Instant::now() >= until);
        }
    }

    /// The next data message, in `buffer`. Control frames are answered and skipped.
    pub(crate) fn recv_into(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Kind>, Error> {
        self.protocol.lend(std::mem::take(buffer));
        let outcome = loop {
            let (kind, bytes) = match self.recv(None) {
                Ok(Some(Message::Text(text))) => (Kind::Text, text.into_bytes()),
                Ok(Some(Message::Binary(bytes))) => (Kind::Binary, bytes),
                Ok(Some(_)) => continue,
                Ok(None) => break Ok(None),
                Err(error) => break Err(error),
            };
            *buffer = bytes;
            return Ok(Some(kind));
        };
        *buffer = self.protocol.take_back();
        buffer.clear();
        outcome
    }

    /// Waits for a message to begin. Returns its kind and what has come of it.
    pub(crate) fn recv_begun(&mut self, part: &mut Vec<u8>) -> Result<Option<(Kind, Part)>, Error> {
        self.protocol.limit_parts(PART_BYTES);
        loop {
            if let Some(begun) = self.take_begun(part)? {
                return Ok(Some(begun));
            }
            if self.protocol.state() == ConnectionState::Closed {
                return Ok(None);
            }
            self.fill(None)?;
        }
    }

    /// More of the message that has begun.
    pub(crate) fn recv_part(&mut self, part: &mut Vec<u8>) -> Result<Part, Error> {
        loop {
            match self.take_begun(part)? {
                Some((_, Part::Some)) if part.is_empty() => {}
                Some((_, arrived)) => return Ok(arrived),
                None if self.protocol.state() == ConnectionState::Closed => return Ok(Part::End),
                None => {}
            }
            self.fill(None)?;
        }
    }

    /// The rest of the message that has begun is not wanted.
    pub(crate) fn discard_message(&mut self) {
        self.protocol.discard_message();
    }

    // The message or control frame that the unread bytes complete, already answered.
    fn take_message(&mut self) -> Result<Option<Message>, Error> {
        self.notice_close();
        let before = self.protocol.progress();
        let (used, result) = self.protocol.receive(self.input.unread());
        self.input.consume(used);
        let progress = self.protocol.progress();
        if progress != before {
            self.keepalive.data_came();
        }
        // A message that is discarded may end unseen, with the next one behind it. A control frame
        // may also stand alone.
        let stands_alone = matches!(result, Ok(Some(_))) && !self.protocol.is_in_message();
        if stands_alone || progress.ended_messages != before.ended_messages {
            self.keepalive.message_over();
        }
        let message = match result {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(None),
            Err(violation) => return Err(self.fail(violation)),
        };
        self.answer(&message)?;
        Ok(Some(message))
    }

    // The part of a data message that the unread bytes have; `None` if they have none.
    fn take_begun(&mut self, part: &mut Vec<u8>) -> Result<Option<(Kind, Part)>, Error> {
        while let Some(message) = self.take_message()? {
            let (kind, bytes) = match message {
                Message::Text(text) => (Kind::Text, text.into_bytes()),
                Message::Binary(bytes) => (Kind::Binary, bytes),
                _ => continue,
            };
            *part = bytes;
            return Ok(Some((kind, Part::Last)));
        }
        let kind = self.protocol.kind_under_way();
        self.protocol.take_part(part);
        Ok(kind.map(|kind| (kind, Part::Some)))
    }

    // §5.5.1 and §5.5.2: a Close is answered with a Close, a Ping with a Pong.
    fn answer(&mut self, message: &Message) -> Result<(), Error> {
        match message {
            Message::Ping(payload) => {
                let result = self.outbox.pong(payload);
                self.written(result)
            }
            Message::Close(frame) => {
                self.answer_close(frame.as_ref());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    // Judges the result of a write by the reader itself.
    fn written(&mut self, result: Result<(), Error>) -> Result<(), Error> {
        match result {
            // A peer that left before the answer came has only left. A read reports that, after the
            // messages that came before it.
            Err(Error::Io(error)) if is_gone(&error) => Ok(()),
            // Another thread's write has failed, and that thread got the reason.
            Err(Error::Closed) => Ok(()),
            Err(error) => {
                self.protocol.end();
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    // Writes the messages that were held back while there was something to read.
    fn flush(&mut self) -> Result<(), Error> {
        if !self.outbox.settings.join_sends {
            return Ok(());
        }
        let result = self.outbox.flush(Way::Send);
        self.written(result)
    }

    // Another thread, or a wait that ran out, may have sent Close. A write that failed is not a
    // Close of ours: what the peer sent before it left still counts.
    fn notice_close(&mut self) {
        if self.protocol.state() == ConnectionState::Open && !self.outbox.is_open() {
            let info = self.outbox.close_info();
            if info.is_some_and(|info| info.code != close::ABNORMAL) {
                self.protocol.start_closing();
            }
        }
    }

    // Reads once, after doing everything that is due.
    fn fill(&mut self, until: Option<Instant>) -> Result<Filled, Error> {
        self.flush()?;
        let in_message = self.protocol.is_in_message() || !self.input.is_empty();
        loop {
            self.notice_close();
            let now = Instant::now();
            let wait = match self.next_wait(now) {
                Ok(Some(wait)) => wait,
                Ok(None) => return Ok(self.end_of_input()),
                Err(due) => {
                    self.act(due)?;
                    if self.protocol.state() == ConnectionState::Closed {
                        return Ok(Filled::End);
                    }
                    continue;
                }
            };
            let left = until.map_or(wait, |until| until.saturating_duration_since(now));
            let must_close = !self.outbox.begin_read(&self.socket);
            if must_close && self.has_served_on(now) {
                self.go_away()?;
                continue;
            }
            self.set_read_timeout(if must_close { NO_WAIT } else { wait.min(left) })?;

            let wanted_bytes = self.protocol.wanted_bytes();
            let result = self.input.fill(&mut &self.socket, wanted_bytes);
            self.outbox.end_read();
            let later = Instant::now();
            match &result {
                Err(error) if is_stop(error, later - now, self.read_timeout) => {
                    self.was_stopped_until(later);
                }
                _ => {
                    self.keepalive.waited(later - now, in_message);
                    self.waited_while_closing(now, later);
                }
            }
            if matches!(result, Ok(1..)) {
                self.keepalive.heard(self.outbox.written_bytes());
            }
            match result {
                Ok(0) => return Ok(self.end_of_input()),
                Ok(read) => return Ok(Filled::Bytes(read)),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut if must_close => self.go_away()?,
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    _ if is_gone(&error) => return Ok(self.end_of_input()),
                    _ => {
                        self.end();
                        return Err(error.into());
                    }
                },
            }
            if until.is_some_and(|until| later >= until) {
                return Ok(Filled::TimedOut);
            }
        }
    }

    // How long the next read may wait; `None` if nothing more is read, and an error if something
    // else is due first.
    fn next_wait(&mut self, now: Instant) -> Result<Option<Duration>, Due> {
        match self.outbox.is_open() {
            true => self.keepalive.next(now).map(Some),
            false => Ok(self.next_while_closing()),
        }
    }

    // The peer sends nothing more, or has had its time for that.
    fn end_of_input(&mut self) -> Filled {
        if self.socket.is_stopping() {
            let _ = self.outbox.close(close::GOING_AWAY, "", Way::Send);
            self.protocol.end();
        } else if matches!(self.outbox.closing(), Closing::Queued { .. }) {
            // A peer that has ended its side may still read ours, up to the Close.
            self.protocol.end();
        } else {
            self.end();
        }
        Filled::End
    }

    fn act(&mut self, due: Due) -> Result<(), Error> {
        match due {
            Due::Ping => {
                self.keepalive.asked();
                let result = self.outbox.keepalive();
                self.written(result)
            }
            Due::PeerGone => {
                match self.outbox.asked_behind_bytes() {
                    // The peer cannot have seen the ping yet. The write deadline bounds this.
                    None => self.keepalive.excuse(),
                    Some(bytes) if self.keepalive.extend(bytes) => {}
                    Some(_) => {
                        self.protocol.end();
                        self.outbox.end(true);
                        let _ = self.socket.shutdown(Shutdown::Both);
                    }
                }
                Ok(())
            }
            Due::MessageDeadline => Err(self.fail(Violation::MessageTooSlow)),
            // §7.4.1: this end "is going away". It cannot know whether the purpose was fulfilled
            // (1000).
            Due::Idle | Due::Lifetime => {
                let reason = if due == Due::Idle { "idle" } else { "lifetime" };
                let result = self.outbox.close(close::GOING_AWAY, reason, Way::Send);
                self.written(result)
            }
        }
    }

    // Rounds up to a millisecond, so that equal waits stay equal although the clock went on.
    fn set_read_timeout(&mut self, wait: Duration) -> io::Result<()> {
        if wait == self.read_timeout {
            return Ok(());
        }
        let millis = wait.as_nanos().div_ceil(1_000_000).max(1);
        let wait = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
        if wait != self.read_timeout {
            self.socket.set_read_timeout(Some(wait))?;
            self.read_timeout = wait;
        }
        Ok(())
    }

    // The transport has ended.
    fn end(&mut self) {
        self.protocol.end();
        self.outbox.end(false);
    }
}

/// Whether a read that lasted so long, of at most `wait`, was interrupted by a stop of the process.
fn is_stop(error: &io::Error, lasted: Duration, wait: Duration) -> bool {
    error.kind() == ErrorKind::Interrupted && was_stopped(lasted, wait)
}

/// Whether the peer has left, by FIN or by RST.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}
