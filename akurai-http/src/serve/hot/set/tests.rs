use super::*;

fn set_of(places: usize, names: &[char]) -> BusySet<char> {
    let mut set = BusySet::new(places, false, false);
    for name in names {
        assert!(set.add(Lendable::new(Box::new(*name))).is_ok());
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
        match is_hit {
            true => set.put_back(lendable),
            false => set.missed(lendable),
        }
        are_to_look |= set.judge(is_hit);
    }
    are_to_look
}

#[test]
fn connections_have_their_turns() {
    let mut set = set_of(1, &['a', 'b', 'c']);
    assert!(set.begin_sweep().is_some());
    assert!(set.begin_sweep().is_none(), "one is enough");
    let (a, first, others) = set.next().unwrap();
    assert_eq!((*a.connection, others), ('a', 2));
    let (b, second, others) = set.next().unwrap();
    assert_eq!((*b.connection, others), ('b', 1));
    assert!(second > first);
    set.put_back(b);
    set.give(a, Work::Wait);
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
    assert_ne!(first.0, second.0);
    assert!(set.begin_sweep().is_none());
    assert!(!visit(&mut set, WINDOW, true), "there are two places");
}

#[test]
fn all_get_threads_when_too_few_visits_find_something() {
    let mut set = set_of(1, &['a', 'b', 'c']);
    let (place, number) = set.begin_sweep().unwrap();
    visit(&mut set, WINDOW, false);
    assert!(set.next().is_none());
    set.end_sweep(place, number);
    assert_eq!((names(&set.lent).len(), given(&set).len()), (0, 3));
    assert!(!set.is_swept());
    // Nobody lends for some time.
    set.closed_until = set.closed_until.map(|until| until + LONGEST_PAUSE * 1000);
    assert!(set.add(Lendable::new(Box::new('d'))).is_err());
    set.closed_until = Some(monitor::now());
    assert!(set.add(Lendable::new(Box::new('d'))).is_ok());
    assert!(set.begin_sweep().is_some());
}

#[test]
fn pauses_grow_to_a_limit() {
    let mut set = set_of(1, &[]);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        pauses.push(set.pause.as_millis());
        set.wanted = 1;
        (set.visits, set.hits) = (WINDOW, 0);
        assert!(set.judge(false));
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 640]);
}

#[test]
fn nobody_lends_where_handlers_take_most_of_the_time() {
    for (outside, closes) in [(LOOKS_OUTSIDE, true), (LOOKS_OUTSIDE + 1, false)] {
        let mut set = set_of(1, &['a', 'b']);
        set.begin_sweep();
        let closed = (1..=LOOKS).any(|look| {
            let (lendable, visit, _) = set.next().unwrap();
            let handler = if look <= outside { 0 } else { visit };
            let closed = set.look(&[AtomicU64::new(handler)]);
            set.put_back(lendable);
            closed
        });
        assert_eq!((closed, set.wanted == 0), (closes, closes));
    }
}

#[test]
fn a_pause_is_not_cut_short_by_a_sweep_that_goes_on() {
    let mut set = set_of(2, &['a', 'b', 'c']);
    let (place, number) = set.begin_sweep().unwrap();
    let (out, ..) = set.next().unwrap();
    (set.visits, set.hits) = (WINDOW - 1, WINDOW - 1);
    set.close(HANDLERS_PAUSE);
    let until = set.closed_until;
    set.put_back(out);
    assert!(!set.judge(true));
    assert!(set.next().is_none());
    assert_eq!(given(&set), "bc");
    assert!(set.end_sweep(place, number), "it leaves nothing behind");
    assert_eq!((names(&set.lent), given(&set)), ("".into(), "bca".into()));
    set.close(LONGEST_PAUSE);
    assert_eq!((set.closed_until, set.wanted), (until, 0));
}

#[test]
fn nobody_lends_beside_handlers_that_compute() {
    let mut set = set_of(1, &['a', 'b']);
    set.begin_sweep();
    for _ in 1..STARVED_VISITS {
        assert!(!set.starves());
    }
    visit(&mut set, WINDOW, true);
    assert!(!set.starves(), "a window takes one away");
    assert!(set.starves());
    assert_eq!((set.wanted, given(&set).len()), (0, 2));
}

#[test]
fn nobody_lends_where_more_cores_have_work_than_threads_may_sweep() {
    let mut set = BusySet::new(1, true, false);
    for name in ['a', 'b', 'c'] {
        assert!(set.add(Lendable::new(Box::new(name))).is_ok());
    }
    set.begin_sweep();
    assert!(visit(&mut set, WINDOW, true));
    assert_eq!((set.wanted, given(&set).len()), (0, 3));
}

#[test]
fn a_sweep_ends_if_a_handler_keeps_it() {
    let order = Ordering::Relaxed;
    let mut set = set_of(1, &['a', 'b']);
    let (place, number) = set.begin_sweep().unwrap();
    let (_, visit, _) = set.next().unwrap();
    let handlers = [AtomicU64::new(visit)];
    set.look(&handlers);
    assert!(set.has_sweep(place, number), "seen for the first time");
    handlers[0].store(visit + 1, order);
    set.look(&handlers);
    assert!(set.has_sweep(place, number), "it is another one");
    handlers[0].store(0, order);
    set.look(&handlers);
    set.look(&handlers);
    assert!(set.has_sweep(place, number), "it is in none");
    handlers[0].store(visit, order);
    set.look(&handlers);
    set.look(&handlers);
    assert!(!set.has_sweep(place, number));
    assert_eq!(handlers[0].load(order), 0, "the place is free");
    let (next_place, next_number) = set.begin_sweep().unwrap();
    assert_eq!(next_place, place);
    assert!(next_number > visit);
    // No other connection waits.
    set.next().unwrap();
    handlers[0].store(next_number + 1, order);
    set.look(&handlers);
    set.look(&handlers);
    assert!(set.has_sweep(next_place, next_number));
}
