//! A running server: the threads that accept and serve connections, and how they end.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Response;
use crate::io::contain::contain;
use crate::io::failure::{Failure, is_disconnect};
use crate::io::limits::Limits;
use crate::io::registry::RegistryEntry;
use crate::io::transport::{Transport, is_timeout};
use crate::serve::acceptor::{Acceptor, Bound};
use crate::serve::connection::{Connection, PendingUpgrade};
use crate::serve::hot::{self, Hot};
use crate::serve::overload::Refusals;
use crate::serve::serving::{STOPPING_HEAD_TIME, Serving};
use crate::serve::threads::Threads;

/// How long the threads have to notice a forced end.
const FORCED_TIME: Duration = Duration::from_secs(1);

/// How long a thread waits before it asks a listener again that another holder of the socket has
/// made non-blocking.
const ASK: Duration = Duration::from_millis(10);

/// How long the last thread of a listener waits after the system refused to accept a connection,
/// for lack of descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a server that stops tries to wake the threads that accept from a socket that others
/// hold, when these threads are all that is left.
const WAKE_TIME: Duration = Duration::from_secs(2);

/// How often the hook of an upgraded connection is called while the server stops.
const REMINDER: Duration = Duration::from_secs(1);

/// What the threads of a running server share.
pub(crate) struct RunningServer {
    serving: Arc<Serving>,
    hot: Hot<Connection>,
    acceptors: Vec<Acceptor>,
    refusals: Refusals,
    threads: Arc<Threads>,
}

impl RunningServer {
    pub(crate) fn new(
        serving: Serving,
        listeners: Vec<Bound>,
        threads: Arc<Threads>,
    ) -> Arc<RunningServer> {
        let spare_time = serving.limits.spare_time.max(Duration::from_millis(1));
        let acceptors = listeners.into_iter().map(|bound| {
            // If this fails, `accept` cannot time out, and spare threads stay.
            let _ = bound.listener.set_accept_timeout(spare_time);
            Acceptor::new(bound)
        });
        let cores = thread::available_parallelism().map_or(1, |count| count.get());
        let always = cfg!(debug_assertions) && env::var_os("AKURAI_TEST_LEND").is_some();
        Arc::new(RunningServer {
            serving: Arc::new(serving),
            hot: Hot::new(cores, always),
            acceptors: acceptors.collect(),
            refusals: Refusals::default(),
            threads,
        })
    }

    /// Serves until somebody asks for a stop. Returns when all threads have ended, or `FORCED_TIME`
    /// after the grace.
    pub(crate) fn run(self: &Arc<RunningServer>) -> io::Result<()> {
        for index in 0..self.acceptors.len() {
            if let Err(error) = self.spawn_acceptor(index) {
                self.serving.registry.stop(Duration::ZERO);
                self.stop();
                return Err(error);
            }
        }
        self.serving.registry.wait_for_stop();
        self.stop();
        Ok(())
    }

    fn spawn_acceptor(self: &Arc<RunningServer>, index: usize) -> io::Result<()> {
        let acceptor = &self.acceptors[index];
        acceptor.enter();
        let server = Arc::clone(self);
        let result = self
            .threads
            .spawn(Box::new(move || server.accept_and_serve(index)));
        result.inspect_err(|_| {
            acceptor.leave();
        })
    }

