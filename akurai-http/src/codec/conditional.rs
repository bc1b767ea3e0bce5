//! Conditional requests: whether the client wants a representation at all, and whether a part of it
//! still fits (RFC 9110 §13).

use crate::codec::date::http_date;
use crate::values::field::trim_ows;
use crate::values::headers::Headers;

/// What identifies the version of a representation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Validators<'a> {
    pub(crate) etag: Option<EntityTag<'a>>,
    /// In seconds since 1970.
    pub(crate) last_modified: Option<i64>,
}

// entity-tag = [ weak ] opaque-tag                                      RFC 9110 §8.8.3
// weak       = %s"W/"
// opaque-tag = DQUOTE *etagc DQUOTE
/// An entity tag, its opaque part without the quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntityTag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

/// What the preconditions of a request say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Answer as if there were no preconditions.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

impl Validators<'_> {
    fn exists(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }
}

impl<'a> EntityTag<'a> {
    /// The tag that `field` consists of.
    pub(crate) fn parse(field: &'a [u8]) -> Option<EntityTag<'a>> {
        let (tag, rest) = EntityTag::split(field)?;
        rest.is_empty().then_some(tag)
    }

    /// The tag that `input` begins with, and the rest of the input.
    fn split(input: &'a [u8]) -> Option<(EntityTag<'a>, &'a [u8])> {
        let strong = input.strip_prefix(b"W/");
        let quoted = strong.unwrap_or(input).strip_prefix(b"\"")?;
        let len = quoted.iter().position(|&byte| !is_etagc(byte))?;
        let tag = EntityTag {
            weak: strong.is_some(),
            opaque: &quoted[..len],
        };
        Some((tag, quoted[len..].strip_prefix(b"\"")?))
    }

    // Strong comparison: both are strong and have the same opaque tag. Weak comparison: the opaque
    // tags are the same (RFC 9110 §8.8.3.2).
    fn is_strongly(self, other: EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    fn is_weakly(self, other: EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

// etagc = %x21 / %x23-7E / obs-text
fn is_etagc(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)
}

// The order of RFC 9110 §13.2.2: first If-Match, or If-Unmodified-Since where that is absent; then
// If-None-Match, or If-Modified-Since where that is absent.
/// Evaluates the preconditions of a request. `own` has no validator if nothing exists there yet.
/// `reads` is true for `GET` and `HEAD`; `now` is in seconds since 1970.
pub(crate) fn evaluate(headers: &Headers, reads: bool, own: Validators<'_>, now: u64) -> Verdict {
    if has(headers, "If-Match") {
        if !lists(headers, "If-Match", own.exists(), |tag| {
            own.etag.is_some_and(|own| own.is_strongly(tag))
        }) {
            return Verdict::Failed;
        }
    } else if let Some((since, modified)) =
        date(headers, "If-Unmodified-Since", now).zip(own.last_modified)
    {
        if modified > since {
            return Verdict::Failed;
        }
    }
    if has(headers, "If-None-Match") {
        let is_listed = lists(headers, "If-None-Match", own.exists(), |tag| {
            own.etag.is_some_and(|own| own.is_weakly(tag))
        });
        return match is_listed {
            false => Verdict::Proceed,
            true if reads => Verdict::NotModified,
            true => Verdict::Failed,
        };
    }
    match date(headers, "If-Modified-Since", now).zip(own.last_modified) {
        // A date in the future by the server's clock does not say which version the client has.
        Some((since, modified)) if reads && modified <= since && since <= now as i64 => {
            Verdict::NotModified
        }
        _ => Verdict::Proceed,
    }
}

/// Whether `If-Range` lets the server honour `Range` (RFC 9110 §13.1.5). Its entity tag must be
/// ours and both must be strong; or its date must be exactly ours and at least a second in the
/// past. A date cannot tell two changes within the same second apart, and a client that was given a
/// tag must not send a date.
pub(crate) fn range_applies(headers: &Headers, own: Validators<'_>, now: u64) -> bool {
    if !has(headers, "If-Range") {
        return true;
    }
    let Some(field) = only(headers, "If-Range") else {
        return false;
    };
    if let Some(tag) = EntityTag::parse(field) {
        return own.etag.is_some_and(|own| own.is_strongly(tag));
    }
    let date = http_date(field, now);
    date.is_some() && date == own.last_modified && date < Some(now as i64)
}

/// Whether a request may have preconditions. The names of all of them begin with the same letters
/// (RFC 9110 §13.1).
pub(crate) fn has_conditions(headers: &Headers) -> bool {
    let is_condition = |name: &[u8]| name.len() > 3 && name[..3].eq_ignore_ascii_case(b"If-");
    headers.lines().any(|(name, _)| is_condition(name))
}

fn has(headers: &Headers, name: &str) -> bool {
    headers.bytes(name).is_some()
}

/// The value of a field that occurs exactly once.
fn only<'a>(headers: &'a Headers, name: &'a str) -> Option<&'a [u8]> {
    let mut values = headers.all(name);
    let first = values.next();
    first.filter(|_| values.next().is_none())
}

/// `None`, so that the condition is ignored, if the date is invalid or the field occurs twice
/// (RFC 9110 §13.1.3, §13.1.4).
fn date(headers: &Headers, name: &str, now: u64) -> Option<i64> {
    http_date(only(headers, name)?, now)
}

// If-Match = "*" / #entity-tag; the same for If-None-Match
/// Whether the field lists a tag for which `is_own` is true, or is `*` where something `exists`. A
/// malformed field lists nothing.
fn lists(
    headers: &Headers,
    name: &str,
    exists: bool,
    is_own: impl Fn(EntityTag<'_>) -> bool,
) -> bool {
    if only(headers, name) == Some(b"*") {
        return exists;
    }
    let mut found = false;
    for line in headers.all(name) {
        let mut rest = line;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(b",") {
                rest = trim_ows(after);
                continue;
            }
            let Some((tag, after)) = EntityTag::split(rest) else {
                return false;
            };
            rest = trim_ows(after);
            if !rest.is_empty() && !rest.starts_with(b",") {
                return false;
            }
            found |= is_own(tag);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Failed, NotModified, Proceed};

    const NOW: u64 = 784_200_000;
    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sunday, 06-Nov-94 08:49:38 GMT";
    const FUTURE: &str = "Mon, 07 Nov 2094 08:49:37 GMT";

    fn fields(lines: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in lines {
            headers.append(name.as_bytes(), value.as_bytes()).unwrap();
        }
        headers
    }

    fn own(etag: &str) -> Validators<'_> {
        Validators {
            etag: EntityTag::parse(etag.as_bytes()),
            last_modified: Some(784_111_777),
        }
    }

    #[track_caller]
    fn check(lines: &[(&str, &str)], expected: Verdict) {
        assert_eq!(evaluate(&fields(lines), true, own("\"a\""), NOW), expected);
    }

    #[test]
    fn rfc9110_13_1_1_if_match() {
        for (list, expected) in [
            ("*", Proceed),
            ("\"a\"", Proceed),
            ("\"b\", \"a\"", Proceed),
            (",\"b\" ,, \"a\",", Proceed),
            ("\"b\"", Failed),
            ("W/\"a\"", Failed),
            ("\"A\"", Failed),
            ("", Failed),
            ("a", Failed),
            ("\"a", Failed),
            ("\"a\" \"b\"", Failed),
            ("\"a\", *", Failed),
            ("\"a\", b", Failed),
            ("w/\"a\"", Failed),
            ("\"a b\", \"a\"", Failed),
        ] {
            check(&[("If-Match", list)], expected);
        }
        check(&[("If-Match", "\"b\""), ("If-Match", "\"a\"")], Proceed);
        check(&[("If-Match", "*"), ("If-Match", "*")], Failed);
        let tag = fields(&[("If-Match", "W/\"a\"")]);
        assert_eq!(evaluate(&tag, true, own("W/\"a\""), NOW), Failed);
    }

    #[test]
    fn rfc9110_13_1_2_if_none_match() {
        for (list, expected) in [
            ("*", NotModified),
            ("\"a\"", NotModified),
            ("W/\"a\"", NotModified),
            ("\"b,\", \"a\"", NotModified),
            ("\"b\"", Proceed),
            ("a", Proceed),
            ("\"a\" b", Proceed),
        ] {
            let lines = [("If-None-Match", list)];
            check(&lines, expected);
            let expected = match expected {
                NotModified => Failed,
                other => other,
            };
            let headers = fields(&lines);
            assert_eq!(evaluate(&headers, false, own("\"a\""), NOW), expected);
        }
        let own = own("W/\"a\"");
        for tag in ["\"a\"", "W/\"a\""] {
            let headers = fields(&[("If-None-Match", tag)]);
            assert_eq!(evaluate(&headers, true, own, NOW), NotModified);
        }
        let nothing = Validators::default();
        let headers = fields(&[("If-None-Match", "\"\"")]);
        assert_eq!(evaluate(&headers, true, nothing, NOW), Proceed);
    }

    #[test]
    fn rfc9110_13_1_a_star_stands_for_whatever_exists() {
        let nothing = Validators::default();
        for (name, expected) in [("If-Match", Failed), ("If-None-Match", Proceed)] {
            let headers = fields(&[(name, "*")]);
            assert_eq!(evaluate(&headers, false, nothing, NOW), expected, "{name}");
        }
        let dated = Validators {
            etag: None,
            last_modified: Some(0),
        };
        let headers = fields(&[("If-None-Match", "*")]);
        assert_eq!(evaluate(&headers, false, dated, NOW), Failed);
        assert!(has_conditions(&headers) && has_conditions(&fields(&[("if-x", "")])));
        assert!(!has_conditions(&fields(&[("If", ""), ("Range", "")])));
    }

    #[test]
    fn rfc9110_13_1_3_if_modified_since() {
        for (date, expected) in [
            (MODIFIED, NotModified),
            (AFTER, NotModified),
            (BEFORE, Proceed),
            (FUTURE, Proceed),
            ("yesterday", Proceed),
            ("0", Proceed),
        ] {
            let lines = [("If-Modified-Since", date)];
            check(&lines, expected);
            let headers = fields(&lines);
            assert_eq!(evaluate(&headers, false, own("\"a\""), NOW), Proceed);
        }
        let name = "If-Modified-Since";
        check(&[(name, MODIFIED), (name, MODIFIED)], Proceed);
    }

    #[test]
    fn rfc9110_13_1_4_if_unmodified_since() {
        for (date, expected) in [
            (MODIFIED, Proceed),
            (AFTER, Proceed),
            (FUTURE, Proceed),
            (BEFORE, Failed),
            ("yesterday", Proceed),
        ] {
            check(&[("If-Unmodified-Since", date)], expected);
        }
        let name = "If-Unmodified-Since";
        check(&[(name, BEFORE), (name, BEFORE)], Proceed);
    }

    #[test]
    fn rfc9110_13_2_2_precedence() {
        // If the entity tag's field is there, the date's field of the same kind is ignored.
        check(
            &[("If-Unmodified-Since", BEFORE), ("If-Match", "\"a\"")],
            Proceed,
        );
        check(
            &[("If-Modified-Since", MODIFIED), ("If-None-Match", "\"b\"")],
            Proceed,
        );
        check(
            &[("If-Modified-Since", BEFORE), ("If-None-Match", "\"a\"")],
            NotModified,
        );
        // A precondition that fails is reported before the check whether anything changed.
        check(&[("If-None-Match", "\"a\""), ("If-Match", "\"b\"")], Failed);
        check(
            &[("If-None-Match", "\"a\""), ("If-Match", "\"a\"")],
            NotModified,
        );
        check(
            &[
                ("If-Modified-Since", MODIFIED),
                ("If-Unmodified-Since", BEFORE),
            ],
            Failed,
        );
    }

    #[test]
    fn rfc9110_13_1_5_if_range() {
        let applies =
            |lines: &[(&str, &str)], etag, now| range_applies(&fields(lines), own(etag), now);
        assert!(applies(&[], "\"a\"", NOW));
        for (field, expected) in [
            ("\"a\"", true),
            ("\"b\"", false),
            ("W/\"a\"", false),
            ("\"a\", \"b\"", false),
            ("*", false),
            (MODIFIED, true),
            (BEFORE, false),
            (AFTER, false),
            ("tomorrow", false),
            ("", false),
        ] {
            assert_eq!(
                applies(&[("If-Range", field)], "\"a\"", NOW),
                expected,
                "{field}"
            );
        }
        assert!(!applies(&[("If-Range", "W/\"a\"")], "W/\"a\"", NOW));
        assert!(!applies(
            &[("If-Range", "\"a\""), ("If-Range", "\"a\"")],
            "\"a\"",
            NOW
        ));
        // Within the second of the change, a date does not tell two versions apart.
        assert!(!applies(&[("If-Range", MODIFIED)], "\"a\"", 784_111_777));
        assert!(applies(&[("If-Range", MODIFIED)], "\"a\"", 784_111_778));
    }
}
