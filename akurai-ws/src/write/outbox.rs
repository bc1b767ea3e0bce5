//! The state that all holders of a connection share: which thread writes, what waits to be written,
//! and how it closes.
//!
//! A connection has no writer thread. The right to write is the *turn*. A sending thread that finds
//! it free takes it, with the [`Writer`], and writes its own frame without a copy. A thread that
//! finds it taken leaves its frame in the queue and returns. The thread that has the turn writes
//! everything that waits before it ends the turn. So frames follow each other whole, and the frames
//! of one thread in its own order.
//!
//! ```text
//!          send ──▶ turn free? ──yes──▶ take it, write, drain the queue, end it
//!                        │no
//!                        └──▶ room in the queue? ──yes──▶ push
//!                                   │no
//!                                   └──▶ WhenFull: wait, refuse, or close with 1008
//! ```
//!
//! Why this is not simpler: std has no write that returns at once on a socket which another thread
//! reads, since `set_nonblocking` would change the reader's socket too. A thread that must not wait
//! has the socket's own timeout instead, 5 ms, and one thread of the process, the [`escort`], waits
//! for all peers that take longer. The escort also takes over the rest from a thread that has
//! written a queue's worth for others.
//!
//! Some threads must write themselves: their message is longer than the queue, or part of a
//! fragmented message. They wait until the turn is free. While they wait, other threads do not take
//! it, or a flood of short messages would leave them no turn.
//!
//! The lock is held while a frame is queued or the turn changes hands, never during a write. With
//! context takeover it is also held while a message of at most 128 KiB is compressed, since only
//! its turn decides which messages it follows. No other lock is taken under it.

mod closing;
mod escort;
mod sending;
#[cfg(test)]
mod tests;

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use akurai_http::Socket;
use akurai_http::deflate::Deflate;

use super::monitor::{self, Monitor};
use super::queue::{Batch, Queue};
use super::writer::Writer;
use crate::codec::compression::ContextUse;
use crate::message::CloseInfo;
use crate::settings::Settings;

use escort::Escorted;

/// A frame as the caller has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'f> {
    /// The header, or a whole encoded frame.
    pub(crate) head: &'f [u8],
    pub(crate) payload: &'f [u8],
    /// The whole frame again, if it may be kept rather than copied.
    pub(crate) shared: Option<&'f Arc<[u8]>>,
    pub(crate) kind: FrameKind,
    pub(crate) context: ContextUse,
}

/// The kind of a frame decides where it may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum FrameKind {
    /// A whole message: not into a fragmented one.
    Data,
    /// A ping of the application: anywhere, behind the messages before it.
    Control,
    /// The answer to a ping: anywhere.
    Pong,
    /// No bytes yet: a fragmented message begins, behind the messages before it.
    Begin,
    /// A part of the fragmented message under way. The thread that sends it writes it; it is never
    /// queued.
    Fragment { fin: bool },
}

/// How long a sending thread waits for the peer, and when its frame goes out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    /// At once; for the write deadline at most.
    Send,
    /// The same; but a short message may stay in the queue, to be written with the next frame or
    /// by [`flush`](Outbox::flush) at the latest.
    Hold,
    /// At once; for 5 to 10 ms, and then the [`escort`] waits for the peer.
    Post,
    /// The same; but a message stays in the queue as long as there is room.
    PostLater,
}

#[derive(Debug)]
pub(crate) struct Outbox<O: Escorted = Socket> {
    pub(crate) settings: Settings,
    pub(crate) subprotocol: Option<String>,
    /// The same as in the state, for threads that do not have the lock.
    is_open: AtomicBool,
    /// The reader waits for the peer and sees nothing else.
    pub(crate) is_reading: AtomicBool,
    /// How many bytes the socket took. The write under way is counted when it ends.
    written_bytes: AtomicU64,
    state: Monitor<OutboxState<O>>,
}

#[derive(Debug)]
struct OutboxState<O> {
    turn: Turn<O>,
    closing: Closing,
    /// What the application is told of the end: set when our Close is queued, or at the end.
    close_info: Option<CloseInfo>,
    peer_closed: bool,
    queue: Queue,
    /// A fragmented message of ours is under way.
    is_streaming: bool,
    /// The messages that our next compressed message may refer to, if that was agreed on.
    deflate: Option<Deflate>,
    /// Threads that wait to write something themselves.
    takers: usize,
    /// How many bytes had been written before the last ping that asks whether the peer is alive.
    asked_behind_bytes: u64,
}

