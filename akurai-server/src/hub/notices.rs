//! The thread that tells the application when a client comes or leaves.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use akurai_http::program::contain;

use super::failures::HubFailures;
use super::spawn;
use crate::lock::{self, lock};

pub(crate) type Notice = Arc<dyn Fn(&str, usize) + Send + Sync>;

/// When more notices than this wait, a topic's newer notice replaces its older one.
const MOST_WAITING: usize = 1_024;

/// The changes of presence that the application has not been told of yet, in the order of the
/// counts.
///
/// Only its thread calls the application's code, which may take as long as it likes: no other
/// thread of the hub waits for it.
#[derive(Default)]
pub(crate) struct Notices {
    state: Mutex<NoticesState>,
    changed: Condvar,
    pub(crate) failures: HubFailures,
}

#[derive(Default)]
struct NoticesState {
    on_join: Option<Notice>,
    on_leave: Option<Notice>,
    /// By number, in the order in which they came.
    waiting: BTreeMap<u64, PresenceChange>,
    /// The number of each topic's newest waiting change.
    newest: HashMap<Arc<str>, u64>,
    next: u64,
    has_thread: bool,
    is_over: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct PresenceChange {
    topic: Arc<str>,
    /// The count that the application knows before this change.
    before: usize,
    count: usize,
}

impl Notices {
    pub(crate) fn set_on_join(self: &Arc<Self>, notice: Notice) -> io::Result<()> {
        self.set(|state| &mut state.on_join, notice)
    }

    pub(crate) fn set_on_leave(self: &Arc<Self>, notice: Notice) -> io::Result<()> {
        self.set(|state| &mut state.on_leave, notice)
    }

    fn set(
        self: &Arc<Self>,
        slot: impl FnOnce(&mut NoticesState) -> &mut Option<Notice>,
        notice: Notice,
    ) -> io::Result<()> {
        let mut state = self.lock();
        if !state.has_thread {
            let notices = Arc::clone(self);
            spawn(move || notices.run())?;
            state.has_thread = true;
        }
        let old = slot(&mut state).replace(notice);
        // Dropping the application's closure runs its code, so our lock must be free.
        drop(state);
        drop(old);
        Ok(())
    }

    /// Adds a change after the others. The caller holds the lock of the counts, so that changes
    /// arrive in the order of the counts. This lock is taken after that one, never before it.
    pub(crate) fn put(&self, topic: &Arc<str>, before: usize, count: usize) {
        let mut state = self.lock();
        if state.has_thread {
            state.put(topic, before, count);
            self.changed.notify_one();
        }
    }

    /// Ends the thread after the notice that it is giving now.
    pub(crate) fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_one();
    }

    /// Runs until the hub ends.
    fn run(&self) {
        while let Some((notice, change)) = self.wait() {
            let has_come = change.count > change.before;
            if let Err(panic) = contain(move || notice(&change.topic, change.count)) {
                let work = match has_come {
                    true => "a notice of on_join panicked",
                    false => "a notice of on_leave panicked",
                };
                self.failures.tell(work, &panic);
            }
        }
        let mut state = self.lock();
        let closures = (state.on_join.take(), state.on_leave.take());
        drop(state);
        if let Err(panic) = contain(move || drop(closures)) {
            self.failures
                .tell("a notice panicked when it was dropped", &panic);
        }
    }

