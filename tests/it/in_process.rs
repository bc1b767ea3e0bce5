//! [`akurai_http::testing`]: the client that embedders test their apps with. It needs no address.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use akurai_http::middleware::Gzip;
use akurai_http::testing::Client;
use akurai_http::{
    Cookie, Level, Limits, Method, Reply, Request, Response, Router, Server, SseEvent, SseOptions,
    Status, Upgrade, last_event_id, sse,
};
use akurai_server::{Hub, HubOptions};
use akurai_tests::{TempDir, TestServer, eventually};
use akurai_ws::testing::Peer;
use akurai_ws::{Message, upgrade};

/// A wait that only a broken client needs.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) fn client(app: impl akurai_http::App) -> Client {
    Client::new(app).wait(LONG)
}

fn app(dir: &TempDir) -> Router {
    let file = dir.write("page.html", "<p>a page</p>".repeat(100));
    Router::new()
        .get("/", |_| Response::text("hello\n"))
        .get("/file", move |req| Response::file(req, &file))
        .get("/chunks", |_| {
            Response::stream(|body| {
                for n in 0..1000 {
                    writeln!(body, "line {n}")?;
                }
                Ok(())
            })
            .with_header("Content-Type", "text/plain")
        })
        .get("/nothing", |_| Response::new(Status::NO_CONTENT))
        .get("/panic", |_| -> Response { panic!("as the test wants it") })
        .get("/error", |_| -> std::io::Result<Response> {
            Err(std::io::Error::other("as the test wants it"))
        })
        .post("/echo", |req| -> std::io::Result<Response> {
            Ok(Response::text(req.body()?))
        })
        .wrap(Gzip::new().middleware())
}

#[test]
fn a_client_gives_the_answers_that_a_socket_gives() {
    let dir = TempDir::new();
    let client = client(app(&dir));
    let server = TestServer::start(app(&dir));
    for (method, target, field, body) in [
        (Method::Get, "/", "Accept: */*", ""),
        (Method::Head, "/", "Accept: */*", ""),
        (Method::Get, "/file", "Accept: */*", ""),
        (Method::Get, "/file", "Range: bytes=3-5", ""),
        (Method::Head, "/file", "Accept: */*", ""),
        (Method::Get, "/chunks", "Accept: */*", ""),
        (Method::Head, "/chunks", "Accept: */*", ""),
        (Method::Get, "/nothing", "Accept: */*", ""),
        (Method::Get, "/panic", "Accept: */*", ""),
        (Method::Get, "/error", "Accept: */*", ""),
        (Method::Get, "/missing", "Accept: */*", ""),
        (Method::Post, "/", "Accept: */*", "no route"),
        (Method::Post, "/echo", "Accept: */*", "a body"),
        (Method::Post, "/echo", "Expect: 100-continue", "a body"),
        (Method::Options, "*", "Accept: */*", ""),
    ] {
        let what = format!("{method} {target} {field}");
        let (name, value) = field.split_once(": ").unwrap();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n");
        let mut over_tcp = server.connect();
        let is_head = method == Method::Head;
        let mut request = Request::new(method, target).with_header(name, value);
        if body.is_empty() {
            over_tcp.send(format!("{head}\r\n"));
        } else {
            request = request.with_body(body);
            over_tcp.send(format!("{head}Content-Length: {}\r\n\r\n", body.len()));
            if field.starts_with("Expect") {
                assert_eq!(over_tcp.read_head().status, 100);
            }
            over_tcp.send(body);
        }
        let expected = match is_head {
            true => over_tcp.read_response_to_head(),
            false => over_tcp.read_response(),
        };
        let answer = client.send(request).expect(&what);
        assert_eq!(answer.status().code(), expected.status, "{what}");
        let fields = answer.headers().iter().filter(|(name, _)| *name != "Date");
        let fields: Vec<_> = fields
            .map(|(name, value)| (name.to_owned(), value.to_vec()))
            .collect();
        let mut expected_fields = expected.headers;
        expected_fields.retain(|(name, _)| name != "Date");
        assert_eq!(fields, expected_fields, "{what}");
        assert_eq!(answer.body(), expected.body, "{what}");
        let interim: Vec<u16> = answer.interim().iter().map(|head| head.0.code()).collect();
        let continues: &[u16] = if field.starts_with("Expect") {
            &[100]
        } else {
            &[]
        };
        assert_eq!(interim, continues, "{what}");
    }
    assert_eq!(client.handle().stats().panics, 1);
}

