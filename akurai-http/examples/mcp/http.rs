//! Streamable HTTP, a transport of the Model Context Protocol: its revisions 2025-06-18 and
//! 2025-11-25. A client POSTs each message. A call of a tool is answered by an event stream, and
//! everything else by JSON. A client that lost a stream GETs it again from the last event it has.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use akurai_http::middleware::CrossOriginProtection;
use akurai_http::{Reply, Request, Response, Router, Status, last_event_id};

use super::call::{Call, Outcome, message_of};
use super::json::Json;
use super::session::Session;

/// The first one is of clients that name none. The last one is offered to clients of another.
const VERSIONS: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];
/// With 32 calls of each, at most 8,192 threads of calls. A server of many clients lowers it.
const MAX_SESSIONS: usize = 256;
/// What is kept of a client comes in its messages, so this bounds each id, address and text.
const MAX_MESSAGE_BYTES: u64 = 64 << 10;
/// A session that was not used for this long makes room for another one.
const IDLE: Duration = Duration::from_secs(60 * 60);

type Answer = dyn Fn(&Mcp, &Call) -> Outcome + Send + Sync;
/// The second one is an answer to a request that is refused.
type Replied = Result<Reply, Reply>;

#[derive(Clone)]
pub(crate) struct Mcp {
    /// The members `capabilities` and `serverInfo` of the answer to `initialize`.
    about: &'static str,
    answer: Arc<Answer>,
    sessions: Arc<Mutex<HashMap<String, Arc<Session>>>>,
}

impl Mcp {
    pub(crate) fn new(
        about: &'static str,
        answer: impl Fn(&Mcp, &Call) -> Outcome + Send + Sync + 'static,
    ) -> Mcp {
        let answer = Arc::new(answer);
        Mcp {
            about,
            answer,
            sessions: Arc::default(),
        }
    }

    /// The routes, below a path. Only pages of this server itself may use them.
    pub(crate) fn routes(&self) -> Router {
        let of = |handler: fn(&Mcp, &Request) -> Replied| {
            let mcp = self.clone();
            move |req: &Request| handler(&mcp, req)
        };
        Router::new()
            .post("/", of(Mcp::post))
            .get("/", of(Mcp::get))
            .delete("/", of(Mcp::delete))
            .max_body_bytes("/", MAX_MESSAGE_BYTES)
            .wrap(CrossOriginProtection::new().middleware())
    }

