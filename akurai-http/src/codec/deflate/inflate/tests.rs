use super::super::{Deflate, Flush, Level};
use super::*;

fn inflate_all(
    inflate: &mut Inflate,
    mut input: &[u8],
) -> Result<(Vec<u8>, usize, Inflated), InflateError> {
    let (mut out, mut all) = (Vec::new(), 0);
    loop {
        let (used, status, output) = inflate.advance(input)?;
        out.extend_from_slice(output);
        input = &input[used..];
        all += used;
        if status != Inflated::HasOutput {
            return Ok((out, all, status));
        }
    }
}

/// Decompresses the input whole, byte by byte, and with other bytes after it.
#[track_caller]
fn check(input: &[u8], expected: &[u8]) {
    let end = (expected.to_vec(), input.len(), Inflated::End);
    assert_eq!(inflate_all(&mut Inflate::new(), input), Ok(end.clone()));
    let trailing = [input, &[0xff; 20]].concat();
    assert_eq!(inflate_all(&mut Inflate::new(), &trailing), Ok(end));
    let mut inflate = Inflate::new();
    let mut out = Vec::new();
    for (at, byte) in input.iter().enumerate() {
        let (piece, used, status) = inflate_all(&mut inflate, &[*byte]).expect("it is valid");
        out.extend(piece);
        assert_eq!(used, 1);
        let is_end = at + 1 == input.len();
        assert_eq!(status == Inflated::End, is_end);
    }
    assert_eq!(out, expected);
}

#[track_caller]
fn check_refused(input: &[u8], error: InflateError) {
    assert_eq!(inflate_all(&mut Inflate::new(), input), Err(error));
    let mut inflate = Inflate::new();
    let one_by_one = input
        .iter()
        .find_map(|byte| inflate.advance(&[*byte]).err());
    assert_eq!(one_by_one, Some(error));
}

#[test]
fn rfc7692_7_2_3_examples() {
    check(&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], b"Hello");
    // An empty stored block replaces the end.
    let mut inflate = Inflate::new();
    let flushed = [
        0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00, 0x00, 0xff, 0xff,
    ];
    let (out, used, status) = inflate_all(&mut inflate, &flushed).unwrap();
    assert_eq!(
        (&out[..], used, status),
        (&b"Hello"[..], 11, Inflated::NeedInput)
    );
    // With the context, the same text again is one reference.
    let again = [0xf2, 0x00, 0x11, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff];
    assert_eq!(inflate_all(&mut inflate, &again).unwrap().0, b"Hello");
    inflate.rest();
    assert_eq!(inflate_all(&mut inflate, &again).unwrap().0, b"Hello");
    inflate.reset(true);
    assert_eq!(
        inflate_all(&mut inflate, &again),
        Err(InflateError::Distance)
    );
    // A stored block.
    let stored = [
        0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00, 0x00, 0x00, 0xff, 0xff,
    ];
    assert_eq!(
        inflate_all(&mut Inflate::new(), &stored).unwrap().0,
        b"Hello"
    );
    // A last block, and another one after it.
    let mut inflate = Inflate::new();
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(inflate_all(&mut inflate, &last).unwrap().2, Inflated::End);
    inflate.reset(false);
    assert_eq!(inflate_all(&mut inflate, &again).unwrap().0, b"Hello");
    // Two blocks in one.
    let two = [
        0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00, 0x00, 0x00,
        0xff, 0xff,
    ];
    assert_eq!(inflate_all(&mut Inflate::new(), &two).unwrap().0, b"Hello");
}

#[test]
fn rfc1951_3_2_3_what_is_no_block() {
    check_refused(&[0x07], InflateError::BlockType);
    check_refused(&[0x01, 0x05, 0x00, 0xfa, 0xfe], InflateError::StoredLength);
    // A reference before anything: length 3, distance 1.
    check_refused(&[0x03, 0x02, 0x00], InflateError::Distance);
    // Symbol 286 of the fixed code.
    check_refused(&[0x1b, 0x03, 0x00], InflateError::Symbol);
    // More codes than there are symbols.
    check_refused(&[0xfd, 0xff, 0xff], InflateError::Code);
}

#[test]
fn every_level_and_window_comes_back() {
    let mut text = Vec::new();
    for n in 0..40_000u32 {
        text.extend_from_slice(format!("{} {:x} ", n * n % 1009, n / 7).as_bytes());
    }
    for level in 1..=9 {
        for window_bits in [8, 9, 12, 15] {
            let mut compressed = Vec::new();
            let mut deflate = Deflate::with_window_bits(Level::new(level), window_bits);
            deflate.compress(&text, Flush::Finish, &mut compressed);
            let mut inflate = Inflate::with_window_bits(window_bits);
            let (out, used, status) = inflate_all(&mut inflate, &compressed).expect("it is valid");
            assert!(out == text && used == compressed.len() && status == Inflated::End);
            assert!(
                compressed.len() < text.len() / 2,
                "{} bytes",
                compressed.len()
            );
        }
    }
}

