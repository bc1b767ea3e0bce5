//! A client that writes the given bytes and reads responses strictly.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use crate::answer::{Answer, Framing, parse_field_line};
use crate::{DEADLINE, TestStream, shown};

/// A connection with a deadline on every operation, [`DEADLINE`] unless
/// [`patience`](Client::patience) changes it. It runs over a session if
/// [`is_over_session`](crate::is_over_session).
///
/// An operation is all of one call: a response that drips in is late when its last byte is.
#[derive(Debug)]
pub struct Client {
    stream: TestStream,
    /// Bytes that were read from the socket and not yet taken.
    buffer: Vec<u8>,
    patience: Duration,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By FIN: the peer closed in order. Under a session, the session's close came before it.
    Fin,
    /// By FIN, under a session without its close: the peer cut the connection.
    Cut,
    /// By RST: the peer discarded the connection.
    Reset,
}

/// Why the client could not read a whole response.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The connection ended first, after these bytes of a head or body.
    Ended(End, Vec<u8>),
    /// The deadline passed first, after these bytes of a head or body.
    Late(Vec<u8>),
    /// A server may not send these bytes as a response.
    Malformed(String),
    /// The socket failed.
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Ended(end, bytes) => write!(f, "{end:?} after \"{}\"", shown(bytes)),
            ReadError::Late(bytes) => write!(f, "deadline after \"{}\"", shown(bytes)),
            ReadError::Malformed(reason) => write!(f, "malformed response: {reason}"),
            ReadError::Io(error) => write!(f, "{error}"),
        }
    }
}

impl Client {
    /// Connects.
    #[track_caller]
    pub fn connect(addr: SocketAddr) -> Client {
        Client::try_connect(addr).expect("the server accepts")
    }

    /// Connects, if the system can.
    pub fn try_connect(addr: SocketAddr) -> io::Result<Client> {
        TestStream::connect(addr).map(Client::over)
    }

    /// A client over this connection.
    pub fn over(stream: TestStream) -> Client {
        Client {
            stream,
            buffer: Vec::new(),
            patience: DEADLINE,
        }
    }

    /// The same client with another deadline for every operation.
    pub fn patience(mut self, patience: Duration) -> Client {
        let wait = Some(patience);
        self.stream.set_write_timeout(wait).expect("not zero");
        self.patience = patience;
        self
    }

    /// The socket, for tests that must use it directly.
    pub fn stream(&self) -> &TestStream {
        &self.stream
    }

