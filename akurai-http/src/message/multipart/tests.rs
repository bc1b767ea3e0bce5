use super::*;
use crate::Method;

/// Gives at most `step` bytes at a time.
struct Steps<'a> {
    rest: &'a [u8],
    step: usize,
}

impl Read for Steps<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = buf.len().min(self.step);
        self.rest.read(&mut buf[..count])
    }
}

/// A part as the tests compare it: name, file name, content.
type Plain = (String, Option<String>, Vec<u8>);

/// All parts of `body`, whose boundary is `b`.
fn parts(body: &[u8], step: usize) -> Result<Vec<Plain>, Option<FormError>> {
    let read_all = || -> io::Result<Vec<Plain>> {
        let mut multipart = Multipart::new(Steps { rest: body, step }, b"b")?;
        let mut all = Vec::new();
        while let Some(mut part) = multipart.next_part()? {
            let (name, file_name) = (part.name().to_owned(), part.file_name().map(str::to_owned));
            all.push((name, file_name, part.content(usize::MAX)?));
        }
        Ok(all)
    };
    read_all().map_err(|error| FormError::within(&error))
}

/// Reads `body` whole and in pieces of every size up to one that holds a delimiter.
#[track_caller]
fn check(body: &[u8], expected: Result<&[(&str, &str)], FormError>) {
    for step in (1..12).chain([usize::MAX]) {
        let got = parts(body, step).map(|all| {
            let plain = |(name, _, content)| (name, String::from_utf8(content).expect("text"));
            all.into_iter().map(plain).collect::<Vec<_>>()
        });
        let expected = expected.map_err(Some).map(|all| {
            let owned = |&(name, content): &(&str, &str)| (name.to_owned(), content.to_owned());
            all.iter().map(owned).collect::<Vec<_>>()
        });
        let text = String::from_utf8_lossy(body);
        assert_eq!(got, expected, "{text}, {step} bytes at a time");
    }
}

fn part(name: &str, content: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n{content}\r\n")
}

#[test]
fn rfc2046_5_1_1_parts() {
    let (x, y) = (part("x", "1"), part("y", "2\r\n3"));
    let both: &[(&str, &str)] = &[("x", "1"), ("y", "2\r\n3")];
    check(b"--b--", Ok(&[]));
    check(b"\r\n--b--\r\n", Ok(&[]));
    check(format!("{x}--b--").as_bytes(), Ok(&[("x", "1")]));
    check(format!("{x}{y}--b--\r\n").as_bytes(), Ok(both));
    check(format!("\r\n{x}{y}--b--\r\n").as_bytes(), Ok(both));
    check(
        format!("preamble - -b\r\n{x}{y}--b-- \r\nepilogue\r\n--b").as_bytes(),
        Ok(both),
    );
    let padded = format!("{x}{y}--b--").replace("--b\r\n", "--b \t\r\n");
    check(padded.as_bytes(), Ok(both));
}

#[test]
fn the_first_boundary_begins_a_line_or_the_form_is_refused() {
    let (x, y) = (part("x", "1"), part("y", "2"));
    let body = format!("{x}{y}--b--\r\n");
    // As Go, PHP and Werkzeug read it.
    for preamble in [
        "",
        "\r\n",
        "\n",
        "\n\n",
        "preamble\n",
        "preamble\r\n",
        "\r\r\n",
        "-\n",
        "--\n",
    ] {
        let body = format!("{preamble}{body}");
        check(body.as_bytes(), Ok(&[("x", "1"), ("y", "2")]));
    }
    // Go and PHP lose the first part here, and Werkzeug reads it.
    for preamble in [
        " ",
        "\u{feff}",
        "\r",
        "\t",
        "preamble",
        "preamble ",
        "-",
        "--",
        "\r\n ",
        "--b",
        "a--b\r\n",
    ] {
        let expected = match preamble {
            "--b" => FormError::Delimiter,
            _ => FormError::Preamble,
        };
        check(format!("{preamble}{body}").as_bytes(), Err(expected));
    }
    check(b" --b--", Err(FormError::Preamble));
    check(b"\n--b--", Ok(&[]));
}

#[test]
fn a_preamble_of_any_size_is_passed_over() {
    let part = part("x", "1");
    for len in (BUFFER_BYTES - 80..BUFFER_BYTES + 80).chain([5 * BUFFER_BYTES]) {
        for filler in ["-", "\n", "x", "\n--"] {
            let preamble = filler.repeat(len.div_ceil(filler.len()));
            let body = format!("{preamble}\n{part}--b--");
            let expected = vec![("x".to_owned(), None, b"1".to_vec())];
            assert_eq!(
                parts(body.as_bytes(), usize::MAX),
                Ok(expected),
                "{len} of {filler:?}"
            );
        }
    }
}