/// Which thread may write.
#[derive(Debug)]
enum Turn<O> {
    /// No thread, before the beginning and after our Close or the end. So no `Sender` keeps the
    /// socket.
    Gone,
    Free(Writer<O>),
    /// The thread that took the writer, or the escort. If something waits behind the write under
    /// way, the peer is to blame for that from this time on.
    Taken(Option<Instant>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Closing {
    /// Messages may be sent.
    Open,
    /// No thread receives any more, so no message may be sent. Only the close is left.
    Retired,
    /// Our Close waits or is being written, and FIN follows it if that is wanted.
    Queued { then_fin: bool },
    /// Our Close went out at this time.
    Sent(Instant),
    /// Nothing can be written any more. After a write that failed it is unknown what the peer has.
    Ended {
        sent_at: Option<Instant>,
        has_failed: bool,
    },
}

type StateGuard<'s, O> = monitor::Guard<'s, OutboxState<O>>;

/// The turn, as the thread has it: the writer, and what to write next.
#[derive(Debug)]
struct Job<O> {
    writer: Writer<O>,
    batch: Batch,
    /// The batch ends with Close, after which the connection sends nothing.
    has_close: bool,
}

impl<O: Escorted> Outbox<O> {
    /// The outbox of a connection that has not [begun](Self::connect).
    #[inline(never)]
    pub(crate) fn new(settings: Settings, subprotocol: Option<String>) -> Arc<Self> {
        Arc::new(Self {
            settings,
            subprotocol,
            is_open: AtomicBool::new(true),
            is_reading: AtomicBool::new(false),
            written_bytes: AtomicU64::new(0),
            state: Monitor::new(OutboxState {
                turn: Turn::Gone,
                closing: Closing::Open,
                close_info: None,
                peer_closed: false,
                queue: Queue::default(),
                is_streaming: false,
                deflate: None,
                takers: 0,
                asked_behind_bytes: 0,
            }),
        })
    }

    /// The connection begins on this socket.
    pub(crate) fn connect(&self, socket: O) -> std::io::Result<()> {
        let writer = Writer::new(socket, self.settings.write_deadline)?;
        self.lock().turn = Turn::Free(writer);
        Ok(())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// How many bytes the socket took so far.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed)
    }

    /// How many bytes had been written before the ping that asks whether the peer is alive; `None`
    /// while the ping may stand behind another thread's write.
    pub(crate) fn asked_behind_bytes(&self) -> Option<u64> {
        let state = self.lock();
        let is_out = matches!(state.turn, Turn::Free(_)) && !state.queue.keepalive;
        is_out.then_some(state.asked_behind_bytes)
    }

    fn lock(&self) -> StateGuard<'_, O> {
        let state = self.state.lock();
        self.check(&state);
        state
    }

    /// Waits until something changes, for at most this long.
    fn pause<'s>(&'s self, state: StateGuard<'s, O>, most: Duration) -> StateGuard<'s, O> {
        let state = self.state.wait(state, most);
        self.check(&state);
        state
    }

    /// Checks what the types cannot say of a state that another thread has left.
    fn check(&self, state: &OutboxState<O>) {
        if !cfg!(debug_assertions) {
            return;
        }
        let (closing, queue) = (state.closing, &state.queue);
        let is_over = closing.is_begun() && !closing.is_due();
        let is_free = matches!(state.turn, Turn::Free(_));
        let is_awaited = state.takers > 0 && !state.is_streaming;
        let is_told = state.close_info.is_some() == closing.is_begun();
        let rules = [
            ("open", self.is_open() == (closing == Closing::Open)),
            ("an end that is told", is_told),
            ("no context", state.deflate.is_none() || !closing.is_begun()),
            ("nothing behind Close", !queue.is_ready(false) || !is_over),
            ("no writer", !is_free || !is_over),
            // Messages may be held back, but nothing else waits unless a thread will write it.
            ("a thread", !is_free || is_awaited || !queue.is_ready(true)),
        ];
        for (rule, holds) in rules {
            assert!(holds, "there should be {rule}: {state:?}");
        }
    }
}

impl<O: Escorted> OutboxState<O> {
    /// Whether a thread that was not waiting may take the turn. Threads that wait to write
    /// something themselves come first, but not in the middle of a fragmented message.
    fn is_free(&self) -> bool {
        matches!(self.turn, Turn::Free(_)) && (self.takers == 0 || self.is_streaming)
    }

    /// Takes the turn, if it is free: the writer, and what is to be written first.
    fn take_turn(&mut self) -> Option<Job<O>> {
        match mem::replace(&mut self.turn, Turn::Taken(None)) {
            Turn::Free(writer) => Some(self.next_job(writer)),
            other => {
                self.turn = other;
                None
            }
        }
    }

    /// Everything that may be written now.
    #[inline(always)]
    fn next_job(&mut self, writer: Writer<O>) -> Job<O> {
        let mut batch = Batch::default();
        if self.queue.is_ready(self.is_streaming) {
            if self.queue.keepalive {
                self.asked_behind_bytes = writer.written_bytes;
            }
            batch = self.queue.take(self.is_streaming);
        }
        let has_close = self.closing.is_due();
        Job {
            writer,
            batch,
            has_close,
        }
    }
}
