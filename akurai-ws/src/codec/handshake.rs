//! The opening handshake, from the server's side (RFC 6455 §4.2).

use std::{error, fmt};

use akurai_http::{Headers, Method, Status, Version};

use super::extensions::{self, Agreed, Wanted};
use super::origin::{self, Origin};
use super::token::is_token_byte;
use super::{base64, sha1};

/// The parts of a request that the opening handshake looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening<'r> {
    pub(crate) method: Method,
    pub(crate) version: Version,
    /// The Host; empty if there is none, and then no page is of the same host.
    pub(crate) authority: &'r str,
    pub(crate) headers: &'r Headers,
    pub(crate) announces_body: bool,
    /// Whether the request is known to be secure; if not, it may still be.
    pub(crate) is_secure: bool,
}

/// The origins that the application admits, and the subprotocols and compression that it speaks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    pub(crate) any_origin: bool,
    /// Admitted beside the server's own.
    pub(crate) origins: Vec<Origin>,
    /// The preferred one first.
    pub(crate) subprotocols: Vec<String>,
    /// Whether and how messages may be compressed.
    pub(crate) compression: Option<Wanted>,
}

/// The answer to a valid opening handshake.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Accepted {
    /// The value of `Sec-WebSocket-Accept`.
    pub(crate) accept: String,
    /// The value of `Sec-WebSocket-Protocol`; if there is none, the field is left out.
    pub(crate) subprotocol: Option<String>,
    /// Has the value of `Sec-WebSocket-Extensions`; if there is none, no message is compressed.
    pub(crate) compression: Option<Agreed>,
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
    Extensions,
    Origin,
}

/// The answer to a request that is a valid opening handshake.
pub(crate) fn accept(
    opening: &Opening<'_>,
    admission: &Admission,
) -> Result<Accepted, HandshakeError> {
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
    // "treated as an ASCII case-insensitive value"; both are lists, and may take several lines.
    if !has_token(headers, "Upgrade", "websocket") {
        return Err(HandshakeError::Upgrade);
    }
    if !has_token(headers, "Connection", "upgrade") {
        return Err(HandshakeError::Connection);
    }
    // "A |Sec-WebSocket-Version| header field, with a value of 13", and in no other spelling.
    if only(headers, "Sec-WebSocket-Version") != Some(b"13") {
        return Err(HandshakeError::Version);
    }
    // "a base64-encoded value that, when decoded, is 16 bytes in length"
    let key = only(headers, "Sec-WebSocket-Key")
        .filter(|key| base64::is_16_bytes(key))
        .ok_or(HandshakeError::Key)?;
    // A body would stand where the first frame is expected. If two parties disagree about that, an
    // attacker can use it against them (RFC 9112 §11.2).
    if opening.announces_body {
        return Err(HandshakeError::Body);
    }
    if !are_protocols(headers) {
        return Err(HandshakeError::Protocol);
    }
    let compression = extensions::negotiate(headers, admission.compression);
    let compression = compression.map_err(|_| HandshakeError::Extensions)?;
    if !is_admitted(opening, admission) {
        return Err(HandshakeError::Origin);
    }
    Ok(Accepted {
        accept: accept_value(key),
        subprotocol: choose(headers, &admission.subprotocols),
        compression,
    })
}

/// Whether `name` may stand in `Sec-WebSocket-Protocol`.
pub(crate) fn is_subprotocol(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token_byte)
}

impl HandshakeError {
    /// The status of the refusal.
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
            Self::Extensions => "Sec-WebSocket-Extensions is no list of extensions",
            Self::Origin => {
                "Origin is another host or scheme than the request's; WsOptions::allow_origins or \
                 any_origin on the server admits it"
            }
        })
    }
}

impl error::Error for HandshakeError {}

// §4.2.2: the key and this GUID, hashed, in base64.
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

// The value of a field that must be there exactly once.
fn only<'r>(headers: &'r Headers, name: &'r str) -> Option<&'r [u8]> {
    let mut values = headers.all(name);
    values.next().filter(|_| values.next().is_none())
}

// Sec-WebSocket-Protocol-Client = 1#token, and §4.1: "The elements that comprise this value MUST be
// non-empty strings with characters in the range U+0021 to U+007E not including separator
// characters [..] and MUST all be unique strings."
fn are_protocols(headers: &Headers) -> bool {
    let mut protocols: Vec<&[u8]> = headers.tokens("Sec-WebSocket-Protocol").collect();
    protocols.sort_unstable();
    protocols
        .iter()
        .all(|name| name.iter().all(|&byte| is_token_byte(byte)))
        && protocols.is_sorted_by(|a, b| a < b)
}

// §4.2.2: "The value chosen MUST be derived from the client's handshake", and "the absence of such
// a field is equivalent to the null value": if both sides speak none in common, there is none. The
// server decides which of several it is.
fn choose(headers: &Headers, spoken: &[String]) -> Option<String> {
    let is_offered = |name: &&String| {
        let mut offered = headers.tokens("Sec-WebSocket-Protocol");
        offered.any(|token| token == name.as_bytes())
    };
    spoken.iter().find(is_offered).cloned()
}

// §10.2: a client that is not a browser sends no Origin, and could send any.
fn is_admitted(opening: &Opening<'_>, admission: &Admission) -> bool {
    admission.any_origin
        || opening.headers.all("Origin").all(|origin| {
            origin::is_own_origin(origin, opening.authority, opening.is_secure)
                || admission.origins.iter().any(|own| own.is(origin))
        })
}

#[cfg(test)]
mod tests;
