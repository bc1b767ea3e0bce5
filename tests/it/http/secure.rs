//! Which requests are secure: by the connection's session, by what proxies say of their clients,
//! and not by what clients claim.

use std::io::{self, IoSlice};
use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::time::Duration;

use akurai_http::middleware::{self, CrossOriginProtection};
use akurai_http::{
    App, Cookie, Files, Method, Request, RequestError, Response, Router, Server, Session,
    TrustedProxies,
};
use akurai_tests::{Client, TempDir, TestServer, handshake};
use akurai_ws::upgrade;

use super::ask_on;

const DEADLINE: Duration = Duration::from_secs(60);
const HTTPS: &str = "X-Forwarded-Proto: https\r\n";
const HTTP: &str = "X-Forwarded-Proto: http\r\n";

fn trusting(proxies: TrustedProxies, app: impl App) -> TestServer {
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    TestServer::of(server.trust(proxies), app)
}

/// Trusts the client of each test.
fn behind_proxy(app: impl App) -> TestServer {
    let proxies = TrustedProxies::x_forwarded_for(["127.0.0.1"]).expect("an address");
    trusting(proxies, app)
}

fn seen(request: &Request) -> Response {
    let client = request.client_addr().expect("TCP has addresses");
    Response::text(format!("{client} {}", request.is_secure()))
}

/// Each case is the fields of a request, and the client's address and whether it is secure.
#[track_caller]
fn check(proxies: TrustedProxies, cases: &[(&str, &str)]) {
    let server = trusting(proxies, seen);
    let mut client = server.connect();
    for (fields, expected) in cases {
        let answer = ask_on(&mut client, "GET", "/", fields);
        assert_eq!(answer.text(), *expected, "{fields}");
    }
}

#[test]
fn x_forwarded_proto_is_believed_from_a_trusted_proxy_alone() {
    let proxies = |trusted| TrustedProxies::x_forwarded_for([trusted]).expect("an address");
    let cases = [
        ("", "127.0.0.1 false"),
        (HTTPS, "127.0.0.1 true"),
        (HTTP, "127.0.0.1 false"),
        (
            "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: HTTPS\r\n",
            "1.1.1.1 true",
        ),
        (
            "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https, http\r\n",
            "1.1.1.1 false",
        ),
        (
            "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nx-forwarded-proto: http\r\n",
            "1.1.1.1 false",
        ),
        (
            "X-Forwarded-For: 1.1.1.1, 127.0.0.1\r\nX-Forwarded-Proto: https, http\r\n",
            "1.1.1.1 true",
        ),
        ("X-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1 false"),
        ("Forwarded: for=1.1.1.1;proto=https\r\n", "127.0.0.1 false"),
        ("X-Forwarded-Ssl: on\r\n", "127.0.0.1 false"),
        // The next request on the connection is its own.
        ("", "127.0.0.1 false"),
    ];
    check(proxies("127.0.0.1"), &cases);
    for another in ["192.0.2.1", "unix"] {
        check(
            proxies(another),
            &cases.map(|(fields, _)| (fields, "127.0.0.1 false")),
        );
    }
}

