//! Makes room for its successor without a lost request: `cargo run --example restart --
//! 127.0.0.1:8090 redis://127.0.0.1:6379`, then put a new version of the program in the old one's
//! place, and `kill -HUP` the process that the page names.
//!
//! The program starts its file again, with its listening socket as standard input. From then on
//! both accept, so a client that connects always finds a server. When the successor says that it
//! serves, the old one stops: it answers the requests that it has, closes idle connections, ends
//! event streams and says 1001 to WebSockets. If the successor does not start, the old one goes on.
//!
//! What continues:
//! - A request is lost only if the client sends it on an idle connection just as that is closed.
//!   HTTP clients send such a request again, by a new connection (RFC 9112 §9.3.1).
//! - With a Redis, events outlive the process. An `EventSource` comes back with the id of its last
//!   event, and the page's WebSocket with the place that the server told it. Both get what they
//!   missed. The WebSocket also gets again what came behind that place. So the page puts an id
//!   before each text, and drops a message that it has already.
//! - Without a Redis, the events go with the process that published them. An event stream then
//!   begins with `reset`, and a WebSocket is closed with 1013: the page should load its state
//!   again. And while both processes run, each has events of its own.
//!
//! Under systemd, let a socket unit hold the listener instead, and use `systemctl restart`: systemd
//! would take the end of the old process for the end of the service. The guide's page about
//! deploying shows the units.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use std::{env, process, thread};

use akurai_http::{Handle, Reply, Request, Response, Router, Server};
use akurai_server::{Hub, HubOptions, Redis, RedisOptions, on_hangup, stop_on_signals};
use akurai_ws::{Message, WsConn, upgrade};

/// How long requests in progress may take when the server stops.
const GRACE: Duration = Duration::from_secs(30);

/// How long the successor may take until it serves.
const START_TIME: Duration = Duration::from_secs(30);

/// The first argument of a program whose listener is its standard input.
const STDIN: &str = "stdin";

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let addr = args.next().unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let engine = args.next();
    let listener = match &*addr {
        STDIN => io::stdin().as_fd().try_clone_to_owned()?,
        _ => OwnedFd::from(TcpListener::bind(&addr)?),
    };
    let server = Server::from_fd(listener.try_clone()?)?;
    let hub = match &engine {
        Some(url) => {
            let redis = Redis::new(url, RedisOptions::default())?;
            Hub::with_engine(HubOptions::default(), redis)?
        }
        None => Hub::new(HubOptions::default())?,
    };
    stop_on_signals(server.handle(), GRACE)?;
    let handle = server.handle();
    let handing_over = Arc::new(Mutex::new(()));
    let guard = Arc::clone(&handing_over);
    on_hangup(move || {
        let _guard = guard.lock();
        if !handle.is_stopping() {
            hand_over(&handle, &listener, engine.as_deref());
        }
    })?;
    let app = app(&hub);
    // The predecessor waits for this line, and then closes the pipe. So what comes later goes to
    // stderr, which a successor shares with it.
    writeln!(io::stdout(), "process {} serves", process::id())?;
    let result = server.run(app);
    // A successor that is just starting must not outlive a process that was asked to end.
    drop(handing_over.lock());
    Ok(result?)
}

/// Starts a successor, and stops this server when the successor serves.
fn hand_over(handle: &Handle, listener: &OwnedFd, engine: Option<&str>) {
    let id = process::id();
    match start_successor(listener, engine) {
        // SIGTERM came meanwhile: it is for both.
        Ok(mut successor) if handle.is_stopping() => {
            let _ = successor.kill();
            let _ = successor.wait();
        }
        Ok(successor) => {
            eprintln!("process {id} makes room for {}", successor.id());
            handle.shutdown(GRACE);
        }
        Err(error) => eprintln!("no successor, so process {id} goes on: {error}"),
    }
}

