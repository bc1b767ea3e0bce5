//! An event as an entry of a stream, and how a reader recognises entries that are there twice.

use std::collections::HashMap;

use crate::engine::resp::{Reply, command};
use crate::{Event, EventId};

/// How many writers a reader remembers. A writer is a process that publishes.
const WRITERS: usize = 1024;

/// Longest name of a writer, in bytes; our names have 16.
const WRITER_BYTES: usize = 64;

/// An entry's key: the writer's name and the event's sequence number. If a writer writes an event
/// twice because the first answer never came, both entries have the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) writer: String,
    pub(super) number: u64,
}

/// One entry that was read from a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: EventId,
    /// `None` for an entry that another program wrote.
    pub(super) key: Option<Key>,
    /// `None` for an entry that is no event.
    pub(super) event: Option<Event>,
    /// A part of the entry was too long to keep.
    pub(super) too_long: bool,
}

impl Key {
    fn parse(text: &[u8]) -> Option<Key> {
        let (writer, number) = std::str::from_utf8(text).ok()?.rsplit_once('-')?;
        if writer.len() > WRITER_BYTES {
            return None;
        }
        Some(Key {
            writer: writer.to_owned(),
            number: number.parse().ok()?,
        })
    }
}

/// Writes the command that adds an event to a stream of about `events` entries.
pub(super) fn add(
    out: &mut Vec<u8>,
    stream: &str,
    events: usize,
    (topic, name, data): (&str, &str, &str),
    key: &Key,
) {
    let key = format!("{}-{}", key.writer, key.number);
    let events = events.to_string();
    let args = [
        "XADD", stream, "MAXLEN", "~", &events, "*", "topic", topic, "event", name, "data", data,
        "key", &key,
    ];
    command(out, &args);
}

/// The entries of a reply to XRANGE, XREVRANGE, or for one stream of XREAD. `None` if the reply has
/// another form.
pub(super) fn entries(reply: Reply) -> Option<Vec<Entry>> {
    match reply {
        Reply::Nil => Some(Vec::new()),
        Reply::Array(entries) => entries.into_iter().map(entry).collect(),
        _ => None,
    }
}

/// The entries of a reply to XREAD for one stream.
pub(super) fn read_entries(reply: Reply) -> Option<Vec<Entry>> {
    let Reply::Array(mut streams) = reply else {
        return entries(reply);
    };
    match (streams.pop(), streams.is_empty()) {
        (Some(Reply::Array(mut stream)), true) if stream.len() == 2 => entries(stream.pop()?),
        _ => None,
    }
}

fn entry(reply: Reply) -> Option<Entry> {
    let Reply::Array(parts) = reply else {
        return None;
    };
    let Ok([Reply::Bulk(id), fields]) = <[Reply; 2]>::try_from(parts) else {
        return None;
    };
    let id: EventId = std::str::from_utf8(&id).ok()?.parse().ok()?;
    let fields = match fields {
        Reply::Array(fields) => fields,
        _ => Vec::new(),
    };
    let too_long = |field: &Reply| matches!(field, Reply::TooLong(_));
    let mut entry = Entry {
        id,
        key: None,
        event: None,
        too_long: fields.iter().any(too_long),
    };
    if entry.too_long {
        return Some(entry);
    }
    let (mut topic, mut name, mut data) = (None, Some(String::new()), Some(String::new()));
    let mut fields = fields.into_iter();
    while let (Some(Reply::Bulk(field)), Some(Reply::Bulk(value))) = (fields.next(), fields.next())
    {
        match &*field {
            b"topic" => topic = String::from_utf8(value).ok(),
            b"event" => name = String::from_utf8(value).ok(),
            b"data" => data = String::from_utf8(value).ok(),
            b"key" => entry.key = Key::parse(&value),
            _ => {}
        }
    }
    if let (Some(topic), Some(name), Some(data)) = (topic, name, data) {
        entry.event = Some(Event {
            id,
            topic,
            name,
            data,
        });
    }
    Some(entry)
}

/// The last number of each writer. A writer adds its events in order, and repeats only events that
/// may not be there. So an entry whose number is not higher than the writer's last is there
/// already, or the writer gave it up.
#[derive(Debug, Default)]
pub(super) struct Seen {
    writers: HashMap<String, Last>,
    looks: u64,
}

#[derive(Debug)]
struct Last {
    number: u64,
    looked: u64,
}

