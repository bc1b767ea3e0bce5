//! The demo: a page, and the data that it shows. It uses only the public API of the three crates.

pub(crate) mod arguments;
mod chat;
pub(crate) mod dashboard;
pub(crate) mod routes;

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |since| since.as_millis() as u64)
}
