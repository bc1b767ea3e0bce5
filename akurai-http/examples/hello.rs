//! The smallest server: `cargo run --example hello`, then http://127.0.0.1:8090.

use akurai_http::{Request, Response, Server};

fn main() -> std::io::Result<()> {
    println!("http://127.0.0.1:8090");
    Server::bind("127.0.0.1:8090")?.run(hello)
}

pub(crate) fn hello(req: &Request) -> Response {
    Response::text(format!("hello from {}\n", req.path()))
}
