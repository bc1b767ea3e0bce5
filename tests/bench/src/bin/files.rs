//! Akurai's files: serves the files below `DIR/files` at `/files`.

use std::io;
use std::path::Path;

use akurai_http::{Router, Server};
use bench_task::{end_with_input, root};

fn main() -> io::Result<()> {
    let app = Router::new().files("/files", Path::new(&root()).join("files"));
    let server = Server::bind("127.0.0.1:0")?;
    println!("{}", server.local_addr()?);
    end_with_input();
    server.run(app)
}
