//! The frames of a peer on its connection.

use std::fmt::Display;
use std::io;
use std::time::{Duration, Instant};

use akurai_http::testing::ClientEnd;

/// A wait that the clock cannot represent is this long.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Most bytes that one read takes.
const PIECE_BYTES: usize = 16 * 1024;

/// Longest message that a peer takes, in bytes.
pub(super) const MAX_MESSAGE_BYTES: u64 = 256 << 20;

/// Any key masks; a test is the better for always the same bytes.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// A connection that carries frames, and those that are not whole yet in either direction.
pub(super) struct Frames {
    pub(super) end: ClientEnd,
    /// What has come and belongs to no whole frame yet.
    unread: Vec<u8>,
    /// The rest of the frames that the server has not taken in time.
    unsent: Vec<u8>,
}

impl Frames {
    pub(super) fn new(end: ClientEnd) -> Frames {
        Frames {
            end,
            unread: Vec::new(),
            unsent: Vec::new(),
        }
    }

    /// When a call that begins now is over.
    pub(super) fn deadline(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.end.wait()).unwrap_or(now + A_YEAR)
    }

    /// A peer that finds more and more to read would never wait, and so never be late.
    pub(super) fn check_time(&self, deadline: Instant, what: &str) -> io::Result<()> {
        match Instant::now() < deadline {
            true => Ok(()),
            false => Err(self.told(io::ErrorKind::TimedOut.into(), what)),
        }
    }

    /// Sends a frame, which is a message or a control frame.
    pub(super) fn send(&mut self, opcode: u8, payload: &[u8], deadline: Instant) -> io::Result<()> {
        if opcode >= CLOSE && payload.len() > 125 {
            let told = format!("a control frame of {} bytes, 125 at most", payload.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
        }
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            short @ ..126 => frame.push(0x80 | short as u8),
            medium @ ..0x1_0000 => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(medium as u16).to_be_bytes());
            }
            long => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&MASK);
        let masked = payload.iter().zip(MASK.iter().cycle());
        frame.extend(masked.map(|(byte, key)| byte ^ key));
        self.unsent.append(&mut frame);
        self.send_rest(deadline)
    }

    /// Sends what the server had not taken in time.
    pub(super) fn send_rest(&mut self, deadline: Instant) -> io::Result<()> {
        let mut sent = 0;
        let outcome = loop {
            if sent == self.unsent.len() {
                break Ok(());
            }
            match self.end.write_by(&self.unsent[sent..], deadline) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) => break Err(error),
            }
        };
        self.unsent.drain(..sent);
        outcome.map_err(|error| self.told(error, "room for a frame"))
    }

    /// Reads a frame: whether it is its message's last, its opcode, and its payload. Until the
    /// whole frame has come, its bytes stay unread, so that a later call goes on with it.
    pub(super) fn next(&mut self, deadline: Instant) -> io::Result<(bool, u8, Vec<u8>)> {
        self.need(2, deadline)?;
        let (first, short) = (self.unread[0], self.unread[1] & 0x7f);
        let head_bytes = match short {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        self.need(head_bytes, deadline)?;
        let long = self.unread[2..head_bytes].iter();
        let len = match short {
            126 | 127 => long.fold(0, |len, byte| len << 8 | u64::from(*byte)),
            short => u64::from(short),
        };
        if let Some(fault) = fault(&self.unread[..2], len) {
            let begin = &self.unread[..2];
            return Err(invalid(format_args!(
                "a frame that begins with {begin:02x?}: {fault}"
            )));
        }
        let frame_bytes = head_bytes + len as usize;
        while self.unread.len() < frame_bytes {
            if !self.fill("the rest of a frame", deadline)? {
                let came = self.unread.len() - head_bytes;
                let told = format!("the connection ended after {came} of a frame's {len} bytes");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, told));
            }
        }
        let rest = self.unread.split_off(frame_bytes);
        let mut payload = std::mem::replace(&mut self.unread, rest);
        payload.drain(..head_bytes);
        Ok((first & 0x80 != 0, first & 0x0f, payload))
    }

    /// Waits until so many bytes of a frame's head have come.
    fn need(&mut self, bytes: usize, deadline: Instant) -> io::Result<()> {
        while self.unread.len() < bytes {
            if !self.fill("the next frame", deadline)? {
                return Err(self.told(io::ErrorKind::UnexpectedEof.into(), "the next frame"));
            }
        }
        Ok(())
    }

    /// Whether bytes follow, or else the connection's end.
    pub(super) fn has_more(&mut self, what: &str, deadline: Instant) -> io::Result<bool> {
        Ok(!self.unread.is_empty() || self.fill(what, deadline)?)
    }

    /// Waits for more bytes. False at the connection's end.
    fn fill(&mut self, what: &str, deadline: Instant) -> io::Result<bool> {
        let mut piece = [0; PIECE_BYTES];
        let read = self.end.read_by(&mut piece, deadline);
        let count = read.map_err(|error| self.told(error, what))?;
        self.unread.extend_from_slice(&piece[..count]);
        Ok(count > 0)
    }

    /// Says what was waited for when an error came.
    fn told(&self, error: io::Error, what: &str) -> io::Error {
        let told = match error.kind() {
            io::ErrorKind::TimedOut => {
                format!("{what} has not come within {:?}", self.end.wait())
            }
            io::ErrorKind::UnexpectedEof => {
                format!("the connection ended without a Close, before {what}")
            }
            _ => format!("{error}, before {what}"),
        };
        io::Error::new(error.kind(), told)
    }
}

/// What is wrong with a frame of this length that begins with these two bytes (RFC 6455 §5).
fn fault(begin: &[u8], len: u64) -> Option<&'static str> {
    let (is_last, opcode) = (begin[0] & 0x80 != 0, begin[0] & 0x0f);
    let is_control = opcode >= CLOSE;
    Some(match begin[1] & 0x7f {
        _ if begin[0] & 0x70 != 0 => "a reserved bit is set (§5.2)",
        _ if begin[1] & 0x80 != 0 => "it is masked, and comes from a server (§5.1)",
        _ if !matches!(opcode, 0..=2 | 8..=10) => "its opcode is reserved (§5.2)",
        126 | 127 if is_control => "a control frame has more than 125 bytes (§5.5)",
        126 if len < 126 => "its length is not in the shortest form (§5.2)",
        127 if len < 0x1_0000 => "its length is not in the shortest form (§5.2)",
        _ if is_control && !is_last => "a control frame is fragmented (§5.5)",
        _ if len > MAX_MESSAGE_BYTES => "it has more than 256 MiB",
        _ => return None,
    })
}

pub(super) fn invalid(told: impl Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, told.to_string())
}
