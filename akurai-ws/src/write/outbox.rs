//! What all holders of a connection share: who writes, what waits to be written, how it closes.
//!
//! A connection has no writer thread. A sending thread that finds the [`Writer`] at its place takes
//! it out and writes, its own frame without a copy. A thread that finds it taken queues its frame and
//! returns. The writing thread writes what waits before it puts the writer back; and when it has done so
//! for a whole queue's worth, it gives the rest to the [`escort`]. So frames follow each other
//! whole, and those of one thread in its own order.
//!
//! ```text
//!          send ──▶ writer there? ──yes──▶ take it, write, drain the queue, put it back
//!                        │no
//!                        └──▶ room in the queue? ──yes──▶ push
//!                                   │no
//!                                   └──▶ WhenFull: wait, refuse, or close with 1008
//! ```
//!
//! The lock is held while a frame is queued or the writer is passed on, never during a write; and with context takeover, while a
//! message of at most 128 KiB is compressed, since only its turn says what it follows.

mod escort;
mod post;
mod sending;

use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use akurai_http::Socket;
use akurai_http::deflate::Deflate;

use crate::codec::close;
use crate::codec::compression::Outbound;
use crate::codec::frame::{self, Opcode};
use crate::error::Error;
use crate::message::CloseInfo;
use crate::options::Settings;
use crate::write::queue::{Batch, Queue};
use crate::write::writer::Writer;

/// A frame as a caller has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'f> {
    /// The header, or a whole encoded frame.
    pub(crate) head: &'f [u8],
    pub(crate) payload: &'f [u8],
    /// The whole frame again, if it may be kept rather than copied.
    pub(crate) shared: Option<&'f Arc<[u8]>>,
    pub(crate) lane: Lane,
    pub(crate) context: Context,
}

/// What a frame has to do with the compression context that our messages share (RFC 7692 §7.1.1), if they do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Context {
    /// Nothing: it is not compressed.
    Apart,
    /// It is compressed by itself, and still moves the peer's window on.
    Anew,
    /// It is to be compressed behind those that were sent before it, when it is its turn.
    Behind(Opcode),
}

/// Where a frame may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lane {
    /// A whole message: not into a fragmented one.
    Data,
    /// A ping of the application: anywhere.
    Control,
    /// A part of the fragmented message under way, written by its owner and never queued.
    Fragment { fin: bool },
}

/// Which messages a Close waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// For those that wait already.
    Behind,
    /// For none: they are forgotten.
    InFront,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) settings: Settings,
    pub(crate) subprotocol: Option<String>,
    /// As the phase says, for those who have no lock.
    open: AtomicBool,
    /// The reader waits for the peer, and sees nothing else.
    is_reading: AtomicBool,
    /// How much the socket took; what is being written is counted later.
    written_bytes: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// `None` before the beginning, while a thread writes, and after the end: no `Sender` keeps the socket.
    writer: Option<Writer>,
    /// It is in use.
    is_writing: bool,
    /// Since when something waits behind the write under way.
    busy_since: Option<Instant>,
    /// The peer has not taken what was written in time, and what waits has not gone since.
    is_slow: bool,
    queue: Queue,
    /// How much had been written before the last ping that asks whether the peer is alive.
    asked_behind_bytes: u64,
    /// A fragmented message of ours is under way.
    is_streaming: bool,
    /// What our next compressed message may refer to, if that was agreed on.
    deflate: Option<Deflate>,
    /// Threads that wait for a change.
    waiting: usize,
    /// Those of them that will take the writer themselves.
    takers: usize,
    /// A thread that has drained a queue's worth for others has put the writer back for one of the
    /// takers.
    is_reserved: bool,
    /// A write failed: nobody knows what the peer has of it.
    has_failed: bool,
    close_info: Option<CloseInfo>,
    close_sent_at: Option<Instant>,
    peer_closed: bool,
    /// FIN follows our Close.
    fin_wanted: bool,
    /// Nobody receives any more: what is left is to close.
    is_retired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Open,
    /// Our Close is queued or sent.
    Closing,
    /// Nothing can be written any more.
    Ended,
}

type Guard<'s> = MutexGuard<'s, State>;

/// How long the peer's Close waits for the thread that may just have written ours.
const NOTED_WITHIN: Duration = Duration::from_millis(250);

