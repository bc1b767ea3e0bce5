//! Where a hub begins on a stream that already has events.

use std::time::Duration;

use akurai_server::{Engine, EventId, Hub};

use super::fake::Stream;
use crate::hub::{quick, serve, subscribe};

const OLD: [&str; 4] = ["topic", "a", "data", "old"];
const OLDER: [&str; 4] = ["topic", "a", "data", "older"];
const NO_EVENT: [&str; 2] = ["something", "else"];

fn id(ms: u64) -> EventId {
    EventId { ms, seq: 0 }
}

#[test]
fn behind_an_entry_that_is_no_event() {
    let stream = Stream::with(&[("5-0", &OLD), ("6-0", &NO_EVENT)]);
    let hub = Hub::with_engine(quick(), stream.fake.engine()).unwrap();
    assert_eq!(hub.last_id(), id(6));
    let server = serve(&hub);
    let mut reader = subscribe(&server, "a", None);
    assert_eq!(reader.read_cursor(), id(6));
    // A client that comes back with the last id of the other node continues. For an older id, this
    // node does not know what followed it.
    let mut back = subscribe(&server, "a", Some("6-0"));
    let mut older = subscribe(&server, "a", Some("5-0"));
    assert_eq!(older.read(1), ["events were lost"]);
    back.read_cursor();
    stream.event("7-0", "new", "w-1");
    assert_eq!(reader.read(1), ["new"]);
    assert_eq!(back.read(1), ["new"]);
    assert_eq!(older.read(2)[1], "new");
}

#[test]
fn with_a_ring_of_none() {
    let stream = Stream::with(&[("5-0", &OLDER), ("6-0", &OLD)]);
    let options = quick().max_ring_events(0);
    let hub = Hub::with_engine(options, stream.fake.engine()).unwrap();
    assert_eq!(hub.last_id(), id(6));
    let server = serve(&hub);
    let mut reader = subscribe(&server, "a", None);
    assert_eq!(reader.read_cursor(), id(6));
    stream.event("7-0", "new", "w-1");
    assert_eq!(reader.read(1), ["new"]);
}

#[test]
fn the_last_events_end_where_the_stream_does() {
    let all: [(&str, &[&str]); 4] = [
        ("5-0", &OLDER),
        ("6-0", &NO_EVENT),
        ("7-0", &OLD),
        ("8-0", &NO_EVENT),
    ];
    for (entries, max, expected) in [
        (0, 9, &[][..]),
        (1, 9, &[5]),
        (1, 0, &[]),
        (2, 9, &[]),
        (3, 9, &[7]),
        (3, 0, &[]),
        (4, 9, &[]),
    ] {
        let stream = Stream::with(&all[..entries]);
        let engine = stream.fake.engine();
        let tail = engine.tail(max).unwrap();
        let read: Vec<u64> = tail.events.iter().map(|event| event.id.ms).collect();
        let end = [0, 5, 6, 7, 8][entries];
        assert_eq!((&*read, tail.end, tail.gap), (expected, id(end), false));
        // The existing events are neither new nor lost.
        let next = engine.next(tail.end, Duration::ZERO, 9).unwrap();
        assert_eq!((next.events, next.gap), (Vec::new(), false));
    }
}
