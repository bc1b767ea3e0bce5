//! The rows of the table of inputs, one after the other: what the server writes, and what the
//! client dispatches.

use std::io::ErrorKind;
use std::sync::mpsc;
use std::time::Duration;

use akurai_http::{Reply, Request, SseEvent, sse};
use akurai_tests::{DEADLINE, EventStream, Gate, TestServer, shown};

use super::{Write, ask, read_opening, streaming, wire};

/// Asserts which bytes `write` makes, and their events as (type, data, lastEventId).
#[track_caller]
fn check(write: Write, bytes: &str, events: &[(&str, &str, &str)]) -> EventStream {
    let written = wire(write);
    assert!(
        written == bytes.as_bytes(),
        "wrote \"{}\", wanted {:?}",
        shown(&written),
        shown(bytes.as_bytes())
    );
    let stream = EventStream::read_all(&written);
    let dispatched: Vec<_> = stream
        .dispatched
        .iter()
        .map(|e| (e.event.as_str(), e.data.as_str(), e.last_event_id.as_str()))
        .collect();
    assert_eq!(dispatched, events, "of {bytes:?}");
    stream
}

/// As [`check`], for one message.
#[track_caller]
fn check_message(write: Write, bytes: &str, data: &str) {
    check(write, bytes, &[("message", data, "")]);
}

#[test]
fn sse_01_to_04_plain_data() {
    check_message(|sink| sink.data("hi"), "data: hi\n\n", "hi");
    check_message(|sink| sink.data(" hi"), "data:  hi\n\n", " hi");
    check_message(|sink| sink.data("\thi"), "data: \thi\n\n", "\thi");
    check_message(|sink| sink.data(""), "data: \n\n", "");
    check_message(
        |sink| sink.data("data: hi"),
        "data: data: hi\n\n",
        "data: hi",
    );
    check_message(|sink| sink.data(": hi"), "data: : hi\n\n", ": hi");
}

#[test]
fn sse_05_to_09_line_breaks_in_data() {
    check_message(|sink| sink.data("a\nb"), "data: a\ndata: b\n\n", "a\nb");
    check_message(|sink| sink.data("a\n"), "data: a\ndata: \n\n", "a\n");
    check_message(|sink| sink.data("\na"), "data: \ndata: a\n\n", "\na");
    check_message(|sink| sink.data("a\r\nb"), "data: a\ndata: b\n\n", "a\nb");
    check_message(|sink| sink.data("a\rb"), "data: a\ndata: b\n\n", "a\nb");
    check_message(|sink| sink.data("\n"), "data: \ndata: \n\n", "\n");
    check_message(
        |sink| sink.data("a\n\nb"),
        "data: a\ndata: \ndata: b\n\n",
        "a\n\nb",
    );
    check_message(
        |sink| sink.data("a\r\r\nb\n\r"),
        "data: a\ndata: \ndata: b\ndata: \ndata: \n\n",
        "a\n\nb\n\n",
    );
    // Text that other servers pass through raw, where it forges a field.
    check_message(
        |sink| sink.data("a\rid: 7\revent: x"),
        "data: a\ndata: id: 7\ndata: event: x\n\n",
        "a\nid: 7\nevent: x",
    );
    check_message(
        |sink| sink.data("a\n\ndata: b"),
        "data: a\ndata: \ndata: data: b\n\n",
        "a\n\ndata: b",
    );
}

#[test]
fn sse_10_and_11_what_is_no_line_break_stays() {
    check_message(
        |sink| sink.data("a\u{2028}b\u{85}c\u{b}d\u{c}e\0f"),
        "data: a\u{2028}b\u{85}c\u{b}d\u{c}e\0f\n\n",
        "a\u{2028}b\u{85}c\u{b}d\u{c}e\0f",
    );
    check_message(
        |sink| sink.data("\u{feff}a"),
        "data: \u{feff}a\n\n",
        "\u{feff}a",
    );
    check_message(
        |sink| sink.data("é \u{1f600}"),
        "data: é \u{1f600}\n\n",
        "é \u{1f600}",
    );
}

#[test]
fn sse_12_a_mebibyte_in_one_line() {
    let written = wire(|sink| sink.data(&"x".repeat(1 << 20)));
    assert_eq!(written.len(), "data: \n\n".len() + (1 << 20));
    let stream = EventStream::read_all(&written);
    assert_eq!(stream.data(), ["x".repeat(1 << 20)]);
}

#[test]
fn sse_13_names() {
    check(
        |sink| sink.event("tick", "1"),
        "event: tick\ndata: 1\n\n",
        &[("tick", "1", "")],
    );
    check(
        |sink| sink.event("", "1"),
        "data: 1\n\n",
        &[("message", "1", "")],
    );
    check(
        |sink| sink.event(" a: é ", "1\n2"),
        "event:  a: é \ndata: 1\ndata: 2\n\n",
        &[(" a: é ", "1\n2", "")],
    );
    check(
        |sink| {
            sink.event("tick", "1")?;
            sink.data("2")
        },
        "event: tick\ndata: 1\n\ndata: 2\n\n",
        &[("tick", "1", ""), ("message", "2", "")],
    );
}

