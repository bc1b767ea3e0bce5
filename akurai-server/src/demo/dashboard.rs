//! The data that the demo publishes about itself: the server's numbers each second, and the people
//! in the chat room.

use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use akurai_http::{ConnectionState, Handle, Stats};
use akurai_server::{Hub, Metrics};

use super::chat::{CHAT, PEOPLE};
use super::now_ms;

/// The topic of the numbers, a gauge.
pub(crate) const STATS: &str = "stats";

/// The topic of the list of live connections, a gauge.
pub(crate) const CONNECTIONS: &str = "connections";

/// Most connections in the list.
const LISTED: usize = 50;

/// The time between two samples.
const PERIOD: Duration = Duration::from_secs(1);

/// If many people come or leave within this time, the page is told once.
const CROWD: Duration = Duration::from_millis(50);

/// Publishes what the demo's page shows of the server itself, on a thread of its own, until it is
/// dropped.
///
/// The thread publishes the numbers to the topic `stats` each second while the topic has a
/// subscriber. While the topic `connections` has a subscriber on this node, the thread publishes
/// the newest connections to it. Without subscribers it sleeps. A hub with an engine has
/// subscribers on other nodes, so its node has a name. The thread then publishes its numbers and
/// its people each second under that name, and a page adds up all nodes. It takes the hub's
/// [`on_join`](Hub::on_join) and [`on_leave`](Hub::on_leave) for itself.
#[derive(Debug)]
pub(crate) struct Publisher {
    wake: SyncSender<()>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts to publish the numbers of the server behind `handle`, and what `metrics` has measured
    /// of it. `node` is the name of this node among the nodes of the hub's engine, if it has one. It
    /// fails if the thread cannot be created.
    pub(crate) fn start(
        hub: &Hub,
        handle: Handle,
        metrics: Metrics,
        node: Option<String>,
    ) -> io::Result<Publisher> {
        // One waiting wake-up stands for all that came meanwhile.
        let (wake, woken) = mpsc::sync_channel(1);
        let (joined, left) = (wake.clone(), wake.clone());
        hub.on_join(move |_, _| tell(&joined))?;
        hub.on_leave(move |_, _| tell(&left))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let wakes = Wakes {
            woken,
            is_over: Arc::clone(&is_over),
        };
        let watched = Watched {
            hub: hub.clone(),
            handle,
            metrics,
        };
        let thread = thread::Builder::new()
            .name("akurai-stats".to_owned())
            .spawn(move || publish(&watched, node.as_deref(), &wakes))?;
        Ok(Publisher {
            wake,
            is_over,
            thread: Some(thread),
        })
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        tell(&self.wake);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Wakes the thread, unless a wake-up already waits.
fn tell(wake: &SyncSender<()>) {
    let _ = wake.try_send(());
}

/// Wakes the thread when a client came or left, or when the publisher ends.
struct Wakes {
    woken: Receiver<()>,
    is_over: Arc<AtomicBool>,
}

impl Wakes {
    /// Waits for the next wake-up, at most until `deadline`. `None` if the publisher has ended.
    fn wait(&self, deadline: Option<Instant>) -> Option<()> {
        let is_woken = match deadline {
            None => self.woken.recv().is_ok(),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                self.woken.recv_timeout(left).is_ok()
            }
        };
        if self.is_over.load(Ordering::SeqCst) {
            return None;
        }
        if is_woken {
            thread::sleep(CROWD);
        }
        Some(())
    }
}

/// Where the numbers come from.
struct Watched {
    hub: Hub,
    handle: Handle,
    metrics: Metrics,
}

fn publish(watched: &Watched, node: Option<&str>, wakes: &Wakes) {
    let hub = &watched.hub;
    let mut told = None;
    let mut before: Option<Sample> = None;
    let mut next = None;
    while wakes.wait(next).is_some() {
        let people = People::of(hub);
        let due = next.is_none_or(|next| Instant::now() >= next);
        if told != Some(people) || (node.is_some() && due) {
            // If the engine refuses this, the thread publishes it with the next change.
            told = hub
                .publish(PEOPLE, "people", &people.json(node))
                .ok()
                .map(|_| people);
        }
        if node.is_none() && hub.present(STATS) == 0 {
            // A rate over the pause would say nothing about the end of the pause.
            (before, next) = (None, None);
            continue;
        }
        if due {
            let now = Instant::now();
            let sample = Sample::take(watched);
            let _ = hub.publish(STATS, "stats", &sample.json(node, before.as_ref()));
            if hub.present(CONNECTIONS) > 0 {
                let list = connections(&watched.handle, &sample.stats, node);
                let _ = hub.publish(CONNECTIONS, CONNECTIONS, &list);
            }
            before = Some(sample);
            next = Some(now + PERIOD);
        }
    }
}

/// The people in the chat room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct People {
    /// Members by WebSocket, who can speak.
    in_room: usize,
    /// Followers by event stream.
    following: usize,
}

