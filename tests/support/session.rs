//! A layer between the wire and HTTP that has every trait of TLS but its cryptography.

use std::any::Any;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use akurai_http::Session;

/// Either side of the tests' own protocol.
///
/// A record is its kind, the length of what follows (two bytes), and its content. The client says
/// `HELLO` with a nonce, the server answers with its own; then every record's content is covered by
/// a key that both nonces give, followed by four bytes that sum up all that this side has sent. So
/// a record that is lost, doubled or in the wrong place fails the session. The client's `FINISHED`
/// ends the handshake. After `REKEY`, its sender goes on with another key, and the other side must
/// do the same, which it says by `REKEYED`. `CLOSE` is a side's end, `ALERT` its last words before
/// it gives up.
#[derive(Debug)]
pub struct TestSession {
    is_server: bool,
    stage: Stage,
    nonce: u64,
    /// What the peer sends, and what we send.
    receiving: Key,
    sending: Key,
    /// The beginning of a record, whose rest has not come.
    partial: Vec<u8>,
    plain: Vec<u8>,
    wire: Vec<u8>,
    /// Why the session has failed.
    failure: Option<String>,
    /// The peer said its end, or we said ours.
    has_peer_closed: bool,
    has_closed: bool,
    /// How many writes go between two keys; 0 for one key alone.
    rekey_every: usize,
    writes: usize,
    /// How many `REKEY` we sent, and how many of them the peer has answered.
    rekeys: usize,
    answered: usize,
}

/// What [`Session::info`] tells handlers of a [`TestSession`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// The nonce of the client's `HELLO`.
    pub client_nonce: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The peer's `HELLO` has not come.
    Hello,
    /// The server waits for `FINISHED`.
    Finished,
    Open,
}

const HELLO: u8 = 1;
const FINISHED: u8 = 2;
const DATA: u8 = 3;
const REKEY: u8 = 4;
const REKEYED: u8 = 5;
const CLOSE: u8 = 6;
const ALERT: u8 = 7;

const HEADER_BYTES: usize = 3;
const SUM_BYTES: usize = 4;
/// The longest content of a record.
const LONGEST: usize = 16 * 1024;

impl TestSession {
    /// The server's side.
    pub fn server() -> TestSession {
        TestSession::new(true)
    }

    /// The client's side. Its `HELLO` is due at once.
    pub fn client() -> TestSession {
        let mut session = TestSession::new(false);
        let nonce = session.nonce;
        session.record(HELLO, &[IoSlice::new(&nonce.to_be_bytes())]);
        session
    }

    fn new(is_server: bool) -> TestSession {
        TestSession {
            is_server,
            stage: Stage::Hello,
            nonce: fresh_nonce(),
            receiving: Key::default(),
            sending: Key::default(),
            partial: Vec::new(),
            plain: Vec::new(),
            wire: Vec::new(),
            failure: None,
            has_peer_closed: false,
            has_closed: false,
            rekey_every: 0,
            writes: 0,
            rekeys: 0,
            answered: 0,
        }
    }

    /// The same side, which takes another key before each write whose number is a multiple of this,
    /// unless the peer has still to answer the last one.
    pub fn rekey_every(mut self, writes: usize) -> TestSession {
        self.rekey_every = writes;
        self
    }

    /// Whether the handshake is over for this side.
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether the peer said its end.
    pub fn has_peer_closed(&self) -> bool {
        self.has_peer_closed
    }

    /// How many of our `REKEY` the peer has not answered.
    pub fn unanswered(&self) -> usize {
        self.rekeys - self.answered
    }

    /// Whether wire bytes are due.
    pub fn has_output(&self) -> bool {
        !self.wire.is_empty()
    }

    /// How many bytes are missing at least of the record that comes.
    pub fn wanted(&self) -> usize {
        match self.partial.get(1..HEADER_BYTES) {
            Some(len) => HEADER_BYTES + length(len) - self.partial.len(),
            None => HEADER_BYTES - self.partial.len(),
        }
    }

    /// Goes on with another key, and asks the peer to do the same.
    pub fn rekey(&mut self) {
        self.rekeys += 1;
        self.change_key(REKEY);
    }

    /// Last words.
    pub fn alert(&mut self, words: &str) {
        self.record(ALERT, &[IoSlice::new(words.as_bytes())]);
    }

