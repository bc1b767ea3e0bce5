//! The request target and the authority (RFC 9112 §3.2, RFC 9110 §7.2).

use std::ops::Range;

use crate::codec::search::find_byte;
use crate::values::error::RequestError;

/// The form of a target (RFC 9112 §3.2). The fourth form, CONNECT's, is never served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Form {
    /// `/where?q=now`
    #[default]
    Origin,
    /// `http://www.example.org/where?q=now`
    Absolute,
    /// `*`, for OPTIONS
    Asterisk,
}

/// The parts of a target, as offsets into it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) form: Form,
    pub(crate) path: Range<usize>,
    pub(crate) query: Option<Range<usize>>,
    pub(crate) authority: Range<usize>,
}

/// Splits a target into its parts. `*` is only allowed with `OPTIONS`.
pub(crate) fn parse(target: &[u8], is_options: bool) -> Result<Target, RequestError> {
    if !has_target_bytes(target) {
        return Err(RequestError::Target);
    }
    let parsed = match target {
        [b'/', ..] => with_path(target, Form::Origin, 0, 0..0),
        b"*" if is_options => Target {
            form: Form::Asterisk,
            path: 0..0,
            query: None,
            authority: 0..0,
        },
        _ => absolute_form(target)?,
    };
    match is_path(&target[parsed.path.clone()]) {
        true => Ok(parsed),
        false => Err(RequestError::Target),
    }
}

// authority-form = uri-host ":" port                                    RFC 9112 §3.2.3
pub(crate) fn is_authority_form(target: &[u8]) -> bool {
    match host_bytes(target).map(|len| &target[len..]) {
        Some([b':', port @ ..]) => !port.is_empty() && is_port(port),
        _ => false,
    }
}

// absolute-form = absolute-URI; http-URI = "http" "://" authority path-abempty [ "?" query ]
//
// `https` is accepted too: the client may speak TLS to us, and a trusted proxy may pass on its
// client's target. Userinfo (RFC 9110 §4.2.4) and an empty host (§4.2.1) are refused.
fn absolute_form(target: &[u8]) -> Result<Target, RequestError> {
    let scheme_len = ["http://", "https://"]
        .iter()
        .find(|scheme| {
            target
                .get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
        })
        .ok_or(RequestError::Target)?
        .len();
    let authority_len = target[scheme_len..]
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .unwrap_or(target.len() - scheme_len);
    let authority = scheme_len..scheme_len + authority_len;
    if !is_host(&target[authority.clone()]) {
        return Err(RequestError::Target);
    }
    let path_start = authority.end;
    Ok(with_path(target, Form::Absolute, path_start, authority))
}

fn with_path(target: &[u8], form: Form, start: usize, authority: Range<usize>) -> Target {
    let question = find_byte(b'?', &target[start..]);
    let path_end = question.map_or(target.len(), |n| start + n);
    Target {
        form,
        path: start..path_end,
        query: question.map(|n| start + n + 1..target.len()),
        authority,
    }
}

// Host = uri-host [ ":" port ]                                          RFC 9110 §7.2
//
// The grammar allows an empty Host and a comma in it; we refuse both. A comma there means that two
// Host fields were joined.
pub(crate) fn is_host(value: &[u8]) -> bool {
    match host_bytes(value).map(|len| &value[len..]) {
        Some([b':', port @ ..]) => is_port(port),
        Some(rest) => rest.is_empty(),
        None => false,
    }
}

// uri-host = IP-literal / IPv4address / reg-name                        RFC 3986 §3.2.2
//
/// The length of the host at the beginning of `authority`; `None` if there is none.
fn host_bytes(authority: &[u8]) -> Option<usize> {
    if let [b'[', rest @ ..] = authority {
        let len = rest.iter().position(|&byte| byte == b']')?;
        return is_ip_literal(&rest[..len]).then_some(len + 2);
    }
    let end = authority.iter().position(|&byte| !NAME[byte as usize]);
    match end.unwrap_or(authority.len()) {
        0 => None,
        len => has_whole_triplets(&authority[..len]).then_some(len),
    }
}

// reg-name = *( unreserved / pct-encoded / sub-delims )
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' | b'%'
            | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=');
        byte += 1;
    }
    table
};

// port = *DIGIT, and at most the highest port number of TCP
fn is_port(port: &[u8]) -> bool {
    let number = port.iter().try_fold(0u16, |number, byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u16::from(byte - b'0')),
        _ => None,
    });
    number.is_some()
}

// IP-literal = "[" ( IPv6address / IPvFuture ) "]"
//
// `core::net` has addresses only, no sockets. No IPvFuture was ever defined.
fn is_ip_literal(inner: &[u8]) -> bool {
    std::str::from_utf8(inner).is_ok_and(|text| text.parse::<core::net::Ipv6Addr>().is_ok())
}

