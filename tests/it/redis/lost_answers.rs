//! Publishing when an answer never came: it must return the event's id as subscribers see it, or
//! fail.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use akurai_server::{Engine, EventId, Redis, RedisOptions};

use super::fake::{Answer, Fake, bulk, entry, say};
use super::publish;

/// A stream as a server holds it: its entries' ids, in milliseconds, and their fields.
#[derive(Default)]
struct Kept {
    entries: Vec<(u64, Vec<String>)>,
    last: u64,
    /// How often a client asked to add an event, whether it was added or not.
    asked: usize,
}

impl Kept {
    fn add(&mut self, fields: &[String]) -> u64 {
        self.last += 1;
        self.entries.push((self.last, fields.to_vec()));
        self.last
    }

    /// Events of other writers.
    fn others(&mut self, count: usize) {
        for n in 0..count {
            let key = format!("other-{n}");
            let fields = ["topic", "t", "data", "d", "key", &*key].map(str::to_owned);
            self.add(&fields);
        }
    }

    fn trim(&mut self, count: usize) {
        let gone = self.entries.len().saturating_sub(count);
        self.entries.drain(..gone);
    }

    fn look(&self, command: &[String]) -> Answer {
        let place = |id: &str| id.parse::<EventId>().ok();
        let [_, _, end, _, _, count] = command else {
            return say("-ERR unexpected\r\n");
        };
        let (end, count) = (place(end), count.parse().unwrap());
        let newest_first = self.entries.iter().rev();
        let page: Vec<String> = newest_first
            .filter(|(ms, _)| end.is_none_or(|end| EventId { ms: *ms, seq: 0 } <= end))
            .take(count)
            .map(|(ms, fields)| {
                let fields: Vec<&str> = fields.iter().map(|field| &**field).collect();
                entry(&format!("{ms}-0"), &fields)
            })
            .collect();
        Answer::Say(format!("*{}\r\n{}", page.len(), page.concat()))
    }
}

/// What the server does when a client asks to add an event. The number counts these requests, from
/// 0.
type Adding = dyn Fn(&mut Kept, usize, &[String]) -> Answer + Send + Sync;

/// An engine on such a stream, and the stream.
fn engine(
    max_events: usize,
    adding: impl Fn(&mut Kept, usize, &[String]) -> Answer + Send + Sync + 'static,
) -> (Redis, Arc<Mutex<Kept>>, Fake) {
    engine_of(0, max_events, adding)
}

/// The same engine; it waits for this many replicas, of which there is one.
fn engine_of(
    replicas: usize,
    max_events: usize,
    adding: impl Fn(&mut Kept, usize, &[String]) -> Answer + Send + Sync + 'static,
) -> (Redis, Arc<Mutex<Kept>>, Fake) {
    let kept = Arc::new(Mutex::new(Kept::default()));
    let those = Arc::clone(&kept);
    let adding: Box<Adding> = Box::new(adding);
    let fake = Fake::start(move |_, command| {
        let mut kept = those.lock().unwrap();
        match &*command[0] {
            "XADD" => {
                kept.asked += 1;
                let nth = kept.asked - 1;
                adding(&mut kept, nth, &command[6..])
            }
            "XREVRANGE" => kept.look(command),
            "WAIT" => say(":1\r\n"),
            _ => say("-ERR unexpected\r\n"),
        }
    });
    let options = RedisOptions::default()
        .max_events(max_events)
        .replicas(replicas);
    (Redis::new(&fake.url, options).unwrap(), kept, fake)
}

fn added(kept: &mut Kept, fields: &[String]) -> Answer {
    Answer::Say(bulk(&format!("{}-0", kept.add(fields))))
}

#[track_caller]
fn may_be_kept(engine: &Redis) {
    let (_, message) = publish(engine).0.expect_err("it cannot be known");
    assert!(message.ends_with("may be kept or not"), "{message}");
}

#[test]
fn an_event_that_is_far_back_keeps_its_id() {
    let (engine, kept, _fake) = engine(100_000, |kept, _, fields| {
        kept.add(fields);
        kept.others(1000);
        Answer::Close
    });
    kept.lock().unwrap().others(10);
    assert_eq!(publish(&engine).0.unwrap(), "11-0");
    assert_eq!(kept.lock().unwrap().asked, 1, "it is not added again");
}