    /// The life of a thread: it accepts a connection, makes sure that another thread waits for the
    /// next one, and serves its own. So no connection waits for a slow one, and only busy ones are
    /// handed from thread to thread.
    fn accept_and_serve(self: Arc<RunningServer>, index: usize) {
        let acceptor = &self.acceptors[index];
        while let Some((transport, peer)) = self.accept(acceptor) {
            // A server that stops accepts no more.
            let spawned = match acceptor.leave() || self.serving.registry.is_stopping() {
                true => Ok(()),
                false => self.spawn_acceptor(index),
            };
            if let Err(error) = spawned {
                // No other thread can be made, so this one must go on accepting.
                acceptor.enter();
                self.serving.registry.failures.tell_accept(&error);
                match &acceptor.opener {
                    None => self.refuse(transport),
                    // Only a finished handshake could carry an answer.
                    Some(_) => {
                        let overloaded = &self.serving.registry.counts.overloaded;
                        overloaded.fetch_add(1, Ordering::Relaxed);
                    }
                }
                continue;
            }
            let Serving {
                registry, limits, ..
            } = &*self.serving;
            match &acceptor.opener {
                None => match registry.admit(transport, peer, limits) {
                    Ok(entry) => self.serve(entry),
                    Err(transport) => self.refuse(transport),
                },
                Some(opener) => {
                    if let Some(entry) = registry.admit_session(transport, peer, limits, opener) {
                        self.serve(entry);
                    }
                }
            }
            let Limits {
                max_spare_threads,
                spare_time,
                ..
            } = **limits;
            let is_over = || registry.is_stopping();
            if is_over() || !acceptor.come_back(max_spare_threads, spare_time, is_over) {
                return;
            }
        }
    }

    /// Serves a connection that no listener has accepted, on a thread of its own.
    pub(crate) fn take_in(
        self: &Arc<RunningServer>,
        transport: Transport,
        peer: Option<SocketAddr>,
    ) -> io::Result<()> {
        let Serving {
            registry, limits, ..
        } = &*self.serving;
        // A stop that begins after this check waits until we have spawned.
        let _hold = self.threads.hold();
        if registry.is_stopping() {
            return Err(stopped());
        }
        match registry.admit(transport, peer, limits) {
            Ok(entry) => {
                let server = Arc::clone(self);
                self.threads.spawn(Box::new(move || server.serve(entry)))?;
            }
            Err(transport) => self.refuse(transport),
        }
        Ok(())
    }

    /// Serves a connection that waited for the server's begin. Its owner has gone on, so the server
    /// itself tells an error.
    pub(crate) fn take_in_early(
        self: &Arc<RunningServer>,
        transport: Transport,
        peer: Option<SocketAddr>,
    ) {
        let Err(error) = self.take_in(transport, peer) else {
            return;
        };
        if !self.serving.registry.is_stopping() {
            self.serving.registry.failures.tell_accept(&error);
        }
    }

    fn refuse(self: &Arc<RunningServer>, transport: Transport) {
        self.serving
            .registry
            .counts
            .overloaded
            .fetch_add(1, Ordering::Relaxed);
        if self.refusals.refuse(transport) {
            let server = Arc::clone(self);
            if self
                .threads
                .spawn(Box::new(move || {
                    let Serving {
                        registry, limits, ..
                    } = &*server.serving;
                    server.refusals.watch(registry, limits);
                }))
                .is_err()
            {
                self.refusals.forget();
            }
        }
    }

    fn serve(&self, entry: Arc<RegistryEntry>) {
        let Some(PendingUpgrade {
            run,
            upgraded,
            kind,
            may_fail,
            request,
        }) = hot::serve(&self.serving, &self.hot, entry)
        else {
            return;
        };
        // The closure may live long.
        Response::free_spare();
        // Only the closure holds the connection, so it ends when the closure drops it.
        let outcomes = may_fail.then(|| upgraded.socket().entry().note_outcomes());
        // The application's error may panic when it is dropped.
        let outcome = contain(|| {
            let Err(error) = run(upgraded) else {
                return;
            };
            let registry = &self.serving.registry;
            let has_client_left = || outcomes.is_some_and(|outcomes| outcomes.excuse());
            if !is_disconnect(&error) || !(registry.is_stopping() || has_client_left()) {
                registry.failures.tell(&Failure {
                    kind,
                    request: Some(request.failed()),
                    peer: None,
                    cause: &error,
                });
            }
        });
        if let Err(panic) = outcome {
            let request = Some(request.failed());
            self.serving.registry.note_panic(request, &panic);
        }
    }

