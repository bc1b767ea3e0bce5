//! The counts of a server and of a hub, a row each.

use akurai_http::Stats;

use crate::HubStats;

/// A metric's name, its type, its help text, and where its value comes from.
pub(super) type Row<T> = (&'static str, &'static str, &'static str, fn(&T) -> u64);

pub(super) const SERVER: &[Row<Stats>] = &[
    (
        "akurai_connections",
        "gauge",
        "Open connections that speak HTTP.",
        |stats| stats.connections as u64,
    ),
    (
        "akurai_requests_in_progress",
        "gauge",
        "Requests being answered.",
        |stats| stats.in_request as u64,
    ),
    (
        "akurai_upgraded_connections",
        "gauge",
        "Open connections that left HTTP.",
        |stats| stats.upgraded as u64,
    ),
    (
        "akurai_threads",
        "gauge",
        "Threads that serve a connection or wait for one.",
        |stats| stats.threads as u64,
    ),
    (
        "akurai_connections_accepted_total",
        "counter",
        "Connections that found a place.",
        |stats| stats.accepted,
    ),
    (
        "akurai_requests_total",
        "counter",
        "Requests whose head was read.",
        |stats| stats.requests,
    ),
    (
        "akurai_received_bytes_total",
        "counter",
        "Bytes received.",
        |stats| stats.bytes_received,
    ),
    (
        "akurai_sent_bytes_total",
        "counter",
        "Bytes sent.",
        |stats| stats.bytes_sent,
    ),
    (
        "akurai_overloaded_total",
        "counter",
        "Connections and upgrades answered with 503.",
        |stats| stats.overloaded,
    ),
    (
        "akurai_failed_sessions_total",
        "counter",
        "Sessions under connections, TLS for example, that failed.",
        |stats| stats.failed_sessions,
    ),
    (
        "akurai_panics_total",
        "counter",
        "Handlers that panicked.",
        |stats| stats.panics,
    ),
];

pub(super) const HUB: &[Row<HubStats>] = &[
    (
        "akurai_hub_ready",
        "gauge",
        "1 while events come through, 0 while the engine is away.",
        |hub| hub.ready.into(),
    ),
    (
        "akurai_hub_subscribers",
        "gauge",
        "Event streams that are open.",
        |hub| hub.subscribers as u64,
    ),
    (
        "akurai_hub_members",
        "gauge",
        "Subscriptions of WebSockets.",
        |hub| hub.members as u64,
    ),
    (
        "akurai_hub_topics",
        "gauge",
        "Topics that somebody is subscribed to.",
        |hub| hub.topics as u64,
    ),
    (
        "akurai_hub_ring_events",
        "gauge",
        "Events kept for clients that come back.",
        |hub| hub.ring_events as u64,
    ),
    (
        "akurai_hub_ring_bytes",
        "gauge",
        "Bytes of the events kept for clients that come back.",
        |hub| hub.ring_bytes as u64,
    ),
    (
        "akurai_hub_ring_span_seconds",
        "gauge",
        "Age of the oldest event that is kept.",
        |hub| hub.ring_span.as_secs(),
    ),
    (
        "akurai_hub_published_total",
        "counter",
        "Events that publishing took.",
        |hub| hub.published,
    ),
    (
        "akurai_hub_refused_total",
        "counter",
        "Events that were refused as invalid or too large.",
        |hub| hub.refused,
    ),
    (
        "akurai_hub_deliveries_total",
        "counter",
        "Events given to clients, once for each.",
        |hub| hub.deliveries,
    ),
    (
        "akurai_hub_dropped_total",
        "counter",
        "Event streams dropped since their clients were too slow.",
        |hub| hub.dropped,
    ),
    (
        "akurai_hub_ended_total",
        "counter",
        "Event streams and WebSockets that the program ended.",
        |hub| hub.ended,
    ),
    (
        "akurai_hub_resets_total",
        "counter",
        "Times that a client was told of lost events.",
        |hub| hub.resets,
    ),
    (
        "akurai_engine_publish_errors_total",
        "counter",
        "Events that the engine did not take, or may have kept or not.",
        |hub| hub.publish_errors,
    ),
    (
        "akurai_engine_read_errors_total",
        "counter",
        "Times that the engine could not be read.",
        |hub| hub.read_errors,
    ),
    (
        "akurai_engine_reconnections_total",
        "counter",
        "Connections to the engine that took the place of lost ones.",
        |hub| hub.reconnections,
    ),
];
