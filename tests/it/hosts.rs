//! The hosts for which a server answers: this stops DNS rebinding.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use akurai_http::{Reply, Request, RequestError, Response, Router, Server, sse};
use akurai_tests::{Answer, TestServer, TestStream, handshake};
use akurai_ws::upgrade;

const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

fn listed() -> Server {
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    server.hosts(HOSTS).expect("they are hosts")
}

/// Routes of all kinds, and how often any of them ran.
fn app() -> (Router, Arc<AtomicUsize>) {
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ran);
    let app = Router::new()
        .get("/", |_| Response::text("secret"))
        .post("/", |req: &Request| req.body().map(Response::text))
        .get("/events", |_| sse(|mut sink| sink.event("secret", "1")))
        .get("/ws", |req| upgrade(req, |conn| conn.send_text("secret")))
        .wrap(move |req, next| -> Reply {
            counted.fetch_add(1, Ordering::SeqCst);
            next(req)
        });
    (app, ran)
}

/// The request of a browser to the page's own host name, which the attacker has pointed at this
/// server.
fn opening(path: &str, host: &str) -> String {
    let named = format!("Host: {host}\r\nOrigin: http://{host}\r\n");
    handshake(path).replacen("Host: example.com\r\n", &named, 1)
}

fn get(target: &str, host: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[track_caller]
fn ask(server: &TestServer, request: &str) -> Answer {
    let mut client = server.connect();
    client.send(request);
    match request.starts_with("HEAD") {
        true => client.read_response_to_head(),
        false => client.read_response(),
    }
}

#[test]
fn rebinding_reaches_no_route_event_stream_or_websocket() {
    let (app, ran) = app();
    let server = TestServer::of(listed(), app);
    let evil = "evil.example:8090";
    let requests = [
        get("/", evil),
        get("/", "evil.example"),
        get("/absent", evil),
        get("/events", evil),
        opening("/ws", evil),
        format!("HEAD / HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nHost: {evil}\r\nContent-Length: 2\r\n\r\nhi"),
        format!("POST / HTTP/1.1\r\nHost: {evil}\r\nContent-Length: 99999999\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nHost: {evil}\r\nTransfer-Encoding: chunked\r\n\r\n"),
        format!(
            "POST / HTTP/1.1\r\nHost: {evil}\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        ),
        format!("OPTIONS * HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
        format!("OPTIONS / HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
        format!("TRACE / HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
        format!("GET / HTTP/1.0\r\nHost: {evil}\r\n\r\n"),
        // The authority of an absolute-form has priority over Host (RFC 9112 §3.2.2).
        get(&format!("http://{evil}/"), "localhost"),
    ];
    for request in &requests {
        let mut client = server.connect();
        client.send(request);
        let answer = match request.starts_with("HEAD") {
            true => client.read_response_to_head(),
            false => client.read_response(),
        };
        assert_eq!(answer.status, 421, "{request}");
        if !request.starts_with("HEAD") {
            let text = "this server does not answer to this host, which is not in its list; or the \
                target says https: and the connection has no TLS\n";
            assert_eq!(answer.text(), text, "{request}");
        }
        assert!(answer.has_token("connection", "close"), "{request}");
        client.finish();
        client.expect_eof();
    }
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    let refused = server.handle().stats().refused;
    assert_eq!(
        refused,
        [(RequestError::Misdirected, requests.len() as u64)]
    );
}

#[test]
fn what_follows_a_request_for_a_listed_host_is_looked_at_too() {
    let (app, ran) = app();
    let server = TestServer::of(listed(), app);
    let mut client = server.connect();
    client.send(get("/", "localhost") + &get("/", "evil.example") + &get("/", "localhost"));
    assert_eq!(client.read_response().text(), "secret");
    assert_eq!(client.read_response().status, 421);
    client.finish();
    client.expect_eof();
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

#[test]
fn listed_hosts_are_answered_however_they_are_written() {
    let (app, _) = app();
    let server = TestServer::of(listed(), app);
    for host in [
        "localhost",
        "localhost:8090",
        "LOCALHOST",
        "Localhost.:8090",
        "127.0.0.1",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:8090",
        "[0:0:0:0:0:0:0:1]:8090",
    ] {
        let answer = ask(&server, &get("/", host));
        assert_eq!((answer.status, answer.text()), (200, "secret"), "{host}");
        let mut client = server.connect();
        client.send(get("/events", host));
        assert_eq!(client.read_head().status, 200, "{host}");
    }
    for host in ["localhost", "127.0.0.1:8090", "[::1]:8090"] {
        let mut client = server.connect();
        client.send(opening("/ws", host));
        assert_eq!(client.read_head().status, 101, "{host}");
    }
    let absolute = get("http://localhost:1/", "evil.example");
    assert_eq!(ask(&server, &absolute).status, 200);
    // An HTTP/1.0 request need not name a host, and a request without one is from no browser.
    assert_eq!(ask(&server, "GET / HTTP/1.0\r\n\r\n").status, 200);
    for host in [
        "localhost.evil.example",
        "127.0.0.2",
        "[::2]",
        "0.0.0.0",
        "127.1",
    ] {
        assert_eq!(ask(&server, &get("/", host)).status, 421, "{host}");
    }
}

#[test]
fn any_host_is_answered_unless_they_are_listed() {
    let (app, _) = app();
    let server = TestServer::start(app);
    let answer = ask(&server, &get("/", "evil.example"));
    assert_eq!((answer.status, answer.text()), (200, "secret"));
}

#[test]
fn what_is_no_host_is_not_listed() {
    for host in [
        "",
        "localhost:8090",
        "http://localhost",
        "*.example.org",
        "[::1",
    ] {
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let error = server.hosts([host]).expect_err(host);
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&format!("{host:?}")), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn the_list_is_for_unix_sockets_too() {
    use std::io::{Read, Write};

    let dir = akurai_tests::TempDir::new();
    let path = dir.join("socket");
    let (app, _) = app();
    let server = listed().listen_unix(&path).expect("the path is free");
    let _server = TestServer::of(server, app);
    for (host, status) in [
        ("Host: localhost\r\n", "200"),
        ("Host: evil.example\r\n", "421"),
    ] {
        let mut client = TestStream::connect_unix(&path).expect("it listens");
        client
            .set_read_timeout(Some(akurai_tests::DEADLINE))
            .expect("not zero");
        let request = format!("GET / HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
        client.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        client
            .read_to_string(&mut answer)
            .expect("an answer and its end");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
}