impl People {
    fn of(hub: &Hub) -> People {
        // An event stream of the room has both topics, a WebSocket only the topic of the messages.
        let following = hub.present(PEOPLE);
        People {
            in_room: hub.present(CHAT).saturating_sub(following),
            following,
        }
    }

    fn json(self, node: Option<&str>) -> String {
        let People { in_room, following } = self;
        let node = named(node);
        format!("{{\"in_room\":{in_room},\"following\":{following}{node}}}")
    }
}

/// The node's name as one more member of a JSON object, if it has one.
fn named(node: Option<&str>) -> String {
    node.map_or_else(String::new, |node| format!(",\"node\":\"{node}\""))
}

/// The server's numbers at one time.
#[derive(Debug)]
struct Sample {
    at: Instant,
    at_ms: u64,
    stats: Stats,
    subscribers: usize,
    deliveries: u64,
    memory_bytes: Option<u64>,
    latency: Vec<(Duration, u64)>,
}

impl Sample {
    fn take(watched: &Watched) -> Sample {
        let counts = watched.hub.stats();
        Sample {
            at: Instant::now(),
            at_ms: now_ms(),
            stats: watched.handle.stats(),
            subscribers: counts.subscribers + counts.members,
            deliveries: counts.deliveries,
            memory_bytes: resident_bytes(),
            latency: watched.metrics.histogram(),
        }
    }

    /// The numbers, with rates since the sample `before`; without one they are null.
    fn json(&self, node: Option<&str>, before: Option<&Sample>) -> String {
        let seconds = before.map_or(0.0, |before| (self.at - before.at).as_secs_f64());
        let rate = |count: fn(&Sample) -> u64| {
            let before = before.filter(|_| seconds > 0.0)?;
            let more = count(self).saturating_sub(count(before));
            Some((more as f64 / seconds).round() as u64)
        };
        let connections = self.stats.connections + self.stats.upgraded;
        let mut json = format!("{{\"at\":{}", self.at_ms);
        for (name, value) in [
            ("connections", Some(connections as u64)),
            ("subscribers", Some(self.subscribers as u64)),
            ("requests_per_s", rate(|sample| sample.stats.requests)),
            ("deliveries_per_s", rate(|sample| sample.deliveries)),
            (
                "bytes_received_per_s",
                rate(|sample| sample.stats.bytes_received),
            ),
            ("bytes_sent_per_s", rate(|sample| sample.stats.bytes_sent)),
            ("threads", Some(self.stats.threads as u64)),
            ("memory_bytes", self.memory_bytes),
        ] {
            let _ = match value {
                Some(value) => write!(json, ",\"{name}\":{value}"),
                None => write!(json, ",\"{name}\":null"),
            };
        }
        json.push_str(",\"latency\":[");
        for (place, (end, count)) in self.latency.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let _ = match *end {
                Duration::MAX => write!(json, "{comma}[null,{count}]"),
                end => write!(json, "{comma}[{},{count}]", end.as_micros()),
            };
        }
        json.push(']');
        json.push_str(&named(node));
        json.push('}');
        json
    }
}

