use super::*;
use crate::engine::id_before;

const LIMITS: RingLimits = RingLimits {
    events: 3,
    bytes: 100_000,
    age: Duration::from_secs(60),
};

fn ring() -> Ring {
    Ring::new(LIMITS, id(1))
}

fn id(ms: u64) -> EventId {
    EventId { ms, seq: 0 }
}

fn text(events: &[Arc<StoredEvent>]) -> String {
    let text: Vec<_> = events
        .iter()
        .map(|event| event.data.as_deref().unwrap_or("lost"))
        .collect();
    text.join(" ")
}

/// The texts of the events after `after` for a client of these topics, before number `end`.
fn replay(ring: &Ring, after: EventId, topics: &[&str], end: u64) -> Option<String> {
    let topics: Vec<Arc<str>> = topics.iter().map(|&topic| topic.into()).collect();
    ring.replay(after, &topics, end)
        .ok()
        .map(|events| text(&events))
}

/// The same, without an end.
fn follows(ring: &Ring, after: EventId, topics: &[&str]) -> Option<String> {
    replay(ring, after, topics, u64::MAX)
}

/// The texts of a topic's last events, and a plus if these are all.
fn past(ring: &Ring, topic: &str, after: Option<EventId>, most: usize) -> String {
    let past = ring.history(topic, after, most);
    assert_eq!(past.at, ring.end().1);
    text(&past.events) + if past.is_complete { "+" } else { "" }
}

fn add(ring: &Ring, ms: u64, topic: &str) {
    ring.add(id(ms), topic, "", &ms.to_string());
}

fn keep(events: usize) -> Retention {
    Retention::default().max_events(events)
}

#[test]
fn what_is_lost_is_told() {
    let ring = ring();
    let ids: Vec<_> = (0..5)
        .map(|n| ring.publish("t", "", &n.to_string()).unwrap())
        .collect();
    assert_eq!(text(&ring.read(2, 10).events), "2 3 4");
    assert!(ring.read(2, 10).lost.is_none());
    assert_eq!(ring.read(1, 10).lost.map(|lost| lost.at), Some(ids[1]));
    assert_eq!(text(&ring.read(3, 1).events), "3");
    assert_eq!(text(&ring.read(9, 1).events), "");
    assert_eq!(replay(&ring, ids[1], &["t"], 5).unwrap(), "2 3 4");
    assert_eq!(replay(&ring, ids[2], &["t"], 4).unwrap(), "3");
    assert_eq!(replay(&ring, ids[4], &["t"], 5).unwrap(), "");
    assert_eq!(replay(&ring, ids[0], &["t"], 5), None);
    assert_eq!(replay(&ring, EventId::default(), &["t"], 5), None);
    assert_eq!(replay(&ring, id(u64::MAX), &["t"], 5), None);
    ring.lose(ids[4]);
    // A client that had seen all events gets the gap too: the next event may not be the next in
    // order.
    for topic in ["t", "other"] {
        assert_eq!(follows(&ring, ids[3], &[topic]), None);
        assert_eq!(follows(&ring, ids[4], &[topic]), None);
    }
    let read = ring.read(5, 10);
    let lost = read.lost.unwrap();
    assert!(lost.at > ids[4]);
    assert!(lost.concerns("t", 5) && lost.concerns("other", 5) && !lost.concerns("t", 6));
    assert_eq!((read.next, read.events.len()), (6, 0));
    let (number, last) = ring.end();
    assert_eq!(number, 6);
    // A client that got the `reset` continues from there.
    assert_eq!(follows(&ring, last, &["t"]).unwrap(), "");
}

