use super::*;

const LIMITS: BodyLimits = BodyLimits {
    body_bytes: 1 << 20,
    chunk_line_bytes: 256,
    chunk_extension_bytes: 4 * 1024,
    trailer_section_bytes: 8 * 1024,
    trailer_fields: 32,
};

/// Decodes `input`, fed in pieces of `piece` bytes. Returns the data and the rest of the input.
fn decode(
    framing: Framing,
    limit: u64,
    input: &[u8],
    piece: usize,
) -> Result<(Vec<u8>, usize), RequestError> {
    let mut decoder = BodyDecoder::default();
    let limits = BodyLimits {
        body_bytes: limit,
        ..LIMITS
    };
    decoder.begin(framing, limits);
    let mut data = Vec::new();
    let mut used = 0;
    let mut arrived = 0;
    loop {
        match decoder.step(&input[used..arrived])? {
            Step::Data(count) => {
                data.extend_from_slice(&input[used..used + count]);
                decoder.take_data(count);
                used += count;
            }
            Step::Skip(count) => used += count,
            Step::More if arrived == input.len() => return Err(RequestError::BodyTruncated),
            Step::More => arrived = input.len().min(arrived + piece),
            Step::End => return Ok((data, input.len() - used)),
        }
    }
}

/// Decodes the input whole, byte by byte, in pieces of seven, and with the next message after it.
#[track_caller]
fn check(input: &str, expected: Result<&str, RequestError>) {
    let with_trailing = format!("{input}GET / HTTP/1.1\r\n");
    for piece in [1, 7, input.len().max(1)] {
        let got = decode(Framing::Chunked, 1 << 20, input.as_bytes(), piece);
        let data = expected.map(|data| (data.as_bytes().to_vec(), 0));
        assert_eq!(got, data, "{input:?} in pieces of {piece}");
        if let Ok(data) = expected {
            let got = decode(Framing::Chunked, 1 << 20, with_trailing.as_bytes(), piece);
            assert_eq!(
                got,
                Ok((data.as_bytes().to_vec(), 16)),
                "{input:?} and more"
            );
        }
    }
}

#[test]
fn rfc9112_7_1_chunk_size() {
    check("0\r\n\r\n", Ok(""));
    check("5\r\nhello\r\n0\r\n\r\n", Ok("hello"));
    check(
        "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        Ok("01234567890123456789"),
    );
    check("0000000000000005\r\nhello\r\n000\r\n\r\n", Ok("hello"));
    for bad in [
        "\r\n",
        "0x5\r\n",
        "+5\r\n",
        "-1\r\n",
        " 5\r\n",
        "5 \r\n",
        "1_0\r\n",
        "g\r\n",
        ";a\r\n",
        "00000000000000005\r\n",
        "10000000000000000\r\n",
        "\u{661}\r\n",
        "5\t\r\n",
    ] {
        check(bad, Err(RequestError::ChunkSize));
    }
    check("ffffffffffffffff\r\n", Err(RequestError::BodyTooLarge));
    check("5\n", Err(RequestError::ChunkSize));
    check("5\rx", Err(RequestError::LineEnding));
}

#[test]
fn rfc9112_7_1_1_chunk_extensions() {
    for extension in [
        ";a",
        ";a=b",
        ";a=\"q\"",
        ";a=\"q;\\\"\t\\\\\";b",
        ";a=\"\"",
        ";a;b=c;d",
    ] {
        check(
            &format!("2{extension}\r\nhi\r\n0{extension}\r\n\r\n"),
            Ok("hi"),
        );
    }
    for bad in [
        ";",
        ";[",
        ";a=",
        ";=b",
        ";a=b=c",
        ";a=\"q",
        ";a=\"q\"x",
        "; a",
        ";a =b",
        ";a;",
        ";\0",
        ";a\u{7f}",
        ";a=\"\0\"",
        ";a=\"\\\0\"",
        ";a\n",
        ";a=\"\n\"",
    ] {
        check(
            &format!("2{bad}\r\nhi\r\n0\r\n\r\n"),
            Err(RequestError::ChunkExtension),
        );
    }
    check("2;a\r\rhi", Err(RequestError::LineEnding));
    let long = "x".repeat(LIMITS.chunk_line_bytes - 1);
    check(
        &format!("1;{long}\r\nh\r\n0\r\n\r\n"),
        Err(RequestError::ChunkExtension),
    );
    let fits = "x".repeat(LIMITS.chunk_line_bytes - 2);
    check(&format!("1;{fits}\r\nh\r\n0\r\n\r\n"), Ok("h"));
    let chunk = format!("1;{}\r\nh\r\n", "x".repeat(200));
    check(
        &format!("{}0\r\n\r\n", chunk.repeat(20)),
        Ok(&"h".repeat(20)),
    );
    check(
        &format!("{}0\r\n\r\n", chunk.repeat(21)),
        Err(RequestError::ChunkExtension),
    );
}

