//! Event streams by a signed ticket, which each node can check without a common store: `cargo run
//! --example signed_ticket`, then http://127.0.0.1:8090.
//!
//! A ticket names the topics that it opens, and is valid until its time is over, 1 min here. Then
//! the page asks for another one. The session's cookie is signed too, by the same key for another
//! purpose: so a ticket is no session, and a session is no ticket. The program keeps neither of
//! them. The example `ticket` of `akurai-http` keeps both, so that a ticket is valid once, and a
//! logout ends streams at once.
//!
//! `signed_ticket 127.0.0.1:0 KEY` listens on that address and reads the key from the file KEY, 32
//! random bytes. Nodes with the same key take each other's tickets. Without a file, the key is made
//! when the program starts.

use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, SystemTime};

use akurai_http::middleware::{CrossOriginProtection, RateLimit};
use akurai_http::{Cookie, Reply, Request, Response, Router, Server, Signer, Status};
use akurai_server::{Hub, HubOptions};

const TICKET_LASTS: Duration = Duration::from_secs(60);
const SESSION_LASTS: Duration = Duration::from_secs(8 * 60 * 60);

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let addr = args.next().unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let mut key = [0; 32];
    // On systems other than Unix, a file must be named.
    File::open(args.next().as_deref().unwrap_or("/dev/urandom"))?.read_exact(&mut key)?;
    // A stream ends after this time, and its client comes back with its ticket. So after its ticket
    // has expired, it reads for 9/8 of this at most.
    let hub = Hub::new(HubOptions::default().lifetime(TICKET_LASTS))?;
    let server = Server::bind(addr)?;
    println!("http://{}", server.local_addr()?);
    server.run(app(&hub, &key, TICKET_LASTS)?)
}

/// What a node signs and verifies.
#[derive(Clone)]
struct Signers {
    sessions: Signer,
    tickets: Signer,
    ticket_lasts: Duration,
}

pub(crate) fn app(hub: &Hub, key: &[u8], ticket_lasts: Duration) -> io::Result<Router> {
    let signers = Signers {
        sessions: Signer::new("session", key)?,
        tickets: Signer::new("ticket", key)?,
        ticket_lasts,
    };
    let (streams, events) = (hub.clone(), signers.clone());
    let (notes, authors) = (hub.clone(), signers.clone());
    let logins = signers.clone();
    // A name is tried at most 10 times at once, and then every 6 s.
    let login = Router::new()
        .post("/login", move |req| login(req, &logins))
        .wrap(RateLimit::new(10, Duration::from_secs(60)).middleware());
    Ok(Router::new()
        .get("/", |_| Response::html(PAGE))
        .nest("", login)
        .post("/ticket", move |req| ticket(req, &signers))
        .post("/notes/{user}", move |req| note(req, &notes, &authors))
        .get("/events", move |req| open(req, &streams, &events))
        .wrap(CrossOriginProtection::new().middleware()))
}

fn login(req: &Request, signers: &Signers) -> io::Result<Response> {
    let form = req.form()?;
    // A real login checks a password here. A name of letters cannot be read as two topics.
    let is_name = |name: &&str| !name.is_empty() && name.chars().all(char::is_alphanumeric);
    let Some(user) = form.get("user").filter(is_name) else {
        return Ok(Response::new(Status::UNAUTHORIZED));
    };
    let session = signers
        .sessions
        .sign(user, SystemTime::now() + SESSION_LASTS);
    let cookie = Cookie::new("session", &session)
        .max_age(SESSION_LASTS)
        .secure(req.is_secure());
    Ok(Response::redirect(Status::SEE_OTHER, "/").cookie(cookie))
}

/// The user of the session: in the cookie or, for a program that keeps no cookies, in
/// `Authorization: Bearer`.
fn user(req: &Request, signers: &Signers) -> Option<String> {
    let session = req.bearer_token().or_else(|| req.cookie("session"))?;
    let signed = signers.sessions.verify(session, SystemTime::now()).ok()?;
    Some(signed.text().to_owned())
}

/// A ticket for the topics that the user may read.
fn ticket(req: &Request, signers: &Signers) -> Response {
    let Some(user) = user(req, signers) else {
        return Response::new(Status::UNAUTHORIZED);
    };
    let topics = format!("news\nuser:{user}");
    let expires = SystemTime::now() + signers.ticket_lasts;
    Response::text(signers.tickets.sign(&topics, expires)).with_header("Cache-Control", "no-store")
}

/// Opens an event stream on the topics of the ticket.
fn open(req: &Request, hub: &Hub, signers: &Signers) -> Reply {
    let query = req.query_pairs();
    let ticket = query.get("ticket").unwrap_or_default();
    match signers.tickets.verify(ticket, SystemTime::now()) {
        Ok(ticket) => hub.sse(req, &ticket.text().split('\n').collect::<Vec<_>>()),
        // After any status but 200, EventSource gives up: the page asks for another ticket.
        Err(_) => Status::UNAUTHORIZED.into(),
    }
}

/// Sends a note to a user.
fn note(req: &Request, hub: &Hub, signers: &Signers) -> io::Result<Response> {
    let (Some(author), Some(reader)) = (user(req, signers), req.param("user")) else {
        return Ok(Response::new(Status::UNAUTHORIZED));
    };
    hub.publish(&format!("user:{reader}"), "note", &format!("from {author}"))?;
    Ok(Response::new(Status::NO_CONTENT))
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>signed ticket</title><link rel="icon" href="data:,">
<form method="post" action="/login"><input name="user" autofocus> <button>Log in</button></form>
<form id="note"><input name="to"> <button>Send a note to this user</button></form><pre></pre>
<script>
const log = text => document.querySelector("pre").append(text + "\n");
let at = ""; // The last event's id, for the stream of the next ticket.
const follow = async () => {
  const later = () => setTimeout(follow, 3000);
  try {
    const answer = await fetch("/ticket", { method: "POST" });
    if (answer.status === 401) return log("log in first");
    if (!answer.ok) return later();
    const source = new EventSource(`/events?ticket=${await answer.text()}&last_event_id=${at}`);
    source.addEventListener("note", event => { at = event.lastEventId; log(event.data); });
    source.addEventListener("reset", event => { at = event.lastEventId; });
    source.onerror = () => source.readyState === EventSource.CLOSED && later();
  } catch {
    later(); // No network, or a cut.
  }
};
note.onsubmit = event => {
  event.preventDefault();
  fetch(`/notes/${encodeURIComponent(note.elements.to.value)}`, { method: "POST" });
};
follow();
</script>"#;