#[test]
fn rfc2046_5_1_1_content_that_looks_like_a_boundary() {
    for content in [
        "",
        "\r\n",
        "\r",
        "\n",
        "\r\n\r\n",
        "-",
        "--",
        "--b",
        " --b--",
        "\r\n-",
        "\r\n--",
        "\r\n--a",
        "\r\n--B",
        "\n--b--",
        "\r--b--",
        "\r\r\n",
        "x--b--\r\n",
        "\r\n--\r\n--",
    ] {
        // Content at its very beginning stands behind a line's end: that of its head.
        let content = format!("x{content}");
        let body = format!("{}{}--b--", part("x", &content), part("y", "z"));
        check(body.as_bytes(), Ok(&[("x", &content), ("y", "z")]));
    }
}

#[test]
fn rfc2046_5_1_1_empty_content_needs_no_line_end_of_its_own() {
    let y = part("y", "1");
    let head = "--b\r\nContent-Disposition: form-data; name=x\r\n\r\n";
    for end in ["", "\r\n"] {
        let body = format!("{head}{end}{y}{head}{end}--b--");
        check(body.as_bytes(), Ok(&[("x", ""), ("y", "1"), ("x", "")]));
    }
    check(
        format!("{head}\r\n\r\n--b--").as_bytes(),
        Ok(&[("x", "\r\n")]),
    );
}

#[test]
fn a_form_that_was_cut_off_is_never_a_whole_one() {
    let body = format!("{}{}--b--", part("x", "1\r\n2"), part("y", ""));
    for cut in 0..body.len() {
        check(&body.as_bytes()[..cut], Err(FormError::Truncated));
    }
    check(body.as_bytes(), Ok(&[("x", "1\r\n2"), ("y", "")]));
}

#[test]
fn malformed_bodies_are_refused() {
    let x = part("x", "1");
    for (body, error) in [
        (format!("{x}--bb\r\n--b--"), FormError::Delimiter),
        (format!("{x}--b--x"), FormError::Delimiter),
        (x.replace("--b\r\n", "--b\n"), FormError::Delimiter),
        (x.replace("\r\n", "\n"), FormError::Delimiter),
        ("--b\r\n--b--\r\n".to_owned(), FormError::PartHead),
        (
            format!("--b\r\nA: b\n\r\n1\r\n{x}--b--"),
            FormError::PartHead,
        ),
        (
            format!("--b\r\n A: b\r\n\r\n1\r\n{x}--b--"),
            FormError::PartHead,
        ),
        (format!("--b\r\n\r\n1\r\n{x}--b--"), FormError::Disposition),
        (
            format!("--b\r\nA: b\r\n\r\n1\r\n{x}--b--"),
            FormError::Disposition,
        ),
        (x.replace("form-data", "attachment"), FormError::Disposition),
        (
            x.replace("form-data", "form-data; name=y"),
            FormError::Disposition,
        ),
        (
            x.replace(
                "\r\n\r\n",
                "\r\nContent-Disposition: form-data; name=y\r\n\r\n",
            ),
            FormError::Disposition,
        ),
    ] {
        check(body.as_bytes(), Err(error));
    }
}

#[test]
fn a_folded_line_is_one_with_the_line_before() {
    let x = part("x", "1");
    for (from, to, name) in [
        ("; name=x", ";\r\n name=x", "x"),
        ("; name=x", "\r\n\t;name=x", "x"),
        (" form-data", "\r\n form-data", "x"),
        ("name=x", "name=\"x\r\n z\"", "x z"),
        ("name=x", "name=x\r\n \r\nA: b\r\n c", "x"),
    ] {
        let body = format!("{}{}--b--", x.replace(from, to), part("y", "2"));
        check(body.as_bytes(), Ok(&[(name, "1"), ("y", "2")]));
    }
}

#[test]
fn an_error_comes_again() {
    let refused = |body: &str| {
        let mut multipart = Multipart::new(body.as_bytes(), b"b").unwrap();
        [(); 3].map(|()| FormError::within(&multipart.next_part().expect_err(body)))
    };
    for (body, error) in [
        ("--b\r\nA b\r\n\r\n1\r\n--b--", FormError::PartHead),
        ("--b\r\nA: b\r\n\r\n1\r\n--b--", FormError::Disposition),
        ("--bx", FormError::Delimiter),
        (" --b\r\n", FormError::Preamble),
        ("preamble --b\r\n", FormError::Preamble),
        (
            "--b\r\nA: b\r\n c\r\n\r\n1\r\n--b--",
            FormError::Disposition,
        ),
        ("--b\r\n", FormError::Truncated),
    ] {
        assert_eq!(refused(body), [Some(error); 3], "{body}");
    }
}

#[test]
fn heads_and_parts_are_bounded() {
    let with_head = |bytes: usize| {
        let lead = "--b\r\nContent-Disposition: form-data; name=x\r\nA: ";
        format!(
            "{lead}{}\r\n\r\n1\r\n--b--",
            "y".repeat(bytes + 5 - lead.len() - 4)
        )
    };
    check(with_head(8192).as_bytes(), Ok(&[("x", "1")]));
    check(with_head(8193).as_bytes(), Err(FormError::PartHeadTooLarge));

    let many = |count| format!("{}--b--", part("x", "").repeat(count));
    assert_eq!(
        parts(many(1_000).as_bytes(), 999).map(|all| all.len()),
        Ok(1_000)
    );
    let error = Err(Some(FormError::TooManyParts));
    assert_eq!(parts(many(1_001).as_bytes(), 999), error);
}

