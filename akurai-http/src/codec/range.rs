//! Ranges of bytes (RFC 9110 §14): which bytes a `Range` field asks for, and
//! `multipart/byteranges`.

use std::ops::Range;

use crate::values::field::trim_ows;

/// Most ranges that a request may have. With more, the whole representation is sent (RFC 9110
/// §17.15).
const MOST_RANGES: usize = 64;

/// Most ranges of one request that may overlap another of its ranges.
const MOST_OVERLAPPING: usize = 2;

/// Which bytes of a representation to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All bytes, with status 200: there is no range, or none that is honoured.
    Whole,
    /// 206: these ranges, none of them empty, in the order of the request.
    Parts(Vec<Range<u64>>),
    /// 416.
    Unsatisfiable,
}

// Range            = ranges-specifier = range-unit "=" range-set        RFC 9110 §14.1.1
// range-set        = 1#range-spec
// range-spec       = int-range / suffix-range / other-range
/// Which bytes of a representation of `len` bytes the field asks for.
///
/// The field is ignored if it is malformed or of another unit (RFC 9110 §14.2), or if it would cost
/// more than the whole: too many ranges, too many that overlap, or more bytes than there are
/// (§17.15).
pub(crate) fn select(field: &[u8], len: u64) -> Selection {
    let Some(specs) = range_set(field) else {
        return Selection::Whole;
    };
    // The last bytes of an empty representation are empty, and Content-Range cannot express that.
    if len == 0 && specs.iter().any(|spec| matches!(spec, Spec::Suffix(1..))) {
        return Selection::Whole;
    }
    let parts: Vec<Range<u64>> = specs.iter().filter_map(|spec| spec.within(len)).collect();
    if parts.is_empty() {
        return Selection::Unsatisfiable;
    }
    let mut sum = 0u64;
    for part in &parts {
        sum = sum.saturating_add(part.end - part.start);
    }
    let overlapping = parts.iter().enumerate().filter(|&(at, part)| {
        let meets = |other: &Range<u64>| other.start < part.end && part.start < other.end;
        parts
            .iter()
            .enumerate()
            .any(|(other_at, other)| other_at != at && meets(other))
    });
    if sum > len || overlapping.count() > MOST_OVERLAPPING {
        return Selection::Whole;
    }
    Selection::Parts(parts)
}

/// One element of a range set, as the client sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spec {
    /// From the first position to the last, both included, or to the end.
    Int(u64, Option<u64>),
    /// This many bytes at the end.
    Suffix(u64),
}

impl Spec {
    /// The bytes of this range that a representation of `len` bytes has, if any.
    fn within(self, len: u64) -> Option<Range<u64>> {
        let range = match self {
            Spec::Int(first, last) => {
                first..last.map_or(len, |last| last.saturating_add(1)).min(len)
            }
            Spec::Suffix(count) => len.saturating_sub(count)..len,
        };
        (range.start < range.end).then_some(range)
    }
}

/// `None` if the field is malformed, of another unit, or has more ranges than are honoured.
fn range_set(field: &[u8]) -> Option<Vec<Spec>> {
    let equals = field.iter().position(|&byte| byte == b'=')?;
    let (unit, set) = (&field[..equals], &field[equals + 1..]);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for element in set.split(|&byte| byte == b',').map(trim_ows) {
        if element.is_empty() {
            continue;
        }
        if specs.len() == MOST_RANGES {
            return None;
        }
        specs.push(spec(element)?);
    }
    (!specs.is_empty()).then_some(specs)
}

// int-range    = first-pos "-" [ last-pos ]
// suffix-range = "-" suffix-length
fn spec(element: &[u8]) -> Option<Spec> {
    let dash = element.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (&element[..dash], &element[dash + 1..]);
    if first.is_empty() {
        return Some(Spec::Suffix(position(last)?));
    }
    let spec = match last {
        [] => Spec::Int(position(first)?, None),
        last => Spec::Int(position(first)?, Some(position(last)?)),
    };
    (last.is_empty() || !is_less(last, first)).then_some(spec)
}

/// Whether one number is less than another; both may have any number of digits.
fn is_less(one: &[u8], other: &[u8]) -> bool {
    let zeros = |digits: &[u8]| digits.iter().take_while(|&&digit| digit == b'0').count();
    let (one, other) = (&one[zeros(one)..], &other[zeros(other)..]);
    (one.len(), one) < (other.len(), other)
}

/// A number of any length. One that does not fit into a u64 is past every end, so it becomes the
/// largest u64.
fn position(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| {
        digits.iter().fold(0u64, |number, digit| {
            number
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        })
    })
}

/// The value of `Content-Range` for these bytes of `len` (RFC 9110 §14.4).
pub(crate) fn content_range(part: &Range<u64>, len: u64) -> String {
    format!("bytes {}-{}/{len}", part.start, part.end - 1)
}

/// The value of `Content-Range` with status 416.
pub(crate) fn unsatisfied_range(len: u64) -> String {
    format!("bytes */{len}")
}

/// The text around the parts of a `multipart/byteranges` body (RFC 9110 §14.6).
#[derive(Debug)]
pub(crate) struct ByteRanges {
    /// The text before each part.
    pub(crate) heads: Vec<String>,
    /// The text after the last part.
    pub(crate) end: String,
}

impl ByteRanges {
    /// `boundary` must not occur in the content; `media_type` is the representation's.
    pub(crate) fn new(
        parts: &[Range<u64>],
        len: u64,
        boundary: &str,
        media_type: &str,
    ) -> ByteRanges {
        // The CRLF belongs to the delimiter (RFC 2046 §5.1.1). The first delimiter needs no CRLF,
        // and zsync only reads it without.
        let head = |part: &Range<u64>| {
            let content_range = content_range(part, len);
            format!(
                "\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {content_range}\r\n\r\n"
            )
        };
        ByteRanges {
            heads: parts.iter().map(head).collect(),
            end: format!("\r\n--{boundary}--\r\n"),
        }
    }

