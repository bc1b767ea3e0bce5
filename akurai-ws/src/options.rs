//! What an application may set.

use akurai_http::{Reply, Request};

use crate::codec::handshake::{self, Admission};
use crate::codec::origin::Origin;
use crate::codec::protocol::Limits;
use crate::conn::WsConn;
use crate::error::Error;

/// What a WebSocket admits, with a default for everything. A value may be kept and used for any number of upgrades.
///
/// ```
/// use akurai_http::{Reply, Request};
/// use akurai_ws::WsOptions;
///
/// fn small_messages(req: &Request) -> Reply {
///     WsOptions::new().max_message_bytes(64 * 1024).upgrade(req, |mut conn| {
///         while let Some(_message) = conn.recv()? {}
///         Ok(())
///     })
/// }
/// # let _ = small_messages;
/// ```
#[derive(Clone, Debug, Default)]
pub struct WsOptions {
    admission: Admission,
    limits: Limits,
}

impl WsOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Admits pages of these origins beside those of the server's own host: `https://app.example.org`, with a port if it
    /// is not the scheme's default; also `app://bundle` and `null`. Case does not matter. Default: none, and then a request
    /// whose Origin is another host than its Host is refused with 403, since a browser sends the user's cookies along
    /// wherever the page came from (RFC 6455 §10.2). A request without Origin comes from no browser and is always admitted.
    ///
    /// # Panics
    ///
    /// If one of them is no origin: without a scheme, with a path, or with a wildcard.
    #[track_caller]
    pub fn allow_origins<O: AsRef<str>>(mut self, origins: impl IntoIterator<Item = O>) -> Self {
        for origin in origins {
            let origin = origin.as_ref();
            let parsed = Origin::parse(origin);
            let parsed = parsed.unwrap_or_else(|| panic!("not an origin: {origin:?}"));
            self.admission.origins.push(parsed);
        }
        self
    }

    /// Admits pages of every origin.
    pub fn any_origin(mut self) -> Self {
        self.admission.any_origin = true;
        self
    }

    /// The subprotocols that this server speaks, the preferred one first. The first that the client offers as well is
    /// spoken, and [`WsConn::subprotocol`] tells it. Default: none. Where nothing is spoken on both sides, the connection
    /// is opened without (RFC 6455 §4.2.2). Case matters.
    ///
    /// # Panics
    ///
    /// If one of them is not a token (RFC 9110 §5.6.2).
    #[track_caller]
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.admission.subprotocols = names.into_iter().map(S::into).collect();
        for name in &self.admission.subprotocols {
            assert!(
                handshake::is_subprotocol(name),
                "not a subprotocol: {name:?}"
            );
        }
        self
    }

    /// Longest accepted message after reassembly, in bytes. Default 16 MiB. A longer one fails the connection with 1009 at
    /// the header that shows it (RFC 6455 §7.4.1).
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_message_bytes = bytes;
        self
    }

    /// Longest accepted payload of one data frame, in bytes. Default 16 MiB. A longer one fails the connection with 1009
    /// at its header (RFC 6455 §7.4.1). Control frames have 125 bytes at most, whatever is set here.
    pub fn max_frame_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_frame_bytes = bytes;
        self
    }

    /// How many frames one message may come in, empty ones counted. Default 131,072. One more fails the connection with
    /// 1008 (RFC 6455 §7.4.1). 0 is taken as 1.
    pub fn max_fragments(mut self, frames: usize) -> Self {
        self.limits.max_fragments = frames.max(1);
        self
    }

    /// As [`upgrade`](crate::upgrade), with these options.
    pub fn upgrade(
        &self,
        req: &Request,
        f: impl FnOnce(WsConn) -> Result<(), Error> + Send + 'static,
    ) -> Reply {
        crate::upgrade::reply(req, &self.admission, self.limits.clone(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::protocol::Protocol;
    use crate::error::Violation;

    // Headers of masked frames that the options alone refuse.
    #[track_caller]
    fn check(options: WsOptions, frames: &[u8], violation: Violation) {
        let first = |options: WsOptions| {
            let (_, result) = Protocol::new(options.limits).receive(&mut frames.to_vec());
            result
        };
        assert_eq!(first(options), Err(violation));
        assert_eq!(first(WsOptions::new()), Ok(None), "by default");
    }

    #[test]
    fn limits_reach_the_protocol() {
        let six_bytes = b"\x82\x86\0\0\0\0";
        check(
            WsOptions::new().max_frame_bytes(5),
            six_bytes,
            Violation::FrameTooLong,
        );
        check(
            WsOptions::new().max_message_bytes(5),
            six_bytes,
            Violation::MessageTooLong,
        );
        let two_frames = b"\x02\x80\0\0\0\0\x00\x80\0\0\0\0";
        check(
            WsOptions::new().max_fragments(1),
            two_frames,
            Violation::TooManyFragments,
        );
        check(
            WsOptions::new().max_fragments(0),
            two_frames,
            Violation::TooManyFragments,
        );
    }
}