/// A target has no control character, space, DEL or byte ≥ 0x80; no `#`, which begins a fragment
/// and is never sent; and no `" < >`. Browsers do send `| { } ^ [ ]` and the backtick unencoded,
/// and in the query a `\` and a lone `%`. So these are accepted, although the grammar of RFC 3986
/// does not have them.
fn has_target_bytes(target: &[u8]) -> bool {
    target.iter().all(|&byte| TARGET[byte as usize])
}

const TARGET: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = !matches!(byte as u8, b'#' | b'"' | b'<' | b'>');
        byte += 1;
    }
    table
};

/// Whether the path can be decoded and has no `\`: some systems and some browsers take that for a
/// `/`. In a query, browsers send both a `\` and a lone `%` unencoded (WHATWG URL §4.4, query
/// state), and the handler interprets the query.
fn is_path(path: &[u8]) -> bool {
    has_whole_triplets(path) && find_byte(b'\\', path).is_none()
}

// pct-encoded = "%" HEXDIG HEXDIG                                       RFC 3986 §2.1
fn has_whole_triplets(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(percent) = find_byte(b'%', rest) {
        match &rest[percent + 1..] {
            [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = after;
            }
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parts(target: &str) -> (Form, &str, Option<&str>, &str) {
        let parsed = parse(target.as_bytes(), false).expect(target);
        (
            parsed.form,
            &target[parsed.path],
            parsed.query.map(|range| &target[range]),
            &target[parsed.authority],
        )
    }

    #[test]
    fn rfc9112_3_2_forms() {
        assert_eq!(parts("/"), (Form::Origin, "/", None, ""));
        assert_eq!(
            parts("/a/b?c=d?e"),
            (Form::Origin, "/a/b", Some("c=d?e"), "")
        );
        assert_eq!(parts("//x/y?"), (Form::Origin, "//x/y", Some(""), ""));
        assert_eq!(
            parts(r"/a?b=%&c=C:\d"),
            (Form::Origin, "/a", Some(r"b=%&c=C:\d"), "")
        );
        assert_eq!(parts("http://h"), (Form::Absolute, "", None, "h"));
        assert_eq!(
            parts("HTTP://h:80?q"),
            (Form::Absolute, "", Some("q"), "h:80")
        );
        assert_eq!(
            parts("https://[::1]:8443/p?q"),
            (Form::Absolute, "/p", Some("q"), "[::1]:8443")
        );
        assert_eq!(parse(b"*", true).map(|t| t.form), Ok(Form::Asterisk));
        assert!(is_authority_form(b"h:443") && is_authority_form(b"[::1]:443"));
    }

    #[test]
    fn malformed_targets_are_refused() {
        for target in [
            "foo",
            "../x",
            "*",
            "",
            "/a#b",
            "/a\\b",
            "/a\"",
            "/<",
            "/>",
            "/%",
            "/%1",
            "/%zz",
            "/%?q",
            "/a\\b?q",
            "http://h\\x",
            "http://h%",
            "http://h/%",
            "http://h/a\\b",
            "/?a\"",
            "/?<",
            "/?>",
            "/?\u{7f}",
            "/?\u{e9}",
            "/?a#b",
            "/\u{7f}",
            "/\u{e9}",
            "/\t",
            "http://",
            "http:///x",
            "http://u@h/",
            "http://h:x/",
            "http://h:70000/",
            "http:/h",
            "ftp://h/",
            "h:80",
            "http://h,i/",
        ] {
            assert_eq!(
                parse(target.as_bytes(), false),
                Err(RequestError::Target),
                "{target:?}"
            );
        }
        for connect in ["h", "h:", "h:0x1", "h:65536", ":80", "/", "*", "[::1]"] {
            assert!(!is_authority_form(connect.as_bytes()), "{connect}");
        }
        for tolerated in [
            "/|",
            "/{x}",
            "/^",
            "/[a]",
            "/`",
            "/a%2fb%20c",
            "/'(*)!;:@&=+$,",
            "/?path=C:\\temp",
            "/?d=100%",
            "/?%g0&%1",
            "/?\\",
            "http://h?\\%",
            "http://h/p?\\%",
        ] {
            assert!(parse(tolerated.as_bytes(), false).is_ok(), "{tolerated}");
        }
    }

    #[test]
    fn rfc9110_7_2_host() {
        for good in [
            "a",
            "a.b",
            "a:1",
            "a:",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:80",
            "a_b",
            "a%20b",
            "xn--a",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "u@h",
            "h/p",
            "a,b",
            "a b",
            "h:x",
            "h:99999",
            "h:1:2",
            "[::1",
            "[::1]x",
            "[x]",
            "::1",
            "h?q",
            "h#f",
            "a%2",
            "caf\u{e9}",
            "h:+8",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
