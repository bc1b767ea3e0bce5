//! One thread that delivers events to WebSocket subscribers.

use std::collections::HashMap;
use std::fmt;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use akurai_ws::{Error, Prepared, Sender};

use super::mailbox::Mailbox;
use super::ring::BATCH;
use super::shared::Shared;
use super::stored_event::StoredEvent;

/// The close code for a subscriber that missed events, and should come back (RFC 6455 §7.4, IANA:
/// "Try Again Later").
const TRY_AGAIN_LATER: u16 = 1013;

/// The close code for a subscriber whose topic can have no events (RFC 6455 §7.4.1).
const POLICY_VIOLATION: u16 = 1008;

/// A post that takes this long has waited for its peer. A write that does not wait takes a few
/// microseconds.
const STALL: Duration = Duration::from_millis(4);

/// The number of threads that then share the rest of a pass.
const HELPERS: usize = 16;

/// Messages of other threads for the thread that delivers to WebSockets.
#[derive(Debug, Default)]
pub(crate) struct MemberMailbox {
    mailbox: Mailbox<MemberChange>,
    /// The number of members. The joining and leaving threads count it.
    members: AtomicUsize,
    next_id: AtomicU64,
}

#[derive(Debug)]
enum MemberChange {
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
    /// Whether it was told that it lost events.
    is_told: AtomicBool,
}

impl MemberMailbox {
    /// Adds a member for the events from this number on, and returns the member's id for `leave`.
    pub(crate) fn join(&self, topic: Arc<str>, sender: Sender, from: u64) -> u64 {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        // A publisher that does not see this yet has put its event into the ring before the thread
        // learns of the member. The thread finds the event there.
        self.members.fetch_add(1, Ordering::Relaxed);
        self.mailbox.put(MemberChange::Join(Member {
            topic,
            id,
            sender,
            from,
            is_told: AtomicBool::new(false),
        }));
        id
    }

    pub(crate) fn leave(&self, topic: Arc<str>, id: u64) {
        self.members.fetch_sub(1, Ordering::Relaxed);
        self.mailbox.put(MemberChange::Leave(topic, id));
    }

    /// Signals a new event; does not wake the thread if there are no members.
    pub(crate) fn signal(&self) {
        if self.members.load(Ordering::Relaxed) > 0 {
            self.mailbox.signal();
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.members.load(Ordering::Relaxed)
    }

    /// Ends the thread.
    pub(crate) fn end(&self) {
        self.mailbox.end();
    }
}

/// A WebSocket's subscription to a topic, which ends when this is dropped; see
/// [`Hub::join`](crate::Hub::join).
#[must_use = "the subscription ends when this is dropped: keep it with `let _member =`, since \
              `let _ =` drops it at once"]
pub struct Membership {
    mailbox: Arc<MemberMailbox>,
    topic: Arc<str>,
    /// `None` if its topic is too long to have events.
    id: Option<u64>,
}

impl Membership {
    /// The membership of a sender that gets the events from this number on.
    pub(crate) fn new(
        mailbox: &Arc<MemberMailbox>,
        topic: Arc<str>,
        sender: Sender,
        from: u64,
    ) -> Membership {
        Membership {
            id: Some(mailbox.join(Arc::clone(&topic), sender, from)),
            mailbox: Arc::clone(mailbox),
            topic,
        }
    }

