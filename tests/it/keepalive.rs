//! The waits that a WebSocket's reader itself enforces: pings, idleness, age, and the time for one
//! message.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use akurai_tests::{DEADLINE, Frame, Gate, Opcode, WsClient};
use akurai_ws::{CloseFrame, Message, WsOptions};

use crate::rfc6455::echo_with;
use crate::serving::{PATIENCE, expect_info, next, recv_all, reporting_with, serving_with};

/// Short enough to wait for, long enough for a busy machine.
const SHORT: Duration = Duration::from_millis(120);

#[test]
fn ws_18_no_pong_drops_the_connection() {
    let options = WsOptions::new().ping_interval(SHORT).pong_wait(SHORT);
    let (server, ends) =
        reporting_with(options, |mut conn| (recv_all(&mut conn), conn.close_info()));
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect(Opcode::PING, "");
    // The server sends no Close: nobody is there to read it.
    ws.client.expect_cut();
    let (outcome, info) = next(&ends);
    assert_eq!(outcome, Ok(()));
    expect_info(info, 1006, "", false);
}

#[test]
fn ws_18_any_byte_is_an_answer() {
    let options = WsOptions::new().ping_interval(SHORT).pong_wait(DEADLINE);
    let (server, _) = echo_with(options);
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect(Opcode::PING, "");
    ws.send(&Frame::pong(""));
    ws.expect(Opcode::PING, "");
    ws.send(&Frame::text("hello"));
    ws.expect(Opcode::TEXT, "hello");
    ws.expect(Opcode::PING, "");
    // Half a header restarts the wait for silence.
    let frame = Frame::text("hello").to_bytes();
    ws.client.send(&frame[..1]);
    ws.expect(Opcode::PING, "");
    ws.client.send(&frame[1..]);
    ws.expect(Opcode::TEXT, "hello");
    ws.close();
}

#[test]
fn ws_18_a_handler_busy_outside_recv_blames_nobody() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let options = WsOptions::new().ping_interval(SHORT).pong_wait(SHORT);
    let (server, ends) = reporting_with(
        options.message_deadline(SHORT).idle_timeout(DEADLINE),
        move |mut conn| {
            let first = conn.recv().map_err(|error| error.to_string());
            waiter.wait();
            conn.send_text("back").expect("the client is there");
            (first, conn.recv().map_err(|error| error.to_string()))
        },
    );
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("one"));
    let two = Frame::text("two").to_bytes();
    ws.client.send(&two[..3]);
    // Many times the ping's interval, the pong's wait and the message's deadline.
    assert!(ws.client.is_silent_for(8 * SHORT), "nobody asks meanwhile");
    ws.client.send(&two[3..]);
    gate.open();
    ws.expect(Opcode::TEXT, "back");
    let text = |text: &str| Ok(Some(Message::Text(text.into())));
    assert_eq!(next(&ends), (text("one"), text("two")));
    ws.expect_close(1000);
}

#[test]
fn ws_18_pings_can_be_switched_off() {
    let options = WsOptions::new().ping_interval(None).pong_wait(SHORT);
    let (server, _) = echo_with(options);
    let mut ws = WsClient::open(server.addr(), "/");
    assert!(ws.client.is_silent_for(6 * SHORT));
    ws.close();
}

