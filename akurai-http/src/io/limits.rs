//! Every bound and wait of the HTTP side.

use std::time::Duration;

use crate::codec::head::HeadLimits;

/// What one server takes and how long it waits. Sizes are in bytes.
///
/// The framing of a chunked body has fixed limits, beyond which the answer is 400 (RFC 9112 §7.1):
/// a chunk-size line of 256 bytes with its extensions, 4 KiB of extensions in all, and a trailer
/// section of 8 KiB with 32 field lines.
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
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_request_line_bytes: 8 * 1024,
            max_header_section_bytes: 32 * 1024,
            max_header_fields: 100,
            max_body_bytes: 1024 * 1024,
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
    /// 1 KiB. Below it the read fails; 408. The
    /// server checks it once the handler has waited 5 s. With 0 there is no least rate.
    pub fn min_body_rate(mut self, bytes: u64) -> Limits {
        self.min_body_rate = bytes;
        self
    }

    /// How long a handler has to wait for a body before the server checks its rate.
    #[doc(hidden)] // Our tests set it.
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
    /// the connection may go on. Default 64 KiB. With more left, or after 1 s, the
    /// connection closes.
    pub fn max_drain_bytes(mut self, bytes: u64) -> Limits {
        self.max_drain_bytes = bytes;
        self
    }

    /// Longest time for reading and discarding an unread body.
    #[doc(hidden)] // Our tests set it.
    pub fn drain_time(mut self, time: Duration) -> Limits {
        self.drain_time = time;
        self
    }

    /// Longest time for which the server reads and discards what the client still sends after the
    /// last response, so that no reset destroys that response (RFC 9112 §9.6). Default 30 s. The
    /// server also waits at most 5 s for the client's next byte, or for its own close. Both times
    /// go down to a quarter as connections approach their limit. Once the server stops, they are at
    /// most 5 s and 1 s. Zero closes at once.
    pub fn linger_time(mut self, time: Duration) -> Limits {
        self.linger_time = time;
        self
    }

    /// Longest wait for the client's next byte within `linger_time`.
    #[doc(hidden)] // Our tests set it.
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
    /// each reserves a descriptor; the others rest until they are called there. A thread that has
    /// waited 5 s ends, unless it is its listener's last.
    pub fn max_spare_threads(mut self, count: usize) -> Limits {
        self.max_spare_threads = count;
        self
    }

    /// How long a thread waits for a connection before it ends. Threads in `accept` do not end on
    /// systems where `accept` cannot time out, and with a listener that is shared.
    #[doc(hidden)] // Our tests set it.
    pub fn spare_time(mut self, time: Duration) -> Limits {
        self.spare_time = time;
        self
    }

    pub(crate) fn head(&self) -> HeadLimits {
        HeadLimits {
            request_line_bytes: self.max_request_line_bytes,
            header_section_bytes: self.max_header_section_bytes,
            header_fields: self.max_header_fields,
        }
    }
}
