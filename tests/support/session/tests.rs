//! Both sides of the tests' own protocol against each other, in memory.

use std::io::{self, IoSlice};

use akurai_http::Session;

use super::{ALERT, CLOSE, DATA, HELLO, TestSession};
use crate::Random;

/// What is due from `from`.
fn output(from: &mut TestSession) -> Vec<u8> {
    let mut wire = Vec::new();
    from.output(&mut wire).expect("it has no error");
    wire
}

fn receive(to: &mut TestSession, mut wire: &[u8]) -> io::Result<()> {
    while !wire.is_empty() {
        wire = &wire[to.receive(wire)?..];
    }
    Ok(())
}

/// Carries what is due from one side to the other, in pieces of this many bytes.
fn carry(from: &mut TestSession, to: &mut TestSession, piece: usize) -> io::Result<()> {
    let wire = output(from);
    wire.chunks(piece).try_for_each(|bytes| receive(to, bytes))
}

/// Carries in both directions until nothing is due.
#[track_caller]
fn settle(one: &mut TestSession, other: &mut TestSession, piece: usize) {
    while one.has_output() || other.has_output() {
        carry(one, other, piece).expect("no fault");
        carry(other, one, piece).expect("no fault");
    }
}

/// Both sides after the handshake.
fn pair() -> (TestSession, TestSession) {
    let (mut client, mut server) = (TestSession::client(), TestSession::server());
    settle(&mut client, &mut server, usize::MAX);
    assert!(client.is_open() && server.is_open());
    (client, server)
}

fn write(to: &mut TestSession, plain: &[u8]) {
    let (mut rest, mut rounds) = (plain, 0);
    while !rest.is_empty() {
        let (one, other) = rest.split_at(rest.len() / 3);
        let slices = [IoSlice::new(one), IoSlice::new(&[]), IoSlice::new(other)];
        let count = to.write(&slices).expect("it is open");
        rest = &rest[count..];
        rounds += 1;
    }
    assert_eq!(rounds, plain.len().div_ceil(super::LONGEST), "few records");
}

/// All plain bytes that came, and whether the peer said its end.
fn read(from: &mut TestSession) -> (Vec<u8>, bool) {
    let (mut plain, mut piece) = (Vec::new(), [0; 1000]);
    loop {
        match from.read(&mut piece).expect("no fault") {
            Some(0) => return (plain, true),
            Some(count) => plain.extend(&piece[..count]),
            None => return (plain, false),
        }
    }
}

#[track_caller]
fn expect_fault(session: &mut TestSession, result: io::Result<()>) {
    let error = result.expect_err("a fault");
    let alert = output(session);
    assert_eq!(alert.first(), Some(&ALERT), "{error}");
    receive(session, b"x").expect_err("it has failed for good");
    session.write(&[IoSlice::new(b"x")]).expect_err("the same");
    session.close().expect_err("the same");
    assert!(!session.has_output());
}

#[test]
fn plain_bytes_come_through_in_both_directions_however_the_wire_is_cut() {
    let mut random = Random::seeded(20);
    let (ours, theirs) = (random.bytes(40_000), random.bytes(30));
    for piece in [1, 2, 3, 4, 7, 4096, usize::MAX] {
        let (mut client, mut server) = (TestSession::client(), TestSession::server());
        settle(&mut client, &mut server, piece);
        write(&mut client, &ours);
        write(&mut server, &theirs);
        settle(&mut client, &mut server, piece);
        assert!(read(&mut server) == (ours.clone(), false), "{piece}");
        assert_eq!(read(&mut client), (theirs.clone(), false), "{piece}");
    }
}

#[test]
fn the_wire_may_be_cut_in_two_at_each_byte() {
    let (mut client, _) = pair();
    write(&mut client, b"plain");
    client.rekey();
    write(&mut client, b"under another key");
    client.close().expect("once");
    let whole = output(&mut client).len();
    for cut in 0..=whole {
        let (mut client, mut server) = pair();
        write(&mut client, b"plain");
        client.rekey();
        write(&mut client, b"under another key");
        client.close().expect("once");
        let wire = output(&mut client);
        receive(&mut server, &wire[..cut]).expect("no fault");
        let (mut plain, has_ended) = read(&mut server);
        assert_eq!(has_ended, cut == whole, "cut at {cut}");
        receive(&mut server, &wire[cut..]).expect("no fault");
        plain.extend(read(&mut server).0);
        assert_eq!(plain, b"plainunder another key", "cut at {cut}");
        assert_eq!(server.read(&mut [0]).expect("no fault"), Some(0));
    }
}

