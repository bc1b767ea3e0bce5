//! An echo, and a page to try it: `cargo run --example echo`, then http://127.0.0.1:8090.

use akurai_http::{Reply, Request, Response, Router, Server};
use akurai_ws::{Message, upgrade};

fn main() -> std::io::Result<()> {
    println!("http://127.0.0.1:8090");
    Server::bind("127.0.0.1:8090")?.run(
        Router::new()
            .get("/", |_| Response::html(PAGE))
            .get("/echo", echo),
    )
}

fn echo(req: &Request) -> Reply {
    upgrade(req, |mut conn| {
        while let Some(message) = conn.recv()? {
            match message {
                Message::Text(text) => conn.send_text(&text)?,
                Message::Binary(bytes) => conn.send_binary(&bytes)?,
                // Pings are answered already, and a Close is echoed.
                _ => {}
            }
        }
        Ok(())
    })
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>echo</title>
<form><input autofocus> <button>Send</button></form><pre></pre>
<script>
const [form, input, log] = ["form", "input", "pre"].map(name => document.querySelector(name));
const socket = new WebSocket(`ws://${location.host}/echo`);
const show = line => log.append(line + "\n");
socket.onmessage = event => show("< " + event.data);
socket.onclose = event => show(`closed: ${event.code} ${event.reason}`);
form.onsubmit = event => {
  event.preventDefault();
  show("> " + input.value);
  socket.send(input.value);
  input.value = "";
};
</script>"#;
