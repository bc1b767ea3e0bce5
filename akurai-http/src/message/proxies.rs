//! The proxies that a server believes about the client's address and its scheme.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::Headers;
use crate::codec::forwarded::{
    Net, elements, forwarded_for, forwarded_is_secure, is_secure_scheme, node_address,
};

/// The proxies in front of a server, and the fields in which they tell the client's address
/// ([`Request::client_addr`](crate::Request::client_addr)) and whether it spoke TLS
/// ([`Request::is_secure`](crate::Request::is_secure)).
///
/// Only these proxies are believed: any client can send such a field. So each of them must set its
/// fields, or append to them, and pass none on as the client wrote it.
///
/// ```
/// use akurai_http::{Server, TrustedProxies};
///
/// # fn main() -> std::io::Result<()> {
/// let proxies = TrustedProxies::x_forwarded_for(["127.0.0.1", "10.0.0.0/8", "fd00::/8", "unix"])?;
/// let server = Server::bind("127.0.0.1:0")?.trust(proxies);
/// # let _ = server;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "no proxy is trusted until `Server::trust` gets this"]
pub struct TrustedProxies {
    nets: Vec<Net>,
    unix: bool,
    field: Field,
}

#[derive(Debug, Clone, Copy)]
enum Field {
    XForwardedFor,
    Forwarded,
}

impl TrustedProxies {
    /// Proxies that append their peer to `X-Forwarded-For`, as nginx, Caddy and HAProxy can. Each
    /// is an address, a network such as `10.0.0.0/8`, or `unix` for any peer on a Unix socket.
    ///
    /// These proxies tell the client's scheme in `X-Forwarded-Proto`. If the field holds several
    /// schemes, they stand for the last addresses of `X-Forwarded-For`, one for each. If there are
    /// fewer, the first of them stands for the client. So the outermost proxy must set the field,
    /// or append to it, for each client, and those behind it must do one of these:
    ///
    /// - each appends;
    /// - each passes the field on as it came;
    /// - each sets the field, and all of them speak TLS to each other just when the client does:
    ///   the last one tells only of its own peer.
    ///
    /// A proxy that passes the field on is right only behind one that sets it: alone, it passes a
    /// client's forged field on. So does a proxy that does not know the field, and one that adds it
    /// only for TLS, as HAProxy with `http-request add-header X-Forwarded-Proto https if { ssl_fc
    /// }`. There, use `set-header`, with a line for each of the two schemes.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if one of them is none of these; the error names it.
    pub fn x_forwarded_for<'a>(
        proxies: impl IntoIterator<Item = &'a str>,
    ) -> io::Result<TrustedProxies> {
        TrustedProxies::new(proxies, Field::XForwardedFor)
    }

    /// Proxies that append their peer to `Forwarded` (RFC 7239), and its scheme (`proto`, §5.4).
    /// Use this only if they remove or extend the field that the client sent. A proxy that knows
    /// `X-Forwarded-For` alone passes a forged `Forwarded` on. `X-Forwarded-For` and
    /// `X-Forwarded-Proto` tell nothing here, as `Forwarded` tells nothing there.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if one of them is no address, network or `unix`; the error names it.
    pub fn forwarded<'a>(proxies: impl IntoIterator<Item = &'a str>) -> io::Result<TrustedProxies> {
        TrustedProxies::new(proxies, Field::Forwarded)
    }

    fn new<'a>(
        proxies: impl IntoIterator<Item = &'a str>,
        field: Field,
    ) -> io::Result<TrustedProxies> {
        let mut trusted = TrustedProxies {
            nets: Vec::new(),
            unix: false,
            field,
        };
        for proxy in proxies {
            match proxy {
                "unix" => trusted.unix = true,
                net => trusted
                    .nets
                    .push(Net::parse(net).ok_or_else(|| invalid(net))?),
            }
        }
        Ok(trusted)
    }

    /// The client of a request that came from `peer` with these fields.
    pub(crate) fn client(&self, peer: Option<SocketAddr>, headers: &Headers) -> Option<IpAddr> {
        self.trace(peer, headers).0
    }

    /// Whether the client of such a request spoke TLS to the first of these proxies. `None` if no
    /// proxy tells anything of a client: then the peer is the client.
    ///
    /// A proxy that tells of a client and names no secure scheme for it says that there is none.
    /// Otherwise a session between that proxy and us would pass for the client's.
    pub(crate) fn is_secure(&self, peer: Option<SocketAddr>, headers: &Headers) -> Option<bool> {
        let (_, believed) = self.trace(peer, headers);
        match self.field {
            Field::XForwardedFor => {
                let schemes: Vec<_> = headers.tokens("X-Forwarded-Proto").collect();
                let is_told = believed > 0 || !schemes.is_empty();
                (is_told && self.trusts(peer)).then(|| {
                    let place = schemes.len().saturating_sub(believed.max(1));
                    schemes
                        .get(place)
                        .is_some_and(|scheme| is_secure_scheme(scheme))
                })
            }
            Field::Forwarded => {
                let told: Vec<_> = headers.all("Forwarded").flat_map(elements).collect();
                (believed > 0).then(|| forwarded_is_secure(told[told.len() - believed]))
            }
        }
    }

    /// Whether the other end of a connection is one of these proxies.
    pub(crate) fn trusts(&self, peer: Option<SocketAddr>) -> bool {
        let addr = peer.map(|peer| peer.ip().to_canonical());
        addr.map_or(self.unix, |addr| self.is_trusted(addr))
    }

    /// The client, and how many elements of the field are a trusted proxy's, from the right. The
    /// last of them is about the client.
    fn trace(&self, peer: Option<SocketAddr>, headers: &Headers) -> (Option<IpAddr>, usize) {
        let mut client = peer.map(|peer| peer.ip().to_canonical());
        let mut believed = 0;
        let told: Vec<Option<IpAddr>> = match self.field {
            Field::XForwardedFor => headers
                .tokens("X-Forwarded-For")
                .map(node_address)
                .collect(),
            Field::Forwarded => headers
                .all("Forwarded")
                .flat_map(elements)
                .map(forwarded_for)
                .collect(),
        };
        for node in told.into_iter().rev() {
            if !client.map_or(self.unix, |addr| self.is_trusted(addr)) {
                break;
            }
            believed += 1;
            match node {
                Some(addr) => client = Some(addr),
                // The proxy hides its peer, or writes something that we cannot read: we know the
                // proxy alone.
                None => break,
            }
        }
        (client, believed)
    }

    fn is_trusted(&self, addr: IpAddr) -> bool {
        self.nets.iter().any(|net| net.contains(addr))
    }
}