    fn change_key(&mut self, kind: u8) {
        let nonce = fresh_nonce();
        self.record(kind, &[IoSlice::new(&nonce.to_be_bytes())]);
        self.sending.change(nonce);
    }

    /// Appends a record to what is due.
    fn record(&mut self, kind: u8, content: &[IoSlice<'_>]) {
        let is_covered = self.stage != Stage::Hello;
        let len: usize = content.iter().map(|slice| slice.len()).sum();
        let sum_len = if is_covered { SUM_BYTES } else { 0 };
        let len = u16::try_from(len + sum_len).expect("a record has at most LONGEST bytes");
        self.wire.push(kind);
        self.wire.extend(len.to_be_bytes());
        let start = self.wire.len();
        content.iter().for_each(|slice| self.wire.extend(&**slice));
        if is_covered {
            let sum = self.sending.cover(kind, &mut self.wire[start..]);
            self.wire.extend(sum);
        }
    }

    /// Takes a whole record off the front of what came: its kind and its content.
    fn take_record(&mut self) -> Result<Option<(u8, Vec<u8>)>, String> {
        let Some(len) = self.partial.get(1..HEADER_BYTES).map(length) else {
            return Ok(None);
        };
        if len > LONGEST + SUM_BYTES {
            return Err(format!("a record of {len} bytes"));
        }
        if self.partial.len() < HEADER_BYTES + len {
            return Ok(None);
        }
        let mut record = std::mem::take(&mut self.partial);
        let kind = record[0];
        let mut content = record.split_off(HEADER_BYTES);
        if self.stage != Stage::Hello {
            let at = len.checked_sub(SUM_BYTES).ok_or("a record without a sum")?;
            let sum = content.split_off(at);
            if self.receiving.uncover(kind, &mut content) != *sum {
                return Err("a wrong sum".into());
            }
        }
        Ok(Some((kind, content)))
    }

    fn handle(&mut self, kind: u8, content: Vec<u8>) -> Result<(), String> {
        if self.has_peer_closed {
            return Err("a record after the end".into());
        }
        match (self.stage, kind) {
            (Stage::Hello, HELLO) => self.agree(nonce_of(&content)?),
            (Stage::Finished, FINISHED) => self.stage = Stage::Open,
            (Stage::Open, DATA) => self.plain.extend(content),
            (Stage::Open, REKEY) => {
                self.receiving.change(nonce_of(&content)?);
                if !self.has_closed {
                    self.change_key(REKEYED);
                }
            }
            (Stage::Open, REKEYED) if self.unanswered() > 0 => {
                self.receiving.change(nonce_of(&content)?);
                self.answered += 1;
            }
            (_, CLOSE) if content.is_empty() => self.has_peer_closed = true,
            (_, ALERT) => {
                let words = String::from_utf8_lossy(&content);
                self.failure = Some(format!("the peer's alert: {words}"));
            }
            (stage, kind) => return Err(format!("a record of kind {kind} at {stage:?}")),
        }
        Ok(())
    }

    /// Both nonces are known.
    fn agree(&mut self, peer_nonce: u64) {
        if self.is_server && !self.has_closed {
            let nonce = self.nonce.to_be_bytes();
            self.record(HELLO, &[IoSlice::new(&nonce)]);
        }
        let (ours, theirs) = (
            Key::new(self.nonce, peer_nonce),
            Key::new(peer_nonce, self.nonce),
        );
        (self.sending, self.receiving) = (ours, theirs);
        self.stage = Stage::Finished;
        if self.is_server {
            self.nonce = peer_nonce;
        } else {
            self.record(FINISHED, &[]);
            self.stage = Stage::Open;
        }
    }

    fn check(&self) -> io::Result<()> {
        match &self.failure {
            Some(failure) => Err(io::Error::new(ErrorKind::InvalidData, failure.clone())),
            None => Ok(()),
        }
    }
}

impl Session for TestSession {
    /// Takes no more than the rest of one record.
    fn receive(&mut self, wire: &[u8]) -> io::Result<usize> {
        self.check()?;
        let (mut taken, mut record) = (0, Ok(None));
        while taken < wire.len() && matches!(record, Ok(None)) {
            let count = self.wanted().min(wire.len() - taken);
            self.partial.extend(&wire[taken..taken + count]);
            taken += count;
            record = self.take_record();
        }
        let handled = record.and_then(|record| match record {
            Some((kind, content)) => self.handle(kind, content),
            None => Ok(()),
        });
        if let Err(fault) = handled {
            self.alert(&fault);
            self.failure = Some(fault);
        }
        self.check().map(|()| taken)
    }

