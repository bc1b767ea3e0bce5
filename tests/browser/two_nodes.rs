//! Two hubs on one engine, each on its own port; `tests/browser` moves an `EventSource` between
//! them. Numbers are published alternately at both. The first line on stdout has both ports; a line
//! on stdin stops the first.

use std::fmt::Write;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use akurai_http::{Response, Router, Server};
use akurai_server::{Hub, HubOptions, Memory};

fn main() -> io::Result<()> {
    let engine = Memory::new(100_000);
    let nodes = [
        Hub::with_engine(HubOptions::default(), engine.clone())?,
        Hub::with_engine(HubOptions::default(), engine)?,
    ];
    let published = Arc::new(Mutex::new(Vec::new()));
    let servers = [Server::bind("127.0.0.1:0")?, Server::bind("127.0.0.1:0")?];
    let ports = [
        servers[0].local_addr()?.port(),
        servers[1].local_addr()?.port(),
    ];
    println!("{} {}", ports[0], ports[1]);
    let first = servers[0].handle();

    let mut running = Vec::new();
    for (server, hub) in servers.into_iter().zip(&nodes) {
        let (hub, published) = (hub.clone(), Arc::clone(&published));
        let app = Router::new()
            .get("/", |_| {
                Response::html("<!doctype html><link rel=icon href=data:,><title>Nodes</title>")
            })
            .get("/events", move |req| hub.sse(req, &["numbers"]))
            .get("/published", move |_| json(&published));
        running.push(thread::spawn(move || server.run(app)));
    }
    thread::spawn(move || {
        for n in 0_usize.. {
            if let Ok(id) = nodes[n % 2].publish("numbers", "", &n.to_string()) {
                let mut published = published.lock().unwrap_or_else(PoisonError::into_inner);
                published.push((id, n));
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    io::stdin().read_line(&mut String::new())?;
    first.shutdown(Duration::from_secs(10));
    for server in running {
        server.join().expect("a server does not panic")?;
    }
    Ok(())
}

/// The published events: `[["id","data"],…]`.
fn json(published: &Mutex<Vec<(akurai_server::EventId, usize)>>) -> Response {
    let published = published.lock().unwrap_or_else(PoisonError::into_inner);
    let mut json = String::from("[");
    for (at, (id, n)) in published.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(json, "{comma}[\"{id}\",\"{n}\"]");
    }
    json.push(']');
    Response::json(json)
}
