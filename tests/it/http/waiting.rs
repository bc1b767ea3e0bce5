//! What a handler does for a client that waits: early hints (RFC 8297), and a look whether it is
//! still there.

use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};

use akurai_http::{App, HeaderError, Request, Response, Router};
use akurai_tests::{DEADLINE, TestServer, eventually};

use super::{ask_on, says};

const LINK: (&str, &str) = ("Link", "</a.css>; rel=preload; as=style");

fn hinted(req: &Request) -> Result<Response, std::io::Error> {
    req.early_hints(&[LINK, ("X-More", "1")])?;
    req.early_hints(&[("Link", "</b.js>")])?;
    Ok(Response::text(req.body()?))
}

#[test]
fn rfc8297_hints_go_out_while_the_handler_works() {
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let server = TestServer::start(move |req: &Request| {
        req.early_hints(&[LINK]).expect("well-formed");
        let waiting = released.lock().expect("no panic");
        waiting
            .recv_timeout(DEADLINE)
            .expect("the client has read the hint");
        Response::text("page")
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let hint = client.read_head();
    assert_eq!((hint.status, hint.header("link")), (103, Some(LINK.1)));
    release.send(()).expect("the handler waits");
    let answer = client.read_response();
    assert_eq!((answer.status, answer.text()), (200, "page"));
}

#[test]
fn rfc8297_hints_stand_between_the_answers_and_before_their_own() {
    let server = TestServer::start(Router::new().get("/", says("first")).get("/hinted", hinted));
    let mut client = server.connect();
    for method in ["GET", "HEAD"] {
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: t\r\n\r\n{method} /hinted HTTP/1.1\r\nHost: t\r\n\r\n\
             GET / HTTP/1.1\r\nHost: t\r\n\r\n"
        ));
        assert_eq!(client.read_response().text(), "first");
        let hint = client.read_head();
        assert_eq!((hint.status, &hint.reason[..]), (103, "Early Hints"));
        assert_eq!(hint.header("link"), Some(LINK.1));
        assert_eq!(hint.header("x-more"), Some("1"));
        assert_eq!(hint.headers.len(), 2, "no Date, no framing: {hint:?}");
        assert_eq!(client.read_head().header("link"), Some("</b.js>"));
        let answer = match method {
            "HEAD" => client.read_response_to_head(),
            _ => client.read_response(),
        };
        assert_eq!(answer.status, 200);
        assert_eq!(client.read_response().text(), "first");
    }
}

#[test]
fn rfc8297_an_http_1_0_client_gets_no_hints() {
    let server = TestServer::start(hinted);
    let mut client = server.connect();
    client.send("POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody");
    let answer = client.read_response();
    assert_eq!((answer.status, answer.text()), (200, "body"));
}

#[test]
fn rfc8297_hints_come_before_the_100_that_the_body_asks_for() {
    let server = TestServer::start(hinted);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    let statuses = [(); 3].map(|()| client.read_head().status);
    assert_eq!(statuses, [103, 103, 100]);
    client.send("body");
    assert_eq!(client.read_response().text(), "body");
}