#[test]
fn a_gzip_body_is_read_and_a_range_is_not_touched() {
    let dir = TempDir::new();
    let client = client(app(&dir));
    for (target, text) in [("/file", "<p>a page</p>".repeat(100)), ("/chunks", lines())] {
        let request = Request::from(target).with_header("Accept-Encoding", "gzip");
        let answer = client.send(request).expect(target);
        assert_eq!(answer.header("Content-Encoding"), Some("gzip"), "{target}");
        assert_eq!(answer.text(), text, "{target}");
    }
    let request = Request::from("/file").with_header("Accept-Encoding", "gzip");
    let answer = client
        .send(request.with_header("Range", "bytes=3-5"))
        .unwrap();
    assert_eq!(
        (answer.status(), &*answer.text()),
        (Status::PARTIAL_CONTENT, "a p")
    );
}

fn lines() -> String {
    (0..1000).map(|n| format!("line {n}\n")).collect()
}

#[test]
fn large_bodies_go_both_ways_and_one_that_is_too_large_is_refused_before_it_is_sent() {
    let app = || {
        Router::new()
            .post("/", |req| -> std::io::Result<Response> {
                let body = req.body()?;
                Ok(Response::stream(move |out| out.write_all(&body)))
            })
            .post("/unread", |_| Response::text("never read"))
    };
    let client = client(app());
    let body: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let post = |target| Request::new(Method::Post, target).with_body(body.clone());
    let answer = client.send(post("/")).expect("an answer");
    assert!(answer.body() == body, "the same bytes");
    assert_eq!(client.send(post("/unread")).unwrap().text(), "never read");

    let too_large = || Request::new(Method::Post, "/").with_body(vec![0; 3 << 20]);
    let answer = client.send(too_large()).expect("an answer");
    assert_eq!(answer.status(), Status::CONTENT_TOO_LARGE);
    let client = Client::new(app()).wait(LONG);
    let answer = client.send(too_large().with_header("Expect", "100-continue"));
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), Status::CONTENT_TOO_LARGE);
    assert!(answer.interim().is_empty());
    let came = client.handle().stats().bytes_received;
    assert!(came < 1000, "{came} bytes: the body was not sent");
}

#[test]
fn what_is_wrong_with_an_answer_is_told() {
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let app = Router::new()
        .get("/cut", |_| {
            Response::stream(|body| {
                body.write_all(&[b'x'; 100_000])?;
                Err(std::io::Error::other("as the test wants it"))
            })
        })
        .get("/held", move |_| {
            let _ = held.lock().unwrap().recv();
            Response::text("at last")
        })
        .get("/ticks", |_| {
            sse(|mut sink| {
                loop {
                    sink.send(&SseEvent::comment("not an event"))?;
                    sink.wait(Duration::from_millis(1))?;
                }
            })
        });
    let hasty = Client::new(app).wait(Duration::from_millis(50));

    let error = hasty.get("/held?now").expect_err("it is held");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let told = "GET /held?now: the head of an answer has not come within 50ms";
    assert_eq!(error.to_string(), told);
    drop(hold);
    let hasty = hasty.wait(LONG);

    let error = hasty.get("/cut").expect_err("it is cut off");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    let told = "GET /cut: the connection ended before ";
    assert!(error.to_string().starts_with(told), "{error}");

    let error = hasty.events("/nowhere").expect_err("no stream");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let told = "GET /nowhere: no event stream but 404 Not Found: \"not found\\n\"";
    assert_eq!(error.to_string(), told);

    // Comments keep a stream alive, but are no event.
    let hasty = hasty.wait(Duration::from_millis(50));
    let error = hasty.get("/ticks").expect_err("it does not end");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let mut events = loop {
        // On a slow machine, the head alone may take as long.
        match hasty.events("/ticks") {
            Ok(events) => break events,
            Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
        }
    };
    for _ in 0..2 {
        let error = events.next().expect("it goes on").expect_err("no event");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let told = "GET /ticks: no event has come within 50ms";
        assert_eq!(error.to_string(), told);
    }
}

