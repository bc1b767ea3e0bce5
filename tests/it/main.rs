//! The crates together, over real sockets. A test that shows a case of HTTP or WebSocket carries
//! its number: `http_05_target_characters`, `ws_10_framing_violations_are_1002`.

#[cfg(target_os = "linux")]
mod alone;
mod feeds;
mod labels;
mod mirror;
mod serving;

mod access_log;
mod addresses;
mod authorised;
mod busy;
mod closing;
mod connections;
mod deadlines;
mod demo;
mod early;
mod ended;
mod engines;
mod error_hook;
mod examples;
mod failures;
mod faults;
mod files;
mod forms;
mod fragments_out;
mod gauges;
mod gzip;
#[cfg(unix)]
mod handed_over;
mod hosts;
mod http;
mod hub;
mod hub_sessions;
mod in_process;
mod joined_sends;
mod joining;
mod keepalive;
mod limits;
mod log_thread;
mod long_frames;
mod metrics;
mod notices;
mod peers;
mod posting;
mod ready_made;
mod receiving;
mod redis;
mod rfc6455;
mod rfc7692;
mod rfc9112;
mod rooms;
mod router;
mod senders;
mod sessions;
mod shutdown;
#[cfg(unix)]
mod signals;
mod slow_readers;
mod smuggling;
mod sse;
mod stats;
mod stop_notices;
#[cfg(target_os = "linux")]
mod suspended;
mod threads;
mod tidy;
mod topics;
mod tutorial;
#[cfg(unix)]
mod unix_sockets;
mod ws_endings;
