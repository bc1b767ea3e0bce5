//! Akurai's `GET /` with a text, and for WebSocket `/echo`, with the limits and deadlines that both have by default; `/echo-joined`
//! joins what it sends.

use std::io;

use akurai_bench::{TEXT, end_with_input};
use akurai_http::{Response, Router, Server};
use akurai_ws::{Error, Message, WsConn, WsOptions, upgrade};

fn main() -> io::Result<()> {
    let app = Router::new()
        .get("/", |_| Response::text(TEXT))
        .get("/echo", |req| upgrade(req, echo))
        .get("/echo-joined", |req| {
            WsOptions::new().join_sends(true).upgrade(req, echo)
        });
    let server = Server::bind("127.0.0.1:0")?;
    println!("{}", server.local_addr()?);
    end_with_input();
    server.run(app)
}

fn echo(mut conn: WsConn) -> Result<(), Error> {
    while let Some(message) = conn.recv()? {
        match message {
            Message::Text(text) => conn.send_text(&text)?,
            Message::Binary(bytes) => conn.send_binary(&bytes)?,
            _ => {}
        }
    }
    Ok(())
}
