//! Reloads the page when one of its files changes: `cargo run --example reload -- site`, then
//! http://127.0.0.1:8090.
//!
//! Each page must contain `<script src="/reload.js"></script>`. Each open page has a stream, whose
//! thread looks at the directory four times a second: often enough while writing a page.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use akurai_http::{Files, Reply, Response, Router, Server, sse};

const LOOK: Duration = Duration::from_millis(250);

fn main() -> io::Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "site".to_owned());
    println!("http://127.0.0.1:8090");
    Server::bind("127.0.0.1:8090")?.run(app(dir.into()))
}

pub(crate) fn app(dir: PathBuf) -> Router {
    let files = Files::dir(&dir).cache_control("no-store");
    Router::new()
        .get("/reload.js", |_| {
            Response::text(SCRIPT).with_header("Content-Type", "text/javascript")
        })
        .get("/reload", move |_| changes(dir.clone()))
        .files("/", files)
}

fn changes(dir: PathBuf) -> Reply {
    sse(move |mut sink| {
        let mut seen = state(&dir)?;
        loop {
            sink.wait(LOOK)?;
            let now = state(&dir)?;
            if now != seen {
                sink.event("change", "")?;
                seen = now;
            }
        }
    })
}

/// How many files there are, and when the last of them changed.
fn state(dir: &Path) -> io::Result<(usize, SystemTime)> {
    let mut state = (0, SystemTime::UNIX_EPOCH);
    for entry in dir.read_dir()? {
        let entry = entry?;
        let (files, changed) = match entry.file_type()?.is_dir() {
            true => self::state(&entry.path())?,
            false => (1, entry.metadata()?.modified()?),
        };
        state = (state.0 + files, state.1.max(changed));
    }
    Ok(state)
}

const SCRIPT: &str =
    r#"new EventSource("/reload").addEventListener("change", () => location.reload());"#;
