use std::io;
use std::time::{Duration, SystemTime};

use akurai_http::middleware::{CrossOriginProtection, RateLimit};
use akurai_http::{Cookie, Reply, Request, Response, Router, Signer, Status, constant_time_eq};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The name of a user that has logged in.
#[derive(Clone)]
pub(crate) struct User(pub(crate) String);

/// `members` for users that have logged in, and a login for the others.
pub(crate) fn protect(members: Router, key: &[u8], password: &str) -> io::Result<Router> {
    let sessions = Signer::new("session", key)?;
    let (known, password) = (sessions.clone(), password.to_owned());
    let members = members.wrap(move |req, next| -> Reply {
        match user(&known, req) {
            Some(user) => {
                req.insert(user); // for the handlers
                next(req)
            }
            None if req.path() == "/" => Response::redirect(Status::SEE_OTHER, "/login").into(),
            None => Response::new(Status::UNAUTHORIZED).into(),
        }
    });
    let login = Router::new()
        .post("/login", move |req| log_in(&sessions, &password, req))
        .wrap(RateLimit::new(10, Duration::from_secs(60)).middleware()); // against guessing
    Ok(Router::new()
        .get("/login", |_| Response::html(PAGE))
        .post("/logout", |_| log_out())
        .nest("", login)
        .nest("", members)
        .wrap(CrossOriginProtection::new().middleware()))
}

fn user(sessions: &Signer, req: &Request) -> Option<User> {
    let session = sessions.verify(req.cookie("session")?, SystemTime::now());
    Some(User(session.ok()?.text().to_owned()))
}

fn log_in(sessions: &Signer, password: &str, req: &Request) -> io::Result<Response> {
    let form = req.form()?;
    let name = form.get("name").unwrap_or("").trim();
    let is_name = (1..=30).contains(&name.len()) && !name.contains(char::is_control);
    if !is_name || !constant_time_eq(form.get("password").unwrap_or(""), password) {
        return Ok(Response::text("not this way\n").with_status(Status::FORBIDDEN));
    }
    let session = sessions.sign(name, SystemTime::now() + WEEK);
    let cookie = Cookie::new("session", &session).max_age(WEEK);
    let home = Response::redirect(Status::SEE_OTHER, "/");
    Ok(home.cookie(cookie.secure(req.is_secure())))
}

fn log_out() -> Response {
    Response::redirect(Status::SEE_OTHER, "/login").cookie(Cookie::removal("session"))
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>Log in</title>
<link rel="icon" href="data:,">
<form method="post">
  <input name="name" placeholder="Name" autofocus>
  <input name="password" type="password" placeholder="Password">
  <button>Log in</button>
</form>"#;
