//! The engine for several processes: events in a Redis stream.

mod connection;
mod entry;
mod info;
mod queue;
mod reader;
mod search;
mod url;
mod writer;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use self::connection::{CONNECT, Connection, IO};
use self::reader::Reader;
use self::url::Url;
use self::writer::Writer;
use super::resp::Reply;
use super::{Batch, Engine, EventId};
use crate::lock::lock;

/// Number of entries that one read asks for.
const REPLY_ENTRIES: usize = 256;

/// Keeps events in a stream of Redis 5 or later, or of Valkey, so that several processes are nodes
/// of one engine.
///
/// Every node reads the whole stream into its hub's ring, its own events included. So the order is
/// the same on every node, and a node serves clients that come back from its own memory, however
/// many come at once.
///
/// An event is an entry with the fields `topic`, `event`, `data` and `key`. Another program may
/// publish too, without a `key`: `XADD akurai '*' topic news data hello`. A node uses the `key` to
/// recognise an event that a node has added twice.
///
/// ```no_run
/// use akurai_server::{Hub, HubOptions, Redis, RedisOptions};
///
/// let redis = Redis::new("redis://127.0.0.1:6379", RedisOptions::default())?;
/// if let Some(warning) = redis.warning()? {
///     eprintln!("{warning}");
/// }
/// let hub = Hub::with_engine(HubOptions::default(), redis)?;
/// hub.publish("news", "", "hello")?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// One `Redis` value serves one hub. It has its own two connections: one reads, the other publishes
/// the events of all threads, in as few writes as possible.
///
/// # The URL
///
/// `redis://user:password@host:port/database`, where everything but the host is optional (port
/// 6379, database 0), or `unix:/path?db=database`, or with credentials
/// `unix://user:password@/path`. `valkey://` means the same as `redis://`. The database may also be
/// given as `?db=database`. No other parameter is accepted. An IPv6 address is in brackets, with
/// its zone if it has one: `[fe80::1%25eth0]`.
///
/// User and password are percent-encoded. `:password@` is the default user's password. The client
/// sends no `AUTH` if nothing comes before the host, or only `@` or `:@`. `user:@` is a user with
/// an empty password. `word@` is refused, because programs disagree on its meaning: redis-cli reads
/// it as a password, redis-py as a user. Credentials after `unix:` without the `//` are refused
/// too. So in a socket's path, write an `@` as `%40` if it comes after a colon or at the end of a
/// name.
///
/// The protocol is RESP2. There is no TLS. Across a network that you do not trust, run a TLS
/// sidecar (stunnel, ghostunnel, HAProxy or a mesh): it listens on loopback or a Unix socket here,
/// and connects to the server's TLS port.
///
/// Cluster mode is not supported. A stream is one key, and one cluster node serves that key. A URL
/// that names this node works until the key's slot moves. Every other cluster node answers `MOVED`,
/// and the error says so. If one server is not enough, see [below](#several-streams).
///
/// An ACL needs `+xadd +xread +xrange +xrevrange +xlen +xinfo|stream` on the stream's key (`+xinfo`
/// before Redis 7), and `+info +select +wait` if they are used. Without `xinfo`, a deletion of the
/// newest event looks like another stream.
/// # What happens when
///
/// - **The server is unreachable.** [`publish`](Engine::publish) fails with a message that gives
///   the reason: within 1 s if there is no connection, within 3 s if the server accepts the command
///   but does not answer, or answers slowly. The system looks up a host name and takes its own
///   time, so prefer an address. One case has no time limit: a Unix socket whose server accepts no
///   connection, once its queue of waiting connections is full (`tcp-backlog`, 511). A thread that
///   publishes while others do waits for them first, for 3 s in all from its own call, and fails
///   with them. Streams stay open, with heartbeats. The reader tries again after 100 ms, then after
///   longer and longer pauses, up to 5 s with jitter, and continues from its last position.
///   [`ready`](Engine::ready) fails from the first failure until the reader reads again.
/// - **No answer came.** The writer connects again and searches the stream for the event's `key`.
///   It searches from the newest entry back to the last entry that it has added or its process has
///   read, or to the beginning of a stream that was never full. If the event is there, the writer
///   returns its id. If it is certainly not there, the writer sends it once more, with the same
///   key. The server may still carry out the command of the first connection, which it had received
///   but not executed, so that the stream has the event twice. Every node then gives only the first
///   of the two to its subscribers, as long as the writer's process is among the last 1024 that
///   published, and `publish` returns the id of the first. Publishing fails if the second attempt
///   fails too, if the time is over, or if the search ends at a place where entries were trimmed
///   away. The error then says that the event may be kept or not: a program that publishes it again
///   may publish it twice.
/// - **The stream is not the one that the reader has read**: it was trimmed past the reader,
///   emptied or restored from an older copy, or another server has the name. With each read, and
///   once a second when nothing comes, the reader checks that the last entry it has read is still
///   there, under its key. The server sends that whole entry each time: if it is an event of 1 MB,
///   and nothing comes after it, each node receives 1 MB/s. If the entry is not there, the hub
///   sends every client an event named `reset`, and continues with the entries that are there. A
///   node that starts after that knows only the entries that the server has. It cannot tell a
///   client that left before the copy was made which events are undone since.
/// - **A replica takes over.** Redis acknowledges an event before its replicas have it, so a
///   failover may lose acknowledged events. Nodes that had read them send a `reset`; nodes that had
///   not read them do not know. With [`RedisOptions::replicas`] a publisher waits for replicas.
///   This makes such a loss rare, not impossible.
/// - **The server's memory is full.** With the policy `noeviction` the server refuses a publish
///   (`OOM`); with other policies it may delete the stream, see [`warning`](Redis::warning).
/// - **An entry cannot be read**: it is no event, not UTF-8, or larger than 56 MiB. It is lost, and
///   the hub reports a loss.
///
/// A reader that has not read any entry of a stream has none to check. It reports a gap if the
/// stream is full by then.
///
/// If an operator deletes single events (`XDEL`), this is not a loss. If the last entry that was
/// read is gone, the reader asks (`XINFO STREAM`) whether only that entry is gone. The deletion
/// looks like another stream if no older entry is left, and the next event comes before the reader
/// checks. A client whose last event was deleted gets a `reset` from a node that never read that
/// event.
///
/// Before Redis 7, and with KeyDB, the server does not say which entry was deleted, nor how many
/// events were ever added:
///
/// - A deletion looks like another stream whenever the next event comes before the reader checks.
/// - If all entries that were read are deleted, and between two checks events come, the stream is
///   emptied and another event comes, then the events in between are lost without a `reset`.
/// - A replica takes over that never had the deleted entry. Between two checks, it adds one event
///   with an id below that entry's id, because its clock is behind, and one with an id above it.
///   The first of the two is then lost without a `reset`.
///
/// Without `appendonly yes`, a server that crashes comes back with its last snapshot, or with no
/// data. With it, the server comes back without the last second.
///
/// # Several streams
///
/// Every node reads every event of its stream. When that is too much, split the topics over several
/// streams, each with a hub of its own. A proxy then sends the clients of a topic to nodes that
/// have its hub. The program decides which shard a topic belongs to. Every process, and every later
/// version of it, has to decide the same way. std's hashers promise that to nobody, so this hashes
/// by FNV-1a:
///
/// ```no_run
/// # use akurai_server::{Hub, HubOptions, Redis, RedisOptions};
/// const SHARDS: usize = 4;
/// fn shard_of(topic: &str) -> usize {
///     let hash = topic.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
///         (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
///     });
///     (hash % SHARDS as u64) as usize
/// }
/// let hubs = (0..SHARDS).map(|shard| {
///     let options = RedisOptions::default().stream(&format!("akurai:{shard}"));
///     Hub::with_engine(HubOptions::default(), Redis::new("redis://127.0.0.1", options)?)
/// });
/// let hubs: Vec<Hub> = hubs.collect::<std::io::Result<_>>()?;
/// hubs[shard_of("news")].publish("news", "", "hello")?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// This has a price:
///
/// - A client's `Last-Event-ID` is a place in one stream, so one connection has topics of one shard
///   only.
/// - There is no order between shards.
/// - Each shard has its own connections, ring and threads on every node that reads it.
/// - If the number of shards changes, topics move to other shards, and their clients get a `reset`.
///
/// A node that only publishes to a shard needs no hub for it: `Redis` itself publishes.
pub struct Redis {
    url: Url,
    options: RedisOptions,
    writer: Writer,
    reader: Mutex<Reader>,
    trouble: Mutex<Option<(io::ErrorKind, String)>>,
    /// How many connections the writer and the reader have opened.
    opened: [Arc<AtomicU64>; 2],
}

