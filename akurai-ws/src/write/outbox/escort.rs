//! One thread in the process that waits for all peers that are slow.
//!
//! A thread that must not wait gives it the [`Writer`] and the rest of what it wrote. The escort
//! writes as much as there is room for, to each in turn, and looks again soon where something went
//! out and ever less often where nothing does. A whole frame has the write deadline, as anywhere
//! else. When the rest is out and nothing waits behind it, the writer goes back to its place.
//!
//! It holds no bytes of its own: a rest is what was shared or queued, and both count towards the
//! connection's queue. It ends when there was no slow peer for a second.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Outbox;
use super::post::PATIENCE;
use crate::error::Error;
use crate::write::queue::Batch;
use crate::write::writer::{REARMING_BYTES, Writer};

/// How soon a peer that took something is tried again, and how seldom one that takes nothing.
const RETRY: Duration = Duration::from_millis(1);
const RETRY_MOST: Duration = Duration::from_millis(250);

/// How long the thread waits for another slow peer before it ends.
const SPARE_TIME: Duration = Duration::from_secs(1);

static ESCORT: Mutex<Arrivals> = Mutex::new(Arrivals {
    peers: Vec::new(),
    has_thread: false,
});
static ARRIVED: Condvar = Condvar::new();

/// What other threads have left for the escort.
struct Arrivals {
    peers: Vec<Peer>,
    has_thread: bool,
}

struct Peer {
    outbox: Arc<Outbox>,
    writer: Writer,
    batch: Batch,
    /// When its time for this frame began, or for this MiB of it.
    since: Instant,
    /// What it took since then.
    progress_bytes: usize,
    /// When it took something.
    last_progress: Instant,
    /// When it is tried again.
    at: Instant,
    is_blamed: bool,
    /// What was written for others until now.
    drained_bytes: usize,
}

impl Outbox {
    /// Gives the writer to the escort, and the rest of a batch that the peer has not taken since
    /// then.
    pub(super) fn escort(
        self: &Arc<Self>,
        writer: Writer,
        batch: Batch,
        since: Instant,
    ) -> Result<(), Error> {
        let mut arrivals = lock();
        if !arrivals.has_thread {
            let builder = thread::Builder::new().name("akurai-ws".to_owned());
            if builder.spawn(run).is_err() {
                drop(arrivals);
                return self.write_here(writer, batch);
            }
            arrivals.has_thread = true;
        }
        let outbox = Arc::clone(self);
        arrivals
            .peers
            .push(Peer::new(outbox, writer, batch, since, 0));
        ARRIVED.notify_one();
        Ok(())
    }

    /// Writes the rest on the caller's own thread, since there is no other: it waits for the peer,
    /// for the write deadline at most.
    fn write_here(self: &Arc<Self>, mut writer: Writer, mut batch: Batch) -> Result<(), Error> {
        let result = writer.write_batch(&mut batch, b"", b"");
        let mut state = self.put_back(writer, result)?;
        self.is_written(&mut state, batch);
        self.settle(state)
    }

    /// The peer has had its time: no thread need wait behind the write under way.
    fn blame(&self) {
        let mut state = self.lock();
        state.is_slow = true;
        self.wake(&state);
    }
}

fn run() {
    let mut peers: Vec<Peer> = Vec::new();
    let mut arrivals = lock();
    loop {
        peers.append(&mut arrivals.peers);
        drop(arrivals);
        let now = Instant::now();
        peers = peers
            .into_iter()
            .filter_map(|peer| peer.turn(now))
            .collect();
        let next = peers.iter().map(|peer| peer.at).min();
        arrivals = lock();
        if arrivals.peers.is_empty() {
            let wait = next.map_or(SPARE_TIME, |at| {
                at.saturating_duration_since(Instant::now())
            });
            let waited = ARRIVED.wait_timeout(arrivals, wait);
            arrivals = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if peers.is_empty() && arrivals.peers.is_empty() {
            arrivals.has_thread = false;
            return;
        }
    }
}

impl Peer {
    /// Writes once, if it is time for that. None when it is over.
    fn turn(mut self, now: Instant) -> Option<Self> {
        if self.at > now {
            return Some(self);
        }
        let bytes = self.batch.unwritten();
        let len = bytes.len();
        match self.writer.try_write(bytes) {
            Ok(written) => self.took(written, written == len),
            Err(error) => self.fail(error),
        }
    }

    fn took(mut self, written: usize, is_all: bool) -> Option<Self> {
        let now = Instant::now();
        self.batch.advance(written);
        if written > 0 {
            self.last_progress = now;
        }
        self.progress_bytes += written;
        self.drained_bytes += written;
        if self.progress_bytes >= REARMING_BYTES || is_all {
            (self.since, self.progress_bytes) = (now, 0);
        }
        if self.batch.is_written() {
            return self.next();
        }
        let left = self.writer.deadline().saturating_sub(now - self.since);
        if left.is_zero() {
            return self.fail(Error::WriteDeadline);
        }
        if !self.is_blamed && now - self.since >= PATIENCE {
            self.outbox.blame();
            self.is_blamed = true;
        }
        let stalled = now - self.last_progress;
        let pause = match is_all {
            true => Duration::ZERO,
            false => (stalled / 4).clamp(RETRY, RETRY_MOST).min(left),
        };
        self.at = now + pause;
        Some(self)
    }

    /// Goes on with what waits behind the batch that is written.
    fn next(self) -> Option<Self> {
        let Self {
            outbox,
            writer,
            batch,
            last_progress: now,
            drained_bytes,
            ..
        } = self;
        let mut state = outbox.put_back(writer, Ok(())).ok()?;
        outbox.is_written(&mut state, batch);
        let Some((writer, batch)) = outbox.take_turn(&mut state, drained_bytes) else {
            outbox.rest(state);
            return None;
        };
        drop(state);
        Some(Self::new(outbox, writer, batch, now, drained_bytes))
    }

    fn new(
        outbox: Arc<Outbox>,
        writer: Writer,
        batch: Batch,
        since: Instant,
        drained_bytes: usize,
    ) -> Self {
        Self {
            outbox,
            writer,
            batch,
            since,
            progress_bytes: 0,
            last_progress: since,
            at: since,
            is_blamed: false,
            drained_bytes,
        }
    }

    fn fail(self, error: Error) -> Option<Self> {
        // Each thread that sends on the connection learns of it.
        drop(self.outbox.put_back(self.writer, Err(error)));
        None
    }
}

fn lock() -> MutexGuard<'static, Arrivals> {
    ESCORT.lock().unwrap_or_else(PoisonError::into_inner)
}
