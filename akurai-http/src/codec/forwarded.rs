//! What a proxy says about its peer: `X-Forwarded-For`, and `Forwarded` (RFC 7239).

// `core::net` has addresses only, no sockets.
use core::net::{IpAddr, Ipv6Addr};

use crate::values::field::trim_ows;

/// A network: the addresses that share their first bits with `addr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Net {
    addr: IpAddr,
    prefix_bits: u32,
}

impl Net {
    /// An address, or an address and the length of its prefix in bits: `10.0.0.0/8`.
    pub(crate) fn parse(text: &str) -> Option<Net> {
        let (addr, bits) = match text.split_once('/') {
            Some((addr, bits)) => (addr, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().ok()?;
        let all_bits = if addr.is_ipv4() { 32 } else { 128 };
        let prefix_bits: u32 = bits.unwrap_or(all_bits);
        if prefix_bits > all_bits {
            return None;
        }
        // An IPv4 network written as IPv6, in the form that `contains` compares:
        // `::ffff:10.0.0.0/104`.
        let (addr, prefix_bits) = match addr.to_canonical() {
            canonical if addr.is_ipv6() && canonical.is_ipv4() && prefix_bits >= 96 => {
                (canonical, prefix_bits - 96)
            }
            _ => (addr, prefix_bits),
        };
        Some(Net { addr, prefix_bits })
    }

    pub(crate) fn contains(&self, addr: IpAddr) -> bool {
        let (ours, theirs, all_bits) = match (self.addr, addr.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            _ => return false,
        };
        let differing: u128 = ours ^ theirs;
        differing
            .checked_shr(all_bits - self.prefix_bits)
            .unwrap_or(0)
            == 0
    }
}

/// The elements of a `Forwarded` field. Commas separate them, except commas within quotes. Empty
/// elements are skipped (RFC 9110 §5.6.1.2): a line to which no proxy appended anything, or its
/// empty end, says nothing about a proxy.
///
/// A field with an unclosed quote is one element without parameters. A client can send such a quote
/// so that it swallows the element that the proxy appends. Then the client's own text would stand
/// where the server looks for the proxy's.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quotes = Quotes::default();
    for &byte in value {
        quotes.pass(byte);
    }
    let closed = if quotes.are_open { WORDLESS } else { value };
    split_outside_quotes(closed, b',')
        .map(trim_ows)
        .filter(|element| !element.is_empty())
}

/// An element that is not empty and has no parameter.
const WORDLESS: &[u8] = b";";

// forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )    RFC 7239 §4
/// The value of an element's first parameter of this name, without its quotes.
fn parameter<'e>(element: &'e [u8], name: &str) -> Option<&'e [u8]> {
    let value = split_outside_quotes(element, b';').find_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let is_named = trim_ows(&pair[..equals]).eq_ignore_ascii_case(name.as_bytes());
        is_named.then_some(trim_ows(&pair[equals + 1..]))
    })?;
    match value {
        [b'"', inner @ .., b'"'] => Some(inner),
        token => Some(token),
    }
}

/// The address of an element's `for` parameter (RFC 7239 §5.2).
pub(crate) fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    node_address(parameter(element, "for")?)
}

/// Whether the scheme of an element's `proto` parameter is a secure one (RFC 7239 §5.4).
pub(crate) fn forwarded_is_secure(element: &[u8]) -> bool {
    parameter(element, "proto").is_some_and(is_secure_scheme)
}

/// Whether a proxy tells with this scheme that its client spoke TLS. Some name that of a WebSocket.
/// The case of a scheme does not matter (RFC 3986 §3.1).
pub(crate) fn is_secure_scheme(scheme: &[u8]) -> bool {
    scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"wss")
}

// node = nodename [ ":" node-port ]                                     RFC 7239 §6
// nodename = IPv4address / "[" IPv6address "]" / "unknown" / obfnode
// node-port = port / obfport
//
// In `X-Forwarded-For`, IPv6 addresses also come without brackets.
pub(crate) fn node_address(node: &[u8]) -> Option<IpAddr> {
    let node = std::str::from_utf8(node).ok()?;
    if let Some(rest) = node.strip_prefix('[') {
        let (addr, port) = rest.split_once(']')?;
        let plain = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return addr
            .parse::<Ipv6Addr>()
            .ok()
            .filter(|_| plain)
            .map(|addr| addr.to_canonical());
    }
    if let Ok(addr) = node.parse::<IpAddr>() {
        return Some(addr.to_canonical());
    }
    let (addr, port) = node.split_once(':')?;
    addr.parse().ok().filter(|_| is_port(port))
}

// port    = 1*5DIGIT
// obfport = "_" 1*( ALPHA / DIGIT / "." / "_" / "-" )
fn is_port(port: &str) -> bool {
    let (digits_or_name, is_in): (_, fn(u8) -> bool) = match port.strip_prefix('_') {
        Some(name) => (name, is_obfuscated),
        None => (port, |byte| byte.is_ascii_digit()),
    };
    !digits_or_name.is_empty() && digits_or_name.bytes().all(is_in)
}

