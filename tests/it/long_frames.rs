//! Frames around the sizes at which the server changes how it reads a WebSocket: its first buffer
//! (1 KiB), the buffer in which it waits later (4 KiB), and the buffer for long frames (64 KiB).

use std::io::Read;
use std::time::Duration;

use akurai_tests::{Frame, Opcode, WsClient};
use akurai_ws::{Error, Kind, Message, WsOptions};

use crate::rfc6455::echo_with;
use crate::serving::{next, reporting_with};

const SHORT: Duration = Duration::from_millis(2);

/// Code points of one to four bytes; `shift` moves them all.
fn text(shift: usize, len: usize) -> String {
    let mut text = "abcd"[..shift].to_owned();
    while text.len() < len {
        text.push_str("x\u{e9}\u{20ac}\u{1f600}");
    }
    while !text.is_char_boundary(len) {
        text.insert(0, '-');
    }
    text.truncate(len);
    text
}

/// Lengths around the sizes of buffers, with a client's header and without.
fn lengths() -> Vec<usize> {
    let mut lengths = Vec::new();
    for edge in [1024, 4096, 1024 + 4096, 65536, 4096 + 65536] {
        for header in [0, 8, 14] {
            lengths.extend([edge - header - 1, edge - header, edge - header + 1]);
        }
    }
    lengths.push(1024 + 4096 + 65536);
    lengths
}

#[test]
fn what_stands_behind_a_frame_in_the_same_read() {
    let (server, _) = echo_with(WsOptions::new());
    let mut used = WsClient::open(server.addr(), "/");
    for len in lengths() {
        let text = text(len % 4, len);
        let bytes: Vec<u8> = (0..len).map(|n| (n * 7 % 251) as u8).collect();
        let ping = Frame::ping("?").to_bytes();
        let first = [Frame::text(text.clone()).to_bytes(), ping.clone()].concat();
        let second = [Frame::binary(bytes.clone()).to_bytes(), ping].concat();
        let short = Frame::text("short").to_bytes();
        // As a connection's first message, and as one of many.
        for ws in [&mut WsClient::open(server.addr(), "/"), &mut used] {
            ws.client.send([&first[..], &short].concat());
            ws.expect(Opcode::TEXT, &text);
            ws.expect(Opcode::PONG, "?");
            ws.expect(Opcode::TEXT, "short");
            ws.client.send([&short[..], &second].concat());
            ws.expect(Opcode::TEXT, "short");
            ws.expect(Opcode::BINARY, &bytes);
            ws.expect(Opcode::PONG, "?");
        }
    }
}

#[test]
fn cuts_at_the_edges_of_the_buffers() {
    let (server, _) = echo_with(WsOptions::new());
    let text = text(0, 80_000);
    let wire = Frame::text(text.clone()).to_bytes();
    let mut ws = WsClient::open(server.addr(), "/");
    for edge in [14, 1024, 4096, 14 + 4096, 1024 + 4096, 65536, 4096 + 65536] {
        // At each byte of a code point, and of the header.
        for cut in edge - 12..edge + 3 {
            ws.client.send(&wire[..cut]);
            assert!(ws.client.is_silent_for(SHORT));
            ws.client.send(&wire[cut..]);
            ws.expect(Opcode::TEXT, &text);
        }
    }
    ws.close();
}

#[test]
fn ws_18_text_is_checked_as_it_comes() {
    let (server, _) = echo_with(WsOptions::new());
    for valid in [0, 1, 1009, 1010, 4095, 4096, 5000, 65536, 70_000, 150_000] {
        // Code points that begin and do not continue, and bytes that begin no code point.
        for wrong in [&b"\xc3\xff"[..], b"\xe2\x82(", b"\xf0\x9f\x98x", b"\x80"] {
            let payload = [text(0, valid).as_bytes(), wrong].concat();
            let frame = Frame::text(payload).claiming(1 << 20);
            let mut ws = WsClient::open(server.addr(), "/");
            ws.send(&frame);
            // The client never sends most of the frame.
            ws.expect_close_and_eof(1007);
        }
    }
}

#[test]
fn a_timeout_in_a_long_frame_loses_nothing() {
    let text = text(0, 300_000);
    let wire = Frame::text(text.clone()).to_bytes();
    for cut in [500, 3000, 20_001, 20_002, 20_003, 150_000] {
        for way in 0..3 {
            let (server, ends) = reporting_with(WsOptions::new(), move |mut conn| {
                let mut timeouts = 0;
                while matches!(conn.recv_timeout(SHORT), Err(Error::Timeout)) {
                    timeouts += 1;
                    if timeouts == 3 {
                        break;
                    }
                }
                conn.send_text("late").unwrap();
                let mut bytes = Vec::new();
                match way {
                    0 => match conn.recv().unwrap() {
                        Some(Message::Text(text)) => bytes = text.into_bytes(),
                        other => panic!("{other:?}"),
                    },
                    1 => {
                        let mut reader = conn.recv_stream().unwrap().expect("a message");
                        assert_eq!(reader.kind(), Kind::Text);
                        reader.read_to_end(&mut bytes).unwrap();
                    }
                    _ => {
                        assert_eq!(conn.recv_into(&mut bytes).unwrap(), Some(Kind::Text));
                    }
                }
                (timeouts, bytes, conn.recv().unwrap())
            });
            let mut ws = WsClient::open(server.addr(), "/");
            ws.client.send(&wire[..cut]);
            ws.expect(Opcode::TEXT, "late");
            ws.client.send(&wire[cut..]);
            ws.send(&Frame::text("next"));
            let (timeouts, bytes, behind) = next(&ends);
            assert_eq!(timeouts, 3);
            assert!(bytes == text.as_bytes(), "cut at {cut}, way {way}");
            assert_eq!(behind, Some(Message::Text("next".into())));
        }
    }
}

/// More connections are in the middle of a frame at once than the server keeps buffers.
#[test]
fn connections_do_not_see_each_others_bytes() {
    let (server, _) = echo_with(WsOptions::new());
    let mut clients: Vec<(WsClient, Vec<u8>)> = (0..24u8)
        .map(|n| (WsClient::open(server.addr(), "/"), vec![n; 150_000]))
        .collect();
    for _ in 0..2 {
        for part in 0..3 {
            for (ws, payload) in &mut clients {
                let wire = Frame::binary(payload.clone()).to_bytes();
                let piece = wire.chunks(wire.len().div_ceil(3)).nth(part).unwrap();
                ws.client.send(piece);
            }
        }
        for (ws, payload) in &mut clients {
            ws.expect(Opcode::BINARY, payload);
        }
    }
}
