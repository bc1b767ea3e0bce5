//! The source of a hub's events: one order of events, with ids that mean the same on every node.

mod memory;
mod redis;
pub(crate) mod resp;

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

pub use memory::Memory;
pub(crate) use memory::{next_id, now_ms};
pub use redis::{Redis, RedisOptions};

/// The place of an event in its engine's order: milliseconds since 1970, and a number among the
/// events of the same millisecond. As text, it is the event's id in a stream: `1732147200000-0`.
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

/// An error is of kind `InvalidInput`.
impl FromStr for EventId {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<EventId> {
        // Digits only: `parse` would accept a plus sign too.
        let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => digits.parse().ok(),
            false => None,
        };
        let id = text.split_once('-').and_then(|(ms, seq)| {
            Some(EventId {
                ms: number(ms)?,
                seq: number(seq)?,
            })
        });
        id.ok_or_else(|| {
            let message = "event id is not two numbers with a hyphen between";
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// One event, as an engine keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the engine's order.
    pub id: EventId,
    /// The event's topic. The topic's subscribers get the event.
    pub topic: String,
    /// The event name that a browser dispatches; empty means `message`.
    pub name: String,
    /// Its text.
    pub data: String,
}

/// Consecutive events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// In order.
    pub events: Vec<Event>,
    /// Whether events between the `after` of the call and the first of these events are lost.
    pub gap: bool,
    /// The `after` for the next call: the id of the last of these events, or the place where the
    /// order continues. After a gap it may be lower than before, if the engine began a new order.
    pub end: EventId,
}

/// Keeps events in one order. Many threads call it at the same time.
pub trait Engine: Send + Sync + 'static {
    /// Adds an event after all others and returns its id. It does not wait for readers.
    ///
    /// # Errors
    ///
    /// If the event may not have been kept.
    fn publish(&self, topic: &str, name: &str, data: &str) -> io::Result<EventId>;

    /// The events after `after`, at most `max`. If there is none yet, it waits up to `wait`, and
    /// then returns an empty batch.
    ///
    /// An empty batch without a gap, whose [`end`](Batch::end) is `after`, says that there was
    /// nothing after `after` when this was called. The hub relies on it: if a subscriber came
    /// before the call with the id of a later event, the hub tells it of a loss. So the engine must
    /// ask a server that has every event that any node has read. A lagging replica does not.
    ///
    /// # Errors
    ///
    /// If the engine is unavailable now. The caller tries again, with the same `after`. It also
    /// does so after a panic, and [`Hub::ready`](crate::Hub::ready) fails until a call returns.
    fn next(&self, after: EventId, wait: Duration, max: usize) -> io::Result<Batch>;

    /// The last events, at most `max`, in order and without a gap between them: a hub begins with
    /// them. The [`end`](Batch::end) of the batch is the current end of the order, even if the
    /// batch is empty, so that every event after it is new. [`gap`](Batch::gap) is false, because
    /// the caller gives no `after`.
    ///
    /// # Errors
    ///
    /// The errors of [`next`](Engine::next).
    fn tail(&self, max: usize) -> io::Result<Batch>;

    /// The end of the order, now or at some moment since this call began. It does not affect
    /// [`next`](Engine::next). A subscriber may come from a node that is ahead of this one. If the
    /// engine always has a next event, the hub then asks for the end of the order here. By default,
    /// this returns the end that [`tail`](Engine::tail) gives for `max` 0.
    ///
    /// # Errors
    ///
    /// The errors of [`next`](Engine::next).
    fn end(&self) -> io::Result<EventId> {
        Ok(self.tail(0)?.end)
    }

    /// Whether events get through now, as far as the engine knows without asking a server. By
    /// default they always do.
    ///
    /// # Errors
    ///
    /// The reason why they do not.
    fn ready(&self) -> io::Result<()> {
        Ok(())
    }

    /// How often the engine connected again after it lost a connection, for
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