fn invalid(proxy: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{proxy:?} is no address, no network and not \"unix\""),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Method, Request};

    fn client(proxies: &TrustedProxies, peer: Option<&str>, fields: &[(&str, &str)]) -> String {
        let mut request = Request::new(Method::Get, "/");
        for (name, value) in fields {
            request = request.with_header(name, value);
        }
        let peer = peer.map(|peer| SocketAddr::new(peer.parse().unwrap(), 5));
        proxies
            .client(peer, request.headers())
            .map_or("-".to_owned(), |addr| addr.to_string())
    }

    #[test]
    fn the_first_address_from_the_right_that_is_no_proxy() {
        let proxies = TrustedProxies::x_forwarded_for(["10.0.0.0/8", "::1", "unix"]).unwrap();
        let xff = "X-Forwarded-For";
        for (peer, fields, expected) in [
            (Some("9.9.9.9"), vec![(xff, "1.1.1.1")], "9.9.9.9"),
            (Some("10.1.1.1"), vec![(xff, "1.1.1.1")], "1.1.1.1"),
            (
                Some("10.1.1.1"),
                vec![(xff, "6.6.6.6, 1.1.1.1, 10.2.2.2")],
                "1.1.1.1",
            ),
            (
                Some("10.1.1.1"),
                vec![(xff, "6.6.6.6"), (xff, "1.1.1.1")],
                "1.1.1.1",
            ),
            (
                Some("10.1.1.1"),
                vec![(xff, "10.3.3.3, 10.2.2.2")],
                "10.3.3.3",
            ),
            (
                Some("10.1.1.1"),
                vec![(xff, "1.1.1.1, nonsense")],
                "10.1.1.1",
            ),
            (
                Some("10.1.1.1"),
                vec![("Forwarded", "for=1.1.1.1")],
                "10.1.1.1",
            ),
            (Some("10.1.1.1"), vec![], "10.1.1.1"),
            (
                Some("::ffff:10.1.1.1"),
                vec![(xff, "[2001:db8::1]:5")],
                "2001:db8::1",
            ),
            (None, vec![(xff, "1.1.1.1:80")], "1.1.1.1"),
            (None, vec![], "-"),
        ] {
            assert_eq!(
                client(&proxies, peer, &fields),
                expected,
                "{peer:?} {fields:?}"
            );
        }
        let none = TrustedProxies::x_forwarded_for([]).unwrap();
        assert_eq!(client(&none, None, &[(xff, "1.1.1.1")]), "-");
    }

    #[test]
    fn rfc7239_forwarded() {
        let proxies = TrustedProxies::forwarded(["10.0.0.0/8"]).unwrap();
        for (value, expected) in [
            ("for=1.1.1.1", "1.1.1.1"),
            ("For=\"[2001:db8::1]:4711\";proto=https", "2001:db8::1"),
            (
                "for=6.6.6.6, for=1.1.1.1;by=10.0.0.9, by=x;for=10.0.0.2",
                "1.1.1.1",
            ),
            ("for=1.1.1.1, for=unknown", "10.1.1.1"),
            ("for=_hidden", "10.1.1.1"),
            ("for=\"a,for=6.6.6.6\"", "10.1.1.1"),
            ("proto=https", "10.1.1.1"),
            ("for=1.1.1.1,", "1.1.1.1"),
            (",for=1.1.1.1 , ,\t,", "1.1.1.1"),
            ("for=6.6.6.6,,for=1.1.1.1,,for=10.0.0.2,,", "1.1.1.1"),
            ("for=\"1.1.1.1:_obf\"", "1.1.1.1"),
            ("for=\"[2001:db8::1]:_obf\"", "2001:db8::1"),
            // A proxy that hides its peer may send an element that names nobody.
            ("for=1.1.1.1, ;", "10.1.1.1"),
            ("for=1.1.1.1, for=", "10.1.1.1"),
        ] {
            let got = client(&proxies, Some("10.1.1.1"), &[("Forwarded", value)]);
            assert_eq!(got, expected, "{value}");
            // An empty line is an empty list, wherever it stands.
            for lines in [["", value], [value, ""], [",", value], [value, " ,"]] {
                let fields = lines.map(|line| ("Forwarded", line.trim()));
                let got = client(&proxies, Some("10.1.1.1"), &fields);
                assert_eq!(got, expected, "{lines:?}");
            }
        }
        let x = client(
            &proxies,
            Some("10.1.1.1"),
            &[("X-Forwarded-For", "1.1.1.1")],
        );
        assert_eq!(x, "10.1.1.1");
    }

    /// Fields of a request, and what they tell of its client.
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<bool>);

    #[track_caller]
    fn check_secure(proxies: &TrustedProxies, peer: Option<&str>, cases: &[Case<'_>]) {
        let peer = peer.map(|peer| SocketAddr::new(peer.parse().unwrap(), 5));
        for (fields, expected) in cases {
            let mut request = Request::new(Method::Get, "/");
            for (name, value) in *fields {
                request = request.with_header(name, value);
            }
            let told = proxies.is_secure(peer, request.headers());
            assert_eq!(told, *expected, "{peer:?} {fields:?}");
        }
    }

    #[test]
    fn the_scheme_in_x_forwarded_proto_stands_for_the_client() {
        let proxies = TrustedProxies::x_forwarded_for(["10.0.0.0/8", "unix"]).unwrap();
        let address = |value: &'static str| ("X-Forwarded-For", value);
        let scheme = |value: &'static str| ("X-Forwarded-Proto", value);
        let one = address("1.1.1.1");
        let two = address("1.1.1.1, 10.0.0.2");
        let proxy = Some("10.0.0.1");
        let (yes, no) = (Some(true), Some(false));
        for peer in [proxy, None, Some("::ffff:10.0.0.1")] {
            check_secure(
                &proxies,
                peer,
                &[
                    (&[], None),
                    (&[one], no),
                    (&[scheme("https")], yes),
                    (&[scheme("http")], no),
                    (&[one, scheme("https")], yes),
                    (&[scheme("HTTPS"), one], yes),
                    (&[one, scheme("wss")], yes),
                    (&[one, scheme("http")], no),
                    (&[one, scheme("ws")], no),
                    (&[one, scheme("on")], no),
                    (&[one, scheme("\"https\"")], no),
                    (&[one, scheme("https http")], no),
                    (&[one, scheme("")], no),
                    (&[one, scheme(" https ,")], yes),
                    // The proxy has appended the last one: the others are the client's claim.
                    (&[one, scheme("https, http")], no),
                    (&[one, scheme("http, https")], yes),
                    (&[one, scheme("https"), scheme("http")], no),
                    (&[address("6.6.6.6, 1.1.1.1"), scheme("https, http")], no),
                    (&[scheme("https, http")], no),
                    // Two proxies: both append, or the last one sets the field or passes it on.
                    (&[two, scheme("https, http")], yes),
                    (&[two, scheme("http, https")], no),
                    (&[two, scheme("https, http, https")], no),
                    (&[two, scheme("http, https, http")], yes),
                    (&[two, scheme("https")], yes),
                    (&[two, scheme("http")], no),
                    // The first address is the client's claim, since 1.1.1.1 is no proxy.
                    (&[address("10.9.9.9, 1.1.1.1"), scheme("https, http")], no),
                    // A proxy that hides its client may still tell its scheme.
                    (&[address("unknown"), scheme("https")], yes),
                    (&[("Forwarded", "for=1.1.1.1;proto=https")], None),
                    (&[("Forwarded", "proto=https"), scheme("http")], no),
                    (&[("Forwarded", "proto=http"), scheme("https")], yes),
                ],
            );
        }
        let claims: [&[_]; 3] = [&[scheme("https")], &[one, scheme("https")], &[two]];
        for fields in claims {
            check_secure(&proxies, Some("9.9.9.9"), &[(fields, None)]);
            let others = TrustedProxies::x_forwarded_for(["9.9.9.9"]).unwrap();
            check_secure(&others, None, &[(fields, None)]);
            check_secure(&others, proxy, &[(fields, None)]);
        }
    }

    #[test]
    fn rfc7239_5_4_the_scheme_is_in_the_element_of_the_address() {
        let proxies = TrustedProxies::forwarded(["10.0.0.0/8"]).unwrap();
        let (yes, no) = (Some(true), Some(false));
        for (value, expected) in [
            ("", None),
            (" ,", None),
            ("for=1.1.1.1;proto=https", yes),
            ("proto=https;for=1.1.1.1", yes),
            ("For=\"[2001:db8::1]:4711\";Proto=\"HTTPS\"", yes),
            ("for=1.1.1.1;proto=wss", yes),
            ("for=1.1.1.1;proto=http", no),
            ("for=1.1.1.1;proto=quic", no),
            ("for=1.1.1.1;proto=", no),
            ("for=1.1.1.1", no),
            ("proto=https", yes),
            ("proto=http", no),
            ("for=_hidden;proto=https", yes),
            ("for=unknown;proto=http", no),
            ("for=1.1.1.1;proto=https,", yes),
            // The proxy has appended the last one: the others are the client's claim.
            ("for=6.6.6.6;proto=https, for=1.1.1.1;proto=http", no),
            ("for=6.6.6.6;proto=https, for=1.1.1.1", no),
            ("for=10.9.9.9;proto=https, for=1.1.1.1;proto=http", no),
            ("for=6.6.6.6;proto=http, for=1.1.1.1;proto=https", yes),
            // Two proxies: the first one tells of the client.
            ("for=1.1.1.1;proto=https, for=10.0.0.2;proto=http", yes),
            ("for=1.1.1.1;proto=http, for=10.0.0.2;proto=https", no),
            ("for=1.1.1.1, for=10.0.0.2;proto=https", no),
            ("for=10.0.0.3;proto=https, for=10.0.0.2;proto=http", yes),
            ("for=1.1.1.1;proto=https, for=_hidden;proto=http", no),
            // A quote that swallows what the proxy appends.
            ("for=6.6.6.6;proto=https;x=\", for=1.1.1.1;proto=http", no),
            ("for=6.6.6.6;x=\", for=1.1.1.1;proto=https", no),
            ("for=\"1.1.1.1;proto=https\"", no),
        ] {
            let told = [("Forwarded", value)];
            check_secure(&proxies, Some("10.0.0.1"), &[(&told, expected)]);
            check_secure(&proxies, Some("9.9.9.9"), &[(&told, None)]);
            check_secure(&proxies, None, &[(&told, None)]);
            // One rule where both are there: the field that these proxies write.
            for scheme in ["https", "http"] {
                let both = [told[0], ("X-Forwarded-Proto", scheme)];
                check_secure(&proxies, Some("10.0.0.1"), &[(&both, expected)]);
            }
        }
        let lines = [
            ("Forwarded", "for=1.1.1.1;proto=https"),
            ("Forwarded", "for=10.0.0.2;proto=http"),
        ];
        check_secure(&proxies, Some("10.0.0.1"), &[(&lines, yes)]);
    }

    #[test]
    fn what_is_no_proxy_is_named() {
        for bad in [
            "localhost",
            "10.0.0.0/33",
            "::/129",
            "1.2.3",
            "10.0.0.1/",
            "unix:",
        ] {
            let error = TrustedProxies::x_forwarded_for([bad]).unwrap_err();
            let message = format!("{bad:?} is no address, no network and not \"unix\"");
            assert_eq!(error.to_string(), message);
        }
    }
}
