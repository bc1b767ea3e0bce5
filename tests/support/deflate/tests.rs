//! Tests the inflater with the vectors of the RFCs and with zlib's output, and the writer with the
//! inflater.

use super::*;
use crate::Random;

/// `" ".join(str(n * n) for n in range(100))` by Python's `zlib.compressobj(9, zlib.DEFLATED, -15,
/// 9)`.
const SQUARES: &[u8] = b"\
    \x15\x91\xc9\x01\x00\x21\x08\x03\x5b\xa1\x04\x11\xe4\xe8\xbf\x31\x27\x2f\x5d\x09\xc9\xc0\
    \x1e\x73\x4b\x5b\xf3\xb2\xfb\x2c\xca\x72\xad\xd2\xc6\xcd\xcf\x31\xbf\x9c\x99\x54\x51\x2c\
    \x12\x34\xf7\x71\xce\x5a\xdc\x44\x4f\x37\xba\x4c\xce\x49\x7b\x77\xed\x75\x59\xa1\x2b\xce\
    \xe6\xbb\x79\x1f\xea\x8b\x6e\x4b\xbe\x34\xfa\xc1\xc1\x1d\x2b\x97\xa7\x5f\xcc\x3d\x94\x92\
    \x8a\x7b\xca\x2d\x01\x94\x48\x1a\x22\x9f\x14\x03\x84\xf7\x88\xc2\x45\x7c\xcf\xda\x8d\x93\
    \x76\xf3\x38\x64\x74\xdc\xd2\xad\xf5\x36\xaa\x2e\xba\x50\x47\xe0\x2f\x68\xc8\x03\xbf\x48\
    \x9c\x43\x19\xd1\xa4\xc5\x90\x1b\x0b\x41\x1e\x58\x52\x54\x19\xf0\x65\x42\x9a\x05\x73\xb6\
    \xa6\xd5\x18\xef\x30\xcf\x73\x0d\x1c\x9a\x98\x8a\x3d\xcd\xfc\x5a\xb7\xe5\xad\x0e\x55\xba\
    \x9c\x6d\xd2\x51\x8f\xde\x6a\x5c\x6a\xf0\xeb\xf3\xb4\x1c\x3a\x9a\x4c\xeb\x47\x6e\x37\x04\
    \xbd\xb0\x8c\x56\x3f\x17\xbe\x49\xfd\x8b\x82\x79\x06\xfa\xd5\x1c\x28\xb8\x41\xc9\x36\x99\
    \x72\xe7\xf8\x07";

/// 30 green bottles and so on down to one, by the same compressor.
const BOTTLES: &[u8] = b"\
    \x8d\xd2\xcb\x09\xc0\x20\x14\x05\xd1\x56\x5e\x01\x59\xe4\x6a\xbe\xe5\x18\x10\x0d\xc8\x13\
    \x12\x21\xed\xa7\x85\xd9\xcf\xea\x30\x71\xb6\xf2\xe4\xec\x76\xf5\x31\x5a\x7e\xad\x26\x2f\
    \xb7\x17\xeb\x6e\xa3\x66\xfb\x52\x6b\x93\x85\x13\x55\x07\xaa\x76\x54\x6d\xa8\x5a\x51\xb5\
    \xa0\x2a\xa2\x2a\xa0\x4a\xa8\x42\xf6\x42\xf6\x42\xf6\x42\xf6\x42\xf6\x42\xf6\x42\xf6\x42\
    \xf6\x42\xf6\x42\xf6\x42\xf6\x88\x1e\xc9\x23\x78\xe4\x8e\xd8\x91\x3a\x1b\x1e\x69\x92\xe8\
    \x07";

/// 40 times `ab` and 100 `c`, with `Z_HUFFMAN_ONLY`: dynamic codes, none of them for a distance.
const LETTERS: &[u8] = b"\
    \x05\xc1\x01\x01\x00\x00\x00\x82\xa0\xad\xc6\xff\x0f\x41\x6b\xad\xb5\xd6\x5a\x6b\xad\xb5\
    \xd6\x5a\x6b\xad\xb5\xd6\x5a\x6b\xad\xb5\xd6\x5a\x6b\xad\xb5\xd6\x1a\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\x00\x1c";

/// Two messages with context takeover, with `Z_SYNC_FLUSH` and without the last four bytes.
const PRICES: [(&str, &[u8]); 2] = [
    (
        "{\"price\":101,\"symbol\":\"AKU\"}",
        b"\xaa\x56\x2a\x28\xca\x4c\x4e\x55\xb2\x32\x34\x30\xd4\x51\x2a\xae\xcc\x4d\xca\xcf\
          \x51\xb2\x52\x72\xf4\x0e\x55\xaa\x05\x00",
    ),
    (
        "{\"price\":102,\"symbol\":\"AKU\"}",
        b"\xaa\x46\xc8\x19\xa1\xcb\x01\x00",
    ),
];