#[test]
fn a_distance_beyond_the_window_is_refused() {
    let text: Vec<u8> = (0..5000u32)
        .flat_map(|n| n.wrapping_mul(n).wrapping_mul(0x9e37_79b1).to_le_bytes())
        .collect();
    let twice = [&text[..1000], &text[..1000]].concat();
    let mut compressed = Vec::new();
    Deflate::new(Level::default()).compress(&twice, Flush::Finish, &mut compressed);
    let narrow = inflate_all(&mut Inflate::with_window_bits(9), &compressed);
    assert_eq!(narrow, Err(InflateError::Distance));
    assert_eq!(
        inflate_all(&mut Inflate::with_window_bits(10), &compressed)
            .unwrap()
            .0,
        twice
    );
}

#[test]
fn a_bomb_is_handed_over_in_pieces() {
    let mut compressed = Vec::new();
    Deflate::new(Level::default()).compress(&vec![0; 50 << 20], Flush::Finish, &mut compressed);
    assert!(compressed.len() < 100_000);
    let mut inflate = Inflate::new();
    let mut input = &compressed[..];
    let mut bytes = 0;
    loop {
        let (used, status, output) = inflate.advance(input).expect("it is valid");
        assert!(output.len() <= 64 * 1024 && output.iter().all(|&byte| byte == 0));
        bytes += output.len();
        input = &input[used..];
        assert!(inflate.buffer.capacity() <= MOST_BUFFER_BYTES);
        match status {
            Inflated::HasOutput => {}
            Inflated::End => break,
            Inflated::NeedInput => panic!("all of it was there"),
        }
    }
    assert_eq!(bytes, 50 << 20);
}

#[test]
fn inflate_takes_what_is_whole() {
    let text: Vec<u8> = (0..60_000u32)
        .flat_map(|n| (n * n % 65_537).to_le_bytes())
        .collect();
    for text in [&b""[..], b"a", &text[..1000], &text] {
        for flush in [Flush::Finish, Flush::Sync] {
            let mut compressed = Vec::new();
            Deflate::compress_alone(Level::default(), 15, text, flush, &mut compressed);
            assert!(inflate(&compressed, text.len()).as_deref() == Ok(text));
            if !text.is_empty() {
                let refused = inflate(&compressed, text.len() - 1);
                assert_eq!(refused, Err(InflateError::TooLong));
            }
            if flush == Flush::Sync {
                let message = &compressed[..compressed.len() - 4];
                assert!(inflate(message, text.len()).as_deref() == Ok(text));
            } else if text.len() > 1 {
                let cut = inflate(&compressed[..compressed.len() / 2], text.len());
                assert_eq!(cut, Err(InflateError::Unfinished));
            }
        }
    }
    // A last block, and another one after it.
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let twice = [last, last].concat();
    assert_eq!(inflate(&twice, 10).as_deref(), Ok(&b"HelloHello"[..]));
}

#[test]
fn inflate_stops_a_bomb_at_its_limit() {
    let mut compressed = Vec::new();
    Deflate::new(Level::default()).compress(&vec![0; 50 << 20], Flush::Finish, &mut compressed);
    assert_eq!(inflate(&compressed, 1 << 20), Err(InflateError::TooLong));
}

#[test]
fn stored_blocks_among_others() {
    let mut state = 1u32;
    let mut bytes = Vec::new();
    for n in 0..200 {
        for _ in 0..n * 7 % 1500 {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            bytes.push((state >> 16) as u8);
        }
        bytes.extend_from_slice(&b"and again and again "[n % 5..]);
    }
    let mut compressed = Vec::new();
    let mut deflate = Deflate::new(Level::default());
    for piece in bytes.chunks(997) {
        deflate.compress(piece, Flush::Sync, &mut compressed);
    }
    deflate.compress(b"", Flush::Finish, &mut compressed);
    check(&compressed, &bytes);
    assert!(inflate(&compressed, bytes.len()).as_deref() == Ok(&bytes));
}

