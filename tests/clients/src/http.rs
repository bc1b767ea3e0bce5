//! The routes for HTTP.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use akurai_http::{Reply, Request, Response, Router, Status, sse};

/// Length of the answer that a lone CRLF must not cut off, in bytes.
const BIG_BYTES: usize = 3_000_000;

/// The limit of `/upload`, in bytes.
const UPLOAD_BYTES: u64 = 1024 * 1024;

pub(crate) fn routes(files: &str) -> Router {
    Router::new()
        .post("/early/401", |_| {
            Response::text("who are you?\n").with_status(Status::UNAUTHORIZED)
        })
        .post("/early/200", |_| Response::text("I know enough\n"))
        .get("/only-get", |_| Response::text("got\n"))
        .post("/upload", upload)
        .max_body_bytes("/upload", UPLOAD_BYTES)
        .post("/events", events)
        .get("/big", |_| Response::text(vec![b'x'; BIG_BYTES]))
        .get("/q", |req| Response::text(req.query().unwrap_or_default()))
        .get("/hold", hold)
        .files("/files", files)
}

/// Reads a body within its limit; the server refuses a request that announces a longer one.
fn upload(req: &Request) -> io::Result<Response> {
    let size = req.body()?.len();
    Ok(Response::text(format!("{size} bytes\n")))
}

/// An event stream as the answer to a POST whose body nobody reads.
fn events(_: &Request) -> Reply {
    sse(|mut sink| {
        for n in 1..=5 {
            sink.event("tick", &n.to_string())?;
            sink.wait(Duration::from_millis(20))?;
        }
        Ok(())
    })
}

/// Holds a place until the process ends.
fn hold(_: &Request) -> Response {
    Response::stream(|body| {
        body.write_all(b"held\n")?;
        body.flush()?;
        loop {
            thread::park();
        }
    })
}
