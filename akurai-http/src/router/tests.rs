use super::*;
use crate::{App, Limits, Status};

mod exchanged;

fn router() -> Router {
    let show = |what: &'static str| {
        move |req: &Request| {
            let params = ["a", "b", "rest"].map(|name| req.param(name).unwrap_or("-").to_owned());
            Response::text(format!("{what} {}", params.join(" ")))
        }
    };
    Router::new()
        .get("/", show("root"))
        .get("/plain", show("plain"))
        .get("/x/{a}", show("one"))
        .get("/x/fixed", show("fixed"))
        .get("/x/{a}/y/{b}", show("two"))
        .get("/x/{*rest}", show("rest"))
        .get("/café", show("café"))
        .post("/x/{a}", show("posted"))
        .get("/dir/", show("dir"))
}

#[track_caller]
fn check(path: &str, expected: &str) {
    let reply = router().handle(&Request::new(Method::Get, path));
    let body = reply.response().body().unwrap();
    assert_eq!(String::from_utf8_lossy(body), expected, "{path}");
}

#[test]
fn plain_before_parameter_before_rest() {
    check("/", "root - - -");
    check("/?a=b", "root - - -");
    check("/plain", "plain - - -");
    check("/x/1", "one 1 - -");
    check("/x/fixed", "fixed - - -");
    check("/x/1/y/2", "two 1 2 -");
    check("/x/1/z", "rest - - 1/z");
    check("/x/1/y/2/3", "rest - - 1/y/2/3");
    check("/x/", "rest - - ");
    check("/x/1/", "rest - - 1/");
    check("/dir/", "dir - - -");
    for missing in ["/plain/", "/nothing", "/dir", "//", "/x", "//plain"] {
        check(missing, "not found\n");
    }
}

#[test]
fn segments_are_percent_decoded_once() {
    check("/caf%c3%a9", "café - - -");
    check("/pl%61in", "plain - - -");
    check("/x/a%2Fb%20c", "one a/b c - -");
    check("/x/%2561", "one %61 - -");
    check("/x/%ff", "not found\n");
    check("/x/a%2fb/c", "rest - - a/b/c");
}

#[test]
fn methods() {
    let status = |method, path| {
        let reply = router().handle(&Request::new(method, path));
        let response = reply.response();
        let allow = response.headers().get("Allow").unwrap_or("").to_owned();
        (response.status().code(), allow)
    };
    assert_eq!(status(Method::Head, "/plain"), (200, String::new()));
    assert_eq!(
        status(Method::Post, "/plain"),
        (405, "GET, HEAD, OPTIONS".into())
    );
    assert_eq!(
        status(Method::Options, "/plain"),
        (204, "GET, HEAD, OPTIONS".into())
    );
    assert_eq!(
        status(Method::Put, "/x/1"),
        (405, "GET, HEAD, POST, OPTIONS".into())
    );
    assert_eq!(status(Method::Options, "/nothing"), (404, String::new()));
}

#[test]
fn middleware_goes_around_and_may_answer() {
    let router = router()
        .wrap(|req, next| match req.path() {
            "/secret" => Response::new(Status::FORBIDDEN).into(),
            _ => next(req),
        })
        .wrap(|req, next| {
            let mut reply = next(req);
            reply
                .response_mut()
                .headers_mut()
                .append("X-Outer", b"1")
                .unwrap();
            reply
        });
    for (path, status) in [("/secret", 403), ("/", 200), ("/nothing", 404)] {
        let reply = router.handle(&Request::new(Method::Get, path));
        assert_eq!(reply.response().status().code(), status);
        assert_eq!(reply.response().headers().get("x-outer"), Some("1"));
    }
}

#[test]
fn nested_routers_keep_their_parameters_and_middleware() {
    let show = |req: &Request| {
        let param = |name| req.param(name).unwrap_or("-");
        Response::text(format!("inner {} {}", param("a"), param("b")))
    };
    let inner = Router::new()
        .get("/", show)
        .get("/x/{a}", show)
        .max_body_bytes("/x/{a}", 7)
        .wrap(|req, next| {
            let mut reply = next(req);
            reply
                .response_mut()
                .headers_mut()
                .append("X-Inner", b"1")
                .unwrap();
            reply
        });
    let outer = router().nest("/in/{b}", inner);
    let answer = |path: &str| {
        let reply = outer.handle(&Request::new(Method::Get, path));
        let body = reply.response().body().unwrap();
        let inner = reply.response().headers().get("X-Inner").is_some();
        (String::from_utf8(body.to_vec()).unwrap(), inner)
    };
    assert_eq!(answer("/in/B/"), ("inner - B".into(), true));
    assert_eq!(answer("/in/B/x/A"), ("inner A B".into(), true));
    assert_eq!(answer("/x/A"), ("one A - -".into(), false));
    assert_eq!(answer("/in/B"), ("inner - B".into(), true));
    assert_eq!(answer("/in"), ("not found\n".into(), false));
    assert_eq!(answer("/in/"), ("not found\n".into(), false));
    assert_eq!(
        App::max_body_bytes(&outer, &Request::new(Method::Get, "/in/B/x/A")),
        Some(7)
    );
    assert_eq!(
        App::max_body_bytes(&outer, &Request::new(Method::Get, "/x/A")),
        None
    );
    assert_eq!(
        App::max_body_bytes(&outer, &Request::new(Method::Get, "/nothing")),
        None
    );
}

