//! Offers and responses (RFC 6455 §9.1, RFC 7692 §5.1, §7.1).

use akurai_tests::{
    Agreement, DeflateClient, Frame, Opcode, TestServer, WsClient, handshake, offering,
};
use akurai_ws::{Deflate, WsOptions};

use super::{HELLO, HELLO_AGAIN, OFFER, deflating, echo};
use crate::rfc6455::echo_with;

const DEFAULT: &str = "permessage-deflate; server_no_context_takeover";

/// The server's response to these field lines. The handshake must succeed in any case.
#[track_caller]
fn respond<L: AsRef<str>>(server: &TestServer, offers: impl AsRef<[L]>) -> Option<String> {
    let lines: String = offers
        .as_ref()
        .iter()
        .map(|offer| format!("Sec-WebSocket-Extensions: {}\r\n", offer.as_ref()))
        .collect();
    let mut client = server.connect();
    client.send(handshake("/").replacen("Host:", &format!("{lines}Host:"), 1));
    let answer = client.read_head();
    let response = answer.header("sec-websocket-extensions").map(str::to_owned);
    WsClient::assert_opening_with(&answer, response.as_deref());
    if let Some(response) = &response {
        Agreement::parse(response);
    }
    response
}

/// The default response plus these parameters.
fn default_and(parameters: &str) -> Option<String> {
    Some(format!("{DEFAULT}{parameters}"))
}

#[test]
fn rfc7692_7_1_what_browsers_offer() {
    let (server, _) = echo();
    for (browser, offer) in [
        ("Chrome", "permessage-deflate; client_max_window_bits"),
        ("Firefox", "permessage-deflate"),
        ("Safari", "permessage-deflate"),
    ] {
        assert_eq!(respond(&server, [offer]), default_and(""), "{browser}");
    }
    // Safari before 13, with the draft's extension, and the extension of another draft.
    for other in [
        "x-webkit-deflate-frame",
        "deflate-frame",
        "permessage-bzip2",
    ] {
        assert_eq!(respond(&server, [other]), None, "{other}");
        assert_eq!(
            respond(&server, [format!("{other}, permessage-deflate")]),
            default_and(""),
            "{other}"
        );
    }
    assert_eq!(respond::<&str>(&server, []), None);
}

#[test]
fn nothing_is_agreed_on_unless_it_is_switched_on() {
    let (server, _) = echo_with(WsOptions::new());
    assert_eq!(respond(&server, [OFFER]), None);
    let mut client = server.connect();
    client.send(offering("/", OFFER));
    let mut ws = WsClient::opened(client);
    ws.send(&Frame::text("x".repeat(10_000)));
    ws.expect(Opcode::TEXT, "x".repeat(10_000));
    ws.send(&Frame::text(HELLO).compressed());
    ws.expect_close_and_eof(1002);
}

#[test]
fn nothing_is_compressed_for_a_client_that_did_not_offer_it() {
    let (server, _) = echo();
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("x".repeat(10_000)));
    ws.expect(Opcode::TEXT, "x".repeat(10_000));
    ws.send(&Frame::text(HELLO).compressed());
    ws.expect_close_and_eof(1002);
}

/// Parameters for which the server must decline an offer.
const DECLINED: [&str; 41] = [
    // Values that are no valid window (§7.1.2.1, §7.1.2.2).
    "client_max_window_bits=7",
    "client_max_window_bits=16",
    "client_max_window_bits=010",
    "client_max_window_bits=08",
    "client_max_window_bits=0",
    "client_max_window_bits=1",
    "client_max_window_bits=+10",
    "client_max_window_bits=-10",
    "client_max_window_bits=10.0",
    "client_max_window_bits=1e1",
    "client_max_window_bits=0xa",
    "client_max_window_bits=150",
    "client_max_window_bits=266",
    "client_max_window_bits=65546",
    "client_max_window_bits=4294967306",
    "client_max_window_bits=18446744073709551626",
    "client_max_window_bits=true",
    "client_max_window_bits=\"7\"",
    "client_max_window_bits=\"16\"",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits=010",
    "server_max_window_bits=09",
    "server_max_window_bits=266",
    "server_max_window_bits=\"010\"",
    "server_max_window_bits=max",
    "client_max_window_bits; server_max_window_bits=7",
    // The server's window needs a value.
    "server_max_window_bits",
    // These parameters have no value (§7.1.1).
    "server_no_context_takeover=1",
    "server_no_context_takeover=true",
    "client_no_context_takeover=true",
    "client_no_context_takeover=\"1\"",
    // The same parameter twice, with equal or different values.
    "client_max_window_bits; client_max_window_bits",
    "client_max_window_bits=10; client_max_window_bits=10",
    "client_max_window_bits; server_no_context_takeover; client_max_window_bits=9",
    "server_max_window_bits=10; server_max_window_bits=11",
    "server_no_context_takeover; server_no_context_takeover",
    "client_no_context_takeover; client_max_window_bits; client_no_context_takeover",
    // Unknown.
    "unknown",
    "unknown=1; client_max_window_bits",
    "client_max_window_bits; max_window_bits=10",
];

