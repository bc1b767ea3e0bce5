//! A connection as the registry knows it: its socket, its place and its counts.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

#[cfg(test)]
use super::model;
use super::outcomes::{Direction, Outcomes};
use super::{Registry, Traffic, take_place};
use crate::io::contain::contain;
use crate::io::ending::{Ending, UpgradeEnd, set_field};
use crate::io::limits::Limits;
use crate::io::linger::{LingerBounds, Lingering};
use crate::io::lock::lock;
use crate::io::transport::{Transport, is_timeout};
use crate::{ConnectionState, ConnectionStats};

/// Most bytes that one read discards.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Longest wait of one read. After it the thread checks whether places run out or the server stops.
const LOOK: Duration = Duration::from_millis(250);

/// One connection's socket and its place in the count. It holds the place until its last handle is
/// dropped.
#[derive(Debug)]
pub(crate) struct RegistryEntry {
    pub(crate) transport: Transport,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) traffic: Arc<Traffic>,
    phase: AtomicU8,
    /// When it found its place.
    begun: Instant,
    /// It was upgraded, and still speaks HTTP: an event stream.
    is_event_stream: AtomicBool,
    /// The socket was set not to wait, for the shared set of busy connections.
    pub(super) is_lent: AtomicBool,
    /// The connection was ended by force, so its input has gaps. Reads return 0.
    pub(super) is_cut: AtomicBool,
    /// Called at a shutdown, instead of ending the input.
    stop_hook: OnceLock<StopHook>,
    /// How the reads and writes of the upgrade's owner went, if anybody asks.
    outcomes: OnceLock<Arc<Outcomes>>,
    /// What to do when the upgrade ends, if the program logs it.
    pub(super) end: Mutex<Option<Box<UpgradeEnd>>>,
    pub(super) id: u64,
    registry: Arc<Registry>,
}

/// What a connection does when the server shuts down.
pub(crate) struct StopHook(Box<StopFn>);

type StopFn = dyn Fn(&Arc<RegistryEntry>) + Send + Sync;

impl StopHook {
    pub(crate) fn new(hook: impl Fn(&Arc<RegistryEntry>) + Send + Sync + 'static) -> StopHook {
        StopHook(Box::new(hook))
    }
}

impl fmt::Debug for StopHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopHook")
    }
}

/// The connection waits for a request, so a shutdown may close it.
const IDLE: u8 = 0;
/// The connection has a request to answer, so a shutdown lets it finish.
const BUSY: u8 = 1;
/// A closure owns the connection. It learns of a shutdown from its hook, or as the end of its
/// input.
const UPGRADED: u8 = 2;
/// The last answer was written, and we read on until the client has it; see
/// [`RegistryEntry::linger`].
const LINGERING: u8 = 3;
/// The connection waits for its first request, so a shutdown gives the client a moment for it.
const UNASKED: u8 = 4;

impl RegistryEntry {
    pub(super) fn new(
        transport: Transport,
        peer: Option<SocketAddr>,
        limits: &Arc<Limits>,
        id: u64,
        registry: &Arc<Registry>,
    ) -> RegistryEntry {
        RegistryEntry {
            transport,
            peer,
            limits: Arc::clone(limits),
            traffic: Arc::default(),
            phase: AtomicU8::new(BUSY),
            begun: Instant::now(),
            is_event_stream: AtomicBool::new(false),
            is_lent: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            stop_hook: OnceLock::new(),
            outcomes: OnceLock::new(),
            end: Mutex::new(None),
            id,
            registry: Arc::clone(registry),
        }
    }

    /// The same error of a call. Tells why the session failed, if that is its cause.
    #[cold]
    pub(super) fn noted(&self, error: io::Error) -> io::Error {
        self.tell_session_failure();
        error
    }

    fn tell_session_failure(&self) {
        let Some(failure) = self.transport.take_session_failure() else {
            return;
        };
        // A session that was cut in the middle has no fault.
        if !self.is_cut.load(Ordering::SeqCst) {
            self.registry.note_session_failure(self.peer, failure);
        }
    }

