//! The fields of a file's answer: its type, what caches may do, downloads (RFC 6266), and fields
//! that the program adds.

use std::time::SystemTime;

use akurai_http::{Files, Response, Router, Status};
use akurai_tests::{Answer, TempDir, TestServer};

use super::{BUILT_IN, DIR, SINGLE, Site, WAYS, ask, tag, values};

#[test]
fn files_08_types_by_extension_and_a_charset_on_text() {
    let cases = [
        ("a.html", "text/html; charset=utf-8"),
        ("a.htm", "text/html; charset=utf-8"),
        ("A.HTML", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.min.js", "text/javascript; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("a.jpeg", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.pdf", "application/pdf"),
        ("a.gz", "application/gzip"),
        ("a.js.gz", "application/gzip"),
        ("a.unknown", "application/octet-stream"),
        ("none", "application/octet-stream"),
        ("html", "application/octet-stream"),
    ];
    let site = Site::filled(|outer| {
        for (name, _) in cases {
            outer.write(format!("root/{name}"), "<script>alert(1)</script>");
        }
    });
    let mut client = site.connect();
    for way in [DIR, SINGLE] {
        for (name, media_type) in cases {
            let answer = ask(&mut client, "GET", &format!("{way}{name}"), &[]);
            let given = answer.header("content-type").expect("a type");
            // A charset on text is harmless where the type itself does not imply text.
            let is_given =
                given == media_type || (name == "a.svg" && given == "image/svg+xml; charset=utf-8");
            assert!(is_given, "{way}{name} is {given}");
            assert_eq!(
                answer.header("x-content-type-options"),
                Some("nosniff"),
                "{name}"
            );
        }
    }
}

#[test]
fn files_08_a_plain_get_in_all_its_fields() {
    let site = Site::start();
    for way in WAYS {
        let answer = site.get(&format!("{way}letters.txt"), &[]);
        let is_dated = way != BUILT_IN;
        let mut expected = vec![
            "accept-ranges",
            "content-length",
            "content-type",
            "date",
            "etag",
        ];
        expected.extend(is_dated.then_some("last-modified"));
        expected.extend(["vary", "x-content-type-options"]);
        let mut names = super::names(&answer);
        names.retain(|name| name != "connection");
        assert_eq!(names, expected, "{way}");
        assert_eq!((answer.status, answer.minor_version), (200, 1));
        assert_eq!(answer.reason, "OK");
    }
}

#[test]
fn files_08_nosniff_on_parts_and_both_ends_of_a_range() {
    let site = Site::start();
    for way in WAYS {
        for range in ["bytes=0-0", "bytes=0-0,2-2", "bytes=-1"] {
            let answer = site.get(&format!("{way}letters.txt"), &[("Range", range)]);
            let nosniff = answer.header("x-content-type-options");
            assert_eq!(
                (answer.status, nosniff),
                (206, Some("nosniff")),
                "{way} {range}"
            );
        }
    }
}

#[test]
fn files_08_cache_control_is_an_option() {
    let fill = |outer: &TempDir| {
        for name in ["assets/app.js", "assets/app.js.gz", "plain.js"] {
            outer.write(format!("root/{name}"), "x");
        }
    };
    const FOREVER: &str = "public, max-age=31536000, immutable";
    let site = Site::configured(fill, |files| {
        files
            .cache_control("public, max-age=60")
            .immutable(|path: &str| path.starts_with("assets/"))
    });
    let mut client = site.connect();
    for (path, expected) in [
        ("/files/plain.js", "public, max-age=60"),
        ("/files/letters.txt", "public, max-age=60"),
        ("/files/", "public, max-age=60"),
        ("/built/letters.txt", "public, max-age=60"),
        ("/files/assets/app.js", FOREVER),
        ("/files/assets/app.js.gz", FOREVER),
        ("/files/%61ssets/app.js?v=2", FOREVER),
    ] {
        for (fields, status) in [
            (&[][..], 200),
            (&[("Accept-Encoding", "gzip")], 200),
            (&[("Range", "bytes=0-0")], 206),
            (&[("If-None-Match", "*")], 304),
        ] {
            let answer = ask(&mut client, "GET", path, fields);
            let given = answer.header("cache-control");
            assert_eq!(
                (answer.status, given),
                (status, Some(expected)),
                "{path} {fields:?}"
            );
        }
    }
    // An absent file may exist tomorrow, and a refusal must not stay in a cache for a year.
    for (path, fields, status) in [
        ("/files/assets/absent.js", &[][..], 404),
        ("/files/absent.js", &[], 404),
        ("/files/assets/app.js", &[("If-Match", "\"x\"")], 412),
        ("/files/assets/app.js", &[("Range", "bytes=9-")], 416),
        (
            "/files/assets/app.js",
            &[("Accept-Encoding", "identity;q=0")],
            406,
        ),
        ("/files/assets", &[], 301),
    ] {
        let answer = ask(&mut client, "GET", path, fields);
        let given = answer.header("cache-control").unwrap_or("");
        assert_eq!(answer.status, status, "{path} {fields:?}");
        assert!(
            !given.contains("immutable") && !given.contains("max-age=60"),
            "{path}: {given}"
        );
    }
    let site = Site::start();
    for way in WAYS {
        let answer = site.get(&format!("{way}letters.txt"), &[]);
        assert_eq!(answer.header("cache-control"), None, "{way}");
    }
}

/// The file may be half written, and a cache would keep that half for a year.
#[test]
fn files_08_what_is_still_being_written_is_not_immutable() {
    let dir = TempDir::new();
    dir.write_at("young.js", "x", SystemTime::now());
    dir.write("settled.js", "x");
    let files = Files::dir(dir.path()).immutable(|_| true);
    let server = TestServer::start(Router::new().files("/files", files));
    let mut client = server.connect();
    for (name, cached) in [
        ("young.js", "no-cache"),
        ("settled.js", "public, max-age=31536000, immutable"),
    ] {
        let answer = ask(&mut client, "GET", &format!("/files/{name}"), &[]);
        assert_eq!(answer.header("cache-control"), Some(cached), "{name}");
    }
}

#[test]
fn files_08_further_fields_stand_on_every_file() {
    let site = Site::configured(
        |_| {},
        |files| {
            files
                .with_header("Cross-Origin-Resource-Policy", "same-origin")
                .with_header("X-Served-By", "akurai")
        },
    );
    let mut client = site.connect();
    for way in [DIR, BUILT_IN] {
        for (method, path, fields) in [
            ("GET", "letters.txt", &[][..]),
            ("HEAD", "letters.txt", &[]),
            ("GET", "", &[]),
            ("GET", "letters.txt", &[("Range", "bytes=0-0")]),
            ("GET", "letters.txt", &[("Range", "bytes=0-0,2-2")]),
            ("GET", "letters.txt", &[("If-None-Match", "*")]),
        ] {
            let answer = ask(&mut client, method, &format!("{way}{path}"), fields);
            assert!(matches!(answer.status, 200 | 206 | 304));
            assert_eq!(
                values(&answer, ["cross-origin-resource-policy", "x-served-by"]),
                [Some("same-origin"), Some("akurai")],
                "{method} {way}{path} {fields:?}"
            );
        }
    }
}

/// The name under which a client saves the file (RFC 6266 §4.3), and whether it may show the file
/// instead.
#[track_caller]
fn download_name(answer: &Answer) -> String {
    let value = answer
        .header("content-disposition")
        .expect("Content-Disposition");
    let mut rest = value.strip_prefix("attachment").expect("a download");
    let (mut plain, mut extended) = (None, None);
    while let Some(parameter) = rest.strip_prefix(';') {
        let (name, after) = parameter.trim_start().split_once('=').expect("a parameter");
        let text;
        (text, rest) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            }
        };
        let seen = match name {
            "filename" => plain.replace(text),
            "filename*" => extended.replace(extended_value(&text)),
            _ => panic!("{value}"),
        };
        assert_eq!(seen, None, "{value}");
    }
    assert_eq!(rest, "", "{value}");
    assert!(value.is_ascii(), "{value}");
    extended.or(plain).expect("a filename")
}

