//! Akurai's Hub: `/events` is one topic, `/ws` the same topic by WebSocket. `/stats` says how many
//! subscribers are connected and how many were dropped.

use std::io;
use std::time::Duration;

use akurai_bench::publish_as_told;
use akurai_http::{Limits, Response, Router, Server};
use akurai_server::{Hub, HubOptions};
use akurai_ws::upgrade;

fn main() -> io::Result<()> {
    serve(Server::bind("127.0.0.1:0")?)
}

pub fn serve(server: Server) -> io::Result<()> {
    // Sweeps are 5 s apart, so every third sends heartbeats: each 15 s, as axum's `KeepAlive` does.
    let hub = Hub::new(HubOptions::default().heartbeat(Duration::from_secs(14)))?;
    let (publisher, stats, sockets) = (hub.clone(), hub.clone(), hub.clone());
    let app = Router::new()
        .get("/events", move |req| hub.sse(req, &["bench"]))
        .get("/ws", move |req| {
            let hub = sockets.clone();
            upgrade(req, move |mut conn| {
                let _member = hub.join("bench", conn.sender());
                while conn.recv()?.is_some() {}
                Ok(())
            })
        })
        .get("/stats", move |_| {
            Response::text(format!(
                "{} {}\n",
                stats.present("bench"),
                stats.stats().dropped
            ))
        });
    let server = server.limits(Limits::default().max_upgrades(19_000));
    println!("{}", server.local_addr()?);
    publish_as_told(move |_, text| {
        let _ = publisher.publish("bench", "", &text);
    });
    server.run(app)
}
