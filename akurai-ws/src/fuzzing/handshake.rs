//! The opening handshake, of any fields.

use std::net::Ipv6Addr;

use akurai_http::{Headers, Method, Version, fuzzing::headers};

use crate::codec::handshake::{HandshakeError, Opening, accept};

/// A long field has at least this many bytes: a time that is not linear in it runs into the fuzzer's own limit.
const LONG_BYTES: usize = 256 * 1024;

const COMPLETE: [(&str, &[u8]); 4] = [
    ("Upgrade", b"websocket"),
    ("Connection", b"keep-alive, Upgrade"),
    ("Sec-WebSocket-Version", b"13"),
    ("Sec-WebSocket-Key", SAMPLE_KEY),
];
const SAMPLE_KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";
const SAMPLE_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// One byte of circumstances, then lines: the first letter names the field, the rest is its value.
pub fn handshake(data: &[u8]) {
    let Some((flags, lines)) = data.split_first() else {
        return;
    };
    let (any_origin, announces_body) = (flags & 1 != 0, flags & 2 != 0);
    let mut authority = "example.com";
    let mut fields = Vec::new();
    for line in lines.split(|&byte| byte == b'\n') {
        let Some((letter, value)) = line.split_first() else {
            continue;
        };
        let name = match letter {
            b'u' => "Upgrade",
            b'c' => "Connection",
            b'v' => "Sec-WebSocket-Version",
            b'k' => "Sec-WebSocket-Key",
            b'p' => "Sec-WebSocket-Protocol",
            b'o' => "Origin",
            b'h' => {
                authority = std::str::from_utf8(value).unwrap_or("");
                continue;
            }
            _ => "X-Other",
        };
        // As a parsed head has it.
        fields.push((name, value.trim_ascii()));
    }
    if flags & 4 != 0 {
        let absent = |(name, _): &(&str, &[u8])| fields.iter().all(|(known, _)| known != name);
        let others: Vec<_> = COMPLETE.into_iter().filter(absent).collect();
        fields.extend(others);
    }
    let Some(as_sent) = headers(&fields) else {
        return;
    };
    let answer = |headers: &Headers| {
        let opening = Opening {
            method: Method::Get,
            version: Version::Http11,
            authority,
            headers,
            announces_body,
        };
        accept(&opening, any_origin)
    };

    let answered = answer(&as_sent);
    let expected = refusal(&fields, authority, any_origin, announces_body);
    assert_eq!(answered.as_ref().err(), expected.as_ref());
    match &answered {
        Ok(value) => check_accept_value(value, &fields),
        Err(error) => {
            let code = if *error == HandshakeError::Origin {
                403
            } else {
                400
            };
            assert_eq!(error.status().code(), code);
            assert_eq!(error.needs_version(), *error == HandshakeError::Version);
            assert!(error.to_string().len() > "websocket handshake: ".len());
        }
    }
    assert_eq!(answer(&reshaped(&fields)), answered, "lists on one line");
    if flags & 0xf8 == 0xf8 {
        check_long(&fields, answer);
    }
}

// The same by RFC 9110 §5.2 and §5.1: a list's lines are one line, and a field's name has no case.
fn reshaped(fields: &[(&str, &[u8])]) -> Headers {
    const LISTS: [&str; 3] = ["Upgrade", "Connection", "Sec-WebSocket-Protocol"];
    let upper: Vec<String> = fields.iter().map(|(name, _)| name.to_uppercase()).collect();
    let mut merged: Vec<(&str, Vec<u8>)> = Vec::new();
    for (upper, (name, value)) in upper.iter().zip(fields) {
        let earlier = merged.iter_mut().find(|(known, _)| known == upper);
        match earlier {
            Some((_, list)) if LISTS.contains(name) => *list = [&**list, value].join(&b", "[..]),
            _ => merged.push((upper, value.to_vec())),
        }
    }
    // A value that begins or ends empty would have white space at its end now.
    let trimmed: Vec<(&str, &[u8])> = merged
        .iter()
        .map(|(name, value)| (*name, value.trim_ascii()))
        .collect();
    headers(&trimmed).expect("they were fields before")
}

// The first field alone, since this takes a hundred times as long as all else here.
fn check_long(
    fields: &[(&str, &[u8])],
    answer: impl Fn(&Headers) -> Result<String, HandshakeError>,
) {
    let [(name, value), others @ ..] = fields else {
        return;
    };
    let repeated = [*value, b","]
        .concat()
        .repeat(LONG_BYTES / (value.len() + 1));
    let others = others.iter().filter(|(known, _)| known != name).copied();
    let long: Vec<_> = others.chain([(*name, &repeated[..])]).collect();
    let _ = answer(&headers(&long).expect("it was a field before"));
}

