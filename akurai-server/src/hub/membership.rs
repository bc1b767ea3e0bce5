//! How a WebSocket becomes a member of a topic, and how it leaves.

use std::fmt;
use std::sync::Arc;

use akurai_ws::Sender;

use super::Hub;
use super::options::TOPIC_BYTES;
use super::websockets::MemberMailbox;
use crate::EventId;

/// The close code for a subscriber whose topic can have no events (RFC 6455 §7.4.1).
const POLICY_VIOLATION: u16 = 1008;

/// A WebSocket's subscription to a topic, which ends when this is dropped; see
/// [`Hub::join`](crate::Hub::join).
#[must_use = "the subscription ends when this is dropped: keep it with `let _member =`, since \
              `let _ =` drops it at once"]
pub struct Membership {
    mailbox: Arc<MemberMailbox>,
    topic: Arc<str>,
    /// `None` if its topic is too long to have events.
    id: Option<u64>,
}

impl Hub {
    /// Subscribes a WebSocket connection to a topic from now on, until the [`Membership`] is
    /// dropped. The peer gets the data of each event as a text message, as [`Sender::post`] sends
    /// it. When several events wait, it gets them in one write, as an event stream does.
    ///
    /// A peer that reads too slowly is closed with 1008, or with 1013 if
    /// [`WsOptions::when_full`](akurai_ws::WsOptions::when_full) says to refuse. A peer that missed
    /// an event for another reason is closed with 1013 too. There are two reasons: the event is
    /// longer than [`WsOptions::max_queue_bytes`](akurai_ws::WsOptions::max_queue_bytes) and came
    /// while another message was being written; or the queue had no room for it after a
    /// [`MessageWriter`](akurai_ws::MessageWriter), whose message is then cut off. The client
    /// should load its state again.
    ///
    /// A topic longer than 1,024 bytes has no events. The connection is then closed with 1008.
    ///
    /// ```
    /// use akurai_http::{Reply, Request};
    /// use akurai_server::Hub;
    /// use akurai_ws::{Message, upgrade};
    ///
    /// fn room(hub: &Hub, req: &Request) -> Reply {
    ///     let hub = hub.clone();
    ///     upgrade(req, move |mut conn| {
    ///         let _member = hub.join("room", conn.sender());
    ///         while let Some(message) = conn.recv()? {
    ///             if let Message::Text(text) = message {
    ///                 hub.publish("room", "", &text)?;
    ///             }
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// # let _ = room;
    /// ```
    pub fn join(&self, topic: &str, sender: Sender) -> Membership {
        self.join_at(topic, sender, None)
    }

    /// Subscribes a WebSocket connection as [`join`](Hub::join) does, but behind the event `after`.
    /// The peer first gets the topic's events after it that the hub still has, and then the later
    /// ones, each once and in order. A room begins with its last messages if `after` is the
    /// [`at`](crate::History::at) of a [`history`](Hub::history).
    ///
    /// If an event of the topic after `after` is gone, or `after` is no id of this hub's order, the
    /// connection is closed with 1013, as for any other event that the peer missed. The client
    /// should then load its state again, and come back with the id of that. If `after` comes from
    /// another node of the hub's [`Engine`](crate::Engine), and this node has not read that far
    /// yet, the peer gets no event until this node has, or the engine says that it has no such
    /// event.
    ///
    /// The missed events go out as one [`Sender::post`] for each 256 of them. So a peer that takes
    /// them too slowly is closed when more of them wait than its queue holds. Retain few events, or
    /// let clients that were away for long begin without an id.
    ///
    /// ```
    /// use akurai_http::{Reply, Request};
    /// use akurai_server::Hub;
    /// use akurai_ws::upgrade;
    ///
    /// fn room(hub: &Hub, req: &Request) -> Reply {
    ///     let hub = hub.clone();
    ///     upgrade(req, move |mut conn| {
    ///         let past = hub.history("room", None, 50);
    ///         for event in &past.events {
    ///             conn.send_text(&event.data)?;
    ///         }
    ///         let _member = hub.join_after("room", conn.sender(), past.at);
    ///         while let Some(_message) = conn.recv()? {}
    ///         Ok(())
    ///     })
    /// }
    /// # let _ = room;
    /// ```
    pub fn join_after(&self, topic: &str, sender: Sender, after: EventId) -> Membership {
        self.join_at(topic, sender, Some(after))
    }

    fn join_at(&self, topic: &str, sender: Sender, after: Option<EventId>) -> Membership {
        // Earlier events are not for this member.
        let (from, _) = self.inner.shared.ring.end();
        let mailbox = Arc::clone(&self.inner.threads.members);
        if topic.len() > TOPIC_BYTES {
            // If this fails, the connection has ended already.
            let _ = sender.close(POLICY_VIOLATION, "topic is too long");
            let (topic, id) = (Arc::from(""), None);
            return Membership { mailbox, topic, id };
        }
        let topics = &self.inner.shared.topics;
        let topic = topics.name(topic);
        let id = Some(mailbox.join(Arc::clone(&topic), sender, from, after));
        // From here on others may see it as present. What they then publish reaches it, and an end
        // of the topic ends it.
        topics.count_one_more(&topic);
        Membership { mailbox, topic, id }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.mailbox.leave(Arc::clone(&self.topic), id);
        }
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
