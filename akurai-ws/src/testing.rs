//! Tests of a handler without a browser or a port: a [`Peer`] speaks with it.
//!
//! ```
//! use akurai_ws::Message;
//! use akurai_ws::testing::Peer;
//!
//! let mut peer = Peer::of(|mut conn| {
//!     while let Some(Message::Text(name)) = conn.recv()? {
//!         conn.send_text(&format!("hello, {name}"))?;
//!     }
//!     Ok(())
//! })?;
//! peer.send_text("Ann")?;
//! assert_eq!(peer.recv()?, Some(Message::Text("hello, Ann".to_owned())));
//! assert_eq!(peer.close(1000, "")?.map(|close| close.code), Some(1000));
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fmt::{self, Display};
use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use akurai_http::testing::{Answer, Client, ClientEnd};
use akurai_http::{Reply, Request, Response, Status};

use crate::codec::close;
use crate::conn::WsConn;
use crate::error::Error;
use crate::lock::lock;
use crate::message::{CloseFrame, Kind, Message};
use crate::upgrade::upgrade;

/// A wait that the clock cannot represent is this long.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Most bytes that one read takes.
const PIECE_BYTES: usize = 16 * 1024;

/// Longest message that a peer takes, in bytes.
const MAX_MESSAGE_BYTES: u64 = 256 << 20;

// The key of RFC 6455 §1.3, and the answer to it there.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Any key masks; a test is the better for always the same bytes.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The other end of a WebSocket, for a test of the handler.
///
/// It goes through the real server and the real handshake, over a connection of a test's
/// [`Client`], which needs no port. It offers no compression. It checks each frame that comes
/// (RFC 6455 §5): a frame that a browser would refuse is an `InvalidData` error, which says what is
/// wrong. No call waits longer than the client's [`wait`](Client::wait), 10 s by default: then it
/// fails with `TimedOut`.
///
/// A handler that sends what nobody reads waits, and then takes no more from this peer. So read
/// between two sends if there is much to read.
///
/// A drop ends the connection without a Close, as a browser does that loses its network.
pub struct Peer {
    end: ClientEnd,
    answer: Answer,
    /// What has come and belongs to no whole frame yet.
    unread: Vec<u8>,
    /// The rest of the frames that the server has not taken in time.
    unsent: Vec<u8>,
    /// The beginning of a message whose end has not come.
    message: Option<(Kind, Vec<u8>)>,
    has_sent_close: bool,
    has_got_close: bool,
    /// Runs the closure; dropped after the connection.
    _client: Option<Client>,
}

impl Peer {
    /// Opens a WebSocket to a client's app. `request` is a target, or a [`Request`] with more
    /// fields, such as `Origin`, `Cookie` or `Sec-WebSocket-Protocol`; those of
    /// [`handshake`](Peer::handshake) are added.
    ///
    /// ```
    /// use akurai_http::{Router, testing::Client};
    /// use akurai_ws::{Message, testing::Peer, upgrade};
    ///
    /// let app = Router::new().get("/greet", |req| {
    ///     upgrade(req, |conn| conn.send_text("hello"))
    /// });
    /// let client = Client::new(app);
    /// let mut peer = Peer::connect(&client, "/greet")?;
    /// assert_eq!(peer.recv()?, Some(Message::Text("hello".to_owned())));
    /// assert!(matches!(peer.recv()?, Some(Message::Close(Some(close))) if close.code == 1000));
    /// assert_eq!(peer.recv()?, None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Client::send`], and `InvalidData` if the answer does not switch to WebSocket: the
    /// error's text has its status and body.
    ///
    /// # Panics
    ///
    /// If the target would be refused on the wire.
    pub fn connect(client: &Client, request: impl Into<Request>) -> io::Result<Peer> {
        let request = Peer::handshake(request);
        let mut end = client.connect()?;
        let asked = request.path().to_owned();
        let offered: Vec<Vec<u8>> = request
            .headers()
            .tokens("Sec-WebSocket-Protocol")
            .map(<[u8]>::to_vec)
            .collect();
        let answer = end.send(request)?;
        check_answer(&answer, &offered)
            .map_err(|told| invalid(format_args!("no WebSocket at {asked}: {told}")))?;
        Ok(Peer {
            end,
            answer,
            unread: Vec::new(),
            unsent: Vec::new(),
            message: None,
            has_sent_close: false,
            has_got_close: false,
            _client: None,
        })
    }

