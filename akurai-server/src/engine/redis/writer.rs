//! Adds events: many threads publish, and one connection carries their events in as few writes as
//! it can.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::RedisOptions;
use super::connection::{self, CONNECT, Connection, IO, refused, unexpected};
use super::entry::{self, Key};
use super::queue::{Failure, Job, JobState, Queue};
use super::search::Search;
use super::url::Url;
use crate::EventId;
use crate::clock::random;
use crate::engine::resp::{Reply, command};
use crate::lock::lock;

/// How long one publish may take in all: its turn, a connection, the answer.
const WHOLE: Duration = CONNECT.saturating_add(IO);

/// How long the requested number of replicas may take.
const REPLICATION: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Queue>,
    connection: Mutex<WriterConnection>,
    /// The last entry that this process has read, as far as the reader told the writer.
    read: Mutex<EventId>,
    name: String,
    /// How many connections the writer has opened.
    pub(super) opened: Arc<AtomicU64>,
}

struct WriterConnection {
    connection: Option<Connection>,
    /// The last number that an event was given.
    number: u64,
    /// The last entry that was added here. Later events come after it.
    floor: EventId,
    opened: Arc<AtomicU64>,
}

impl Writer {
    pub(super) fn new() -> Writer {
        let opened = Arc::default();
        Writer {
            queue: Mutex::default(),
            connection: Mutex::new(WriterConnection {
                connection: None,
                number: 0,
                floor: EventId::default(),
                opened: Arc::clone(&opened),
            }),
            read: Mutex::default(),
            name: format!("{:016x}", random()),
            opened,
        }
    }

    /// Notes that this entry is in the stream. Events published from now on come after it.
    pub(super) fn has_read(&self, id: EventId) {
        *lock(&self.read) = id;
    }

    /// Adds an event, or fails, within [`WHOLE`].
    pub(super) fn publish(
        &self,
        url: &Url,
        options: &RedisOptions,
        topic: &str,
        name: &str,
        data: &str,
    ) -> io::Result<EventId> {
        let job = Job::new(Instant::now() + WHOLE, topic, name, data);
        let has_turn = {
            let mut queue = self.queue();
            queue.waiting.push(Arc::clone(&job));
            !std::mem::replace(&mut queue.is_writing, true)
        };
        if has_turn || job.wait() {
            self.take_turn(url, options, job.deadline);
        }
        let result = job.result().unwrap_or_else(|| self.give_up(url, &job));
        result.map_err(|failure| io::Error::new(failure.kind, failure.message))
    }

    /// Writes the waiting jobs, at least the thread's own, and passes the turn on.
    fn take_turn(&self, url: &Url, options: &RedisOptions, deadline: Instant) {
        let jobs = self.queue().take_group();
        let outcome = {
            let mut connection = lock(&self.connection);
            let read = *lock(&self.read);
            let group = Group {
                url,
                options,
                writer: &self.name,
                first: connection.number + 1,
                jobs: &jobs,
                answered: 0,
                sent: false,
                floor: connection.floor.max(read),
            };
            connection.add(group, deadline)
        };
        let mut queue = self.queue();
        if let Err(error) = outcome {
            // Jobs that came meanwhile would wait as long, for the same failure.
            let failure = Failure {
                kind: error.kind(),
                message: format!("Redis at {url}: {error}; the event is not kept"),
            };
            for job in queue.waiting.drain(..) {
                job.end(Err(failure.clone()));
            }
        }
        queue.pass_turn();
    }

    /// The result of a job whose time is over.
    fn give_up(&self, url: &Url, job: &Arc<Job>) -> Result<EventId, Failure> {
        let mut queue = self.queue();
        let before = queue.waiting.len();
        queue.waiting.retain(|waiting| !Arc::ptr_eq(waiting, job));
        let was_waiting = queue.waiting.len() < before;
        match &*job.state() {
            // It ended at the last moment.
            JobState::Done(result) => return result.clone(),
            // It has just received the turn, which now goes to the next job.
            JobState::HasTurn => queue.pass_turn(),
            JobState::Waiting => {}
        }
        let fate = match was_waiting {
            true => "is not kept",
            false => "may be kept or not",
        };
        Err(Failure {
            kind: io::ErrorKind::TimedOut,
            message: format!("Redis at {url}: it does not answer in time; the event {fate}"),
        })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }
}

