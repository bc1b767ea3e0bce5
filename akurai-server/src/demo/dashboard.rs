//! What the demo publishes about itself: the server's numbers each second, and who is in the chat room.

use std::fmt::Write;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use akurai_http::{Handle, Stats};

use super::chat::{CHAT, PEOPLE};
use crate::Hub;
use crate::engine::now_ms;

/// The topic of the numbers, a gauge.
pub(crate) const STATS: &str = "stats";

/// From one sample to the next.
const PERIOD: Duration = Duration::from_secs(1);

/// A crowd that comes or goes at once is told as one.
const CROWD: Duration = Duration::from_millis(50);

/// Publishes what the demo's page shows of the server itself, on a thread of its own, until it is dropped.
///
/// The numbers go to the topic `stats` each second while somebody is subscribed to it; without subscribers the thread sleeps. A
/// hub with an engine has subscribers elsewhere: its numbers and its people are told each second under the node's name, for a
/// page to add up.
/// It takes the hub's [`on_join`](Hub::on_join) and [`on_leave`](Hub::on_leave) for itself.
///
/// ```no_run
/// use akurai_http::Server;
/// use akurai_server::{Hub, HubOptions, Publisher, app};
///
/// fn main() -> std::io::Result<()> {
///     let hub = Hub::new(HubOptions::default())?;
///     let server = Server::bind("127.0.0.1:8090")?;
///     let _publisher = Publisher::start(&hub, server.handle())?;
///     server.run(app(&hub))
/// }
/// ```
#[derive(Debug)]
pub struct Publisher {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts with the numbers of the server behind `handle`.
    ///
    /// # Errors
    ///
    /// If the thread cannot be made.
    pub fn start(hub: &Hub, handle: Handle) -> io::Result<Publisher> {
        let bell = Arc::new(Bell::default());
        let (joined, left) = (Arc::clone(&bell), Arc::clone(&bell));
        hub.on_join(move |_, _| joined.ring())?;
        hub.on_leave(move |_, _| left.ring())?;
        let (hub, waiting) = (hub.clone(), Arc::clone(&bell));
        let thread = thread::Builder::new()
            .name("akurai-stats".to_owned())
            .spawn(move || publish(&hub, &handle, &waiting))?;
        Ok(Publisher {
            bell,
            thread: Some(thread),
        })
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.bell.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Rung when somebody came or left.
#[derive(Debug, Default)]
struct Bell {
    state: Mutex<BellState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct BellState {
    rung: bool,
    over: bool,
}

impl Bell {
    fn state(&self) -> MutexGuard<'_, BellState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        self.state().rung = true;
        self.changed.notify_one();
    }

    fn end(&self) {
        self.state().over = true;
        self.changed.notify_one();
    }

    /// Waits for the bell, at most until `deadline`. `None` if it is over.
    fn wait(&self, deadline: Option<Instant>) -> Option<()> {
        let mut state = self.state();
        while !state.rung && !state.over {
            state = match deadline {
                None => {
                    let woken = self.changed.wait(state);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    let woken = self.changed.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        if state.over {
            return None;
        }
        if std::mem::take(&mut state.rung) {
            drop(state);
            thread::sleep(CROWD);
        }
        Some(())
    }
}

fn publish(hub: &Hub, handle: &Handle, bell: &Bell) {
    let mut told = None;
    let mut before: Option<Sample> = None;
    let mut next = None;
    while bell.wait(next).is_some() {
        let people = People::of(hub);
        let node = hub.node();
        let due = next.is_none_or(|next| Instant::now() >= next);
        if told != Some(people) || (node.is_some() && due) {
            // Refused by the engine, it is told with the next change.
            told = hub
                .publish(PEOPLE, "people", &people.json(node))
                .ok()
                .map(|_| people);
        }
        if node.is_none() && hub.present(STATS) == 0 {
            // A rate over the pause would tell nothing about its end.
            (before, next) = (None, None);
            continue;
        }
        if due {
            let now = Instant::now();
            let sample = Sample::take(hub, handle);
            let _ = hub.publish(STATS, "stats", &sample.json(node, before.as_ref()));
            before = Some(sample);
            next = Some(now + PERIOD);
        }
    }
}

/// Who is there for the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct People {
    /// By WebSocket, who may speak.
    in_room: usize,
    /// By event stream.
    following: usize,
}

impl People {
    fn of(hub: &Hub) -> People {
        // An event stream of the room has both topics, a WebSocket the messages alone.
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

/// The node's name as a further member of an object, if it has one.
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
}

impl Sample {
    fn take(hub: &Hub, handle: &Handle) -> Sample {
        let counts = hub.stats();
        Sample {
            at: Instant::now(),
            at_ms: now_ms(),
            stats: handle.stats(),
            subscribers: counts.subscribers + counts.members,
            deliveries: counts.deliveries,
            memory_bytes: resident_bytes(),
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
            ("bytes_in_per_s", rate(|sample| sample.stats.bytes_in)),
            ("bytes_out_per_s", rate(|sample| sample.stats.bytes_out)),
            ("threads", Some(self.stats.threads as u64)),
            ("memory_bytes", self.memory_bytes),
        ] {
            let _ = match value {
                Some(value) => write!(json, ",\"{name}\":{value}"),
                None => write!(json, ",\"{name}\":null"),
            };
        }
        json.push_str(&named(node));
        json.push('}');
        json
    }
}

/// This process's memory that is in RAM, where the system tells. `status` says it in kB; `statm` would say it in pages,
/// whose size std does not know.
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
    use crate::HubOptions;
    use akurai_http::Server;

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
        let hub = Hub::new(HubOptions::default()).unwrap();
        let server = Server::bind("127.0.0.1:0").unwrap();
        let mut before = Sample::take(&hub, &server.handle());
        before.at_ms = 7;
        before.memory_bytes = None;
        assert_eq!(
            before.json(None, None),
            "{\"at\":7,\"connections\":0,\"subscribers\":0,\"requests_per_s\":null,\"deliveries_per_s\":null,\
             \"bytes_in_per_s\":null,\"bytes_out_per_s\":null,\"threads\":0,\"memory_bytes\":null}"
        );
        let mut after = Sample::take(&hub, &server.handle());
        after.at = before.at + Duration::from_secs(2);
        after.stats.requests = before.stats.requests + 20;
        after.stats.bytes_in = before.stats.bytes_in + 3;
        let json = after.json(Some("a1"), Some(&before));
        for part in [
            "\"requests_per_s\":10,",
            "\"bytes_in_per_s\":2,",
            "\"bytes_out_per_s\":0,",
            ",\"node\":\"a1\"}",
        ] {
            assert!(json.contains(part), "{part} is not in {json}");
        }
    }
}
