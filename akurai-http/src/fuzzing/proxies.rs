//! What a proxy says about its peer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{headers, is_field_byte, trim};
use crate::TrustedProxies;
use crate::codec::forwarded::{Net, elements, forwarded_for, forwarded_is_secure, node_address};

const PROXY: &str = "10.0.0.1";

/// A field's value that a client forged; also addresses and networks.
pub fn forwarded(data: &[u8]) {
    for element in elements(data) {
        let _ = (forwarded_for(element), forwarded_is_secure(element));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let net = Net::parse(text);
        let addr = text.parse::<IpAddr>().ok();
        assert!(addr.is_none() || net.is_some());
        assert!(net.is_none() || addr.is_some() || text.contains('/'));
        assert!(addr.is_none() || node_address(data) == addr.map(|addr| addr.to_canonical()));
    }
    check_addresses(data);
    check_forged(trim(data));
    check_forged_scheme(trim(data));
}

fn check_addresses(data: &[u8]) {
    let Some((&[kind, prefix_bits, flipped_bit], data)) = data.split_first_chunk() else {
        return;
    };
    let Some((&octets, _)) = data.split_first_chunk::<16>() else {
        return;
    };
    let v6 = Ipv6Addr::from(octets);
    let v4 = Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]);
    let addr = if kind & 1 == 0 {
        IpAddr::V4(v4)
    } else {
        IpAddr::V6(v6)
    };
    let all_bits = if addr.is_ipv4() { 32 } else { 128 };

    let host = match addr {
        IpAddr::V4(_) => addr.to_string(),
        IpAddr::V6(_) => format!("[{addr}]"),
    };
    let canonical = Some(addr.to_canonical());
    assert_eq!(node_address(addr.to_string().as_bytes()), canonical);
    assert_eq!(node_address(host.as_bytes()), canonical);
    assert_eq!(
        node_address(format!("{host}:{prefix_bits}").as_bytes()),
        canonical
    );
    let element = format!("by=_x; For=\"{host}:80\";proto=https");
    assert_eq!(forwarded_for(element.as_bytes()), canonical);
    assert!(forwarded_is_secure(element.as_bytes()));

    // A network contains an address if they differ only after its prefix.
    let net = Net::parse(&format!("{addr}/{prefix_bits}"));
    assert_eq!(net.is_some(), u32::from(prefix_bits) <= all_bits);
    let flipped_bit = u32::from(flipped_bit) % all_bits;
    let other = match addr {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() ^ 1 << (31 - flipped_bit))),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() ^ 1 << (127 - flipped_bit))),
    };
    let is_mapped = addr.to_canonical() != addr || other.to_canonical() != other;
    if let Some(net) = net.filter(|_| !is_mapped) {
        assert!(net.contains(addr));
        assert_eq!(net.contains(other), flipped_bit >= u32::from(prefix_bits));
    }
}

// Whatever a client sends, it cannot falsify the element that the proxy appends: the client is the
// address in that element, or in the worst case the proxy itself.
fn check_forged(forged: &[u8]) {
    if !forged.iter().all(|&byte| is_field_byte(byte)) {
        return;
    }
    let proxy: IpAddr = PROXY.parse().expect("an address");
    let x_forwarded_for = TrustedProxies::x_forwarded_for([PROXY]).expect("an address");
    let forwarded = TrustedProxies::forwarded([PROXY]).expect("an address");
    for (trusted, name, appended, client) in [
        (
            &x_forwarded_for,
            "X-Forwarded-For",
            "203.0.113.7",
            "203.0.113.7",
        ),
        (
            &x_forwarded_for,
            "X-Forwarded-For",
            "2001:db8::7",
            "2001:db8::7",
        ),
        (&forwarded, "Forwarded", "for=203.0.113.7", "203.0.113.7"),
        (
            &forwarded,
            "Forwarded",
            "proto=http;for=\"[2001:db8::7]:4711\"",
            "2001:db8::7",
        ),
    ] {
        let client: Option<IpAddr> = client.parse().ok();
        let peer = Some(SocketAddr::new(proxy, 4711));
        let told = |fields: &[(&str, &[u8])]| {
            let fields = headers(fields).expect("they are fields");
            trusted.client(peer, &fields)
        };
        let appended = appended.as_bytes();
        assert_eq!(
            told(&[(name, forged), (name, appended)]),
            client,
            "a line of its own"
        );
        let joined = [forged, b", ", appended].concat();
        let told = told(&[(name, trim(&joined))]);
        let is_safe = told == client || (name == "Forwarded" && told == Some(proxy));
        assert!(is_safe, "{told:?} in one line");
    }
}

// Nor can it falsify the scheme that the proxy appends, even if the proxy speaks TLS to us: the
// request is as secure as the proxy says, or in the worst case not secure.
fn check_forged_scheme(forged: &[u8]) {
    if !forged.iter().all(|&byte| is_field_byte(byte)) {
        return;
    }
    let peer = Some(SocketAddr::new(PROXY.parse().expect("an address"), 4711));
    let x_forwarded_for = TrustedProxies::x_forwarded_for([PROXY]).expect("an address");
    let forwarded = TrustedProxies::forwarded([PROXY]).expect("an address");
    for (scheme, is_secure) in [("https", true), ("http", false)] {
        let told = |trusted: &TrustedProxies, fields: &[(&str, &[u8])]| {
            let fields = headers(fields).expect("they are fields");
            trusted.is_secure(peer, &fields)
        };
        let (name, client) = (
            "X-Forwarded-Proto",
            ("X-Forwarded-For", &b"203.0.113.7"[..]),
        );
        let joined = [forged, b", ", scheme.as_bytes()].concat();
        for fields in [
            &[(name, forged), (name, scheme.as_bytes())][..],
            &[(name, forged), client, (name, scheme.as_bytes())],
            &[client, (name, trim(&joined))],
        ] {
            assert_eq!(
                told(&x_forwarded_for, fields),
                Some(is_secure),
                "{fields:?}"
            );
        }

        let name = "Forwarded";
        let element = format!("for=203.0.113.7;proto={scheme}");
        let lines = [(name, forged), (name, element.as_bytes())];
        assert_eq!(
            told(&forwarded, &lines),
            Some(is_secure),
            "a line of its own"
        );
        let joined = [forged, b", ", element.as_bytes()].concat();
        let told = told(&forwarded, &[(name, trim(&joined))]);
        let is_safe = told == Some(is_secure) || told == Some(false);
        assert!(is_safe, "{told:?} in one line");
    }
}