    /// Tells the sessions that subscribed to a resource that it has changed.
    pub(crate) fn updated(&self, uri: &str) {
        let message = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":{}}}}}"#,
            Json::from(uri)
        );
        for session in self
            .lock()
            .values()
            .filter(|session| session.is_subscribed(uri))
        {
            // A session that has just ended hears nothing.
            let _ = session.stream(0).map(|stream| stream.send(message.clone()));
        }
    }

    fn post(&self, req: &Request) -> Replied {
        let body = req.body()?;
        let message = std::str::from_utf8(&body).ok().and_then(Json::parse);
        let message = message.ok_or_else(|| malformed(-32700, "this is no JSON"))?;
        if message.text("jsonrpc") != "2.0" {
            return Err(malformed(-32600, "this is no message of JSON-RPC 2.0"));
        }
        let (method, params) = (message.text("method"), message.get("params"));
        let id = message.get("id");
        let params = params.cloned().unwrap_or(Json::Object(Vec::new()));
        if method == "initialize" {
            return self.initialize(id, &params);
        }
        let (_, session) = self.session(req)?;
        let Some(id) = id.filter(|_| !method.is_empty()) else {
            match method {
                "" => session.answered(message),
                "notifications/cancelled" => session.cancel(params.get("requestId")),
                _ => {} // Nothing to do for `notifications/initialized`.
            }
            return Ok(Status::ACCEPTED.into());
        };
        let is_call = method == "tools/call";
        let (number, stream) = match is_call {
            true => session.begin(id).ok_or_else(busy)?,
            false => (0, session.stream(0).ok_or_else(busy)?),
        };
        let (method, stream) = (method.to_owned(), Arc::clone(&stream));
        let call = Call {
            method,
            params,
            session: Arc::clone(&session),
            stream: Arc::clone(&stream),
        };
        let (mcp, id) = (self.clone(), id.clone());
        if !is_call {
            return Ok(Response::json(call.run(&id, |call| (mcp.answer)(&mcp, call))).into());
        }
        let work = move || {
            let run = AssertUnwindSafe(|| call.run(&id, |call| (mcp.answer)(&mcp, call)));
            let panicked = |_| message_of(&id, Err((-32603, "the tool failed".to_owned())));
            let answer = catch_unwind(run).unwrap_or_else(panicked);
            // If this fails, the call was cancelled: then its client wants no answer.
            let _ = call.stream.send(answer);
            call.stream.finish();
        };
        let reply = session.follow(number, None).ok_or_else(busy)?;
        let spawned = thread::Builder::new().spawn(work);
        spawned.inspect_err(|_| stream.finish())?;
        Ok(reply)
    }

    fn get(&self, req: &Request) -> Replied {
        let (_, session) = self.session(req)?;
        let place = match last_event_id(req) {
            None => Some((0, None)),
            Some(id) => std::str::from_utf8(&id).ok().and_then(place),
        };
        let reply = place.and_then(|(number, next)| session.follow(number, next));
        // With 404 it begins a new session, since messages of this one are lost.
        reply.ok_or_else(|| refused(Status::NOT_FOUND, "the stream is not kept from there on"))
    }

    fn delete(&self, req: &Request) -> Replied {
        let (id, session) = self.session(req)?;
        self.lock().remove(id);
        session.end();
        Ok(Status::NO_CONTENT.into())
    }

    fn initialize(&self, id: Option<&Json>, params: &Json) -> Replied {
        let id = id.ok_or_else(|| malformed(-32600, "a request has an id"))?;
        let asked = params.text("protocolVersion");
        let version = VERSIONS[1..].iter().find(|&&version| version == asked);
        let version = version.unwrap_or(&VERSIONS[2]);
        let session = Session::new(*version == VERSIONS[2], params.get("capabilities"));
        let (secret, mut sessions) = (secret()?, self.lock());
        if sessions.len() >= MAX_SESSIONS {
            sessions.retain(|_, session| !session.end_if_idle(IDLE));
        }
        if sessions.len() >= MAX_SESSIONS {
            return Err(busy());
        }
        sessions.insert(secret.clone(), Arc::new(session));
        let result = format!(r#"{{"protocolVersion":"{version}",{}}}"#, self.about);
        let answer = Response::json(message_of(id, Ok(result)));
        Ok(answer.with_header("Mcp-Session-Id", secret).into())
    }

    /// The session of a request.
    fn session<'r>(&self, req: &'r Request) -> Result<(&'r str, Arc<Session>), Reply> {
        let version = req.header("MCP-Protocol-Version").unwrap_or(VERSIONS[0]);
        if !VERSIONS.contains(&version) {
            return Err(refused(Status::BAD_REQUEST, "unknown MCP-Protocol-Version"));
        }
        let id = req.header("Mcp-Session-Id");
        let id = id.ok_or_else(|| refused(Status::BAD_REQUEST, "no Mcp-Session-Id"))?;
        let session = self.lock().get(id).cloned();
        let session = session.ok_or_else(|| refused(Status::NOT_FOUND, "no such session"))?;
        session.touch();
        Ok((id, session))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream of an event, and how many of its messages the client has.
fn place(id: &str) -> Option<(u64, Option<usize>)> {
    let (stream, messages) = id.split_once('.')?;
    Some((stream.parse().ok()?, Some(messages.parse().ok()?)))
}

/// Nobody else can guess the id of a session. On systems other than Unix, use a crate or the
/// system's own call for random numbers.
fn secret() -> io::Result<String> {
    let mut random = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(random)))
}

fn refused(status: Status, why: &str) -> Reply {
    Response::text(format!("{why}\n"))
        .with_status(status)
        .into()
}

fn busy() -> Reply {
    refused(Status::SERVICE_UNAVAILABLE, "too many calls or sessions")
}

fn malformed(code: i32, message: &str) -> Reply {
    let id = Json::Plain("null".to_owned());
    let error = message_of(&id, Err((code, message.to_owned())));
    Response::json(error)
        .with_status(Status::BAD_REQUEST)
        .into()
}