    /// The length of the whole body with these parts, in bytes.
    pub(crate) fn body_bytes(&self, parts: &[Range<u64>]) -> u64 {
        let around: usize = self.heads.iter().map(String::len).sum::<usize>() + self.end.len();
        let within: u64 = parts.iter().map(|part| part.end - part.start).sum();
        around as u64 + within
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Selection::{Unsatisfiable, Whole};

    fn parts<const N: usize>(parts: [Range<u64>; N]) -> Selection {
        Selection::Parts(parts.into())
    }

    fn one(part: Range<u64>) -> Selection {
        Selection::Parts(vec![part])
    }

    #[track_caller]
    fn check(field: &str, len: u64, expected: Selection) {
        assert_eq!(select(field.as_bytes(), len), expected, "{field} of {len}");
    }

    #[test]
    fn rfc9110_14_1_2_one_range() {
        check("bytes=0-0", 10, one(0..1));
        check("bytes=0-9", 10, one(0..10));
        check("bytes=9-9", 10, one(9..10));
        check("bytes=3-5", 10, one(3..6));
        check("bytes=3-", 10, one(3..10));
        check("bytes=3-99", 10, one(3..10));
        check("bytes=003-0005", 10, one(3..6));
        check("bytes=-3", 10, one(7..10));
        check("bytes=-10", 10, one(0..10));
        check("bytes=-99", 10, one(0..10));
        check("BYTES=0-0", 10, one(0..1));
        check("bytes=0-18446744073709551615", 10, one(0..10));
        check("bytes=0-99999999999999999999999", 10, one(0..10));
        check("bytes=-99999999999999999999999", 10, one(0..10));
        check("bytes= 0-0", 10, one(0..1));
        check("bytes=,0-0 ,", 10, one(0..1));
    }

    #[test]
    fn rfc9110_15_5_17_none_satisfiable() {
        check("bytes=10-", 10, Unsatisfiable);
        check("bytes=10-20", 10, Unsatisfiable);
        check("bytes=99999999999999999999999-", 10, Unsatisfiable);
        check("bytes=18446744073709551615-", u64::MAX, Unsatisfiable);
        check("bytes=-0", 10, Unsatisfiable);
        check("bytes=-0,10-", 10, Unsatisfiable);
        check("bytes=0-", 0, Unsatisfiable);
        check("bytes=-0", 0, Unsatisfiable);
        check("bytes=-5", 0, Whole);
    }

    #[test]
    fn rfc9110_14_2_what_means_nothing() {
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=1-0",
            "bytes=0-0,5-4",
            "bytes=0 -0",
            "bytes=0- 0",
            "bytes=--1",
            "bytes=0-0-0",
            "bytes=+1-2",
            "bytes=0x1-2",
            "bytes=0-0;1-1",
            "bytes =0-0",
            " bytes=0-0",
            "lines=0-0",
            "items=0-0",
            "bytes=0-0,x",
            "bytes:0-0",
            "bytes=18446744073709551616-18446744073709551615",
            "bytes=018446744073709551617-18446744073709551616",
        ] {
            check(field, 10, Whole);
        }
    }

    #[test]
    fn several_ranges() {
        check("bytes=0-0,2-3", 10, parts([0..1, 2..4]));
        check("bytes=5-6, 0-0", 10, parts([5..7, 0..1]));
        check("bytes=0-1,-2", 10, parts([0..2, 8..10]));
        check("bytes=0-4,5-9", 10, parts([0..5, 5..10]));
        check("bytes=20-,0-0", 10, one(0..1));
        // As many bytes as there are, and one more.
        check("bytes=0-4,3-7", 10, parts([0..5, 3..8]));
        check("bytes=0-4,3-8", 10, Whole);
        check("bytes=0-,0-", 10, Whole);
        // Two ranges that overlap are tolerated, three are not.
        check("bytes=0-1,1-2,5-5", 10, parts([0..2, 1..3, 5..6]));
        check("bytes=0-1,1-2,2-2", 10, Whole);
        check("bytes=0-1,1-2,5-5,5-5", 100, Whole);
        let ranges = |count: u64| {
            let specs: Vec<String> = (0..count).map(|n| format!("{}-{}", n * 2, n * 2)).collect();
            format!("bytes={}", specs.join(","))
        };
        let all = |count| Selection::Parts((0..count).map(|n| n * 2..n * 2 + 1).collect());
        check(&ranges(20), 200, all(20));
        check(&ranges(64), 200, all(64));
        check(&ranges(65), 200, Whole);
        // Ranges past the end have no bytes to send, but they count.
        check(&ranges(64), 20, all(10));
        check(&ranges(65), 20, Whole);
    }

    #[test]
    fn rfc9110_14_6_multipart() {
        let parts = [0..1, 5..7];
        let byte_ranges = ByteRanges::new(&parts, 10, "B", "text/plain");
        let mut body = String::new();
        for (head, content) in byte_ranges.heads.iter().zip(["0", "56"]) {
            body.push_str(head);
            body.push_str(content);
        }
        body.push_str(&byte_ranges.end);
        let expected = "\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-0/10\r\n\r\n0\
             \r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 5-6/10\r\n\r\n56\r\n--B--\r\n";
        assert_eq!(body, expected);
        assert_eq!(byte_ranges.body_bytes(&parts), expected.len() as u64);
        assert_eq!(unsatisfied_range(10), "bytes */10");
    }
}
