//! The surroundings of a program of the model test: a peer without a socket, its threads, and the
//! properties that must hold when they have ended.

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::escort::Escort;
use super::super::*;
use crate::codec::close;
use crate::codec::frame::{self, Opcode};
use crate::error::Error;
use crate::write::model::{self, Body, Report};
use crate::write::writer::Outlet;

/// A step of a program's thread. A message names its thread and its place in that thread's program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op {
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
    /// A message in this many fragments.
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
    /// The reader finds the peer's answer to our Close, if that comes.
    HearAnswer,
    /// The reader has found a violation.
    Fail,
    /// The handler returns.
    Finish,
    /// The reader has found the end of the transport.
    End,
}

use Op::*;

impl Op {
    fn is_message(self) -> bool {
        matches!(
            self,
            Send | SendLong | Hold | Post | PostFull | PostLater | Ping
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Accepted,
    Closed,
    Slow,
    /// The write failed, or took too long.
    Failed,
}

pub(super) const QUEUE_BYTES: usize = 12;
const CLOSE: u16 = 4000;
const ANSWER: u16 = 4001;
const TOO_SLOW: Duration = Duration::from_millis(60);

/// The other end of a connection.
#[derive(Debug, Default)]
struct Peer {
    taken: Vec<u8>,
    /// How many bytes it took by writes that did not say so: they would have blocked, or said that
    /// they took less. So does a session, which cannot take its records back. These bytes come
    /// again.
    untold: usize,
    /// How often it does something other than taking all bytes at once.
    faults_left: usize,
    fin_at: Option<usize>,
    has_failed: bool,
    has_ended: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Pipe {
    peer: Arc<Monitor<Peer>>,
    timeout: Duration,
    escort: &'static Escort<Pipe>,
}

impl Pipe {
    fn take(&self, bytes: &[u8], wait: Option<Duration>) -> io::Result<usize> {
        let mut peer = self.peer.lock();
        let mut told = bytes.len();
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
            (1, _) => told = told.min(3),
            (2, None) => told = 0,
            (2, Some(wait)) => {
                if wait <= TOO_SLOW {
                    told = 0;
                    peer.take(bytes, told);
                    self.peer.wake(&peer);
                }
                drop(peer);
                model::pass_time(wait.min(TOO_SLOW));
                if told == 0 {
                    return Err(ErrorKind::WouldBlock.into());
                }
                peer = self.peer.lock();
                if peer.has_ended {
                    return Err(ErrorKind::BrokenPipe.into());
                }
            }
            _ => {
                peer.has_failed = true;
                self.peer.wake(&peer);
                return Err(ErrorKind::BrokenPipe.into());
            }
        }
        peer.take(bytes, told);
        self.peer.wake(&peer);
        match told {
            0 => Err(ErrorKind::WouldBlock.into()),
            told => Ok(told),
        }
    }
}

impl Peer {
    /// Takes all of these bytes, and is going to say that it took `told` of them.
    fn take(&mut self, bytes: &[u8], told: usize) {
        let untold = &self.taken[self.taken.len() - self.untold..];
        let again = untold.len().min(bytes.len());
        assert_eq!(bytes[..again], untold[..again], "other bytes come again");
        self.taken.extend_from_slice(&bytes[again..]);
        self.untold += bytes.len() - again;
        self.untold -= told;
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
        let mut peer = self.peer.lock();
        // A session would say here that all is well.
        let is_whole = peer.untold == 0 && !frames(&peer.taken).1;
        let is_cut = how == Shutdown::Both || peer.has_ended || peer.has_failed;
        assert!(is_whole || is_cut, "FIN in the middle of a frame");
        let len = peer.taken.len();
        peer.fin_at.get_or_insert(len);
        peer.has_ended |= how == Shutdown::Both;
        self.peer.wake(&peer);
    }
}

impl Escorted for Pipe {
    fn escort(&self) -> &'static Escort<Self> {
        self.escort
    }
}

type Label = [u8; 2];
type Entry = (Op, Label, Outcome);
type Log = Arc<Mutex<Vec<Entry>>>;

/// One run of a program.
#[derive(Clone)]
pub(super) struct Scene {
    outbox: Arc<Outbox<Pipe>>,
    pipe: Pipe,
    log: Log,
}

impl Scene {
    pub(super) fn new(settings: Settings, faults: usize, escort: &'static Escort<Pipe>) -> Self {
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
        Self {
            outbox,
            pipe,
            log: Log::default(),
        }
    }

    pub(super) fn thread(&self, thread: usize, ops: &[Op]) -> Body {
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
            let plain = Outgoing::plain(&frame, b"", FrameKind::Data);
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
                Outgoing::plain(&[0x89, 2], &label, FrameKind::Control),
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
            Finish => self.finish(),
            Op::End => {
                outbox.end(false);
                if !outbox.closing().has_failed() && !outbox.will_send_fin() {
                    self.pipe.shutdown(Shutdown::Write);
                }
                Ok(())
            }
        }
    }

    fn finish(&self) -> Result<(), Error> {
        self.outbox.retire();
        let result = self.outbox.close(CLOSE, "", Way::Send);
        if !self.outbox.closing().has_failed() {
            self.outbox.await_close();
        }
        self.outbox.abandon();
        self.pipe
            .shutdown(match self.outbox.closing().has_failed() {
                true => Shutdown::Both,
                false => Shutdown::Write,
            });
        result
    }

