//! The same with http-net's blocking server, a thread for each connection. It has no WebSocket. Its
//! handlers get a body only as a whole, and cannot stream an answer. So it takes part in neither
//! echo, nor uploads, nor downloads.

use std::io;

use bench_task::{POST_BYTES, TEXT, end_with_input};
use http_net::blocking::{Server, ServerConfig};
use http_net::{Limits, Response};

/// More than the bench opens.
const CONNECTIONS: usize = 20_000;

fn main() -> io::Result<()> {
    let config = ServerConfig::new()
        .with_max_connections(CONNECTIONS)
        .with_limits(Limits::new().with_max_body(POST_BYTES as u64));
    let server = Server::bind("127.0.0.1:0")?.with_config(config);
    println!("{}", server.local_addr());
    end_with_input();
    server.serve(|req, body| match req.path() {
        "/" => Response::text(200, TEXT),
        "/post" => Response::new(200).body(body.to_vec()),
        _ => Response::new(404),
    })
}
