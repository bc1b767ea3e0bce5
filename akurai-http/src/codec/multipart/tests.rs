use super::*;

#[track_caller]
fn scan(input: &str, at_end: bool, expected: Result<Scan, FormError>) {
    let delimiter = Delimiter::new(b"b").expect("a boundary");
    let got = delimiter.scan(input.as_bytes(), at_end);
    assert_eq!(got, expected, "{input:?}");
}

#[test]
fn rfc2046_5_1_1_boundary() {
    let most = [b'x'; 70];
    for boundary in [
        &b"b"[..],
        b"----WebKitFormBoundary7MA4YWxkTrZu0gW",
        b"gc0pJq0M:08jU534c0p",
        b"'()+_,-./:=? 0",
        // Other characters of a token, as some clients send them.
        b"*****",
        b"!#$%&'*+-.^_`|~",
        &most,
    ] {
        assert!(Delimiter::new(boundary).is_some());
    }
    let too_long = [b'x'; 71];
    for boundary in [
        &b""[..],
        b"b ",
        b"b\t",
        b"b\r\n",
        b"b;",
        b"b\"",
        b"b\\",
        b"<b>",
        b"{b}",
        b"b@",
        b"\xc3\xa4",
        &too_long,
    ] {
        let text = String::from_utf8_lossy(boundary);
        assert!(Delimiter::new(boundary).is_none(), "{text}");
    }
}

#[test]
fn rfc2046_5_1_1_content_is_all_but_a_delimiter() {
    scan("", false, Ok(Scan::More));
    scan("", true, Ok(Scan::More));
    scan("x", false, Ok(Scan::Content(1)));
    scan("--b\r\n", false, Ok(Scan::Content(3)));
    scan("x--b--", false, Ok(Scan::Content(6)));
    scan("\n--b\r\nx", false, Ok(Scan::Content(7)));
    scan("\r--b\n", false, Ok(Scan::Content(5)));
    scan("\r\n--a\r\nx", false, Ok(Scan::Content(8)));
    scan("\r\n-b--", false, Ok(Scan::Content(6)));
    scan("\r\n --b", false, Ok(Scan::Content(6)));
    scan("\r\r\n--b\r\n", false, Ok(Scan::Content(1)));
    scan("\r\n\r\n--b\r\n", false, Ok(Scan::Content(2)));
    scan("\r\n-\r\n--b\r\n", false, Ok(Scan::Content(3)));
    scan("xyz\r\n--b--", false, Ok(Scan::Content(3)));
}

#[test]
fn rfc2046_5_1_1_delimiters_and_their_beginnings() {
    scan("\r\n--b\r\n", false, Ok(Scan::Part(7)));
    scan("\r\n--b\r\nmore", false, Ok(Scan::Part(7)));
    scan("\r\n--b \t \r\nmore", false, Ok(Scan::Part(10)));
    scan("\r\n--b--", true, Ok(Scan::Close(7)));
    scan("\r\n--b--\r\nepilogue", false, Ok(Scan::Close(7)));
    scan("\r\n--b-- ", false, Ok(Scan::Close(7)));
    scan("\r\n--b--\t\r\n", false, Ok(Scan::Close(7)));
    for whole in ["\r\n--b \r\n", "\r\n--b--"] {
        for cut in 1..whole.len() {
            scan(&whole[..cut], false, Ok(Scan::More));
            scan(&format!("xx{}", &whole[..cut]), false, Ok(Scan::Content(2)));
        }
    }
    // Only the body's end shows that nothing more belongs to the close-delimiter's line.
    scan("\r\n--b--", false, Ok(Scan::More));
    scan("\r\n--b", true, Ok(Scan::More));
}

#[track_caller]
fn scan_preamble(input: &str, at_end: bool, expected: Result<Scan, FormError>) {
    let delimiter = Delimiter::new(b"b").expect("a boundary");
    let got = delimiter.scan_preamble(input.as_bytes(), at_end);
    assert_eq!(got, expected, "{input:?}");
}

