//! Code that allocates nothing once a connection is at work. The handler or closure itself notes
//! how many allocations its thread has made so far. The difference between two notes is a whole
//! turn, including the server's work before and after the handler.

#[allow(unsafe_code)]
mod counter;

use std::hint::black_box;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use akurai_http::{Response, Router};
use akurai_tests::{Frame, Opcode, TestServer, WsClient};

/// Turns before the count begins: in these, buffers grow to the size that they need, and are kept.
const FIRST: usize = 16;
/// Turns that are counted.
const COUNTED: usize = 64;

/// The thread's number of allocations at each turn.
#[derive(Clone)]
struct Notes(Arc<Mutex<Vec<u64>>>);

impl Notes {
    fn new() -> Notes {
        Notes(Arc::new(Mutex::new(Vec::with_capacity(FIRST + COUNTED))))
    }

    fn take(&self) {
        let mut notes = self.0.lock().expect("nobody panics with it");
        assert!(notes.len() < notes.capacity(), "a note would allocate");
        notes.push(counter::made());
    }

    /// Fails unless each counted turn made exactly this many allocations.
    #[track_caller]
    fn check(&self, expected: u64) {
        let notes = self.0.lock().expect("nobody panics with it");
        assert_eq!(notes.len(), FIRST + COUNTED, "turns");
        let made: Vec<u64> = notes.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(made[FIRST - 1..], [expected; COUNTED], "{made:?}");
    }
}

/// Sends the request in batches of `pipelined` to the router that `app` makes with the notes. Each
/// counted turn must make `expected` allocations.
#[track_caller]
fn check(request: &str, pipelined: usize, expected: u64, app: impl Fn(Notes) -> Router) {
    let notes = Notes::new();
    let server = TestServer::start(app(notes.clone()));
    let mut client = server.connect();
    for _ in 0..(FIRST + COUNTED) / pipelined {
        client.send(request.repeat(pipelined));
        for _ in 0..pipelined {
            let answer = client.read_response();
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
    notes.check(expected);
}

const GET: &str = "GET /users/42?q=a%20b HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";

fn get(notes: Notes) -> Router {
    Router::new()
        .get("/users/{id}", move |req| {
            notes.take();
            assert_eq!((req.path(), req.query()), ("/users/42", Some("q=a%20b")));
            Response::text(req.param("id").unwrap())
                .with_header("Cache-Control", "no-store")
                .with_header("X-Agent", req.header("User-Agent").unwrap())
        })
        .get("/users/me", |_| Response::text("me"))
}

#[test]
fn the_counter_sees_a_single_allocation() {
    check(GET, 1, 1, |notes| {
        Router::new().get("/users/{id}", move |_| {
            notes.take();
            black_box(Box::new(7));
            Response::text("seven")
        })
    });
}

#[test]
fn a_get_makes_none() {
    check(GET, 1, 0, get);
}

#[test]
fn a_pipelined_get_makes_none() {
    check(GET, 8, 0, get);
}

#[test]
fn a_page_a_status_alone_and_what_was_computed_make_none() {
    check(GET, 1, 0, |notes| {
        Router::new().get("/users/{id}", move |_| {
            notes.take();
            Response::html("<h1>hello</h1>")
        })
    });
    check(GET, 1, 0, |notes| {
        Router::new().get("/users/{id}", move |_| {
            notes.take();
            Response::new(akurai_http::Status::OK)
        })
    });
    // The text that the handler makes is its own allocation, and the only one.
    check(GET, 1, 1, |notes| {
        Router::new().get("/users/{id}", move |req| {
            notes.take();
            Response::json(req.path().to_owned())
        })
    });
}

fn post(length: usize) -> String {
    let body = "x".repeat(length);
    format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
}

const CHUNKED: &str = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
     5;a=b\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";

#[test]
fn a_body_read_in_pieces_makes_none() {
    fn read(notes: Notes) -> Router {
        Router::new().post("/a", move |req| -> io::Result<Response> {
            notes.take();
            let (mut piece, mut reader) = ([0; 8192], req.body_reader());
            while reader.read(&mut piece)? > 0 {}
            Ok(Response::text("read"))
        })
    }
    for request in [&post(11), &post(300_000), CHUNKED] {
        check(request, 1, 0, read);
    }
    check(&post(11), 8, 0, read);
    check(CHUNKED, 8, 0, read);
}

// One test, since all bodies of the process share the memory that waits to serve again.
#[test]
fn a_whole_body_makes_the_one_that_it_is_and_none_if_it_goes_back() {
    for length in [11, 20_000, 40_000, 65_536] {
        check(&post(length), 1, 1, |notes| {
            Router::new().post("/a", move |req| -> io::Result<Response> {
                notes.take();
                black_box(req.body()?);
                Ok(Response::text("read"))
            })
        });
    }
    for length in [40_000, 65_536] {
        check(&post(length), 1, 0, |notes| {
            Router::new().post("/a", move |req| -> io::Result<Response> {
                notes.take();
                Ok(Response::text(req.body()?))
            })
        });
    }
}

#[test]
fn an_idle_connection_keeps_nothing_of_a_large_request() {
    let held = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&held);
    let app = Router::new()
        .get("/", move |_| {
            noted.lock().expect("nobody panics").push(counter::held());
            Response::text("small")
        })
        .get("/{*long}", |req| {
            assert!(req.param("long").is_some_and(|long| long.len() > 7000));
            // Just short enough to be copied behind the response's head.
            Response::text("x".repeat(16 * 1024 - 1)).with_header("X-Long", "y".repeat(20_000))
        })
        .post("/trailers", |req| -> io::Result<Response> {
            assert_eq!(req.body()?, b"");
            assert!(req.body_reader().trailers().iter().count() > 20);
            Ok(Response::text("read"))
        });
    let server = TestServer::start(app);
    let mut client = server.connect();
    let mut ask = |request: String| {
        client.send(request);
        assert_eq!(client.read_response().status, 200);
    };
    let small = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let fields = format!("X: {}\r\n", "x".repeat(300)).repeat(95);
    ask(small.to_owned());
    let path = "p".repeat(8000);
    ask(format!("GET /{path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
    let trailers = format!("X: {}\r\n", "x".repeat(300)).repeat(25);
    ask(format!(
        "POST /trailers HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{trailers}\r\n"
    ));
    ask(small.to_owned());
    let held = held.lock().expect("nobody panics");
    // A thread keeps room for the fields of a usual response.
    assert!(held[1] - held[0] < 2048, "bytes held: {held:?}");
}

#[test]
fn a_message_that_comes_back_makes_none() {
    for len in [16, 4000, 70_000] {
        let notes = Notes::new();
        let noted = notes.clone();
        let app = Router::new().get("/", move |req| {
            let notes = noted.clone();
            akurai_ws::upgrade(req, move |mut conn| {
                let mut message = Vec::new();
                while conn.recv_into(&mut message)?.is_some() {
                    notes.take();
                    conn.send_binary(&message)?;
                }
                Ok(())
            })
        });
        let server = TestServer::start(app);
        let mut client = WsClient::open(server.addr(), "/");
        let message = vec![7; len];
        for _ in 0..FIRST + COUNTED {
            client.send(&Frame::binary(message.as_slice()));
            client.expect(Opcode::BINARY, &message);
        }
        notes.check(0);
    }
}