#[test]
fn ws_20_an_offer_that_cannot_be_accepted_is_declined() {
    let (server, _) = echo();
    for parameters in DECLINED {
        let offer = format!("permessage-deflate; {parameters}");
        assert_eq!(respond(&server, [&offer]), None, "{offer}");
    }
    // The connection continues without compression.
    let mut client = server.connect();
    client.send(offering(
        "/",
        "permessage-deflate; client_max_window_bits=7",
    ));
    let mut ws = WsClient::opened(client);
    ws.send(&Frame::text("x".repeat(10_000)));
    ws.expect(Opcode::TEXT, "x".repeat(10_000));
    ws.send(&Frame::text(HELLO).compressed());
    ws.expect_close_and_eof(1002);
}

#[test]
fn ws_20_the_next_offer_is_considered() {
    let (server, _) = echo();
    for parameters in DECLINED {
        let declined = format!("permessage-deflate; {parameters}");
        let next = "permessage-deflate; client_max_window_bits=9";
        let expected = default_and("; client_max_window_bits=9");
        // In the same line or in the next; the server accepts the first offer that it can.
        let third = "permessage-deflate; client_max_window_bits=12";
        let one_line = format!("{declined}, {next},{third}");
        assert_eq!(respond(&server, [&one_line]), expected, "{one_line}");
        let lines = [&*declined, next, third];
        assert_eq!(respond(&server, lines), expected, "{lines:?}");
        let lines = [&format!("other; a=b,{declined}"), "x;y, another", next, "z"];
        assert_eq!(respond(&server, lines), expected, "{lines:?}");
        // An unacceptable offer does not harm the offer before it, either.
        let lines = [next, &declined];
        assert_eq!(respond(&server, lines), expected, "{lines:?}");
    }
    let mut many = vec!["permessage-deflate; unknown"; 500];
    many.push("permessage-deflate");
    assert_eq!(respond(&server, [many.join(",")]), default_and(""));
}

#[test]
fn ws_20_broken_abnf_is_400() {
    let (server, _) = echo();
    let broken = [
        "permessage-deflate;",
        "permessage-deflate; ",
        ";permessage-deflate",
        "; client_max_window_bits",
        "permessage-deflate;; client_max_window_bits",
        "permessage-deflate; ; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client_max_window_bits=;",
        "permessage-deflate; client_max_window_bits=\"\"",
        "permessage-deflate; client_max_window_bits=\"10",
        "permessage-deflate; client_max_window_bits=10\"",
        "permessage-deflate; client_max_window_bits=\"10\"0",
        "permessage-deflate; client_max_window_bits=\"10\\\"",
        "permessage-deflate; client_max_window_bits=\" 10\"",
        "permessage-deflate; client_max_window_bits=\"1 0\"",
        "permessage-deflate; client_max_window_bits=\"10,\"",
        "permessage-deflate; client_max_window_bits=10=10",
        "permessage-deflate; client_max_window_bits==10",
        "permessage-deflate; =10",
        "permessage-deflate; =",
        "permessage-deflate=10",
        "permessage-deflate client_max_window_bits",
        "permessage-deflate; client max window bits",
        "permessage-deflate; client_max_window_bits=1 0",
        "permessage-deflate; client_max_window_bits='10';\"a\"",
        "\"permessage-deflate\"",
        "permessage/deflate",
        "permessage-deflate; a(b)=c",
        "permessage-deflate; a=b/c",
        "permessage-deflate; {a}",
        "permessage-deflate; a=\u{e9}",
        "permessage-d\u{e9}flate",
        "permessage-deflate; a=\"\u{e9}\"",
        "=",
        "\"",
    ];
    for broken in broken {
        let around = [
            broken.to_owned(),
            format!("permessage-deflate, {broken}"),
            format!("{broken}, permessage-deflate"),
            format!("permessage-deflate\r\nSec-WebSocket-Extensions: {broken}"),
        ];
        for offer in around {
            let mut client = server.connect();
            client.send(offering("/", &offer));
            let answer = client.read_response();
            assert_eq!(answer.status, 400, "{offer:?}");
            let body = answer.text().to_lowercase();
            assert!(body.contains("extensions"), "{offer:?} got {body:?}");
            for field in ["sec-websocket-accept", "sec-websocket-extensions"] {
                assert_eq!(answer.header(field), None, "{offer:?}");
            }
        }
    }
}