#[test]
fn rfc7239_5_4_proto_stands_beside_the_believed_address() {
    let proxies = |trusted| TrustedProxies::forwarded([trusted]).expect("an address");
    let cases = [
        ("", "127.0.0.1 false"),
        ("Forwarded: for=1.1.1.1;proto=https\r\n", "1.1.1.1 true"),
        (
            "Forwarded: Proto=\"HTTPS\" ;For=\"[2001:db8::7]:4711\"\r\n",
            "2001:db8::7 true",
        ),
        ("Forwarded: for=1.1.1.1;proto=http\r\n", "1.1.1.1 false"),
        ("Forwarded: for=1.1.1.1;proto=gopher\r\n", "1.1.1.1 false"),
        ("Forwarded: proto=https;for=_hidden\r\n", "127.0.0.1 true"),
        (
            "Forwarded: for=6.6.6.6;proto=https, for=1.1.1.1;proto=http\r\n",
            "1.1.1.1 false",
        ),
        (
            "Forwarded: for=1.1.1.1;proto=https\r\nForwarded: for=127.0.0.1;proto=http\r\n",
            "1.1.1.1 true",
        ),
        (
            "Forwarded: for=6.6.6.6;proto=https;x=\"\r\nForwarded: for=1.1.1.1;proto=http\r\n",
            "1.1.1.1 false",
        ),
        (HTTPS, "127.0.0.1 false"),
    ];
    check(proxies("127.0.0.1"), &cases);
    check(
        proxies("192.0.2.1"),
        &cases.map(|(fields, _)| (fields, "127.0.0.1 false")),
    );
}

/// A session that changes no byte.
#[derive(Default)]
struct Unchanged {
    plain: Vec<u8>,
    wire: Vec<u8>,
}

impl Session for Unchanged {
    fn receive(&mut self, wire: &[u8]) -> io::Result<usize> {
        self.plain.extend_from_slice(wire);
        Ok(wire.len())
    }

    fn read(&mut self, plain: &mut [u8]) -> io::Result<Option<usize>> {
        let count = self.plain.len().min(plain.len());
        plain[..count].copy_from_slice(&self.plain[..count]);
        self.plain.drain(..count);
        Ok((count > 0).then_some(count))
    }

