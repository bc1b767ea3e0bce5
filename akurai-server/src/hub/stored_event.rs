//! An event as a hub keeps it, encoded once.

use std::io::{self, Write};
use std::mem::size_of;
use std::sync::Arc;
use std::time::Instant;

use akurai_http::SseEvent;

use super::options::TOPIC_BYTES;
use crate::{Event, EventId};

/// Longest id with its field name and line end, in bytes.
const ID_BYTES: usize = 46;

/// Memory that an event needs in addition to its texts, in bytes: the event, the counts before it
/// and before its topic, its places in two queues that may have twice the capacity they need, and
/// four allocations.
const EVENT_BYTES: usize = size_of::<StoredEvent>() + 2 * COUNTS_BYTES + 4 * PLACE_BYTES + 4 * 16;
const COUNTS_BYTES: usize = 2 * size_of::<usize>();
const PLACE_BYTES: usize = size_of::<usize>();

/// An event on its way to all subscribers.
#[derive(Debug)]
pub(crate) struct StoredEvent {
    /// Its place among all events that the ring was given, from 0. It grows even if an order begins
    /// again with lower ids.
    pub(crate) number: u64,
    pub(crate) id: EventId,
    pub(crate) topic: Arc<str>,
    /// The bytes for an event stream.
    pub(crate) sse: Box<[u8]>,
    /// Its text. `None` if the hub could not keep the event: `sse` is then the `reset` that reports
    /// the loss.
    pub(crate) data: Option<Box<str>>,
    pub(crate) at: Instant,
}

/// An event that has no id yet.
pub(crate) struct Draft {
    sse: Vec<u8>,
    data: Option<Box<str>>,
}

impl Draft {
    /// Encodes an event, if it fits into `most_bytes`.
    pub(crate) fn new(topic: &str, name: &str, data: &str, most_bytes: usize) -> io::Result<Draft> {
        if topic.len() > TOPIC_BYTES {
            return Err(invalid(format!(
                "topic of {} bytes is longer than {TOPIC_BYTES}",
                topic.len()
            )));
        }
        let sse = SseEvent::data(data).event(name).encode()?;
        let bytes = EVENT_BYTES + topic.len() + sse.len() + ID_BYTES + data.len();
        if bytes > most_bytes {
            return Err(invalid(format!(
                "event of {} bytes counts as {bytes}, and the hub's ring holds {most_bytes}",
                data.len()
            )));
        }
        let data = Some(data.into());
        Ok(Draft { sse, data })
    }

    /// The `reset` that takes the place of an event that does not fit.
    pub(crate) fn of_lost() -> Draft {
        let sse = reset_without_id();
        Draft { sse, data: None }
    }

    /// The event with its number, id and topic.
    pub(crate) fn store(mut self, number: u64, id: EventId, topic: Arc<str>) -> StoredEvent {
        finish(&mut self.sse, id);
        StoredEvent {
            number,
            id,
            topic,
            sse: self.sse.into_boxed_slice(),
            data: self.data,
            at: Instant::now(),
        }
    }
}

impl StoredEvent {
    /// Memory that the event needs, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let data = self.data.as_deref().map_or(0, str::len);
        EVENT_BYTES + self.topic.len() + self.sse.len() + data
    }

    /// The bytes for a stream that has not reached the event's place, and whose client must not
    /// come back with its id.
    pub(crate) fn without_id(&self) -> Vec<u8> {
        let mut id = Vec::new();
        append_id(&mut id, self.id);
        let mut sse = self.sse[..self.sse.len() - id.len()].to_vec();
        sse.push(b'\n');
        sse
    }

    /// The event as it was published, unless it is lost.
    pub(crate) fn event(&self) -> Option<Event> {
        let data = self.data.as_deref()?;
        // The name comes first, if there is one, and holds no line break.
        let named = self.sse.strip_prefix(b"event: ");
        let name = named.and_then(|rest| rest.split(|&byte| byte == b'\n').next());
        Some(Event {
            id: self.id,
            topic: self.topic.as_ref().to_owned(),
            name: String::from_utf8_lossy(name.unwrap_or_default()).into_owned(),
            data: data.to_owned(),
        })
    }
}

/// The `reset` that tells a client that events are lost, and that its stream continues after this
/// id.
pub(crate) fn reset(id: EventId) -> Vec<u8> {
    let mut sse = reset_without_id();
    finish(&mut sse, id);
    sse
}

fn reset_without_id() -> Vec<u8> {
    let reset = SseEvent::data("events were lost").event("reset");
    reset.encode().expect("its name is ours")
}

/// Puts the id into an encoded event, before the empty line that ends it.
fn finish(sse: &mut Vec<u8>, id: EventId) {
    sse.truncate(sse.len() - 1);
    append_id(sse, id);
}

/// Appends the end of an event: its id and an empty line.
fn append_id(sse: &mut Vec<u8>, id: EventId) {
    write!(sse, "id: {id}\n\n").expect("memory takes every write");
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(topic: &str, name: &str, data: &str) -> io::Result<StoredEvent> {
        let draft = Draft::new(topic, name, data, 10_000)?;
        Ok(draft.store(7, EventId { ms: 5, seq: 1 }, Arc::from(topic)))
    }

    #[test]
    fn an_event_is_encoded_with_its_id() {
        let event = stored("t", "tick", "a\nb").unwrap();
        let expected = "event: tick\ndata: a\ndata: b\nid: 5-1\n\n";
        assert_eq!(std::str::from_utf8(&event.sse), Ok(expected));
        assert_eq!(event.without_id(), b"event: tick\ndata: a\ndata: b\n\n");
        assert!(stored("t", "a\nb", "").is_err());
    }

    #[test]
    fn an_event_is_given_back_as_it_was_published() {
        for (name, data) in [
            ("tick", "a\r\nb"),
            ("", "event: none"),
            ("é ", ""),
            ("", "\n"),
        ] {
            let event = stored("topic", name, data).unwrap().event().unwrap();
            assert_eq!(
                (&*event.topic, &*event.name, &*event.data),
                ("topic", name, data)
            );
        }
        let lost = Draft::of_lost().store(7, EventId::default(), Arc::from("t"));
        assert_eq!(lost.event(), None);
        assert_eq!(&*lost.sse, reset(EventId::default()));
    }

    #[test]
    fn all_that_an_event_costs_is_counted() {
        let small = stored("t", "", "").unwrap().bytes();
        assert!(small >= size_of::<StoredEvent>());
        let long = "t".repeat(TOPIC_BYTES);
        assert_eq!(
            stored(&long, "", "").unwrap().bytes(),
            small + TOPIC_BYTES - 1
        );
        // In the stream, and as it was published.
        assert_eq!(stored("t", "", "12345").unwrap().bytes(), small + 2 * 5);
        assert_eq!(
            stored("t", "12345", "").unwrap().bytes(),
            small + "event: 12345\n".len()
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_sizes() {
        let error = stored(&"t".repeat(TOPIC_BYTES + 1), "", "").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "topic of 1025 bytes is longer than 1024");

        let error = stored("t", "", &"x".repeat(5_000)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let bytes = EVENT_BYTES + 1 + "data: \n\n".len() + ID_BYTES + 2 * 5_000;
        let expected =
            format!("event of 5000 bytes counts as {bytes}, and the hub's ring holds 10000");
        assert_eq!(error.to_string(), expected);
    }
}