    fn stream(&self, parts: usize, label: [u8; 2]) -> Result<(), Error> {
        self.outbox
            .send(Outgoing::plain(b"", b"", FrameKind::Begin), Way::Send)?;
        for part in 0..parts {
            let fin = part + 1 == parts;
            let opcode = if part == 0 { 2 } else { 0 };
            let head = [opcode | u8::from(fin) << 7, 2];
            let frame = Outgoing::plain(&head, &label, FrameKind::Fragment { fin });
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

    /// Checks what must hold when all threads have ended.
    pub(super) fn verify(&self, report: Report) {
        let state = self.outbox.lock();
        let peer = self.pipe.peer.lock();
        let log = self.log.lock().unwrap();
        let end = End {
            state: &state,
            peer: &peer,
            log: &log,
        };
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
            let frames = end.frames_are_whole();
            let order = end.each_is_in_its_place(&frames);
            end.nothing_is_lost(&order);
            end.its_end_is_told(&frames);
            end.nobody_waits(report);
        }));
        if let Err(panic) = outcome {
            println!("{state:?}\n{log:?}\n{peer:?}\n{report:?}");
            panic::resume_unwind(panic);
        }
    }
}

/// A run that has ended.
struct End<'e> {
    state: &'e OutboxState<Pipe>,
    peer: &'e Peer,
    log: &'e [Entry],
}

impl End<'_> {
    fn frames_are_whole(&self) -> Vec<(u8, &[u8])> {
        let (frames, is_cut) = frames(&self.peer.taken);
        let may_be_cut = self.state.closing.has_failed() || self.peer.has_ended;
        assert!(!is_cut || may_be_cut, "half a frame");
        assert!(
            self.peer.untold == 0 || may_be_cut,
            "what it took never came again"
        );
        frames
    }

    /// No frame is behind the Close, and only control frames are within a fragmented message. The
    /// frames of a thread are in its order, and each is there once.
    fn each_is_in_its_place(&self, frames: &[(u8, &[u8])]) -> Vec<Label> {
        let mut order: Vec<Label> = Vec::new();
        let mut is_within = false;
        for (n, (first, payload)) in frames.iter().enumerate() {
            let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
            if opcode < 8 {
                assert_eq!(opcode == 0, is_within, "not its turn");
                is_within = !fin;
            }
            assert!(opcode != 8 || n + 1 == frames.len(), "behind the Close");
            if let (1 | 2 | 9, [thread, n, ..]) = (opcode, payload) {
                let last = order.iter().rev().find(|label| label[0] == *thread);
                assert!(last.is_none_or(|label| label[1] < *n), "out of order");
                order.push([*thread, *n]);
            }
        }
        order
    }

    /// Each frame that was accepted is there, unless it was forgotten for a Close or the connection
    /// failed. No frame that was refused is there.
    fn nothing_is_lost(&self, order: &[Label]) {
        let has_failed = self.state.closing.has_failed();
        let forgets = |op| matches!(op, AnswerClose | Fail | Op::End | Stream(_));
        let info = self.state.close_info.as_ref();
        let may_be_lost = self.state.closing != Closing::Open
            && (has_failed
                || self.log.iter().any(|(op, ..)| forgets(*op))
                || info.is_some_and(|info| info.code == close::POLICY));
        for (op, label, outcome) in self.log {
            if !op.is_message() {
                continue;
            }
            let is_there = order.contains(label);
            match outcome {
                Outcome::Accepted => assert!(is_there || may_be_lost, "{op:?} is lost"),
                // The thread's own frame may be out if the thread failed while it wrote for others.
                Outcome::Closed | Outcome::Slow => {
                    assert!(!is_there || has_failed, "{op:?} was refused");
                }
                Outcome::Failed => {}
            }
        }
    }

    fn its_end_is_told(&self, frames: &[(u8, &[u8])]) {
        let (peer, closing) = (self.peer, self.state.closing);
        let failures = self
            .log
            .iter()
            .filter(|(.., outcome)| *outcome == Outcome::Failed);
        assert!(
            failures.count() <= usize::from(peer.has_failed),
            "told twice"
        );
        assert!(!peer.has_failed || closing.has_failed(), "not told");
        let close = frames.iter().find(|(first, _)| *first == 0x88);
        if let Some((_, payload)) = close {
            let info = self.state.close_info.as_ref().expect("it has closed");
            assert_eq!(payload[..2], info.code.to_be_bytes(), "another Close");
        }
        let is_noted = closing.sent_at().is_some();
        assert!(!is_noted || close.is_some(), "no Close is out");
        assert!(
            is_noted || close.is_none() || closing.has_failed(),
            "it is out"
        );
        let fin_at = peer.fin_at.unwrap_or(peer.taken.len());
        assert_eq!(fin_at, peer.taken.len(), "behind FIN");
    }

    /// No thread waits in vain, and nothing is left behind.
    fn nobody_waits(&self, report: Report) {
        let most = Duration::from_secs(u64::from(report.is_disturbed));
        assert!(report.ended_at <= most, "a thread waited in vain");
        assert!(
            !matches!(self.state.turn, Turn::Taken(_)),
            "a turn has no end"
        );
        assert!(!self.state.queue.is_ready(false), "left behind");
        assert_eq!(self.state.takers, 0);
    }
}

fn has_close(bytes: &[u8]) -> bool {
    frames(bytes).0.iter().any(|(first, _)| *first == 0x88)
}

/// The frames, each as its first byte and its payload, and whether half a frame follows them.
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