    /// Waits for a change that the application wants to hear. `None` if the hub is gone.
    fn wait(&self) -> Option<(Notice, PresenceChange)> {
        let mut state = self.lock();
        while !state.is_over {
            let Some(change) = state.pop() else {
                state = lock::wait(&self.changed, state, None);
                continue;
            };
            let notice = match change.count > change.before {
                true => &state.on_join,
                false => &state.on_leave,
            };
            if let Some(notice) = notice {
                return Some((Arc::clone(notice), change));
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, NoticesState> {
        lock(&self.state)
    }
}

impl NoticesState {
    fn put(&mut self, topic: &Arc<str>, before: usize, count: usize) {
        if self.waiting.len() >= MOST_WAITING {
            if let Some(number) = self.newest.get(topic) {
                if let Some(waiting) = self.waiting.get_mut(number) {
                    waiting.count = count;
                    if waiting.before == count {
                        // Nothing to tell. So the changes of topics that came and went do not pile
                        // up.
                        self.waiting.remove(number);
                        self.newest.remove(topic);
                    }
                    return;
                }
            }
        }
        let topic = Arc::clone(topic);
        self.newest.insert(Arc::clone(&topic), self.next);
        let change = PresenceChange {
            topic,
            before,
            count,
        };
        self.waiting.insert(self.next, change);
        self.next += 1;
    }

    fn pop(&mut self) -> Option<PresenceChange> {
        let (number, change) = self.waiting.pop_first()?;
        if self.newest.get(&change.topic) == Some(&number) {
            self.newest.remove(&change.topic);
        }
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(topic: &str, before: usize, count: usize) -> PresenceChange {
        PresenceChange {
            topic: Arc::from(topic),
            before,
            count,
        }
    }

    fn all(state: &mut NoticesState) -> Vec<PresenceChange> {
        let all: Vec<_> = std::iter::from_fn(|| state.pop()).collect();
        assert!(state.newest.is_empty(), "{:?}", state.newest);
        all
    }

    #[test]
    fn each_change_is_told_while_there_is_room() {
        let mut state = NoticesState::default();
        let topic: Arc<str> = Arc::from("a");
        state.put(&topic, 0, 1);
        state.put(&topic, 1, 2);
        assert_eq!(state.pop(), Some(change("a", 0, 1)));
        state.put(&topic, 2, 1);
        assert_eq!(all(&mut state), [change("a", 1, 2), change("a", 2, 1)]);
    }

    #[test]
    fn beyond_the_bound_a_topics_newer_notice_takes_the_place_of_its_older_one() {
        let mut state = NoticesState::default();
        let a: Arc<str> = Arc::from("a");
        for n in 0..MOST_WAITING {
            state.put(&a, n, n + 1);
        }
        // One more notice for each topic, however often its count changes.
        let b: Arc<str> = Arc::from("b");
        for n in 0..5_000 {
            state.put(&b, n, n + 1);
            state.put(&a, MOST_WAITING + n, MOST_WAITING + n + 1);
        }
        assert_eq!(state.waiting.len(), MOST_WAITING + 1);
        let told = all(&mut state);
        assert_eq!(told[0], change("a", 0, 1));
        let last = MOST_WAITING - 1;
        assert_eq!(told[last], change("a", last, MOST_WAITING + 5_000));
        assert_eq!(told[last + 1..], [change("b", 0, 5_000)]);
        // When there is room, each change has its own notice again.
        state.put(&b, 5_000, 4_999);
        state.put(&b, 4_999, 4_998);
        assert_eq!(all(&mut state).len(), 2);
    }

    #[test]
    fn topics_that_came_and_went_untold_do_not_add_up() {
        let mut state = NoticesState::default();
        let full: Arc<str> = Arc::from("full");
        for n in 0..MOST_WAITING {
            state.put(&full, n, n + 1);
        }
        for n in 0..100_000 {
            let topic = Arc::from(n.to_string());
            state.put(&topic, 0, 1);
            state.put(&topic, 1, 2);
            state.put(&topic, 2, 1);
            state.put(&topic, 1, 0);
        }
        assert_eq!(state.waiting.len(), MOST_WAITING);
        assert_eq!(state.newest.len(), 1);
        // The application knows of this topic, so it must hear that nobody is left.
        let known: Arc<str> = Arc::from("known");
        state.put(&known, 1, 0);
        state.put(&known, 0, 1);
        state.put(&known, 1, 0);
        assert_eq!(all(&mut state).pop(), Some(change("known", 1, 0)));
    }
}
