//! Whether the request comes from a page of the same host (RFC 6454 §4, §7; RFC 6455 §10.2).

// A plain value from `core`: the address is parsed, never connected to.
use core::net::Ipv6Addr;

/// An origin that the application names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Origin {
    Http(HttpOrigin),
    /// `null`, or an origin of another scheme: `app://bundle`, or `file://` without a host.
    Other(String),
}

/// The scheme, host and port that a page of the web comes from.
///
/// ```text
/// origin = scheme "://" host [ ":" port ]    RFC 6454 §7.1
/// ```
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HttpOrigin {
    is_secure: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// `None` for text that no browser sends as an Origin.
    pub(crate) fn parse(origin: &str) -> Option<Self> {
        let Some((scheme, behind)) = origin.split_once("://") else {
            return (origin == "null").then(|| Self::Other(origin.to_owned()));
        };
        let Some((is_secure, default_port)) = http_scheme(scheme) else {
            // `file:///` is what an address bar shows for `file://`.
            let host = if behind == "/" { "" } else { behind };
            let is_origin = is_scheme(scheme) && is_host(host);
            return is_origin.then(|| Self::Other(format!("{scheme}://{host}")));
        };
        let (host, port) = split(behind, default_port)?;
        is_host(host).then(|| {
            Self::Http(HttpOrigin {
                is_secure,
                host: host.to_owned(),
                port,
            })
        })
    }

    /// Whether an Origin field's value is this origin.
    pub(crate) fn is(&self, value: &[u8]) -> bool {
        let Some(other) = std::str::from_utf8(value).ok().and_then(Self::parse) else {
            return false;
        };
        match (self, &other) {
            (Self::Http(a), Self::Http(b)) => {
                a.is_secure == b.is_secure && a.port == b.port && is_same_name(&a.host, &b.host)
            }
            (Self::Other(a), Self::Other(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        }
    }
}

/// Whether `origin` (an Origin field's value) is that of a request for the host and port that
/// `authority` (its Host) names.
///
/// ```text
/// origin    = scheme "://" host [ ":" port ]    RFC 6454 §7.1
/// authority = host [ ":" port ]                 RFC 9110 §7.2
/// ```
///
/// An Origin may also be `null` or a list; neither of them is a host.
///
/// An absent port is the default of the Origin's scheme, on both sides. So behind a proxy that ends
/// TLS, `Host: example.com` is port 443 for a page of `https://example.com`.
///
/// Of a request that is known to be secure, the scheme must be `https`: an attacker in the network
/// can write any page of `http:`. Of any other the scheme is not compared, since a proxy that the
/// server does not trust may speak TLS.
pub(crate) fn is_own_origin(origin: &[u8], authority: &str, is_secure: bool) -> bool {
    let Some((scheme, origin)) = std::str::from_utf8(origin)
        .ok()
        .and_then(|o| o.split_once("://"))
    else {
        return false;
    };
    let default_port = match http_scheme(scheme) {
        Some((is_https, default_port)) if is_https || !is_secure => default_port,
        _ => return false,
    };
    match (split(origin, default_port), split(authority, default_port)) {
        (Some((origin_host, origin_port)), Some((host, port))) => {
            origin_port == port && is_same_name(origin_host, host)
        }
        _ => false,
    }
}

// scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )    RFC 3986 §3.1
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

// No host has these characters, but a caller might write a path, a list or a wildcard with them.
fn is_host(host: &str) -> bool {
    !host.contains(['/', '?', '#', '@', ' ', ',', '*'])
}

// Whether the scheme is the secure one of the two, and its default port.
fn http_scheme(scheme: &str) -> Option<(bool, u16)> {
    if scheme.eq_ignore_ascii_case("https") {
        Some((true, 443))
    } else if scheme.eq_ignore_ascii_case("http") {
        Some((false, 80))
    } else {
        None
    }
}

// host [ ":" port ], where the host may be an IPv6 address in brackets and the port may be empty
// (RFC 3986 §3.2.3).
fn split(authority: &str, default_port: u16) -> Option<(&str, u16)> {
    let host_len = match authority.strip_prefix('[') {
        Some(inside) => inside.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_len);
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => default_port,
        None => return None,
        Some("") => default_port,
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            digits.parse().ok()?
        }
        Some(_) => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

// An IPv6 address has several spellings, and a name may be in upper or lower case.
fn is_same_name(a: &str, b: &str) -> bool {
    match (ipv6(a), ipv6(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a.eq_ignore_ascii_case(b),
    }
}

fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(origin: &str, authority: &str, same: bool) {
        let is_own = |is_secure| is_own_origin(origin.as_bytes(), authority, is_secure);
        assert_eq!(is_own(false), same, "{origin} at {authority}");
        let is_https = origin.to_ascii_lowercase().starts_with("https:");
        assert_eq!(
            is_own(true),
            same && is_https,
            "{origin} at {authority}, secure"
        );
    }

    #[test]
    fn case_6_same_host() {
        check("http://example.com", "example.com", true);
        check("https://example.com", "example.com", true);
        check("HTTPS://EXAMPLE.com", "Example.COM", true);
        check("http://localhost:8090", "localhost:8090", true);
        check("http://127.0.0.1:8090", "127.0.0.1:8090", true);
    }

    #[test]
    fn case_6_default_ports() {
        check("http://example.com", "example.com:80", true);
        check("http://example.com:80", "example.com", true);
        check("https://example.com", "example.com:443", true);
        check("https://example.com:443", "example.com", true);
        check("http://example.com", "example.com:", true);
        check("https://example.com", "example.com:80", false);
        check("http://example.com", "example.com:443", false);
        check("http://example.com:8090", "example.com", false);
        check("http://example.com", "example.com:8090", false);
        check("http://example.com:080", "example.com", true);
    }

    #[test]
    fn case_6_ipv6() {
        check("http://[::1]:8090", "[::1]:8090", true);
        check("http://[::1]", "[0:0:0:0:0:0:0:1]:80", true);
        check("http://[2001:DB8::a]", "[2001:db8::A]", true);
        check("http://[::1]:8090", "[::2]:8090", false);
        check("http://[::1]:8090", "[::1]", false);
        check("http://[::1]x", "[::1]x", false);
        check("http://::1", "::1", false);
        check("http://[::1", "[::1", false);
    }

    #[test]
    fn case_6_another_host() {
        check("null", "example.com", false);
        check("", "example.com", false);
        check("example.com", "example.com", false);
        check("http://evil-example.com", "example.com", false);
        check("http://example.com.evil.net", "example.com", false);
        check("http://evil.net/example.com", "example.com", false);
        check("http://example.com@evil.net", "example.com", false);
        check("http://example.com http://evil.net", "example.com", false);
        check("http://example.com/", "example.com", false);
        check("http://sub.example.com", "example.com", false);
        check("http://example.com:65616", "example.com", false); // 80 in 16 bits
        check("http://example.com:+80", "example.com", false);
        check("chrome-extension://example.com", "example.com", false);
        check("http://", "", false);
        check("http://:80", ":80", false);
    }

    #[test]
    fn case_6_named_origins() {
        let named = |origin: &str| Origin::parse(origin).unwrap();
        assert!(named("https://a.example").is(b"HTTPS://A.example:443"));
        assert!(!named("https://a.example").is(b"http://a.example"));
        assert!(named("app://bundle").is(b"APP://Bundle"));
        assert!(!named("app://bundle").is(b"app://bundle2"));
        assert!(named("null").is(b"null"));
        assert!(!named("null").is(b"\xff"));
        // What WebViews, Cordova, Capacitor, Tauri, Electron and extensions send.
        for scheme_and_host in [
            "file://",
            "app://",
            "content://",
            "app://localhost:1234",
            "capacitor://localhost",
            "ionic://localhost",
            "tauri://localhost",
            "vscode-webview://1k3d5",
            "chrome-extension://abcdefghijklmnop",
            "moz-extension://0b5b7a4e-0d5c-4c59-9d3d-5a4a2a6b7c8d",
            "ms-appx-web+x.y://a",
        ] {
            let origin = named(scheme_and_host);
            assert!(origin.is(scheme_and_host.as_bytes()), "{scheme_and_host}");
            let upper = scheme_and_host.to_uppercase();
            assert!(origin.is(upper.as_bytes()), "{upper}");
            for another in [
                "null",
                "http://localhost",
                "file://a",
                "app://localhost",
                "other://localhost",
                "https://",
                "chrome-extension://",
                "",
            ] {
                assert!(!origin.is(another.as_bytes()), "{another} at {origin:?}");
                assert!(!named("null").is(scheme_and_host.as_bytes()));
            }
        }
        assert!(named("file:///").is(b"file://") && named("file://").is(b"file:///"));
        assert!(named("app:///").is(b"app://"));
        for no_origin in [
            "",
            "a.example",
            "*",
            "https://",
            "https://*.example",
            "https://a.example/",
            "https://a.example/path",
            "https://user@a.example",
            "https://a.example:port",
            "https://a.example, https://b.example",
            "http:///",
            "https:///",
            "app://bundle/",
            "app://bundle/path",
            "app:////",
            "file:///home",
            "app://*",
            "app://a, app://b",
            "app://user@host",
            "://a",
            "1app://a",
            "a b://c",
            "file:",
            "file:/",
        ] {
            assert_eq!(Origin::parse(no_origin), None, "{no_origin}");
        }
    }

    #[test]
    fn case_6_not_utf8() {
        assert!(!is_own_origin(
            b"http://example.com\xff",
            "example.com",
            false
        ));
    }
}
