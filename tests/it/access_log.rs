//! The access log: one line for each request, at its end.

use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

use akurai_http::middleware::{self, LogLine};
use akurai_http::{
    Limits, Reply, Request, Response, Router, Server, Status, Upgrade, event_stream, sse,
};
use akurai_server::{Hub, HubOptions};
use akurai_tests::{Client, DEADLINE, Frame, Gate, Opcode, TestServer, WsClient};
use akurai_ws::Message;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")
}

/// A line of the log.
#[derive(Debug, PartialEq)]
struct Line {
    path: String,
    status: u16,
    sent: u64,
    received: Option<u64>,
    duration: Duration,
    fields: Vec<(String, String)>,
    json: String,
}

impl Line {
    fn of(line: &LogLine<'_>) -> Line {
        let fields = line.fields();
        Line {
            path: line.request().path().to_owned(),
            status: line.status().code(),
            sent: line.bytes_sent(),
            received: line.bytes_received(),
            duration: line.duration(),
            fields: fields
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            json: line.json(),
        }
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(known, _)| known == name)
            .map(|(_, value)| &**value)
    }
}

/// A log, and its lines.
fn logged(app: Router) -> (Router, Receiver<Line>) {
    let (tell, lines) = mpsc::channel();
    let log = middleware::access_log(move |line| {
        let _ = tell.send(Line::of(line));
    });
    (app.wrap(log), lines)
}

#[track_caller]
fn next(lines: &Receiver<Line>) -> Line {
    lines.recv_timeout(DEADLINE).expect("a line in time")
}

#[track_caller]
fn expect_none(lines: &Receiver<Line>) {
    assert_eq!(lines.try_recv(), Err(TryRecvError::Empty));
}

/// Fails if there is another line after the server has ended.
#[track_caller]
fn expect_last(server: TestServer, lines: &Receiver<Line>) {
    drop(server);
    let rest: Vec<Line> = lines.iter().collect();
    assert_eq!(rest, []);
}

/// Reads an event stream's head.
fn open_stream(addr: std::net::SocketAddr, path: &str) -> Client {
    let mut client = Client::connect(addr);
    client.send(get(path));
    assert_eq!(client.read_head().status, 200);
    client
}

#[test]
fn an_ordinary_answer_has_the_status_and_the_bytes_that_were_sent() {
    let app = Router::new()
        .get("/", |req| {
            req.log("user", "ann");
            req.log("id", 7);
            req.log("user", "bob");
            Response::text("12345")
        })
        .get("/large", |_| Response::text(vec![b'x'; 300_000]))
        .get("/length", |_| Response::text("text").content_length(7))
        .get("/panic", |_| -> Response { panic!("planned") })
        .get("/switch", |_| {
            let head = Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "x");
            Upgrade::new(head, |_| Ok(()))
        });
    let (app, lines) = logged(app);
    let server = TestServer::start(app);
    let mut client = server.connect();
    // Pipelined, so that several answers share a write.
    client.send(get("/") + &get("/large") + &get("/nothing") + &get("/"));
    for (path, status, sent) in [
        ("/", 200, 5),
        ("/large", 200, 300_000),
        ("/nothing", 404, 10),
        ("/", 200, 5),
    ] {
        assert_eq!(client.read_response().status, status);
        let line = next(&lines);
        assert_eq!((&*line.path, line.status, line.sent), (path, status, sent));
        assert_eq!(line.received, None);
        let fields: Vec<_> = line.fields.iter().map(|(n, v)| (&**n, &**v)).collect();
        match path {
            "/" => assert_eq!(fields, [("user", "bob"), ("id", "7")]),
            _ => assert_eq!(fields, [], "those of another request"),
        }
        let json = r#","fields":{"user":"bob","id":"7"}}"#;
        assert_eq!(line.json.ends_with(json), path == "/", "{}", line.json);
    }
    client.send(get("/").replace("GET", "HEAD"));
    client.read_response_to_head();
    assert_eq!(next(&lines).sent, 0);
    client.send(get("/switch"));
    assert_eq!(client.read_response().status, 426);
    assert_eq!(next(&lines).status, 426);
    for path in ["/length", "/panic"] {
        let mut client = server.connect();
        client.send(get(path));
        let answer = client.read_response();
        let line = next(&lines);
        assert_eq!((answer.status, line.status), (500, 500));
        assert_eq!(line.sent, answer.text().len() as u64);
    }
    expect_last(server, &lines);
}