/// The newest connections as JSON, and how many there are. Everybody who sees the page sees the
/// list, so it has no addresses.
fn connections(handle: &Handle, stats: &Stats, node: Option<&str>) -> String {
    let open = stats.connections + stats.upgraded;
    let mut json = format!("{{\"open\":{open},\"newest\":[");
    for (place, one) in handle.connections(LISTED).iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let kind = match one.state {
            ConnectionState::Idle => "idle",
            ConnectionState::InRequest => "request",
            ConnectionState::EventStream => "event stream",
            // The demo switches to no other protocol.
            ConnectionState::Upgraded => "WebSocket",
            _ => "closing",
        };
        let _ = write!(
            json,
            "{comma}{{\"id\":{},\"kind\":\"{kind}\",\"age_s\":{},\"received\":{},\"sent\":{}}}",
            one.id,
            one.age.as_secs(),
            one.bytes_received,
            one.bytes_sent
        );
    }
    json.push(']');
    json.push_str(&named(node));
    json.push('}');
    json
}

/// The memory of this process that is in RAM, if the system reports it. `status` gives it in kB.
/// `statm` would give it in pages, whose size std does not know.
fn resident_bytes() -> Option<u64> {
    resident_bytes_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn resident_bytes_of(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use akurai_http::Server;
    use akurai_server::HubOptions;

    #[test]
    fn resident_memory() {
        let status = "Name:\tx\nVmSize:\t  99 kB\nVmRSS:\t    2048 kB\nThreads:\t1\n";
        assert_eq!(resident_bytes_of(status), Some(2 << 20));
        for odd in ["", "VmRSS:\t 1 MB\n", "VmRSS: kB\n", "VmRSS: -1 kB\n"] {
            assert_eq!(resident_bytes_of(odd), None, "{odd}");
        }
        #[cfg(target_os = "linux")]
        assert!(resident_bytes().is_some_and(|bytes| bytes > 64 * 1024));
    }

    #[test]
    fn a_sample_as_json() {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let watched = Watched {
            hub: Hub::new(HubOptions::default()).unwrap(),
            handle: server.handle(),
            metrics: Metrics::new(),
        };
        let mut before = Sample::take(&watched);
        before.at_ms = 7;
        before.memory_bytes = None;
        let ms = Duration::from_millis;
        before.latency = vec![(ms(1), 3), (ms(5), 0), (Duration::MAX, 1)];
        assert_eq!(
            before.json(None, None),
            "{\"at\":7,\"connections\":0,\"subscribers\":0,\"requests_per_s\":null,\"deliveries_per_s\":null,\
             \"bytes_received_per_s\":null,\"bytes_sent_per_s\":null,\
             \"threads\":0,\"memory_bytes\":null,\"latency\":[[1000,3],[5000,0],[null,1]]}"
        );
        let mut after = Sample::take(&watched);
        after.at = before.at + Duration::from_secs(2);
        after.stats.requests = before.stats.requests + 20;
        after.stats.bytes_received = before.stats.bytes_received + 3;
        let json = after.json(Some("a1"), Some(&before));
        for part in [
            "\"requests_per_s\":10,",
            "\"bytes_received_per_s\":2,",
            "\"bytes_sent_per_s\":0,",
            ",\"node\":\"a1\"}",
        ] {
            assert!(json.contains(part), "{part} is not in {json}");
        }
    }

    #[test]
    fn the_list_as_json() {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let handle = server.handle();
        let stats = handle.stats();
        let list = |node| connections(&handle, &stats, node);
        assert_eq!(list(None), "{\"open\":0,\"newest\":[]}");
        assert_eq!(
            list(Some("a1")),
            "{\"open\":0,\"newest\":[],\"node\":\"a1\"}"
        );
    }
}