/// Reads a `quoted-string` without its first quote (RFC 9110 §5.6.4), and returns it with the text
/// after it.
fn unquoted(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, &quoted[at + 1..]),
            '\\' => text.push(chars.next().expect("a quoted-pair").1),
            _ => text.push(c),
        }
    }
    panic!("a quoted-string without end: {quoted}");
}

/// `ext-value = charset "'" [ language ] "'" value-chars` (RFC 8187 §3.2.1).
#[track_caller]
fn extended_value(text: &str) -> String {
    let mut rest = text.strip_prefix("UTF-8''").expect(text).bytes();
    let mut bytes = Vec::new();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            let digits = std::str::from_utf8(&digits).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).expect(text));
        } else {
            let is_attr_char = byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte);
            assert!(is_attr_char, "{text}");
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).expect(text)
}

const DOWNLOADS: &[&str] = &[
    "letters.txt",
    "a b.txt",
    "\u{fc}ber.txt",
    "\u{1f600}.txt",
    #[cfg(not(windows))]
    "quo\"te.txt",
    "semi;colon=x.txt",
    "per%41cent.txt",
    "apo'strophe.txt",
    #[cfg(not(windows))]
    "star*(1).txt",
    "comma,.txt",
    #[cfg(not(windows))]
    "\u{e9}\"\u{e9}.txt",
];

