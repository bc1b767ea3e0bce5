//! How frames get to the socket: by which thread, and in which order.

use std::mem;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Closing, FrameKind, Job, Outbox, StateGuard};
use super::{Escorted, OutboxState, Outgoing, Turn, Way};
use crate::codec::close;
use crate::codec::compression::ContextUse;
use crate::codec::frame::{self, Opcode};
use crate::error::Error;
use crate::settings::{Settings, WhenFull};
use crate::write::monitor::now;
use crate::write::queue::Batch;
use crate::write::writer::PATIENCE;

/// How much may be held back to go out together, in bytes with the frames' headers.
const HELD_BYTES: usize = 16 * 1024;

/// How long the write of another thread may last before the peer is blamed for the frames that wait
/// behind it. On a busy machine, that thread may have to wait for a processor.
const EXCUSE: Duration = Duration::from_millis(50);

impl<O: Escorted> Outbox<O> {
    /// Sends a frame: writes it, or leaves it to the thread that writes.
    pub(crate) fn send(self: &Arc<Self>, frame: Outgoing<'_>, way: Way) -> Result<(), Error> {
        // A thread writes its frame itself if it would never fit.
        let fits = frame.may_queue() && frame.len() <= self.settings.max_queue_bytes;
        let mut until = None;
        let mut state = self.lock();
        loop {
            if !matches!(state.closing, Closing::Open) {
                let _ = self.drain(state, way);
                return Err(Error::Closed);
            }
            // Other threads leave the turn to this thread once it has waited to write its frame
            // itself.
            let is_free = match fits || until.is_none() {
                true => state.is_free(),
                false => matches!(state.turn, Turn::Free(_)),
            };
            let may_write = is_free && !state.is_barred(frame.kind);
            let is_first = || may_write && !state.queue.is_ready(false);
            let has_room = state.has_room(&frame, &self.settings);
            let (writes, stays) = match way {
                Way::Hold if has_room && state.may_hold(&frame) => (false, true),
                Way::Send | Way::Hold => (may_write, false),
                Way::Post => (is_first(), false),
                Way::PostLater => (false, has_room || is_first()),
            };
            if writes || stays || has_room {
                let (outbound, deflate) = (self.settings.outbound, &mut state.deflate);
                let whole = frame.context.compress(outbound, deflate, frame.payload);
                let compressed = whole.as_deref();
                let compressed = compressed.map(|whole| Outgoing::plain(whole, b"", frame.kind));
                let frame = compressed.as_ref().unwrap_or(&frame);
                if writes {
                    return self.write(state, way, Some(frame));
                }
                state.push(frame);
                return match stays {
                    true => Ok(()),
                    false => self.drain(state, way),
                };
            }
            if !way.waits() && is_free && state.queue.is_ready(state.is_streaming) {
                // No thread has written yet what was left for later, or what the receiving thread
                // holds back. The peer is not to blame for that.
                self.drain(state, way)?;
                state = self.lock();
            } else {
                state = self.wait_for_room(state, fits, way, &mut until)?;
            }
        }
    }

    /// Answers a ping (RFC 6455 §5.5.3).
    pub(crate) fn pong(self: &Arc<Self>, payload: &[u8]) -> Result<(), Error> {
        let header = frame::encode_header(Opcode::Pong, payload.len());
        let pong = Outgoing::plain(header.as_slice(), payload, FrameKind::Pong);
        self.send(pong, Way::Send)
    }

    /// Asks whether the peer is alive.
    pub(crate) fn keepalive(self: &Arc<Self>) -> Result<(), Error> {
        let mut state = self.lock();
        state.queue.keepalive |= !state.closing.is_begun();
        self.drain(state, Way::Send)
    }

    /// Writes the frames that were left in the queue, if no thread does.
    pub(crate) fn flush(self: &Arc<Self>, way: Way) -> Result<(), Error> {
        self.drain(self.lock(), way)
    }

    /// Writes the frames that wait, if no thread does. This is the last step wherever a frame was
    /// queued.
    pub(super) fn drain(self: &Arc<Self>, state: StateGuard<'_, O>, way: Way) -> Result<(), Error> {
        match state.is_free() && state.queue.is_ready(state.is_streaming) {
            true => self.write(state, way, None),
            false => Ok(()),
        }
    }

