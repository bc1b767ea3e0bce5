//! The request line (RFC 9112 §3).

use akurai_http::{Request, Response, Router};
use akurai_tests::{TestServer, shown};

use crate::feeds::{all_answered, all_refused, all_served, all_served_then_closed, served};
use crate::mirror::Mirror;

/// A request with this request line and a Host.
fn request(line: impl AsRef<[u8]>) -> Vec<u8> {
    [line.as_ref(), b"\r\nHost: t\r\n\r\n"].concat()
}

/// A GET of this target.
fn get(target: impl AsRef<[u8]>) -> Vec<u8> {
    request([b"GET ", target.as_ref(), b" HTTP/1.1"].concat())
}

#[test]
fn http_01_empty_lines_before_a_request() {
    let mirror = Mirror::start();
    let plain = request("GET /first HTTP/1.1");
    all_served(
        &mirror,
        [
            plain.clone(),
            [b"\r\n", &plain[..]].concat(),
            [b"\r\n\r\n", &plain[..]].concat(),
            // Old clients sent an extra CRLF after a body; here it stands before the second
            // request.
            [&plain[..], b"\r\n"].concat(),
        ],
    );
    all_refused(
        &mirror,
        400,
        [
            [b"\n", &plain[..]].concat(),
            [b"\r\r\n", &plain[..]].concat(),
        ],
    );
}

#[test]
fn http_02_separators() {
    let mirror = Mirror::start();
    all_refused(
        &mirror,
        400,
        [
            " GET / HTTP/1.1",
            "\tGET / HTTP/1.1",
            "\u{b}GET / HTTP/1.1",
            "\0GET / HTTP/1.1",
            "\u{feff}GET / HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "GET /\tHTTP/1.1",
            "GET\u{b}/ HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / HTTP/1.1\t",
            "GET / HTTP/1.1 x",
            "GET /a b HTTP/1.1",
            "GET /a\tb HTTP/1.1",
            "GET /",
            "GET / ",
            "GET",
            "GET ",
            "GET HTTP/1.1",
            "/ HTTP/1.1",
            "garbage",
        ]
        .map(request),
    );
    // A TLS client on the wrong port.
    all_refused(
        &mirror,
        400,
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()],
    );
    all_served(&mirror, [request("GET / HTTP/1.1")]);
}

#[test]
fn http_03_versions() {
    let mirror = Mirror::start();
    let with = |version: &str| request(format!("GET /v {version}"));
    all_refused(
        &mirror,
        400,
        [
            "HTTP/0.9",
            "HTTP/1",
            "HTTP/1.",
            "HTTP/.1",
            "HTTP/01.01",
            "HTTP/1.01",
            "HTTP/1.10",
            "HTTP/11.1",
            "http/1.1",
            "Http/1.1",
            "HTTP/ 1.1",
            "HTTP /1.1",
            "HTTP/1 .1",
            "HTTP/1,1",
            "HTTP/1.1.",
            "HTTP/1.1.1",
            "HTTP/1.x",
            "HTTP/+1.1",
            "HTTP/-1.1",
            "HTTP\\1.1",
            "HTTPS/1.1",
            "HTTP1.1",
            "XHTTP/1.1",
            "1.1",
            "ICY/1.0",
        ]
        .map(with),
    );
    all_refused(
        &mirror,
        505,
        ["HTTP/2.0", "HTTP/2.1", "HTTP/3.0", "HTTP/9.9"].map(with),
    );
    all_refused(&mirror, 505, ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]);

    assert_eq!(
        served(&mirror, with("HTTP/1.1")).header("x-version"),
        Some("1.1")
    );
    let later = served(&mirror, with("HTTP/1.2"));
    assert_eq!(later.header("x-version"), Some("1.1"));
    assert_eq!(later.minor_version, 1);
    all_served(&mirror, [with("HTTP/1.9")]);
    all_served_then_closed(&mirror, [with("HTTP/1.0")]);
}

#[test]
fn http_04_methods() {
    let mirror = Mirror::start();
    let with = |method: &str| request(format!("{method} / HTTP/1.1"));
    let longest = "M".repeat(32);
    all_refused(
        &mirror,
        400,
        [
            "G(T",
            "GET,",
            "GET/",
            "GET:",
            "\"GET\"",
            "G{T",
            "G\u{7f}T",
            "G\u{e9}T",
            "G@T",
            "[GET]",
            "G=T",
            "G\\T",
            &format!("{longest}M"),
            &"M".repeat(1000),
        ]
        .map(with),
    );
    all_answered(
        || mirror.connect(),
        501,
        [
            "get",
            "Get",
            "FOOBAR",
            "GETT",
            "GE",
            "M-SEARCH",
            "!#$%&'*+-.^_`|~",
            &longest,
        ]
        .map(with),
    );
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
        assert_eq!(
            served(&mirror, with(method)).header("x-method"),
            Some(method)
        );
    }
}

