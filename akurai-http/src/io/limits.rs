//! Every bound and wait of the HTTP side.

use std::time::Duration;

use crate::codec::body::BodyLimits;
use crate::codec::head::HeadLimits;

/// What one server takes and how long it waits. Sizes are in bytes.
///
/// ```
/// use akurai_http::{Limits, Server};
/// use std::time::Duration;
///
/// let limits = Limits::default()
///     .max_body_bytes(16 << 20)
///     .head_deadline(Duration::from_secs(5));
/// let server = Server::bind("127.0.0.1:0")?.limits(limits);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "limits do nothing until `Server::limits` gets them"]
pub struct Limits {
    pub(crate) max_request_line_bytes: usize,
    pub(crate) max_header_section_bytes: usize,
    pub(crate) max_header_fields: usize,
    pub(crate) max_body_bytes: u64,
    pub(crate) max_chunk_line_bytes: usize,
    pub(crate) max_chunk_extension_bytes: usize,
    pub(crate) max_trailer_section_bytes: usize,
    pub(crate) max_trailer_fields: usize,
    pub(crate) head_deadline: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) body_stall: Duration,
    pub(crate) min_body_rate: u64,
    pub(crate) body_rate_grace: Duration,
    pub(crate) write_stall: Duration,
    pub(crate) min_write_rate: u64,
    pub(crate) max_drain_bytes: u64,
    pub(crate) drain_time: Duration,
    pub(crate) linger_time: Duration,
    pub(crate) linger_stall: Duration,
    pub(crate) max_connections: usize,
    pub(crate) max_upgrades: usize,
    pub(crate) max_spare_threads: usize,
    pub(crate) spare_time: Duration,
    pub(crate) accept_pause: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_request_line_bytes: 8 * 1024,
            max_header_section_bytes: 32 * 1024,
            max_header_fields: 100,
            max_body_bytes: 1024 * 1024,
            max_chunk_line_bytes: 256,
            max_chunk_extension_bytes: 4 * 1024,
            max_trailer_section_bytes: 8 * 1024,
            max_trailer_fields: 32,
            head_deadline: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15),
            body_stall: Duration::from_secs(30),
            min_body_rate: 1024,
            body_rate_grace: Duration::from_secs(5),
            write_stall: Duration::from_secs(30),
            min_write_rate: 1024,
            max_drain_bytes: 64 * 1024,
            drain_time: Duration::from_secs(1),
            linger_time: Duration::from_secs(30),
            linger_stall: Duration::from_secs(5),
            max_connections: 1024,
            max_upgrades: 10_000,
            max_spare_threads: 32,
            spare_time: Duration::from_secs(5),
            accept_pause: Duration::from_millis(50),
        }
    }
}

impl Limits {
    /// Longest request line, in bytes without its CRLF. Default 8 KiB. A longer one: 414
    /// (RFC 9112 §3).
    pub fn max_request_line_bytes(mut self, bytes: usize) -> Limits {
        self.max_request_line_bytes = bytes;
        self
    }

    /// Longest header section, in bytes with its line ends. Default 32 KiB. A longer one: 431
    /// (RFC 6585 §5).
    pub fn max_header_section_bytes(mut self, bytes: usize) -> Limits {
        self.max_header_section_bytes = bytes;
        self
    }

    /// Most field lines in a header section. Default 100. More: 431.
    pub fn max_header_fields(mut self, count: usize) -> Limits {
        self.max_header_fields = count;
        self
    }

    /// Longest request body, in bytes without its chunked framing. Default 1 MiB. A longer one:
    /// 413, and the connection closes; no more of the body is used (RFC 9110 §15.5.14).
    pub fn max_body_bytes(mut self, bytes: u64) -> Limits {
        self.max_body_bytes = bytes;
        self
    }

    /// Longest chunk-size line of a chunked body, in bytes with its extensions. Default 256. A
    /// longer one: 400 (RFC 9112 §7.1.1).
    pub fn max_chunk_line_bytes(mut self, bytes: usize) -> Limits {
        self.max_chunk_line_bytes = bytes;
        self
    }

    /// All chunk extensions of one body together, in bytes. Default 4 KiB; the server ignores what
    /// they say. More: 400.
    pub fn max_chunk_extension_bytes(mut self, bytes: usize) -> Limits {
        self.max_chunk_extension_bytes = bytes;
        self
    }

    /// Longest trailer section of a chunked body, in bytes with its line ends. Default 8 KiB. A
    /// longer one: 400 (RFC 9112 §7.1.2).
    pub fn max_trailer_section_bytes(mut self, bytes: usize) -> Limits {
        self.max_trailer_section_bytes = bytes;
        self
    }

    /// Most field lines in a trailer section. Default 32. More: 400.
    pub fn max_trailer_fields(mut self, count: usize) -> Limits {
        self.max_trailer_fields = count;
        self
    }

    /// Longest time for a whole head, from its first byte. Default 10 s. Then 408, and the
    /// connection closes.
    pub fn head_deadline(mut self, time: Duration) -> Limits {
        self.head_deadline = time;
        self
    }

