//! A search for a writer's own events, from the newest entry of a stream backwards.

use std::collections::HashMap;
use std::io;
use std::time::Instant;

use super::REPLY_ENTRIES;
use super::connection::{Connection, unexpected};
use super::entry::entries;
use crate::EventId;
use crate::engine::id_before;

pub(super) struct Search<'a> {
    pub(super) stream: &'a str,
    /// A stream with fewer entries was never trimmed, as long as every node has this number.
    pub(super) max_events: usize,
    pub(super) writer: &'a str,
    /// An entry older than the events that the search looks for; `0-0` if none is known.
    pub(super) floor: EventId,
}

/// The result of a search.
#[derive(Debug, Default)]
pub(super) struct SearchResult {
    /// The writer's events by their numbers. If two have the same number, the older one.
    pub(super) own: HashMap<u64, EventId>,
    /// The last entry of the stream; `0-0` if there is none.
    pub(super) newest: EventId,
    /// Events that were not found are not in the stream. If false, an entry after the floor was
    /// trimmed away, or cannot be read.
    pub(super) is_all: bool,
}

impl Search<'_> {
    /// Searches the stream backwards, to the floor or to the writer's event with the number
    /// `first`. Earlier entries do not matter.
    pub(super) fn back(
        &self,
        connection: &mut Connection,
        by: Instant,
        first: Option<u64>,
    ) -> io::Result<SearchResult> {
        let mut found = SearchResult::default();
        let mut floor = self.floor;
        let (mut looked_at, mut unreadable) = (0, false);
        let mut end = "+".to_owned();
        let mut count = REPLY_ENTRIES;
        loop {
            let args = [
                "XREVRANGE",
                self.stream,
                &end,
                "-",
                "COUNT",
                &count.to_string(),
            ];
            let page = entries(connection.ask(&args, by)?).ok_or_else(unexpected)?;
            if count > 1 && page.iter().any(|entry| entry.too_long) {
                // The entries together were too large. Each by itself may fit.
                count = 1;
                continue;
            }
            let is_last = page.len() < count;
            for entry in page {
                found.newest = found.newest.max(entry.id);
                if entry.id == floor {
                    found.is_all = !unreadable;
                    return Ok(found);
                }
                if entry.id < floor {
                    // The entry at the floor is gone, so an id below it may belong to an event of
                    // ours too. The reason: another server took over, the stream began again, or
                    // that entry was deleted.
                    floor = EventId::default();
                }
                looked_at += 1;
                unreadable |= entry.too_long;
                end = id_before(entry.id).to_string();
                if let Some(key) = entry.key.filter(|key| key.writer == self.writer) {
                    found.own.insert(key.number, entry.id);
                    if Some(key.number) == first {
                        found.is_all = !unreadable;
                        return Ok(found);
                    }
                }
            }
            if is_last {
                found.is_all = looked_at < self.max_events && !unreadable;
                return Ok(found);
            }
            count = (count * 2).min(REPLY_ENTRIES);
        }
    }
}
