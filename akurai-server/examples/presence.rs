//! Shows the names of the people who are here, over all nodes of an engine: `cargo run --example
//! presence -- 127.0.0.1:8091 redis://127.0.0.1:6379`, and once more at 8092; then open both
//! addresses in several windows. Without a Redis it runs as a single node.
//!
//! Each node publishes its list when somebody comes or leaves, and with each beat, every 2 s. A
//! page has the last list of each node, and shows the names of all. If a node has missed four beats
//! in a row of some other node, the page removes it and its people: within 9 s, as long as the
//! engine answers at once. If the node only stood still, its next list brings them back. No clock
//! is compared with another: only the order of events counts, which is the same everywhere. So
//! while the engine is unreachable, which stops all nodes alike, the list stays as it was.
//!
//! When a user closes a tab, the hub notices it at its next sweep, within 5 s.

use std::collections::{BTreeSet, VecDeque};
use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use akurai_http::{Reply, Request, Response, Router, Server, Status};
use akurai_server::{EventId, Hub, HubOptions, Redis, RedisOptions, stop_on_signals};

/// How often each node publishes its list. For thousands of people use a longer time, because every
/// page gets every list. The limit of 9 s grows with it. A change is published at once in any case.
const BEAT: Duration = Duration::from_secs(2);

/// People who come or leave within this time are published together.
const CROWD: Duration = Duration::from_millis(100);

/// Longest name, in characters.
const NAME_CHARS: usize = 30;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let addr = args.next().unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let hub = match args.next() {
        Some(url) => {
            let redis = Redis::new(&url, RedisOptions::default())?;
            Hub::with_engine(HubOptions::default(), redis)?
        }
        None => Hub::new(HubOptions::default())?,
    };
    let app = app(&hub)?;
    let server = Server::bind(addr)?;
    stop_on_signals(server.handle(), Duration::from_secs(10))?;
    println!("http://{}", server.local_addr()?);
    Ok(server.run(app)?)
}

pub(crate) fn app(hub: &Hub) -> io::Result<Router> {
    let presence = Presence::start(hub)?;
    let hub = hub.clone();
    Ok(Router::new()
        .get("/", move |_| page(&presence))
        .get("/events", move |req| follow(req, &hub)))
}

/// A stream of the lists, and of the events for this user alone. If people log in, take the name
/// from the session, not from the query.
fn follow(req: &Request, hub: &Hub) -> Reply {
    let pairs = req.query_pairs();
    match pairs.get("name").filter(|name| is_name(name)) {
        Some(name) => hub.sse(req, &["here", &format!("user:{name}")]),
        None => Status::BAD_REQUEST.into(),
    }
}

/// A name is one line of a list.
fn is_name(name: &str) -> bool {
    (1..=NAME_CHARS).contains(&name.chars().count()) && !name.contains(char::is_control)
}

/// The people on this node.
pub(crate) struct Presence {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    names: BTreeSet<String>,
    has_changed: bool,
    /// The event ids of this node's last beats. After the first of them, each other node has beaten
    /// too.
    beats: VecDeque<EventId>,
}

impl Presence {
    /// Notices people who come and leave, and tells the other nodes.
    fn start(hub: &Hub) -> io::Result<Arc<Presence>> {
        let presence = Arc::new(Presence {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        // A user is here as long as the user's own topic has a subscriber.
        let notice = || {
            let presence = Arc::clone(&presence);
            move |topic: &str, _| {
                if let Some(name) = topic.strip_prefix("user:") {
                    presence.notice(name);
                }
            }
        };
        hub.on_join(notice())?;
        hub.on_leave(notice())?;
        let (hub, telling) = (hub.clone(), Arc::clone(&presence));
        thread::Builder::new().spawn(move || telling.tell(&hub))?;
        Ok(presence)
    }

    fn notice(&self, name: &str) {
        let mut state = self.state();
        state.names.insert(name.to_owned());
        state.has_changed = true;
        self.changed.notify_one();
    }

    /// Publishes the list as long as the process runs.
    fn tell(&self, hub: &Hub) {
        // A name of this process, so that a new process never speaks for the previous one.
        let node = format!("{:016x}", RandomState::new().build_hasher().finish());
        let mut next_beat = Instant::now();
        loop {
            let is_beat = self.wait_until(next_beat);
            if is_beat {
                next_beat = Instant::now() + BEAT;
            }
            let kind = if is_beat { "beat" } else { "change" };
            let list = format!("{node}\n{kind}{}", self.names(hub));
            match hub.publish("here", "here", &list) {
                Ok(id) if is_beat => self.note_beat(id),
                Ok(_) => {}
                // If this fails, the next beat brings the same list.
                Err(error) => eprintln!("{error}"),
            }
        }
    }

    /// Waits for a change, or for the next beat. Returns true for a beat.
    fn wait_until(&self, next_beat: Instant) -> bool {
        let mut state = self.state();
        while !state.has_changed {
            let left = next_beat.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        thread::sleep(CROWD);
        self.state().has_changed = false;
        next_beat <= Instant::now()
    }

    /// The people who are still here, each name after a line break.
    fn names(&self, hub: &Hub) -> String {
        let mut state = self.state();
        state
            .names
            .retain(|name| hub.present(&format!("user:{name}")) > 0);
        state.names.iter().flat_map(|name| ["\n", name]).collect()
    }

    fn note_beat(&self, id: EventId) {
        let mut state = self.state();
        state.beats.push_back(id);
        if state.beats.len() > 3 {
            state.beats.pop_front();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The page's stream begins some beats ago, so that it gets the lists of all nodes at once.
fn page(presence: &Presence) -> Response {
    let begin = presence.state().beats.front().copied();
    let begin = begin.map_or(String::new(), |id| id.to_string());
    Response::html(PAGE.replace("BEGIN", &begin)).with_header("Cache-Control", "no-store")
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>presence</title><link rel="icon" href="data:,">
<form><input name="name" maxlength="30" autofocus> <button>Come in</button></form>
<p>Here are <output></output>.</p>
<script>
const nodes = new Map(); // By node: its names, and how many beats of each other node it has missed.
function here({ data }) {
  const [node, kind, ...names] = data.split("\n");
  nodes.set(node, { names, missed: new Map() });
  if (kind === "beat") {
    for (const [other, { missed }] of nodes) {
      if (other === node) continue;
      missed.set(node, (missed.get(node) ?? 0) + 1);
      if (missed.get(node) === 4) nodes.delete(other);
    }
  }
  const all = new Set([...nodes.values()].flatMap(({ names }) => names));
  document.querySelector("output").textContent = [...all].sort().join(", ");
}
const name = new URLSearchParams(location.search).get("name");
if (name) {
  const query = new URLSearchParams({ name, last_event_id: "BEGIN" });
  new EventSource(`/events?${query}`).addEventListener("here", here);
}
</script>"#;
