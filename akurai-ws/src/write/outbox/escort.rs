//! One thread of the process that waits for all slow peers.
//!
//! A sending thread that must not wait gives the escort its turn and the rest of its batch. The
//! escort writes as much as there is room for, to each peer in turn. It tries a peer again soon if
//! the peer took something, and ever less often if it takes nothing. A whole frame has the write
//! deadline, as everywhere else. When the rest is out and nothing waits behind it, the turn ends.
//!
//! The escort holds no bytes of its own: a rest was shared or queued, and both count towards the
//! connection's queue. The thread ends when there was no slow peer for a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use akurai_http::Socket;

use super::{Job, Outbox};
use crate::error::Error;
use crate::write::monitor::{Monitor, now, spawn};
use crate::write::writer::{FrameTime, Outlet, PATIENCE};

/// How soon the escort tries a peer again that took something, and how seldom one that takes
/// nothing.
const RETRY: Duration = Duration::from_millis(1);
const RETRY_MOST: Duration = Duration::from_millis(250);

/// How long the thread waits for another slow peer before it ends.
const SPARE_TIME: Duration = Duration::from_secs(1);

/// The peers that other threads have left to the escort's thread; `None` if there is no such
/// thread.
#[derive(Debug)]
pub(crate) struct Escort<O: Escorted>(Monitor<Option<Vec<SlowPeer<O>>>>);

/// A socket whose slow peers the escort waits for.
pub(crate) trait Escorted: Outlet {
    /// The escort of all such sockets.
    fn escort(&self) -> &'static Escort<Self>;
}

impl Escorted for Socket {
    fn escort(&self) -> &'static Escort<Self> {
        static ESCORT: Escort<Socket> = Escort::new();
        &ESCORT
    }
}

#[derive(Debug)]
struct SlowPeer<O: Escorted> {
    outbox: Arc<Outbox<O>>,
    job: Job<O>,
    time: FrameTime,
    /// When the peer last took something.
    last_progress: Instant,
    /// When the escort tries the peer again.
    at: Instant,
}

impl<O: Escorted> Escort<O> {
    pub(crate) const fn new() -> Self {
        Self(Monitor::new(None))
    }

    /// Takes over the turn, with the rest of a batch that the peer has not taken since `since`.
    /// Gives the turn back if no thread can be started.
    pub(super) fn take_over(
        &'static self,
        outbox: &Arc<Outbox<O>>,
        job: Job<O>,
        since: Instant,
    ) -> Option<Job<O>> {
        let mut arrivals = self.0.lock();
        if arrivals.is_none() && !spawn(|| self.run()) {
            return Some(job);
        }
        let peer = SlowPeer::new(Arc::clone(outbox), job, since);
        arrivals.get_or_insert_default().push(peer);
        self.0.wake(&arrivals);
        None
    }

    fn run(&self) {
        let mut peers = Vec::new();
        let mut arrivals = self.0.lock();
        while let Some(new) = arrivals.as_mut() {
            peers.append(new);
            drop(arrivals);
            let time = now();
            let is_left = |peer: SlowPeer<O>| match peer.at > time {
                true => Some(peer),
                false => peer.attend(),
            };
            peers = peers.into_iter().filter_map(is_left).collect();
            let next = peers.iter().map(|peer| peer.at).min();
            arrivals = self.0.lock();
            if arrivals.as_ref().is_some_and(Vec::is_empty) {
                let wait = next.map_or(SPARE_TIME, |at| at.saturating_duration_since(now()));
                arrivals = self.0.wait(arrivals, wait);
            }
            if peers.is_empty() {
                *arrivals = arrivals.take().filter(|new| !new.is_empty());
            }
        }
    }
}

impl<O: Escorted> SlowPeer<O> {
    fn new(outbox: Arc<Outbox<O>>, job: Job<O>, since: Instant) -> Self {
        Self {
            outbox,
            job,
            time: FrameTime::from(since),
            last_progress: since,
            at: since,
        }
    }

    /// Writes once, and goes on with the frames that wait behind the batch. `None` when nothing is
    /// left to write. After a failure, each thread that sends on the connection gets an error.
    fn attend(mut self) -> Option<Self> {
        let result = match self.write() {
            Ok(false) => return Some(self),
            Ok(true) => Ok(()),
            Err(error) => Err(error),
        };
        let next = self.outbox.end_turn(self.job, result).ok()?;
        next.map(|job| Self::new(self.outbox, job, self.last_progress))
    }

    /// Returns whether the batch is written.
    fn write(&mut self) -> Result<bool, Error> {
        let Job { writer, batch, .. } = &mut self.job;
        let len = batch.unwritten().len();
        let written = writer.try_write(batch.unwritten())?;
        batch.advance(written);
        let now = now();
        if written > 0 {
            self.last_progress = now;
        }
        let planned = std::mem::replace(&mut self.at, now);
        if written == len {
            self.time = FrameTime::from(now);
            return Ok(batch.is_written());
        }
        self.time.excuse(planned, now);
        let left = self
            .time
            .left(written, self.outbox.settings.write_deadline)?;
        if now - self.time.since >= PATIENCE {
            self.outbox.is_late();
        }
        let pause = (now - self.last_progress) / 4;
        self.at += pause.clamp(RETRY, RETRY_MOST).min(left);
        Ok(false)
    }
}
