use super::*;

const LIMITS: HeadLimits = HeadLimits {
    request_line_bytes: 8 * 1024,
    header_section_bytes: 32 * 1024,
    header_fields: 100,
};

fn parse_in_pieces(
    input: &[u8],
    piece: usize,
) -> Result<Option<(usize, Head, Vec<FieldLine>)>, RequestError> {
    let mut parser = HeadParser::default();
    let mut arrived = 0;
    loop {
        arrived = input.len().min(arrived + piece);
        if let Some(len) = parser.advance(&input[..arrived], &LIMITS)? {
            let (head, lines) = parser.take_head();
            return Ok(Some((len, head, std::mem::take(lines))));
        }
        if arrived == input.len() {
            return Ok(None);
        }
    }
}

/// Parses the input whole, byte by byte, in pieces of seven, and with the next request after it.
/// The result must always be the same.
#[track_caller]
fn parse(input: &[u8]) -> Result<(Head, Vec<FieldLine>), RequestError> {
    let whole = parse_in_pieces(input, input.len());
    for piece in [1, 7] {
        assert_eq!(
            parse_in_pieces(input, piece),
            whole,
            "{:?} in pieces of {piece}",
            String::from_utf8_lossy(input)
        );
    }
    if let Ok(Some((len, ..))) = &whole {
        assert_eq!(*len, input.len());
        let mut with_trailing = input.to_vec();
        with_trailing.extend_from_slice(b"GET /next HTTP/1.1\r\n\r\n");
        assert_eq!(parse_in_pieces(&with_trailing, with_trailing.len()), whole);
    }
    whole.map(|parsed| {
        let (_, head, lines) = parsed.expect("a whole head");
        (head, lines)
    })
}

/// A request with this line and a Host.
#[track_caller]
fn line(request_line: &str) -> Result<Head, RequestError> {
    parse(format!("{request_line}\r\nHost: h\r\n\r\n").as_bytes()).map(|(head, _)| head)
}

/// A POST with a Host and these lines. Each line ends with CRLF.
#[track_caller]
fn fields(section: &[u8]) -> Result<Head, RequestError> {
    let mut input = b"POST / HTTP/1.1\r\nHost: h\r\n".to_vec();
    input.extend_from_slice(section);
    input.extend_from_slice(b"\r\n");
    parse(&input).map(|(head, _)| head)
}

#[test]
fn a_fault_is_the_same_however_the_bytes_arrive() {
    let long = "x".repeat(LIMITS.request_line_bytes);
    let longer = "x".repeat(LIMITS.header_section_bytes);
    for (input, error) in [
        (format!(" GET /{long} HTTP/1.1\r\n"), RequestError::Method),
        (" GET / HTTP/1.1\n".to_owned(), RequestError::Method),
        (
            format!("GET /{long} HTTP/1.1\n"),
            RequestError::TargetTooLong,
        ),
        (
            format!("GET / HTTP/1.1\r\nA: {longer}\n"),
            RequestError::FieldsTooLarge,
        ),
    ] {
        assert_eq!(parse(input.as_bytes()), Err(error));
    }
}

#[test]
fn what_is_too_long_shows_in_as_many_bytes_as_are_allowed() {
    let input = b"ABCDEFGHIJKL / HTTP/1.1\r\n";
    let limits = HeadLimits {
        request_line_bytes: 8,
        ..LIMITS
    };
    for piece in [1, 7, input.len()] {
        let mut parser = HeadParser::default();
        let arrived = (piece..input.len()).step_by(piece).chain([input.len()]);
        let error = arrived
            .map(|end| parser.advance(&input[..end], &limits))
            .find_map(Result::err);
        assert_eq!(error, Some(RequestError::Method), "in pieces of {piece}");
    }
}

#[test]
fn case_01_empty_lines_before_the_request() {
    for lead in ["", "\r\n", "\r\n\r\n"] {
        assert!(line(&format!("{lead}GET / HTTP/1.1")).is_ok());
    }
    assert_eq!(
        line("\r\n\r\n\r\nGET / HTTP/1.1"),
        Err(RequestError::RequestLine)
    );
    assert_eq!(line("\nGET / HTTP/1.1"), Err(RequestError::LineEnding));
}

#[test]
fn case_02_request_line_spacing() {
    for (bad, error) in [
        (" GET / HTTP/1.1", RequestError::Method),
        ("\u{1}GET / HTTP/1.1", RequestError::Method),
        ("GET  / HTTP/1.1", RequestError::RequestLine),
        ("GET /  HTTP/1.1", RequestError::Version),
        ("GET\t/ HTTP/1.1", RequestError::RequestLine),
        ("GET /\tHTTP/1.1", RequestError::RequestLine),
        ("GET / HTTP/1.1 ", RequestError::Version),
        ("GET /a b HTTP/1.1", RequestError::Version),
        ("GET /", RequestError::RequestLine),
        ("GET", RequestError::RequestLine),
        ("/ HTTP/1.1", RequestError::Method),
    ] {
        assert_eq!(line(bad), Err(error), "{bad:?}");
    }
}

