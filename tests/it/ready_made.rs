//! The ready-made protections, over real sockets: forged requests, limits for each address, ids of
//! requests, credentials, and tickets of event streams.

// The test does not run `main`: it listens at a port that may be taken.
#[allow(dead_code)]
#[path = "../../akurai-server/examples/signed_ticket.rs"]
mod signed_ticket;

use std::net::Ipv4Addr;
use std::time::Duration;

use akurai_http::middleware::{self, CrossOriginProtection, RateLimit};
use akurai_http::{Reply, Request, Response, Router, Server, TrustedProxies};
use akurai_server::Hub;
use akurai_tests::{Answer, Client, EventStream, TestServer};

use crate::hub::quick;

#[track_caller]
fn ask(client: &mut Client, line: &str, fields: &str, body: &str) -> Answer {
    let length = body.len();
    client.send(format!(
        "{line} HTTP/1.1\r\nHost: site.example\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    ));
    client.read_response()
}

#[test]
fn a_forged_request_is_refused_and_the_connection_goes_on() {
    let protection = CrossOriginProtection::new()
        .trust(["https://app.example"])
        .bypass(["/hook"]);
    let app = Router::new()
        .get("/", |_| Response::text("read"))
        .post("/", |req: &Request| -> Reply {
            req.body().map(Response::text).into()
        })
        .post("/hook", |_| Response::text("hook"))
        .wrap(protection.middleware());
    let server = TestServer::start(app);
    let mut client = server.connect();
    for (line, fields, status) in [
        ("POST /", "Sec-Fetch-Site: cross-site\r\n", 403),
        ("POST /", "Sec-Fetch-Site: same-site\r\n", 403),
        ("POST /", "Sec-Fetch-Site: same-origin\r\n", 200),
        ("POST /", "Sec-Fetch-Site: none\r\n", 200),
        ("POST /", "Origin: https://site.example\r\n", 200),
        ("POST /", "Origin: https://evil.example\r\n", 403),
        ("POST /", "Origin: null\r\n", 403),
        ("POST /", "", 200),
        ("GET /", "Sec-Fetch-Site: cross-site\r\n", 200),
        ("DELETE /", "Sec-Fetch-Site: cross-site\r\n", 403),
        ("POST /absent", "Sec-Fetch-Site: cross-site\r\n", 403),
        (
            "POST /",
            "Sec-Fetch-Site: cross-site\r\nOrigin: https://app.example\r\n",
            200,
        ),
        ("POST /hook", "Sec-Fetch-Site: cross-site\r\n", 200),
        ("POST /%68ook", "Sec-Fetch-Site: cross-site\r\n", 403),
        // The host of the target counts, not the Host field.
        (
            "POST http://other.example/",
            "Origin: https://site.example\r\n",
            403,
        ),
    ] {
        let answer = ask(&mut client, line, fields, "a=b");
        assert_eq!(answer.status, status, "{line} {fields}");
        if status == 403 {
            let text = "text/plain; charset=utf-8";
            assert_eq!(answer.header("content-type"), Some(text));
        }
    }
}

#[test]
fn each_client_address_has_its_own_limit() {
    let limit = RateLimit::new(2, Duration::from_secs(3600));
    let app = Router::new()
        .get("/", |_| Response::text("hi"))
        .wrap(limit.middleware());
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0))
        .expect("a port is free")
        .trust(TrustedProxies::x_forwarded_for(["127.0.0.1"]).expect("an address"));
    let server = TestServer::of(server, app);
    let mut client = server.connect();
    let mut get = |from: &str| {
        let fields = format!("X-Forwarded-For: {from}\r\n");
        ask(&mut client, "GET /", &fields, "")
    };
    for from in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"] {
        assert_eq!([get(from).status, get(from).status], [200, 200], "{from}");
        let refused = get(from);
        assert_eq!(refused.status, 429, "{from}");
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=1800).contains(&wait), "{wait}");
        assert_eq!(refused.text(), "too many requests\n");
    }
    // The same network, and the same address in another form.
    assert_eq!(get("2001:db8::ffff:2").status, 429);
    assert_eq!(get("::ffff:192.0.2.1").status, 429);
    assert_eq!(get("192.0.2.2, 192.0.2.3").status, 200, "its own claim");
    // A client elsewhere may write what it likes: its own address counts.
    let limit = RateLimit::new(2, Duration::from_secs(3600));
    let direct = TestServer::start(
        Router::new()
            .get("/", |_| Response::text("hi"))
            .wrap(limit.middleware()),
    );
    let statuses = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|from| {
        let fields = format!("X-Forwarded-For: {from}\r\n");
        ask(&mut direct.connect(), "GET /", &fields, "").status
    });
    assert_eq!(statuses, [200, 200, 429]);
}

