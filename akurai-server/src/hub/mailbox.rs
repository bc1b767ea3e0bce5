//! A mailbox wakes a thread that delivers events to many clients, and decides when.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::ring::BATCH;
use crate::clock::now;
use crate::lock::{self, lock};

/// After a pass that took a while, a thread rests three quarters of the time that the pass took,
/// but at most this long. Events published meanwhile go out in one write for each subscriber. A
/// pass shorter than a [`SHORT_PASS`] needs no rest.
///
/// So a thread with many events works four sevenths of the time, and the rest delays an event by at
/// most this long. If events are rare, the rest is over before the next one, and no event is
/// delayed. A longer rest would join more events and cost less, and they would arrive later than
/// they do from a server that wakes a task for each delivery (tests/bench: `rate`). A rest also
/// ends when a whole batch waits, as in a burst: a longer rest would gain nothing.
const LONGEST_REST: Duration = Duration::from_millis(10);
const SHORT_PASS: Duration = Duration::from_micros(300);

/// Messages of other threads for one thread. A message wakes the thread. So does a signal, which
/// only says that the ring has a new event.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    state: Mutex<MailboxState<T>>,
    signalled: Condvar,
}

#[derive(Debug)]
struct MailboxState<T> {
    messages: Vec<T>,
    /// How many messages and signals came since the thread last looked.
    signals: usize,
    /// How many signals wake the thread. `None` while the thread works, because it checks for
    /// signals before it waits.
    wakes_at: Option<usize>,
    over: bool,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Mailbox<T> {
        Mailbox {
            state: Mutex::new(MailboxState {
                messages: Vec::new(),
                signals: 0,
                wakes_at: None,
                over: false,
            }),
            signalled: Condvar::new(),
        }
    }
}

impl<T> Mailbox<T> {
    /// Leaves a message for the thread.
    pub(crate) fn put(&self, message: T) {
        self.change(|state| state.messages.push(message));
    }

    /// Says that there is a new event.
    pub(crate) fn signal(&self) {
        self.change(|_| {});
    }

    /// Ends the thread.
    pub(crate) fn end(&self) {
        self.change(|state| {
            state.over = true;
            // Ends a rest, too.
            state.signals = BATCH;
        });
    }

    /// Waits for a message or a signal, at most until `deadline`, and returns the messages. `None`
    /// if the thread should end.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Option<Vec<T>> {
        let (messages, ()) = self.wait_with(deadline, || ())?;
        Some(messages)
    }

    /// Waits as [`wait`](Mailbox::wait) does, and also returns what `look` sees at the moment when
    /// the thread takes the messages: what another thread does after it has put a message that is
    /// not among these, `look` does not see.
    pub(crate) fn wait_with<L>(
        &self,
        deadline: Option<Instant>,
        look: impl FnOnce() -> L,
    ) -> Option<(Vec<T>, L)> {
        let mut state = self.wait_for(1, deadline);
        state.signals = 0;
        (!state.over).then(|| (std::mem::take(&mut state.messages), look()))
    }

    /// Rests after a pass that took `pass`, or until a whole batch waits.
    pub(crate) fn rest(&self, pass: Duration) {
        if pass >= SHORT_PASS {
            let rest = (pass * 3 / 4).min(LONGEST_REST);
            drop(self.wait_for(BATCH, Some(now() + rest)));
        }
    }

    fn wait_for(
        &self,
        signals: usize,
        deadline: Option<Instant>,
    ) -> MutexGuard<'_, MailboxState<T>> {
        let mut state = self.lock();
        state.wakes_at = Some(signals);
        while state.signals < signals {
            if deadline.is_some_and(|deadline| deadline <= now()) {
                break;
            }
            #[cfg(test)]
            if crate::model::is_running() {
                let left = |deadline: Instant| deadline.saturating_duration_since(now());
                let most = deadline.map_or(Duration::MAX, left);
                state = crate::model::wait(&self.state, state, most).0;
                continue;
            }
            state = lock::wait(&self.signalled, state, deadline);
        }
        state.wakes_at = None;
        state
    }

    fn change(&self, change: impl FnOnce(&mut MailboxState<T>)) {
        let mut state = self.lock();
        change(&mut state);
        state.signals += 1;
        // Only once: a thread that was already woken need not be woken again.
        if state
            .wakes_at
            .is_some_and(|signals| signals <= state.signals)
        {
            state.wakes_at = None;
            #[cfg(test)]
            crate::model::wake_one(&self.state);
            self.signalled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, MailboxState<T>> {
        lock(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_comes_before_the_wait_is_not_missed() {
        let mailbox = Mailbox::default();
        mailbox.signal();
        mailbox.put("a");
        mailbox.put("b");
        assert_eq!(mailbox.wait(None), Some(vec!["a", "b"]));
        // It has been taken.
        assert_eq!(mailbox.wait(Some(Instant::now())), Some(vec![]));
        mailbox.end();
        assert_eq!(mailbox.wait(None), None);
    }

    #[test]
    fn nobody_puts_a_message_between_the_look_and_the_messages() {
        let mailbox = Mailbox::default();
        mailbox.put("a");
        let taken = mailbox.wait_with(None, || mailbox.state.try_lock().is_err());
        assert_eq!(taken, Some((vec!["a"], true)));
        mailbox.end();
        assert_eq!(mailbox.wait_with(None, || ()), None);
    }

    #[test]
    fn a_rest_is_bounded_and_ends_when_enough_waits() {
        let mailbox = Mailbox::<()>::default();
        let begun = Instant::now();
        mailbox.rest(Duration::ZERO);
        mailbox.signal();
        mailbox.rest(SHORT_PASS);
        assert!(begun.elapsed() >= SHORT_PASS * 3 / 4);
        mailbox.rest(LONG);
        assert!(begun.elapsed() >= LONGEST_REST);
        assert!(begun.elapsed() < LONG);
        // A signal that came during the rest is still there.
        assert_eq!(mailbox.wait(None), Some(vec![]));
        let mailbox = Mailbox::<()>::default();
        let woken = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| drop(mailbox.wait_for(BATCH, Some(Instant::now() + LONG))));
            (0..BATCH).for_each(|_| mailbox.signal());
            waiter.join()
        });
        assert!(woken.is_ok());
        assert!(begun.elapsed() < LONG);
    }

    #[test]
    fn a_thread_that_waits_is_woken() {
        let mailbox = Mailbox::default();
        let heard = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let mut heard = Vec::new();
                while let Some(messages) = mailbox.wait(None) {
                    heard.extend(messages);
                    if heard.len() == 1000 {
                        break;
                    }
                }
                heard
            });
            (0..1000).for_each(|n| mailbox.put(n));
            waiter.join()
        });
        assert_eq!(heard.unwrap(), (0..1000).collect::<Vec<_>>());
    }
}
