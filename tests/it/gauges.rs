//! Topics of a hub of which only the last value matters.

use std::time::Duration;

use akurai_server::EventId;
use akurai_tests::eventually;

use crate::hub::{quick, serving, subscribe};

#[test]
fn of_a_gauge_only_the_last_value_matters() {
    let (server, hub) = serving(quick());
    hub.latest_only("gauge");
    for n in 0..3 {
        hub.publish("gauge", "", &n.to_string()).unwrap();
        hub.publish("a", "", &format!("a{n}")).unwrap();
    }
    let mut fresh = subscribe(&server, "gauge,a", None);
    assert_eq!(fresh.read(1), ["2"]);
    let cursor = fresh.read_cursor();
    let first = hub.publish("gauge", "", "3").unwrap();
    hub.publish("a", "", "a3").unwrap();
    hub.publish("gauge", "", "4").unwrap();
    assert!(first > cursor);
    let mut back = subscribe(&server, "gauge,a", Some(&cursor.to_string()));
    assert_eq!(back.read(2), ["a3", "4"]);
}

#[test]
fn a_gap_is_told_though_the_stream_breaks_behind_a_gauge() {
    let options = quick().max_ring_events(4);
    let (server, hub) = serving(options);
    hub.latest_only("gauge");
    let seen = hub.publish("a", "", "seen").unwrap().to_string();
    for topic in ["a", "a", "gauge", "a", "a"] {
        hub.publish(topic, "", &format!("of {topic}")).unwrap();
    }
    let mut first = subscribe(&server, "gauge,a", Some(&seen));
    first.read(2);
    let events: Vec<_> = first.stream.dispatched.iter().collect();
    assert_eq!(
        (&*events[0].event, &*events[0].data),
        ("message", "of gauge")
    );
    assert_eq!(events[1].event, "reset");
    // If the connection had broken between the two, the client would have come back with this id.
    let cursor = match &*events[0].last_event_id {
        "" => seen,
        id => id.to_owned(),
    };
    let mut back = subscribe(&server, "gauge,a", Some(&cursor));
    back.read(2);
    assert_eq!(back.stream.dispatched[1].event, "reset");
    // The client continues from the reset.
    let id = back.read_cursor().to_string();
    hub.publish("gauge", "", "next").unwrap();
    assert_eq!(subscribe(&server, "gauge,a", Some(&id)).read(1), ["next"]);
}

#[test]
fn what_gauges_stand_at_comes_in_the_order_of_events() {
    let (server, hub) = serving(quick());
    let topics = ["a", "b", "c", "d"];
    topics.iter().for_each(|topic| hub.latest_only(topic));
    for topic in ["d", "b", "c", "a", "c"] {
        hub.publish(topic, "", topic).unwrap();
    }
    for order in ["a,b,c,d", "d,c,b,a", "c,a,d,b"] {
        let mut fresh = subscribe(&server, order, None);
        assert_eq!(fresh.read(4), ["d", "b", "a", "c"], "{order}");
        let ids = fresh.stream.dispatched.iter();
        let ids: Vec<EventId> = ids
            .map(|event| event.last_event_id.parse().unwrap())
            .collect();
        assert!(
            ids.is_sorted(),
            "a client would come back with one: {ids:?}"
        );
    }
}

#[test]
fn a_value_that_is_half_written_is_written_to_its_end() {
    // More than the system buffers for a client that does not read.
    let large = "x".repeat(12 << 20);
    let options = quick()
        .max_ring_bytes(64 << 20)
        .no_progress(Duration::from_secs(60));
    let (server, hub) = serving(options);
    hub.latest_only("gauge");
    let mut reader = subscribe(&server, "gauge", None);
    reader.read_cursor();
    hub.publish("gauge", "", &large).unwrap();
    reader.client.await_unread();
    // Of the values that wait behind it, only the last one is sent.
    for data in ["one", "two", "three"] {
        hub.publish("gauge", "", data).unwrap();
    }
    eventually("all are queued", || hub.stats().deliveries == 4);
    let data = reader.read(2);
    assert!(data[0] == large, "{} bytes of it", data[0].len());
    assert_eq!(data[1], "three");
}