    /// How many bytes were written.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.traffic.bytes_sent.load(Ordering::Relaxed)
    }

    /// How many bytes were read.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.traffic.bytes_received.load(Ordering::Relaxed)
    }

    /// Begins to note how the reads and writes of the upgrade's owner go. The notes outlive the
    /// connection.
    pub(crate) fn note_outcomes(&self) -> Arc<Outcomes> {
        Arc::clone(self.outcomes.get_or_init(Arc::default))
    }

    /// Reads for the owner of the upgrade, whose failures [excuse](Outcomes::excuse) it.
    pub(crate) fn read_upgraded(&self, buf: &mut [u8]) -> io::Result<usize> {
        let is_empty = buf.is_empty();
        let result = self.read(buf);
        self.note(|outcomes| &outcomes.last_read, is_empty, result)
    }

    /// Writes for the owner of the upgrade.
    pub(crate) fn write_upgraded(&self, buf: &[u8]) -> io::Result<usize> {
        let result = self.write(buf);
        self.note(|outcomes| &outcomes.last_write, buf.is_empty(), result)
    }

    pub(crate) fn write_vectored_upgraded(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let is_empty = bufs.iter().all(|buf| buf.is_empty());
        let result = self.write_vectored(bufs);
        self.note(|outcomes| &outcomes.last_write, is_empty, result)
    }

    /// As [`read_upgraded`](RegistryEntry::read_upgraded), where the caller expects that the wait
    /// runs out.
    pub(crate) fn read_in_time(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self.read(buf) {
            Err(error) if is_timeout(&error) => Err(error),
            result => self.note(|outcomes| &outcomes.last_read, false, result),
        }
    }

    fn note(
        &self,
        last: impl Fn(&Outcomes) -> &Direction,
        is_empty: bool,
        result: io::Result<usize>,
    ) -> io::Result<usize> {
        // Nothing can be read into an empty buffer, so this tells nothing of the client.
        if let Some(outcomes) = self.outcomes.get().filter(|_| !is_empty) {
            last(outcomes).note(&result);
        }
        result
    }

    /// What is read and written from now on excuses no error, and neither does a wait that ran out
    /// before: the program's code has ended.
    pub(crate) fn settle(&self) {
        if let Some(outcomes) = self.outcomes.get() {
            outcomes.last_read.settle();
            outcomes.last_write.settle();
        }
    }

    /// Counts a request. Only the thread that serves the connection does so.
    pub(crate) fn count_request(&self) {
        let requests = &self.traffic.requests;
        requests.store(requests.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Whether it has a request to answer.
    pub(super) fn is_busy(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == BUSY
    }

    /// The connection as it is now.
    pub(super) fn stats(&self, now: Instant) -> ConnectionStats {
        let relaxed = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ConnectionStats {
            id: self.id,
            peer: self.peer,
            state: match self.phase.load(Ordering::SeqCst) {
                IDLE | UNASKED => ConnectionState::Idle,
                LINGERING => ConnectionState::Lingering,
                UPGRADED if self.is_event_stream.load(Ordering::Relaxed) => {
                    ConnectionState::EventStream
                }
                UPGRADED => ConnectionState::Upgraded,
                _ => ConnectionState::InRequest,
            },
            age: now.saturating_duration_since(self.begun),
            requests: relaxed(&self.traffic.requests),
            bytes_received: relaxed(&self.traffic.bytes_received),
            bytes_sent: relaxed(&self.traffic.bytes_sent),
        }
    }

    /// Whether the server owes its client no answer: it waits for a request, or was upgraded.
    pub(super) fn owes_nothing(&self) -> bool {
        #[cfg(test)]
        model::step();
        matches!(self.phase.load(Ordering::SeqCst), IDLE | UPGRADED)
    }

    /// Says that the connection waits for a request, or for its `first`. False if the server stops:
    /// then it should not wait, or not for long.
    pub(crate) fn set_idle(&self, first: bool) -> bool {
        // A thread that stops the server sets its flag before it looks for idle connections. We
        // look at the flag after we became idle. So one of the two sees the other.
        let phase = if first { UNASKED } else { IDLE };
        #[cfg(test)]
        model::step();
        self.phase.store(phase, Ordering::SeqCst);
        !self.registry.is_stopping()
    }

    /// Whether it waits for its first request.
    pub(super) fn is_unasked(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == UNASKED
    }

    /// Ends its input if its first request has not come.
    pub(crate) fn close_unasked(&self) {
        if self.is_unasked() {
            self.end_input(Shutdown::Read);
        }
    }

    /// Ends its input, or both directions.
    pub(super) fn end_input(&self, how: Shutdown) {
        let _ = self.transport.shutdown(how);
        #[cfg(test)]
        model::wake(&self.end);
    }

    /// Says that a request has arrived.
    pub(crate) fn set_busy(&self) {
        // A shutdown that does not see this yet acts as if it had come a moment earlier.
        #[cfg(test)]
        model::step();
        self.phase.store(BUSY, Ordering::Release);
    }

    /// Says that the connection has had its last answer. It keeps its place; an upgraded connection
    /// stays upgraded.
    pub(crate) fn set_lingering(&self) {
        let order = Ordering::SeqCst;
        let _ = self.phase.fetch_update(order, order, |phase| {
            (phase != UPGRADED).then_some(LINGERING)
        });
    }

    /// How long this connection may linger at the moment.
    pub(crate) fn linger_bounds(&self) -> LingerBounds {
        let (taken, places) = match self.phase.load(Ordering::Relaxed) {
            UPGRADED => (self.registry.upgraded(), self.limits.max_upgrades),
            _ => (self.registry.open(), self.limits.max_connections),
        };
        LingerBounds::new(&self.limits, taken, places, self.is_stopping())
    }

    /// Takes a place among the upgrades, which [`upgrade`](RegistryEntry::upgrade) uses. False if
    /// all of them are taken.
    pub(crate) fn take_upgrade_place(&self) -> bool {
        take_place(&self.registry.upgraded, self.limits.max_upgrades)
    }

    /// Moves the connection from the count of connections to the count of upgrades, in which it has
    /// a place already. The hook may be called from now on, so its log line must be there.
    pub(crate) fn upgrade(
        self: &Arc<RegistryEntry>,
        hook: Option<StopHook>,
        is_event_stream: bool,
    ) {
        self.is_event_stream
            .store(is_event_stream, Ordering::Relaxed);
        self.registry.open.fetch_sub(1, Ordering::Relaxed);
        #[cfg(test)]
        model::step();
        if let Some(hook) = hook {
            let _ = self.stop_hook.set(hook); // A connection is upgraded once.
        }
        #[cfg(test)]
        model::step();
        self.phase.store(UPGRADED, Ordering::SeqCst);
        if self.registry.is_stopping() && !self.call_stop_hook() {
            self.end_input(Shutdown::Read);
        }
    }

    /// Sets what to do when the upgrade ends.
    pub(crate) fn set_end(&self, end: UpgradeEnd) {
        *lock(&self.end) = Some(Box::new(end));
    }

    /// Adds a field to the log line of the upgrade, if there will be one.
    pub(crate) fn log(&self, name: &'static str, value: &dyn fmt::Display) {
        if lock(&self.end).is_none() {
            return;
        }
        // The value is the program's: it is written while our lock is free.
        let value = value.to_string();
        if let Some(end) = &mut *lock(&self.end) {
            set_field(&mut end.fields, name, value);
        }
    }

    /// Ends the upgrade. It runs the program's code, which may panic.
    pub(crate) fn end_upgrade(&self) {
        let end = lock(&self.end).take();
        let Some(end) = end.map(|end| *end) else {
            return;
        };
        let run = end.run;
        let ending = Ending {
            status: None,
            bytes_sent: self.sent_bytes().saturating_sub(end.sent_before),
            bytes_received: Some(self.received_bytes() - end.received_before),
            fields: end.fields,
        };
        if let Err(panic) = contain(|| run(ending)) {
            self.registry.note_panic(None, &panic);
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.registry.is_stopping()
    }

    /// Ends our side, then reads and discards what the client still sends until it ends its own,
    /// within [`Limits::linger_time`] and [`Limits::linger_stall`].
    pub(crate) fn linger(&self) {
        self.set_lingering();
        // The reads below must wait, whatever the socket was set to before.
        let may_wait = !self.limits.linger_time.is_zero()
            && self.transport.set_nonblocking(false).is_ok()
            && self.transport.shutdown(Shutdown::Write).is_ok();
        if !may_wait {
            return;
        }
        let mut lingering = Lingering::begin();
        let mut scratch = vec![0; SCRATCH_BYTES];
        loop {
            let wait = lingering.left(self.linger_bounds()).min(LOOK);
            if wait.is_zero() {
                return;
            }
            let wait = wait.max(Duration::from_millis(1));
            if self.transport.set_read_timeout(Some(wait)).is_err() {
                return;
            }
            let asked = Instant::now();
            match self.read(&mut scratch) {
                Ok(0) => return,
                Ok(_) => lingering.bytes_came(),
                Err(error) if is_timeout(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    lingering.interrupted(asked, wait);
                }
                Err(_) => return,
            }
        }
    }

    /// Whether no input from the client waits in the kernel, as far as we can tell without waiting.
    pub(crate) fn is_input_empty(&self) -> bool {
        let mut byte = [0];
        let looked = self
            .transport
            .set_nonblocking(true)
            .and_then(|()| self.read(&mut byte));
        match looked {
            Ok(count) => count == 0,
            Err(error) => is_timeout(&error),
        }
    }

    // Empties our receive buffer before a forced end. A client that has filled it, while a handler
    // was busy, waits until TCP tells it that there is room. After the end of our input, only our
    // FIN tells it so. Then the client goes on sending, our system answers with a reset, and the
    // client's wait ends.
    pub(super) fn make_room(&self) {
        const READS: usize = 2048; // 32 MiB, which no system holds for a socket by default.
        self.is_cut.store(true, Ordering::SeqCst);
        self.transport.abandon();
        // Another thread of this connection may set the socket to block; then this bounds each
        // read.
        let wait = Some(Duration::from_millis(1));
        let wire = self.transport.wire();
        if wire.set_read_timeout(wait).is_err() || self.transport.set_nonblocking(true).is_err() {
            return;
        }
        let mut discarded = [0; 16 * 1024];
        for _ in 0..READS {
            if !matches!(wire.read(&mut discarded), Ok(1..)) {
                break;
            }
        }
    }

    /// Whether the connection has a hook for a shutdown.
    pub(super) fn has_stop_hook(&self) -> bool {
        #[cfg(test)]
        model::step();
        self.stop_hook.get().is_some()
    }

    // Calls the hook; false if there is none. It is the application's, and may panic.
    pub(super) fn call_stop_hook(self: &Arc<RegistryEntry>) -> bool {
        let Some(hook) = self.stop_hook.get() else {
            return false;
        };
        if let Err(panic) = contain(|| (hook.0)(self)) {
            self.registry.note_panic(None, &panic);
        }
        true
    }
}

impl Drop for RegistryEntry {
    fn drop(&mut self) {
        {
            let mut entries = lock(&self.registry.entries);
            entries.remove(&self.id);
            self.registry.counts.ended.add(&self.traffic);
        }
        let count = match *self.phase.get_mut() {
            UPGRADED => &self.registry.upgraded,
            _ => &self.registry.open,
        };
        count.fetch_sub(1, Ordering::Relaxed);
        // A client that sees the end finds the place free.
        self.transport.finish();
        self.tell_session_failure();
    }
}

#[cfg(test)]
mod tests;
