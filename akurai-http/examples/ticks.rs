//! A browser misses no tick: `cargo run --example ticks`, then http://127.0.0.1:8090. Cut the
//! connection and reconnect.
//!
//! Each tick has an id. A browser that lost its connection sends the last id it saw, and gets the
//! ticks since then.

use std::time::{Duration, Instant};

use akurai_http::{Reply, Request, Response, Router, Server, SseEvent, last_event_id, sse};

/// A browser that was away for longer than this many ticks begins with the current one.
const KEPT: u64 = 60;

fn main() -> std::io::Result<()> {
    println!("http://127.0.0.1:8090");
    Server::bind("127.0.0.1:8090")?.run(app(Instant::now()))
}

/// Tick `n` is due `n` seconds after the start.
pub(crate) fn app(started: Instant) -> Router {
    Router::new()
        .get("/", |_| Response::html(PAGE))
        .get("/ticks", move |req| ticks(req, started))
}

fn ticks(req: &Request, started: Instant) -> Reply {
    let now = started.elapsed().as_secs();
    let seen = last_event_id(req).and_then(|id| std::str::from_utf8(&id).ok()?.parse::<u64>().ok());
    let mut next = match seen {
        Some(seen) if seen < now && now - seen <= KEPT => seen + 1,
        _ => now,
    };
    sse(move |mut sink| {
        loop {
            let due = Duration::from_secs(next);
            sink.wait(due.saturating_sub(started.elapsed()))?;
            let n = next.to_string();
            sink.send(&SseEvent::data(&*n).event("tick").id(&*n))?;
            next += 1;
        }
    })
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>ticks</title><h1></h1><pre></pre>
<script>
const [title, log] = ["h1", "pre"].map(name => document.querySelector(name));
const source = new EventSource("/ticks");
source.addEventListener("tick", event => title.textContent = event.data);
source.onopen = () => log.append("here\n");
source.onerror = () => log.append("away\n");
</script>"#;

#[cfg(test)]
mod tests {
    use akurai_http::testing::Client;

    use super::*;

    fn first_after(client: &Client, id: &str) -> u64 {
        let request = Request::from("/ticks").with_header("Last-Event-ID", id);
        let mut ticks = client.events(request).expect("a stream");
        let tick = ticks.next().expect("no end").expect("a tick");
        tick.data.parse().expect("a number")
    }

    #[test]
    fn ticks_that_were_missed_come_at_once() {
        let Some(started) = Instant::now().checked_sub(Duration::from_secs(100)) else {
            return; // The machine has run for less than that.
        };
        let client = Client::new(app(started));
        let request = Request::from("/ticks").with_header("Last-Event-ID", "90");
        let ticks = client.events(request).expect("a stream");
        for (n, tick) in (91..=100).zip(ticks) {
            let tick = tick.expect("a tick");
            let n = n.to_string();
            assert_eq!(
                (tick.event.as_str(), tick.data, tick.id),
                ("tick", n.clone(), n)
            );
        }
        // After an id that is no tick, is still in the future, or is too old, a stream begins now.
        for id in ["x", "5000", "1"] {
            let now = started.elapsed().as_secs();
            assert!(first_after(&client, id) >= now, "{id}");
        }
    }
}