/// Starts this program's file again, which may be a newer one by now. Returns the process when it
/// serves.
fn start_successor(listener: &OwnedFd, engine: Option<&str>) -> io::Result<Child> {
    // Not `current_exe`: on Linux that is the file that was started, even if another has its name
    // now.
    let file = env::args_os().next().unwrap_or_default();
    let mut child = Command::new(file)
        .arg(STDIN)
        .args(engine)
        .stdin(listener.try_clone()?)
        .stdout(Stdio::piped())
        .spawn()?;
    if let Err(error) = wait_until_it_serves(&mut child) {
        let _ = child.kill();
        let _ = child.wait();
        return Err(error);
    }
    Ok(child)
}

fn wait_until_it_serves(child: &mut Child) -> io::Result<()> {
    let stdout = child.stdout.take().expect("it is piped");
    let (tell, told) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let mut line = String::new();
        let result = BufReader::new(stdout).read_line(&mut line);
        let _ = tell.send(result.map(|_| line));
    })?;
    match told.recv_timeout(START_TIME) {
        Ok(Ok(line)) if line.ends_with(" serves\n") => Ok(()),
        Ok(Ok(_)) => Err(io::Error::other("it ended before it served")),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn app(hub: &Hub) -> Router {
    let (events, publisher, room) = (hub.clone(), hub.clone(), hub.clone());
    let page = PAGE.replace("PROCESS", &process::id().to_string());
    Router::new()
        .get("/", move |_| Response::html(page.clone()))
        .get("/process", |_| Response::text(process::id().to_string()))
        .get("/events", move |req| events.sse(req, &["news"]))
        .post("/news", move |req| -> io::Result<Response> {
            let text = String::from_utf8_lossy(&req.body()?).into_owned();
            Ok(Response::text(
                publisher.publish("news", "", &text)?.to_string(),
            ))
        })
        .get("/room", move |req| enter(req, &room))
}

/// A WebSocket that continues after the place `after`, if its client names one.
fn enter(req: &Request, hub: &Hub) -> Reply {
    let pairs = req.query_pairs();
    let after = pairs.get("after").and_then(|id| id.parse().ok());
    let hub = hub.clone();
    upgrade(req, move |mut conn: WsConn| {
        let after = after.unwrap_or_else(|| hub.last_id());
        let past = hub.history("news", Some(after), usize::MAX);
        if !past.is_complete {
            // As `join_after` does when it cannot continue there.
            return conn.close(1013, "messages are lost");
        }
        for event in &past.events {
            conn.send_text(&event.data)?;
        }
        // The client has everything up to here. When it comes back, it names this place. The
        // messages behind it, which have no place of their own, then come again.
        conn.send_binary(past.at.to_string().as_bytes())?;
        let _member = hub.join_after("news", conn.sender(), past.at);
        while let Some(message) = conn.recv()? {
            if let Message::Text(text) = message {
                hub.publish("news", "", &text)?;
            }
        }
        Ok(())
    })
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>restart</title>
<link rel="icon" href="data:,">
<p>Process PROCESS. <input placeholder="say something" autofocus></p>
<pre id="stream">event stream:
</pre><pre id="socket">WebSocket:
</pre>
<script>
const show = (id, line) => document.getElementById(id).append(line, "\n");
const textOf = (message) => message.slice(message.indexOf("|") + 1); // ID|TEXT
const events = new EventSource("/events"); // It comes back by itself.
events.onopen = () => show("stream", "(open)");
events.onmessage = ({ data }) => show("stream", textOf(data));
events.addEventListener("reset", () => show("stream", "(some are lost)"));

let socket, at = "";
const since = new Set(); // The messages behind the place `at`.
function connect() {
  socket = new WebSocket(`ws://${location.host}/room?after=${at}`);
  socket.binaryType = "arraybuffer"; // A place; a text is a message.
  socket.onopen = () => show("socket", "(open)");
  socket.onmessage = ({ data }) => {
    if (typeof data !== "string") {
      at = new TextDecoder().decode(data);
      since.clear();
    } else if (!since.has(data)) {
      since.add(data);
      show("socket", textOf(data));
    }
  };
  socket.onclose = ({ code }) => {
    show("socket", `(closed with ${code})`);
    if (code === 1013) at = "";
    setTimeout(connect, 1000);
  };
}
connect();
document.querySelector("input").onchange = ({ target }) => {
  socket.send(`${Math.random().toString(36).slice(2)}|${target.value}`);
  target.value = "";
};
</script>"#;
