//! What Prometheus reads: the text format of the metrics, and the values in it.

use std::collections::HashSet;

use akurai_http::{Handle, Response, Router, Server};
use akurai_server::{Hub, Metrics};
use akurai_tests::{TestServer, WsClient};
use akurai_ws::upgrade;

#[cfg(target_os = "linux")]
use crate::alone::is_alone;
use crate::hub::quick;

/// One sample: its name, its labels, its value.
type Sample = (String, String, f64);

/// Reads the text format, version 0.0.4: for each family HELP, then TYPE, then its samples, and no
/// family and no sample twice. A histogram's buckets are cumulative, and end with its count.
#[track_caller]
fn read(text: &str) -> Vec<Sample> {
    assert!(text.ends_with('\n'), "the last line has an end");
    let mut families = HashSet::new();
    let (mut help, mut family) = (String::new(), (String::new(), String::new()));
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, text) = rest.split_once(' ').expect("a text");
            assert!(text.ends_with('.') && !text.contains('\\'), "{line}");
            assert!(families.insert(name.to_owned()), "{name} twice");
            help = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert_eq!(name, help, "HELP and TYPE belong together");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            family = (name.to_owned(), kind.to_owned());
        } else {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = name.split_at(name.find('{').unwrap_or(name.len()));
            let suffix = name.strip_prefix(&*family.0);
            let suffixes: &[&str] = match &*family.1 {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            let is_its = suffix.is_some_and(|suffix| suffixes.contains(&suffix));
            assert!(is_its, "a sample stands behind its TYPE: {line}");
            let valid = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(name.bytes().all(valid), "{line}");
            let value: f64 = value.parse().expect("a number");
            let sample = (name.to_owned(), labels.to_owned(), value);
            let is_same = |other: &&Sample| (&other.0, &other.1) == (&sample.0, &sample.1);
            assert!(samples.iter().find(is_same).is_none(), "twice: {line}");
            samples.push(sample);
        }
    }
    check_histograms(&samples);
    samples
}

#[track_caller]
fn check_histograms(samples: &[Sample]) {
    let mut last = 0.0;
    for (name, labels, value) in samples {
        if name.ends_with("_bucket") {
            assert!(*value >= last, "{name}{labels} is less than the one before");
            last = *value;
        } else if name.ends_with("_count") {
            assert_eq!(*value, last, "{name}{labels} differs from its last bucket");
            last = 0.0;
        }
    }
}

#[track_caller]
fn value(samples: &[Sample], name: &str, labels: &str) -> Option<f64> {
    let found = samples.iter().find(|(n, l, _)| n == name && l == labels);
    found.map(|(.., value)| *value)
}

fn scrape(hubs: &[&Hub]) -> Vec<Sample> {
    let server = Server::bind("127.0.0.1:0").unwrap();
    scraped(&Metrics::new(), &server.handle(), hubs)
}

#[track_caller]
fn scraped(metrics: &Metrics, server: &Handle, hubs: &[&Hub]) -> Vec<Sample> {
    let answer = metrics.response(server, hubs);
    let media_type = answer.headers().get("Content-Type");
    assert_eq!(media_type, Some("text/plain; version=0.0.4; charset=utf-8"));
    read(std::str::from_utf8(answer.body().unwrap()).unwrap())
}

#[test]
fn prometheus_reads_the_counts_of_a_server_and_its_hubs() {
    let none = scrape(&[]);
    assert_eq!(value(&none, "akurai_requests_total", ""), Some(0.0));
    assert!(none.iter().all(|(name, ..)| !name.contains("hub")));

    let hubs = [Hub::new(quick()).unwrap(), Hub::new(quick()).unwrap()];
    hubs[1].publish("a", "", "one").unwrap();
    let one = scrape(&[&hubs[1]]);
    assert_eq!(value(&one, "akurai_hub_published_total", ""), Some(1.0));
    assert_eq!(value(&one, "akurai_hub_ready", ""), Some(1.0));
    let both = scrape(&[&hubs[0], &hubs[1]]);
    for (place, published) in ["{hub=\"0\"}", "{hub=\"1\"}"].iter().zip([0.0, 1.0]) {
        let found = value(&both, "akurai_hub_published_total", place);
        assert_eq!(found, Some(published), "{place}");
        assert_eq!(value(&both, "akurai_hub_ready", place), Some(1.0));
    }
    assert_eq!(value(&both, "akurai_hub_ready", ""), None);
}

