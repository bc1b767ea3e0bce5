//! The fallback of an application that routes in the browser.

use std::panic::{AssertUnwindSafe, catch_unwind};

use akurai_http::{Files, Response, Router};
use akurai_tests::{TempDir, TestServer};

use super::{BUILT_IN, DIR, SECRET, Site, ask, assert_not_found, assert_refused, tag, values};

const HTML: (&str, &str) = ("Accept", "text/html");
const INDEX: &str = "<title>index</title>";

fn start() -> Site {
    Site::configured(
        |outer| {
            outer.write("root/.hidden", SECRET);
            outer.write("root/.git/config", SECRET);
            outer.write("secret.txt", SECRET);
        },
        |files| {
            files
                .fallback("index.html")
                .cache_control("public, max-age=60")
        },
    )
}

#[test]
fn files_07_a_route_gets_the_fallback() {
    let site = start();
    let mut client = site.connect();
    for way in [DIR, BUILT_IN] {
        for path in [
            "route",
            "deep/er/route",
            "v1.2/route",
            "a%20b",
            "route?x=y.z",
            "sub/route",
            "%C3%BC",
        ] {
            let target = format!("{way}{path}");
            let answer = ask(&mut client, "GET", &target, &[HTML]);
            assert_eq!((answer.status, answer.text()), (200, INDEX), "{target}");
            assert_eq!(
                values(
                    &answer,
                    ["content-type", "cache-control", "x-content-type-options"]
                ),
                [
                    Some("text/html; charset=utf-8"),
                    Some("no-cache"),
                    Some("nosniff")
                ],
                "{target}"
            );
            let head = ask(&mut client, "HEAD", &target, &[HTML]);
            assert_eq!(
                (
                    head.status,
                    values(&head, ["content-length", "cache-control"])
                ),
                (200, [Some("20"), Some("no-cache")]),
                "{target}"
            );
            let fields = [HTML, ("If-None-Match", &tag(&answer))];
            let again = ask(&mut client, "GET", &target, &fields);
            assert_eq!(
                (again.status, again.header("cache-control")),
                (304, Some("no-cache"))
            );
        }
    }
}

#[test]
fn files_07_accept_must_list_html() {
    let site = start();
    let mut client = site.connect();
    for way in [DIR, BUILT_IN] {
        for (accept, status) in [
            (&["text/html"][..], 200),
            (
                &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
                200,
            ),
            (&["TEXT/HTML"], 200),
            (&["application/json, text/html;q=0.001"], 200),
            (&["application/json , text/html ; q=0.5"], 200),
            (&["application/json", "text/html"], 200),
            (&[], 404),
            (&[""], 404),
            (&["*/*"], 404),
            (&["application/json;q=0.9, text/plain"], 404),
            (&["text/plain, image/*"], 404),
            (&["text/html;q=0"], 404),
            (&["text/html;q=0.000, */*"], 404),
            (&["text/html5"], 404),
            (&["application/text/html"], 404),
            (&["text/htm"], 404),
        ] {
            let fields: Vec<_> = accept.iter().map(|value| ("Accept", *value)).collect();
            let answer = ask(&mut client, "GET", &format!("{way}route"), &fields);
            assert_eq!(answer.status, status, "{way} {accept:?}");
            if status == 404 {
                assert_not_found(&answer, way);
            }
        }
    }
}

#[test]
fn files_07_what_looks_like_a_file_stays_404() {
    let site = start();
    for way in [DIR, BUILT_IN] {
        for path in [
            "absent.js",
            "absent.html",
            "route/absent.png",
            "a.",
            "letters.txt/",
            ".hidden",
            ".absent",
            ".git/config",
            ".git",
            "route/.env",
            "%2ehidden",
            "..",
            "../secret",
            "%2e%2e/secret",
            "a%2fb",
            "a%5cb",
            "a%00",
            "%ff",
            "con",
            "a:b",
        ] {
            let target = format!("{way}{path}");
            let answer = ask(&mut site.connect(), "GET", &target, &[HTML]);
            assert_refused(&answer, &target);
        }
    }
}

#[test]
fn files_07_what_is_there_stays_what_it_is() {
    let site = start();
    let mut client = site.connect();
    for way in [DIR, BUILT_IN] {
        for (path, text) in [
            ("letters.txt", super::LETTERS),
            ("sub/", "<title>sub</title>"),
            ("index.html", INDEX),
            ("", INDEX),
        ] {
            let answer = ask(&mut client, "GET", &format!("{way}{path}"), &[HTML]);
            assert_eq!((answer.status, answer.text()), (200, text), "{way}{path}");
            let cached = answer.header("cache-control");
            assert_eq!(cached, Some("public, max-age=60"), "{way}{path}");
        }
        let answer = ask(&mut client, "GET", &format!("{way}sub?x"), &[HTML]);
        assert_eq!(answer.status, 301, "{way}");
        for method in ["POST", "PUT", "DELETE"] {
            let fields = [HTML, ("Content-Length", "0")];
            let answer = ask(&mut client, method, &format!("{way}route"), &fields);
            assert_eq!(answer.status, 405, "{method} {way}");
        }
    }
}

#[test]
fn files_07_other_routes_go_before_it() {
    let dir = TempDir::new();
    dir.write("index.html", INDEX);
    let app = Router::new()
        .get("/api/users", |_| Response::text("users"))
        .files("/", Files::dir(dir.path()).fallback("index.html"));
    let server = TestServer::start(app);
    let mut client = server.connect();
    for (path, text) in [
        ("/api/users", "users"),
        ("/users", INDEX),
        ("/", INDEX),
        ("/a/b/c", INDEX),
    ] {
        let answer = ask(&mut client, "GET", path, &[HTML]);
        assert_eq!((answer.status, answer.text()), (200, text), "{path}");
    }
    assert_not_found(&ask(&mut client, "GET", "/users", &[]), "without Accept");
}

#[test]
fn files_07_a_fallback_lies_inside_the_root() {
    let outer = TempDir::new();
    outer.write("secret.html", SECRET);
    outer.write("root/index.html", INDEX);
    let absolute = outer.join("secret.html").to_str().unwrap().to_owned();
    for name in [
        "../secret.html",
        absolute.as_str(),
        "sub/../../secret.html",
        "./../secret.html",
    ] {
        // The library may refuse the name when it is set, or refuse each request.
        let files = || Files::dir(outer.join("root")).fallback(name);
        let built = catch_unwind(AssertUnwindSafe(|| Router::new().files("/files", files())));
        if let Ok(app) = built {
            let server = TestServer::start(app);
            let answer = ask(&mut server.connect(), "GET", "/files/route", &[HTML]);
            assert_refused(&answer, name);
        }
    }
}

#[test]
fn files_07_the_default_is_no_fallback() {
    let site = Site::start();
    for way in [DIR, BUILT_IN] {
        let target = format!("{way}route");
        assert_not_found(&site.get(&target, &[HTML]), &target);
    }
}
