//! The library's own errors as problem+json (RFC 9457), for clients that prefer JSON.

use std::io;
use std::time::Duration;

use akurai_http::{Files, Limits, Request, Response, Router, Server, Status, Upgrade};
use akurai_tests::{Answer, Client, TestServer};

use super::ask_on;

const JSON: &str = "Accept: application/json\r\n";
const PROBLEM: &str = "application/problem+json";
const TEXT: &str = "text/plain; charset=utf-8";

fn app() -> Router {
    Router::new()
        .get("/", |_| Response::text("fine"))
        .get("/mine", |_| {
            Response::text("mine").with_status(Status::NOT_FOUND)
        })
        .get("/panics", |_| -> Response { panic!("as the test wants") })
        .get("/fails", |_| -> io::Result<Response> {
            Err(io::Error::other("a secret"))
        })
        .get("/breaks", |_| {
            Response::stream(|_| Err(io::Error::other("a secret")))
        })
        .get("/interim", |_| Response::new(Status::CONTINUE))
        .get("/tagged", |_| Response::text("x").etag("a"))
        .get("/switch", |_| {
            let head = Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "shout");
            Upgrade::new(head, |_| Ok(()))
        })
        .files("/files", Files::embedded(&[("a", b"a")]))
        .post("/form", |req: &Request| {
            req.form().map(|_| Response::text(""))
        })
        .post("/body", |req: &Request| req.body().map(Response::text))
}

/// The title is the status's phrase.
fn problem(status: u16, title: &str, detail: &str) -> String {
    format!(
        "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},\"detail\":\"{detail}\"}}\n"
    )
}

#[track_caller]
fn expect(answer: &Answer, content_type: &str, text: &str) {
    assert_eq!(
        answer.header("content-type"),
        Some(content_type),
        "{answer:?}"
    );
    assert_eq!(answer.text(), text);
    assert!(answer.has_token("vary", "Accept"), "{answer:?}");
}

/// Each line: method and path, more of the request behind its `Accept`; status, title and detail.
#[test]
fn own_errors_are_problems_for_who_prefers_json_and_text_for_others() {
    let limits = Limits::default().max_body_bytes(10);
    let server = TestServer::limited(limits, app());
    for (line, rest, status, title, detail) in [
        ("GET /absent", "\r\n", 404, "Not Found", "not found"),
        ("GET /files/absent", "\r\n", 404, "Not Found", "not found"),
        (
            "PUT /",
            "\r\n",
            405,
            "Method Not Allowed",
            "method not allowed",
        ),
        (
            "TRACE /",
            "\r\n",
            405,
            "Method Not Allowed",
            "method not allowed",
        ),
        (
            "GET /panics",
            "\r\n",
            500,
            "Internal Server Error",
            "internal error",
        ),
        (
            "GET /fails",
            "\r\n",
            500,
            "Internal Server Error",
            "internal error",
        ),
        (
            "GET /breaks",
            "\r\n",
            500,
            "Internal Server Error",
            "internal error",
        ),
        (
            "GET /interim",
            "\r\n",
            500,
            "Internal Server Error",
            "internal error",
        ),
        (
            "GET /tagged",
            "If-Match: \"b\"\r\n\r\n",
            412,
            "Precondition Failed",
            "precondition failed",
        ),
        (
            "GET /switch",
            "\r\n",
            426,
            "Upgrade Required",
            "this resource speaks another protocol: ask for it with Upgrade and Connection: \
             upgrade, over HTTP/1.1, and not with HEAD",
        ),
        (
            "POST /form",
            "Content-Length: 1\r\nContent-Type: text/plain\r\n\r\na",
            415,
            "Unsupported Media Type",
            "body is not of the form's media type",
        ),
        (
            "POST /body",
            "Content-Length: 11\r\n\r\n",
            413,
            "Content Too Large",
            "body is larger than this server takes",
        ),
        (
            "POST /body",
            "Transfer-Encoding: chunked\r\n\r\nx\r\n",
            400,
            "Bad Request",
            "chunk-size is not 1 to 16 hex digits",
        ),
    ] {
        for (accept, is_json) in [
            (JSON, true),
            ("Accept: application/problem+json, */*;q=0.9\r\n", true),
            ("Accept: application/json, text/plain, */*\r\n", true),
            ("", false),
            ("Accept: */*\r\n", false),
            ("Accept: application/json;q=0.8, text/plain\r\n", false),
        ] {
            let mut client = server.connect();
            client.send(format!("{line} HTTP/1.1\r\nHost: t\r\n{accept}{rest}"));
            let answer = client.read_response();
            assert_eq!(answer.status, status, "{line}");
            match is_json {
                true => expect(&answer, PROBLEM, &problem(status, title, detail)),
                false => expect(&answer, TEXT, &format!("{detail}\n")),
            }
        }
    }
}

