//! What `tests/scale` runs several of: the demo's routes on a hub whose events go through a Redis, and two more, to publish to
//! and to follow the topic `numbers`. `node PORT URL MAX_EVENTS`; the first line on stdout has the port.

use std::env;
use std::io;
use std::time::Duration;

use akurai_http::{Response, Router, Server, Status};
use akurai_server::{Hub, HubOptions, Redis, RedisOptions};

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [port, url, max_events] = &args[..] else {
        return Err(io::Error::other("usage: node PORT URL MAX_EVENTS"));
    };
    let number = |text: &str| text.parse().map_err(io::Error::other);
    let redis = RedisOptions {
        max_events: number(max_events)?,
        ..RedisOptions::default()
    };
    let options = HubOptions {
        // So that a heartbeat and a return fall into a test.
        heartbeat: Duration::from_secs(1),
        sweep: Duration::from_secs(1),
        retry: Duration::from_millis(300),
        ring_events: 20_000,
        ..HubOptions::default()
    };
    let hub = Hub::with_engine(options, Redis::new(url, redis)?)?;
    let publisher = hub.clone();
    let app: Router = akurai_server::app(&hub)
        .get("/blank", |_| {
            Response::html("<!doctype html><link rel=icon href=data:,><title>Node</title>")
        })
        .get("/numbers", move |req| hub.sse(req, &["numbers"]))
        .post("/numbers", move |req| -> io::Result<Response> {
            let text = String::from_utf8_lossy(&req.body()?).into_owned();
            Ok(match publisher.publish("numbers", "", &text) {
                Ok(id) => Response::text(id.to_string()),
                Err(error) => {
                    Response::text(error.to_string()).with_status(Status::SERVICE_UNAVAILABLE)
                }
            })
        });
    let server = Server::bind(format!("127.0.0.1:{port}"))?;
    println!("{}", server.local_addr()?.port());
    server.run(app)
}
