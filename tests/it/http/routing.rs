//! Fallbacks, nested handlers and the last slash.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use akurai_http::{App, Method, Reply, Request, Response, Router, Status};
use akurai_tests::TestServer;

use super::{ask, ask_on, check, says, shown};

/// Puts the router's own answer into words of its own.
fn own(name: &'static str) -> impl Fn(&Request, Response) -> Response {
    move |req, answer| {
        let text = format!("{name} {} {}", answer.status().code(), req.path());
        answer.with_body(text)
    }
}

#[test]
fn a_fallback_has_its_own_404_and_405() {
    let router = Router::new()
        .get("/a", says("a"))
        .fallback(own("own"))
        .wrap(|req, next| {
            let mut reply = next(req);
            let headers = reply.response_mut();
            headers
                .headers_mut()
                .append("X-Outer", b"1")
                .expect("a field");
            reply
        });
    let server = TestServer::start(router);
    for (method, path, status, text, allow) in [
        ("GET", "/a", 200, "a", None),
        ("GET", "/b", 404, "own 404 /b", None),
        ("PUT", "/b", 404, "own 404 /b", None),
        ("PUT", "/a", 405, "own 405 /a", Some("GET, HEAD, OPTIONS")),
        ("HEAD", "/b", 404, "", None),
        // What a method is allowed for is no refusal.
        ("OPTIONS", "/a", 204, "", Some("GET, HEAD, OPTIONS")),
        ("OPTIONS", "/b", 404, "own 404 /b", None),
    ] {
        let answer = ask(&server, method, path);
        assert_eq!(
            (answer.status, answer.text()),
            (status, text),
            "{method} {path}"
        );
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
        assert_eq!(answer.header("x-outer"), Some("1"));
    }
}

#[test]
fn a_fallback_may_answer_as_it_likes_and_may_fail() {
    let app = |req: &Request, answer: Response| -> std::io::Result<Reply> {
        match req.path() {
            "/fails" => Err(std::io::Error::other("as the test wants")),
            "/panics" => panic!("as the test wants"),
            "/file" => Ok(Response::file(req, "Cargo.toml")),
            _ if answer.status() == Status::NOT_FOUND => Ok(Response::text("app").into()),
            _ => Ok(answer.into()),
        }
    };
    let server = TestServer::start(Router::new().post("/", says("")).fallback(app));
    for (path, status) in [
        ("/x", 200),
        ("/fails", 500),
        ("/panics", 500),
        ("/file", 200),
        ("/", 405),
    ] {
        assert_eq!(ask(&server, "GET", path).status, status, "{path}");
    }
    assert_eq!(ask(&server, "GET", "/x").text(), "app");
}

#[test]
fn the_innermost_fallback_answers_within_its_routers_middleware() {
    let stamped = |name: &'static str| {
        move |req: &Request, next: &dyn Fn(&Request) -> Reply| {
            let mut reply = next(req);
            reply
                .response_mut()
                .headers_mut()
                .append("X-By", name.as_bytes())
                .expect("a field");
            reply
        }
    };
    let inner = Router::new()
        .get("/x", says("x"))
        .fallback(own("inner"))
        .wrap(stamped("inner"));
    let api = Router::new()
        .get("/{any}", says("any"))
        .nest("/inner", inner)
        .fallback(own("api"))
        .wrap(stamped("api"));
    let silent = Router::new().get("/x", says("x")).wrap(stamped("silent"));
    let router = Router::new()
        .get("/", says("root"))
        .nest("/api/{version}", api)
        .nest("/silent", silent)
        .fallback(own("outer"));
    let server = TestServer::start(router);
    for (method, path, text, by) in [
        ("GET", "/api/1/inner/x", "x", "inner api"),
        (
            "GET",
            "/api/1/inner/y",
            "inner 404 /api/1/inner/y",
            "inner api",
        ),
        (
            "PUT",
            "/api/1/inner/x",
            "inner 405 /api/1/inner/x",
            "inner api",
        ),
        ("GET", "/api/1/inne", "any", "api"),
        ("PUT", "/api/1/inne", "api 405 /api/1/inne", "api"),
        ("GET", "/api/1/a/b", "api 404 /api/1/a/b", "api"),
        ("GET", "/api/1", "api 404 /api/1", "api"),
        ("GET", "/api", "outer 404 /api", ""),
        ("GET", "/api/%ff/x", "outer 404 /api/%ff/x", ""),
        ("GET", "/silent/y", "outer 404 /silent/y", ""),
        ("PUT", "/", "outer 405 /", ""),
    ] {
        let answer = ask(&server, method, path);
        assert_eq!(answer.text(), text, "{method} {path}");
        let stamps: Vec<_> = answer.all("x-by").map(String::from_utf8_lossy).collect();
        assert_eq!(stamps.join(" "), by, "{method} {path}");
    }
}

