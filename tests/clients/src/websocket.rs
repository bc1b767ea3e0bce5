//! The routes for WebSocket. In the cases about endings the client sends one message, gets the
//! messages, and pushes bytes meanwhile; the path says how the connection ends.

use std::time::Duration;

use akurai_http::{Request, Router};
use akurai_ws::{Deflate, Error, Message, WsConn, WsOptions};

const MESSAGES: usize = 50;
const MESSAGE_CHARS: usize = 1000;

/// Length of the message for a slow client, in bytes.
const LONG_BYTES: usize = 3 * 1024 * 1024;

pub(crate) fn add_routes(router: Router) -> Router {
    router
        .get("/ws/close", |req: &Request| {
            options().upgrade(req, |mut conn| {
                greet(&mut conn)?;
                conn.close(4002, "that is all")
            })
        })
        .get("/ws/ok", |req: &Request| {
            options().upgrade(req, |mut conn| greet(&mut conn))
        })
        .get("/ws/err", |req: &Request| {
            options().upgrade(req, |mut conn| {
                greet(&mut conn)?;
                Err(Error::Closed)
            })
        })
        .get("/ws/panic", |req: &Request| {
            options().upgrade(req, |mut conn| {
                greet(&mut conn)?;
                panic!("as a handler may")
            })
        })
        .get("/ws/limit", |req: &Request| {
            let options = options().max_message_bytes(1024 * 1024);
            options.upgrade(req, greet_and_listen)
        })
        .get("/ws/fragments", |req: &Request| {
            options().max_fragments(4).upgrade(req, greet_and_listen)
        })
        .get("/ws/lifetime", |req: &Request| {
            // A client that gathers its output may send its first message only after that time.
            let options = options().max_lifetime(Duration::from_millis(50));
            options.upgrade(req, |mut conn| {
                send_messages(&conn)?;
                listen(&mut conn)
            })
        })
        .get("/ws/slow", |req: &Request| {
            let options = options()
                .ping_interval(Duration::from_millis(500))
                .pong_wait(Duration::from_secs(1));
            options.upgrade(req, |conn| {
                conn.send_text(&"0123456789abcdef".repeat(LONG_BYTES / 16))?;
                echo(conn)
            })
        })
        .get("/ws/deflate", |req: &Request| {
            options().deflate(Deflate::default()).upgrade(req, echo)
        })
}

/// Where a relay stands between the page and this server, the page comes from another server.
fn options() -> WsOptions {
    WsOptions::new().any_origin()
}

/// Waits for the client's first word, and sends it the messages.
fn greet(conn: &mut WsConn) -> Result<(), Error> {
    conn.recv()?;
    send_messages(conn)
}

fn send_messages(conn: &WsConn) -> Result<(), Error> {
    for n in 1..=MESSAGES {
        let text = format!("message {n} of {MESSAGES} ");
        conn.send_text(&format!("{text:x<MESSAGE_CHARS$}"))?;
    }
    Ok(())
}

fn greet_and_listen(mut conn: WsConn) -> Result<(), Error> {
    greet(&mut conn)?;
    listen(&mut conn)
}

fn listen(conn: &mut WsConn) -> Result<(), Error> {
    while conn.recv()?.is_some() {}
    Ok(())
}

/// Until the client has sent its last message.
fn echo(mut conn: WsConn) -> Result<(), Error> {
    while let Some(message) = conn.recv()? {
        if let Message::Text(text) = message {
            conn.send_text(&text)?;
            if text == "bye" {
                break;
            }
        }
    }
    Ok(())
}
