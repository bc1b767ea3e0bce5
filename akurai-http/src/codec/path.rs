//! Percent-encoding, and paths that do not leave a served directory.

use std::borrow::Cow;

use crate::codec::search::find_byte;

/// `segment` with every `%XX` decoded, once (RFC 3986 §2.4); `None` if the result is not UTF-8 or a
/// triplet is incomplete.
pub(crate) fn percent_decode(segment: &str) -> Option<Cow<'_, str>> {
    if find_byte(b'%', segment.as_bytes()).is_none() {
        return Some(Cow::Borrowed(segment));
    }
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let byte = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                hex_digit(*high)? << 4 | hex_digit(*low)?
            }
            (b'%', _) => return None,
            (&byte, _) => byte,
        };
        decoded.push(byte);
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// `text` with every byte encoded that is not ASCII or for which `is_kept` is false.
pub(crate) fn percent_encode(text: impl AsRef<[u8]>, is_kept: impl Fn(u8) -> bool) -> String {
    let text = text.as_ref();
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for &byte in text {
        if is_kept(byte) && byte.is_ascii() {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

// unreserved = ALPHA / DIGIT / "-" / "." / "_" / "~"                    RFC 3986 §2.3
pub(crate) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn hex_digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

/// The file or directory that a path names below a served directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FilePath<'a> {
    /// The names of the directories and of the file on the way there.
    pub(crate) names: Vec<Cow<'a, str>>,
    /// The path ends with a slash, as a directory's path does.
    pub(crate) has_slash: bool,
}

impl FilePath<'_> {
    /// Reads the rest of a path after the directory's prefix and its slash, still percent-encoded;
    /// `None` if it cannot name a file there.
    ///
    /// The path is decoded once. Segments of one dot are removed (RFC 3986 §5.2.4), since some
    /// clients send them (apt asks for `./InRelease`). Segments of two dots are refused: they lead
    /// out of the directory. So is each name that any system reads as more than a plain name: with
    /// a separator, drive, stream or device. Hidden files are refused too, except `/.well-known`
    /// (RFC 8615).
    pub(crate) fn parse(path: &str) -> Option<FilePath<'_>> {
        let mut names = Vec::new();
        let mut ends_with_dot = false;
        let segments = path.strip_suffix('/').unwrap_or(path).split('/');
        // An empty path has no segment, not an empty one.
        for segment in segments.filter(|_| !path.is_empty()) {
            let name = percent_decode(segment)?;
            ends_with_dot = name == ".";
            if !ends_with_dot {
                names.push(Some(name).filter(|name| is_allowed(names.len(), name))?);
            }
        }
        let has_slash = path.is_empty() || path.ends_with('/') || ends_with_dot;
        Some(FilePath { names, has_slash })
    }
}

/// Whether a request can ask for this path. It is not encoded and begins below the prefix.
pub(crate) fn is_path_of_file(path: &str) -> bool {
    path.split('/')
        .enumerate()
        .all(|(at, name)| is_allowed(at, name))
}

fn is_allowed(at: usize, name: &str) -> bool {
    is_plain_name(name) || at == 0 && name == WELL_KNOWN
}

/// The one hidden directory that is meant for clients, only at the root (RFC 8615 §3).
const WELL_KNOWN: &str = ".well-known";

pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && !name.ends_with(['.', ' '])
        && !name.contains(['/', '\\', ':'])
        && !name.contains(|c: char| c.is_ascii_control())
        && !is_device_name(name)
        && !is_short_name(name)
}

/// On Windows, `GIT~1` may be another name of `.git`.
fn is_short_name(name: &str) -> bool {
    cfg!(windows) && name.contains('~')
}

