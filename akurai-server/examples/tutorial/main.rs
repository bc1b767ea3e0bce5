//! A chat with a login. The guide's page `tutorial` builds it step by step, and says how to run it.

use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, io};

use akurai_http::{Response, Router, Server, TrustedProxies};
use akurai_server::{Hub, HubOptions, stop_on_signals};

use room::Room;

mod guests;
mod login;
pub(crate) mod room;
#[cfg(test)]
mod tests;

fn main() -> io::Result<()> {
    let key = fs::read("chat.key").expect("chat.key must have the key");
    let password = env::var("CHAT_PASSWORD").unwrap_or_default();
    assert!(!password.is_empty(), "set CHAT_PASSWORD");
    let room = Room::new(Hub::new(HubOptions::default())?);
    room.keep_in("chat.log")?;
    let proxy = TrustedProxies::x_forwarded_for(["127.0.0.1"])?;
    let server = Server::bind("127.0.0.1:8090")?.trust(proxy);
    stop_on_signals(server.handle(), Duration::from_secs(10))?;
    println!("http://127.0.0.1:8090");
    server.run(app(&room, &key, &password)?)
}

pub(crate) fn app(room: &Arc<Room>, key: &[u8], password: &str) -> io::Result<Router> {
    let (names, lines) = (Arc::clone(room), Arc::clone(room));
    let members = Router::new()
        .get("/", |_| Response::html(include_str!("page.html")))
        .get("/here", move |req| names.here(req))
        .get("/ws", move |req| lines.enter(req));
    login::protect(members, key, password)
}
