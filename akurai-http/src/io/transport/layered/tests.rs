use std::collections::VecDeque;
use std::io::{IoSlice, Read};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::*;
use crate::io::transport::is_timeout;

const DEADLINE: Duration = Duration::from_secs(20);

/// Each plain byte is its complement on the wire. `!0` is the close, `!b'?'` must be answered by
/// `!b'!'`, and `!b'#'` is an error, whose alert is `!b'*'`.
#[derive(Default)]
struct Flip {
    plain: VecDeque<u8>,
    has_ended: bool,
    wire: Vec<u8>,
}

impl Session for Flip {
    /// Takes no more than 1,000 bytes at a time.
    fn receive(&mut self, wire: &[u8]) -> io::Result<usize> {
        assert!(self.plain.is_empty() && !wire.is_empty() && wire.len() <= 16 * 1024);
        let wire = &wire[..wire.len().min(1000)];
        for byte in wire {
            match !byte {
                0 => self.has_ended = true,
                b'?' => self.wire.push(!b'!'),
                b'#' => {
                    self.wire.push(!b'*');
                    return Err(io::Error::other("a planned error"));
                }
                b'%' => panic!("a planned panic"),
                byte => self.plain.push_back(byte),
            }
        }
        Ok(wire.len())
    }

    fn read(&mut self, plain: &mut [u8]) -> io::Result<Option<usize>> {
        assert!(!plain.is_empty());
        match self.plain.read(plain)? {
            0 => Ok(self.has_ended.then_some(0)),
            count => Ok(Some(count)),
        }
    }

    fn write(&mut self, plain: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes = plain.iter().flat_map(|slice| slice.iter());
        self.wire.extend(bytes.map(|byte| !byte));
        Ok(plain.iter().map(|slice| slice.len()).sum())
    }

    fn output(&mut self, wire: &mut Vec<u8>) -> io::Result<()> {
        wire.append(&mut self.wire);
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.wire.push(!0);
        Ok(())
    }
}

