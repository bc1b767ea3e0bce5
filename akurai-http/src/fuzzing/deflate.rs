//! Compressed data: compression and decompression.

mod reading;

use std::ops::Range;

use super::cuts;
use crate::codec::deflate::{
    self as codec, Deflate, Flush, Inflate, InflateError, Inflated, Level,
};
use reading::{Outcome, Stop, read};

/// The tests stop reading an input's output after this many bytes.
const LARGE_BYTES: usize = 192 * 1024;

/// Longest piece of output, in bytes.
const PIECE_BYTES: usize = 96 * 1024;

/// Most memory that decompression may hold, and compression, in bytes.
const INFLATE_BYTES: usize = 120 * 1024;
const DEFLATE_BYTES: usize = 640 * 1024;

/// Longest input that is also compressed at once; and byte by byte, each flushed or not.
const WHOLE_BYTES: usize = 4 * 1024;
const SINGLE_BYTES: usize = 64;

/// A longer input is compressed in at most this many pieces.
const MOST_PIECES: usize = 48;

/// Five bytes choose the test's conditions. The rest is the data to decompress. `live_bytes`
/// returns how many bytes are allocated at the moment.
pub fn inflate(data: &[u8], live_bytes: impl Fn() -> usize) {
    let Some((&[window, a, b, c, d], input)) = data.split_first_chunk() else {
        return;
    };
    let window_bits = 8 + window % 8;
    // Reads one piece past LARGE_BYTES. The decoder stops at LARGE_BYTES, so this reading sees
    // every error that the decoder can report.
    let expected = read(input, 1 << window_bits, LARGE_BYTES + PIECE_BYTES);
    let mut inflate = Inflate::with_window_bits(window_bits);
    let [whole, single, own] = cuts([a, b, c, d], input.len());
    for ends in [&whole, &single, &own] {
        // A used decoder after `reset(true)` must behave as a new one.
        inflate.reset(true);
        let outcome = inflated(&mut inflate, input, ends, window & 8 != 0);
        check(&outcome, &expected);
    }
    check_whole(input);
    drop((inflate, expected));
    check_inflate_memory(window_bits, input, &own, live_bytes);
}

fn check(outcome: &Outcome, expected: &Outcome) {
    match outcome.stop {
        // The decoder does not return the output just before an error.
        Stop::Failed(_) => assert_eq!(
            (outcome.stop, &outcome.ends),
            (expected.stop, &expected.ends)
        ),
        Stop::More => assert!(outcome == expected, "{:?}", (outcome.stop, expected.stop)),
        Stop::Large => assert!(expected.ends.starts_with(&outcome.ends)),
    }
    assert!(expected.output.starts_with(&outcome.output));
}

/// Decompresses all at once; the input may end with a sync flush whose last four bytes are left
/// out. The limit must be exact.
fn check_whole(input: &[u8]) {
    let expected = read(input, 1 << 15, LARGE_BYTES);
    let whole = codec::inflate(input, LARGE_BYTES);
    let (len, is_over) = (expected.output.len(), expected.is_between_blocks);
    let was_flushed = || {
        let all = [input, &[0, 0, 0xff, 0xff]].concat();
        read(&all, 1 << 15, LARGE_BYTES).is_between_blocks
    };
    match (whole, expected.stop) {
        (Ok(output), Stop::More) => {
            assert!(output == expected.output);
            assert!(is_over || was_flushed(), "it is not over");
            assert_eq!(codec::inflate(input, len).as_ref(), Ok(&output));
            if let Some(less) = len.checked_sub(1) {
                assert_eq!(codec::inflate(input, less), Err(InflateError::TooLong));
            }
        }
        (Err(InflateError::Unfinished), Stop::More) => assert!(!is_over),
        (Err(InflateError::TooLong), stop) => assert_ne!(stop, Stop::More),
        // In a piece that exceeds the limit, an error is reported before the limit.
        (Err(error), Stop::Failed(expected)) => assert_eq!(error, expected),
        (Err(_), Stop::Large) => {}
        (whole, stop) => panic!("{:?}, but {stop:?}", whole.map(|output| output.len())),
    }
}

