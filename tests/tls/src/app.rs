//! What the server answers: the routes say nothing of TLS, but for one that shows what it knows.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use akurai_http::{BodyWriter, Handle, Reply, Request, Response, Router, sse};
use akurai_server::{Hub, HubOptions};
use akurai_ws::{Error, Message, Sender, WhenFull, WsConn, WsOptions};

use crate::info::TlsInfo;

const BODY_BYTES: u64 = 64 << 20;
const SENDERS: usize = 10;

pub fn app(files: &str, handle: Handle) -> io::Result<Router> {
    let hub = Hub::new(HubOptions::default())?;
    hub.latest_only("gauge");
    let (news, gauge, told, measured, room) = (
        hub.clone(),
        hub.clone(),
        hub.clone(),
        hub.clone(),
        hub.clone(),
    );
    Ok(Router::new()
        .get("/", |_| Response::html("<!doctype html><title>TLS</title>"))
        .get("/tls", connection)
        .get("/big", |_| {
            Response::text("0123456789abcdef".repeat(200_000))
        })
        .get("/broken", |_| Response::stream(break_off))
        .get("/held", move |_| held(handle.clone()))
        .files("/files", files)
        .post("/echo", |req: &Request| {
            io::Result::Ok(Response::text(req.body()?))
        })
        .put("/echo", |req: &Request| {
            io::Result::Ok(Response::text(req.body()?))
        })
        .max_body_bytes("/echo", BODY_BYTES)
        .get("/ticks", |_| ticks(5))
        .get("/endless", |_| ticks(usize::MAX))
        .get("/news", move |req| news.sse(req, &["news"]))
        .post("/news", move |req| publish(&told, req))
        .get("/gauge", move |req| gauge.sse(req, &["gauge"]))
        .post("/gauge", move |req| measure(&measured, req))
        .get("/ws", |req: &Request| options().upgrade(req, echo))
        .get("/ws/senders", |req: &Request| {
            options().upgrade(req, senders)
        })
        .get("/ws/news", move |req: &Request| {
            let hub = room.clone();
            options().upgrade(req, move |conn| {
                let _member = hub.join("news", conn.sender());
                echo(conn)
            })
        }))
}

fn options() -> WsOptions {
    WsOptions::new().when_full(WhenFull::Wait)
}

/// What a handler knows of the connection.
fn connection(req: &Request) -> Response {
    let tls = req.get::<TlsInfo>();
    Response::text(match tls {
        None => format!("plain, secure {}\n", req.is_secure()),
        Some(tls) => {
            let certificate = tls.client_certificate.as_ref().map_or(0, Vec::len);
            let name = tls.server_name.as_deref().unwrap_or("none");
            let (protocol, secure) = (&tls.protocol, req.is_secure());
            format!("name {name}, {protocol}, certificate {certificate}, secure {secure}\n")
        }
    })
}

fn break_off(body: &mut BodyWriter<'_>) -> io::Result<()> {
    body.write_all(b"half of it\n")?;
    body.flush()?;
    Err(io::Error::other("the other half is missing"))
}

/// An answer that ends with the server.
fn held(handle: Handle) -> Response {
    Response::stream(move |body| {
        body.write_all(b"held\n")?;
        body.flush()?;
        while !handle.is_stopping() {
            thread::sleep(Duration::from_millis(10));
        }
        body.write_all(b"released\n")
    })
}

fn ticks(count: usize) -> Reply {
    sse(move |mut sink| {
        for n in 1..=count {
            sink.event("tick", &n.to_string())?;
            sink.wait(Duration::from_millis(20))?;
        }
        Ok(())
    })
}

fn publish(hub: &Hub, req: &Request) -> io::Result<Response> {
    let text = String::from_utf8(req.body()?).map_err(io::Error::other)?;
    hub.publish("news", "news", &text)?;
    Ok(Response::text("published\n"))
}

/// Publishes so many values of at most so many bytes; the first has this number.
fn measure(hub: &Hub, req: &Request) -> io::Result<Response> {
    let text = String::from_utf8(req.body()?).map_err(io::Error::other)?;
    let numbers: Vec<usize> = text
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let [first, count, bytes] = numbers[..] else {
        return Err(io::Error::other("FIRST COUNT BYTES"));
    };
    for n in first..first + count {
        hub.publish("gauge", "value", &patterned(n, bytes))?;
    }
    Ok(Response::text("published\n"))
}

/// A text that says its number and repeats a letter of its own. Its length is between a half of
/// `most` bytes and all of them.
fn patterned(n: usize, most: usize) -> String {
    let letter = char::from(b'a' + (n % 26) as u8);
    let count = most - n * 7919 % (most / 2);
    format!("{n} {}", letter.to_string().repeat(count))
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

/// At the first message, which says how many messages and of how many bytes, ten threads send while
/// this one goes on echoing.
fn senders(mut conn: WsConn) -> Result<(), Error> {
    let Some(Message::Text(text)) = conn.recv()? else {
        return Ok(());
    };
    let numbers: Vec<usize> = text
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let (count, bytes) = (numbers[0], numbers[1]);
    for sender_number in 0..SENDERS {
        let sender = conn.sender();
        thread::spawn(move || send(&sender, sender_number, count, bytes));
    }
    echo(conn)
}

fn send(sender: &Sender, number: usize, count: usize, bytes: usize) -> Result<(), Error> {
    for n in 1..=count {
        sender.send_text(&format!("{number} {}", patterned(n, bytes)))?;
    }
    Ok(())
}
