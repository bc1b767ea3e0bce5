//! What the public suite Http11Probe (github.com/MDA2AV/Http11Probe) asks of a server in one
//! request, in its parts on compliance, smuggling, malformed input and normalisation: 169 requests.
//! Where it leaves a choice, this says what we choose.

use std::io;

use akurai_http::{Request, Response, Router};
use akurai_tests::{Client, TestServer};

fn start() -> TestServer {
    let echo = |req: &Request| -> io::Result<Response> { Ok(Response::text(req.body()?)) };
    TestServer::start(Router::new().get("/", echo).post("/", echo))
}

/// Each request gets this status, while its client may send more: a server that takes a wrong
/// length for good, and waits for the rest, fails here. A refused one ends the connection.
#[track_caller]
fn all_get(status: u16, requests: impl IntoIterator<Item = String>) {
    all_are_answered(status, requests, |_| ());
}

/// Each request is too short, and gets 400 when its client ends its side.
#[track_caller]
fn all_break_off(requests: impl IntoIterator<Item = String>) {
    all_are_answered(400, requests, Client::finish);
}

#[track_caller]
fn all_are_answered(
    status: u16,
    requests: impl IntoIterator<Item = String>,
    and_then: fn(&mut Client),
) {
    let server = start();
    for request in requests {
        let shown = &request[..request.len().min(200)];
        let mut client = server.connect();
        client.send(&request);
        and_then(&mut client);
        let answer = client.read_response();
        assert_eq!(answer.status, status, "{shown:?}");
        if [400, 413, 414, 431, 501, 505].contains(&status) {
            assert_eq!(answer.header("connection"), Some("close"), "{shown:?}");
            client.expect_eof();
        }
    }
}