/// Names that Windows opens as devices in any directory, with any extension. They are refused on
/// every system, so that a tree of files behaves the same on each.
fn is_device_name(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end();
    let is = |device: &str| stem.eq_ignore_ascii_case(device);
    let numbered = |device: &str| {
        stem.get(..3)
            .is_some_and(|start| start.eq_ignore_ascii_case(device))
            && matches!(
                &stem[3..],
                "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"
            )
    };
    is("con")
        || is("conin$")
        || is("conout$")
        || is("prn")
        || is("aux")
        || is("nul")
        || numbered("com")
        || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3986_2_4_decoded_once() {
        for (segment, decoded) in [
            ("plain", Some("plain")),
            ("a%20b", Some("a b")),
            ("%c3%A9", Some("é")),
            ("%252e", Some("%2e")),
            ("%2F", Some("/")),
            ("a+b", Some("a+b")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%ff", None),
            ("%c0%af", None),
        ] {
            assert_eq!(percent_decode(segment).as_deref(), decoded, "{segment}");
        }
    }

    #[test]
    fn rfc3986_2_1_encoded_and_back() {
        let text = "a-b_c.d~e /%\"<é€";
        let encoded = percent_encode(text, is_unreserved);
        assert_eq!(encoded, "a-b_c.d~e%20%2F%25%22%3C%C3%A9%E2%82%AC");
        assert_eq!(percent_decode(&encoded).as_deref(), Some(text));
    }

    #[test]
    fn rfc3986_5_2_4_dot_segments() {
        for (path, joined, has_slash) in [
            ("", Some(""), true),
            (".", Some(""), true),
            ("./", Some(""), true),
            ("%2e", Some(""), true),
            ("./a", Some("a"), false),
            ("%2E/./a", Some("a"), false),
            ("a", Some("a"), false),
            ("a/", Some("a"), true),
            ("a/.", Some("a"), true),
            ("a/%2e/", Some("a"), true),
            ("a/./b", Some("a/b"), false),
            ("./.well-known/a", Some(".well-known/a"), false),
            ("a/./.well-known/b", None, false),
            ("./.git", None, false),
            (".//a", None, false),
            ("a/.//", None, false),
            ("/.", None, false),
            ("a/..", None, false),
            ("a/../a", None, false),
            ("./..", None, false),
            ("...", None, false),
            ("%252e/a", Some("%2e/a"), false),
        ] {
            let got = FilePath::parse(path);
            let got = got.map(|path| (path.names.join("/"), path.has_slash));
            let expected = joined.map(|joined| (joined.to_owned(), has_slash));
            assert_eq!(got, expected, "{path}");
        }
    }

    #[test]
    fn only_plain_names_lead_into_a_directory() {
        for (path, names) in [
            ("", Some(vec![])),
            ("/", None),
            ("a//", None),
            ("a", Some(vec!["a"])),
            ("a/b.txt", Some(vec!["a", "b.txt"])),
            ("a/", Some(vec!["a"])),
            ("a%20b", Some(vec!["a b"])),
            ("%252e%252e/x", Some(vec!["%2e%2e", "x"])),
            (".well-known/acme", Some(vec![".well-known", "acme"])),
            ("a/.well-known/acme", None),
            ("com", Some(vec!["com"])),
            ("console", Some(vec!["console"])),
            ("com10", Some(vec!["com10"])),
            ("..", None),
            ("a/../b", None),
            ("%2e%2e/x", None),
            (".%2e", None),
            ("a%2fb", None),
            ("a%5cb", None),
            ("a%00", None),
            ("a%0a", None),
            ("/a", None),
            ("a//b", None),
            (".git/config", None),
            (".env", None),
            ("c:", None),
            ("a:stream", None),
            ("a.", None),
            ("a%20", None),
            ("nul", None),
            ("NUL.txt", None),
            ("COM1.log", None),
            ("lpt9", None),
            ("com%C2%B9", None),
            ("CONIN$", None),
            ("%ff", None),
            ("%c0%ae%c0%ae", None),
        ] {
            let got = FilePath::parse(path);
            let got = got
                .as_ref()
                .map(|path| path.names.iter().map(|n| &**n).collect());
            assert_eq!(got, names, "{path}");
        }
    }
}
