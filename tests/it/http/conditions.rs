//! Conditions on answers that are no files (RFC 9110 §13).

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use akurai_http::middleware::Gzip;
use akurai_http::{Reply, Request, Response, Router, Status};
use akurai_tests::TestServer;

use super::ask_on;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

fn modified() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(784_111_777)
}

fn page() -> Response {
    Response::html("<p>all of it</p>")
        .with_header("Cache-Control", "max-age=60")
        .etag("v7")
        .last_modified(modified())
}

/// Each line: the path, the condition, and the status of GET and HEAD.
#[test]
fn answers_that_are_no_files_meet_conditions_as_files_do() {
    let server = TestServer::start(
        Router::new()
            .get("/page", |_| page())
            .get("/weak", |_| Response::text("about so").etag("W/\"v7\""))
            .get("/dated", |_| {
                Response::text("then").last_modified(modified())
            })
            .get("/stream", |_| {
                Response::stream(|out| out.write_chunk()).etag("v7")
            })
            .get("/made", |_| page().with_status(Status::CREATED))
            .get("/field", |_| {
                Response::text("x").with_header("ETag", "\"v7\"")
            }),
    );
    let mut client = server.connect();
    for (path, field, status) in [
        ("/page", String::new(), 200),
        ("/page", "If-None-Match: \"v7\"".into(), 304),
        ("/page", "If-None-Match: W/\"v7\"".into(), 304),
        ("/page", "If-None-Match: \"v6\", \"v7\"".into(), 304),
        ("/page", "If-None-Match: *".into(), 304),
        ("/page", "If-None-Match: \"v6\"".into(), 200),
        ("/page", format!("If-Modified-Since: {DATE}"), 304),
        ("/page", format!("If-Modified-Since: {BEFORE}"), 200),
        ("/page", "If-Match: \"v7\"".into(), 200),
        ("/page", "If-Match: \"v6\"".into(), 412),
        ("/page", "If-Match: W/\"v7\"".into(), 412),
        ("/page", format!("If-Unmodified-Since: {BEFORE}"), 412),
        // The tag's field counts before the date's.
        (
            "/page",
            format!("If-None-Match: \"v6\"\r\nIf-Modified-Since: {DATE}"),
            200,
        ),
        (
            "/page",
            format!("If-Match: \"v7\"\r\nIf-Unmodified-Since: {BEFORE}"),
            200,
        ),
        (
            "/page",
            "If-None-Match: \"v7\"\r\nIf-Match: \"v6\"".into(),
            412,
        ),
        ("/weak", "If-None-Match: \"v7\"".into(), 304),
        ("/weak", "If-Match: W/\"v7\"".into(), 412),
        ("/dated", format!("If-Modified-Since: {DATE}"), 304),
        ("/dated", "If-None-Match: \"v7\"".into(), 200),
        ("/stream", "If-None-Match: \"v7\"".into(), 304),
        ("/made", "If-None-Match: \"v7\"".into(), 201),
        ("/made", "If-Match: \"v6\"".into(), 201),
        ("/field", "If-None-Match: \"v7\"".into(), 200),
    ] {
        let fields = match &field[..] {
            "" => String::new(),
            field => format!("{field}\r\n"),
        };
        let head = ask_on(&mut client, "HEAD", path, &fields);
        let get = ask_on(&mut client, "GET", path, &fields);
        assert_eq!(
            (get.status, head.status),
            (status, status),
            "{path} {field}"
        );
        if path == "/page" && status == 304 {
            for answer in [&get, &head] {
                assert_eq!(answer.header("etag"), Some("\"v7\""), "{field}");
                assert_eq!(answer.header("cache-control"), Some("max-age=60"));
                assert_eq!(answer.header("content-type"), None);
                assert_eq!(answer.body, b"");
            }
        }
        if status == 412 {
            assert_eq!(get.text(), "precondition failed\n", "{path} {field}");
            assert_eq!(get.header("etag"), None, "{path} {field}");
            assert_eq!(get.header("cache-control"), Some("no-store"));
        }
    }
}

/// Writes what `/stream` answers.
trait WriteChunk {
    fn write_chunk(&mut self) -> std::io::Result<()>;
}

impl<W: std::io::Write> WriteChunk for W {
    fn write_chunk(&mut self) -> std::io::Result<()> {
        self.write_all(b"bit by bit")
    }
}

