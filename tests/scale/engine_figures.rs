//! Measurements for `tests/scale`: the time from a publish at one node to the event at another
//! node's subscriber, and the events a second, with the embedded engine and with a Redis.
//! `engine_figures URL`.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use akurai_http::{Router, Server};
use akurai_server::{Hub, HubOptions, Memory, Redis, RedisOptions};

const PUBLISHERS: usize = 8;
const EVENTS: usize = 40_000;
const PACED: usize = 1_000;

fn main() -> io::Result<()> {
    let url = env::args().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    let node = |engine| Hub::with_engine(options(), engine);
    let memory = Memory::new(EVENTS);
    measure("embedded", &node(memory.clone())?, &node(memory)?)?;
    let redis = || {
        let redis = Redis::new(&url, RedisOptions::default())?;
        Hub::with_engine(options(), redis)
    };
    measure("redis", &redis()?, &redis()?)
}

fn options() -> HubOptions {
    HubOptions::default()
        .max_ring_events(EVENTS * 2)
        .max_ring_bytes(256 << 20)
        .max_backlog_events(EVENTS * 2)
        .max_backlog_bytes(256 << 20)
}

fn measure(engine: &str, publisher: &Hub, other: &Hub) -> io::Result<()> {
    let received = follow(other.clone())?;
    let epoch = Instant::now();
    let mut micros: Vec<u128> = Vec::new();
    for _ in 0..PACED {
        publisher.publish("t", "", &epoch.elapsed().as_micros().to_string())?;
        let data = received.recv().map_err(io::Error::other)?;
        let sent: u128 = data.parse().map_err(io::Error::other)?;
        micros.push(epoch.elapsed().as_micros() - sent);
    }
    micros.sort_unstable();
    let (p50, p99) = (micros[PACED / 2], micros[PACED * 99 / 100]);
    println!(
        "{engine}: publish at one node to event at a subscriber of another: p50 {p50} us, p99 {p99} us"
    );
    for publishers in [1, PUBLISHERS] {
        let each = EVENTS / PUBLISHERS;
        let begun = Instant::now();
        let threads: Vec<_> = (0..publishers)
            .map(|_| {
                let hub = publisher.clone();
                let data = "x".repeat(100);
                thread::spawn(move || {
                    (0..each).try_for_each(|_| hub.publish("t", "", &data).map(drop))
                })
            })
            .collect();
        for thread in threads {
            thread
                .join()
                .map_err(|_| io::Error::other("a publisher panicked"))??;
        }
        let published = begun.elapsed();
        for _ in 0..each * publishers {
            received.recv().map_err(io::Error::other)?;
        }
        let rate = |elapsed: Duration| (each * publishers) as f64 / elapsed.as_secs_f64();
        println!(
            "{engine}: {publishers} publishing threads: {:.0} events/s published, {:.0} events/s at the subscriber",
            rate(published),
            rate(begun.elapsed())
        );
    }
    Ok(())
}

/// The data of each event that a subscriber of this hub receives over a socket.
fn follow(hub: Hub) -> io::Result<Receiver<String>> {
    let server = Server::bind("127.0.0.1:0")?;
    let addr = server.local_addr()?;
    thread::spawn(move || server.run(Router::new().get("/", move |req| hub.sse(req, &["t"]))));
    let mut client = TcpStream::connect(addr)?;
    client.set_read_timeout(Some(Duration::from_secs(60)))?;
    client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")?;
    let mut lines = BufReader::new(client).lines();
    // Once the stream has sent its position, the client is subscribed.
    for line in lines.by_ref() {
        if line?.starts_with("id: ") {
            break;
        }
    }
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some(data) = line.strip_prefix("data: ") {
                if tell.send(data.to_owned()).is_err() {
                    return;
                }
            }
        }
    });
    Ok(told)
}
