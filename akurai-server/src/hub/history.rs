//! How long a topic's events are kept, and the last events of a topic, for a page that begins with
//! them.

use super::options::TOPIC_BYTES;
use super::{Hub, Retention};
use crate::{Event, EventId};

/// The last events of a topic, and the id after which a stream continues: see [`Hub::history`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct History {
    /// In order, with no event missing between them.
    pub events: Vec<Event>,
    /// Whether these are all events of the topic after the id that the caller gave, or since the
    /// hub's order began. If not, older events are gone, or there were more than the caller asked
    /// for.
    pub is_complete: bool,
    /// The id to give to a stream as `last_event_id`, or to [`Hub::join_after`]. It then brings
    /// every later event of the topic, and none of these.
    pub at: EventId,
}

impl Hub {
    /// Keeps the last events of a topic apart from the ring that all topics share, so that busy
    /// topics cannot push them out. They serve clients that come back, [`history`](Hub::history),
    /// and the last value of a [gauge](Hub::latest_only). An event is gone when neither its topic's
    /// own store nor the shared ring keeps it. The store removes events that are too old when the
    /// topic is next published to or read.
    ///
    /// The store begins with the topic's events that the ring still has. Another call changes the
    /// limits; [`release`](Hub::release) ends it. A hub with an engine begins with the engine's
    /// last [`max_ring_events`](crate::HubOptions::max_ring_events) events. It does not load older
    /// ones, even if the limits have room for them. If an engine loses events and cannot tell of
    /// which topics, the hub drops the kept events of all topics.
    ///
    /// The events of a hub take at most [`max_ring_bytes`](crate::HubOptions::max_ring_bytes) and
    /// the [`max_bytes`](Retention::max_bytes) of all topics that keep their own. So a program
    /// should not call this for topics that anyone can name. It does nothing for a topic longer
    /// than 1,024 bytes, which has no events.
    pub fn retain(&self, topic: &str, keep: Retention) {
        if topic.len() <= TOPIC_BYTES {
            self.inner.shared.ring.retain(topic, keep);
        }
    }

    /// Ends what [`retain`](Hub::retain) began. Events that the shared ring does not have are gone
    /// at once.
    pub fn release(&self, topic: &str) {
        self.inner.shared.ring.release(topic);
    }

    /// The last events of a topic, at most `most`: of all that the hub still has, or of those after
    /// the event `after`. [`HubOptions`](crate::HubOptions) and [`retain`](Hub::retain) decide how
    /// many the hub keeps. This does not wait.
    ///
    /// A page shows these events when it loads, and opens its stream at [`History::at`]: it then
    /// misses no event and gets none twice. A WebSocket continues there with
    /// [`join_after`](Hub::join_after). If `after` is not an id of this hub's order, the events
    /// are the last ones, and not complete.
    ///
    /// ```
    /// use akurai_http::{Method, Request, Response, Router};
    /// use akurai_server::{Event, History, Hub, HubOptions};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let hub = Hub::new(HubOptions::default())?;
    /// let (page, events) = (hub.clone(), hub.clone());
    /// let app = Router::new()
    ///     .get("/latest", move |_: &Request| {
    ///         let History { events, at, .. } = page.history("news", None, 20);
    ///         // The first line is the place; each other line is an event.
    ///         let line = |event: &Event| format!("\n{}", event.data.replace('\n', " "));
    ///         let lines = events.iter().map(line);
    ///         let text = at.to_string() + &lines.collect::<String>();
    ///         Response::text(text).with_header("Cache-Control", "no-store")
    ///     })
    ///     .get("/events", move |req: &Request| events.sse(req, &["news"]));
    /// # let id = hub.publish("news", "", "one")?;
    /// # let reply = app.handle(&Request::new(Method::Get, "/latest"));
    /// # let text = format!("{id}\none");
    /// # assert_eq!(reply.response().body(), Some(text.as_bytes()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// ```js
    /// async function begin() {
    ///   const [at, ...lines] = (await (await fetch("/latest")).text()).split("\n");
    ///   list.replaceChildren();
    ///   lines.forEach(show);
    ///   const events = new EventSource("/events?last_event_id=" + at);
    ///   events.onmessage = (event) => show(event.data);
    ///   events.addEventListener("reset", () => { events.close(); begin(); });
    /// }
    /// ```
    #[must_use]
    pub fn history(&self, topic: &str, after: Option<EventId>, most: usize) -> History {
        let past = self.inner.shared.ring.history(topic, after, most);
        History {
            events: past
                .events
                .iter()
                .filter_map(|event| event.event())
                .collect(),
            is_complete: past.is_complete,
            at: past.at,
        }
    }
}