#[test]
fn a_function_that_is_the_whole_app_and_middleware_meet_conditions_too() {
    let server = TestServer::start(|_: &Request| page());
    let fields = "If-None-Match: \"v7\"\r\n";
    assert_eq!(
        ask_on(&mut server.connect(), "GET", "/", fields).status,
        304
    );
    let tagging = Router::new()
        .get("/", |_| Response::text("x"))
        .wrap(|req, next| -> Reply {
            match next(req) {
                Reply::Response(response) => response.etag("v7").into(),
                upgrade => upgrade,
            }
        });
    let server = TestServer::start(tagging);
    assert_eq!(
        ask_on(&mut server.connect(), "GET", "/", fields).status,
        304
    );
}

#[test]
fn what_gzip_compresses_has_a_weak_tag_that_still_matches() {
    let long = || Response::text("to be or not to be, ".repeat(100)).etag("v7");
    let router = Router::new()
        .get("/", move |_| long())
        .wrap(Gzip::new().middleware());
    let server = TestServer::start(router);
    let mut client = server.connect();
    let accept = "Accept-Encoding: gzip\r\n";
    let whole = ask_on(&mut client, "GET", "/", accept);
    assert_eq!(whole.header("content-encoding"), Some("gzip"));
    assert_eq!(whole.header("etag"), Some("W/\"v7\""));
    let fields = format!("{accept}If-None-Match: W/\"v7\"\r\n");
    let unchanged = ask_on(&mut client, "GET", "/", &fields);
    assert_eq!(unchanged.status, 304);
    assert_eq!(unchanged.header("etag"), Some("W/\"v7\""));
    assert_eq!(unchanged.header("vary"), Some("Accept-Encoding"));
    // A weak tag does not say that the bytes are the same.
    let fields = format!("{accept}If-Match: W/\"v7\"\r\n");
    assert_eq!(ask_on(&mut client, "GET", "/", &fields).status, 412);
}

/// A note that clients change, with a count of its changes; nothing at 0.
static NOTE: Mutex<(u32, String)> = Mutex::new((0, String::new()));

fn save(req: &Request) -> Result<Response, Reply> {
    let text = String::from_utf8_lossy(&req.body()?).into_owned();
    let mut note = NOTE.lock().expect("no handler panics");
    let tag = note.0.to_string();
    req.check_preconditions(Some(&tag[..]).filter(|_| note.0 > 0), None)?;
    *note = (note.0 + 1, text);
    Ok(Response::new(Status::NO_CONTENT).etag(&note.0.to_string()))
}

#[test]
fn a_handler_checks_conditions_before_it_changes_anything() {
    let server = TestServer::start(Router::new().put("/note", save));
    let mut client = server.connect();
    let mut put = |condition: &str, text: &str| {
        client.send(format!(
            "PUT /note HTTP/1.1\r\nHost: t\r\n{condition}\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        ));
        let answer = client.read_response();
        let tag = answer.header("etag").unwrap_or("-").to_owned();
        let text = NOTE.lock().expect("no handler panics").1.clone();
        (answer.status, tag, text)
    };
    let is = |status, tag: &str, text: &str| (status, tag.to_owned(), text.to_owned());
    assert_eq!(
        put("If-Match: *", "a"),
        is(412, "-", ""),
        "nothing is there"
    );
    assert_eq!(put("If-None-Match: *", "a"), is(204, "\"1\"", "a"));
    assert_eq!(put("If-None-Match: *", "b"), is(412, "-", "a"));
    assert_eq!(put("If-Match: \"1\"", "c"), is(204, "\"2\"", "c"));
    assert_eq!(
        put("If-Match: \"1\"", "d"),
        is(412, "-", "c"),
        "somebody else's"
    );
    assert_eq!(put("If-Match: W/\"2\"", "d"), is(412, "-", "c"));
    // The tag of the answer is the new one: it answers no condition.
    assert_eq!(put("If-None-Match: \"3\"", "e"), is(204, "\"3\"", "e"));
    assert_eq!(put("X: y", "f"), is(204, "\"4\"", "f"));
}

#[test]
fn a_handler_spares_work_for_a_client_that_has_it_all() {
    fn report(req: &Request) -> Result<Response, Reply> {
        req.check_preconditions(Some("v7"), Some(modified()))?;
        Ok(Response::text("made").etag("v7").last_modified(modified()))
    }
    let server = TestServer::start(Router::new().get("/", report));
    let mut client = server.connect();
    let answer = ask_on(&mut client, "GET", "/", "If-None-Match: \"v7\"\r\n");
    assert_eq!(
        (answer.status, answer.header("etag")),
        (304, Some("\"v7\""))
    );
    let answer = ask_on(&mut client, "GET", "/", "If-None-Match: \"v6\"\r\n");
    assert_eq!((answer.status, answer.text()), (200, "made"));
}
