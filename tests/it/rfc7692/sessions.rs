//! Random sessions: the messages that go in come out unchanged.

use akurai_tests::deflate::{Blocks, Squeezer};
use akurai_tests::{DeflateClient, Frame, Opcode, Random};
use akurai_ws::WsOptions;

use super::{compressed_fragments, taking_over};
use crate::rfc6455::echo_with;

/// Messages that equal earlier ones, partly equal them, or resemble none.
fn message(random: &mut Random, earlier: &[Vec<u8>]) -> Vec<u8> {
    let len = [0, 1, 40, 500, 600, 3000, 20_000, 70_000][random.below(8)];
    let noise = random.bytes(len.min(5000));
    match (random.below(4), earlier.last()) {
        (0, _) => noise,
        (1, Some(last)) => [&last[last.len() / 2..], &noise[..noise.len() / 4]].concat(),
        (2, Some(_)) => earlier[random.below(earlier.len())].clone(),
        _ => {
            let letters = 2 + random.below(20) as u8;
            let bytes = random.bytes(len.min(8000));
            let few: Vec<u8> = bytes.iter().map(|byte| b'a' + byte % letters).collect();
            few.repeat(1 + len / 10_000)
        }
    }
}

#[test]
fn property_what_goes_in_comes_out() {
    let mut random = Random::announced();
    for round in 0..24 {
        let bits = [15, 8, 9, 12][random.below(4)];
        let (server_takes, client_takes) = (random.below(2) == 0, random.below(2) == 0);
        let (server, _) = echo_with(
            WsOptions::new().deflate(
                taking_over()
                    .level(akurai_http::Level::new([1, 4, 6, 9][random.below(4)]))
                    .threshold_bytes([0, 512][random.below(2)])
                    .server_context_takeover(server_takes)
                    .client_context_takeover(client_takes),
            ),
        );
        let offer = format!(
            "permessage-deflate; server_max_window_bits={bits}; client_max_window_bits={bits}"
        );
        println!("round {round}: {offer}, takeover {server_takes} and {client_takes}");
        let mut client = DeflateClient::open(server.addr(), "/", &offer);
        let mut squeezer = Squeezer::new(bits, client_takes);
        let mut earlier: Vec<Vec<u8>> = Vec::new();
        for _ in 0..12 {
            let message = message(&mut random, &earlier);
            let is_text = message.is_ascii() && random.below(3) > 0;
            let (opcode, first) = match is_text {
                true => (Opcode::TEXT, Frame::text("")),
                false => (Opcode::BINARY, Frame::binary("")),
            };
            if random.below(4) == 0 {
                client.send(&first.with_payload(&message[..]));
            } else {
                let mut blocks = Blocks::new();
                for piece in random.pieces(&message, 30_000) {
                    blocks = match random.below(4) {
                        0 => squeezer.stored(blocks, piece),
                        1 => squeezer.fixed(blocks.with_bfinal(), piece),
                        2 => squeezer.fixed(blocks.stored(""), piece),
                        _ => squeezer.fixed(blocks, piece),
                    };
                }
                let payload = squeezer.end(blocks);
                let mut cuts: Vec<usize> = (0..random.below(5))
                    .map(|_| random.below(payload.len() + 1))
                    .collect();
                cuts.sort_unstable();
                for frame in compressed_fragments(first, &payload, &cuts) {
                    let key = [random.next_u64() as u8, 0, random.next_u64() as u8, 3];
                    client.send(&frame.masking_key(key));
                }
            }
            client.expect(opcode, &message);
            earlier.push(message);
        }
        client.close();
    }
}