#[test]
fn each_answer_has_the_request_s_id() {
    let app = Router::new()
        .get("/", |_| Response::text("hi"))
        .get("/panic", |_| -> Response {
            std::panic::resume_unwind(Box::new("a handler's panic"))
        })
        .wrap(middleware::request_id("X-Request-ID"));
    let server = TestServer::start(app);
    for (line, status) in [
        ("GET /", 200),
        ("HEAD /", 200),
        ("GET /absent", 404),
        ("POST /", 405),
        ("GET /panic", 500),
    ] {
        let ids = |fields: &str| {
            let mut client = server.connect();
            client.send(format!(
                "{line} HTTP/1.1\r\nHost: t\r\n{fields}Content-Length: 0\r\n\r\n"
            ));
            let answer = client.read_head();
            assert_eq!(answer.status, status, "{line}");
            let ids = answer.all("x-request-id");
            ids.map(|id| String::from_utf8_lossy(id).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids("X-Request-ID: a-7\r\n"), ["a-7"], "{line}");
        let (made, other) = (ids("X-Request-ID: a\" 7\r\n"), ids(""));
        assert!(made.len() == 1 && made[0].len() == 32, "{line}: {made:?}");
        assert_ne!(made, other, "{line}");
    }
}

#[test]
fn the_log_has_the_request_s_id() {
    let (sender, lines) = std::sync::mpsc::channel();
    let app = Router::new()
        .get("/", |_| Response::text("hi"))
        .wrap(middleware::request_id("X-Request-ID"))
        .wrap(middleware::access_log(move |line| {
            let fields = line.fields().map(|(name, id)| format!("{name}={id}"));
            let _ = sender.send(fields.collect::<Vec<_>>());
        }));
    let server = TestServer::start(app);
    let mut client = server.connect();
    for sent in ["X-Request-ID: a-7\r\n", "X-Request-ID: a b\r\n", ""] {
        let answer = ask(&mut client, "GET /", sent, "");
        let id = answer.header("x-request-id").expect("it has an id");
        let line = lines.recv_timeout(Duration::from_secs(60));
        assert_eq!(line, Ok(vec![format!("request_id={id}")]));
    }
}

#[test]
fn a_part_of_the_site_asks_for_a_password() {
    let admin = Router::new().get("/", |_| Response::text("all of them"));
    let app = Router::new()
        .get("/", |_| Response::text("for everybody"))
        .nest(
            "/admin",
            admin.wrap(|req, next| -> Reply {
                match req.basic_credentials() {
                    Some((user, password)) if user == "ann" && password == "ö:" => next(req),
                    _ => Response::basic_challenge("the \"admin\" part").into(),
                }
            }),
        );
    let server = TestServer::start(app);
    let mut client = server.connect();
    let mut get = |path: &str, fields: &str| ask(&mut client, path, fields, "");
    assert_eq!(get("GET /", "").status, 200);
    for fields in [
        "",
        "Authorization: Basic\r\n",
        "Authorization: Basic YW5uOg==\r\n",
        "Authorization: Basic YW5uOvY6\r\n", // Latin-1
        "Authorization: Basic YW5uOsO2Og==\r\nAuthorization: Basic YW5uOsO2Og==\r\n",
    ] {
        for path in ["GET /admin", "GET /%61dmin", "GET /admin/absent"] {
            let refused = get(path, fields);
            if path.ends_with("absent") {
                assert_eq!(refused.status, 404);
                continue;
            }
            assert_eq!(refused.status, 401, "{path} {fields}");
            let challenge = r#"Basic realm="the \"admin\" part", charset="UTF-8""#;
            assert_eq!(refused.header("www-authenticate"), Some(challenge));
        }
    }
    let admitted = get("GET /admin", "Authorization: basic YW5uOsO2Og==\r\n");
    assert_eq!(admitted.text(), "all of them");
}

const KEY: [u8; 32] = [7; 32];
const MINUTE: Duration = Duration::from_secs(60);

/// A node of the example `signed_ticket`.
fn node(hub: &Hub, key: [u8; 32], ticket_lasts: Duration) -> TestServer {
    let app = signed_ticket::app(hub, &key, ticket_lasts).expect("the key is long enough");
    TestServer::start(app)
}

/// The session of this user: a cookie's value.
#[track_caller]
fn log_in(server: &TestServer, user: &str) -> String {
    let fields = "Content-Type: application/x-www-form-urlencoded\r\n";
    let form = format!("user={user}");
    let login = ask(&mut server.connect(), "POST /login", fields, &form);
    assert_eq!(login.status, 303);
    let cookie = login.header("set-cookie").expect("a session begins");
    let (pair, attributes) = cookie.split_once(';').expect("attributes follow");
    assert!(attributes.contains("HttpOnly"), "{cookie}");
    pair.strip_prefix("session=").expect("its name").to_owned()
}

fn ticket(server: &TestServer, fields: &str) -> Answer {
    ask(&mut server.connect(), "POST /ticket", fields, "")
}

/// The status of an event stream with this ticket, and the stream.
fn open(server: &TestServer, ticket: &str) -> (u16, Client) {
    let mut client = server.connect();
    client.send(format!(
        "GET /events?ticket={ticket} HTTP/1.1\r\nHost: t\r\n\r\n"
    ));
    (client.read_head().status, client)
}

#[test]
fn a_signed_ticket_opens_the_topics_of_its_user() {
    let hub = Hub::new(quick()).unwrap();
    let (here, there) = (node(&hub, KEY, MINUTE), node(&hub, KEY, MINUTE));
    let session = log_in(&here, "ann");
    for fields in [
        format!("Cookie: session={session}\r\n"),
        format!("Authorization: Bearer {session}\r\n"),
    ] {
        let answer = ticket(&here, &fields);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        // Another node with the same key takes it, and more than once.
        for server in [&here, &there, &there] {
            let (status, mut client) = open(server, answer.text());
            assert_eq!(status, 200);
            for user in ["bob", "ann"] {
                let line = format!("POST /notes/{user}");
                let cookie = format!("Cookie: session={session}\r\n");
                let sent = ask(&mut here.connect(), &line, &cookie, "");
                assert_eq!(sent.status, 204);
            }
            hub.publish("news", "", "end").unwrap();
            let mut stream = EventStream::default();
            while stream.dispatched.len() < 2 {
                stream.feed(&client.read_some());
            }
            assert_eq!(stream.data(), ["from ann", "end"], "nothing of bob's");
        }
    }
}

#[test]
fn what_is_no_valid_ticket_opens_nothing() {
    let hub = Hub::new(quick()).unwrap();
    let server = node(&hub, KEY, MINUTE);
    let session = log_in(&server, "ann");
    let cookie = format!("Cookie: session={session}\r\n");
    let good = ticket(&server, &cookie).text().to_owned();
    let expired = ticket(&node(&hub, KEY, Duration::ZERO), &cookie);
    let elsewhere = node(&hub, [8; 32], MINUTE);
    let of_another_key = {
        let session = log_in(&elsewhere, "ann");
        ticket(&elsewhere, &format!("Cookie: session={session}\r\n"))
    };
    let (text, signed) = good.split_once('.').unwrap();
    for bad in [
        "",
        text,
        // A session is signed for another purpose.
        &session,
        expired.text(),
        of_another_key.text(),
        // The ticket with the topics of somebody else: "news\nuser:bob".
        &format!("bmV3cwp1c2VyOmJvYg.{signed}"),
        &good[..good.len() - 1],
        &format!("{good}="),
        &format!("{good}%0a"),
        &"A".repeat(7000),
    ] {
        assert_eq!(open(&server, bad).0, 401, "{bad}");
    }
    assert_eq!(open(&server, &good).0, 200);
    // And a ticket is no session.
    for fields in [
        format!("Cookie: session={good}\r\n"),
        format!("Authorization: Bearer {good}\r\n"),
        "Authorization: Bearer\r\n".to_owned(),
        String::new(),
    ] {
        assert_eq!(ticket(&server, &fields).status, 401, "{fields}");
    }
    // A name that would be read as another topic.
    let fields = "Content-Type: application/x-www-form-urlencoded\r\n";
    let form = "user=ann%0auser:bob";
    let login = ask(&mut server.connect(), "POST /login", fields, form);
    assert_eq!(login.status, 401);
}
