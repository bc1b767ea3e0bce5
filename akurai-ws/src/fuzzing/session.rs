//! A whole connection after its handshake.

use super::client_header;
use super::cuts::cuts;
use super::reference::{Event, Session};
use crate::codec::frame::{CONTROL_MAX_BYTES, Header, Opcode};
use crate::codec::protocol::{ConnectionState, Limits, Protocol};
use crate::message::{Kind, Message};

/// A description ends with the frame that makes the wire longer than this, in bytes.
const WIRE_BYTES: usize = 64 * 1024;
/// Longest wire that is fed byte by byte, in bytes.
const SINGLE_BYTES: usize = 8 * 1024;
/// A client's header of a control frame, in bytes. Incomplete bytes that wait are fewer than this
/// and a payload.
const CONTROL_HEADER_BYTES: usize = 6;

/// The input: eight bytes of circumstances, then the bytes that the connection reads, or a
/// description of frames.
///
/// `live_bytes` returns how many bytes are allocated now.
pub fn session(data: &[u8], live_bytes: impl Fn() -> usize) {
    let Some((&[flags, frame, message, fragments, a, b, c, d], bytes)) = data.split_first_chunk()
    else {
        return;
    };
    let limits = Limits {
        max_frame_bytes: limit(frame),
        max_message_bytes: limit(message),
        max_fragments: match fragments {
            0 => Limits::default().max_fragments,
            some => some.into(),
        },
    };
    let wire = match flags & 1 {
        0 => bytes.to_vec(),
        // Seldom, since these take a hundred times as long as the others.
        _ => described(bytes, flags >> 2 == 1),
    };
    let closing_at = (flags & 2 != 0).then(|| wire.len() * usize::from(flags >> 3) / 32);
    let run = SessionRun {
        wire: &wire,
        limits: &limits,
        closing_at,
        reference: Reference::new(&wire, &limits, closing_at),
    };
    let [whole, single, own] = cuts([a, b, c, d], wire.len());
    run.check(whole);
    run.check(own.clone());
    if wire.len() <= SINGLE_BYTES {
        run.check(single);
    }
    run.check_parts(own.clone());
    run.check_memory(own, live_bytes);
}

fn limit(byte: u8) -> usize {
    match byte {
        0 => Limits::default().max_frame_bytes,
        1..=250 => byte.into(),
        _ => usize::from(byte - 250) * 30_000,
    }
}

// First byte, length, payload. They are masked here, so that the fuzzer finds text as easily as
// without a mask. With `long`, 251 to 254 stand for lengths that are written in two or eight bytes,
// of a payload that repeats one byte.
fn described(mut bytes: &[u8], long: bool) -> Vec<u8> {
    let mut wire = Vec::new();
    while let [first, len, rest @ ..] = bytes {
        let repeated = match len {
            251 if long => 300,
            252 if long => 65535,
            253 if long => 65536,
            254 if long => 70_000,
            _ => 0,
        };
        let own = if repeated > 0 { 1 } else { usize::from(*len) };
        let (payload, behind) = rest.split_at(rest.len().min(own));
        let masking_key = [*len, 0x5e, *first, 0xff];
        let mut header = client_header(&Header {
            fin: true,
            opcode: Opcode::Binary,
            is_compressed: false,
            masking_key,
            // 255 claims far more than ever comes.
            payload_len: match len {
                255 => 1 << 40,
                _ => own.max(repeated) as u64,
            },
        });
        header[0] = *first;
        wire.extend(header);
        let payload = payload.iter().cycle().take(payload.len().max(repeated));
        wire.extend(payload.zip(masking_key.iter().cycle()).map(|(b, k)| b ^ k));
        bytes = behind;
        if wire.len() > WIRE_BYTES {
            break;
        }
    }
    wire
}

/// The events that the reference reports, each with how many bytes it took; and the reference's
/// state behind the last byte.
struct Reference {
    events: Vec<(usize, Event)>,
    is_closed: bool,
    wanted_bytes: u64,
}

impl Reference {
    fn new(wire: &[u8], limits: &Limits, closing_at: Option<usize>) -> Self {
        let mut session = Session::new(limits);
        let mut events = Vec::new();
        for (at, &byte) in wire.iter().enumerate() {
            if closing_at == Some(at) {
                session.start_closing();
            }
            events.extend(session.push(byte).map(|event| (at + 1, event)));
        }
        Self {
            events,
            is_closed: session.is_closed(),
            wanted_bytes: session.wanted_bytes(),
        }
    }
}

struct SessionRun<'r> {
    wire: &'r [u8],
    limits: &'r Limits,
    closing_at: Option<usize>,
    reference: Reference,
}

