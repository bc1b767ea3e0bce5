//! An echo, and a page to try it: `cargo run --example echo`, then http://127.0.0.1:8090.

use akurai_http::{Reply, Request, Response, Router, Server};
use akurai_ws::{Message, upgrade};

fn main() -> std::io::Result<()> {
    println!("http://127.0.0.1:8090");
    Server::bind("127.0.0.1:8090")?.run(app())
}

fn app() -> Router {
    Router::new()
        .get("/", |_| Response::html(PAGE))
        .get("/echo", echo)
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

#[cfg(test)]
mod tests {
    use akurai_http::testing::Client;
    use akurai_ws::testing::Peer;

    use super::*;

    #[test]
    fn what_was_sent_comes_back() -> std::io::Result<()> {
        let client = Client::new(app());
        let mut peer = Peer::connect(&client, "/echo")?;
        peer.send_text("hello")?;
        assert_eq!(peer.recv()?, Some(Message::Text("hello".to_owned())));
        peer.send_binary(&[0, 255])?;
        assert_eq!(peer.recv()?, Some(Message::Binary(vec![0, 255])));
        let close = peer.close(1000, "bye")?.expect("the same code");
        assert_eq!((close.code, &*close.reason), (1000, "bye"));
        Ok(())
    }
}
