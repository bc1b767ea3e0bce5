//! Stops without cutting off requests: `cargo run --example shutdown`, then
//! `curl http://127.0.0.1:8090/slow`, and press Enter here.
//!
//! Requests in progress finish, streams get an error from `wait` or from their next write, and
//! connections that wait for a request are closed. After the grace period, the server closes the
//! remaining connections. `run` returns when all of that is done.

use std::io;
use std::thread;
use std::time::Duration;

use akurai_http::{Response, Router, Server, sse};

const GRACE: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    let server = Server::bind("127.0.0.1:8090")?;
    let handle = server.handle();
    println!("http://127.0.0.1:8090 until you press Enter");
    thread::spawn(move || {
        let _ = io::stdin().read_line(&mut String::new());
        println!("stopping: at most {} s", GRACE.as_secs());
        handle.shutdown(GRACE);
    });
    server.run(app(Duration::from_secs(5)))?;
    println!("nobody is left");
    Ok(())
}

pub(crate) fn app(slowness: Duration) -> Router {
    Router::new()
        .get("/slow", move |_| {
            thread::sleep(slowness);
            Response::text("done\n")
        })
        .get("/events", |_| {
            sse(|mut sink| {
                loop {
                    sink.data("still here")?;
                    // Returns an error as soon as the server stops.
                    sink.wait(Duration::from_secs(1))?;
                }
            })
        })
}
