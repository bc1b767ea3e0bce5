//! Akurai's server for the bench, with its default limits and deadlines. The exceptions: there may
//! be more connections, uploads may have any length, `/echo-deflate` echoes with
//! permessage-deflate, and `/echo-joined` joins its sends.

use std::io::{self, Read, Write};
use std::thread;

use akurai_http::{Limits, Reply, Request, Response, Router, Server};
use akurai_ws::{Deflate, Error, Message, WsConn, WsOptions, upgrade};
use bench_task::{PIECE_BYTES, SLOW, TEXT, WAIT, asked, compute, end_with_input, pieces};

/// Room for a busy server's idle connections.
const MAX_CONNECTIONS: usize = 10_000;

fn main() -> io::Result<()> {
    serve(Server::bind("127.0.0.1:0")?)
}

pub fn serve(server: Server) -> io::Result<()> {
    let app = Router::new()
        .get("/", |_| Response::text(TEXT))
        .post("/post", post)
        .post("/upload", upload)
        .max_body_bytes("/upload", u64::MAX)
        .get("/download/{bytes}", download)
        .get("/slow", |_| {
            thread::sleep(SLOW);
            Response::text(TEXT)
        })
        .get("/compute", |_| {
            compute();
            Response::text(TEXT)
        })
        .get("/wait", |_| {
            thread::sleep(WAIT);
            Response::text(TEXT)
        })
        .get("/echo", |req| upgrade(req, echo))
        .get("/echo-joined", joined)
        .get("/echo-deflate", deflated);
    println!("{}", server.local_addr()?);
    end_with_input();
    let limits = Limits::default().max_connections(MAX_CONNECTIONS);
    server.limits(limits).run(app)
}

fn post(req: &Request) -> io::Result<Response> {
    Ok(Response::text(req.body()?))
}

fn upload(req: &Request) -> io::Result<Response> {
    let (mut body, mut piece, mut total) = (req.body_reader(), vec![0; PIECE_BYTES], 0);
    loop {
        match body.read(&mut piece)? {
            0 => return Ok(Response::text(total.to_string())),
            count => total += count,
        }
    }
}

fn download(req: &Request) -> Response {
    let bytes = asked(req.path());
    Response::stream(move |out| pieces(bytes).try_for_each(|piece| out.write_all(piece)))
        .content_length(bytes)
}

fn joined(req: &Request) -> Reply {
    WsOptions::new().join_sends(true).upgrade(req, echo)
}

fn deflated(req: &Request) -> Reply {
    WsOptions::new()
        .deflate(Deflate::default())
        .upgrade(req, echo)
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
