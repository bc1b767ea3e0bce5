//! What a client accepts: content codings and media types, by weight (RFC 9110 §12.4, §12.5).

use crate::codec::parameters::{essence, parameter};
use crate::values::field::is_token;
use crate::values::field::trim_ows;
use crate::values::headers::Headers;

/// A content coding in which a file may be stored beside the original (RFC 9110 §8.4.1). The
/// codings are in order of how much they save, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentCoding {
    Brotli,
    Zstandard,
    Gzip,
}

impl ContentCoding {
    pub(crate) const ALL: [ContentCoding; 3] = [
        ContentCoding::Brotli,
        ContentCoding::Zstandard,
        ContentCoding::Gzip,
    ];

    /// The coding's name in `Content-Encoding`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ContentCoding::Brotli => "br",
            ContentCoding::Zstandard => "zstd",
            ContentCoding::Gzip => "gzip",
        }
    }

    /// The extension of a file in this coding.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            ContentCoding::Brotli => "br",
            ContentCoding::Zstandard => "zst",
            ContentCoding::Gzip => "gz",
        }
    }

    fn is_named(self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.name().as_bytes())
            || self == ContentCoding::Gzip && name.eq_ignore_ascii_case(b"x-gzip")
    }
}

/// What an `Accept-Encoding` field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AcceptedCodings {
    /// In thousandths, in the order of [`ContentCoding::ALL`].
    weights: [u16; 3],
    /// The weight of content without a coding. `None`: the field does not mention it, so it is
    /// accepted, after all codings that the field names.
    identity: Option<u16>,
}

impl AcceptedCodings {
    // Accept-Encoding = #( codings [ weight ] )                         RFC 9110 §12.5.3
    // codings         = content-coding / "identity" / "*"
    /// An absent or malformed field accepts content without a coding only.
    pub(crate) fn of(headers: &Headers) -> AcceptedCodings {
        let nothing = AcceptedCodings {
            weights: [0; 3],
            identity: None,
        };
        let (mut weights, mut identity, mut others) = ([None; 3], None, None);
        for element in headers.tokens("Accept-Encoding") {
            let Some((name, weight)) = weighted(element) else {
                return nothing;
            };
            let place = match name {
                b"*" => &mut others,
                name if name.eq_ignore_ascii_case(b"identity") => &mut identity,
                name => match ContentCoding::ALL
                    .iter()
                    .position(|known| known.is_named(name))
                {
                    Some(at) => &mut weights[at],
                    None => continue,
                },
            };
            place.get_or_insert(weight);
        }
        AcceptedCodings {
            weights: weights.map(|weight| weight.or(others).unwrap_or(0)),
            identity: identity.or(others),
        }
    }

    /// The codings that the client prefers to none, the best first: ordered by weight, and at equal
    /// weight by how much they save.
    pub(crate) fn preferred(self) -> impl Iterator<Item = ContentCoding> {
        let least = self.identity.unwrap_or(0).max(1);
        let mut best = ContentCoding::ALL;
        // Three elements are sorted after comparing the first two, the last two, and the first two
        // again.
        for at in [0, 1, 0] {
            if self.weight(best[at]) < self.weight(best[at + 1]) {
                best.swap(at, at + 1);
            }
        }
        best.into_iter()
            .filter(move |&coding| self.weight(coding) >= least)
    }

    /// Whether the client wants content in this coding at least as much as content without a
    /// coding.
    pub(crate) fn prefers(self, coding: ContentCoding) -> bool {
        self.preferred().any(|preferred| preferred == coding)
    }

    /// Whether content may be sent without a coding.
    pub(crate) fn takes_identity(self) -> bool {
        self.identity != Some(0)
    }

    fn weight(self, coding: ContentCoding) -> u16 {
        self.weights[coding as usize]
    }
}

/// Whether `Accept` names `text/html` itself. A browser that opens a page does that; most scripts
/// send `*/*`.
pub(crate) fn accepts_html(headers: &Headers) -> bool {
    headers.tokens("Accept").any(|range| {
        essence(range).eq_ignore_ascii_case(b"text/html")
            && range_weight(range).is_some_and(|weight| weight > 0)
    })
}