#[test]
fn rfc6455_9_1_what_is_valid_however_it_looks() {
    let (server, _) = echo();
    for (offer, expected) in [
        // Elements of a list may be empty (RFC 9110 §5.6.1).
        (", permessage-deflate", ""),
        ("permessage-deflate,", ""),
        (",\t,permessage-deflate , ,", ""),
        // With white space, or without.
        (
            "permessage-deflate;client_max_window_bits=9",
            "; client_max_window_bits=9",
        ),
        (
            "permessage-deflate \t; \tclient_max_window_bits=9 \t;server_no_context_takeover",
            "; client_max_window_bits=9",
        ),
        // Quoted values, escaped as a whole or in part.
        (
            "permessage-deflate; client_max_window_bits=\"9\"",
            "; client_max_window_bits=9",
        ),
        ("permessage-deflate; client_max_window_bits=\"15\"", ""),
        (
            "permessage-deflate; client_max_window_bits=\"1\\0\"",
            "; client_max_window_bits=10",
        ),
        (
            "permessage-deflate; server_max_window_bits=\"\\8\"",
            "; server_max_window_bits=8",
        ),
        // Other extensions with their own parameters.
        ("other; a=\"b\\c\", permessage-deflate", ""),
        ("other; a; b=c; d=\"e\", permessage-deflate", ""),
        // The order of parameters does not matter.
        (
            "permessage-deflate; client_max_window_bits=9; client_no_context_takeover; \
             server_max_window_bits=10; server_no_context_takeover",
            "; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=9",
        ),
    ] {
        assert_eq!(
            respond(&server, [offer]),
            default_and(expected),
            "{offer:?}"
        );
    }
    // The field's name in any case.
    let mut client = server.connect();
    client.send(offering("/", OFFER).replace("Sec-WebSocket-Ext", "SEC-websocket-eXT"));
    let opened = DeflateClient::opened(client);
    assert!(opened.agreement.server_no_context_takeover);
}

#[test]
fn names_are_compared_as_they_are() {
    // RFC 6455 §9.1 registers names and does not mention their case: another spelling is another
    // name.
    let (server, _) = echo();
    for offer in [
        "Permessage-Deflate",
        "PERMESSAGE-DEFLATE",
        "permessage-deflate; Client_Max_Window_Bits",
        "permessage-deflate; SERVER_NO_CONTEXT_TAKEOVER",
        "permessage-deflate; server_no_context_takeover; Server_no_context_takeover",
    ] {
        assert_eq!(respond(&server, [offer]), None, "{offer}");
    }
}

/// The parameter for a window in an offer: absent, without a value, or with one.
type Offered = Option<Option<u32>>;

/// What the server is told to agree to.
#[derive(Clone, Copy)]
struct Ours {
    server_takes: bool,
    client_takes: bool,
    server_bits: u8,
    client_bits: u8,
}

impl Ours {
    fn deflate(self) -> Deflate {
        Deflate::default()
            .server_context_takeover(self.server_takes)
            .client_context_takeover(self.client_takes)
            .server_max_window_bits(self.server_bits)
            .client_max_window_bits(self.client_bits)
    }
}

/// Sends every possible offer to this server, and checks the responses by §7.1.
#[track_caller]
fn every_offer(ours: Ours) {
    let (server, _) = echo_with(WsOptions::new().deflate(ours.deflate()));
    let show = |name: &str, bits: Offered| match bits {
        None => String::new(),
        Some(None) => format!("; {name}"),
        Some(Some(bits)) => format!("; {name}={bits}"),
    };
    let (server_window, client_window): ([Offered; 4], [Offered; 5]) = (
        [None, Some(Some(8)), Some(Some(11)), Some(Some(15))],
        [
            None,
            Some(None),
            Some(Some(8)),
            Some(Some(11)),
            Some(Some(15)),
        ],
    );
    for (server_bits, client_bits, flags) in server_window.iter().flat_map(|server| {
        let both = client_window.iter().map(move |client| (*server, *client));
        both.flat_map(|(server, client)| (0..4).map(move |flags| (server, client, flags)))
    }) {
        let (server_none, client_none) = (flags & 1 == 1, flags & 2 == 2);
        let mut offer = "permessage-deflate".to_owned();
        offer += if client_none {
            "; client_no_context_takeover"
        } else {
            ""
        };
        offer += &show("server_max_window_bits", server_bits);
        offer += if server_none {
            "; server_no_context_takeover"
        } else {
            ""
        };
        offer += &show("client_max_window_bits", client_bits);
        let Some(response) = respond(&server, [&offer]) else {
            // §7.1.2.2: the server cannot limit a client that does not know the parameter.
            let told = ours.client_bits == 15 || client_bits.is_some();
            assert!(!told, "{offer} is declined");
            continue;
        };
        let agreed = Agreement::parse(&response);
        let told = (&offer, &response);
        // §7.1.1.1: the server must do what the client asks for, and may do it without being asked.
        let takeover = ours.server_takes && !server_none;
        assert_eq!(agreed.server_no_context_takeover, !takeover, "{told:?}");
        // §7.1.1.2: the client's statement about itself is a hint.
        match ours.client_takes {
            false => assert!(agreed.client_no_context_takeover, "{told:?}"),
            true => assert!(
                client_none || !agreed.client_no_context_takeover,
                "{told:?}"
            ),
        }
        // §7.1.2.1: the same window as the client asked for, or a smaller one.
        let asked = server_bits.flatten().unwrap_or(15);
        let smaller = u32::from(ours.server_bits).min(asked);
        match agreed.server_max_window_bits {
            Some(bits) => assert_eq!(bits, smaller, "{told:?}"),
            None => assert!(server_bits.is_none() && smaller == 15, "{told:?}"),
        }
        // §7.1.2.2: only if the client offered it, and then the same or smaller.
        let asked = client_bits.flatten().unwrap_or(15);
        let smaller = u32::from(ours.client_bits).min(asked);
        match agreed.client_max_window_bits {
            Some(bits) => {
                assert!(client_bits.is_some(), "{told:?}");
                assert_eq!(bits, smaller, "{told:?}");
            }
            None => assert_eq!(smaller, 15, "{told:?}"),
        }
    }
}

