//! The outbox without sockets and clocks: small programs, run in all orders of their threads.

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::codec::close;
use crate::codec::frame::{self, Opcode};
use crate::error::Error;
use crate::options::WhenFull;
use crate::write::model::{self, Body, Report};

/// What a thread of a program does. A message says its thread and its place in there.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Send,
    /// Longer than the queue.
    SendLong,
    Hold,
    Flush,
    Post,
    /// As much as the queue takes.
    PostFull,
    PostLater,
    PostNow,
    /// A message in so many fragments.
    Stream(usize),
    Ping,
    /// The reader answers a ping.
    Pong,
    /// The reader asks whether the peer is alive.
    Keepalive,
    Close,
    PostClose,
    /// The reader finds the peer's Close, and answers it.
    AnswerClose,
    /// The reader finds what the peer answers to ours, if that comes.
    HearAnswer,
    /// The reader has found a violation.
    Fail,
    /// The handler returns.
    Finish,
    /// The reader has found the end of the transport.
    End,
}

use Op::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Accepted,
    Closed,
    Slow,
    /// The write failed, or took too long.
    Failed,
}

const QUEUE_BYTES: usize = 12;
const CLOSE: u16 = 4000;
const ANSWER: u16 = 4001;
const TOO_SLOW: Duration = Duration::from_millis(60);

/// The other end of a connection.
#[derive(Debug, Default)]
struct Peer {
    taken: Vec<u8>,
    /// How often it does otherwise than to take all at once.
    faults_left: usize,
    fin_at: Option<usize>,
    has_failed: bool,
    has_ended: bool,
}

#[derive(Clone, Debug)]
struct Pipe {
    peer: Arc<Monitor<Peer>>,
    timeout: Duration,
    escort: &'static Escort<Pipe>,
}

impl Pipe {
    fn take(&self, bytes: &[u8], wait: Option<Duration>) -> io::Result<usize> {
        let mut peer = self.peer.lock();
        let mut taken = bytes.len();
        if peer.has_ended || peer.has_failed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let how = match peer.faults_left {
            0 => 0,
            _ => model::choose(4),
        };
        if how > 0 {
            peer.faults_left -= 1;
            model::disturb();
        }
        match (how, wait) {
            (0, _) => {}
            (1, _) => taken = taken.min(3),
            (2, None) => return Err(ErrorKind::WouldBlock.into()),
            (2, Some(wait)) => {
                drop(peer);
                model::pass_time(wait.min(TOO_SLOW));
                if wait <= TOO_SLOW {
                    return Err(ErrorKind::WouldBlock.into());
                }
                peer = self.peer.lock();
            }
            _ => {
                peer.has_failed = true;
                self.peer.wake(&peer);
                return Err(ErrorKind::BrokenPipe.into());
            }
        }
        peer.taken.extend_from_slice(&bytes[..taken]);
        self.peer.wake(&peer);
        Ok(taken)
    }
}

impl Outlet for Pipe {
    fn write_slices(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        self.take(&bytes, Some(self.timeout))
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(bytes, None)
    }

    fn set_write_timeout(&mut self, wait: Duration) -> io::Result<()> {
        self.timeout = wait;
        Ok(())
    }

    fn shutdown(&self, how: Shutdown) {
        let mut peer = self.peer.lock_at_once();
        let len = peer.taken.len();
        peer.fin_at.get_or_insert(len);
        peer.has_ended |= how == Shutdown::Both;
        self.peer.wake(&peer);
    }

    fn escort(&self) -> &'static Escort<Self> {
        self.escort
    }
}

type Log = Arc<Mutex<Vec<(Op, [u8; 2], Outcome)>>>;

/// One run of a program.
#[derive(Clone)]
struct Scene {
    outbox: Arc<Outbox<Pipe>>,
    pipe: Pipe,
    log: Log,
}

impl Scene {
    fn thread(&self, thread: usize, ops: &[Op]) -> Body {
        let (scene, ops) = (self.clone(), ops.to_vec());
        Box::new(move || {
            for (n, op) in ops.into_iter().enumerate() {
                let label = [thread as u8, n as u8];
                let outcome = match scene.act(op, label) {
                    Ok(()) => Outcome::Accepted,
                    Err(Error::Closed) => Outcome::Closed,
                    Err(Error::Slow) => Outcome::Slow,
                    Err(_) => Outcome::Failed,
                };
                scene.log.lock().unwrap().push((op, label, outcome));
            }
        })
    }