#[test]
fn a_streamed_body_has_its_line_at_its_end() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let app = Router::new()
        .get("/", move |req| {
            req.log("user", "ann");
            let waiter = waiter.clone();
            Response::stream(move |out| {
                out.write_all(&[b'x'; 100_000])?;
                out.flush()?;
                waiter.wait();
                out.write_all(b"end")
            })
        })
        .get("/fails", |_| {
            Response::stream(|out| {
                out.write_all(&[b'x'; 100_000])?;
                Err(std::io::ErrorKind::BrokenPipe.into())
            })
        });
    let (app, lines) = logged(app);
    let server = TestServer::start(app);
    let mut client = server.connect();
    client.send(get("/"));
    client.read_head();
    let begun = Instant::now();
    let mut body = client.read_until(|bytes| bytes.len() >= 100_000);
    expect_none(&lines);
    let least = begun.elapsed();
    gate.open();
    body.extend(client.read_until(|bytes| bytes.ends_with(b"0\r\n\r\n")));
    let line = next(&lines);
    assert_eq!((line.status, line.sent), (200, body.len() as u64));
    assert!(line.duration >= least, "{line:?}");
    assert_eq!(line.field("user"), Some("ann"));

    // A stream that is cut off.
    let mut client = server.connect();
    client.send(get("/fails"));
    client.read_head();
    let (body, _) = client.read_to_end();
    let line = next(&lines);
    assert_eq!((line.status, line.sent), (200, body.len() as u64));
    expect_last(server, &lines);
}