/// The result of our decoder. After a last block it goes on with more blocks, which may refer to
/// all earlier output.
fn inflated(inflate: &mut Inflate, input: &[u8], ends: &[usize], rests: bool) -> Outcome {
    let mut outcome = Outcome {
        output: Vec::new(),
        ends: Vec::new(),
        stop: Stop::More,
        is_between_blocks: false,
    };
    let mut used = 0;
    for &arrived in ends {
        loop {
            let given = &input[used..arrived];
            let (count, status, piece) = match inflate.advance(given) {
                Ok(came) => came,
                Err(error) => {
                    outcome.stop = Stop::Failed(error);
                    return outcome;
                }
            };
            assert!(count <= given.len() && piece.len() <= PIECE_BYTES);
            used += count;
            outcome.output.extend_from_slice(piece);
            match status {
                Inflated::NeedInput => {
                    assert_eq!(count, given.len(), "what is there is used");
                    if rests && inflate.is_between_blocks() {
                        inflate.rest();
                    }
                    break;
                }
                Inflated::HasOutput => assert!(!piece.is_empty(), "it leads on"),
                Inflated::End => {
                    outcome.ends.push(used);
                    assert_eq!(inflate.advance(b"\xff"), Ok((0, Inflated::End, &b""[..])));
                    if rests {
                        inflate.rest();
                    }
                    inflate.reset(false);
                }
            }
            if outcome.output.len() > LARGE_BYTES {
                outcome.stop = Stop::Large;
                return outcome;
            }
        }
    }
    outcome.is_between_blocks = inflate.is_between_blocks();
    outcome
}

/// No memory is held before the first byte, and never more than the window, a piece and tables.
fn check_inflate_memory(
    window_bits: u8,
    input: &[u8],
    ends: &[usize],
    live_bytes: impl Fn() -> usize,
) {
    let before = live_bytes();
    let held = || live_bytes() - before;
    let mut inflate = Inflate::with_window_bits(window_bits);
    assert_eq!(held(), 0);
    let (mut used, mut bytes) = (0, 0);
    'all: for &arrived in ends {
        loop {
            let advanced = inflate.advance(&input[used..arrived]);
            let advanced = advanced.map(|(count, status, piece)| (count, status, piece.len()));
            assert!(held() <= INFLATE_BYTES, "{}", held());
            let Ok((count, status, len)) = advanced else {
                break 'all;
            };
            (used, bytes) = (used + count, bytes + len);
            match status {
                Inflated::NeedInput => break,
                Inflated::HasOutput => {}
                Inflated::End => {
                    inflate.rest();
                    assert!(held() <= bytes.min(1 << window_bits), "{}", held());
                    inflate.reset(false);
                }
            }
            if bytes > LARGE_BYTES {
                break 'all;
            }
        }
    }
    inflate.reset(true);
    assert_eq!(held(), 0);
}

/// Eight bytes choose the test's conditions. The rest is the data to compress; it may be made
/// longer first.
pub fn deflate(data: &[u8], live_bytes: impl Fn() -> usize) {
    let Some((&[level, window, flushes, stretch, a, b, c, d], bytes)) = data.split_first_chunk()
    else {
        return;
    };
    let (level, window_bits) = (Level::new(1 + level % 9), 8 + window % 8);
    let input = stretched(bytes, stretch, window);
    let [whole, single, own] = cuts([a, b, c, d], input.len());
    let own = thinned(own);
    for (ends, is_wanted) in [
        (whole, input.len() <= WHOLE_BYTES),
        (own, true),
        (single, input.len() <= SINGLE_BYTES),
    ] {
        if is_wanted {
            let before = live_bytes();
            let mut deflate = Deflate::with_window_bits(level, window_bits);
            Trip::new(window_bits).check(&mut deflate, &input, &ends, flushes);
            let held = live_bytes() - before;
            assert!(held <= DEFLATE_BYTES, "{held}");
        }
    }
    let flush = match flushes & 4 {
        0 => Flush::Finish,
        _ => Flush::Sync,
    };
    check_alone(level, window_bits, &input, flush);
}

/// Few enough pieces that each may be flushed.
fn thinned(ends: Vec<usize>) -> Vec<usize> {
    let step = ends.len().div_ceil(MOST_PIECES);
    let (last, before) = ends.split_last().expect("there is a piece");
    let kept = before.iter().step_by(step).chain([last]);
    kept.copied().collect()
}

/// Makes data longer, so that it has several blocks, moves the window, and has matches at long
/// distances.
fn stretched(bytes: &[u8], stretch: u8, seed: u8) -> Vec<u8> {
    let count = usize::from(stretch >> 3) + 1;
    let mut state = u32::from(seed) | 0x9e37_7900;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    match stretch & 7 {
        1 => bytes.repeat(count),
        // The same bytes again, after noise.
        2 => {
            let noise = (0..count * 2560).map(|_| random()).collect();
            [bytes.to_vec(), noise, bytes.to_vec()].concat()
        }
        // The same bytes many times, with a random byte after each.
        3 => {
            let mut again = Vec::new();
            for _ in 0..count {
                again.extend_from_slice(bytes);
                again.push(random());
            }
            again
        }
        _ => bytes.to_vec(),
    }
}

/// Data that our codecs compress and decompress, piece by piece.
struct Trip {
    window_bits: u8,
    inflate: Inflate,
    compressed: Vec<u8>,
    output: Vec<u8>,
    syncs: usize,
}

