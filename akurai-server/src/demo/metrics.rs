//! The counts of a server and its hubs in Prometheus' text format.

use std::fmt::Write;

use akurai_http::{Response, Stats};
use akurai_server::HubStats;

/// Answers with the counts of a server and of its hubs, in the Prometheus text exposition format,
/// version 0.0.4. `hubs` may be empty. If there are several hubs, each sample of a hub has a label
/// `hub` with the hub's index, from 0.
///
/// Only the server's operator should see these counts. Let a proxy block `/metrics` for everybody
/// else, or serve it on a port of its own.
pub(crate) fn metrics(stats: &Stats, hubs: &[HubStats]) -> Response {
    let mut text = Text::default();
    server(&mut text, stats);
    if !hubs.is_empty() {
        of_hubs(&mut text, hubs);
    }
    Response::new(akurai_http::Status::OK)
        .with_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        .with_header("Cache-Control", "no-store")
        .with_body(text.0)
}

#[derive(Default)]
struct Text(String);

impl Text {
    /// Metrics of one name, each with its labels.
    fn family(&mut self, name: &str, kind: &str, help: &str, samples: &[(String, u64)]) {
        let _ = writeln!(self.0, "# HELP akurai_{name} {help}");
        let _ = writeln!(self.0, "# TYPE akurai_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(self.0, "akurai_{name}{labels} {value}");
        }
    }
}

fn server(text: &mut Text, stats: &Stats) {
    let mut gauge = |name, help, value: usize| {
        text.family(name, "gauge", help, &[(String::new(), value as u64)]);
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
        text.family(name, "counter", help, &[(String::new(), value)]);
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
    text.family(
        "requests_refused_total",
        "counter",
        "Requests that were refused, by reason.",
        &refused,
    );
}

/// A metric's name, its type, its help text, and where its value comes from.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    fn(&HubStats) -> u64,
);

const HUB: &[Row] = &[
    (
        "hub_ready",
        "gauge",
        "1 while events come through, 0 while the engine is away.",
        |hub| hub.ready.into(),
    ),
    (
        "hub_subscribers",
        "gauge",
        "Event streams that are open.",
        |hub| hub.subscribers as u64,
    ),
    (
        "hub_members",
        "gauge",
        "Subscriptions of WebSockets.",
        |hub| hub.members as u64,
    ),
    (
        "hub_topics",
        "gauge",
        "Topics that somebody is subscribed to.",
        |hub| hub.topics as u64,
    ),
    (
        "hub_ring_events",
        "gauge",
        "Events kept for clients that come back.",
        |hub| hub.ring_events as u64,
    ),
    (
        "hub_ring_bytes",
        "gauge",
        "Bytes of the events kept for clients that come back.",
        |hub| hub.ring_bytes as u64,
    ),
    (
        "hub_ring_span_seconds",
        "gauge",
        "Age of the oldest event that is kept.",
        |hub| hub.ring_span.as_secs(),
    ),
    (
        "hub_published_total",
        "counter",
        "Events that publishing took.",
        |hub| hub.published,
    ),
    (
        "hub_refused_total",
        "counter",
        "Events that were refused as invalid or too large.",
        |hub| hub.refused,
    ),
    (
        "hub_deliveries_total",
        "counter",
        "Events given to clients, once for each.",
        |hub| hub.deliveries,
    ),
    (
        "hub_dropped_total",
        "counter",
        "Event streams dropped since their clients were too slow.",
        |hub| hub.dropped,
    ),
    (
        "hub_resets_total",
        "counter",
        "Times that a client was told of lost events.",
        |hub| hub.resets,
    ),
    (
        "engine_publish_errors_total",
        "counter",
        "Events that the engine did not take, or may have kept or not.",
        |hub| hub.publish_errors,
    ),
    (
        "engine_read_errors_total",
        "counter",
        "Times that the engine could not be read.",
        |hub| hub.read_errors,
    ),
    (
        "engine_reconnections_total",
        "counter",
        "Connections to the engine that took the place of lost ones.",
        |hub| hub.reconnections,
    ),
];

fn of_hubs(text: &mut Text, hubs: &[HubStats]) {
    for (name, kind, help, value) in HUB {
        let samples: Vec<_> = hubs
            .iter()
            .enumerate()
            .map(|(place, hub)| {
                let labels = match hubs.len() {
                    1 => String::new(),
                    _ => format!("{{hub=\"{place}\"}}"),
                };
                (labels, value(hub))
            })
            .collect();
        text.family(name, kind, help, &samples);
    }
}