    /// Writes `bytes`, in one write as far as the socket takes them.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        if let Err(error) = self.try_send(bytes) {
            panic!("cannot send: {error}");
        }
    }

    /// Writes `bytes` to a peer that may have closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let mut rest = bytes.as_ref();
        let give_up = Instant::now() + self.patience;
        while !rest.is_empty() {
            // Each write also waits no longer than the deadline. Setting its timeout again would
            // double the cost of sending byte by byte.
            remaining(give_up)?;
            match self.stream.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes each piece in a separate write.
    #[track_caller]
    pub fn send_slowly<P: AsRef<[u8]>>(&mut self, pieces: impl IntoIterator<Item = P>) {
        for piece in pieces {
            self.send(piece);
        }
    }

    /// Writes each piece after a pause, as a slow client does.
    #[track_caller]
    pub fn send_paced<P: AsRef<[u8]>>(
        &mut self,
        pause: Duration,
        pieces: impl IntoIterator<Item = P>,
    ) {
        for piece in pieces {
            thread::sleep(pause);
            self.send(piece);
        }
    }

    /// Writes each byte in a separate write.
    #[track_caller]
    pub fn send_bytewise(&mut self, bytes: impl AsRef<[u8]>) {
        self.send_slowly(bytes.as_ref().chunks(1));
    }

    /// Ends the sending side by FIN.
    #[track_caller]
    pub fn finish(&mut self) {
        self.stream
            .shutdown(Shutdown::Write)
            .expect("the connection is still there");
    }

    /// Waits until the server has sent something, and leaves it unread.
    #[track_caller]
    pub fn await_unread(&self) {
        let patience = Some(self.patience);
        self.stream.set_read_timeout(patience).expect("not zero");
        let is_unread = self.stream.await_unread().expect("the server sends");
        assert!(is_unread, "the server closed first");
    }

    /// Leaves by RST. The system sends one when a socket is closed with unread bytes, so this waits
    /// until the server has sent bytes that the client has not taken from the socket.
    #[track_caller]
    pub fn leave_by_reset(self) {
        self.await_unread();
        self.stream.abandon();
    }

    /// Reads a response to anything but HEAD.
    #[track_caller]
    pub fn read_response(&mut self) -> Answer {
        self.try_read_response(false)
            .unwrap_or_else(|error| panic!("no response: {error}"))
    }

    /// Reads a response to HEAD: the same fields as for GET, and no body.
    #[track_caller]
    pub fn read_response_to_head(&mut self) -> Answer {
        self.try_read_response(true)
            .unwrap_or_else(|error| panic!("no response to HEAD: {error}"))
    }

    /// Reads a response, or says why there is no whole response.
    pub fn try_read_response(&mut self, to_head: bool) -> Result<Answer, ReadError> {
        let give_up = Instant::now() + self.patience;
        let mut answer = self.take_head(give_up)?;
        let framing = answer.framing(to_head).map_err(ReadError::Malformed)?;
        match framing {
            Framing::None => {}
            Framing::Length(length) => {
                let length = usize::try_from(length)
                    .map_err(|_| ReadError::Malformed("a length past all memory".into()))?;
                answer.body = self.take(length, give_up)?;
            }
            Framing::Chunked => self.take_chunks(&mut answer, give_up)?,
            Framing::Close => {
                while self.fill(give_up)? != 0 {}
                answer.body = std::mem::take(&mut self.buffer);
            }
        }
        Ok(answer)
    }

    /// Reads only a head; the bytes after it stay unread.
    #[track_caller]
    pub fn read_head(&mut self) -> Answer {
        self.take_head(Instant::now() + self.patience)
            .unwrap_or_else(|error| panic!("no head: {error}"))
    }

    /// Reads exactly `len` bytes.
    #[track_caller]
    pub fn read_exactly(&mut self, len: usize) -> Vec<u8> {
        self.take(len, Instant::now() + self.patience)
            .unwrap_or_else(|error| panic!("no {len} bytes: {error}"))
    }

    /// Reads exactly `len` bytes, or says why they did not come.
    pub fn try_read_exactly(&mut self, len: usize) -> Result<Vec<u8>, ReadError> {
        self.take(len, Instant::now() + self.patience)
    }

    /// The bytes that are already there; otherwise the bytes that one read of up to 64 KiB brings.
    /// Empty at the end.
    #[track_caller]
    pub fn read_some(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            if let Err(error) = self.fill(Instant::now() + self.patience) {
                panic!("nothing to read: {error}");
            }
        }
        std::mem::take(&mut self.buffer)
    }

    /// Reads until `enough` returns true for all bytes so far; takes them all.
    #[track_caller]
    pub fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let give_up = Instant::now() + self.patience;
        while !enough(&self.buffer) {
            match self.fill(give_up) {
                Ok(0) => panic!("the end came first, after \"{}\"", shown(&self.buffer)),
                Ok(_) => {}
                Err(error) => panic!("not enough came: {error}"),
            }
        }
        std::mem::take(&mut self.buffer)
    }

    /// Reads up to `mark` and takes it; the bytes after it stay unread.
    #[track_caller]
    pub fn read_through(&mut self, mark: &[u8]) -> Vec<u8> {
        let position = |bytes: &[u8]| bytes.windows(mark.len()).position(|window| window == mark);
        let mut through = self.read_until(|bytes| position(bytes).is_some());
        let end = position(&through).map_or(0, |at| at + mark.len());
        self.buffer = through.split_off(end);
        through
    }

    /// Reads to the end: all bytes, and how the connection ended.
    #[track_caller]
    pub fn read_to_end(&mut self) -> (Vec<u8>, End) {
        let give_up = Instant::now() + self.patience;
        let end = loop {
            match self.fill(give_up) {
                Ok(0) => break End::Fin,
                Ok(_) => {}
                Err(ReadError::Ended(end, _)) => break end,
                Err(error) => panic!("no end: {error}"),
            }
        };
        (std::mem::take(&mut self.buffer), end)
    }

    /// Fails unless the connection ends next with FIN, without another byte.
    #[track_caller]
    pub fn expect_eof(&mut self) {
        let (rest, end) = self.read_to_end();
        assert!(
            rest.is_empty() && end == End::Fin,
            "wanted FIN and nothing else, got {end:?} after \"{}\"",
            shown(&rest)
        );
    }

    /// Fails unless the connection ends next with FIN, without another byte, and without the close
    /// of the session if there is one: the server has cut it.
    #[track_caller]
    pub fn expect_cut(&mut self) {
        let expected = match self.stream.is_under_session() {
            true => End::Cut,
            false => End::Fin,
        };
        let (rest, end) = self.read_to_end();
        assert!(
            rest.is_empty() && end == expected,
            "wanted {expected:?} and nothing else, got {end:?} after \"{}\"",
            shown(&rest)
        );
    }

    /// Fails unless the connection ends next, in any way, without another byte.
    #[track_caller]
    pub fn expect_no_more(&mut self) {
        let (rest, end) = self.read_to_end();
        assert!(
            rest.is_empty(),
            "wanted an end and nothing else, got {end:?} after \"{}\"",
            shown(&rest)
        );
    }

    /// Whether the connection stays open and silent for this long. If it does not, the bytes that
    /// came stay unread.
    pub fn is_silent_for(&mut self, wait: Duration) -> bool {
        let waited = self.fill(Instant::now() + wait);
        self.buffer.is_empty() && matches!(waited, Err(ReadError::Late(_)))
    }

    /// Takes a head off the buffer, after reading until there is a whole one.
    fn take_head(&mut self, give_up: Instant) -> Result<Answer, ReadError> {
        const LONGEST: usize = 64 * 1024;
        let mut searched = 0;
        loop {
            let found = self.buffer[searched..]
                .windows(4)
                .position(|window| window == b"\r\n\r\n");
            if let Some(at) = found {
                let head: Vec<u8> = self.buffer.drain(..searched + at + 4).collect();
                return Answer::from_head(&head).map_err(ReadError::Malformed);
            }
            if self.buffer.len() > LONGEST {
                return Err(ReadError::Malformed("a head without an end".into()));
            }
            searched = self.buffer.len().saturating_sub(3);
            self.fill_or_end(give_up)?;
        }
    }

    fn take(&mut self, len: usize, give_up: Instant) -> Result<Vec<u8>, ReadError> {
        while self.buffer.len() < len {
            self.fill_or_end(give_up)?;
        }
        Ok(self.buffer.drain(..len).collect())
    }

    /// A line without its CRLF.
    fn take_line(&mut self, give_up: Instant) -> Result<Vec<u8>, ReadError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return match line.strip_suffix(b"\r\n") {
                    Some(line) if !line.contains(&b'\r') => Ok(line.to_vec()),
                    _ => Err(ReadError::Malformed(format!("line \"{}\"", shown(&line)))),
                };
            }
            self.fill_or_end(give_up)?;
        }
    }

    /// `chunked-body = *chunk last-chunk trailer-section CRLF` (RFC 9112 §7.1), without extensions:
    /// our server sends none.
    fn take_chunks(&mut self, answer: &mut Answer, give_up: Instant) -> Result<(), ReadError> {
        loop {
            let size_line = self.take_line(give_up)?;
            let size = parse_chunk_size(&size_line).ok_or_else(|| {
                ReadError::Malformed(format!("chunk-size \"{}\"", shown(&size_line)))
            })?;
            if size == 0 {
                break;
            }
            answer.body.extend(self.take(size, give_up)?);
            let end = self.take(2, give_up)?;
            if end != b"\r\n" {
                let reason = format!("chunk followed by \"{}\"", shown(&end));
                return Err(ReadError::Malformed(reason));
            }
        }
        loop {
            let line = self.take_line(give_up)?;
            if line.is_empty() {
                return Ok(());
            }
            let field = parse_field_line(&line).map_err(ReadError::Malformed)?;
            answer.trailers.push(field);
        }
    }

    fn fill_or_end(&mut self, give_up: Instant) -> Result<(), ReadError> {
        match self.fill(give_up)? {
            0 => Err(ReadError::Ended(End::Fin, self.buffer.clone())),
            _ => Ok(()),
        }
    }

    /// One read into the buffer; returns the number of bytes, 0 at the end.
    fn fill(&mut self, give_up: Instant) -> Result<usize, ReadError> {
        let late = |buffer: &Vec<u8>| Err(ReadError::Late(buffer.clone()));
        let mut piece = [0; 64 * 1024];
        loop {
            let Ok(wait) = remaining(give_up) else {
                return late(&self.buffer);
            };
            self.stream
                .set_read_timeout(Some(wait))
                .map_err(ReadError::Io)?;
            match self.stream.read(&mut piece) {
                Ok(len) => {
                    self.buffer.extend_from_slice(&piece[..len]);
                    return Ok(len);
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return late(&self.buffer),
                    ErrorKind::UnexpectedEof => {
                        return Err(ReadError::Ended(End::Cut, self.buffer.clone()));
                    }
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                        return Err(ReadError::Ended(End::Reset, self.buffer.clone()));
                    }
                    _ => return Err(ReadError::Io(error)),
                },
            }
        }
    }
}

/// The time left, at least 1 ms; an error if there is none.
fn remaining(give_up: Instant) -> io::Result<Duration> {
    let left = give_up.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::Error::new(ErrorKind::TimedOut, "the deadline passed"));
    }
    Ok(left.max(Duration::from_millis(1)))
}

/// `chunk-size = 1*HEXDIG`, of at most 16 digits.
fn parse_chunk_size(line: &[u8]) -> Option<usize> {
    if line.is_empty() || line.len() > 16 || !line.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    usize::from_str_radix(std::str::from_utf8(line).ok()?, 16).ok()
}