#[test]
fn what_is_lost_concerns_its_own_topic() {
    let ring = ring();
    for (ms, topic) in [
        (2, "quiet"),
        (3, "late"),
        (4, "noisy"),
        (5, "noisy"),
        (6, "noisy"),
        (7, "late"),
        (8, "noisy"),
    ] {
        add(&ring, ms, topic);
    }
    // The events 2, 3, 4 and 5 are gone.
    assert_eq!(follows(&ring, id(2), &["quiet"]).unwrap(), "");
    assert_eq!(follows(&ring, id(2), &["never"]).unwrap(), "");
    assert_eq!(follows(&ring, id(1), &["quiet"]), None);
    assert_eq!(follows(&ring, id(1), &["never"]).unwrap(), "");
    assert_eq!(follows(&ring, id(3), &["late", "quiet"]).unwrap(), "7");
    assert_eq!(follows(&ring, id(2), &["late", "quiet"]), None);
    assert_eq!(follows(&ring, id(4), &["noisy"]), None);
    assert_eq!(follows(&ring, id(5), &["late", "noisy"]).unwrap(), "6 7 8");
    // No event has this id, but an event that is gone may have had it.
    assert_eq!(
        follows(&ring, EventId { ms: 4, seq: 7 }, &["late"]).unwrap(),
        "7"
    );

    let lost = ring.read(2, 10).lost.unwrap();
    let concerned = ["late", "never", "noisy", "quiet"].map(|topic| lost.concerns(topic, 2));
    assert_eq!(concerned, [false, false, true, false]);
    assert!(!lost.concerns("late", 2));
    assert!(ring.read(1, 10).lost.unwrap().concerns("late", 1));
}

#[test]
fn a_topic_that_is_forgotten_is_told_rather_than_wrong() {
    let limits = RingLimits {
        events: 1,
        bytes: 8 * 1000,
        ..LIMITS
    };
    let ring = Ring::new(limits, id(1));
    add(&ring, 2, "first");
    for ms in 3..100 {
        add(&ring, ms, &format!("topic {ms}"));
    }
    // The ring remembers a few hundred bytes of all this: only the last losses exactly.
    assert_eq!(follows(&ring, id(98), &["topic 98"]).unwrap(), "");
    assert_eq!(follows(&ring, id(97), &["topic 98"]), None);
    assert_eq!(follows(&ring, id(2), &["first"]), None);
    assert_eq!(follows(&ring, id(2), &["never"]), None);
    assert_eq!(follows(&ring, id(98), &["first", "never"]).unwrap(), "");
}

#[test]
fn bounds_of_bytes_and_age() {
    let large = "x".repeat(20_000);
    let ring = ring();
    for _ in 0..3 {
        ring.publish("t", "", &large).unwrap();
    }
    assert_eq!(ring.read(1, 10).events.len(), 2);
    let brief = RingLimits {
        age: Duration::ZERO,
        ..LIMITS
    };
    let ring = Ring::new(brief, EventId::default());
    ring.publish("t", "", "1").unwrap();
    while ring.end().1.ms == now_ms() {}
    ring.publish("t", "", "2").unwrap();
    assert_eq!(text(&ring.read(1, 10).events), "2");
}

#[test]
fn a_ring_takes_no_more_than_its_bytes() {
    let limits = RingLimits {
        events: usize::MAX,
        ..LIMITS
    };
    let ring = Ring::new(limits, id(1));
    for n in 0..1_000 {
        ring.publish(&format!("{n:>TOPIC_BYTES$}"), "", "1")
            .unwrap();
        let state = ring.state();
        let held: usize = state.events.iter().map(|event| event.bytes()).sum();
        assert_eq!(held, state.bytes);
        assert!(held <= LIMITS.bytes / 8 * 7);
    }
    // The largest event that fits leaves room for no other. With one byte more it is refused, and
    // the ring stays as it was.
    let fits = |len| ring.publish("t", "", &"x".repeat(len)).is_ok();
    let largest = (40_000..50_000).rfind(|&len| ring.check("t", "", &"x".repeat(len)).is_ok());
    let largest = largest.unwrap();
    assert!(fits(largest));
    assert_eq!(ring.state().events.len(), 1);
    assert!(!fits(largest + 1));
    assert_eq!(ring.state().events.len(), 1);
    assert!(ring.publish(&"t".repeat(100_000), "", "1").is_err());
}