    /// Waits until there may be room or the turn is free, unless it is time to give up.
    fn wait_for_room<'s>(
        self: &'s Arc<Self>,
        mut state: StateGuard<'s, O>,
        fits: bool,
        way: Way,
        until: &mut Option<Instant>,
    ) -> Result<StateGuard<'s, O>, Error> {
        // The peer is not to blame if the message is long, or if our own fragmented message is in
        // the way.
        let is_peers = fits && !state.is_streaming;
        let when_full = self.settings.when_full;
        let may_wait = way.waits() && (!is_peers || when_full == WhenFull::Wait);
        let is_blamed = !may_wait && is_peers && when_full != WhenFull::Refuse;
        let now = now();
        let mut until = *until.get_or_insert(now + self.settings.write_deadline);
        if is_blamed {
            until = until.min(state.blamed_from().unwrap_or(now + EXCUSE));
        }
        let left = until.saturating_duration_since(now);
        if (may_wait || is_blamed) && !left.is_zero() {
            state.takers += usize::from(!fits);
            state = self.pause(state, left);
            state.takers -= usize::from(!fits);
            return Ok(state);
        }
        if is_blamed {
            self.queue_close(&mut state, close::POLICY, "too slow", true);
        }
        Err(Error::Slow)
    }

    /// Takes the turn, if it is free, and writes everything that waits, `own` behind it, and the
    /// frames that come meanwhile. The escort takes over the rest if the peer has not taken a post
    /// in time, or if this thread has written a queue's worth for others.
    fn write(
        self: &Arc<Self>,
        mut state: StateGuard<'_, O>,
        way: Way,
        own: Option<&Outgoing<'_>>,
    ) -> Result<(), Error> {
        let Some(mut job) = state.take_turn() else {
            return Ok(());
        };
        match own.map(|frame| frame.kind) {
            Some(FrameKind::Begin) => state.is_streaming = true,
            Some(FrameKind::Fragment { fin: true }) => state.is_streaming = false,
            _ => {}
        }
        if !job.batch.is_written() {
            self.state.wake(&state); // There is room again.
        }
        drop(state);
        let mut begun = (!way.waits()).then(now);
        let shared = own.and_then(|frame| frame.shared);
        let mut own = own.map_or([&[][..]; 2], |frame| [frame.head, frame.payload]);
        let mut drained_bytes = 0;
        loop {
            drained_bytes += job.batch.len;
            let deadline = self.settings.write_deadline;
            let since = match job.writer.write(&mut job.batch, &mut own, deadline, begun) {
                Ok(Some(since)) => since,
                result => {
                    let Some(next) = self.end_turn(job, result.map(drop))? else {
                        return Ok(());
                    };
                    job = next;
                    if drained_bytes < self.settings.max_queue_bytes {
                        continue;
                    }
                    now()
                }
            };
            // What is left of the thread's own frame: nothing waits in front of that.
            let rest = mem::take(&mut own)[0].len();
            if let Some(frame) = shared.filter(|_| rest > 0) {
                job.batch = Batch::end_of(frame, rest);
            }
            match job.writer.socket.escort().take_over(self, job, since) {
                None => return Ok(()),
                // There is no other thread, so this one waits for the peer.
                Some(rest) => job = rest,
            }
            (begun, drained_bytes) = (None, 0);
        }
    }

    /// Ends the turn of a thread that has written a batch, or failed to. If more waits, the same
    /// thread gets the next turn, unless another thread waits to write something itself.
    pub(super) fn end_turn(
        &self,
        job: Job<O>,
        result: Result<(), Error>,
    ) -> Result<Option<Job<O>>, Error> {
        let mut state = self.lock();
        let mut writer = job.writer;
        self.written_bytes
            .store(writer.written_bytes, Ordering::Relaxed);
        let has_ended = matches!(state.closing, Closing::Ended { .. });
        if result.is_err() || job.has_close || has_ended {
            let then = match &result {
                // Half a frame is out, so nothing can follow it, and the reader need not wait for
                // anything.
                Err(_) => {
                    self.finish(&mut state, true);
                    Some(Shutdown::Both)
                }
                Ok(()) if job.has_close => state.closing.is_out().then_some(Shutdown::Write),
                Ok(()) => None,
            };
            state.turn = Turn::Gone;
            self.state.wake(&state);
            // No other thread writes any more, so the socket is shut down without the lock: where
            // that writes or waits itself, as it does with TLS, no thread waits for it.
            drop(state);
            if let Some(how) = then {
                // The escort serves other peers too.
                let _ = writer.set_timeout(PATIENCE);
                writer.socket.shutdown(how);
            }
            return match result {
                Err(_) if has_ended => Err(Error::Closed),
                result => result.map(|()| None),
            };
        }
        state.queue.recycle(job.batch);
        self.state.wake(&state);
        if (state.takers == 0 || state.is_streaming) && state.queue.is_ready(state.is_streaming) {
            // Each write has its own time.
            state.turn = Turn::Taken(None);
            return Ok(Some(state.next_job(writer)));
        }
        state.queue.shrink();
        state.turn = Turn::Free(writer);
        Ok(None)
    }

    /// The peer has had its time for the bytes being written.
    pub(super) fn is_late(&self) {
        let mut state = self.lock();
        if let Turn::Taken(blamed_from) = &mut state.turn {
            *blamed_from = Some(now());
            self.state.wake(&state);
        }
    }
}