#[test]
fn http_04_a_method_not_routed_is_405_with_allow() {
    let server =
        TestServer::start(Router::new().get("/only-get", |_: &Request| Response::text("got")));
    let mut client = server.connect();
    for method in ["DELETE", "POST", "PUT", "PATCH"] {
        client.send(request(format!("{method} /only-get HTTP/1.1")));
        let answer = client.read_response();
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.has_token("allow", "GET"), "{method}: {answer:?}");
        assert!(answer.has_token("allow", "HEAD"), "{method}: {answer:?}");
        assert!(!answer.has_token("allow", method), "{method}: {answer:?}");
    }
    client.send(get("/only-get"));
    assert_eq!(client.read_response().text(), "got");
}

#[test]
fn http_05_target_characters() {
    let mirror = Mirror::start();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for byte in 0..=255u8 {
        let in_path = [b"/a", &[byte][..], b"b"].concat();
        let in_query = [b"/a?b", &[byte][..], b"c"].concat();
        match byte {
            // The backtick is in neither list.
            b'`' => {}
            b'%' | b'\\' => {
                bad.push(in_path);
                good.push(in_query);
            }
            b'#' | b'"' | b'<' | b'>' => bad.extend([in_path, in_query]),
            b'!'..=b'~' => good.extend([in_path, in_query]),
            _ => bad.extend([in_path, in_query]),
        }
    }
    assert_eq!(
        (good.len(), bad.len()),
        (2 * (94 - 7) + 2, 2 * (256 - 94 + 4) + 2)
    );
    all_refused(&mirror, 400, bad.iter().map(get));
    all_served(&mirror, good.iter().map(get));

    let answer = served(&mirror, get("/|{}^[]?|{}^[]"));
    assert_eq!(answer.header("x-path"), Some("/|{}^[]"));
    assert_eq!(answer.header("x-query"), Some("|{}^[]"));
}

#[test]
fn http_05_percent_triplets() {
    let mirror = Mirror::start();
    all_refused(
        &mirror,
        400,
        [
            "/%", "/%4", "/%zz", "/%4g", "/%g4", "/%%41", "/% 41", "/%+4", "/%-1", "/%0x",
            "/%u0041", "/%41%", "/%?a",
        ]
        .map(get),
    );
    all_served(
        &mirror,
        [
            "/%41",
            "/%7e%7E",
            "/%C3%a9",
            "/?a=%20&b=%25",
            "/a?%",
            "/a?b=%z0",
            "/a?b=%4",
            "http://t/?%",
        ]
        .map(get),
    );
}

