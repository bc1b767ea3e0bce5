//! Dotfiles, directories and methods.

use akurai_http::Router;
use akurai_tests::{TempDir, TestServer};

use super::{BUILT_IN, DIR, SECRET, SINGLE, Site, ask, assert_no_secret, assert_not_found, values};

#[test]
fn files_02_dotfiles_are_404_well_known_aside() {
    let site = Site::filled(|outer| {
        for name in [
            ".hidden",
            ".htpasswd",
            ".git/config",
            "sub/.env",
            "sub/.git/config",
            "sub/...",
            ".well-known/.hidden",
            ".well-known/.dir/x",
            ".well-known2/x",
            ".Well-Known/x",
            "..well-known/x",
        ] {
            outer.write(format!("root/{name}"), SECRET);
        }
        outer.write("root/.well-known/security.txt", "Contact: us");
        outer.write("root/.well-known/acme-challenge/token", "token");
        outer.write("root/dot.in.the.middle", "fine");
    });
    let mut client = site.connect();
    for path in [
        ".hidden",
        "%2ehidden",
        "%2Ehidden",
        ".htpasswd",
        ".git/config",
        "%2egit/config",
        ".git",
        ".git/",
        "sub/.env",
        "sub/%2eenv",
        "sub/.git/config",
        "sub/...",
        ".well-known/.hidden",
        ".well-known/%2ehidden",
        ".well-known/.dir/x",
        ".well-known2/x",
        ".Well-Known/x",
        "..well-known/x",
        ".absent",
    ] {
        let target = format!("{DIR}{path}");
        assert_not_found(&ask(&mut client, "GET", &target, &[]), &target);
    }
    for (path, text) in [
        (".well-known/security.txt", "Contact: us"),
        ("%2ewell-known/security.txt", "Contact: us"),
        (".well-known/acme-challenge/token", "token"),
        ("dot.in.the.middle", "fine"),
    ] {
        let answer = ask(&mut client, "GET", &format!("{DIR}{path}"), &[]);
        assert_eq!((answer.status, answer.text()), (200, text), "{path}");
    }
}

#[test]
fn files_02_a_directory_without_slash_is_redirected() {
    let site = Site::filled(|outer| {
        for name in [
            "two words",
            "\u{fc}ber",
            #[cfg(not(windows))]
            "a?b#c",
            "a%2fb",
            #[cfg(not(windows))]
            "a\"<b>",
            #[cfg(not(windows))]
            "line\r\nX-Evil: 1",
        ] {
            outer.write(format!("root/{name}/index.html"), name);
        }
    });
    let mut client = site.connect();
    for (path, location) in [
        ("/files", "/files/"),
        ("/files?", "/files/?"),
        ("/files?a=b&c=%2F/../?d", "/files/?a=b&c=%2F/../?d"),
        ("/files/sub", "/files/sub/"),
        ("/files/sub?x=/y", "/files/sub/?x=/y"),
        ("/files/s%75b?x", "/files/sub/?x"),
        ("/files/bare", "/files/bare/"),
        ("/files/two%20words", "/files/two%20words/"),
        ("/files/%C3%BCber?q", "/files/%C3%BCber/?q"),
        #[cfg(not(windows))]
        ("/files/a%3Fb%23c?q", "/files/a%3Fb%23c/?q"),
        ("/files/a%252fb", "/files/a%252fb/"),
        #[cfg(not(windows))]
        ("/files/a%22%3Cb%3E", "/files/a%22%3Cb%3E/"),
        ("/built", "/built/"),
        ("/built?a=b", "/built/?a=b"),
        ("/built/sub", "/built/sub/"),
        ("/built/sub?a=b", "/built/sub/?a=b"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = ask(&mut client, method, path, &[("If-None-Match", "*")]);
            assert_eq!(answer.status, 301, "{method} {path}");
            let given = answer.header("location").expect("a Location");
            // For a client, an encoded octet of the unreserved set equals the octet itself.
            let same = given == location || given.replace("s%75b", "sub") == location;
            // An empty query equals no query.
            let same = same || format!("{given}?") == location;
            assert!(same, "{method} {path}: {given}");
            assert_eq!(
                values(&answer, ["etag", "last-modified"]),
                [None, None],
                "{path}"
            );
        }
    }
    // This name would end the field line.
    let answer = ask(&mut client, "GET", "/files/line%0d%0aX-Evil:%201", &[]);
    assert!(matches!(answer.status, 301 | 400 | 404), "{answer:?}");
    assert_eq!(answer.header("x-evil"), None);
    assert_no_secret(&answer, "a name with CR LF");
}

#[test]
fn files_02_a_redirect_knows_the_whole_path() {
    let dir = TempDir::new();
    dir.write("sub/index.html", "sub");
    let inner = Router::new().files("/files", dir.path());
    let outer = Router::new().nest("/api/{version}", inner);
    let server = TestServer::start(outer);
    let mut client = server.connect();
    for (target, location) in [
        ("/api/v1/files", "/api/v1/files/"),
        ("/api/v1/files/sub?a", "/api/v1/files/sub/?a"),
        ("http://t/api/v1/files/sub?a", "/api/v1/files/sub/?a"),
        (
            "http://other.example/api/v%201/files/sub",
            "/api/v%201/files/sub/",
        ),
    ] {
        // A target in absolute form has an authority, and Host repeats it.
        let host = if target.contains("other") {
            "other.example"
        } else {
            "t"
        };
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let answer = client.read_response();
        assert_eq!(
            (answer.status, answer.header("location")),
            (301, Some(location)),
            "{target}"
        );
    }
    let answer = ask(&mut client, "GET", "/api/v1/files/sub/", &[]);
    assert_eq!((answer.status, answer.text()), (200, "sub"));
}

