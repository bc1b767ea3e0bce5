//! Counts and durations for Prometheus.

mod counts;
mod text;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use akurai_http::{Handle, Reply, Request, Response, Stats, Status};

use self::counts::{HUB, SERVER};
use self::text::Text;
use crate::lock::lock;
use crate::{Hub, HubStats};

/// Measures how long handlers take, and shows this with the counts of a server and its hubs, for
/// Prometheus.
///
/// A clone adds to the same counts.
///
/// ```no_run
/// use akurai_http::{Response, Router, Server};
/// use akurai_server::{Hub, HubOptions, Metrics};
///
/// # fn main() -> std::io::Result<()> {
/// let server = Server::bind("127.0.0.1:8090")?;
/// let (hub, metrics, handle) = (Hub::new(HubOptions::default())?, Metrics::new(), server.handle());
/// let news = hub.clone();
/// let app = Router::new()
///     .get("/users/{id}", |_| Response::text("a user\n"))
///     .get("/news", move |req| news.sse(req, &["news"]))
///     .wrap(metrics.measure())
///     .get("/metrics", move |_| metrics.response(&handle, &[&hub]));
/// server.run(app)
/// # }
/// ```
///
/// | name | what |
/// |---|---|
/// | `akurai_request_duration_seconds` | a histogram for each `route` and `class`: see [`measure`](Metrics::measure) |
/// | `akurai_connections`, `akurai_requests_total` … | the server's counts: [`Handle::stats`] |
/// | `akurai_hub_…`, `akurai_engine_…` | a hub's counts, and those of its engine: [`Hub::stats`] |
/// | `process_threads`, `process_open_fds`, `process_max_fds` | the process's threads, its descriptors, and how many of these it may have. Only on Linux, from `/proc/self`; absent elsewhere |
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    routes: Arc<Mutex<BTreeMap<String, [Histogram; CLASSES.len()]>>>,
}

/// Most routes with a histogram of their own; the others share one.
const MAX_ROUTES: usize = 1_000;

/// The classes of status codes (RFC 9110 §15).
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The upper bounds of a histogram's buckets: in microseconds, and in seconds as Prometheus reads
/// it. One more bucket has no bound.
const BOUNDS: [(u64, &str); 18] = [
    (10, "0.00001"),
    (25, "0.000025"),
    (50, "0.00005"),
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
];

