use super::*;
use akurai_http::{Method, Request};

const KEY: (&str, &str) = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
const VERSION: (&str, &str) = ("Sec-WebSocket-Version", "13");
const UPGRADE: (&str, &str) = ("Upgrade", "websocket");
const CONNECTION: (&str, &str) = ("Connection", "Upgrade");
const COMPLETE: [(&str, &str); 4] = [UPGRADE, CONNECTION, VERSION, KEY];

fn request(fields: &[(&str, &str)]) -> Request {
    let request = Request::new(Method::Get, "/ws");
    fields.iter().fold(request, |request, (name, value)| {
        request.with_header(name, value)
    })
}

fn opening(request: &Request) -> Opening<'_> {
    Opening {
        method: Method::Get,
        version: Version::Http11,
        authority: "example.com",
        headers: request.headers(),
        announces_body: false,
        is_secure: false,
    }
}

fn answer(fields: &[(&str, &str)]) -> Result<String, HandshakeError> {
    let accepted = accept(&opening(&request(fields)), &Admission::default())?;
    assert_eq!(accepted.subprotocol, None);
    Ok(accepted.accept)
}

/// The default, and that of `any_origin`.
fn admission(any_origin: bool) -> Admission {
    Admission {
        any_origin,
        ..Admission::default()
    }
}

#[track_caller]
fn check_accepted(fields: &[(&str, &str)]) {
    assert_eq!(
        answer(fields).as_deref(),
        Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
}

#[track_caller]
fn check_refused(fields: &[(&str, &str)], error: HandshakeError, status: u16) {
    assert_eq!(answer(fields), Err(error));
    assert_eq!(error.status().code(), status);
}

/// The complete handshake, with one field's lines replaced by these.
fn instead<'f>(name: &str, lines: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    let others = COMPLETE.into_iter().filter(|(other, _)| *other != name);
    others.chain(lines.iter().copied()).collect()
}

#[test]
fn rfc6455_1_3_accept_value() {
    check_accepted(&COMPLETE);
}

#[test]
fn case_1_method_version_host() {
    let request = request(&COMPLETE);
    let complete = opening(&request);
    for method in [Method::Post, Method::Head, Method::Options, Method::Connect] {
        assert_eq!(
            accept(&Opening { method, ..complete }, &admission(false)),
            Err(HandshakeError::Method)
        );
    }
    let old = Opening {
        version: Version::Http10,
        ..complete
    };
    assert_eq!(
        accept(&old, &admission(false)),
        Err(HandshakeError::HttpVersion)
    );
    let nowhere = Opening {
        authority: "",
        ..complete
    };
    assert_eq!(
        accept(&nowhere, &admission(true)),
        Err(HandshakeError::Host)
    );
}

#[test]
fn case_1_upgrade_and_connection() {
    check_refused(&[], HandshakeError::Upgrade, 400);
    for value in ["", "h2c", "websockets", "web socket", "websocket/13"] {
        check_refused(
            &instead("Upgrade", &[("Upgrade", value)]),
            HandshakeError::Upgrade,
            400,
        );
    }
    check_refused(&instead("Connection", &[]), HandshakeError::Connection, 400);
    for value in ["", "keep-alive", "upgraded", "keep-alive upgrade"] {
        let fields = instead("Connection", &[("Connection", value)]);
        check_refused(&fields, HandshakeError::Connection, 400);
    }
}

#[test]
fn case_2_case_and_several_lines() {
    check_accepted(&instead(
        "Connection",
        &[("connection", "keep-alive, UPGRADE")],
    ));
    check_accepted(&instead(
        "Connection",
        &[("Connection", "keep-alive"), ("Connection", ", upgrade ,")],
    ));
    check_accepted(&instead("Upgrade", &[("upgrade", "WebSocket")]));
    check_accepted(&instead(
        "Upgrade",
        &[("Upgrade", "h2c"), ("Upgrade", "foo/1, WEBSOCKET")],
    ));
}

#[test]
fn case_3_version() {
    check_refused(
        &instead("Sec-WebSocket-Version", &[]),
        HandshakeError::Version,
        400,
    );
    for value in ["", "8", "14", "013", "13, 8", "13,", "\"13\"", "+13"] {
        let fields = instead("Sec-WebSocket-Version", &[("Sec-WebSocket-Version", value)]);
        check_refused(&fields, HandshakeError::Version, 400);
    }
    check_refused(
        &instead("Sec-WebSocket-Version", &[VERSION, VERSION]),
        HandshakeError::Version,
        400,
    );
    assert!(HandshakeError::Version.needs_version());
    assert!(!HandshakeError::Key.needs_version());
}

#[test]
fn case_4_key() {
    check_refused(&instead("Sec-WebSocket-Key", &[]), HandshakeError::Key, 400);
    for value in ["", "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub2-_ZQ=="] {
        let fields = instead("Sec-WebSocket-Key", &[("Sec-WebSocket-Key", value)]);
        check_refused(&fields, HandshakeError::Key, 400);
    }
    check_refused(
        &instead("Sec-WebSocket-Key", &[KEY, KEY]),
        HandshakeError::Key,
        400,
    );
}