#[test]
fn case_03_version() {
    for bad in [
        "HTTP/0.9",
        "HTTP/1",
        "HTTP/01.01",
        "HTTP/1.10",
        "http/1.1",
        "HTTP/1.a",
        "HTTP/.1",
        "",
        "HTTP/1,1",
    ] {
        assert_eq!(
            line(&format!("GET / {bad}")),
            Err(RequestError::Version),
            "{bad}"
        );
    }
    assert_eq!(line("GET / HTTP/ 1.1"), Err(RequestError::Version));
    for later in ["2.0", "9.9", "3.0"] {
        assert_eq!(
            line(&format!("GET / HTTP/{later}")),
            Err(RequestError::VersionUnsupported)
        );
    }
    assert_eq!(
        line("PRI * HTTP/2.0"),
        Err(RequestError::VersionUnsupported)
    );
    assert_eq!(
        line("GET / HTTP/1.2").map(|head| head.version),
        Ok(Version::Http11)
    );
    assert_eq!(
        line("GET / HTTP/1.0").map(|head| head.version),
        Ok(Version::Http10)
    );
}

#[test]
fn case_04_method() {
    for bad in ["G{T", "GET,", "G\u{e4}T", &"A".repeat(33)] {
        assert_eq!(
            line(&format!("{bad} / HTTP/1.1")),
            Err(RequestError::Method),
            "{bad}"
        );
    }
    let mut accepting = HeadParser::accepting(&[Method::new("PROPFIND"), Method::new("Purge")]);
    for unknown in [
        "get",
        "FOOBAR",
        "Post",
        &"A".repeat(32),
        "PROPFIND",
        "Purge",
    ] {
        let request_line = format!("{unknown} / HTTP/1.1");
        assert_eq!(line(&request_line), Err(RequestError::MethodUnknown));
        // A parser that accepts some of them still refuses the others.
        let bytes = format!("{request_line}\r\nHost: h\r\n\r\n");
        let outcome = accepting.advance(bytes.as_bytes(), &LIMITS);
        let (head, _) = accepting.take_head();
        match unknown {
            "PROPFIND" | "Purge" => {
                assert_eq!(outcome, Ok(Some(bytes.len())));
                assert_eq!(head.method.as_str(), unknown);
            }
            _ => assert_eq!(outcome, Err(RequestError::MethodUnknown)),
        }
    }
    for method in Method::ALL
        .into_iter()
        .filter(|&method| method != Method::Connect)
    {
        assert_eq!(
            line(&format!("{method} / HTTP/1.1")).map(|head| head.method),
            Ok(method)
        );
    }
}

#[test]
fn case_05_and_07_targets_reach_the_head() {
    assert_eq!(line("GET foo HTTP/1.1"), Err(RequestError::Target));
    assert_eq!(line("GET * HTTP/1.1"), Err(RequestError::Target));
    assert_eq!(line("CONNECT h HTTP/1.1"), Err(RequestError::Target));
    assert_eq!(line("CONNECT h:443 HTTP/1.1"), Err(RequestError::Connect));
    assert_eq!(
        line("OPTIONS * HTTP/1.1").map(|head| head.form),
        Ok(Form::Asterisk)
    );
    let input = b"GET http://other:81/p?q HTTP/1.1\r\nHost: h\r\n\r\n";
    let (head, _) = parse(input).unwrap();
    assert_eq!(&input[head.authority], b"other:81");
    assert_eq!(&input[head.path], b"/p");
    assert_eq!(&input[head.query.unwrap()], b"q");
}

#[test]
fn case_06_length_of_the_request_line() {
    let target = |len: usize| format!("GET /{} HTTP/1.1", "a".repeat(len - 1));
    assert!(line(&target(8000)).is_ok());
    assert!(line(&target(8192 - 13)).is_ok());
    assert_eq!(line(&target(8192 - 12)), Err(RequestError::TargetTooLong));
    let mut endless = b"GET /".to_vec();
    endless.resize(8194, b'a');
    let too_long = Err(RequestError::TargetTooLong);
    assert_eq!(parse_in_pieces(&endless, 1), too_long);
    // A request line whose method is already too long has no target.
    let method = vec![b'a'; 8194];
    assert_eq!(parse_in_pieces(&method, 1), Err(RequestError::Method));
    assert_eq!(
        line(&format!("{} / HTTP/1.1", "A".repeat(9000))),
        Err(RequestError::Method)
    );
}