    /// Opens a WebSocket to a closure, as [`upgrade`](crate::upgrade) runs it, behind a client of
    /// its own.
    ///
    /// # Errors
    ///
    /// Those of [`Client::connect`].
    ///
    /// # Panics
    ///
    /// If the system can make no thread.
    pub fn of(f: impl FnOnce(WsConn) -> Result<(), Error> + Send + 'static) -> io::Result<Peer> {
        let once = Mutex::new(Some(f));
        let client = Client::new(move |req: &Request| -> Reply {
            match lock(&once).take() {
                Some(f) => upgrade(req, f),
                None => Response::new(Status::NOT_FOUND).into(),
            }
        });
        let peer = Peer::connect(&client, "/")?;
        Ok(Peer {
            _client: Some(client),
            ..peer
        })
    }

    /// The request with the fields of an opening handshake that it lacks. With it, a
    /// [`Client`](Client::send) shows the answer to a handshake that is refused.
    ///
    /// ```
    /// use akurai_http::{Method, Request, Status, testing::Client};
    /// use akurai_ws::{testing::Peer, upgrade};
    ///
    /// let client = Client::new(|req: &Request| upgrade(req, |_conn| Ok(())));
    /// let request = Request::from("/").with_header("Origin", "https://evil.example");
    /// let answer = client.send(Peer::handshake(request))?;
    /// assert_eq!(answer.status(), Status::FORBIDDEN);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the target would be refused on the wire.
    pub fn handshake(request: impl Into<Request>) -> Request {
        let fields = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        fields
            .into_iter()
            .fold(request.into(), |request, (name, value)| {
                match request.headers().bytes(name) {
                    Some(_) => request,
                    None => request.with_header(name, value),
                }
            })
    }

    /// The answer to the opening handshake: its `Sec-WebSocket-Protocol`, for example.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Sends a text message, in one frame.
    ///
    /// # Errors
    ///
    /// `TimedOut` if the server has not taken it in time: its rest goes out in front of the next
    /// frame. `BrokenPipe` if the connection has ended.
    pub fn send_text(&mut self, text: &str) -> io::Result<()> {
        self.send(TEXT, text.as_bytes(), self.deadline())
    }

    /// Sends a binary message, in one frame.
    ///
    /// # Errors
    ///
    /// Those of [`send_text`](Peer::send_text).
    pub fn send_binary(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.send(BINARY, bytes, self.deadline())
    }

    /// Sends a ping; the pong comes by [`recv`](Peer::recv).
    ///
    /// # Errors
    ///
    /// Those of [`send_text`](Peer::send_text), and `InvalidInput` if the payload is longer than
    /// 125 bytes (RFC 6455 §5.5).
    pub fn send_ping(&mut self, payload: &[u8]) -> io::Result<()> {
        self.send(PING, payload, self.deadline())
    }

    /// Sends a Close and goes on; [`recv`](Peer::recv) gives what still comes. Its reason may have
    /// 123 bytes.
    ///
    /// # Errors
    ///
    /// Those of [`send_ping`](Peer::send_ping).
    pub fn send_close(&mut self, code: u16, reason: &str) -> io::Result<()> {
        self.send_close_by(code, reason, self.deadline())
    }

    /// The next message or control frame. Fragments are put together, and a ping has been answered.
    /// The handler's Close has been answered too; after it, `recv` waits until the handler's side
    /// has ended the connection, and returns `None`.
    ///
    /// # Errors
    ///
    /// `TimedOut` if nothing whole came in time; a later call goes on where this one stopped, even
    /// within a frame. `UnexpectedEof` if the connection
    /// ended without a Close. `InvalidData` if a frame breaks RFC 6455, or a message is longer than
    /// 256 MiB.
    pub fn recv(&mut self) -> io::Result<Option<Message>> {
        self.recv_by(self.deadline())
    }

    fn recv_by(&mut self, deadline: Instant) -> io::Result<Option<Message>> {
        if self.has_got_close {
            return match !self.unread.is_empty()
                || self.fill("the end behind the Close", deadline)?
            {
                true => Err(invalid("bytes follow the Close")),
                false => Ok(None),
            };
        }
        loop {
            let (is_last, opcode, payload) = self.frame(deadline)?;
            let done = match opcode {
                CLOSE => Some(self.take_close(&payload, deadline)?),
                PING => {
                    if !self.has_sent_close {
                        // If the handler has left meanwhile, the next frame tells.
                        let _ = self.send(PONG, &payload, deadline);
                    }
                    Some(Message::Ping(payload))
                }
                PONG => Some(Message::Pong(payload)),
                _ => self.take_data(is_last, opcode, payload)?,
            };
            if done.is_some() {
                return Ok(done);
            }
            self.check_time(deadline, "the last fragment of a message")?;
        }
    }