#[test]
fn a_part_is_read_up_to_a_limit() {
    let body = format!("{}{}--b--", part("x", "12345"), part("y", "6"));
    let mut multipart = Multipart::new(
        Steps {
            rest: body.as_bytes(),
            step: 2,
        },
        b"b",
    )
    .unwrap();
    let mut x = multipart.next_part().unwrap().expect("x");
    let error = x.content(4).expect_err("5 bytes");
    assert_eq!(FormError::within(&error), Some(FormError::PartTooLarge));
    let mut y = multipart
        .next_part()
        .unwrap()
        .expect("the rest of x is skipped");
    assert_eq!(y.text(1).unwrap(), "6");
    assert_eq!(y.text(0).unwrap(), "");
    assert!(multipart.next_part().unwrap().is_none());
    assert!(multipart.next_part().unwrap().is_none());
}

#[test]
fn random_content_comes_back_as_it_was() {
    let seed = 0x5eed_u64;
    let mut state = seed;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    for round in 0..200 {
        // Letters of which a delimiter is made, so that delimiters seem to begin everywhere.
        let len = random(if round % 20 == 0 { 60_000 } else { 60 });
        let letters: String = (0..len)
            .map(|_| ["\r", "\n", "\r\n--", "-", "x"][random(5)])
            .collect();
        let body = format!("{}--b--\r\n", part("x", &letters));
        let expected = vec![("x".to_owned(), None, letters.into_bytes())];
        let step = 1 + random(5_000);
        assert_eq!(
            parts(body.as_bytes(), step),
            Ok(expected),
            "seed {seed:#x}, round {round}"
        );
    }
}

#[test]
fn any_size_passes_through_one_buffer() {
    const FILE_BYTES: u64 = 4 << 20;
    let head = "--b\r\nContent-Disposition: form-data; name=x; filename=y\r\n\r\n";
    let body = head
        .as_bytes()
        .chain(io::repeat(b'\r').take(FILE_BYTES))
        .chain(&b"\r\n--b--"[..]);
    let mut multipart = Multipart::new(body, b"b").unwrap();
    let mut part = multipart.next_part().unwrap().expect("a part");
    assert_eq!(io::copy(&mut part, &mut io::sink()).unwrap(), FILE_BYTES);
    assert!(multipart.next_part().unwrap().is_none());
    assert_eq!(multipart.buffer.len(), BUFFER_BYTES);
}

#[test]
fn an_error_of_the_reader_passes_through() {
    struct Cut;
    impl Read for Cut {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(crate::RequestError::BodyTruncated.into())
        }
    }
    let body = part("x", "1");
    let mut multipart = Multipart::new(body.as_bytes().chain(Cut), b"b").unwrap();
    let mut x = multipart.next_part().unwrap().expect("a part");
    let mut content = Vec::new();
    let error = x.read_to_end(&mut content).expect_err("the reader fails");
    let refusal = crate::values::error::refusal(&error);
    assert_eq!(refusal, Some(crate::RequestError::BodyTruncated));
}

#[test]
fn the_content_type_tells_the_boundary() {
    let posted = |content_type: &str| {
        let request = Request::new(Method::Post, "/")
            .with_header("Content-Type", content_type)
            .with_body("--a b\r\nContent-Disposition: form-data; name=x\r\nContent-Type: t/p\r\n\r\n1\r\n--a b--");
        let mut multipart = request.multipart().map_err(|e| FormError::within(&e))?;
        let mut part = multipart.next_part().unwrap().expect("a part");
        assert_eq!(part.content_type(), Some("t/p"));
        assert_eq!(part.headers().iter().count(), 2);
        Ok(part.text(1).unwrap())
    };
    for content_type in [
        "multipart/form-data; boundary=\"a b\"",
        "Multipart/Form-Data;charset=utf-8;Boundary=\"a b\"",
    ] {
        assert_eq!(posted(content_type), Ok("1".to_owned()), "{content_type}");
    }
    let starred = Request::new(Method::Post, "/")
        .with_header("Content-Type", "multipart/form-data; boundary=*****")
        .with_body(format!("{}--b--", part("x", "1")).replace("--b", "--*****"));
    let mut starred = starred.multipart().expect("a boundary");
    assert_eq!(starred.next_part().unwrap().expect("a part").name(), "x");
    for (content_type, error) in [
        ("multipart/form-data", FormError::Boundary),
        ("multipart/form-data; boundary=", FormError::Boundary),
        ("multipart/form-data; boundary=\"\"", FormError::Boundary),
        ("multipart/form-data; boundary=a b", FormError::Boundary),
        ("multipart/form-data; boundary=\"a b", FormError::Boundary),
        (
            "multipart/form-data; boundary=\"a b \"",
            FormError::Boundary,
        ),
        (
            "multipart/form-data; boundary=a; boundary=b",
            FormError::Boundary,
        ),
        ("multipart/mixed; boundary=\"a b\"", FormError::MediaType),
        ("application/x-www-form-urlencoded", FormError::MediaType),
    ] {
        assert_eq!(posted(content_type), Err(Some(error)), "{content_type}");
    }
}
