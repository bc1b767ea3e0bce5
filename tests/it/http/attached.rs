//! Values that middleware hands to the handler.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use akurai_http::{Method, Reply, Request, Response, Router, sse};
use akurai_tests::TestServer;

use super::{ask, ask_on};

#[derive(Debug, Clone, PartialEq)]
struct User {
    name: String,
}

fn hello(req: &Request) -> Response {
    match req.get::<User>() {
        Some(user) => Response::text(format!("hello {}", user.name)),
        None => Response::text("hello you"),
    }
}

/// Takes the user's name from a field.
fn with_user(req: &Request, next: &dyn Fn(&Request) -> Reply) -> Reply {
    if let Some(name) = req.header("X-User") {
        let name = name.to_owned();
        req.insert(User { name });
    }
    next(req)
}

#[test]
fn a_handler_gets_what_middleware_inserted_and_the_next_request_does_not() {
    let members = Router::new().get("/nested", hello).wrap(with_user);
    let app = Router::new()
        .nest("", members)
        .nest("/in", Router::new().get("/", hello))
        .fallback(|req, answer| answer.with_status(hello(req).status()))
        .get("/", hello);
    let server = TestServer::start(app.wrap(with_user));
    let mut client = server.connect();
    for path in ["/", "/nested", "/in"] {
        for (fields, text) in [
            ("X-User: Ann\r\n", "hello Ann"),
            ("", "hello you"),
            ("X-User: Bob\r\n", "hello Bob"),
        ] {
            assert_eq!(ask_on(&mut client, "GET", path, fields).text(), text);
        }
    }
}

/// Counts how many of it there are.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, Ordering::SeqCst);
        Counted(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn values_are_dropped_before_the_answer_is_written() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (counted, seen) = (Arc::clone(&alive), Arc::clone(&alive));
    let app = Router::new()
        .get("/", |_| Response::text("plain"))
        .get("/stream", move |_| {
            let seen = Arc::clone(&seen);
            Response::stream(move |body| {
                use std::io::Write;
                write!(body, "{} alive", seen.load(Ordering::SeqCst))
            })
        })
        .get("/panics", |_| -> Response { panic!("as the test wants") })
        .wrap(move |req, next| {
            req.insert(Counted::new(&counted));
            req.insert(Counted::new(&counted));
            let reply = next(req);
            assert_eq!(
                counted.load(Ordering::SeqCst),
                2,
                "not before `next` returned"
            );
            if req.path() == "/late" {
                panic!("middleware panics, as the test wants");
            }
            reply
        });
    let server = TestServer::start(app);
    let mut client = server.connect();
    for (path, status, text) in [
        ("/", 200, "plain"),
        ("/stream", 200, "0 alive"),
        ("/absent", 404, "not found\n"),
        ("/panics", 500, "internal error\n"),
    ] {
        let answer = ask_on(&mut client, "GET", path, "");
        assert_eq!((answer.status, answer.text()), (status, text), "{path}");
        assert_eq!(alive.load(Ordering::SeqCst), 0, "{path}");
    }
    assert_eq!(ask(&server, "GET", "/late").status, 500);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("as the test wants");
    }
}

#[test]
fn a_value_that_panics_in_its_drop_costs_one_answer() {
    let app = Router::new()
        .get("/", |_| Response::text("fine"))
        .get("/drop", |req| {
            req.insert(PanicsInDrop);
            Response::text("never sent")
        })
        .get("/twice", |req| -> Response {
            req.insert(PanicsInDrop);
            panic!("as the test wants")
        })
        .wrap(|req, next| -> Reply {
            let reply = next(req);
            match req.path() {
                // Past the router's own containment of a handler's panic.
                "/twice" => panic!("as the test wants"),
                _ => reply,
            }
        });
    let server = TestServer::start(app);
    for path in ["/drop", "/twice"] {
        assert_eq!(ask(&server, "GET", path).status, 500, "{path}");
        assert_eq!(ask(&server, "GET", "/").text(), "fine");
    }
}

#[test]
fn an_event_stream_gets_what_was_taken_out_before() {
    let app = Router::new()
        .get("/", |req| {
            let user = req.get::<User>().cloned();
            sse(move |mut sink| sink.event("user", &user.expect("it was inserted").name))
        })
        .wrap(with_user);
    let server = TestServer::start(app);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: t\r\nX-User: Ann\r\n\r\n");
    let (bytes, _) = client.read_to_end();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.ends_with("event: user\ndata: Ann\n\n"), "{text}");
}

#[test]
fn threads_share_a_request_and_its_body() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Request>();
    let request = Request::new(Method::Post, "/")
        .with_header("X-A", "1")
        .with_body(vec![7; 10_000]);
    let total = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                use std::io::Read;
                let mut bytes = Vec::new();
                request
                    .body_reader()
                    .read_to_end(&mut bytes)
                    .expect("it is here");
                *total.lock().expect("no thread panics") += bytes.len();
                request.insert(User {
                    name: "Ann".to_owned(),
                });
                assert_eq!(request.header("x-a"), Some("1"));
            });
        }
    });
    assert_eq!(*total.lock().expect("no thread panicked"), 10_000);
    assert_eq!(request.get::<User>().map(|user| &*user.name), Some("Ann"));
    // A request that is made by hand keeps what a test inserts.
    let request = request.with_header("X-B", "2");
    assert!(request.get::<User>().is_some());
}
