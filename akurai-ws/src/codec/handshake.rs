//! The opening handshake, from the server's side (RFC 6455 §4.2).

use std::collections::HashSet;
use std::{error, fmt};

use akurai_http::{Headers, Method, Status, Version};

use super::{base64, origin, sha1};

/// What of a request the opening handshake looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening<'r> {
    pub(crate) method: Method,
    pub(crate) version: Version,
    /// The Host, without which nothing is the same host; empty if there is none.
    pub(crate) authority: &'r str,
    pub(crate) headers: &'r Headers,
    pub(crate) announces_body: bool,
}

/// Why a request does not become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum HandshakeError {
    Method,
    HttpVersion,
    Host,
    Upgrade,
    Connection,
    Version,
    Key,
    Body,
    Protocol,
    Origin,
}

/// The value of `Sec-WebSocket-Accept` for a request that is a valid opening handshake.
pub(crate) fn accept(opening: &Opening<'_>, any_origin: bool) -> Result<String, HandshakeError> {
    let headers = opening.headers;
    // §4.2.1: "An HTTP/1.1 or higher GET request", with a Host.
    if opening.method != Method::Get {
        return Err(HandshakeError::Method);
    }
    if opening.version != Version::Http11 {
        return Err(HandshakeError::HttpVersion);
    }
    if opening.authority.is_empty() {
        return Err(HandshakeError::Host);
    }
    // "treated as an ASCII case-insensitive value"; both are lists, and may go over several lines.
    if !has_token(headers, "Upgrade", "websocket") {
        return Err(HandshakeError::Upgrade);
    }
    if !has_token(headers, "Connection", "upgrade") {
        return Err(HandshakeError::Connection);
    }
    // "A |Sec-WebSocket-Version| header field, with a value of 13", written so and no other way.
    if only(headers, "Sec-WebSocket-Version") != Some(b"13") {
        return Err(HandshakeError::Version);
    }
    // "a base64-encoded value that, when decoded, is 16 bytes in length"
    let key = only(headers, "Sec-WebSocket-Key")
        .filter(|key| base64::is_16_bytes(key))
        .ok_or(HandshakeError::Key)?;
    // A body would stand where the first frame is expected, and parties who disagree about that can be played off
    // against each other (RFC 9112 §11.2).
    if opening.announces_body {
        return Err(HandshakeError::Body);
    }
    if !are_protocols(headers) {
        return Err(HandshakeError::Protocol);
    }
    if !any_origin && !is_own_origin(headers, opening.authority) {
        return Err(HandshakeError::Origin);
    }
    Ok(accept_value(key))
}

impl HandshakeError {
    /// What the refusal is answered with.
    pub(crate) fn status(self) -> Status {
        match self {
            Self::Origin => Status::FORBIDDEN,
            _ => Status::BAD_REQUEST,
        }
    }

    /// Whether the refusal must name the version spoken here (§4.4).
    pub(crate) fn needs_version(self) -> bool {
        self == Self::Version
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("websocket handshake: ")?;
        f.write_str(match self {
            Self::Method => "the method must be GET",
            Self::HttpVersion => "the request must be HTTP/1.1",
            Self::Host => "Host is missing",
            Self::Upgrade => "Upgrade must list websocket",
            Self::Connection => "Connection must list Upgrade",
            Self::Version => "Sec-WebSocket-Version must be 13, once",
            Self::Key => "Sec-WebSocket-Key must be 16 bytes in base64, once",
            Self::Body => "the request must not have a body",
            Self::Protocol => "Sec-WebSocket-Protocol must list tokens, none of them twice",
            Self::Origin => {
                "Origin is another host than Host; WsOptions::any_origin on the server admits it"
            }
        })
    }
}

impl error::Error for HandshakeError {}

// §4.2.2: the key, then this GUID, hashed, in base64.
fn accept_value(key: &[u8]) -> String {
    base64::encode(&sha1::sha1(
        &[key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat(),
    ))
}

fn has_token(headers: &Headers, name: &str, token: &str) -> bool {
    headers
        .tokens(name)
        .any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

// The value of a field that must stand there once.
fn only<'r>(headers: &'r Headers, name: &'r str) -> Option<&'r [u8]> {
    let mut values = headers.all(name);
    values.next().filter(|_| values.next().is_none())
}

// Sec-WebSocket-Protocol-Client = 1#token, and §4.1: "The elements that comprise this value MUST be non-empty strings
// with characters in the range U+0021 to U+007E not including separator characters [..] and MUST all be unique strings."
fn are_protocols(headers: &Headers) -> bool {
    let mut seen = HashSet::new();
    headers
        .tokens("Sec-WebSocket-Protocol")
        .all(|protocol| protocol.iter().all(|&byte| is_token_byte(byte)) && seen.insert(protocol))
}

// tchar = any VCHAR, except delimiters     RFC 9110 §5.6.2
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte)
}

// §10.2. A client that is no browser sends no Origin, and could send any.
fn is_own_origin(headers: &Headers, authority: &str) -> bool {
    headers
        .all("Origin")
        .all(|origin| origin::is_same_host(origin, authority))
}

#[cfg(test)]
mod tests;
