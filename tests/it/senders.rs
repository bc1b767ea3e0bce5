//! Threads that send on a WebSocket while another receives.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use akurai_tests::{DEADLINE, Frame, Gate, Opcode, Random, WsClient, eventually};
use akurai_ws::{Error, Kind, Message, Prepared, Sender, WhenFull, WsOptions};

use crate::labels::{labelled, read_label};
use crate::serving::{expect_info, next, recv_all, reporting_with, serving_with};

/// Each of `threads` threads sends a message of each of `lens`, using all ways to send.
fn send_from_threads(sender: &Sender, threads: usize, lens: &[usize]) {
    let all: Vec<_> = (0..threads)
        .map(|thread| {
            let (sender, lens) = (sender.clone(), lens.to_vec());
            thread::spawn(move || {
                for (n, len) in lens.into_iter().enumerate() {
                    let message = labelled(thread, n, len);
                    match (thread + n) % 4 {
                        0 => sender.send_prepared(&Prepared::binary(&message))?,
                        1 if thread % 8 == 1 => {
                            let mut writer = sender.send_stream(Kind::Binary)?;
                            for piece in message.chunks(1 + message.len() / 3) {
                                writer.write_all(piece)?;
                            }
                            writer.finish()?;
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

/// Reads `each` messages of each thread, and joins fragments. Each message must be whole, and each
/// thread's messages in its order.
#[track_caller]
fn read_from_threads(ws: &mut WsClient, threads: usize, each: usize) {
    let mut seen = vec![0; threads];
    let mut fragments: Option<Vec<u8>> = None;
    while seen.iter().any(|count| *count < each) {
        let frame = ws.read_frame();
        let message = match (frame.opcode, fragments.take()) {
            (Opcode::PONG, begun) => {
                fragments = begun;
                continue;
            }
            (Opcode::BINARY, None) => frame.payload,
            (Opcode::CONTINUATION, Some(begun)) => [begun, frame.payload].concat(),
            (opcode, begun) => panic!("{opcode:?}, in a message: {}", begun.is_some()),
        };
        if !frame.fin {
            fragments = Some(message);
            continue;
        }
        let (thread, n) = read_label(&message);
        assert_eq!(n, seen[thread], "of thread {thread}");
        seen[thread] += 1;
    }
}

#[test]
fn sixty_four_threads_to_one_connection_that_echoes() {
    const THREADS: usize = 64;
    let lens: Vec<usize> = (0..50).map(|n| n * n * 7 % 3000).collect();
    let each = lens.len();
    let (server, ends) = reporting_with(
        WsOptions::new().when_full(WhenFull::Wait),
        move |mut conn| {
            let sender = conn.sender();
            let lens = lens.clone();
            let pushing = thread::spawn(move || send_from_threads(&sender, THREADS, &lens));
            let mut heard = vec![0; THREADS];
            while heard.iter().any(|count| *count < each) {
                if let Some(Message::Binary(bytes)) = conn.recv().expect("the peer echoes") {
                    let (thread, n) = read_label(&bytes);
                    assert_eq!(n, heard[thread], "of thread {thread}");
                    heard[thread] += 1;
                }
            }
            pushing.join().unwrap();
            recv_all(&mut conn)
        },
    );
    let mut ws = WsClient::open(server.addr(), "/");
    let mut seen = vec![0; THREADS];
    let mut fragments = Vec::new();
    while seen.iter().any(|count| *count < each) {
        let frame = ws.read_frame();
        fragments.extend(frame.payload);
        if frame.fin {
            let message = std::mem::take(&mut fragments);
            let (thread, n) = read_label(&message);
            assert_eq!(n, seen[thread], "of thread {thread}");
            seen[thread] += 1;
            ws.send(&Frame::binary(message));
        }
    }
    ws.close();
    assert_eq!(next(&ends), Ok(()));
}

#[test]
fn property_frames_of_concurrent_senders_never_interleave() {
    let mut random = Random::announced();
    for round in 0..12 {
        let threads = 2 + random.below(12);
        let lens: Vec<usize> = (0..30)
            .map(|_| match random.below(10) {
                0 => random.below(400_000),
                _ => random.below(300),
            })
            .collect();
        let each = lens.len();
        // From a queue that is too small for most messages to one that is large enough for all.
        let options = WsOptions::new()
            .max_queue_bytes([50, 2000, 1 << 20][round % 3])
            .max_queue_messages([1, 7, 1024][round / 3 % 3])
            .when_full(WhenFull::Wait)
            // On a slow machine a round may take longer than a ping's interval.
            .ping_interval(None);
        let server = serving_with(options, move |mut conn| {
            let (sender, lens) = (conn.sender(), lens.clone());
            let pushing = thread::spawn(move || send_from_threads(&sender, threads, &lens));
            recv_all(&mut conn).expect("the peer closes");
            pushing.join().unwrap();
            Ok(())
        });
        let mut ws = WsClient::open(server.addr(), "/");
        // The reader's pongs come between.
        for _ in 0..50 {
            ws.send(&Frame::ping("?"));
        }
        read_from_threads(&mut ws, threads, each);
    }
}

#[test]
fn a_sender_that_outlives_its_connection_holds_nothing() {
    let (server, senders) = reporting_with(WsOptions::new(), |conn| conn.sender());
    let mut ws = WsClient::open(server.addr(), "/");
    let sender = next(&senders);
    ws.expect_close(1000);
    ws.send(&Frame::close(1000, ""));
    ws.client.expect_eof();
    drop(ws);
    eventually("its place is free", || {
        server.handle().stats().upgraded == 0
    });
    assert!(!sender.is_open());
    for result in [
        sender.send_text("x"),
        sender.send_ping(b"x"),
        sender.send_prepared(&Prepared::text("x")),
        sender.send_stream(Kind::Text).map(drop),
    ] {
        assert!(matches!(result, Err(Error::Closed)), "{result:?}");
    }
    // Closing a closed connection does nothing.
    assert!(sender.close(1000, "").is_ok());
    expect_info(sender.close_info(), 1000, "", true);
}

#[test]
fn a_sender_that_is_blocked_has_its_deadline_after_the_closure_too() {
    let options = WsOptions::new()
        .close_wait(Duration::from_millis(50))
        .write_deadline(Duration::from_millis(200));
    let gate = Gate::new();
    let waiter = gate.waiter();
    let (server, threads) = reporting_with(options, move |conn| {
        let sender = conn.sender();
        let writer = thread::spawn(move || sender.send_binary(&vec![7; 64 << 20]));
        waiter.wait();
        writer
    });
    let ws = WsClient::open(server.addr(), "/");
    ws.client.await_unread();
    gate.open();
    let sent = next(&threads).join().unwrap();
    assert!(sent.is_err(), "nobody took it");
    eventually("its place is free", || {
        server.handle().stats().upgraded == 0
    });
}

#[test]
fn another_thread_closes() {
    let (server, ends) = reporting_with(WsOptions::new(), |mut conn| {
        let sender = conn.sender();
        let closing = thread::spawn(move || {
            sender.send_text("first").unwrap();
            sender.close(4000, "enough").unwrap();
            sender.send_text("never")
        });
        let mut messages = Vec::new();
        while let Ok(Some(message)) = conn.recv() {
            messages.push(message);
        }
        (closing.join().unwrap(), messages, conn.close_info())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect(Opcode::TEXT, "first");
    ws.expect_close(4000);
    ws.send(&Frame::text("discarded"));
    ws.send(&Frame::close(4000, "enough"));
    ws.client.expect_eof();
    let (after, messages, info) = next(&ends);
    assert!(matches!(after, Err(Error::Closed)), "{after:?}");
    assert!(
        matches!(&messages[..], [Message::Close(Some(_))]),
        "{messages:?}"
    );
    expect_info(info, 4000, "enough", true);
}

#[test]
fn another_thread_closes_and_nobody_answers() {
    let short = Duration::from_millis(60);
    let options = WsOptions::new().ping_interval(short).close_wait(short);
    let (server, ends) = reporting_with(options, |mut conn| {
        let sender = conn.sender();
        let closing = thread::spawn(move || sender.close(1000, ""));
        let outcome = recv_all(&mut conn);
        closing.join().unwrap().expect("it is open");
        (outcome, conn.close_info())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect_close_and_eof(1000);
    let (outcome, info) = next(&ends);
    assert_eq!(outcome, Ok(()));
    expect_info(info, 1000, "", false);
}

#[test]
fn closes_that_cross_from_another_thread() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let (server, ends) = reporting_with(WsOptions::new(), move |mut conn| {
        let (sender, waiter) = (conn.sender(), waiter.clone());
        let closing = thread::spawn(move || {
            waiter.wait();
            sender.close(4001, "mine")
        });
        let outcome = recv_all(&mut conn);
        (outcome, closing.join().unwrap().is_ok(), conn.close_info())
    });
    for _ in 0..20 {
        let mut ws = WsClient::open(server.addr(), "/");
        gate.open();
        ws.send(&Frame::close(4002, "theirs"));
        // Whichever came first. The server sends one Close, not two.
        let close = ws.read_frame();
        assert!(matches!(close.close_code(), Some(4001 | 4002)), "{close:?}");
        ws.client.expect_eof();
        let (outcome, closed, info) = next(&ends);
        assert_eq!((outcome, closed), (Ok(()), true));
        assert!(info.expect("it is closed").clean);
    }
}

#[test]
fn what_was_accepted_goes_out_before_the_close() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let options = WsOptions::new().when_full(WhenFull::Wait);
    let server = serving_with(options, move |conn| {
        let sender = conn.sender();
        let blocked = conn.sender();
        let writer = thread::spawn(move || blocked.send_binary(&vec![7; 8 << 20]));
        // Until the writer is in the middle of its frame.
        waiter.wait();
        for n in 0..100 {
            sender.send_text(&n.to_string())?;
        }
        drop(conn);
        let _ = writer.join();
        Ok(())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.client.await_unread();
    gate.open();
    let mut next_text = 0;
    let close = loop {
        let frame = ws.read_frame();
        match frame.opcode {
            Opcode::TEXT => {
                assert_eq!(frame.payload, next_text.to_string().as_bytes());
                next_text += 1;
            }
            Opcode::BINARY => assert_eq!(frame.payload.len(), 8 << 20),
            _ => break frame,
        }
    };
    assert_eq!((close.close_code(), next_text), (Some(1000), 100));
}

#[test]
fn a_server_that_stops_lets_the_frame_under_way_be_finished() {
    const LEN: usize = 32 << 20;
    let server = serving_with(WsOptions::new(), |mut conn| {
        let sender = conn.sender();
        // Nothing joins this thread: the connection ends while it writes.
        thread::spawn(move || sender.send_binary(&vec![7; LEN]));
        assert_eq!(recv_all(&mut conn), Ok(()));
        Ok(())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.client.await_unread();
    server.handle().shutdown(DEADLINE);
    assert_eq!(ws.read_frame().payload.len(), LEN);
    ws.expect_close(1001);
}

#[test]
fn a_violation_while_another_thread_writes_shows_close_and_then_fin() {
    let (server, ends) = reporting_with(WsOptions::new(), |mut conn| {
        let sender = conn.sender();
        let writer = thread::spawn(move || sender.send_binary(&vec![7; 32 << 20]));
        let outcome = recv_all(&mut conn);
        (outcome, writer.join().unwrap().is_ok())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.client.await_unread();
    ws.send(&Frame::text("x").unmasked());
    // The server first finishes the frame that it is writing.
    ws.expect(Opcode::BINARY, vec![7; 32 << 20]);
    ws.expect_close_and_eof(1002);
    let (outcome, written) = next(&ends);
    assert_eq!(outcome, Err("peer's frame: not masked".to_owned()));
    assert!(written);
}

#[test]
fn one_thread_receives_and_another_sends() {
    let server = serving_with(WsOptions::new(), |mut conn| {
        let sender = conn.sender();
        let (pass, passed) = mpsc::channel::<String>();
        let echo = thread::spawn(move || {
            for text in passed {
                sender.send_text(&text)?;
            }
            Ok(())
        });
        while let Some(message) = conn.recv()? {
            if let Message::Text(text) = message {
                pass.send(text).unwrap();
            }
        }
        drop(pass);
        echo.join().unwrap()
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("hello"));
    ws.expect(Opcode::TEXT, "hello");
    ws.close();
}

#[test]
fn nobody_writes_for_the_others_for_ever() {
    // On a busy machine, ten threads must share the cores.
    let patience = 12 * DEADLINE;
    let options = WsOptions::new()
        .max_queue_bytes(1 << 20)
        .write_deadline(patience)
        .when_full(WhenFull::Wait);
    let (server, ends) = reporting_with(options, |conn| {
        let flooding = Arc::new(AtomicBool::new(true));
        let flood: Vec<_> = (0..8)
            .map(|_| {
                let (sender, flooding) = (conn.sender(), Arc::clone(&flooding));
                thread::spawn(move || {
                    while flooding.load(Ordering::Relaxed) {
                        sender.send_binary(&[7; 1000])?;
                    }
                    Ok::<(), Error>(())
                })
            })
            .collect();
        // The flood ends only after this thread has sent all its messages. Meanwhile it also writes
        // for the other threads.
        let long = vec![7; 8 << 20];
        let sent = (0..3).try_for_each(|_| conn.send_binary(&long));
        flooding.store(false, Ordering::Relaxed);
        let flooded = flood
            .into_iter()
            .all(|thread| thread.join().unwrap().is_ok());
        (sent.is_ok(), flooded)
    });
    let mut client = WsClient::open(server.addr(), "/").client.patience(patience);
    let begun = Instant::now();
    // The client reads slower than the flood comes, so that the writing thread always finds the
    // queue full again.
    let ends = loop {
        match ends.recv_timeout(Duration::from_millis(5)) {
            Ok(ends) => break ends,
            // The end may come in the middle of these.
            Err(_) => drop(client.try_read_exactly(1 << 20)),
        }
        assert!(begun.elapsed() < patience, "it still writes for others");
    };
    assert_eq!(ends, (true, true));
}
