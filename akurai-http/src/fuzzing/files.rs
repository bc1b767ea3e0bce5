//! The values that decide how a file is sent: ranges, conditions, codings, dates, names.

use std::ops::Range;

use super::{headers, trim};
use crate::codec::coding::AcceptedCodings;
use crate::codec::conditional::{EntityTag, Validators, Verdict, evaluate, range_applies};
use crate::codec::date::{http_date, imf_fixdate};
use crate::codec::disposition::attachment;
use crate::codec::parameters::parameter;
use crate::codec::range::{ByteRanges, Selection, select};

const NOW: u64 = 1_795_564_800;

/// A `Range` field's value, and the length of the representation.
pub fn ranges(data: &[u8], len: u64) {
    let selection = select(data, len);
    let expected = selected(data, len);
    match &selection {
        Selection::Whole => assert_eq!(expected, None),
        Selection::Unsatisfiable => assert_eq!(expected, Some(Vec::new())),
        Selection::Parts(parts) => {
            assert!(
                parts
                    .iter()
                    .all(|part| part.start < part.end && part.end <= len)
            );
            let sum: u64 = parts.iter().map(|part| part.end - part.start).sum();
            assert!(sum <= len && parts.len() <= 64);
            let multipart = ByteRanges::new(parts, len, "boundary", "text/plain");
            let around: usize = multipart.heads.iter().map(String::len).sum();
            assert_eq!(
                multipart.body_bytes(parts),
                sum + (around + multipart.end.len()) as u64
            );
            assert_eq!(expected.as_ref(), Some(parts));
        }
    }
}

/// The parts by RFC 9110 §14.1.2, in arithmetic that cannot overflow; `None` if the field is
/// ignored.
fn selected(field: &[u8], len: u64) -> Option<Vec<Range<u64>>> {
    let text = std::str::from_utf8(field).ok()?;
    let (unit, set) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (mut parts, mut specs, mut is_suffix) = (Vec::new(), 0, false);
    for element in set.split(',') {
        let element = std::str::from_utf8(trim(element.as_bytes())).ok()?;
        if element.is_empty() {
            continue;
        }
        specs += 1;
        let (first, last) = element.split_once('-')?;
        // A longer number is past every length.
        let number = |digits: &str| -> Option<u128> {
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| {
                digits
                    .parse()
                    .unwrap_or(u128::MAX)
                    .min(u128::from(u64::MAX))
            })
        };
        let end = u128::from(len);
        let (from, to) = if first.is_empty() {
            let count = number(last)?;
            is_suffix |= count > 0;
            (end.saturating_sub(count), end)
        } else {
            let from = number(first)?;
            // Compares digits, since the numbers may be longer than any type.
            let digits = |number: &str| {
                let digits = number.trim_start_matches('0');
                (digits.len(), digits.to_owned())
            };
            let is_backwards = !last.is_empty() && digits(last) < digits(first);
            let last = match last {
                "" => None,
                last => Some(number(last)?),
            };
            if is_backwards {
                return None;
            }
            (from, last.map_or(end, |last| end.min(last + 1)))
        };
        if from < to {
            parts.push(from as u64..to as u64);
        }
    }
    let sum: u128 = parts
        .iter()
        .map(|part| u128::from(part.end - part.start))
        .sum();
    let is_costly = specs > 64 || overlapping(&parts) > 2 || sum > u128::from(len);
    (specs > 0 && !is_costly && !(len == 0 && is_suffix)).then_some(parts)
}

/// How many of these ranges overlap another one.
fn overlapping(parts: &[Range<u64>]) -> usize {
    let overlap =
        |one: &Range<u64>, other: &Range<u64>| one.start.max(other.start) < one.end.min(other.end);
    let overlaps = |&at: &usize| {
        let mut others = (0..parts.len()).filter(|&other| other != at);
        others.any(|other| overlap(&parts[at], &parts[other]))
    };
    (0..parts.len()).filter(overlaps).count()
}

/// Values of the fields that make a request conditional.
pub fn conditions(data: &[u8]) {
    let mut values = data.split(|&byte| byte == b'\n');
    let mut next = || trim(values.next().unwrap_or_default());
    let names = [
        "If-Match",
        "If-None-Match",
        "If-Modified-Since",
        "If-Unmodified-Since",
        "If-Range",
    ];
    let fields: Vec<(&str, &[u8])> = names
        .into_iter()
        .map(|name| (name, next()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let Some(all) = headers(&fields) else { return };
    let own = Validators {
        etag: EntityTag::parse(b"\"a\""),
        last_modified: Some(784_111_777),
    };
    let verdict = evaluate(&all, true, own, NOW);
    // Only GET and HEAD may be answered with 304.
    let as_write = evaluate(&all, false, own, NOW);
    assert!(as_write != Verdict::NotModified);
    assert!((verdict == Verdict::Failed) <= (as_write == Verdict::Failed));
    // A range is only honoured if the tag or date is ours.
    if let Some((_, value)) = fields.iter().find(|(name, _)| *name == "If-Range") {
        let date = http_date(value, NOW);
        assert_eq!(
            range_applies(&all, own, NOW),
            *value == b"\"a\"" || date == own.last_modified
        );
    }
    for (_, value) in fields {
        if let Some(seconds) = http_date(value, NOW).and_then(|seconds| u64::try_from(seconds).ok())
        {
            assert_eq!(http_date(&imf_fixdate(seconds), NOW), Some(seconds as i64));
        }
    }
}

/// The value of `Accept-Encoding`, and a file's name.
pub fn codings_and_names(data: &[u8]) {
    let elements: Vec<(&str, &[u8])> = data
        .split(|&byte| byte == b',')
        .map(|element| ("Accept-Encoding", trim(element)))
        .collect();
    let one_line = headers(&[("Accept-Encoding", trim(data))]);
    if let Some((one_line, lines)) = one_line.zip(headers(&elements)) {
        assert_eq!(AcceptedCodings::of(&one_line), AcceptedCodings::of(&lines));
    }
    let Ok(name) = std::str::from_utf8(data) else {
        return;
    };
    let value = attachment(name);
    assert!(headers(&[("Content-Disposition", value.as_bytes())]).is_some());
    let saved: String = name
        .chars()
        .map(|c| {
            if c == '/' || c == '\\' || c.is_control() {
                '_'
            } else {
                c
            }
        })
        .collect();
    let plain = parameter(value.as_bytes(), "filename").expect("it is well-formed");
    match parameter(value.as_bytes(), "filename*").expect("it is well-formed") {
        None => assert_eq!(plain.as_deref(), Some(saved.as_bytes())),
        Some(extended) => {
            let encoded = extended
                .strip_prefix(b"UTF-8''")
                .expect("the charset comes first");
            assert_eq!(
                super::percent_decoded(encoded, || None).as_deref(),
                Some(saved.as_bytes())
            );
        }
    }
}
