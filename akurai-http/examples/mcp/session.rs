//! What the server has of a client between its requests.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use akurai_http::Reply;

use super::json::Json;
use super::stream::Stream;

/// How many calls may go on at once: a cancelled one counts until it returns. Streams of calls that
/// have returned are kept too, as long as there is room.
const MAX_CALLS: usize = 32;
const MAX_SUBSCRIPTIONS: usize = 100;
/// How long the client, or its user, may think about a question.
const ANSWER_WAIT: Duration = Duration::from_secs(300);
/// What a server can ask a client for.
const CAPABILITIES: [&str; 3] = ["sampling", "elicitation", "roots"];
/// From the least severe on.
const LEVELS: [&str; 8] = [
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
];

pub(super) struct Session {
    /// Its streams begin with an empty message, as since the revision 2025-11-25.
    pub(super) is_primed: bool,
    /// What the client can be asked for.
    capabilities: Vec<&'static str>,
    state: Mutex<State>,
}

struct State {
    used: Instant,
    /// By number, each with the id of its call.
    streams: BTreeMap<u64, (Json, Arc<Stream>)>,
    /// Streams and questions so far.
    begun: u64,
    /// The stream of each question, and where the answer goes.
    asked: HashMap<String, (Arc<Stream>, SyncSender<Json>)>,
    subscribed: BTreeSet<String>,
    level: Option<usize>,
}

impl Session {
    pub(super) fn new(is_primed: bool, capabilities: Option<&Json>) -> Session {
        let has = |name: &&str| capabilities.is_some_and(|all| all.get(name).is_some());
        let not_of_a_call = (Json::Plain("null".to_owned()), Arc::default());
        let state = Mutex::new(State {
            used: Instant::now(),
            streams: BTreeMap::from([(0, not_of_a_call)]),
            begun: 0,
            asked: HashMap::new(),
            subscribed: BTreeSet::new(),
            level: None,
        });
        Session {
            is_primed,
            capabilities: CAPABILITIES.into_iter().filter(has).collect(),
            state,
        }
    }

    pub(super) fn touch(&self) {
        self.lock().used = Instant::now();
    }

    pub(super) fn end_if_idle(&self, longest: Duration) -> bool {
        let is_idle = self.lock().used.elapsed() > longest;
        if is_idle {
            self.end();
        }
        is_idle
    }

    /// A stream for this call; `None` if too many go on.
    pub(super) fn begin(&self, call: &Json) -> Option<(u64, Arc<Stream>)> {
        let mut state = self.lock();
        if state.streams.len() > MAX_CALLS {
            let mut calls = state.streams.iter().skip(1);
            let (&oldest, _) = calls.find(|(_, (_, stream))| stream.is_done())?;
            state.streams.remove(&oldest);
        }
        state.begun += 1;
        let (number, stream) = (state.begun, Arc::<Stream>::default());
        let of_call = (call.clone(), Arc::clone(&stream));
        state.streams.insert(number, of_call);
        Some((number, stream))
    }

    pub(super) fn stream(&self, number: u64) -> Option<Arc<Stream>> {
        Some(Arc::clone(&self.lock().streams.get(&number)?.1))
    }

    /// Answers with a stream: see [`Stream::follow`]. A session with a connection is in use.
    pub(super) fn follow(self: &Arc<Self>, number: u64, from: Option<usize>) -> Option<Reply> {
        let session = Arc::clone(self);
        let touch = move || session.touch();
        let stream = self.stream(number)?;
        stream.follow(self.is_primed, number, from, touch)
    }

    /// Ends the stream of a call. If the call waits for an answer, it gets an error.
    pub(super) fn cancel(&self, call: Option<&Json>) {
        let mut state = self.lock();
        let State { streams, asked, .. } = &mut *state;
        let calls = streams.values().skip(1);
        for (_, stream) in calls.filter(|(id, _)| Some(id) == call) {
            stream.end();
            asked.retain(|_, (asking, _)| !Arc::ptr_eq(asking, stream));
        }
    }

    /// Asks the client on this stream, and waits for the answer: its `result`.
    pub(super) fn ask(&self, stream: &Arc<Stream>, method: &str, params: &str) -> io::Result<Json> {
        let capability = method.split('/').next().unwrap_or_default();
        if !self.capabilities.contains(&capability) {
            return Err(io::Error::other(format!("the client has no {capability}")));
        }
        let (tell, told) = mpsc::sync_channel(1);
        let mut state = self.lock();
        state.begun += 1;
        let id = format!("question {}", state.begun);
        let question = (Arc::clone(stream), tell);
        state.asked.insert(id.clone(), question);
        drop(state);
        let answer = stream.send(format!(
            r#"{{"jsonrpc":"2.0","id":"{id}","method":"{method}","params":{params}}}"#
        ));
        let answer = answer.and_then(|()| {
            let answer = told.recv_timeout(ANSWER_WAIT);
            answer.map_err(|_| io::Error::other("no answer from the client"))
        });
        self.lock().asked.remove(&id);
        let answer = answer?;
        let result = answer.get("result").cloned();
        result.ok_or_else(|| io::Error::other("the client answered with an error"))
    }

    pub(super) fn answered(&self, answer: Json) {
        let question = self.lock().asked.remove(answer.text("id"));
        // If nobody waits any longer, the answer came too late.
        let _ = question.map(|(_, tell)| tell.send(answer));
    }

    pub(super) fn set_level(&self, level: &str) -> Option<()> {
        let level = LEVELS.iter().position(|&name| name == level)?;
        self.lock().level = Some(level);
        Some(())
    }

    pub(super) fn hears(&self, level: &str) -> bool {
        LEVELS.iter().position(|&name| name == level) >= self.lock().level
    }

    pub(super) fn subscribe(&self, uri: &str) -> Option<()> {
        let mut state = self.lock();
        state.subscribed.insert(uri.to_owned());
        if state.subscribed.len() > MAX_SUBSCRIPTIONS {
            state.subscribed.remove(uri);
            return None;
        }
        Some(())
    }

    pub(super) fn unsubscribe(&self, uri: &str) -> Option<()> {
        self.lock().subscribed.remove(uri);
        Some(())
    }

    pub(super) fn is_subscribed(&self, uri: &str) -> bool {
        self.lock().subscribed.contains(uri)
    }

    /// Ends all streams. A call that waits or sends gets an error.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.asked.clear();
        for (_, stream) in state.streams.values() {
            stream.end();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
