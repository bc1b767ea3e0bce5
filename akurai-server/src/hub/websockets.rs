//! One thread that gives events to WebSocket subscribers.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use akurai_ws::{Error, Prepared, Sender};

use super::mailbox::Bell;
use super::ring::BATCH;
use super::shared::Core;
use super::stored_event::Stored;

/// The close code of a subscriber that missed events, and should come back (RFC 6455 §7.4, IANA: "Try Again Later").
const TRY_AGAIN_LATER: u16 = 1013;

/// The close code of a subscriber whose topic can have no events (RFC 6455 §7.4.1).
const POLICY_VIOLATION: u16 = 1008;

/// A post that takes so long has waited for its peer; a write that does not wait takes some microseconds.
const STALL: Duration = Duration::from_millis(4);

/// Threads among which the rest of a pass is shared then.
const HELPERS: usize = 16;

/// The relay as others see it.
#[derive(Debug, Default)]
pub(crate) struct Door {
    bell: Bell<Change>,
    /// How many members there are, counted by those who come and go.
    members: AtomicUsize,
    next_id: AtomicU64,
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
    /// Messages wait to be written to it.
    is_due: AtomicBool,
    /// It was told that events were lost to it.
    is_told: AtomicBool,
}

impl Door {
    /// Lets somebody in, for the events from this number on, and returns the number under which it leaves.
    pub(crate) fn join(&self, topic: Arc<str>, sender: Sender, from: u64) -> u64 {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        // Whoever publishes and does not see this yet does so before the relay hears of it, which then finds the event.
        self.members.fetch_add(1, Ordering::Relaxed);
        self.bell.leave(Change::Join(Member {
            topic,
            id,
            sender,
            from,
            is_due: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
        }));
        id
    }

    pub(crate) fn leave(&self, topic: Arc<str>, id: u64) {
        self.members.fetch_sub(1, Ordering::Relaxed);
        self.bell.leave(Change::Leave(topic, id));
    }

    /// Says that there is a new event; nobody is woken where nobody listens.
    pub(crate) fn ring(&self) {
        if self.members.load(Ordering::Relaxed) > 0 {
            self.bell.ring();
        }
    }

    pub(crate) fn members(&self) -> usize {
        self.members.load(Ordering::Relaxed)
    }

    /// Ends the relay.
    pub(crate) fn end(&self) {
        self.bell.end();
    }
}

/// A WebSocket's subscription to a topic, which ends when this is dropped; see
/// [`Hub::join`](crate::Hub::join).
#[must_use = "the subscription ends when this is dropped"]
pub struct Membership {
    door: Arc<Door>,
    topic: Arc<str>,
    /// `None` if its topic is too long to have events.
    id: Option<u64>,
}

impl Membership {
    /// Of somebody who gets the events from this number on.
    pub(crate) fn new(door: &Arc<Door>, topic: Arc<str>, sender: Sender, from: u64) -> Membership {
        Membership {
            id: Some(door.join(Arc::clone(&topic), sender, from)),
            door: Arc::clone(door),
            topic,
        }
    }

