//! Failures in a program, and answers that the server gives in a handler's place: what the program,
//! the client and stderr learn about them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::mpsc;

use akurai_http::middleware::{self, Cors};
use akurai_http::{
    Level, Limits, Reply, Request, Response, Router, SseOptions, Status, Upgrade, sse,
};
use akurai_tests::{
    Answer, Client, DEADLINE, Frame, TestServer, WsClient, eventually, this_program,
};

const ORIGIN: &str = "https://app.example";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\nOrigin: {ORIGIN}\r\n\r\n")
}

/// An event stream that is compressed.
fn coded() -> SseOptions {
    SseOptions::new().gzip(Level::default())
}

#[track_caller]
fn answer(server: &TestServer, request: &str) -> Answer {
    let mut client = server.connect();
    client.send(request);
    client.read_response()
}

/// Fails unless a page of the other site may read the answer and its other fields.
#[track_caller]
fn expect_readable(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    let allowed: Vec<_> = answer.all("access-control-allow-origin").collect();
    assert_eq!(allowed, [ORIGIN.as_bytes()], "{answer:?}");
    let sniff: Vec<_> = answer.all("x-content-type-options").collect();
    assert_eq!(sniff, [b"nosniff"], "{answer:?}");
}

fn readable(router: Router) -> Router {
    router
        .wrap(Cors::origins([ORIGIN]).middleware())
        .wrap(middleware::security_headers())
}

fn failing() -> Router {
    Router::new()
        .get("/", |_| Response::text("got"))
        .get("/panic", |_| -> Response { panic!("a planned panic") })
        .get("/error", |_| {
            File::open("/no such").map(|_| Response::text(""))
        })
        .get("/stream", |_| {
            let stream = Response::stream(|_| Err(io::Error::other("a planned failure")));
            let stream = stream
                .with_header("Cache-Control", "max-age=9")
                .with_header("ETag", "\"a\"");
            stream
                .with_header("Vary", "Cookie")
                .with_header("Content-Type", "text/css")
        })
        .get("/stream-panic", |_| {
            Response::stream(|_| panic!("a planned panic"))
        })
        .get("/length", |_| Response::text("text").content_length(7))
        .post("/body", |req| req.body().map(Response::text))
}

#[test]
fn what_the_server_answers_passes_the_middleware() {
    let limits = Limits::default().max_body_bytes(10);
    let whole = readable(failing());
    let part = Router::new().nest("/part", readable(failing()));
    let twice = Router::new().nest("/of", Router::new().nest("/part", readable(failing())));
    for (app, prefix) in [(whole, ""), (part, "/part"), (twice, "/of/part")] {
        let server = TestServer::limited(limits.clone(), app);
        for path in ["/panic", "/error", "/stream", "/stream-panic", "/length"] {
            let answer = answer(&server, &get(&format!("{prefix}{path}")));
            expect_readable(&answer, 500);
            assert_eq!(answer.text(), "internal error\n", "{path}");
            assert_eq!(answer.has_token("connection", "close"), path != "/error");
            let kinds: Vec<_> = answer.all("content-type").collect();
            assert_eq!(kinds, [b"text/plain; charset=utf-8"], "{path}");
            let kept = answer.header("cache-control").or(answer.header("etag"));
            assert_eq!(kept, None, "{path}: that was of the content");
        }
        assert_eq!(server.handle().stats().panics, 2);
        let post = |fields: &str, body: &str| {
            format!(
                "POST {prefix}/body HTTP/1.1\r\nHost: t\r\nOrigin: {ORIGIN}\r\n\
                 {fields}\r\n\r\n{body}"
            )
        };
        // The limit is exceeded by the announced length, and in the middle of a body.
        let announced = answer(&server, &post("Content-Length: 11", "x"));
        let met = post(
            "Transfer-Encoding: chunked",
            "b\r\nhello world\r\n0\r\n\r\n",
        );
        for answer in [announced, answer(&server, &met)] {
            expect_readable(&answer, 413);
            assert!(answer.has_token("connection", "close"), "{answer:?}");
        }
        let refused = server.handle().stats().refused;
        assert_eq!(refused.iter().map(|(_, count)| count).sum::<u64>(), 2);
        expect_readable(&answer(&server, &get(&format!("{prefix}/"))), 200);
    }
}

#[test]
fn a_body_that_is_too_large_is_no_reason_if_middleware_answered_before() {
    let app = Router::new()
        .post("/", |req| Response::text(req.body().unwrap_or_default()))
        .wrap(|req, next| -> Reply {
            match req.header("authorization") {
                Some(_) => next(req),
                None => Response::new(Status::UNAUTHORIZED).into(),
            }
        })
        .max_body_bytes("/", 3);
    let server = TestServer::start(app);
    let post = |field: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: t\r\n{field}{body}");
    let chunked = "Transfer-Encoding: chunked\r\n\r\n4\r\nlong\r\n0\r\n\r\n";
    let announced = "Content-Length: 4\r\n\r\nlong";
    for body in [chunked, announced] {
        assert_eq!(answer(&server, &post("", body)).status, 401);
    }
    assert_eq!(server.handle().stats().refused, []);
}

