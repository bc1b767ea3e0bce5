//! What adds events: many threads publish, one connection carries what they have, in as few writes as it can.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::{CONNECT, Connection, IO, refused, unexpected};
use super::entry::{self, Key};
use super::url::Url;
use super::{RedisOptions, random};
use crate::EventId;
use crate::engine::resp::{Reply, command};

/// Commands that are written at a time, and their bytes if there is more than one.
const GROUP: usize = 1024;
const GROUP_BYTES: usize = 1 << 20;

/// How long the replicas that were asked for have.
const REPLICATION: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Queue>,
    link: Mutex<Link>,
    name: String,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Arc<Job>>,
    /// Somebody writes, for himself and for those who wait.
    led: bool,
}

struct Link {
    connection: Option<Connection>,
    /// The number of the last event that was given one.
    number: u64,
}

/// What one thread wants to have added, and what came of it.
#[derive(Debug)]
struct Job {
    topic: String,
    name: String,
    data: String,
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug)]
enum State {
    Waiting,
    /// It is this one's turn to write.
    Leads,
    Done(Result<EventId, Failure>),
}

/// Why an event is not known to be kept; several threads are told of one.
#[derive(Debug, Clone)]
struct Failure {
    kind: io::ErrorKind,
    message: String,
}

impl Writer {
    pub(super) fn new() -> Writer {
        Writer {
            queue: Mutex::default(),
            link: Mutex::new(Link {
                connection: None,
                number: 0,
            }),
            name: format!("{:016x}", random()),
        }
    }

    /// Adds an event, at the latest within 3 s of its turn.
    pub(super) fn publish(
        &self,
        url: &Url,
        options: &RedisOptions,
        topic: &str,
        name: &str,
        data: &str,
    ) -> io::Result<EventId> {
        let job = Arc::new(Job {
            topic: topic.to_owned(),
            name: name.to_owned(),
            data: data.to_owned(),
            state: Mutex::new(State::Waiting),
            bell: Condvar::new(),
        });
        let leads = {
            let mut queue = self.queue();
            queue.waiting.push(Arc::clone(&job));
            !std::mem::replace(&mut queue.led, true)
        };
        if leads || job.wait() {
            self.lead(url, options);
        }
        job.result()
            .map_err(|failure| io::Error::new(failure.kind, failure.message))
    }

