//! `QUERY` and the methods that a program names.

use akurai_http::middleware::Cors;
use akurai_http::{Method, Request, Response, Router};
use akurai_tests::TestServer;

use super::{ask, ask_on, says};

const PURGE: Method = Method::new("PURGE");

fn dav() -> Router {
    Router::new()
        .get("/doc", says("got"))
        .route(Method::new("PROPFIND"), "/doc", |req: &Request| {
            req.body().map(Response::text)
        })
        .route(Method::new("PROPFIND"), "/other", says("found"))
        .nest(
            "/cache",
            Router::new().route(PURGE, "/{id}", says("purged")),
        )
        .get("/plain", says("plain"))
}

#[test]
fn http_04_a_method_that_a_route_names_is_served_and_others_are_501() {
    let server = TestServer::start(dav());
    let mut client = server.connect();
    let propfind = "PROPFIND /doc HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody";
    client.send(propfind);
    assert_eq!(client.read_response().text(), "body");
    // The connection goes on: the body's end was understood.
    assert_eq!(
        ask_on(&mut client, "PURGE", "/cache/7", "").text(),
        "purged"
    );
    assert_eq!(
        ask_on(&mut client, "PROPFIND", "/other", "").text(),
        "found"
    );
    for (method, path, status, allow) in [
        ("PURGE", "/doc", 405, Some("GET, HEAD, OPTIONS, PROPFIND")),
        ("OPTIONS", "/doc", 204, Some("GET, HEAD, OPTIONS, PROPFIND")),
        ("GET", "/cache/7", 405, Some("OPTIONS, PURGE")),
        ("HEAD", "/other", 405, Some("OPTIONS, PROPFIND")),
        ("TRACE", "/doc", 405, Some("GET, HEAD, OPTIONS, PROPFIND")),
        ("PROPFIND", "/plain", 405, Some("GET, HEAD, OPTIONS")),
        ("PURGE", "/absent", 404, None),
    ] {
        let answer = ask_on(&mut client, method, path, "");
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
    for unknown in [
        "purge",
        "Purge",
        "PURG",
        "PURGEX",
        "PROPPATCH",
        "FOOBAR",
        "get",
    ] {
        let mut client = server.connect();
        assert_eq!(
            ask_on(&mut client, unknown, "/doc", "").status,
            501,
            "{unknown}"
        );
        client.expect_eof();
    }
    for no_token in ["PUR(GE", "PURGE,", "PURGE\u{7f}", &"P".repeat(33)] {
        assert_eq!(ask(&server, no_token, "/doc").status, 400, "{no_token}");
    }
}

/// A server knows the methods of its own routes alone.
#[test]
fn http_04_the_methods_of_one_server_are_not_those_of_another() {
    let (dav, plain) = (
        TestServer::start(dav()),
        TestServer::start(Router::new().get("/doc", says(""))),
    );
    assert_eq!(ask(&dav, "PURGE", "/doc").status, 405);
    assert_eq!(ask(&plain, "PURGE", "/doc").status, 501);
    // A function takes the usual ones.
    let function = TestServer::start(|req: &Request| Response::text(req.method().as_str()));
    assert_eq!(ask(&function, "QUERY", "/").text(), "QUERY");
    assert_eq!(ask(&function, "PURGE", "/").status, 501);
}

#[test]
fn options_asterisk_lists_all_methods_of_the_server() {
    let answer = ask(&TestServer::start(dav()), "OPTIONS", "*");
    let all = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, QUERY";
    let allow = answer.header("allow").expect("a list");
    let others = allow.strip_prefix(all).expect("the usual ones go first");
    let mut others: Vec<_> = others.split(", ").skip(1).collect();
    others.sort_unstable();
    assert_eq!(others, ["PROPFIND", "PURGE"]);
}

/// RFC 10008: as GET it only reads, as POST it has a body.
#[test]
fn http_04_query_is_a_method_like_the_others() {
    let search = |req: &Request| match req.header("Content-Type") {
        Some("text/plain") => req.body().map(Response::text),
        _ => Ok(Response::new(akurai_http::Status::UNSUPPORTED_MEDIA_TYPE)),
    };
    let app = Router::new()
        .route(Method::Query, "/search", search)
        .max_body_bytes("/search", 5)
        .get("/plain", says("plain"));
    let server = TestServer::start(app);
    let mut client = server.connect();
    let query = |length: usize, fields: &str| {
        format!("QUERY /search HTTP/1.1\r\nHost: t\r\n{fields}Content-Length: {length}\r\n\r\n")
    };
    client.send(format!("{}a b c", query(5, "Content-Type: text/plain\r\n")));
    assert_eq!(client.read_response().text(), "a b c");
    client.send(format!("{}a b c", query(5, "")));
    assert_eq!(client.read_response().status, 415);
    for (method, path, allow) in [
        ("GET", "/search", "OPTIONS, QUERY"),
        ("QUERY", "/plain", "GET, HEAD, OPTIONS"),
    ] {
        let answer = ask_on(&mut client, method, path, "");
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)));
    }
    client.send(query(6, "Content-Type: text/plain\r\n"));
    assert_eq!(client.read_response().status, 413);
}

/// A page needs permission for `QUERY` and for named methods, and names of methods have a case.
#[test]
fn fetch_cors_names_methods_as_they_are() {
    let cors =
        Cors::any_origin().methods([Method::Query, PURGE, Method::new("purge"), Method::Get]);
    let server = TestServer::start(dav().wrap(cors.middleware()));
    let fields = "Origin: https://a.example\r\nAccess-Control-Request-Method: QUERY\r\n";
    let answer = ask_on(&mut server.connect(), "OPTIONS", "/doc", fields);
    let methods = answer.header("access-control-allow-methods");
    assert_eq!(methods, Some("GET, HEAD, POST, QUERY, PURGE, purge"));
}

#[test]
#[should_panic = "TRACE is answered by the server itself"]
fn a_route_cannot_take_a_method_of_the_servers() {
    let _ = Router::new().route(Method::new("TRACE"), "/", says(""));
}