#[test]
#[should_panic = "there is a fallback for these paths already"]
fn two_fallbacks_for_the_same_paths_are_told_at_the_start() {
    let router = || Router::new().fallback(own(""));
    let _ = router().nest("", router());
}

#[test]
fn a_nested_handler_gets_every_method_and_path_from_its_prefix_on() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let old = move |req: &Request| {
        counted.fetch_add(1, Ordering::SeqCst);
        Response::text(format!("{} {}", req.method(), shown(req, &["tenant", "*"])))
    };
    let router = Router::new()
        .get("/t/{tenant}/old/new", says("new"))
        .nest("/t/{tenant}/old", old)
        .max_body_bytes("/t/{tenant}/old/{*}", 3)
        .get("/", says("root"));
    let server = TestServer::start(router);
    let pattern = "/t/{tenant}/old/{*}";
    for (method, path, text) in [
        ("GET", "/t/7/old", format!("GET {pattern} 7 ")),
        ("GET", "/t/7/old/", format!("GET {pattern} 7 ")),
        (
            "PUT",
            "/t/7/old/a%20b/c?d",
            format!("PUT {pattern} 7 a b/c"),
        ),
        ("OPTIONS", "/t/7/old/a", format!("OPTIONS {pattern} 7 a")),
        ("QUERY", "/t/7/old/a", format!("QUERY {pattern} 7 a")),
        ("GET", "/t/7/old/new", "new".to_owned()),
        ("GET", "/t/7/older", "not found\n".to_owned()),
        // Another route has the path: the usual rule of 405.
        ("PUT", "/t/7/old/new", "method not allowed\n".to_owned()),
    ] {
        assert_eq!(ask(&server, method, path).text(), text, "{method} {path}");
    }
    assert_eq!(ask(&server, "HEAD", "/t/7/old/a").status, 200);
    // The server answers this method itself.
    let answer = ask(&server, "TRACE", "/t/7/old/a");
    assert_eq!(answer.status, 405);
    let all = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, QUERY";
    assert_eq!(answer.header("allow"), Some(all));
    let mut client = server.connect();
    client.send("POST /t/7/old/a HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(client.read_response().status, 413);
    assert_eq!(calls.load(Ordering::SeqCst), 6);
}

#[test]
fn a_handler_nested_at_the_root_answers_what_no_route_has() {
    let router = Router::new()
        .get("/a", says("a"))
        .nest("", |req: &Request| {
            Response::text(format!("rest {}", req.param("*").unwrap_or("-")))
        })
        .fallback(own("never"));
    check(
        router,
        &[
            ("GET", "/a", 200, "a"),
            ("GET", "/", 200, "rest "),
            ("GET", "/b/c", 200, "rest b/c"),
            ("DELETE", "/b", 200, "rest b"),
        ],
    );
}

/// What can be nested: a function too, and an app of a type of its own.
#[test]
fn any_app_can_be_nested() {
    fn function(_: &Request) -> Response {
        Response::text("function")
    }
    struct Own;
    impl App for Own {
        fn handle(&self, request: &Request) -> Reply {
            match request.header("x-panic") {
                Some(_) => panic!("as the test wants"),
                None => Response::text("own").into(),
            }
        }
    }
    let router = Router::new().nest("/function", function).nest("/own", Own);
    let server = TestServer::start(router);
    assert_eq!(ask(&server, "GET", "/function/x").text(), "function");
    assert_eq!(ask(&server, "GET", "/own").text(), "own");
    let answer = ask_on(&mut server.connect(), "GET", "/own", "X-Panic: 1\r\n");
    assert_eq!(answer.status, 500);
}

