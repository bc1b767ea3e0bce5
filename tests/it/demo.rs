//! The demo's routes, as a browser and curl meet them.

// The demo's own source, since it is in no library. Its command line has separate tests.
#[allow(dead_code)]
#[path = "../../akurai-server/src/demo/mod.rs"]
pub(crate) mod program;

use akurai_http::Limits;
use akurai_server::{Hub, HubOptions, Metrics};
use akurai_tests::{Answer, Client, EventStream, Frame, Opcode, TestServer, WsClient, handshake};

use self::program::dashboard::Publisher;
use self::program::routes::app;

fn demo() -> TestServer {
    let hub = Hub::new(HubOptions::default()).expect("its threads can be made");
    TestServer::limited(Limits::default(), app(&hub))
}

/// The demo with its publisher of numbers, which must end before the server does.
fn live_demo() -> (Publisher, TestServer) {
    let hub = Hub::new(HubOptions::default()).expect("its threads can be made");
    let metrics = Metrics::new();
    let server = TestServer::limited(Limits::default(), app(&hub).wrap(metrics.measure()));
    let publisher = Publisher::start(&hub, server.handle().clone(), metrics, None);
    (publisher.expect("its thread can be made"), server)
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
        ("/live.js", "text/javascript; charset=utf-8"),
        ("/tables.js", "text/javascript; charset=utf-8"),
        ("/chat.js", "text/javascript; charset=utf-8"),
        ("/transfer.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = ask(&mut client, "GET", path);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(media_type)),
            "{path}"
        );
        let text = answer.text();
        assert!(text.len() > 100, "{path} is next to empty");
        for outside in ["=\"//", "@import", "url(http", "import(\"http"] {
            assert!(!text.contains(outside), "{path} has {outside}");
        }
        // A visitor may follow a link; anything else would load what it names.
        for (at, _) in text.match_indices("=\"http") {
            let (_, tag) = text[..at].rsplit_once('<').expect("it is in a tag");
            assert!(tag.starts_with("a "), "{path} loads <{tag}");
        }
        assert!(!text.contains("TBD"), "{path}");
    }
    let page = ask(&mut client, "GET", "/");
    for part in [
        "/style.css",
        "/app.js",
        "/live.js",
        "/tables.js",
        "/chat.js",
        "/transfer.js",
    ] {
        assert!(page.text().contains(part), "the page does not load {part}");
    }
}

