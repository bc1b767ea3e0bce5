//! The demo's routes, as a browser and curl meet them.

use akurai_http::Limits;
use akurai_tests::{Answer, Client, EventStream, Frame, Opcode, TestServer, WsClient, handshake};

fn demo() -> TestServer {
    TestServer::limited(Limits::default(), akurai_server::app())
}

fn ask(client: &mut Client, method: &str, path: &str) -> Answer {
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
    client.read_response()
}

#[test]
fn the_page_is_whole_and_loads_nothing_from_outside() {
    let server = demo();
    let mut client = server.connect();
    for (path, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = ask(&mut client, "GET", path);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(media_type)),
            "{path}"
        );
        let text = answer.text();
        assert!(text.len() > 100, "{path} is next to empty");
        for outside in [
            "src=\"http",
            "href=\"http",
            "src=\"//",
            "@import",
            "url(http",
            "import(\"http",
        ] {
            assert!(!text.contains(outside), "{path} has {outside}");
        }
        assert!(!text.contains("TBD"), "{path}");
    }
    let page = ask(&mut client, "GET", "/");
    for part in ["/style.css", "/app.js"] {
        assert!(page.text().contains(part), "the page does not load {part}");
    }
}

#[test]
fn health_is_json() {
    let server = demo();
    let answer = ask(&mut server.connect(), "GET", "/api/health");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/json"))
    );
    assert!(
        answer.text().starts_with("{\"status\":\"ok\""),
        "{}",
        answer.text()
    );
}

#[test]
fn events_tick_from_one_at_once() {
    let server = demo();
    let mut client = server.connect();
    client.send("GET /api/events HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = client.read_head();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    let mut stream = EventStream::default();
    while stream.dispatched.len() < 2 {
        stream.feed(&client.read_some());
    }
    assert_eq!(stream.data(), ["1", "2"]);
    assert!(
        stream.dispatched.iter().all(|event| event.event == "tick"),
        "{stream:?}"
    );
}

#[test]
fn the_echo_admits_any_origin() {
    let server = demo();
    let mut client = server.connect();
    let opening = handshake("/api/ws").replacen(
        "\r\n\r\n",
        "\r\nOrigin: https://elsewhere.example\r\n\r\n",
        1,
    );
    client.send(opening);
    let mut ws = WsClient::opened(client);
    ws.send(&Frame::text("hi \u{1f600}"));
    ws.expect(Opcode::TEXT, "hi \u{1f600}");
    ws.send(&Frame::binary([0, 255]));
    ws.expect(Opcode::BINARY, [0, 255]);
    ws.send(&Frame::close(3000, "bye"));
    ws.expect_close_and_eof(3000);
}

#[test]
fn what_is_not_there_and_what_may_not_be_done() {
    let server = demo();
    let mut client = server.connect();
    assert_eq!(ask(&mut client, "GET", "/absent").status, 404);
    for path in ["/", "/api/health", "/api/events", "/api/ws"] {
        let answer = ask(&mut client, "DELETE", path);
        assert_eq!(answer.status, 405, "{path}");
        assert!(answer.has_token("allow", "GET"), "{path}: {answer:?}");
    }
    assert_eq!(ask(&mut client, "GET", "/api/ws").status, 400);
}
