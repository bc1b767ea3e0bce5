//! One thread that delivers events to WebSocket subscribers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use akurai_ws::{Error, Prepared, Sender};

use super::early::Early;
use super::mailbox::Mailbox;
use super::ring::BATCH;
use super::shared::Shared;
use super::stored_event::StoredEvent;
use crate::EventId;
use crate::clock::now;

/// The close code for a subscriber that missed events, and should come back (RFC 6455 §7.4, IANA:
/// "Try Again Later").
const TRY_AGAIN_LATER: u16 = 1013;

/// The close code for a subscriber whose topic was ended: there is no reason to come back (RFC 6455
/// §7.4.1).
const NORMAL_CLOSURE: u16 = 1000;

/// A post that takes this long has waited for its peer. A write that does not wait takes a few
/// microseconds.
const STALL: Duration = Duration::from_millis(4);

/// The number of threads that then share the rest of a pass.
const HELPERS: usize = 16;

/// How often the thread looks for the places of newcomers that have none yet.
const TICK: Duration = Duration::from_millis(250);

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
    Join(Member, Option<EventId>),
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
    /// It gets no event before the one with this number: those were published before it joined. A
    /// newcomer's is the first that the thread had not delivered when it got its place.
    from: u64,
    /// Whether it was told that it lost events.
    is_told: AtomicBool,
}

/// A member that also gets the events after this id, and is not at its place yet.
#[derive(Debug)]
struct Newcomer {
    member: Member,
    after: EventId,
    /// It is ahead of this node.
    early: Option<Early>,
}

impl Member {
    /// Whether its connection has no other membership.
    fn is_in_one_topic(&self) -> bool {
        // This member has it, and the thread's set of connections.
        Arc::strong_count(&self.sender) == 2
    }
}

