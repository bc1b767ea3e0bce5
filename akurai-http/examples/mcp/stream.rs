//! The messages of a stream, kept for a client that lost its connection.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use akurai_http::{Reply, SseEvent, sse};

/// A client that is farther behind begins again.
const MAX_MESSAGES: usize = 1000;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// When a client comes back after its connection has ended.
const RETRY: Duration = Duration::from_secs(1);

/// The messages of one call or, in stream 0, those of no call. Message `k` of stream `n` has the id
/// `n.k`, so a client that comes back says where it was. The connection's thread writes the stream.
/// The call runs on a thread of its own, and goes on while the client is away.
#[derive(Default)]
pub(super) struct Stream {
    state: Mutex<Messages>,
    changed: Condvar,
}

#[derive(Default)]
struct Messages {
    kept: VecDeque<String>,
    dropped: usize,
    /// How many messages went to a connection.
    written: usize,
    /// How many connections were to write this stream. Only the last one does.
    writers: usize,
    /// Nobody waits for more.
    is_over: bool,
    /// The call has returned, so its thread has ended.
    is_done: bool,
}

impl Stream {
    /// Fails if nobody waits for the message: the call was cancelled, or its session is over.
    pub(super) fn send(&self, message: String) -> io::Result<()> {
        let mut state = self.lock();
        if state.is_over {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        state.kept.push_back(message);
        if state.kept.len() > MAX_MESSAGES {
            state.kept.pop_front();
            state.dropped += 1;
        }
        self.changed.notify_all();
        Ok(())
    }

    pub(super) fn is_done(&self) -> bool {
        self.lock().is_done
    }

    /// The call has returned.
    pub(super) fn finish(&self) {
        self.lock().is_done = true;
        self.end();
    }

    pub(super) fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    /// Ends the connection, not the stream: its client comes back when it likes.
    pub(super) fn hang_up(&self) {
        self.lock().writers += 1;
        self.changed.notify_all();
    }

    /// Answers with stream `number` behind message `from`, or else behind the last one that was
    /// written. If it is primed, it begins with an empty message. `None` if a message behind `from`
    /// is gone, or if there was no message `from`. Calls `touch` as long as the connection lasts.
    pub(super) fn follow(
        self: &Arc<Self>,
        is_primed: bool,
        number: u64,
        from: Option<usize>,
        touch: impl Fn() + Send + 'static,
    ) -> Option<Reply> {
        let (stream, at) = (Arc::clone(self), move |k| format!("{number}.{k}"));
        let mut state = self.lock();
        let mut next = from.unwrap_or(state.written);
        if !(state.dropped..=state.dropped + state.kept.len()).contains(&next) {
            return None;
        }
        // The connection before this one ends.
        state.writers += 1;
        let me = state.writers;
        drop(state);
        self.changed.notify_all();
        let answer = sse(move |mut sink| {
            // So the client has a place to come back to before the first message. Those of older
            // revisions take an empty message for a fault.
            let place = if is_primed {
                SseEvent::data("")
            } else {
                SseEvent::default()
            };
            sink.send(&place.id(at(next)).retry(RETRY))?;
            while let Some(message) = stream.wait(next, me)? {
                let event = match message {
                    None => SseEvent::comment("still here"),
                    Some(message) => {
                        next += 1;
                        SseEvent::data(message).id(at(next))
                    }
                };
                sink.send(&event)?;
                touch();
            }
            Ok(())
        });
        Some(answer)
    }

    /// The next message, or `Some(None)` if there was none for a while.
    fn wait(&self, next: usize, writer: usize) -> io::Result<Option<Option<String>>> {
        let is_quiet = |state: &mut Messages| {
            let is_mine = state.writers == writer;
            is_mine && !state.is_over && next >= state.dropped + state.kept.len()
        };
        let result = self
            .changed
            .wait_timeout_while(self.lock(), KEEP_ALIVE, is_quiet);
        let (mut state, wait) = result.unwrap_or_else(PoisonError::into_inner);
        if wait.timed_out() {
            return Ok(Some(None));
        }
        let Some(place) = next.checked_sub(state.dropped) else {
            return Err(io::Error::other("the client is too slow"));
        };
        let message = state
            .kept
            .get(place)
            .filter(|_| state.writers == writer)
            .cloned();
        if message.is_some() {
            state.written = next + 1;
        }
        Ok(message.map(Some))
    }

    fn lock(&self) -> MutexGuard<'_, Messages> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
