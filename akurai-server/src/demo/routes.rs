//! The demo's routes.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use akurai_http::{Files, Reply, Request, Response, Router, Status, middleware, sse};
use akurai_server::Hub;
use akurai_ws::{Deflate, Message, WsOptions};

use super::chat::{self, CHAT, PEOPLE};
use super::dashboard::{CONNECTIONS, STATS};

/// The demo's routes. The live routes get their events from `hub`:
///
/// | path | answer |
/// |---|---|
/// | `/` | a page that shows the routes below |
/// | `/api/events` | Server-Sent Events: `tick` with 1, 2, 3 …, one each second |
/// | `/api/ws` | WebSocket: an echo of text and binary, for any origin, compressed if the client supports it |
/// | `/api/stats` | Server-Sent Events: `stats`, the server's numbers as JSON, each second; see [`Publisher`](super::dashboard::Publisher) |
/// | `/api/chat?name=…` | WebSocket: a chat room; every member gets each text message, as JSON |
/// | `/api/chat/events` | Server-Sent Events: `chat`, the messages of the room, and `people`, the number of people in it |
/// | `/api/live` | `/api/stats`, `/api/chat/events` and the newest connections, on one connection |
/// | `/api/upload` | the number of bytes that were posted, at most 4 GiB |
/// | `/api/health` | `{"status":"ok"}`, as long as the process answers |
/// | `/api/ready` | the same, or 503 and `{"status":"unavailable"}` while events do not get through |
pub(crate) fn app(hub: &Hub) -> Router {
    let ready = hub.clone();
    live(page(Router::new()), hub)
        .get("/api/events", |_| events())
        .get("/api/ws", echo)
        .post("/api/upload", upload)
        .max_body_bytes("/api/upload", 4 << 30)
        .get("/api/health", |_| status(Status::OK, "ok"))
        .get("/api/ready", move |_| match ready.ready() {
            Ok(()) => status(Status::OK, "ok"),
            // The reason is not for everybody to see: it names hosts.
            Err(_) => status(Status::SERVICE_UNAVAILABLE, "unavailable"),
        })
        .wrap(middleware::security_headers())
}

/// The routes whose events come from the hub.
fn live(router: Router, hub: &Hub) -> Router {
    hub.latest_only(STATS);
    hub.latest_only(CONNECTIONS);
    hub.latest_only(PEOPLE);
    let stream = |topics: &'static [&'static str]| {
        let hub = hub.clone();
        move |req: &Request| hub.sse(req, topics)
    };
    let room = hub.clone();
    router
        .get("/api/stats", stream(&[STATS]))
        .get("/api/chat/events", stream(&[CHAT, PEOPLE]))
        // A browser opens at most six connections to a host, for all its tabs together, and each
        // stream keeps one.
        .get("/api/live", stream(&[STATS, CONNECTIONS, CHAT, PEOPLE]))
        .get("/api/chat", move |req| chat::room(req, &room))
}

/// The page and its parts. The policy lets the page load from this server only.
fn page(router: Router) -> Router {
    const PAGE: &[(&str, &[u8])] = &[
        ("index.html", include_bytes!("../../web/index.html")),
        ("style.css", include_bytes!("../../web/style.css")),
        ("app.js", include_bytes!("../../web/app.js")),
        ("tables.js", include_bytes!("../../web/tables.js")),
        ("live.js", include_bytes!("../../web/live.js")),
        ("chat.js", include_bytes!("../../web/chat.js")),
        ("transfer.js", include_bytes!("../../web/transfer.js")),
        ("icon.svg", include_bytes!("../../web/icon.svg")),
    ];
    let files = Files::embedded(PAGE).cache_control("no-cache").with_header(
        "Content-Security-Policy",
        "default-src 'self'; frame-ancestors 'none'",
    );
    router.files("/", files)
}

fn status(status: Status, word: &str) -> Response {
    let json = format!("{{\"status\":\"{word}\"}}\n");
    Response::new(status)
        .with_header("Content-Type", "application/json")
        .with_header("Cache-Control", "no-store")
        .with_body(json)
}

fn upload(req: &Request) -> io::Result<Response> {
    let mut body = req.body_reader();
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        match body.read(&mut buffer)? {
            0 => return Ok(Response::json(format!("{{\"bytes\":{bytes}}}\n"))),
            count => bytes += count as u64,
        }
    }
}

fn events() -> Reply {
    sse(|mut sink| {
        let begun = Instant::now();
        for n in 1u32.. {
            sink.event("tick", &n.to_string())?;
            // Waits for the next full second since the first tick, so that delays do not add up.
            let next = begun + Duration::from_secs(n.into());
            sink.wait(next.saturating_duration_since(Instant::now()))?;
        }
        Ok(())
    })
}

/// Any origin is accepted: an echo has nothing to protect. An endpoint that reads a cookie should
/// accept only its own origin.
fn echo(req: &Request) -> Reply {
    let options = WsOptions::new().any_origin().deflate(Deflate::default());
    options.upgrade(req, |mut conn| {
        while let Some(message) = conn.recv()? {
            match message {
                Message::Text(text) => conn.send_text(&text)?,
                Message::Binary(bytes) => conn.send_binary(&bytes)?,
                Message::Close(_) => break,
                _ => {}
            }
        }
        Ok(())
    })
}