#[test]
fn a_problem_keeps_the_answers_other_fields_and_its_length_for_head() {
    let server = TestServer::start(app());
    let mut client = server.connect();
    let answer = ask_on(&mut client, "PUT", "/mine", JSON);
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    let get = ask_on(&mut client, "GET", "/absent", JSON);
    let head = ask_on(&mut client, "HEAD", "/absent", JSON);
    assert_eq!(head.header("content-type"), Some(PROBLEM));
    assert_eq!(head.header("content-length"), get.header("content-length"));
    let refused = ask_on(&mut client, "GET", "/switch", JSON);
    assert_eq!(refused.header("upgrade"), Some("shout"));
}

#[test]
fn what_the_program_answers_stays_as_it_is() {
    let router = app().fallback(|_, answer| answer.with_body("replaced\n"));
    let server = TestServer::start(router);
    let mut client = server.connect();
    for (path, text) in [("/mine", "mine"), ("/absent", "replaced\n")] {
        let answer = ask_on(&mut client, "GET", path, JSON);
        assert_eq!((answer.status, answer.text()), (404, text));
        assert_eq!(answer.header("content-type"), Some(TEXT));
        assert_eq!(answer.header("vary"), None);
    }
    // A fallback that gives the answer on leaves the choice to the library.
    let server = TestServer::start(app().fallback(|_, answer| answer));
    let answer = ask_on(&mut server.connect(), "GET", "/absent", JSON);
    expect(&answer, PROBLEM, &problem(404, "Not Found", "not found"));
}

/// No request is there to say what its client prefers, not even the one before.
#[test]
fn a_refused_head_is_told_in_text() {
    let server = TestServer::start(app());
    for head in [
        "GET / HTTP/1.1\r\nHost: t\r\nAccept: application/json\r\nbad line\r\n\r\n",
        "FOO / HTTP/1.1\r\nHost: t\r\nAccept: application/json\r\n\r\n",
        "GET / HTTP/1.1\r\nAccept: application/json\r\n\r\n",
        "GET / HTTP/3.0\r\nHost: t\r\nAccept: application/json\r\n\r\n",
    ] {
        let mut client = server.connect();
        assert_eq!(
            ask_on(&mut client, "GET", "/absent", JSON).header("content-type"),
            Some(PROBLEM)
        );
        client.send(head);
        let answer = client.read_response();
        assert!(answer.status >= 400, "{head}");
        assert_eq!(answer.header("content-type"), Some(TEXT), "{head}");
        assert_eq!(answer.header("vary"), None, "{head}");
    }
}

#[test]
fn other_hosts_full_places_and_slow_bodies_are_problems_too() {
    let limits = Limits::default()
        .max_upgrades(0)
        .body_stall(Duration::from_millis(50));
    let server = Server::bind("127.0.0.1:0").expect("a port is free");
    let server = server.limits(limits).hosts(["t"]).expect("a host");
    let server = TestServer::of(server, app());
    let ask = |text: &str| {
        let mut client: Client = server.connect();
        client.send(text);
        client.read_response()
    };
    let answer = ask("GET / HTTP/1.1\r\nHost: other\r\nAccept: application/json\r\n\r\n");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (421, Some(PROBLEM))
    );
    let answer = ask(
        "POST /body HTTP/1.1\r\nHost: t\r\nAccept: application/json\r\nContent-Length: 9\r\n\r\n",
    );
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (408, Some(PROBLEM))
    );
    let answer = ask(
        "GET /switch HTTP/1.1\r\nHost: t\r\nAccept: application/json\r\n\
         Connection: upgrade\r\nUpgrade: shout\r\n\r\n",
    );
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (503, Some(PROBLEM))
    );
}
