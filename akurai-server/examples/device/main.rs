//! Telemetry of small devices, with a live chart: `cargo run --example device`, then
//! http://127.0.0.1:8090. A faked device sends, as an ESP32 does.
//!
//! A device POSTs lines `NAME VALUE` to `/telemetry` with its token, either by `Authorization:
//! Bearer` or as the password of Basic. It keeps its connection open, and need not know a body's
//! length: each line counts when it comes. A body may have 1 MiB, and 30 s between two lines.
//!
//! ```text
//! curl -u porch:porch-secret --data-binary 'temperature 21.5' http://127.0.0.1:8090/telemetry
//! ```

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, SystemTime};

use akurai_http::{Limits, Reply, Request, Response, Router, Server, Status, constant_time_eq};
use akurai_server::{Hub, HubOptions, Retention, stop_on_signals};

/// Each device and its token. A real program reads them from a file.
const DEVICES: [(&str, &str); 2] = [("porch", "porch-secret"), ("cellar", "cellar-secret")];
const NAMES: [&str; 3] = ["temperature", "humidity", "battery"];
/// A new page begins with so many readings.
const MAX_READINGS: usize = 1000;
const MAX_LINE_BYTES: u64 = 100;
const TOPIC: &str = "readings";

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1);
    let server = Server::bind(addr.as_deref().unwrap_or("127.0.0.1:8090"))?
        // No page of another site reaches it by a name of its own that leads here.
        .hosts(["localhost", "127.0.0.1", "[::1]"])?
        // A device sends a line now and then within one body, and is not too slow. This holds for
        // the whole server.
        .limits(Limits::default().min_body_rate(0));
    stop_on_signals(server.handle(), Duration::from_secs(10))?;
    let addr = server.local_addr()?;
    println!("http://{addr} until Ctrl-C");
    thread::spawn(move || fake(addr));
    server.run(app(&Hub::new(HubOptions::default())?))
}

pub(crate) fn app(hub: &Hub) -> Router {
    let (readings, streams, telemetry) = (hub.clone(), hub.clone(), hub.clone());
    let keep = Retention::default().max_events(MAX_READINGS);
    hub.retain(TOPIC, keep.max_age(Duration::from_secs(24 * 60 * 60)));
    Router::new()
        .get("/", |_| Response::html(include_str!("page.html")))
        .get("/readings", move |_| past(&readings))
        .get("/events", move |req| streams.sse(req, &[TOPIC]))
        .post("/telemetry", move |req| take(req, &telemetry))
}

/// The last readings, and the place behind them, where the page's stream begins.
fn past(hub: &Hub) -> Response {
    let past = hub.history(TOPIC, None, MAX_READINGS);
    let readings: Vec<_> = past.events.into_iter().map(|event| event.data).collect();
    let json = format!(
        r#"{{"at":"{}","readings":[{}]}}"#,
        past.at,
        readings.join(",")
    );
    Response::json(json).with_header("Cache-Control", "no-store")
}

/// The device that this request proves to be.
fn device(req: &Request) -> Option<&'static str> {
    let basic = req.basic_credentials();
    let (name, token) = match &basic {
        Some((name, password)) => (Some(name.as_str()), password.as_str()),
        None => (None, req.bearer_token()?),
    };
    let mut devices = DEVICES.iter();
    let is_it = |(device, secret): &&(&str, &str)| {
        name.is_none_or(|name| name == *device) && constant_time_eq(token, secret)
    };
    devices.find(is_it).map(|(device, _)| *device)
}

fn take(req: &Request, hub: &Hub) -> io::Result<Reply> {
    let Some(device) = device(req) else {
        return Ok(Response::bearer_challenge(req, "telemetry").into());
    };
    let mut lines = BufReader::new(req.body_reader());
    let (mut line, mut taken) = (Vec::new(), 0);
    while (&mut lines)
        .take(MAX_LINE_BYTES)
        .read_until(b'\n', &mut line)?
        > 0
    {
        let reading = std::str::from_utf8(&line).ok().and_then(|line| {
            let (name, value) = line.trim_end().split_once(' ')?;
            let name = NAMES.iter().find(|known| **known == name)?;
            let value: f64 = value.parse().ok()?;
            value.is_finite().then_some((name, value))
        });
        let Some((name, value)) = reading else {
            let text = format!("line {} is no reading\n", taken + 1);
            return Ok(Response::text(text).with_status(Status::BAD_REQUEST).into());
        };
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let time = since.unwrap_or_default().as_millis();
        let json =
            format!(r#"{{"device":"{device}","name":"{name}","value":{value},"time":{time}}}"#);
        hub.publish(TOPIC, "", &json)?;
        taken += 1;
        line.clear();
    }
    Ok(Response::text(format!("{taken} readings\n")).into())
}

/// What a small device does, without any library: it keeps one connection for all its requests, and
/// sends bodies in chunks.
fn fake(addr: SocketAddr) -> io::Result<()> {
    let mut socket = TcpStream::connect(addr)?;
    for n in 0.. {
        let wave = f64::from(n) / 20.0;
        let (warm, wet) = (20.0 + 3.0 * wave.sin(), 55.0 + 10.0 * (wave / 3.0).cos());
        let battery = 100.0 - f64::from(n % 1000) / 20.0;
        let head = format!(
            "POST /telemetry HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer porch-secret\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
        socket.write_all(head.as_bytes())?;
        for (name, value) in [
            ("temperature", warm),
            ("humidity", wet),
            ("battery", battery),
        ] {
            let line = format!("{name} {value:.2}\n");
            write!(socket, "{:x}\r\n{line}\r\n", line.len())?;
        }
        socket.write_all(b"0\r\n\r\n")?;
        // A real device reads the answer's head and body. This one only looks whether it is there.
        if socket.read(&mut [0; 1024])? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}