    /// Sends a Close, unless one was sent or answered; reads and discards messages up to the
    /// handler's Close; and waits until the connection has ended. Returns the handler's Close:
    /// `None` if it has no code, or if `recv` has given it before.
    ///
    /// # Errors
    ///
    /// Those of [`send_close`](Peer::send_close) and [`recv`](Peer::recv). `TimedOut` also if the
    /// handler still sends messages when the [`wait`](Client::wait) of the whole call is over.
    pub fn close(&mut self, code: u16, reason: &str) -> io::Result<Option<CloseFrame>> {
        let deadline = self.deadline();
        match self.has_sent_close {
            true => self.send_rest(deadline)?,
            false => self.send_close_by(code, reason, deadline)?,
        }
        let mut close = None;
        while let Some(message) = self.recv_by(deadline)? {
            if let Message::Close(frame) = message {
                close = frame;
            }
            self.check_time(deadline, "the handler's Close and the end")?;
        }
        Ok(close)
    }

    /// When a call that begins now is over.
    fn deadline(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.end.wait()).unwrap_or(now + A_YEAR)
    }

    /// A peer that finds more and more to read would never wait, and so never be late.
    fn check_time(&self, deadline: Instant, what: &str) -> io::Result<()> {
        match Instant::now() < deadline {
            true => Ok(()),
            false => Err(self.told(io::ErrorKind::TimedOut.into(), what)),
        }
    }

    fn send_close_by(&mut self, code: u16, reason: &str, deadline: Instant) -> io::Result<()> {
        let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
        let sent = self.send(CLOSE, &payload, deadline);
        let is_refused = |error: &io::Error| error.kind() == io::ErrorKind::InvalidInput;
        self.has_sent_close = !sent.as_ref().is_err_and(is_refused);
        sent
    }

    fn send(&mut self, opcode: u8, payload: &[u8], deadline: Instant) -> io::Result<()> {
        if opcode >= CLOSE && payload.len() > 125 {
            let told = format!("a control frame of {} bytes, 125 at most", payload.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
        }
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            short @ ..126 => frame.push(0x80 | short as u8),
            medium @ ..0x1_0000 => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(medium as u16).to_be_bytes());
            }
            long => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&MASK);
        let masked = payload.iter().zip(MASK.iter().cycle());
        frame.extend(masked.map(|(byte, key)| byte ^ key));
        self.unsent.append(&mut frame);
        self.send_rest(deadline)
    }

    fn send_rest(&mut self, deadline: Instant) -> io::Result<()> {
        let mut sent = 0;
        let outcome = loop {
            if sent == self.unsent.len() {
                break Ok(());
            }
            match self.end.write_by(&self.unsent[sent..], deadline) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) => break Err(error),
            }
        };
        self.unsent.drain(..sent);
        outcome.map_err(|error| self.told(error, "room for a frame"))
    }

    /// Reads a frame: whether it is its message's last, its opcode, and its payload. Until the
    /// whole frame has come, its bytes stay unread, so that a later call goes on with it.
    fn frame(&mut self, deadline: Instant) -> io::Result<(bool, u8, Vec<u8>)> {
        self.need(2, deadline)?;
        let (first, short) = (self.unread[0], self.unread[1] & 0x7f);
        let head_bytes = match short {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        self.need(head_bytes, deadline)?;
        let long = self.unread[2..head_bytes].iter();
        let len = match short {
            126 | 127 => long.fold(0, |len, byte| len << 8 | u64::from(*byte)),
            short => u64::from(short),
        };
        if let Some(fault) = fault(&self.unread[..2], len) {
            let begin = &self.unread[..2];
            return Err(invalid(format_args!(
                "a frame that begins with {begin:02x?}: {fault}"
            )));
        }
        let frame_bytes = head_bytes + len as usize;
        while self.unread.len() < frame_bytes {
            if !self.fill("the rest of a frame", deadline)? {
                let came = self.unread.len() - head_bytes;
                let told = format!("the connection ended after {came} of a frame's {len} bytes");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, told));
            }
        }
        let rest = self.unread.split_off(frame_bytes);
        let mut payload = std::mem::replace(&mut self.unread, rest);
        payload.drain(..head_bytes);
        Ok((first & 0x80 != 0, first & 0x0f, payload))
    }

    /// Waits until so many bytes of a frame's head have come.
    fn need(&mut self, bytes: usize, deadline: Instant) -> io::Result<()> {
        while self.unread.len() < bytes {
            if !self.fill("the next frame", deadline)? {
                return Err(self.told(io::ErrorKind::UnexpectedEof.into(), "the next frame"));
            }
        }
        Ok(())
    }

    /// Waits for more bytes. False at the connection's end.
    fn fill(&mut self, what: &str, deadline: Instant) -> io::Result<bool> {
        let mut piece = [0; PIECE_BYTES];
        let read = self.end.read_by(&mut piece, deadline);
        let count = read.map_err(|error| self.told(error, what))?;
        self.unread.extend_from_slice(&piece[..count]);
        Ok(count > 0)
    }

    /// Adds a data frame to its message, and returns that message when it is whole.
    fn take_data(
        &mut self,
        is_last: bool,
        opcode: u8,
        payload: Vec<u8>,
    ) -> io::Result<Option<Message>> {
        let (kind, mut bytes) = match (opcode, self.message.take()) {
            (0, Some(message)) => message,
            (0, None) => return Err(invalid("a continuation without a message (§5.4)")),
            (_, Some(_)) => return Err(invalid("a new message within another (§5.4)")),
            (TEXT, None) => (Kind::Text, Vec::new()),
            (_, None) => (Kind::Binary, Vec::new()),
        };
        bytes.extend_from_slice(&payload);
        if bytes.len() as u64 > MAX_MESSAGE_BYTES {
            return Err(invalid("a message has more than 256 MiB"));
        }
        if !is_last {
            self.message = Some((kind, bytes));
            return Ok(None);
        }
        Ok(Some(match kind {
            Kind::Binary => Message::Binary(bytes),
            Kind::Text => match String::from_utf8(bytes) {
                Ok(text) => Message::Text(text),
                Err(_) => return Err(invalid("a text message is not UTF-8 (§5.6)")),
            },
        }))
    }

    /// Checks the handler's Close, and answers it.
    fn take_close(&mut self, payload: &[u8], deadline: Instant) -> io::Result<Message> {
        let frame = close::decode(payload).map_err(invalid)?;
        self.has_got_close = true;
        if !self.has_sent_close {
            self.has_sent_close = true;
            // If the connection has ended meanwhile, the next call tells.
            let _ = self.send(CLOSE, payload, deadline);
        }
        Ok(Message::Close(frame))
    }

    /// Says what was waited for when an error came.
    fn told(&self, error: io::Error, what: &str) -> io::Error {
        let told = match error.kind() {
            io::ErrorKind::TimedOut => {
                format!("{what} has not come within {:?}", self.end.wait())
            }
            io::ErrorKind::UnexpectedEof => {
                format!("the connection ended without a Close, before {what}")
            }
            _ => format!("{error}, before {what}"),
        };
        io::Error::new(error.kind(), told)
    }
}