fn flipped(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

fn pair() -> (Layered, Transport) {
    let (ours, theirs) = Transport::pair().expect("a pair");
    theirs
        .set_read_timeout(Some(DEADLINE))
        .expect("it is a socket");
    (Layered::new(ours, Box::<Flip>::default()), theirs)
}

/// What the peer gets until the end.
fn rest(peer: &Transport) -> Vec<u8> {
    let mut got = Vec::new();
    loop {
        let mut buf = [0; 4096];
        match peer.read(&mut buf).expect("it ends in time") {
            0 => return flipped(&got),
            count => got.extend(&buf[..count]),
        }
    }
}

#[test]
fn plain_bytes_go_through_and_both_ends_are_said() {
    let (layered, peer) = pair();
    peer.write(&flipped(b"hello?")).expect("it is open");
    let mut buf = [0; 2];
    assert_eq!(layered.read(&mut buf).expect("bytes"), 2);
    assert_eq!(&buf, b"he");
    let mut buf = [0; 2000];
    assert_eq!(layered.read(&mut buf).expect("bytes"), 3);
    let slices = [&b"good"[..], b"", b" ", b"b", b"y", b"e"].map(IoSlice::new);
    assert_eq!(layered.write_vectored(&slices).expect("it is open"), 8);
    peer.write(&[!0]).expect("it is open");
    assert_eq!(layered.read(&mut buf).expect("an end"), 0);
    layered.shutdown(Shutdown::Write).expect("it is open");
    drop(layered);
    assert_eq!(rest(&peer), b"!good bye\0");
}

#[test]
fn what_the_session_cannot_take_is_offered_again() {
    let (layered, peer) = pair();
    let sent: Vec<u8> = (0..3500).map(|n| b'a' + (n % 26) as u8).collect();
    peer.write(&flipped(&sent)).expect("written");
    peer.write(&[!0]).expect("written");
    peer.shutdown(Shutdown::Write).expect("shut down");
    let (mut read, mut buf) = (Vec::new(), [0; 4096]);
    loop {
        match layered.read(&mut buf).expect("an orderly end") {
            0 => break,
            count => read.extend_from_slice(&buf[..count]),
        }
    }
    assert!(read == sent, "{} of {} bytes", read.len(), sent.len());
}

#[test]
fn an_end_without_a_close_is_an_error_and_a_drop_says_the_close() {
    let (layered, peer) = pair();
    peer.write(&flipped(b"a")).expect("it is open");
    peer.shutdown(Shutdown::Write).expect("it is open");
    let mut buf = [0; 2000];
    assert_eq!(layered.read(&mut buf).expect("bytes"), 1);
    let error = layered.read(&mut buf).expect_err("a cut");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    drop(layered);
    assert_eq!(rest(&peer), b"\0");
}

#[test]
fn our_own_end_of_the_input_is_no_cut() {
    let (layered, _peer) = pair();
    layered.shutdown(Shutdown::Read).expect("it is open");
    assert_eq!(layered.read(&mut [0; 10]).expect("an end"), 0);
}

#[test]
fn no_close_is_said_at_a_cut_or_behind_what_is_not_whole() {
    let cuts: [fn(&Layered); 3] = [
        |layered| layered.shutdown(Shutdown::Both).expect("it is open"),
        |layered| layered.abandon(),
        |layered| {
            layered.abandon();
            layered.shutdown(Shutdown::Write).expect("it is open");
        },
    ];
    for cut in cuts {
        let (layered, peer) = pair();
        layered.write(b"part").expect("it is open");
        cut(&layered);
        drop(layered);
        assert_eq!(rest(&peer), b"part");
    }
}

#[test]
fn after_an_error_the_alert_goes_out_and_nothing_else() {
    let (layered, peer) = pair();
    peer.write(&flipped(b"#")).expect("it is open");
    let mut buf = [0; 2000];
    assert!(layered.read(&mut buf).is_err());
    assert!(layered.write(b"more").is_err());
    assert!(layered.read(&mut buf).is_err());
    let told = layered.take_failure().expect("it failed").to_string();
    assert_eq!(told, "a planned error");
    assert!(layered.take_failure().is_none(), "it is told once");
    drop(layered);
    assert_eq!(rest(&peer), b"*");
}

#[test]
fn after_a_panic_nothing_goes_out() {
    let (layered, peer) = pair();
    peer.write(&flipped(b"?%")).expect("it is open");
    assert!(layered.read(&mut [0; 2000]).is_err());
    let told = layered.take_failure().expect("it failed").to_string();
    assert_eq!(told, "a planned panic");
    drop(layered);
    assert_eq!(rest(&peer), b"");
}

#[test]
fn a_read_is_bounded_as_a_whole() {
    let (layered, peer) = pair();
    let wait = Duration::from_millis(300);
    layered.set_read_timeout(Some(wait)).expect("a wait");
    assert!(layered.set_read_timeout(Some(Duration::ZERO)).is_err());
    let (over, is_over) = mpsc::channel::<()>();
    let dribbler = thread::spawn(move || {
        while is_over.recv_timeout(wait / 10) == Err(mpsc::RecvTimeoutError::Timeout) {
            peer.write(&flipped(b"?")).expect("it is open");
        }
        peer
    });
    let begun = Instant::now();
    let error = layered.read(&mut [0; 10]).expect_err("no data comes");
    assert!(is_timeout(&error), "{error}");
    assert!(begun.elapsed() >= wait);
    drop(over);
    dribbler.join().expect("no panic");
}

/// Fills the socket, so that the next write would block. Returns what was written.
fn fill(layered: &Layered) -> Vec<u8> {
    let mut written = Vec::new();
    let bytes: Vec<u8> = (0..100_000u32).map(|n| b'a' + (n % 26) as u8).collect();
    loop {
        match layered.write(&bytes[written.len() % 26..]) {
            Ok(count) => written.extend(&bytes[written.len() % 26..][..count]),
            Err(error) => {
                assert!(is_timeout(&error), "{error}");
                return written;
            }
        }
    }
}

#[test]
fn a_blocked_write_has_taken_its_bytes_and_takes_them_once() {
    let (layered, peer) = pair();
    layered.set_nonblocking(true).expect("a socket");
    let mut written = fill(&layered);
    let reader = thread::spawn(move || rest(&peer));
    let begun = Instant::now();
    let more = 500_000 + written.len();
    while written.len() < more && begun.elapsed() < DEADLINE {
        let next: Vec<u8> = (written.len()..more)
            .map(|n| b'a' + (n % 26) as u8)
            .collect();
        match layered.write(&next) {
            Ok(count) => written.extend(&next[..count]),
            Err(error) if is_timeout(&error) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    layered.set_nonblocking(false).expect("a socket");
    layered.shutdown(Shutdown::Write).expect("it is open");
    drop(layered);
    let mut got = reader.join().expect("no panic");
    assert_eq!(got.pop(), Some(0), "the close");
    assert!(got == written, "{} of {}", got.len(), written.len());
}

#[test]
fn a_writer_that_gives_up_in_the_middle_has_no_close() {
    let (layered, peer) = pair();
    layered.set_nonblocking(true).expect("a socket");
    let written = fill(&layered);
    let reader = thread::spawn(move || rest(&peer));
    // The reader's thread sends what is left, behind which our end comes.
    layered.shutdown(Shutdown::Write).expect("it is open");
    layered.set_nonblocking(false).expect("a socket");
    layered.shutdown(Shutdown::Write).expect("it is open");
    let got = reader.join().expect("no panic");
    assert!(got.starts_with(&written) && !got.contains(&0));
    assert!(layered.write(b"more").is_err());
}

#[test]
fn the_answer_to_the_peer_goes_out_while_another_thread_holds_the_way_out() {
    let (layered, peer) = pair();
    let held = layered.try_out().expect("it is free");
    peer.write(&flipped(b"?a")).expect("it is open");
    assert_eq!(layered.read(&mut [0; 10]).expect("a byte"), 1);
    peer.set_nonblocking(true).expect("a socket");
    assert!(peer.read(&mut [0; 10]).is_err(), "nobody has sent it");
    peer.set_nonblocking(false).expect("a socket");
    drop(held);
    layered.write(b"b").expect("it is open");
    drop(layered);
    assert_eq!(rest(&peer), b"!b\0");
}

#[cfg_attr(
    windows,
    ignore = "a write takes all bytes, however many, while there is any room"
)]
#[test]
fn a_write_that_only_sends_what_was_left_before_has_not_written_nothing() {
    let (layered, peer) = pair();
    layered.set_nonblocking(true).expect("a socket");
    let asks = flipped(&[b'?'; 4096]);
    let begun = Instant::now();
    while !layered.has_rest.load(Ordering::Relaxed) {
        peer.write(&asks).expect("it is read");
        let error = layered.read(&mut [0; 4096]).expect_err("no data comes");
        assert!(is_timeout(&error) && begun.elapsed() < DEADLINE, "{error}");
    }
    peer.set_nonblocking(true).expect("a socket");
    while peer.read(&mut [0; 4096]).is_ok() {}
    let none = Some(Duration::from_nanos(1));
    layered.set_write_timeout(none).expect("a wait");
    let error = layered.write(b"a").expect_err("the time is over");
    assert!(is_timeout(&error), "{error}");
    layered.set_write_timeout(Some(DEADLINE)).expect("a wait");
    assert_eq!(layered.write(b"a").expect("there is room"), 1);
}
