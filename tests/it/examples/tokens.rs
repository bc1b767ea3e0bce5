//! The example `tokens`.

// The test does not run `main`: it listens at a port that may be taken.
#[allow(dead_code)]
#[path = "../../../akurai-server/examples/tokens/main.rs"]
mod example;

use std::time::Duration;

use akurai_server::{Hub, HubOptions};
use akurai_tests::{Dispatched, TestServer};

use super::{Reader, ask, get, has_a_page};

/// Nothing happens within a test.
const LONG: Duration = Duration::from_secs(3600);

fn server(beat: Duration, unread: Duration) -> TestServer {
    let hub = Hub::new(HubOptions::default()).unwrap();
    has_a_page(example::app(&hub, beat, unread))
}

/// Asks, and returns the answer's path, and the place before its first token.
#[track_caller]
fn begin(server: &TestServer, prompt: &str) -> (String, String) {
    let answer = ask(server, &post(prompt));
    assert_eq!(answer.status, 200);
    let (id, place) = answer.text().split_once(' ').unwrap();
    (format!("/answers/{id}"), place.to_owned())
}

fn post(prompt: &str) -> String {
    let length = prompt.len();
    format!("POST /answers HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{prompt}")
}

/// Reads up to the event `end`, which is the last of these.
#[track_caller]
fn finish(reader: &mut Reader) -> Vec<Dispatched> {
    let mut events = vec![reader.next()];
    while events.last().unwrap().event != "end" {
        events.push(reader.next());
    }
    events
}

fn text(events: &[Dispatched]) -> String {
    let tokens = events.iter().filter(|event| event.event == "token");
    tokens.map(|event| &*event.data).collect()
}

#[test]
fn a_reader_that_comes_back_misses_no_token_and_gets_none_twice() {
    let server = server(Duration::from_millis(1), LONG);
    let (path, place) = begin(&server, "one\ntwo  three");
    let begin = format!("{path}?last_event_id={place}");
    let (mut events, mut cuts) = (Vec::new(), 0);
    let mut reader = Reader::open(&server, &begin, "");
    loop {
        let event = reader.next();
        let is_end = event.event == "end";
        events.push(event);
        if is_end {
            break;
        }
        if events.len() % 7 == 0 {
            cuts += 1;
            drop(reader);
            let last = &events.last().unwrap().last_event_id;
            let last = format!("Last-Event-ID: {last}\r\n");
            // The field counts more than the address, which a browser keeps.
            reader = Reader::open(&server, &begin, &last);
        }
    }
    let expected: String = example::model("one\ntwo  three").collect();
    assert!(cuts > 10);
    assert_eq!(text(&events), expected);
    assert_eq!(events.last().unwrap().data, "done");
    // A page that is loaded again begins at the beginning.
    let again = finish(&mut Reader::open(&server, &begin, ""));
    assert_eq!(text(&again), expected);
}

#[test]
fn a_page_cancels_its_answer() {
    let server = server(Duration::from_millis(20), LONG);
    let (path, place) = begin(&server, &"word ".repeat(900));
    let mut reader = Reader::open(&server, &format!("{path}?last_event_id={place}"), "");
    assert_eq!(reader.next().data, "You ");
    let cancel = format!("DELETE {path} HTTP/1.1\r\nHost: t\r\n");
    let other_site = format!("{cancel}Origin: http://evil.example\r\n\r\n");
    assert_eq!(ask(&server, &other_site).status, 403);
    assert_eq!(ask(&server, &format!("{cancel}\r\n")).status, 204);
    assert_eq!(finish(&mut reader).last().unwrap().data, "cancelled");
}

#[test]
fn an_answer_that_nobody_reads_ends_and_the_oldest_is_forgotten() {
    let server = server(Duration::ZERO, Duration::ZERO);
    let (first, place) = begin(&server, "");
    let mut reader = Reader::open(&server, &format!("{first}?last_event_id={place}"), "");
    finish(&mut reader);
    for n in 0..100 {
        let (path, place) = begin(&server, "");
        let mut reader = Reader::open(&server, &format!("{path}?last_event_id={place}"), "");
        let end = finish(&mut reader);
        assert_eq!(end.last().unwrap().data, "cancelled");
        // It has room for a hundred.
        let first = ask(
            &server,
            &format!("DELETE {first} HTTP/1.1\r\nHost: t\r\n\r\n"),
        );
        assert_eq!(first.status, if n < 99 { 204 } else { 404 }, "{n}");
    }
    assert_eq!(get(&server, &first).status, 404);
}

#[test]
fn no_more_answers_than_the_bound_are_written_at_once() {
    let server = server(LONG, LONG);
    for _ in 0..16 {
        begin(&server, "");
    }
    assert_eq!(ask(&server, &post("")).status, 503);
    assert_eq!(ask(&server, &post(&"a".repeat(16 * 1024 + 1))).status, 413);
}
