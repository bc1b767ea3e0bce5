//! An event stream for those who are logged in: `cargo run --example ticket`, then http://127.0.0.1:8090.
//!
//! `EventSource` cannot send an `Authorization` field. It sends cookies, so that the page's own session is enough here; and where
//! there are none, as for a page of another site, a ticket in the address opens the stream: it is good once, and for 30 s,
//! since addresses are kept in logs.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use akurai_http::{Cookie, Reply, Request, Response, Router, Server, Status, sse};

const TICKET_LASTS: Duration = Duration::from_secs(30);

/// Whom a secret belongs to.
#[derive(Clone, Default)]
struct Secrets(Arc<Mutex<HashMap<String, (String, Instant)>>>);

impl Secrets {
    fn hand_out(&self, user: &str) -> io::Result<String> {
        // On other systems than Unix, a crate or the system's own call has such numbers.
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let secret = format!("{:032x}", u128::from_ne_bytes(random));
        self.lock()
            .insert(secret.clone(), (user.to_owned(), Instant::now()));
        Ok(secret)
    }

    fn user(&self, secret: &str) -> Option<String> {
        Some(self.lock().get(secret)?.0.clone())
    }

    fn redeem(&self, secret: &str) -> Option<String> {
        let mut tickets = self.lock();
        tickets.retain(|_, (_, since)| since.elapsed() < TICKET_LASTS);
        Some(tickets.remove(secret)?.0)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (String, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn main() -> io::Result<()> {
    println!("http://127.0.0.1:8090");
    Server::bind("127.0.0.1:8090")?.run(app())
}

pub(crate) fn app() -> Router {
    let sessions = Secrets::default();
    let (known, tickets) = (sessions.clone(), Secrets::default());
    let (asked, redeemed) = (sessions.clone(), tickets.clone());
    Router::new()
        .get("/", |_| Response::html(PAGE))
        .post("/login", move |req| login(req, &sessions))
        .post("/ticket", move |req| -> io::Result<Response> {
            match session_user(req, &known) {
                Some(user) => Ok(Response::text(tickets.hand_out(&user)?)),
                None => Ok(Response::new(Status::UNAUTHORIZED)),
            }
        })
        .get("/events", move |req| {
            let pairs = req.query_pairs();
            let user = match pairs.get("ticket") {
                Some(ticket) => redeemed.redeem(ticket),
                None => session_user(req, &asked),
            };
            match user {
                Some(user) => greet(user),
                // For any status but 200, EventSource gives up: the page must log in first.
                None => Response::new(Status::UNAUTHORIZED).into(),
            }
        })
}

fn login(req: &Request, sessions: &Secrets) -> io::Result<Response> {
    let form = req.form()?;
    // Here a password would be checked.
    let Some(user) = form.get("user").filter(|user| !user.is_empty()) else {
        return Ok(Response::new(Status::UNAUTHORIZED));
    };
    let session = Cookie::new("session", &sessions.hand_out(user)?);
    Ok(Response::redirect(Status::SEE_OTHER, "/").cookie(session))
}

fn session_user(req: &Request, sessions: &Secrets) -> Option<String> {
    sessions.user(req.cookie("session")?)
}

fn greet(user: String) -> Reply {
    sse(move |mut sink| {
        loop {
            sink.event("hello", &user)?;
            sink.wait(Duration::from_secs(1))?;
        }
    })
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>ticket</title>
<form method="post" action="/login"><input name="user" autofocus> <button>Log in</button></form>
<button id="once">Open by a ticket</button><pre></pre>
<script>
const log = document.querySelector("pre");
const open = (address) => {
  const source = new EventSource(address);
  source.addEventListener("hello", event => log.textContent = `hello, ${event.data}: ${address}`);
  source.onerror = () => log.textContent = source.readyState === EventSource.CLOSED ? "refused" : "away";
};
open("/events");
document.querySelector("button[id]").onclick = async () => {
  const answer = await fetch("/ticket", { method: "POST" });
  if (answer.ok) open(`/events?ticket=${await answer.text()}`);
};
</script>"#;
