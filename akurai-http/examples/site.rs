//! The files of a page that interprets its paths itself: `cargo run --example site -- dist`, then
//! http://127.0.0.1:8090.
//!
//! A path that names no file gets `index.html`, so that a link into the page also works when it is
//! opened directly. A missing file under `assets/` is still a 404. Bundlers name the files there by
//! their content, so browsers keep them for a year.

use std::path::Path;

use akurai_http::{Files, Response, Router, Server};

fn main() -> std::io::Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "dist".to_owned());
    println!("http://127.0.0.1:8090");
    Server::bind("127.0.0.1:8090")?.run(app(Path::new(&dir)))
}

pub(crate) fn app(dir: &Path) -> Router {
    let site = Files::dir(dir)
        .fallback("index.html")
        .cache_control("no-cache")
        .immutable(|path| path.starts_with("assets/"));
    Router::new()
        .get("/api/time", |_| Response::json("{\"time\":\"now\"}"))
        .files("/", site)
}
