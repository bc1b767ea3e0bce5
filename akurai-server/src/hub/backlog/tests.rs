use super::super::stored_event::Draft;
use super::*;
use crate::EventId;

/// Numbers that can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// Takes bytes as a socket under a session does: a write that would block, or that says it took a
/// part, may have taken more. These bytes must come again.
#[derive(Default)]
struct Peer {
    taken: Vec<u8>,
    /// How many of the taken bytes no write has told of.
    untold: usize,
}

impl Peer {
    /// Takes up to `takes` new bytes, and tells of up to `tells` bytes.
    fn write(&mut self, bytes: &[u8], takes: usize, tells: usize) -> io::Result<usize> {
        let untold = &self.taken[self.taken.len() - self.untold..];
        let again = untold.len().min(bytes.len());
        assert!(bytes[..again] == untold[..again], "other bytes come again");
        let new = &bytes[again..];
        let new = &new[..new.len().min(takes)];
        self.taken.extend_from_slice(new);
        self.untold += new.len();
        let told = self.untold.min(tells).min(bytes.len());
        self.untold -= told;
        match told {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            told => Ok(told),
        }
    }
}

fn event(number: u64, topic: &str, len: usize) -> Arc<StoredEvent> {
    let draft = Draft::new(topic, "", &"~".repeat(len), usize::MAX).unwrap();
    let id = EventId {
        ms: number,
        seq: number,
    };
    Arc::new(draft.store(number, id, Arc::from(topic)))
}

fn check(backlog: &Backlog) {
    let lens: Vec<usize> = backlog
        .pending
        .iter()
        .map(|one| one.bytes().len())
        .collect();
    let offered: usize = lens[..backlog.offered].iter().sum();
    assert_eq!(backlog.bytes + backlog.written, lens.iter().sum());
    assert!(backlog.written == 0 || backlog.written < lens[0]);
    assert!(backlog.offered > 0 || backlog.written == 0);
    assert!(backlog.offered <= 1 || offered <= JOINED_BYTES);
    assert!(backlog.allowed_events <= backlog.pending.len() - backlog.offered);
    assert!(backlog.allowed_events > 0 || backlog.allowed_bytes == 0);
    let mut topics: Vec<&str> = Vec::new();
    for waiting in backlog.pending.iter().skip(backlog.offered) {
        match waiting {
            Pending::Event(event) if event.topic.starts_with("gauge") => {
                assert!(!topics.contains(&&*event.topic), "two values wait");
                topics.push(&event.topic);
            }
            _ => {}
        }
    }
}

/// Queues random events and writes them to such a peer. Each event arrives whole and once, in
/// order, but for values of gauges that a later value replaced.
fn run(seed: u64) {
    let random = &mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (mut backlog, mut peer, mut scratch) = (Backlog::default(), Peer::default(), Vec::new());
    let mut queued: Vec<Arc<StoredEvent>> = Vec::new();
    for number in 0..200 {
        let topic = ["gauge a", "gauge b", "gauge c", "all"][random.below(4)];
        let len = [1, 20, 300, 20_000, JOINED_BYTES][random.below(5)];
        let event = event(number, topic, len);
        match topic {
            "all" if random.below(2) == 0 => backlog.queue_own(event.sse.to_vec()),
            "all" => backlog.queue(&event),
            _ => backlog.queue_latest(&event),
        }
        queued.push(event);
        if number == 50 {
            backlog.allow();
        }
        check(&backlog);
        if random.below(3) > 0 {
            let most = [1, 100, 30_000, 1 << 20][random.below(4)];
            let flushed = backlog.flush(&mut scratch, |bytes| {
                let tells = random.below(most) * random.below(2);
                peer.write(bytes, random.below(most), tells)
            });
            assert_eq!(flushed == Flushed::All, backlog.is_empty());
            check(&backlog);
        }
    }
    let all = |bytes: &[u8]| peer.write(bytes, usize::MAX, usize::MAX);
    assert_eq!(backlog.flush(&mut scratch, all), Flushed::All);
    assert_eq!((backlog.slowness(), peer.untold), ((0, 0), 0));

    let mut rest = &peer.taken[..];
    for (n, event) in queued.iter().enumerate() {
        let topic = &event.topic;
        match rest.strip_prefix(&*event.sse) {
            Some(behind) => rest = behind,
            None => assert!(
                topic.starts_with("gauge")
                    && queued[n + 1..].iter().any(|later| later.topic == *topic),
                "event {n} is lost"
            ),
        }
    }
    assert!(rest.is_empty(), "something else came");
}