    fn read(&mut self, mut plain: &mut [u8]) -> io::Result<Option<usize>> {
        if !self.plain.is_empty() {
            let count = plain.write(&self.plain)?;
            self.plain.drain(..count);
            return Ok(Some(count));
        }
        self.check()?;
        Ok(self.has_peer_closed.then_some(0))
    }

    fn write(&mut self, plain: &[IoSlice<'_>]) -> io::Result<usize> {
        self.check()?;
        if self.stage != Stage::Open || self.has_closed {
            return Err(io::Error::other("a write outside the session"));
        }
        self.writes += 1;
        if self.rekey_every > 0 && self.writes % self.rekey_every == 0 && self.unanswered() == 0 {
            self.rekey();
        }
        let (mut record, mut left) = (Vec::new(), LONGEST);
        for slice in plain {
            let piece = &slice[..slice.len().min(left)];
            record.push(IoSlice::new(piece));
            left -= piece.len();
        }
        if left < LONGEST {
            self.record(DATA, &record);
        }
        Ok(LONGEST - left)
    }

    fn output(&mut self, wire: &mut Vec<u8>) -> io::Result<()> {
        wire.append(&mut self.wire);
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.check()?;
        if self.has_closed {
            return Err(io::Error::other("closed twice"));
        }
        self.has_closed = true;
        self.record(CLOSE, &[]);
        Ok(())
    }

    fn info(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(Arc::new(SessionInfo {
            client_nonce: self.nonce,
        }))
    }
}

/// One direction's running key and sum.
#[derive(Debug, Default, Clone)]
struct Key {
    state: u64,
    sum: u64,
}

impl Key {
    fn new(sender: u64, receiver: u64) -> Key {
        let state = mix(sender ^ receiver.rotate_left(29));
        Key { state, sum: state }
    }

    fn change(&mut self, nonce: u64) {
        self.state = mix(self.state ^ nonce);
    }

    /// Covers plain bytes; returns the sum of all that was covered before and of these.
    fn cover(&mut self, kind: u8, bytes: &mut [u8]) -> [u8; SUM_BYTES] {
        self.each_word(kind, bytes, |plain, key| (plain ^ key, plain))
    }

    /// Makes covered bytes plain again; returns the same sum.
    fn uncover(&mut self, kind: u8, bytes: &mut [u8]) -> [u8; SUM_BYTES] {
        self.each_word(kind, bytes, |covered, key| (covered ^ key, covered ^ key))
    }

    /// `change` returns the new word, and the plain one.
    fn each_word(
        &mut self,
        kind: u8,
        bytes: &mut [u8],
        change: impl Fn(u64, u64) -> (u64, u64),
    ) -> [u8; SUM_BYTES] {
        self.sum = mix(self.sum ^ u64::from(kind) ^ (bytes.len() as u64) << 8);
        for piece in bytes.chunks_mut(8) {
            self.state = mix(self.state);
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            // The last word may be short: its missing bytes are no part of the sum.
            let rest = u64::MAX >> (64 - 8 * piece.len());
            let (changed, plain) = change(u64::from_le_bytes(word), self.state & rest);
            self.sum = mix(self.sum ^ plain);
            piece.copy_from_slice(&changed.to_le_bytes()[..piece.len()]);
        }
        (self.sum as u32).to_be_bytes()
    }
}

/// Spreads each bit over the whole word.
fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 29).wrapping_add(0x9e37_79b9_7f4a_7c15);
    word.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ word >> 32
}

/// A number that this process has not used before.
fn fresh_nonce() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    mix(NEXT.fetch_add(1, Ordering::Relaxed) ^ u64::from(process::id()) << 32)
}

fn nonce_of(content: &[u8]) -> Result<u64, String> {
    let bytes = content.try_into().map_err(|_| "a nonce has 8 bytes")?;
    Ok(u64::from_be_bytes(bytes))
}

fn length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |len, byte| len << 8 | usize::from(*byte))
}

#[cfg(test)]
mod tests;
