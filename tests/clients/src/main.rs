//! The server that `run` has real clients talk to. Its options are the defaults wherever a case
//! does not need another, since the defaults are what is tested.
//!
//! The arguments are the directory of the files, and how many servers with few places there are to
//! be beside the first. It prints the ports, the first server's first, and ends with its input.

mod http;
mod websocket;

use std::error::Error;
use std::time::Duration;
use std::{io, process, thread};

use akurai_http::{Limits, Server};

/// How many connections a server with few places has room for. `clients.py` and `in_browser.mjs`
/// hold as many.
const FEW_PLACES: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [files, small_servers] = &args[..] else {
        return Err("usage: akurai-clients FILES SMALL_SERVERS".into());
    };
    let limits = Limits {
        // So that 413 is the answer of `/upload` alone.
        body_bytes: 100_000_000,
        ..Limits::default()
    };
    let server = Server::bind("127.0.0.1:0")?.limits(limits.clone());
    let mut ports = vec![server.local_addr()?.port().to_string()];
    for _ in 0..small_servers.parse()? {
        let small = Server::bind("127.0.0.1:0")?.limits(Limits {
            connections: FEW_PLACES,
            // So that a browser's page soon gives its place back.
            idle_timeout: Duration::from_secs(1),
            ..limits.clone()
        });
        ports.push(small.local_addr()?.port().to_string());
        let app = http::routes(files);
        thread::spawn(move || small.run(app));
    }
    println!("{}", ports.join(" "));
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
    Ok(server.run(websocket::add_routes(http::routes(files)))?)
}
