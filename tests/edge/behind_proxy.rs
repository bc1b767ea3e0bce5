//! A server that knows its proxy: the demo, which believes one proxy about the client's address,
//! and a WebSocket that admits the pages of the public name even if the proxy rewrites Host.
//! `tests/edge` runs it behind nginx, Caddy and HAProxy.
//!
//! ```sh
//! cargo run -p akurai-tests --example behind_proxy -- 127.0.0.1 15000 127.0.0.1:8090 unix:/run/akurai.sock
//! ```
//!
//! The arguments are the proxy's address, how long an idle connection stays open, in milliseconds,
//! and where to listen.

#[allow(dead_code)]
#[path = "../../akurai-server/src/demo/mod.rs"]
mod demo;

use std::error::Error;
use std::io;
use std::time::Duration;

use akurai_http::{Limits, Request, Response, Server, TrustedProxies};
use akurai_server::{Hub, HubOptions, Metrics};
use akurai_ws::WsOptions;

use demo::dashboard::Publisher;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [proxy, idle_ms, addrs @ ..] = &args[..] else {
        return Err("usage: behind_proxy PROXY IDLE_MS ADDR:PORT|unix:PATH...".into());
    };
    // The permissions of the Unix socket's directory must admit only the proxy.
    let proxies = TrustedProxies::x_forwarded_for([&**proxy, "unix"])?;
    let limits = Limits::default().idle_timeout(Duration::from_millis(idle_ms.parse()?));
    let server = listen(addrs)?.trust(proxies).limits(limits);

    let hub = Hub::new(HubOptions::default())?;
    let _publisher = Publisher::start(&hub, server.handle(), Metrics::new(), None)?;
    let (handle, metrics) = (server.handle(), Metrics::new());
    let app = demo::routes::app(&hub)
        .get("/api/client", |req| {
            let addr = req.client_addr().map(|addr| addr.to_string());
            let scheme = if req.is_secure() { "https" } else { "http" };
            Response::text(format!("{} {scheme}", addr.unwrap_or_default()))
        })
        .get("/api/named", |req: &Request| {
            let options = WsOptions::new().allow_origins(["https://example.org"]);
            options.upgrade(req, |mut conn| {
                while conn.recv()?.is_some() {}
                Ok(())
            })
        })
        // As a label of a metric, this is quoted.
        .get("/api/\"odd\\", |_| Response::text(""))
        .wrap(metrics.measure())
        .get("/metrics", move |_| metrics.response(&handle, &[&hub]));
    println!("listening");
    Ok(server.run(app)?)
}

fn listen(addrs: &[String]) -> io::Result<Server> {
    let mut server: Option<Server> = None;
    for addr in addrs {
        server = Some(match (server, addr.strip_prefix("unix:")) {
            (None, None) => Server::bind(&**addr)?,
            (Some(server), None) => server.listen(&**addr)?,
            #[cfg(unix)]
            (None, Some(path)) => Server::bind_unix(path)?,
            #[cfg(unix)]
            (Some(server), Some(path)) => server.listen_unix(path)?,
            #[cfg(not(unix))]
            (_, Some(_)) => return Err(io::ErrorKind::Unsupported.into()),
        });
    }
    server.ok_or_else(|| io::Error::other("no address to listen on"))
}
