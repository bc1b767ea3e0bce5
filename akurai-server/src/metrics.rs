//! A server's counts in Prometheus' text format.

use std::fmt::Write;

use akurai_http::{Response, Stats};

/// Answers with these counts in the Prometheus text exposition format, version 0.0.4.
///
/// ```no_run
/// use akurai_http::{Router, Server};
///
/// # fn main() -> std::io::Result<()> {
/// let server = Server::bind("127.0.0.1:8090")?;
/// let handle = server.handle();
/// server.run(Router::new().get("/metrics", move |_| akurai_server::metrics(&handle.stats())))
/// # }
/// ```
pub fn metrics(stats: &Stats) -> Response {
    Response::new(akurai_http::Status::OK)
        .header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        .header("Cache-Control", "no-store")
        .body(text(stats))
}

fn text(stats: &Stats) -> String {
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, u64)]| {
        let _ = writeln!(text, "# HELP akurai_{name} {help}");
        let _ = writeln!(text, "# TYPE akurai_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "akurai_{name}{labels} {value}");
        }
    };
    let mut gauge = |name, help, value: usize| {
        family(name, "gauge", help, &[(String::new(), value as u64)]);
    };
    gauge(
        "connections",
        "Open connections that speak HTTP.",
        stats.connections,
    );
    gauge(
        "requests_in_progress",
        "Requests being answered.",
        stats.in_request,
    );
    gauge(
        "upgraded_connections",
        "Open connections that left HTTP.",
        stats.upgraded,
    );
    gauge(
        "threads",
        "Threads that serve a connection or wait for one.",
        stats.threads,
    );
    let mut counter = |name, help, value: u64| {
        family(name, "counter", help, &[(String::new(), value)]);
    };
    counter(
        "connections_accepted_total",
        "Connections that found a place.",
        stats.accepted,
    );
    counter(
        "requests_total",
        "Requests whose head was read.",
        stats.requests,
    );
    counter("received_bytes_total", "Bytes received.", stats.bytes_in);
    counter("sent_bytes_total", "Bytes sent.", stats.bytes_out);
    counter(
        "overloaded_total",
        "Connections and upgrades answered with 503.",
        stats.overloaded,
    );
    counter("panics_total", "Handlers that panicked.", stats.panics);
    let refused: Vec<_> = stats
        .refused
        .iter()
        .map(|(reason, count)| (format!("{{reason=\"{reason:?}\"}}"), *count))
        .collect();
    family(
        "requests_refused_total",
        "counter",
        "Requests that were refused, by reason.",
        &refused,
    );
    text
}
