//! The end of a stream, for clients that come from a node which has read more.

use akurai_server::{Engine, EventId};
use akurai_tests::DEADLINE;

use super::fake::{Answer, Fake, Stream, bulk, entry, say};

#[test]
fn the_end_is_told_without_a_step() {
    let fields: [&str; 4] = ["topic", "a", "data", "x"];
    let stream = Stream::with(&[("5-0", &fields), ("6-0", &fields), ("7-0", &fields)]);
    let engine = stream.fake.engine();
    let id = |ms| EventId { ms, seq: 0 };
    let mut after = EventId::default();
    for ms in 5..=7 {
        assert_eq!(engine.end().unwrap(), id(7));
        let batch = engine.next(after, DEADLINE, 9).unwrap();
        assert_eq!((batch.gap, batch.end), (false, id(ms)));
        after = batch.end;
    }
    // The end of no stream is the beginning.
    let none = Fake::start(|_, _| say("*0\r\n")).engine();
    assert_eq!(none.end().unwrap(), EventId::default());
}

#[test]
fn entries_that_are_too_long_together_are_read_one_by_one() {
    // An empty answer would mean that there are no entries.
    let fake = Fake::start(|_, command| match &*command[0] {
        "XREAD" => {
            let data = match &*command[2] {
                "1" => "short".to_owned(),
                _ => "x".repeat(65 << 20),
            };
            let entry = entry("5-0", &["topic", "a", "data", &data]);
            Answer::Say(format!("*1\r\n*2\r\n{}*1\r\n{entry}", bulk("akurai")))
        }
        _ => say(":1\r\n"),
    });
    let next = fake.engine().next(EventId::default(), DEADLINE, 256);
    let events = next.unwrap().events;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].data, "short");
}
