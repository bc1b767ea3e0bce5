//! One thread that gives events to WebSocket subscribers.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use akurai_ws::Sender;

use super::core::Core;
use super::ring::{Run, Stored};

/// Events taken from the ring at a time.
const BATCH: usize = 256;

/// The close code of a subscriber that missed events, and should come back (RFC 6455 §7.4, IANA: "Try Again Later").
const TRY_AGAIN_LATER: u16 = 1013;

/// The relay as others see it.
#[derive(Debug, Default)]
pub(crate) struct Door {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct State {
    changes: Vec<Change>,
    /// How many members there are, counted by those who come and go.
    members: usize,
    next_id: u64,
    rung: bool,
    over: bool,
}

#[derive(Debug)]
enum Change {
    Join(Member),
    Leave(Arc<str>, u64),
}

#[derive(Debug)]
struct Member {
    topic: Arc<str>,
    id: u64,
    sender: Sender,
    /// The number of the first event that was published after it joined.
    from: u64,
}

impl Door {
    /// Lets somebody in, for the events from this number on, and returns the number under which it leaves.
    pub(crate) fn join(&self, topic: Arc<str>, sender: Sender, from: u64) -> u64 {
        self.ring(|state| {
            let id = state.next_id;
            state.next_id += 1;
            state.members += 1;
            state.changes.push(Change::Join(Member {
                topic,
                id,
                sender,
                from,
            }));
            id
        })
    }

    pub(crate) fn leave(&self, topic: Arc<str>, id: u64) {
        self.ring(|state| {
            state.members -= 1;
            state.changes.push(Change::Leave(topic, id));
        });
    }

    /// Says that there are new events; nobody is woken where nobody listens.
    pub(crate) fn wake(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.members > 0 {
            state.rung = true;
            self.bell.notify_one();
        }
    }

    /// Ends the relay.
    pub(crate) fn end(&self) {
        self.ring(|state| state.over = true);
    }

    fn ring<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut state);
        state.rung = true;
        self.bell.notify_one();
        result
    }

    /// Waits until the bell rings. `None` if the relay is over.
    fn wait(&self) -> Option<Vec<Change>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.rung {
            state = self
                .bell
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.rung = false;
        (!state.over).then(|| std::mem::take(&mut state.changes))
    }
}

/// The thread's life.
pub(crate) fn relay(core: &Core, door: &Door) {
    let mut members: HashMap<Arc<str>, Vec<Member>> = HashMap::new();
    let mut next = core.ring.end().0;
    while let Some(changes) = door.wait() {
        for change in changes {
            match change {
                Change::Join(member) => {
                    if members.is_empty() {
                        // Nobody was here to hear what came before.
                        next = member.from;
                    }
                    catch_up(core, &member, next);
                    members
                        .entry(Arc::clone(&member.topic))
                        .or_default()
                        .push(member);
                }
                Change::Leave(topic, id) => {
                    if let Some(of_topic) = members.get_mut(&topic) {
                        of_topic.retain(|member| member.id != id);
                        if of_topic.is_empty() {
                            members.remove(&topic);
                        }
                    }
                    core.left(&[topic]);
                }
            }
        }
        deliver(core, &members, &mut next);
    }
}

/// Gives a new member what was published after it joined and has been given to the others already.
fn catch_up(core: &Core, member: &Member, next: u64) {
    let Some(missed) = next.checked_sub(member.from).filter(|&missed| missed > 0) else {
        return;
    };
    let Run {
        first,
        events,
        lost,
    } = core
        .ring
        .from(member.from, usize::try_from(missed).unwrap_or(usize::MAX));
    if lost.is_some() && first <= next {
        let _ = member.sender.close(TRY_AGAIN_LATER, "events were lost");
        return;
    }
    for (_, event) in (first..next).zip(&events) {
        if event.topic == member.topic {
            give(core, member, event);
        }
    }
}

fn deliver(core: &Core, members: &HashMap<Arc<str>, Vec<Member>>, next: &mut u64) {
    loop {
        let Run {
            first,
            events,
            lost,
        } = core.ring.from(*next, BATCH);
        if lost.is_some() {
            // A WebSocket subscriber has no cursor to come back with, but it can be told to load its state anew.
            let those = members.values().flatten();
            for member in those.filter(|member| member.from < first) {
                let _ = member.sender.close(TRY_AGAIN_LATER, "events were lost");
            }
        }
        for (number, event) in (first..).zip(&events) {
            let of_topic = members.get(&event.topic).into_iter().flatten();
            for member in of_topic.filter(|member| member.from <= number) {
                give(core, member, event);
            }
        }
        *next = first + events.len() as u64;
        if events.len() < BATCH {
            // For what comes later, the bell rings.
            return;
        }
    }
}

fn give(core: &Core, member: &Member, event: &Stored) {
    // Who is gone or too slow leaves when its own thread notices.
    if member.sender.post(event.message()).is_ok() {
        core.count_deliveries(1);
    }
}
