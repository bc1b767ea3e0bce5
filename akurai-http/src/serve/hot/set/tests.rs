use super::super::heat::MISSES;
use super::super::{NAP, model};
use super::*;

fn lendable<C>(connection: C) -> Lendable<C> {
    let heat = Heat::default();
    let connection = Box::new(connection);
    Lendable { connection, heat }
}

fn set_of(places: usize, names: &[char]) -> BusySet<char> {
    let mut set = BusySet::new(places, false);
    for name in names {
        assert!(set.add(lendable(*name)).is_ok());
    }
    set
}

fn names<'s>(queue: impl IntoIterator<Item = &'s Lendable<char>>) -> String {
    queue.into_iter().map(|it| *it.connection).collect()
}

fn given(set: &BusySet<char>) -> String {
    names(set.given.iter().map(|(lendable, _)| lendable))
}

/// So many visits in turn.
fn visit(set: &mut BusySet<char>, visits: usize, is_hit: bool) -> bool {
    let mut are_to_look = false;
    for _ in 0..visits {
        let (lendable, ..) = set.next().expect("a connection is lent");
        set.put_back(lendable, is_hit);
        are_to_look |= set.judge(is_hit);
    }
    are_to_look
}

#[test]
fn connections_have_their_turns() {
    let mut set = set_of(1, &['a', 'b', 'c']);
    assert!(set.begin_sweep().is_some());
    assert!(set.begin_sweep().is_none(), "one is enough");
    let (a, others) = set.next().unwrap();
    assert_eq!((*a.connection, others), ('a', 2));
    let (b, others) = set.next().unwrap();
    assert_eq!((*b.connection, others), ('b', 1));
    set.put_back(b, true);
    set.given.push_back((a, Work::Wait));
    assert_eq!((names(&set.lent), given(&set)), ("cb".into(), "a".into()));
}

#[test]
fn a_silent_connection_gets_a_thread() {
    let mut set = set_of(1, &['a']);
    set.begin_sweep();
    visit(&mut set, usize::from(MISSES) - 1, false);
    visit(&mut set, 1, true);
    visit(&mut set, usize::from(MISSES) - 1, false);
    assert_eq!(names(&set.lent), "a");
    visit(&mut set, 1, false);
    assert_eq!((names(&set.lent), given(&set)), ("".into(), "a".into()));
}

#[test]
fn more_threads_sweep_when_there_is_work() {
    let mut set = set_of(2, &['a', 'b']);
    let first = set.begin_sweep().unwrap();
    assert!(visit(&mut set, WINDOW, true));
    let second = set.begin_sweep().unwrap();
    assert_ne!(first, second);
    assert!(set.begin_sweep().is_none());
    assert!(!visit(&mut set, WINDOW, true), "there are two places");
}

#[test]
fn all_get_threads_when_too_few_visits_find_something() {
    let mut set = set_of(1, &['a', 'b', 'c']);
    let place = set.begin_sweep().unwrap();
    visit(&mut set, WINDOW, false);
    assert!(set.next().is_none());
    set.end_sweep(place);
    assert_eq!((names(&set.lent).len(), given(&set).len()), (0, 3));
    assert_eq!(set.sweeping(), 0);
    // Nobody lends for some time.
    set.closed_until = set.closed_until.map(|until| until + LONGEST_PAUSE * 1000);
    assert!(set.add(lendable('d')).is_err());
    set.closed_until = Some(monitor::now());
    assert!(set.add(lendable('d')).is_ok());
    assert!(set.begin_sweep().is_some());
}

#[test]
fn pauses_grow_to_a_limit() {
    let mut set = set_of(1, &[]);
    let mut pauses = Vec::new();
    for _ in 0..13 {
        pauses.push(set.pause.as_millis());
        set.wanted = 1;
        (set.visits, set.hits) = (WINDOW, 0);
        assert!(!set.judge(false));
        assert_eq!(set.wanted, 0);
    }
    let doubled = (0..12).map(|times| 5 << times);
    assert_eq!(pauses, doubled.chain([10_240]).collect::<Vec<_>>());
}