#[test]
fn files_08_downloads_keep_their_names() {
    let site = Site::configured(
        |outer| {
            for name in DOWNLOADS {
                outer.write(format!("root/{name}"), "x");
            }
        },
        Files::attachments,
    );
    let mut client = site.connect();
    for name in DOWNLOADS {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for (fields, status) in [(&[][..], 200), (&[("Range", "bytes=0-0")], 206)] {
            let answer = ask(&mut client, "GET", &format!("/files/{encoded}"), fields);
            assert_eq!(
                (answer.status, download_name(&answer)),
                (status, (*name).to_owned())
            );
        }
    }
    for (path, name) in [
        ("/files/sub/leaf.txt", "leaf.txt"),
        ("/built/letters.txt", "letters.txt"),
    ] {
        let answer = ask(&mut client, "GET", path, &[]);
        assert_eq!(download_name(&answer), name);
        let media_type = answer.header("content-type");
        assert_eq!(media_type, Some("text/plain; charset=utf-8"), "{path}");
    }
    let site = Site::start();
    for way in WAYS {
        let answer = site.get(&format!("{way}letters.txt"), &[]);
        assert_eq!(answer.header("content-disposition"), None, "{way}");
    }
}

#[test]
fn files_08_any_response_may_be_a_download() {
    let dir = TempDir::new();
    let path = dir.write("data", "0123456789");
    for name in DOWNLOADS {
        let path = path.clone();
        let app = Router::new()
            .get("/text", |_| Response::text("text").attachment(name))
            .get("/file", move |request| {
                Response::new(Status::OK)
                    .attachment(name)
                    .send_file(request, &path)
            });
        let server = TestServer::start(app);
        let mut client = server.connect();
        for (target, text) in [("/text", "text"), ("/file", "0123456789")] {
            let answer = ask(&mut client, "GET", target, &[]);
            assert_eq!(
                (answer.text(), download_name(&answer)),
                (text, (*name).to_owned())
            );
        }
        let answer = ask(&mut client, "GET", "/file", &[("Range", "bytes=3-4")]);
        assert_eq!((answer.status, answer.text()), (206, "34"));
        assert_eq!(download_name(&answer), *name);
        let fields = [("If-None-Match", &*tag(&answer))];
        assert_eq!(ask(&mut client, "GET", "/file", &fields).status, 304);
    }
}

#[test]
fn files_08_no_name_of_a_download_forges_a_field() {
    for name in [
        "a\r\nX-Evil: 1",
        "a\"; filename=\"evil.exe",
        "a\0b",
        "a\\",
        "a\\\"",
        "\u{7f}",
        "",
    ] {
        let app = Router::new().get("/", |_| Response::text("text").attachment(name));
        let server = TestServer::start(app);
        let answer = ask(&mut server.connect(), "GET", "/", &[]);
        assert_eq!(
            (answer.status, answer.header("x-evil")),
            (200, None),
            "{name:?}"
        );
        let given = answer
            .header("content-disposition")
            .expect("it is a download");
        assert!(given.starts_with("attachment"), "{name:?}: {given}");
        if !name.is_empty() && !name.contains(char::is_control) {
            // On some systems a backslash separates directories, so the client may replace it.
            let saved = download_name(&answer);
            assert!(
                saved == name || saved == name.replace('\\', "_"),
                "{name:?} is saved as {saved:?}"
            );
        }
    }
}
