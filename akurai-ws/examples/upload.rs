//! Takes a file of any size and reports its progress: `cargo run --example upload`, then
//! http://127.0.0.1:8090.
//!
//! The file is one message, read in parts as it comes: at most 64 KiB of it are in memory at a
//! time.

use std::io::Read;

use akurai_http::{Reply, Request, Response, Router, Server};
use akurai_ws::{Message, WsOptions};

const GIB: usize = 1024 * 1024 * 1024;

fn main() -> std::io::Result<()> {
    println!("http://127.0.0.1:8090");
    Server::bind("127.0.0.1:8090")?.run(app())
}

fn app() -> Router {
    Router::new()
        .get("/", |_| Response::html(PAGE))
        .get("/upload", upload)
}

fn upload(req: &Request) -> Reply {
    let options = WsOptions::new()
        .max_message_bytes(GIB)
        .max_frame_bytes(GIB)
        .message_deadline(None);
    options.upgrade(req, |mut conn| {
        // The reader borrows the connection, so this sender sends meanwhile.
        let sender = conn.sender();
        let Some(Message::Text(size)) = conn.recv()? else {
            return sender.close(4000, "first the size, as text");
        };
        let size: u64 = size.parse().unwrap_or(0);
        let Some(mut file) = conn.recv_stream()? else {
            return Ok(());
        };
        let (mut buffer, mut bytes, mut percent) = (vec![0; 64 * 1024], 0, 0);
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            bytes += count as u64; // Here it would be stored.
            let now = bytes * 100 / size.max(1);
            if now > percent {
                percent = now;
                sender.send_text(&percent.to_string())?;
            }
        }
        sender.close(1000, &format!("{bytes} bytes"))
    })
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>upload</title>
<input type="file"> <progress max="100" value="0"></progress><p></p>
<script>
const [input, bar, line] = ["input", "progress", "p"].map(name => document.querySelector(name));
input.onchange = () => {
  const file = input.files[0];
  const socket = new WebSocket(`ws://${location.host}/upload`);
  socket.onopen = () => { socket.send(String(file.size)); socket.send(file); };
  socket.onmessage = event => bar.value = event.data;
  socket.onclose = event => line.textContent = `${event.code} ${event.reason}`;
};
</script>"#;

#[cfg(test)]
mod tests {
    use akurai_http::testing::Client;
    use akurai_ws::testing::Peer;

    use super::*;

    #[test]
    fn a_file_is_counted_while_it_comes() -> std::io::Result<()> {
        let client = Client::new(app());
        let mut peer = Peer::connect(&client, "/upload")?;
        peer.send_text("300000")?;
        peer.send_binary(&vec![7; 300_000])?;
        let mut percents = Vec::new();
        let close = loop {
            match peer.recv()? {
                Some(Message::Text(percent)) => percents.push(percent.parse().unwrap_or(0)),
                Some(Message::Close(Some(close))) => break close,
                other => panic!("{other:?}"),
            }
        };
        assert!(
            percents.is_sorted() && percents.last() == Some(&100),
            "{percents:?}"
        );
        assert_eq!((close.code, &*close.reason), (1000, "300000 bytes"));
        Ok(())
    }

    #[test]
    fn the_size_comes_first() -> std::io::Result<()> {
        let client = Client::new(app());
        let mut peer = Peer::connect(&client, "/upload")?;
        peer.send_binary(b"a file")?;
        let Some(Message::Close(Some(close))) = peer.recv()? else {
            panic!("no Close");
        };
        assert_eq!(close.code, 4000);
        Ok(())
    }
}