fn is_obfuscated(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

fn split_outside_quotes(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quotes = Quotes::default();
    value.split(move |&byte| !quotes.pass(byte) && byte == separator)
}

// quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE               RFC 9110 §5.6.4
/// Whether the bytes read so far leave a quote open.
#[derive(Default)]
struct Quotes {
    are_open: bool,
    escape: bool,
}

impl Quotes {
    /// Reads one byte, and tells whether a quote was open before it.
    fn pass(&mut self, byte: u8) -> bool {
        let were_open = self.are_open;
        self.are_open ^= byte == b'"' && !self.escape;
        self.escape = self.are_open && byte == b'\\' && !self.escape;
        were_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (net, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("0.0.0.0/0", "1.2.3.4", "::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1", "::1", "::2"),
            ("::/0", "::2", "1.2.3.4"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("::ffff:10.0.0.0/104", "::ffff:10.255.0.1", "11.0.0.0"),
        ] {
            let parsed = Net::parse(net).expect(net);
            assert!(parsed.contains(inside.parse().unwrap()), "{net} {inside}");
            assert!(
                !parsed.contains(outside.parse().unwrap()),
                "{net} {outside}"
            );
        }
    }

    #[test]
    fn rfc7239_4_elements() {
        let split = |value: &'static str| -> Vec<_> {
            let elements = elements(value.as_bytes());
            elements
                .map(|element| std::str::from_utf8(element).unwrap())
                .collect()
        };
        assert_eq!(split("for=a, for=b"), ["for=a", "for=b"]);
        for empty in ["", " ", ",", ", \t,"] {
            assert_eq!(split(empty), [""; 0], "{empty}");
        }
        assert_eq!(split(",for=a, ,;,\t,for=b,"), ["for=a", ";", "for=b"]);
        assert_eq!(
            split(r#"for="a,b";by="\"," , for=c"#),
            [r#"for="a,b";by="\",""#, "for=c"]
        );
        // The element that a client forged, then the one that the proxy appended.
        for forged in [
            r#"for=192.0.2.66;x=", for=203.0.113.7"#,
            r#"for=192.0.2.66;x="\", for=203.0.113.7"#,
            r#"for=192.0.2.66;x=", for="[2001:db8::7]""#,
            r#"for=1.2.3.4, for=192.0.2.66;x=", for=203.0.113.7"#,
        ] {
            assert_eq!(split(forged), [";"], "{forged}");
        }
    }

    #[test]
    fn rfc7239_5_4_protocols() {
        for (element, expected) in [
            ("proto=https", true),
            ("Proto=HTTPS", true),
            ("for=_x;proto=\"https\";by=_y", true),
            ("for=\"a;proto=http\" ; proto = https", true),
            ("proto=wss", true),
            ("proto=http", false),
            ("proto=ws", false),
            ("proto=https;for=_x", true),
            ("proto=http;proto=https", false),
            ("proto=", false),
            ("proto=\"\"", false),
            ("proto=\"", false),
            ("proto=\"https", false),
            ("proto=httpss", false),
            ("proto=\"https \"", false),
            ("proto", false),
            ("protos=https", false),
            ("for=\"x;proto=https\"", false),
            ("for=https", false),
            (";", false),
            ("", false),
        ] {
            assert_eq!(
                forwarded_is_secure(element.as_bytes()),
                expected,
                "{element}"
            );
        }
    }

    #[test]
    fn nodes() {
        for (node, addr) in [
            ("1.2.3.4", Some("1.2.3.4")),
            ("1.2.3.4:80", Some("1.2.3.4")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:80", Some("2001:db8::1")),
            ("::ffff:1.2.3.4", Some("1.2.3.4")),
            ("1.2.3.4:_obf", Some("1.2.3.4")),
            ("1.2.3.4:_a.B-7_", Some("1.2.3.4")),
            ("[2001:db8::1]:_obf", Some("2001:db8::1")),
            ("unknown", None),
            ("_x", None),
            ("_x:_y", None),
            ("1.2.3.4:_", None),
            ("1.2.3.4:_a:b", None),
            ("1.2.3.4:_a b", None),
            ("1.2.3.4:obf", None),
            ("[2001:db8::1]:_", None),
            ("", None),
            ("1.2.3.4:", None),
            ("1.2.3.4:x", None),
            ("[::1]x", None),
            ("[::1", None),
            ("[1.2.3.4]", None),
            ("\u{e9}", None),
        ] {
            let addr = addr.map(|addr| addr.parse::<IpAddr>().unwrap());
            assert_eq!(node_address(node.as_bytes()), addr, "{node}");
        }
    }
}