#[test]
fn files_02_no_redirect_leads_to_another_host() {
    let site = |prefix: &str| {
        let dir = TempDir::new();
        dir.write("evil.example/x", "x");
        dir.write("sub/evil.example/x", "x");
        let server = TestServer::start(Router::new().files(prefix, dir.path()));
        (dir, server)
    };
    for prefix in ["/", "/files"] {
        let (_dir, server) = site(prefix);
        let at = prefix.trim_end_matches('/');
        for path in [
            "//evil.example",
            "///evil.example",
            "//evil.example/..",
            "//evil.example/%2e%2e",
            "/%2fevil.example",
            "/%2f%2fevil.example",
            "/\\evil.example",
            "/%5cevil.example",
            "\\evil.example",
            "/%09/evil.example",
            "/%0d%0a/evil.example",
            "//sub",
            "/sub//evil.example",
            "/.//evil.example",
            "/./evil.example",
            "/%2e/%2E/evil.example",
            "/.//%2e/evil.example",
            "/..//evil.example",
            "/sub/..//evil.example",
        ] {
            let target = format!("{at}{path}");
            let answer = ask(&mut server.connect(), "GET", &target, &[]);
            if let Some(location) = answer.header("location") {
                let second = location.as_bytes().get(1);
                assert!(
                    location.starts_with('/') && second.is_some_and(|b| !b"/\\\t".contains(b)),
                    "{target} leads to {location}"
                );
            }
            assert!(
                matches!(answer.status, 301 | 400 | 404),
                "{target}: {answer:?}"
            );
        }
        let answer = ask(
            &mut server.connect(),
            "GET",
            &format!("{at}/evil.example"),
            &[],
        );
        let location = format!("{at}/evil.example/");
        assert_eq!(
            (answer.status, answer.header("location")),
            (301, Some(location.as_str()))
        );
    }
}

#[test]
fn files_02_index_html_answers_for_its_directory() {
    let site = Site::start();
    let mut client = site.connect();
    for way in [DIR, BUILT_IN] {
        for (path, text) in [
            ("", "<title>index</title>"),
            ("?a=b", "<title>index</title>"),
            ("index.html", "<title>index</title>"),
            ("sub/", "<title>sub</title>"),
            ("sub/index.html", "<title>sub</title>"),
        ] {
            let answer = ask(&mut client, "GET", &format!("{way}{path}"), &[]);
            assert_eq!((answer.status, answer.text()), (200, text), "{way}{path}");
            let media_type = answer.header("content-type");
            assert_eq!(media_type, Some("text/html; charset=utf-8"), "{way}{path}");
        }
        // There is no listing unless the program asks for it, and a file is no directory.
        for path in [
            "bare/",
            "bare/?x",
            "letters.txt/",
            "index.html/",
            "sub/index.html/",
        ] {
            let target = format!("{way}{path}");
            assert_not_found(&ask(&mut client, "GET", &target, &[]), &target);
        }
    }
}

#[test]
fn files_02_an_index_html_that_is_no_file_does_not_count() {
    let site = Site::filled(|outer| {
        outer.write("root/odd/index.html/index.html", "too deep");
    });
    let answer = site.get("/files/odd/", &[]);
    assert_not_found(&answer, "a directory named index.html");
    let answer = site.get("/files/odd/index.html/", &[]);
    assert_eq!((answer.status, answer.text()), (200, "too deep"));
}

#[test]
fn files_02_other_methods_are_405() {
    let site = Site::start();
    let mut client = site.connect();
    for way in [DIR, BUILT_IN] {
        for path in ["letters.txt", "", "absent", "sub", ".hidden"] {
            for method in ["POST", "PUT", "DELETE", "PATCH"] {
                let target = format!("{way}{path}");
                let answer = ask(&mut client, method, &target, &[("Content-Length", "0")]);
                assert_eq!(answer.status, 405, "{method} {target}");
                assert_allowed(answer.header("allow"), &format!("{method} {target}"));
            }
        }
        let answer = ask(&mut client, "OPTIONS", &format!("{way}letters.txt"), &[]);
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        assert_allowed(answer.header("allow"), "OPTIONS");
    }
    for path in ["/files", "/built"] {
        let answer = ask(&mut client, "POST", path, &[("Content-Length", "0")]);
        assert_eq!(answer.status, 405, "{path}");
    }
    // The file is unchanged, and the connection still works.
    let answer = ask(&mut client, "GET", "/files/letters.txt", &[]);
    assert_eq!(answer.text(), super::LETTERS);
}

#[track_caller]
fn assert_allowed(allow: Option<&str>, what: &str) {
    let mut methods: Vec<&str> = allow.unwrap_or("").split(',').map(str::trim).collect();
    methods.sort_unstable();
    assert_eq!(methods, ["GET", "HEAD", "OPTIONS"], "{what}");
}

#[test]
fn files_02_head_has_the_fields_of_get_and_no_content() {
    let site = Site::start();
    let mut client = site.connect();
    for way in [DIR, SINGLE, BUILT_IN] {
        for path in [
            "letters.txt",
            "empty.txt",
            "index.html",
            "picture.png",
            "absent",
        ] {
            let target = format!("{way}{path}");
            let get = ask(&mut client, "GET", &target, &[]);
            let head = ask(&mut client, "HEAD", &target, &[]);
            assert_eq!(get.status, head.status, "{target}");
            let without_date = |answer: &akurai_tests::Answer| {
                let mut fields = answer.headers.clone();
                fields.retain(|(name, _)| !name.eq_ignore_ascii_case("date"));
                fields
            };
            assert_eq!(without_date(&get), without_date(&head), "{target}");
            let length = get.body.len().to_string();
            assert_eq!(
                head.header("content-length"),
                Some(length.as_str()),
                "{target}"
            );
        }
    }
}
