//! The opening handshake, with any fields.

use std::net::Ipv6Addr;

use akurai_http::{Headers, Method, Request, Response, Status, Version};

use crate::codec::handshake::{
    Accepted, Admission, HandshakeError, Opening, accept, is_subprotocol,
};
use crate::codec::origin::Origin;

/// A long field has at least this many bytes: if the codec's time is not linear in it, the fuzzer's
/// own time limit shows that.
const LONG_BYTES: usize = 256 * 1024;

const COMPLETE: [(&str, &[u8]); 4] = [
    ("Upgrade", b"websocket"),
    ("Connection", b"keep-alive, Upgrade"),
    ("Sec-WebSocket-Version", b"13"),
    ("Sec-WebSocket-Key", SAMPLE_KEY),
];
const SAMPLE_KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";
const SAMPLE_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request, and what the application admits.
struct Case<'c> {
    fields: Vec<(&'c str, &'c [u8])>,
    authority: &'c str,
    announces_body: bool,
    is_secure: bool,
    any_origin: bool,
    origins: Vec<&'c str>,
    subprotocols: Vec<&'c str>,
}

/// These fields, if their values may stand in a field.
fn headers(fields: &[(&str, &[u8])]) -> Option<Headers> {
    let mut request = Request::new(Method::Get, "/");
    for (name, value) in fields {
        Response::new(Status::OK)
            .headers_mut()
            .append("X-Value", value)
            .ok()?;
        request = request.with_header(name, value);
    }
    Some(request.headers().clone())
}

/// One byte of circumstances, then lines: the first letter names the field, the rest is its value.
pub fn handshake(data: &[u8]) {
    let Some((flags, lines)) = data.split_first() else {
        return;
    };
    let case = Case::read(*flags, lines);
    let Some(as_sent) = headers(&case.fields) else {
        return;
    };
    let admission = Admission {
        any_origin: case.any_origin,
        origins: parsed(&case.origins),
        subprotocols: case.subprotocols.iter().map(|&name| name.into()).collect(),
        compression: None,
    };
    let answer = |headers: &Headers| {
        let opening = Opening {
            method: Method::Get,
            version: Version::Http11,
            authority: case.authority,
            headers,
            announces_body: case.announces_body,
            is_secure: case.is_secure,
        };
        accept(&opening, &admission)
    };

    let answered = answer(&as_sent);
    assert_eq!(answered.as_ref().err(), case.refusal().as_ref());
    match &answered {
        Ok(accepted) => {
            check_accept_value(&accepted.accept, &case.fields);
            assert_eq!(accepted.subprotocol.as_deref(), case.subprotocol());
        }
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
    assert_eq!(
        answer(&reshaped(&case.fields)),
        answered,
        "lists on one line"
    );
    if flags & 0xf8 == 0xf8 {
        check_long(&case.fields, answer);
    }
}

/// The origins that an application may name: those that the second implementation takes.
fn parsed(origins: &[&str]) -> Vec<Origin> {
    let parsed = origins.iter().filter_map(|text| {
        let origin = Origin::parse(text);
        assert_eq!(origin.is_some(), origin_of(text).is_some(), "{text}");
        origin
    });
    parsed.collect()
}

impl<'c> Case<'c> {
    fn read(flags: u8, lines: &'c [u8]) -> Self {
        let mut case = Case {
            fields: Vec::new(),
            authority: "example.com",
            announces_body: flags & 2 != 0,
            is_secure: flags & 8 != 0,
            any_origin: flags & 1 != 0,
            origins: Vec::new(),
            subprotocols: Vec::new(),
        };
        for line in lines.split(|&byte| byte == b'\n') {
            let Some((letter, value)) = line.split_first() else {
                continue;
            };
            // As a parsed head has it.
            let value = value.trim_ascii();
            let text = std::str::from_utf8(value).unwrap_or("");
            let name = match letter {
                b'u' => "Upgrade",
                b'c' => "Connection",
                b'v' => "Sec-WebSocket-Version",
                b'k' => "Sec-WebSocket-Key",
                b'p' => "Sec-WebSocket-Protocol",
                b'o' => "Origin",
                b'h' => {
                    case.authority = text;
                    continue;
                }
                b'a' => {
                    case.origins.push(text);
                    continue;
                }
                b's' => {
                    let is_token = !text.is_empty() && text.bytes().all(is_tchar);
                    assert_eq!(is_subprotocol(text), is_token);
                    case.subprotocols.extend(is_token.then_some(text));
                    continue;
                }
                _ => "X-Other",
            };
            case.fields.push((name, value));
        }
        if flags & 4 != 0 {
            let fields = &case.fields;
            let absent = |(name, _): &(&str, &[u8])| fields.iter().all(|(known, _)| known != name);
            let others: Vec<_> = COMPLETE.into_iter().filter(absent).collect();
            case.fields.extend(others);
        }
        case
    }

    /// Why RFC 6455 §4.2.1 refuses it: the first reason, in the order in which the codec looks.
    fn refusal(&self) -> Option<HandshakeError> {
        let fields = &self.fields[..];
        let lists = |name, token: &str| {
            list(fields, name)
                .iter()
                .any(|element| element.to_ascii_lowercase() == token.as_bytes())
        };
        let is_key = |key: &[u8]| base64(key).is_some_and(|decoded| decoded.len() == 16);
        let protocols = list(fields, "Sec-WebSocket-Protocol");
        let is_protocol = |at: usize| {
            let is_token = protocols[at].iter().all(|&byte| is_tchar(byte));
            is_token && !protocols[..at].contains(&protocols[at])
        };
        let mut origins = values(fields, "Origin").into_iter();
        let checks = [
            (!self.authority.is_empty(), HandshakeError::Host),
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
            (!self.announces_body, HandshakeError::Body),
            (
                (0..protocols.len()).all(is_protocol),
                HandshakeError::Protocol,
            ),
            (
                self.any_origin || origins.all(|origin| self.admits(origin)),
                HandshakeError::Origin,
            ),
        ];
        let refused = checks.into_iter().find(|(holds, _)| !holds);
        refused.map(|(_, error)| error)
    }

    fn admits(&self, origin: &[u8]) -> bool {
        let Ok(origin) = std::str::from_utf8(origin) else {
            return false;
        };
        let named = origin_of(origin);
        let is_named = self.origins.iter().any(|text| origin_of(text) == named);
        let is_page = !self.is_secure || origin.to_ascii_lowercase().starts_with("https://");
        (is_page && is_own(origin, self.authority)) || (named.is_some() && is_named)
    }

    /// The first subprotocol that both sides speak, in the server's order.
    fn subprotocol(&self) -> Option<&'c str> {
        let offered = list(&self.fields, "Sec-WebSocket-Protocol");
        let is_offered = |name: &&&str| offered.contains(&name.as_bytes().to_vec());
        self.subprotocols.iter().find(is_offered).copied()
    }
}

