//! One thread in the process that waits for all peers that are slow.
//!
//! A thread that must not wait gives it its turn and the rest of what it wrote. The escort writes
//! as much as there is room for, to each peer in turn, and looks again soon where something went
//! out and ever less often where nothing does. A whole frame has the write deadline, as anywhere
//! else. When the rest is out and nothing waits behind it, the turn ends.
//!
//! It holds no bytes of its own: a rest is what was shared or queued, and both count towards the
//! connection's queue. The thread ends when there was no slow peer for a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Job, Outbox, Outlet};
use crate::error::Error;
use crate::write::monitor::{Monitor, now, spawn};
use crate::write::queue::Batch;
use crate::write::writer::{FrameTime, PATIENCE, Writer};

/// How soon a peer that took something is tried again, and how seldom one that takes nothing.
const RETRY: Duration = Duration::from_millis(1);
const RETRY_MOST: Duration = Duration::from_millis(250);

/// How long the thread waits for another slow peer before it ends.
const SPARE_TIME: Duration = Duration::from_secs(1);

/// What other threads have left for the escort's thread.
#[derive(Debug)]
pub(crate) struct Escort<O: Outlet>(Monitor<Arrivals<O>>);

#[derive(Debug)]
struct Arrivals<O: Outlet> {
    peers: Vec<Peer<O>>,
    has_thread: bool,
}

#[derive(Debug)]
struct Peer<O: Outlet> {
    outbox: Arc<Outbox<O>>,
    writer: Writer<O>,
    batch: Batch,
    time: FrameTime,
    /// When it took something.
    last_progress: Instant,
    /// When it is tried again.
    at: Instant,
}

impl<O: Outlet> Escort<O> {
    pub(crate) const fn new() -> Self {
        Self(Monitor::new(Arrivals {
            peers: Vec::new(),
            has_thread: false,
        }))
    }

    /// Has the turn from now on, with the rest of a batch that the peer has not taken since then.
    /// Gives both back if there is no thread for it.
    pub(super) fn take_over(
        &'static self,
        outbox: &Arc<Outbox<O>>,
        job: Job<O>,
        since: Instant,
    ) -> Option<Job<O>> {
        let mut arrivals = self.0.lock();
        if !arrivals.has_thread && !spawn(|| self.run()) {
            return Some(job);
        }
        arrivals.has_thread = true;
        arrivals
            .peers
            .push(Peer::new(Arc::clone(outbox), job, since));
        self.0.wake(&arrivals);
        None
    }

    fn run(&self) {
        let mut peers: Vec<Peer<O>> = Vec::new();
        let mut arrivals = self.0.lock();
        while arrivals.has_thread {
            peers.append(&mut arrivals.peers);
            drop(arrivals);
            let time = now();
            peers = peers
                .into_iter()
                .filter_map(|peer| peer.attend(time))
                .collect();
            let next = peers.iter().map(|peer| peer.at).min();
            arrivals = self.0.lock();
            if arrivals.peers.is_empty() {
                let wait = next.map_or(SPARE_TIME, |at| at.saturating_duration_since(now()));
                arrivals = self.0.wait(arrivals, wait);
            }
            arrivals.has_thread = !peers.is_empty() || !arrivals.peers.is_empty();
        }
    }
}

impl<O: Outlet> Peer<O> {
    fn new(outbox: Arc<Outbox<O>>, (writer, batch): Job<O>, since: Instant) -> Self {
        Self {
            outbox,
            writer,
            batch,
            time: FrameTime::from(since),
            last_progress: since,
            at: since,
        }
    }

    /// Writes once, if it is time for that. None when nothing is left to write.
    fn attend(mut self, time: Instant) -> Option<Self> {
        if self.at > time {
            return Some(self);
        }
        let len = self.batch.unwritten().len();
        let written = match self.writer.try_write(self.batch.unwritten()) {
            Ok(written) => written,
            Err(error) => return self.end_turn(Err(error)),
        };
        let now = now();
        self.batch.advance(written);
        if written > 0 {
            self.last_progress = now;
        }
        if self.batch.is_written() {
            return self.end_turn(Ok(()));
        }
        if written == len {
            self.time = FrameTime::from(now);
        }
        let left = match self.time.left(written, self.writer.deadline) {
            Ok(left) => left,
            Err(error) => return self.end_turn(Err(error)),
        };
        if now - self.time.since >= PATIENCE {
            self.outbox.is_late();
        }
        let pause = (now - self.last_progress) / 4;
        self.at = match written == len {
            true => now,
            false => now + pause.clamp(RETRY, RETRY_MOST).min(left),
        };
        Some(self)
    }

    /// Goes on with what waits behind the batch. Where it has failed, each thread that sends on the
    /// connection learns of it.
    fn end_turn(self, result: Result<(), Error>) -> Option<Self> {
        let next = self
            .outbox
            .end_turn((self.writer, self.batch), result)
            .ok()?;
        next.map(|next| Self::new(self.outbox, next, self.last_progress))
    }
}