#[test]
fn durations_by_route_and_class() {
    let metrics = Metrics::new();
    let hub = Hub::new(quick()).unwrap();
    let shown = metrics.clone();
    let app = Router::new()
        .get("/users/{id}", |_| Response::text("a user"))
        .get("/\"odd\\", |_| {
            Response::text("a route whose label is quoted")
        })
        .get("/panics", |_| -> Response { panic!("on purpose") })
        .get("/ws", |req| upgrade(req, |_| Ok(())))
        .get("/events", move |req| hub.sse(req, &["a"]))
        .wrap(metrics.measure());
    let server = TestServer::start(app);
    let mut client = server.connect();
    for (request, status) in [
        ("GET /%22odd%5C", 200),
        ("GET /users/1", 200),
        ("GET /users/2?a=b", 200),
        ("HEAD /users/%33", 200),
        ("POST /users/4", 405),
        ("GET /nothing", 404),
        ("GET /nothing\"else", 400),
        ("GET /panics", 500),
    ] {
        let mut client = server.connect();
        client.send(format!(
            "{request} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
        ));
        assert_eq!(client.read_head().status, status, "{request}");
    }
    client.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.read_head().status, 200);
    WsClient::open(server.addr(), "/ws");

    let samples = scraped(&shown, server.handle(), &[]);
    const NAME: &str = "akurai_request_duration_seconds_count";
    let counted: Vec<_> = samples
        .iter()
        .filter(|(name, ..)| name == NAME)
        .map(|(_, labels, count)| (&**labels, *count))
        .collect();
    // By route, then class. What the server refuses without a router is not among them.
    let expected = [
        (r#"{route="/\"odd\\",class="2xx"}"#, 1.0),
        (r#"{route="/events",class="2xx"}"#, 1.0),
        (r#"{route="/panics",class="5xx"}"#, 1.0),
        (r#"{route="/users/{id}",class="2xx"}"#, 3.0),
        (r#"{route="/users/{id}",class="4xx"}"#, 1.0),
        (r#"{route="/ws",class="1xx"}"#, 1.0),
        (r#"{route="none",class="4xx"}"#, 1.0),
    ];
    assert_eq!(counted, expected);
    let refused = value(
        &samples,
        "akurai_requests_refused_total",
        r#"{reason="Target"}"#,
    );
    assert_eq!(refused, Some(1.0));
}

#[cfg(target_os = "linux")]
#[test]
fn threads_and_descriptors_of_the_process() {
    if !is_alone("metrics::threads_and_descriptors_of_the_process") {
        return;
    }
    // It does not run, so it starts no thread meanwhile.
    let server = Server::bind("127.0.0.1:0").unwrap();
    let read = || {
        let samples = scraped(&Metrics::new(), &server.handle(), &[]);
        ["process_threads", "process_open_fds", "process_max_fds"]
            .map(|name| value(&samples, name, "").expect("Linux has it"))
    };
    let [threads, open, max] = read();
    assert!(open < max);
    let files: Vec<_> = (0..50)
        .map(|_| std::fs::File::open("/dev/null").unwrap())
        .collect();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv().is_err());
    assert_eq!(read(), [threads + 1.0, open + 50.0, max]);
    drop(files);
    assert_eq!(read(), [threads + 1.0, open, max]);
    drop(done);
    assert!(thread.join().unwrap());
}
