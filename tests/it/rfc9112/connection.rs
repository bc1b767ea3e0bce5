//! The connection: persistence, pipelining, unread bodies, waits (RFC 9112 §9).

use std::time::Duration;

use akurai_http::{Limits, Request, Response};
use akurai_tests::{Answer, Client, TestServer, eventually};

use crate::feeds::all_served;
use crate::mirror::Mirror;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")
}

#[track_caller]
fn expect_path(client: &mut Client, path: &str) -> Answer {
    let answer = client.read_response();
    assert_eq!(answer.header("x-path"), Some(path), "{answer:?}");
    answer
}

#[test]
fn http_21_connection_is_a_list_of_tokens() {
    let mirror = Mirror::start();
    for (version, fields, persists) in [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: x, y\r\n", true),
        ("1.1", "Connection:\r\n", true),
        ("1.1", "Connection: closed\r\n", true),
        ("1.1", "Connection: not-close\r\n", true),
        ("1.1", "Connection: \"close\"\r\n", true),
        ("1.1", "Proxy-Connection: close\r\n", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "connection: CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive, Close\r\n", false),
        ("1.1", "Connection: close, keep-alive\r\n", false),
        ("1.1", "Connection: x ,\tclose\t, y\r\n", false),
        ("1.1", "Connection: ,close,\r\n", false),
        (
            "1.1",
            "Connection: keep-alive\r\nConnection: close\r\n",
            false,
        ),
        (
            "1.1",
            "Connection: close\r\nX-A: b\r\nConnection: keep-alive\r\n",
            false,
        ),
        ("1.0", "", false),
        ("1.0", "Connection: close\r\n", false),
        ("1.0", "Connection: x\r\n", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: x\r\nConnection: KEEP-ALIVE\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        (
            "1.0",
            "Connection: close\r\nConnection: keep-alive\r\n",
            false,
        ),
    ] {
        let mut client = mirror.connect();
        client.send(format!(
            "GET /a HTTP/{version}\r\nHost: t\r\n{fields}\r\n{}",
            get("/b")
        ));
        let answer = expect_path(&mut client, "/a");
        let says_close = answer.has_token("connection", "close");
        if !persists {
            assert!(
                says_close || version == "1.0",
                "HTTP/{version} {fields:?}: {answer:?}"
            );
            client.expect_eof();
            continue;
        }
        assert!(!says_close, "HTTP/{version} {fields:?}: {answer:?}");
        // An HTTP/1.0 client knows that the connection persists only if the server says so (RFC
        // 9112 §C.2.2).
        assert!(
            version == "1.1" || answer.has_token("connection", "keep-alive"),
            "HTTP/{version} {fields:?}: {answer:?}"
        );
        expect_path(&mut client, "/b");
    }
}

#[test]
fn http_21_a_handler_may_close() {
    let server =
        TestServer::start(|_: &Request| Response::text("last").with_header("Connection", "close"));
    let mut client = server.connect();
    client.send(get("/a") + &get("/b"));
    let answer = client.read_response();
    assert!(answer.has_token("connection", "close"), "{answer:?}");
    assert_eq!(answer.text(), "last");
    client.expect_eof();
}

#[test]
fn http_22_two_gets_in_one_segment_are_answered_in_one() {
    let mirror = Mirror::start();
    let mut client = mirror.connect();
    // Many times, since sometimes one read brings both writes.
    for _ in 0..100 {
        client.send(get("/a") + &get("/b"));
        let bytes = client.read_some();
        let begins_answer = |window: &&[u8]| *window == b"HTTP/1.1 200 OK\r\n";
        let answers = bytes.windows(17).filter(begins_answer).count();
        assert_eq!(answers, 2, "in one read: {}", bytes.escape_ascii());
    }
    // The answers are these two, in order.
    client.send(get("/a") + &get("/b"));
    expect_path(&mut client, "/a");
    expect_path(&mut client, "/b");
}

#[test]
fn http_22_pipelined_requests_are_answered_in_order() {
    let mirror = Mirror::start();
    let mut client = mirror.connect();
    // Far more than one buffer, in both directions.
    let paths: Vec<String> = (0..2000).map(|n| format!("/{n}")).collect();
    let requests: String = paths.iter().map(|path| get(path)).collect();
    client.send(requests);
    for path in &paths {
        expect_path(&mut client, path);
    }

    let mixed = [
        "POST /a HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello",
        "GET /b HTTP/1.1\r\nHost: t\r\n\r\n",
        "POST /c HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "POST /unread HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello",
        "POST /unread HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "GET /d HTTP/1.1\r\nHost: t\r\n\r\n",
    ];
    client.send(mixed.concat());
    for (path, body) in [
        ("/a", "hello"),
        ("/b", ""),
        ("/c", "hello"),
        ("/unread", "not read"),
        ("/unread", "not read"),
        ("/d", ""),
    ] {
        assert_eq!(expect_path(&mut client, path).text(), body);
    }
}

#[test]
fn http_22_the_next_head_in_the_buffer_is_never_lost() {
    let mirror = Mirror::start();
    let first = "POST /a HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
    let both = format!("{first}{}", get("/b"));
    // Every cut from within the first head to the second's last byte. Where the first request is
    // whole before the cut, the test first reads its answer, so that the rest of the second arrives
    // in another read for certain.
    let mut client = mirror.connect();
    for cut in 1..both.len() {
        client.send(&both[..cut]);
        if cut >= first.len() {
            assert_eq!(
                expect_path(&mut client, "/a").text(),
                "hello",
                "cut at {cut}"
            );
            client.send(&both[cut..]);
        } else {
            client.send(&both[cut..]);
            assert_eq!(
                expect_path(&mut client, "/a").text(),
                "hello",
                "cut at {cut}"
            );
        }
        expect_path(&mut client, "/b");
    }
}

#[test]
fn http_22_a_binary_body_that_arrives_with_its_head() {
    let mirror = Mirror::start();
    let body: Vec<u8> = (0..=255).collect();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut client = mirror.connect();
    client.send([head.as_bytes(), &body].concat());
    assert_eq!(client.read_response().body, body);
    all_served(&mirror, [[head.as_bytes(), &body].concat()]);

    let chunked = b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n";
    client.send([&chunked[..], &body, b"\r\n0\r\n\r\n"].concat());
    assert_eq!(client.read_response().body, body);
}

#[test]
fn http_23_a_small_unread_body_is_drained() {
    let mirror = Mirror::start();
    let mut client = mirror.connect();
    for size in [1, 5, 8_000, 60_000] {
        let head = format!("POST /unread HTTP/1.1\r\nHost: t\r\nContent-Length: {size}\r\n\r\n");
        client.send(head + &"x".repeat(size));
        assert_eq!(client.read_response().text(), "not read");
        client.send(get("/next"));
        expect_path(&mut client, "/next");
    }
}

#[test]
fn http_23_a_large_unread_body_ends_the_connection_after_the_answer() {
    let mirror = Mirror::start();
    let mut client = mirror.connect();
    client.send("POST /unread HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n");
    let answer = client.read_response();
    assert_eq!(answer.text(), "not read");
    assert!(answer.has_token("connection", "close"), "{answer:?}");
    client.expect_eof();
}

#[test]
fn http_24_no_reset_eats_the_answer() {
    let mirror = Mirror::start();
    // Within the limits of draining, the server reads all of it before it closes.
    for behind in [1, 1_000, 60_000] {
        let mut client = mirror.connect();
        client.send(format!("GET / HTTP/9.9\r\n\r\n{}", "x".repeat(behind)));
        let answer = client.read_response();
        assert_eq!(answer.status, 505);
        client.expect_eof();
    }
    // A client that keeps sending after the server has answered.
    let mut client = mirror.connect();
    client.send("GET / HTTP/9.9\r\n\r\n");
    assert_eq!(client.read_response().status, 505);
    client.send("x".repeat(30_000));
    client.expect_eof();
}

#[test]
fn http_24_who_asks_for_the_end_is_not_waited_for() {
    let limits = Limits::default()
        .linger_time(Duration::from_secs(3600))
        .linger_stall(Duration::from_secs(3600));
    let server = TestServer::limited(limits, |_: &Request| Response::text("bye"));
    let connections = || server.handle().stats().connections;
    let all_gone = || eventually("nobody is connected", || connections() == 0);
    for request in [
        "GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: close\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(request);
        assert_eq!(client.read_response().text(), "bye");
        // The client has not closed its side yet.
        all_gone();
        client.expect_eof();
    }

    // Some clients send these bytes after a body, although no client may send bytes after a close.
    // They must not destroy the answer.
    for (request, behind) in [
        (
            "POST / HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
            "\r\n",
        ),
        ("POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", "\r\n"),
    ] {
        let mut client = server.connect();
        client.send(request);
        assert_eq!(client.read_response().text(), "bye");
        client.send(behind);
        assert_eq!(connections(), 1);
        client.finish();
        client.expect_eof();
        all_gone();
    }
    let mut client = server.connect();
    let request = "GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    client.send(request.repeat(2));
    assert_eq!(client.read_response().text(), "bye");
    assert_eq!(connections(), 1);
    client.finish();
    client.expect_eof();
}

#[test]
fn http_25_an_idle_connection_ends_without_a_word() {
    let limits = Limits::default().idle_timeout(Duration::from_millis(500));
    let mirror = Mirror::limited(limits);
    let mut silent = mirror.connect();
    let mut client = mirror.connect();
    client.send(get("/a"));
    expect_path(&mut client, "/a");
    client.expect_eof();
    silent.expect_eof();
}

#[test]
fn http_25_a_partial_head_gets_408_at_the_deadline() {
    let limits = Limits::default().head_deadline(Duration::from_millis(600));
    let mirror = Mirror::limited(limits);
    let beginnings = [
        "G",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\nX-A",
    ];
    let mut stalled = beginnings.map(|beginning| {
        let mut client = mirror.connect();
        client.send(beginning);
        client
    });

    // Each byte comes well within any wait for a byte. Only a deadline for the whole head catches
    // this client.
    let mut dripping = mirror.connect();
    dripping.send("GET / HTTP/1.1\r\nHost: t\r\nX-A: ");
    let mut drips = 0;
    while dripping.is_silent_for(Duration::from_millis(20)) {
        dripping.send("x");
        drips += 1;
        assert!(drips < 200, "a dripping client is waited for");
    }

    for client in stalled.iter_mut().chain([&mut dripping]) {
        let answer = client.read_response();
        assert_eq!(answer.status, 408);
        assert!(answer.has_token("connection", "close"), "{answer:?}");
        client.expect_eof();
    }

    // The deadline applies to the head, not to the connection.
    let mut client = mirror.connect();
    assert!(client.is_silent_for(Duration::from_millis(700)));
    client.send_slowly(["GET /late HT", "TP/1.1\r\nHost: t\r\n\r\n"]);
    expect_path(&mut client, "/late");
}

#[test]
fn http_25_bytes_that_begin_no_request_do_not_start_the_wait_anew() {
    let mirror = Mirror::start();
    for bytes in ["\r\r", "\r\n\rG"] {
        let mut client = mirror.connect();
        client.send_bytewise(bytes);
        assert_eq!(client.read_response().status, 400, "{bytes:?}");
        client.expect_eof();
    }
}

#[test]
fn http_25_a_half_closed_client_still_gets_its_answer() {
    let mirror = Mirror::start();
    let mut client = mirror.connect();
    client.send(get("/a") + &get("/b"));
    client.finish();
    expect_path(&mut client, "/a");
    expect_path(&mut client, "/b");
    client.expect_eof();

    // The connection's end within a head is no request.
    let mut client = mirror.connect();
    client.send("GET / HTTP/1.1\r\nHost: t\r\n");
    client.finish();
    let (bytes, _) = client.read_to_end();
    assert!(
        bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 400 "),
        "{}",
        bytes.escape_ascii()
    );
    assert_eq!(mirror.answered(), 2);
}
