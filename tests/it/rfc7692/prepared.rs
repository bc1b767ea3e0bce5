//! One message to connections with different agreements.

use std::sync::{Arc, Mutex};

use akurai_http::Request;
use akurai_server::Hub;
use akurai_tests::{DeflateClient, Frame, Opcode, Random, TestServer, WsClient, eventually};
use akurai_ws::{Deflate, Prepared, Sender, WsOptions};

use super::{OFFER, deflating, taking_over};
use crate::hub::quick;
use crate::serving::recv_all;

/// A server whose connections add their senders to this list; at `/takeover` with context takeover.
fn meeting() -> (TestServer, Arc<Mutex<Vec<Sender>>>) {
    let everyone: Arc<Mutex<Vec<Sender>>> = Arc::default();
    let joining = Arc::clone(&everyone);
    let server = TestServer::start(move |request: &Request| {
        let options = match request.path() {
            "/takeover" => WsOptions::new().deflate(taking_over()),
            "/off" => WsOptions::new(),
            _ => deflating(),
        };
        let joining = Arc::clone(&joining);
        options.upgrade(request, move |mut conn| {
            joining.lock().unwrap().push(conn.sender());
            recv_all(&mut conn).expect("the peer closes");
            Ok(())
        })
    });
    (server, everyone)
}

/// All clients, which differ in their paths and offers.
struct Everyone {
    deflating: Vec<DeflateClient>,
    plain: Vec<WsClient>,
}

impl Everyone {
    fn meet(server: &TestServer, senders: &Mutex<Vec<Sender>>) -> Everyone {
        let mut deflating = Vec::new();
        let (narrow, alone) = (
            "permessage-deflate; server_max_window_bits=9",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
        );
        for path in ["/", "/takeover"] {
            for offer in [OFFER, OFFER, "permessage-deflate", narrow, alone] {
                deflating.push(DeflateClient::open(server.addr(), path, offer));
                // In this order, so that a failure names its client.
                let count = deflating.len();
                eventually("it has joined", || senders.lock().unwrap().len() == count);
            }
        }
        let plain: Vec<WsClient> = ["/", "/takeover", "/off"]
            .map(|path| WsClient::open(server.addr(), path))
            .into();
        let count = deflating.len() + plain.len();
        eventually("all have joined", || senders.lock().unwrap().len() == count);
        Everyone { deflating, plain }
    }

    /// Every client gets this message, compressed or not as `is_compressed` says.
    #[track_caller]
    fn expect(&mut self, opcode: Opcode, payload: &[u8], is_compressed: impl Fn(usize) -> bool) {
        for (n, client) in self.deflating.iter_mut().enumerate() {
            let came = client.expect(opcode, payload);
            assert_eq!(came.compressed, is_compressed(n), "connection {n}");
        }
        for ws in &mut self.plain {
            ws.expect(opcode, payload);
        }
    }
}

/// The connections that compress messages of any length.
fn takes_all(n: usize) -> bool {
    n >= 5
}

#[test]
fn a_prepared_message_is_right_for_every_agreement() {
    let (server, senders) = meeting();
    let mut everyone = Everyone::meet(&server, &senders);
    let mut random = Random::announced();
    let noise = random.bytes(5000);
    let text = "prepared, \u{1f600} and sent; ".repeat(201);
    let edge = "e".repeat(512);
    for round in 0..3 {
        println!("round {round}");
        for (payload, is_text) in [
            (text.as_bytes(), true),
            (&noise[..], false),
            (edge.as_bytes(), true),
            (&edge.as_bytes()[1..], false),
            (b"", true),
            (b"short", true),
        ] {
            let prepared = match is_text {
                true => Prepared::text(std::str::from_utf8(payload).unwrap()),
                false => Prepared::binary(payload),
            };
            let opcode = if is_text {
                Opcode::TEXT
            } else {
                Opcode::BINARY
            };
            let is_compressed = |n: usize| match payload.len() {
                5000 | 0..=5 => false,
                511 => takes_all(n),
                _ => true,
            };
            // As it is, as a clone, and by both ways of sending.
            for sender in &*senders.lock().unwrap() {
                sender.send_prepared(&prepared).unwrap();
                sender.post([&prepared.clone()]).unwrap();
            }
            everyone.expect(opcode, payload, is_compressed);
            everyone.expect(opcode, payload, is_compressed);
        }
    }
    for client in everyone.deflating {
        client.close();
    }
}

