//! HTTP/1.1 as bytes (RFC 9112): the answer to each input.

mod chunked;
mod connection;
mod drops;
mod endings;
mod failures;
mod fields;
mod framing;
mod idle;
mod negotiation;
mod probed;
mod published;
mod request_line;
mod responses;
mod upgrades;
