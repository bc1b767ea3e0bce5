//! How a stream resumes, and how the server tells a client to come back or to stay away.

use std::io::{self, Read};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use akurai_http::{
    Limits, Reply, Request, Response, SseEvent, SseOptions, SseSink, Status, last_event_id, sse,
};
use akurai_tests::{Client, DEADLINE, EventStream, TestServer};

use super::{ask, read_opening, wire};

#[test]
fn an_event_with_all_fields_is_one_event() {
    let bytes = wire(|sink| {
        let event = SseEvent::data("a\rb").event("e").id("7");
        sink.send(&event.retry(Duration::from_millis(1500)))?;
        sink.send(&SseEvent::comment("not an event"))?;
        let refused = sink.send(&SseEvent::data("x").event("a\nb"));
        assert!(refused.is_err(), "and nothing of it is sent");
        sink.data("last")
    });
    let stream = EventStream::read_all(&bytes);
    assert_eq!(stream.data(), ["a\nb", "last"]);
    assert_eq!(stream.dispatched[0].event, "e");
    assert_eq!(stream.last_event_id, "7");
    assert_eq!(stream.retry, Some(1500));
}

/// A client that has read the first comment of a stream with this option.
#[track_caller]
fn kept_alive(period: Duration, f: fn(SseSink) -> io::Result<()>) -> (TestServer, Client) {
    let options = SseOptions::new().keep_alive(period);
    let server = TestServer::start(move |req: &Request| options.stream(req, f));
    let mut client = server.connect();
    ask(&mut client);
    read_opening(&mut client);
    (server, client)
}

#[test]
fn keep_alive_breaks_the_silence_of_a_wait() {
    let (period, begun) = (Duration::from_millis(20), Instant::now());
    let (_server, mut client) = kept_alive(period, |mut sink| sink.wait(DEADLINE));
    for _ in 0..3 {
        assert_eq!(client.read_through(b"\n\n"), b": \n\n");
    }
    assert!(begun.elapsed() >= 3 * period, "{:?}", begun.elapsed());
}

#[test]
fn no_keep_alive_is_no_comment() {
    let (_server, mut client) = kept_alive(Duration::ZERO, |mut sink| {
        sink.wait(Duration::from_millis(20))?;
        sink.data("awake")
    });
    assert_eq!(client.read_to_end().0, b"data: awake\n\n");
}

#[test]
fn sse_18_the_cursor_is_what_the_client_says_in_bytes() {
    let (tell, told) = mpsc::channel();
    let server = TestServer::start(move |req: &Request| {
        let _ = tell.send(last_event_id(req).map(std::borrow::Cow::into_owned));
        Response::text("")
    });
    let mut client = server.connect();
    let mut cursor = |target: &str, field: &[u8]| {
        let head = format!("GET {target} HTTP/1.1\r\nHost: t\r\n");
        client.send([head.as_bytes(), field, b"\r\n"].concat());
        client.read_response();
        told.recv_timeout(DEADLINE).unwrap()
    };
    assert_eq!(cursor("/", b""), None);
    assert_eq!(
        cursor("/", b"Last-Event-ID: caf\xc3\xa9\r\n").unwrap(),
        b"caf\xc3\xa9"
    );
    assert_eq!(cursor("/?last_event_id=7%FF", b"").unwrap(), b"7\xff");
    assert_eq!(
        cursor("/?last_event_id=7", b"Last-Event-ID: 8\r\n").unwrap(),
        b"8"
    );
}

#[test]
fn sse_26_no_content_ends_it_for_good() {
    let server = TestServer::start(|_: &Request| Response::new(Status::NO_CONTENT));
    let mut client = server.connect();
    ask(&mut client);
    assert_eq!(client.read_response().status, 204);
}

#[track_caller]
fn expect_come_back(client: &mut Client, bounds: std::ops::RangeInclusive<u64>) {
    ask(client);
    let answer = client.read_response();
    // With any other status, or another type, the browser would not come back (rows 27 and 28).
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let stream = EventStream::read_all(&answer.body);
    let retry = stream.retry.expect("it says when to come back");
    assert!(bounds.contains(&retry), "{retry}");
    assert!(stream.dispatched.is_empty());
    client.expect_eof();
}

#[test]
fn sse_27_and_28_come_back_later() {
    let server = TestServer::start(|_: &Request| {
        sse(|mut sink| sink.send(&SseEvent::default().retry(Duration::from_secs(7))))
    });
    expect_come_back(&mut server.connect(), 7000..=7000);
}

#[test]
fn sse_28_where_there_is_no_place_it_is_said_the_same_way() {
    let limits = Limits::default().max_upgrades(1);
    let server = TestServer::limited(limits, |_: &Request| -> Reply {
        sse(|mut sink| sink.wait(Duration::from_secs(60)))
    });
    let mut first = server.connect();
    ask(&mut first);
    read_opening(&mut first);
    expect_come_back(&mut server.connect(), 1000..=3000);
    let mut socket = first.stream();
    socket.set_nonblocking(true).unwrap();
    assert!(socket.read(&mut [0]).is_err(), "the first one goes on");
}
