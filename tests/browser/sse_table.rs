//! The server of `tests/browser` for a real `EventSource`: each row of its table, once by the verbs
//! of a sink and once as whole events. The first line on stdout is the port.

use std::io;
use std::time::Duration;

use akurai_http::{
    Level, Reply, Request, Response, Router, Server, SseEvent, SseOptions, SseSink, last_event_id,
    sse,
};

/// One call of a verb.
enum Verb {
    Data(String),
    Event(&'static str, &'static str),
    Id(&'static str),
    Retry(u64),
    Comment(&'static str),
}

use Verb::{Comment, Data, Event, Id, Retry};

fn main() -> io::Result<()> {
    let server = Server::bind("127.0.0.1:0")?;
    println!("{}", server.local_addr()?.port());
    server.run(
        Router::new()
            .get("/", |_| {
                Response::html("<!doctype html><link rel=icon href=data:,><title>Rows</title>")
            })
            .get("/rows/{row}/{how}", row)
            .get("/gzip", gzip),
    )
}

/// An event, and a second one long after the client has read the first.
fn gzip(req: &Request) -> Reply {
    SseOptions::new()
        .gzip(Level::default())
        .stream(req, |mut sink| {
            sink.event("first", "1")?;
            sink.wait(Duration::from_secs(3))?;
            sink.event("second", &"2".repeat(100_000))?;
            sink.wait(Duration::from_secs(60))
        })
}

/// Writes a row and an event `end`. A client that reconnects is told the `Last-Event-ID` that it
/// sent.
fn row(req: &Request) -> Reply {
    let number = req.param("row").and_then(|row| row.parse().ok());
    let Some(verbs) = number.and_then(verbs) else {
        return Response::text("no such row").into();
    };
    let whole = req.param("how") == Some("events");
    let cursor = req.headers().bytes("Last-Event-ID").map(hex);
    let same = last_event_id(req).as_deref().map(hex) == cursor;
    sse(move |mut sink| {
        if let Some(cursor) = cursor {
            return sink.event("back", &format!("{cursor} {same}"));
        }
        for verb in verbs {
            match whole {
                true => sink.send(&as_event(verb))?,
                false => by_verb(&mut sink, verb)?,
            }
        }
        sink.event("end", "")
    })
}

fn by_verb(sink: &mut SseSink, verb: Verb) -> io::Result<()> {
    match verb {
        Data(text) => sink.data(&text),
        Event(name, text) => sink.event(name, text),
        Id(id) => sink.send(&SseEvent::default().id(id)),
        Retry(ms) => sink.send(&SseEvent::default().retry(Duration::from_millis(ms))),
        Comment(text) => sink.send(&SseEvent::comment(text)),
    }
}

fn as_event(verb: Verb) -> SseEvent {
    match verb {
        Data(text) => SseEvent::data(text),
        Event(name, text) => SseEvent::data(text).event(name),
        Id(id) => SseEvent::default().id(id),
        Retry(ms) => SseEvent::default().retry(Duration::from_millis(ms)),
        Comment(text) => SseEvent::comment(text),
    }
}

fn verbs(row: u32) -> Option<Vec<Verb>> {
    let data = |text: &str| Data(text.to_owned());
    Some(match row {
        1 => vec![data("hi")],
        2 => vec![data(" hi")],
        3 => vec![data("\thi")],
        4 => vec![data("")],
        5 => vec![data("a\nb")],
        6 => vec![data("a\n")],
        7 => vec![data("\na")],
        8 => vec![data("a\r\nb")],
        9 => vec![data("a\rb"), data("a\revent: forged\rid: 9")],
        10 => vec![data("a\u{2028}b\u{85}c\u{b}d\u{c}e\0f")],
        11 => vec![data("\u{feff}hi")],
        12 => vec![Data("0123456789abcde\u{fc}".repeat((1 << 20) / 17 + 1))],
        13 => vec![Event("", "unnamed"), Event("named", "x"), data("again")],
        15 => vec![Id("1"), data("a"), data("b")],
        16 => vec![Id("1"), data("a"), Id(""), data("b")],
        18 => vec![Retry(100), Id("caf\u{e9} \u{2713}\u{1f980}"), data("a")],
        19 => vec![Retry(100), data("a"), Id("7")],
        20 => vec![Retry(2500), Id("1")],
        // So short a time cannot be the browser's default.
        120 => vec![Retry(200), Id("1")],
        21 => vec![
            Comment("x"),
            Comment("two\nlines\rdata: forged\n\n"),
            data("a"),
        ],
        _ => return None,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