#[derive(Debug, Clone, Copy, Default)]
struct Histogram {
    /// How many durations each bucket has that no earlier bucket has.
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Metrics {
    /// Nothing is measured yet.
    pub fn new() -> Metrics {
        Metrics::default()
    }

    /// Middleware that measures how long each answer took to make: the handler, and the middleware
    /// inside this one. The time of a stream after its handler, an event stream's or a WebSocket's
    /// for example, does not count.
    ///
    /// The label `route` is the pattern of the route, `/users/{id}` for example, and `none` if no
    /// route matched. The label `class` is `2xx` for 200 to 299, and so on; for a WebSocket it is
    /// `1xx`. The buckets end at 10, 25, 50, 100, 250 and 500 µs, at 1, 5, 10, 25, 50, 100, 250 and
    /// 500 ms, and at 1, 2.5, 5 and 10 s. At most 1,000 routes have histograms of their own, of 840
    /// bytes each; further ones share the label `other`.
    ///
    /// Requests that never reach a router's middleware are not measured; see
    /// [`Router::wrap`](akurai_http::Router::wrap).
    #[must_use = "a router is measured only if it is wrapped in this"]
    pub fn measure(
        &self,
    ) -> impl Fn(&Request, &dyn Fn(&Request) -> Reply) -> Reply + Send + Sync + use<> {
        let metrics = self.clone();
        move |request, next| {
            let begun = Instant::now();
            // A panic leaves no state of this function half-changed, and it goes on afterwards.
            let outcome = catch_unwind(AssertUnwindSafe(|| next(request)));
            let status = outcome.as_ref().map(|reply| reply.response().status());
            let status = status.unwrap_or(Status::INTERNAL_SERVER_ERROR);
            let route = request.pattern().unwrap_or("none");
            metrics.record(route, status, begun.elapsed());
            outcome.unwrap_or_else(|panic| resume_unwind(panic))
        }
    }

    fn record(&self, route: &str, status: Status, took: Duration) {
        let class = usize::from(status.code() / 100).clamp(1, CLASSES.len()) - 1;
        let bucket = BOUNDS.partition_point(|(micros, _)| took > Duration::from_micros(*micros));
        let mut routes = lock(&self.routes);
        let has_room = routes.len() < MAX_ROUTES;
        let histograms = match routes.get_mut(route) {
            Some(histograms) => histograms,
            None if has_room => routes.entry(route.to_owned()).or_default(),
            None => routes.entry("other".to_owned()).or_default(),
        };
        histograms[class].counts[bucket] += 1;
        histograms[class].sum += took;
    }

    /// How many answers took how long, of all routes and classes together: each bucket's upper
    /// bound, and the number of answers that took at most so long and longer than the bound before.
    /// The last bucket has no bound, so its bound is [`Duration::MAX`]. For a page of your own.
    ///
    /// ```
    /// use akurai_server::Metrics;
    ///
    /// let metrics = Metrics::new();
    /// let slow = metrics.histogram().iter().rev().take(4).map(|(_, count)| count).sum::<u64>();
    /// println!("{slow} answers took longer than a second");
    /// # assert_eq!(slow, 0);
    /// # assert_eq!(metrics.histogram().iter().rev().nth(3).unwrap().0.as_millis(), 2_500);
    /// ```
    pub fn histogram(&self) -> Vec<(Duration, u64)> {
        let bounds = BOUNDS.iter();
        let bounds = bounds.map(|(micros, _)| Duration::from_micros(*micros));
        let mut buckets: Vec<_> = bounds.chain([Duration::MAX]).map(|end| (end, 0)).collect();
        for histogram in lock(&self.routes).values().flatten() {
            for (bucket, count) in std::iter::zip(&mut buckets, histogram.counts) {
                bucket.1 += count;
            }
        }
        buckets
    }

    /// Answers with everything measured and counted, in Prometheus' text exposition format, version
    /// 0.0.4. `hubs` may be empty. If there are several hubs, each sample of a hub has a label
    /// `hub` with the hub's index, from 0.
    ///
    /// Only the server's operator should see these counts. Let a proxy block the path for everybody
    /// else, or serve it on a port of its own.
    pub fn response(&self, server: &Handle, hubs: &[&Hub]) -> Response {
        let mut text = Text::default();
        self.durations(&mut text);
        let stats = server.stats();
        text.rows(SERVER, &[(Vec::new(), &stats)]);
        refusals(&mut text, &stats);
        let places: Vec<String> = (0..hubs.len()).map(|place| place.to_string()).collect();
        let stats: Vec<HubStats> = hubs.iter().map(|hub| hub.stats()).collect();
        let labelled: Vec<_> = std::iter::zip(&places, &stats)
            .map(|(place, stats)| match hubs.len() {
                1 => (Vec::new(), stats),
                _ => (vec![("hub", place.as_str())], stats),
            })
            .collect();
        text.rows(HUB, &labelled);
        process(&mut text);
        Response::new(Status::OK)
            .with_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            .with_header("Cache-Control", "no-store")
            .with_body(text.0)
    }

    fn durations(&self, text: &mut Text) {
        const NAME: &str = "akurai_request_duration_seconds";
        // A copy, so that no request waits while it is written.
        let routes = lock(&self.routes).clone();
        let shown = |histogram: &Histogram| histogram.counts.iter().any(|count| *count > 0);
        let mut has_begun = false;
        for (route, histograms) in &routes {
            for (class, histogram) in std::iter::zip(CLASSES, histograms).filter(|(_, h)| shown(h))
            {
                if !std::mem::replace(&mut has_begun, true) {
                    text.family(
                        NAME,
                        "histogram",
                        "Time to make an answer, by route and class of status.",
                    );
                }
                let labels = [("route", route.as_str()), ("class", class)];
                text.histogram(NAME, &labels, histogram);
            }
        }
    }
}

fn refusals(text: &mut Text, stats: &Stats) {
    const NAME: &str = "akurai_requests_refused_total";
    if !stats.refused.is_empty() {
        text.family(NAME, "counter", "Requests that were refused, by reason.");
    }
    for (reason, count) in &stats.refused {
        text.sample(NAME, &[("reason", &format!("{reason:?}"))], count);
    }
}

/// The process's threads and descriptors, where the system has them in `/proc`.
fn process(text: &mut Text) {
    let mut gauge = |name, help, value: Option<u64>| {
        if let Some(value) = value {
            text.family(name, "gauge", help);
            text.sample(name, &[], value);
        }
    };
    let threads = number_in("/proc/self/status", "Threads:");
    gauge("process_threads", "Threads of the process.", threads);
    // The listing itself has a descriptor.
    let open = std::fs::read_dir("/proc/self/fd").ok();
    let open = open.map(|entries| (entries.count() as u64).saturating_sub(1));
    gauge("process_open_fds", "Open descriptors of the process.", open);
    let limit = number_in("/proc/self/limits", "Max open files");
    gauge(
        "process_max_fds",
        "Most descriptors that the process may have.",
        limit,
    );
}

/// The number behind `name` in a file. `None` if there is no such file, line or number.
fn number_in(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(metrics: &Metrics) -> String {
        let mut text = Text::default();
        metrics.durations(&mut text);
        text.0
    }

    #[test]
    fn nothing_measured_is_nothing_shown() {
        assert_eq!(text_of(&Metrics::new()), "");
    }

    #[test]
    fn durations_are_a_histogram() {
        let metrics = Metrics::new();
        for (micros, status) in [
            (25, 201),
            (1_000, 200),
            (1_001, 204),
            (30_000, 200),
            (20_000_000, 299),
        ] {
            let status = Status::new(status);
            metrics.record("/a", status, Duration::from_micros(micros));
        }
        let expected = r#"# HELP akurai_request_duration_seconds Time to make an answer, by route and class of status.
# TYPE akurai_request_duration_seconds histogram
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="0.00001"} 0
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="0.000025"} 1
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="0.00005"} 1
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="0.0001"} 1
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="0.00025"} 1
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="0.0005"} 1
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="0.001"} 2
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="0.005"} 3
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="0.01"} 3
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="0.025"} 3
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="0.05"} 4
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="0.1"} 4
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="0.25"} 4
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="0.5"} 4
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="1"} 4
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="2.5"} 4
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="5"} 4
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="10"} 4
akurai_request_duration_seconds_bucket{route="/a",class="2xx",le="+Inf"} 5
akurai_request_duration_seconds_sum{route="/a",class="2xx"} 20.032026000
akurai_request_duration_seconds_count{route="/a",class="2xx"} 5
"#;
        assert_eq!(text_of(&metrics), expected);
    }

    #[test]
    fn all_routes_and_classes_are_one_histogram() {
        let metrics = Metrics::new();
        let micros = [9, 10, 11, 1_000, 1_001, 10_000_000, 10_000_001];
        for (route, micros) in std::iter::zip(["/a", "/b"].iter().cycle(), micros) {
            metrics.record(route, Status::OK, Duration::from_micros(micros));
            metrics.record(route, Status::NOT_FOUND, Duration::from_micros(micros));
        }
        let mut some = metrics.histogram();
        some.retain(|(_, count)| *count > 0);
        let ms = Duration::from_millis;
        let expected = [
            (Duration::from_micros(10), 4),
            (Duration::from_micros(25), 2),
            (ms(1), 2),
            (ms(5), 2),
            (ms(10_000), 2),
            (Duration::MAX, 2),
        ];
        assert_eq!(some, expected);
    }

    #[test]
    fn however_many_routes_the_memory_is_bounded() {
        let metrics = Metrics::new();
        for n in 0..3 * MAX_ROUTES {
            metrics.record(&format!("/{n}"), Status::OK, Duration::ZERO);
        }
        // A route that is known keeps its own.
        metrics.record("/0", Status::NOT_FOUND, Duration::ZERO);
        let routes = lock(&metrics.routes);
        assert_eq!(routes.len(), MAX_ROUTES + 1);
        assert_eq!(routes["other"][1].counts[0], 2 * MAX_ROUTES as u64);
        assert_eq!(routes["/0"][3].counts[0], 1);
    }
}
