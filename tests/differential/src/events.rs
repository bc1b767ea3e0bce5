//! Event streams that a harness wrote before.
//!
//! `POST /stream/{name}` takes the events: lines of a field's name and its text in hex, and an
//! empty line behind each event. `GET /stream/{name}` sends them. An event that [`SseSink::send`]
//! refuses is not sent. `/page` is what a browser reads them with. `/notes/{name}` keeps
//! what the harness and the page tell each other.
//!
//! [`SseSink::send`]: akurai_http::SseSink::send

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use akurai_http::{Reply, Request, Response, Router, SseEvent, Status, sse};

type Streams = Arc<Mutex<HashMap<String, Vec<SseEvent>>>>;

pub(crate) fn add_routes(router: Router) -> Router {
    let streams = Streams::default();
    let written = Arc::clone(&streams);
    let notes = Arc::new(Mutex::new(HashMap::<String, Vec<u8>>::new()));
    let noted = Arc::clone(&notes);
    let name = |request: &Request| request.param("name").unwrap_or_default().to_owned();
    router
        .get("/page", |_| Response::html(include_str!("page.html")))
        .post("/notes/{name}", move |request: &Request| {
            noted.lock().unwrap().insert(name(request), request.body()?);
            io::Result::Ok(Response::text(""))
        })
        .get("/notes/{name}", move |request: &Request| {
            let notes = notes.lock().unwrap();
            Response::text(notes.get(&name(request)).cloned().unwrap_or_default())
        })
        .post("/stream/{name}", move |request: &Request| {
            let events = events(&request.body()?)?;
            written.lock().unwrap().insert(name(request), events);
            io::Result::Ok(Response::text(""))
        })
        .get("/stream/{name}", move |request: &Request| {
            match streams.lock().unwrap().get(&name(request)).cloned() {
                Some(events) => stream(events),
                None => Response::text("").with_status(Status::NOT_FOUND).into(),
            }
        })
}

fn stream(events: Vec<SseEvent>) -> Reply {
    sse(move |mut sink| {
        for event in &events {
            match sink.send(event) {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                sent => sent?,
            }
        }
        Ok(())
    })
}

fn events(script: &[u8]) -> io::Result<Vec<SseEvent>> {
    let mut events = Vec::new();
    let mut event = SseEvent::default();
    for line in script.split(|&byte| byte == b'\n') {
        if line.is_empty() {
            events.push(std::mem::take(&mut event));
            continue;
        }
        event = with_field(event, line).ok_or(io::ErrorKind::InvalidInput)?;
    }
    Ok(events)
}

/// `data` and `comment` begin an event, so they come before its other fields.
fn with_field(event: SseEvent, line: &[u8]) -> Option<SseEvent> {
    let (name, hex) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let bytes: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect();
    let text = String::from_utf8(bytes?).ok()?;
    Some(match name {
        "data" => SseEvent::data(text),
        "comment" => SseEvent::comment(text),
        "event" => event.event(text),
        "id" => event.id(text),
        "retry" => event.retry(Duration::from_millis(text.parse().ok()?)),
        _ => return None,
    })
}
