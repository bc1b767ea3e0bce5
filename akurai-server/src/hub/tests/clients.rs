//! Real connections for the model test: each is made before its program runs, and the program's
//! threads only read what is here.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, OnceLock};
use std::thread;

use akurai_http::{Handle, Request, Server, Socket, event_stream};
use akurai_ws::{Sender, upgrade};

use crate::lock::lock;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
                         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A client's end, and what it has got behind the answer's head.
pub(super) struct Client {
    stream: UnixStream,
    pub(super) taken: Vec<u8>,
    /// Our side has ended the connection.
    pub(super) has_ended: bool,
}

impl Client {
    /// Takes what is here.
    pub(super) fn take(&mut self) {
        self.stream.set_nonblocking(true).unwrap();
        match self.stream.read_to_end(&mut self.taken) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => self.has_ended = true,
        }
    }
}

struct Factory {
    handle: Handle,
    sockets: Receiver<Socket>,
    senders: Receiver<Sender>,
}

fn factory() -> &'static Mutex<Factory> {
    static FACTORY: OnceLock<Mutex<Factory>> = OnceLock::new();
    FACTORY.get_or_init(|| {
        let server = Server::unbound();
        let handle = server.handle();
        let (give_socket, sockets) = mpsc::channel();
        let (give_sender, senders) = mpsc::channel();
        let app = move |req: &Request| {
            let (give_socket, give_sender) = (give_socket.clone(), give_sender.clone());
            match req.path() {
                "/" => event_stream(move |upgraded| {
                    give_socket.send(upgraded.into_parts().1).unwrap();
                })
                .into(),
                _ => upgrade(req, move |mut conn| {
                    give_sender.send(conn.sender()).unwrap();
                    while conn.recv()?.is_some() {}
                    Ok(())
                }),
            }
        };
        thread::spawn(move || server.run(app));
        Mutex::new(Factory {
            handle,
            sockets,
            senders,
        })
    })
}

fn begin<T>(request: &str, made: impl FnOnce(&Factory) -> T) -> (T, Client) {
    let factory = lock(factory());
    let (mut stream, theirs) = UnixStream::pair().unwrap();
    factory.handle.adopt(theirs, None).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let made = made(&factory);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let client = Client {
        stream,
        taken: Vec::new(),
        has_ended: false,
    };
    (made, client)
}

pub(super) fn stream() -> (Socket, Client) {
    let (socket, client) = begin(REQUEST, |factory| factory.sockets.recv().unwrap());
    socket.set_nonblocking(true).unwrap();
    (socket, client)
}

pub(super) fn web_socket() -> (Sender, Client) {
    begin(HANDSHAKE, |factory| factory.senders.recv().unwrap())
}

/// What a subscriber got: an event's id and data, or a `reset`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Got {
    Event(String),
    Reset,
}

/// The events of a stream, and whether it ends within one.
pub(super) fn events(taken: &[u8]) -> (Vec<Got>, bool) {
    let text = String::from_utf8_lossy(taken);
    let mut blocks: Vec<&str> = text.split("\n\n").collect();
    let is_cut = blocks.pop() != Some("");
    let got = blocks.iter().filter_map(|block| {
        let data = block.lines().find_map(|line| line.strip_prefix("data: "))?;
        Some(match block.lines().any(|line| line == "event: reset") {
            true => Got::Reset,
            false => Got::Event(label(data)),
        })
    });
    (got.collect(), is_cut)
}

/// The messages that a WebSocket got, and the code of its close. That of a loss counts as a reset.
pub(super) fn messages(mut taken: &[u8]) -> (Vec<Got>, Option<u16>) {
    let (mut got, mut code) = (Vec::new(), None);
    while let [first, len, rest @ ..] = taken {
        let (payload, behind) = rest.split_at(usize::from(*len));
        assert_eq!(code, None, "behind the close");
        match first & 15 {
            8 => code = Some(u16::from_be_bytes([payload[0], payload[1]])),
            _ => got.push(Got::Event(String::from_utf8_lossy(payload).into_owned())),
        }
        taken = behind;
    }
    got.extend((code == Some(1013)).then_some(Got::Reset));
    (got, code)
}

/// A long event has its label in front.
fn label(data: &str) -> String {
    data.split(' ').next().unwrap_or_default().to_owned()
}