    fn act(&self, op: Op, label: [u8; 2]) -> Result<(), Error> {
        let outbox = &self.outbox;
        let message = |len: usize| {
            let mut payload = vec![7; len];
            payload[..2].copy_from_slice(&label);
            [
                frame::encode_header(Opcode::Binary, len).as_slice(),
                &payload,
            ]
            .concat()
        };
        let send = |len, way| {
            let frame: Arc<[u8]> = message(len).into();
            let shared = matches!(way, Way::Post | Way::PostLater).then_some(&frame);
            let plain = Outgoing::plain(&frame, b"", Lane::Data);
            outbox.send(Outgoing { shared, ..plain }, way)
        };
        match op {
            Send => send(2, Way::Send),
            SendLong => send(QUEUE_BYTES, Way::Send),
            Hold => send(2, Way::Hold),
            Flush => outbox.flush(Way::Send),
            Post => send(2, Way::Post),
            PostFull => send(QUEUE_BYTES - 2, Way::Post),
            PostLater => send(2, Way::PostLater),
            PostNow => outbox.flush(Way::Post),
            Stream(parts) => self.stream(parts, label),
            Ping => outbox.send(
                Outgoing::plain(&[0x89, 2], &label, Lane::Control),
                Way::Send,
            ),
            Pong => outbox.pong(&label),
            Keepalive => outbox.keepalive(),
            Close => outbox.close(CLOSE, "", Way::Send),
            PostClose => outbox.close(CLOSE, "", Way::Post),
            AnswerClose => {
                outbox.peer_closed();
                outbox.close_now(ANSWER, "")
            }
            HearAnswer => self.hear_answer(),
            Fail => {
                let result = outbox.close_now(CLOSE, "");
                if !outbox.will_send_fin() {
                    self.pipe.shutdown(Shutdown::Write);
                }
                result
            }
            Finish => {
                outbox.retire();
                let result = outbox.close(CLOSE, "", Way::Send);
                if !outbox.closing().has_failed() {
                    outbox.await_close();
                    self.pipe.shutdown(Shutdown::Write);
                }
                if outbox.abandon() {
                    self.pipe.shutdown(Shutdown::Both);
                }
                result
            }
            End => {
                outbox.end(false);
                Ok(())
            }
        }
    }

    fn stream(&self, parts: usize, label: [u8; 2]) -> Result<(), Error> {
        self.outbox
            .send(Outgoing::plain(b"", b"", Lane::Begin), Way::Send)?;
        for part in 0..parts {
            let fin = part + 1 == parts;
            let opcode = if part == 0 { 2 } else { 0 };
            let head = [opcode | u8::from(fin) << 7, 2];
            let frame = Outgoing::plain(&head, &label, Lane::Fragment { fin });
            self.outbox.send(frame, Way::Send)?;
        }
        Ok(())
    }

    fn hear_answer(&self) -> Result<(), Error> {
        let mut peer = self.pipe.peer.lock();
        while !has_close(&peer.taken) && !peer.has_ended && !peer.has_failed {
            peer = self.pipe.peer.wait(peer, Duration::from_secs(100));
        }
        let has_come = has_close(&peer.taken);
        drop(peer);
        if has_come {
            self.outbox.peer_closed();
            let info = self.outbox.close_info().expect("it is out");
            assert!(info.clean, "the answer came before it was noted: {info:?}");
        }
        Ok(())
    }

