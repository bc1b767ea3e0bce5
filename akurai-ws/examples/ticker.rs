//! Pushes while it listens: `cargo run --example ticker`, then http://127.0.0.1:8090.
//!
//! An async program would `select!` over a timer and the socket. Here one thread ticks through a
//! `Sender` and another receives, and neither waits for the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use akurai_http::{Reply, Request, Response, Router, Server};
use akurai_ws::{Message, upgrade};

fn main() -> std::io::Result<()> {
    println!("http://127.0.0.1:8090");
    Server::bind("127.0.0.1:8090")?.run(app())
}

fn app() -> Router {
    Router::new()
        .get("/", |_| Response::html(PAGE))
        .get("/ticker", ticker)
}

fn ticker(req: &Request) -> Reply {
    upgrade(req, |mut conn| {
        let millis = Arc::new(AtomicU64::new(1000));
        let (pace, sender) = (Arc::clone(&millis), conn.sender());
        thread::spawn(move || {
            // A sender does not keep the connection open. Once the connection has ended, sending
            // fails, and this thread ends too.
            for n in 0u64.. {
                if sender.send_text(&n.to_string()).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(pace.load(Ordering::Relaxed)));
            }
        });
        while let Some(message) = conn.recv()? {
            if let Message::Text(text) = message {
                match text.parse() {
                    Ok(wanted @ 10..=10_000) => millis.store(wanted, Ordering::Relaxed),
                    _ => conn.send_text("10 to 10000, please")?,
                }
            }
        }
        Ok(())
    })
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>ticker</title>
<label>Milliseconds <input type="number" min="10" max="10000" value="1000"></label><h1></h1>
<script>
const [input, title] = ["input", "h1"].map(name => document.querySelector(name));
const socket = new WebSocket(`ws://${location.host}/ticker`);
socket.onmessage = event => title.textContent = event.data;
socket.onclose = event => title.textContent = `closed: ${event.code} ${event.reason}`;
input.oninput = () => socket.send(input.value);
</script>"#;

#[cfg(test)]
mod tests {
    use akurai_http::testing::Client;
    use akurai_ws::testing::Peer;

    use super::*;

    #[test]
    fn it_ticks_while_it_listens() -> std::io::Result<()> {
        let client = Client::new(app());
        let mut peer = Peer::connect(&client, "/ticker")?;
        peer.send_text("10")?;
        peer.send_text("5")?;
        let (mut ticks, mut refusals) = (0, 0);
        while ticks < 5 || refusals < 1 {
            match peer.recv()? {
                Some(Message::Text(text)) if text == ticks.to_string() => ticks += 1,
                Some(Message::Text(text)) if text == "10 to 10000, please" => refusals += 1,
                other => panic!("{other:?}"),
            }
        }
        Ok(())
    }
}