#[test]
fn a_prefix_without_its_slash_is_answered_as_with_one() {
    let says = |text: &'static str| move |_: &Request| Response::text(text);
    let rest = |req: &Request| Response::text(format!("rest {:?}", req.param("rest").unwrap()));
    let console = Router::new()
        .get("/", says("console"))
        .post("/", says("made"))
        .max_body_bytes("/", 7)
        .nest("/log", Router::new().get("/", says("log")));
    let router = Router::new()
        .get("/{any}", says("any"))
        .get("/taken", says("taken"))
        .nest("/console", console)
        .nest("/taken", Router::new().get("/", says("behind taken")))
        .nest("/rest", Router::new().get("/{*rest}", rest))
        .nest("/deep/er", Router::new().get("/x", says("x")))
        .nest(
            "",
            Router::new().nest("/again", Router::new().get("/", says("again"))),
        );
    for (path, text) in [
        ("/console", "console"),
        ("/console?a", "console"),
        ("/c%6fnsole", "console"),
        ("/console/", "console"),
        ("/console/log", "log"),
        ("/console/log/", "log"),
        // A route with exactly this pattern goes first, and the path with a slash is another path.
        ("/taken", "taken"),
        ("/taken/", "behind taken"),
        ("/rest", "rest \"\""),
        ("/rest/", "rest \"\""),
        ("/rest/a", "rest \"a\""),
        ("/again", "again"),
        ("/other", "any"),
        // No router was nested here, or the nested router has no route for it.
        ("/deep", "any"),
        ("/deep/er", "not found\n"),
        ("/deep/er/", "not found\n"),
        ("/deep/er/x/", "not found\n"),
        ("/console/log/x", "not found\n"),
    ] {
        let reply = router.handle(&Request::new(Method::Get, path));
        let body = reply.response().body().unwrap();
        assert_eq!(String::from_utf8_lossy(body), text, "{path}");
    }
    for path in ["/console", "/console/"] {
        let posted = Request::new(Method::Post, path);
        let reply = router.handle(&posted);
        assert_eq!(reply.response().body(), Some(&b"made"[..]));
        assert_eq!(App::max_body_bytes(&router, &posted), Some(7));
        let allow = App::allow(&router, &Request::new(Method::Trace, path));
        assert_eq!(allow, Ok(Some("GET, HEAD, POST, OPTIONS".into())));
    }
}

#[test]
fn a_nested_tree_of_files_redirects_its_prefix() {
    static PAGE: &[(&str, &[u8])] = &[("index.html", b"page")];
    let inner = Router::new().files("/", Files::embedded(PAGE));
    let router = Router::new().nest("/site/{lang}", inner);
    let reply = router.handle(&Request::new(Method::Get, "/site/de?a=b"));
    let response = reply.response();
    assert_eq!(response.status(), Status::MOVED_PERMANENTLY);
    assert_eq!(response.headers().get("Location"), Some("/site/de/?a=b"));
    let reply = router.handle(&Request::new(Method::Get, "/site/de/"));
    assert_eq!(reply.response().body(), Some(&b"page"[..]));
}

#[test]
fn a_prefix_that_leaves_nothing_to_its_routes_is_told_at_the_start() {
    for (prefix, message) in [
        (
            "/a/{*x}",
            "{*x} of prefix \"/a/{*x}\" takes the whole rest of the path: it reaches no route behind it",
        ),
        (
            "/{*x}",
            "{*x} of prefix \"/{*x}\" takes the whole rest of the path: it reaches no route behind it",
        ),
        ("/{*x}/b", "{*x} is not the last segment of \"/{*x}/b\""),
        ("/a/", "prefix \"/a/\" ends with '/'"),
        ("a", "pattern \"a\" does not begin with '/'"),
    ] {
        let inner = || Router::new().get("/", |_| Response::text(""));
        let panic = std::panic::catch_unwind(|| Router::new().nest(prefix, inner()));
        let panic = panic.expect_err(prefix);
        let text = panic.downcast_ref::<String>().map(String::as_str);
        assert_eq!(text, Some(message));
    }
}