    /// Of nobody, since the topic can have no events.
    pub(crate) fn refused(door: &Arc<Door>, sender: &Sender) -> Membership {
        // Where this fails the connection has ended already.
        let _ = sender.post_close(POLICY_VIOLATION, "topic is too long");
        Membership {
            door: Arc::clone(door),
            topic: Arc::from(""),
            id: None,
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.door.leave(Arc::clone(&self.topic), id);
        }
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// The thread's life.
pub(crate) fn relay(core: &Core, door: &Door) {
    let mut members: HashMap<Arc<str>, Vec<Member>> = HashMap::new();
    let mut next = core.ring.end().0;
    while let Some(changes) = door.bell.wait(None) {
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
        let begun = Instant::now();
        deliver(core, &members, &mut next);
        door.bell.rest(begun.elapsed());
    }
}

/// Gives a new member what was published after it joined and has been given to the others already.
fn catch_up(core: &Core, member: &Member, next: u64) {
    let mut from = member.from;
    while from < next {
        let run = core.ring.from(from, BATCH);
        let missed = run.events.iter().filter(|event| event.number < next);
        for event in missed.filter(|event| event.topic == member.topic) {
            give(core, member, message(event).as_ref(), Sender::post_later);
        }
        let lost = run.lost.as_ref();
        if lost.is_some_and(|lost| lost.concerns(&member.topic, from)) {
            return tell_of_loss(core, member);
        }
        from = run.next;
    }
    if next > member.from {
        let _ = member.sender.post_now();
    }
}

fn deliver(core: &Core, members: &HashMap<Arc<str>, Vec<Member>>, next: &mut u64) {
    let mut due: Vec<&Member> = Vec::new();
    // For what is published meanwhile, the bell rings.
    let (end, _) = core.ring.end();
    while *next < end {
        let run = core.ring.from(*next, BATCH);
        let is_alone = run.events.len() == 1;
        // The message of the last event that has members.
        let mut shared = None;
        for event in &run.events {
            let Some(of_topic) = members.get(&event.topic) else {
                continue;
            };
            shared = message(event);
            for member in of_topic.iter().filter(|member| member.from <= event.number) {
                if !is_alone {
                    give(core, member, shared.as_ref(), Sender::post_later);
                }
                if !member.is_due.swap(true, Ordering::Relaxed) {
                    due.push(member);
                }
            }
        }
        each(&due, |member| {
            member.is_due.store(false, Ordering::Relaxed);
            match is_alone {
                // Straight from where it is shared.
                true => give(core, member, shared.as_ref(), Sender::post),
                // Where this fails the connection ends, and its own thread notices.
                false => drop(member.sender.post_now()),
            }
        });
        due.clear();
        if let Some(lost) = &run.lost {
            let those = members.values().flatten();
            those
                .filter(|member| lost.concerns(&member.topic, member.from.max(*next)))
                .for_each(|member| tell_of_loss(core, member));
        }
        *next = run.next;
    }
}

/// Writes to each of them. A peer that takes nothing costs a post's patience before the rest is
/// left to another thread, and one whose own thread is writing up to 50 ms; when there is one there
/// may be many, so those behind it are shared among some threads for this time.
fn each(members: &[&Member], write: impl Fn(&Member) + Sync) {
    for (at, member) in members.iter().enumerate() {
        let begun = Instant::now();
        write(member);
        let rest = &members[at + 1..];
        if begun.elapsed() >= STALL && !rest.is_empty() {
            let write = &write;
            thread::scope(|scope| {
                for part in rest.chunks(rest.len().div_ceil(HELPERS)) {
                    let work = move || part.iter().for_each(|member| write(member));
                    let builder = thread::Builder::new().name("akurai-hub".to_owned());
                    if builder.spawn_scoped(scope, work).is_err() {
                        work();
                    }
                }
            });
            return;
        }
    }
}

/// An event's data as a message, which all its members share; `None` if the event is lost.
fn message(event: &Stored) -> Option<Prepared> {
    event.data.as_deref().map(Prepared::text)
}

/// Gives an event to a member at once, or for later, to be written together with what else there is for it.
fn give(
    core: &Core,
    member: &Member,
    message: Option<&Prepared>,
    post: impl FnOnce(&Sender, &Prepared) -> Result<(), Error>,
) {
    let Some(message) = message else {
        return tell_of_loss(core, member);
    };
    match post(&member.sender, message) {
        Ok(()) => core.counts.deliveries.add(1),
        // Refused, which by itself closes nothing where the peer is not to blame or the options say so. But what comes next would
        // stand where this is missing. A message that is being streamed is cut off, since nobody knows when it ends.
        Err(Error::Slow) => tell_of_loss(core, member),
        // Who is gone leaves when its own thread notices.
        Err(_) => {}
    }
}

/// Closes a member who missed something: it has no cursor to come back with, but it can load its state anew.
fn tell_of_loss(core: &Core, member: &Member) {
    if !member.is_told.swap(true, Ordering::Relaxed) {
        core.counts.resets.add(1);
    }
    let _ = member
        .sender
        .post_close(TRY_AGAIN_LATER, "events were lost");
}
