//! `Sender::post`: for a thread that sends to many connections, and waits for none of them.

use std::time::{Duration, Instant};

use akurai_tests::{DEADLINE, Frame, Opcode, TestServer, WsClient, eventually};
use akurai_ws::{Error, Kind, Prepared, Sender, WsOptions};
use std::io::Write;
use std::sync::mpsc;

#[cfg(target_os = "linux")]
use crate::alone::{is_alone, status};
use crate::serving::{expect_info, next, reporting_with, serving_with};

#[test]
fn posts_arrive_in_order_and_one_longer_than_the_queue_too() {
    let options = WsOptions::new().max_queue_bytes(1000);
    let server = serving_with(options, |mut conn| {
        let sender = conn.sender();
        for n in 0..10 {
            sender.post([&Prepared::text(&n.to_string())])?;
        }
        sender.post([&Prepared::binary(&[7; 5000])])?;
        while conn.recv()?.is_some() {}
        Ok(())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    for n in 0..10 {
        ws.expect(Opcode::TEXT, n.to_string());
    }
    ws.expect(Opcode::BINARY, [7; 5000]);
    ws.close();
}

#[test]
fn a_post_waits_for_no_peer_and_closes_one_that_is_too_slow() {
    let (tell, told) = mpsc::channel();
    let options = WsOptions::new().write_deadline(DEADLINE * 4);
    let server = serving_with(options, move |mut conn| {
        let (sender, message) = (conn.sender(), Prepared::binary(&[7; 100_000]));
        let (mut longest, begun) = (Duration::ZERO, Instant::now());
        let error = loop {
            assert!(begun.elapsed() < DEADLINE, "the queue is never full");
            let posted = Instant::now();
            let result = sender.post([&message]);
            longest = longest.max(posted.elapsed());
            if let Err(error) = result {
                break error;
            }
        };
        let _ = tell.send((longest, matches!(error, Error::Slow), sender.is_open()));
        while conn.recv()?.is_some() {}
        Ok(())
    });
    let ws = WsClient::open(server.addr(), "/");
    let (longest, is_slow, is_open) = told.recv_timeout(DEADLINE).expect("it was told");
    assert!(is_slow && !is_open);
    assert!(longest < DEADLINE, "{longest:?}");
    drop(ws);
}

#[test]
fn a_fragmented_message_of_ours_in_the_way_closes_nothing() {
    let options = WsOptions::new().max_queue_messages(3);
    let server = serving_with(options, |mut conn| {
        let sender = conn.sender();
        let mut stream = sender.send_stream(Kind::Text)?;
        stream.write_all(b"first ")?;
        stream.flush()?;
        for n in 0..3 {
            sender.post([&Prepared::text(&n.to_string())])?;
        }
        assert!(matches!(
            sender.post([&Prepared::text("one more")]),
            Err(Error::Slow)
        ));
        stream.write_all(b"last")?;
        stream.finish()?;
        while conn.recv()?.is_some() {}
        Ok(())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    let mut text = Vec::new();
    loop {
        let frame = ws.read_frame();
        text.extend_from_slice(&frame.payload);
        if frame.fin {
            break;
        }
    }
    assert_eq!(text, b"first last");
    for n in 0..3 {
        ws.expect(Opcode::TEXT, n.to_string());
    }
    ws.close();
}

#[test]
fn where_nobody_receives_any_more_nobody_sends() {
    let server = serving_with(WsOptions::new(), |conn| {
        let sender = conn.sender();
        sender.send_text("before")?;
        drop(conn);
        assert!(!sender.is_open());
        assert!(matches!(sender.send_text("after"), Err(Error::Closed)));
        assert!(matches!(
            sender.post([&Prepared::text("after")]),
            Err(Error::Closed)
        ));
        Ok(())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect(Opcode::TEXT, "before");
    ws.expect_close(1000);
    ws.send(&Frame::close(1000, ""));
    ws.client.expect_eof();
}

#[test]
fn what_is_posted_together_goes_out_in_one_write() {
    let server = serving_with(WsOptions::new(), |mut conn| {
        conn.post(&["1", "22", "333"].map(Prepared::text))?;
        conn.recv().map(drop)
    });
    let mut client = WsClient::open(server.addr(), "/");
    // In one write, so that they arrive together.
    assert_eq!(client.client.read_some(), b"\x81\x011\x81\x0222\x81\x03333");
    client.close();
}

#[test]
fn more_than_the_queue_holds_may_be_posted_together() {
    let options = WsOptions::new().max_queue_messages(4);
    let server = serving_with(options, |conn| {
        let sender = conn.sender();
        let texts = |range: std::ops::Range<u32>| range.map(|n| Prepared::text(&n.to_string()));
        sender.post([])?;
        // When the queue is full because no thread writes, the peer is not to blame.
        sender.post(&texts(1..16).collect::<Vec<_>>())?;
        // A message longer than the queue goes in its place.
        sender.post([&Prepared::text("16"), &Prepared::binary(&[7; 2 << 20])])?;
        sender.post([&Prepared::binary(&[8; 2 << 20]), &Prepared::text("17")])?;
        sender.close(4000, "enough")?;
        let late = texts(18..20).collect::<Vec<_>>();
        assert!(matches!(sender.post(&late), Err(Error::Closed)));
        sender.post([])
    });
    let mut client = WsClient::open(server.addr(), "/");
    (1..17).for_each(|n: u32| client.expect(Opcode::TEXT, n.to_string()));
    client.expect(Opcode::BINARY, vec![7; 2 << 20]);
    client.expect(Opcode::BINARY, vec![8; 2 << 20]);
    client.expect(Opcode::TEXT, "17");
    client.expect_close(4000);
}

#[test]
fn what_several_threads_post_at_once_is_no_fault_of_a_peer_that_reads() {
    from_two_threads(|sender, messages| {
        let message = Prepared::text("hello");
        sender.post(std::iter::repeat_n(&message, messages))
    });
}

#[test]
fn what_several_threads_send_at_once_is_no_fault_of_a_peer_that_reads() {
    from_two_threads(|sender, messages| (0..messages).try_for_each(|_| sender.send_text("hello")));
}

fn from_two_threads(give: fn(&Sender, usize) -> Result<(), Error>) {
    const EACH: usize = 5000;
    let options = WsOptions::new()
        .max_queue_messages(64)
        .close_wait(Duration::from_millis(50));
    let (server, ends) = reporting_with(options, move |conn| {
        let threads = [(); 2].map(|()| {
            let sender = conn.sender();
            std::thread::spawn(move || give(&sender, EACH))
        });
        threads.map(|thread| thread.join().unwrap().is_ok())
    });
    // If the machine is so busy that the client does not read for a while, the server may close a
    // connection, but not all 20.
    let went_well = (0..20).any(|_| {
        let mut client = WsClient::open(server.addr(), "/").client;
        let (bytes, _) = client.read_to_end();
        let all_given = next(&ends) == [true; 2];
        assert!(bytes.len() >= 4, "without a Close: {bytes:?}");
        let (messages, close) = bytes.split_at(bytes.len() - 4);
        let all_came = messages.len() == 2 * EACH * b"\x81\x05hello".len();
        assert_eq!(all_given, all_came);
        assert!(!all_given || close == b"\x88\x02\x03\xe8", "{close:?}");
        all_given
    });
    assert!(went_well, "each was closed");
}

/// A server with this many members, none of which has read anything, and their senders.
fn members(options: WsOptions, count: usize) -> (TestServer, Vec<WsClient>, Vec<Sender>) {
    let (tell, told) = mpsc::channel();
    let server = serving_with(options, move |mut conn| {
        let _ = tell.send(conn.sender());
        while conn.recv()?.is_some() {}
        Ok(())
    });
    let clients = (0..count).map(|_| WsClient::open(server.addr(), "/"));
    let clients = clients.collect();
    let senders = (0..count).map(|_| next(&told)).collect();
    (server, clients, senders)
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_posted_to_many_that_do_not_read_is_held_once_and_by_one_thread() {
    if !is_alone("posting::what_is_posted_to_many_that_do_not_read_is_held_once_and_by_one_thread")
    {
        return;
    }
    const MEMBERS: usize = 60;
    let options = WsOptions::new().write_deadline(DEADLINE * 10);
    let (_server, mut clients, senders) = members(options, MEMBERS);
    let one = Prepared::binary(&vec![7; 7_000_000]);
    let more: Vec<Prepared> = (0..9)
        .map(|n| Prepared::binary(&vec![n; 100_000]))
        .collect();
    let empty = Prepared::text("");
    let (kib, threads) = (status("VmRSS:"), status("Threads:"));
    for sender in &senders {
        // The rest of the message waits, and so do all later ones.
        sender.post([&one]).unwrap();
        for (n, message) in more.iter().enumerate() {
            match n % 3 {
                0 => sender.post([message]).unwrap(),
                1 => sender.post([message, &empty]).unwrap(),
                _ => sender.send_prepared(message).unwrap(),
            }
        }
    }
    let grown_kib = status("VmRSS:").saturating_sub(kib);
    let grown_threads = status("Threads:").saturating_sub(threads);
    println!("{grown_kib} KiB, {grown_threads} threads");
    // The messages together have 8 MB; a copy for each member would take 470 MB.
    assert!(grown_kib < 16 * 1024, "{grown_kib} KiB");
    assert_eq!(grown_threads, 1);
    // A member that reads now gets all of it.
    let mut last = clients.pop().unwrap();
    last.expect(Opcode::BINARY, vec![7; 7_000_000]);
    for n in 0..9 {
        last.expect(Opcode::BINARY, vec![n; 100_000]);
        if n % 3 == 1 {
            last.expect(Opcode::TEXT, "");
        }
    }
    last.close();
}

#[test]
fn a_peer_that_takes_nothing_of_a_long_message_is_dropped_and_the_others_have_it() {
    const SLOW: usize = 30;
    let len = 7_000_000;
    let deadline = Duration::from_millis(300);
    let (_server, mut clients, senders) = members(WsOptions::new(), 1);
    let (_other, slow, unread) = members(WsOptions::new().write_deadline(deadline), SLOW);
    let message = Prepared::binary(&vec![7; len]);
    for sender in unread.iter().chain(&senders) {
        sender.post([&message]).unwrap();
    }
    clients[0].expect(Opcode::BINARY, vec![7; len]);
    eventually("the slow ones are dropped", || {
        unread.iter().all(|sender| !sender.is_open())
    });
    for sender in &unread {
        assert_eq!(sender.close_info().map(|info| info.code), Some(1006));
        assert!(matches!(sender.post([&message]), Err(Error::Closed)));
    }
    // Members that read still get messages.
    senders[0].post([&message]).unwrap();
    clients[0].expect(Opcode::BINARY, vec![7; len]);
    clients.pop().unwrap().close();
    drop(slow);
}

#[test]
fn what_waits_behind_a_long_message_comes_behind_it_in_order() {
    let (_server, mut clients, senders) = members(WsOptions::new(), 1);
    let (sender, client) = (&senders[0], &mut clients[0]);
    sender
        .post([&Prepared::binary(&vec![7; 20_000_000])])
        .unwrap();
    // Long and short messages, shared and not, sent in every way.
    let lens = [3, 20_000, 20_001, 5, 300_000, 0, 16_383, 70_000];
    for (n, &len) in lens.iter().enumerate() {
        let message = vec![n as u8; len];
        let prepared = Prepared::binary(&message);
        match n % 4 {
            0 => sender.post([&prepared]).unwrap(),
            1 => sender.post([&prepared, &Prepared::text("next")]).unwrap(),
            2 => sender.send_prepared(&prepared).unwrap(),
            _ => sender.send_binary(&message).unwrap(),
        }
    }
    sender.send_ping(b"behind").unwrap();
    sender.close(4000, "enough").unwrap();
    client.expect(Opcode::BINARY, vec![7; 20_000_000]);
    for (n, &len) in lens.iter().enumerate() {
        client.expect(Opcode::BINARY, vec![n as u8; len]);
        if n % 4 == 1 {
            client.expect(Opcode::TEXT, "next");
        }
    }
    client.expect(Opcode::PING, "behind");
    client.expect_close(4000);
    client.send(&Frame::close(4000, "enough"));
    client.client.expect_eof();
    expect_info(sender.close_info(), 4000, "enough", true);
}

#[test]
fn a_peer_that_takes_a_long_message_slowly_is_not_dropped() {
    let deadline = Duration::from_secs(3);
    let (_server, mut clients, senders) = members(WsOptions::new().write_deadline(deadline), 1);
    let (len, begun) = (16 << 20, Instant::now());
    senders[0].post([&Prepared::binary(&vec![7; len])]).unwrap();
    // Some MiB each second, so that the whole takes longer than the deadline for one of them.
    let (mut left, mut seconds) = (len + 10, 0);
    while left > 0 {
        let piece = left.min(4 << 20);
        clients[0].client.read_exactly(piece);
        left -= piece;
        seconds += 1;
        eventually("the next second", || begun.elapsed().as_secs() >= seconds);
    }
    assert!(begun.elapsed() > deadline && senders[0].is_open());
    clients.pop().unwrap().close();
}
