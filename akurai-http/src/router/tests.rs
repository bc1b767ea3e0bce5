use super::*;

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
    let reply = router().handle(&Request::get(path));
    let body = reply.response().body_bytes().unwrap();
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
            reply.response_mut().add_header("X-Outer", b"1").unwrap();
            reply
        });
    for (path, status) in [("/secret", 403), ("/", 200), ("/nothing", 404)] {
        let reply = router.handle(&Request::get(path));
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
        .body_bytes("/x/{a}", 7)
        .wrap(|req, next| {
            let mut reply = next(req);
            reply.response_mut().add_header("X-Inner", b"1").unwrap();
            reply
        });
    let outer = router().nest("/in/{b}", inner);
    let answer = |path: &str| {
        let reply = outer.handle(&Request::get(path));
        let body = reply.response().body_bytes().unwrap();
        let inner = reply.response().headers().get("X-Inner").is_some();
        (String::from_utf8(body.to_vec()).unwrap(), inner)
    };
    assert_eq!(answer("/in/B/"), ("inner - B".into(), true));
    assert_eq!(answer("/in/B/x/A"), ("inner A B".into(), true));
    assert_eq!(answer("/x/A"), ("one A - -".into(), false));
    assert_eq!(answer("/in/B"), ("not found\n".into(), false));
    assert_eq!(outer.body_bytes_of(&Request::get("/in/B/x/A")), Some(7));
    assert_eq!(outer.body_bytes_of(&Request::get("/x/A")), None);
    assert_eq!(outer.body_bytes_of(&Request::get("/nothing")), None);
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