#[test]
fn rfc2046_5_1_1_preamble() {
    // The LF stands in the place of the byte before the body.
    for whole in ["\n--b\r\n", "\n--b \r\n", "\n--b--"] {
        for cut in 1..whole.len() {
            scan_preamble(&whole[..cut], false, Ok(Scan::More));
            let behind = format!("\nxx{}", &whole[..cut]);
            scan_preamble(&behind, false, Ok(Scan::Content(3)));
        }
    }
    scan_preamble("\n--b\r\n--b\r\n", false, Ok(Scan::Part(6)));
    scan_preamble("\n--b \t\r\nx", false, Ok(Scan::Part(8)));
    scan_preamble("\n--b--", true, Ok(Scan::Close(6)));
    scan_preamble("\n\r\n--b--", true, Ok(Scan::Content(2)));
    scan_preamble("\n\n--b--", true, Ok(Scan::Content(1)));
    scan_preamble("\npreamble", false, Ok(Scan::Content(8)));
    scan_preamble("\n-- -b --", false, Ok(Scan::Content(6)));
    // A boundary's first bytes belong to the preamble if the rest does not follow.
    scan_preamble("\n--a\n", false, Ok(Scan::Content(4)));
    scan_preamble("\n----\n", false, Ok(Scan::Content(5)));
    scan_preamble("\n--", true, Ok(Scan::More));
    for within_a_line in [
        "\n --b\r\n",
        "\n\u{feff}--b\r\n",
        "\npreamble--b\r\n",
        "\n---b\r\n",
        "\n\r--b\r\n",
        " --b",
    ] {
        scan_preamble(within_a_line, false, Err(FormError::Preamble));
    }
    for malformed in ["\n--bx", "\n--b\n", "\n--b -", "\n--b--x"] {
        scan_preamble(malformed, false, Err(FormError::Delimiter));
    }
}

#[test]
fn what_two_parsers_would_read_differently_is_refused() {
    let padded = |count| format!("\r\n--b{}\r\n", " ".repeat(count));
    scan(&padded(64), false, Ok(Scan::Part(71)));
    for input in [
        "\r\n--bb\r\n",
        "\r\n--bx",
        "\r\n--b\n",
        "\r\n--b\rx",
        "\r\n--b-x",
        "\r\n--b -",
        "\r\n--b x",
        "\r\n--b--x",
        "\r\n--b---",
        "\r\n--b--\n",
        &padded(65),
    ] {
        scan(input, false, Err(FormError::Delimiter));
    }
}

/// Feeds the head whole and byte by byte.
#[track_caller]
fn head(input: &[u8], expected: Result<Option<usize>, FormError>) {
    let text = String::from_utf8_lossy(input);
    assert_eq!(PartHeadParser::default().advance(input), expected, "{text}");
    let mut parser = PartHeadParser::default();
    let by_byte = (0..=input.len()).find_map(|len| match parser.advance(&input[..len]) {
        Ok(None) => None,
        done => Some(done),
    });
    assert_eq!(by_byte.unwrap_or(Ok(None)), expected, "{text}, by bytes");
}

#[test]
fn rfc2046_5_1_part_heads() {
    head(b"\r\n", Ok(Some(2)));
    head(b"\r\nx", Ok(Some(2)));
    head(b"A: b\r\nC:d\r\n\r\nx", Ok(Some(13)));
    head(b"A: caf\xc3\xa9\r\n\r\n", Ok(Some(12)));
    head(b"", Ok(None));
    head(b"A: b\r\n", Ok(None));
    head(b"A: b\r\n\r", Ok(None));
    for malformed in [
        &b"\n"[..],
        b"A: b\n\r\n",
        b"A: b\r\n\n",
        b"A\r\n",
        b"A : b\r\n",
        b" A: b\r\n",
        b"\t\r\n",
        b"A: b\n c\r\n",
        b"A: b\r\n c\n",
        b"A: b\r\n c\0\r\n",
        b"A: b\r\n c\rd\r\n",
        b"A\r\n : b\r\n",
        b"A: b\0\r\n",
        b"A: b\rc\r\n",
        b"--b--\r\n",
    ] {
        head(malformed, Err(FormError::PartHead));
    }
}

