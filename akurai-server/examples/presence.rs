//! Who is here, by name, over all nodes of an engine:
//! `cargo run --example presence -- 127.0.0.1:8091 redis://127.0.0.1:6379`, and once more at 8092;
//! then both addresses in several windows. Without a Redis it is a node alone.
//!
//! Each node publishes its list when somebody comes or leaves, and with each beat, every 2 s. A
//! page has the last list of each node, and shows the names of all. A node that has missed four
//! beats in a row of some other is gone, and so are its people: within 9 s, as long as the engine
//! answers at once. If it only stood still, its next list brings them back. No clock is compared
//! with another: what counts is the order of events, which is the same everywhere. So while the
//! engine is away, which stops all nodes alike, the list stays as it was.
//!
//! A tab that is closed leaves its node at the hub's next sweep, within 5 s.

use std::collections::{BTreeSet, VecDeque};
use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use akurai_http::{Reply, Request, Response, Router, Server, Status};
use akurai_server::{EventId, Hub, HubOptions, Redis, RedisOptions};

/// Each node says so often who is there. For thousands of people let it be longer: a list goes to
/// everybody. The bound of 9 s grows with it; what changes is told at once in any case.
const BEAT: Duration = Duration::from_secs(2);

/// Those who come or leave within so short a time are told of together.
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

/// A stream of the lists, and of what is for this user alone. Where people log in, the name is the
/// session's, not the query's.
fn follow(req: &Request, hub: &Hub) -> Reply {
    let pairs = req.query_pairs();
    match pairs.get("name").filter(|name| is_name(name)) {
        Some(name) => hub.sse(req, &["here", &format!("user:{name}")]),
        None => Response::new(Status::BAD_REQUEST).into(),
    }
}

/// A name is a line of a list.
fn is_name(name: &str) -> bool {
    (1..=NAME_CHARS).contains(&name.chars().count()) && !name.contains(char::is_control)
}

/// Who is here on this node.
pub(crate) struct Presence {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    names: BTreeSet<String>,
    has_changed: bool,
    /// The places of this node's last beats. Behind the first, each other node has beaten too.
    beats: VecDeque<EventId>,
}

impl Presence {
    /// Notices who comes and leaves, and tells the other nodes.
    fn start(hub: &Hub) -> io::Result<Arc<Presence>> {
        let presence = Arc::new(Presence {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        // A user is here as long as somebody is subscribed to the user's own topic.
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

    /// Publishes the list, for as long as the process lives.
    fn tell(&self, hub: &Hub) {
        // A name of this process, so that a new one never speaks for the one that it follows.
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
                // The next beat tells what this would have.
                Err(error) => eprintln!("{error}"),
            }
        }
    }

    /// Waits for a change, or for the next beat: that is true.
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

    /// Who is here still, each name behind a line break.
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

/// The page begins some beats ago, so that it has the lists of all nodes at once.
fn page(presence: &Presence) -> Response {
    let begin = presence.state().beats.front().copied();
    let begin = begin.map_or(String::new(), |id| id.to_string());
    Response::html(PAGE.replace("BEGIN", &begin)).header("Cache-Control", "no-store")
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