fn slashes() -> Router {
    let console = Router::new()
        .get("/", says("console"))
        .get("/log/", says("log"));
    Router::new()
        .get("/a", says("a"))
        .post("/a", says("posted"))
        .get("/b/", says("b"))
        .get("/both", says("without"))
        .get("/both/", says("with"))
        .get("/users/{id}", |req| {
            Response::text(req.param("id").unwrap_or("-"))
        })
        .nest("/console", console)
        .get("/rest/{*rest}", says("rest"))
}

#[test]
fn a_path_and_the_path_with_a_slash_are_two_unless_the_router_says_otherwise() {
    check(
        slashes(),
        &[
            ("GET", "/a", 200, "a"),
            ("GET", "/a/", 404, "not found\n"),
            ("GET", "/b", 404, "not found\n"),
            ("GET", "/both", 200, "without"),
            ("GET", "/both/", 200, "with"),
            ("GET", "/console", 200, "console"),
            ("GET", "/console/log", 404, "not found\n"),
        ],
    );
}

#[test]
fn ignored_slashes_make_both_paths_alike() {
    check(
        slashes().ignore_slashes().fallback(own("own")),
        &[
            ("GET", "/a/", 200, "a"),
            ("POST", "/a/", 200, "posted"),
            ("PUT", "/a/", 405, "own 405 /a/"),
            ("GET", "/b", 200, "b"),
            ("GET", "/both", 200, "without"),
            ("GET", "/both/", 200, "with"),
            ("GET", "/users/7/", 200, "7"),
            ("GET", "/users/7%2F/", 200, "7/"),
            ("GET", "/console", 200, "console"),
            ("GET", "/console/log", 200, "log"),
            ("GET", "/rest", 200, "rest"),
            ("GET", "/a//", 404, "own 404 /a//"),
            ("GET", "//a", 404, "own 404 //a"),
            ("GET", "/users/", 404, "own 404 /users/"),
        ],
    );
}

#[test]
fn redirected_slashes_keep_method_and_query() {
    let server = TestServer::start(slashes().redirect_slashes().fallback(own("own")));
    for (method, path, status, location) in [
        ("GET", "/a/", 308, Some("/a")),
        ("GET", "/a/?b=/c/", 308, Some("/a?b=/c/")),
        ("POST", "/a/", 308, Some("/a")),
        ("HEAD", "/b", 308, Some("/b/")),
        ("GET", "/b?", 308, Some("/b/?")),
        ("GET", "/users/a%20b/", 308, Some("/users/a%20b")),
        ("GET", "/console", 308, Some("/console/")),
        ("GET", "/console/log", 308, Some("/console/log/")),
        // A route with exactly this path goes first.
        ("GET", "/both", 200, None),
        ("GET", "/both/", 200, None),
        ("GET", "/console/", 200, None),
        // The other path has no such method.
        ("PUT", "/a/", 405, None),
        ("OPTIONS", "/a/", 204, None),
        // A browser would take this for a host.
        ("GET", "//users/7/", 404, None),
        ("GET", "//evil.example/", 404, None),
        ("GET", "/users//evil.example/", 404, None),
    ] {
        let answer = ask(&server, method, path);
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("location"), location, "{method} {path}");
    }
}

#[test]
fn a_nested_router_chooses_for_its_own_routes() {
    let own = Router::new().get("/x/", says("own")).ignore_slashes();
    let inherits = Router::new().get("/x/", says("inherits"));
    let router = Router::new()
        .nest("/own", own)
        .nest("/inherits", inherits)
        .get("/x/", says("x"))
        .redirect_slashes();
    let status = |path| {
        let reply = router.handle(&Request::new(Method::Get, path));
        reply.response().status().code()
    };
    assert_eq!(
        (status("/own/x"), status("/inherits/x"), status("/x")),
        (200, 308, 308)
    );
    let outer = Router::new().nest("/own", Router::new().get("/x/", says("")).ignore_slashes());
    let reply = outer.handle(&Request::new(Method::Get, "/own/x"));
    assert_eq!(reply.response().status(), Status::OK);
}
