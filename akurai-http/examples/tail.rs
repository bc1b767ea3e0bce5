//! Shows a growing file in the browser, as `tail -f` does:
//! `cargo run --example tail -- /var/log/syslog`, then http://127.0.0.1:8090.
//!
//! An event's id is the position in the file at which its line ends, so a browser that reconnects
//! continues there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use akurai_http::{Reply, Request, Response, Router, Server, SseEvent, last_event_id, sse};

const LOOK: Duration = Duration::from_millis(250);

/// How many bytes before the end of the file are shown at first.
const BEFORE_BYTES: u64 = 4 * 1024;

fn main() -> io::Result<()> {
    let Some(path) = std::env::args().nth(1) else {
        return Err(io::Error::other("which file? Its path is the argument"));
    };
    println!("http://127.0.0.1:8090");
    Server::bind("127.0.0.1:8090")?.run(app(path.into()))
}

pub(crate) fn app(path: PathBuf) -> Router {
    Router::new()
        .get("/", |_| Response::html(PAGE))
        .get("/lines", move |req| follow(req, path.clone()))
}

fn follow(req: &Request, path: PathBuf) -> Reply {
    let seen = last_event_id(req).and_then(|id| std::str::from_utf8(&id).ok()?.parse::<u64>().ok());
    sse(move |mut sink| {
        let mut file = BufReader::new(File::open(&path)?);
        let end = file.get_ref().metadata()?.len();
        let mut at = match seen {
            Some(seen) if seen <= end => seen,
            _ => end.saturating_sub(BEFORE_BYTES),
        };
        file.seek(SeekFrom::Start(at))?;
        let mut line = Vec::new();
        loop {
            at += file.read_until(b'\n', &mut line)? as u64;
            if line.ends_with(b"\n") {
                let text = String::from_utf8_lossy(&line);
                sink.send(&SseEvent::data(text.trim_end()).id(at.to_string()))?;
                line.clear();
                continue;
            }
            sink.wait(LOOK)?;
            if was_begun_anew(&path, at)? {
                file = BufReader::new(File::open(&path)?);
                at = 0;
                line.clear();
                sink.event("anew", "")?;
            }
        }
    })
}

/// Whether the file is shorter than what was read: it was cut off, or a shorter file replaced it.
fn was_begun_anew(path: &Path, at: u64) -> io::Result<bool> {
    Ok(path.metadata()?.len() < at)
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>tail</title><pre></pre>
<script>
const log = document.querySelector("pre"), source = new EventSource("/lines");
source.onmessage = event => { log.append(event.data + "\n"); scrollTo(0, document.body.scrollHeight); };
source.addEventListener("anew", () => log.replaceChildren());
</script>"#;
