//! A working program, and a page that shows its progress: `cargo run --example embed`, then
//! http://127.0.0.1:8090.
//!
//! The server runs on its own thread, beside the program's. They share state through a lock or an
//! atomic. The program needs no other change, and stops the server when it is done.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use akurai_http::{Response, Router, Server, sse};

const ITEMS: u64 = 600;

fn main() -> io::Result<()> {
    let done = Arc::new(AtomicU64::new(0));
    let server = Server::bind("127.0.0.1:8090")?;
    let (handle, app) = (server.handle(), app(Arc::clone(&done)));
    let serving = thread::spawn(move || server.run(app));
    println!("http://127.0.0.1:8090");

    // The program's own work.
    thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while done.fetch_add(1, Ordering::Relaxed) < ITEMS {
                    thread::sleep(Duration::from_millis(100));
                }
            });
        }
    });

    handle.shutdown(Duration::from_secs(1));
    serving.join().expect("the server does not panic")
}

pub(crate) fn app(done: Arc<AtomicU64>) -> Router {
    let seen = Arc::clone(&done);
    Router::new()
        .get("/", |_| Response::html(PAGE))
        .get("/done", move |_| {
            Response::text(done.load(Ordering::Relaxed).to_string())
        })
        .get("/progress", move |_| {
            let seen = Arc::clone(&seen);
            sse(move |mut sink| {
                loop {
                    sink.data(&seen.load(Ordering::Relaxed).to_string())?;
                    sink.wait(Duration::from_millis(200))?;
                }
            })
        })
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>work</title>
<progress max="600"></progress>
<script>
new EventSource("/progress").onmessage = event => document.querySelector("progress").value = event.data;
</script>"#;

#[cfg(test)]
mod tests {
    use akurai_http::testing::Client;

    use super::*;

    #[test]
    fn the_page_is_told_how_far_the_program_is() -> io::Result<()> {
        let done = Arc::new(AtomicU64::new(3));
        let client = Client::new(app(Arc::clone(&done)));
        assert!(client.get("/")?.text().contains("<progress"));
        assert_eq!(client.get("/done")?.text(), "3");
        let mut progress = client.events("/progress")?;
        assert_eq!(progress.next().expect("no end")?.data, "3");
        done.store(4, Ordering::Relaxed);
        while progress.next().expect("no end")?.data != "4" {}
        Ok(())
    }
}