/// Jobs that are written together, under consecutive numbers, and their progress.
struct Group<'a> {
    url: &'a Url,
    options: &'a RedisOptions,
    writer: &'a str,
    first: u64,
    jobs: &'a [Arc<Job>],
    /// How many of the jobs have their result.
    answered: usize,
    /// Something was written, so an event without an answer may be in the stream.
    sent: bool,
    /// An entry that was in the stream before these events were written: they come after it.
    floor: EventId,
}

impl WriterConnection {
    /// Adds a group and gives each job its result. An error concerns the connection, and the jobs
    /// have been told of it too.
    fn add(&mut self, mut group: Group<'_>, deadline: Instant) -> io::Result<()> {
        self.number += group.jobs.len() as u64;
        if self.connection.as_mut().is_some_and(Connection::is_gone) {
            // It died while it was idle, and received none of these events.
            self.connection = None;
        }
        let mut again = false;
        loop {
            let outcome = self.attempt(&mut group, deadline);
            self.floor = group.floor;
            let Err(error) = outcome else {
                return Ok(());
            };
            self.connection = None;
            // The server may have executed commands without an answer: once more, under the same
            // keys.
            if group.sent && !again && Instant::now() < deadline {
                again = true;
                continue;
            }
            let failure = group.failure(&error, group.sent);
            group.tell(vec![Err(failure); group.jobs.len() - group.answered]);
            return Err(error);
        }
    }

    fn connect(&mut self, url: &Url, deadline: Instant) -> io::Result<&mut Connection> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => {
                let connection = Connection::open(url, deadline)?;
                self.opened.fetch_add(1, Ordering::Relaxed);
                Ok(none.insert(connection))
            }
        }
    }

    fn attempt(&mut self, group: &mut Group<'_>, deadline: Instant) -> io::Result<()> {
        let connection = self.connect(group.url, deadline)?;
        let by = deadline.min(Instant::now() + IO);
        let again = group.sent;
        // Events that are there already keep the ids under which nodes read them.
        let mut results = match again {
            true => group.find_unanswered(connection, by)?,
            false => Vec::new(),
        };
        let replicas = group.options.replicas;
        if replicas == 0 {
            group.tell(results.drain(..));
        }
        let found = results.len();
        let mut next = group.answered + found;
        // WAIT counts the replicas that have the writes of this connection. If all events are there
        // already, this connection writes the last of them once more, under the same key, and
        // readers skip the second.
        let is_for_wait =
            replicas > 0 && next == group.jobs.len() && results.last().is_some_and(Result::is_ok);
        if is_for_wait {
            next -= 1;
        }
        if next == group.jobs.len() {
            group.tell(results);
            return Ok(());
        }
        group.sent = true;
        connection.send(&group.commands(next), by)?;
        if is_for_wait {
            id(connection.receive(by)?)?;
        }
        let mut is_elsewhere = false;
        while group.jobs.len() - group.answered > results.len() {
            let reply = connection.receive(by)?;
            is_elsewhere |= connection::is_elsewhere(&reply);
            // The server refuses it now, but may have added it before.
            let result = id(reply).map_err(|error| group.failure(&error, again));
            match replicas == 0 && !again {
                true => group.tell([result]),
                false => results.push(result),
            }
        }
        let acknowledged = match replicas {
            0 => 0,
            _ => acknowledged(connection.receive(by)?, &results)?,
        };
        if again {
            group.correct_ids(connection, by, &mut results[found..])?;
        }
        if acknowledged < replicas {
            let lagging = group.lagging(acknowledged);
            for result in results.iter_mut().filter(|result| result.is_ok()) {
                *result = Err(lagging.clone());
            }
        }
        group.tell(results);
        if is_elsewhere {
            // The same name may lead to the master now.
            self.connection = None;
        }
        Ok(())
    }
}

