//! What adds events: many threads publish, one connection carries what they have, in as few writes as it can.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::{CONNECT, Connection, IO, refused, unexpected};
use super::entry::{self, Key};
use super::queue::{Failure, Job, Queue, State};
use super::url::Url;
use super::{REPLY_ENTRIES, RedisOptions, random};
use crate::EventId;
use crate::engine::resp::{Reply, command};

/// How long a publisher waits for all of it: its turn, a connection, the answer.
const WHOLE: Duration = CONNECT.saturating_add(IO);

/// How long the replicas that were asked for have.
const REPLICATION: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Queue>,
    link: Mutex<Link>,
    name: String,
    /// How many connections it has opened.
    pub(super) opened: Arc<AtomicU64>,
}

struct Link {
    connection: Option<Connection>,
    /// The number of the last event that was given one.
    number: u64,
    opened: Arc<AtomicU64>,
}

impl Writer {
    pub(super) fn new() -> Writer {
        let opened = Arc::default();
        Writer {
            queue: Mutex::default(),
            link: Mutex::new(Link {
                connection: None,
                number: 0,
                opened: Arc::clone(&opened),
            }),
            name: format!("{:016x}", random()),
            opened,
        }
    }

    /// Adds an event, at the latest within [`WHOLE`].
    pub(super) fn publish(
        &self,
        url: &Url,
        options: &RedisOptions,
        topic: &str,
        name: &str,
        data: &str,
    ) -> io::Result<EventId> {
        let job = Job::new(Instant::now() + WHOLE, topic, name, data);
        let leads = {
            let mut queue = self.queue();
            queue.waiting.push(Arc::clone(&job));
            !std::mem::replace(&mut queue.led, true)
        };
        if leads || job.wait() {
            self.lead(url, options, job.deadline);
        }
        let result = job.result().unwrap_or_else(|| self.give_up(url, &job));
        result.map_err(|failure| io::Error::new(failure.kind, failure.message))
    }

