//! A shared document, such as Yjs makes: `cargo run --example document`, then
//! http://127.0.0.1:8090 in several windows.
//!
//! The server relays what `y-websocket` speaks, in rooms: `new WebsocketProvider("ws://…", "ROOM",
//! doc)` works with it. It knows nothing of documents. It needs only two properties of their
//! updates: their order does not matter, and an update may come twice. So it keeps them for clients
//! that come later. Each new client is asked for one update that stands for all that it got. It
//! trusts that answer: a client that answers wrongly takes the document from those who come later.
//! So let only those in who may write.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use akurai_http::{Reply, Request, Response, Router, Server};
use akurai_ws::{Error, Message, Prepared, Sender, WsConn, WsOptions};

/// Beyond it, an empty room is forgotten. A client that has its document brings it again.
const MAX_ROOMS: usize = 100;
const MAX_MEMBERS: usize = 64;
/// Longest message, and so the largest document, in bytes.
const MAX_MESSAGE_BYTES: usize = 2 << 20;
/// What a room keeps. An update that would be too much ends its connection. Its client comes back
/// with one update that stands for all of them.
const MAX_ROOM_BYTES: usize = 4 << 20;
const MAX_UPDATES: usize = 50_000;

/// Messages begin with a number for their kind, and those of documents with a second one.
const DOCUMENT: u8 = 0;
/// What the sender has, as a state vector. The answer is what it misses.
const STEP_1: u8 = 0;
const STEP_2: u8 = 1;
const UPDATE: u8 = 2;
/// "I have nothing", and "you miss nothing".
const ASK_FOR_ALL: [u8; 4] = [DOCUMENT, STEP_1, 1, 0];
const NOTHING_MISSED: [u8; 5] = [DOCUMENT, STEP_2, 2, 0, 0];

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1);
    let server = Server::bind(addr.as_deref().unwrap_or("127.0.0.1:8090"))?
        // No page of another site reaches it by a name of its own that leads here.
        .hosts(["localhost", "127.0.0.1", "[::1]"])?;
    println!("http://{}", server.local_addr()?);
    server.run(app())
}

pub(crate) fn app() -> Router {
    let rooms = Rooms::default();
    Router::new()
        .get("/", |_| Response::html(include_str!("page.html")))
        .get("/{room}", move |req| rooms.enter(req))
}

#[derive(Clone, Default)]
struct Rooms(Arc<Mutex<HashMap<String, Arc<Mutex<Room>>>>>);

#[derive(Default)]
struct Room {
    updates: Vec<Update>,
    /// How many updates there have been.
    count: u64,
    bytes: usize,
    members: Vec<Member>,
}

struct Update {
    number: u64,
    bytes: usize,
    message: Prepared,
}

struct Member {
    sender: Sender,
    /// It was asked for all it has when it had all updates before this number.
    asked: Option<u64>,
}

impl Rooms {
    fn enter(&self, req: &Request) -> Reply {
        let name = req.param("room").unwrap_or_default().to_owned();
        let rooms = self.clone();
        let options = WsOptions::new().max_message_bytes(MAX_MESSAGE_BYTES);
        let options = options
            .max_queue_bytes(2 * MAX_ROOM_BYTES)
            .max_queue_messages(2 * MAX_UPDATES);
        options.upgrade(req, move |conn| {
            let room = rooms.open(name)?;
            stay(conn, &room)
        })
    }

    fn open(&self, name: String) -> Result<Arc<Mutex<Room>>, Error> {
        let mut rooms = lock(&self.0);
        if rooms.len() == MAX_ROOMS && !rooms.contains_key(&name) {
            // A room that somebody is in or just about to enter has a second owner.
            let empty = rooms.iter().find(|(_, room)| Arc::strong_count(room) == 1);
            let Some(empty) = empty.map(|(name, _)| name.clone()) else {
                return Err(Error::close(1013, "too many rooms"));
            };
            rooms.remove(&empty);
        }
        Ok(Arc::clone(rooms.entry(name).or_default()))
    }
}

/// A member's time in a room.
fn stay(mut conn: WsConn, room: &Mutex<Room>) -> Result<(), Error> {
    let sender = conn.sender();
    lock(room).join(&sender)?;
    while let Some(message) = conn.recv()? {
        let Message::Binary(message) = message else {
            return Err(Error::close(1003, "binary messages only"));
        };
        lock(room).take(&sender, message)?;
    }
    Ok(())
}

impl Room {
    /// Under the room's lock: so a new member gets the updates so far, and then each later one.
    fn join(&mut self, sender: &Sender) -> Result<(), Error> {
        self.members.retain(|member| member.sender.is_open());
        if self.members.len() == MAX_MEMBERS {
            return Err(Error::close(1013, "the room is full"));
        }
        sender.post(self.updates.iter().map(|update| &update.message))?;
        // It may have edited while it was away.
        sender.post([&Prepared::binary(&ASK_FOR_ALL)])?;
        self.members.push(Member {
            sender: sender.clone(),
            asked: Some(self.count),
        });
        Ok(())
    }

    fn take(&mut self, from: &Sender, mut message: Vec<u8>) -> Result<(), Error> {
        match message[..] {
            [DOCUMENT, STEP_1, ..] => from.post([&Prepared::binary(&NOTHING_MISSED)]),
            [DOCUMENT, kind @ (STEP_2 | UPDATE), ..] => {
                let member = self
                    .members
                    .iter_mut()
                    .find(|member| member.sender == *from);
                let asked = member.and_then(|member| member.asked.take_if(|_| kind == STEP_2));
                // The others get it as an update, since they have not asked.
                message[1] = UPDATE;
                self.keep(&message, asked)?;
                self.pass(from, &message);
                Ok(())
            }
            // Who is here, and where their cursors are: only for those here now.
            [_, ..] => {
                self.pass(from, &message);
                Ok(())
            }
            [] => Err(Error::close(1003, "an empty message")),
        }
    }

    /// Keeps an update. It stands for all before the number `asked`.
    fn keep(&mut self, message: &[u8], asked: Option<u64>) -> Result<(), Error> {
        let is_older = |update: &Update| asked.is_some_and(|asked| update.number < asked);
        let older = self.updates.partition_point(is_older);
        let freed: usize = self.updates[..older]
            .iter()
            .map(|update| update.bytes)
            .sum();
        let bytes = self.bytes - freed + message.len();
        if bytes > MAX_ROOM_BYTES || self.updates.len() - older == MAX_UPDATES {
            return Err(Error::close(1009, "the document is too large"));
        }
        self.updates.drain(..older);
        self.updates.push(Update {
            number: self.count,
            bytes: message.len(),
            message: Prepared::binary(message),
        });
        self.count += 1;
        self.bytes = bytes;
        Ok(())
    }

    fn pass(&self, from: &Sender, message: &[u8]) {
        let message = Prepared::binary(message);
        for member in self.members.iter().filter(|member| member.sender != *from) {
            let _ = member.sender.post([&message]); // One that has left, or is too slow.
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