    /// Longest wait for the next request's first byte. Default 15 s, and less as connections
    /// approach their limit. Then the connection closes without a response (RFC 9112 §9.5).
    pub fn idle_timeout(mut self, time: Duration) -> Limits {
        self.idle_timeout = time;
        self
    }

    /// Longest wait for the next bytes of a body that a handler reads. Default 30 s. Then the read
    /// fails; 408.
    pub fn body_stall(mut self, time: Duration) -> Limits {
        self.body_stall = time;
        self
    }

    /// Least rate of a body that a handler waits for, in bytes for each second of waiting. Default
    /// 1 KiB. Below it the read fails; 408. With 0 there is no least rate.
    pub fn min_body_rate(mut self, bytes: u64) -> Limits {
        self.min_body_rate = bytes;
        self
    }

    /// How long a handler has to wait for a body before the server checks its rate. Default 5 s.
    pub fn body_rate_grace(mut self, time: Duration) -> Limits {
        self.body_rate_grace = time;
        self
    }

    /// Longest time without a byte of progress while a response is written. Default 30 s. Then the
    /// connection is dropped. Bytes that go into the system's own buffers count as progress.
    pub fn write_stall(mut self, time: Duration) -> Limits {
        self.write_stall = time;
        self
    }

    /// Least rate at which a client takes a long response, in bytes for each second of waiting for
    /// it. Default 1 KiB. The server checks it each time the waits have reached
    /// [`write_stall`](Limits::write_stall). Below it the connection is dropped. With 0 there is no
    /// least rate.
    pub fn min_write_rate(mut self, bytes: u64) -> Limits {
        self.min_write_rate = bytes;
        self
    }

    /// How many bytes of a body that the handler left unread the server reads and discards, so that
    /// the connection may go on. Default 64 KiB. With more left, the connection closes.
    pub fn max_drain_bytes(mut self, bytes: u64) -> Limits {
        self.max_drain_bytes = bytes;
        self
    }

    /// Longest time for reading and discarding them. Default 1 s.
    pub fn drain_time(mut self, time: Duration) -> Limits {
        self.drain_time = time;
        self
    }

    /// Longest time for which the server reads and discards what the client still sends after the
    /// last response, so that no reset destroys that response (RFC 9112 §9.6). Default 30 s, and
    /// down to a quarter as connections approach their limit. Zero closes at once.
    pub fn linger_time(mut self, time: Duration) -> Limits {
        self.linger_time = time;
        self
    }

    /// Longest wait during that time for the client's next byte, or for its own close. Default 5 s,
    /// and down to a quarter in the same way. Once the server stops, this is at most 1 s, and
    /// [`linger_time`](Limits::linger_time) at most 5 s.
    pub fn linger_stall(mut self, time: Duration) -> Limits {
        self.linger_stall = time;
        self
    }

    /// Most connections at a time that have not been upgraded. Default 1024. One more: 503 with
    /// `Retry-After`.
    pub fn max_connections(mut self, count: usize) -> Limits {
        self.max_connections = count;
        self
    }

    /// Most upgraded connections at a time. Default 10,000. One more: 503 with `Retry-After`.
    pub fn max_upgrades(mut self, count: usize) -> Limits {
        self.max_upgrades = count;
        self
    }

    /// Most threads of one listener that wait for a connection at a time. Default 32. Further
    /// threads end with their connection. At most 4 of the waiting threads are in `accept`, where
    /// each reserves a descriptor; the others rest until they are called there.
    pub fn max_spare_threads(mut self, count: usize) -> Limits {
        self.max_spare_threads = count;
        self
    }

    /// How long a thread waits for a connection before it ends, unless it is its listener's last.
    /// Default 5 s. Threads in `accept` do not end on systems where `accept` cannot time out, and
    /// with a [listener that is shared](crate::Server::from_listener).
    pub fn spare_time(mut self, time: Duration) -> Limits {
        self.spare_time = time;
        self
    }

    /// Wait after the system refused to accept a connection, for lack of descriptors for example.
    /// Default 50 ms. A thread that is refused ends, unless it is its listener's last.
    pub fn accept_pause(mut self, time: Duration) -> Limits {
        self.accept_pause = time;
        self
    }

    pub(crate) fn head(&self) -> HeadLimits {
        HeadLimits {
            request_line_bytes: self.max_request_line_bytes,
            header_section_bytes: self.max_header_section_bytes,
            header_fields: self.max_header_fields,
        }
    }

    /// The limits of a body that may have `body_bytes`.
    pub(crate) fn body(&self, body_bytes: u64) -> BodyLimits {
        BodyLimits {
            body_bytes,
            chunk_line_bytes: self.max_chunk_line_bytes,
            chunk_extension_bytes: self.max_chunk_extension_bytes,
            trailer_section_bytes: self.max_trailer_section_bytes,
            trailer_fields: self.max_trailer_fields,
        }
    }
}
