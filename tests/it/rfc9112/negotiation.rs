//! What a client asks for before it continues: `Expect` and `Upgrade` (RFC 9110 §10.1.1, §7.8).

use std::io::{Read, Write};
use std::time::Duration;

use akurai_http::{Reply, Request, Response, Status, Upgrade};
use akurai_tests::{Answer, Client, TestServer};

use crate::feeds::{all_refused, all_served};
use crate::mirror::Mirror;

#[track_caller]
fn expect_path(client: &mut Client, path: &str) -> Answer {
    let answer = client.read_response();
    assert_eq!(answer.header("x-path"), Some(path), "{answer:?}");
    answer
}

#[test]
fn http_26_continue_is_sent_when_the_handler_reads() {
    let mirror = Mirror::start();
    let head = |version: &str, path: &str| {
        format!(
            "POST {path} HTTP/{version}\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
    };
    let mut client = mirror.connect();
    for _ in 0..2 {
        client.send(head("1.1", "/a"));
        let interim = client.read_response();
        assert_eq!((interim.status, interim.body.len()), (100, 0));
        client.send("hello");
        assert_eq!(expect_path(&mut client, "/a").text(), "hello");
    }

    // The body is here already, so the client needs no 100; but asking for it does no harm (RFC
    // 9110 §10.1.1).
    client.send(head("1.1", "/a") + "hello");
    let mut answer = client.read_response();
    if answer.status == 100 {
        answer = client.read_response();
    }
    assert_eq!(answer.text(), "hello");

    // A client that got no 100 may send the body or not, so the server cannot know what comes next.
    client.send(head("1.1", "/unread"));
    let answer = client.read_response();
    assert_eq!((answer.status, answer.text()), (200, "not read"));
    assert!(answer.has_token("connection", "close"), "{answer:?}");
    client.expect_eof();

    // HTTP/1.0 has no 100.
    let mut client = mirror.connect();
    client.send(head("1.0", "/a"));
    assert!(client.is_silent_for(Duration::from_millis(100)));
    client.send("hello");
    assert_eq!(expect_path(&mut client, "/a").text(), "hello");
    client.expect_eof();
}

#[test]
fn http_26_other_expectations_fail() {
    let mirror = Mirror::start();
    let with = |expect: &str| {
        format!("POST / HTTP/1.1\r\nHost: t\r\nExpect: {expect}\r\nContent-Length: 5\r\n\r\nhello")
    };
    all_refused(
        &mirror,
        417,
        [
            "200-ok",
            "100-continued",
            "x",
            "100-continue, x",
            "100",
            ",x",
            "100-continue\r\nExpect: x",
            "100-continue;a=b",
            "\"100-continue\"",
        ]
        .map(with),
    );
    // A list that does not ask for a 100 gets none.
    for expect in ["", ",", " , ,", "\r\nExpect: ,"] {
        let mut client = mirror.connect();
        client.send(with(expect));
        let answer = client.read_response();
        assert_eq!((answer.status, answer.text()), (200, "hello"), "{expect}");
    }
    for expect in [
        "100-continue",
        "100-Continue",
        "100-continue,",
        ", 100-continue",
        "100-continue,100-continue",
        "\r\nExpect: 100-continue",
    ] {
        let mut client = mirror.connect();
        client.send(with(expect));
        let mut answer = client.read_response();
        if answer.status == 100 {
            answer = client.read_response();
        }
        assert_eq!((answer.status, answer.text()), (200, "hello"), "{expect}");
    }
}

#[test]
fn http_27_an_upgrade_that_is_not_offered_is_plain_http() {
    let mirror = Mirror::start();
    all_served(
        &mirror,
        [
            "Connection: Upgrade\r\nUpgrade: h2c\r\n",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            "Upgrade: websocket\r\n",
            "Connection: Upgrade\r\n",
            "Connection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/3.0\r\n",
        ]
        .map(|fields| format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n")),
    );
    let mut client = mirror.connect();
    client.send("GET /a HTTP/1.0\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    let answer = expect_path(&mut client, "/a");
    assert_eq!(answer.header("upgrade"), None);
    client.expect_eof();
}

/// A server that upgrades to a simple protocol: it sends bytes back in upper case.
fn shouting() -> TestServer {
    TestServer::start(|request: &Request| -> Reply {
        if request.header("upgrade") != Some("shout") {
            return Response::text("plain").into();
        }
        let head = Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "shout");
        let shout = Upgrade::new(head, |mut upgraded| {
            let mut buffer = [0; 1000];
            while let Ok(len @ 1..) = upgraded.read(&mut buffer) {
                buffer.make_ascii_uppercase();
                upgraded.write_all(&buffer[..len])?;
            }
            Ok(())
        });
        shout.into()
    })
}

#[test]
fn http_27_bytes_after_the_handshake_reach_the_closure() {
    let server = shouting();
    let handshake = "GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n";
    let first = format!("a{}", "b".repeat(5000));
    let mut client = server.connect();
    // First a plain request, all in one segment: the bytes after the first two heads belong to the
    // new protocol.
    client.send(format!(
        "{}{handshake}{first}",
        "GET / HTTP/1.1\r\nHost: t\r\n\r\n"
    ));
    assert_eq!(client.read_response().text(), "plain");
    let answer = client.read_response();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("upgrade"), Some("shout"));
    assert!(answer.has_token("connection", "upgrade"), "{answer:?}");
    assert_eq!(
        client.read_exactly(first.len()),
        first.to_ascii_uppercase().as_bytes()
    );
    client.send("get / http/1.1\r\n\r\n");
    assert_eq!(client.read_exactly(18), b"GET / HTTP/1.1\r\n\r\n");
    client.finish();
    client.expect_eof();

    let mut client = server.connect();
    client.send_bytewise(format!("{handshake}hello"));
    assert_eq!(client.read_response().status, 101);
    assert_eq!(client.read_exactly(5), b"HELLO");
}
