//! Everything that goes out, and the threads that send it.

pub(crate) mod message_writer;
#[cfg(test)]
mod model;
mod monitor;
pub(crate) mod outbox;
pub(crate) mod prepared;
mod queue;
pub(crate) mod sender;
mod writer;
