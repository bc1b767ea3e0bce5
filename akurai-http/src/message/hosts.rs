//! The hosts that a server or a router answers to.

use std::io;
use std::net::Ipv6Addr;

/// The names and addresses that a request may be for.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// Without the dot at the end. IPv4 addresses are here too.
    names: Vec<String>,
    v6: Vec<Ipv6Addr>,
}

impl Hosts {
    /// Adds a host name or an address. An IPv6 address may stand in brackets.
    pub(crate) fn add(&mut self, host: &str) -> io::Result<()> {
        if let Some(addr) = host.parse().ok().or_else(|| bracketed(host)) {
            self.v6.push(addr);
            return Ok(());
        }
        let name = without_root(host);
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_plain) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{host:?} is no host name or address without a port"),
            ));
        }
        self.names.push(name.to_owned());
        Ok(())
    }

    /// Whether a host is in both lists.
    pub(crate) fn overlap(&self, other: &Hosts) -> bool {
        let is_ours = |name: &String| self.names.iter().any(|own| own.eq_ignore_ascii_case(name));
        other.names.iter().any(is_ours) || other.v6.iter().any(|addr| self.v6.contains(addr))
    }

    /// Whether the host of this authority is one of them.
    pub(crate) fn names(&self, authority: &str) -> bool {
        let host = without_port(authority);
        match bracketed(host) {
            Some(addr) => self.v6.contains(&addr),
            None => {
                let is_named = |name: &String| name.eq_ignore_ascii_case(without_root(host));
                self.names.iter().any(is_named)
            }
        }
    }
}

// authority = host [ ":" port ]                                         RFC 3986 §3.2
fn without_port(authority: &str) -> &str {
    let end_of_literal = authority.rfind(']').unwrap_or(0);
    match authority[end_of_literal..].find(':') {
        Some(colon) => &authority[..end_of_literal + colon],
        None => authority,
    }
}

// IP-literal = "[" IPv6address "]"                                      RFC 3986 §3.2.2
fn bracketed(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// `name` without the dot that stands for the root of all names (RFC 1034 §3.1).
fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_as_what_they_mean() {
        let mut hosts = Hosts::default();
        for host in [
            "localhost",
            "Example.ORG.",
            "127.0.0.1",
            "[::1]",
            "2001:DB8::7",
        ] {
            hosts.add(host).expect(host);
        }
        for authority in [
            "localhost",
            "LocalHost",
            "localhost.",
            "localhost:8090",
            "localhost.:8090",
            "localhost:",
            "example.org",
            "EXAMPLE.org:443",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:8090",
            "[0:0:0:0:0:0:0:1]",
            "[0000::0.0.0.1]:1",
            "[2001:db8:0::7]",
        ] {
            assert!(hosts.names(authority), "{authority}");
        }
        for authority in [
            "",
            "evil.example",
            "evil.example:8090",
            "localhost.evil.example",
            "xlocalhost",
            "localhost..",
            ".",
            ":80",
            "%6cocalhost",
            "127.0.0.2",
            "127.1",
            "127.0.0.1.evil.example",
            "2130706433",
            "[::2]",
            "[::ffff:127.0.0.1]",
            "::1",
        ] {
            assert!(!hosts.names(authority), "{authority}");
        }
        assert!(!Hosts::default().names("localhost"));
    }

    #[test]
    fn what_is_no_host_is_named() {
        for host in [
            "", ".", "a:80", "a:", "[::1]:80", "a/b", "http://a", "u@a", "a,b", "*.a", "a b",
            "[::1", "[a]", "é",
        ] {
            let error = Hosts::default().add(host).expect_err(host);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            let message = format!("{host:?} is no host name or address without a port");
            assert_eq!(error.to_string(), message);
        }
    }
}