#[test]
fn an_event_that_is_certainly_not_there_is_added_again() {
    // The stream still has every entry.
    let (never_full, kept, _fake) = engine(2000, |kept, nth, fields| match nth {
        0 => Answer::Close,
        _ => added(kept, fields),
    });
    kept.lock().unwrap().others(1000);
    assert_eq!(publish(&never_full).0.unwrap(), "1001-0");

    // It was trimmed, but not past the last entry that was added here.
    let (written, kept, _fake) = engine(500, |kept, nth, fields| match nth {
        1 => {
            kept.others(700);
            kept.trim(701);
            Answer::Close
        }
        _ => added(kept, fields),
    });
    kept.lock().unwrap().others(1000);
    assert_eq!(publish(&written).0.unwrap(), "1001-0");
    assert_eq!(publish(&written).0.unwrap(), "1702-0");

    // It was trimmed, but not past the last entry that was read here.
    let (read, kept, _fake) = engine(500, |kept, nth, fields| match nth {
        0 => Answer::Close,
        _ => added(kept, fields),
    });
    kept.lock().unwrap().others(1000);
    assert_eq!(read.tail(1).unwrap().end.ms, 1000);
    kept.lock().unwrap().others(300);
    kept.lock().unwrap().trim(500);
    assert_eq!(publish(&read).0.unwrap(), "1301-0");
}

#[test]
fn an_event_that_may_have_been_trimmed_is_not_added_again() {
    for (writes_before, replicas) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        let (engine, kept, _fake) = engine_of(replicas, 100, move |kept, nth, fields| {
            if nth < writes_before {
                return added(kept, fields);
            }
            kept.add(fields);
            kept.others(100);
            kept.trim(100);
            Answer::Close
        });
        // Nothing is known of the earlier entries, or they are trimmed away too.
        for _ in 0..writes_before {
            publish(&engine).0.unwrap();
        }
        may_be_kept(&engine);
        may_be_kept(&engine);
        assert_eq!(kept.lock().unwrap().asked, writes_before + 2);
    }
}

#[test]
fn a_stream_that_began_again_is_searched_to_its_beginning() {
    for is_there in [true, false] {
        let (engine, kept, _fake) = engine(1000, move |kept, nth, fields| match nth {
            1 => {
                // By a clock that is behind.
                *kept = Kept::default();
                kept.asked = 2;
                kept.others(9);
                if is_there {
                    kept.add(fields);
                }
                kept.others(9);
                Answer::Close
            }
            _ => added(kept, fields),
        });
        kept.lock().unwrap().others(500);
        assert_eq!(publish(&engine).0.unwrap(), "501-0");
        let expected = if is_there { "10-0" } else { "19-0" };
        assert_eq!(publish(&engine).0.unwrap(), expected);
    }
}

#[test]
fn an_entry_from_the_lost_connection_that_comes_late_is_the_first_of_two() {
    for replicas in [0, 1] {
        let first = Mutex::new(Vec::new());
        let (engine, kept, _fake) = engine_of(replicas, 1000, move |kept, nth, fields| {
            let mut first = first.lock().unwrap();
            if nth == 0 {
                *first = fields.to_vec();
                return Answer::Close;
            }
            // It was still on its way when the engine searched the stream.
            kept.add(&first);
            added(kept, fields)
        });
        assert_eq!(publish(&engine).0.unwrap(), "1-0");
        assert_eq!(kept.lock().unwrap().last, 2);
    }
}

#[test]
fn what_is_refused_behind_a_lost_answer_may_be_kept() {
    let (engine, _kept, _fake) = engine(1000, |_, nth, _| match nth {
        0 => Answer::Close,
        _ => say("-READONLY You can't write against a read only replica.\r\n"),
    });
    may_be_kept(&engine);
    // Without a lost answer before it, the event is not kept.
    let (_, message) = publish(&engine).0.unwrap_err();
    assert!(message.ends_with("is not kept"), "{message}");
}

#[test]
fn a_connection_that_died_while_it_was_idle_is_no_lost_answer() {
    let fake = Fake::start(|connection, _| match connection {
        0 => Answer::Last(bulk("7-0")),
        _ => say("$3\r\n8-0\r\n"),
    });
    let engine = fake.engine();
    assert_eq!(publish(&engine).0.unwrap(), "7-0");
    // The fake reports the end before the engine writes the next event, since both are on loopback.
    fake.ended.recv_timeout(akurai_tests::DEADLINE).unwrap();
    assert_eq!(publish(&engine).0.unwrap(), "8-0");
    let heard = [fake.hears(), fake.hears()];
    let heard = heard.map(|(connection, command)| (connection, command[0].clone()));
    assert_eq!(heard, [(0, "XADD".into()), (1, "XADD".into())]);
}

#[test]
fn a_search_that_takes_too_long_ends() {
    let next = Mutex::new(1_000_000);
    let fake = Fake::start(move |_, command| {
        if command[0] == "XADD" {
            return Answer::Close;
        }
        // Page follows page, and none is the last.
        thread::park_timeout(Duration::from_millis(200));
        let mut next = next.lock().unwrap();
        let page: Vec<String> = (0..256)
            .map(|_| {
                *next -= 1;
                entry(&format!("{next}-0"), &["topic", "t"])
            })
            .collect();
        Answer::Say(format!("*{}\r\n{}", page.len(), page.concat()))
    });
    let engine = fake.engine();
    may_be_kept(&engine);
    let adding = fake
        .heard
        .try_iter()
        .filter(|(_, command)| command[0] == "XADD");
    assert_eq!(adding.count(), 1);
}