#[test]
fn case_5_body() {
    let request = request(&COMPLETE);
    let with_body = Opening {
        announces_body: true,
        ..opening(&request)
    };
    assert_eq!(
        accept(&with_body, &admission(false)),
        Err(HandshakeError::Body)
    );
    assert_eq!(HandshakeError::Body.status().code(), 400);
}

#[test]
fn case_6_origin() {
    let with = |origins: &[&'static str]| {
        let mut fields = COMPLETE.to_vec();
        fields.extend(origins.iter().map(|origin| ("Origin", *origin)));
        fields
    };
    check_accepted(&with(&["https://example.com"]));
    for foreign in ["null", "https://evil-example.com", ""] {
        check_refused(&with(&[foreign]), HandshakeError::Origin, 403);
        assert!(accept(&opening(&request(&with(&[foreign]))), &admission(true)).is_ok());
    }
    let two = with(&["https://example.com", "https://evil-example.com"]);
    check_refused(&two, HandshakeError::Origin, 403);
    let told = HandshakeError::Origin.to_string();
    assert!(told.contains("WsOptions::allow_origins") && told.contains("any_origin"));
}

#[test]
fn case_6_listed_origins() {
    let listed = Admission {
        origins: ["https://app.example.org", "http://[::1]:3000", "null"]
            .map(|origin| Origin::parse(origin).unwrap())
            .into(),
        ..Admission::default()
    };
    let is_admitted = |origins: &[&str]| {
        let mut fields = COMPLETE.to_vec();
        fields.extend(origins.iter().map(|origin| ("Origin", *origin)));
        accept(&opening(&request(&fields)), &listed).is_ok()
    };
    // The server's own host needs no place in the list.
    for admitted in [
        "https://app.example.org",
        "HTTPS://APP.example.org:443",
        "http://[0:0::1]:3000",
        "null",
        "https://example.com",
    ] {
        assert!(is_admitted(&[admitted]), "{admitted}");
    }
    for foreign in [
        "http://app.example.org",
        "https://app.example.org:8443",
        "https://app.example.org.evil.net",
        "http://[::1]",
        "",
    ] {
        assert!(!is_admitted(&[foreign]), "{foreign}");
    }
    assert!(!is_admitted(&["null", "https://evil.net"]));
}

#[test]
fn case_7_subprotocols() {
    let with = |lines: &[&'static str]| {
        let mut fields = COMPLETE.to_vec();
        fields.extend(lines.iter().map(|line| ("Sec-WebSocket-Protocol", *line)));
        fields
    };
    check_accepted(&with(&["chat, superchat", "v2.chat"]));
    check_accepted(&with(&["chat, Chat"]));
    check_refused(
        &with(&["chat, superchat", "chat"]),
        HandshakeError::Protocol,
        400,
    );
    check_refused(&with(&["chat,chat"]), HandshakeError::Protocol, 400);
    check_refused(&with(&["a chat"]), HandshakeError::Protocol, 400);
    check_refused(&with(&["chat/2"]), HandshakeError::Protocol, 400);
}

#[test]
fn case_7_the_servers_preference() {
    let chosen = |spoken: &[&str], lines: &[&'static str]| {
        let mut fields = COMPLETE.to_vec();
        fields.extend(lines.iter().map(|line| ("Sec-WebSocket-Protocol", *line)));
        let admission = Admission {
            subprotocols: spoken.iter().map(|name| (*name).to_owned()).collect(),
            ..Admission::default()
        };
        let accepted = accept(&opening(&request(&fields)), &admission).unwrap();
        accepted.subprotocol
    };
    let both = ["v2.chat", "v1.chat"];
    assert_eq!(
        chosen(&both, &["v1.chat, v2.chat"]).as_deref(),
        Some("v2.chat")
    );
    assert_eq!(
        chosen(&both, &["x", "v1.chat", "v2.chat"]).as_deref(),
        Some("v2.chat")
    );
    assert_eq!(chosen(&both, &["v1.chat"]).as_deref(), Some("v1.chat"));
    assert_eq!(chosen(&both, &["V2.chat, v3.chat"]), None);
    assert_eq!(chosen(&both, &[]), None);
    assert_eq!(chosen(&[], &["v1.chat"]), None);
}

#[test]
fn case_9_long_lists() {
    let spaces = format!("{}websocket", " ,".repeat(25_000));
    check_accepted(&instead("Upgrade", &[("Upgrade", &spaces[1..])]));
    let many: Vec<String> = (0..10_000).map(|n| format!("p{n}")).collect();
    let mut fields = COMPLETE.to_vec();
    let many = many.join(",");
    fields.push(("Sec-WebSocket-Protocol", &many));
    check_accepted(&fields);
}