#[test]
fn what_a_blocked_write_has_taken_comes_again_as_it_was() {
    let failed: Vec<u64> = (0..60)
        .filter(|&seed| std::panic::catch_unwind(|| run(seed)).is_err())
        .collect();
    assert!(failed.is_empty(), "{} seeds: {failed:?}", failed.len());
}

#[test]
fn a_value_that_was_offered_stays_and_one_behind_it_is_replaced() {
    let (mut backlog, mut peer, mut scratch) = (Backlog::default(), Peer::default(), Vec::new());
    let events: Vec<_> = (0..6)
        .map(|n| event(n, ["a", "b"][n as usize % 2], 10))
        .collect();
    backlog.queue_latest(&events[0]);
    backlog.queue_latest(&events[1]);
    // It takes both, and says neither.
    let mut flush = |backlog: &mut Backlog, takes, tells| {
        backlog.flush(&mut scratch, |bytes| peer.write(bytes, takes, tells))
    };
    assert_eq!(flush(&mut backlog, 1000, 0), Flushed::Stalled);
    assert_eq!(backlog.slowness(), (0, 0));
    for event in &events[2..] {
        backlog.queue_latest(event);
        assert_eq!(flush(&mut backlog, 1000, 0), Flushed::Stalled);
    }
    let len = events[0].sse.len();
    assert_eq!(backlog.slowness(), (2, 2 * len));
    assert_eq!(flush(&mut backlog, 1000, 1000), Flushed::All);
    let expected = [0, 1, 4, 5].map(|n: usize| &*events[n].sse).concat();
    assert!(peer.taken == expected);
}

#[test]
fn a_large_event_is_not_copied() {
    let (mut backlog, mut peer, mut scratch) = (Backlog::default(), Peer::default(), Vec::new());
    let lens = [
        10,
        20_000_000,
        10,
        30,
        JOINED_BYTES,
        1,
        3 * JOINED_BYTES / 4,
        JOINED_BYTES - 1,
    ];
    for len in lens {
        backlog.queue_own(vec![b'~'; len]);
    }
    let mut writes = 0;
    let flushed = backlog.flush(&mut scratch, |bytes| {
        writes += 1;
        peer.write(bytes, 1 << 20, 1 << 20)
    });
    assert_eq!(flushed, Flushed::All);
    assert_eq!(peer.taken.len(), lens.iter().sum());
    // The short ones go out together where they fit.
    assert_eq!(writes, 1 + 20 + 1 + 1 + 1 + 1);
    assert_eq!(scratch.capacity(), JOINED_BYTES);
}

#[test]
fn a_greeting_is_no_slowness() {
    let (mut backlog, mut scratch) = (Backlog::default(), Vec::new());
    for number in 0..5 {
        backlog.queue(&event(number, "a", JOINED_BYTES));
    }
    backlog.allow();
    let blocked = |_: &[u8]| Err(io::ErrorKind::WouldBlock.into());
    assert_eq!(backlog.flush(&mut scratch, blocked), Flushed::Stalled);
    assert_eq!(backlog.slowness(), (0, 0));
    let late = event(5, "a", 10);
    backlog.queue(&late);
    backlog.queue(&late);
    assert_eq!(backlog.slowness(), (2, 2 * late.sse.len()));
    assert_eq!(
        backlog.flush(&mut scratch, |bytes| Ok(bytes.len())),
        Flushed::All
    );
    backlog.queue(&late);
    backlog.queue(&late);
    assert_eq!(backlog.flush(&mut scratch, blocked), Flushed::Stalled);
    backlog.queue(&late);
    assert_eq!(backlog.slowness(), (1, late.sse.len()));
}

/// A subscriber that never catches up, since one event comes for each that it takes.
#[test]
fn a_steady_stream_does_not_take_the_place_of_the_greeting() {
    const GREETING: usize = 20;
    let (mut backlog, mut scratch) = (Backlog::default(), Vec::new());
    let large = event(0, "a", JOINED_BYTES);
    let len = large.sse.len();
    (0..GREETING).for_each(|_| backlog.queue(&large));
    backlog.allow();
    for taken in 0..2 * GREETING {
        let mut room = usize::from(taken > 0);
        let flushed = backlog.flush(&mut scratch, |bytes| match room {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => {
                room -= 1;
                Ok(bytes.len())
            }
        });
        assert_eq!(flushed, Flushed::Stalled);
        // One is offered; what is left of the greeting waits behind it.
        let slow = taken.min(GREETING - 1);
        assert_eq!(backlog.slowness(), (slow, slow * len), "after {taken}");
        backlog.queue(&large);
        check(&backlog);
    }
}