/// As browsers send `/q?path=C:\temp` and `/q?d=100%`, and as `URLSearchParams` decodes them.
#[test]
fn http_05_a_query_as_browsers_send_it() {
    let server = TestServer::start(Router::new().get("/q", |req: &Request| {
        let pairs = req.query_pairs();
        let all: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
        Response::text(all.join("\n"))
    }));
    let mut client = server.connect();
    for (query, pairs) in [
        (r"path=C:\temp", r"path=C:\temp"),
        ("d=100%", "d=100%"),
        ("d=100%&e=%41", "d=100%\ne=A"),
        (r"%\%=\", r"%\%=\"),
        ("d=%4&e=%zz+%25", "d=%4\ne=%zz %"),
    ] {
        client.send(get(format!("/q?{query}")));
        let answer = client.read_response();
        assert_eq!((answer.status, answer.text()), (200, pairs), "{query}");
    }
    // In a path both are still malformed.
    all_answered(|| server.connect(), 400, [r"/q\?a", "/q%?a"].map(get));
}

#[test]
fn http_05_targets_that_are_no_path() {
    let mirror = Mirror::start();
    all_refused(
        &mirror,
        400,
        [
            "foo",
            "../x",
            "./x",
            "?q",
            "#x",
            "foo/bar",
            "example.org",
            "example.org:80",
            "%2f",
            "\\",
            "//h/#x",
        ]
        .map(get),
    );
    assert_eq!(
        served(&mirror, get("//x/y")).header("x-path"),
        Some("//x/y")
    );
    let answer = served(&mirror, get("/a/b?c=d?e/f"));
    assert_eq!(answer.header("x-path"), Some("/a/b"));
    assert_eq!(answer.header("x-query"), Some("c=d?e/f"));
}

#[test]
fn http_06_long_targets() {
    let mirror = Mirror::start();
    let path_of = |len: usize| format!("/{}", "x".repeat(len - 1));
    let answer = served(&mirror, get(path_of(8000)));
    assert_eq!(answer.header("x-path").map(str::len), Some(8000));
    all_refused(&mirror, 414, [get(path_of(8193)), get(path_of(10_000))]);
    all_refused(&mirror, 414, [get(format!("/?{}", "x".repeat(8193)))]);
    // The server refuses a line that is too long before its end.
    all_refused(&mirror, 414, [format!("GET {}", path_of(9000))]);
}

#[test]
fn http_07_absolute_form() {
    let mirror = Mirror::start();
    for (target, path, query, authority) in [
        ("http://example.org/x", "/x", None, "example.org"),
        (
            "http://example.org:8080/x?y=z",
            "/x",
            Some("y=z"),
            "example.org:8080",
        ),
        ("http://example.org", "/", None, "example.org"),
        ("http://example.org/", "/", None, "example.org"),
        ("http://example.org?q", "/", Some("q"), "example.org"),
        ("HTTP://example.org/x", "/x", None, "example.org"),
        ("http://[::1]:80/x", "/x", None, "[::1]:80"),
        ("http://127.0.0.1//x", "//x", None, "127.0.0.1"),
    ] {
        let answer = served(&mirror, get(target));
        assert_eq!(answer.header("x-path"), Some(path), "{target}");
        assert_eq!(answer.header("x-query"), query, "{target}");
        assert_eq!(answer.header("x-authority"), Some(authority), "{target}");
    }
    all_refused(
        &mirror,
        421,
        ["https://example.org/x", "HTTPS://t"].map(get),
    );
    let origin_form = served(&mirror, get("/x"));
    assert_eq!(origin_form.header("x-authority"), Some("t"));
    all_refused(
        &mirror,
        400,
        [
            "http://u@example.org/",
            "http://u:p@example.org/",
            "http://@example.org/",
            "http:///x",
            "http://",
            "http://:80/",
            "http://?q",
            "http:/x",
            "http:x",
            "http//x",
            "http://example.org:x/",
            "http://example.org:99999/",
            "http://example.org:80:80/",
            "http://exa mple.org/",
            "http://example.org\\x",
            "http://a,b/",
            "http://[::1/",
            "http://[::g]/",
            "http://example.org/#x",
            "://example.org/",
        ]
        .map(get),
    );
    // An absolute form does not replace the Host that HTTP/1.1 requires.
    all_refused(&mirror, 400, ["GET http://example.org/ HTTP/1.1\r\n\r\n"]);
}

#[test]
fn http_07_asterisk_connect_and_trace() {
    let mirror = Mirror::start();
    all_refused(
        &mirror,
        400,
        ["GET *", "POST *", "GET /*#", "OPTIONS **", "OPTIONS foo"]
            .map(|line| request(format!("{line} HTTP/1.1"))),
    );
    let connect = |authority: &str| request(format!("CONNECT {authority} HTTP/1.1"));
    all_refused(
        &mirror,
        501,
        ["example.org:443", "127.0.0.1:80", "[::1]:443"].map(connect),
    );
    all_refused(
        &mirror,
        400,
        [
            "example.org",
            "example.org:",
            "example.org:x",
            "example.org:99999",
            "example.org:-1",
            "example.org:+1",
            ":443",
            "/",
            "*",
            "[::1]",
            "http://example.org:443/",
            "u@example.org:443",
        ]
        .map(connect),
    );

    let server = TestServer::start(
        Router::new()
            .get("/", |_: &Request| Response::text("got"))
            .post("/", |_: &Request| Response::text("posted")),
    );
    let mut client = server.connect();
    client.send(request("OPTIONS * HTTP/1.1"));
    let answer = client.read_response();
    assert!((200..300).contains(&answer.status), "{answer:?}");
    assert!(answer.has_token("allow", "GET"), "{answer:?}");
    client.send(request("TRACE / HTTP/1.1"));
    let answer = client.read_response();
    assert_eq!(answer.status, 405, "{}", shown(&answer.body));
    assert!(answer.has_token("allow", "GET"), "{answer:?}");
    assert!(!answer.has_token("allow", "TRACE"), "{answer:?}");
}