#[test]
fn ids_of_others_come_in_order_and_once() {
    let ring = ring();
    for ms in [5, 7, 7, 6, 9] {
        add(&ring, ms, "t");
    }
    assert_eq!(text(&ring.read(0, 10).events), "5 7 9");
    assert_eq!(ring.latest("t", 2).map(|event| event.id), Some(id(7)));
    assert!(ring.latest("other", 9).is_none());

    let empty = Ring::new(LIMITS, EventId::default());
    add(&empty, 5, "t");
    assert_eq!(follows(&empty, EventId::default(), &["t"]).unwrap(), "5");
    assert_eq!(follows(&empty, id(4), &["t"]), None);

    // Earlier events are not in this ring.
    let later = Ring::new(LIMITS, id_before(id(5)));
    add(&later, 5, "t");
    assert_eq!(follows(&later, EventId::default(), &["t"]), None);
    assert_eq!(follows(&later, id_before(id(5)), &["t"]).unwrap(), "5");
}

#[test]
fn an_id_that_was_never_here_is_a_gap() {
    let ring = ring();
    for ms in [5, 9] {
        add(&ring, ms, "t");
    }
    for ms in [0, 2, 7, 10] {
        assert_eq!(follows(&ring, id(ms), &["t"]), None, "{ms}");
        assert_eq!(follows(&ring, id(ms), &["other"]), None, "{ms}");
    }
}

#[test]
fn an_id_that_was_lost_with_others_is_no_place() {
    let ring = ring();
    add(&ring, 100, "t");
    ring.lose(id(200));
    for ms in 201..206 {
        add(&ring, ms, "noisy");
    }
    // Another node gave out this id. A later event of this topic may have been lost here.
    for ms in [101, 150, 200] {
        assert_eq!(follows(&ring, id(ms), &["quiet"]), None, "{ms}");
        assert_eq!(past(&ring, "quiet", Some(id(ms)), 9), "");
    }
    assert_eq!(follows(&ring, id(201), &["quiet"]).unwrap(), "");
    // An id right after the last event that was read is not the place that the `reset` gave.
    let next = EventId { ms: 100, seq: 1 };
    assert_eq!(follows(&ring, next, &["quiet"]), None);
}

#[test]
fn behind_the_last_id_of_a_millisecond_is_the_next_one() {
    let ring = ring();
    let last = EventId {
        ms: 5,
        seq: u64::MAX,
    };
    ring.add(last, "t", "", "5");
    ring.lose(last);
    assert_eq!(ring.end().1, id(6));
    assert_eq!(next_id(last, 5), id(6));
}

#[test]
fn an_order_that_begins_again_may_have_lower_ids() {
    let ring = ring();
    ring.retain("kept", keep(9));
    for ms in [7, 8] {
        add(&ring, ms, "kept");
    }
    add(&ring, 9, "t");
    ring.lose(id(3));
    assert_eq!(past(&ring, "kept", None, 9), "+");
    for ms in [3, 4, 5] {
        add(&ring, ms, "t");
    }
    assert_eq!(text(&ring.read(4, 9).events), "4 5");
    assert_eq!(ring.end().1, id(5));
    assert_eq!(follows(&ring, id(4), &["t"]).unwrap(), "5");
    for old in [id(3), id(9)] {
        assert_eq!(follows(&ring, old, &["t"]), None);
        assert_eq!(follows(&ring, old, &["kept"]), None);
    }
    // A client that got the `reset` while the new order was empty stands before its first event.
    let told = EventId {
        ms: 9,
        seq: 1 << 63,
    };
    assert_eq!(follows(&ring, told, &["t"]).unwrap(), "4 5");
    // This also holds if some events are gone again: all of them came after the client's place.
    for ms in [6, 7] {
        add(&ring, ms, "kept");
    }
    assert_eq!(follows(&ring, told, &["t"]), None);
    assert_eq!(follows(&ring, told, &["kept"]).unwrap(), "6 7");
    // The id of an event that is gone does not count: the older order may have had it too.
    assert_eq!(follows(&ring, id(4), &["kept"]), None);
    for ms in 10..14 {
        add(&ring, ms, "t");
    }
    // But the ring knows the ids of events that a topic keeps, and all ids after the `reset` are
    // new.
    assert_eq!(follows(&ring, id(6), &["kept"]).unwrap(), "7");
    assert_eq!(follows(&ring, id(6), &["t"]), None);
    assert_eq!(follows(&ring, id(10), &["t"]).unwrap(), "11 12 13");
}

