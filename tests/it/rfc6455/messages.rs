//! Messages in both directions (RFC 6455 §5.4–5.6).

use akurai_tests::{DEADLINE, Frame, Opcode, Random, WsClient};
use akurai_ws::Message;

use super::echo;

#[test]
fn messages_of_every_size_are_echoed() {
    let (server, _) = echo();
    let mut random = Random::seeded(0x5eed);
    let mut ws = WsClient::open(server.addr(), "/");
    for len in [
        0,
        1,
        2,
        124,
        125,
        126,
        127,
        1000,
        4096,
        65_535,
        65_536,
        65_537,
        1 << 20,
        (1 << 20) + 1,
    ] {
        let bytes = random.bytes(len);
        let text: String = bytes.iter().map(|byte| char::from(byte & 0x7f)).collect();
        ws.send(&Frame::binary(&bytes[..]));
        ws.expect(Opcode::BINARY, &bytes);
        ws.send(&Frame::text(&text[..]));
        ws.expect(Opcode::TEXT, &text);
    }
    ws.close();
}

#[test]
fn every_masking_key_is_undone() {
    let (server, _) = echo();
    let mut random = Random::seeded(0xface);
    let mut ws = WsClient::open(server.addr(), "/");
    let payload = random.bytes(300);
    for len in (0..40).chain([125, 126, 299, 300]) {
        for key in [[0; 4], [0xff; 4], [1, 2, 3, 4], [0, 0, 0, 1]] {
            // Cut anywhere: unmasking continues at the right byte of the key.
            let frame = Frame::binary(&payload[..len]).masking_key(key).to_bytes();
            ws.client.send_slowly(random.pieces(&frame, 50));
            ws.expect(Opcode::BINARY, &payload[..len]);
        }
    }
    ws.close();
}

#[test]
fn a_message_in_fragments_is_one() {
    let (server, reports) = echo();
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("").unfinished());
    ws.send(&Frame::continuation("hel").unfinished());
    ws.send(&Frame::ping("one"));
    ws.expect(Opcode::PONG, "one");
    ws.send(&Frame::continuation("").unfinished());
    ws.client
        .send([Frame::ping("two").to_bytes(), Frame::ping("").to_bytes()].concat());
    ws.expect(Opcode::PONG, "two");
    ws.expect(Opcode::PONG, "");
    ws.send(&Frame::continuation("lo"));
    ws.expect(Opcode::TEXT, "hello");
    ws.close();
    let report = reports.recv_timeout(DEADLINE).expect("the closure ended");
    let data = |message: &&Message| matches!(message, Message::Text(_) | Message::Binary(_));
    assert_eq!(report.messages.iter().filter(data).count(), 1, "{report:?}");
    assert!(
        report.messages.contains(&Message::Text("hello".into())),
        "{report:?}"
    );
}

#[test]
fn a_ping_is_answered_while_nothing_else_happens() {
    let (server, reports) = echo();
    let mut ws = WsClient::open(server.addr(), "/");
    for payload in [&b""[..], b"hello", &[0xff; 125]] {
        ws.send(&Frame::ping(payload));
        ws.expect(Opcode::PONG, payload);
    }
    ws.close();
    let report = reports.recv_timeout(DEADLINE).expect("the closure ended");
    assert!(
        report.messages.contains(&Message::Ping(b"hello".to_vec())),
        "{report:?}"
    );
}

#[test]
fn random_sessions_however_they_are_cut() {
    let (server, _) = echo();
    let mut random = Random::announced();
    for _ in 0..20 {
        let mut ws = WsClient::open(server.addr(), "/");
        let (mut bytes, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            let len = random.below(3000);
            let payload = random.bytes(len);
            let cuts = random.pieces(&payload, 1500);
            let opcode = |n: usize| {
                if n == 0 {
                    Opcode::BINARY
                } else {
                    Opcode::CONTINUATION
                }
            };
            for (n, piece) in cuts.iter().enumerate() {
                let key = [random.next_u64() as u8, 0, random.next_u64() as u8, 3];
                bytes.extend(
                    Frame::opcode(opcode(n), *piece)
                        .masking_key(key)
                        .unfinished()
                        .to_bytes(),
                );
                if random.below(4) == 0 {
                    let ping = piece[..piece.len().min(125)].to_vec();
                    bytes.extend(Frame::ping(&ping[..]).to_bytes());
                    answers.push((Opcode::PONG, ping));
                }
            }
            bytes.extend(Frame::opcode(opcode(cuts.len()), "").to_bytes());
            answers.push((Opcode::BINARY, payload));
        }
        ws.client.send_slowly(random.pieces(&bytes, 2000));
        for (opcode, payload) in answers {
            ws.expect(opcode, payload);
        }
        ws.close();
    }
}
