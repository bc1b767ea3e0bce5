//! Who is connected: the counts and their bounds, and the sockets that a shutdown must reach.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use crate::io::clock::after;
use crate::io::contain::contain;
use crate::io::limits::Limits;
use crate::io::linger::LingerBounds;
use crate::io::lock::{lock, wait};
use crate::io::transport::Stream;
use crate::{RequestError, Stats};

/// All connections of one server.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    links: Mutex<HashMap<u64, Weak<Link>>>,
    next_id: AtomicU64,
    /// Connections that speak HTTP.
    open: AtomicUsize,
    upgraded: AtomicUsize,
    pub(crate) counts: Counts,
    stopping: AtomicBool,
    /// Until when those that are busy may end, once somebody asked for it.
    deadline: Mutex<Option<Instant>>,
    asked: Condvar,
}

/// What has happened since the server was made.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) overloaded: AtomicU64,
    pub(crate) panics: AtomicU64,
    refused: [AtomicU64; RequestError::COUNT],
    /// Of connections that have ended; each live one keeps its own.
    ended: Traffic,
    /// The most that `stats` has told.
    told: Traffic,
}

/// What went over one connection, or many.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) requests: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
}

impl Counts {
    pub(crate) fn refuse(&self, error: RequestError) {
        self.refused[error as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Traffic {
    /// Raises each count to that of `other`, if that is more.
    fn raise(&self, other: &Traffic) {
        let raise = |most: &AtomicU64, one: &AtomicU64| {
            most.fetch_max(one.load(Ordering::Relaxed), Ordering::Relaxed);
        };
        raise(&self.requests, &other.requests);
        raise(&self.bytes_in, &other.bytes_in);
        raise(&self.bytes_out, &other.bytes_out);
    }

    fn add(&self, other: &Traffic) {
        let add = |sum: &AtomicU64, one: &AtomicU64| {
            sum.fetch_add(one.load(Ordering::Relaxed), Ordering::Relaxed);
        };
        add(&self.requests, &other.requests);
        add(&self.bytes_in, &other.bytes_in);
        add(&self.bytes_out, &other.bytes_out);
    }
}

/// One connection's socket and its place in the count, which it holds until the last handle to it is dropped.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) stream: Stream,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) traffic: Traffic,
    phase: AtomicU8,
    /// It was ended by force: what is still read of it has gaps.
    is_cut: AtomicBool,
    /// Told of a shutdown instead of the end of the input.
    pub(crate) stop_hook: OnceLock<StopHook>,
    id: u64,
    roster: Arc<Roster>,
}

/// What a connection does when the server shuts down.
pub(crate) struct StopHook(pub(crate) Box<dyn Fn(&Arc<Link>) + Send + Sync>);

impl fmt::Debug for StopHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopHook")
    }
}

/// Waits for a request, so that a shutdown may close it.
const IDLE: u8 = 0;
/// Has a request to answer, so that a shutdown lets it finish.
const BUSY: u8 = 1;
/// Belongs to a closure, which learns of a shutdown as the end of its input.
const UPGRADED: u8 = 2;
/// Has had its last answer, and is read until the client has it too; see [`Link::linger`].
const LINGERING: u8 = 3;

impl Roster {
    /// Gives the socket a place among the connections, or gives it back if all places are taken.
    pub(crate) fn admit(
        self: &Arc<Roster>,
        stream: Stream,
        peer: Option<SocketAddr>,
        limits: &Arc<Limits>,
    ) -> Result<Arc<Link>, Stream> {
        if !take_place(&self.open, limits.connections) {
            return Err(stream);
        }
        let link = Arc::new(Link {
            stream,
            peer,
            limits: Arc::clone(limits),
            traffic: Traffic::default(),
            phase: AtomicU8::new(BUSY),
            is_cut: AtomicBool::new(false),
            stop_hook: OnceLock::new(),
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            roster: Arc::clone(self),
        });
        lock(&self.links).insert(link.id, Arc::downgrade(&link));
        Ok(link)
    }