/// The stream that a [`Redis`] uses, and how much it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an engine has options only if `Redis::new` is given them"]
pub struct RedisOptions {
    pub(crate) stream: String,
    pub(crate) max_events: usize,
    pub(crate) replicas: usize,
}

impl RedisOptions {
    /// The key of the stream. Default `akurai`. The same on every node.
    pub fn stream(mut self, stream: &str) -> RedisOptions {
        self.stream = stream.to_owned();
        self
    }

    /// How many events the stream keeps, at least one; Redis may keep up to a hundred more
    /// (`MAXLEN ~`). Default 100,000. Use the same number on every node, because a node takes a
    /// stream with fewer events for a stream that was never trimmed. So an `XTRIM` to a lower
    /// number misleads a node too.
    ///
    /// A node that reads more slowly than this loses the events that are trimmed before it reads
    /// them. A node that has read nothing yet cannot tell a stream that is just full from a stream
    /// that was trimmed: with 1 the first event comes after a `reset`, and with any number if that
    /// many events are published before the node reads. The lowest sensible value is 1,000, or the
    /// number of events that are published in a few seconds if that is more. An event of 100 bytes
    /// takes 166 bytes of the server's memory, an event of 1,000 bytes takes 1,290.
    pub fn max_events(mut self, max_events: usize) -> RedisOptions {
        // A stream that keeps no event would lose each event as it comes.
        self.max_events = max_events.max(1);
        self
    }