#[test]
fn sse_14_and_17_what_would_forge_a_field_is_refused() {
    // The sink writes none of them, and the stream continues.
    check_message(
        |sink| {
            for name in ["a\nb", "a\rb", "a\r\nb", "\n", "a\n", "\ra"] {
                let refused = sink.event(name, "forged").expect_err(name);
                assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{name:?}");
            }
            for id in [
                "a\nb",
                "a\rb",
                "a\r\nb",
                "\n",
                "a\0b",
                "\0",
                " a",
                "a ",
                " ",
                "\n\ndata: forged",
            ] {
                let refused = sink.send(&SseEvent::default().id(id)).expect_err(id);
                assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{id:?}");
            }
            sink.data("after")
        },
        "data: after\n\n",
        "after",
    );
}

#[test]
fn sse_15_to_19_ids() {
    let sticky = check(
        |sink| {
            sink.send(&SseEvent::default().id("1"))?;
            sink.data("a")?;
            sink.event("tick", "b")
        },
        "id: 1\n\ndata: a\n\nevent: tick\ndata: b\n\n",
        &[("message", "a", "1"), ("tick", "b", "1")],
    );
    assert_eq!(sticky.last_event_id, "1");
    let reset = check(
        |sink| {
            sink.send(&SseEvent::default().id("1"))?;
            sink.data("a")?;
            sink.send(&SseEvent::default().id(""))?;
            sink.data("b")
        },
        "id: 1\n\ndata: a\n\nid: \n\ndata: b\n\n",
        &[("message", "a", "1"), ("message", "b", "")],
    );
    assert_eq!(reset.last_event_id, "");
    let alone = check(
        |sink| sink.send(&SseEvent::default().id("7")),
        "id: 7\n\n",
        &[],
    );
    assert_eq!(alone.last_event_id, "7");
    let beyond_ascii = check(
        |sink| sink.send(&SseEvent::default().id("é \u{2603}")),
        "id: é \u{2603}\n\n",
        &[],
    );
    assert_eq!(beyond_ascii.last_event_id, "é \u{2603}");
}

#[test]
fn sse_18_an_id_comes_back_as_it_was() {
    let (told, tells) = mpsc::channel();
    let server = TestServer::start(move |request: &Request| -> Reply {
        let id = request.headers().bytes("last-event-id").map(<[u8]>::to_vec);
        told.send(id).expect("the test is there");
        sse(|mut sink| sink.send(&SseEvent::default().id("é \u{2603}")))
    });
    let mut client = server.connect();
    ask(&mut client);
    read_opening(&mut client);
    let stream = EventStream::read_all(&client.read_to_end().0);
    assert_eq!(tells.recv_timeout(DEADLINE), Ok(None));

    let mut client = server.connect();
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: t\r\nLast-Event-ID: {}\r\n\r\n",
        stream.last_event_id
    ));
    assert_eq!(client.read_head().status, 200);
    assert_eq!(tells.recv_timeout(DEADLINE), Ok(Some("é \u{2603}".into())));
}

#[test]
fn sse_20_retry() {
    let stream = check(
        |sink| sink.send(&SseEvent::default().retry(Duration::from_millis(2500))),
        "retry: 2500\n\n",
        &[],
    );
    assert_eq!(stream.retry, Some(2500));
    let whole = check(
        |sink| sink.send(&SseEvent::default().retry(Duration::from_secs(3))),
        "retry: 3000\n\n",
        &[],
    );
    assert_eq!(whole.retry, Some(3000));
    let fractions = check(
        |sink| sink.send(&SseEvent::default().retry(Duration::from_micros(1999))),
        "retry: 1\n\n",
        &[],
    );
    assert_eq!(fractions.retry, Some(1));
}

#[test]
fn sse_21_comments() {
    check(|sink| sink.send(&SseEvent::comment("x")), ": x\n\n", &[]);
    check(|sink| sink.send(&SseEvent::comment("")), ": \n\n", &[]);
    check(
        |sink| sink.send(&SseEvent::comment("a\nb\r\nc\rd")),
        ": a\n: b\n: c\n: d\n\n",
        &[],
    );
    check(
        |sink| sink.send(&SseEvent::comment("a\n\ndata: forged")),
        ": a\n: \n: data: forged\n\n",
        &[],
    );
    check(
        |sink| {
            sink.data("a")?;
            sink.send(&SseEvent::comment("between"))?;
            sink.data("b")
        },
        "data: a\n\n: between\n\ndata: b\n\n",
        &[("message", "a", ""), ("message", "b", "")],
    );
}

#[test]
fn sse_22_an_event_is_one_write() {
    let event = "event: tick\ndata: 1\ndata: 2\ndata: 3\n\n";
    for _ in 0..10 {
        let (first, second) = (Gate::new(), Gate::new());
        let waiter = second.waiter();
        let server = streaming(&first, move |sink| {
            sink.event("tick", "1\n2\n3")?;
            waiter.wait();
            sink.data("next")
        });
        let mut client = server.connect();
        ask(&mut client);
        read_opening(&mut client);
        first.open();
        // One write of so few bytes is one segment, and one read gets all of it.
        assert_eq!(client.read_some(), event.as_bytes());
        second.open();
        assert_eq!(client.read_to_end().0, b"data: next\n\n");
    }
    // A client that is cut off in the middle of an event dispatches nothing of it, so that no page
    // acts on half an event.
    for cut in 0..event.len() {
        let stream = EventStream::read_all(&event.as_bytes()[..cut]);
        assert!(stream.dispatched.is_empty(), "cut at {cut}");
    }
}