#[test]
fn rfc9112_7_1_chunk_data() {
    check("5\r\nhell\r\n0\r\n\r\n", Err(RequestError::ChunkData));
    check("5\r\nhelloo\r\n0\r\n\r\n", Err(RequestError::ChunkData));
    check("5\r\nhello\n0\r\n\r\n", Err(RequestError::ChunkData));
    check("5\r\nhello\r0\r\n\r\n", Err(RequestError::ChunkData));
    check("5\r\nhello", Err(RequestError::BodyTruncated));
    check("5\r\nhello\r\n", Err(RequestError::BodyTruncated));
    check("5\r\nhello\r\n0\r\n", Err(RequestError::BodyTruncated));
}

#[test]
fn rfc9112_7_1_2_trailers() {
    check("0\r\nDigest: x\r\nETag:y  \r\nEmpty:\r\n\r\n", Ok(""));
    for forbidden in [
        "Content-Length: 5",
        "transfer-encoding: chunked",
        "Host: a",
        "AUTHORIZATION: b",
    ] {
        check(
            &format!("0\r\n{forbidden}\r\n\r\n"),
            Err(RequestError::Trailer),
        );
    }
    check("0\r\nA: b\n\r\n", Err(RequestError::LineEnding));
    check("0\r\n\n", Err(RequestError::LineEnding));
    check("0\r\nA\r\n\r\n", Err(RequestError::FieldName));
    check("0\r\n A: b\r\n\r\n", Err(RequestError::ObsFold));
    check("0\r\nA: \0\r\n\r\n", Err(RequestError::FieldValue));
    check(&format!("0\r\n{}\r\n", "A: b\r\n".repeat(32)), Ok(""));
    check(
        &format!("0\r\n{}\r\n", "A: b\r\n".repeat(33)),
        Err(RequestError::Trailer),
    );
    check(
        &format!("0\r\nA: {}\r\n\r\n", "x".repeat(8192)),
        Err(RequestError::Trailer),
    );

    let mut decoder = BodyDecoder::default();
    decoder.begin(Framing::Chunked, LIMITS);
    for _ in 0..4 {
        let input = b"0\r\nA: b \r\nC:\r\n\r\n";
        let (mut used, mut steps) = (0, 0);
        while decoder.step(&input[used..]).map(|step| match step {
            Step::Skip(count) => used += count,
            other => assert_eq!(other, Step::End),
        }) == Ok(())
            && steps < 9
        {
            steps += 1;
        }
        let (bytes, lines) = decoder.trailers();
        let values: Vec<_> = lines
            .iter()
            .map(|line| (&bytes[line.name.clone()], &bytes[line.value.clone()]))
            .collect();
        assert_eq!(values, [(&b"A"[..], &b"b"[..]), (b"C", b"")]);
        decoder.begin(Framing::Chunked, LIMITS);
    }
}

#[test]
fn rfc9112_6_3_length() {
    for piece in [1, 3, 100] {
        let length = |length, limit, input| decode(Framing::Length(length), limit, input, piece);
        assert_eq!(length(5, 5, b"hello, world"), Ok((b"hello".to_vec(), 7)));
        assert_eq!(length(5, 5, b"hell"), Err(RequestError::BodyTruncated));
        assert_eq!(length(6, 5, b"hello!"), Err(RequestError::BodyTooLarge));
        assert_eq!(decode(Framing::None, 5, b"next", piece), Ok((vec![], 4)));
    }
}

#[test]
fn a_chunked_body_over_the_limit_is_refused_at_the_chunk_that_shows_it() {
    let over = b"3\r\nabc\r\n3\r\n";
    assert_eq!(
        decode(Framing::Chunked, 5, over, 1),
        Err(RequestError::BodyTooLarge)
    );
    let exact = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(
        decode(Framing::Chunked, 5, exact, 1),
        Ok((b"abcde".to_vec(), 0))
    );
}

#[test]
fn an_error_stays() {
    let mut decoder = BodyDecoder::default();
    decoder.begin(Framing::Chunked, LIMITS);
    assert_eq!(decoder.step(b"x"), Err(RequestError::ChunkSize));
    assert_eq!(decoder.step(b"0\r\n\r\n"), Err(RequestError::ChunkSize));
}