#[test]
fn the_page_leads_to_the_documentation() {
    let page = ask(&mut demo().connect(), "GET", "/");
    let manifest = include_str!("../../akurai-server/Cargo.toml");
    let lines = manifest.lines();
    let mut urls = lines.filter_map(|line| line.strip_prefix("documentation = "));
    let link = format!("<a href={}>", urls.next().expect("it names one"));
    assert!(page.text().contains(&link), "{link}");
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

/// An open event stream.
fn follow(server: &TestServer, path: &str) -> (Client, EventStream) {
    let mut client = server.connect();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
    let head = client.read_head();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    (client, EventStream::default())
}

/// Reads until an event of this name comes whose data contains `part`, and returns its data.
#[track_caller]
fn read_event((client, stream): &mut (Client, EventStream), name: &str, part: &str) -> String {
    loop {
        let events = stream.dispatched.iter();
        let found = events
            .filter(|event| event.event == name)
            .find(|event| event.data.contains(part));
        if let Some(event) = found {
            return event.data.clone();
        }
        stream.feed(&client.read_some());
    }
}

#[test]
fn the_numbers_come_each_second() {
    let (_publisher, server) = live_demo();
    let mut stats = follow(&server, "/api/stats");
    let first = read_event(&mut stats, "stats", "\"requests_per_s\":null");
    for part in ["{\"at\":", "\"subscribers\":1,", "\"threads\":"] {
        assert!(first.contains(part), "{part} is not in {first}");
    }
    // From the second event on there is a rate.
    let next = read_event(&mut stats, "stats", "\"requests_per_s\":0");
    assert!(next.contains("\"bytes_sent_per_s\":"), "{next}");
    // A client that gets both on one connection counts as one subscriber.
    let _both = follow(&server, "/api/live");
    read_event(&mut stats, "stats", "\"subscribers\":2,");
}

#[test]
fn the_numbers_have_a_histogram_of_the_answers() {
    let (_publisher, server) = live_demo();
    let mut client = server.connect();
    for _ in 0..5 {
        ask(&mut client, "GET", "/api/health");
    }
    let mut stats = follow(&server, "/api/stats");
    let sample = read_event(&mut stats, "stats", "\"latency\":[[10,");
    let (_, buckets) = sample.split_once("\"latency\":[[").expect("it is there");
    let buckets = buckets.trim_end_matches("]]}").split("],[");
    let buckets = buckets.map(|bucket| bucket.split_once(',').expect("a pair"));
    let (bounds, counts): (Vec<_>, Vec<_>) = buckets.unzip();
    assert_eq!(bounds.last(), Some(&"null"));
    let counts = counts
        .iter()
        .map(|count| count.parse::<u64>().expect("a count"));
    // The five, and the stream itself if its handler had returned by then.
    let sum = counts.sum::<u64>();
    assert!((5..=6).contains(&sum), "{sum} answers in {sample}");
}

#[test]
fn the_newest_connections_are_listed_without_addresses() {
    let (_publisher, server) = live_demo();
    let mut page = follow(&server, "/api/live");
    let alone = read_event(&mut page, "connections", "\"event stream\"");
    assert!(
        alone.starts_with("{\"open\":1,\"newest\":[{\"id\":0,\"kind\":\"event stream\",\"age_s\":"),
        "{alone}"
    );
    assert!(!alone.contains("127.0.0.1"), "{alone}");
    let mut ws = server.connect();
    ws.send(handshake("/api/ws"));
    let mut ws = WsClient::opened(ws);
    let both = read_event(&mut page, "connections", "\"WebSocket\"");
    assert!(
        both.starts_with("{\"open\":2,\"newest\":[{\"id\":1,\"kind\":\"WebSocket\""),
        "{both}"
    );
    ws.send(&Frame::close(1000, ""));
    ws.expect_close_and_eof(1000);
    page.1.dispatched.clear();
    read_event(&mut page, "connections", "{\"open\":1,");
    // Of many, the newest 50.
    let crowd: Vec<Client> = (0..60).map(|_| server.connect()).collect();
    let list = read_event(&mut page, "connections", "{\"open\":61,");
    assert_eq!(list.matches("\"id\":").count(), 50, "{list}");
    assert!(list.contains("\"newest\":[{\"id\":61,"), "{list}");
    assert!(
        !list.contains("event stream"),
        "the oldest is not among them: {list}"
    );
    drop(crowd);
}

#[test]
fn nobody_looks_and_no_list_is_made() {
    let (_publisher, server) = live_demo();
    // The numbers alone do not need it.
    let mut stats = follow(&server, "/api/stats");
    read_event(&mut stats, "stats", "\"requests_per_s\":0");
    assert!(
        stats
            .1
            .dispatched
            .iter()
            .all(|event| event.event != "connections")
    );
    // A list that had been made would be there at once, with this connection not in it.
    let mut page = follow(&server, "/api/live");
    let first = read_event(&mut page, "connections", "");
    assert!(first.contains("{\"open\":2,"), "{first}");
}

fn enter(server: &TestServer, name: &str) -> WsClient {
    let mut client = server.connect();
    client.send(handshake(&format!("/api/chat?name={name}")));
    WsClient::opened(client)
}

#[test]
fn what_one_says_all_hear() {
    let (_publisher, server) = live_demo();
    let mut follower = follow(&server, "/api/chat/events");
    let (mut ann, mut bob) = (enter(&server, "Ann"), enter(&server, "B%C3%B6b"));
    read_event(&mut follower, "people", "{\"in_room\":2,\"following\":1}");

    bob.send(&Frame::text("<b>\"hi\"</b>\n\u{1f600}"));
    let said = read_event(&mut follower, "chat", "");
    assert!(
        said.ends_with(",\"name\":\"Böb\",\"text\":\"<b>\\\"hi\\\"</b>\\n\u{1f600}\"}"),
        "{said}"
    );
    ann.expect(Opcode::TEXT, &said);
    bob.expect(Opcode::TEXT, &said);

    drop(ann);
    read_event(&mut follower, "people", "{\"in_room\":1,\"following\":1}");
}

#[test]
fn what_is_not_valid_is_told_to_its_client_alone() {
    let (_publisher, server) = live_demo();
    let mut follower = follow(&server, "/api/chat/events");
    let (mut ann, mut bob) = (enter(&server, "Ann"), enter(&server, "Bob"));
    read_event(&mut follower, "people", "{\"in_room\":2,\"following\":1}");
    for (frame, error) in [
        (
            Frame::text("a".repeat(501)),
            "a message has 500 characters at most",
        ),
        (Frame::text(" "), "a message is not empty"),
        (Frame::binary([1]), "a message is text"),
    ] {
        ann.send(&frame);
        ann.expect(Opcode::TEXT, format!("{{\"error\":\"{error}\"}}"));
    }
    ann.send(&Frame::text("\u{1f980}".repeat(500)));
    // The first message that the others get is the valid one.
    let said = read_event(&mut follower, "chat", "");
    assert!(said.contains("\u{1f980}"), "{said}");
    bob.expect(Opcode::TEXT, &said);

    for name in ["", "%0A", &"x".repeat(31)] {
        let mut nobody = enter(&server, name);
        let refusal = nobody.read_frame();
        assert!(refusal.payload.starts_with(b"{\"error\":"), "{refusal:?}");
        nobody.expect_close(1008);
    }
}

#[test]
fn who_comes_back_to_the_room_gets_what_was_said_meanwhile() {
    let (_publisher, server) = live_demo();
    let mut follower = follow(&server, "/api/chat/events");
    let mut ann = enter(&server, "Ann");
    read_event(&mut follower, "people", "{\"in_room\":1,\"following\":1}");
    ann.send(&Frame::text("one"));
    read_event(&mut follower, "chat", "one");
    let last = follower
        .1
        .dispatched
        .last()
        .expect("one came")
        .last_event_id
        .clone();
    drop(follower);
    for text in ["two", "three"] {
        ann.send(&Frame::text(text));
    }
    let mut back = follow(&server, &format!("/api/chat/events?last_event_id={last}"));
    read_event(&mut back, "chat", "three");
    let chat: Vec<&str> = (back.1.dispatched.iter())
        .filter(|event| event.event == "chat")
        .map(|event| event.data.as_str())
        .collect();
    assert_eq!(chat.len(), 2, "{chat:?}");
    assert!(chat[0].contains("two"), "{chat:?}");
}

#[test]
fn the_room_is_closed_to_pages_of_other_origins() {
    let server = demo();
    let mut client = server.connect();
    client.send(handshake("/api/chat?name=Eve").replacen(
        "\r\n\r\n",
        "\r\nOrigin: https://elsewhere.example\r\n\r\n",
        1,
    ));
    assert_eq!(client.read_response().status, 403);
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