/// How many replicas have the events, as `WAIT` says.
fn acknowledged(reply: Reply, results: &[Result<EventId, Failure>]) -> io::Result<usize> {
    match reply {
        Reply::Integer(count) => Ok(usize::try_from(count).unwrap_or(0)),
        // A server that is not the master refuses this just as it refused the events.
        Reply::Error(_) if results.iter().all(Result::is_err) => Ok(0),
        Reply::Error(text) => Err(refused(&text)),
        _ => Err(unexpected()),
    }
}

impl Group<'_> {
    /// The commands that add the jobs from this index on.
    fn commands(&self, next: usize) -> Vec<u8> {
        let RedisOptions {
            stream,
            max_events,
            replicas,
        } = self.options;
        let mut bytes = Vec::new();
        for (number, job) in (self.first..).zip(self.jobs).skip(next) {
            let key = Key {
                writer: self.writer.to_owned(),
                number,
            };
            let event = (&*job.topic, &*job.name, &*job.data);
            entry::add(&mut bytes, stream, *max_events, event, &key);
        }
        if *replicas > 0 {
            let wait = REPLICATION.as_millis().to_string();
            command(&mut bytes, &["WAIT", &replicas.to_string(), &wait]);
        }
        bytes
    }

    /// The numbers of the jobs without an answer.
    fn unanswered(&self) -> Range<u64> {
        self.first + self.answered as u64..self.first + self.jobs.len() as u64
    }

    /// The results of the jobs without an answer. The events that are there come first, because
    /// they are added in order. The other events are certainly not there.
    fn find_unanswered(
        &mut self,
        connection: &mut Connection,
        by: Instant,
    ) -> io::Result<Vec<Result<EventId, Failure>>> {
        let numbers = self.unanswered();
        let found = self.search().back(connection, by, Some(numbers.start))?;
        // Events that are written from now on come after the entries that were found.
        self.floor = found.newest;
        let mut fates = fates(&found.own, numbers.clone());
        let missing = match found.is_all {
            true => "it took later ones, and not this; the event is not kept",
            false => {
                if fates.is_empty() {
                    fates = vec![None; (numbers.end - numbers.start) as usize];
                }
                "it did not answer, and has more than can be searched; the event may be kept or not"
            }
        };
        let missing = Failure {
            kind: io::ErrorKind::Other,
            message: format!("Redis at {}: {missing}", self.url),
        };
        let fates = fates.into_iter();
        Ok(fates.map(|id| id.ok_or_else(|| missing.clone())).collect())
    }

    /// The last jobs were written again. Gives them the ids under which nodes read them: the server
    /// may have executed the commands of the lost connection in between, and the first of the two
    /// entries counts.
    fn correct_ids(
        &self,
        connection: &mut Connection,
        by: Instant,
        results: &mut [Result<EventId, Failure>],
    ) -> io::Result<()> {
        if results.is_empty() {
            return Ok(());
        }
        let found = self.search().back(connection, by, None)?;
        if !found.is_all {
            let error = io::Error::other("it is not seen which of two entries is the first");
            results.fill(Err(self.failure(&error, true)));
            return Ok(());
        }
        let numbers = self.unanswered().end - results.len() as u64..;
        for (number, result) in numbers.zip(results) {
            if let Some(id) = found.own.get(&number) {
                *result = Ok(*id);
            }
        }
        Ok(())
    }

    fn search(&self) -> Search<'_> {
        Search {
            stream: &self.options.stream,
            max_events: self.options.max_events,
            writer: self.writer,
            floor: self.floor,
        }
    }

    /// Gives the next jobs their results.
    fn tell(&mut self, results: impl IntoIterator<Item = Result<EventId, Failure>>) {
        for result in results {
            if let Ok(id) = result {
                self.floor = id;
            }
            self.jobs[self.answered].end(result);
            self.answered += 1;
        }
    }

    fn lagging(&self, acknowledged: usize) -> Failure {
        Failure {
            kind: io::ErrorKind::TimedOut,
            message: format!(
                "Redis at {}: the event is kept, but {acknowledged} of {} replicas have it",
                self.url, self.options.replicas
            ),
        }
    }

    fn failure(&self, error: &io::Error, may_be_kept: bool) -> Failure {
        let fate = match may_be_kept {
            true => "may be kept or not",
            false => "is not kept",
        };
        Failure {
            kind: error.kind(),
            message: format!("Redis at {}: {error}; the event {fate}", self.url),
        }
    }
}

