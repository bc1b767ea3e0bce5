//! The opening handshake (RFC 6455 §4.2).

use akurai_tests::{Answer, Client, Frame, KEY, Opcode, TestServer, WsClient, handshake};
use akurai_ws::WsOptions;

use super::{echo, echo_with};

/// The valid handshake with one part of it replaced.
#[track_caller]
fn with(old: &str, new: &str) -> String {
    let valid = handshake("/");
    assert!(valid.contains(old), "there is no {old:?} to replace");
    valid.replacen(old, new, 1)
}

/// The valid handshake with additional field lines.
fn and(fields: &str) -> String {
    with("\r\n\r\n", &format!("\r\n{fields}\r\n"))
}

#[track_caller]
fn answer(server: &TestServer, request: &str) -> Answer {
    let mut client = server.connect();
    client.send(request);
    client.read_response()
}

/// The server refuses each request with `status`, and the body names `fault`.
#[track_caller]
fn all_refused<R: AsRef<str>>(
    server: &TestServer,
    status: u16,
    fault: &str,
    requests: impl IntoIterator<Item = R>,
) {
    for request in requests {
        let request = request.as_ref();
        let answer = answer(server, request);
        assert_eq!(answer.status, status, "{request:?}");
        let body = answer.text().to_lowercase();
        assert!(
            body.contains(&fault.to_lowercase()),
            "{request:?} got {body:?}"
        );
        assert_eq!(answer.header("sec-websocket-accept"), None, "{request:?}");
    }
}

/// Each request opens a connection that echoes.
#[track_caller]
fn all_opened<R: AsRef<str>>(server: &TestServer, requests: impl IntoIterator<Item = R>) {
    for request in requests {
        println!("{:?}", request.as_ref());
        let mut client = server.connect();
        client.send(request.as_ref());
        let mut ws = WsClient::opened(client);
        ws.send(&Frame::text("hello"));
        ws.expect(Opcode::TEXT, "hello");
    }
}

#[test]
fn ws_01_what_is_no_upgrade_is_400() {
    let (server, _) = echo();
    all_refused(
        &server,
        400,
        "GET",
        ["POST", "PUT", "DELETE", "OPTIONS"].map(|method| with("GET", method)),
    );
    all_refused(&server, 400, "HTTP/1.1", [with("HTTP/1.1", "HTTP/1.0")]);
    all_refused(&server, 400, "Host", [with("Host: example.com\r\n", "")]);
    all_refused(
        &server,
        400,
        "Upgrade",
        [
            "",
            "Upgrade:\r\n",
            "Upgrade: h2c\r\n",
            "Upgrade: websockets\r\n",
            "Upgrade: web, socket\r\n",
            "Upgrade: \"websocket\"\r\n",
        ]
        .map(|line| with("Upgrade: websocket\r\n", line)),
    );
    all_refused(
        &server,
        400,
        "Connection",
        [
            "",
            "Connection:\r\n",
            "Connection: keep-alive\r\n",
            "Connection: upgraded\r\n",
            "Connection: up, grade\r\n",
        ]
        .map(|line| with("Connection: Upgrade\r\n", line)),
    );
    all_refused(
        &server,
        400,
        "Upgrade",
        ["GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"],
    );
    all_opened(&server, [handshake("/")]);
}

#[test]
fn ws_02_tokens_in_any_case_and_over_several_lines() {
    let (server, _) = echo();
    let (upgrade, connection) = ("Upgrade: websocket\r\n", "Connection: Upgrade\r\n");
    all_opened(
        &server,
        [
            with(connection, "connection: keep-alive, UPGRADE\r\n"),
            with(connection, "CONNECTION: upgrade,keep-alive\r\n"),
            with(
                connection,
                "Connection: keep-alive\r\nConnection: Upgrade\r\n",
            ),
            with(connection, "Connection: ,\t, Upgrade ,\r\n"),
            with(upgrade, "upgrade: WebSocket\r\n"),
            with(upgrade, "UPGRADE: WEBSOCKET\r\n"),
            with(upgrade, "Upgrade: h2c, websocket\r\n"),
            with(upgrade, "Upgrade: h2c\r\nX-A: b\r\nUpgrade: websocket\r\n"),
        ],
    );
}

#[test]
fn ws_03_versions() {
    let (server, _) = echo();
    let line = "Sec-WebSocket-Version: 13\r\n";
    for version in [
        "",
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n",
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8\r\n",
        "Sec-WebSocket-Version: 013\r\n",
        "Sec-WebSocket-Version: 8\r\n",
        "Sec-WebSocket-Version: 14\r\n",
        "Sec-WebSocket-Version: 0\r\n",
        "Sec-WebSocket-Version: 269\r\n",
        "Sec-WebSocket-Version: +13\r\n",
        "Sec-WebSocket-Version: 13.0\r\n",
        "Sec-WebSocket-Version: 13, 13\r\n",
        "Sec-WebSocket-Version: 8, 13\r\n",
        "Sec-WebSocket-Version:\r\n",
    ] {
        let request = with(line, version);
        all_refused(&server, 400, "version", [&request]);
        let answer = answer(&server, &request);
        assert_eq!(
            answer.header("sec-websocket-version"),
            Some("13"),
            "{version:?}"
        );
    }
    all_opened(&server, [with(line, "sec-websocket-version:\t13 \r\n")]);
}