impl<O: Escorted> OutboxState<O> {
    /// Whether a fragmented message of ours is in the way.
    fn is_barred(&self, kind: FrameKind) -> bool {
        match kind {
            FrameKind::Data | FrameKind::Begin => self.is_streaming,
            // A ping stays behind what was sent before it.
            FrameKind::Control => self.is_streaming && self.queue.has_data(),
            FrameKind::Pong | FrameKind::Fragment { .. } => false,
        }
    }

    fn has_room(&self, frame: &Outgoing<'_>, settings: &Settings) -> bool {
        // Only one answer to a ping waits at a time.
        frame.kind == FrameKind::Pong
            || frame.may_queue()
                && self.queue.messages() < settings.max_queue_messages
                && self.queue.bytes() + frame.len() <= settings.max_queue_bytes
    }

    fn may_hold(&self, frame: &Outgoing<'_>) -> bool {
        frame.kind == FrameKind::Data && self.queue.bytes() + frame.len() <= HELD_BYTES
    }

    fn push(&mut self, frame: &Outgoing<'_>) {
        match (frame.kind, frame.shared) {
            (FrameKind::Pong, _) => return self.queue.set_pong(frame.head, frame.payload),
            (FrameKind::Control, _) => self.queue.push_control(frame.head, frame.payload),
            (_, Some(shared)) => self.queue.push_shared(shared),
            _ => self.queue.push_data(frame.head, frame.payload),
        }
        self.blamed_from();
    }

    /// When the peer begins to be to blame for what waits behind the write under way. It is not to
    /// blame if much came while another thread wrote, nor if other threads took the room first.
    fn blamed_from(&mut self) -> Option<Instant> {
        match &mut self.turn {
            Turn::Taken(from) => Some(*from.get_or_insert_with(|| now() + EXCUSE)),
            _ => None,
        }
    }
}

impl<'f> Outgoing<'f> {
    /// A frame that is neither compressed nor kept.
    pub(crate) fn plain(head: &'f [u8], payload: &'f [u8], kind: FrameKind) -> Self {
        Self {
            head,
            payload,
            shared: None,
            kind,
            context: ContextUse::Unused,
        }
    }

    fn len(&self) -> usize {
        self.head.len() + self.payload.len()
    }

    /// Whether other threads may write it.
    fn may_queue(&self) -> bool {
        !matches!(self.kind, FrameKind::Begin | FrameKind::Fragment { .. })
    }
}

