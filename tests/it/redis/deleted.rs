//! Entries that an operator deletes by their id, and other ways in which an entry disappears.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use akurai_server::Hub;
use akurai_tests::TestServer;

use super::fake::{Kept, Stream};
use crate::hub::{Reader, quick, serve, subscribe};

/// A hub that has read events of these ids, with the number as data, and a client that has them
/// too.
struct Scene {
    stream: Stream,
    server: TestServer,
    reader: Reader,
}

type Change = fn(&mut Kept);

const EVENTS: [(&str, &str, &str); 3] = [
    ("5-0", "5", "w-1"),
    ("6-0", "6", "w-2"),
    ("7-0", "7", "w-3"),
];

fn scene(version: usize, events: &[(&'static str, &'static str, &'static str)]) -> Scene {
    let stream = Stream::start();
    stream.version.store(version, Ordering::SeqCst);
    let options = quick().spread(Duration::ZERO);
    let hub = Hub::with_engine(options, stream.fake.engine()).unwrap();
    let server = serve(&hub);
    let mut reader = subscribe(&server, "a", None);
    reader.read_cursor();
    for (id, data, key) in events {
        stream.event(id, data, key);
    }
    reader.read(events.len());
    Scene {
        stream,
        server,
        reader,
    }
}

impl Scene {
    /// Waits until the reader has looked once more and has nothing left to do.
    fn looks(&self) {
        while self.stream.fake.heard.try_recv().is_ok() {}
        for _ in 0..2 {
            while self.stream.fake.hears().1[0] != "XREAD" {}
        }
    }

    /// Asserts which events the client gets after those that it has.
    #[track_caller]
    fn gets(&mut self, expected: &[&str]) {
        let had = self.reader.stream.dispatched.len();
        let data = self.reader.read(had + expected.len());
        assert_eq!(data[had..], *expected);
    }
}

#[test]
fn the_newest_entry_that_is_deleted_is_no_loss() {
    // Even the server that knows least says enough, since nothing has come after it yet.
    for version in [7, 5] {
        let mut scene = scene(version, &EVENTS);
        scene.stream.change(|kept| kept.delete("7-0"));
        scene.looks();
        scene.stream.event("8-0", "8", "w-4");
        scene.gets(&["8"]);
        // The same holds for the entry that the reader looks for instead.
        scene.stream.change(|kept| kept.delete("8-0"));
        scene.looks();
        scene.stream.change(|kept| kept.delete("6-0"));
        scene.looks();
        // A connected client has all events, and so has a client that saw the last one before it
        // was deleted.
        let mut back = subscribe(&scene.server, "a", Some("8-0"));
        scene.stream.event("9-0", "9", "w-5");
        scene.gets(&["9"]);
        assert_eq!(back.read(1), ["9"]);
    }
}

#[test]
fn all_entries_that_are_deleted_are_no_loss() {
    for version in [7, 5] {
        let mut scene = scene(version, &EVENTS);
        for id in [
            (|kept| kept.delete("5-0")) as Change,
            |kept| kept.delete("7-0"),
            |kept| kept.delete("6-0"),
        ] {
            scene.stream.change(id);
        }
        scene.looks();
        scene.stream.event("8-0", "8", "w-4");
        scene.gets(&["8"]);
        // The stream is trimmed to nothing, after the hub has read all of it.
        scene.stream.change(|kept| kept.trim(1));
        scene.looks();
        scene.stream.event("9-0", "9", "w-5");
        scene.gets(&["9"]);
    }
}

#[test]
fn an_entry_that_is_deleted_while_the_next_comes() {
    // After a new event the old server does not say whether the entry alone was deleted. A new
    // server does not either, if no older entry is left.
    let lost = &["events were lost", "8-0"][..];
    for (version, events, expected) in [
        (7, &EVENTS[..], &["8-0"][..]),
        (7, &EVENTS[2..], lost),
        (5, &EVENTS, lost),
    ] {
        let mut scene = scene(version, events);
        scene.stream.change(|kept| {
            kept.publish("8-0");
            kept.delete("7-0");
        });
        scene.gets(expected);
        scene.looks();
        scene.stream.event("9-0", "9", "w-5");
        scene.gets(&["9"]);
    }
}

#[test]
fn a_server_that_does_not_say_is_told_as_a_loss_once() {
    let mut scene = scene(0, &EVENTS);
    scene.stream.change(|kept| kept.delete("7-0"));
    scene.gets(&["events were lost"]);
    scene.looks();
    scene.stream.event("8-0", "8", "w-4");
    scene.gets(&["8"]);
}

#[test]
fn a_replica_that_never_had_the_deleted_entry_is_told() {
    // Its first event is before the cursor and its second after it.
    let mut scene = scene(7, &EVENTS);
    scene.stream.change(|kept| kept.delete("7-0"));
    scene.looks();
    scene.stream.change(|kept| {
        kept.restore("6-0");
        kept.publish("6-1");
        kept.publish("7-1");
    });
    scene.gets(&["events were lost", "7-1"]);
    scene.looks();
    scene.stream.event("8-0", "8", "w-4");
    scene.gets(&["8"]);
}

#[test]
fn what_is_no_deletion_is_told_once() {
    const CHANGES: [(&str, Change); 6] = [
        ("restored", |kept| kept.restore("5-0")),
        (
            "a replica that never had the newest, by a clock that is behind",
            |kept| {
                kept.restore("6-0");
                kept.publish("6-1");
            },
        ),
        ("emptied", |kept| *kept = Kept::default()),
        ("another server", |kept| {
            *kept = Kept::default();
            kept.publish("6-1");
        }),
        ("another server, where one is deleted", |kept| {
            *kept = Kept::default();
            kept.publish("6-1");
            kept.publish("6-2");
            kept.delete("6-2");
        }),
        ("trimmed past the reader", |kept| {
            kept.publish("7-1");
            kept.trim(4);
        }),
    ];
    const DELETIONS: [Change; 3] = [
        |_| {},
        |kept| kept.delete("7-0"),
        |kept| {
            ["5-0", "6-0", "7-0"]
                .map(|id| kept.delete(id))
                .into_iter()
                .collect()
        },
    ];
    let check = |name: &'static str, change| {
        for deletion in DELETIONS {
            for version in [7, 5] {
                let mut scene = scene(version, &EVENTS);
                scene.stream.change(deletion);
                scene.looks();
                scene.stream.change(change);
                scene.gets(&["events were lost"]);
                scene.looks();
                scene.stream.event("8-0", name, "w-4");
                scene.gets(&[name]);
            }
        }
    };
    thread::scope(|scope| {
        for (name, change) in CHANGES {
            scope.spawn(move || check(name, change));
        }
    });
}