impl Trip {
    fn new(window_bits: u8) -> Trip {
        Trip {
            window_bits,
            inflate: Inflate::with_window_bits(window_bits),
            compressed: Vec::new(),
            output: Vec::new(),
            syncs: 0,
        }
    }

    /// Compresses `input`, cut at `ends`. For each piece, two bits of `flushes` say how to flush
    /// it.
    fn check(&mut self, deflate: &mut Deflate, input: &[u8], ends: &[usize], flushes: u8) {
        let mut start = 0;
        for (nth, &end) in ends.iter().enumerate() {
            let (is_end, kind) = (end == input.len(), flushes >> (nth % 4 * 2) & 3);
            let flush = match kind {
                _ if is_end && flushes & 1 == 0 => Flush::Finish,
                0 | 1 if !is_end => Flush::None,
                _ => Flush::Sync,
            };
            let from = self.compressed.len();
            deflate.compress(&input[start..end], flush, &mut self.compressed);
            start = end;
            let status = self.inflate(from..self.compressed.len());
            match flush {
                Flush::None => assert!(input[..end].starts_with(&self.output)),
                _ => assert!(self.output == input[..end], "up to {end}"),
            }
            if flush == Flush::Sync {
                self.syncs += 1;
                assert!(self.compressed.ends_with(&[0, 0, 0xff, 0xff]));
                if kind == 3 {
                    self.check_nothing(deflate);
                }
            }
            assert_eq!(status == Inflated::End, flush == Flush::Finish);
        }
        let is_finished = self.compressed_is_read_alike(input);
        // A block may cost at most as much as a stored one. There is a block for each 24 Ki tokens
        // and for each 64 KiB gathered.
        let most = input.len() + input.len() * 5 / 16384 + self.syncs * 11 + is_finished * 6;
        let len = self.compressed.len();
        assert!(len <= most, "{} became {len}", input.len());
    }

    /// No input is waiting, so another Sync writes only an empty block.
    fn check_nothing(&mut self, deflate: &mut Deflate) {
        let from = self.compressed.len();
        deflate.compress(b"", Flush::None, &mut self.compressed);
        assert_eq!(self.compressed.len(), from);
        deflate.compress(b"", Flush::Sync, &mut self.compressed);
        assert_eq!(self.compressed[from..], [0, 0, 0, 0xff, 0xff]);
        assert_eq!(self.inflate(from..from + 5), Inflated::NeedInput);
        self.syncs += 1;
    }

    /// Decompresses all of it, or up to the end of the stream.
    fn inflate(&mut self, compressed: Range<usize>) -> Inflated {
        let mut rest = &self.compressed[compressed];
        loop {
            let (used, status, piece) = self.inflate.advance(rest).expect("it was compressed");
            self.output.extend_from_slice(piece);
            rest = &rest[used..];
            if status != Inflated::HasOutput {
                assert!(rest.is_empty(), "{} bytes behind the end", rest.len());
                return status;
            }
        }
    }

    /// Compares with the second reading. Returns how many last blocks there are.
    fn compressed_is_read_alike(&self, input: &[u8]) -> usize {
        let outcome = read(&self.compressed, 1 << self.window_bits, input.len());
        assert!(outcome.output == input && outcome.stop == Stop::More);
        if let Some(&end) = outcome.ends.first() {
            assert_eq!(end, self.compressed.len());
        }
        outcome.ends.len()
    }
}

/// Compresses `input` as one message that refers to nothing before it.
fn check_alone(level: Level, window_bits: u8, input: &[u8], flush: Flush) {
    let mut trip = Trip::new(window_bits);
    let own = b"what was there";
    trip.compressed.extend_from_slice(own);
    Deflate::compress_alone(level, window_bits, input, flush, &mut trip.compressed);
    assert!(trip.compressed.starts_with(own), "it is appended");
    trip.compressed.drain(..own.len());
    let status = trip.inflate(0..trip.compressed.len());
    assert!(trip.output == input);
    let is_finished = trip.compressed_is_read_alike(input);
    assert_eq!(
        (is_finished, status == Inflated::End),
        match flush {
            Flush::Finish => (1, true),
            _ => (0, false),
        }
    );
    assert!(is_finished == 1 || trip.compressed.ends_with(&[0, 0, 0xff, 0xff]));
    let mut whole = &trip.compressed[..];
    assert!(codec::inflate(whole, input.len()).as_deref() == Ok(input));
    if flush == Flush::Sync {
        whole = &whole[..whole.len() - 4];
        assert!(codec::inflate(whole, input.len()).as_deref() == Ok(input));
    }
    let most = input.len() + input.len() * 5 / 16384 + 11;
    assert!(trip.compressed.len() <= most);
}
