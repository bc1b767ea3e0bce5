//! Gauges that all pages see: `cargo run --example dashboard`, then http://127.0.0.1:8090 in
//! several windows.
//!
//! One thread measures and publishes; the hub writes to all subscribers, without a thread for each.
//! Of a gauge only the last value matters: a slow subscriber gets only that value, and a new
//! subscriber gets it at once.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use akurai_http::{Response, Router, Server};
use akurai_server::{Hub, HubOptions, stop_on_signals};

fn main() -> io::Result<()> {
    let hub = Hub::new(HubOptions::default())?;
    let app = app(&hub);
    let begun = Instant::now();
    thread::spawn(move || -> io::Result<()> {
        loop {
            hub.publish("uptime", "uptime", &begun.elapsed().as_secs().to_string())?;
            hub.publish("readers", "readers", &hub.present("uptime").to_string())?;
            thread::sleep(Duration::from_secs(1));
        }
    });
    let server = Server::bind("127.0.0.1:8090")?;
    stop_on_signals(server.handle(), Duration::from_secs(10))?;
    println!("http://127.0.0.1:8090 until Ctrl-C");
    server.run(app)
}

pub(crate) fn app(hub: &Hub) -> Router {
    for gauge in ["uptime", "readers"] {
        hub.latest_only(gauge);
    }
    let hub = hub.clone();
    Router::new()
        .get("/", |_| Response::html(PAGE))
        .get("/gauges", move |req| hub.sse(req, &["uptime", "readers"]))
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>dashboard</title>
<p>Up for <output id="uptime"></output> s, and read by <output id="readers"></output>.</p>
<script>
const source = new EventSource("/gauges");
for (const gauge of ["uptime", "readers"])
  source.addEventListener(gauge, event => document.getElementById(gauge).textContent = event.data);
</script>"#;

#[cfg(test)]
mod tests {
    use akurai_http::testing::Client;

    use super::*;

    #[test]
    fn a_page_gets_the_last_value_of_a_gauge_at_once() -> io::Result<()> {
        let hub = Hub::new(HubOptions::default())?;
        let client = Client::new(app(&hub));
        assert!(client.get("/")?.text().contains("/gauges"));
        hub.publish("uptime", "uptime", "1")?;
        hub.publish("uptime", "uptime", "2")?;
        let mut gauges = client.events("/gauges")?;
        let gauge = gauges.next().expect("no end")?;
        assert_eq!((gauge.event.as_str(), gauge.data.as_str()), ("uptime", "2"));
        hub.publish("readers", "readers", "1")?;
        assert_eq!(gauges.next().expect("no end")?.event, "readers");
        Ok(())
    }
}