#[test]
fn ws_18_polls_of_recv_timeout_add_up_to_silence() {
    let options = WsOptions::new().ping_interval(SHORT).pong_wait(SHORT);
    let (server, ends) = reporting_with(options, |mut conn| {
        let outcome = loop {
            match conn.recv_timeout(SHORT / 10) {
                Ok(Some(_)) | Err(akurai_ws::Error::Timeout) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.to_string()),
            }
        };
        (outcome, conn.close_info())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect(Opcode::PING, "");
    ws.client.expect_cut();
    let (outcome, info) = next(&ends);
    assert_eq!(outcome, Ok(()));
    expect_info(info, 1006, "", false);
}

#[test]
fn a_message_that_dribbles_is_1008() {
    let options = WsOptions::new().message_deadline(2 * SHORT);
    let (server, ends) =
        reporting_with(options, |mut conn| (recv_all(&mut conn), conn.close_info()));
    // Stalled: in the header, in the payload, between fragments.
    let frame = Frame::text("hello").to_bytes();
    let fragment = Frame::text("hello").unfinished().to_bytes();
    for beginning in [&frame[..1], &frame[..8], &fragment] {
        let mut ws = WsClient::open(server.addr(), "/");
        ws.client.send(beginning);
        ws.expect_close_and_eof(1008);
        let (outcome, info) = next(&ends);
        assert_eq!(outcome.unwrap_err(), "peer's message: not complete in time");
        expect_info(info, 1008, "message: not complete in time", false);
    }
    // Slow pieces: each comes in time, and the client answers a ping between them.
    let mut ws = WsClient::open(server.addr(), "/");
    let begun = Instant::now();
    ws.send(&Frame::binary("").unfinished());
    loop {
        assert!(begun.elapsed() < DEADLINE, "it was never refused");
        ws.client
            .send(Frame::continuation("x").unfinished().to_bytes());
        if !ws.client.is_silent_for(SHORT / 4) {
            break;
        }
    }
    ws.expect_close_and_eof(1008);
    // The same for a control frame whose bytes come one by one.
    let mut ws = WsClient::open(server.addr(), "/");
    for byte in Frame::ping([b'x'; 100]).to_bytes() {
        ws.client.send([byte]);
        if !ws.client.is_silent_for(SHORT / 4) {
            break;
        }
    }
    ws.expect_close_and_eof(1008);

    // Each message has its own time, however many came before.
    let mut ws = WsClient::open(server.addr(), "/");
    for _ in 0..12 {
        ws.client.send(&frame[..3]);
        assert!(ws.client.is_silent_for(SHORT / 3));
        // Together with the beginning of the next message.
        ws.client.send([&frame[3..], &frame[..2]].concat());
        ws.client.send(&frame[2..]);
    }
    ws.close();
}

#[test]
fn a_message_may_take_its_time_without_a_deadline() {
    let options = WsOptions::new().message_deadline(None);
    let (server, _) = echo_with(options);
    let mut ws = WsClient::open(server.addr(), "/");
    let frame = Frame::text("hello").to_bytes();
    ws.client.send(&frame[..8]);
    assert!(ws.client.is_silent_for(4 * SHORT));
    ws.client.send(&frame[8..]);
    ws.expect(Opcode::TEXT, "hello");
    ws.close();
}

#[test]
fn an_idle_connection_is_closed_with_1001() {
    let options = WsOptions::new()
        .idle_timeout(8 * SHORT)
        .ping_interval(SHORT);
    let (server, ends) =
        reporting_with(options, |mut conn| (recv_all(&mut conn), conn.close_info()));
    let mut ws = WsClient::open(server.addr(), "/");
    // Data keeps the connection open; pongs alone do not.
    for _ in 0..24 {
        ws.send(&Frame::text("hello"));
        if !ws.client.is_silent_for(SHORT / 2) {
            // A busy machine was late.
            assert_eq!(ws.read_frame().opcode, Opcode::PING);
        }
    }
    let begun = Instant::now();
    let mut frame = ws.read_frame();
    while frame.opcode == Opcode::PING {
        assert!(begun.elapsed() < DEADLINE, "it may be idle for ever");
        ws.send(&Frame::pong(""));
        frame = ws.read_frame();
    }
    assert_eq!(frame.close_code(), Some(1001));
    assert_eq!(&frame.payload[2..], b"idle");
    ws.send(&Frame::close(1001, ""));
    ws.client.expect_eof();
    let (outcome, info) = next(&ends);
    assert_eq!(outcome, Ok(()));
    expect_info(info, 1001, "idle", true);
}

#[test]
fn a_long_upload_is_not_idle() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Way {
        Whole,
        InParts,
        Discarded,
    }
    for way in [Way::Whole, Way::InParts, Way::Discarded] {
        let options = WsOptions::new().idle_timeout(4 * SHORT);
        let (server, ends) = reporting_with(options, move |mut conn| {
            if way != Way::Whole {
                let mut reader = conn.recv_stream().expect("open").expect("a message");
                let mut buffer = Vec::new();
                if way == Way::InParts {
                    reader.read_to_end(&mut buffer).expect("all of it");
                }
            }
            let last = conn.recv().map_err(|error| error.to_string());
            (last, conn.close_info().map(|info| info.reason))
        });
        let mut ws = WsClient::open(server.addr(), "/");
        ws.send(&Frame::binary("").unfinished());
        for _ in 0..12 {
            ws.send(&Frame::continuation("x").unfinished());
            assert!(ws.client.is_silent_for(SHORT / 2), "{way:?}");
        }
        ws.send(&Frame::continuation(""));
        if way != Way::Whole {
            ws.send(&Frame::binary(vec![b'x'; 12]));
        }
        let all = Message::Binary(vec![b'x'; 12]);
        assert_eq!(next(&ends), (Ok(Some(all)), None), "{way:?}");
        ws.expect_close(1000);
    }
}

