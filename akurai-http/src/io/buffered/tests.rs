use std::io::Write;
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::io::registry::Registry;

const LONG: Duration = Duration::from_secs(20);

/// A buffered transport, and its client.
fn buffered(limits: &Limits) -> (BufferedTransport, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = listener.local_addr().expect("it is bound");
    let client = TcpStream::connect(addr).expect("it listens");
    let (socket, _) = listener.accept().expect("somebody connects");
    let registry: Arc<Registry> = Arc::default();
    let entry = registry.admit(socket.into(), None, &Arc::default());
    (
        BufferedTransport::new(entry.expect("there is a place"), limits),
        client,
    )
}

fn begin_body(buffered: &mut BufferedTransport) {
    let head = Head {
        framing: Framing::Length(1),
        ..Head::default()
    };
    let begun = buffered.begin_body(&head, BodyLimits::new(10));
    begun.expect("it is short");
}

/// Reads until this many bytes are there.
fn fill_to(buffered: &mut BufferedTransport, bytes: usize) {
    while buffered.unread().len() < bytes {
        assert!(buffered.fill(LONG).expect("it comes") > 0);
    }
}

#[test]
fn a_body_is_judged_by_its_own_rate() {
    let limits = Limits::default();
    let (mut buffered, mut client) = buffered(&limits);
    // The body before this one was so slow that one more wait would have been too much.
    begin_body(&mut buffered);
    buffered.waited = limits.body_rate_grace;
    buffered.received = 1;
    client.write_all(b"a").unwrap();
    let mut buffer = [0; 10];
    fill_to(&mut buffered, 1);
    assert_eq!(buffered.read_body(&mut buffer).unwrap(), 1);
    begin_body(&mut buffered);
    client.write_all(b"b").unwrap();
    let read = buffered.read_body(&mut buffer);
    assert_eq!(read.expect("it came at once"), 1);
}

#[test]
fn a_slow_client_has_no_credit_of_an_earlier_window() {
    let stall = Duration::from_secs(30);
    let mut rate = WriteRate::new(1024, stall);
    // It took a lot within the first window, and next to nothing within the second.
    rate.count(stall, 1 << 20).expect("that is fast enough");
    assert!(rate.count(stall / 2, 10).is_ok(), "the window goes on");
    assert!(rate.count(stall / 2, 10).is_err());
    // The same holds for the third window, if the second was just fast enough.
    let mut rate = WriteRate::new(1024, stall);
    for _ in 0..3 {
        rate.count(stall, 30 * 1024).expect("that is just enough");
    }
    assert!(rate.count(stall, 30 * 1024 - 1).is_err());
}

#[test]
fn the_read_buffer_shrinks_when_its_head_is_used() {
    let (mut buffered, mut client) = buffered(&Limits::default());
    let head = vec![b'x'; 8 * IDLE_BUFFER_BYTES];
    client.write_all(&head).unwrap();
    fill_to(&mut buffered, head.len());
    assert!(buffered.input.capacity() >= head.len());
    buffered.consume(head.len());
    client.write_all(b"y").unwrap();
    fill_to(&mut buffered, 1);
    assert_eq!(buffered.unread(), b"y");
    assert_eq!(buffered.input.capacity(), IDLE_BUFFER_BYTES);
}

#[test]
fn a_look_keeps_what_came_and_lets_the_next_read_wait() {
    let (mut buffered, mut client) = buffered(&Limits::default());
    assert!(!buffered.has_client_left());
    client.write_all(b"more").unwrap();
    while buffered.unread().is_empty() {
        assert!(!buffered.has_client_left());
    }
    let (begun, wait) = (Instant::now(), Duration::from_millis(50));
    let waited = buffered.fill(wait).expect_err("no more comes");
    assert!(is_timeout(&waited) && begun.elapsed() >= wait / 2);
    assert_eq!(buffered.unread(), b"more");
}

#[test]
fn a_look_does_not_grow_the_buffer_and_ends_at_the_clients_end() {
    let (mut buffered, mut client) = buffered(&Limits::default());
    client.write_all(&[b'x'; 3 * IDLE_BUFFER_BYTES]).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    while buffered.unread().len() < IDLE_BUFFER_BYTES {
        assert!(!buffered.has_client_left());
    }
    assert!(!buffered.has_client_left(), "the end is behind more");
    assert_eq!(buffered.input.len(), IDLE_BUFFER_BYTES);
    for _ in 0..3 {
        buffered.consume(buffered.unread().len());
        while !buffered.has_client_left() && buffered.unread().len() < IDLE_BUFFER_BYTES {}
    }
    assert!(buffered.has_client_left());
    assert!(!BufferedTransport::by_hand(Vec::new()).has_client_left());
}

#[test]
fn a_signal_takes_nothing_from_the_stall_of_a_body_and_a_stop_begins_it_again() {
    let asked = Instant::now() - Duration::from_millis(1500);
    for (wait, is_stop) in [(Duration::ZERO, true), (BODY_LOOK, false), (LONG, false)] {
        let mut waits = BodyWaits {
            begun: asked,
            asked,
        };
        waits.interrupted(wait);
        assert_eq!(waits.begun > asked, is_stop, "{wait:?}");
        let left = waits.next(Duration::from_secs(1));
        assert_eq!(left.is_zero(), !is_stop, "{wait:?}");
    }
    let mut waits = BodyWaits::begin();
    assert_eq!(waits.next(LONG), BODY_LOOK);
}