    fn verify(&self, report: Report) {
        let state = self.outbox.lock();
        let peer = self.pipe.peer.lock();
        let log = self.log.lock().unwrap();
        let context = || format!("{state:?}\n{log:?}\n{peer:?}\n{report:?}");
        let (frames, is_cut) = frames(&peer.taken);
        let has_failed = state.closing.has_failed();

        // Frames are whole, and none stands within a fragmented message but control frames.
        assert!(
            !is_cut || has_failed || peer.has_ended,
            "half a frame: {}",
            context()
        );
        let mut within = false;
        for (n, (first, _)) in frames.iter().enumerate() {
            let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
            if opcode < 8 {
                assert_eq!(opcode == 0, within, "not its turn: {}", context());
                within = !fin;
            }
            assert!(
                opcode != 8 || n + 1 == frames.len(),
                "behind the Close: {}",
                context()
            );
        }
        // Those of a thread are in its order, and each is there once.
        let mut order: Vec<[u8; 2]> = Vec::new();
        for (first, payload) in &frames {
            if let (1 | 2 | 9, [thread, n, ..]) = (first & 0x0f, payload) {
                let last = order.iter().rev().find(|label| label[0] == *thread);
                assert!(
                    last.is_none_or(|label| label[1] < *n),
                    "out of order: {}",
                    context()
                );
                order.push([*thread, *n]);
            }
        }
        // What was accepted is there, unless it was forgotten for a Close, or the connection failed.
        let forgets =
            |(op, ..): &(Op, [u8; 2], Outcome)| matches!(op, AnswerClose | Fail | End | Stream(_));
        let info = state.close_info.as_ref();
        let may_be_lost = has_failed
            || log.iter().any(forgets)
            || info.is_some_and(|info| info.code == close::POLICY);
        for (op, label, outcome) in &*log {
            let is_message = matches!(
                op,
                Send | SendLong | Hold | Post | PostFull | PostLater | Ping
            );
            let is_there = order.contains(label);
            match outcome {
                Outcome::Accepted if is_message && !is_there => {
                    let is_closing = matches!(state.closing, Closing::Open);
                    assert!(may_be_lost && !is_closing, "{op:?} is lost: {}", context());
                }
                Outcome::Closed | Outcome::Slow if is_message => {
                    // Its own may be out where the thread failed in what it wrote for others.
                    assert!(!is_there || has_failed, "{op:?} was refused: {}", context());
                }
                _ => {}
            }
        }
        // Each end is told once, and says how it came.
        let failures = log
            .iter()
            .filter(|(.., outcome)| *outcome == Outcome::Failed)
            .count();
        assert!(
            failures <= usize::from(peer.has_failed),
            "told twice: {}",
            context()
        );
        assert!(!peer.has_failed || has_failed, "not noted: {}", context());
        let close = frames.iter().find(|(first, _)| *first == 0x88);
        if let Some((_, payload)) = close {
            let code = info.map(|info| info.code.to_be_bytes().to_vec());
            assert_eq!(code.as_deref(), payload.get(..2), "{}", context());
        }
        let is_out = state.closing.sent_at().is_some();
        assert_eq!(
            is_out,
            close.is_some() && !(is_cut || has_failed && !is_out),
            "{}",
            context()
        );
        let fin_at = peer.fin_at.unwrap_or(peer.taken.len());
        assert_eq!(fin_at, peer.taken.len(), "behind FIN: {}", context());
        // Nobody waits in vain, and nothing is left behind.
        let most = Duration::from_secs(u64::from(report.is_disturbed));
        assert!(report.ended_at <= most, "it waited in vain: {}", context());
        assert!(!matches!(state.turn, Turn::Taken(_)), "{}", context());
        assert!(!state.queue.is_ready(false), "left behind: {}", context());
        assert_eq!(state.takers, 0);
    }
}

fn has_close(bytes: &[u8]) -> bool {
    frames(bytes).0.iter().any(|(first, _)| *first == 0x88)
}

/// The frames, each by its first byte and its payload, and whether there is half of one.
fn frames(mut bytes: &[u8]) -> (Vec<(u8, &[u8])>, bool) {
    let mut frames = Vec::new();
    while let [first, len, rest @ ..] = bytes {
        let Some((payload, behind)) = rest.split_at_checked(usize::from(*len)) else {
            break;
        };
        frames.push((*first, payload));
        bytes = behind;
    }
    (frames, !bytes.is_empty())
}

/// Runs a program in all orders, with so many faults of the peer in each.
#[track_caller]
fn check(when_full: WhenFull, faults: usize, most_preemptions: usize, program: &[&[Op]]) -> usize {
    let settings = Settings {
        max_queue_bytes: QUEUE_BYTES,
        max_queue_messages: 3,
        when_full,
        ..Settings::default()
    };
    // More takes minutes, and is for who changes the outbox.
    let more = std::env::var("AKURAI_MORE_ORDERS").map_or(0, |more| more.parse().unwrap());
    let escort: &Escort<Pipe> = Box::leak(Box::new(Escort::new()));
    let begun = Instant::now();
    let runs = model::explore(most_preemptions + more, || {
        let peer = Peer {
            faults_left: faults,
            ..Peer::default()
        };
        let pipe = Pipe {
            peer: Arc::new(Monitor::new(peer)),
            timeout: Duration::ZERO,
            escort,
        };
        let outbox = Outbox::new(settings, None);
        outbox.connect(pipe.clone()).unwrap();
        let scene = Scene {
            outbox,
            pipe,
            log: Log::default(),
        };
        let threads = program.iter().enumerate();
        let bodies = threads.map(|(n, ops)| scene.thread(n, ops)).collect();
        (bodies, Box::new(move |report| scene.verify(report)))
    });
    println!(
        "{runs} orders of {program:?}, {when_full:?}, {faults} faults: {:?}",
        begun.elapsed()
    );
    runs
}

