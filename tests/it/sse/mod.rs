//! Server-Sent Events through the server: the bytes on the wire, and what a browser does with them
//! (WHATWG HTML §9.2).

mod events;
mod resuming;
mod streams;

use std::io;

use akurai_http::{Reply, SseSink, sse};
use akurai_tests::{Answer, Client, End, Gate, TestServer};

/// What a stream's closure does with its sink.
type Write = fn(&mut SseSink) -> io::Result<()>;

/// A server that streams at every path: it calls `write` once `gate` is open.
fn streaming(
    gate: &Gate,
    write: impl Fn(&mut SseSink) -> io::Result<()> + Clone + Send + Sync + 'static,
) -> TestServer {
    let waiter = gate.waiter();
    TestServer::start(move |_: &akurai_http::Request| -> Reply {
        let (waiter, write) = (waiter.clone(), write.clone());
        sse(move |mut sink| {
            waiter.wait();
            write(&mut sink)
        })
    })
}

fn ask(client: &mut Client) {
    client.send("GET /events HTTP/1.1\r\nHost: t\r\nAccept: text/event-stream\r\n\r\n");
}

/// Reads the head and the first comment, which come before any event.
#[track_caller]
fn read_opening(client: &mut Client) -> Answer {
    let head = client.read_head();
    assert_eq!(head.status, 200);
    let comment = client.read_through(b"\n\n");
    assert!(comment.starts_with(b":"), "{}", comment.escape_ascii());
    assert!(
        !comment[..comment.len() - 2].contains(&b'\n'),
        "{}",
        comment.escape_ascii()
    );
    head
}

/// The bytes after the first comment, up to the stream's end, which must be in order.
#[track_caller]
fn wire(write: Write) -> Vec<u8> {
    let gate = Gate::new();
    let server = streaming(&gate, write);
    let mut client = server.connect();
    ask(&mut client);
    read_opening(&mut client);
    gate.open();
    let (bytes, end) = client.read_to_end();
    assert_eq!(end, End::Fin);
    bytes
}
