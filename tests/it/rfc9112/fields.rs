//! Field lines (RFC 9112 §5, RFC 9110 §5).

use crate::feeds::{all_refused, all_served, all_served_then_closed, served};
use crate::mirror::{Mirror, hex};

/// A GET with a Host and then these field lines, each of which includes its line end.
fn with(fields: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\nHost: t\r\n", fields.as_ref(), b"\r\n"].concat()
}

/// A GET with only these field lines.
fn only(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\n{fields}\r\n")
}

const TCHAR: &[u8] = b"!#$%&'*+-.^_`|~";

#[test]
fn http_08_line_ends_and_folds() {
    let mirror = Mirror::start();
    all_refused(
        &mirror,
        400,
        [
            "GET / HTTP/1.1\nHost: t\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: t\n\r\n",
            "GET / HTTP/1.1\r\nHost: t\nX-A: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: t\r\n\n",
            "GET / HTTP/1.1\nHost: t\n\n",
            "GET / HTTP/1.1\r\nHost: t\r\nX-A: b\n\n",
            "GET / HTTP/1.1\rHost: t\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: t\rX-A: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: t\r\nX-A: b\r\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: t\r\nX-A: b\r\n\r\r\n",
            "GET / HTTP/1.1\r\r\nHost: t\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: t\r\nX-A: b\r\n c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: t\r\nX-A: b\r\n\tc\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: t\r\nX-A: b\r\n \r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n t\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: t\r\n\r\n",
            "GET / HTTP/1.1\r\n\tHost: t\r\n\r\n",
            "GET / HTTP/1.1\r\n \r\nHost: t\r\n\r\n",
            "GET / HTTP/1.1\r\n X: y\r\nHost: t\r\n\r\n",
        ],
    );
    all_served(&mirror, ["GET / HTTP/1.1\r\nHost: t\r\nX-A: b\r\n\r\n"]);
}

#[test]
fn http_08_names() {
    let mirror = Mirror::start();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for byte in 0..=255u8 {
        let line = [b"X", &[byte][..], b"A: b\r\n"].concat();
        match byte {
            // A colon ends the name earlier.
            b':' => good.push(line),
            _ if byte.is_ascii_alphanumeric() || TCHAR.contains(&byte) => good.push(line),
            _ => bad.push(line),
        }
    }
    assert_eq!(good.len(), 62 + 15 + 1);
    all_refused(&mirror, 400, bad.iter().map(with));
    all_served(&mirror, good.iter().map(with));
    all_refused(
        &mirror,
        400,
        [
            "X-A : b\r\n",
            "X-A\t: b\r\n",
            ": b\r\n",
            ":\r\n",
            "X-A\r\n",
            "X-A b\r\n",
            "=\r\n",
            "\u{e9}: b\r\n",
        ]
        .map(with),
    );
}

#[test]
fn http_08_values() {
    let mirror = Mirror::start();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for byte in 0..=255u8 {
        for around in [(&b"a"[..], &b"c"[..]), (b"", b""), (b"", b"c"), (b"a", b"")] {
            let line = [b"X-V: ", around.0, &[byte][..], around.1, b"\r\n"].concat();
            match byte {
                b'\t' | 0x20..=0x7e | 0x80.. => good.push(line),
                _ => bad.push(line),
            }
        }
    }
    all_refused(&mirror, 400, bad.iter().map(with));
    all_served(&mirror, good.iter().map(with));
}

#[test]
fn http_09_values_are_kept_as_bytes() {
    let mirror = Mirror::start();
    let every: Vec<u8> = (0x80..=0xff).collect();
    for (written, kept) in [
        (&b"a"[..], &b"a"[..]),
        (b"", b""),
        (b" \t \t", b""),
        (b" \t a \t ", b"a"),
        (b" a \t b ", b"a \t b"),
        (b" \x85a\xa0 ", b"\x85a\xa0"),
        (b"\xc2\xa0a\xc2\x85", b"\xc2\xa0a\xc2\x85"),
        (b"caf\xe9", b"caf\xe9"),
        (
            "\u{2003}é\u{3000}".as_bytes(),
            "\u{2003}é\u{3000}".as_bytes(),
        ),
        (&every, &every),
        (b"a: b, \"c\"; d=e", b"a: b, \"c\"; d=e"),
    ] {
        let answer = served(&mirror, with([b"X-V:", written, b"\r\n"].concat()));
        assert_eq!(
            answer.header("x-v"),
            Some(hex(kept).as_str()),
            "{}",
            written.escape_ascii()
        );
    }
    // VT and FF are not white space that is trimmed. The server refuses them as controls.
    all_refused(
        &mirror,
        400,
        ["X-V: \u{b}a\r\n", "X-V: a\u{c}\r\n", "X-V:\u{b}\r\n"].map(with),
    );
    // An underscore never equals a hyphen.
    assert_eq!(served(&mirror, with("X_V: a\r\n")).header("x-v"), None);
    assert_eq!(
        served(&mirror, with("x-v: a\r\n")).header("x-v"),
        Some("61")
    );
    assert_eq!(
        served(&mirror, with("X-V: a\r\nX-V: b\r\n")).header("x-fields"),
        Some("3")
    );
}

