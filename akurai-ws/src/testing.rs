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

mod frames;

use std::fmt;
use std::io;
use std::sync::Mutex;
use std::time::Instant;

use akurai_http::testing::{Answer, Client};
use akurai_http::{Reply, Request, Response, Status};

use self::frames::{BINARY, CLOSE, Frames, MAX_MESSAGE_BYTES, PING, PONG, TEXT, invalid};
use crate::codec::close;
use crate::conn::WsConn;
use crate::error::Error;
use crate::lock::lock;
use crate::message::{CloseFrame, Kind, Message};
use crate::upgrade::upgrade;

// The key of RFC 6455 §1.3, and the answer to it there.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

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
    frames: Frames,
    answer: Answer,
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
            frames: Frames::new(end),
            answer,
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
        self.frames
            .send(TEXT, text.as_bytes(), self.frames.deadline())
    }

    /// Sends a binary message, in one frame.
    ///
    /// # Errors
    ///
    /// Those of [`send_text`](Peer::send_text).
    pub fn send_binary(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.frames.send(BINARY, bytes, self.frames.deadline())
    }

    /// Sends a ping; the pong comes by [`recv`](Peer::recv).
    ///
    /// # Errors
    ///
    /// Those of [`send_text`](Peer::send_text), and `InvalidInput` if the payload is longer than
    /// 125 bytes (RFC 6455 §5.5).
    pub fn send_ping(&mut self, payload: &[u8]) -> io::Result<()> {
        self.frames.send(PING, payload, self.frames.deadline())
    }

    /// Sends a Close and goes on; [`recv`](Peer::recv) gives what still comes. Its reason may have
    /// 123 bytes.
    ///
    /// # Errors
    ///
    /// Those of [`send_ping`](Peer::send_ping).
    pub fn send_close(&mut self, code: u16, reason: &str) -> io::Result<()> {
        self.send_close_by(code, reason, self.frames.deadline())
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
        self.recv_by(self.frames.deadline())
    }

    fn recv_by(&mut self, deadline: Instant) -> io::Result<Option<Message>> {
        if self.has_got_close {
            return match self.frames.has_more("the end behind the Close", deadline)? {
                true => Err(invalid("bytes follow the Close")),
                false => Ok(None),
            };
        }
        loop {
            let (is_last, opcode, payload) = self.frames.next(deadline)?;
            let done = match opcode {
                CLOSE => Some(self.take_close(&payload, deadline)?),
                PING => {
                    if !self.has_sent_close {
                        // If the handler has left meanwhile, the next frame tells.
                        let _ = self.frames.send(PONG, &payload, deadline);
                    }
                    Some(Message::Ping(payload))
                }
                PONG => Some(Message::Pong(payload)),
                _ => self.take_data(is_last, opcode, payload)?,
            };
            if done.is_some() {
                return Ok(done);
            }
            self.frames
                .check_time(deadline, "the last fragment of a message")?;
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
        let deadline = self.frames.deadline();
        match self.has_sent_close {
            true => self.frames.send_rest(deadline)?,
            false => self.send_close_by(code, reason, deadline)?,
        }
        let mut close = None;
        while let Some(message) = self.recv_by(deadline)? {
            if let Message::Close(frame) = message {
                close = frame;
            }
            self.frames
                .check_time(deadline, "the handler's Close and the end")?;
        }
        Ok(close)
    }

    fn send_close_by(&mut self, code: u16, reason: &str, deadline: Instant) -> io::Result<()> {
        let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
        let sent = self.frames.send(CLOSE, &payload, deadline);
        let is_refused = |error: &io::Error| error.kind() == io::ErrorKind::InvalidInput;
        self.has_sent_close = !sent.as_ref().is_err_and(is_refused);
        sent
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
            let _ = self.frames.send(CLOSE, payload, deadline);
        }
        Ok(Message::Close(frame))
    }
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

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("end", &self.frames.end)
            .field("has_sent_close", &self.has_sent_close)
            .field("has_got_close", &self.has_got_close)
            .finish_non_exhaustive()
    }
}