    /// A membership that gets nothing, because the topic can have no events.
    pub(crate) fn refused(mailbox: &Arc<MemberMailbox>, sender: &Sender) -> Membership {
        // If this fails, the connection has ended already.
        let _ = sender.close(POLICY_VIOLATION, "topic is too long");
        Membership {
            mailbox: Arc::clone(mailbox),
            topic: Arc::from(""),
            id: None,
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.mailbox.leave(Arc::clone(&self.topic), id);
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

/// Runs until the mailbox ends.
pub(crate) fn run(shared: &Shared, mailbox: &MemberMailbox) {
    let mut members: HashMap<Arc<str>, Vec<Member>> = HashMap::new();
    let mut next = shared.ring.end().0;
    while let Some(changes) = mailbox.mailbox.wait(None) {
        for change in changes {
            match change {
                MemberChange::Join(member) => {
                    if members.is_empty() {
                        // No member was here to get earlier events.
                        next = member.from;
                    }
                    catch_up(shared, &member, next);
                    members
                        .entry(Arc::clone(&member.topic))
                        .or_default()
                        .push(member);
                }
                MemberChange::Leave(topic, id) => {
                    if let Some(of_topic) = members.get_mut(&topic) {
                        of_topic.retain(|member| member.id != id);
                        if of_topic.is_empty() {
                            members.remove(&topic);
                        }
                    }
                    shared.topics.left(&[topic]);
                }
            }
        }
        let begun = Instant::now();
        deliver(shared, &members, &mut next);
        mailbox.mailbox.rest(begun.elapsed());
    }
}

/// Gives a new member the events that were published after it joined, and that the others already
/// have.
fn catch_up(shared: &Shared, member: &Member, next: u64) {
    let mut from = member.from;
    while from < next {
        let read = shared.ring.read(from, BATCH);
        let lost = read.lost.as_ref();
        if lost.is_some_and(|lost| lost.concerns(&member.topic, from)) {
            return tell_of_loss(shared, member);
        }
        let missed = read.events.iter().filter(|event| event.number < next);
        let missed = missed.filter(|event| event.topic == member.topic);
        let messages: Vec<_> = missed.map(|event| message(event)).collect();
        give(shared, member, messages.iter().map(Option::as_ref));
        from = read.next;
    }
}

fn deliver(shared: &Shared, members: &HashMap<Arc<str>, Vec<Member>>, next: &mut u64) {
    // An event published meanwhile sends its own signal.
    let (end, _) = shared.ring.end();
    while *next < end {
        let read = shared.ring.read(*next, BATCH);
        if let Some(lost) = &read.lost {
            // First, because a member must get nothing after its loss.
            let those = members.values().flatten();
            those
                .filter(|member| lost.concerns(&member.topic, member.from.max(*next)))
                .for_each(|member| tell_of_loss(shared, member));
        }
        let wanted = read.events.iter().filter_map(|event| {
            let of_topic = members.get(&event.topic)?.iter();
            let due = of_topic.filter(|member| member.from <= event.number);
            Some((message(event), due.collect()))
        });
        let wanted: Vec<(_, Vec<_>)> = wanted.collect();
        match &wanted[..] {
            [] => {}
            [(message, due)] => each(due, |member| {
                give(shared, member, iter::once(message.as_ref()));
            }),
            wanted => each(&by_connection(wanted), |(member, messages)| {
                give(shared, member, messages.iter().copied());
            }),
        }
        *next = read.next;
    }
}

/// Messages with the members that get them, as a member of each connection with its messages. So a
/// connection gets the events of all its topics in their order, in one write.
fn by_connection<'m>(
    wanted: &'m [(Option<Prepared>, Vec<&'m Member>)],
) -> Vec<(&'m Member, Vec<Option<&'m Prepared>>)> {
    let (mut places, mut due) = (HashMap::new(), Vec::<(_, Vec<_>)>::new());
    for (message, members) in wanted {
        for &member in members {
            let place = *places.entry(&member.sender).or_insert(due.len());
            if place == due.len() {
                due.push((member, Vec::new()));
            }
            due[place].1.push(message.as_ref());
        }
    }
    due
}

/// Writes to each member. A peer that takes nothing delays this thread for the time that a post
/// waits, before another thread takes over the rest of the frame. If the peer's own thread is
/// writing, the delay is up to 50 ms. If there is one such peer there may be many, so some threads
/// share the members after it for this pass.
fn each<M: Sync>(members: &[M], write: impl Fn(&M) + Sync) {
    for (at, member) in members.iter().enumerate() {
        let begun = Instant::now();
        write(member);
        let rest = &members[at + 1..];
        if begun.elapsed() >= STALL && !rest.is_empty() {
            let write = &write;
            thread::scope(|scope| {
                for part in rest.chunks(rest.len().div_ceil(HELPERS)) {
                    let work = move || part.iter().for_each(write);
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

/// An event's data as a message that all its members share; `None` if the event is lost.
fn message(event: &StoredEvent) -> Option<Prepared> {
    event.data.as_deref().map(Prepared::text)
}

/// Gives events to a member, up to the first that is lost.
fn give<'m>(
    shared: &Shared,
    member: &Member,
    messages: impl Iterator<Item = Option<&'m Prepared>>,
) {
    let (mut count, mut is_one_lost) = (0, false);
    let known = messages.map_while(|message| {
        is_one_lost = message.is_none();
        count += usize::from(message.is_some());
        message
    });
    match member.sender.post(known) {
        Ok(()) => {
            shared.counts.deliveries.add(count);
            if is_one_lost {
                tell_of_loss(shared, member);
            }
        }
        // The post was refused. By itself this does not close the connection, if the peer is not to
        // blame or the options say to refuse. But the next event would then follow a missing one. A
        // message that is being streamed is cut off, because nobody knows when it ends.
        Err(Error::Slow) => tell_of_loss(shared, member),
        // The connection has ended. The member leaves when its own thread notices.
        Err(_) => {}
    }
}

/// Closes the connection of a member that missed an event. It has no cursor to come back with, but
/// it can load its state again.
fn tell_of_loss(shared: &Shared, member: &Member) {
    if !member.is_told.swap(true, Ordering::Relaxed) {
        shared.counts.resets.add(1);
    }
    let _ = member.sender.close(TRY_AGAIN_LATER, "events were lost");
}
