//! Two versions of a protocol: `cargo run --example subprotocol`, then http://127.0.0.1:8090.
//!
//! The client offers the subprotocols that it speaks. The server picks the first of its own that is
//! among them (RFC 6455 §1.9). If there is none, the connection opens without one; this example
//! then closes it with a reason.

use akurai_http::{Reply, Request, Response, Router, Server};
use akurai_ws::{Message, WsOptions};

fn main() -> std::io::Result<()> {
    println!("http://127.0.0.1:8090");
    Server::bind("127.0.0.1:8090")?.run(app())
}

pub(crate) fn app() -> Router {
    Router::new()
        .get("/", |_| Response::html(PAGE))
        .get("/sum", sum)
}

/// Adds up the numbers that it gets. In `sum.v1` it answers with the sum alone, in `sum.v2` with
/// the number that it added as well.
fn sum(req: &Request) -> Reply {
    let options = WsOptions::new().subprotocols(["sum.v2", "sum.v1"]);
    options.upgrade(req, |mut conn| {
        let is_v2 = match conn.subprotocol() {
            Some("sum.v2") => true,
            Some(_) => false,
            None => return conn.close(4000, "speak sum.v1 or sum.v2"),
        };
        let mut sum = 0_i64;
        while let Some(message) = conn.recv()? {
            let Message::Text(text) = message else {
                continue;
            };
            let Ok(number) = text.parse::<i32>() else {
                return conn.close(4001, "that is no number");
            };
            sum = sum.saturating_add(number.into());
            conn.send_text(&match is_v2 {
                true => format!("+{number}={sum}"),
                false => sum.to_string(),
            })?;
        }
        Ok(())
    })
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>subprotocol</title>
<form><input type="number" autofocus> <button>Add</button></form><pre></pre>
<script>
const [form, input, log] = ["form", "input", "pre"].map(name => document.querySelector(name));
const socket = new WebSocket(`ws://${location.host}/sum`, ["sum.v1", "sum.v2", "sum.v3"]);
socket.onopen = () => log.append(`speaks ${socket.protocol}\n`);
socket.onmessage = event => log.append(event.data + "\n");
socket.onclose = event => log.append(`closed: ${event.code} ${event.reason}\n`);
form.onsubmit = event => { event.preventDefault(); socket.send(input.value); };
</script>"#;

#[cfg(test)]
mod tests {
    use akurai_http::testing::Client;
    use akurai_ws::testing::Peer;

    use super::*;

    fn open(client: &Client, offer: &str) -> std::io::Result<Peer> {
        let request = Request::from("/sum").with_header("Sec-WebSocket-Protocol", offer);
        Peer::connect(client, request)
    }

    #[track_caller]
    fn answers(peer: &mut Peer, number: &str, answer: &str) {
        peer.send_text(number).expect("it is open");
        let message = peer.recv().expect("a message");
        assert_eq!(message, Some(Message::Text(answer.to_owned())));
    }

    #[track_caller]
    fn closes(peer: &mut Peer, code: u16) {
        match peer.recv().expect("a Close") {
            Some(Message::Close(Some(close))) => assert_eq!(close.code, code),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_version_is_agreed_on() -> std::io::Result<()> {
        let client = Client::new(app());
        let mut old = open(&client, "sum.v1")?;
        assert_eq!(
            old.answer().header("Sec-WebSocket-Protocol"),
            Some("sum.v1")
        );
        let mut new = open(&client, "sum.v1, sum.v2")?;
        assert_eq!(
            new.answer().header("Sec-WebSocket-Protocol"),
            Some("sum.v2")
        );
        answers(&mut old, "40", "40");
        answers(&mut old, "2", "42");
        answers(&mut new, "40", "+40=40");
        answers(&mut new, "2", "+2=42");
        old.send_text("two")?;
        closes(&mut old, 4001);
        let mut stranger = open(&client, "sum.v9")?;
        assert_eq!(stranger.answer().header("Sec-WebSocket-Protocol"), None);
        closes(&mut stranger, 4000);
        Ok(())
    }
}
