//! Parameters and patterns, before and after `next`.

use std::io;
use std::sync::{Arc, Mutex};

use akurai_http::{Files, Limits, Method, Reply, Request, Response, Router};
use akurai_tests::TestServer;

use super::{ask, check, says, shown};

const NAMES: [&str; 3] = ["id", "part", "*"];

fn show(req: &Request) -> Response {
    Response::text(shown(req, &NAMES))
}

/// A router with routes of all kinds. Its outermost middleware notes what it sees before and after
/// `next`.
fn noting() -> (Router, Arc<Mutex<Vec<String>>>) {
    static PAGE: &[(&str, &[u8])] = &[("index.html", b"page")];
    let noted = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&noted);
    let parts = Router::new()
        .get("/", show)
        .get("/parts/{part}", show)
        .wrap(|req, next| {
            let before = shown(req, &NAMES);
            let reply = next(req);
            assert_eq!(shown(req, &NAMES), before);
            reply
        });
    let router = Router::new()
        .get("/", show)
        .get("/users/{id}", show)
        .post("/users/{part}", show)
        .get("/slash/", show)
        .nest("/groups/{id}", parts)
        .nest("/old", |req: &Request| show(req))
        .files("/site", Files::embedded(PAGE))
        .redirect_slashes()
        .fallback(|req, answer| answer.with_body(shown(req, &NAMES)))
        .wrap(move |req, next| {
            let before = shown(req, &NAMES);
            let reply = next(req);
            assert_eq!(shown(req, &NAMES), before);
            notes.lock().expect("no thread panicked").push(before);
            reply
        });
    (router, noted)
}

#[test]
fn middleware_knows_the_pattern_and_the_parameters_before_and_after_next() {
    let (router, noted) = noting();
    let server = TestServer::start(router);
    for (method, path, status, seen) in [
        ("GET", "/", 200, "/ - - -"),
        ("GET", "/users/a%20b", 200, "/users/{id} a b - -"),
        ("HEAD", "/users/7", 200, "/users/{id} 7 - -"),
        ("POST", "/users/7", 200, "/users/{part} - 7 -"),
        // No route has the method: then the names are not known, but the path is.
        ("PUT", "/users/7", 405, "/users/{id} - - -"),
        ("OPTIONS", "/users/7", 204, "/users/{id} - - -"),
        (
            "GET",
            "/groups/7/parts/8",
            200,
            "/groups/{id}/parts/{part} 7 8 -",
        ),
        ("GET", "/groups/7/", 200, "/groups/{id}/ 7 - -"),
        ("GET", "/groups/7", 308, "none - - -"),
        ("GET", "/slash", 308, "none - - -"),
        ("GET", "/old/x/y", 200, "/old/{*} - - x/y"),
        ("GET", "/site/", 200, "/site/{*path} - - -"),
        ("GET", "/site/absent", 404, "/site/{*path} - - -"),
        ("GET", "/site", 301, "/site - - -"),
        ("GET", "/absent", 404, "none - - -"),
        ("PUT", "/absent", 404, "none - - -"),
    ] {
        assert_eq!(ask(&server, method, path).status, status, "{method} {path}");
        let noted = noted.lock().expect("no thread panicked").pop();
        assert_eq!(noted.as_deref(), Some(seen), "{method} {path}");
    }
}