#[test]
fn it_asks_for_no_byte_behind_a_record() {
    let (mut client, mut server) = (TestSession::client(), TestSession::server());
    for _ in 0..3 {
        for (from, to) in [(0, 1), (1, 0)] {
            let sides = [&mut client, &mut server];
            let wire = output(if from == 0 { sides[0] } else { sides[1] });
            let to = if to == 0 { &mut client } else { &mut server };
            let mut rest = wire.as_slice();
            while !rest.is_empty() {
                let (wanted, behind) = rest.split_at(to.wanted());
                assert!(!wanted.is_empty());
                receive(to, wanted).expect("no fault");
                rest = behind;
            }
            assert_eq!(to.wanted(), super::HEADER_BYTES);
        }
        write(&mut client, b"more");
        server.rekey();
    }
    assert_eq!(read(&mut server).0, b"moremore");
}

#[test]
fn each_side_takes_another_key_and_the_other_side_answers() {
    let (mut client, mut server) = pair();
    let mut expected = Vec::new();
    for round in 0..20_u8 {
        client.rekey();
        write(&mut client, &[round; 9]);
        expected.extend([round; 9]);
        if round % 3 == 0 {
            server.rekey(); // Both cross on the wire.
        }
        if round % 5 == 0 {
            assert!(client.unanswered() > 0);
            settle(&mut client, &mut server, 5);
            assert_eq!((client.unanswered(), server.unanswered()), (0, 0));
        }
    }
    settle(&mut client, &mut server, 1000);
    assert_eq!((client.unanswered(), server.unanswered()), (0, 0));
    assert_eq!(read(&mut server).0, expected);

    let mut client = TestSession::client().rekey_every(2);
    let mut server = TestSession::server();
    settle(&mut client, &mut server, 1);
    (0..5).for_each(|_| write(&mut client, b"x"));
    assert_eq!(client.unanswered(), 1, "one at a time");
    settle(&mut client, &mut server, 1);
    assert_eq!(
        (client.unanswered(), read(&mut server).0),
        (0, b"xxxxx".to_vec())
    );
}

#[test]
fn a_record_that_is_lost_doubled_moved_or_changed_fails_the_session() {
    let (mut client, _) = pair();
    let records = |client: &mut TestSession| -> Vec<Vec<u8>> {
        let texts: [&[u8]; 3] = [b"one", b"two", b""];
        let mut records: Vec<_> = (texts[..2].iter())
            .map(|text| {
                write(client, text);
                output(client)
            })
            .collect();
        client.close().expect("once");
        records.push(output(client));
        records
    };
    let whole = records(&mut client).concat().len();
    for (name, order) in [
        ("lost", [1, 2].as_slice()),
        ("lost before the end", &[0, 2]),
        ("doubled", &[0, 0, 1, 2]),
        ("moved", &[1, 0, 2]),
        ("behind the end", &[0, 1, 2, 2]),
    ] {
        let (mut client, mut server) = pair();
        let records = records(&mut client);
        let wire: Vec<u8> = order.iter().flat_map(|at| records[*at].clone()).collect();
        let result = receive(&mut server, &wire);
        assert!(result.is_err(), "{name}");
        expect_fault(&mut server, result);
    }
    for at in 0..whole {
        let (mut client, mut server) = pair();
        let mut wire = records(&mut client).concat();
        wire[at] ^= 4;
        let result = receive(&mut server, &wire);
        // A changed length waits for bytes that do not come: no end, and nothing behind it.
        match result {
            Ok(()) => assert!(!read(&mut server).1, "byte {at}"),
            Err(_) => expect_fault(&mut server, result),
        }
    }
}

#[test]
fn garbage_and_records_out_of_turn_fail_the_session() {
    for wire in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        &[HELLO, 0xff, 0xff],
        &[HELLO, 0, 3, 1, 2, 3],
        &[DATA, 0, 1, b'x'],
        &[CLOSE, 0, 1, b'x'],
        &[0, 0, 0],
    ] {
        let mut server = TestSession::server();
        let result = receive(&mut server, wire);
        expect_fault(&mut server, result);
    }
    let mut server = TestSession::server();
    assert!(server.write(&[IoSlice::new(b"early")]).is_err());
}

#[test]
fn a_close_in_the_handshake_and_an_alert_are_understood() {
    let (mut client, mut server) = (TestSession::client(), TestSession::server());
    server.close().expect("once");
    assert!(server.close().is_err(), "not twice");
    settle(&mut client, &mut server, 1);
    assert!(client.has_peer_closed());

    let (mut client, mut server) = pair();
    server.alert("out of order");
    let error = carry(&mut server, &mut client, 1).expect_err("an alert");
    assert!(error.to_string().ends_with("out of order"), "{error}");
    assert!(!client.has_output(), "no alert answers an alert");
}

#[test]
fn a_side_that_said_its_end_reads_on() {
    let (mut client, mut server) = pair();
    client.close().expect("once");
    settle(&mut client, &mut server, 1);
    assert_eq!(read(&mut server), (Vec::new(), true));
    server.rekey();
    write(&mut server, b"last");
    server.close().expect("once");
    settle(&mut client, &mut server, 1);
    assert_eq!(read(&mut client), (b"last".to_vec(), true));
    assert!(client.write(&[IoSlice::new(b"x")]).is_err());
    assert_eq!(server.unanswered(), 1, "no record comes behind the close");
}
