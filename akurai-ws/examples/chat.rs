//! A chat between browsers: `cargo run --example chat`, then http://127.0.0.1:8090 in several
//! windows.
//!
//! Each connection's thread receives, and sends every message that it received to all. A message is
//! encoded once, however many receive it.

use std::sync::{Arc, Mutex, PoisonError};

use akurai_http::{Reply, Request, Response, Router, Server};
use akurai_ws::{Message, Prepared, Sender, WsOptions};

/// The senders of all who are here.
#[derive(Clone, Default)]
struct Room(Arc<Mutex<Vec<Sender>>>);

impl Room {
    fn enter(&self, sender: Sender) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
    }

    /// Sends the text to all. A peer that is slow is closed with 1008, which is the default. A peer
    /// that is gone is forgotten.
    fn say(&self, text: &str) {
        let message = Prepared::text(text);
        let everyone = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for sender in &everyone {
            let _ = sender.post([&message]);
        }
        let mut here = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        here.retain(Sender::is_open);
    }
}

/// Somebody in the room. A connection ends in many ways, most often by `?`, and each drops this.
struct Guest(Room);

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.say("(someone left)");
    }
}

fn main() -> std::io::Result<()> {
    println!("http://127.0.0.1:8090");
    Server::bind("127.0.0.1:8090")?.run(app())
}

fn app() -> Router {
    let room = Room::default();
    Router::new()
        .get("/", |_| Response::html(PAGE))
        .get("/chat", move |req| chat(req, room.clone()))
}

fn chat(req: &Request, room: Room) -> Reply {
    let options = WsOptions::new().max_message_bytes(4 * 1024);
    options.upgrade(req, move |mut conn| {
        room.enter(conn.sender());
        room.say("(someone came in)");
        let _guest = Guest(room.clone());
        while let Some(message) = conn.recv()? {
            if let Message::Text(text) = message {
                room.say(&text);
            }
        }
        Ok(())
    })
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>chat</title>
<form><input autofocus maxlength="1000"> <button>Say</button></form><pre></pre>
<script>
const [form, input, log] = ["form", "input", "pre"].map(name => document.querySelector(name));
const socket = new WebSocket(`ws://${location.host}/chat`);
socket.onmessage = event => log.append(event.data + "\n");
socket.onclose = event => log.append(`(closed: ${event.code} ${event.reason})\n`);
form.onsubmit = event => {
  event.preventDefault();
  socket.send(input.value);
  input.value = "";
};
</script>"#;

#[cfg(test)]
mod tests {
    use akurai_http::testing::Client;
    use akurai_ws::testing::Peer;

    use super::*;

    #[track_caller]
    fn hears(peer: &mut Peer, text: &str) {
        let message = peer.recv().expect("a message");
        assert_eq!(message, Some(Message::Text(text.to_owned())));
    }

    #[test]
    fn all_hear_what_one_says() {
        let client = Client::new(app());
        let mut ann = Peer::connect(&client, "/chat").expect("a WebSocket");
        hears(&mut ann, "(someone came in)");
        let mut bob = Peer::connect(&client, "/chat").expect("a WebSocket");
        hears(&mut ann, "(someone came in)");
        hears(&mut bob, "(someone came in)");
        bob.send_text("hi").expect("it is open");
        hears(&mut ann, "hi");
        hears(&mut bob, "hi");
        drop(bob);
        hears(&mut ann, "(someone left)");
        let mut eve = Peer::connect(&client, "/chat").expect("a WebSocket");
        hears(&mut ann, "(someone came in)");
        eve.send_text(&"x".repeat(5000)).expect("it is open");
        hears(&mut ann, "(someone left)");
    }
}