#[test]
fn routers_nested_without_a_prefix_share_a_tree() {
    let teapot =
        |code| move |_: &Request, _: &dyn Fn(&Request) -> Reply| Response::new(Status::new(code));
    let one = Router::new()
        .get("/a/{x}", |_| Response::text(""))
        .wrap(teapot(801));
    let two = Router::new()
        .post("/a/{y}", |_| Response::text(""))
        .get("/{*rest}", |_| Response::text(""))
        .wrap(teapot(802));
    let router = Router::new()
        .get("/a/own", |_| Response::text(""))
        .nest("", one)
        .nest("", two);
    for (method, path, code) in [
        (Method::Get, "/a/own", 200),
        (Method::Get, "/a/7", 801),
        (Method::Post, "/a/7", 802),
        (Method::Get, "/", 802),
        (Method::Get, "/b/c", 802),
        (Method::Put, "/a/7", 405),
    ] {
        let reply = router.handle(&Request::new(method, path));
        assert_eq!(reply.response().status().code(), code, "{method} {path}");
    }
}

#[test]
#[should_panic = "GET has a handler already where a nested router has one too"]
fn routers_nested_without_a_prefix_do_not_hide_each_other() {
    let one = || Router::new().get("/a", |_| Response::text(""));
    let _ = one().nest("", one());
}

#[test]
fn bad_patterns_are_told_at_the_start() {
    for (pattern, message) in [
        ("x", "pattern \"x\" does not begin with '/'"),
        ("/{}", "parameter {} of \"/{}\" has no name of its own"),
        (
            "/{a}/{a}",
            "parameter {a} of \"/{a}/{a}\" has no name of its own",
        ),
        ("/{*a}/b", "{*a} is not the last segment of \"/{*a}/b\""),
        ("/a{b}", "a brace within a segment of \"/a{b}\""),
        ("/{a}{b}", "a brace within a segment of \"/{a}{b}\""),
        ("/{{a}}", "a brace within a segment of \"/{{a}}\""),
        (
            "/x?q=1",
            "'?' in \"/x?q=1\": a pattern is a path, decoded, without a query",
        ),
        (
            "/a/../b",
            "\"..\" in \"/a/../b\": clients ask for no such path",
        ),
        (
            "/:id",
            "\":id\" of \"/:id\" is no parameter: write {name}, or {*name} for the rest",
        ),
        (
            "/{id:u32}",
            "{id:u32} of \"/{id:u32}\" is no parameter: write {name}, or {*name} for the rest, \
             with letters, digits and '_' alone",
        ),
        ("/plain", "GET /plain has a handler already"),
    ] {
        let panic = std::panic::catch_unwind(|| router().get(pattern, |_| Response::text("")));
        let panic = panic.expect_err(pattern);
        assert_eq!(
            panic.downcast_ref::<String>().map(String::as_str),
            Some(message)
        );
    }
}

#[test]
fn a_route_that_is_known_is_that_of_the_request_it_was_looked_up_for() {
    let named = |req: &Request| Response::text(req.param("name").unwrap_or("none").to_owned());
    let router = Router::new()
        .post("/a/{name}", named)
        .max_body_bytes("/a/{name}", 5)
        .get("/b/{name}", named)
        .wrap(|req, next| match req.header("X-Instead") {
            Some(path) => next(&Request::new(Method::Get, path)),
            None => next(req),
        });
    let answer = |mut request: Request| {
        let reply = App::begin_and_handle(&router, &mut request, &Limits::default());
        let body = reply.response().body().unwrap_or_default();
        let body = String::from_utf8_lossy(body).into_owned();
        (reply.response().status().code(), body)
    };
    let posted = |body: &str| Request::new(Method::Post, "/a/x").with_body(body);
    assert_eq!(answer(posted("five!")), (200, "x".to_owned()));
    assert_eq!(answer(posted("sixsix")).0, 413);
    let exchanged = posted("five!").with_header("X-Instead", "/b/y");
    assert_eq!(answer(exchanged), (200, "y".to_owned()));
    assert_eq!(answer(Request::new(Method::Get, "/a/x")).0, 405);
    assert_eq!(answer(Request::new(Method::Get, "/c")).0, 404);
}

#[test]
fn patterns_of_other_libraries_and_of_no_path_are_refused() {
    let has = |pattern: &str| {
        let handler = |_: &Request| Response::text("");
        let made = std::panic::catch_unwind(|| Router::new().get(pattern, handler));
        made.is_ok()
    };
    for pattern in [
        "/p/{path...}",
        "/e/{$}",
        "/{id?}",
        "/{user-id}",
        "/{ä}",
        "/{**}",
        "/{*a b}",
        "/:id",
        "/*",
        "/*path",
        "/<id>",
        "/x#a",
        "/x y",
        "/x\ty",
        "/%61",
        "/.",
        "/./x",
        "/x/..",
    ] {
        assert!(!has(pattern), "{pattern:?}");
    }
    for pattern in [
        "/{user_id2}",
        "/{*}",
        "/{*all_9}",
        "/café/日本",
        "/a:b",
        "/a*",
        "/.well-known/x",
        "/...",
        "/a//b",
        "/@x/~y/a+b;c=d",
    ] {
        assert!(has(pattern), "{pattern:?}");
    }
}