/// The ids of these numbers, up to the last number that is there. `None` for a number before it
/// that is not there: that event was refused, or is too far back to be found. The writer must not
/// add it after events with higher numbers, because readers would take it for an event that they
/// have.
fn fates(own: &HashMap<u64, EventId>, numbers: Range<u64>) -> Vec<Option<EventId>> {
    let is_there = |number: &u64| own.contains_key(number);
    let Some(last) = numbers.clone().rev().find(is_there) else {
        return Vec::new();
    };
    let numbers = numbers.start..=last;
    numbers.map(|number| own.get(&number).copied()).collect()
}

fn id(reply: Reply) -> io::Result<EventId> {
    let id = match reply {
        Reply::Bulk(id) => String::from_utf8(id).ok(),
        Reply::Error(text) => return Err(refused(&text)),
        _ => None,
    };
    id.and_then(|id| id.parse().ok()).ok_or_else(unexpected)
}

impl std::fmt::Debug for WriterConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriterConnection")
            .field("connected", &self.connection.is_some())
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(waiting: &[Arc<Job>]) -> Writer {
        let writer = Writer::new();
        writer.queue().waiting.extend(waiting.iter().cloned());
        writer.queue().is_writing = true;
        writer
    }

    #[test]
    fn who_waited_long_enough_gives_up() {
        let url = Url::parse("redis://h").unwrap();
        let late = Instant::now();
        let job = |deadline| Job::new(deadline, "t", "", "data");
        let jobs = [job(late), job(late), job(late + WHOLE), job(late)];
        let writer = writer(&jobs[..3]);
        let fate = |job: &Arc<Job>| {
            assert!(!job.wait(), "its time is over");
            let failure = writer.give_up(&url, job).unwrap_err();
            assert_eq!(failure.kind, io::ErrorKind::TimedOut);
            failure.message
        };
        let not_kept = "Redis at h:6379: it does not answer in time; the event is not kept";
        assert_eq!(fate(&jobs[0]), not_kept);
        // It gets the turn too late, and the turn goes to the next job.
        jobs[1].set(JobState::HasTurn);
        assert_eq!(fate(&jobs[1]), not_kept);
        assert!(jobs[2].wait());
        assert_eq!(writer.queue().waiting.len(), 1);
        // Another thread writes it.
        assert!(fate(&jobs[3]).ends_with("may be kept or not"));
        jobs[3].end(Ok(EventId { ms: 5, seq: 0 }));
        let kept = writer.give_up(&url, &jobs[3]).unwrap();
        assert_eq!(kept.ms, 5, "in the last moment");
    }

    #[test]
    fn what_became_of_those_without_an_answer() {
        let id = |ms| EventId { ms, seq: 0 };
        for (own, expected) in [
            (&[][..], &[][..]),
            (&[4], &[]),
            (&[5], &[Some(5)]),
            (&[3, 4, 5, 6], &[Some(5), Some(6)]),
            (&[5, 6, 7, 8], &[Some(5), Some(6), Some(7), Some(8)]),
            // One was refused, or is too far back.
            (&[5, 7], &[Some(5), None, Some(7)]),
            (&[4, 7], &[None, None, Some(7)]),
            (&[7, 8], &[None, None, Some(7), Some(8)]),
        ] {
            let own: HashMap<u64, EventId> = own.iter().map(|&n| (n, id(n))).collect();
            let expected: Vec<_> = expected.iter().map(|n| n.map(id)).collect();
            assert_eq!(fates(&own, 5..9), expected, "{own:?}");
        }
    }
}
