//! A strict reader of multipart/byteranges (RFC 9110 §14.6, RFC 2046 §5.1.1): no preamble, no
//! epilogue. The first boundary has a CRLF before it, which is a part of the delimiter: zsync reads
//! no other form.

use akurai_tests::{Answer, shown};

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) media_type: Option<String>,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) complete: u64,
    pub(super) content: Vec<u8>,
}

/// `bytes first-last/complete` (RFC 9110 §14.4).
pub(super) fn parse_content_range(value: &str) -> Option<(u64, u64, u64)> {
    let (range, complete) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |digits: &str| -> Option<u64> {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok())?
    };
    let (first, last, complete) = (number(first)?, number(last)?, number(complete)?);
    (first <= last && last < complete).then_some((first, last, complete))
}

/// The boundary that a `Content-Type` names.
pub(super) fn boundary(media_type: &str) -> Result<String, String> {
    let wrong = || format!("Content-Type {media_type}");
    let value = media_type
        .strip_prefix("multipart/byteranges; boundary=")
        .or_else(|| media_type.strip_prefix("multipart/byteranges;boundary="))
        .ok_or_else(wrong)?;
    let quoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let boundary = quoted.unwrap_or(value);
    let extra = if quoted.is_some() { "()/:,=? " } else { "" };
    let is_bchar = |c: char| c.is_ascii_alphanumeric() || "'+_-.".contains(c) || extra.contains(c);
    let fits = (1..=70).contains(&boundary.len())
        && boundary.chars().all(is_bchar)
        && !boundary.ends_with(' ');
    if fits {
        Ok(boundary.to_owned())
    } else {
        Err(wrong())
    }
}

/// The parts of an answer in order, or the reason why it is no multipart/byteranges.
pub(super) fn parse(answer: &Answer) -> Result<Vec<Part>, String> {
    let boundary = boundary(answer.header("content-type").unwrap_or(""))?;
    let delimiter = format!("--{boundary}");
    let mut rest = answer.body.as_slice();
    rest = take(rest, b"\r\n")?;
    let mut parts = Vec::new();
    loop {
        rest = take(rest, delimiter.as_bytes())?;
        if rest.starts_with(b"--") {
            return match &rest[2..] {
                b"" | b"\r\n" if !parts.is_empty() => Ok(parts),
                _ => Err(format!("the end is followed by {}", shown(rest))),
            };
        }
        rest = take(rest, b"\r\n")?;
        let (part, behind) = parse_part(rest)?;
        let content = &part.content;
        let mark = delimiter.as_bytes();
        if content.windows(mark.len()).any(|window| window == mark) {
            return Err("the boundary stands in the content".into());
        }
        parts.push(part);
        rest = take(behind, b"\r\n")?;
    }
}

/// Reads a part, and returns it with the bytes after it. Its content is as long as its
/// `Content-Range` says.
fn parse_part(bytes: &[u8]) -> Result<(Part, &[u8]), String> {
    let wrong = || format!("no part: {}", shown(bytes));
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(wrong)?;
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| wrong())?;
    let (mut media_type, mut range) = (None, None);
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(": ").ok_or_else(wrong)?;
        let seen = match name.to_ascii_lowercase().as_str() {
            "content-type" => media_type.replace(value.to_owned()).is_some(),
            "content-range" => range.replace(value).is_some(),
            _ => return Err(format!("a part with {line}")),
        };
        if seen {
            return Err(format!("twice: {line}"));
        }
    }
    let range = range.and_then(parse_content_range).ok_or_else(wrong)?;
    let (first, last, complete) = range;
    let len = usize::try_from(last - first + 1).map_err(|_| wrong())?;
    let (start, whole) = (end + 4, bytes.len());
    if whole < start + len {
        return Err(format!(
            "a part of {len} bytes, cut after {}",
            whole - start
        ));
    }
    let content = bytes[start..start + len].to_vec();
    let part = Part {
        media_type,
        first,
        last,
        complete,
        content,
    };
    Ok((part, &bytes[start + len..]))
}

fn take<'a>(bytes: &'a [u8], mark: &[u8]) -> Result<&'a [u8], String> {
    bytes
        .strip_prefix(mark)
        .ok_or_else(|| format!("wanted {}, got {}", shown(mark), shown(bytes)))
}

#[test]
fn this_parser_is_strict() {
    let answer = |media_type: &str, body: &str| Answer {
        minor_version: 1,
        status: 206,
        reason: String::new(),
        headers: vec![("Content-Type".into(), media_type.into())],
        body: body.into(),
        trailers: Vec::new(),
    };
    let media_type = "multipart/byteranges; boundary=x";
    let good = "\r\n--x\r\nContent-Type: a/b\r\nContent-Range: bytes 0-1/9\r\n\r\nab\r\n\
                --x\r\nContent-Range: bytes 3-3/9\r\n\r\nd\r\n--x--\r\n";
    let parts = parse(&answer(media_type, good)).unwrap();
    let part = |media_type: Option<&str>, first, last, content: &str| Part {
        media_type: media_type.map(str::to_owned),
        first,
        last,
        complete: 9,
        content: content.into(),
    };
    assert_eq!(
        parts,
        [part(Some("a/b"), 0, 1, "ab"), part(None, 3, 3, "d")]
    );
    for (from, to) in [
        ("0-1", "0-2"),
        ("0-1/9", "0-0/9"),
        ("0-1/9", "1-0/9"),
        ("3-3/9", "9-9/9"),
        ("3-3/9", "3-3/*"),
        ("--x--", "--x-"),
        ("--x--\r\n", "--x--\r\n\r\n"),
        ("--x--\r\n", ""),
        ("\r\n--x--", "--x--"),
        ("Content-Type: a/b", "Content-Type a/b"),
        ("Content-Type: a/b", "Content-Range: bytes 0-1/9"),
        ("\r\n--x\r\nContent-T", "--x\r\nContent-T"),
        ("--x\r\nContent-T", "junk\r\n--x\r\nContent-T"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert!(parse(&answer(media_type, &bad)).is_err(), "{from} → {to}");
    }
    assert!(parse(&answer("multipart/byteranges; boundary=y", good)).is_err());
    assert!(parse(&answer("multipart/mixed; boundary=x", good)).is_err());
}