// tchar, as RFC 9110 §5.6.2 lists it
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

// The same by RFC 9110 §5.2 and §5.1: the lines of a list are one line, and a field's name has no
// case.
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

// Only the first field, since this takes a hundred times as long as everything else here.
fn check_long(
    fields: &[(&str, &[u8])],
    answer: impl Fn(&Headers) -> Result<Accepted, HandshakeError>,
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

/// The bytes of padded base64 (RFC 4648 §4), gathered bit by bit. Bits that are left over mean
/// nothing.
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
    if unused.len() >= 6 {
        return None;
    }
    Some(
        whole
            .map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit))
            .collect(),
    )
}

/// Whether a page of this origin comes from this authority: scheme, host and port compared as text
/// or address.
fn is_own(origin: &str, authority: &str) -> bool {
    let origin = origin.to_ascii_lowercase();
    let Some((rest, default_port)) = web(&origin) else {
        return false;
    };
    let place = place(rest, default_port);
    place.is_some() && place == self::place(&authority.to_ascii_lowercase(), default_port)
}

/// An origin in one spelling; `None` if an application may not name it.
fn origin_of(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let Some((scheme, behind)) = lower.split_once("://") else {
        return (text == "null").then_some(lower);
    };
    let Some((rest, default_port)) = web(&lower) else {
        let (first, others) = scheme.as_bytes().split_first()?;
        let is_scheme = first.is_ascii_lowercase()
            && others
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b));
        let host = if behind == "/" { "" } else { behind };
        return (is_scheme && is_host(host)).then(|| format!("{scheme}://{host}"));
    };
    let (host, port) = place(rest, default_port)?;
    is_host(&host).then(|| format!("{scheme}://{host}:{port}"))
}

fn is_host(host: &str) -> bool {
    !host.contains(['/', '?', '#', '@', ' ', ',', '*'])
}

fn web(origin: &str) -> Option<(&str, u16)> {
    match (
        origin.strip_prefix("http://"),
        origin.strip_prefix("https://"),
    ) {
        (Some(rest), _) => Some((rest, 80)),
        (_, Some(rest)) => Some((rest, 443)),
        _ => None,
    }
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
