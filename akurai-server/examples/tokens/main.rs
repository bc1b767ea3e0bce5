//! A language model's answer, token by token: `cargo run --example tokens`, then
//! http://127.0.0.1:8090. The model is faked.
//!
//! A page that loses its connection goes on behind the last token that it has, and one that is
//! loaded again reads the answer from its beginning: no token is lost, and none comes twice. The
//! answer is written by a thread of its own. It ends when the page cancels it, or when nobody has
//! read it for a while, since tokens cost money.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use akurai_http::middleware::CrossOriginProtection;
use akurai_http::{Reply, Request, Response, Router, Server, Status};
use akurai_server::{Hub, HubOptions, Retention, stop_on_signals};

/// How many answers may be written at once.
const MAX_RUNNING: usize = 16;
/// How many answers are kept for those who come back.
const MAX_ANSWERS: usize = 100;
const MAX_TOKENS: usize = 1000;
const MAX_PROMPT_BYTES: u64 = 16 * 1024;
/// An answer that nobody reads for so long is not finished.
const UNREAD: Duration = Duration::from_secs(30);

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1);
    let server = Server::bind(addr.as_deref().unwrap_or("127.0.0.1:8090"))?
        // No page of another site reaches it by a name of its own that leads here.
        .hosts(["localhost", "127.0.0.1", "[::1]"])?;
    stop_on_signals(server.handle(), Duration::from_secs(10))?;
    println!("http://{} until Ctrl-C", server.local_addr()?);
    let hub = Hub::new(HubOptions::default())?;
    server.run(app(&hub, Duration::from_millis(60), UNREAD))
}

/// The model makes a token each `beat`.
pub(crate) fn app(hub: &Hub, beat: Duration, unread: Duration) -> Router {
    let answers = Answers {
        hub: hub.clone(),
        beat,
        unread,
        kept: Arc::default(),
    };
    let (streams, cancels) = (answers.clone(), answers.clone());
    Router::new()
        .get("/", |_| Response::html(include_str!("page.html")))
        .post("/answers", move |req| answers.begin(req))
        .max_body_bytes("/answers", MAX_PROMPT_BYTES)
        .get("/answers/{id}", move |req| streams.follow(req))
        .delete("/answers/{id}", move |req| cancels.cancel(req))
        .wrap(CrossOriginProtection::new().middleware())
}

#[derive(Clone)]
struct Answers {
    hub: Hub,
    beat: Duration,
    unread: Duration,
    /// The oldest first.
    kept: Arc<Mutex<VecDeque<Answer>>>,
}

#[derive(Clone)]
struct Answer {
    /// Also the topic of its tokens. Nobody else can guess it.
    id: String,
    is_cancelled: Arc<AtomicBool>,
    /// No thread writes it any more.
    is_over: Arc<AtomicBool>,
}

impl Answers {
    /// Begins an answer to the prompt in the body. Says its id, and the place before its first
    /// token.
    fn begin(&self, req: &Request) -> io::Result<Response> {
        let prompt = String::from_utf8_lossy(&req.body()?).into_owned();
        let answer = Answer {
            id: secret()?,
            is_cancelled: Arc::default(),
            is_over: Arc::default(),
        };
        let mut kept = self.lock();
        let is_running = |answer: &&Answer| !answer.is_over.load(Ordering::Relaxed);
        if kept.iter().filter(is_running).count() == MAX_RUNNING {
            let busy = Response::new(Status::SERVICE_UNAVAILABLE);
            return Ok(busy.with_header("Retry-After", "5"));
        }
        if kept.len() == MAX_ANSWERS {
            let oldest = kept.iter().position(|answer| !is_running(&answer));
            let oldest = oldest.and_then(|place| kept.remove(place));
            oldest.inspect(|answer| self.hub.release(&answer.id));
        }
        // Otherwise other answers push its tokens out while its page is away.
        self.hub
            .retain(&answer.id, Retention::default().max_events(MAX_TOKENS + 1));
        let begin = self.hub.last_id();
        let text = format!("{} {begin}", answer.id);
        kept.push_back(answer.clone());
        drop(kept);
        let (answers, is_over) = (self.clone(), Arc::clone(&answer.is_over));
        let thread = thread::Builder::new().spawn(move || {
            let end = answers.write(&answer, &prompt).unwrap_or("failed");
            answer.is_over.store(true, Ordering::Relaxed);
            answers.hub.publish(&answer.id, "end", end)
        });
        thread.inspect_err(|_| is_over.store(true, Ordering::Relaxed))?;
        Ok(Response::text(text))
    }

    /// Returns how it ended.
    fn write(&self, answer: &Answer, prompt: &str) -> io::Result<&'static str> {
        let mut read = Instant::now();
        for token in model(prompt).take(MAX_TOKENS) {
            thread::sleep(self.beat);
            if self.hub.present(&answer.id) > 0 {
                read = Instant::now();
            }
            if answer.is_cancelled.load(Ordering::Relaxed) || read.elapsed() >= self.unread {
                return Ok("cancelled");
            }
            self.hub.publish(&answer.id, "token", &token)?;
        }
        Ok("done")
    }

    /// The tokens behind `Last-Event-ID`, or `last_event_id` in the query: `Hub::sse` reads both.
    fn follow(&self, req: &Request) -> Reply {
        match self.find(req) {
            Some(answer) => self.hub.sse(req, &[&answer.id]),
            None => Status::NOT_FOUND.into(),
        }
    }

    fn cancel(&self, req: &Request) -> Response {
        let answer = self.find(req);
        let cancelled = answer.map(|answer| answer.is_cancelled.store(true, Ordering::Relaxed));
        Response::new(cancelled.map_or(Status::NOT_FOUND, |()| Status::NO_CONTENT))
    }

    fn find(&self, req: &Request) -> Option<Answer> {
        let id = req.param("id")?;
        self.lock().iter().find(|answer| answer.id == id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Answer>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// On systems other than Unix, use a crate or the system's own call for random numbers.
fn secret() -> io::Result<String> {
    let mut random = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(random)))
}

/// Here a program asks its model, and reads tokens as they come.
pub(crate) fn model(prompt: &str) -> impl Iterator<Item = String> + use<> {
    let text = format!(
        "You asked: {prompt}\n\nI am no model, but I can count while you pull the plug.\n\n{}",
        (1..=100).map(|n| format!("{n}, ")).collect::<String>()
    );
    let tokens: Vec<_> = text
        .split_inclusive([' ', '\n'])
        .map(str::to_owned)
        .collect();
    tokens.into_iter()
}