fn check_accept_value(value: &str, fields: &[(&str, &[u8])]) {
    assert_eq!(base64(value.as_bytes()).map(|hash| hash.len()), Some(20));
    let key = values(fields, "Sec-WebSocket-Key")[0];
    assert_eq!(key == SAMPLE_KEY, value == SAMPLE_ACCEPT);
}

/// Why RFC 6455 §4.2.1 has it refused; the first reason in the order in which the codec looks.
fn refusal(
    fields: &[(&str, &[u8])],
    authority: &str,
    any_origin: bool,
    announces_body: bool,
) -> Option<HandshakeError> {
    let lists = |name, token: &str| {
        list(fields, name)
            .iter()
            .any(|element| element.to_ascii_lowercase() == token.as_bytes())
    };
    let is_key = |key: &[u8]| base64(key).is_some_and(|decoded| decoded.len() == 16);
    let protocols = list(fields, "Sec-WebSocket-Protocol");
    let is_protocol = |at: usize| {
        let tchar = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
        protocols[at].iter().all(tchar) && !protocols[..at].contains(&protocols[at])
    };
    let mut origins = values(fields, "Origin").into_iter();
    let checks = [
        (!authority.is_empty(), HandshakeError::Host),
        (lists("Upgrade", "websocket"), HandshakeError::Upgrade),
        (lists("Connection", "upgrade"), HandshakeError::Connection),
        (
            values(fields, "Sec-WebSocket-Version") == [b"13"],
            HandshakeError::Version,
        ),
        (
            matches!(values(fields, "Sec-WebSocket-Key")[..], [key] if is_key(key)),
            HandshakeError::Key,
        ),
        (!announces_body, HandshakeError::Body),
        (
            (0..protocols.len()).all(is_protocol),
            HandshakeError::Protocol,
        ),
        (
            any_origin || origins.all(|origin| is_own(origin, authority)),
            HandshakeError::Origin,
        ),
    ];
    let refused = checks.into_iter().find(|(holds, _)| !holds);
    refused.map(|(_, error)| error)
}

fn values<'f>(fields: &[(&str, &'f [u8])], name: &str) -> Vec<&'f [u8]> {
    let named = fields.iter().filter(|(known, _)| *known == name);
    named.map(|(_, value)| *value).collect()
}

fn list(fields: &[(&str, &[u8])], name: &str) -> Vec<Vec<u8>> {
    let joined = values(fields, name).join(&b","[..]);
    let elements = joined.split(|&byte| byte == b',');
    elements
        .map(|element| {
            let from = element.iter().position(|b| !b" \t".contains(b));
            let to = element.iter().rposition(|b| !b" \t".contains(b));
            from.zip(to)
                .map_or(vec![], |(from, to)| element[from..=to].to_vec())
        })
        .filter(|element| !element.is_empty())
        .collect()
}

/// What canonical base64 with its padding stands for (RFC 4648 §4, §3.5), gathered bit by bit.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let letters = text.iter().take_while(|byte| **byte != b'=').count();
    if text.len() % 4 != 0 || text.len() - letters > 2 || text[letters..].iter().any(|b| *b != b'=')
    {
        return None;
    }
    let mut bits = Vec::new();
    for letter in &text[..letters] {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits.extend((0..6).rev().map(|place| value >> place & 1));
    }
    let whole = bits.chunks_exact(8);
    let unused = whole.remainder();
    if unused.len() >= 6 || unused.contains(&1) {
        return None;
    }
    Some(
        whole
            .map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit))
            .collect(),
    )
}

/// Whether a page of this origin comes from this authority: scheme, host and port compared as text or address.
fn is_own(origin: &[u8], authority: &str) -> bool {
    let Ok(origin) = std::str::from_utf8(origin) else {
        return false;
    };
    let origin = origin.to_ascii_lowercase();
    let (rest, default_port) = match (
        origin.strip_prefix("http://"),
        origin.strip_prefix("https://"),
    ) {
        (Some(rest), _) => (rest, 80),
        (_, Some(rest)) => (rest, 443),
        _ => return false,
    };
    let place = place(rest, default_port);
    place.is_some() && place == self::place(&authority.to_ascii_lowercase(), default_port)
}

fn place(authority: &str, default_port: u16) -> Option<(String, u16)> {
    let colon = authority
        .rfind(':')
        .filter(|&at| !authority[at..].contains(']'));
    let (host, port) = match colon {
        Some(at) => (&authority[..at], &authority[at + 1..]),
        None => (authority, ""),
    };
    let port = match port {
        "" => default_port,
        port if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        _ => return None,
    };
    if let Some(inside) = host.strip_prefix('[') {
        let inside = inside
            .strip_suffix(']')
            .filter(|inside| !inside.contains(']'))?;
        let address = inside.parse::<Ipv6Addr>();
        return Some((
            address.map_or(host.to_owned(), |address| address.to_string()),
            port,
        ));
    }
    (!host.is_empty() && !host.contains(':')).then(|| (host.to_owned(), port))
}