    /// Writes what waits, at least one's own, and hands the lead on.
    fn lead(&self, url: &Url, options: &RedisOptions, deadline: Instant) {
        let group = self.queue().take();
        let outcome = {
            let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
            link.add(&self.name, url, options, &group, deadline)
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
        queue.hand_on();
    }

    /// What becomes of a job whose time is over.
    fn give_up(&self, url: &Url, job: &Arc<Job>) -> Result<EventId, Failure> {
        let mut queue = self.queue();
        let before = queue.waiting.len();
        queue.waiting.retain(|waiting| !Arc::ptr_eq(waiting, job));
        let was_waiting = queue.waiting.len() < before;
        match &*job.state() {
            // In the last moment.
            State::Done(result) => return result.clone(),
            // Its turn has just come, and is the next one's.
            State::Leads => queue.hand_on(),
            State::Waiting => {}
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
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Jobs that are written together, under numbers that follow each other, and how far they have come.
struct Group<'a> {
    url: &'a Url,
    options: &'a RedisOptions,
    writer: &'a str,
    first: u64,
    jobs: &'a [Arc<Job>],
    /// So many of them are told what came of them.
    answered: usize,
    /// Something was written, so that what has no answer may be there.
    sent: bool,
}

impl Link {
    /// Adds a group and tells each what came of it. An error is the connection's, and was told too.
    fn add(
        &mut self,
        writer: &str,
        url: &Url,
        options: &RedisOptions,
        jobs: &[Arc<Job>],
        deadline: Instant,
    ) -> io::Result<()> {
        let mut group = Group {
            url,
            options,
            writer,
            first: self.number + 1,
            jobs,
            answered: 0,
            sent: false,
        };
        self.number += jobs.len() as u64;
        let mut again = false;
        loop {
            let Err(error) = self.attempt(&mut group, deadline) else {
                return Ok(());
            };
            self.connection = None;
            // A connection may have died while it was idle, and a server may have done what it could not answer: once more,
            // under the same keys.
            if group.sent && !again && Instant::now() < deadline {
                again = true;
                continue;
            }
            let fate = match group.sent {
                true => "may be kept or not",
                false => "is not kept",
            };
            let failure = Failure {
                kind: error.kind(),
                message: format!("Redis at {url}: {error}; the event {fate}"),
            };
            for job in &jobs[group.answered..] {
                job.end(Err(failure.clone()));
            }
            return Err(error);
        }
    }

    fn attempt(&mut self, group: &mut Group<'_>, deadline: Instant) -> io::Result<()> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let connection = Connection::open(group.url, deadline)?;
                self.opened.fetch_add(1, Ordering::Relaxed);
                none.insert(connection)
            }
        };
        let by = deadline.min(Instant::now() + IO);
        // Those that are there already keep the ids under which they are read.
        let mut results = match group.sent {
            true => group.find(connection, by)?,
            false => Vec::new(),
        };
        let replicas = group.options.replicas;
        let mut next = group.answered + results.len();
        // WAIT is for what its own connection has written. If all are there already, the last is added once more under its key,
        // which nobody is given twice.
        let is_again = replicas > 0 && next == group.jobs.len();
        if is_again {
            next -= 1;
        }
        let mut bytes = Vec::new();
        for at in next..group.jobs.len() {
            group.command(at, &mut bytes);
        }
        if replicas > 0 {
            let wait = REPLICATION.as_millis().to_string();
            command(&mut bytes, &["WAIT", &replicas.to_string(), &wait]);
        } else {
            group.tell(results.drain(..));
        }
        group.sent = true;
        connection.send(&bytes, by)?;
        if is_again {
            id(connection.receive(by)?)?;
        }
        let mut demoted = false;
        while group.jobs.len() - group.answered > results.len() {
            let reply = connection.receive(by)?;
            demoted |= matches!(&reply, Reply::Error(text) if text.starts_with("READONLY"));
            let result = id(reply).map_err(|error| Failure {
                kind: error.kind(),
                message: format!("Redis at {}: {error}; the event is not kept", group.url),
            });
            match replicas {
                0 => group.tell([result]),
                _ => results.push(result),
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
            let lagging = Failure {
                kind: io::ErrorKind::TimedOut,
                message: format!(
                    "Redis at {}: the event is kept, but {acknowledged} of {replicas} replicas have it",
                    group.url
                ),
            };
            let enough = acknowledged >= replicas;
            group.tell(results.into_iter().map(|result| match enough {
                true => result,
                false => result.and(Err(lagging.clone())),
            }));
        }
        if demoted {
            // It is no master any more; who is may be found anew under the same name.
            self.connection = None;
        }
        Ok(())
    }
}

impl Group<'_> {
    fn command(&self, at: usize, out: &mut Vec<u8>) {
        let job = &self.jobs[at];
        let key = Key {
            writer: self.writer.to_owned(),
            number: self.first + at as u64,
        };
        let event = (&*job.topic, &*job.name, &*job.data);
        let RedisOptions {
            stream, max_events, ..
        } = self.options;
        entry::add(out, stream, *max_events, event, &key);
    }

    /// What became of those without an answer, as far as it can be seen: the first so many, since they are added in order. They are
    /// looked for among the last entries alone; if none from some number on is found, they are added, twice perhaps, and read once.
    fn find(
        &self,
        connection: &mut Connection,
        by: Instant,
    ) -> io::Result<Vec<Result<EventId, Failure>>> {
        let count = REPLY_ENTRIES.max(self.jobs.len() * 2).to_string();
        let last = ["XREVRANGE", &self.options.stream, "+", "-", "COUNT", &count];
        let last = entry::entries(connection.ask(&last, by)?).ok_or_else(unexpected)?;
        // From the newest on, so that of two the older stays.
        let own = last.into_iter().filter_map(|entry| {
            let key = entry.key.filter(|key| key.writer == self.writer)?;
            Some((key.number, entry.id))
        });
        let own: HashMap<u64, EventId> = own.collect();
        let waiting = self.first + self.answered as u64..self.first + self.jobs.len() as u64;
        let unknown = Failure {
            kind: io::ErrorKind::Other,
            message: format!(
                "Redis at {}: it took later ones, and this is not seen before them; the event may be kept or not",
                self.url
            ),
        };
        let fates = fates(&own, waiting).into_iter();
        Ok(fates.map(|id| id.ok_or_else(|| unknown.clone())).collect())
    }

    /// Tells the next ones what came of them.
    fn tell(&mut self, results: impl IntoIterator<Item = Result<EventId, Failure>>) {
        for result in results {
            self.jobs[self.answered].end(result);
            self.answered += 1;
        }
    }
}

/// The ids of the first of these numbers, up to the last one that is there. One before it that is not there was refused, or is too
/// far back to be seen. It may not be added behind what came after it: readers would take it for one that they have.
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

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
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
        writer.queue().led = true;
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
        // Its turn comes too late, and goes to the next.
        jobs[1].set(State::Leads);
        assert_eq!(fate(&jobs[1]), not_kept);
        assert!(jobs[2].wait());
        assert_eq!(writer.queue().waiting.len(), 1);
        // Another writes it.
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
