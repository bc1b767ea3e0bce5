//! Options of an event stream.

use std::io;
use std::time::Duration;

use crate::codec::coding::{AcceptedCodings, ContentCoding};
use crate::codec::deflate::{Flush, Level};
use crate::codec::gzip::GzipEncoder;
use crate::sse::sink::{PRELUDE, SseSink, open};
use crate::{Reply, Request};

/// An event stream with options; [`sse`](crate::sse) is the stream without.
///
/// ```
/// use akurai_http::{Level, Router, SseOptions};
/// use std::time::Duration;
///
/// let router = Router::new().get("/prices", |req| {
///     SseOptions::new()
///         .gzip(Level::default())
///         .keep_alive(Duration::from_secs(30))
///         .stream(req, |mut sink| sink.data("{\"akurai\":1}"))
/// });
/// # let _ = router;
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[must_use = "options do nothing until `stream` makes an answer of them"]
pub struct SseOptions {
    gzip: Option<Level>,
    keep_alive: Option<Duration>,
}

impl SseOptions {
    /// No compression and no comments of its own.
    pub fn new() -> SseOptions {
        SseOptions::default()
    }

    /// Compresses the stream with gzip if the client accepts that (RFC 9110 §12.5.3). Default off.
    /// Each event is still sent whole and at once, so a browser dispatches it without delay. Use it
    /// for streams of large events that resemble each other: each stream takes about 640 KiB of
    /// memory for the compression.
    ///
    /// Do not put a secret beside text that an attacker can choose: the length of an event shows
    /// whether the two are alike.
    pub fn gzip(mut self, level: Level) -> SseOptions {
        self.gzip = Some(level);
        self
    }

    /// [`SseSink::wait`] sends an empty comment whenever nothing was sent for `period`, so that no
    /// proxy takes the stream for dead. Default never, which is also what zero means. Proxies often
    /// give up after 60 s.
    pub fn keep_alive(mut self, period: Duration) -> SseOptions {
        self.keep_alive = (!period.is_zero()).then_some(period);
        self
    }

    /// Answers `request` with an event stream that `f` writes, as [`sse`](crate::sse) does.
    pub fn stream(
        self,
        request: &Request,
        f: impl FnOnce(SseSink) -> io::Result<()> + Send + 'static,
    ) -> Reply {
        let accepts = || AcceptedCodings::of(request.headers()).prefers(ContentCoding::Gzip);
        let mut gzip = self.gzip.filter(|_| accepts()).map(GzipEncoder::new);
        let mut prelude = Vec::new();
        if let Some(gzip) = &mut gzip {
            gzip.compress(PRELUDE, Flush::Sync, &mut prelude);
        }
        let is_coded = gzip.is_some();
        let mut upgrade = open(move |upgraded| {
            let mut sink = SseSink::new(upgraded);
            sink.keep_alive = self.keep_alive;
            sink.gzip = gzip.map(Box::new);
            f(sink)
        });
        if is_coded {
            upgrade.head = upgrade.head.with_header("Content-Encoding", "gzip");
            upgrade.prelude = prelude.into();
        }
        if self.gzip.is_some() {
            upgrade.head.vary_by_coding();
        }
        upgrade.into()
    }
}