#[test]
fn three_bytes_that_come_back_are_found() {
    let mut state = 1u32;
    let mut bytes = Vec::new();
    for n in 0..20_000u32 {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        bytes.extend_from_slice(&[(state >> 16) as u8, (n >> 8) as u8, 0xf0, 0x9f]);
    }
    for level in [2, 6, 9] {
        let mut compressed = Vec::new();
        Deflate::compress_alone(
            Level::new(level),
            15,
            &bytes,
            Flush::Finish,
            &mut compressed,
        );
        assert!(inflate(&compressed, bytes.len()).as_deref() == Ok(&bytes));
        let share = compressed.len() * 100 / bytes.len();
        assert!(share < 45, "{share} %");
    }
}

#[test]
fn what_follows_noise_is_found() {
    let mut state = 1u32;
    let mut bytes: Vec<u8> = (0..100_000)
        .map(|_| {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            (state >> 16) as u8
        })
        .collect();
    bytes.extend(b"and again ".repeat(10_000));
    for level in [1, 6] {
        let mut compressed = Vec::new();
        Deflate::compress_alone(
            Level::new(level),
            15,
            &bytes,
            Flush::Finish,
            &mut compressed,
        );
        assert!(inflate(&compressed, bytes.len()).as_deref() == Ok(&bytes));
        assert!(compressed.len() < 101_000, "{} bytes", compressed.len());
    }
}

#[test]
fn bits_that_are_left_over_between_blocks_are_an_end_too_early() {
    for last in [0x00, 0x80, 0xc0] {
        let input = [0x9a, 0x30, 0x61, 0xc2, 0x04, last];
        assert_eq!(inflate(&input, 10), Err(InflateError::Unfinished));
    }
}

#[test]
fn rest_within_a_block_keeps_what_the_block_needs() {
    let mut compressed = Vec::new();
    let mut deflate = Deflate::new(Level::default());
    let text = b"to be or not to be, that is the question";
    deflate.compress(text, Flush::Finish, &mut compressed);
    let mut inflate = Inflate::new();
    let mut out = Vec::new();
    for byte in compressed {
        let (_, _, piece) = inflate.advance(&[byte]).expect("it is valid");
        out.extend_from_slice(piece);
        inflate.rest();
    }
    assert_eq!(out, text);
}

#[test]
fn what_stands_alone_waits_for_nothing() {
    let long = vec![7; WINDOW_BYTES * 64 + 1];
    for content in [&long[..], b"short"] {
        let mut compressed = Vec::new();
        Deflate::compress_alone(Level::default(), 15, content, Flush::None, &mut compressed);
        assert!(inflate(&compressed, content.len()).as_deref() == Ok(content));
    }
}

#[test]
fn memory_is_held_only_for_what_came() {
    let mut inflate = Inflate::new();
    assert_eq!(
        (inflate.buffer.capacity(), inflate.tables.is_some()),
        (0, false)
    );
    let mut said = 0;
    for len in [0, 100, 10_000, 20_000, 100_000] {
        let content: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        let mut compressed = Vec::new();
        Deflate::compress_alone(Level::default(), 15, &content, Flush::Sync, &mut compressed);
        let (out, used, status) = inflate_all(&mut inflate, &compressed).unwrap();
        assert!(out == content);
        assert_eq!((used, status), (compressed.len(), Inflated::NeedInput));
        inflate.rest();
        said += len;
        let held = (inflate.buffer.capacity(), inflate.tables.is_some());
        assert_eq!(held, (said.min(WINDOW_BYTES), false), "after {len} bytes");
    }
    inflate.reset(true);
    assert_eq!(inflate.buffer.capacity(), 0);
}

#[test]
fn rfc1951_3_2_3_a_distance_beyond_the_window_in_the_middle_of_the_input() {
    // Half of the alphabet at random, so that only the intended bytes repeat.
    let mut seed = 1_u64;
    let mut noise = |len: usize| -> Vec<u8> {
        (0..len)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 57) as u8
            })
            .collect()
    };
    let mut content = noise(5000);
    content.extend_from_within(..200);
    content.extend(noise(2000));
    let mut compressed = Vec::new();
    Deflate::compress_alone(Level::default(), 15, &content, Flush::Sync, &mut compressed);
    // 5,000 bytes back is within a window of 8 KiB, but not of 4.
    for (bits, is_in) in [(15, true), (13, true), (12, false), (8, false)] {
        let whole = inflate_all(&mut Inflate::with_window_bits(bits), &compressed);
        let mut bytewise = Inflate::with_window_bits(bits);
        let error = compressed
            .iter()
            .find_map(|byte| bytewise.advance(&[*byte]).err());
        match is_in {
            true => assert!(
                whole.unwrap().0 == content && error.is_none(),
                "{bits} bits"
            ),
            false => {
                assert!(whole == Err(InflateError::Distance), "{bits} bits");
                assert_eq!(error, Some(InflateError::Distance), "{bits} bits");
            }
        }
    }
}
