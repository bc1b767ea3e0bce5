//! Bytes in, values out, and back: no socket, file, clock, thread or lock is named in here.

pub(crate) mod body;
pub(crate) mod date;
pub(crate) mod event;
pub(crate) mod forwarded;
pub(crate) mod head;
pub(crate) mod media;
pub(crate) mod path;
pub(crate) mod response;
pub(crate) mod target;
