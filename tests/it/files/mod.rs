//! Static files (RFC 9110 §8.8, §12.5.3, §13, §14; RFC 6266): the answer to each request, for the
//! three ways to serve a file. A test's name has the number of its row:
//!
//! 01 the path · 02 dotfiles, directories, methods · 03 conditions · 04 entity tags · 05 ranges ·
//! 06 sidecars · 07 the fallback · 08 the fields · 09 files that are large or change · 10 a single
//! `Response::file`

mod byteranges;
mod changing;
mod conditions;
mod dates;
mod directories;
mod embedded;
mod fallback;
mod fields;
mod if_range;
mod keeping_alive;
mod listing;
mod negotiation;
mod paths;
mod ranges;
mod ranges_model;
mod sidecars;
mod single;
mod special;
mod swapping;
mod tags;
mod traversal;

use akurai_http::{Files, Request, Response, Router};
use akurai_tests::{Answer, Client, TempDir, TestServer};

/// The prefixes under which a [`Site`] serves the same files: a directory, `Response::file`, and
/// embedded ones.
const DIR: &str = "/files/";
const SINGLE: &str = "/one/";
const BUILT_IN: &str = "/built/";
const WAYS: [&str; 3] = [DIR, SINGLE, BUILT_IN];

/// The content of `letters.txt`.
/// The shortest step of a file's times.
const STEP_NANOS: u64 = if cfg!(windows) { 100 } else { 1 };
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";

/// The files in a [`Site`]'s directory, and embedded in its program.
const CONTENT: &[(&str, &[u8])] = &[
    ("letters.txt", LETTERS.as_bytes()),
    ("empty.txt", b""),
    ("index.html", b"<title>index</title>"),
    ("app.js", b"let plain = 'an application';"),
    ("picture.png", b"\x89PNG\r\n\x1a\n, or so"),
    ("sub/index.html", b"<title>sub</title>"),
    ("sub/leaf.txt", b"leaf"),
    ("bare/leaf.txt", b"bare leaf"),
];

/// Text that no answer may ever contain: it stands in every file that must not be served.
const SECRET: &str = "the-secret-itself";

/// A directory of files from long ago, and a server of them.
struct Site {
    /// The server serves `root` in it.
    outer: TempDir,
    server: TestServer,
}

impl Site {
    /// The files of [`CONTENT`].
    #[track_caller]
    fn start() -> Site {
        Site::filled(|_| {})
    }

    /// The same, plus the files that `fill` writes; it gets the directory above `root`.
    #[track_caller]
    fn filled(fill: impl FnOnce(&TempDir)) -> Site {
        Site::configured(fill, |files| files)
    }

    /// The same, served with the options that `configure` sets.
    #[track_caller]
    fn configured(fill: impl FnOnce(&TempDir), configure: impl Fn(Files) -> Files) -> Site {
        let outer = TempDir::new();
        for (name, content) in CONTENT {
            outer.write(format!("root/{name}"), content);
        }
        fill(&outer);
        let root = outer.join("root");
        let app = Router::new()
            .files("/files", configure(Files::dir(&root)))
            .files("/built", configure(Files::embedded(CONTENT)))
            .get("/one/{*name}", move |request: &Request| {
                Response::file(
                    request,
                    root.join(request.param("name").expect("the pattern has it")),
                )
            });
        Site {
            outer,
            server: TestServer::start(app),
        }
    }

    #[track_caller]
    fn connect(&self) -> Client {
        self.server.connect()
    }

    /// Sends a GET on a new connection.
    #[track_caller]
    fn get(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        ask(&mut self.connect(), "GET", path, fields)
    }
}

/// The text of a request without a body.
fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> String {
    let lines: String = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!("{method} {path} HTTP/1.1\r\nHost: t\r\n{lines}\r\n")
}

/// Sends a request and reads the answer.
#[track_caller]
fn ask(client: &mut Client, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    client.send(request(method, path, fields));
    match method {
        "HEAD" => client.read_response_to_head(),
        _ => client.read_response(),
    }
}

/// The values of these fields, in this order.
fn values<'a, const N: usize>(answer: &'a Answer, names: [&str; N]) -> [Option<&'a str>; N] {
    names.map(|name| answer.header(name))
}

/// The names of an answer's fields, in lower case and sorted.
fn names(answer: &Answer) -> Vec<String> {
    let mut names: Vec<String> = answer
        .headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort();
    names
}

/// The entity tag, which must be there and well-formed: `[ "W/" ] DQUOTE *etagc DQUOTE` (RFC 9110
/// §8.8.3).
#[track_caller]
fn tag(answer: &Answer) -> String {
    let tag = answer.header("etag").expect("there is an ETag");
    let opaque = tag.strip_prefix("W/").unwrap_or(tag);
    let inner = opaque.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    let is_etagc = |byte: u8| byte == 0x21 || (0x23..=0x7e).contains(&byte);
    assert!(inner.is_some_and(|t| t.bytes().all(is_etagc)), "ETag {tag}");
    tag.to_owned()
}

/// Asserts the answer for a refused or missing file, which is the same for both.
#[track_caller]
fn assert_not_found(answer: &Answer, what: &str) {
    assert_eq!(
        (answer.status, answer.text()),
        (404, "not found\n"),
        "{what}"
    );
    assert_eq!(
        values(
            answer,
            ["content-type", "content-length", "etag", "last-modified"]
        ),
        [Some("text/plain; charset=utf-8"), Some("10"), None, None],
        "{what}"
    );
    assert_eq!(
        values(answer, ["content-range", "content-encoding", "location"]),
        [None; 3],
        "{what}"
    );
}

/// Asserts that the server gave no file: 404, or 400 for a target that is no path at all.
#[track_caller]
fn assert_refused(answer: &Answer, what: &str) {
    assert!(matches!(answer.status, 400 | 404), "{what}: {answer:?}");
    assert_no_secret(answer, what);
}

#[track_caller]
fn assert_no_secret(answer: &Answer, what: &str) {
    let head: String = answer
        .headers
        .iter()
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .collect();
    let body = String::from_utf8_lossy(&answer.body);
    assert!(
        !head.contains(SECRET) && !body.contains(SECRET),
        "{what}: {answer:?}"
    );
}
