//! Threads that send at the same time on a connection whose messages share a context.

use std::io::Write;
use std::thread;

use akurai_tests::{Frame, Opcode, Random};
use akurai_ws::{Error, Kind, Message, Prepared, Sender, WhenFull, WsOptions};

use super::{open, taking_over};
use crate::labels::{labelled, read_label};
use crate::serving::{next, recv_all, reporting_with, serving_with};

/// Each of `threads` threads sends a message of each of `lens`, using all ways to send.
fn send_from_threads(sender: &Sender, threads: usize, lens: &[usize]) {
    let all: Vec<_> = (0..threads)
        .map(|thread| {
            let (sender, lens) = (sender.clone(), lens.to_vec());
            thread::spawn(move || {
                for (n, len) in lens.into_iter().enumerate() {
                    let message = labelled(thread, n, len);
                    match (thread + n) % 5 {
                        0 => sender.send_prepared(&Prepared::binary(&message))?,
                        1 if thread % 4 == 1 => {
                            let mut writer = sender.send_stream(Kind::Binary)?;
                            for piece in message.chunks(1 + message.len() / 3) {
                                writer.write_all(piece)?;
                            }
                            writer.finish()?;
                        }
                        2 => {
                            sender.send_ping(b"between")?;
                            sender.send_binary(&message)?;
                        }
                        _ => sender.send_binary(&message)?,
                    }
                }
                Ok::<(), Error>(())
            })
        })
        .collect();
    for thread in all {
        thread.join().unwrap().expect("the peer reads");
    }
}

/// Reads `each` messages of each thread. Each must be whole, and each thread's messages in its
/// order. Pings may come anywhere.
#[track_caller]
fn read_from_threads(client: &mut akurai_tests::DeflateClient, threads: usize, each: usize) {
    let mut seen = vec![0; threads];
    let mut begun: Option<(bool, Vec<u8>)> = None;
    while seen.iter().any(|count| *count < each) {
        let (rsv, frame) = client.ws.read_frame_and_rsv();
        let (compressed, wire) = match (frame.opcode, begun.take()) {
            (Opcode::PING | Opcode::PONG, open) => {
                assert_eq!(rsv, 0);
                begun = open;
                continue;
            }
            (Opcode::BINARY, None) => (rsv == 4, frame.payload),
            (Opcode::CONTINUATION, Some((compressed, wire))) => {
                assert_eq!(rsv, 0);
                (compressed, [wire, frame.payload].concat())
            }
            (opcode, begun) => panic!("{opcode:?}, in a message: {}", begun.is_some()),
        };
        if !frame.fin {
            begun = Some((compressed, wire));
            continue;
        }
        let message = if compressed {
            client.inflate(&wire)
        } else {
            wire
        };
        let (thread, n) = read_label(&message);
        assert_eq!(n, seen[thread], "of thread {thread}");
        seen[thread] += 1;
    }
}

#[test]
fn threads_that_share_a_context() {
    let mut random = Random::announced();
    for (round, threshold_bytes) in [0, 200, 0, 50, 0, 100].into_iter().enumerate() {
        let threads = [16, 8, 3, 12, 2, 24][round];
        let lens: Vec<usize> = (0..40)
            .map(|_| match random.below(12) {
                0 => random.below(60_000),
                _ => random.below(900),
            })
            .collect();
        let each = lens.len();
        // From a queue that is too small for most messages to one that is large enough for all.
        let options = WsOptions::new()
            .deflate(
                taking_over()
                    .threshold_bytes(threshold_bytes)
                    .server_context_takeover(round != 4),
            )
            .max_queue_bytes([50, 2000, 1 << 20][round % 3])
            .max_queue_messages([1, 7, 1024][round / 2])
            .when_full(WhenFull::Wait);
        let server = serving_with(options, move |mut conn| {
            let (sender, lens) = (conn.sender(), lens.clone());
            let pushing = thread::spawn(move || send_from_threads(&sender, threads, &lens));
            recv_all(&mut conn).expect("the peer closes");
            pushing.join().unwrap();
            Ok(())
        });
        let mut client = open(&server);
        // The reader's pongs come between.
        for _ in 0..50 {
            client.send(&Frame::ping("?"));
        }
        read_from_threads(&mut client, threads, each);
        client.ws.client.send(Frame::close(1000, "").to_bytes());
    }
}

#[test]
fn threads_to_one_connection_that_echoes() {
    const THREADS: usize = 16;
    let lens: Vec<usize> = (0..30).map(|n| n * n * 7 % 3000).collect();
    let each = lens.len();
    let options = WsOptions::new()
        .deflate(taking_over())
        .when_full(WhenFull::Wait);
    let (server, ends) = reporting_with(options, move |mut conn| {
        let sender = conn.sender();
        let lens = lens.clone();
        let pushing = thread::spawn(move || send_from_threads(&sender, THREADS, &lens));
        let mut heard = [0; THREADS];
        while heard.iter().any(|count| *count < each) {
            if let Some(Message::Binary(bytes)) = conn.recv().expect("the peer echoes") {
                let (thread, n) = read_label(&bytes);
                assert_eq!(n, heard[thread], "of thread {thread}");
                heard[thread] += 1;
            }
        }
        pushing.join().unwrap();
        recv_all(&mut conn)
    });
    let mut client = open(&server);
    let mut squeezer = akurai_tests::deflate::Squeezer::new(15, true);
    let mut seen = [0; THREADS];
    let mut begun: Option<(bool, Vec<u8>)> = None;
    while seen.iter().any(|count| *count < each) {
        let (rsv, frame) = client.ws.read_frame_and_rsv();
        if frame.opcode == Opcode::PING {
            continue;
        }
        let (compressed, mut wire) = begun.take().unwrap_or((rsv == 4, Vec::new()));
        wire.extend(frame.payload);
        if !frame.fin {
            begun = Some((compressed, wire));
            continue;
        }
        let message = if compressed {
            client.inflate(&wire)
        } else {
            wire
        };
        let (thread, n) = read_label(&message);
        assert_eq!(n, seen[thread], "of thread {thread}");
        seen[thread] += 1;
        // The client sends every third back as it is.
        match n % 3 {
            0 => client.send(&Frame::binary(message)),
            _ => client.send_binary(squeezer.message(message)),
        }
    }
    client.close();
    assert_eq!(next(&ends), Ok(()));
}
