//! The server's connections: their counts and bounds, and the sockets that a shutdown must reach.

mod entry;
mod exchange;
#[cfg(test)]
#[path = "../../../tests/model/scheduler.rs"]
#[allow(dead_code, clippy::duplicate_mod, reason = "each model has its own")]
mod model;
mod outcomes;
#[cfg(all(test, unix))]
mod stopping;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

pub(crate) use entry::{RegistryEntry, StopHook};

use crate::io::clock::after;
use crate::io::contain::contain;
use crate::io::failure::{FailedRequest, Failure, FailureKind, Failures};
use crate::io::limits::Limits;
use crate::io::lock::{lock, wait};
use crate::io::session::SessionOpener;
use crate::io::transport::Transport;
use crate::{ConnectionStats, RequestError, Stats};

/// All connections of one server.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// By number, so that the newest come last.
    entries: Mutex<BTreeMap<u64, Registered>>,
    next_id: AtomicU64,
    /// Connections that speak HTTP.
    open: AtomicUsize,
    upgraded: AtomicUsize,
    pub(crate) counts: Counts,
    pub(crate) failures: Failures,
    stopping: AtomicBool,
    /// What the application does when the stop begins.
    on_stop: Mutex<Vec<OnStop>>,
    /// When busy connections must have ended; `None` until somebody asks for a stop.
    deadline: Mutex<Option<Instant>>,
    asked: Condvar,
}

/// A connection. Its traffic is apart, so that `stats` can count it while the connection is being
/// dropped.
#[derive(Debug)]
struct Registered {
    entry: Weak<RegistryEntry>,
    traffic: Arc<Traffic>,
}

struct OnStop(Box<dyn FnOnce() + Send>);

impl fmt::Debug for OnStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnStop")
    }
}

/// What has happened since the server was made.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) overloaded: AtomicU64,
    pub(crate) failed_sessions: AtomicU64,
    pub(crate) panics: AtomicU64,
    refused: [AtomicU64; RequestError::COUNT],
    /// Traffic of connections that have ended; each live connection keeps its own.
    ended: Traffic,
}

/// The traffic of one connection, or of many.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) requests: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
}