#[test]
fn the_time_of_a_discarded_message_is_not_the_nexts() {
    let options = WsOptions::new().message_deadline(6 * SHORT);
    let (server, ends) = reporting_with(options, |mut conn| {
        drop(conn.recv_stream().expect("open").expect("a message"));
        conn.recv().map_err(|error| error.to_string())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("unwanted").unfinished());
    assert!(ws.client.is_silent_for(4 * SHORT));
    // The end of one message and the beginning of the next come in the same read.
    let frame = Frame::text("wanted").to_bytes();
    let end = Frame::continuation("rest").to_bytes();
    ws.client.send([&end, &frame[..3]].concat());
    assert!(ws.client.is_silent_for(4 * SHORT), "it has its own time");
    ws.client.send(&frame[3..]);
    assert_eq!(next(&ends), Ok(Some(Message::Text("wanted".into()))));
    ws.expect_close(1000);
}

#[test]
fn an_old_connection_is_closed_with_1001() {
    let options = WsOptions::new().max_lifetime(4 * SHORT);
    let (server, _) = echo_with(options);
    let mut ws = WsClient::open(server.addr(), "/");
    let begun = Instant::now();
    // However busy the connection is.
    let close = loop {
        assert!(begun.elapsed() < DEADLINE, "it grew too old");
        ws.send(&Frame::text("hello"));
        let frame = ws.read_frame();
        if frame.opcode == Opcode::CLOSE {
            break frame;
        }
    };
    assert!(begun.elapsed() >= 3 * SHORT, "too early");
    assert_eq!(close.close_code(), Some(1001));
    ws.send(&Frame::close(1001, ""));
    ws.client.expect_eof();
}

#[test]
fn a_close_that_nobody_answers_is_waited_for_so_long() {
    let options = WsOptions::new().close_wait(SHORT);
    let server = serving_with(options, |_| Ok(()));
    let mut ws = WsClient::open(server.addr(), "/");
    let begun = Instant::now();
    ws.expect_close_and_eof(1000);
    assert!(begun.elapsed() < Duration::from_secs(4), "the default");

    let options = WsOptions::new().close_wait(SHORT);
    let (server, ends) = reporting_with(options, |mut conn| {
        conn.close(4000, "").expect("it is open");
        (recv_all(&mut conn), conn.close_info())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect_close(4000);
    let (outcome, info) = next(&ends);
    assert_eq!(outcome, Ok(()));
    expect_info(info, 4000, "", false);
    ws.client.expect_eof();
}

#[test]
fn a_close_answered_while_the_handler_is_busy_is_clean() {
    for by_another_thread in [false, true] {
        let gate = Gate::new();
        let waiter = gate.waiter();
        let options = WsOptions::new().close_wait(SHORT);
        let (server, ends) = reporting_with(options, move |mut conn| {
            if by_another_thread {
                let sender = conn.sender();
                let closer = thread::spawn(move || sender.close(4000, ""));
                closer.join().expect("no panic").expect("it is open");
            } else {
                conn.close(4000, "").expect("it is open");
            }
            waiter.wait();
            let answer = conn.recv().map_err(|error| error.to_string());
            (answer, conn.close_info())
        });
        let mut ws = WsClient::open(server.addr(), "/");
        ws.expect_close(4000);
        ws.send(&Frame::close(4000, ""));
        assert!(ws.client.is_silent_for(4 * SHORT), "the handler is busy");
        gate.open();
        let (answer, info) = next(&ends);
        let frame = CloseFrame {
            code: 4000,
            reason: String::new(),
        };
        assert_eq!(answer, Ok(Some(Message::Close(Some(frame)))));
        expect_info(info, 4000, "", true);
        ws.client.expect_eof();
    }
}

/// The number of bytes that both kernels take although the peer reads nothing.
const UNTAKEN: usize = 2 << 20;

#[test]
fn ws_18_a_ping_behind_megabytes_blames_nobody() {
    let options = WsOptions::new().ping_interval(SHORT).pong_wait(SHORT);
    let (server, ends) = reporting_with(options, |mut conn| {
        conn.send_binary(&vec![7; UNTAKEN]).expect("it is open");
        let message = conn.recv().map_err(|error| error.to_string());
        (message, conn.close_info())
    });
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    // The peer takes some of it, and then nothing for many times the ping's interval and the pong's
    // wait.
    assert_eq!(ws.client.read_exactly(10)[..2], [0x82, 127]);
    let begun = Instant::now();
    let mut left = UNTAKEN;
    while begun.elapsed() < 10 * SHORT {
        left -= ws.client.read_exactly(1000).len();
        let _ = ends.recv_timeout(SHORT / 2);
    }
    ws.client.read_exactly(left);
    ws.expect(Opcode::PING, "");
    ws.send(&Frame::text("here"));
    let here = Message::Text("here".into());
    assert_eq!(next(&ends), (Ok(Some(here)), None));
}

#[test]
fn ws_18_a_dead_peer_is_found_though_much_was_written() {
    let options = WsOptions::new().ping_interval(SHORT).pong_wait(SHORT);
    let (server, ends) = reporting_with(options, |mut conn| {
        conn.send_binary(&[7; 2048]).expect("it is open");
        let begun = Instant::now();
        let outcome = recv_all(&mut conn);
        (outcome, conn.close_info(), begun.elapsed())
    });
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    ws.expect(Opcode::BINARY, [7; 2048]);
    ws.expect(Opcode::PING, "");
    ws.client.expect_cut();
    let (outcome, info, took) = next(&ends);
    assert_eq!(outcome, Ok(()));
    expect_info(info, 1006, "", false);
    // A rate of 1 KiB/s for the bytes that stood in front of the ping.
    assert!(took >= Duration::from_secs(2), "after {took:?}");
}

#[test]
fn ws_18_a_ping_that_waits_for_another_threads_write_blames_nobody() {
    const LOTS: usize = 64 << 20;
    let options = WsOptions::new().ping_interval(SHORT).pong_wait(SHORT);
    let gate = Gate::new();
    let is_writing = gate.waiter();
    let (server, ends) = reporting_with(options, move |mut conn| {
        let sender = conn.sender();
        let writer = thread::spawn(move || sender.send_binary(&vec![7; LOTS]));
        is_writing.wait();
        let message = conn.recv().map_err(|error| error.to_string());
        (message, writer.join().expect("no panic").is_ok())
    });
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    ws.client.await_unread();
    gate.open();
    // The peer takes nothing for many times the ping's interval and the pong's wait.
    let early = ends.recv_timeout(8 * SHORT);
    assert!(early.is_err(), "it was blamed: {early:?}");
    assert_eq!(ws.read_frame().payload.len(), LOTS);
    ws.expect(Opcode::PING, "");
    ws.send(&Frame::text("here"));
    let here = Message::Text("here".into());
    assert_eq!(next(&ends), (Ok(Some(here)), true));
}
