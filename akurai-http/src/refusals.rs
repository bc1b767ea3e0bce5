//! Connections that found no place: each is told so, and kept until it has read the answer or its time is up.

use std::net::Shutdown;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::Date;
use crate::codec::response::{Persistence, ResponseFraming, append_head};
use crate::connection::after;
use crate::own_answers::overloaded;
use crate::roster::{Roster, lock};
use crate::stream::Stream;

/// Refused connections that are kept at a time. Beyond that, one is closed at once, and its reset may overtake the answer.
const KEPT: usize = 256;

/// How often they are looked at, by one thread that exists only while there are any.
const LOOK: Duration = Duration::from_millis(20);

/// What is read and thrown away at one look, in bytes.
const LOOK_BYTES: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Refusals {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: Vec<(Stream, Instant)>,
    watched: bool,
}

impl Refusals {
    /// Answers 503 and keeps the connection for `time`. True if the caller is to have somebody [`watch`](Self::watch).
    pub(crate) fn refuse(&self, stream: Stream, time: Duration) -> bool {
        // A new socket's buffer is empty, so this does not wait; and if it fails, the client is gone.
        let told = stream.write(&answer()).is_ok()
            && stream.shutdown(Shutdown::Write).is_ok()
            && stream.set_nonblocking(true).is_ok();
        let mut state = lock(&self.state);
        if !told || state.kept.len() >= KEPT {
            return false;
        }
        state.kept.push((stream, after(time)));
        !std::mem::replace(&mut state.watched, true)
    }

    /// Reads what the refused still send, until none is left.
    pub(crate) fn watch(&self, roster: &Roster) {
        let mut scratch = vec![0; LOOK_BYTES];
        loop {
            thread::sleep(LOOK);
            let now = Instant::now();
            let mut state = lock(&self.state);
            state.kept.retain(|(stream, until)| {
                let over = matches!(stream.read(&mut scratch), Ok(0)) || now >= *until;
                !over && !roster.is_stopping()
            });
            if state.kept.is_empty() {
                state.watched = false;
                return;
            }
        }
    }

    /// Closes them all, since nobody can watch.
    pub(crate) fn forget(&self) {
        *lock(&self.state) = State::default();
    }
}

fn answer() -> Vec<u8> {
    let response = overloaded();
    let body = response.body_bytes().unwrap_or_default();
    let mut answer = Vec::new();
    append_head(
        response.status(),
        response.headers(),
        ResponseFraming::Length(body.len() as u64),
        Persistence::Close,
        Date::default().now(),
        &mut answer,
    );
    answer.extend_from_slice(body);
    answer
}