#[test]
fn case_08_field_syntax() {
    for (bad, error) in [
        (&b"A: b\n"[..], RequestError::LineEnding),
        (b"A: b\rc\r\n", RequestError::FieldValue),
        (b"A: b\r\r\n", RequestError::FieldValue),
        (b"A: b\r\n c\r\n", RequestError::ObsFold),
        (b"A: b\r\n\tc\r\n", RequestError::ObsFold),
        (b"A : b\r\n", RequestError::FieldName),
        (b"A\t: b\r\n", RequestError::FieldName),
        (b": b\r\n", RequestError::FieldName),
        (b"A\r\n", RequestError::FieldName),
        (b"A(: b\r\n", RequestError::FieldName),
        (b"\xc4: b\r\n", RequestError::FieldName),
        (b"A: \0\r\n", RequestError::FieldValue),
        (b"A: \x01\r\n", RequestError::FieldValue),
        (b"A: \x0b\r\n", RequestError::FieldValue),
        (b"A: \x7f\r\n", RequestError::FieldValue),
    ] {
        assert_eq!(
            fields(bad),
            Err(error),
            "{:?}",
            String::from_utf8_lossy(bad)
        );
    }
    let first = b"GET / HTTP/1.1\r\n Host: h\r\n\r\n";
    assert_eq!(parse(first), Err(RequestError::ObsFold));
}

#[test]
fn case_09_field_values_are_kept() {
    let input = b"GET / HTTP/1.1\r\nHost: h\r\nA: caf\xe9\r\nB:\r\nC: \t \r\nD:\t x\xa0 \t\r\nA_B: _\r\n\r\n";
    let (_, lines) = parse(input).unwrap();
    let values: Vec<_> = lines[1..]
        .iter()
        .map(|line| &input[line.value.clone()])
        .collect();
    assert_eq!(values, [&b"caf\xe9"[..], b"", b"", b"x\xa0", b"_"]);
    assert_eq!(&input[lines[5].name.clone()], b"A_B");
}

#[test]
fn case_10_number_and_size_of_fields() {
    let many = |count: usize| "A: b\r\n".repeat(count).into_bytes();
    assert!(fields(&many(99)).is_ok());
    assert_eq!(fields(&many(100)), Err(RequestError::FieldsTooMany));
    // "Host: h\r\n" and "A: \r\n" take 14 bytes of the section.
    let long = |len: usize| format!("A: {}\r\n", "x".repeat(len)).into_bytes();
    assert!(fields(&long(32 * 1024 - 14)).is_ok());
    assert_eq!(
        fields(&long(32 * 1024 - 13)),
        Err(RequestError::FieldsTooLarge)
    );
    let mut endless = b"GET / HTTP/1.1\r\nA: ".to_vec();
    endless.resize(endless.len() + 33 * 1024, b'x');
    assert_eq!(
        parse_in_pieces(&endless, 1),
        Err(RequestError::FieldsTooLarge)
    );
}

#[test]
fn case_11_host() {
    let get = |section: &str, version: &str| {
        parse(format!("GET / HTTP/{version}\r\n{section}\r\n").as_bytes()).map(|_| ())
    };
    assert_eq!(get("", "1.1"), Err(RequestError::HostMissing));
    assert_eq!(get("", "1.0"), Ok(()));
    assert_eq!(
        get("Host: a\r\nhost: a\r\n", "1.1"),
        Err(RequestError::HostRepeated)
    );
    for bad in ["", "u@h", "h/p", "a,b", "h:x", "h:65536"] {
        for version in ["1.0", "1.1"] {
            assert_eq!(
                get(&format!("Host: {bad}\r\n"), version),
                Err(RequestError::Host),
                "{bad}"
            );
        }
    }
}

#[test]
fn case_12_content_type_twice() {
    assert!(fields(b"Content-Type: a/b\r\ncontent-type: a/b\r\n").is_ok());
    assert_eq!(
        fields(b"Content-Type: a/b\r\nContent-Type: a/c\r\n"),
        Err(RequestError::ContentTypeConflict)
    );
}

#[test]
fn case_13_content_length() {
    for bad in [
        "+5",
        "-1",
        "-0",
        "0x5",
        "1_0",
        "1 0",
        "5Z",
        "",
        "18446744073709551616",
        "005",
        "00",
        "5, 5",
        "5,",
        "\u{665}",
    ] {
        let got = fields(format!("Content-Length: {bad}\r\n").as_bytes());
        assert_eq!(got, Err(RequestError::ContentLength), "{bad:?}");
    }
    let twice = b"Content-Length: 5\r\nContent-Length: 5\r\n";
    assert_eq!(fields(twice), Err(RequestError::ContentLength));
    for (good, framing) in [
        ("0", Framing::None),
        ("5", Framing::Length(5)),
        ("18446744073709551615", Framing::Length(u64::MAX)),
    ] {
        let got = fields(format!("Content-Length: {good}\r\n").as_bytes());
        assert_eq!(got.map(|head| head.framing), Ok(framing));
    }
}

