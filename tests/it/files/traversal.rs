//! Every way to write a path that leads out of the root, requested one by one.

use akurai_http::{Files, Router};
use akurai_tests::{Client, ReadError, TempDir, TestServer};

use super::{CONTENT, SECRET, assert_no_secret, request};

/// `..`, in each form that some decoder once accepted.
const UP: &[&str] = &[
    "..",
    "%2e%2e",
    "%2E.",
    ".%2e",
    // Twice encoded, and in mixed depth.
    "%252e%252e",
    "%252e.",
    "%25%32%65%25%32%65",
    "%2%65%2%65",
    // Overlong UTF-8 of two, three and four bytes.
    "%c0%ae%c0%ae",
    "%e0%80%ae%e0%80%ae",
    "%f0%80%80%ae%f0%80%80%ae",
    "%c0%2e%c0%2e",
    // IIS's own form, and characters that look like dots.
    "%u002e%u002e",
    "%uff0e%uff0e",
    "%ef%bc%8e%ef%bc%8e",
    "%e2%80%a5",
    // Cut short by NUL, with extra characters, or more than two dots.
    "..%00",
    "%00..",
    ".%00.",
    "..%20",
    "%20..",
    "..%09",
    "..;",
    "..;a=b",
    "....",
    "...",
    ".%0d.",
    "..%2e",
    "..%c0%80",
];

/// `/`, in similar forms.
const SLASH: &[&str] = &[
    "/",
    "//",
    "/./",
    "/%2e/",
    "%2f",
    "%2F",
    "%5c",
    "\\",
    "/\\",
    "%252f",
    "%255c",
    "%25%32%66",
    "%c0%af",
    "%e0%80%af",
    "%c1%9c",
    "%u2215",
    "%ef%bc%8f",
    "%00/",
    "/%00/",
    "%2f/",
];

/// Text that may stand before it.
const BEFORE: &[&str] = &[
    "",
    "sub/",
    "sub%2f",
    "/",
    "%2f",
    "%5c",
    "absent/",
    "letters.txt/",
];

/// Beginnings of absolute paths, which stand before the secret's path.
const ABSOLUTE: &[&str] = &[
    "",
    "/",
    "//",
    "%2f",
    "%2F%2f",
    "%252f",
    "\\",
    "%5c",
    "C:",
    "C:/",
    "c%3a/",
    "C%3A%5C",
    "C:\\",
    "/C:/",
    "C|/",
    "\\\\?\\",
    "%5c%5c%3f%5c",
    "%5c%5c.%5cC:",
    "\\\\127.0.0.1\\",
    "file:",
    "file:///",
    "file:%2f%2f",
    "~/",
    "~root/",
    "sub//",
    "sub/%2f",
];

struct Sweep {
    _outer: TempDir,
    server: TestServer,
    client: Client,
    asked: usize,
}

impl Sweep {
    fn start() -> (Sweep, String) {
        let outer = TempDir::new();
        for (name, content) in CONTENT {
            outer.write(format!("root/{name}"), content);
        }
        let secret = outer.write("secret.txt", SECRET);
        outer.write("root/.hidden", SECRET);
        let secret = secret.to_str().expect("it is UTF-8").to_owned();
        let app = Router::new()
            .files("/files", Files::dir(outer.join("root")))
            .files("/built", Files::embedded(CONTENT));
        let server = TestServer::start(app);
        let client = server.connect();
        let sweep = Sweep {
            _outer: outer,
            server,
            client,
            asked: 0,
        };
        (sweep, secret)
    }

    /// Requests `targets`, several at once, and asserts that the server gives no file for any of
    /// them.
    #[track_caller]
    fn refused(&mut self, targets: &[String]) {
        self.send(targets);
        for (n, target) in targets.iter().enumerate() {
            let answer = match self.client.try_read_response(false) {
                // An invalid request ends its connection; the test sends the others on a new one.
                Err(ReadError::Ended(_, rest)) if rest.is_empty() => {
                    self.client = self.server.connect();
                    self.send(&targets[n..]);
                    self.client.read_response()
                }
                answer => answer.unwrap_or_else(|error| panic!("{target}: {error}")),
            };
            assert!(matches!(answer.status, 400 | 404), "{target}: {answer:?}");
            assert_no_secret(&answer, target);
            self.asked += 1;
        }
    }

    fn send(&mut self, targets: &[String]) {
        let requests: String = targets
            .iter()
            .map(|target| request("GET", target, &[]))
            .collect();
        // The server may have closed the connection after the last answer.
        let _ = self.client.try_send(&requests);
    }
}

#[test]
fn files_01_no_encoding_of_a_traversal_leads_out() {
    let (mut sweep, _) = Sweep::start();
    for up in UP {
        for slash in SLASH {
            for before in BEFORE {
                // From the root one step up; from a directory in the root two steps.
                let targets: Vec<String> = [1, 2]
                    .map(|steps| format!("{up}{slash}").repeat(steps))
                    .iter()
                    .flat_map(|ups| {
                        let path = format!("{before}{ups}");
                        [
                            format!("/files/{path}secret.txt"),
                            format!("/built/{path}secret.txt"),
                        ]
                    })
                    .collect();
                sweep.refused(&targets);
            }
        }
    }
    assert_eq!(sweep.asked, UP.len() * SLASH.len() * BEFORE.len() * 4);
}

#[test]
fn files_01_no_absolute_path_leads_out() {
    let (mut sweep, secret) = Sweep::start();
    let bare = secret.trim_start_matches('/');
    for begin in ABSOLUTE {
        for slash in SLASH {
            let path = bare.replace('/', slash);
            sweep.refused(&[
                format!("/files/{begin}{path}"),
                format!("/built/{begin}{path}"),
            ]);
            sweep.refused(&[format!("/files{begin}{slash}{path}")]);
        }
    }
    for path in [
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        "\\windows\\win.ini",
    ] {
        sweep.refused(&[format!("/files/{path}"), format!("/built/{path}")]);
    }
    // As the whole target, also in absolute form.
    for target in [
        format!("http://t/files/..{secret}"),
        format!("http://t/files/{secret}"),
        "http://t/files/%2e%2e/secret.txt?/../letters.txt".to_owned(),
        "/files/../secret.txt#/letters.txt".to_owned(),
        "/files/..?/secret.txt".to_owned(),
        "/files/x/../../secret.txt".to_owned(),
        "/files/../../files/../secret.txt".to_owned(),
        "/files/.hidden".to_owned(),
        "/x/../files/.hidden".to_owned(),
    ] {
        sweep.refused(&[target]);
    }
}