impl Outbox {
    /// That of a connection which is yet to [begin](Self::connect).
    #[inline(never)]
    pub(crate) fn new(
        settings: &Settings,
        outbound: Option<Outbound>,
        subprotocol: Option<String>,
    ) -> Arc<Self> {
        Arc::new(Self {
            settings: Settings {
                outbound,
                ..*settings
            },
            subprotocol,
            open: AtomicBool::new(true),
            is_reading: AtomicBool::new(false),
            written_bytes: AtomicU64::new(0),
            state: Mutex::new(State {
                phase: Phase::Open,
                writer: None,
                is_writing: false,
                busy_since: None,
                is_slow: false,
                queue: Queue::default(),
                asked_behind_bytes: 0,
                is_streaming: false,
                deflate: None,
                waiting: 0,
                takers: 0,
                is_reserved: false,
                has_failed: false,
                close_info: None,
                close_sent_at: None,
                peer_closed: false,
                fin_wanted: false,
                is_retired: false,
            }),
            changed: Condvar::new(),
        })
    }

    /// The connection begins on this socket.
    pub(crate) fn connect(&self, socket: Socket) -> std::io::Result<()> {
        self.lock().writer = Some(Writer::new(socket, self.settings.write_deadline)?);
        Ok(())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub(crate) fn close_info(&self) -> Option<CloseInfo> {
        self.lock().close_info.clone()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.lock().has_failed
    }

    /// How much the socket took so far.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed)
    }

    /// Whether our Close waits to be written, or is being written.
    pub(crate) fn is_close_due(&self) -> bool {
        let state = self.lock();
        state.phase == Phase::Closing && state.close_sent_at.is_none()
    }

    /// When our Close went out.
    pub(crate) fn close_sent_at(&self) -> Option<Instant> {
        self.lock().close_sent_at
    }

    /// Sends Close, unless one has gone either way.
    pub(crate) fn close(
        self: &Arc<Self>,
        code: u16,
        reason: &str,
        place: Place,
    ) -> Result<(), Error> {
        let payload = close::encode(code, reason)?;
        self.close_with(&payload, code, reason, place)
    }