/// Whether the client prefers JSON to plain text: `Accept` gives it the greater weight, or names it
/// with the same weight, as a script's `application/json, text/plain, */*` does. Who takes anything
/// gets text. A client that names `application/json` takes `application/problem+json` too (RFC 9457
/// §3 does not ask for more); a weight of 0 for that one refuses it.
pub(crate) fn prefers_json(headers: &Headers) -> bool {
    let text = accepted(headers, "text", "plain").weight;
    let problem = accepted(headers, "application", "problem+json");
    let json = accepted(headers, "application", "json");
    let is_better = |of: Accepted| {
        of.weight > text || of.weight == text && of.weight > 0 && of.closeness == Closeness::Named
    };
    let is_refused = problem.closeness == Closeness::Named && problem.weight == 0;
    !is_refused && (is_better(problem) || is_better(json))
}

/// How closely the best range of an `Accept` field matches a media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    Not,
    Anything,
    Type,
    Named,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Accepted {
    closeness: Closeness,
    /// In thousandths.
    weight: u16,
}

// Accept      = #( media-range [ weight ] )                             RFC 9110 §12.5.1
// media-range = ( "*/*" / ( type "/" "*" ) / ( type "/" subtype ) ) parameters
/// The weight of a media type. The closest range decides. Parameters other than the weight do not
/// count, and a malformed range says nothing.
fn accepted(headers: &Headers, kind: &str, subtype: &str) -> Accepted {
    let of_range = |range| {
        let mut parts = essence(range).splitn(2, |&byte| byte == b'/');
        let (own_kind, own_subtype) = (parts.next()?, parts.next()?);
        let closeness = match (own_kind, own_subtype) {
            (b"*", b"*") => Closeness::Anything,
            (own, _) if !own.eq_ignore_ascii_case(kind.as_bytes()) => return None,
            (_, b"*") => Closeness::Type,
            (_, own) if own.eq_ignore_ascii_case(subtype.as_bytes()) => Closeness::Named,
            _ => return None,
        };
        let weight = range_weight(range)?;
        Some(Accepted { closeness, weight })
    };
    let best = headers.tokens("Accept").filter_map(of_range).max();
    best.unwrap_or(Accepted {
        closeness: Closeness::Not,
        weight: 0,
    })
}

/// The weight of a media range, in thousandths; `None` if it is malformed.
fn range_weight(range: &[u8]) -> Option<u16> {
    match parameter(range, "q") {
        Ok(Some(value)) => qvalue(&value),
        Ok(None) => Some(1000),
        Err(_) => None,
    }
}

// weight = OWS ";" OWS "q=" qvalue                                      RFC 9110 §12.4.2
/// A coding and its weight in thousandths; `None` if it is malformed.
fn weighted(element: &[u8]) -> Option<(&[u8], u16)> {
    let name = essence(element);
    let weight = match element.iter().position(|&byte| byte == b';') {
        None => 1000,
        Some(semicolon) => match trim_ows(&element[semicolon + 1..]) {
            [b'q' | b'Q', b'=', value @ ..] => qvalue(value)?,
            _ => return None,
        },
    };
    is_token(name).then_some((name, weight))
}

// qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
fn qvalue(value: &[u8]) -> Option<u16> {
    let (&whole, rest) = value.split_first()?;
    let digits = match rest {
        [] => rest,
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut thousandths = 0;
    for at in 0..3 {
        let digit = digits.get(at).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        thousandths = thousandths * 10 + u16::from(digit - b'0');
    }
    match (whole, thousandths) {
        (b'0', _) => Some(thousandths),
        (b'1', 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &str, values: &[&str]) -> Headers {
        let mut headers = Headers::default();
        for value in values {
            headers.append(name.as_bytes(), value.as_bytes()).unwrap();
        }
        headers
    }

    /// The codings in order, and whether identity is accepted.
    #[track_caller]
    fn check(values: &[&str], preferred: &str, identity: bool) {
        let accepted = AcceptedCodings::of(&headers("Accept-Encoding", values));
        let names: Vec<&str> = accepted.preferred().map(ContentCoding::name).collect();
        assert_eq!(names.join(" "), preferred, "{values:?}");
        assert_eq!(accepted.takes_identity(), identity, "{values:?}");
    }

    #[test]
    fn rfc9110_12_5_3_accept_encoding() {
        check(&[], "", true);
        check(&[""], "", true);
        check(&["gzip"], "gzip", true);
        check(&["GZip, BR"], "br gzip", true);
        check(&["x-gzip"], "gzip", true);
        check(&["gzip, deflate, br, zstd"], "br zstd gzip", true);
        check(&["gzip", "br"], "br gzip", true);
        check(&["gzip;q=1.0, br;q=0.9"], "gzip br", true);
        check(&["gzip;q=0.5, zstd;q=0.501"], "zstd gzip", true);
        check(&["gzip;q=0"], "", true);
        check(&["gzip;q=0.000"], "", true);
        check(&["gzip;q=0.001"], "gzip", true);
        check(&["gzip ; Q=0.5"], "gzip", true);
        check(&["*"], "br zstd gzip", true);
        check(&["*, br;q=0"], "zstd gzip", true);
        check(&["*;q=0.1, gzip"], "gzip br zstd", true);
        check(&["deflate"], "", true);
    }

    #[test]
    fn identity_has_its_own_weight() {
        check(&["identity;q=0"], "", false);
        check(&["gzip, identity;q=0"], "gzip", false);
        check(&["*;q=0"], "", false);
        check(&["gzip, *;q=0"], "gzip", false);
        check(&["identity, *;q=0"], "", true);
        check(&["identity;q=0.5, gzip;q=0.4, br;q=0.6"], "br", true);
        check(&["identity, gzip"], "gzip", true);
        check(&["identity;q=1, gzip;q=0.9"], "", true);
    }

    #[test]
    fn what_is_malformed_says_nothing() {
        for value in [
            "gzip;",
            "gzip;;q=1",
            "gzip;q=1;x=y",
            "gzip;q=\"1\"",
            "*;q=0;",
            "gzip;q",
            "gzip;q=",
            "gzip;q=2",
            "gzip;q=1.5",
            "gzip;q=1.0000",
            "gzip;q=.5",
            "gzip;q=-1",
            "gzip;q=0.1234",
            "gzip;q=1.001",
            "gzip;q=0,5",
            ";q=1",
            "br, gzip;q=x, identity;q=0",
        ] {
            check(&[value], "", true);
        }
    }

    #[test]
    fn rfc9110_12_5_1_accept() {
        for (value, expected) in [
            ("text/html", true),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("application/json, TEXT/HTML;level=1;q=0.1", true),
            ("text/html;q=0", false),
            ("*/*", false),
            ("text/*", false),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(
                accepts_html(&headers("Accept", &[value])),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn rfc9110_12_5_1_who_prefers_json() {
        for (value, expected) in [
            ("application/json", true),
            ("application/problem+json", true),
            ("APPLICATION/JSON; charset=utf-8", true),
            ("application/*", true),
            ("application/json, text/plain, */*", true),
            ("application/json;q=0.5, text/plain;q=0.5", true),
            ("application/json;q=0.9, */*;q=0.8", true),
            ("text/*;q=0.1, */*", true),
            ("text/plain;q=0, */*;q=0.001", true),
            ("application/json;q=0.4, text/plain;q=0.5", false),
            ("application/json;q=0.7, */*;q=0.8", false),
            ("*/*", false),
            ("text/plain", false),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                false,
            ),
            ("application/json;q=0", false),
            ("application/json, application/problem+json;q=0", false),
            ("application/json;q=2", false),
            ("application/xml", false),
            ("application", false),
            ("json", false),
            ("", false),
        ] {
            let headers = headers("Accept", &[value]);
            assert_eq!(prefers_json(&headers), expected, "{value}");
        }
        assert!(!prefers_json(&headers("Accept", &[])));
        assert!(prefers_json(&headers(
            "Accept",
            &["text/plain;q=0.1", "application/json"]
        )));
    }
}
