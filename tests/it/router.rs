//! Patterns, methods and middleware.

use akurai_http::{Method, Reply, Request, Response, Router, Status};
use akurai_tests::{Answer, Client, TestServer};

fn ask(client: &mut Client, method: &str, path: &str) -> Answer {
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
    match method {
        "HEAD" => client.read_response_to_head(),
        _ => client.read_response(),
    }
}

fn named(text: &'static str) -> impl Fn(&Request) -> Response {
    move |_| Response::text(text)
}

fn param(name: &'static str) -> impl Fn(&Request) -> Response {
    move |request| Response::text(request.param(name).expect("the pattern has it"))
}

#[test]
fn patterns_match_whole_paths() {
    let server = TestServer::start(
        Router::new()
            .get("/", named("root"))
            .get("/users", named("users"))
            .get("/users/{id}", param("id"))
            .get("/users/me", named("me"))
            .get("/users/{id}/posts/{post}", |request: &Request| {
                let param = |name| request.param(name).expect("the pattern has it");
                Response::text(format!("{} of {}", param("post"), param("id")))
            })
            .get("/files/{*rest}", param("rest"))
            .get("/files/readme", named("readme")),
    );
    let mut client = server.connect();
    for (path, text) in [
        ("/", "root"),
        ("/?a=b", "root"),
        ("/users", "users"),
        ("/users/7", "7"),
        ("/users/7?a=/b", "7"),
        // A literal segment has priority over a parameter, and a parameter over the rest, in any
        // order of adding.
        ("/users/me", "me"),
        ("/users/me/posts/1", "1 of me"),
        ("/users/7/posts/1", "1 of 7"),
        ("/files/a", "a"),
        ("/files/a/b/c", "a/b/c"),
        ("/files/readme", "readme"),
        ("/files/readme/a", "readme/a"),
    ] {
        let answer = ask(&mut client, "GET", path);
        assert_eq!((answer.status, answer.text()), (200, text), "{path}");
    }
    for path in [
        "/x",
        "/user",
        "/usersx",
        "/users/7/8",
        "/users/7/posts",
        "/Users",
        "/users/7/posts/1/2",
        "//",
    ] {
        assert_eq!(ask(&mut client, "GET", path).status, 404, "{path}");
    }
}

#[test]
fn params_are_percent_decoded_once() {
    let server = TestServer::start(
        Router::new()
            .get("/users/{id}", param("id"))
            .get("/files/{*rest}", param("rest")),
    );
    let mut client = server.connect();
    for (path, text) in [
        ("/users/a%20b", "a b"),
        ("/users/a+b", "a+b"),
        ("/users/%C3%A9", "\u{e9}"),
        ("/users/%e2%82%ac%F0%9F%98%80", "\u{20ac}\u{1f600}"),
        ("/users/%2541", "%41"),
        // An encoded slash does not separate segments.
        ("/users/a%2Fb", "a/b"),
        ("/users/%7Bid%7D", "{id}"),
        ("/files/a%20b/c", "a b/c"),
    ] {
        let answer = ask(&mut client, "GET", path);
        assert_eq!((answer.status, answer.text()), (200, text), "{path}");
    }
}

#[test]
fn methods() {
    let server = TestServer::start(
        Router::new()
            .get("/x", named("get"))
            .post("/x", named("post"))
            .delete("/x", named("delete"))
            .put("/y", named("put"))
            .patch("/y", named("patch"))
            .route(Method::Head, "/z", |_: &Request| {
                Response::new(Status::NO_CONTENT)
            })
            .route(Method::Options, "/z", named("options")),
    );
    let mut client = server.connect();
    for (method, path, status, text) in [
        ("GET", "/x", 200, "get"),
        ("POST", "/x", 200, "post"),
        ("DELETE", "/x", 200, "delete"),
        ("PUT", "/y", 200, "put"),
        ("PATCH", "/y", 200, "patch"),
        ("OPTIONS", "/z", 200, "options"),
        ("HEAD", "/x", 200, ""),
        ("HEAD", "/z", 204, ""),
    ] {
        let answer = ask(&mut client, method, path);
        assert_eq!(
            (answer.status, answer.text()),
            (status, text),
            "{method} {path}"
        );
    }
    for (method, path, allowed) in [
        ("PUT", "/x", &["GET", "HEAD", "POST", "DELETE"][..]),
        ("GET", "/y", &["PUT", "PATCH"]),
        ("HEAD", "/y", &["PUT", "PATCH"]),
        ("GET", "/z", &["HEAD", "OPTIONS"]),
    ] {
        let answer = ask(&mut client, method, path);
        assert_eq!(answer.status, 405, "{method} {path}");
        for name in allowed {
            assert!(
                answer.has_token("allow", name),
                "{method} {path}: {answer:?}"
            );
        }
        assert!(
            !answer.has_token("allow", method),
            "{method} {path}: {answer:?}"
        );
    }
    // A path that no route matches gets 404 for any method.
    for method in ["GET", "POST", "HEAD", "DELETE"] {
        assert_eq!(ask(&mut client, method, "/absent").status, 404, "{method}");
    }
}

