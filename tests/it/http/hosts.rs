//! Routers of hosts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use akurai_http::{Method, Request, Response, Router};
use akurai_tests::{Answer, TestServer, handshake};

use super::says;

fn get(server: &TestServer, host: &str, path: &str) -> Answer {
    let mut client = server.connect();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    client.read_response()
}

fn stamp(name: &'static str, router: Router) -> Router {
    router.wrap(move |req, next| {
        let mut reply = next(req);
        reply
            .response_mut()
            .headers_mut()
            .append("X-By", name.as_bytes())
            .expect("a field");
        reply
    })
}

fn stamps(answer: &Answer) -> String {
    let stamps: Vec<_> = answer.all("x-by").map(String::from_utf8_lossy).collect();
    stamps.join(" ")
}

fn shop() -> Router {
    let shop = Router::new()
        .get("/{id}", |req| Response::text(super::shown(req, &["id"])))
        .post("/up", says("up"))
        .max_body_bytes("/up", 3);
    stamp("shop", shop)
}

#[test]
fn each_host_has_its_router_and_its_middleware() {
    let api = Router::new()
        .get("/", says("api"))
        .fallback(|_, answer| answer.with_body("no api"));
    let router = Router::new()
        .host(["shop.example", "www.shop.example"], shop())
        .host(["api.example", "[::1]", "127.0.0.1"], stamp("api", api));
    let server = TestServer::start(stamp("outer", router));
    for (host, path, status, text, by) in [
        ("shop.example", "/7", 200, "/{id} 7", "shop outer"),
        ("SHOP.example.:8090", "/7", 200, "/{id} 7", "shop outer"),
        ("www.shop.example", "/7", 200, "/{id} 7", "shop outer"),
        // The 404 is that of the host's router: its middleware is around it.
        ("shop.example", "/7/8", 404, "not found\n", "shop outer"),
        (
            "shop.example",
            "/up",
            405,
            "method not allowed\n",
            "shop outer",
        ),
        ("api.example", "/", 200, "api", "api outer"),
        ("[0:0::1]:1", "/", 200, "api", "api outer"),
        ("127.0.0.1:8090", "/", 200, "api", "api outer"),
        ("api.example", "/7", 404, "no api", "api outer"),
    ] {
        let answer = get(&server, host, path);
        assert_eq!(
            (answer.status, answer.text()),
            (status, text),
            "{host} {path}"
        );
        assert_eq!(stamps(&answer), by, "{host} {path}");
    }
    for host in [
        "evil.example",
        "evil.shop.example",
        "shop.example.evil",
        "127.0.0.2",
    ] {
        let answer = get(&server, host, "/7");
        assert_eq!(answer.status, 421, "{host}");
        assert!(answer.has_token("connection", "close"), "{answer:?}");
        assert_eq!(stamps(&answer), "outer");
    }
    // The host of an absolute-form is the request's.
    assert_eq!(
        get(&server, "evil.example", "http://api.example/").text(),
        "api"
    );
    assert_eq!(
        get(&server, "api.example", "http://evil.example/").status,
        421
    );
}