#[track_caller]
fn check(payload: &[u8], message: &str) {
    let inflated = Inflater::new(15).message(payload).map(text);
    assert_eq!(inflated.as_deref(), Ok(message), "{payload:02x?}");
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("it was text")
}

#[test]
fn rfc7692_7_2_3_the_examples() {
    check(b"\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello");
    check(b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "Hello");
    check(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello");
    check(
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        "Hello",
    );
    check(b"\x00", "");
    let mut inflater = Inflater::new(8);
    for payload in [
        &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..],
        b"\xf2\x00\x11\x00\x00",
    ] {
        assert_eq!(inflater.message(payload).map(text).as_deref(), Ok("Hello"));
    }
    inflater.forget();
    assert!(inflater.message(b"\xf2\x00\x11\x00\x00").is_err());
}

#[test]
fn what_zlib_made() {
    let squares: Vec<String> = (0..100).map(|n| (n * n).to_string()).collect();
    let bottles = (1..=30)
        .rev()
        .map(|n| format!("{n} green bottles hanging on the wall, "))
        .collect();
    let letters = "ab".repeat(40) + &"c".repeat(100);
    for (stream, whole) in [
        (SQUARES, squares.join(" ")),
        (BOTTLES, bottles),
        (LETTERS, letters),
    ] {
        let inflated = Inflater::new(15).stream(stream);
        let (bytes, used) = inflated.expect("zlib makes no mistakes");
        assert_eq!((text(bytes), used), (whole, stream.len()));
        // The inflater accepts no incomplete input as whole.
        for len in 0..stream.len() - 1 {
            assert!(Inflater::new(15).stream(&stream[..len]).is_err(), "{len}");
        }
    }
    let mut inflater = Inflater::new(15);
    for (message, payload) in PRICES {
        assert_eq!(inflater.message(payload).map(text).as_deref(), Ok(message));
    }
    assert_eq!(inflater.farthest, 28);
}

#[test]
fn rfc1951_3_2_2_the_example_of_codes() {
    // The lengths (3, 3, 3, 3, 3, 2, 4, 4) for A to H give 010 to 110, 00, 1110 and 1111. A
    // complete code is no longer complete after one length is removed, or added.
    let dynamic = |lengths: &[usize]| {
        let header = Blocks::new().header(2).bits(0, 5).bits(0, 5).bits(15, 4);
        let coded = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        let header = coded.iter().fold(header, |blocks, at| {
            let len = match at {
                18 => 1,
                0..=4 => 4 - usize::from(*at == 0 || *at == 2 || *at == 3),
                _ => 0,
            };
            blocks.bits(len, 3)
        });
        (header, lengths.to_vec())
    };
    // 18 is 0; 0, 2 and 3 are 100, 101 and 110; 1 and 4 are 1110 and 1111.
    let length = |blocks: Blocks, len: usize| match len {
        0 => blocks.code(0b100, 3),
        1 => blocks.code(0b1110, 4),
        2 => blocks.code(0b101, 3),
        3 => blocks.code(0b110, 3),
        _ => blocks.code(0b1111, 4),
    };
    let zeros = |blocks: Blocks, count: usize| blocks.code(0, 1).bits(count - 11, 7);
    let block = |of_letters: &[usize]| {
        let (blocks, lengths) = dynamic(of_letters);
        let blocks = zeros(blocks, 65);
        let blocks = lengths
            .iter()
            .fold(blocks, |blocks, len| length(blocks, *len));
        // H gives its place to the end of the block.
        let left = 256 - 65 - lengths.len();
        let blocks = length(zeros(zeros(blocks, 138), left - 138), 4);
        let blocks = length(blocks, 0);
        let face = [(0b00, 2), (0b010, 3), (0b100, 3), (0b110, 3), (0b1111, 4)];
        face.iter()
            .fold(blocks, |blocks, (code, len)| blocks.code(*code, *len))
            .into_message()
    };
    check(&block(&[3, 3, 3, 3, 3, 2, 4]), "FACE");
    for wrong in [
        &[3, 3, 3, 3, 3, 2, 0][..],
        &[3, 3, 3, 3, 3, 1, 4],
        &[3, 3, 3, 3, 3, 2, 3],
    ] {
        assert!(
            Inflater::new(15).message(&block(wrong)).is_err(),
            "{wrong:?}"
        );
    }
}

