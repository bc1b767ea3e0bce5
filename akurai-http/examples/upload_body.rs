//! Receives a file and shows the progress on the page: `cargo run --example upload_body`, then
//! http://127.0.0.1:8090.
//!
//! The body is read as it arrives, so memory does not grow with the size of the file. A stream
//! beside it reports how many bytes the server has received. The browser only knows how many it
//! gave to its own system.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use akurai_http::{Reply, Request, Response, Router, Server, sse};

const LONGEST_FILE: u64 = 4 << 30;

/// How many bytes of each upload in progress have arrived, by the name that the page gave it.
#[derive(Clone, Default)]
struct Uploads(Arc<Mutex<HashMap<String, u64>>>);

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn main() -> io::Result<()> {
    println!("http://127.0.0.1:8090");
    Server::bind("127.0.0.1:8090")?.run(app())
}

pub(crate) fn app() -> Router {
    let uploads = Uploads::default();
    let watched = uploads.clone();
    Router::new()
        .get("/", |_| Response::html(PAGE))
        .post("/upload/{name}", move |req| upload(req, &uploads))
        .max_body_bytes("/upload/{name}", LONGEST_FILE)
        .get("/progress/{name}", move |req| progress(req, &watched))
}

fn upload(req: &Request, uploads: &Uploads) -> io::Result<Response> {
    let name = req.param("name").unwrap_or_default();
    let (mut body, mut piece, mut bytes) = (req.body_reader(), vec![0; 64 * 1024], 0);
    let outcome = loop {
        match body.read(&mut piece) {
            Ok(0) => break Ok(Response::text(format!("{bytes} bytes\n"))),
            Ok(count) => bytes += count as u64, // Here it would be stored.
            Err(error) => break Err(error),
        }
        uploads.lock().insert(name.to_owned(), bytes);
    };
    uploads.lock().remove(name);
    outcome
}

fn progress(req: &Request, uploads: &Uploads) -> Reply {
    let (name, uploads) = (
        req.param("name").unwrap_or_default().to_owned(),
        uploads.clone(),
    );
    sse(move |mut sink| {
        loop {
            let bytes = uploads.lock().get(&name).copied();
            if let Some(bytes) = bytes {
                sink.data(&bytes.to_string())?;
            }
            sink.wait(Duration::from_millis(100))?;
        }
    })
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>upload</title>
<input type="file"> <progress value="0"></progress><p></p>
<script>
const [input, bar, line] = ["input", "progress", "p"].map(name => document.querySelector(name));
input.onchange = async () => {
  const file = input.files[0], name = Math.random();
  const source = new EventSource(`/progress/${name}`);
  bar.max = file.size;
  source.onmessage = event => bar.value = event.data;
  const answer = await fetch(`/upload/${name}`, { method: "POST", body: file });
  source.close();
  bar.value = file.size;
  line.textContent = await answer.text();
};
</script>"#;