const POLICIES: [WhenFull; 3] = [WhenFull::Wait, WhenFull::Refuse, WhenFull::Close];

#[test]
fn threads_that_send() {
    check(WhenFull::Wait, 0, 9, &[&[Send, Send], &[Send, Send]]);
    check(
        WhenFull::Wait,
        0,
        2,
        &[&[Send, Ping], &[Send, Post], &[Send]],
    );
    check(WhenFull::Wait, 1, 2, &[&[Send, Send], &[Ping, Send]]);
    check(WhenFull::Wait, 2, 1, &[&[Send, Send], &[Send, Send]]);
}

#[test]
fn threads_that_fill_the_queue() {
    for when_full in POLICIES {
        check(when_full, 0, 2, &[&[SendLong], &[Send, Send, Send, Send]]);
        check(when_full, 1, 1, &[&[Send, Send], &[Post, PostFull, Post]]);
        check(
            when_full,
            1,
            1,
            &[&[PostFull, Send], &[PostLater, PostFull, PostNow]],
        );
    }
}

#[test]
fn threads_that_post() {
    check(WhenFull::Close, 1, 2, &[&[Post, Post], &[Post, Send]]);
    check(WhenFull::Close, 2, 1, &[&[Post, PostFull, Post], &[Send]]);
    check(
        WhenFull::Close,
        2,
        1,
        &[&[PostLater, PostLater, PostNow], &[Post, PostNow]],
    );
}

#[test]
fn threads_that_write_themselves_what_is_long() {
    check(
        WhenFull::Wait,
        0,
        2,
        &[&[SendLong], &[Send, Send], &[SendLong]],
    );
    check(WhenFull::Close, 1, 1, &[&[SendLong, Send], &[Send, Post]]);
    check(
        WhenFull::Close,
        0,
        2,
        &[&[SendLong], &[Stream(2)], &[PostLater, PostNow]],
    );
}

#[test]
fn a_fragmented_message_and_what_may_come_between() {
    check(
        WhenFull::Close,
        0,
        2,
        &[&[Stream(2)], &[Send, Ping], &[Pong, Pong]],
    );
    check(
        WhenFull::Close,
        0,
        1,
        &[&[Stream(2)], &[Stream(2)], &[Post, Keepalive]],
    );
    check(
        WhenFull::Close,
        1,
        1,
        &[&[Stream(2), Send], &[Post, Ping, Pong]],
    );
    check(WhenFull::Close, 0, 2, &[&[Stream(2)], &[Send, Close]]);
}

#[test]
fn a_reader_that_answers_pings_and_holds_messages_back() {
    check(
        WhenFull::Close,
        0,
        3,
        &[&[Hold, Pong, Hold, Flush], &[Send, Send]],
    );
    check(
        WhenFull::Close,
        1,
        1,
        &[&[Hold, Keepalive, Pong, Flush], &[Post, Send]],
    );
    check(
        WhenFull::Close,
        0,
        2,
        &[&[Hold, Hold, Flush], &[SendLong], &[PostLater, PostNow]],
    );
}

#[test]
fn a_close_from_this_side() {
    check(
        WhenFull::Close,
        0,
        1,
        &[&[Send, Close, Send], &[Send, Send], &[HearAnswer]],
    );
    check(
        WhenFull::Close,
        1,
        0,
        &[&[Post, PostClose], &[Send, Send], &[HearAnswer]],
    );
    check(WhenFull::Close, 0, 3, &[&[Hold, Finish], &[Send, SendLong]]);
    check(WhenFull::Close, 1, 1, &[&[Hold, Finish], &[Post, Send]]);
    check(
        WhenFull::Close,
        0,
        1,
        &[&[Close], &[PostClose], &[SendLong]],
    );
}

#[test]
fn a_close_from_the_other_side_and_other_ends() {
    check(
        WhenFull::Close,
        0,
        2,
        &[&[Pong, AnswerClose, Finish], &[Send, Send]],
    );
    check(
        WhenFull::Close,
        1,
        1,
        &[&[AnswerClose, Finish], &[Post, Close]],
    );
    check(WhenFull::Close, 1, 1, &[&[Fail, Finish], &[Send, Post]]);
    check(WhenFull::Close, 1, 1, &[&[Pong, End], &[SendLong], &[Post]]);
    check(WhenFull::Close, 0, 2, &[&[Fail, Finish], &[Stream(2)]]);
}
