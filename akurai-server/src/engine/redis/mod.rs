//! The engine of several processes: events in a Redis stream.

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

/// Entries that are read at a time.
const REPLY_ENTRIES: usize = 256;

/// Keeps events in a stream of Redis 5 or later, or of Valkey, so that several processes are nodes of one engine.
///
/// Every node reads the whole stream into its hub's ring, its own events included: the order is the same everywhere, and whoever
/// comes back is served from the node's own memory, however many do at once. An event is an entry with the fields `topic`,
/// `event`, `data` and `key`; another program may publish too, `XADD akurai '*' topic news data hello`, without a `key`: that is
/// how a writer's events are told apart from their repetitions.
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
/// A value feeds one hub. Its connections are its own: one that reads, and one that publishes what all threads have, in as few
/// writes as it can.
///
/// # The URL
///
/// `redis://user:password@host:port/database`, where all but the host may be missing (6379, database
/// 0), or `unix:/path?db=database`, with credentials `unix://user:password@/path`. `valkey://` is
/// another name of `redis://`. The database may stand there as `?db=database` too, and no other
/// parameter. An IPv6 address stands in brackets, with its zone if it has one: `[fe80::1%25eth0]`.
///
/// User and password are percent-encoded. `:password@` is the default user's password. No `AUTH` is
/// sent if nothing stands before the host, nor for `@` or `:@`. `user:@` is a user with an empty
/// password. `word@` is refused, since programs disagree on what it means: it is a password to
/// redis-cli, and a user to redis-py. Credentials behind `unix:` without the `//` are refused too, so
/// an `@` in a socket's path is `%40` behind a colon and at the end of a name.
///
/// The protocol is RESP2. There is no TLS: across a network that is not yours, a sidecar speaks it
/// (stunnel, ghostunnel, HAProxy or a mesh, on loopback or a Unix socket here, and the server's TLS
/// port there).
///
/// Cluster mode is not supported. One stream is one key, which one node serves: a URL that names this
/// node works until the slot moves. Every other node answers `MOVED`, and the error says so. For more
/// than one server has, see [below](#several-streams).
///
/// An ACL needs `+xadd +xread +xrange +xrevrange +xlen +xinfo|stream` on the stream's key (`+xinfo` before Redis 7), and
/// `+info +select +wait` where those are used. Without `xinfo`, deleting the newest event looks like another stream.
///
/// # What happens when
///
/// - **The server is away.** [`publish`](Engine::publish) fails with a message that says why:
///   within 1 s if there is no connection, within 3 s if the server takes what it is sent and does
///   not answer, or answers slowly; a host name is looked up by the system, which takes its own
///   time, so prefer an address. One case has no bound: a Unix socket whose server accepts no
///   connection, once as many wait there as it lets wait (`tcp-backlog`, 511). A thread that
///   publishes while others do waits for them first, for 3 s in all from when it was asked to, and
///   fails with them. Streams stay open, with heartbeats; the reader comes back after 100 ms, then
///   ever later, up to 5 s with jitter, and goes on from where it was. [`ready`](Engine::ready)
///   says so from the first failure until it reads again.
/// - **No answer came.** The writer connects again and searches the stream for the event's `key`:
///   from the newest entry back to the last one that it has added or its process has read, or to
///   the beginning of a stream that was never full. An event that is there has its id. One that is
///   certainly not there is sent once more, under the same key. The server may still carry out the
///   command of the first connection, which it had received and not yet done, so that the stream
///   has the event twice: every node gives the first of both to its subscribers, and no other, for
///   as long as the writer's process is among the last 1024 that published; and the id of the first
///   is the one that is returned. Publishing fails if that fails too, if the time is over, or if
///   the search ends at a place where entries were trimmed away. The error says then that the event
///   may be kept or not: a program that publishes it again may publish it twice.
/// - **The stream is not the one that was read**: trimmed past the reader, emptied, restored from
///   an older copy, or another server under the name. A reader looks with each read, once a second
///   when nothing comes, whether the last entry it has read is still there, under its key. The
///   server sends that whole entry each time: if it is an event of 1 MB, and nothing comes after
///   it, each node receives 1 MB/s. If the entry is not there, the hub tells everybody by an event
///   named `reset`, and goes on with what is there. A node that starts after that knows only what
///   the server has: it cannot tell a client who left before the copy was made what was undone
///   since.
/// - **A replica takes over.** Redis acknowledges an event before its replicas have it, so a failover may lose acknowledged events.
///   Nodes that had read them tell (`reset`); those that had not do not know. [`RedisOptions::replicas`] has a publisher wait for
///   replicas, which makes this rare, not impossible.
/// - **The server runs full.** With `noeviction` a publish is refused (`OOM`); other policies may throw the stream away, see
///   [`warning`](Redis::warning).
/// - **An entry cannot be read**: it is no event, not UTF-8, or above 56 MiB. It is lost, and told as such.
///
/// A reader that has read nothing of a stream yet cannot look for what it has read; it tells of a gap if the stream is full by then.
///
/// Events that an operator deletes one by one (`XDEL`) are not missed: if the last entry that was
/// read is gone, the reader asks (`XINFO STREAM`) whether that entry alone is. The deletion looks
/// like another stream if no older entry is left, and the next event comes before the reader looks.
/// A client whose last event was deleted gets a `reset` at a node that never read that event.
///
/// Before Redis 7, and at KeyDB, the server does not say what was deleted, nor how many events were
/// ever added:
///
/// - A deletion looks like another stream whenever the next event comes before the reader looks.
/// - All that was read is deleted, and between two looks events come, the stream is emptied, and
///   another event comes: those in between are lost without a `reset`.
/// - A replica that never had the deleted entry takes over, and adds one event below that entry's
///   id, by a clock that is behind, and one above it, between two looks: the first is lost without
///   a `reset`.
///
/// Without `appendonly yes` a server that crashes comes back
/// with the last snapshot, or with nothing; with it, without the last second.
///
/// # Several streams
///
/// Every node reads everything. When that is too much, split the topics over streams, each with a hub of its own, and let a proxy
/// send clients of a topic to nodes that have its hub. [`shard_of`] names the stream of a topic, the same in every process:
///
/// ```no_run
/// # use akurai_server::{Hub, HubOptions, Redis, RedisOptions, shard_of};
/// const SHARDS: usize = 4;
/// let hubs = (0..SHARDS).map(|shard| {
///     let options = RedisOptions { stream: format!("akurai:{shard}"), ..RedisOptions::default() };
///     Hub::with_engine(HubOptions::default(), Redis::new("redis://127.0.0.1", options)?)
/// });
/// let hubs: Vec<Hub> = hubs.collect::<std::io::Result<_>>()?;
/// hubs[shard_of("news", SHARDS)].publish("news", "", "hello")?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// It costs: a client's `Last-Event-ID` is a place in one stream, so one connection has topics of one shard only; there is no order
/// between shards; each has its connections, ring and threads on every node that reads it; and another number of shards moves topics,
/// whose clients see a `reset`. A node that only publishes to a shard needs no hub for it: `Redis` itself publishes.
pub struct Redis {
    url: Url,
    options: RedisOptions,
    writer: Writer,
    reader: Mutex<Reader>,
    trouble: Mutex<Option<(io::ErrorKind, String)>>,
    /// How many connections the writer and the reader have opened.
    opened: [Arc<AtomicU64>; 2],
}