#[test]
fn prepared_messages_between_others_of_a_context() {
    let (server, senders) = meeting();
    let mut everyone = Everyone::meet(&server, &senders);
    let once = "said once, and prepared, and streamed; ".repeat(30);
    let other = "and something else, said once; ".repeat(30);
    let (prepared, short) = (Prepared::text(&once), Prepared::text("short"));
    for _ in 0..3 {
        for sender in &*senders.lock().unwrap() {
            sender.send_text(&once).unwrap();
            sender.send_prepared(&prepared).unwrap();
            sender.send_text(&other).unwrap();
            sender.post([&prepared]).unwrap();
            sender.send_prepared(&short).unwrap();
            sender.send_text(&other).unwrap();
            sender.send_text(&once).unwrap();
        }
        for text in [&once, &once, &other, &once] {
            everyone.expect(Opcode::TEXT, text.as_bytes(), |_| true);
        }
        everyone.expect(Opcode::TEXT, b"short", |_| false);
        for text in [&other, &once] {
            everyone.expect(Opcode::TEXT, text.as_bytes(), |_| true);
        }
    }
}

#[test]
fn connections_with_the_same_agreement_get_the_same_bytes() {
    let (server, senders) = meeting();
    let mut everyone = Everyone::meet(&server, &senders);
    let text = "the same for all of them, ".repeat(100);
    let prepared = Prepared::text(&text);
    for sender in &*senders.lock().unwrap() {
        sender.send_prepared(&prepared).unwrap();
    }
    let payloads: Vec<Vec<u8>> = everyone
        .deflating
        .iter_mut()
        .map(|client| client.ws.read_frame_and_rsv().1.payload)
        .collect();
    // The payload depends only on the window: a prepared message never refers to earlier messages.
    for (one, other) in [(0, 1), (0, 2), (0, 5), (3, 4), (3, 8), (3, 9)] {
        assert_eq!(payloads[one], payloads[other], "{one} and {other}");
    }
}

#[test]
fn a_hub_over_connections_with_different_agreements() {
    let hub = Hub::new(quick()).unwrap();
    let room = hub.clone();
    let server = TestServer::start(move |request: &Request| {
        let hub = room.clone();
        let deflate = match request.path() {
            "/takeover" => taking_over(),
            _ => Deflate::default(),
        };
        let options = WsOptions::new().deflate(deflate);
        options.upgrade(request, move |mut conn| {
            let _member = hub.join("a", conn.sender());
            recv_all(&mut conn).expect("the peer closes");
            Ok(())
        })
    });
    let mut members: Vec<DeflateClient> = ["/", "/takeover"]
        .iter()
        .flat_map(|path| {
            [OFFER, "permessage-deflate; server_max_window_bits=8"]
                .map(|offer| DeflateClient::open(server.addr(), path, offer))
        })
        .collect();
    let mut plain = WsClient::open(server.addr(), "/");
    eventually("all have joined", || hub.present("a") == 5);
    for n in 0..30 {
        let text = format!("event {n}, ").repeat(n * 5 + 1);
        hub.publish("a", "", &text).unwrap();
        // Every member gets them in the order of publishing.
        for member in &mut members {
            let came = member.expect(Opcode::TEXT, &text);
            assert!(came.compressed || came.wire_bytes < 512);
        }
        plain.expect(Opcode::TEXT, &text);
        members[n % 4].send(&Frame::ping("?"));
        members[n % 4].ws.expect(Opcode::PONG, "?");
    }
    for member in members {
        member.close();
    }
}