#[test]
fn case_14_length_and_coding() {
    let both = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(fields(both), Err(RequestError::LengthAndCoding));
    let zero = b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n";
    assert_eq!(fields(zero), Err(RequestError::LengthAndCoding));
    let twice = b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(fields(twice), Err(RequestError::TransferEncoding));
    for coding in ["chunked", "gzip, chunked"] {
        let old = format!("POST / HTTP/1.0\r\nTransfer-Encoding: {coding}\r\n\r\n");
        let got = parse(old.as_bytes()).map(|_| ());
        assert_eq!(got, Err(RequestError::TransferEncoding));
        let both = format!("Transfer-Encoding: {coding}\r\nContent-Length: 5\r\n");
        assert_eq!(fields(both.as_bytes()), Err(RequestError::LengthAndCoding));
    }
}

#[test]
fn case_15_transfer_codings() {
    for chunked in ["chunked", "Chunked", "CHUNKED"] {
        let got = fields(format!("Transfer-Encoding: {chunked}\r\n").as_bytes());
        assert_eq!(got.map(|head| head.framing), Ok(Framing::Chunked));
    }
    for unknown in ["gzip, chunked", "gzip,deflate , chunked", "br,Chunked"] {
        let got = fields(format!("Transfer-Encoding: {unknown}\r\n").as_bytes());
        assert_eq!(got, Err(RequestError::TransferCodingUnknown), "{unknown}");
    }
    for bad in [
        "gzip",
        "identity",
        "xchunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked;p",
        ",chunked",
        "",
        "chunked,",
        "identity, chunked",
        "\"chunked\"",
        "chunked\u{a0}",
        "g z, chunked",
    ] {
        let got = fields(format!("Transfer-Encoding: {bad}\r\n").as_bytes());
        assert_eq!(got, Err(RequestError::TransferEncoding), "{bad:?}");
    }
}

#[test]
fn case_21_persistence() {
    let keeps = |version: &str, connection: &str| {
        let input = format!("GET / HTTP/{version}\r\nHost: h\r\n{connection}\r\n");
        parse(input.as_bytes()).unwrap().0.keep_alive
    };
    assert!(keeps("1.1", ""));
    assert!(!keeps("1.0", ""));
    assert!(keeps("1.0", "Connection: Keep-Alive\r\n"));
    assert!(keeps(
        "1.0",
        "Connection: foo\r\nConnection: bar ,keep-alive\r\n"
    ));
    assert!(!keeps("1.1", "Connection: foo, CLOSE\r\n"));
    assert!(!keeps(
        "1.1",
        "Connection: keep-alive\r\nConnection: close\r\n"
    ));
    assert!(keeps("1.1", "Connection: \"close\"\r\n"));
}

#[test]
fn case_26_expectations() {
    let expects = |section: &str| fields(section.as_bytes()).map(|head| head.expects_continue);
    assert_eq!(
        expects("Expect: 100-Continue\r\nContent-Length: 3\r\n"),
        Ok(true)
    );
    assert_eq!(expects("Expect: 100-continue\r\n"), Ok(false));
    assert_eq!(
        expects("Expect: a-miracle\r\n"),
        Err(RequestError::Expectation)
    );
    for (section, expected) in [
        ("Expect:\r\n", Ok(false)),
        ("Expect: ,\t,\r\n", Ok(false)),
        ("Expect: 100-continue,\r\n", Ok(true)),
        ("Expect: , 100-continue ,\t100-Continue\r\n", Ok(true)),
        ("Expect:\r\nExpect: 100-continue\r\n", Ok(true)),
        ("Expect: 100-continue\r\nExpect:\r\n", Ok(true)),
        ("Expect: ,x\r\n", Err(RequestError::Expectation)),
        (
            "Expect: 100-continue\r\nExpect: x\r\n",
            Err(RequestError::Expectation),
        ),
        (
            "Expect: 100-continue 100-continue\r\n",
            Err(RequestError::Expectation),
        ),
    ] {
        let section = format!("{section}Content-Length: 3\r\n");
        assert_eq!(expects(&section), expected, "{section}");
    }
    let old = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    assert!(!parse(old).unwrap().0.expects_continue);
}

#[test]
fn another_protocol_is_known_by_its_first_byte() {
    assert_eq!(
        parse_in_pieces(b"\x16\x03\x01", 1),
        Err(RequestError::Method)
    );
    assert_eq!(parse_in_pieces(b"\r", 1), Ok(None));
}
