//! Where a hub's events come from: one order of events, with ids that mean the same on every node.

mod memory;
mod redis;
pub(crate) mod resp;

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

pub use memory::Memory;
pub(crate) use memory::{next_id, now_ms};
pub use redis::{Redis, RedisOptions, shard_of};

/// The place of an event in its engine's order: milliseconds since 1970, and a number among those of one millisecond.
/// As text, which is an event's id on the wire, `1732147200000-0`.
///
/// ```
/// use akurai_server::EventId;
///
/// let id: EventId = "1732147200000-7".parse()?;
/// assert!(id > EventId { ms: 1_732_147_200_000, seq: 6 });
/// assert_eq!(id.to_string(), "1732147200000-7");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId {
    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub ms: u64,
    /// The number among the events of that millisecond, from 0.
    pub seq: u64,
}

/// Text that is no [`EventId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventIdError;

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<EventId, EventIdError> {
        // Digits alone: `parse` would take a plus sign too.
        let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => digits.parse().map_err(|_| EventIdError),
            false => Err(EventIdError),
        };
        let (ms, seq) = text.split_once('-').ok_or(EventIdError)?;
        Ok(EventId {
            ms: number(ms)?,
            seq: number(seq)?,
        })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl fmt::Display for EventIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("event id is not two numbers with a hyphen between")
    }
}

impl std::error::Error for EventIdError {}

/// `InvalidInput`, so that `?` works in a function that returns an [`io::Result`].
impl From<EventIdError> for io::Error {
    fn from(error: EventIdError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

/// One event, as an engine keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the engine's order.
    pub id: EventId,
    /// What it is about; who subscribed to that gets it.
    pub topic: String,
    /// The name under which a browser dispatches it; empty for `message`.
    pub name: String,
    /// Its text.
    pub data: String,
}

/// Events that follow one another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// In order.
    pub events: Vec<Event>,
    /// Whether events between the one that was asked after and the first of these are lost.
    pub gap: bool,
    /// What to ask after next: the last of these, or where the order goes on. Behind a gap it may be lower than before, if the
    /// engine began anew.
    pub end: EventId,
}

/// Keeps events in one order. Many threads call it at a time.
pub trait Engine: Send + Sync + 'static {
    /// Adds an event behind all others and returns its id. Does not wait for anyone who reads.
    ///
    /// # Errors
    ///
    /// If the event may not have been kept.
    fn publish(&self, topic: &str, name: &str, data: &str) -> io::Result<EventId>;

    /// The events after `after`, at most `max`; waits up to `wait` if there is none yet, and is empty then.
    ///
    /// An empty batch without a gap, whose [`end`](Batch::end) is `after`, says that nothing was
    /// behind `after` when this was called. The hub relies on it: a subscriber that came before the
    /// call, with the id of a later event, is told of a loss. So the server that this asks must
    /// have every event that any node has read: a lagging replica will not do.
    ///
    /// # Errors
    ///
    /// If the engine cannot be asked now; the caller tries again, with the same `after`. After a panic it does so too, and
    /// [`Hub::ready`](crate::Hub::ready) fails until this returns.
    fn next(&self, after: EventId, wait: Duration, max: usize) -> io::Result<Batch>;

    /// The last events, at most `max`, in order and without a gap between them: what a hub begins with. Their
    /// [`end`](Batch::end) is the end of the order as it is now, also where there is none that can be read, so that whatever
    /// comes behind it is new. Nothing is asked after, so [`gap`](Batch::gap) is false.
    ///
    /// # Errors
    ///
    /// Those of [`next`](Engine::next).
    fn tail(&self, max: usize) -> io::Result<Batch>;

    /// The end of the order as it is now, or as it was at some time since this was called. It changes nothing for
    /// [`next`](Engine::next). A hub whose engine always has a next event asks for it when a subscriber comes from a node
    /// that is ahead. By default what [`tail`](Engine::tail) of none says.
    ///
    /// # Errors
    ///
    /// Those of [`next`](Engine::next).
    fn end(&self) -> io::Result<EventId> {
        Ok(self.tail(0)?.end)
    }

    /// Whether events come through just now, as far as is known without asking. By default they always do.
    ///
    /// # Errors
    ///
    /// Why they do not.
    fn ready(&self) -> io::Result<()> {
        Ok(())
    }

    /// How often the engine connected again after it had lost a connection, for
    /// [`HubStats`](crate::HubStats). By default never.
    fn reconnections(&self) -> u64 {
        0
    }
}

/// The next id after this one.
pub(crate) fn id_after(id: EventId) -> EventId {
    match id.seq.checked_add(1) {
        Some(seq) => EventId { ms: id.ms, seq },
        None => EventId {
            ms: id.ms.saturating_add(1),
            seq: 0,
        },
    }
}

/// The last id before this one.
pub(crate) fn id_before(id: EventId) -> EventId {
    match id.seq.checked_sub(1) {
        Some(seq) => EventId { ms: id.ms, seq },
        None => EventId {
            ms: id.ms.saturating_sub(1),
            seq: u64::MAX,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for (text, id) in [
            ("0-0", Some((0, 0))),
            ("18446744073709551615-1", Some((u64::MAX, 1))),
            ("", None),
            ("1", None),
            ("1-", None),
            ("-1", None),
            ("+1-0", None),
            ("1-0-0", None),
            (" 1-0", None),
            ("18446744073709551616-0", None),
        ] {
            let expected = id.map(|(ms, seq)| EventId { ms, seq });
            assert_eq!(text.parse::<EventId>().ok(), expected, "{text}");
        }
    }
}
