//! Values of the kind `text/plain; name=token; name="quoted string"` (RFC 9110 §5.6.6).

use std::borrow::Cow;

use crate::values::field::is_tchar;
use crate::values::field::trim_ows;

/// The parameters break their grammar, or the requested parameter occurs twice.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The part of the value before the parameters.
pub(crate) fn essence(value: &[u8]) -> &[u8] {
    trim_ows(&value[..essence_bytes(value)])
}

fn essence_bytes(value: &[u8]) -> usize {
    let semicolon = value.iter().position(|&byte| byte == b';');
    semicolon.unwrap_or(value.len())
}

// parameters = *( OWS ";" OWS [ parameter ] )
// parameter  = parameter-name "=" parameter-value
// parameter-value = ( token / quoted-string )
/// The value of the parameter `name`, without its quotes. The name's case does not matter.
///
/// All parameters are read, so that an error after the requested one is found too. A parameter that
/// occurs twice is refused: parsers differ in which of the two they take.
pub(crate) fn parameter<'a>(
    value: &'a [u8],
    name: &str,
) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
    let mut found = None;
    let mut rest = trim_ows(&value[essence_bytes(value)..]);
    while let [first, after @ ..] = rest {
        if *first != b';' {
            return Err(Malformed);
        }
        rest = trim_ows(after);
        if matches!(rest, [] | [b';', ..]) {
            continue;
        }
        let known = leading_token(rest);
        let Some([b'=', after @ ..]) = rest.get(known.len()..).filter(|_| !known.is_empty()) else {
            return Err(Malformed);
        };
        let (value, after) = parameter_value(after).ok_or(Malformed)?;
        if known.eq_ignore_ascii_case(name.as_bytes()) && found.replace(value).is_some() {
            return Err(Malformed);
        }
        rest = trim_ows(after);
    }
    Ok(found)
}

/// A value, and the rest of the input.
fn parameter_value(input: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    if let [b'"', quoted @ ..] = input {
        return quoted_string(quoted);
    }
    let token = leading_token(input);
    (!token.is_empty()).then(|| (Cow::Borrowed(token), &input[token.len()..]))
}

// quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE               RFC 9110 §5.6.4
//
// A backslash begins a quoted-pair only before a quote or another backslash. Browsers do not escape
// with a backslash (WHATWG HTML §4.10.22.8 writes a quote as %22), and `C:
// ew` would lose its separator.
fn quoted_string(input: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let mut unescaped = Vec::new();
    let mut plain_start = 0;
    let mut at = 0;
    loop {
        match &input[at..] {
            [] => return None,
            [b'"', rest @ ..] => {
                let plain = &input[plain_start..at];
                if unescaped.is_empty() && plain_start == 0 {
                    return Some((Cow::Borrowed(plain), rest));
                }
                unescaped.extend_from_slice(plain);
                return Some((Cow::Owned(unescaped), rest));
            }
            [b'\\', b'"' | b'\\', ..] => {
                unescaped.extend_from_slice(&input[plain_start..at]);
                plain_start = at + 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
}

fn leading_token(input: &[u8]) -> &[u8] {
    let end = input.iter().position(|&byte| !is_tchar(byte));
    &input[..end.unwrap_or(input.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, name: &str, expected: Result<Option<&str>, Malformed>) {
        let got = parameter(value.as_bytes(), name);
        let expected = expected.map(|value| value.map(|value| value.as_bytes().into()));
        assert_eq!(got, expected, "{value}");
    }

    #[test]
    fn rfc9110_5_6_6_parameters() {
        check("a/b", "c", Ok(None));
        check("a/b;", "c", Ok(None));
        check("a/b; ;;c=d;", "c", Ok(Some("d")));
        check("a/b;C=d", "c", Ok(Some("d")));
        check("a/b \t;\t c=d \t; e=f", "c", Ok(Some("d")));
        check("a/b; e=f;c=d", "c", Ok(Some("d")));
        check("a/b; cc=f", "c", Ok(None));
        check("a/b; e=f; e=g; c=d", "c", Ok(Some("d")));
        for malformed in [
            "a/b; c",
            "a/b; c=",
            "a/b; c =d",
            "a/b; c= d",
            "a/b; =d",
            "a/b; c=d e",
            "a/b; c=d,",
            "a/b; c=d; e",
            "a/b; c=\u{e4}",
            "a/b; c=d; c=d",
            "a/b; c=d; C=\"e\"",
        ] {
            check(malformed, "c", Err(Malformed));
        }
    }

    #[test]
    fn rfc9110_5_6_4_quoted_string() {
        check(r#"a; c="d""#, "c", Ok(Some("d")));
        check(r#"a; c="" ;"#, "c", Ok(Some("")));
        check(r#"a; c="d; e=f"; e=g"#, "e", Ok(Some("g")));
        check(r#"a; c="d \"e\" ä""#, "c", Ok(Some(r#"d "e" ä"#)));
        check(r#"a; c="\\"; e=f"#, "c", Ok(Some(r"\")));
        check(r#"a; c="\"""#, "c", Ok(Some("\"")));
        check(r#"a; c="C:\new\\x""#, "c", Ok(Some(r"C:\new\x")));
        for malformed in [r#"a; c=""#, r#"a; c="d"#, r#"a; c="d\""#, r#"a; c="d"e"#] {
            check(malformed, "c", Err(Malformed));
        }
    }

    #[test]
    fn the_essence_has_no_space_around_it() {
        for (value, expected) in [("a/b", "a/b"), ("a/b ; c=d", "a/b"), ("", ""), (";", "")] {
            assert_eq!(essence(value.as_bytes()), expected.as_bytes());
        }
    }
}
