//! The proxies that a server believes about the client's address.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::Headers;
use crate::codec::forwarded::{Net, elements, forwarded_for, node_address};

/// The proxies in front of a server, and the field in which they tell the client's address.
///
/// Only these proxies are believed: any client can send such a field.
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
    /// # Errors
    ///
    /// `InvalidInput` if one of them is none of these; the error names it.
    pub fn x_forwarded_for<'a>(
        proxies: impl IntoIterator<Item = &'a str>,
    ) -> io::Result<TrustedProxies> {
        TrustedProxies::new(proxies, Field::XForwardedFor)
    }

    /// Proxies that append their peer to `Forwarded` (RFC 7239). Use this only if they remove or
    /// extend the field that the client sent. A proxy that knows `X-Forwarded-For` alone passes a
    /// forged `Forwarded` on.
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
        let mut client = peer.map(|peer| peer.ip().to_canonical());
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
                return client;
            }
            match node {
                Some(addr) => client = Some(addr),
                // The proxy hides its peer, or writes something that we cannot read: we know the
                // proxy alone.
                None => return client,
            }
        }
        client
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
