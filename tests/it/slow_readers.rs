//! Peers that do not read what the server sends.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use akurai_tests::{Frame, Gate, Opcode, WsClient, eventually};
use akurai_ws::{Error, WhenFull, WsOptions};

use crate::serving::{PATIENCE, expect_info, next, recv_all, reporting_with};

/// More than the sockets' buffers hold.
const LOTS: usize = 64 << 20;
/// The time that a busy machine may need for a step that should take none.
const GENEROUS: Duration = Duration::from_secs(5);

fn impatient() -> WsOptions {
    WsOptions::new().write_deadline(Duration::from_millis(200))
}

#[test]
fn ws_17_one_who_never_reads_is_ended_by_the_write_deadline() {
    let (server, ends) = reporting_with(impatient(), |mut conn| {
        let sent = conn.send_binary(&vec![7; LOTS]);
        let after = conn.sender().send_text("more");
        (sent, after, recv_all(&mut conn), conn.close_info())
    });
    let ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    let (sent, after, outcome, info) = next(&ends);
    assert!(matches!(sent, Err(Error::WriteDeadline)), "{sent:?}");
    assert!(matches!(after, Err(Error::Closed)), "{after:?}");
    assert_eq!(outcome, Ok(()));
    expect_info(info, 1006, "", false);
    eventually("its place is free", || {
        server.handle().stats().upgraded == 0
    });
    drop(ws);
}

#[test]
fn ws_17_one_who_dribbles_is_ended_too() {
    let (server, ends) = reporting_with(impatient(), |conn| conn.send_binary(&vec![7; LOTS]));
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    let begun = Instant::now();
    // Each write makes progress, but the frame takes too long: 64 KiB in 50 ms are less than 1 MiB
    // in 200 ms.
    let sent = loop {
        match ends.recv_timeout(Duration::from_millis(50)) {
            Ok(sent) => break sent,
            Err(RecvTimeoutError::Timeout) => {
                ws.client.read_some();
            }
            Err(error) => panic!("{error}"),
        }
        assert!(begun.elapsed() < PATIENCE, "it may dribble for ever");
    };
    assert!(matches!(sent, Err(Error::WriteDeadline)), "{sent:?}");
}

#[test]
fn ws_17_one_who_is_merely_slow_is_not() {
    // The whole takes longer than the deadline, but each MiB of it does not.
    let options = WsOptions::new().write_deadline(GENEROUS);
    let (server, ends) = reporting_with(options, |conn| conn.send_binary(&vec![7; LOTS]));
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    let header = ws.client.read_exactly(10);
    assert_eq!(header[..2], [0x82, 127]);
    let (mut left, begun) = (LOTS, Instant::now());
    while left > 0 {
        // 4 MiB each time; the sockets hold a third of the bytes at most at the end.
        let _ = ends.recv_timeout(GENEROUS / 8);
        let piece = left.min(4 << 20);
        ws.client.read_exactly(piece);
        left -= piece;
    }
    assert!(begun.elapsed() > GENEROUS);
    ws.expect_close(1000);
}

#[test]
fn ws_17_other_senders_fail_fast() {
    let options = WsOptions::new().write_deadline(GENEROUS);
    let options = options.when_full(WhenFull::Wait);
    let (server, ends) = reporting_with(options, |mut conn| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let sender = conn.sender();
                std::thread::spawn(move || {
                    let message = vec![7; 300_000];
                    // A thread that waited for its turn without success may try again.
                    while let Ok(()) | Err(Error::Slow) = sender.send_binary(&message) {}
                    let begun = Instant::now();
                    let again = sender.send_text("again");
                    (again, begun.elapsed())
                })
            })
            .collect();
        let outcome = recv_all(&mut conn);
        let ends: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        (outcome, conn.close_info(), ends)
    });
    let _ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    let (outcome, info, ends) = next(&ends);
    assert_eq!(outcome, Ok(()), "the reader hears of it too");
    expect_info(info, 1006, "", false);
    for (again, took) in ends {
        assert!(matches!(again, Err(Error::Closed)), "{again:?}");
        assert!(took < GENEROUS, "it waited for the deadline: {took:?}");
    }
}

