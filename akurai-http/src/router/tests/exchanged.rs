//! Requests that go through several routers, or that middleware exchanges for others.

use super::*;

/// Middleware that passes on another request for `path`, with nothing of the first one's.
fn instead(path: &'static str) -> impl Fn(&Request, &dyn Fn(&Request) -> Reply) -> Reply {
    move |_, next| next(&Request::new(Method::Get, path))
}

#[track_caller]
fn text_of(router: &Router, path: &str) -> String {
    let reply = router.handle(&Request::new(Method::Get, path));
    String::from_utf8_lossy(reply.response().body().unwrap_or_default()).into_owned()
}

#[test]
fn a_nested_handler_keeps_its_match_if_middleware_passes_on_another_request() {
    static PAGES: &[(&str, &[u8])] = &[("index.html", b"index"), ("a/b.txt", b"b")];
    let show = |req: &Request| {
        let param = |name| req.param(name).unwrap_or("-").to_owned();
        Response::text(format!("{} {} {:?}", param("a"), param("b"), req.pattern()))
    };
    let inner = || {
        Router::new()
            .get("/x/{a}", show)
            .files("/files", Files::embedded(PAGES))
            .wrap(|req, next| -> Reply { next(req) })
    };
    for path in ["/", "/in/7/files/a/b.txt/much/longer/than/the/first/one"] {
        let wrapped = inner().wrap(instead(path)).wrap(|req, next| -> Reply {
            assert!(
                req.pattern()
                    .is_some_and(|pattern| pattern.starts_with("/in/{b}"))
            );
            next(req)
        });
        let router = Router::new().nest("/in/{b}", wrapped);
        let seen = "A 7 Some(\"/in/{b}/x/{a}\")";
        assert_eq!(text_of(&router, "/in/7/x/A"), seen, "{path}");
        assert_eq!(text_of(&router, "/in/7/files/a/b.txt"), "b", "{path}");
        let hosted = Router::new().host(["localhost"], inner().wrap(instead(path)));
        assert_eq!(text_of(&hosted, "/files/a/b.txt"), "b", "{path}");
    }
    // A router that is not nested looks up the route of the other request, also for middleware.
    let own = inner().wrap(|req: &Request, next: &dyn Fn(&Request) -> Reply| {
        assert_eq!(req.param("a"), Some("other"));
        next(req)
    });
    let own = own.wrap(instead("/x/other"));
    assert_eq!(text_of(&own, "/x/A"), "other - Some(\"/x/{a}\")");
}

#[test]
fn a_path_without_the_method_leaves_the_match_to_the_next_router() {
    let next = || {
        Router::new().get("/{b}", |req| {
            Response::text(format!("{:?} {:?}", req.param("b"), req.pattern()))
        })
    };
    let second = next();
    let first = || Router::new().post("/{a}", |_| Response::text(""));
    let chained = first().fallback(move |req, _| second.handle(req));
    assert_eq!(text_of(&chained, "/x"), "Some(\"x\") Some(\"/{b}\")");
    // As the server calls it.
    let mut request = Request::new(Method::Get, "/x");
    let reply = App::begin_and_handle(&chained, &mut request, &Limits::default());
    assert_eq!(
        reply.response().body(),
        Some(&b"Some(\"x\") Some(\"/{b}\")"[..])
    );
    // Without another match, its pattern is known.
    let request = Request::new(Method::Get, "/x");
    let _ = first().handle(&request);
    assert_eq!(
        (request.pattern(), request.param("a")),
        (Some("/{a}"), None)
    );
    let _ = next().handle(&request);
    assert_eq!(request.pattern(), Some("/{b}"));
    // The first match of a route stays.
    let _ = Router::new()
        .get("/{c}", |_| Response::text(""))
        .handle(&request);
    assert_eq!(request.pattern(), Some("/{b}"));
}

#[test]
fn a_redirect_of_a_nested_route_passes_its_middleware_and_replaces_no_refusal() {
    let inner = || {
        let router = Router::new()
            .post("/form/", |_| Response::text(""))
            .max_body_bytes("/form/", 3);
        router.redirect_slashes()
    };
    let guarded = inner().wrap(|req, next| -> Reply {
        match req.header("Authorization") {
            Some(_) => next(req),
            None => Response::new(Status::UNAUTHORIZED).into(),
        }
    });
    let hosted = Router::new().host(["localhost"], guarded);
    let guarded = inner().wrap(|_, _| Response::new(Status::UNAUTHORIZED));
    let router = Router::new().nest("/in", guarded);
    let post = |path| Request::new(Method::Post, path);
    let status =
        |router: &Router, request: &Request| router.handle(request).response().status().code();
    assert_eq!(status(&router, &post("/in/form")), 401);
    assert_eq!(status(&hosted, &post("/form")), 401);
    let known = post("/form").with_header("Authorization", "x");
    assert_eq!(status(&hosted, &known), 308);
    let mut long = known.with_body("four");
    let reply = App::begin_and_handle(&hosted, &mut long, &Limits::default());
    assert_eq!(reply.response().status().code(), 413);
}

#[test]
fn a_redirect_of_a_request_that_has_no_other_path_is_no_redirect() {
    let inner = Router::new()
        .get("/a/", |_| Response::text(""))
        .redirect_slashes();
    let router = Router::new().nest("/in", inner.wrap(instead("/")));
    let reply = router.handle(&Request::new(Method::Get, "/in/a"));
    assert_eq!(reply.response().status(), Status::NOT_FOUND);
    assert_eq!(reply.response().headers().get("Location"), None);
}

#[test]
fn methods_of_a_nested_app_are_known() {
    struct Purging;
    impl App for Purging {
        fn handle(&self, request: &Request) -> Reply {
            Response::text(request.method().to_string()).into()
        }
        fn methods(&self) -> Vec<Method> {
            vec![Method::new("PURGE")]
        }
    }
    let inner = Router::new().nest("/cache", Purging);
    let router = Router::new().nest("/in", inner);
    assert_eq!(App::methods(&router), [Method::new("PURGE")]);
}