#[test]
fn http_10_too_many_fields() {
    let mirror = Mirror::start();
    // Host is one of the 100.
    let of = |count: usize| with("X-A: b\r\n".repeat(count - 1));
    assert_eq!(served(&mirror, of(100)).header("x-fields"), Some("100"));
    all_refused(&mirror, 431, [of(101), of(102), of(300)]);
}

#[test]
fn http_10_too_large_a_section() {
    let mirror = Mirror::start();
    let of = |sizes: &[usize]| -> Vec<u8> {
        let lines = sizes
            .iter()
            .map(|size| format!("X-A: {}\r\n", "b".repeat(*size)));
        with(lines.collect::<String>())
    };
    all_served(&mirror, [of(&[32_000]), of(&[8000, 8000, 8000, 8000])]);
    all_refused(
        &mirror,
        431,
        [of(&[32_768]), of(&[8000, 8000, 8000, 8000, 8000])],
    );
    // The server refuses a line or name that is too long before its end.
    all_refused(
        &mirror,
        431,
        [
            format!("GET / HTTP/1.1\r\nHost: t\r\nX-A: {}", "b".repeat(40_000)),
            format!("GET / HTTP/1.1\r\nHost: t\r\n{}", "X".repeat(40_000)),
        ],
    );
}

#[test]
fn http_11_host() {
    let mirror = Mirror::start();
    all_refused(
        &mirror,
        400,
        [
            "",
            "X-A: b\r\n",
            "Host: t\r\nHost: t\r\n",
            "Host: t\r\nHost: u\r\n",
            "Host: t\r\nX-A: b\r\nhOST: t\r\n",
            "Host: t\r\nHost:\r\n",
            "Host:\r\nHost: t\r\n",
            "Host:\r\n",
            "Host: \t\r\n",
            "Host: :80\r\n",
            "Host: u@t\r\n",
            "Host: u:p@t\r\n",
            "Host: @t\r\n",
            "Host: t/\r\n",
            "Host: t/path\r\n",
            "Host: /\r\n",
            "Host: http://t\r\n",
            "Host: t, u\r\n",
            "Host: t,t\r\n",
            "Host: t,\r\n",
            "Host: t:x\r\n",
            "Host: t:80x\r\n",
            "Host: t:+80\r\n",
            "Host: t:-80\r\n",
            "Host: t: 80\r\n",
            "Host: t:65536\r\n",
            "Host: t:99999999999999999999\r\n",
            "Host: t:80:80\r\n",
            "Host: t u\r\n",
            "Host: t?q\r\n",
            "Host: t#f\r\n",
            "Host: t\\u\r\n",
            "Host: \"t\"\r\n",
            "Host: <t>\r\n",
            "Host: [::1\r\n",
            "Host: ::1\r\n",
            "Host: [::1]x\r\n",
            "Host: [::g]\r\n",
            "Host: []\r\n",
            "Host: t%\r\n",
            "Host: t%zz\r\n",
        ]
        .map(only),
    );
    for host in [
        "t",
        "t:80",
        "t:65535",
        "example.org",
        "127.0.0.1:8090",
        "[::1]",
        "[::1]:80",
        "a_b",
        "xn--bcher-kva.example",
    ] {
        let answer = served(&mirror, only(&format!("Host: {host}\r\n")));
        assert_eq!(answer.header("x-authority"), Some(host));
    }
    served(&mirror, only("hOsT: t\r\n"));
    all_served_then_closed(
        &mirror,
        [
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: t\r\n\r\n",
        ],
    );
    // RFC 9112 §3.2 demands this for a request of any version.
    all_refused(
        &mirror,
        400,
        [
            "GET / HTTP/1.0\r\nHost: t\r\nHost: t\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: t,u\r\n\r\n",
        ],
    );
}

#[test]
fn http_12_content_types_that_differ() {
    let mirror = Mirror::start();
    let post = |fields: &str| {
        format!("POST / HTTP/1.1\r\nHost: t\r\n{fields}Content-Length: 2\r\n\r\n{{}}")
    };
    all_refused(
        &mirror,
        400,
        [
            "Content-Type: text/plain\r\nContent-Type: application/json\r\n",
            "Content-Type: text/plain\r\nX-A: b\r\ncontent-type: text/html\r\n",
            "Content-Type: text/plain\r\nContent-Type:\r\n",
        ]
        .map(post),
    );
    all_served(
        &mirror,
        ["", "Content-Type: application/json\r\n"].map(post),
    );
}