impl Way {
    fn waits(self) -> bool {
        matches!(self, Self::Send | Self::Hold)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::mpsc;

    use akurai_http::deflate::{Level, inflate};
    use akurai_http::{Request, Response, Server, Status, Upgrade};

    use super::*;
    use crate::codec::compression::Outbound;
    use crate::codec::extensions::Direction;
    use crate::message::Kind;
    use crate::settings::Settings;
    use crate::write::message_writer::MessageWriter;

    #[test]
    fn rfc7692_a_part_that_did_not_go_out_is_referred_to_by_none() {
        // A socket, and the client at its other end.
        let (give, given) = mpsc::channel();
        let server = Server::bind("127.0.0.1:0").unwrap();
        let (addr, handle) = (server.local_addr().unwrap(), server.handle());
        let serving = std::thread::spawn(move || {
            server.run(move |_: &Request| {
                let give = give.clone();
                Upgrade::new(
                    Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "a"),
                    move |upgraded| {
                        let _ = give.send(upgraded.into_parts().1);
                        Ok(())
                    },
                )
            })
        });
        let mut client = TcpStream::connect(addr).unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n";
        client.write_all(request).unwrap();
        let socket = given.recv().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }

        let outbound = Outbound {
            level: Level::default(),
            threshold_bytes: 0,
            direction: Direction {
                takeover: false,
                window_bits: 15,
            },
        };
        let settings = Settings {
            write_deadline: Duration::from_millis(10),
            outbound: Some(outbound),
            ..Settings::default()
        };
        let outbox = Outbox::new(settings, None);
        outbox.connect(socket).unwrap();
        let mut message = MessageWriter::begin(Arc::clone(&outbox), Kind::Text).unwrap();
        message.write_all(b"begun, ").unwrap();
        // Another thread writes, for longer than a part waits.
        let turn = outbox.lock().take_turn().unwrap();
        let refused = message.write(b"a part that is sent again later");
        assert!(matches!(Error::from(refused.unwrap_err()), Error::Slow));
        assert!(outbox.end_turn(turn, Ok(())).unwrap().is_none());
        message
            .write_all(b"a part that is sent again later")
            .unwrap();
        message.finish().unwrap();
        outbox.end(false);
        drop(outbox);

        // Short frames that are not masked: two bytes of header each.
        let mut frames = Vec::new();
        client.read_to_end(&mut frames).unwrap();
        let (mut rest, mut payload) = (&frames[..], Vec::new());
        while let [_, len, behind @ ..] = rest {
            let (part, behind) = behind.split_at(usize::from(*len));
            payload.extend_from_slice(part);
            rest = behind;
        }
        let text = inflate(&payload, 1000).unwrap();
        assert_eq!(text, b"begun, a part that is sent again later");
        handle.shutdown(Duration::ZERO);
        serving.join().unwrap().unwrap();
    }
    #[test]
    fn a_thread_that_has_the_turn_does_not_hold_back_the_line_of_the_access_log() {
        use std::sync::atomic::{AtomicBool, Ordering};

        use crate::read::reader::Reader;

        let (tell, told) = mpsc::channel();
        let is_logged = Arc::new(AtomicBool::new(false));
        let logged = Arc::clone(&is_logged);
        let handler = move |_: &Request| {
            let (tell, is_logged) = (tell.clone(), Arc::clone(&is_logged));
            let head = Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "a");
            Upgrade::new(head, move |upgraded| {
                let settings = Settings {
                    write_deadline: Duration::from_millis(10),
                    close_wait: Duration::from_millis(10),
                    ..Settings::default()
                };
                let outbox = Outbox::new(settings, None);
                let protocol = Box::new(crate::codec::protocol::Protocol::new(Default::default()));
                let reader = Reader::new(upgraded, Arc::clone(&outbox), protocol)?;
                let turn = outbox.lock().take_turn();
                reader.finish(1000, "");
                let _ = tell.send((turn.is_some(), is_logged.load(Ordering::SeqCst)));
                Ok(())
            })
        };
        let log =
            akurai_http::middleware::access_log(move |_| logged.store(true, Ordering::SeqCst));
        let app = akurai_http::Router::new().get("/", handler).wrap(log);
        let client = akurai_http::testing::Client::new(app);
        let request = Request::from("/").with_header("Connection", "upgrade");
        let mut end = client.connect().unwrap();
        assert_eq!(
            end.send(request.with_header("Upgrade", "a"))
                .unwrap()
                .status()
                .code(),
            101
        );
        drop(end);
        let wait = Duration::from_secs(30);
        assert_eq!(told.recv_timeout(wait), Ok((true, true)));
    }
}
