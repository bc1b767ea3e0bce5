//! Cookies: the pairs of a `Cookie` field, and what a `Set-Cookie` field may hold (RFC 6265 §4).

use crate::values::field::is_token;
use crate::values::field::trim_ows;

// cookie-string = cookie-pair *( ";" SP cookie-pair )                   RFC 6265 §4.2.1
// cookie-pair   = cookie-name "=" cookie-value                          RFC 6265 §4.1.1
/// The pairs of one `Cookie` field's value, in order. Elements that are not a cookie-pair are
/// skipped.
///
/// The field is split at each `;` first. So a quote that is never closed does not swallow the
/// cookies after it.
pub(crate) fn pairs(field_value: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    field_value
        .split(|&byte| byte == b';')
        .filter_map(|pair| cookie_pair(trim_ows(pair)))
}

fn cookie_pair(pair: &[u8]) -> Option<(&str, &str)> {
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    let (name, value) = (&pair[..equals], unquoted(&pair[equals + 1..])?);
    if !is_token(name) {
        return None;
    }
    // Both are ASCII.
    let text = |bytes| std::str::from_utf8(bytes).ok();
    Some((text(name)?, text(value)?))
}

// cookie-value = *cookie-octet / ( DQUOTE *cookie-octet DQUOTE )        RFC 6265 §4.1.1
//
// Space and comma are not cookie-octets. But browsers store and send them, and no parser misreads
// them, so we accept them.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    let value = match value {
        [b'"', inner @ .., b'"'] => inner,
        plain => plain,
    };
    let readable = |&byte: &u8| is_cookie_octet(byte) || matches!(byte, b' ' | b',');
    value.iter().all(readable).then_some(value)
}

/// Whether `value` can be sent as it is: it consists of cookie-octets only.
pub(crate) fn is_cookie_value(value: &str) -> bool {
    value.bytes().all(is_cookie_octet)
}

// cookie-octet = %x21 / %x23-2B / %x2D-3A / %x3C-5B / %x5D-7E
//              ; US-ASCII characters without CTLs, white space, DQUOTE, comma, semicolon
//              ; and backslash
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

// path-value = <any CHAR except CTLs or ";">                            RFC 6265 §4.1.1
//
// We require a leading slash, because a browser uses another path without it (§5.2.4), and refuse
// spaces.
pub(crate) fn is_path_value(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b';')
}

// domain-value = <subdomain>                                            RFC 6265 §4.1.1
pub(crate) fn is_domain_value(domain: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    domain.split('.').all(is_label)
}

/// Whether the name has this prefix. `__Secure-` and `__Host-` put conditions on the cookie;
/// browsers ignore the prefix's case.
pub(crate) fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field_value: &[u8], expected: &[(&str, &str)]) {
        let got: Vec<_> = pairs(field_value).collect();
        assert_eq!(got, expected, "{}", String::from_utf8_lossy(field_value));
    }

    #[test]
    fn rfc6265_4_2_1_pairs() {
        check(b"", &[]);
        check(b"a=b", &[("a", "b")]);
        check(b"a=b; c=d", &[("a", "b"), ("c", "d")]);
        check(b"a=b;c=d ;\te=f", &[("a", "b"), ("c", "d"), ("e", "f")]);
        check(b"a=1; a=2; A=3", &[("a", "1"), ("a", "2"), ("A", "3")]);
        check(b"a=; b==; c=d=e", &[("a", ""), ("b", "="), ("c", "d=e")]);
        check(b";; a=b;", &[("a", "b")]);
        check(b"a=x y; b=1,2", &[("a", "x y"), ("b", "1,2")]);
        check(b"$Version=1; a=b", &[("$Version", "1"), ("a", "b")]);
    }

    #[test]
    fn rfc6265_4_1_1_quotes_are_no_part_of_the_value() {
        check(br#"a="b"; c="""#, &[("a", "b"), ("c", "")]);
        // A quote that is not closed ends at the end of its own pair.
        check(br#"a="b; s=secret; c=d""#, &[("s", "secret")]);
        for malformed in [r#"a=""#, r#"a="b"#, r#"a=b""#, r#"a="b"c"#, r#"a="b\"c""#] {
            check(format!("{malformed}; z=1").as_bytes(), &[("z", "1")]);
        }
    }

    #[test]
    fn malformed_pairs_are_skipped() {
        for malformed in [
            &b"a"[..],
            b"=b",
            b"a b=c",
            b"a =b",
            b"\"a\"=b",
            b"a=b\\c",
            b"a=\x01",
            b"a=b\tc",
            b"a=\xc3\xa4",
            b"\xff=b",
        ] {
            check(
                &[b"x=1; ", malformed, b"; y=2"].concat(),
                &[("x", "1"), ("y", "2")],
            );
        }
    }

    #[test]
    fn rfc6265_4_1_1_what_is_set() {
        for (value, fine) in [
            ("", true),
            ("aZ09!#$%&'()*+-./:<=>?@[]^_`{|}~", true),
            ("a b", false),
            ("a,b", false),
            ("a;b", false),
            ("a\"b", false),
            ("a\\b", false),
            ("a\r\nb", false),
            ("ä", false),
        ] {
            assert_eq!(is_cookie_value(value), fine, "{value:?}");
        }
        for (path, fine) in [
            ("/", true),
            ("/a/b%20c", true),
            ("", false),
            ("a", false),
            ("/a;Secure", false),
            ("/a b", false),
            ("/\n", false),
        ] {
            assert_eq!(is_path_value(path), fine, "{path:?}");
        }
        for (domain, fine) in [
            ("example.org", true),
            ("localhost", true),
            ("xn--mnchen-3ya.de", true),
            ("", false),
            (".example.org", false),
            ("example.org.", false),
            ("a..b", false),
            ("-a.b", false),
            ("a.b;Secure", false),
            ("exämple.org", false),
        ] {
            assert_eq!(is_domain_value(domain), fine, "{domain:?}");
        }
    }

    #[test]
    fn prefixes_compare_in_any_case() {
        assert!(has_prefix("__Host-a", "__Host-"));
        assert!(has_prefix("__hOST-a", "__Host-"));
        assert!(!has_prefix("__Host", "__Host-"));
        assert!(!has_prefix("a__Host-", "__Host-"));
    }
}