#[test]
fn what_is_wrong_is_told() {
    let fixed = Blocks::new().unended_fixed(&[Piece::Literals(b"Hello")]);
    for (fault, blocks) in [
        ("block type 3", Blocks::new().header(3)),
        (
            "LEN and NLEN do not match",
            Blocks::new().stored_claiming(1, 1),
        ),
        (
            "it ends within a block",
            Blocks::new().stored_claiming(9, !9),
        ),
        ("length symbol 286 or 287", fixed.clone().fixed_symbol(286)),
        (
            "distance symbol 30 or 31",
            fixed.clone().fixed_symbol(257).code(30, 5),
        ),
        (
            "a distance before the beginning",
            fixed.clone().fixed_symbol(257).code(4, 5).bits(1, 1),
        ),
        (
            "a distance beyond the window",
            Blocks::new().stored([b'x'; 300]).fixed(&[Piece::Copy {
                length: 3,
                distance: 257,
            }]),
        ),
        ("it ends within a block", fixed),
    ] {
        let inflated = Inflater::new(8).message(&blocks.into_bytes());
        assert_eq!(inflated, Err(fault));
    }
}

#[test]
fn the_writer_writes_the_examples() {
    let hello = [Piece::Literals(b"Hello")];
    let fixed = Blocks::new().fixed(&hello);
    assert_eq!(fixed.into_message(), b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    let stored = Blocks::new().stored("Hello").into_message();
    assert_eq!(stored, b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00");
    let last = Blocks::new().with_bfinal().fixed(&hello).into_message();
    assert_eq!(last, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
    let two = Blocks::new()
        .fixed(&[Piece::Literals(b"He")])
        .stored("")
        .fixed(&[Piece::Literals(b"llo")])
        .into_message();
    assert_eq!(two, b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00");
    assert_eq!(Blocks::new().into_message(), b"\x00");
    let mut squeezer = Squeezer::new(15, true);
    assert_eq!(squeezer.message("Hello"), b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    let again = Blocks::new().fixed(&[
        Piece::Literals(b"H"),
        Piece::Copy {
            length: 4,
            distance: 5,
        },
    ]);
    assert_eq!(again.into_message(), b"\xf2\x00\x11\x00\x00");
    assert_eq!(squeezer.message("Hello").len(), 4);
}

#[test]
fn every_length_and_distance() {
    let mut random = Random::seeded(0xdef1);
    let bytes = random.bytes(32_768);
    for length in 3..=258 {
        let distance = 1 + random.below(32_768);
        let blocks = Blocks::new()
            .stored(&bytes)
            .fixed(&[Piece::Copy { length, distance }, Piece::Literals(b"!")]);
        let mut inflater = Inflater::new(15);
        let inflated = inflater.message(&blocks.into_message()).unwrap();
        let from = bytes.len() - distance;
        let expected: Vec<u8> = (0..length).map(|n| bytes[from + n % distance]).collect();
        assert_eq!(inflated[bytes.len()..], [&expected[..], b"!"].concat());
        assert_eq!(inflater.farthest, distance);
    }
}

#[test]
fn a_bomb_is_what_it_claims() {
    for copies in [0, 1, 2, 3, 4, 5, 6, 7, 8, 400, 401] {
        for blocks in [
            Blocks::new(),
            Blocks::new().stored("ab"),
            Blocks::new().fixed(&[]),
        ] {
            let message = blocks.bomb(copies).into_message();
            let mut inflater = Inflater::new(8);
            let inflated = inflater.message(&message).expect("it is valid");
            let rest = inflated.strip_prefix(b"ab").unwrap_or(&inflated);
            assert!(*rest == vec![b'x'; 1 + 258 * copies][..], "{copies}");
            assert!(message.len() < 40 + copies / 4, "{}", message.len());
        }
    }
}

#[test]
fn what_is_squeezed_comes_out_again() {
    let mut random = Random::announced();
    for takeover in [false, true] {
        for window_bits in [8, 10, 15] {
            let mut squeezer = Squeezer::new(window_bits, takeover);
            let mut inflater = Inflater::new(window_bits);
            for _ in 0..20 {
                let len = random.below(2000);
                let letters = 1 + random.below(6) as u8;
                let message: Vec<u8> = random.bytes(len).iter().map(|b| b % letters).collect();
                let mut blocks = Blocks::new();
                for piece in random.pieces(&message, 1000) {
                    blocks = match random.below(3) {
                        0 => squeezer.stored(blocks, piece),
                        1 => squeezer.fixed(blocks.stored(""), piece),
                        _ => squeezer.fixed(blocks.with_bfinal(), piece),
                    };
                }
                let payload = squeezer.end(blocks);
                assert!(inflater.message(&payload) == Ok(message));
                if !takeover {
                    inflater.forget();
                }
            }
            assert!(inflater.farthest > 200, "{}", inflater.farthest);
        }
    }
}
