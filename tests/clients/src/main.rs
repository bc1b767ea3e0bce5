//! The server for the real clients. Its options are the defaults, since the run tests the defaults;
//! a case gets another value only where it needs one.
//!
//! The arguments are the directory of the files, and the number of additional servers with few
//! places. It prints the ports, the first server's port first, and ends at the end of its input.

mod http;
mod websocket;

use std::error::Error;
use std::time::Duration;
use std::{io, process, thread};

use akurai_http::{Limits, Server};

/// The limit of connections on a server with few places. `clients.py` and `in_browser.mjs` hold as
/// many.
const FEW_PLACES: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [files, small_servers] = &args[..] else {
        return Err("usage: akurai-clients FILES SMALL_SERVERS".into());
    };
    let limits = Limits::default()
// So that only `/upload` answers 413.
.max_body_bytes(100_000_000);
    let server = Server::bind("127.0.0.1:0")?.limits(limits.clone());
    let mut ports = vec![server.local_addr()?.port().to_string()];
    for _ in 0..small_servers.parse()? {
        let small = Server::bind("127.0.0.1:0")?.limits(limits.clone().max_connections(FEW_PLACES)
// So that a browser's page soon frees its place.
.idle_timeout(Duration::from_secs(1)));
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
