//! Where a request comes from: its peer, its client, and whether the client spoke TLS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::Request;
use crate::TrustedProxies;
use crate::codec::target::Form;

impl Request {
    /// The address at the other end of the connection, perhaps a proxy's; `None` on a Unix socket.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The client's address. This is the [peer](Request::peer_addr)'s address; but if the peer is a
    /// proxy that the server [trusts](crate::Server::trust), it is the address that the proxy
    /// tells. `None` if neither is known, as on a Unix socket.
    ///
    /// The server reads the proxy's field from the right. Each trusted proxy vouches for the
    /// address before it. The first address that is no trusted proxy's is the client's. Everything
    /// left of it is the client's own claim, and is not believed.
    ///
    /// An IPv4 client always has an IPv4 address here. A socket on `[::]` may know it as
    /// `::ffff:192.0.2.7`; here it is `192.0.2.7`.
    pub fn client_addr(&self) -> Option<IpAddr> {
        match &self.proxies {
            Some(proxies) => proxies.client(self.peer, &self.headers),
            None => self.peer.map(|peer| peer.ip().to_canonical()),
        }
    }

    /// Whether the client spoke TLS (RFC 9110 §4.2.2): its connection has a
    /// [session](crate::Session), which counts as secure whatever it does.
    ///
    /// If the peer is a proxy that the server [trusts](crate::Server::trust) and that tells of a
    /// client, only that proxy's word counts: whether the client's scheme is `https` or `wss`
    /// (RFC 7239 §5.4). A proxy that names no scheme says no, since a session between the proxy and
    /// the server is not the client's. The scheme comes from the same element of the proxy's field
    /// as the [address](Request::client_addr).
    ///
    /// From anybody else, `Forwarded`, `X-Forwarded-Proto` and a target with `https:` prove
    /// nothing. So this is `false` for each client of a proxy that speaks TLS if the proxy is not
    /// trusted or sends no scheme, and behind one that only unwraps TLS and passes the bytes on. A
    /// redirect to `https:` of all requests that are not secure would then never end.
    ///
    /// In a test, a request that was [made by hand](Request::new) is secure if its target begins
    /// with `https:`, also behind a [`Client`](crate::testing::Client).
    ///
    /// ```
    /// use akurai_http::testing::Client;
    /// use akurai_http::{Method, Request, Response, Server, TrustedProxies};
    ///
    /// let trusted = TrustedProxies::x_forwarded_for(["127.0.0.1"])?;
    /// let client = Client::with_server(Server::unbound().trust(trusted), |req: &Request| {
    ///     Response::text(if req.is_secure() { "nobody listens" } else { "take care" })
    /// });
    /// let by_proxy = Request::new(Method::Get, "/").with_header("X-Forwarded-Proto", "https");
    /// assert_eq!(client.send(by_proxy)?.text(), "nobody listens");
    /// assert_eq!(client.get("/")?.text(), "take care");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn is_secure(&self) -> bool {
        let proxies = self.proxies.as_ref();
        let told = proxies.and_then(|proxies| proxies.is_secure(self.peer, &self.headers));
        told.unwrap_or(self.has_session)
    }

    /// Whether the target claims TLS, and neither the connection nor a trusted proxy stands behind
    /// that (RFC 9110 §7.4).
    pub(crate) fn has_false_target(&self) -> bool {
        let is_from_proxy = |proxies: &Arc<TrustedProxies>| proxies.trusts(self.peer);
        self.has_https_target()
            && !self.has_session
            && !self.proxies.as_ref().is_some_and(is_from_proxy)
    }

    /// Counts as secure if its target says so. Only a test has such requests.
    pub(crate) fn believe_target(&mut self) {
        self.has_session = self.has_https_target();
    }

    fn has_https_target(&self) -> bool {
        const SCHEME: &[u8] = b"https://";
        self.head.form == Form::Absolute
            && self.headers.source()[..self.head.authority.start]
                .last_chunk::<{ SCHEME.len() }>()
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Method;

    #[test]
    fn a_clients_address_is_canonical_with_and_without_proxies() {
        let trusted = TrustedProxies::x_forwarded_for(["10.0.0.1"]).expect("an address");
        for proxies in [None, Some(Arc::new(trusted))] {
            for (peer, client) in [
                ("[::ffff:127.0.0.1]:5", "127.0.0.1"),
                ("127.0.0.1:5", "127.0.0.1"),
                ("[2001:db8::1]:5", "2001:db8::1"),
            ] {
                let mut request = Request::new(Method::Get, "/");
                (request.peer, request.proxies) = (peer.parse().ok(), proxies.clone());
                assert_eq!(request.client_addr(), client.parse().ok(), "{peer}");
                assert_eq!(
                    request.peer_addr(),
                    peer.parse().ok(),
                    "as the socket has it"
                );
            }
        }
    }

    #[test]
    fn a_session_is_the_client_s_unless_a_trusted_proxy_tells_of_another() {
        let trusted = TrustedProxies::x_forwarded_for(["10.0.0.1"]).expect("an address");
        let trusted = Arc::new(trusted);
        for (peer, scheme, over_session, over_tcp) in [
            ("192.0.2.1:5", None, true, false),
            // Not a proxy: its claim is worth nothing, either way.
            ("192.0.2.1:5", Some("http"), true, false),
            ("192.0.2.1:5", Some("https"), true, false),
            // The proxy's own request.
            ("10.0.0.1:5", None, true, false),
            // A client without TLS, whose proxy speaks TLS to us.
            ("10.0.0.1:5", Some("http"), false, false),
            ("10.0.0.1:5", Some("https"), true, true),
        ] {
            for (has_session, expected) in [(true, over_session), (false, over_tcp)] {
                let mut request = Request::new(Method::Get, "/");
                if let Some(scheme) = scheme {
                    request = request.with_header("X-Forwarded-Proto", scheme);
                }
                request.peer = peer.parse().ok();
                request.proxies = Some(Arc::clone(&trusted));
                request.has_session = has_session;
                assert_eq!(request.is_secure(), expected, "{peer} {scheme:?}");
                request.proxies = None;
                assert_eq!(request.is_secure(), has_session, "{peer} {scheme:?}");
            }
        }
    }

    #[test]
    fn a_request_by_hand_is_as_secure_as_its_target() {
        for (target, expected) in [
            ("https://localhost/", true),
            ("HTTPS://localhost", true),
            ("https://[::1]:8443?q", true),
            ("http://localhost/", false),
            ("/", false),
            ("/https://localhost/", false),
            ("/?https://localhost/", false),
        ] {
            let request = Request::new(Method::Get, target);
            assert_eq!(request.is_secure(), expected, "{target}");
            let request = request
                .with_header("Host", "x")
                .with_header("X-Forwarded-Proto", "http")
                .with_header("Origin", "https://x")
                .with_body("body");
            assert_eq!(request.is_secure(), expected, "{target} with more fields");
        }
    }
}
