//! The same files in tiny_http's usual style: threads that each wait for a request, and
//! `Response::from_file`.
//!
//! In its favour, it sends a length instead of chunks, and checks no path.

use std::error::Error;
use std::fs::File;
use std::sync::Arc;
use std::thread;

use bench_task::{end_with_input, root};
use tiny_http::{Response, Server};

/// As many as the largest number of measured connections.
const THREADS: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let root = root();
    let server = Server::http("127.0.0.1:0").map_err(|error| error.to_string())?;
    println!("{}", server.server_addr());
    end_with_input();
    let server = Arc::new(server);
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (server, root) = (Arc::clone(&server), root.clone());
            thread::spawn(move || serve(&server, &root))
        })
        .collect();
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

fn serve(server: &Server, root: &str) {
    for request in server.incoming_requests() {
        let path = format!("{root}{}", request.url());
        let _ = match File::open(path) {
            Ok(file) => {
                request.respond(Response::from_file(file).with_chunked_threshold(usize::MAX))
            }
            Err(_) => request.respond(Response::empty(404)),
        };
    }
}
