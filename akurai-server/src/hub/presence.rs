//! How many are there for a topic, and the notices of who comes and leaves.

use std::io;
use std::sync::Arc;

use super::Hub;

impl Hub {
    /// How many are subscribed to this topic here; other nodes of an engine have others. A client
    /// that vanished without a word counts until that is noticed: about a minute, as
    /// [`HubOptions::no_acknowledgement`](crate::HubOptions::no_acknowledgement) says.
    pub fn present(&self, topic: &str) -> usize {
        self.inner.shared.topics.present(topic)
    }

    /// Calls `notice` with the topic and the new count whenever somebody has subscribed.
    ///
    /// One thread of the hub's own gives all notices, these and those of
    /// [`on_leave`](Hub::on_leave), one after the other, in the order of the counts. That thread
    /// serves nobody else, so a notice may publish, and may take its time: the next notices wait,
    /// and nothing else does. [`present`](Hub::present) may be ahead of the notices.
    ///
    /// While 1,024 notices wait, a topic's newer notice takes the place of its older one. So the
    /// application hears the last count of each topic, though not every step to it; where the
    /// count is again what the application knows, it hears nothing. At most 1,024 notices wait,
    /// and one more for each topic.
    ///
    /// The thread begins when the first notice is set, here or by [`on_leave`](Hub::on_leave), and
    /// ends with the hub, behind the notice that it gives just then; what waits is not told. A
    /// panic costs one notice. A notice that holds a clone of the hub keeps it alive.
    ///
    /// # Errors
    ///
    /// If the thread cannot be made. Nothing is changed then.
    pub fn on_join(&self, notice: impl Fn(&str, usize) + Send + Sync + 'static) -> io::Result<()> {
        self.inner
            .shared
            .topics
            .notices
            .set_on_join(Arc::new(notice))
    }

    /// Calls `notice` with the topic and the new count whenever somebody has left, on the same
    /// thread and under the same rules as [`on_join`](Hub::on_join).
    ///
    /// # Errors
    ///
    /// Those of [`on_join`](Hub::on_join).
    pub fn on_leave(&self, notice: impl Fn(&str, usize) + Send + Sync + 'static) -> io::Result<()> {
        self.inner
            .shared
            .topics
            .notices
            .set_on_leave(Arc::new(notice))
    }
}