#[test]
fn events_come_as_the_handler_sends_them() {
    let (send, sent) = mpsc::channel::<&str>();
    let sent = Arc::new(Mutex::new(sent));
    let app = Router::new().get("/", move |req| {
        let sent = Arc::clone(&sent);
        let seen = last_event_id(req).map(|id| String::from_utf8_lossy(&id).into_owned());
        sse(move |mut sink| {
            let begin = SseEvent::data(seen.unwrap_or_default()).event("begin");
            sink.send(&begin.id("7").retry(Duration::from_millis(70)))?;
            for text in sent.lock().unwrap().iter() {
                sink.send(&SseEvent::comment("no event"))?;
                sink.data(text)?;
            }
            Ok(())
        })
    });
    let client = client(app);
    let request = Request::from("/").with_header("Last-Event-ID", "6");
    let mut events = client.events(request).expect("a stream");
    assert_eq!(
        events.answer().header("Cache-Control"),
        Some("no-store, no-transform")
    );
    let begin = events.next().expect("no end").expect("an event");
    assert_eq!(
        (&*begin.event, &*begin.data, &*begin.id),
        ("begin", "6", "7")
    );
    assert_eq!(events.retry(), Some(Duration::from_millis(70)));
    for text in ["one", "two\nlines", ""] {
        send.send(text).unwrap();
        let event = events.next().expect("no end").expect("an event");
        assert_eq!(
            (&*event.event, &*event.data, &*event.id),
            ("message", text, "7")
        );
    }
    drop(send);
    assert!(events.next().is_none());
    assert!(events.next().is_none());
}

#[test]
fn a_gzip_event_stream_is_read() {
    let app = |req: &Request| {
        SseOptions::new()
            .gzip(Level::default())
            .stream(req, |mut sink| {
                sink.data("one")?;
                sink.data(&"x".repeat(100_000))
            })
    };
    let client = client(app);
    let request = Request::from("/").with_header("Accept-Encoding", "gzip");
    let mut events = client.events(request).expect("a stream");
    assert_eq!(events.answer().header("Content-Encoding"), Some("gzip"));
    assert_eq!(events.next().unwrap().unwrap().data, "one");
    assert_eq!(events.next().unwrap().unwrap().data, "x".repeat(100_000));
    assert!(events.next().is_none());
}

#[test]
fn cookies_are_kept_until_they_are_over() {
    let app = Router::new()
        .get("/", |req| {
            let pairs: Vec<_> = req
                .cookies()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            Response::text(pairs.join(" "))
        })
        .get("/set/{name}", |req| {
            let name = req.param("name").unwrap();
            Response::text("")
                .cookie(Cookie::new("last", name))
                .cookie(Cookie::new(name, "1"))
        })
        .get("/remove/{name}", |req| {
            Response::text("").cookie(Cookie::removal(req.param("name").unwrap()))
        })
        .get("/events", |req| {
            let last = req.cookie("last").unwrap_or("none").to_owned();
            sse(move |mut sink| sink.data(&last))
        });
    let plain = client(app);
    plain.get("/set/a").unwrap();
    assert_eq!(plain.get("/").unwrap().text(), "");
    let client = plain.keep_cookies();
    client.get("/set/a").unwrap();
    client.get("/set/b").unwrap();
    assert_eq!(client.get("/").unwrap().text(), "a=1 b=1 last=b");
    let own = Request::from("/").with_header("Cookie", "c=2");
    assert_eq!(client.send(own).unwrap().text(), "c=2");
    client.get("/remove/a").unwrap();
    assert_eq!(client.get("/").unwrap().text(), "b=1 last=b");
    let mut events = client.events("/events").unwrap();
    assert_eq!(events.next().unwrap().unwrap().data, "b");
}

#[test]
fn one_connection_takes_many_requests_and_then_another_protocol() {
    let app = Router::new()
        .get("/", |req| {
            Response::text(req.peer_addr().unwrap().to_string())
        })
        .get("/shout", |_| -> Reply {
            let head = Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "shout");
            Upgrade::new(head, |mut upgraded| {
                upgraded.write_all(b"ready\n")?;
                let mut word = [0; 5];
                upgraded.read_exact(&mut word)?;
                upgraded.write_all(&word.to_ascii_uppercase())
            })
            .into()
        });
    let addr: SocketAddr = "192.0.2.7:80".parse().unwrap();
    let client = client(app).peer_addr(addr);
    let mut end = client.connect().unwrap();
    for _ in 0..3 {
        assert_eq!(end.send("/").unwrap().text(), "192.0.2.7:80");
    }
    let request = Request::from("/shout").with_header("Connection", "upgrade");
    let answer = end.send(request.with_header("Upgrade", "shout")).unwrap();
    assert_eq!(answer.status(), Status::SWITCHING_PROTOCOLS);
    end.write_all(b"hello").unwrap();
    let mut text = String::new();
    end.read_to_string(&mut text).unwrap();
    assert_eq!(text, "ready\nHELLO");
    let stats = client.handle().stats();
    assert_eq!((stats.accepted, stats.requests), (1, 4));
}

