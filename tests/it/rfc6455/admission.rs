//! Which origins and subprotocols the application accepts (RFC 6455 §4.2.2, §10.2).

use akurai_http::Request;
use akurai_tests::{Opcode, TestServer, WsClient, handshake};
use akurai_ws::WsOptions;

use super::echo_with;

/// The handshake with additional field lines.
fn and(fields: &str) -> String {
    handshake("/").replacen("Host:", &format!("{fields}Host:"), 1)
}

#[test]
fn ws_06_listed_origins_are_admitted_beside_the_own() {
    let options = WsOptions::new().allow_origins(["https://app.example.org", "null"]);
    let (server, _) = echo_with(options);
    let status = |origin: &str| {
        let mut client = server.connect();
        client.send(and(&format!("Origin: {origin}\r\n")));
        client.read_head().status
    };
    for origin in [
        "https://app.example.org",
        "https://APP.EXAMPLE.ORG:443",
        "null",
        "http://example.com",
    ] {
        assert_eq!(status(origin), 101, "{origin}");
    }
    for origin in [
        "http://app.example.org",
        "https://app.example.org:8443",
        "https://evil-app.example.org",
        "https://example.org",
    ] {
        assert_eq!(status(origin), 403, "{origin}");
    }
}

#[test]
fn ws_06_origins_of_other_schemes_are_admitted_by_name() {
    const ORIGINS: [&str; 10] = [
        "file://",
        "app://",
        "app://bundle",
        "capacitor://localhost",
        "ionic://localhost",
        "tauri://localhost",
        "vscode-webview://1k3d5",
        "chrome-extension://abcdefghijklmnop",
        "moz-extension://0b5b7a4e-0d5c-4c59-9d3d-5a4a2a6b7c8d",
        "null",
    ];
    for named in ORIGINS {
        let (server, _) = echo_with(WsOptions::new().allow_origins([named]));
        for origin in ORIGINS {
            let mut client = server.connect();
            client.send(and(&format!("Origin: {origin}\r\n")));
            let expected = if origin == named { 101 } else { 403 };
            assert_eq!(client.read_head().status, expected, "{origin} at {named}");
        }
    }
    // As a browser's address bar shows it.
    let (server, _) = echo_with(WsOptions::new().allow_origins(["file:///"]));
    let mut client = server.connect();
    client.send(and("Origin: file://\r\n"));
    assert_eq!(client.read_head().status, 101);
}

#[test]
fn ws_07_the_servers_preference_wins() {
    let options = WsOptions::new().subprotocols(["v2.chat", "v1.chat"]);
    // The handler sends back the values that it got.
    let server = TestServer::start(move |request: &Request| {
        options.upgrade(request, |mut conn| {
            let told = conn.subprotocol().unwrap_or("none").to_owned();
            conn.send_text(&told)?;
            while conn.recv()?.is_some() {}
            Ok(())
        })
    });
    for (fields, chosen) in [
        (
            "Sec-WebSocket-Protocol: v1.chat, v2.chat\r\n",
            Some("v2.chat"),
        ),
        (
            "Sec-WebSocket-Protocol: v1.chat\r\nSec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: v2.chat\r\n",
            Some("v2.chat"),
        ),
        ("Sec-WebSocket-Protocol: x, v1.chat\r\n", Some("v1.chat")),
        ("Sec-WebSocket-Protocol: V2.chat, x\r\n", None),
        ("", None),
    ] {
        let mut client = server.connect();
        client.send(and(fields));
        let answer = client.read_head();
        WsClient::assert_opening(&answer);
        assert_eq!(
            answer.header("sec-websocket-protocol"),
            chosen,
            "{fields:?}"
        );
        let mut ws = WsClient { client };
        ws.expect(Opcode::TEXT, chosen.unwrap_or("none"));
        ws.close();
    }
}
