//! Examples that need a directory, another node or a real socket do what they promise. The others
//! have tests of their own.

mod device;
mod document;
#[cfg(unix)] // It runs shell scripts.
mod jobs;
mod mcp;
mod tokens;

// The test does not run `main`: it listens at a port that may be taken.
#[allow(dead_code)]
#[path = "../../../akurai-http/examples/hello.rs"]
mod hello;
#[allow(dead_code)]
#[path = "../../../akurai-server/examples/presence.rs"]
mod presence;
#[allow(dead_code)]
#[path = "../../../akurai-http/examples/reload.rs"]
mod reload;
#[allow(dead_code)]
#[path = "../../../akurai-http/examples/shutdown.rs"]
mod shutdown;
#[allow(dead_code)]
#[path = "../../../akurai-http/examples/site.rs"]
mod site;
#[allow(dead_code)]
#[path = "../../../akurai-http/examples/tail.rs"]
mod tail;
#[allow(dead_code)]
#[path = "../../../akurai-http/examples/ticket.rs"]
mod ticket;
#[allow(dead_code)]
#[path = "../../../akurai-http/examples/upload_body.rs"]
mod upload_body;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Duration;

use akurai_http::App;
use akurai_server::{Hub, HubOptions, Memory};
use akurai_tests::{Answer, Client, Dispatched, EventStream, TempDir, TestServer};

/// An event stream, and the events read from it so far.
struct Reader {
    client: Client,
    stream: EventStream,
}

impl Reader {
    #[track_caller]
    fn open(server: &TestServer, path: &str, fields: &str) -> Reader {
        let request = format!("GET {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n");
        Reader::ask(server, &request)
    }

    #[track_caller]
    fn ask(server: &TestServer, request: &str) -> Reader {
        let mut client = server.connect();
        client.send(request);
        let head = client.read_head();
        assert_eq!(head.status, 200, "{request}");
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        let stream = EventStream::default();
        Reader { client, stream }
    }

    #[track_caller]
    fn next(&mut self) -> Dispatched {
        while self.stream.dispatched.is_empty() {
            self.stream.feed(&self.client.read_some());
        }
        self.stream.dispatched.remove(0)
    }

    /// The other events, up to the end of the stream.
    #[track_caller]
    fn rest(mut self) -> Vec<Dispatched> {
        self.stream.feed(&self.client.read_to_end().0);
        self.stream.dispatched
    }
}

#[track_caller]
fn ask(server: &TestServer, request: &str) -> Answer {
    let mut client = server.connect();
    client.send(request);
    client.read_response()
}

#[track_caller]
fn get(server: &TestServer, path: &str) -> Answer {
    ask(server, &format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"))
}

#[track_caller]
fn has_a_page(app: impl App) -> TestServer {
    let server = TestServer::start(app);
    let page = get(&server, "/");
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.text().starts_with("<!doctype html>"));
    server
}

#[test]
fn hello() {
    let server = TestServer::start(hello::hello);
    assert_eq!(get(&server, "/you").text(), "hello from /you\n");
}

#[test]
fn site() {
    let dir = TempDir::new();
    dir.write("index.html", "the page");
    fs::create_dir(dir.join("assets")).unwrap();
    dir.write("assets/app-5f3a.js", "code");
    let server = TestServer::start(site::app(dir.path()));
    assert_eq!(get(&server, "/").text(), "the page");
    let asset = get(&server, "/assets/app-5f3a.js");
    assert!(
        asset
            .header("cache-control")
            .is_some_and(|value| value.contains("immutable"))
    );
    assert_eq!(get(&server, "/assets/app-0000.js").status, 404);
    assert_eq!(get(&server, "/api/time").text(), "{\"time\":\"now\"}");
    let linked = "GET /orders/7 HTTP/1.1\r\nHost: t\r\nAccept: text/html\r\n\r\n";
    assert_eq!(ask(&server, linked).text(), "the page");
}

#[test]
fn a_page_comes_anew_when_a_file_changes() {
    let dir = TempDir::new();
    dir.write("index.html", "<script src=\"/reload.js\"></script>");
    let server = TestServer::start(reload::app(dir.path().to_owned()));
    assert_eq!(get(&server, "/").status, 200);
    let script = get(&server, "/reload.js");
    assert_eq!(script.header("content-type"), Some("text/javascript"));
    let mut reader = Reader::open(&server, "/reload", "");
    // The stream sends its opening comment before it looks at the directory, so that a change may
    // be the first event.
    let mut changes = 0;
    while reader.stream.dispatched.is_empty() {
        changes += 1;
        dir.write(format!("{changes}.css"), "");
        if !reader.client.is_silent_for(Duration::from_millis(50)) {
            reader.stream.feed(&reader.client.read_some());
        }
        assert!(changes < 200, "no change is seen");
    }
    assert_eq!(reader.next().event, "change");
}

#[test]
fn an_upload_tells_how_far_it_is() {
    let server = has_a_page(upload_body::app());
    let mut reader = Reader::open(&server, "/progress/a", "");
    let mut client = server.connect();
    client.send("POST /upload/a HTTP/1.1\r\nHost: t\r\nContent-Length: 3000000\r\n\r\n");
    client.send(vec![7; 1_000_000]);
    while reader.next().data != "1000000" {}
    client.send(vec![7; 2_000_000]);
    assert_eq!(client.read_response().text(), "3000000 bytes\n");
}