impl Counts {
    pub(crate) fn refuse(&self, error: RequestError) {
        self.refused[error as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Traffic {
    fn add(&self, other: &Traffic) {
        let add = |sum: &AtomicU64, one: &AtomicU64| {
            sum.fetch_add(one.load(Ordering::Relaxed), Ordering::Relaxed);
        };
        add(&self.requests, &other.requests);
        add(&self.bytes_received, &other.bytes_received);
        add(&self.bytes_sent, &other.bytes_sent);
    }
}

impl Registry {
    /// Gives the socket a place among the connections, or gives it back if all places are taken.
    pub(crate) fn admit(
        self: &Arc<Registry>,
        transport: Transport,
        peer: Option<SocketAddr>,
        limits: &Arc<Limits>,
    ) -> Result<Arc<RegistryEntry>, Transport> {
        match take_place(&self.open, limits.max_connections) {
            true => Ok(self.enter(transport, peer, limits)),
            false => Err(transport),
        }
    }

    /// As [`admit`](Registry::admit), under a session. A client cannot be told that all places are
    /// taken, since that needs a handshake: its connection is closed.
    pub(crate) fn admit_session(
        self: &Arc<Registry>,
        transport: Transport,
        peer: Option<SocketAddr>,
        limits: &Arc<Limits>,
        opener: &SessionOpener,
    ) -> Option<Arc<RegistryEntry>> {
        if !take_place(&self.open, limits.max_connections) {
            self.counts.overloaded.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        match opener.open(peer) {
            Ok(session) => Some(self.enter(transport.under(session), peer, limits)),
            Err(error) => {
                drop(transport);
                self.open.fetch_sub(1, Ordering::Relaxed);
                self.note_session_failure(peer, error);
                None
            }
        }
    }

    /// Registers a connection that has a place.
    fn enter(
        self: &Arc<Registry>,
        transport: Transport,
        peer: Option<SocketAddr>,
        limits: &Arc<Limits>,
    ) -> Arc<RegistryEntry> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::new(RegistryEntry::new(transport, peer, limits, id, self));
        #[cfg(test)]
        model::step();
        let registered = Registered {
            entry: Arc::downgrade(&entry),
            traffic: Arc::clone(&entry.traffic),
        };
        lock(&self.entries).insert(entry.id, registered);
        entry
    }

    pub(crate) fn upgraded(&self) -> usize {
        self.upgraded.load(Ordering::Relaxed)
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The counts, except the number of threads.
    pub(crate) fn stats(&self) -> Stats {
        let relaxed = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let traffic = Traffic::default();
        let entries: Vec<_> = {
            // A connection that ends moves its traffic to `ended` under this lock.
            let entries = lock(&self.entries);
            traffic.add(&self.counts.ended);
            let live = entries.values().inspect(|one| traffic.add(&one.traffic));
            live.filter_map(|one| one.entry.upgrade()).collect()
        };
        let busy = |entry: &&Arc<RegistryEntry>| entry.is_busy();
        Stats {
            accepted: self.next_id.load(Ordering::Relaxed),
            connections: self.open(),
            in_request: entries.iter().filter(busy).count(),
            upgraded: self.upgraded(),
            threads: 0,
            requests: relaxed(&traffic.requests),
            bytes_received: relaxed(&traffic.bytes_received),
            bytes_sent: relaxed(&traffic.bytes_sent),
            overloaded: relaxed(&self.counts.overloaded),
            failed_sessions: relaxed(&self.counts.failed_sessions),
            panics: relaxed(&self.counts.panics),
            refused: RequestError::all()
                .map(|error| (error, relaxed(&self.counts.refused[error as usize])))
                .filter(|&(_, count)| count > 0)
                .collect(),
        }
    }

    /// The newest connections, the newest first.
    pub(crate) fn connections(&self, at_most: usize) -> Vec<ConnectionStats> {
        // The lock is free again before an entry is dropped, which takes it.
        let newest: Vec<Arc<RegistryEntry>> = lock(&self.entries)
            .values()
            .rev()
            .filter_map(|one| one.entry.upgrade())
            .take(at_most)
            .collect();
        let now = Instant::now();
        newest.iter().map(|entry| entry.stats(now)).collect()
    }

    /// Counts a panic of the program's code, and tells it.
    pub(crate) fn note_panic(&self, request: Option<FailedRequest<'_>>, panic: &io::Error) {
        self.counts.panics.fetch_add(1, Ordering::Relaxed);
        self.failures.tell(&Failure {
            kind: FailureKind::Panic,
            request,
            peer: None,
            cause: panic,
        });
    }

    /// Counts a session that failed, and tells why.
    pub(crate) fn note_session_failure(&self, peer: Option<SocketAddr>, cause: io::Error) {
        self.counts.failed_sessions.fetch_add(1, Ordering::Relaxed);
        self.failures.tell_session(peer, &cause);
        // The error is the program's, and may panic when it is dropped.
        let _ = contain(|| drop(cause));
    }

    pub(crate) fn is_stopping(&self) -> bool {
        #[cfg(test)]
        model::step();
        self.stopping.load(Ordering::SeqCst)
    }

    /// Asks the server to stop. After several calls, the earliest deadline holds.
    pub(crate) fn stop(&self, grace: Duration) {
        // The flag comes first: a thread that sees the deadline closes idle connections, and no
        // connection may become idle after that.
        #[cfg(test)]
        model::step();
        self.stopping.store(true, Ordering::SeqCst);
        let asked_for = after(grace);
        {
            #[cfg(test)]
            model::step();
            let mut deadline = lock(&self.deadline);
            *deadline = Some(deadline.map_or(asked_for, |known| known.min(asked_for)));
            #[cfg(test)]
            model::wake(&self.deadline);
            self.asked.notify_all();
        }
        // The server stops meanwhile, however long the application takes.
        #[cfg(test)]
        model::step_to(&self.on_stop);
        let on_stop = mem::take(&mut *lock(&self.on_stop));
        on_stop.into_iter().for_each(|call| self.call(call));
    }

    /// Calls `call` when the stop begins, or now if it has begun.
    pub(crate) fn on_stop(&self, call: Box<dyn FnOnce() + Send>) {
        {
            #[cfg(test)]
            model::step_to(&self.on_stop);
            let mut on_stop = lock(&self.on_stop);
            // `stop` sets the flag before it takes the list.
            if !self.is_stopping() {
                on_stop.push(OnStop(call));
                return;
            }
        }
        self.call(OnStop(call));
    }

    fn call(&self, OnStop(call): OnStop) {
        if let Err(panic) = contain(call) {
            self.note_panic(None, &panic);
        }
    }

    /// Waits until somebody asks the server to stop.
    pub(crate) fn wait_for_stop(&self) {
        let mut deadline = lock(&self.deadline);
        while deadline.is_none() {
            #[cfg(test)]
            if model::is_running() {
                deadline = model::wait(&self.deadline, deadline, Duration::MAX).0;
                continue;
            }
            deadline = wait(&self.asked, deadline);
        }
    }

    /// When busy connections must have ended; now if nobody has asked for a stop.
    pub(crate) fn deadline(&self) -> Instant {
        lock(&self.deadline).unwrap_or_else(Instant::now)
    }

    /// Whether busy connections may go on: nobody has asked for a stop, or its grace is not over.
    pub(crate) fn has_grace(&self) -> bool {
        lock(&self.deadline).is_none_or(|deadline| Instant::now() < deadline)
    }

    /// Ends the input of every connection that has no request to answer. If it has a hook, only if
    /// `with_hook`.
    pub(crate) fn close_idle(&self, with_hook: bool) {
        for entry in self.entries() {
            if entry.owes_nothing() && (with_hook || !entry.has_stop_hook()) {
                entry.end_input(Shutdown::Read);
            }
        }
    }

    /// The connections that wait for their first request.
    pub(crate) fn unasked(&self) -> Vec<Weak<RegistryEntry>> {
        let entries = self.entries();
        let unasked = entries.iter().filter(|entry| entry.is_unasked());
        unasked.map(Arc::downgrade).collect()
    }

    /// Calls the hooks, one after the other. A hook is the application's, and may hang. Connections
    /// whose turn has not come can end meanwhile.
    pub(crate) fn call_stop_hooks(&self) {
        let each = |one: &Registered| one.entry.clone();
        let entries: Vec<_> = lock(&self.entries).values().map(each).collect();
        for entry in entries.iter().filter_map(Weak::upgrade) {
            entry.call_stop_hook();
        }
    }

    /// Ends every connection.
    pub(crate) fn close_all(&self) {
        for entry in self.entries() {
            // Twice: what the client sent just before the end may have filled the buffer again.
            // Then the answer to its next probe tells it that there is room.
            entry.make_room();
            entry.end_input(Shutdown::Both);
            entry.make_room();
        }
    }

    fn entries(&self) -> Vec<Arc<RegistryEntry>> {
        #[cfg(test)]
        model::step();
        lock(&self.entries)
            .values()
            .filter_map(|one| one.entry.upgrade())
            .collect()
    }
}

fn take_place(count: &AtomicUsize, limit: usize) -> bool {
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            (taken < limit).then_some(taken + 1)
        })
        .is_ok()
}

#[cfg(test)]
mod tests {

    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn socket() -> Transport {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        TcpStream::connect(addr).expect("it listens").into()
    }

    /// Both ends of a connection that waits for its first request.
    fn waiting(registry: &Arc<Registry>) -> (Transport, Arc<RegistryEntry>) {
        let (client, ours) = Transport::pair().expect("the system has sockets");
        let entry = registry.admit(ours, None, &Arc::default());
        let entry = entry.expect("there is a place");
        entry.set_idle(true);
        (client, entry)
    }

    /// A server that stops accepts what came before: such a connection has its own time.
    #[test]
    fn only_those_that_waited_at_the_stop_share_its_time() {
        let registry: Arc<Registry> = Arc::default();
        let (_client, before) = waiting(&registry);
        let (_asking, asked) = waiting(&registry);
        registry.stop(Duration::from_secs(60));
        let unasked = registry.unasked();
        asked.set_busy();
        let (_late, after) = waiting(&registry);
        let is_ended = |entry: &RegistryEntry| {
            entry.transport.set_nonblocking(true).expect("a socket");
            entry.read(&mut [0]).is_ok_and(|count| count == 0)
        };
        assert_eq!(unasked.len(), 2);
        let unasked = unasked.iter().filter_map(Weak::upgrade);
        unasked.for_each(|entry| entry.close_unasked());
        assert!(is_ended(&before), "its time is over");
        assert!(!is_ended(&asked), "its request is under way");
        assert!(!is_ended(&after), "it came later");
    }

    #[test]
    fn counts_are_whole_while_a_connection_is_dropped() {
        let registry: Arc<Registry> = Arc::default();
        let counts = || {
            let stats = registry.stats();
            (stats.requests, stats.bytes_received, stats.bytes_sent)
        };
        let limits = Arc::default();
        let admit = || {
            let entry = registry.admit(socket(), None, &limits);
            entry.expect("there is a place")
        };
        let (entry, other) = (admit(), admit());
        for one in [&entry, &other] {
            one.count_request();
            one.traffic.bytes_received.store(10, Ordering::Relaxed);
            one.traffic.bytes_sent.store(100, Ordering::Relaxed);
        }
        assert_eq!(counts(), (2, 20, 200));
        // As if the last handle were gone, and its `Drop` had not yet taken the lock.
        let forget = |id| {
            lock(&registry.entries)
                .get_mut(id)
                .expect("it is there")
                .entry = Weak::new()
        };
        forget(&entry.id);
        assert_eq!(counts(), (2, 20, 200));
        drop(entry);
        assert_eq!(counts(), (2, 20, 200));
        other.count_request();
        assert_eq!(counts(), (3, 20, 200));
        drop(other);
        assert_eq!(counts(), (3, 20, 200));
    }
}