#[test]
fn a_topic_keeps_events_of_its_own() {
    let ring = ring();
    ring.retain("kept", keep(2));
    for (ms, topic) in [
        (2, "kept"),
        (3, "t"),
        (4, "kept"),
        (5, "t"),
        (6, "kept"),
        (7, "t"),
        (8, "t"),
        (9, "t"),
    ] {
        add(&ring, ms, topic);
    }
    // The ring has 7, 8 and 9, the topic 4 and 6; 2 is gone.
    assert_eq!(follows(&ring, id(2), &["kept"]).unwrap(), "4 6");
    assert_eq!(follows(&ring, id(4), &["kept"]).unwrap(), "6");
    assert_eq!(follows(&ring, id(5), &["kept", "t"]).unwrap(), "6 7 8 9");
    assert_eq!(follows(&ring, id(4), &["kept", "t"]), None);
    assert_eq!(follows(&ring, id(1), &["kept"]), None);
    assert_eq!(replay(&ring, id(5), &["kept", "t"], 6).unwrap(), "6 7");
    assert_eq!(
        ring.latest("kept", u64::MAX).map(|event| event.id),
        Some(id(6))
    );
    assert_eq!(ring.latest("kept", 3).map(|event| event.id), Some(id(4)));
    // A reader that was slower than the ring gets the kept events, too.
    let read = ring.read(1, 9);
    assert_eq!((text(&read.events), read.next), ("4 6".into(), 5));
    let lost = read.lost.unwrap();
    assert!(lost.concerns("t", 1) && !lost.concerns("kept", 1));
    // An event that the topic has dropped is not gone while the ring has it.
    for ms in [10, 11, 12] {
        add(&ring, ms, "kept");
    }
    assert_eq!(follows(&ring, id(8), &["kept"]).unwrap(), "10 11 12");
    assert_eq!(past(&ring, "kept", None, 9), "10 11 12");
    add(&ring, 13, "t");
    assert_eq!(past(&ring, "kept", None, 9), "11 12");
    assert_eq!(follows(&ring, id(9), &["kept"]), None);
    assert_eq!(follows(&ring, id(10), &["kept"]).unwrap(), "11 12");
    // A topic without a store of its own has only the events of the ring.
    for ms in [14, 15] {
        add(&ring, ms, "t");
    }
    assert_eq!(past(&ring, "kept", None, 9), "11 12");
    ring.release("kept");
    assert_eq!(past(&ring, "kept", None, 9), "");
    assert_eq!(follows(&ring, id(11), &["kept"]), None);
    assert_eq!(follows(&ring, id(12), &["kept"]).unwrap(), "");
    ring.release("kept");
}

#[test]
fn what_a_topic_keeps_is_bounded_by_bytes_and_age() {
    let ring = ring();
    let event_bytes = {
        add(&ring, 2, "t");
        ring.state().bytes
    };
    ring.retain("kept", keep(99).max_bytes(2 * event_bytes + 10));
    for ms in 3..6 {
        add(&ring, ms, "kept");
    }
    // Three events of another topic push all earlier events out of the ring.
    (6..9).for_each(|ms| add(&ring, ms, "t"));
    assert_eq!(past(&ring, "kept", None, 9), "4 5");
    // An event larger than the topic's limit is only in the ring, and the topic's earlier events
    // are gone.
    ring.add(id(9), "kept", "", &"x".repeat(3 * event_bytes));
    assert_eq!(ring.history("kept", None, 9).events.len(), 1);
    assert_eq!(follows(&ring, id(4), &["kept"]), None);
    (10..13).for_each(|ms| add(&ring, ms, "t"));
    assert_eq!(past(&ring, "kept", None, 9), "");

    add(&ring, 13, "kept");
    (14..17).for_each(|ms| add(&ring, ms, "t"));
    assert_eq!(past(&ring, "kept", None, 9), "13");
    // The event is too old as soon as the topic is read.
    let before = std::time::Instant::now();
    while before.elapsed().is_zero() {}
    ring.retain("kept", keep(99).max_age(Duration::ZERO));
    assert_eq!(past(&ring, "kept", None, 9), "");
    assert_eq!(follows(&ring, id(13), &["kept"]).unwrap(), "");
    assert_eq!(follows(&ring, id(10), &["kept"]), None);
}

