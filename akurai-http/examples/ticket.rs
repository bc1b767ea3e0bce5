//! An event stream for logged-in users only: `cargo run --example ticket`, then
//! http://127.0.0.1:8090.
//!
//! `EventSource` cannot send an `Authorization` field. It sends cookies, so for the page's own
//! session the cookie is enough. Where there are no cookies, as for a page of another site, a
//! ticket in the address opens the stream. A ticket is valid once, and for 30 s, since addresses
//! are kept in logs. A `fetch` of `/ticket` proves its session by the cookie, or by
//! `Authorization: Bearer` and the session's secret. Either stream ends when its session does.
//!
//! `ticket 127.0.0.1:0 https://app.example` listens on that address, and lets pages of that origin
//! read the answers. More origins may follow.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use akurai_http::middleware::Cors;
use akurai_http::{Cookie, Reply, Request, Response, Router, Server, SseEvent, Status, sse};

const TICKET_LASTS: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
struct Sessions(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The user of each session, by the session's secret.
    users: HashMap<String, String>,
    /// The session of each ticket, and when the ticket was made.
    tickets: HashMap<String, (String, Instant)>,
}

impl Sessions {
    fn begin(&self, user: &str) -> io::Result<String> {
        let secret = secret()?;
        self.lock().users.insert(secret.clone(), user.to_owned());
        Ok(secret)
    }

    fn user(&self, session: &str) -> Option<String> {
        self.lock().users.get(session).cloned()
    }

    fn end(&self, session: &str) {
        self.lock().users.remove(session);
    }

    fn hand_out_ticket(&self, session: &str) -> io::Result<String> {
        let ticket = secret()?;
        let mut state = self.lock();
        // Unused tickets that have expired are removed when the next ticket is made.
        state
            .tickets
            .retain(|_, (_, since)| since.elapsed() < TICKET_LASTS);
        let stands_for = (session.to_owned(), Instant::now());
        state.tickets.insert(ticket.clone(), stands_for);
        Ok(ticket)
    }

    fn redeem(&self, ticket: &str) -> Option<String> {
        let (session, since) = self.lock().tickets.remove(ticket)?;
        (since.elapsed() < TICKET_LASTS).then_some(session)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A secret that nobody can guess. On systems other than Unix, use a crate or the system's own call
/// for random numbers.
fn secret() -> io::Result<String> {
    let mut random = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(random)))
}

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let addr = args.next().unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let server = Server::bind(addr)?;
    println!("http://{}", server.local_addr()?);
    server.run(app(args))
}

/// Pages of these origins may read the answers.
pub(crate) fn app(origins: impl IntoIterator<Item = String>) -> Router {
    // A request with `Authorization` has a preflight, which must allow that field.
    let cors = Cors::origins(origins)
        .credentials()
        .headers(["Authorization"]);
    let sessions = Sessions::default();
    let of = |handler: fn(&Request, &Sessions) -> io::Result<Response>| {
        let sessions = sessions.clone();
        move |req: &Request| handler(req, &sessions)
    };
    let streams = sessions.clone();
    Router::new()
        .get("/", |_| Response::html(PAGE))
        .post("/login", of(login))
        .post("/logout", of(logout))
        .post("/ticket", of(ticket))
        .get("/events", move |req| events(req, &streams))
        .wrap(cors.middleware())
}

fn login(req: &Request, sessions: &Sessions) -> io::Result<Response> {
    let form = req.form()?;
    // A real login checks a password here.
    let Some(user) = form.get("user").filter(|user| !user.is_empty()) else {
        return Ok(Response::new(Status::UNAUTHORIZED));
    };
    let session = Cookie::new("session", &sessions.begin(user)?).secure(req.is_secure());
    Ok(Response::redirect(Status::SEE_OTHER, "/").cookie(session))
}

fn logout(req: &Request, sessions: &Sessions) -> io::Result<Response> {
    if let Some(session) = req.cookie("session") {
        sessions.end(session);
    }
    Ok(Response::redirect(Status::SEE_OTHER, "/"))
}

fn ticket(req: &Request, sessions: &Sessions) -> io::Result<Response> {
    match bearer(req, sessions).or_else(|| session_of(req, sessions)) {
        Some(session) => Ok(Response::text(sessions.hand_out_ticket(&session)?)
            .with_header("Cache-Control", "no-store")),
        None => Ok(Response::new(Status::UNAUTHORIZED)),
    }
}