#[test]
fn an_event_stream_has_its_line_at_its_end() {
    let (go, gone) = mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(Some(gone));
    let app = Router::new().get("/events", move |req| {
        req.log("user", "ann");
        let gone = gone.lock().ok().and_then(|mut gone| gone.take());
        sse(move |mut sink| {
            sink.event("tick", "1")?;
            let _ = gone.map(|gone| gone.recv_timeout(DEADLINE));
            sink.event("tick", "2")
        })
    });
    let (app, lines) = logged(app);
    let server = TestServer::start(app);
    let mut client = open_stream(server.addr(), "/events");
    let begun = Instant::now();
    let mut body = client.read_through(b"data: 1\n\n");
    expect_none(&lines);
    let least = begun.elapsed();
    drop(go);
    body.extend(client.read_to_end().0);
    let line = next(&lines);
    assert_eq!((&*line.path, line.status), ("/events", 200));
    assert_eq!((line.sent, line.received), (body.len() as u64, Some(0)));
    assert!(line.duration >= least, "{line:?}");
    assert_eq!(line.field("user"), Some("ann"));
    let end = r#","fields":{"user":"ann"}}"#;
    assert!(
        line.json.contains(r#","bytes_received":0,"duration":"#),
        "{line:?}"
    );
    assert!(line.json.ends_with(end), "{line:?}");
    expect_last(server, &lines);
}

fn chat(req: &Request) -> Reply {
    req.log("user", "ann");
    akurai_ws::upgrade(req, |mut conn| {
        while let Some(message) = conn.recv()? {
            match message {
                Message::Text(text) if text == "leave" => break,
                Message::Text(text) if text == "fail" => Err(std::io::Error::other("planned"))?,
                Message::Text(text) => conn.send_text(&text)?,
                _ => {}
            }
        }
        Ok(())
    })
}

#[test]
fn a_websocket_has_its_line_at_its_end_with_the_code_of_its_close() {
    let (app, lines) = logged(Router::new().get("/ws", chat));
    let server = TestServer::start(app);
    let open = || WsClient::open(server.addr(), "/ws");
    let line = |code: &str| {
        let line = next(&lines);
        assert_eq!((&*line.path, line.status), ("/ws", 101));
        assert_eq!(line.field("user"), Some("ann"));
        assert_eq!(line.field("close"), Some(code), "{line:?}");
        let end = format!(r#","fields":{{"user":"ann","close":"{code}"}}}}"#);
        assert!(line.json.ends_with(&end), "{line:?}");
        line
    };
    let mut ws = open();
    ws.send(&Frame::text("hello"));
    ws.expect(Opcode::TEXT, "hello");
    expect_none(&lines);
    ws.close();
    let closed = line("1000");
    // A masked text of 5 bytes and a masked Close with a code; the same come back unmasked.
    assert_eq!(closed.received, Some(6 + 5 + 6 + 2));
    assert_eq!(closed.sent, 2 + 5 + 2 + 2);

    for (text, code) in [("leave", 1000), ("fail", 1011)] {
        let mut ws = open();
        ws.send(&Frame::text(text));
        ws.expect_close(code);
        drop(ws);
        line(&code.to_string());
    }
    let mut ws = open();
    ws.send(&Frame::text("x").unmasked());
    ws.expect_close(1002);
    drop(ws);
    line("1002");
    drop(open());
    line("1006");
    let mut ws = open();
    server.handle().shutdown(DEADLINE);
    ws.expect_close(1001);
    drop(ws);
    line("1001");
    expect_last(server, &lines);
}

#[test]
fn a_sender_that_is_kept_does_not_hold_back_the_line() {
    let (keep, kept) = mpsc::channel();
    let app = Router::new().get("/ws", move |req| {
        let keep = keep.clone();
        akurai_ws::upgrade(req, move |mut conn| {
            let _ = keep.send(conn.sender());
            while conn.recv()?.is_some() {}
            Ok(())
        })
    });
    let (app, lines) = logged(app);
    let server = TestServer::start(app);
    let ws = WsClient::open(server.addr(), "/ws");
    let sender = kept.recv_timeout(DEADLINE).expect("it is there");
    expect_none(&lines);
    ws.close();
    assert_eq!(next(&lines).field("close"), Some("1000"));
    assert!(!sender.is_open());
    expect_last(server, &lines);
}

fn hub() -> Hub {
    Hub::new(HubOptions::default()).expect("its threads begin")
}

#[test]
fn a_parked_stream_has_its_line_when_the_hub_drops_it() {
    let hub = hub();
    let parked = hub.clone();
    let (app, lines) = logged(Router::new().get("/news", move |req| {
        req.log("user", "ann");
        parked.sse(req, &["news"])
    }));
    let server = TestServer::start(app);
    let mut client = open_stream(server.addr(), "/news");
    hub.publish("news", "", "first").expect("it is kept");
    let body = client.read_through(b"data: first\n");
    expect_none(&lines);
    drop(client);
    let line = next(&lines);
    assert_eq!((&*line.path, line.status), ("/news", 200));
    assert!(line.sent >= body.len() as u64, "{line:?}");
    assert_eq!(line.received, Some(0));
    assert_eq!(line.field("user"), Some("ann"));
    expect_last(server, &lines);
}

#[test]
fn at_a_shutdown_every_connection_has_its_line_before_the_server_ends() {
    let hub = hub();
    let parked = hub.clone();
    let app = Router::new()
        .get("/news", move |req| parked.sse(req, &["news"]))
        .get("/ws", chat)
        .get("/events", |_| {
            sse(|mut sink| {
                loop {
                    sink.wait(DEADLINE)?;
                }
            })
        });
    let (app, lines) = logged(app);
    let server = TestServer::start(app);
    let clients = ["/news", "/events"].map(|path| open_stream(server.addr(), path));
    let mut ws = WsClient::open(server.addr(), "/ws");
    hub.publish("news", "", "first").expect("it is kept");
    server.handle().shutdown(DEADLINE);
    ws.expect_close(1001);
    drop((ws, clients));
    drop(server);
    let lines: Vec<Line> = lines.iter().collect();
    let is_at_end = |line: &Line| line.received.is_some();
    assert!(lines.iter().all(is_at_end), "{lines:?}");
    let mut paths: Vec<_> = lines.iter().map(|line| &*line.path).collect();
    paths.sort();
    assert_eq!(paths, ["/events", "/news", "/ws"]);
}

#[test]
fn an_upgrade_without_a_place_has_the_status_of_its_answer() {
    let limits = Limits::default().max_upgrades(0);
    let app = Router::new()
        .get("/events", |_| sse(|_| Ok(())))
        .get("/ws", chat);
    let (app, lines) = logged(app);
    let server = TestServer::limited(limits, app);
    let mut client = server.connect();
    client.send(akurai_tests::handshake("/ws"));
    assert_eq!(client.read_response().status, 503);
    let line = next(&lines);
    assert_eq!((line.status, line.field("close")), (503, None));
    let mut client = server.connect();
    client.send(get("/events"));
    let answer = client.read_response();
    let line = next(&lines);
    let sent = answer.text().len() as u64;
    assert_eq!((line.status, line.sent), (200, sent));
    expect_last(server, &lines);
}

/// The owner may keep the socket behind the closure, and other threads may hold clones.
#[test]
fn the_line_comes_with_the_last_clone_of_the_socket() {
    let (keep, kept) = mpsc::channel();
    let app = Router::new().get("/", move |_| {
        let keep = keep.clone();
        event_stream(move |upgraded| {
            let (_, socket) = upgraded.into_parts();
            let _ = keep.send((socket.clone(), socket));
        })
    });
    let (app, lines) = logged(app);
    let (inner, outer) = (app, middleware::access_log(|_| {}));
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let server = TestServer::of(server, inner.wrap(outer));
    let mut client = open_stream(server.addr(), "/");
    let (one, other) = kept.recv_timeout(DEADLINE).expect("it is kept");
    drop(one);
    // The server's own look at its connections is no owner.
    assert_eq!(server.handle().stats().upgraded, 1);
    expect_none(&lines);
    other.log("why", "it was\ntime");
    drop(other);
    client.read_to_end();
    let line = next(&lines);
    assert_eq!(line.field("why"), Some("it was\ntime"));
    assert!(
        line.json.contains(r#""why":"it was\u000atime""#),
        "{line:?}"
    );
    expect_last(server, &lines);
}

/// A router without a server, as a test of a program has it.
#[test]
fn without_a_server_the_line_comes_with_the_answer() {
    let (app, lines) = logged(Router::new().get("/", |req| {
        req.log("user", "ann");
        Response::text("12345")
    }));
    let _ = app.handle(&Request::new(akurai_http::Method::Get, "/"));
    let line = next(&lines);
    assert_eq!((line.status, line.sent), (200, 5));
    assert_eq!(line.field("user"), Some("ann"));
}

#[test]
fn values_of_the_logs_function_do_not_reach_the_next_request() {
    let app = Router::new()
        .get("/", |req| Response::text(format!("{:?}", req.get::<u8>())))
        .wrap(middleware::access_log(|line| line.request().insert(7_u8)));
    let server = TestServer::start(app);
    let mut client = server.connect();
    for _ in 0..3 {
        client.send(get("/"));
        assert_eq!(client.read_response().text(), "None");
    }
}

#[test]
fn fields_of_a_request_that_middleware_passes_on_are_in_the_line() {
    let app = Router::new()
        .get("/{id}", |req| {
            req.log("id", req.param("id").unwrap_or("-"));
            Response::text("")
        })
        .wrap(|req, next| -> Reply {
            req.log("id", "outer");
            req.log("user", "ann");
            next(&Request::new(req.method(), "/inner"))
        });
    let (app, lines) = logged(app);
    let server = TestServer::start(app);
    let mut client = server.connect();
    client.send(get("/outer"));
    assert_eq!(client.read_response().status, 200);
    let line = next(&lines);
    assert_eq!((&*line.path, line.field("id")), ("/outer", Some("inner")));
    assert_eq!(line.field("user"), Some("ann"));
    expect_last(server, &lines);
}
