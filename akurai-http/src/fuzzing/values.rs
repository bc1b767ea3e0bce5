//! Values in a target or a field: paths, queries, cookies.

use std::path::{Component, Path};

use super::{is_tchar, percent_decoded, trim};
use crate::Cookie;
use crate::codec::path::{self as decoder, FilePath};
use crate::codec::target::{self, Form};
use crate::codec::{cookie as codec, form};

/// A percent-encoded path; also a whole target.
pub fn path(data: &[u8]) {
    check_target(data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    assert_eq!(
        decoder::percent_decode(text).as_deref(),
        decoded(text).as_deref()
    );
    let encoded: String = data.iter().map(|byte| format!("%{byte:02x}")).collect();
    assert_eq!(decoder::percent_decode(&encoded).as_deref(), Some(text));

    let expected: Option<Vec<String>> = match text {
        "" => Some(Vec::new()),
        text => text
            .strip_suffix('/')
            .unwrap_or(text)
            .split('/')
            .map(decoded)
            .filter(|name| name.as_deref() != Some("."))
            .enumerate()
            .map(|(at, name)| {
                let is_shared = |name: &str| at == 0 && name == ".well-known";
                name.filter(|name| is_shared(name) || is_plain(name))
            })
            .collect(),
    };
    let path = FilePath::parse(text);
    let names = path.as_ref().map(|path| &path.names);
    assert_eq!(names.map(Vec::len), expected.as_ref().map(Vec::len));
    if let Some(path) = &path {
        let last = text.rsplit('/').next().and_then(decoded);
        assert_eq!(path.has_slash, matches!(last.as_deref(), Some("" | ".")));
    }
    for (name, expected) in names.into_iter().flatten().zip(expected.iter().flatten()) {
        assert_eq!(name, expected);
        let mut components = Path::new(&**name).components();
        assert!(matches!(components.next(), Some(Component::Normal(only)) if *only == **name));
        assert_eq!(components.next(), None);
    }
}

fn decoded(text: &str) -> Option<String> {
    String::from_utf8(percent_decoded(text.as_bytes(), || None)?).ok()
}

fn is_plain(name: &str) -> bool {
    const DEVICES: [&str; 30] = [
        "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8",
        "com9", "com¹", "com²", "com³", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7",
        "lpt8", "lpt9", "lpt¹", "lpt²", "lpt³", "conin$", "conout$",
    ];
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let is_odd = |c: char| c < ' ' || c == '\x7f' || "/\\:".contains(c);
    !(name.is_empty()
        || name.starts_with('.')
        || name.ends_with('.')
        || name.ends_with(' ')
        || name.contains(is_odd)
        // There it may be the short name of another file.
        || cfg!(windows) && name.contains('~')
        || DEVICES.contains(&&*stem.to_ascii_lowercase()))
}

fn check_target(data: &[u8]) {
    if target::is_authority_form(data) {
        assert!(target::is_host(data) && target::parse(data, false).is_err());
    }
    let parsed = target::parse(data, false);
    match (&parsed, target::parse(data, true)) {
        (Err(_), Ok(asterisk)) => assert!(data == b"*" && asterisk.form == Form::Asterisk),
        (_, as_options) => assert_eq!(parsed, as_options),
    }
    let Ok(parsed) = parsed else { return };
    let path = std::str::from_utf8(&data[parsed.path]).expect("a target is ASCII");
    assert!(path.starts_with('/') || (path.is_empty() && parsed.form == Form::Absolute));
    assert!(!path.contains('\\'));
    assert!(
        percent_decoded(path.as_bytes(), || None).is_some(),
        "every triplet of the path is whole"
    );
    let _ = FilePath::parse(path);
}

/// A query, or a urlencoded form.
pub fn query(data: &[u8]) {
    let pairs: Vec<_> = form::pairs(data).collect();
    let text = |encoded: &[u8]| {
        let spaced: Vec<u8> = encoded
            .iter()
            .map(|&b| if b == b'+' { b' ' } else { b })
            .collect();
        let bytes = percent_decoded(&spaced, || Some(b'%')).expect("a percent sign stays");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let expected: Vec<_> = data
        .split(|&byte| byte == b'&')
        .filter(|sequence| !sequence.is_empty())
        .map(|sequence| {
            let mut halves = sequence.splitn(2, |&byte| byte == b'=');
            let name = halves.next().map(text).unwrap_or_default();
            (name, halves.next().map(text).unwrap_or_default())
        })
        .collect();
    assert_eq!(pairs, expected);

    let encoded = |text: &str| -> String { text.bytes().map(|b| format!("%{b:02X}")).collect() };
    let written: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    let again: Vec<_> = form::pairs(written.join("&").as_bytes()).collect();
    assert_eq!(again, pairs, "decode∘encode");
}

/// A `Cookie` field's value; also a name and value to set.
pub fn cookie(data: &[u8]) {
    let pairs: Vec<_> = codec::pairs(data).collect();
    let expected: Vec<_> = data
        .split(|&byte| byte == b';')
        .filter_map(cookie_pair)
        .collect();
    let as_bytes =
        |(name, value): &(&'_ str, &'_ str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    assert_eq!(pairs.iter().map(as_bytes).collect::<Vec<_>>(), expected);

    let written: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    let written = written.join("; ");
    assert_eq!(codec::pairs(written.as_bytes()).collect::<Vec<_>>(), pairs);

    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (name, value) = text.split_once('=').unwrap_or(("name", text));
    check_set(name, value);
    for is_taken in [codec::is_path_value(text), codec::is_domain_value(text)] {
        assert!(
            !is_taken
                || text
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b';')
        );
    }
}

fn cookie_pair(pair: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let pair = trim(pair);
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    let (name, mut value) = (&pair[..equals], &pair[equals + 1..]);
    if value.len() >= 2 && value.starts_with(b"\"") && value.ends_with(b"\"") {
        value = &value[1..value.len() - 1];
    }
    let is_name = !name.is_empty() && name.iter().all(|&byte| is_tchar(byte));
    let is_value = value
        .iter()
        .all(|byte| (b' '..=b'~').contains(byte) && !b"\"\\".contains(byte));
    (is_name && is_value).then(|| (name.to_vec(), value.to_vec()))
}

// A cookie that was set can be sent, is one pair, and comes back unchanged.
fn check_set(name: &str, value: &str) {
    let Ok(cookie) = Cookie::try_new(name, value) else {
        return;
    };
    let field_value = cookie.to_string();
    assert!(
        field_value
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte))
    );
    let (sent_back, attributes) = field_value.split_once("; ").expect("it has attributes");
    let pairs: Vec<_> = codec::pairs(sent_back.as_bytes()).collect();
    assert_eq!(pairs, [(name, value)]);
    assert!(attributes.starts_with("Path=/"));
}