fn events(req: &Request, sessions: &Sessions) -> Reply {
    let session = match req.query_pairs().get("ticket") {
        Some(ticket) => sessions.redeem(ticket),
        None => session_of(req, sessions),
    };
    match session {
        Some(session) => greet(session, sessions.clone()),
        // After any status but 200, EventSource gives up: the page must log in first. No
        // WWW-Authenticate, because a browser would open a dialog for it.
        None => Status::UNAUTHORIZED.into(),
    }
}

/// The session of the `Authorization` field, if it still exists.
fn bearer(req: &Request, sessions: &Sessions) -> Option<String> {
    let session = req.bearer_token()?;
    sessions.user(session).map(|_| session.to_owned())
}

/// The session of the cookie, if it still exists.
fn session_of(req: &Request, sessions: &Sessions) -> Option<String> {
    let session = req.cookie("session")?;
    sessions.user(session).map(|_| session.to_owned())
}

/// Says hello each second while the session exists. When the session has ended, the browser
/// reconnects and is refused.
fn greet(session: String, sessions: Sessions) -> Reply {
    sse(move |mut sink| {
        sink.send(&SseEvent::default().retry(Duration::from_millis(500)))?;
        while let Some(user) = sessions.user(&session) {
            sink.event("hello", &user)?;
            sink.wait(Duration::from_secs(1))?;
        }
        Ok(())
    })
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>ticket</title><link rel="icon" href="data:,">
<form method="post" action="/login"><input name="user" autofocus> <button>Log in</button></form>
<form method="post" action="/logout"><button>Log out</button></form>
<button id="once">Open by a ticket</button><pre></pre>
<script>
const log = document.querySelector("pre");
const open = (address, refused) => {
  const source = new EventSource(address);
  source.addEventListener("hello", event => log.textContent = `hello, ${event.data}: ${address}`);
  source.onerror = () => {
    log.textContent = "away"; // It comes back by itself,
    if (source.readyState === EventSource.CLOSED) refused(); // unless it was refused.
  };
};
const byCookie = () => open("/events", () => log.textContent = "refused");
// A ticket is good once, so each return takes another.
const byTicket = async () => {
  const later = () => setTimeout(byTicket, 1000); // Not as fast as the network allows.
  try {
    const answer = await fetch("/ticket", { method: "POST" });
    if (answer.ok) open(`/events?ticket=${await answer.text()}`, later);
    else if (answer.status === 401) log.textContent = "refused";
    else later();
  } catch {
    later(); // No network, or a cut.
  }
};
document.getElementById("once").onclick = byTicket;
byCookie();
</script>"#;

#[cfg(test)]
mod tests {
    use akurai_http::Method;
    use akurai_http::testing::Client;

    use super::*;

    fn post(path: &str) -> Request {
        Request::new(Method::Post, path)
    }

    #[test]
    fn a_ticket_opens_a_stream_once() -> io::Result<()> {
        let client = Client::new(app([])).keep_cookies();
        assert_eq!(client.get("/events")?.status(), Status::UNAUTHORIZED);
        assert_eq!(
            client.get("/events?ticket=0")?.status(),
            Status::UNAUTHORIZED
        );
        let form = post("/login").with_header("Content-Type", "application/x-www-form-urlencoded");
        let login = client.send(form.with_body("user=me"))?;
        assert_eq!(login.status(), Status::SEE_OTHER);
        let cookie = login.header("Set-Cookie").unwrap_or_default();
        assert!(cookie.contains("HttpOnly"), "{cookie}");

        let mut by_cookie = client.events("/events")?;
        assert_eq!(by_cookie.next().expect("no end")?.data, "me");
        let ticket = client.send(post("/ticket"))?.text().into_owned();
        let address = format!("/events?ticket={ticket}");
        let mut by_ticket = client.events(&*address)?;
        assert_eq!(by_ticket.next().expect("no end")?.data, "me");
        assert_eq!(client.get(&address)?.status(), Status::UNAUTHORIZED);

        // Both streams end with the session, which can open no other stream.
        client.send(post("/logout"))?;
        for streams in [&mut by_cookie, &mut by_ticket] {
            assert!(streams.all(|event| event.is_ok_and(|event| event.data == "me")));
        }
        assert_eq!(client.send(post("/ticket"))?.status(), Status::UNAUTHORIZED);
        assert_eq!(client.get("/events")?.status(), Status::UNAUTHORIZED);
        Ok(())
    }
}
