//! The example `mcp`: what the public suite, in `tests/mcp`, does not try.

// The test does not run `main`: it listens at a port that may be taken.
#[allow(dead_code)]
#[path = "../../../akurai-http/examples/mcp/main.rs"]
mod example;

use std::time::{Duration, Instant};

use akurai_tests::{Answer, TestServer, is_over_session};

use super::{Reader, ask, has_a_page};

const SHORT: Duration = Duration::from_millis(1);
/// Nothing happens within a test.
const LONG: Duration = Duration::from_secs(3600);
/// Cancels the calls of [`Client::call`].
const CANCEL: &str =
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;

fn request(method: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} /mcp HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {length}\r\n\
         {fields}\r\n{body}"
    )
}

/// A client's session.
struct Client<'a> {
    server: &'a TestServer,
    fields: String,
}

impl Client<'_> {
    #[track_caller]
    fn new<'a>(server: &'a TestServer, capabilities: &str) -> Client<'a> {
        let params =
            format!(r#"{{"protocolVersion":"2025-11-25","capabilities":{{{capabilities}}}}}"#);
        let body = message(r#"0,"method":"initialize""#, &params);
        let answer = ask(server, &request("POST", "", &body));
        assert!(answer.text().contains(r#""protocolVersion":"2025-11-25""#));
        let session = answer.header("mcp-session-id").unwrap();
        let fields = format!("Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: 2025-11-25\r\n");
        Client { server, fields }
    }

    #[track_caller]
    fn send(&self, method: &str, body: &str) -> Answer {
        ask(self.server, &request(method, &self.fields, body))
    }

    /// Calls a tool, with the id 1.
    #[track_caller]
    fn call(&self, tool: &str, arguments: &str) -> Reader {
        let params = format!(
            r#"{{"name":"{tool}","arguments":{{{arguments}}},"_meta":{{"progressToken":"p"}}}}"#
        );
        let body = message(r#"1,"method":"tools/call""#, &params);
        Reader::ask(self.server, &request("POST", &self.fields, &body))
    }

    #[track_caller]
    fn listen(&self, fields: &str) -> Reader {
        let fields = format!("{}{fields}", self.fields);
        Reader::ask(self.server, &request("GET", &fields, ""))
    }
}

fn message(id_and_method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id_and_method},"params":{params}}}"#)
}

