//! Bytes in, values out, and back: no socket, file, clock, thread or lock is named in here.

pub(crate) mod body;
pub(crate) mod coding;
pub(crate) mod conditional;
pub(crate) mod cookie;
pub(crate) mod date;
pub(crate) mod deflate;
pub(crate) mod disposition;
pub(crate) mod event;
pub(crate) mod form;
pub(crate) mod forwarded;
pub(crate) mod gzip;
pub(crate) mod head;
pub(crate) mod json;
pub(crate) mod listing;
pub(crate) mod media;
pub(crate) mod multipart;
pub(crate) mod parameters;
pub(crate) mod path;
pub(crate) mod range;
pub(crate) mod response;
pub(crate) mod search;
pub(crate) mod target;