    fn write(&mut self, plain: &[IoSlice<'_>]) -> io::Result<usize> {
        plain
            .iter()
            .for_each(|slice| self.wire.extend_from_slice(slice));
        Ok(plain.iter().map(|slice| slice.len()).sum())
    }

    fn output(&mut self, wire: &mut Vec<u8>) -> io::Result<()> {
        wire.append(&mut self.wire);
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_session_makes_its_listener_s_requests_secure() {
    for trusted in ["192.0.2.1", "127.0.0.1"] {
        let is_proxy = trusted == "127.0.0.1";
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|server| server.with_session(|_| Ok(Unchanged::default())))
            .and_then(|server| server.listen((Ipv4Addr::LOCALHOST, 0)))
            .expect("two ports are free")
            .trust(TrustedProxies::x_forwarded_for([trusted]).expect("an address"));
        let addrs: Vec<_> = server.local_addrs().map(Result::unwrap).collect();
        let app = Router::new()
            .get("/", seen)
            .get("/ws", |req| upgrade(req, |conn| conn.send_text("open")));
        let _server = TestServer::of(server, app);
        for (addr, has_session) in [(addrs[0], true), (addrs[1], false)] {
            let mut client = Client::connect(addr);
            for (fields, by_proxy) in [("", has_session), (HTTPS, true), (HTTP, false)] {
                let expected = if is_proxy { by_proxy } else { has_session };
                let answer = ask_on(&mut client, "GET", "/", fields);
                let text = format!("127.0.0.1 {expected}");
                assert_eq!(answer.text(), text, "{fields} {has_session} {trusted}");
            }
            let status = ask_on(&mut client, "GET", "https://t/", "").status;
            let expected = if has_session || is_proxy { 200 } else { 421 };
            assert_eq!(status, expected, "an https target, {has_session} {trusted}");
            for (origin, is_own) in [("https://example.com", true), ("http://example.com", false)] {
                let mut client = Client::connect(addr);
                let named = format!("Host: example.com\r\nOrigin: {origin}\r\n");
                client.send(handshake("/ws").replacen("Host: example.com\r\n", &named, 1));
                let expected = if is_own || !has_session { 101 } else { 403 };
                assert_eq!(
                    client.read_head().status,
                    expected,
                    "{origin} {has_session}"
                );
            }
        }
    }
}

#[test]
fn rfc9110_7_4_an_https_target_is_refused_without_tls() {
    let app = || {
        Router::new()
            .get("/", seen)
            .get("/ws", |req| upgrade(req, |conn| conn.send_text("open")))
    };
    let targets = [
        "https://t/",
        "HTTPS://t/",
        "https://other:443/",
        "https://t",
    ];
    let server = TestServer::start(app());
    for target in targets {
        let mut client = server.connect();
        let answer = ask_on(&mut client, "GET", target, HTTPS);
        assert_eq!(answer.status, 421, "{target}");
        assert_eq!(answer.header("connection"), Some("close"), "{target}");
        client.finish();
        client.expect_eof();
    }
    let mut client = server.connect();
    client.send(handshake("https://t/ws"));
    assert_eq!(client.read_response().status, 421);
    let refused = server.handle().stats().refused;
    assert_eq!(refused, [(RequestError::Misdirected, 5)]);
    for target in ["http://t/", "/", "/?https://t/", "/https://t/"] {
        let status = ask_on(&mut server.connect(), "GET", target, "").status;
        assert_ne!(status, 421, "{target}");
    }

    // A trusted proxy may pass on its client's target, which proves nothing more than it says.
    let server = behind_proxy(app());
    for target in targets {
        let mut client = server.connect();
        for (fields, expected) in [("", "127.0.0.1 false"), (HTTPS, "127.0.0.1 true")] {
            let answer = ask_on(&mut client, "GET", target, fields);
            assert_eq!((answer.status, answer.text()), (200, expected), "{target}");
        }
    }
}

#[test]
fn rfc6454_5_a_page_without_tls_is_not_of_a_secure_site() {
    let app = || {
        Router::new()
            .get("/ws", |req| upgrade(req, |conn| conn.send_text("open")))
            .post("/", |_| Response::text("done"))
            .wrap(CrossOriginProtection::new().middleware())
    };
    let statuses = |server: &TestServer, fields: &str| {
        let mut client = server.connect();
        let post = ask_on(&mut client, "POST", "/", fields).status;
        let mut client = server.connect();
        let named = format!("Host: t\r\n{fields}");
        client.send(handshake("/ws").replacen("Host: example.com\r\n", &named, 1));
        (post, client.read_head().status)
    };
    let (opened, refused) = ((200, 101), (403, 403));
    let trusted = behind_proxy(app());
    for (origin, secure, plain) in [
        ("https://t", opened, opened),
        ("http://t", refused, opened),
        ("https://evil.example", refused, refused),
        ("http://evil.example", refused, refused),
        ("null", refused, refused),
    ] {
        let origin = format!("Origin: {origin}\r\n");
        let got = statuses(&trusted, &format!("{origin}{HTTPS}"));
        assert_eq!(got, secure, "{origin}");
        let got = statuses(&trusted, &format!("{origin}{HTTP}"));
        assert_eq!(got, plain, "{origin}");
    }
    // A proxy that is not trusted may speak TLS or not: its pages get through.
    let untrusting = TestServer::start(app());
    for origin in ["https://t", "http://t"] {
        for scheme in ["", HTTPS, HTTP] {
            let got = statuses(&untrusting, &format!("Origin: {origin}\r\n{scheme}"));
            assert_eq!(got, opened, "{origin} {scheme}");
        }
    }
}

#[test]
fn the_log_says_which_requests_were_secure() {
    let (tell, lines) = mpsc::channel();
    let log = middleware::access_log(move |line| {
        let _ = tell.send((line.to_string(), line.json()));
    });
    let app = Router::new()
        .get("/", |req| {
            req.log("user", "ann");
            Response::text("")
        })
        .get("/ws", |req| upgrade(req, |_| Ok(())))
        .wrap(log);
    let server = behind_proxy(app);
    let mut client = server.connect();
    let mut ws = server.connect();
    let opening = |fields| handshake("/ws").replacen("Host:", &format!("{fields}Host:"), 1);
    for (fields, word, json) in [
        (HTTPS, " secure user=\"ann\"", "\"secure\":true"),
        (HTTP, " user=\"ann\"", "\"secure\":false"),
        ("", " user=\"ann\"", "\"secure\":false"),
    ] {
        ask_on(&mut client, "GET", "/", fields);
        let (text, object) = lines.recv_timeout(DEADLINE).expect("a line");
        assert!(text.ends_with(word), "{text}");
        assert_eq!(text.contains("secure"), word.contains("secure"), "{text}");
        let field = format!("\"client\":\"127.0.0.1\",{json},\"method\":\"GET\"");
        assert!(object.contains(&field), "{object}");
    }
    // After an upgrade the line comes at the end, and is still about its request.
    ws.send(opening(HTTPS));
    assert_eq!(ws.read_head().status, 101);
    ws.finish();
    let (text, object) = lines.recv_timeout(DEADLINE).expect("a line");
    assert!(text.contains(" secure close="), "{text}");
    assert!(object.contains(",\"secure\":true,"), "{object}");
}

/// The server's own redirects name no scheme, so they are right for both.
#[test]
fn redirects_and_cookies_suit_the_client_s_scheme() {
    let dir = TempDir::new();
    std::fs::create_dir_all(dir.join("sub")).expect("a directory");
    let files = Files::dir(dir.path());
    let app = Router::new()
        .get("/slash/", |_| Response::text(""))
        .get("/login", |req| {
            let session = Cookie::new("session", "31d4").secure(req.is_secure());
            Response::text("").cookie(session)
        })
        .files("/files/", files)
        .redirect_slashes();
    let server = behind_proxy(app);
    let mut client = server.connect();
    for scheme in [HTTPS, HTTP] {
        for (target, location) in [
            ("/slash", "/slash/"),
            ("http://t/slash?a=b", "/slash/?a=b"),
            ("https://t/slash", "/slash/"),
            ("/files", "/files/"),
            ("/files/sub", "/files/sub/"),
        ] {
            let answer = ask_on(&mut client, "GET", target, scheme);
            assert!((301..=308).contains(&answer.status), "{target}");
            assert_eq!(answer.header("location"), Some(location), "{target}");
        }
    }
    let mut cookie = |scheme| set_cookie(&mut client, scheme);
    assert_eq!(
        cookie(HTTPS),
        "session=31d4; Path=/; Secure; HttpOnly; SameSite=Lax"
    );
    assert_eq!(cookie(HTTP), "session=31d4; Path=/; HttpOnly; SameSite=Lax");
}

fn set_cookie(client: &mut Client, scheme: &str) -> String {
    let answer = ask_on(client, "GET", "/login", scheme);
    answer.header("set-cookie").expect("a cookie").to_owned()
}

/// What `Router::handle` answers, a client gets too, although there is no TLS.
#[test]
fn an_https_target_is_secure_as_it_is_without_a_client() {
    let app = || Router::new().get("/", |req| Response::text(req.is_secure().to_string()));
    let router = app();
    let client = akurai_http::testing::Client::new(app()).wait(DEADLINE);
    let mut end = client.connect().expect("it runs");
    for (target, expected) in [
        ("https://localhost/", "true"),
        ("/", "false"),
        ("HTTPS://localhost:8443", "true"),
        ("http://localhost/", "false"),
        ("/?https://localhost/", "false"),
    ] {
        let request = || Request::new(Method::Get, target);
        let reply = router.handle(&request());
        let by_hand = reply.response().body().expect("it is in memory");
        assert_eq!(String::from_utf8_lossy(by_hand), expected, "{target}");
        for answer in [client.send(request()), end.send(request())] {
            assert_eq!(answer.expect("an answer").text(), expected, "{target}");
        }
    }
    // A server that listens does not believe it.
    let server = TestServer::start(app());
    let mut client = server.connect();
    client.send("GET https://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.read_response().status, 421);
}