/// What is wrong with a frame of this length that begins with these two bytes (RFC 6455 §5).
fn fault(begin: &[u8], len: u64) -> Option<&'static str> {
    let (is_last, opcode) = (begin[0] & 0x80 != 0, begin[0] & 0x0f);
    let is_control = opcode >= CLOSE;
    Some(match begin[1] & 0x7f {
        _ if begin[0] & 0x70 != 0 => "a reserved bit is set (§5.2)",
        _ if begin[1] & 0x80 != 0 => "it is masked, and comes from a server (§5.1)",
        _ if !matches!(opcode, 0..=2 | 8..=10) => "its opcode is reserved (§5.2)",
        126 | 127 if is_control => "a control frame has more than 125 bytes (§5.5)",
        126 if len < 126 => "its length is not in the shortest form (§5.2)",
        127 if len < 0x1_0000 => "its length is not in the shortest form (§5.2)",
        _ if is_control && !is_last => "a control frame is fragmented (§5.5)",
        _ if len > MAX_MESSAGE_BYTES => "it has more than 256 MiB",
        _ => return None,
    })
}

/// Checks the answer to an opening handshake, as a client must (RFC 6455 §4.1).
fn check_answer(answer: &Answer, offered: &[Vec<u8>]) -> Result<(), String> {
    if answer.status() != Status::SWITCHING_PROTOCOLS {
        let text: String = answer.text().chars().take(200).collect();
        return Err(format!("{}: {text:?}", answer.status()));
    }
    let has = |name: &str, value: &str| {
        let mut tokens = answer.headers().tokens(name);
        tokens.any(|token| token.eq_ignore_ascii_case(value.as_bytes()))
    };
    let chosen = answer.headers().bytes("Sec-WebSocket-Protocol");
    let fault = match () {
        () if !has("Upgrade", "websocket") => "Upgrade is not websocket",
        () if !has("Connection", "upgrade") => "Connection is not upgrade",
        () if answer.header("Sec-WebSocket-Accept") != Some(ACCEPT) => {
            "a wrong Sec-WebSocket-Accept"
        }
        () if answer.headers().bytes("Sec-WebSocket-Extensions").is_some() => {
            "an extension, and this peer speaks none"
        }
        () if chosen.is_some_and(|name| !offered.iter().any(|known| known == name)) => {
            "a subprotocol that was not offered"
        }
        () => return Ok(()),
    };
    Err(fault.to_owned())
}

fn invalid(told: impl Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, told.to_string())
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("end", &self.end)
            .field("has_sent_close", &self.has_sent_close)
            .field("has_got_close", &self.has_got_close)
            .finish_non_exhaustive()
    }
}