#[test]
fn what_a_topic_keeps_begins_with_what_the_ring_has() {
    let ring = ring();
    for (ms, topic) in [(2, "late"), (3, "late"), (4, "t"), (5, "late")] {
        add(&ring, ms, topic);
    }
    ring.retain("late", keep(9));
    (6..9).for_each(|ms| add(&ring, ms, "t"));
    assert_eq!(past(&ring, "late", None, 9), "3 5");
    assert_eq!(past(&ring, "late", Some(id(2)), 9), "3 5+");
    assert_eq!(follows(&ring, id(2), &["late"]).unwrap(), "3 5");
    assert_eq!(follows(&ring, id(1), &["late"]), None);
    // With lower limits, the topic keeps fewer events.
    ring.retain("late", keep(1));
    assert_eq!(past(&ring, "late", None, 9), "5");
    assert_eq!(follows(&ring, id(2), &["late"]), None);
    ring.retain("late", keep(0));
    assert_eq!(past(&ring, "late", None, 9), "");
}

#[test]
fn an_event_that_cannot_be_kept_is_lost_to_its_topic_alone() {
    let ring = ring();
    add(&ring, 2, "t");
    ring.add(id(3), "t", "", &"x".repeat(200_000));
    ring.add(id(4), "other", "two\nlines", "");
    add(&ring, 5, "other");
    assert_eq!(text(&ring.read(1, 9).events), "lost lost 5");
    assert_eq!(follows(&ring, id(2), &["t"]).unwrap(), "lost");
    assert_eq!(follows(&ring, id(3), &["t"]).unwrap(), "");
    assert_eq!(follows(&ring, id(2), &["never"]).unwrap(), "");
    let read = ring.read(1, 9);
    let told = std::str::from_utf8(&read.events[0].sse).unwrap().to_owned();
    assert_eq!(told, "event: reset\ndata: events were lost\nid: 3-0\n\n");
    // An older value is not the last one, and a history begins after the lost event.
    assert!(ring.latest("t", u64::MAX).is_none());
    assert_eq!(
        ring.latest("other", u64::MAX).map(|event| event.id),
        Some(id(5))
    );
    assert_eq!(
        (past(&ring, "t", None, 9), past(&ring, "other", None, 9)),
        ("".into(), "5".into())
    );
    // An event with a topic that is too long costs no more than others, and its id is a place.
    ring.add(id(6), &"é".repeat(1_000_000), "", "");
    assert_eq!(ring.end().1, id(6));
    assert_eq!(follows(&ring, id(6), &["t"]).unwrap(), "");
    let topic = ring.read(4, 9).events[0].topic.clone();
    assert_eq!(&*topic, "é".repeat(TOPIC_BYTES / 2 + 1));
}

#[test]
fn a_history_is_the_last_events_and_says_what_is_missing() {
    let ring = Ring::new(
        RingLimits {
            events: 5,
            ..LIMITS
        },
        id(1),
    );
    assert_eq!(past(&ring, "t", None, 9), "+");
    for (ms, topic) in [(2, "t"), (3, "other"), (4, "t"), (5, "t")] {
        add(&ring, ms, topic);
    }
    assert_eq!(past(&ring, "t", None, 9), "2 4 5+");
    assert_eq!(past(&ring, "t", None, 3), "2 4 5+");
    assert_eq!(past(&ring, "t", None, 2), "4 5");
    assert_eq!(past(&ring, "t", None, 0), "");
    assert_eq!(past(&ring, "t", Some(id(3)), 9), "4 5+");
    assert_eq!(past(&ring, "t", Some(id(3)), 1), "5");
    assert_eq!(past(&ring, "t", Some(id(5)), 0), "+");
    assert_eq!(past(&ring, "t", Some(id(1)), 9), "2 4 5+");
    // Any events may have come after an id that was never here.
    assert_eq!(past(&ring, "t", Some(id(9)), 9), "2 4 5");
    for ms in [6, 7] {
        add(&ring, ms, "other");
    }
    assert_eq!(past(&ring, "t", None, 9), "4 5");
    assert_eq!(past(&ring, "t", Some(id(2)), 9), "4 5+");
    assert_eq!(past(&ring, "t", Some(id(1)), 9), "4 5");
}