    pub(crate) fn upgraded(&self) -> usize {
        self.upgraded.load(Ordering::Relaxed)
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The counts, but for that of the threads.
    pub(crate) fn stats(&self) -> Stats {
        let relaxed = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // While we hold these, none of them ends; so what has ended is counted apart from them, and nothing twice.
        let links = self.links();
        let traffic = Traffic::default();
        traffic.add(&self.counts.ended);
        for link in &links {
            traffic.add(&link.traffic);
        }
        // A connection that is just being dropped is neither among those nor yet among the ended
        // ones. So the sum may lack it for a moment; but no count goes back.
        self.counts.told.raise(&traffic);
        let told = &self.counts.told;
        let busy = |link: &&Arc<Link>| link.phase.load(Ordering::Relaxed) == BUSY;
        Stats {
            accepted: self.next_id.load(Ordering::Relaxed),
            connections: self.open(),
            in_request: links.iter().filter(busy).count(),
            upgraded: self.upgraded(),
            threads: 0,
            requests: relaxed(&told.requests),
            bytes_in: relaxed(&told.bytes_in),
            bytes_out: relaxed(&told.bytes_out),
            overloaded: relaxed(&self.counts.overloaded),
            panics: relaxed(&self.counts.panics),
            refused: RequestError::all()
                .map(|error| (error, relaxed(&self.counts.refused[error as usize])))
                .filter(|&(_, count)| count > 0)
                .collect(),
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Asks the server to stop; of several who ask, the shortest grace holds.
    pub(crate) fn stop(&self, grace: Duration) {
        // The flag first: whoever learns of the deadline closes idle connections, and none may become idle after that.
        self.stopping.store(true, Ordering::SeqCst);
        let asked_for = after(grace);
        let mut deadline = lock(&self.deadline);
        *deadline = Some(deadline.map_or(asked_for, |known| known.min(asked_for)));
        self.asked.notify_all();
    }

    /// Waits until somebody asks the server to stop.
    pub(crate) fn wait_for_stop(&self) {
        let mut deadline = lock(&self.deadline);
        while deadline.is_none() {
            deadline = wait(&self.asked, deadline);
        }
    }

    /// Until when what is busy may end; now if nobody has asked for it.
    pub(crate) fn deadline(&self) -> Instant {
        lock(&self.deadline).unwrap_or_else(Instant::now)
    }

    /// Ends the input of every connection that has no request to answer; those with a hook are told
    /// by that.
    pub(crate) fn close_idle(&self) {
        for link in self.links() {
            let is_open = matches!(link.phase.load(Ordering::SeqCst), IDLE | UPGRADED);
            if is_open && !link.call_stop_hook() {
                let _ = link.stream.shutdown(Shutdown::Read);
            }
        }
    }

    /// Calls the hooks again.
    pub(crate) fn remind(&self) {
        for link in self.links() {
            link.call_stop_hook();
        }
    }

    /// Ends every connection.
    pub(crate) fn close_all(&self) {
        for link in self.links() {
            link.make_room();
            let _ = link.stream.shutdown(Shutdown::Both);
        }
    }

    fn links(&self) -> Vec<Arc<Link>> {
        lock(&self.links)
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }
}

impl Link {
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buf)?;
        // A forced end may have taken some in front of these.
        if self.is_cut.load(Ordering::SeqCst) {
            return Ok(0);
        }
        self.traffic
            .bytes_in
            .fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    pub(crate) fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.count_written(self.stream.write(buf)?)
    }

    pub(crate) fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.count_written(self.stream.write_vectored(bufs)?)
    }

