//! The demo's routes.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use akurai_http::{Reply, Request, Response, Router, Status, middleware, sse};
use akurai_ws::{Message, WsOptions};

/// The demo's routes:
///
/// | path | answer |
/// |---|---|
/// | `/` | a page that shows the two below |
/// | `/api/events` | Server-Sent Events: `tick` with 1, 2, 3 …, one each second |
/// | `/api/ws` | WebSocket: an echo of text and binary, for any origin |
/// | `/api/upload` | the number of bytes that were posted, at most 4 GiB |
/// | `/api/health` | `{"status":"ok"}` |
///
/// ```
/// use akurai_http::Request;
///
/// let reply = akurai_server::app().handle(&Request::get("/api/health"));
/// assert_eq!(reply.response().status().code(), 200);
/// ```
pub fn app() -> Router {
    Router::new()
        .get("/", |_| {
            asset(
                "text/html; charset=utf-8",
                include_bytes!("../web/index.html"),
            )
        })
        .get("/style.css", |_| {
            asset(
                "text/css; charset=utf-8",
                include_bytes!("../web/style.css"),
            )
        })
        .get("/app.js", |_| {
            asset(
                "text/javascript; charset=utf-8",
                include_bytes!("../web/app.js"),
            )
        })
        .get("/icon.svg", |_| {
            asset("image/svg+xml", include_bytes!("../web/icon.svg"))
        })
        .get("/api/events", |_| events())
        .get("/api/ws", echo)
        .post("/api/upload", upload)
        .body_bytes("/api/upload", 4 << 30)
        .get("/api/health", |_| {
            Response::json("{\"status\":\"ok\"}\n").header("Cache-Control", "no-store")
        })
        .wrap(middleware::security_headers())
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
            // To the next full second since the first tick, so that no delay adds up.
            let next = begun + Duration::from_secs(n.into());
            sink.wait(next.saturating_duration_since(Instant::now()))?;
        }
        Ok(())
    })
}

/// Any origin is admitted: an echo has nothing to protect. What reads a cookie should keep to its own.
fn echo(req: &Request) -> Reply {
    WsOptions::new().any_origin().upgrade(req, |mut conn| {
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

/// A file of the page. The policy lets it load from this server alone.
fn asset(media_type: &str, bytes: &'static [u8]) -> Response {
    Response::new(Status::OK)
        .header("Content-Type", media_type)
        .header("Cache-Control", "no-cache")
        .header(
            "Content-Security-Policy",
            "default-src 'self'; frame-ancestors 'none'",
        )
        .body(bytes)
}
