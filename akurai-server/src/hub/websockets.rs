//! One thread that delivers events to WebSocket subscribers.

use std::collections::{HashMap, HashSet};
use std::fmt;
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

/// The close code for a subscriber whose topic was ended: there is no reason to come back (RFC 6455
/// §7.4.1).
const NORMAL_CLOSURE: u16 = 1000;

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
    /// The members of this topic end before the event with this number.
    End(Arc<str>, u64),
}

#[derive(Debug)]
struct Member {
    topic: Arc<str>,
    id: u64,
    /// All members of one connection have the same, and the thread knows it.
    sender: Arc<Sender>,
    /// The number of the first event that was published after it joined.
    from: u64,
    /// Whether it was told that it lost events.
    is_told: AtomicBool,
}

impl Member {
    /// Whether its connection has no other membership.
    fn is_in_one_topic(&self) -> bool {
        // This member has it, and the thread's set of connections.
        Arc::strong_count(&self.sender) == 2
    }
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
            sender: Arc::new(sender),
            from,
            is_told: AtomicBool::new(false),
        }));
        id
    }

    pub(crate) fn leave(&self, topic: Arc<str>, id: u64) {
        self.members.fetch_sub(1, Ordering::Relaxed);
        self.mailbox.put(MemberChange::Leave(topic, id));
    }

    /// Closes the connections of this topic's members before the event with this number.
    pub(crate) fn end_topic(&self, topic: Arc<str>, before: u64) {
        if self.count() > 0 {
            self.mailbox.put(MemberChange::End(topic, before));
        }
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
// What makes two senders equal never changes.
#[allow(clippy::mutable_key_type)]
pub(crate) fn run(shared: &Shared, mailbox: &MemberMailbox) {
    let mut members: HashMap<Arc<str>, Vec<Member>> = HashMap::new();
    let mut connections: HashSet<Arc<Sender>> = HashSet::new();
    let mut next = shared.ring.end().0;
    while let Some(changes) = mailbox.mailbox.wait(None) {
        for change in changes {
            match change {
                MemberChange::Join(mut member) => {
                    match connections.get(&member.sender) {
                        Some(known) => member.sender = Arc::clone(known),
                        None => drop(connections.insert(Arc::clone(&member.sender))),
                    }
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
                        let place = of_topic.iter().position(|member| member.id == id);
                        let left = place.map(|place| of_topic.remove(place));
                        if let Some(last) = left.filter(Member::is_in_one_topic) {
                            connections.remove(&last.sender);
                        }
                        if of_topic.is_empty() {
                            members.remove(&topic);
                        }
                    }
                    shared.topics.left(&[topic]);
                }
                MemberChange::End(topic, before) => {
                    deliver(shared, &members, &mut next, Some(before));
                    end_topic(shared, members.get(&topic).map_or(&[], Vec::as_slice));
                }
            }
        }
        let begun = Instant::now();
        deliver(shared, &members, &mut next, None);
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
        let messages: Vec<_> = missed.map(|event| (event.number, message(event))).collect();
        give(shared, member, &messages);
        from = read.next;
    }
}

/// Gives the members new events, up to the event with the number `before`, or all.
fn deliver(
    shared: &Shared,
    members: &HashMap<Arc<str>, Vec<Member>>,
    next: &mut u64,
    before: Option<u64>,
) {
    // An event published meanwhile sends its own signal.
    let end = before.unwrap_or_else(|| shared.ring.end().0);
    while *next < end {
        let most = before.map_or(BATCH, |before| BATCH.min((before - *next) as usize));
        let read = shared.ring.read(*next, most);
        if before.is_some_and(|before| read.next > before) {
            // The ring has dropped them.
            return;
        }
        if let Some(lost) = &read.lost {
            // First, because a member must get nothing after its loss.
            let those = members.values().flatten();
            those
                .filter(|member| lost.concerns(&member.topic, member.from.max(*next)))
                .for_each(|member| tell_of_loss(shared, member));
        }
        let mut by_topic = HashMap::new();
        for event in &read.events {
            let Some(of_topic) = members.get(&event.topic) else {
                continue;
            };
            let (_, messages) = by_topic
                .entry(&event.topic)
                .or_insert((of_topic, Vec::new()));
            messages.push((event.number, message(event)));
        }
        deliver_topics(shared, by_topic.values());
        *next = read.next;
    }
}

/// The number of an event, and its message, which all its members share; `None` if it is lost.
type Numbered = (u64, Option<Prepared>);

/// Gives the members of topics the messages of their topic.
fn deliver_topics<'m>(
    shared: &Shared,
    topics: impl Iterator<Item = &'m (&'m Vec<Member>, Vec<Numbered>)>,
) {
    let mut due: Vec<(&Member, &[Numbered])> = Vec::new();
    // A connection gets the events of all its topics in their order.
    let mut several: HashMap<*const Sender, (&Member, Vec<&Numbered>)> = HashMap::new();
    for (of_topic, messages) in topics {
        for member in *of_topic {
            let first = messages.partition_point(|(number, _)| *number < member.from);
            let messages = &messages[first..];
            if messages.is_empty() {
                continue;
            }
            if member.is_in_one_topic() {
                due.push((member, messages));
                continue;
            }
            let all = several.entry(Arc::as_ptr(&member.sender));
            all.or_insert((member, Vec::new())).1.extend(messages);
        }
    }
    each(&due, |(member, messages)| give(shared, member, *messages));
    let mut several: Vec<_> = several.into_values().collect();
    for (_, messages) in &mut several {
        messages.sort_by_key(|(number, _)| *number);
    }
    each(&several, |(member, messages)| {
        give(shared, member, messages.iter().copied());
    });
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
fn give<'m>(shared: &Shared, member: &Member, messages: impl IntoIterator<Item = &'m Numbered>) {
    let (mut count, mut is_one_lost) = (0, false);
    let known = messages.into_iter().map_while(|(_, message)| {
        is_one_lost = message.is_none();
        count += usize::from(message.is_some());
        message.as_ref()
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

/// Closes the connections of a topic's members.
fn end_topic(shared: &Shared, members: &[Member]) {
    each(members, |member| {
        let closed = member.sender.close(NORMAL_CLOSURE, "the topic has ended");
        shared.counts.ended.add(usize::from(closed.is_ok()));
    });
}

/// Closes the connection of a member that missed an event. It has no cursor to come back with, but
/// it can load its state again.
fn tell_of_loss(shared: &Shared, member: &Member) {
    if !member.is_told.swap(true, Ordering::Relaxed) {
        shared.counts.resets.add(1);
    }
    let _ = member.sender.close(TRY_AGAIN_LATER, "events were lost");
}