#[test]
fn rfc5322_2_2_3_folded_lines_of_a_part_head() {
    for (section, expected) in [
        ("A: b\r\n c\r\n\r\n", "A=b c"),
        ("A: b \r\n\t c\r\n\r\n", "A=b \t c"),
        ("A:\r\n b\r\nC: d\r\n\r\n", "A=b;C=d"),
        ("A: b\r\n c \r\n d\t\r\n\r\n", "A=b c  d"),
        ("A: b\r\n \r\n\t\r\n c\r\nC:\r\n \r\n\r\n", "A=b c;C="),
        ("A: \"b\r\n c\"\r\n\r\n", "A=\"b c\""),
        ("A: b\r\n C: d\r\n\r\n", "A=b C: d"),
    ] {
        head(section.as_bytes(), Ok(Some(section.len())));
        let mut parser = PartHeadParser::default();
        parser.advance(section.as_bytes()).expect(section);
        let text = |range: &std::ops::Range<usize>| {
            String::from_utf8_lossy(&parser.unfolded[range.clone()]).into_owned()
        };
        let fields = parser.lines.iter();
        let fields: Vec<_> = fields
            .map(|line| format!("{}={}", text(&line.name), text(&line.value)))
            .collect();
        assert_eq!(fields.join(";"), expected, "{section}");
    }
}

#[test]
fn a_part_head_is_bounded() {
    let of = |bytes: usize| format!("A: {}\r\n\r\n", "x".repeat(bytes - 7));
    head(of(PART_HEAD_BYTES).as_bytes(), Ok(Some(PART_HEAD_BYTES)));
    let error = Err(FormError::PartHeadTooLarge);
    head(of(PART_HEAD_BYTES + 1).as_bytes(), error);
    head(&[b'x'; PART_HEAD_BYTES], error);
    head(&[b'x'; PART_HEAD_BYTES - 1], Ok(None));
    let folded = |lines: usize| format!("A: b{}\r\n\r\n", "\r\n ".repeat(lines));
    head(folded(1000).as_bytes(), Ok(Some(3008)));
    head(folded(PART_HEAD_BYTES / 3).as_bytes(), error);
}

#[track_caller]
fn check(value: &[u8], expected: Result<(&str, Option<&str>), FormError>) {
    let expected = expected.map(|(name, file)| (name.to_owned(), file.map(str::to_owned)));
    let text = String::from_utf8_lossy(value);
    assert_eq!(disposition(value), expected, "{text}");
}

#[test]
fn rfc7578_4_2_disposition() {
    check(br#"form-data; name="a""#, Ok(("a", None)));
    check(b"Form-Data;NAME=a", Ok(("a", None)));
    check(br#"form-data; name="""#, Ok(("", None)));
    check(br#"form-data; name="a"; filename="""#, Ok(("a", Some(""))));
    check(
        br#"form-data; filename="c; d.txt"; name="a""#,
        Ok(("a", Some("c; d.txt"))),
    );
    check(
        br#"form-data; name="a"; filename="..\..\d""#,
        Ok(("a", Some(r"..\..\d"))),
    );
    // Two ways to write a quote: as browsers do, and as other clients do.
    check(br#"form-data; name="a%22b""#, Ok(("a%22b", None)));
    check(br#"form-data; name="a\"b""#, Ok(("a\"b", None)));
    check("form-data; name=\"ä\"".as_bytes(), Ok(("ä", None)));
    check(b"form-data; name=\"\xe4\"", Ok(("\u{fffd}", None)));
    check(
        b"form-data; name=a; filename=b; filename*=UTF-8''c",
        Ok(("a", Some("b"))),
    );
    check(b"form-data; name=a; filename*=UTF-8''c", Ok(("a", None)));
    for malformed in [
        &b""[..],
        b"form-data",
        b"form-data; filename=a",
        b"attachment; name=a",
        b"form-data, name=a",
        b"form-data; name=\"a",
        b"form-data; name=a; name=b",
        b"form-data; name=a; filename=b; filename=c",
        b"form-data; name=a; filename=b c.txt",
    ] {
        check(malformed, Err(FormError::Disposition));
    }
}