#[test]
fn a_file_is_followed() {
    let dir = TempDir::new();
    let path = dir.write("log", "one\ntwo\nth");
    let server = has_a_page(tail::app(path.clone()));
    let mut reader = Reader::open(&server, "/lines", "");
    assert_eq!(reader.next().data, "one");
    assert_eq!(reader.next().data, "two");
    let mut log = OpenOptions::new().append(true).open(&path).unwrap();
    log.write_all(b"ree\nfour\n").unwrap();
    assert_eq!(reader.next().data, "three");
    let four = reader.next();
    assert_eq!((four.data.as_str(), &*four.last_event_id), ("four", "19"));
    // A client that was away since the second line gets the missing lines.
    let mut resumed = Reader::open(&server, "/lines", "Last-Event-ID: 8\r\n");
    assert_eq!(resumed.next().data, "three");
    fs::write(&path, "anew\n").unwrap();
    assert_eq!(reader.next().event, "anew");
    assert_eq!(reader.next().data, "anew");
}

#[test]
fn shutdown_lets_a_slow_request_finish() {
    let server = TestServer::start(shutdown::app(Duration::from_millis(300)));
    let mut reader = Reader::open(&server, "/events", "");
    assert_eq!(reader.next().data, "still here");
    let mut client = server.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n");
    client.await_unread();
    server.handle().shutdown(Duration::from_secs(5));
    assert_eq!(client.read_response().text(), "done\n");
    reader.client.read_to_end();
}

/// The cookie of a session in the example `ticket`, with its name.
#[track_caller]
fn log_in(server: &TestServer) -> String {
    let form = "Host: t\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 7";
    let login = ask(
        server,
        &format!("POST /login HTTP/1.1\r\n{form}\r\n\r\nuser=me"),
    );
    assert_eq!(login.status, 303);
    let cookie = login.header("set-cookie").unwrap();
    let (session, attributes) = cookie.split_once(';').unwrap();
    assert!(attributes.contains("HttpOnly"), "{cookie}");
    session.to_owned()
}

#[test]
fn a_page_of_another_site_gets_a_ticket_by_authorization() {
    let origin = "https://app.example";
    let server = has_a_page(ticket::app([origin.to_owned()]));
    let session = log_in(&server);
    let (_, secret) = session.split_once('=').unwrap();
    // The browser's preflight request, and the fields that must allow the request.
    let preflight = ask(
        &server,
        &format!(
            "OPTIONS /ticket HTTP/1.1\r\nHost: t\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\n\
             Access-Control-Request-Headers: authorization\r\n\r\n"
        ),
    );
    assert_eq!(preflight.status, 204);
    let allows = |name| preflight.header(name).unwrap_or_default();
    assert_eq!(allows("access-control-allow-origin"), origin);
    let fields = allows("access-control-allow-headers");
    let mut fields = fields.split(',').map(str::trim);
    assert!(fields.any(|name| name.eq_ignore_ascii_case("authorization")));
    let ticket = |authorization: &str| {
        let fields = format!(
            "Host: t\r\nOrigin: {origin}\r\nAuthorization: {authorization}\r\nContent-Length: 0"
        );
        ask(
            &server,
            &format!("POST /ticket HTTP/1.1\r\n{fields}\r\n\r\n"),
        )
    };
    for authorization in ["Bearer 0", "Basic bWU6", "Bearer", secret] {
        assert_eq!(ticket(authorization).status, 401, "{authorization}");
    }
    for scheme in ["Bearer", "bearer"] {
        let ticket = ticket(&format!("{scheme} {secret}"));
        assert_eq!(ticket.header("access-control-allow-origin"), Some(origin));
        let path = format!("/events?ticket={}", ticket.text());
        assert_eq!(Reader::open(&server, &path, "").next().data, "me");
    }
}

/// Reads until a node sends this list.
#[track_caller]
fn await_list(reader: &mut Reader, names: &[&str]) -> String {
    loop {
        let event = reader.next();
        assert_eq!(event.event, "here");
        let mut lines = event.data.split('\n').map(str::to_owned);
        let (node, kind) = (lines.next().unwrap(), lines.next().unwrap());
        assert!(["beat", "change"].contains(&&*kind), "{kind}");
        if lines.eq(names.iter().copied()) {
            return node;
        }
    }
}

#[test]
fn who_is_here_is_told_to_the_pages_of_all_nodes() {
    let engine = Memory::new(10_000);
    let node = || {
        let options = HubOptions::default().sweep(Duration::from_millis(250));
        let hub = Hub::with_engine(options, engine.clone()).unwrap();
        has_a_page(presence::app(&hub).unwrap())
    };
    let (one, two) = (node(), node());
    let mut ann = Reader::open(&one, "/events?name=Ann", "");
    let first = await_list(&mut ann, &["Ann"]);
    let bob = Reader::open(&two, "/events?name=B%C3%B6b", "");
    let second = await_list(&mut ann, &["Böb"]);
    assert_ne!(first, second);
    // A second client connects with the same name, and then one of the two leaves.
    let again = Reader::open(&two, "/events?name=B%C3%B6b", "");
    let cid = Reader::open(&two, "/events?name=Cid", "");
    await_list(&mut ann, &["Böb", "Cid"]);
    drop((again, cid));
    assert_eq!(await_list(&mut ann, &["Böb"]), second);
    drop(bob);
    assert_eq!(await_list(&mut ann, &[]), second);
    // A page that loads now has both nodes' lists at once: its stream begins after an earlier beat.
    let begin = loop {
        let page = get(&one, "/");
        let page = page.text();
        let (_, begin) = page.split_once("last_event_id: \"").unwrap();
        let (begin, _) = begin.split_once('"').unwrap();
        if !begin.is_empty() {
            break begin.to_owned();
        }
    };
    let path = format!("/events?name=Dan&last_event_id={begin}");
    let mut dan = Reader::open(&one, &path, "");
    assert_eq!(await_list(&mut dan, &["Ann", "Dan"]), first);
    for path in ["/events", "/events?name=", "/events?name=a%0Ab"] {
        assert_eq!(get(&one, path).status, 400, "{path}");
    }
}
