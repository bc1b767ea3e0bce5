//! Server-Sent Events: a stream of events as an answer.

pub(crate) mod event;
pub(crate) mod options;
pub(crate) mod sink;
