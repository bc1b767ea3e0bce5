//! Reads a stream from the last entry that was read, and checks that this entry is still there.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::{CONNECT, Connection, IO, refused, unexpected};
use super::entry::{Entry, Key, Seen, entries, read_entries};
use super::info::Info;
use super::url::Url;
use super::{REPLY_ENTRIES, RedisOptions};
use crate::clock::below;
use crate::engine::resp::{Reply, command};
use crate::engine::{Batch, Event, EventId, id_before};

/// The first pause before the reader tries a lost connection again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Longest wait that one read asks the server for. A caller that wants to wait longer calls again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Most bytes of events that are read at the start.
const TAIL_BYTES: usize = 64 << 20;

pub(super) struct Reader {
    connection: Option<Connection>,
    /// The last entry that was read, or the id after which the reader looks for the next.
    at: EventId,
    proof: Proof,
    seen: Seen,
    /// Number of entries that the next read asks for: 1 after an entry that was too long.
    count: usize,
    pause: Duration,
    retry_at: Option<Instant>,
    trouble: Option<(io::ErrorKind, String)>,
    /// How many connections the reader has opened.
    pub(super) opened: Arc<AtomicU64>,
}

/// Proves that the stream is still the one that was read so far: the entry at the cursor while it
/// is there, or an earlier one if that entry was deleted. A trimmed, emptied, restored or different
/// stream does not have it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Proof {
    /// The reader has read nothing of the stream yet.
    None,
    /// There is an entry with this id.
    Id(EventId),
    /// There is an entry with this id, and it was written under this key.
    Key(EventId, Option<Key>),
    /// All entries that were read are deleted, and the stream was in this state then.
    Deleted(Info),
}

