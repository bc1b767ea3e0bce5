//! What a server says about a stream as a whole.

use super::entry::entries;
use crate::EventId;
use crate::engine::resp::Reply;

/// The parts of the answer to XINFO STREAM that tell what happened to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) length: usize,
    /// The last id that the server gave out, even if its entry is gone.
    pub(super) last: EventId,
    /// The oldest entry.
    pub(super) first: Option<EventId>,
    /// The newest entry that was deleted by its id. Known from Redis 7 on, like `added`.
    pub(super) deleted: Option<EventId>,
    /// How many entries were ever added.
    added: Option<i64>,
}

impl Info {
    /// `None` if `reply` is not such an answer.
    pub(super) fn parse(reply: Reply) -> Option<Info> {
        let Reply::Array(parts) = reply else {
            return None;
        };
        let (mut length, mut last) = (None, None);
        let (mut first, mut deleted, mut added) = (None, None, None);
        let mut parts = parts.into_iter();
        while let (Some(Reply::Bulk(name)), Some(value)) = (parts.next(), parts.next()) {
            match (&*name, value) {
                (b"length", Reply::Integer(value)) => length = usize::try_from(value).ok(),
                (b"last-generated-id", Reply::Bulk(value)) => last = id(&value),
                (b"max-deleted-entry-id", Reply::Bulk(value)) => deleted = id(&value),
                (b"entries-added", Reply::Integer(value)) => added = Some(value),
                (b"first-entry", entry @ Reply::Array(_)) => {
                    first = entries(Reply::Array(vec![entry]))?.pop();
                }
                _ => {}
            }
        }
        Some(Info {
            length: length?,
            last: last?,
            first: first.map(|entry| entry.id),
            deleted,
            added,
        })
    }

    /// Whether only the entry with this id is gone: it was in the stream before, and all later
    /// entries are still there.
    pub(super) fn is_whole_behind(&self, id: EventId) -> bool {
        // Either no later entry came, or the entry was deleted by its id and the stream is not
        // trimmed that far: trimming begins with the oldest entry.
        let was_deleted = self.deleted.is_some_and(|deleted| deleted >= id);
        let is_trimmed = self.first.is_none_or(|first| first > id);
        self.last == id || (was_deleted && !is_trimmed)
    }

    /// Whether the stream may have had the entry with this id, which was deleted by its id: the
    /// stream has given out this id or a later one, and, if it reports deletions, it reports one of
    /// this id or a later one.
    pub(super) fn had(&self, id: EventId) -> bool {
        self.last >= id && self.deleted.is_none_or(|deleted| deleted >= id)
    }

    /// Whether this may be the stream that had no entries at `earlier`, with all entries that came
    /// since: no value that only grows is lower, and no entry was trimmed.
    pub(super) fn follows(&self, earlier: &Info) -> bool {
        let grows = self.last >= earlier.last
            && self.deleted >= earlier.deleted
            && self.added >= earlier.added;
        let is_whole = match (self.added, earlier.added) {
            (Some(added), Some(before)) => {
                // Entries deleted by their ids are not missing.
                self.deleted > earlier.deleted || self.length as i64 >= added - before
            }
            _ => self.length > 0 || self.last == earlier.last,
        };
        grows && is_whole
    }
}