impl SessionRun<'_> {
    // The same events as the reference, each with the read that brought its last byte.
    fn check(&self, ends: Vec<usize>) {
        let mut protocol = Protocol::new(self.limits.clone());
        let mut expected = self.reference.events.iter();
        let (mut buffer, mut arrived) = (Vec::new(), 0);
        for end in self.with_closing(ends) {
            self.close(&mut protocol, arrived);
            buffer.extend_from_slice(&self.wire[arrived..end]);
            arrived = end;
            while let Some(event) = receive(&mut protocol, &mut buffer) {
                assert_eq!(Some(&event), expected.next().map(|(_, event)| event));
                self.check_limits(&event);
            }
            let next = expected.as_slice().first();
            assert!(next.is_none_or(|(at, _)| *at > arrived), "late: {next:?}");
            assert!(buffer.len() < CONTROL_HEADER_BYTES + CONTROL_MAX_BYTES);
        }
        assert_eq!(protocol.wanted_bytes(), self.reference.wanted_bytes);
        let is_closed = protocol.state() == ConnectionState::Closed;
        assert_eq!(is_closed, self.reference.is_closed);
        if is_closed {
            let mut more = *b"\x81\x80\0\0\0\0\x88\x80\0\0\0\0";
            assert_eq!(protocol.receive(&mut more), (more.len(), Ok(None)));
            assert_eq!(protocol.state(), ConnectionState::Closed);
        }
    }

    // A message that is taken in parts as it comes is the same message, and its text comes in whole
    // code points. The old content of the buffers that it comes in is not part of it.
    fn check_parts(&self, ends: Vec<usize>) {
        let mut protocol = Protocol::new(self.limits.clone());
        let mut expected = self.reference.events.iter();
        let (mut buffer, mut arrived) = (Vec::new(), 0);
        let (mut part, mut gathered) = (Vec::new(), Vec::new());
        for end in self.with_closing(ends) {
            self.close(&mut protocol, arrived);
            buffer.extend_from_slice(&self.wire[arrived..end]);
            arrived = end;
            protocol.lend(b"lent".to_vec());
            while let Some(event) = receive(&mut protocol, &mut buffer) {
                let event = with_start(event, &mut gathered);
                assert_eq!(Some(&event), expected.next().map(|(_, event)| event));
                protocol.lend(b"lent".to_vec());
            }
            let is_text = match protocol.kind_under_way() {
                Some(kind) => kind == Kind::Text,
                None => {
                    gathered.clear();
                    continue;
                }
            };
            protocol.take_part(&mut part);
            assert!(!is_text || std::str::from_utf8(&part).is_ok());
            gathered.extend_from_slice(&part);
        }
        let next = expected.next();
        assert!(next.is_none(), "late: {next:?}");
    }

    // The memory held follows the bytes that arrived, whatever length was claimed.
    fn check_memory(&self, ends: Vec<usize>, live_bytes: impl Fn() -> usize) {
        const SMALL_BYTES: usize = 256;
        let ends = self.with_closing(ends);
        let mut buffer = Vec::with_capacity(self.wire.len());
        let before = live_bytes();
        let mut protocol = Protocol::new(self.limits.clone());
        let mut arrived = 0;
        for end in ends {
            self.close(&mut protocol, arrived);
            buffer.extend_from_slice(&self.wire[arrived..end]);
            arrived = end;
            loop {
                let event = receive(&mut protocol, &mut buffer);
                let held = live_bytes().saturating_sub(before);
                assert!(
                    held <= SMALL_BYTES + 2 * arrived,
                    "{held} bytes of {arrived}"
                );
                if event.is_none() {
                    break;
                }
            }
        }
        protocol.end();
        assert!(live_bytes().saturating_sub(before) <= SMALL_BYTES);
    }

    fn with_closing(&self, mut ends: Vec<usize>) -> Vec<usize> {
        ends.extend(self.closing_at);
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    fn close(&self, protocol: &mut Protocol, arrived: usize) {
        if self.closing_at == Some(arrived) {
            protocol.start_closing();
        }
    }

    fn check_limits(&self, event: &Event) {
        use Message::*;
        let (bytes, most) = match event {
            Event::Message(Text(text)) => (text.len(), self.limits.max_message_bytes),
            Event::Message(Binary(bytes)) => (bytes.len(), self.limits.max_message_bytes),
            Event::Message(Ping(payload) | Pong(payload)) => (payload.len(), CONTROL_MAX_BYTES),
            Event::Message(Close(frame)) => {
                let reason = frame.as_ref().map_or(0, |frame| frame.reason.len());
                (reason, CONTROL_MAX_BYTES - 2)
            }
            Event::Violation(_) => return,
        };
        assert!(bytes <= most);
    }
}

/// A data message with the parts that were taken of it before.
fn with_start(event: Event, gathered: &mut Vec<u8>) -> Event {
    match event {
        Event::Message(Message::Text(text)) => {
            let start = String::from_utf8(std::mem::take(gathered)).expect("whole code points");
            Event::Message(Message::Text(start + &text))
        }
        Event::Message(Message::Binary(bytes)) => {
            Event::Message(Message::Binary([std::mem::take(gathered), bytes].concat()))
        }
        other => other,
    }
}

fn receive(protocol: &mut Protocol, buffer: &mut Vec<u8>) -> Option<Event> {
    let (used, result) = protocol.receive(buffer);
    assert!(used <= buffer.len());
    buffer.drain(..used);
    match result {
        Ok(message) => message.map(Event::Message),
        Err(violation) => Some(Event::Violation(violation)),
    }
}