impl Seen {
    /// Whether this key is new. From now on it is not.
    pub(super) fn is_new(&mut self, key: Option<&Key>) -> bool {
        let Some(key) = key else {
            return true;
        };
        self.looks += 1;
        let looked = self.looks;
        if let Some(last) = self.writers.get_mut(&key.writer) {
            last.looked = looked;
            let new = key.number > last.number;
            last.number = last.number.max(key.number);
            return new;
        }
        if self.writers.len() == WRITERS {
            let oldest = self.writers.iter().min_by_key(|(_, last)| last.looked);
            if let Some(oldest) = oldest.map(|(writer, _)| writer.clone()) {
                self.writers.remove(&oldest);
            }
        }
        let number = key.number;
        self.writers
            .insert(key.writer.clone(), Last { number, looked });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.into())
    }

    fn of(id: &str, fields: Vec<Reply>) -> Reply {
        Reply::Array(vec![bulk(id), Reply::Array(fields)])
    }

    fn key(writer: &str, number: u64) -> Key {
        Key {
            writer: writer.into(),
            number,
        }
    }

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        let event = ("a topic", "", "a\r\nb");
        add(&mut bytes, "s", 10, event, &key("w-x", 7));
        let mut decoder = crate::engine::resp::Decoder::new(1 << 20);
        decoder.feed(&bytes);
        let Ok(Some(Reply::Array(args))) = decoder.next() else {
            panic!("a command is an array");
        };
        let words = ["XADD", "s", "MAXLEN", "~", "10", "*"].map(bulk);
        assert_eq!(args[..6], words);
        let read = entries(Reply::Array(vec![of("5-1", args[6..].to_vec())])).unwrap();
        let id = EventId { ms: 5, seq: 1 };
        let expected = Entry {
            id,
            key: Some(key("w-x", 7)),
            event: Some(Event {
                id,
                topic: "a topic".into(),
                name: String::new(),
                data: "a\r\nb".into(),
            }),
            too_long: false,
        };
        assert_eq!(read, [expected]);
    }

    #[test]
    fn what_others_wrote() {
        let of = |fields: &[&str]| {
            let fields = fields.iter().map(|field| bulk(field)).collect();
            let reply = Reply::Array(vec![of("1-0", fields)]);
            entries(reply).unwrap().remove(0)
        };
        let event = of(&["data", "d", "topic", "t", "more", "x", "key", "odd"]);
        assert_eq!(event.key, None);
        let event = event.event.unwrap();
        assert_eq!((&*event.topic, &*event.name, &*event.data), ("t", "", "d"));
        // A key with a longer name than our writers have is not remembered.
        let long = format!("{}-1", "w".repeat(65));
        assert_eq!(of(&["topic", "t", "key", &long]).key, None);
        assert_eq!(of(&["data", "d"]).event, None);
        assert_eq!(of(&[]).event, None);
        let fields = vec![bulk("topic"), bulk("t"), bulk("data"), Reply::TooLong(9)];
        let read = entries(Reply::Array(vec![super::tests::of("1-0", fields)])).unwrap();
        assert!(read[0].too_long && read[0].event.is_none());
        let bytes = vec![
            bulk("topic"),
            bulk("t"),
            bulk("data"),
            Reply::Bulk(vec![255]),
        ];
        let read = entries(Reply::Array(vec![super::tests::of("1-0", bytes)])).unwrap();
        assert_eq!(read[0].event, None);
    }

    #[test]
    fn replies_of_another_kind() {
        let one = Reply::Array(vec![of("1-0", Vec::new())]);
        let stream = |entries| Reply::Array(vec![Reply::Array(vec![bulk("s"), entries])]);
        assert_eq!(read_entries(stream(one)).unwrap().len(), 1);
        assert_eq!(read_entries(Reply::Nil), Some(Vec::new()));
        for odd in [
            Reply::Integer(1),
            Reply::Array(Vec::new()),
            Reply::Array(vec![Reply::Nil]),
            stream(Reply::Integer(1)),
            stream(Reply::Array(vec![Reply::Nil])),
            stream(Reply::Array(vec![of("x", Vec::new())])),
        ] {
            assert_eq!(read_entries(odd.clone()), None, "{odd:?}");
        }
    }

    #[test]
    fn what_was_written_twice_is_new_once() {
        let mut seen = Seen::default();
        let mut new = |writer: &str, number| seen.is_new(Some(&key(writer, number)));
        assert!(new("a", 1) && new("a", 2) && new("b", 1));
        assert!(!new("a", 1) && !new("a", 2) && new("a", 3) && !new("b", 1));
        for n in 0..WRITERS {
            assert!(new(&format!("other {n}"), 1));
            assert!(!new("a", 3), "who is at work is remembered");
        }
        assert!(new("b", 1), "who has long been silent is not");
        assert!(seen.writers.len() <= WRITERS);
        assert!(seen.is_new(None) && seen.is_new(None));
    }
}