#[test]
fn middleware_runs_once_for_a_request_whose_handler_panics() {
    let (told, tells) = mpsc::channel();
    let log = move |line: &middleware::LogLine<'_>| {
        let _ = told.send((line.request().path().to_owned(), line.status().code()));
    };
    let page = |req: &Request, next: &dyn Fn(&Request) -> Reply| match next(req) {
        Reply::Response(failed) if failed.status() == Status::INTERNAL_SERVER_ERROR => {
            Response::html("sorry").with_status(failed.status()).into()
        }
        reply => reply,
    };
    let limits = Limits::default().max_body_bytes(10);
    let app = failing().wrap(page).wrap(middleware::access_log(log));
    let server = TestServer::limited(limits, app);
    let failed = answer(&server, &get("/panic"));
    assert_eq!((failed.status, failed.text()), (500, "sorry"));
    assert!(failed.has_token("connection", "close"), "{failed:?}");
    assert_eq!(server.handle().stats().panics, 1);
    // The line follows the answer.
    let line = tells.recv_timeout(DEADLINE);
    assert_eq!(line, Ok(("/panic".to_owned(), 500)));
    answer(
        &server,
        "POST /nothing HTTP/1.1\r\nHost: t\r\nContent-Length: 11\r\n\r\n",
    );
    drop(server);
    let told: Vec<_> = tells.iter().collect();
    assert_eq!(told, [("/nothing".to_owned(), 413)]);
}

#[test]
fn middleware_that_panics_itself_costs_one_answer() {
    let app = failing().wrap(|_, _| -> Reply { panic!("a planned panic") });
    let server = TestServer::start(app);
    for n in 1..=2 {
        let answer = answer(&server, &get("/panic"));
        assert_eq!((answer.status, answer.text()), (500, "internal error\n"));
        assert_eq!(server.handle().stats().panics, n);
    }
}

#[test]
fn an_event_stream_without_a_place_is_told_to_come_back_in_a_way_that_the_page_may_read() {
    let limits = Limits::default().max_upgrades(0);
    let app = Router::new()
        .get("/events", |_| sse(|_| Ok(())))
        .get("/gzip", |req| coded().stream(req, |_| Ok(())));
    let server = TestServer::limited(limits, readable(app));
    for path in ["/events", "/gzip"] {
        let request = get(path).replace("\r\n\r\n", "\r\nAccept-Encoding: gzip\r\n\r\n");
        let later = answer(&server, &request);
        expect_readable(&later, 200);
        assert_eq!(later.header("content-type"), Some("text/event-stream"));
        assert!(later.text().starts_with("retry: "), "{later:?}");
        assert_eq!(later.header("content-encoding"), None);
    }
}