impl MemberMailbox {
    /// Adds a member. It gets the events that are published after this call, or all after the id
    /// `after`. `from` is the number of the ring's end before the call. Returns the member's id for
    /// `leave`.
    pub(crate) fn join(
        &self,
        topic: Arc<str>,
        sender: Sender,
        from: u64,
        after: Option<EventId>,
    ) -> u64 {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        // A publisher that does not see this yet, and so wakes no thread, has put its event into
        // the ring before the thread learns of the member. The thread finds the event there.
        self.members.fetch_add(1, Ordering::Relaxed);
        let member = Member {
            topic,
            id,
            sender: Arc::new(sender),
            from,
            is_told: AtomicBool::new(false),
        };
        self.mailbox.put(MemberChange::Join(member, after));
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
        #[cfg(test)]
        crate::model::step();
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

/// The members of one hub.
type Members = HashMap<Arc<str>, Vec<Member>>;

/// Runs until the mailbox ends.
// What makes two senders equal never changes.
#[allow(clippy::mutable_key_type)]
pub(crate) fn run(shared: &Shared, mailbox: &MemberMailbox) {
    let mut members = Members::new();
    let mut newcomers: Vec<Newcomer> = Vec::new();
    let mut connections: HashSet<Arc<Sender>> = HashSet::new();
    let mut next = shared.ring.end().0;
    loop {
        let deadline = (!newcomers.is_empty()).then(|| now() + TICK);
        // An event that is published after a topic's end is not of this pass unless that end is.
        let pass = mailbox.mailbox.wait_with(deadline, || shared.ring.end().0);
        let Some((changes, end)) = pass else {
            return;
        };
        for change in changes {
            match change {
                MemberChange::Join(mut member, after) => {
                    match connections.get(&member.sender) {
                        Some(known) => member.sender = Arc::clone(known),
                        None => drop(connections.insert(Arc::clone(&member.sender))),
                    }
                    if members.is_empty() {
                        // No member was here to get earlier events.
                        next = member.from;
                    }
                    if let Some(after) = after {
                        newcomers.push(Newcomer {
                            member,
                            after,
                            early: None,
                        });
                        continue;
                    }
                    add(&mut members, member);
                }
                MemberChange::Leave(topic, id) => {
                    let left = take(&mut members, &mut newcomers, &topic, id);
                    if let Some(last) = left.filter(Member::is_in_one_topic) {
                        connections.remove(&last.sender);
                    }
                    shared.topics.left(&[topic]);
                }
                MemberChange::End(topic, before) => {
                    deliver(shared, &members, &mut next, before);
                    place(shared, &mut newcomers, &mut members, next);
                    end_topic(shared, members.get(&topic).map_or(&[], Vec::as_slice));
                    // These have no place, so nobody knows which events they miss.
                    let waiting = newcomers.iter().map(|newcomer| &newcomer.member);
                    waiting
                        .filter(|member| member.topic == topic)
                        .for_each(|member| tell_of_loss(shared, member));
                }
            }
        }
        let begun = now();
        deliver(shared, &members, &mut next, end);
        place(shared, &mut newcomers, &mut members, next);
        mailbox.mailbox.rest(now() - begun);
    }
}

fn add(members: &mut Members, member: Member) {
    let topic = Arc::clone(&member.topic);
    members.entry(topic).or_default().push(member);
}

/// Takes out the member with this id.
fn take(
    members: &mut Members,
    newcomers: &mut Vec<Newcomer>,
    topic: &Arc<str>,
    id: u64,
) -> Option<Member> {
    if let Some(place) = newcomers.iter().position(|one| one.member.id == id) {
        return Some(newcomers.swap_remove(place).member);
    }
    let of_topic = members.get_mut(topic)?;
    let place = of_topic.iter().position(|member| member.id == id)?;
    let left = of_topic.remove(place);
    if of_topic.is_empty() {
        members.remove(topic);
    }
    Some(left)
}

impl Newcomer {
    /// Whether this node, which has delivered all events before the number `next`, knows which
    /// events the newcomer has seen, or that its id is from another order.
    fn is_settled(&mut self, shared: &Shared, next: u64) -> bool {
        if shared.has_engine && shared.ring.ahead()(self.after) {
            // Another node may have read this event already. If no node has, the engine's end shows
            // it.
            let early = self
                .early
                .get_or_insert_with(|| shared.looks.want(self.after));
            return shared.looks.shown().is_short_of(*early);
        }
        // The caller may have learned of an event that this thread has not delivered yet.
        !shared.ring.is_from(self.after, next)
    }

    /// Gives it the events after its id and before the number `next`.
    fn catch_up(&self, shared: &Shared, next: u64) {
        let topics = std::slice::from_ref(&self.member.topic);
        let Ok(missed) = shared.ring.replay(self.after, topics, next) else {
            return tell_of_loss(shared, &self.member);
        };
        for missed in missed.chunks(BATCH) {
            let numbered = missed.iter().map(|event| (event.number, message(event)));
            give(shared, &self.member, &numbered.collect::<Vec<_>>());
        }
    }
}

/// Makes newcomers members for the events from the number `next` on, after they have got the events
/// before it.
fn place(shared: &Shared, newcomers: &mut Vec<Newcomer>, members: &mut Members, next: u64) {
    let mut settled = Vec::new();
    for mut newcomer in std::mem::take(newcomers) {
        match newcomer.is_settled(shared, next) {
            true => settled.push(newcomer),
            false => newcomers.push(newcomer),
        }
    }
    each(&settled, |newcomer| newcomer.catch_up(shared, next));
    for Newcomer { member, .. } in settled {
        let from = next;
        add(members, Member { from, ..member });
    }
}

/// Gives the members new events, up to the event with the number `end`.
fn deliver(shared: &Shared, members: &Members, next: &mut u64, end: u64) {
    // An event published meanwhile sends its own signal.
    while *next < end {
        let most = BATCH.min((end - *next) as usize);
        let read = shared.ring.read(*next, most).up_to(end);
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
        // A loss may go beyond the end. The next pass tells it to those who join meanwhile.
        *next = read.next.min(end);
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
        let begun = now();
        write(member);
        let rest = &members[at + 1..];
        if now() - begun >= STALL && !rest.is_empty() {
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

#[cfg(test)]
mod tests {
    use super::super::options::{HubOptions, Retention};
    use super::*;

    #[test]
    fn what_a_topic_keeps_does_not_take_a_pass_beyond_its_end() {
        let options = HubOptions::default().max_ring_events(1);
        let shared = Shared::new(options, EventId { ms: 1, seq: 0 }, false);
        shared.ring.retain("kept", Retention::default());
        for topic in ["a", "kept", "kept", "kept", "a"] {
            shared.ring.publish(topic, "", "").unwrap();
        }
        let (members, mut next) = (Members::new(), 0);
        for end in [2, 5] {
            deliver(&shared, &members, &mut next, end);
            assert_eq!(next, end);
        }
    }
}
