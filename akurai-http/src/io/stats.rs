//! What a server counts.

use std::net::SocketAddr;
use std::time::Duration;

use crate::RequestError;

/// What one server is doing and has done since it was made; see
/// [`Handle::stats`](crate::Handle::stats).
///
/// The counts since then (`accepted`, `requests`, bytes, `overloaded`, `failed_sessions`, `panics`,
/// `refused`) never go back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that were accepted and found a place.
    pub accepted: u64,
    /// Open connections that have not been upgraded.
    pub connections: usize,
    /// How many of them have a request to answer.
    pub in_request: usize,
    /// Open connections that have been upgraded.
    pub upgraded: usize,
    /// Threads that serve a connection or wait for one.
    pub threads: usize,
    /// Requests whose head was read.
    pub requests: u64,
    /// Bytes received, upgraded connections included. Under a [session](crate::Session), the plain
    /// bytes count.
    pub bytes_received: u64,
    /// Bytes sent, upgraded connections included. Under a session as above.
    pub bytes_sent: u64,
    /// Connections and upgrades that found no place: 503, or a close where only a
    /// [session](crate::Session) could carry the answer.
    pub overloaded: u64,
    /// [Sessions](crate::Session) that failed: a handshake of a TLS client without a common
    /// version, for example. Sessions that their peer left are not among them.
    pub failed_sessions: u64,
    /// Handlers and closures that panicked.
    pub panics: u64,
    /// Requests that were refused, by reason; a reason that never occurred is left out. A reason
    /// that concerns the body counts if the answer has its status: if middleware answered with
    /// 401, it was not because the body is too large.
    pub refused: Vec<(RequestError, u64)>,
}

/// One open connection, as it was at one moment; see
/// [`Handle::connections`](crate::Handle::connections).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// The connection's number. Numbers begin at 0, in the order in which connections found their
    /// places.
    pub id: u64,
    /// The address of the other end: behind a proxy, the proxy's. `None` on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// What it is doing.
    pub state: ConnectionState,
    /// Time since it found its place.
    pub age: Duration,
    /// Requests whose head was read.
    pub requests: u64,
    /// Bytes received; under a [session](crate::Session), plain bytes.
    pub bytes_received: u64,
    /// Bytes sent; under a session as above.
    pub bytes_sent: u64,
}

/// What an open connection is doing; see [`ConnectionStats::state`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionState {
    /// It waits for a request.
    Idle,
    /// It has a request to answer, or its answer is being written.
    InRequest,
    /// It is an event stream, or another [`Upgrade`](crate::Upgrade) whose head is 200.
    EventStream,
    /// It left HTTP for another protocol, WebSocket for example.
    Upgraded,
    /// It has had its last answer, and the server waits until the client has it.
    Lingering,
}
