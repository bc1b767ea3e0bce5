//! Ends all connections that are subscribed to a topic.

use std::sync::Arc;

use super::Hub;
use super::event_streams::StreamChange;
use super::options::TOPIC_BYTES;

impl Hub {
    /// Ends the connections that are subscribed to this topic now, also if they have other topics:
    /// because a session is over, an account was disabled, or a job is done. They first get what
    /// was published before this call. Nothing that is published after this call has returned
    /// reaches them.
    ///
    /// - An event stream ends. Its client comes back with `Last-Event-ID` after the time
    ///   [`retry`](crate::HubOptions::retry) ± ½. Your handler then decides: 401, 403 or 204 keep
    ///   an `EventSource` away, and [`sse`](Hub::sse) continues the stream without a loss. A client
    ///   that cannot take everything within 5 s gets the rest only if it may come back.
    /// - A WebSocket is closed with 1000, after which clients should not come back by themselves.
    ///   It is closed with 1013 if it missed an event, or if this node has not yet read the event
    ///   that it named to [`join_after`](Hub::join_after). Until its own thread has dropped the
    ///   [`Membership`](crate::Membership), it still counts as [`present`](Hub::present).
    ///
    /// This call waits for no client: threads of the hub do the work, and
    /// [`HubStats::ended`](crate::HubStats::ended) counts it. Other nodes of an engine do not hear
    /// of this call. An event that this node has not read from its engine yet comes after the end.
    ///
    /// A request whose handler calls [`sse`](Hub::sse) before this call is ended too, also if its
    /// stream begins later: it first gets what was published before this call. So no stream of a
    /// session escapes if the handler looks at the session and calls `sse` under one lock, and the
    /// logout removes the session under this lock before it calls `end`. A WebSocket counts from
    /// [`join`](Hub::join) on: look at the session again after `join`. Later subscribers are not
    /// affected.
    ///
    /// ```
    /// use std::collections::HashSet;
    /// use std::sync::Mutex;
    ///
    /// use akurai_http::{Reply, Request, Response, Status};
    /// use akurai_server::Hub;
    ///
    /// type Users = Mutex<HashSet<String>>;
    ///
    /// fn events(hub: &Hub, users: &Users, user: &str, req: &Request) -> Reply {
    ///     let enabled = users.lock().unwrap();
    ///     match enabled.contains(user) {
    ///         true => hub.sse(req, &["news", &format!("user:{user}")]),
    ///         false => Response::new(Status::FORBIDDEN).into(),
    ///     }
    /// }
    ///
    /// fn disable(hub: &Hub, users: &Users, user: &str) {
    ///     users.lock().unwrap().remove(user);
    ///     hub.end(&format!("user:{user}"));
    /// }
    /// # let _ = (events, disable);
    /// ```
    pub fn end(&self, topic: &str) {
        if topic.len() > TOPIC_BYTES {
            return;
        }
        let (before, _) = self.inner.shared.ring.end();
        if let Some(topic) = self.inner.shared.topics.end(topic, before) {
            for mailbox in &self.inner.threads.event_streams {
                mailbox.put(StreamChange::End(Arc::clone(&topic), before));
            }
            self.inner.threads.members.end_topic(topic, before);
        }
    }
}
