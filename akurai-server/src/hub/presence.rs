//! How many clients are subscribed to a topic, and the notices when one comes or leaves.

use std::io;
use std::sync::Arc;

use super::Hub;

impl Hub {
    /// How many clients are subscribed to this topic on this node. Other nodes of an engine have
    /// their own counts. A client that vanished without closing counts until the hub notices it:
    /// about a minute, see
    /// [`HubOptions::no_acknowledgement`](crate::HubOptions::no_acknowledgement).
    pub fn present(&self, topic: &str) -> usize {
        self.inner.shared.topics.present(topic)
    }

    /// Calls `notice` with the topic and the new count whenever a client has subscribed.
    ///
    /// One thread of the hub gives all notices, these and those of [`on_leave`](Hub::on_leave), one
    /// after the other, in the order of the counts. The thread does nothing else, so a notice may
    /// publish, and may take its time: only the next notices wait. [`present`](Hub::present) may be
    /// ahead of the notices.
    ///
    /// While 1,024 notices wait, a topic's newer notice replaces its older one. So the application
    /// hears the last count of each topic, but not every step to it. If the count is again the one
    /// that the application knows, it hears nothing. At most 1,024 notices wait, and one more for
    /// each topic.
    ///
    /// The thread begins when the first notice is set, here or by [`on_leave`](Hub::on_leave). It
    /// ends with the hub, after the notice that it is giving at that moment; waiting notices are
    /// not given. A panic costs one notice, and
    /// [`on_error`](Hub::on_error) is told. A notice that holds a clone of the hub keeps the hub
    /// alive.
    ///
    /// # Errors
    ///
    /// If the thread cannot be created. Nothing has changed then.
    pub fn on_join(&self, notice: impl Fn(&str, usize) + Send + Sync + 'static) -> io::Result<()> {
        self.inner
            .shared
            .topics
            .notices
            .set_on_join(Arc::new(notice))
    }

    /// Calls `notice` with the topic and the new count whenever a client has left, on the same
    /// thread and under the same rules as [`on_join`](Hub::on_join).
    ///
    /// # Errors
    ///
    /// The errors of [`on_join`](Hub::on_join).
    pub fn on_leave(&self, notice: impl Fn(&str, usize) + Send + Sync + 'static) -> io::Result<()> {
        self.inner
            .shared
            .topics
            .notices
            .set_on_leave(Arc::new(notice))
    }
}
