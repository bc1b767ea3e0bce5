//! Akurai's server with TLS in the process: `web-tls DIRECTORY`, see `tls`.

use std::path::Path;

use akurai_bench::client::Result;
use akurai_bench::over_rustls::RustlsSession;
use akurai_bench::tls;
use akurai_http::Server;

#[allow(dead_code, reason = "its main serves plain TCP")]
#[path = "web.rs"]
mod web;

fn main() -> Result<()> {
    let config = tls::server(Path::new(&bench_task::root()))?;
    let server = Server::bind("127.0.0.1:0")?;
    Ok(web::serve(server.with_session(move |_| {
        RustlsSession::new(config.clone())
    })?)?)
}