#[test]
fn rebinding_reaches_no_route_of_a_named_host() {
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ran);
    let app = Router::new()
        .nest("", |_: &Request| Response::text("secret"))
        .wrap(move |req, next| {
            counted.fetch_add(1, Ordering::SeqCst);
            next(req)
        });
    let server = TestServer::start(Router::new().host(["localhost"], app));
    let evil = "evil.example:8090";
    for request in [
        format!("GET / HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nHost: {evil}\r\nContent-Length: 2\r\n\r\nhi"),
        format!("POST / HTTP/1.1\r\nHost: {evil}\r\nContent-Length: 99999999\r\n\r\n"),
        format!("OPTIONS / HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
        format!("QUERY / HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
        format!("TRACE / HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
        format!("OPTIONS * HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
        handshake("/").replacen("Host: example.com", &format!("Host: {evil}"), 1),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
    ] {
        let mut client = server.connect();
        client.send(&request);
        let answer = client.read_response();
        assert!([421, 413].contains(&answer.status), "{request}: {answer:?}");
        assert!(!answer.text().contains("secret"));
        assert_eq!(answer.header("allow"), None, "{request}");
    }
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    assert_eq!(get(&server, "localhost:8090", "/").text(), "secret");
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

#[test]
fn other_hosts_get_the_routers_own_routes_if_it_has_any() {
    let router = Router::new()
        .get("/", says("own"))
        .host(["shop.example"], shop())
        .fallback(|_, answer| answer.with_body("own fallback"));
    let server = TestServer::start(router);
    for (host, path, status, text) in [
        ("shop.example", "/7", 200, "/{id} 7"),
        ("shop.example", "/", 404, "not found\n"),
        ("other.example", "/", 200, "own"),
        ("other.example", "/7", 404, "own fallback"),
    ] {
        let answer = get(&server, host, path);
        assert_eq!(
            (answer.status, answer.text()),
            (status, text),
            "{host} {path}"
        );
    }
    // A fallback alone is no route: it may change the answer, and sees which it is.
    let router = Router::new()
        .host(["shop.example"], shop())
        .fallback(|_, answer| answer.with_body("not here"));
    let server = TestServer::start(router);
    let answer = get(&server, "other.example", "/");
    assert_eq!((answer.status, answer.text()), (421, "not here"));
}

#[test]
fn limits_and_methods_are_those_of_the_host() {
    const PURGE: Method = Method::new("PURGE");
    let router = Router::new()
        .host(["shop.example"], shop().route(PURGE, "/up", says("purged")))
        .host(["api.example"], Router::new().post("/up", says("up")));
    let server = TestServer::start(router);
    let ask = |request_line: &str, host: &str, fields: &str| {
        let mut client = server.connect();
        client.send(format!(
            "{request_line} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"
        ));
        client.read_response()
    };
    let four = "Content-Length: 4\r\nExpect: 100-continue\r\n";
    assert_eq!(ask("POST /up", "shop.example", four).status, 413);
    assert_eq!(ask("POST /up", "api.example", four).status, 200);
    assert_eq!(ask("PURGE /up", "shop.example", "").text(), "purged");
    assert_eq!(ask("PURGE /up", "api.example", "").status, 405);
    let allow = ask("TRACE /up", "shop.example", "");
    assert_eq!(allow.header("allow"), Some("POST, OPTIONS, PURGE"));
    assert_eq!(ask("FOOBAR /up", "api.example", "").status, 501);
}

#[test]
fn hosts_that_cannot_be_are_told_at_the_start() {
    let router = || Router::new().get("/", says(""));
    let named = |names: &'static [&'static str]| move || router().host(names, router());
    let message = |make: Box<dyn Fn() -> Router + std::panic::UnwindSafe>| {
        let panic = std::panic::catch_unwind(make).expect_err("it panics");
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| Some((*panic.downcast_ref::<&str>()?).to_owned()))
    };
    for (make, text) in [
        (
            Box::new(named(&["a:80"])) as Box<dyn Fn() -> Router + std::panic::UnwindSafe>,
            "\"a:80\" is no host name or address without a port",
        ),
        (
            Box::new(move || named(&["a", "b"])().host(["B."], router())),
            "a host has a router already",
        ),
        (
            Box::new(move || named(&["::1"])().host(["[0::1]"], router())),
            "a host has a router already",
        ),
        (
            Box::new(move || router().nest("/x", named(&["a"])())),
            "a router with hosts is nested: its hosts would be lost",
        ),
        (
            Box::new(move || router().host(["b"], named(&["a"])())),
            "a router with hosts is nested: its hosts would be lost",
        ),
    ] {
        assert_eq!(message(make).as_deref(), Some(text));
    }
}