/// What a [`Redis`] keeps, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisOptions {
    /// The key of the stream. Default `akurai`. The same on every node.
    pub stream: String,
    /// How many events the stream keeps, one at least, or up to a hundred more (`MAXLEN ~`).
    /// Default 100,000. The same on every node: a stream that has fewer is taken for one that was
    /// never trimmed, which an `XTRIM` of another number makes wrong, too. What a node reads later
    /// than that is lost to it. One that has read nothing yet cannot tell a stream that is just
    /// full from one that was trimmed: with 1 the first event comes behind a `reset`, and with any
    /// number if so many are published before it reads. The least that makes sense is 1,000, or
    /// what is published in some seconds if that is more. An event of 100 bytes takes 166 there,
    /// one of 1,000 bytes 1,290.
    pub max_events: usize,
    /// How many replicas must have an event before it counts as published, within 1 s (`WAIT`). Default 0. With fewer, publishing
    /// fails although the event is kept, and every subscriber gets it.
    pub replicas: usize,
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
    /// An engine at the server that `url` names. It connects when it is first used.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the URL is none, or of TLS (`rediss:`, `valkeys:`). It repeats nothing of it.
    pub fn new(url: &str, options: RedisOptions) -> io::Result<Redis> {
        let (writer, reader) = (Writer::new(), Reader::new());
        Ok(Redis {
            url: Url::parse(url)?,
            options: RedisOptions {
                // A stream of none would lose each event as it comes.
                max_events: options.max_events.max(1),
                ..options
            },
            opened: [Arc::clone(&writer.opened), Arc::clone(&reader.opened)],
            writer,
            reader: Mutex::new(reader),
            trouble: Mutex::default(),
        })
    }

    /// What an operator should know before relying on this server: that it may throw the stream away when its memory is full
    /// (`maxmemory-policy` other than `noeviction`).
    ///
    /// # Errors
    ///
    /// If the server cannot be asked, or will not say.
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

    /// Has the reader do something, and notes for others how it fares; they need not wait for it.
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

/// Which of so many shards a topic is in, from 0 on: the same in every process and version (FNV-1a of its bytes). 0 for none.
///
/// ```
/// assert_eq!(akurai_server::shard_of("news", 4), akurai_server::shard_of("news", 4));
/// ```
pub fn shard_of(topic: &str, shards: usize) -> usize {
    let hash = topic.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.checked_rem(shards as u64).unwrap_or(0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_stays_in_its_shard() {
        // The hash's own test vectors: http://www.isthe.com/chongo/tech/comp/fnv/.
        assert_eq!(shard_of("", usize::MAX), 0xcbf2_9ce4_8422_2325);
        assert_eq!(shard_of("a", usize::MAX), 0xaf63_dc4c_8601_ec8c);
        assert_eq!((shard_of("a", 0), shard_of("a", 1)), (0, 0));
        let mut counts = [0; 4];
        for n in 0..4000 {
            counts[shard_of(&format!("topic {n}"), 4)] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)));
    }
}
