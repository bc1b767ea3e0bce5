//! Stops without cutting anybody off: `cargo run --example shutdown`, then `curl http://127.0.0.1:8090/slow`, and Enter here.
//!
//! Requests under way finish, streams see their end, connections that wait for a request are closed, and what is left after the
//! grace is cut off. `run` returns when all of that is done.

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
                    // Ends with an error as soon as the server stops.
                    sink.wait(Duration::from_secs(1))?;
                }
            })
        })
}
