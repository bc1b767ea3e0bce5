//! What the public suite h1spec (github.com/uNetworking/h1spec) asks of a server that echoes
//! bodies: 15 requests that break off, and 18 whole ones.

use std::io;
use std::ops::RangeInclusive;

use akurai_http::{Request, Response};
use akurai_tests::TestServer;

fn echo(req: &Request) -> io::Result<Response> {
    Ok(Response::text(req.body()?))
}

const WHOLE: &str = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Where h1spec breaks the request off, and expects the server to wait for the rest.
const BREAKS: [&str; 15] = [
    "G",
    "GET ",
    "GET /hello",
    "GET /hello ",
    "GET /hello HTTP",
    "GET /hello HTTP/1.1",
    "GET /hello HTTP/1.1\r",
    "GET /hello HTTP/1.1\r\n",
    "GET /hello HTTP/1.1\r\nHos",
    "GET /hello HTTP/1.1\r\nHost:",
    "GET /hello HTTP/1.1\r\nHost: ",
    "GET /hello HTTP/1.1\r\nHost: localhost",
    "GET /hello HTTP/1.1\r\nHost: localhost\r",
    "GET /hello HTTP/1.1\r\nHost: localhost\r\n",
    "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r",
];

/// A server that did not wait would have refused the beginning, or would answer twice.
#[test]
fn h1spec_the_server_waits_for_the_rest() {
    let server = TestServer::start(echo);
    for begun in BREAKS {
        let rest = WHOLE.strip_prefix(begun).expect("it is a beginning");
        let mut client = server.connect();
        client.send(begun);
        client.send(rest);
        assert_eq!(client.read_response().status, 200, "{begun:?}");
        client.send(WHOLE);
        assert_eq!(client.read_response().status, 200, "{begun:?}");
    }
}

const GOOD: RangeInclusive<u16> = 200..=299;
const CLIENT_ERROR: RangeInclusive<u16> = 400..=499;
const ERROR: RangeInclusive<u16> = 400..=599;

/// The rest of a request whose line is `GET / HTTP/1.1`, unless it has one.
fn request(text: &str) -> String {
    if text.contains("HTTP/") || text.starts_with("GET ") {
        return text.to_owned();
    }
    format!("GET / HTTP/1.1\r\n{text}")
}

#[test]
fn h1spec_whole_requests() {
    let no_body = |fields: &str| format!("Host: example.com\r\n{fields}\r\n\r\n");
    let post = |fields: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n\r\n{body}")
    };
    let chunk = "c\r\nHellO world1\r\n0\r\n\r\n";
    let both = "content-LengtH: 5\r\nTransFer-Encoding: chunked";
    let asked: [(String, RangeInclusive<u16>, &str); 18] = [
        ("GET / \r\n\r\n".into(), ERROR, ""),
        (no_body("Expect: 100-continue"), GOOD, ""),
        ("Host: example.com\r\n\r\n".into(), GOOD, ""),
        ("hoSt:\texample.com\r\nempty:\r\n\r\n".into(), GOOD, ""),
        (no_body("X-Invalid[]: test"), CLIENT_ERROR, ""),
        ("Content-Length: 5\r\n\r\n".into(), CLIENT_ERROR, ""),
        (no_body("Host: example.org"), CLIENT_ERROR, ""),
        (
            no_body("Content-Length: -123456789123456789123456789"),
            CLIENT_ERROR,
            "",
        ),
        (no_body("Content-Length: -1234"), CLIENT_ERROR, ""),
        (no_body("Content-Length: abc"), CLIENT_ERROR, ""),
        (no_body("X-Empty-Header: "), GOOD, ""),
        (no_body("X-Bad-Control-Char: test\x07"), CLIENT_ERROR, ""),
        (
            "GET / HTTP/9.9\r\nHost: example.com\r\n\r\n".into(),
            ERROR,
            "",
        ),
        (
            "Extra lineGET / HTTP/1.1\r\nHost: example.com\r\n\r\n".into(),
            ERROR,
            "",
        ),
        (no_body("\rSome-Header: Test"), CLIENT_ERROR, ""),
        (post("Content-Length: 5", "hello"), GOOD, "hello"),
        (
            post("Transfer-Encoding: chunked", chunk),
            GOOD,
            "HellO world1",
        ),
        (post(both, chunk), CLIENT_ERROR, ""),
    ];
    let server = TestServer::start(echo);
    for (text, statuses, body) in asked {
        let mut client = server.connect();
        client.send(request(&text));
        let answer = client.read_response();
        assert!(
            statuses.contains(&answer.status),
            "{}: {text:?}",
            answer.status
        );
        if GOOD.contains(&answer.status) {
            assert_eq!(answer.text(), body, "{text:?}");
        }
    }
}