/// Runs the test of this name in a separate process, and returns its stderr; `None` in that
/// process.
#[track_caller]
fn told_by(name: &str) -> Option<String> {
    const ALONE: &str = "AKURAI_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return None;
    }
    let output = this_program(&[])
        .args([name, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .expect("it can be run again");
    let (said, told) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{said}\n{told}");
    assert!(said.contains("1 passed"), "no test of that name: {said}");
    Some(told)
}

/// The server's own lines on stderr, in order.
fn lines(told: &str) -> Vec<&str> {
    let lines = told
        .lines()
        .filter(|line| line.starts_with("akurai-http: "));
    lines.collect()
}

const NO_FILE: &str = "No such file or directory (os error 2)";

#[cfg(target_os = "linux")]
#[test]
fn the_cause_of_a_failure_is_told() {
    let Some(told) = told_by("failures::the_cause_of_a_failure_is_told") else {
        return fail_in_every_way();
    };
    let expected = [
        format!("GET /error: the handler failed: {NO_FILE}"),
        format!("HEAD /error: the handler failed: {NO_FILE}"),
        "GET /replaced: the handler failed: connection reset".into(),
        "GET /page: the handler failed: a\\nb".into(),
        "GET /stream: the body failed: a planned failure".into(),
        "GET /panic: panicked: a planned panic".into(),
        "GET /stream-panic: panicked: a planned panic".into(),
        format!("GET /sse: the closure failed: {NO_FILE}"),
        format!("GET /gzip: the closure failed: {NO_FILE}"),
        format!("GET /upgrade: the closure failed: {NO_FILE}"),
        format!("GET /ws: the closure failed: {NO_FILE}"),
        "GET /ws-code: the closure failed: close: code 1005 may not be sent".into(),
    ];
    let mut expected: Vec<_> = expected
        .iter()
        .map(|line| format!("akurai-http: {line}"))
        .collect();
    // A connection may end, and the next one begin, before the server reports the first one's end.
    let mut lines = lines(&told);
    expected.sort();
    lines.sort_unstable();
    assert_eq!(lines, expected, "{told}");
}

#[cfg(target_os = "linux")]
fn fail_in_every_way() {
    fn no_file<T>() -> io::Result<T> {
        Err(File::open("/no such").expect_err("there is none"))
    }
    let replaced = |req: &Request, next: &dyn Fn(&Request) -> Reply| match next(req) {
        Reply::Response(failed) if req.path() == "/replaced" && failed.status().code() == 500 => {
            Response::text("sorry").into()
        }
        reply => reply,
    };
    let app = failing()
        // The program's own connection failed, to a database for example: the client has not left.
        .get("/replaced", |_| -> io::Result<Response> {
            Err(io::Error::from(io::ErrorKind::ConnectionReset))
        })
        .get("/page", |_| -> Result<Response, Reply> {
            Err(io::Error::other("a\nb").into())
        })
        .get("/sse", |_| sse(|_| no_file()))
        .get("/gzip", |req| coded().stream(req, |_| no_file()))
        .get("/upgrade", |_| {
            let head = Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "x");
            Upgrade::new(head, |_| no_file())
        })
        .get("/ws", |req| {
            akurai_ws::upgrade(req, |_| {
                no_file::<()>()?;
                Ok(())
            })
        })
        .get("/ws-code", |req| {
            akurai_ws::upgrade(req, |conn| conn.close(1005, ""))
        })
        // The program's answer, and no failure.
        .get("/ws-own", |req| {
            akurai_ws::upgrade(req, |_| Err(akurai_ws::Error::close(4003, "banned")))
        })
        .wrap(replaced);
    let server = TestServer::start(app);
    let ended = || eventually("all have ended", || server.handle().stats().upgraded == 0);
    answer(&server, &get("/error"));
    let mut client = server.connect();
    client.send(get("/error").replace("GET", "HEAD"));
    client.read_response_to_head();
    for path in ["/replaced", "/page", "/stream", "/panic", "/stream-panic"] {
        answer(&server, &get(path));
    }
    for path in ["/sse", "/gzip", "/upgrade"] {
        let mut client = server.connect();
        let fields = "Accept-Encoding: gzip\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
        client.send(get(path).replace("\r\n\r\n", &format!("\r\n{fields}")));
        client.read_to_end();
        ended();
    }
    for (path, code) in [("/ws", 1011), ("/ws-code", 1011), ("/ws-own", 4003)] {
        let mut ws = WsClient::open(server.addr(), path);
        ws.expect_close(code);
        drop(ws);
        ended();
    }
}

#[test]
fn a_client_that_leaves_is_no_failure() {
    if let Some(told) = told_by("failures::a_client_that_leaves_is_no_failure") {
        assert_eq!(lines(&told), [""; 0], "{told}");
        return;
    }
    let app = failing()
        .get("/sse", |_| {
            sse(|mut sink| {
                loop {
                    sink.data(&"x".repeat(1000))?;
                    sink.wait(std::time::Duration::from_millis(1))?;
                }
            })
        })
        .get("/endless", |_| {
            Response::stream(|out| {
                loop {
                    out.write_all(&[b'x'; 1000])?;
                }
            })
        })
        .get("/upgrade", |_| {
            let head = Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "x");
            Upgrade::new(head, |mut upgraded| {
                loop {
                    upgraded.write_all(&[b'x'; 1000])?;
                    if upgraded.read(&mut [0; 10])? == 0 {
                        return Ok(());
                    }
                }
            })
        })
        .get("/ws", |req| {
            akurai_ws::upgrade(req, |mut conn| {
                while conn.recv()?.is_some() {
                    conn.send_text(&"x".repeat(1000))?;
                }
                Ok(())
            })
        });
    let server = TestServer::start(app);
    let gone = || {
        eventually("it is gone", || {
            let stats = server.handle().stats();
            (stats.connections, stats.upgraded) == (0, 0)
        });
    };
    let leave = |mut client: Client, by_reset: bool| {
        client.await_unread();
        match by_reset {
            true => client.leave_by_reset(),
            false => {
                client.read_some();
                drop(client);
            }
        }
        gone();
    };
    for by_reset in [true, false] {
        for path in ["/sse", "/endless", "/upgrade"] {
            let mut client = server.connect();
            let fields = "Connection: upgrade\r\nUpgrade: x\r\n\r\nx";
            client.send(get(path).replace("\r\n\r\n", &format!("\r\n{fields}")));
            leave(client, by_reset);
        }
        // In the middle of a body.
        let mut client = server.connect();
        client.send(get("/"));
        client.send("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhell");
        leave(client, by_reset);
        let mut ws = WsClient::open(server.addr(), "/ws");
        ws.send(&Frame::text("a"));
        ws.send(&Frame::text("b").unmasked());
        drop(ws);
        gone();
    }
    assert_eq!(server.handle().stats().panics, 0);
}
