//! Every bound and wait of the HTTP side.

use std::time::Duration;

use crate::codec::body::BodyLimits;
use crate::codec::head::HeadLimits;

/// What one server takes and how long it waits. Sizes are in bytes.
///
/// ```
/// use akurai_http::Limits;
///
/// let limits = Limits { body_bytes: 16 << 20, ..Limits::default() };
/// assert_eq!(limits.head_deadline.as_secs(), 10);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest request line, in bytes without its CRLF. Default 8 KiB. A longer one: 414
    /// (RFC 9112 §3).
    pub request_line_bytes: usize,
    /// Longest header section, in bytes with its line ends. Default 32 KiB. A longer one: 431
    /// (RFC 6585 §5).
    pub header_section_bytes: usize,
    /// Most field lines in a header section. Default 100. More: 431.
    pub header_fields: usize,
    /// Longest request body, in bytes without its chunked framing. Default 1 MiB. A longer one:
    /// 413, and the connection closes; no more of the body is used (RFC 9110 §15.5.14).
    pub body_bytes: u64,
    /// Longest chunk-size line of a chunked body, in bytes with its extensions. Default 256. A
    /// longer one: 400 (RFC 9112 §7.1.1).
    pub chunk_line_bytes: usize,
    /// All chunk extensions of one body together, in bytes. Default 4 KiB; the server ignores what
    /// they say. More: 400.
    pub chunk_extension_bytes: usize,
    /// Longest trailer section of a chunked body, in bytes with its line ends. Default 8 KiB. A
    /// longer one: 400 (RFC 9112 §7.1.2).
    pub trailer_section_bytes: usize,
    /// Most field lines in a trailer section. Default 32. More: 400.
    pub trailer_fields: usize,
    /// Longest time for a whole head, from its first byte. Default 10 s. Then 408, and the
    /// connection closes.
    pub head_deadline: Duration,
    /// Longest wait for the next request's first byte. Default 15 s, and less as connections
    /// approach their limit. Then the connection closes without a response (RFC 9112 §9.5).
    pub idle_timeout: Duration,
    /// Longest wait for the next bytes of a body that a handler reads. Default 30 s. Then the read
    /// fails; 408.
    pub body_stall: Duration,
    /// Least rate of a body that a handler waits for, in bytes for each second of waiting. Default
    /// 1 KiB. Below it the read fails; 408. With 0 there is no least rate.
    pub body_rate_bytes: u64,
    /// How long a handler has to wait for a body before the server checks its rate. Default 5 s.
    pub body_rate_grace: Duration,
    /// Longest time without a byte of progress while a response is written. Default 30 s. Then the
    /// connection is dropped. Bytes that go into the system's own buffers count as progress.
    pub write_stall: Duration,
    /// Least rate at which a client takes a long response, in bytes for each second of waiting for
    /// it. Default 1 KiB. The server checks it each time the waits have reached
    /// [`write_stall`](Limits::write_stall). Below it the connection is dropped. With 0 there is no
    /// least rate.
    pub write_rate_bytes: u64,
    /// How many bytes of a body that the handler left unread the server reads and discards, so that
    /// the connection may go on. Default 64 KiB. With more left, the connection closes.
    pub drain_bytes: u64,
    /// Longest time for reading and discarding them. Default 1 s.
    pub drain_time: Duration,
    /// Longest time for which the server reads and discards what the client still sends after the
    /// last response, so that no reset destroys that response (RFC 9112 §9.6). Default 30 s, and
    /// down to a quarter as connections approach their limit. Zero closes at once.
    pub linger_time: Duration,
    /// Longest wait during that time for the client's next byte, or for its own close. Default 5 s,
    /// and down to a quarter in the same way. Once the server stops, this is at most 1 s, and
    /// [`linger_time`](Limits::linger_time) at most 5 s.
    pub linger_stall: Duration,
    /// Most connections at a time that have not been upgraded. Default 1024. One more: 503 with
    /// `Retry-After`.
    pub connections: usize,
    /// Most upgraded connections at a time. Default 10,000. One more: 503 with `Retry-After`.
    pub upgrades: usize,
    /// Most threads of one listener that wait for a connection at a time. Default 32. Further
    /// threads end with their connection. At most 4 of the waiting threads are in `accept`, where
    /// each reserves a descriptor; the others rest until they are called there.
    pub spare_threads: usize,
    /// How long a thread waits for a connection before it ends, unless it is its listener's last.
    /// Default 5 s. Threads in `accept` do not end on systems where `accept` cannot time out, and
    /// with a [listener that is shared](crate::Server::from_listener).
    pub spare_time: Duration,
    /// Wait after the system refused to accept a connection, for lack of descriptors for example.
    /// Default 50 ms. A thread that is refused ends, unless it is its listener's last.
    pub accept_pause: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            request_line_bytes: 8 * 1024,
            header_section_bytes: 32 * 1024,
            header_fields: 100,
            body_bytes: 1024 * 1024,
            chunk_line_bytes: 256,
            chunk_extension_bytes: 4 * 1024,
            trailer_section_bytes: 8 * 1024,
            trailer_fields: 32,
            head_deadline: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15),
            body_stall: Duration::from_secs(30),
            body_rate_bytes: 1024,
            body_rate_grace: Duration::from_secs(5),
            write_stall: Duration::from_secs(30),
            write_rate_bytes: 1024,
            drain_bytes: 64 * 1024,
            drain_time: Duration::from_secs(1),
            linger_time: Duration::from_secs(30),
            linger_stall: Duration::from_secs(5),
            connections: 1024,
            upgrades: 10_000,
            spare_threads: 32,
            spare_time: Duration::from_secs(5),
            accept_pause: Duration::from_millis(50),
        }
    }
}

impl Limits {
    pub(crate) fn head(&self) -> HeadLimits {
        HeadLimits {
            request_line_bytes: self.request_line_bytes,
            header_section_bytes: self.header_section_bytes,
            header_fields: self.header_fields,
        }
    }

    /// The limits of a body that may have `body_bytes`.
    pub(crate) fn body(&self, body_bytes: u64) -> BodyLimits {
        BodyLimits {
            body_bytes,
            chunk_line_bytes: self.chunk_line_bytes,
            chunk_extension_bytes: self.chunk_extension_bytes,
            trailer_section_bytes: self.trailer_section_bytes,
            trailer_fields: self.trailer_fields,
        }
    }
}