#[test]
fn a_refused_body_is_told_with_the_route_it_was_for() {
    let (router, noted) = noting();
    let limits = Limits::default().max_body_bytes(3);
    let server = TestServer::limited(limits, router);
    let mut client = server.connect();
    client.send("POST /users/7 HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(client.read_response().status, 413);
    let noted = noted.lock().expect("no thread panicked").pop();
    assert_eq!(noted.as_deref(), Some("/users/{part} - 7 -"));
}

#[test]
fn parameters_of_one_request_do_not_reach_the_next() {
    let router = Router::new()
        .get("/a/{id}", show)
        .get("/b", show)
        .get("/c/{part}/{*}", show);
    let server = TestServer::start(router);
    let mut client = server.connect();
    for (path, text) in [
        ("/a/one", "/a/{id} one - -"),
        ("/b", "/b - - -"),
        ("/c/two/3/4", "/c/{part}/{*} - two 3/4"),
        ("/absent", "not found\n"),
        ("/b", "/b - - -"),
    ] {
        assert_eq!(super::ask_on(&mut client, "GET", path, "").text(), text);
    }
}

#[test]
fn middleware_may_pass_on_another_request() {
    let router = Router::new().get("/a/{id}", show).get("/b/{part}", show);
    let router = router.wrap(|req, next| {
        let other = next(&Request::new(Method::Get, "/b/other"));
        assert_eq!(other.response().body(), Some(&b"/b/{part} - other -"[..]));
        let first = next(req);
        let second = next(req);
        assert_eq!(first.response().body(), second.response().body());
        second
    });
    check(router, &[("GET", "/a/7", 200, "/a/{id} 7 - -")]);
}

fn user(req: &Request) -> io::Result<Response> {
    let id: u64 = req.parse_param("id")?;
    Ok(Response::text(format!("user {id}")))
}

#[test]
fn a_parameter_that_does_not_parse_is_404() {
    fn with_reply(req: &Request) -> Result<Response, Reply> {
        let (from, to): (i8, char) = (req.parse_param("from")?, req.parse_param("to")?);
        Ok(Response::text(format!("{from} {to}")))
    }
    let wrong_name = |req: &Request| {
        req.parse_param::<u64>("di")
            .map(|_| Response::text("never"))
    };
    let router = Router::new()
        .get("/users/{id}", user)
        .get("/{from}/{to}", with_reply)
        .get("/wrong/name/{id}", wrong_name);
    check(
        router,
        &[
            ("GET", "/users/7", 200, "user 7"),
            ("GET", "/users/%37", 200, "user 7"),
            (
                "GET",
                "/users/18446744073709551615",
                200,
                "user 18446744073709551615",
            ),
            ("GET", "/users/18446744073709551616", 404, "not found\n"),
            ("GET", "/users/-1", 404, "not found\n"),
            ("GET", "/users/7%20", 404, "not found\n"),
            ("GET", "/users/seven", 404, "not found\n"),
            ("GET", "/-5/%C3%BC", 200, "-5 ü"),
            ("GET", "/-500/%C3%BC", 404, "not found\n"),
            ("GET", "/-5/ab", 404, "not found\n"),
            // A mistake of the program is not the client's.
            ("GET", "/wrong/name/7", 500, "internal error\n"),
        ],
    );
    let by_hand = user(&Request::new(Method::Get, "/")).expect_err("no route matched");
    assert_eq!(by_hand.to_string(), "pattern \"\" has no parameter \"id\"");
}

#[test]
fn a_404_for_a_parameter_keeps_the_connection_and_is_no_failure() {
    let server = TestServer::start(
        Router::new()
            .get("/users/{id}", user)
            .get("/", says("root")),
    );
    let mut client = server.connect();
    assert_eq!(
        super::ask_on(&mut client, "GET", "/users/x", "").status,
        404
    );
    assert_eq!(super::ask_on(&mut client, "GET", "/", "").text(), "root");
}

#[test]
fn what_an_earlier_request_matched_is_forgotten() {
    let bare = |_: &Request, next: &dyn Fn(&Request) -> Reply| -> Reply {
        next(&Request::new(Method::Get, "/other"))
    };
    let files = Router::new().get("/{*rest}", |req| {
        Response::text(req.param("rest").unwrap_or_default())
    });
    let app = Router::new().nest("/files", files).nest(
        "/api",
        Router::new()
            .get("/known", |_| Response::text(""))
            .fallback(|_, answer| answer)
            .wrap(bare),
    );
    let server = TestServer::start(app);
    let mut client = server.connect();
    for (path, status) in [
        ("/files/a/long/name", 200),
        ("/api/x", 404),
        ("/api/known", 200),
    ] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
        assert_eq!(client.read_response().status, status, "{path}");
    }
    assert_eq!(server.handle().stats().panics, 0);
}