    /// How many replicas must have an event within 1 s before it counts as published (`WAIT`).
    /// Default 0. With fewer, publishing fails although the event is kept, and every subscriber
    /// gets it.
    pub fn replicas(mut self, replicas: usize) -> RedisOptions {
        self.replicas = replicas;
        self
    }
}

impl Default for RedisOptions {
    fn default() -> RedisOptions {
        RedisOptions {
            stream: "akurai".to_owned(),
            max_events: 100_000,
            replicas: 0,
        }
    }
}

impl Redis {
    /// An engine that uses the server at `url`. It connects when it is first used.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `url` is not such a URL, or asks for TLS (`rediss:`, `valkeys:`). The
    /// error repeats no part of the URL.
    pub fn new(url: &str, options: RedisOptions) -> io::Result<Redis> {
        let (writer, reader) = (Writer::new(), Reader::new());
        Ok(Redis {
            url: Url::parse(url)?,
            options,
            opened: [Arc::clone(&writer.opened), Arc::clone(&reader.opened)],
            writer,
            reader: Mutex::new(reader),
            trouble: Mutex::default(),
        })
    }

    /// A warning for the operator, if the server may delete the stream when its memory is full
    /// (`maxmemory-policy` other than `noeviction`).
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, or refuses to answer.
    pub fn warning(&self) -> io::Result<Option<String>> {
        let ask = || {
            let deadline = Instant::now() + CONNECT + IO;
            let mut connection = Connection::open(&self.url, deadline)?;
            connection.ask(&["INFO", "memory"], deadline)
        };
        let told = ask().map_err(|error| self.named(error))?;
        let Reply::Bulk(info) = told else {
            return Err(self.named(connection::unexpected()));
        };
        let info = String::from_utf8_lossy(&info);
        let policy = info
            .lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"));
        Ok(policy.filter(|policy| *policy != "noeviction").map(|policy| {
            format!(
                "Redis at {}: maxmemory-policy is {policy}, so that it may throw events away when its memory is full; set it to noeviction",
                self.url
            )
        }))
    }

    fn named(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("Redis at {}: {error}", self.url))
    }

    /// Runs `read` on the reader, and stores the reader's state where other threads can read it
    /// without waiting.
    fn read<T>(&self, read: impl FnOnce(&mut Reader) -> io::Result<T>) -> io::Result<T> {
        let mut reader = lock(&self.reader);
        let outcome = read(&mut reader);
        *lock(&self.trouble) = reader.trouble();
        outcome
    }
}

impl Engine for Redis {
    fn publish(&self, topic: &str, name: &str, data: &str) -> io::Result<EventId> {
        self.writer
            .publish(&self.url, &self.options, topic, name, data)
    }

    fn next(&self, after: EventId, wait: Duration, max: usize) -> io::Result<Batch> {
        let batch = self.read(|reader| reader.next(&self.url, &self.options, after, wait, max))?;
        self.writer.has_read(batch.end);
        Ok(batch)
    }

    fn tail(&self, max: usize) -> io::Result<Batch> {
        let batch = self.read(|reader| reader.tail(&self.url, &self.options.stream, max))?;
        self.writer.has_read(batch.end);
        Ok(batch)
    }

    fn end(&self) -> io::Result<EventId> {
        self.read(|reader| reader.end(&self.url, &self.options.stream))
    }

    fn ready(&self) -> io::Result<()> {
        let trouble = lock(&self.trouble);
        match &*trouble {
            None => Ok(()),
            Some((kind, message)) => Err(io::Error::new(*kind, message.clone())),
        }
    }

    fn reconnections(&self) -> u64 {
        let opened = self
            .opened
            .iter()
            .map(|opened| opened.load(Ordering::Relaxed));
        opened.map(|opened| opened.saturating_sub(1)).sum()
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("url", &self.url)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
