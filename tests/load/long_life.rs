//! The server of `tests/load/run long`: `long_life PORT`; the first line on stdout has the port.
//!
//! | route | what it does |
//! |---|---|
//! | `GET /` | answers at once |
//! | `GET /members/NAME` | a WebSocket that joins the topic of this name, which gets an event then |
//! | `GET /events/NAME` | an event stream of the topic of this name, which gets an event then |

use std::env;
use std::io;

use akurai_http::{Reply, Request, Response, Router, Server};
use akurai_server::{Hub, HubOptions};
use akurai_ws::upgrade;

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or_else(|| "0".to_owned());
    let hub = Hub::new(HubOptions::default())?;
    let members = hub.clone();
    let app = Router::new()
        .get("/", |_| Response::text("here\n"))
        .get("/members/{topic}", move |req| member(req, &members))
        .get("/events/{topic}", move |req| events(req, &hub));
    let server = Server::bind(format!("127.0.0.1:{port}"))?;
    println!("{}", server.local_addr()?.port());
    server.run(app)
}

fn topic(req: &Request) -> &str {
    req.param("topic").unwrap_or_default()
}

fn member(req: &Request, hub: &Hub) -> Reply {
    let (hub, topic) = (hub.clone(), topic(req).to_owned());
    upgrade(req, move |mut conn| {
        let _member = hub.join(&topic, conn.sender());
        hub.publish(&topic, "", "here")?;
        while conn.recv()?.is_some() {}
        Ok(())
    })
}

fn events(req: &Request, hub: &Hub) -> io::Result<Reply> {
    let topic = topic(req);
    let reply = hub.sse(req, &[topic]);
    hub.publish(topic, "", "here")?;
    Ok(reply)
}