    /// How much was written, in bytes.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.traffic.bytes_out.load(Ordering::Relaxed)
    }

    fn count_written(&self, count: usize) -> io::Result<usize> {
        self.traffic
            .bytes_out
            .fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    /// Counts a request. Only the thread that serves the connection does so.
    pub(crate) fn count_request(&self) {
        let requests = &self.traffic.requests;
        requests.store(requests.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Says that the connection waits for a request. False if it should not, since the server stops.
    pub(crate) fn set_idle(&self) -> bool {
        // Whoever stops the server sets its flag before it looks for idle links, and we look at the flag after we
        // became one: one of the two sees the other.
        self.phase.store(IDLE, Ordering::SeqCst);
        !self.roster.is_stopping()
    }

    /// Says that a request has arrived.
    pub(crate) fn set_busy(&self) {
        // A shutdown that does not see it yet is one that came a moment earlier.
        self.phase.store(BUSY, Ordering::Release);
    }

    /// Says that the connection has had its last answer. It keeps its place; one that is upgraded
    /// stays so.
    pub(crate) fn set_lingering(&self) {
        let order = Ordering::SeqCst;
        let _ = self.phase.fetch_update(order, order, |phase| {
            (phase != UPGRADED).then_some(LINGERING)
        });
    }

    /// How long this connection may linger, as things stand.
    pub(crate) fn linger_bounds(&self) -> LingerBounds {
        let (taken, places) = match self.phase.load(Ordering::Relaxed) {
            UPGRADED => (self.roster.upgraded(), self.limits.upgrades),
            _ => (self.roster.open(), self.limits.connections),
        };
        LingerBounds::new(&self.limits, taken, places, self.is_stopping())
    }

    /// Moves from the connections' count to the upgrades'. False if all places there are taken.
    pub(crate) fn upgrade(self: &Arc<Link>, hook: Option<StopHook>) -> bool {
        if !take_place(&self.roster.upgraded, self.limits.upgrades) {
            return false;
        }
        self.roster.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(hook) = hook {
            let _ = self.stop_hook.set(hook); // A connection is upgraded once.
        }
        self.phase.store(UPGRADED, Ordering::SeqCst);
        if self.roster.is_stopping() && !self.call_stop_hook() {
            let _ = self.stream.shutdown(Shutdown::Read);
        }
        true
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.roster.is_stopping()
    }

    // A client that has filled our buffer, while a handler was busy, waits until it is told of
    // room; after the end of our input nothing tells it, but for the FIN. Then it goes on sending,
    // and our system's reset lets it go.
    fn make_room(&self) {
        const READS: usize = 2048; // 32 MiB, which no system holds for a socket by default.
        self.is_cut.store(true, Ordering::SeqCst);
        // Another thread of this connection may set the socket to block.
        let wait = Some(Duration::from_millis(1));
        if self.stream.set_read_timeout(wait).is_err() || self.stream.set_nonblocking(true).is_err()
        {
            return;
        }
        let mut discarded = [0; 16 * 1024];
        for _ in 0..READS {
            if !matches!(self.stream.read(&mut discarded), Ok(1..)) {
                break;
            }
        }
    }

    // Whether there is one. It is the application's, and may panic.
    fn call_stop_hook(self: &Arc<Link>) -> bool {
        let Some(hook) = self.stop_hook.get() else {
            return false;
        };
        if contain(|| (hook.0)(self)).is_none() {
            self.roster.counts.panics.fetch_add(1, Ordering::Relaxed);
        }
        true
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        {
            let mut links = lock(&self.roster.links);
            links.remove(&self.id);
            self.roster.counts.ended.add(&self.traffic);
        }
        let count = match *self.phase.get_mut() {
            UPGRADED => &self.roster.upgraded,
            _ => &self.roster.open,
        };
        count.fetch_sub(1, Ordering::Relaxed);
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
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn socket() -> Stream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        Stream::Tcp(TcpStream::connect(addr).expect("it listens"))
    }

    #[test]
    fn what_is_read_behind_a_forced_end_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let mut client = TcpStream::connect(addr).expect("it listens");
        let (socket, _) = listener.accept().expect("it has connected");
        let roster: Arc<Roster> = Arc::default();
        let link = roster.admit(Stream::Tcp(socket), None, &Arc::default());
        let link = link.expect("there is a place");
        client.write_all(b"be").expect("it is open");
        assert_eq!(link.read(&mut [0]).expect("a byte"), 1);
        // The other one is thrown away, so that what follows is not what follows the first.
        link.make_room();
        client.write_all(b"hind").expect("it is open");
        link.stream.set_nonblocking(false).expect("a socket");
        link.stream.set_read_timeout(None).expect("a socket");
        assert_eq!(link.read(&mut [0; 9]).expect("an end"), 0);
    }

    #[test]
    fn counts_do_not_go_back_while_a_connection_is_dropped() {
        let roster: Arc<Roster> = Arc::default();
        let counts = || {
            let stats = roster.stats();
            (stats.requests, stats.bytes_in, stats.bytes_out)
        };
        let limits = Arc::default();
        let admit = || {
            let link = roster.admit(socket(), None, &limits);
            link.expect("there is a place")
        };
        let (link, other) = (admit(), admit());
        for one in [&link, &other] {
            one.count_request();
            one.traffic.bytes_in.store(10, Ordering::Relaxed);
            one.traffic.bytes_out.store(100, Ordering::Relaxed);
        }
        assert_eq!(counts(), (2, 20, 200));
        // The last handle is gone, and the lock is not yet taken.
        lock(&roster.links).insert(link.id, Weak::new());
        assert_eq!(counts(), (2, 20, 200));
        drop(link);
        assert_eq!(counts(), (2, 20, 200));
        other.count_request();
        assert_eq!(counts(), (3, 20, 200));
        drop(other);
        assert_eq!(counts(), (3, 20, 200));
    }
}