#[test]
fn nobody_lends_where_a_request_takes_long() {
    let hits = WINDOW as u32 - 2;
    for (time, closes) in [(PACE * hits, false), (PACE * hits + NAP, true)] {
        model::explore(0, || {
            let run = move || {
                let mut set = set_of(2, &['a', 'b']);
                set.begin_sweep();
                model::pass_time(time);
                visit(&mut set, 2, false);
                let grows = visit(&mut set, hits as usize, true);
                assert_eq!((set.wanted == 0, grows), (closes, !closes));
                if !closes {
                    // Two threads have twice the time.
                    set.begin_sweep();
                    visit(&mut set, WINDOW - 1, true);
                    model::pass_time(PACE * (hits + 2) / 2 + NAP);
                    assert!(!visit(&mut set, 1, true));
                    assert_eq!(set.wanted, 1, "one fewer");
                }
            };
            (vec![Box::new(run)], Box::new(|_| ()))
        });
    }
}

#[test]
fn what_was_before_a_sweep_does_not_count() {
    model::explore(0, || {
        let run = || {
            let long = PACE * WINDOW as u32 * 2;
            let mut set = set_of(1, &[]);
            model::pass_time(long);
            assert!(set.add(lendable('a')).is_ok());
            set.begin_sweep();
            visit(&mut set, WINDOW, true);
            assert_eq!(set.wanted, 1);
            // A thread of the sweep is in a handler during the whole pause.
            set.next().unwrap();
            (set.visits, set.hits) = (WINDOW - 1, 0);
            set.judge(false);
            assert_eq!(set.wanted, 0);
            model::pass_time(long);
            assert!(set.add(lendable('b')).is_ok());
            visit(&mut set, WINDOW, true);
            assert_eq!(set.wanted, 1);
        };
        (vec![Box::new(run)], Box::new(|_| ()))
    });
}

#[test]
fn a_pause_is_not_cut_short_by_a_sweep_that_goes_on() {
    let mut set = set_of(2, &['a', 'b', 'c']);
    let place = set.begin_sweep().unwrap();
    let (out, ..) = set.next().unwrap();
    (set.visits, set.hits) = (WINDOW - 1, 0);
    assert!(!set.judge(false));
    (set.visits, set.hits) = (WINDOW - 1, 0);
    let until = set.closed_until;
    set.put_back(out, true);
    assert!(!set.judge(true));
    assert!(set.next().is_none());
    assert_eq!(given(&set), "bc");
    assert!(set.end_sweep(place), "it leaves nothing behind");
    assert_eq!((names(&set.lent), given(&set)), ("".into(), "bca".into()));
    assert_eq!((set.closed_until, set.wanted), (until, 0));
}

#[test]
fn a_sweep_ends_if_a_handler_keeps_it() {
    let order = Ordering::Relaxed;
    let mut set = set_of(1, &['a', 'b']);
    let place = set.begin_sweep().unwrap();
    set.next().unwrap();
    let steps = [AtomicU64::new(1)];
    set.look(&steps);
    assert_eq!(set.sweeping(), 1, "seen for the first time");
    steps[0].store(3, order);
    set.look(&steps);
    assert_eq!(set.sweeping(), 1, "it is another one");
    steps[0].store(4, order);
    set.look(&steps);
    set.look(&steps);
    assert_eq!(set.sweeping(), 1, "it is in none");
    steps[0].store(5, order);
    set.look(&steps);
    set.look(&steps);
    assert_eq!(set.sweeping(), 0);
    assert_eq!(steps[0].load(order), 8, "the thread in the handler sees it");
    assert_eq!(set.begin_sweep(), Some(place));
    // No other connection waits.
    set.next().unwrap();
    steps[0].store(9, order);
    set.look(&steps);
    set.look(&steps);
    assert_eq!(set.sweeping(), 1);
}