/// Says when it is dropped.
struct Told(Arc<AtomicBool>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_dropped_client_ends_its_connections_and_waits_for_their_threads() {
    let ended = Arc::<[Arc<AtomicBool>; 3]>::default();
    let told = Arc::clone(&ended);
    let app = Router::new()
        .get("/stream", move |_| {
            let told = Told(Arc::clone(&told[0]));
            sse(move |mut sink| {
                let _told = &told;
                sink.data("here")?;
                sink.wait(LONG)
            })
        })
        .get("/ws/{n}", {
            let told = Arc::clone(&ended);
            move |req: &Request| {
                let n: usize = req.param("n").unwrap().parse().unwrap();
                let told = Told(Arc::clone(&told[n]));
                upgrade(req, move |mut conn| {
                    let _told = &told;
                    conn.send_text("here")?;
                    while conn.recv()?.is_some() {}
                    Ok(())
                })
            }
        });
    let client = client(app);
    let mut events = client.events("/stream").unwrap();
    assert_eq!(events.next().unwrap().unwrap().data, "here");
    let mut peers = ["/ws/1", "/ws/2"].map(|target| Peer::connect(&client, target).unwrap());
    for peer in &mut peers {
        assert_eq!(peer.recv().unwrap(), Some(Message::Text("here".to_owned())));
    }
    let handle = client.handle();
    drop(client);
    assert!(ended.iter().all(|ended| ended.load(Ordering::SeqCst)));
    assert_eq!((handle.stats().threads, handle.stats().upgraded), (0, 0));
    assert!(events.next().is_none(), "the stream has ended");
}

#[test]
fn a_stop_is_seen_as_over_a_socket() {
    let app = |req: &Request| {
        upgrade(req, |mut conn| {
            while conn.recv()?.is_some() {}
            Ok(())
        })
    };
    let client = client(app);
    let mut peer = Peer::connect(&client, "/").unwrap();
    client.handle().shutdown(LONG);
    let close = match peer.recv().unwrap() {
        Some(Message::Close(Some(close))) => close,
        other => panic!("{other:?}"),
    };
    assert_eq!(close.code, 1001);
    assert_eq!(peer.recv().unwrap(), None);
    let refused = client.connect().expect_err("it has stopped");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(refused.to_string(), "the server was stopped");
}

#[test]
fn a_server_of_ones_own_bounds_its_clients() {
    let limits = Limits::default().max_connections(1);
    let server = Server::unbound().limits(limits);
    let client = Client::with_server(server, |_: &Request| Response::text("hello")).wait(LONG);
    let mut first = client.connect().unwrap();
    assert_eq!(
        client.get("/").unwrap().status(),
        Status::SERVICE_UNAVAILABLE
    );
    assert_eq!(first.send("/").unwrap().text(), "hello");
}

#[test]
fn a_hub_parks_streams_of_a_client_and_tells_its_peers() {
    let hub = Hub::new(HubOptions::default()).unwrap();
    let (streams, members) = (hub.clone(), hub.clone());
    let app = Router::new()
        .get("/events", move |req| streams.sse(req, &["news"]))
        .get("/ws", move |req: &Request| {
            let hub = members.clone();
            upgrade(req, move |mut conn| {
                let _member = hub.join("news", conn.sender());
                while conn.recv()?.is_some() {}
                Ok(())
            })
        });
    let client = client(app);
    let mut streams = [(); 2].map(|()| client.events("/events").unwrap());
    let mut peer = Peer::connect(&client, "/ws").unwrap();
    eventually("all are there", || hub.present("news") == 3);
    eventually(
        "the streams are parked: the peer has the only thread",
        || client.handle().stats().threads == 1,
    );
    for text in ["one", "two"] {
        let id = hub.publish("news", "update", text).unwrap().to_string();
        for events in &mut streams {
            // The stream begins with an event without a name or data that tells only its id.
            let event = events.next().unwrap().unwrap();
            assert_eq!(
                (&*event.event, &*event.data, &*event.id),
                ("update", text, &*id)
            );
        }
        assert_eq!(peer.recv().unwrap(), Some(Message::Text(text.to_owned())));
    }
    drop(client);
    for events in &mut streams {
        assert!(events.next().is_none());
    }
}
