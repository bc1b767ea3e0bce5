//! Everything that comes in, and how a connection ends for the receiving thread.

mod buffer;
mod keepalive;
pub(crate) mod message_reader;
pub(crate) mod reader;
mod stopping;