    /// Writes what waits, at least one's own, and hands the lead on.
    fn lead(&self, url: &Url, options: &RedisOptions) {
        let group = self.queue().take();
        let outcome = {
            let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
            link.add(&self.name, url, options, &group)
        };
        let mut queue = self.queue();
        if let Err(error) = outcome {
            // Those who came meanwhile would wait as long, for the same.
            let failure = Failure {
                kind: error.kind(),
                message: format!("Redis at {url}: {error}; the event is not kept"),
            };
            for job in queue.waiting.drain(..) {
                job.end(Err(failure.clone()));
            }
        }
        match queue.waiting.first() {
            Some(next) => next.set(State::Leads),
            None => queue.led = false,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Takes the first that wait: one at least, if any does.
    fn take(&mut self) -> Vec<Arc<Job>> {
        let mut bytes = 0;
        let fitting = self.waiting.iter().take(GROUP).take_while(|job| {
            bytes += job.topic.len() + job.name.len() + job.data.len();
            bytes <= GROUP_BYTES
        });
        let count = fitting.count().max(1).min(self.waiting.len());
        self.waiting.drain(..count).collect()
    }
}

impl Link {
    /// Adds a group and tells each what came of it. An error is the connection's, and was told too.
    fn add(
        &mut self,
        writer: &str,
        url: &Url,
        options: &RedisOptions,
        group: &[Arc<Job>],
    ) -> io::Result<()> {
        let deadline = Instant::now() + CONNECT + IO;
        let first = self.number + 1;
        self.number += group.len() as u64;
        let command_of = |at: usize, out: &mut Vec<u8>| {
            let job = &group[at];
            let key = Key {
                writer: writer.to_owned(),
                number: first + at as u64,
            };
            let event = (&*job.topic, &*job.name, &*job.data);
            entry::add(out, &options.stream, options.max_events, event, &key);
        };
        let mut attempt = Attempt::default();
        let mut again = false;
        loop {
            let outcome = self.attempt(url, options, group, &command_of, &mut attempt, deadline);
            let Err(error) = outcome else {
                return Ok(());
            };
            self.connection = None;
            // A connection may have died while it was idle, and a server may have done what it could not answer: once more,
            // under the same keys.
            if attempt.sent && !again && Instant::now() < deadline {
                again = true;
                continue;
            }
            let fate = match attempt.sent {
                true => "may be kept or not",
                false => "is not kept",
            };
            let failure = Failure {
                kind: error.kind(),
                message: format!("Redis at {url}: {error}; the event {fate}"),
            };
            for job in &group[attempt.answered..] {
                job.end(Err(failure.clone()));
            }
            return Err(error);
        }
    }

    fn attempt(
        &mut self,
        url: &Url,
        options: &RedisOptions,
        group: &[Arc<Job>],
        command_of: &dyn Fn(usize, &mut Vec<u8>),
        attempt: &mut Attempt,
        deadline: Instant,
    ) -> io::Result<()> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(url, deadline)?),
        };
        let by = deadline.min(Instant::now() + IO);
        let mut bytes = Vec::new();
        for at in attempt.answered..group.len() {
            command_of(at, &mut bytes);
        }
        let replicas = options.replicas;
        if replicas > 0 {
            let wait = REPLICATION.as_millis().to_string();
            command(&mut bytes, &["WAIT", &replicas.to_string(), &wait]);
        }
        attempt.sent = true;
        connection.send(&bytes, by)?;
        let mut results = Vec::new();
        let mut demoted = false;
        while attempt.answered + results.len() < group.len() {
            let reply = connection.receive(by)?;
            demoted |= matches!(&reply, Reply::Error(text) if text.starts_with("READONLY"));
            let result = id(reply).map_err(|error| Failure {
                kind: error.kind(),
                message: format!("Redis at {url}: {error}; the event is not kept"),
            });
            if replicas > 0 {
                results.push(result);
            } else {
                group[attempt.answered].end(result);
                attempt.answered += 1;
            }
        }
        if replicas > 0 {
            let acknowledged = match connection.receive(by)? {
                Reply::Integer(count) => usize::try_from(count).unwrap_or(0),
                // A server that is no master refuses this as it refused the events.
                Reply::Error(_) if results.iter().all(Result::is_err) => 0,
                Reply::Error(text) => return Err(refused(&text)),
                _ => return Err(unexpected()),
            };
            for result in results {
                let result = result.and_then(|id| match acknowledged >= replicas {
                    true => Ok(id),
                    false => Err(Failure {
                        kind: io::ErrorKind::TimedOut,
                        message: format!(
                            "Redis at {url}: the event is kept, but {acknowledged} of {replicas} replicas have it"
                        ),
                    }),
                });
                group[attempt.answered].end(result);
                attempt.answered += 1;
            }
        }
        if demoted {
            // It is no master any more; who is may be found anew under the same name.
            self.connection = None;
        }
        Ok(())
    }
}

/// How far a group has come.
#[derive(Debug, Default)]
struct Attempt {
    answered: usize,
    /// Something was written, so that what has no answer may be there.
    sent: bool,
}

fn id(reply: Reply) -> io::Result<EventId> {
    let id = match reply {
        Reply::Bulk(id) => String::from_utf8(id).ok(),
        Reply::Error(text) => return Err(refused(&text)),
        _ => None,
    };
    id.and_then(|id| id.parse().ok()).ok_or_else(unexpected)
}

impl Job {
    /// Waits for its end, or for its turn to lead: that is true.
    fn wait(&self) -> bool {
        let mut state = self.state();
        while matches!(*state, State::Waiting) {
            state = self
                .bell
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        matches!(*state, State::Leads)
    }

    fn result(&self) -> Result<EventId, Failure> {
        match &*self.state() {
            State::Done(result) => result.clone(),
            State::Waiting | State::Leads => unreachable!("who leads writes its own"),
        }
    }

    fn end(&self, result: Result<EventId, Failure>) {
        self.set(State::Done(result));
    }

    fn set(&self, state: State) {
        *self.state() = state;
        self.bell.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("connected", &self.connection.is_some())
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