/// The result of checking the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamMatch {
    /// The same stream.
    Same,
    /// It may be the same, but it is full: unread entries may have been trimmed.
    Full,
    Another,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            connection: None,
            at: EventId::default(),
            proof: Proof::None,
            seen: Seen::default(),
            count: REPLY_ENTRIES,
            pause: FIRST_PAUSE,
            retry_at: None,
            trouble: None,
            opened: Arc::default(),
        }
    }

    /// The last events, and the place after the last entry, whether that entry is an event or not.
    pub(super) fn tail(&mut self, url: &Url, stream: &str, max: usize) -> io::Result<Batch> {
        let tail = self.connect(url).and_then(|()| self.read_tail(stream, max));
        self.note_outcome(url, tail)
    }

    /// The events after `after`.
    pub(super) fn next(
        &mut self,
        url: &Url,
        options: &RedisOptions,
        after: EventId,
        wait: Duration,
        max: usize,
    ) -> io::Result<Batch> {
        let wait = wait.min(LONGEST_WAIT);
        if after != self.at {
            self.at = after;
            self.proof = match after == EventId::default() {
                true => Proof::None,
                false => Proof::Id(after),
            };
        }
        if let Some(at) = self.retry_at {
            let left = at.saturating_duration_since(Instant::now());
            thread::sleep(left.min(wait));
            if left > wait {
                let (kind, message) = self
                    .trouble
                    .clone()
                    .unwrap_or((io::ErrorKind::NotConnected, String::new()));
                return Err(io::Error::new(kind, message));
            }
        }
        let fresh = self.connection.is_none();
        let batch = self
            .connect(url)
            .and_then(|()| self.read_next(options, wait, max, fresh));
        self.note_outcome(url, batch)
    }

    /// The last entry's id, whatever the reader has read.
    pub(super) fn end(&mut self, url: &Url, stream: &str) -> io::Result<EventId> {
        let last = self.connect(url).and_then(|()| self.read_last(stream));
        let last = self.note_outcome(url, last)?;
        Ok(last.map_or(EventId::default(), |last| last.id))
    }

    /// Why the stream cannot be read now.
    pub(super) fn trouble(&self) -> Option<(io::ErrorKind, String)> {
        self.trouble.clone()
    }

    fn connect(&mut self, url: &Url) -> io::Result<()> {
        if self.connection.is_none() {
            let deadline = Instant::now() + CONNECT + IO;
            self.connection = Some(Connection::open(url, deadline)?);
            self.opened.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Notes whether this succeeded, and when to try again if not.
    fn note_outcome<T>(&mut self, url: &Url, outcome: io::Result<T>) -> io::Result<T> {
        match outcome {
            Ok(value) => {
                self.pause = FIRST_PAUSE;
                self.retry_at = None;
                self.trouble = None;
                Ok(value)
            }
            Err(error) => {
                self.connection = None;
                let half = self.pause / 2;
                self.retry_at = Some(Instant::now() + half + below(half));
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                let message = format!("Redis at {url}: {error}");
                self.trouble = Some((error.kind(), message.clone()));
                Err(io::Error::new(error.kind(), message))
            }
        }
    }

    fn read_tail(&mut self, stream: &str, max: usize) -> io::Result<Batch> {
        self.stand(None);
        // From the end back, until an entry cannot be read: there is no gap between the later
        // entries.
        let mut newest_first: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        let mut end = "+".to_owned();
        let mut count = REPLY_ENTRIES;
        // At least one entry: the caller always needs the end of the stream.
        'all: while newest_first.len() < max.max(1) && bytes < TAIL_BYTES {
            let args = ["XREVRANGE", stream, &end, "-", "COUNT", &count.to_string()];
            let chunk = entries(self.ask(&args)?).ok_or_else(unexpected)?;
            if count > 1 && chunk.iter().any(|entry| entry.too_long) {
                count = 1;
                continue;
            }
            let Some(oldest) = chunk.last() else {
                break;
            };
            end = id_before(oldest.id).to_string();
            for entry in chunk {
                if newest_first.is_empty() {
                    self.stand(Some(&entry));
                }
                let Some(event) = &entry.event else {
                    break 'all;
                };
                bytes += event.topic.len() + event.name.len() + event.data.len();
                newest_first.push(entry);
            }
        }
        newest_first.truncate(max);
        self.seen = Seen::default();
        let in_order = newest_first.into_iter().rev();
        let new = in_order.filter(|entry| self.seen.is_new(entry.key.as_ref()));
        let events = new.filter_map(|entry| entry.event).collect();
        Ok(self.batch(events, false))
    }

    fn read_next(
        &mut self,
        options: &RedisOptions,
        wait: Duration,
        max: usize,
        fresh: bool,
    ) -> io::Result<Batch> {
        let stream = &*options.stream;
        // BLOCK 0 would have no end.
        let block = wait.as_millis().max(1).to_string();
        let at = self.at.to_string();
        if fresh && self.proof != Proof::None {
            // Before it waits, so that a reader that finds another stream reports it at once.
            let mut commands = Vec::new();
            self.look(stream, &mut commands);
            let by = Instant::now() + IO;
            self.connection()?.send(&commands, by)?;
            if self.judge(options, by)? == StreamMatch::Another {
                return self.begin_anew(stream);
            }
        }
        let count = self.count.min(max).max(1);
        let mut commands = Vec::new();
        let read = [
            "XREAD",
            "COUNT",
            &count.to_string(),
            "BLOCK",
            &block,
            "STREAMS",
            stream,
            &at,
        ];
        command(&mut commands, &read);
        // After the read. If the proof is there now, it was there during the read, and no entry
        // between the proof and the next one was removed.
        self.look(stream, &mut commands);
        let by = Instant::now() + wait + IO;
        let connection = self.connection()?;
        connection.send(&commands, by)?;
        let read = accepted(connection.receive(by)?)?;
        let found = self.judge(options, by)?;
        if found == StreamMatch::Another {
            return self.begin_anew(stream);
        }
        let entries = read_entries(read).ok_or_else(unexpected)?;
        if count > 1 && entries.iter().any(|entry| entry.too_long) {
            // The entries together were too large. Each by itself may fit.
            self.count = 1;
            return self.read_next(options, wait, max, false);
        }
        if !entries.is_empty() {
            self.count = (self.count * 2).min(REPLY_ENTRIES);
        }
        let gap = found == StreamMatch::Full && !entries.is_empty();
        let mut batch = self.take_entries(entries);
        batch.gap |= gap;
        Ok(batch)
    }

    /// The events of these entries, up to the first entry that cannot be read.
    fn take_entries(&mut self, entries: Vec<Entry>) -> Batch {
        let mut events = Vec::new();
        let mut gap = false;
        for entry in entries {
            if entry.event.is_none() {
                // The event is lost to this node. The gap is reported before the events that
                // follow.
                if !events.is_empty() {
                    break;
                }
                gap = true;
            }
            self.stand(Some(&entry));
            if self.seen.is_new(entry.key.as_ref()) {
                events.extend(entry.event);
            }
        }
        self.batch(events, gap)
    }

    fn batch(&self, events: Vec<Event>, gap: bool) -> Batch {
        let end = self.at;
        Batch { events, gap, end }
    }

    /// The stream is not the one that was read so far. The reader continues after the entries that
    /// are there now, or with the entries that are new to it.
    fn begin_anew(&mut self, stream: &str) -> io::Result<Batch> {
        let last = self.read_last(stream)?;
        if last.as_ref().is_some_and(|last| last.id > self.at) {
            // The stream has later entries: it was trimmed, and the rest is new. The reader takes
            // the first of them as its proof at once, so that it notices further trimming.
            let at = self.at.to_string();
            let first = self.ask(&["XREAD", "COUNT", "1", "STREAMS", stream, &at])?;
            let mut batch = self.take_entries(read_entries(first).ok_or_else(unexpected)?);
            batch.gap = true;
            return Ok(batch);
        }
        self.stand(last.as_ref());
        Ok(self.batch(Vec::new(), true))
    }

    /// Sets the last entry that was read; `None` if there is none.
    fn stand(&mut self, entry: Option<&Entry>) {
        (self.at, self.proof) = match entry {
            Some(entry) => (entry.id, Proof::Key(entry.id, entry.key.clone())),
            None => (EventId::default(), Proof::None),
        };
    }

    /// Whether the entry at the cursor was deleted, and the proof is an entry before it.
    fn is_behind(&self) -> bool {
        matches!(self.proof, Proof::Key(id, _) if id < self.at)
    }

    /// Adds the commands that ask for the proof.
    fn look(&self, stream: &str, commands: &mut Vec<u8>) {
        if self.is_behind() {
            // The proof does not show whether the stream ever had the entry at the cursor.
            command(commands, &["XINFO", "STREAM", stream]);
        }
        match &self.proof {
            // If the stream was never full, no entry was trimmed.
            Proof::None => command(commands, &["XLEN", stream]),
            Proof::Id(at) | Proof::Key(at, _) => {
                let at = at.to_string();
                command(commands, &["XRANGE", stream, &at, &at, "COUNT", "1"]);
            }
            Proof::Deleted(_) => command(commands, &["XINFO", "STREAM", stream]),
        }
    }

    /// Receives the answers to these commands, and judges the stream by them.
    fn judge(&mut self, options: &RedisOptions, by: Instant) -> io::Result<StreamMatch> {
        let at = self.at;
        let has_had_it = match self.is_behind() {
            true => Info::parse(self.connection()?.receive(by)?).is_some_and(|info| info.had(at)),
            false => true,
        };
        let found = self.connection()?.receive(by)?;
        if !has_had_it {
            return Ok(StreamMatch::Another);
        }
        let of_length = |length: usize| match length >= options.max_events {
            true => StreamMatch::Full,
            false => StreamMatch::Same,
        };
        match &self.proof {
            Proof::None => match accepted(found)? {
                Reply::Integer(length) => Ok(of_length(length.try_into().unwrap_or(0))),
                _ => Ok(StreamMatch::Same),
            },
            // For a stream that was emptied, the server answers `ERR no such key`.
            Proof::Deleted(earlier) => Ok(match Info::parse(found) {
                Some(info) if info.follows(earlier) => of_length(info.length),
                _ => StreamMatch::Another,
            }),
            Proof::Id(_) | Proof::Key(..) => {
                let entry = entries(accepted(found)?).ok_or_else(unexpected)?.pop();
                let is_same = match (&self.proof, entry) {
                    (_, None) => self.move_proof(&options.stream)?,
                    (Proof::Key(_, key), Some(entry)) => entry.key == *key,
                    (_, Some(_)) => true,
                };
                Ok(match is_same {
                    true => StreamMatch::Same,
                    false => StreamMatch::Another,
                })
            }
        }
    }

    /// The entry that was the proof is gone. If only that entry was deleted, the newest entry
    /// before the cursor becomes the proof, or the fact that there is none. Returns whether only it
    /// was deleted. If the server does not say, the reader treats the stream as another.
    fn move_proof(&mut self, stream: &str) -> io::Result<bool> {
        let mut commands = Vec::new();
        command(&mut commands, &["XINFO", "STREAM", stream]);
        let by = Instant::now() + IO;
        let connection = self.connection()?;
        connection.send(&commands, by)?;
        let info = Info::parse(connection.receive(by)?);
        let Some(info) = info.filter(|info| info.is_whole_behind(self.at)) else {
            return Ok(false);
        };
        let before = id_before(self.at).to_string();
        let older = self.ask(&["XREVRANGE", stream, &before, "-", "COUNT", "1"])?;
        self.proof = match entries(older).ok_or_else(unexpected)?.pop() {
            Some(entry) => Proof::Key(entry.id, entry.key),
            None => Proof::Deleted(info),
        };
        Ok(true)
    }

    fn read_last(&mut self, stream: &str) -> io::Result<Option<Entry>> {
        let last = self.ask(&["XREVRANGE", stream, "+", "-", "COUNT", "1"])?;
        Ok(entries(last).ok_or_else(unexpected)?.pop())
    }

    fn ask(&mut self, args: &[&str]) -> io::Result<Reply> {
        self.connection()?.ask(args, Instant::now() + IO)
    }

    fn connection(&mut self) -> io::Result<&mut Connection> {
        let connection = self.connection.as_mut();
        connection.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

fn accepted(reply: Reply) -> io::Result<Reply> {
    match reply {
        Reply::Error(text) => Err(refused(&text)),
        reply => Ok(reply),
    }
}