    /// The next connection; `None` if this thread is to end.
    fn accept(&self, acceptor: &Acceptor) -> Option<(Transport, Option<SocketAddr>)> {
        loop {
            let accepted = match self.serving.registry.is_stopping() {
                true => Err(io::ErrorKind::ConnectionRefused.into()),
                false => acceptor.listener.accept(),
            };
            let is_stopping = self.serving.registry.is_stopping();
            let error = match accepted {
                // Its client waits for an answer, even if the stop began meanwhile.
                Ok(accepted) if !is_stopping || self.serving.registry.has_grace() => {
                    return Some(accepted);
                }
                _ if is_stopping => {
                    acceptor.leave();
                    return None;
                }
                Ok(_) => continue,
                Err(error) if is_of_the_peer(&error) => continue,
                Err(error) => error,
            };
            if !is_timeout(&error) {
                self.serving.registry.failures.tell_accept(&error);
            }
            // Either this spare thread has waited long enough, or the system lacks something, most
            // likely descriptors. Each thread that waits would take one.
            if acceptor.leave_others() {
                return None;
            }
            match is_timeout(&error) {
                true if acceptor.listener.is_shared() => thread::sleep(ASK),
                true => {}
                // Descriptors become free when connections end.
                false => thread::sleep(ACCEPT_PAUSE),
            }
        }
    }

    fn stop(&self) {
        self.serving.registry.close_idle(false);
        let _over = self.call_stop_hooks();
        // A connection that waits only from now on knows of the stop, and has a time of its own.
        let mut unasked = self.serving.registry.unasked();
        let unasked_until = Instant::now() + STOPPING_HEAD_TIME;
        let mut wake_until = None;
        loop {
            // Another call may shorten the grace meanwhile.
            let deadline = self.serving.registry.deadline();
            for acceptor in &self.acceptors {
                acceptor.stop();
            }
            let soon = Instant::now() + Duration::from_millis(20);
            // A closure may have given its socket to a thread of its own. That thread has the grace
            // too.
            if self.threads.join(deadline.min(soon)) {
                if self.serving.registry.upgraded() == 0 {
                    return;
                }
                thread::sleep(soon.saturating_duration_since(Instant::now()));
            }
            let now = Instant::now();
            if unasked_until <= now {
                let waiting = unasked.drain(..).filter_map(|entry| entry.upgrade());
                waiting.for_each(|entry| entry.close_unasked());
            }
            match self.does_nothing_but_accept() {
                false => wake_until = None,
                true if now < *wake_until.get_or_insert(now + WAKE_TIME) => {}
                // What these threads accept later is closed at once.
                true => return self.serving.registry.stop(Duration::ZERO),
            }
            if now >= deadline {
                break;
            }
        }
        self.serving.registry.close_all();
        self.refusals.end();
        self.threads.join(Instant::now() + FORCED_TIME);
        // A thread that did not end keeps the listeners, so they do not remove their files.
        for acceptor in &self.acceptors {
            acceptor.listener.remove_file();
        }
    }

    /// Whether the only threads left wait in `accept`, at sockets that others hold too. Then
    /// nothing may wake them, if the file of a Unix socket is gone for example.
    fn does_nothing_but_accept(&self) -> bool {
        let shared = self.acceptors.iter().filter(|it| it.listener.is_shared());
        let accepting: usize = shared.map(Acceptor::accepting).sum();
        accepting > 0 && self.threads.are(accepting) && self.serving.registry.upgraded() == 0
    }

    /// Calls the hooks at once, and then about once a second, until the returned sender is dropped.
    /// A hook is the application's code: even if it hangs, the grace ends in time.
    fn call_stop_hooks(&self) -> mpsc::Sender<()> {
        let (over, is_over) = mpsc::channel();
        let registry = Arc::clone(&self.serving.registry);
        let calls = move || {
            loop {
                registry.call_stop_hooks();
                if is_over.recv_timeout(REMINDER) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let builder = thread::Builder::new().name("akurai-stop".to_owned());
        if builder.spawn(calls).is_err() {
            // Without that thread, such connections learn of the stop as the others do: their input
            // ends.
            self.serving.registry.close_idle(true);
        }
        over
    }
}

/// The error for a connection that comes too late.
pub(crate) fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, "the server was stopped")
}

/// Whether an error of `accept` concerns only the connection that was to be accepted.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        Interrupted | ConnectionAborted | ConnectionReset
    )
}

#[cfg(test)]
mod tests;