#[test]
fn ws_17_a_full_queue_closes_with_1008_by_default() {
    let options = WsOptions::new().max_queue_messages(10);
    let gate = Gate::new();
    let is_writing = gate.waiter();
    let (refuse, refusals) = mpsc::channel();
    let (server, ends) = reporting_with(options, move |mut conn| {
        let (sender, blocked) = (conn.sender(), conn.sender());
        let writer = std::thread::spawn(move || blocked.send_binary(&vec![7; LOTS]));
        is_writing.wait();
        let mut queued = 0;
        let refused = loop {
            match sender.send_text("x") {
                Ok(()) => queued += 1,
                Err(error) => break error,
            }
        };
        let _ = refuse.send(());
        let closed = (sender.is_open(), sender.close_info());
        let after = sender.send_text("x");
        let outcome = recv_all(&mut conn);
        let written = writer.join().unwrap();
        (refused, closed, after, outcome, written, queued)
    });
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    ws.client.await_unread();
    gate.open();
    next(&refusals);
    // Now the client reads: it gets the frame in progress, whole, then the Close, and nothing of
    // the queue between.
    assert_eq!(ws.read_frame().payload.len(), LOTS);
    ws.expect_close(1008);
    ws.send(&Frame::close(1008, ""));
    ws.client.expect_eof();
    let (refused, (is_open, info), after, outcome, written, queued) = next(&ends);
    assert!(matches!(refused, Error::Slow), "{refused:?}");
    assert_eq!((is_open, queued), (false, 10));
    assert_eq!(info.map(|info| info.code), Some(1008));
    assert!(matches!(after, Err(Error::Closed)), "{after:?}");
    assert_eq!(outcome, Ok(()));
    assert!(written.is_ok(), "{written:?}");
}

#[test]
fn ws_17_a_full_queue_may_refuse_and_go_on() {
    let options = WsOptions::new()
        .max_queue_bytes(100)
        .when_full(WhenFull::Refuse);
    let gate = Gate::new();
    let is_writing = gate.waiter();
    let (refuse, refusals) = mpsc::channel();
    let (server, ends) = reporting_with(options, move |conn| {
        let (sender, blocked) = (conn.sender(), conn.sender());
        let writer = std::thread::spawn(move || blocked.send_binary(&vec![7; LOTS]));
        is_writing.wait();
        let mut n = 0u32;
        let refused = loop {
            match sender.send_text(&n.to_string()) {
                Ok(()) => n += 1,
                Err(error) => break error,
            }
        };
        let _ = refuse.send(());
        let still_open = sender.is_open();
        (
            writer.join().unwrap(),
            refused,
            still_open,
            n,
            conn.send_text("last"),
        )
    });
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    ws.client.await_unread();
    gate.open();
    next(&refusals);
    let mut texts = Vec::new();
    let close = loop {
        let frame = ws.read_frame();
        match frame.opcode {
            Opcode::BINARY => assert_eq!(frame.payload.len(), LOTS),
            Opcode::TEXT => texts.push(String::from_utf8(frame.payload).unwrap()),
            _ => break frame,
        }
    };
    assert_eq!(close.close_code(), Some(1000));
    let (written, refused, still_open, accepted, last) = next(&ends);
    assert!(written.is_ok() && last.is_ok() && still_open);
    assert!(matches!(refused, Error::Slow), "{refused:?}");
    // Ten frames of 3 bytes with their headers and 17 of 4 are 98 bytes.
    assert_eq!(accepted, 27);
    // Each accepted message came, in order, and no refused one.
    let mut expected: Vec<String> = (0..accepted).map(|n| n.to_string()).collect();
    expected.push("last".to_owned());
    assert_eq!(texts, expected);
}

#[test]
fn ws_17_a_full_queue_may_wait_for_the_write_deadline() {
    // The writing thread's frame takes longer than that, but makes progress.
    let options = WsOptions::new()
        .max_queue_messages(1)
        .write_deadline(GENEROUS)
        .when_full(WhenFull::Wait);
    let (refuse, refusals) = mpsc::channel();
    let (server, ends) = reporting_with(options, move |conn| {
        let (sender, blocked) = (conn.sender(), conn.sender());
        let writer = std::thread::spawn(move || blocked.send_binary(&vec![7; LOTS]));
        let refused = loop {
            let begun = Instant::now();
            if let Err(error) = sender.send_text("x") {
                break (error, begun.elapsed());
            }
        };
        let _ = refuse.send(refused);
        (sender.is_open(), writer.join().unwrap())
    });
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    ws.client.await_unread();
    let (refused, waited) = loop {
        match refusals.recv_timeout(GENEROUS / 16) {
            Ok(refused) => break refused,
            Err(RecvTimeoutError::Timeout) => drop(ws.client.read_exactly(1 << 20)),
            Err(error) => panic!("{error}"),
        }
    };
    assert!(matches!(refused, Error::Slow), "{refused:?}");
    assert!(waited >= GENEROUS, "only {waited:?}");
    let (is_open, written) = loop {
        match ends.try_recv() {
            Ok(report) => break report,
            Err(_) => drop(ws.client.read_some()),
        }
    };
    assert!(is_open && written.is_ok());
}
