//! Topics of a hub of which only the last value matters.

use akurai_server::HubOptions;

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
    let options = HubOptions {
        ring_events: 4,
        ..quick()
    };
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
    // Had it broken between the two, the client would have come back with this.
    let cursor = match &*events[0].last_event_id {
        "" => seen,
        id => id.to_owned(),
    };
    let mut back = subscribe(&server, "gauge,a", Some(&cursor));
    back.read(2);
    assert_eq!(back.stream.dispatched[1].event, "reset");
    // The reset is where it goes on.
    let id = back.read_cursor().to_string();
    hub.publish("gauge", "", "next").unwrap();
    assert_eq!(subscribe(&server, "gauge,a", Some(&id)).read(1), ["next"]);
}
