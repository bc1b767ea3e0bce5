//! Everything that goes out, and the threads that send it.

pub(crate) mod message_writer;
#[cfg(test)]
#[path = "../../../tests/model/scheduler.rs"]
#[allow(dead_code, reason = "other crates use the rest")]
mod model;
mod monitor;
pub(crate) mod outbox;
pub(crate) mod prepared;
mod queue;
pub(crate) mod sender;
mod writer;