/// Each POST gets 200, and its body comes back.
#[track_caller]
fn all_echoed(requests: impl IntoIterator<Item = (String, &'static str)>) {
    let server = start();
    for (request, body) in requests {
        let mut client = server.connect();
        client.send(&request);
        let answer = client.read_response();
        assert_eq!((answer.status, answer.text()), (200, body), "{request:?}");
    }
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n")
}

fn line(request_line: &str) -> String {
    format!("{request_line}\r\nHost: t\r\n\r\n")
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: t\r\n{fields}\r\n\r\n{body}")
}

fn length(value: &str) -> String {
    post(&format!("Content-Length: {value}"), "hello")
}

/// Two kinds of framing, so refused even where the coding is fine. The body is one of both kinds:
/// a server that takes either of them would answer 200.
fn coding(line: &str) -> String {
    let fields = format!("{line}\r\nContent-Length: 15");
    post(&fields, "5\r\nhello\r\n0\r\n\r\n")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked", body)
}

#[test]
fn http11probe_request_lines() {
    let refused = [
        "GET  / HTTP/1.1",
        "GET HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /pa th HTTP/1.1",
        "GET /path#frag HTTP/1.1",
        "GET /\0test HTTP/1.1",
        "GET /path\\file HTTP/1.1",
        "GET * HTTP/1.1",
        "GET / HTTP/1",
        "GET / HTTP/01.01",
        "GET / HTTP/ 1.1",
        "GET / http/1.1",
        "GET / HTTP/1.1\rX: 1",
    ];
    all_get(400, refused.map(line));
    all_get(400, [format!("{} / HTTP/1.1\r\n\r\n", "A".repeat(100_000))]);
    all_get(400, ["GET /\r\n", "   \r\n\r\n"].map(str::to_owned));
    all_get(
        505,
        [
            line("GET / HTTP/9.9"),
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        ],
    );
    let methods = [
        "get / HTTP/1.1",
        "FOOBAR / HTTP/1.1",
        "CONNECT t:443 HTTP/1.1",
    ];
    all_get(501, methods.map(line));
    all_get(
        414,
        [line(&format!("GET /{} HTTP/1.1", "A".repeat(100_000)))],
    );
    all_get(404, [line(&format!("GET /{} HTTP/1.1", "a".repeat(7900)))]);
    // A path is text that was decoded: these name no page of ours.
    let decoded = [
        "GET /path%0d%0aX-Injected:%20true HTTP/1.1",
        "GET /path%00.html HTTP/1.1",
    ];
    all_get(404, decoded.map(line));
    let served = [
        "GET http://t/ HTTP/1.1",
        "GET http://other/ HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/1.0",
    ];
    all_get(200, served.map(line));
    all_get(
        200,
        [
            "GET / HTTP/1.0\r\n\r\n".to_owned(),
            format!("\r\n\r\n{}", get("")),
        ],
    );
    all_get(
        204,
        [line("OPTIONS * HTTP/1.1"), line("OPTIONS / HTTP/1.1")],
    );
    all_get(405, [line("DELETE / HTTP/1.1"), line("TRACE / HTTP/1.1")]);
}

#[test]
fn http11probe_bytes_that_are_no_text() {
    let server = start();
    for (before, bytes, after) in [
        ("GET /caf", &b"\xc3\xa9"[..], " HTTP/1.1\r\nHost: t\r\n\r\n"),
        ("GET /", b"\xc0\xaf", " HTTP/1.1\r\nHost: t\r\n\r\n"),
        (
            "GET / HTTP/1.1\r\nHost: t\r\nX-T",
            b"\xc3\xab",
            "st: value\r\n\r\n",
        ),
        ("", b"\x16\x03\x01\xff\0\x80\x0b\r\n\r\n", ""),
    ] {
        let mut client = server.connect();
        client.send([before.as_bytes(), bytes, after.as_bytes()].concat());
        assert_eq!(client.read_response().status, 400, "{before:?} {bytes:?}");
        client.expect_eof();
    }
}

#[test]
fn http11probe_fields() {
    let refused = [
        "X-Test: value\r\n continued\r\n",
        "X-Test : value\r\n",
        ": empty-name\r\n",
        "Bad[Name: value\r\n",
        "NoColonHere\r\n",
        "X-Test: val\0ue\r\n",
        "X-Test: val\rue\r\n",
        "X-Test: abc\x07\x08\x0bdef\r\n",
        "X-Test: value\nX-Other: value\r\n",
        "Content\tLength: 99\r\n",
        "Host: other.example.com\r\n",
        "Host: t\r\n",
    ];
    all_get(400, refused.map(get));
    let lines = [
        "",
        " \r\nHost: t\r\n",
        "Host: \r\n",
        "Host: user@t\r\n",
        "Host: t/path\r\n",
        "Host: t, other\r\n",
    ];
    all_get(
        400,
        lines.map(|fields| format!("GET / HTTP/1.1\r\n{fields}\r\n")),
    );
    all_get(400, ["GET / HTTP/1.1\nHost: t\r\n\r\n".to_owned()]);
    all_get(
        400,
        [post(
            "Content-Type: text/plain\r\nContent-Type: text/html",
            "",
        )],
    );
    let long = "B".repeat(100_000);
    let many: String = (0..10_000).map(|n| format!("X-H-{n}: value\r\n")).collect();
    all_get(
        431,
        [
            get(&format!("X-Big: {long}\r\n")),
            get(&format!("{long}: val\r\n")),
            get(&many),
        ],
    );
    all_get(417, [get("Expect: 200-ok\r\n")]);
    let of_a_socket = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version";
    let served = [
        "Connection: close\r\n".to_owned(),
        "Accept: application/x-nonsense\r\n".to_owned(),
        "Range: bytes=abc-xyz\r\n".to_owned(),
        format!("Range: bytes={}0-\r\n", "0-,".repeat(999)),
        "Connection: Upgrade\r\nUpgrade: totally-made-up/1.0\r\n".to_owned(),
        format!("Upgrade: websocket\r\n{of_a_socket}: 13\r\n"),
        format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{of_a_socket}: 99\r\n"),
    ];
    all_get(200, served.map(|fields| get(&fields)));
    let upgrade = format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{of_a_socket}: 13\r\n");
    let old = get(&upgrade).replace("HTTP/1.1", "HTTP/1.0");
    all_get(200, [old, get(&upgrade).replace("GET", "POST")]);
    all_get(
        405,
        [get("Authorization: Bearer secret\r\n").replace("GET", "TRACE")],
    );
}

#[test]
fn http11probe_lengths() {
    let refused = [
        "abc",
        "+5",
        "-1",
        "-0",
        "0x5",
        "0o5",
        "1_0",
        "1 0",
        "",
        "99999999999999999999",
        "5, 10",
        // Its grammar is fine, or two that are equal may be taken for one. We refuse.
        "005",
        "00",
        "0200",
        "5, 5",
        "5, 5, 5",
        // Spaces, lists, and a second line.
        "5\r\nContent-Length: 10",
        "5\r\nContent-Length : 5",
    ];
    all_get(400, refused.map(length));
    let served = [
        "5",
        "5 ",
        " 5",
        "\t5",
        "5\r\nRange: bytes=0-10",
        "5\r\nContent-Type: application/x-nonsense",
        "5\r\nContent_Length: 99",
        "5\r\nTransfer_Encoding: chunked",
    ];
    all_echoed(served.map(|value| (length(value), "hello")));
    all_echoed([(post("Content-Length: 0", ""), ""), (post("X: 1", ""), "")]);
    let get = length("5").replace("POST", "GET");
    all_echoed([(get, "hello"), (length("5").replace("1.1", "1.0"), "hello")]);
    all_get(413, [length("999999999")]);
    all_break_off([length("10")]);
    all_get(405, [length("5").replace("POST", "TRACE")]);
    all_get(204, [length("5").replace("POST", "OPTIONS")]);
}

#[test]
fn http11probe_transfer_codings() {
    let refused = [
        "chunked",
        "Chunked",
        "\tchunked",
        "chunked ",
        "\r\n chunked",
        "\x0bchunked",
        "\x0cchunked",
        "chunked\0",
        "xchunked",
        "identity",
        "",
        ", chunked",
        "chunked,",
        "chunked, chunked",
        "chunked;ext=val",
        "chunked\r\nTransfer-Encoding: identity",
    ];
    all_get(
        400,
        refused.map(|value| coding(&format!("Transfer-Encoding: {value}"))),
    );
    all_get(
        400,
        [
            coding("Transfer-Encoding : chunked"),
            coding("TRANSFER-ENCODING: chunked"),
        ],
    );
    all_get(
        400,
        [coding("Transfer-Encoding: chunked").replace("1.1", "1.0")],
    );
    all_get(
        400,
        ["chunked, gzip", "gzip"]
            .map(|value| post(&format!("Transfer-Encoding: {value}"), "0\r\n\r\n")),
    );
    let both = |value: &str, body: &str| {
        post(
            &format!("Content-Length: {value}\r\nTransfer-Encoding: chunked"),
            body,
        )
    };
    all_get(
        400,
        [
            both("4", "0\r\n\r\n"),
            both("30", "0\r\n\r\n"),
            both("18", "d\r\nhello-bananas\r\n0\r\n\r\n"),
        ],
    );
}

#[test]
fn http11probe_chunks() {
    let refused = [
        "5;\r\nhello",
        "5;bad[=x\r\nhello",
        "5;\nhello",
        "5;\0ext\r\nhello",
        "5;a\rX\r\nhello",
        "5\rhello",
        "0x5\r\nhello",
        "+5\r\nhello",
        "-1\r\nhello",
        " 5\r\nhello",
        "5 \r\nhello",
        "1_0\r\nhello world!!!!!",
        "FFFFFFFFFFFFFFFF0\r\nhello",
        "5\r\nhello!!",
    ];
    all_get(
        400,
        refused.map(|begun| chunked(&format!("{begun}\r\n0\r\n\r\n"))),
    );
    let ends = [
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
    ];
    all_get(400, ends.map(chunked));
    all_break_off([chunked("5\r\nhello\r\n")]);
    let trailers = [
        "Content-Length: 50",
        "Transfer-Encoding: chunked",
        "Host: evil",
        "Authorization: Bearer evil",
        "Content-Type: text/evil",
    ];
    all_get(
        400,
        trailers.map(|field| chunked(&format!("5\r\nhello\r\n0\r\n{field}\r\n\r\n"))),
    );
    all_get(
        400,
        [chunked(&format!(
            "5;ext={}\r\nhello\r\n0\r\n\r\n",
            "a".repeat(65_536)
        ))],
    );
    all_echoed([
        (chunked("5\r\nhello\r\n0\r\n\r\n"), "hello"),
        (
            chunked("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
            "hello world",
        ),
        (chunked("0\r\n\r\n"), ""),
        (chunked("A\r\nhelloworld\r\n0\r\n\r\n"), "helloworld"),
        (chunked("5;ext=value\r\nhello\r\n0\r\n\r\n"), "hello"),
        (
            chunked("5\r\nhello\r\n0\r\nX-Checksum: abc\r\n\r\n"),
            "hello",
        ),
    ]);
}

#[test]
fn http11probe_answers() {
    let server = start();
    let ask = |request: &str| {
        let mut client = server.connect();
        client.send(request);
        client.read_response()
    };
    let page = ask(&get(""));
    assert!(page.header("date").unwrap().ends_with(" GMT"));
    assert!(page.header("content-type").is_some());
    assert!(ask(&line("DELETE / HTTP/1.1")).header("allow").is_some());
    let options = ask(&line("OPTIONS / HTTP/1.1"));
    assert_eq!(options.header("content-length"), None);
    assert!(options.header("allow").is_some());
    for close in [
        "GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(close);
        assert_eq!(client.read_response().status, 200);
        client.expect_eof();
    }
    let mut client = server.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.read_response_to_head().status, 200);
    client.finish();
    client.expect_eof();
    // An interim answer is for HTTP/1.1 alone, and only if its client waits for it.
    for version in ["1.0", "1.1"] {
        let request = length("5\r\nExpect: 100-continue").replace("1.1", version);
        assert_eq!(ask(&request).status, 200);
    }
    // A client that says nothing gets nothing, and so does one that breaks off within a head.
    for begun in ["", "GET / HTTP/1.1\r\nHost: t\r\nX-Test: value"] {
        let mut client = server.connect();
        client.send(begun);
        client.finish();
        client.expect_eof();
    }
}