#[test]
fn middleware_sees_every_request_and_reply() {
    let app = Router::new().get("/x", named("x")).wrap(|request, next| {
        if request.header("x-stop").is_some() {
            return Response::text("stopped")
                .with_status(Status::FORBIDDEN)
                .into();
        }
        let mut reply: Reply = next(request);
        let response = reply.response_mut();
        response
            .headers_mut()
            .append("X-Seen", request.path().as_bytes())
            .expect("a path is a field value");
        reply
    });
    let server = TestServer::start(app);
    let mut client = server.connect();
    let answer = ask(&mut client, "GET", "/x");
    assert_eq!((answer.text(), answer.header("x-seen")), ("x", Some("/x")));
    let answer = ask(&mut client, "GET", "/absent");
    assert_eq!(
        (answer.status, answer.header("x-seen")),
        (404, Some("/absent"))
    );
    client.send("GET /x HTTP/1.1\r\nHost: t\r\nX-Stop: 1\r\n\r\n");
    let answer = client.read_response();
    assert_eq!((answer.status, answer.text()), (403, "stopped"));
}

#[test]
fn a_router_answers_without_a_socket() {
    let app = Router::new()
        .get("/users/{id}", param("id"))
        .post("/echo", |request: &Request| {
            request.body().map(Response::text)
        });
    let reply = app.handle(&Request::new(Method::Get, "/users/a%20b?c=d"));
    assert_eq!(reply.response().body(), Some(&b"a b"[..]));
    let reply = app.handle(&Request::new(Method::Post, "/echo").with_body("hello"));
    assert_eq!(reply.response().body(), Some(&b"hello"[..]));
    assert_eq!(
        app.handle(&Request::new(Method::Get, "/absent"))
            .response()
            .status(),
        Status::NOT_FOUND
    );
    let reply = app.handle(&Request::new(Method::Get, "/echo"));
    assert_eq!(reply.response().status(), Status::METHOD_NOT_ALLOWED);
    assert_eq!(
        reply
            .response()
            .headers()
            .get("allow")
            .map(|allow| allow.contains("POST")),
        Some(true)
    );
}

#[test]
fn a_nested_router_answers_its_prefix_too() {
    let console = Router::new()
        .get("/", named("console"))
        .post("/", |req: &Request| req.body().map(Response::text))
        .get("/log", named("log"));
    let app = Router::new().nest("/console", console);
    let server = TestServer::start(app);
    let mut client = server.connect();
    for (method, path, status, text) in [
        ("GET", "/console", 200, "console"),
        ("GET", "/console/", 200, "console"),
        ("GET", "/console?a=/b", 200, "console"),
        ("HEAD", "/console", 200, ""),
        ("POST", "/console", 200, ""),
        ("GET", "/console/log", 200, "log"),
        ("DELETE", "/console", 405, "method not allowed\n"),
        ("GET", "/console/log/", 404, "not found\n"),
        ("GET", "/consol", 404, "not found\n"),
    ] {
        let answer = ask(&mut client, method, path);
        assert_eq!(
            (answer.status, answer.text()),
            (status, text),
            "{method} {path}"
        );
    }
}

#[test]
fn a_redirect_is_ascii_on_the_wire() {
    let server = TestServer::start(Router::new().get("/", |_: &Request| {
        Response::redirect(Status::SEE_OTHER, "/größe?ü=1")
    }));
    let mut client = server.connect();
    let answer = ask(&mut client, "GET", "/");
    let location = answer.header("location");
    assert_eq!(location, Some("/gr%C3%B6%C3%9Fe?%C3%BC=1"));
}

/// An ETag that no condition can match is a fault of the program, and is reported where the program
/// sets it.
#[test]
fn an_etag_without_quotes_is_refused_where_it_is_set() {
    let app = Router::new()
        .get("/panics", |_: &Request| {
            Response::new(Status::OK).with_header("ETag", "ABC")
        })
        .get("/fails", |request: &Request| -> std::io::Result<Reply> {
            let mut tagged = Response::new(Status::OK);
            tagged.headers_mut().set("ETag", "ABC")?;
            Ok(tagged.send_file(request, "Cargo.toml"))
        })
        .get("/quoted", |request: &Request| {
            Response::new(Status::OK)
                .with_header("ETag", "\"ABC\"")
                .send_file(request, "Cargo.toml")
        });
    let server = TestServer::start(app);
    for path in ["/panics", "/fails"] {
        assert_eq!(
            ask(&mut server.connect(), "GET", path).status,
            500,
            "{path}"
        );
    }
    let mut client = server.connect();
    client.send("GET /quoted HTTP/1.1\r\nHost: t\r\nIf-None-Match: \"ABC\"\r\n\r\n");
    assert_eq!(client.read_response().status, 304);
}
