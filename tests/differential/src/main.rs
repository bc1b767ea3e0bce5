//! The server that is compared with others. Its options are the defaults.
//!
//! It prints three ports: of a server that says what it understood of each request, of another one
//! that also counts (the proxies send to it), and of one for WebSocket and event streams, where
//! `/counted` says the count. It ends at the end of its input.

mod described;
mod events;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{io, process, thread};

use akurai_http::{Reply, Request, Response, Router, Server};
use akurai_ws::{Deflate, Message, WsOptions};

use crate::described::described;

fn main() -> Result<(), Box<dyn Error>> {
    let (direct, behind, live) = (bound()?, bound()?, bound()?);
    for server in [&direct, &behind, &live] {
        print!("{} ", server.local_addr()?.port());
    }
    println!();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || direct.run(described));
    thread::spawn(move || {
        behind.run(move |request: &Request| {
            let answer = described(request)?;
            counted.fetch_add(1, Ordering::SeqCst);
            io::Result::Ok(answer)
        })
    });
    let counted = move |_: &Request| Response::text(count.swap(0, Ordering::SeqCst).to_string());
    let live_routes = Router::new().get("/counted", counted).get("/ws", echo);
    thread::spawn(move || live.run(events::add_routes(live_routes)));
    io::copy(&mut io::stdin(), &mut io::sink())?;
    process::exit(0);
}

fn bound() -> io::Result<Server> {
    Server::bind("127.0.0.1:0")
}

fn echo(request: &Request) -> Reply {
    let options = WsOptions::new().deflate(Deflate::default());
    options.upgrade(request, |mut conn| {
        while let Some(message) = conn.recv()? {
            match message {
                Message::Text(text) => conn.send_text(&text)?,
                Message::Binary(bytes) => conn.send_binary(&bytes)?,
                _ => {}
            }
        }
        Ok(())
    })
}