#[test]
fn ws_04_keys() {
    let (server, _) = echo();
    let line = format!("Sec-WebSocket-Key: {KEY}\r\n");
    all_refused(
        &server,
        400,
        "key",
        [
            "".to_owned(),
            format!("{line}{line}"),
            format!("{line}Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"),
        ]
        .map(|lines| with(&line, &lines)),
    );
    all_refused(
        &server,
        400,
        "key",
        [
            "",
            // No base64: another alphabet, a space, padding that is missing, too long or in the
            // middle.
            "dGhlIHNhbXBsZSBub25jZ_==",
            "dGhlIHNhbXBsZSBub25-ZQ==",
            "dGhlIHNhbXBs ZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXB=ZSBub25jZQ==",
            "====dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25j\u{e9}==",
            // 15, 17, 12 and 20 bytes.
            "AQIDBAUGBwgJCgsMDQ4P",
            "AQIDBAUGBwgJCgsMDQ4PEBE=",
            "AQIDBAUGBwgJCgsM",
            "AQIDBAUGBwgJCgsMDQ4PEBESExQ=",
            "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
        ]
        .map(|key| with(KEY, key)),
    );
    // Other keys have other answers; another program computed each.
    for (key, accept) in [
        ("x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
        ("AAAAAAAAAAAAAAAAAAAAAA==", "ICX+Yqv66kxgM0FcWaLWlFLwTAI="),
        ("/////////////////////w==", "XXpj4jYzLM2yUE0C7TIgMwTQh2g="),
        // Bits that belong to no byte (RFC 4648 §3.5): the example of §4.1, and the same key with
        // none and with all of them set.
        ("AQIDBAUGBwgJCgsMDQ4PEC==", "OfS0wDaT5NoxF2gqm7Zj2YtetzM="),
        ("AQIDBAUGBwgJCgsMDQ4PEA==", "C/0nmHhBztSRGR1CwL6Tf4ZjwpY="),
        ("AQIDBAUGBwgJCgsMDQ4PEP==", "z5uhIsLlElYBlzdseQtOC96GgUM="),
    ] {
        let mut client = server.connect();
        client.send(with(KEY, key));
        let answer = client.read_head();
        assert_eq!(
            (answer.status, answer.header("sec-websocket-accept")),
            (101, Some(accept)),
            "{key}"
        );
    }
}

#[test]
fn ws_05_no_body() {
    let (server, _) = echo();
    for (fields, body) in [
        ("Content-Length: 5\r\n", "hello"),
        ("Content-Length: 11\r\n", ""),
        ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", ""),
    ] {
        let mut client = server.connect();
        client.send(and(fields) + body);
        let answer = client.read_response();
        assert_eq!(answer.status, 400, "{fields:?}");
        assert!(answer.text().contains("body"), "{answer:?}");
        assert!(answer.has_token("connection", "close"), "{answer:?}");
        client.expect_eof();
    }
    all_opened(&server, [and("Content-Length: 0\r\n")]);
}

#[test]
fn ws_06_origins() {
    let (server, _) = echo();
    let from = |host: &str, origin: &str| {
        with(
            "Host: example.com\r\n",
            &format!("Host: {host}\r\nOrigin: {origin}\r\n"),
        )
    };
    all_opened(
        &server,
        [
            handshake("/"),
            from("example.com", "http://example.com"),
            from("example.com", "https://example.com"),
            from("Example.COM", "HTTP://example.com"),
            from("example.com", "http://EXAMPLE.com:80"),
            from("example.com:80", "http://example.com"),
            from("example.com", "https://example.com:443"),
            from("example.com:443", "https://example.com"),
            from("example.com:8090", "http://example.com:8090"),
            from("127.0.0.1:8090", "http://127.0.0.1:8090"),
            from("[::1]:8090", "http://[::1]:8090"),
            from("[::1]", "http://[::1]"),
            from("[0:0:0:0:0:0:0:1]", "http://[::1]"),
            from("[2001:DB8::A]", "http://[2001:db8::a]:80"),
        ],
    );
    let foreign = [
        from("example.com", "null"),
        from("example.com", "http://evil-example.com"),
        from("example.com", "http://example.com.evil.example"),
        from("example.com", "http://evil.example"),
        from("example.com", "http://evil.example/example.com"),
        from("example.com", "http://example.com@evil.example"),
        from("example.com", "http://sub.example.com"),
        from("sub.example.com", "http://example.com"),
        from("example.com", "http://example.com:8090"),
        from("example.com:8090", "http://example.com"),
        from("example.com", "example.com"),
        from("example.com", "//example.com"),
        from("example.com", ""),
        from("example.com", "file://"),
        from("[::1]", "http://[::2]"),
        from("[::1]", "http://[::1"),
        from(
            "example.com",
            "http://example.com\r\nOrigin: http://evil.example",
        ),
    ];
    all_refused(&server, 403, "any_origin", &foreign);

    let (open, _) = echo_with(WsOptions::new().any_origin());
    all_opened(&open, &foreign);
}

#[test]
fn ws_07_subprotocols() {
    let (server, _) = echo();
    // The server has no subprotocol to offer, so there is no overlap.
    for fields in [
        "Sec-WebSocket-Protocol: chat\r\n",
        "Sec-WebSocket-Protocol: chat, superchat\r\n",
        "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: superchat\r\n",
        // The server compares tokens exactly.
        "Sec-WebSocket-Protocol: chat, Chat\r\n",
    ] {
        let mut client = server.connect();
        client.send(and(fields));
        let answer = client.read_head();
        assert_eq!(answer.status, 101, "{fields:?}");
        assert_eq!(answer.header("sec-websocket-protocol"), None, "{fields:?}");
    }
    all_refused(
        &server,
        400,
        "protocol",
        [
            "Sec-WebSocket-Protocol: chat, chat\r\n",
            "Sec-WebSocket-Protocol: chat, superchat, chat\r\n",
            "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n",
        ]
        .map(and),
    );
}

#[test]
fn ws_08_a_frame_in_the_segment_of_the_handshake() {
    let (server, _) = echo();
    let (request, frame) = (handshake("/"), Frame::text("hello").to_bytes());
    let mut client = server.connect();
    client.send([request.as_bytes(), &frame].concat());
    let mut ws = WsClient::opened(client);
    ws.expect(Opcode::TEXT, "hello");
    ws.close();

    // Many requests at once, more than a read buffer holds.
    let large = Frame::binary(vec![7; 100_000]).to_bytes();
    let mut client = server.connect();
    client.send([request.as_bytes(), &frame, &large, &frame].concat());
    let mut ws = WsClient::opened(client);
    ws.expect(Opcode::TEXT, "hello");
    ws.expect(Opcode::BINARY, [7; 100_000]);
    ws.expect(Opcode::TEXT, "hello");

    // And at every place where two segments can meet.
    let bytes = [request.as_bytes(), &frame].concat();
    for cut in 1..bytes.len() {
        let mut client = server.connect();
        client.send_slowly([&bytes[..cut], &bytes[cut..]]);
        WsClient::opened(client).expect(Opcode::TEXT, "hello");
    }
}

#[test]
fn ws_09_heads_beyond_the_limits_of_http() {
    let (server, _) = echo();
    let spaces = |count: usize| {
        with(
            "Upgrade: websocket",
            &format!("Upgrade: h2c,{}websocket", " ".repeat(count)),
        )
    };
    all_opened(&server, [spaces(30_000)]);
    for request in [spaces(50_000), and(&"X-A: b\r\n".repeat(10_000))] {
        let mut client = server.connect();
        client.send(request);
        let answer = client.read_response();
        assert_eq!(answer.status, 431);
        assert!(answer.has_token("connection", "close"), "{answer:?}");
    }
    // 20 MB in one field: the server refuses it long before the client has sent all, and discards
    // the rest, so that no reset destroys the answer (RFC 9112 §9.6).
    let mut client = server.connect();
    client.send(with("\r\n\r\n", "\r\nX-A: "));
    client.send("b".repeat(40_000));
    client.await_unread();
    for _ in 0..20 {
        client.send("b".repeat(1_000_000));
    }
    assert_eq!(client.read_response().status, 431);
    client.expect_eof();
    all_opened(&server, [handshake("/")]);
}

#[test]
fn ws_09_commas_without_end_are_linear() {
    let (server, _) = echo();
    let commas = ",".repeat(10_000);
    let request = format!("{}, Upgrade", commas);
    all_opened(
        &server,
        [
            with("Connection: Upgrade", &format!("Connection: {request}")),
            and(&format!(
                "Sec-WebSocket-Protocol: {commas}chat\r\nSec-WebSocket-Extensions: x{}\r\n",
                ", x".repeat(3000)
            )),
        ],
    );
    // Thousands of different subprotocols: the server compares them without quadratic cost.
    let many: Vec<String> = (0..4000).map(|n| format!("p{n}")).collect();
    let mut client = Client::connect(server.addr());
    client.send(and(&format!(
        "Sec-WebSocket-Protocol: {}\r\n",
        many.join(",")
    )));
    assert_eq!(client.read_head().status, 101);
}
