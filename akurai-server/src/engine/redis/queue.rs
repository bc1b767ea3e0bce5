//! The jobs that wait to be published, and the choice of the waiting thread that writes them.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use crate::EventId;
use crate::lock::{lock, wait};

/// Most commands in one write, and most bytes of them if there is more than one.
const GROUP: usize = 1024;
const GROUP_BYTES: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) waiting: Vec<Arc<Job>>,
    /// A thread has the turn: it writes its own job and the waiting ones.
    pub(super) is_writing: bool,
}

/// An event that one thread publishes, and the result.
#[derive(Debug)]
pub(super) struct Job {
    /// When the thread gives up, whatever the state of its event.
    pub(super) deadline: Instant,
    pub(super) topic: String,
    pub(super) name: String,
    pub(super) data: String,
    state: Mutex<JobState>,
    changed: Condvar,
}

#[derive(Debug)]
pub(super) enum JobState {
    Waiting,
    /// Another thread passed the turn to this job's thread.
    HasTurn,
    Done(Result<EventId, Failure>),
}

/// The reason why an event may not be kept. Several threads may get the same one.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) kind: io::ErrorKind,
    pub(super) message: String,
}

impl Queue {
    /// Takes the first waiting jobs: at least one, if there is one.
    pub(super) fn take_group(&mut self) -> Vec<Arc<Job>> {
        let count = self.next_group();
        self.waiting.drain(..count).collect()
    }

    /// Passes the turn to the last job of the next group, because it has the most time left. The
    /// other jobs wait until they are written or their own time is over.
    pub(super) fn pass_turn(&mut self) {
        match self.next_group().checked_sub(1) {
            Some(last) => self.waiting[last].set(JobState::HasTurn),
            None => self.is_writing = false,
        }
    }

    /// How many of the first waiting jobs are written together.
    fn next_group(&self) -> usize {
        let mut bytes = 0;
        let fitting = self.waiting.iter().take(GROUP).take_while(|job| {
            bytes += job.topic.len() + job.name.len() + job.data.len();
            bytes <= GROUP_BYTES
        });
        fitting.count().max(1).min(self.waiting.len())
    }
}

impl Job {
    pub(super) fn new(deadline: Instant, topic: &str, name: &str, data: &str) -> Arc<Job> {
        Arc::new(Job {
            deadline,
            topic: topic.to_owned(),
            name: name.to_owned(),
            data: data.to_owned(),
            state: Mutex::new(JobState::Waiting),
            changed: Condvar::new(),
        })
    }

    /// Waits for the result or the turn. Returns true for the turn, and false for the result or
    /// after the deadline.
    pub(super) fn wait(&self) -> bool {
        let mut state = self.state();
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            match *state {
                JobState::Waiting if !left.is_zero() => {
                    state = wait(&self.changed, state, Some(self.deadline));
                }
                JobState::HasTurn => return !left.is_zero(),
                JobState::Waiting | JobState::Done(_) => return false,
            }
        }
    }

    /// The result, if it is known.
    pub(super) fn result(&self) -> Option<Result<EventId, Failure>> {
        match &*self.state() {
            JobState::Done(result) => Some(result.clone()),
            JobState::Waiting | JobState::HasTurn => None,
        }
    }

    pub(super) fn end(&self, result: Result<EventId, Failure>) {
        self.set(JobState::Done(result));
    }

    pub(super) fn set(&self, state: JobState) {
        *self.state() = state;
        self.changed.notify_one();
    }

    pub(super) fn state(&self) -> MutexGuard<'_, JobState> {
        lock(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn job() -> Arc<Job> {
        let deadline = Instant::now() + Duration::from_secs(60);
        Job::new(deadline, "t", "", &"x".repeat(GROUP_BYTES / 3))
    }

    #[test]
    fn the_last_of_a_group_has_the_turn() {
        let jobs: Vec<_> = (0..4).map(|_| job()).collect();
        let mut queue = Queue {
            waiting: jobs.clone(),
            is_writing: true,
        };
        queue.pass_turn();
        // Three such events are more than a group has.
        let has_turn = |job: &Arc<Job>| matches!(*job.state(), JobState::HasTurn);
        let turns: Vec<_> = jobs.iter().map(has_turn).collect();
        assert_eq!(turns, [false, true, false, false]);
        assert!(jobs[1].wait(), "it has the time");
        assert_eq!(queue.take_group().len(), 2);
    }
}