#[test]
fn rfc7692_7_1_1_2_a_client_keeps_its_context_unless_it_offers_not_to() {
    let (server, _) = echo();
    for offer in [
        // Firefox and Mojolicious; Chrome, ws, websockets and Tornado.
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits=15",
    ] {
        let mut client = DeflateClient::open(server.addr(), "/", offer);
        assert!(!client.agreement.client_no_context_takeover, "{offer}");
        for message in [HELLO, HELLO_AGAIN, HELLO_AGAIN] {
            client.send_text(message);
            client.expect(Opcode::TEXT, "Hello");
        }
        client.close();
    }
    // The client has said that it does not need takeover.
    let offer = "permessage-deflate; client_no_context_takeover";
    let agreed = default_and("; client_no_context_takeover");
    assert_eq!(respond(&server, [offer]), agreed);
    // These options always ask for that, whatever the client offers.
    let (server, _) =
        echo_with(WsOptions::new().deflate(Deflate::default().client_context_takeover(false)));
    for offer in ["permessage-deflate", OFFER, offer] {
        assert_eq!(respond(&server, [offer]), agreed, "{offer}");
    }
}

#[test]
fn ws_20_client_max_window_bits_is_never_answered_unless_it_was_offered() {
    let ours = |server_takes, client_takes, server_bits, client_bits| Ours {
        server_takes,
        client_takes,
        server_bits,
        client_bits,
    };
    let default = ours(false, true, 15, 15);
    assert_eq!(default.deflate(), Deflate::default());
    every_offer(default);
    for (server_takes, client_takes, server_bits, client_bits) in [
        (false, false, 15, 15),
        (true, true, 15, 10),
        (false, false, 9, 14),
        (true, true, 15, 15),
    ] {
        every_offer(ours(server_takes, client_takes, server_bits, client_bits));
    }
}

#[test]
fn rfc7692_7_1_2_2_a_client_that_cannot_be_told_is_not_compressed() {
    let narrow = Deflate::default().client_max_window_bits(10);
    let (server, _) = echo_with(WsOptions::new().deflate(narrow));
    assert_eq!(respond(&server, ["permessage-deflate"]), None);
    let fallback = "permessage-deflate, permessage-deflate; client_max_window_bits";
    let agreed = default_and("; client_max_window_bits=10");
    assert_eq!(respond(&server, [fallback]), agreed);
}

#[test]
fn ws_08_a_compressed_frame_in_the_segment_of_the_handshake() {
    let (server, _) = echo_with(deflating());
    let (request, frame) = (offering("/", OFFER), Frame::text(HELLO).compressed());
    let bytes = [request.as_bytes(), &frame.to_bytes()].concat();
    for cut in request.len() - 3..=bytes.len() {
        let mut client = server.connect();
        client.send_slowly([&bytes[..cut], &bytes[cut..]]);
        let mut opened = DeflateClient::opened(client);
        opened.expect(Opcode::TEXT, "Hello");
        opened.close();
    }
}

#[test]
#[should_panic(expected = "a window has 8 to 15 bits, not 7")]
fn a_window_of_7_bits_is_refused_at_once() {
    let _ = WsOptions::new().deflate(Deflate::default().server_max_window_bits(7));
}