fn id(text: &[u8]) -> Option<EventId> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.into())
    }

    fn id(ms: u64) -> EventId {
        EventId { ms, seq: 0 }
    }

    #[test]
    fn what_a_server_says_of_a_stream() {
        let entry = |ms: u64| Reply::Array(vec![bulk(&format!("{ms}-0")), Reply::Array(vec![])]);
        // In the order of Redis 7, including fields that we do not use.
        let parts = vec![
            (bulk("length"), Reply::Integer(2)),
            (bulk("radix-tree-keys"), Reply::Integer(1)),
            (bulk("last-generated-id"), bulk("9-0")),
            (bulk("max-deleted-entry-id"), bulk("8-0")),
            (bulk("entries-added"), Reply::Integer(7)),
            (bulk("recorded-first-entry-id"), bulk("3-0")),
            (bulk("groups"), Reply::Integer(0)),
            (bulk("first-entry"), entry(3)),
            (bulk("last-entry"), entry(5)),
        ];
        let of = |parts: &[(Reply, Reply)]| {
            let parts = parts.iter().cloned();
            Info::parse(Reply::Array(parts.flat_map(<[Reply; 2]>::from).collect()))
        };
        let seven = Info {
            length: 2,
            last: id(9),
            first: Some(id(3)),
            deleted: Some(id(8)),
            added: Some(7),
        };
        assert_eq!(of(&parts), Some(seven.clone()));
        // Redis 5 and 6 give fewer fields, and an empty stream has no first entry.
        let mut five = parts.clone();
        five.drain(3..6);
        five[4].1 = Reply::Nil;
        let expected = Info {
            first: None,
            deleted: None,
            added: None,
            ..seven
        };
        assert_eq!(of(&five), Some(expected));
        assert_eq!(of(&parts[1..]), None);
        assert_eq!(of(&[]), None);
        assert_eq!(Info::parse(Reply::Nil), None);
    }

    fn info(last: u64, first: u64, deleted: u64, added: i64) -> Info {
        Info {
            length: usize::from(first > 0),
            last: id(last),
            first: (first > 0).then(|| id(first)),
            deleted: (deleted > 0).then(|| id(deleted)),
            added: Some(added),
        }
    }

    #[test]
    fn what_became_of_an_entry() {
        let info = |last, first, deleted| info(last, first, deleted, 9);
        for (is_whole, info) in [
            (true, info(7, 5, 0)),  // nothing came
            (true, info(7, 0, 7)),  // nor is anything left
            (true, info(9, 5, 7)),  // deleted, and something came
            (true, info(9, 5, 8)),  // so was a later one
            (false, info(9, 5, 6)), // an earlier one was deleted, so this is another stream
            (false, info(9, 5, 0)), // none was, or the server does not say
            (false, info(9, 8, 8)), // trimmed, perhaps past what came
            (false, info(9, 0, 8)),
            (false, info(6, 5, 0)), // an older copy
        ] {
            assert_eq!(info.is_whole_behind(id(7)), is_whole, "{info:?}");
        }
    }

    #[test]
    fn whether_a_stream_had_an_entry_that_was_deleted() {
        for (had, info) in [
            (true, info(7, 5, 7, 9)),
            (true, info(9, 5, 8, 9)),
            (false, info(6, 5, 0, 9)), // its end is before the entry
            (false, info(6, 5, 7, 9)),
        ] {
            assert_eq!(info.had(id(7)), had, "{info:?}");
        }
        // A later event came, but nothing of that id was deleted: the entry was never there.
        let other = info(9, 5, 6, 9);
        assert!(!other.had(id(7)));
        // Before Redis 7 the server does not say what was deleted.
        let less = Info {
            deleted: None,
            ..other
        };
        assert!(less.had(id(7)));
    }

    #[test]
    fn what_follows_a_stream_of_which_nothing_was_left() {
        let earlier = info(7, 0, 7, 3);
        let none = Info {
            length: 0,
            ..info(9, 0, 7, 4)
        };
        for (follows, later) in [
            (true, earlier.clone()),
            (true, info(9, 9, 7, 4)),
            (true, info(9, 9, 8, 5)),  // one of two was deleted
            (false, info(9, 9, 7, 5)), // one of two was trimmed
            (false, none.clone()),
            (false, info(9, 8, 0, 4)), // emptied
            (false, info(9, 8, 7, 2)),
            (false, info(6, 5, 7, 3)), // an older copy
        ] {
            assert_eq!(later.follows(&earlier), follows, "{later:?}");
        }
        // Before Redis 7, the server gives fewer values to compare.
        let less = |info: Info| Info {
            deleted: None,
            added: None,
            ..info
        };
        for (follows, later) in [
            (true, less(earlier.clone())),
            (true, less(info(9, 8, 0, 0))),
            (false, less(none)),
            (false, less(info(6, 5, 0, 0))),
        ] {
            assert_eq!(later.follows(&less(earlier.clone())), follows, "{later:?}");
        }
    }
}