#[test]
fn rfc8297_a_handler_that_panics_behind_its_hints_is_a_500() {
    let server = TestServer::start(|req: &Request| -> Response {
        req.early_hints(&[LINK]).expect("well-formed");
        panic!("as the test wants");
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.read_head().status, 103);
    assert_eq!(client.read_response().status, 500);
}

#[test]
fn hints_that_would_forge_or_frame_a_message_are_refused_and_nothing_is_sent() {
    let server = TestServer::start(|req: &Request| {
        for (name, value, error) in [
            ("Link", "a\r\nSet-Cookie: b", HeaderError::Value),
            ("Link", "a\n", HeaderError::Value),
            ("Li nk", "a", HeaderError::Name),
            ("Content-Length", "3", HeaderError::Framing),
            ("transfer-encoding", "chunked", HeaderError::Framing),
            ("Connection", "close", HeaderError::Framing),
            ("Upgrade", "h2c", HeaderError::Framing),
        ] {
            assert_eq!(
                req.early_hints(&[LINK, (name, value)]),
                Err(error),
                "{name}"
            );
        }
        assert_eq!(req.early_hints(&[]), Ok(()));
        Response::text("page")
    });
    let answer = ask_on(&mut server.connect(), "GET", "/", "");
    assert_eq!((answer.status, answer.text()), (200, "page"));
}

/// What the test tells the handler to do.
enum Order {
    Look,
    ReadBody,
}

/// The test's end of a handler that does as it is told, until this is dropped.
struct Handler {
    order: Sender<Order>,
    done: Receiver<bool>,
}

impl Handler {
    /// Whether the client has left.
    #[track_caller]
    fn looks(&self) -> bool {
        self.obey(Order::Look)
    }

    #[track_caller]
    fn obey(&self, order: Order) -> bool {
        self.order.send(order).expect("the handler waits");
        self.done.recv_timeout(DEADLINE).expect("it obeys")
    }
}

/// An app that handles one request under orders, and answers all others with their path.
fn obedient() -> (impl App, Handler) {
    let (order, orders) = mpsc::channel();
    let (done, answers) = mpsc::channel();
    let under_orders = Mutex::new(Some((orders, done)));
    let app = move |req: &Request| {
        if req.path() != "/orders" {
            return Response::text(req.path());
        }
        let (orders, done): (Receiver<Order>, Sender<bool>) = under_orders
            .lock()
            .expect("no panic")
            .take()
            .expect("one request");
        let mut bytes = 0;
        if req.header("Hint").is_some() {
            req.early_hints(&[LINK]).expect("well-formed");
        }
        while let Ok(order) = orders.recv_timeout(DEADLINE) {
            let said = match order {
                Order::Look => req.client_left(),
                Order::ReadBody => {
                    bytes += req.body().expect("a whole body").len();
                    true
                }
            };
            if done.send(said).is_err() {
                break;
            }
        }
        Response::text(format!("{bytes} bytes"))
    };
    let handler = Handler {
        order,
        done: answers,
    };
    (app, handler)
}

const ORDERS: &str = "GET /orders HTTP/1.1\r\nHost: t\r\n\r\n";

#[test]
fn a_client_that_waits_or_pipelines_has_not_left() {
    let (app, handler) = obedient();
    let server = TestServer::start(app);
    let mut client = server.connect();
    client.send(ORDERS);
    assert!(!handler.looks());
    client.send("GET /next HTTP/1.1\r\nHo");
    for _ in 0..100 {
        assert!(!handler.looks());
    }
    client.send("st: t\r\n\r\nGET /last HTTP/1.1\r\nHost: t\r\n\r\n");
    assert!(!handler.looks());
    drop(handler);
    for text in ["0 bytes", "/next", "/last"] {
        assert_eq!(client.read_response().text(), text);
    }
}

#[test]
fn a_client_that_closes_or_resets_has_left() {
    for (fields, resets) in [("", false), ("Hint: 1\r\n", true)] {
        let (app, handler) = obedient();
        let server = TestServer::start(app);
        let mut client = server.connect();
        client.send(format!("GET /orders HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
        assert!(!handler.looks());
        match resets {
            true => client.leave_by_reset(),
            false => drop(client),
        }
        eventually("the client has left", || handler.looks());
        assert!(handler.looks(), "and stays away");
    }
}

#[test]
fn a_client_that_ended_its_side_counts_as_gone_and_still_gets_its_answer() {
    let (app, handler) = obedient();
    let server = TestServer::start(app);
    let mut client = server.connect();
    client.send(ORDERS);
    client.finish();
    eventually("the client has left", || handler.looks());
    drop(handler);
    assert_eq!(client.read_response().text(), "0 bytes");
}

#[test]
fn a_look_keeps_the_body_that_comes_meanwhile() {
    let (app, handler) = obedient();
    let server = TestServer::start(app);
    let mut client = server.connect();
    client.send("POST /orders HTTP/1.1\r\nHost: t\r\nContent-Length: 10000\r\n\r\n");
    client.send([b'a'; 100]);
    assert!(!handler.looks());
    client.send([b'b'; 9900]);
    client.finish();
    for _ in 0..100 {
        assert!(!handler.looks(), "the end is behind more than a look sees");
    }
    handler.obey(Order::ReadBody);
    eventually("the client has left", || handler.looks());
    drop(handler);
    assert_eq!(client.read_response().text(), "10000 bytes");
}

#[test]
fn a_client_that_waits_for_its_100_has_not_left_and_gets_it() {
    let (app, handler) = obedient();
    let server = TestServer::start(app);
    let mut client = server.connect();
    client.send(
        "POST /orders HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
    );
    assert!(!handler.looks());
    handler
        .order
        .send(Order::ReadBody)
        .expect("the handler waits");
    assert_eq!(client.read_head().status, 100);
    client.send("body");
    assert!(handler.done.recv_timeout(DEADLINE).expect("it obeys"));
    drop(handler);
    assert_eq!(client.read_response().text(), "4 bytes");
}

#[test]
fn a_look_does_not_wait_for_the_thread_that_reads_the_body() {
    let (is_read, reading) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    let reading = Mutex::new(reading);
    let server = TestServer::start(move |req: &Request| {
        let reading = reading.lock().expect("no panic");
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| req.body());
            reading.recv_timeout(DEADLINE).expect("the client saw 100");
            let _ = tell.send(req.client_left());
            reader.join().expect("no panic").map(Response::text)
        })
    });
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.read_head().status, 100);
    // The thread that has asked for the body waits for it now.
    is_read.send(()).expect("the handler waits");
    assert_eq!(told.recv_timeout(DEADLINE), Ok(false));
    client.send("body");
    assert_eq!(client.read_response().text(), "body");
}

#[cfg(unix)]
#[test]
fn a_look_works_on_unix_sockets() {
    use std::time::Duration;

    use akurai_http::Server;
    use akurai_tests::{TempDir, TestStream, as_switched};

    let dir = TempDir::new();
    let path = dir.join("socket");
    let (app, handler) = obedient();
    let server = as_switched(Server::bind_unix(&path).expect("nothing is there"));
    let stop = server.handle();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| server.run(app));
        let handler = handler;
        let mut client = TestStream::connect_unix(&path).expect("it listens");
        client.set_read_timeout(Some(DEADLINE)).expect("not zero");
        client.write_all(ORDERS.as_bytes()).expect("it reads");
        assert!(!handler.looks());
        let next = b"GET /next HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
        client.write_all(next).expect("it reads");
        assert!(!handler.looks());
        client
            .shutdown(std::net::Shutdown::Write)
            .expect("it is open");
        eventually("the client has left", || handler.looks());
        drop(handler);
        let mut answers = String::new();
        client.read_to_string(&mut answers).expect("answers");
        assert!(
            answers.contains("0 bytes") && answers.ends_with("/next"),
            "{answers}"
        );
        stop.shutdown(Duration::ZERO);
        running.join().expect("no panic").expect("it runs");
    });
}
