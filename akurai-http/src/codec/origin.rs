//! Origins, as browsers write them in an `Origin` field (RFC 6454).

// serialized-origin = scheme "://" host [ ":" port ]                    RFC 6454 §6.2
//
// A browser writes it in lower case and leaves out the scheme's default port.
/// Whether a browser could send this text as an origin. `null` is none.
pub(crate) fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let is_scheme = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
    let is_host = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:[]".contains(&b);
    let port_is_own = default_port(scheme).is_some_and(|port| authority.ends_with(port));
    !scheme.is_empty()
        && !authority.is_empty()
        && !authority.ends_with(':')
        && !port_is_own
        && scheme.bytes().all(is_scheme)
        && authority.bytes().all(is_host)
}

/// Whether `origin`, an Origin field's value, is that of a request for the host and port of
/// `authority`, its Host. A proxy may write the port of the origin's scheme there, which browsers
/// leave out.
///
/// Of a request that is known to be secure, the scheme must be `https`. Of any other the scheme is
/// not compared: a proxy that we do not trust may speak TLS.
pub(crate) fn is_own_origin(origin: &[u8], authority: &str, is_secure: bool) -> bool {
    let Some((scheme, host)) = std::str::from_utf8(origin)
        .ok()
        .filter(|origin| is_origin(origin))
        .and_then(|origin| origin.split_once("://"))
    else {
        return false;
    };
    if is_secure && scheme != "https" {
        return false;
    }
    let same = |authority: &str| authority.eq_ignore_ascii_case(host);
    let bare = default_port(scheme).and_then(|port| authority.strip_suffix(port));
    same(authority) || bare.is_some_and(same)
}

fn default_port(scheme: &str) -> Option<&'static str> {
    match scheme {
        "http" => Some(":80"),
        "https" => Some(":443"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_origin_is_compared_as_a_whole() {
        for (origin, authority) in [
            ("https://example.com", "example.com"),
            ("https://example.com", "Example.COM"),
            ("https://example.com", "example.com:443"),
            ("http://example.com", "example.com:80"),
            ("http://example.com", "example.com"),
            ("https://example.com:8443", "example.com:8443"),
            ("http://[::1]:8090", "[::1]:8090"),
        ] {
            let is_own = |is_secure| is_own_origin(origin.as_bytes(), authority, is_secure);
            assert!(is_own(false), "{origin}");
            assert_eq!(is_own(true), origin.starts_with("https:"), "{origin}");
        }
        for (origin, authority) in [
            ("https://evil.example", "example.com"),
            ("https://example.com.evil.example", "example.com"),
            ("https://xexample.com", "example.com"),
            ("https://example.com", "example.com.evil.example"),
            ("https://example.com", "example.com:8443"),
            ("https://example.com:8443", "example.com"),
            ("http://example.com", "example.com:443"),
            ("https://example.com", "example.com:80"),
            ("null", "null"),
            ("null", "example.com"),
            ("", ""),
            ("https://", ""),
            ("example.com", "example.com"),
            ("https://example.com/", "example.com"),
            ("https://user@example.com", "example.com"),
            ("https://example.com https://example.com", "example.com"),
            ("https://example.com#", "example.com"),
            ("https://example.com?", "example.com"),
        ] {
            for is_secure in [false, true] {
                let is_own = is_own_origin(origin.as_bytes(), authority, is_secure);
                assert!(!is_own, "{origin}");
            }
        }
        let not_utf8 = b"https://example.com\xff";
        assert!(!is_own_origin(not_utf8, "example.com", false));
    }
}