#[test]
fn a_call_goes_on_while_its_client_is_away() {
    let server = has_a_page(example::app(SHORT));
    let client = Client::new(&server, "");
    let mut events = client.call("count", "").rest();
    let mut connections = 1;
    while !events.last().unwrap().data.contains(r#""result""#) {
        let at = format!(
            "Last-Event-ID: {}\r\n",
            events.last().unwrap().last_event_id
        );
        events.extend(client.listen(&at).rest());
        connections += 1;
    }
    assert!(
        connections > 1,
        "the server ends one in the midst of the call"
    );
    // Each connection begins with an event that has only an id.
    let messages: Vec<_> = events
        .iter()
        .filter(|event| !event.data.is_empty())
        .collect();
    assert_eq!(messages.len(), 21);
    for (n, event) in (1..).zip(&messages) {
        assert_eq!(event.last_event_id, format!("1.{n}"));
        let number = (n + 1) / 2;
        let text = match n {
            21 => r#""text":"10""#.to_owned(),
            n if n % 2 == 1 => format!(r#""progressToken":"p","progress":{number},"#),
            _ => format!(r#""data":"counted to {number}""#),
        };
        assert!(event.data.contains(&text), "{}", event.data);
    }
    // The stream is kept. Of it, a second client gets nothing.
    assert_eq!(client.listen("Last-Event-ID: 1.20\r\n").rest().len(), 2);
    let other = Client::new(&server, "");
    for (client, id) in [
        (&client, "1.22"),
        (&client, "2.0"),
        (&client, "x"),
        (&other, "1.20"),
    ] {
        let fields = format!("{}Last-Event-ID: {id}\r\n", client.fields);
        assert_eq!(
            ask(&server, &request("GET", &fields, "")).status,
            404,
            "{id}"
        );
    }
}

#[test]
fn a_tool_asks_the_client_of_its_own_call() {
    let server = has_a_page(example::app(SHORT));
    let client = Client::new(&server, r#""elicitation":{}"#);
    assert!(
        client.call("add_note", r#""text":"milk""#).rest()[1]
            .data
            .contains("1 notes")
    );
    for (answer, text) in [
        (r#""result":{"action":"decline"}"#, "wants to keep"),
        (r#""error":{"code":-1,"message":"no"}"#, r#""isError":true"#),
        (
            r#""result":{"action":"accept","content":{"sure":true}}"#,
            "no notes",
        ),
    ] {
        let mut call = client.call("clear", "");
        assert_eq!(call.next().data, "");
        let question = call.next().data;
        assert!(question.contains("elicitation/create"), "{question}");
        let (_, id) = question.split_once(r#""id":"#).unwrap();
        let (id, _) = id.split_once(',').unwrap();
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},{answer}}}"#);
        assert_eq!(client.send("POST", &answer).status, 202);
        let result = call.next().data;
        assert!(result.contains(text), "{result}");
        // Nobody waits for a second answer.
        assert_eq!(client.send("POST", &answer).status, 202);
    }
    let other = Client::new(&server, "");
    assert!(
        other.call("clear", "").rest()[1]
            .data
            .contains(r#""isError":true"#)
    );
}

#[test]
fn a_client_of_an_older_revision_gets_no_empty_message() {
    let server = has_a_page(example::app(SHORT));
    let params = r#"{"protocolVersion":"2025-06-18","capabilities":{}}"#;
    let body = message(r#"0,"method":"initialize""#, params);
    let answer = ask(&server, &request("POST", "", &body));
    assert!(answer.text().contains(r#""protocolVersion":"2025-06-18""#));
    let fields = format!(
        "Mcp-Session-Id: {}\r\n",
        answer.header("mcp-session-id").unwrap()
    );
    let server = &server;
    let client = Client { server, fields };
    let events = client.call("add_note", r#""text":"a""#).rest();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].last_event_id, "1.1");
    // Nor does its connection end before the answer.
    assert_eq!(client.call("count", "").rest().len(), 21);
}

#[test]
fn a_cancelled_call_has_no_result() {
    let server = has_a_page(example::app(LONG));
    let client = Client::new(&server, "");
    let mut call = client.call("count", "");
    assert_eq!(call.next().data, "");
    assert_eq!(client.send("POST", CANCEL).status, 202);
    assert!(
        call.rest()
            .iter()
            .all(|event| !event.data.contains("result"))
    );
}

#[test]
fn a_cancelled_call_waits_for_no_answer() {
    let server = has_a_page(example::app(SHORT));
    let client = Client::new(&server, r#""elicitation":{}"#);
    client.call("add_note", r#""text":"milk""#).rest();
    let mut calls: Vec<_> = (0..32).map(|_| client.call("clear", "")).collect();
    let questions = calls.iter_mut().map(|call| {
        assert_eq!(call.next().data, "");
        call.next().data
    });
    let questions: Vec<_> = questions.collect();
    assert_eq!(client.send("POST", CANCEL).status, 202);
    for question in questions {
        let (_, id) = question.split_once(r#""id":"#).unwrap();
        let (id, _) = id.split_once(',').unwrap();
        let sure = r#""result":{"action":"accept","content":{"sure":true}}"#;
        let late = format!(r#"{{"jsonrpc":"2.0","id":{id},{sure}}}"#);
        assert_eq!(client.send("POST", &late).status, 202);
    }
    for call in calls {
        assert_eq!(call.rest().len(), 0);
    }
    // Their threads end, so there is room for calls again.
    let params = r#"{"name":"add_note","arguments":{"text":"tea"}}"#;
    let body = message(r#"2,"method":"tools/call""#, params);
    let deadline = Instant::now() + Duration::from_secs(60);
    let answer = loop {
        let answer = client.send("POST", &body);
        if answer.status == 200 {
            break answer;
        }
        assert_eq!(answer.status, 503);
        assert!(Instant::now() < deadline, "no cancelled call returns");
    };
    assert!(answer.text().contains("2 notes"), "{}", answer.text());
}

#[test]
fn a_change_is_told_to_the_sessions_that_subscribed() {
    let server = has_a_page(example::app(SHORT));
    let (one, two) = (Client::new(&server, ""), Client::new(&server, ""));
    let uri = r#"{"uri":"notes://all"}"#;
    let subscribe = message(r#"7,"method":"resources/subscribe""#, uri);
    assert_eq!(
        one.send("POST", &subscribe).text(),
        r#"{"jsonrpc":"2.0","id":7,"result":{}}"#
    );
    one.call("add_note", r#""text":"a\nb""#).rest();
    // It came before the client listened.
    let mut listening = one.listen("");
    assert_eq!(listening.next().data, "");
    assert!(listening.next().data.contains("resources/updated"));
    // Without an id, a connection begins behind the last message that was written.
    let mut listening = one.listen("");
    assert_eq!(listening.next().last_event_id, "0.1");
    let read = message(r#"8,"method":"resources/read""#, uri);
    assert!(
        one.send("POST", &read)
            .text()
            .contains(r#""text":"a\u000ab""#)
    );
    // Its own notification comes first: none came for the change.
    let subscribe = subscribe.replace('7', "9");
    assert_eq!(two.send("POST", &subscribe).status, 200);
    let mut other = two.listen("");
    assert_eq!(other.next().last_event_id, "0.0");
    two.call("add_note", r#""text":"c""#).rest();
    assert_eq!(other.next().last_event_id, "0.1");
    // A second connection takes the place of the first one.
    let again = one.listen("Last-Event-ID: 0.1\r\n");
    assert!(listening.rest().len() <= 1);
    // The end of the session ends its streams.
    assert_eq!(one.send("DELETE", "").status, 204);
    assert!(again.rest()[1].data.contains("resources/updated"));
    assert_eq!(one.send("POST", &read).status, 404);
    assert_eq!(two.send("POST", &read).status, 200);
}

#[test]
fn what_is_no_request_of_a_session_is_refused() {
    let server = has_a_page(example::app(SHORT));
    let client = Client::new(&server, "");
    let ping = message(r#""ü","method":"ping""#, "{}");
    assert_eq!(
        client.send("POST", &ping).text(),
        r#"{"jsonrpc":"2.0","id":"ü","result":{}}"#
    );
    let status = |fields: &str| ask(&server, &request("POST", fields, &ping)).status;
    let session = &client.fields;
    assert_eq!(status(&session.replace("2025-11-25", "1999-01-01")), 400);
    assert_eq!(status(""), 400);
    assert_eq!(status("Mcp-Session-Id: 0\r\n"), 404);
    let own = if is_over_session() {
        "https://t"
    } else {
        "http://t"
    };
    for (method, origin, expected) in [
        ("POST", own, 200),
        ("POST", "http://evil.example", 403),
        ("DELETE", "http://evil.example", 403),
    ] {
        let fields = format!("{session}Origin: {origin}\r\n");
        assert_eq!(
            ask(&server, &request(method, &fields, &ping)).status,
            expected,
            "{origin}"
        );
    }
    for (body, code) in [
        ("{", -32700),
        ("[]", -32600),
        (r#"{"id":1,"method":"ping"}"#, -32600),
    ] {
        let answer = client.send("POST", body);
        assert_eq!(answer.status, 400);
        assert!(
            answer
                .text()
                .contains(&format!(r#""id":null,"error":{{"code":{code},"#)),
            "{body}"
        );
    }
    let long = request("POST", session, "").replace("Length: 0", "Length: 65537");
    assert_eq!(ask(&server, &long).status, 413);
    let unknown = client.send("POST", &message(r#"1,"method":"no/such""#, "{}"));
    assert!(unknown.text().contains("-32601"));
}

#[test]
fn no_session_has_more_calls_than_its_bound() {
    let server = has_a_page(example::app(LONG));
    let client = Client::new(&server, "");
    let calls: Vec<_> = (0..32).map(|_| client.call("count", "")).collect();
    let body = message(r#"1,"method":"tools/call""#, r#"{"name":"count"}"#);
    assert_eq!(client.send("POST", &body).status, 503);
    // A cancelled call counts until it returns, and each of these sleeps.
    assert_eq!(client.send("POST", CANCEL).status, 202);
    calls.into_iter().for_each(|call| drop(call.rest()));
    assert_eq!(client.send("POST", &body).status, 503);
    assert_eq!(client.send("DELETE", "").status, 204);
}