    /// The same with a payload that may be empty, as the echo of an empty one is.
    pub(crate) fn close_with(
        self: &Arc<Self>,
        payload: &[u8],
        code: u16,
        reason: &str,
        place: Place,
    ) -> Result<(), Error> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Ok(());
        }
        self.queue_close(&mut state, payload, code, reason, place);
        self.settle(state)
    }

    fn queue_close(
        &self,
        state: &mut State,
        payload: &[u8],
        code: u16,
        reason: &str,
        place: Place,
    ) {
        state.phase = Phase::Closing;
        state.deflate = None;
        self.open.store(false, Ordering::Release);
        state.set_close_info(code, reason);
        if place == Place::InFront || state.is_streaming {
            state.queue.drop_data();
        }
        state.queue.set_close(payload);
        self.wake(state);
    }

    /// The reader is about to wait. False if it should not, since the server stops: it has to send
    /// Close.
    pub(crate) fn begin_read(&self, socket: &Socket) -> bool {
        // The flag first: either the server that stops sees it, or we see that it stops.
        self.is_reading.store(true, Ordering::SeqCst);
        let must_close = self.is_open() && socket.is_stopping();
        if must_close {
            self.end_read();
        }
        !must_close
    }

    pub(crate) fn end_read(&self) {
        self.is_reading.store(false, Ordering::Release);
    }

    /// The server stops, which a reader that waits does not see: so Close is sent for it, and the
    /// peer's wakes it. A handler that is busy may still send what it has; its next `recv` sends
    /// Close.
    pub(crate) fn server_stops(self: &Arc<Self>, socket: &Socket) {
        if !self.is_reading.load(Ordering::SeqCst) {
            return;
        }
        if self.is_open() {
            let _ = self.post_close(close::GOING_AWAY, "");
        } else if self
            .close_sent_at()
            .is_some_and(|at| at.elapsed() >= self.settings.close_wait)
        {
            // The read under way began before our Close, and may wait longer than that.
            let _ = socket.shutdown(Shutdown::Read);
        }
    }

    /// Nobody receives any more, so that nobody may send: the peer's Close would not be answered.
    pub(crate) fn retire(&self) {
        let mut state = self.lock();
        state.is_retired = true;
        self.open.store(false, Ordering::Release);
        self.wake(&state);
    }

    /// The peer's Close came.
    pub(crate) fn peer_closed(&self) {
        let mut state = self.lock();
        state.peer_closed = true;
        // It may answer the Close that another thread has just written, and has not yet noted.
        let until = Instant::now() + NOTED_WITHIN;
        while state.close_sent_at.is_none() && state.is_writing && state.has_taken_close() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.pause(state, left, false);
        }
        state.judge_clean();
    }

    /// FIN, once our Close is out.
    pub(crate) fn fin(&self, socket: &Socket) {
        let mut state = self.lock();
        if state.phase == Phase::Closing && state.close_sent_at.is_none() {
            state.fin_wanted = true;
            return;
        }
        drop(state);
        let _ = socket.shutdown(Shutdown::Write);
    }

    /// The transport is at its end. A thread that writes is left to find that out.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        self.finish(&mut state);
    }

    /// The connection is given up: also whoever still writes.
    pub(crate) fn abandon(&self, socket: &Socket) {
        let mut state = self.lock();
        let is_writing = state.is_writing;
        state.has_failed |= is_writing;
        self.finish(&mut state);
        drop(state);
        if is_writing {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// The peer is gone without a word.
    pub(crate) fn lose(&self, socket: &Socket) {
        let mut state = self.lock();
        state.has_failed = true;
        self.finish(&mut state);
        drop(state);
        let _ = socket.shutdown(Shutdown::Both);
    }

    fn close_is_out(&self, state: &mut State) {
        state.close_sent_at = Some(Instant::now());
        state.judge_clean();
        if state.fin_wanted {
            if let Some(writer) = &state.writer {
                writer.shutdown(Shutdown::Write);
            }
        }
    }

    fn finish(&self, state: &mut State) {
        state.phase = Phase::Ended;
        self.open.store(false, Ordering::Release);
        state.writer = None;
        state.deflate = None;
        state.queue = Queue::default();
        state.set_close_info(close::ABNORMAL, "");
        self.wake(state);
    }

    // A notice costs a system call, also when nobody listens.
    fn wake(&self, state: &State) {
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    // Each change under this lock is whole.
    fn lock(&self) -> Guard<'_> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A frame in the place in the order of all frames that is its own from now on: compressed behind those before it, if it
    /// wants that, and if that makes it shorter.
    fn compressed(&mut self, frame: &Outgoing<'_>, outbound: Option<Outbound>) -> Option<Vec<u8>> {
        match (frame.context, outbound) {
            (Context::Behind(opcode), Some(outbound)) => {
                let payload = outbound.compress_behind(&mut self.deflate, frame.payload)?;
                let header = frame::encode_compressed_header(opcode, true, payload.len());
                Some([header.as_slice(), &payload].concat())
            }
            (Context::Anew, _) => {
                self.deflate = None;
                None
            }
            _ => None,
        }
    }

    fn take_writer(&mut self) -> Option<Writer> {
        let writer = self.writer.take()?;
        self.is_writing = true;
        if self.queue.has_keepalive() {
            self.asked_behind_bytes = writer.written_bytes();
        }
        Some(writer)
    }

    fn is_free(&self) -> bool {
        self.writer.is_some() && !self.is_reserved
    }

    /// Something is about to be queued, behind what another thread writes if one does.
    fn waits_behind(&mut self) {
        if !self.is_free() {
            self.busy_since.get_or_insert_with(Instant::now);
        }
    }

    // The buffer of a batch that was written, unless nothing will be written any more.
    fn recycle(&mut self, bytes: Vec<u8>) {
        if self.phase != Phase::Ended {
            self.queue.recycle(bytes);
        }
    }

    fn take_batch(&mut self) -> Batch {
        self.queue.take(self.is_streaming)
    }

    fn is_free_for(&self, lane: Lane) -> bool {
        let is_barred = match lane {
            Lane::Data => self.is_streaming,
            // A ping stays behind what was sent before it.
            Lane::Control => self.is_streaming && self.queue.has_data(),
            Lane::Fragment { .. } => false,
        };
        self.is_free() && !is_barred
    }

    fn set_close_info(&mut self, code: u16, reason: &str) {
        self.close_info.get_or_insert_with(|| CloseInfo {
            code,
            reason: reason.to_owned(),
            clean: false,
        });
    }

    /// The Close is not in the queue any more: it is being written, or was.
    fn has_taken_close(&self) -> bool {
        self.phase == Phase::Closing && !self.queue.has_close()
    }

    fn judge_clean(&mut self) {
        let both = self.peer_closed && self.close_sent_at.is_some();
        if let Some(info) = &mut self.close_info {
            info.clean |= both;
        }
    }
}
