//! The head of a request.

use super::{cuts, field_line, trim};
use crate::codec::body::Framing;
use crate::codec::head::{Head, HeadLimits, HeadParser};
use crate::codec::target::Form;
use crate::values::field::FieldLine;
use crate::{Limits, Method, RequestError, Version};

type Outcome = Result<Option<(usize, Head, Vec<FieldLine>)>, RequestError>;

/// Five bytes choose the test's conditions. The rest is what the connection received.
pub fn head(data: &[u8]) {
    let Some((&[size, a, b, c, d], input)) = data.split_first_chunk() else {
        return;
    };
    let limits = match usize::from(size) {
        0 => Limits::default().head(),
        size => HeadLimits {
            request_line_bytes: size,
            header_section_bytes: 2 * size,
            header_fields: size % 16,
        },
    };
    let [whole, single, own] = cuts([a, b, c, d], input.len());
    let mut parser = HeadParser::default();
    let outcome = parse(&mut parser, input, &whole, &limits);
    for ends in [single, own] {
        let in_pieces = parse(&mut HeadParser::default(), input, &ends, &limits);
        assert_eq!(in_pieces, outcome, "in pieces to {ends:?}");
    }
    let Ok(Some((len, head, lines))) = outcome else {
        return;
    };
    let bytes = &input[..len];
    let mut other_trailing = bytes.to_vec();
    other_trailing.extend_from_slice(b"\0\r\n\xff");
    let again = Ok(Some((len, head.clone(), lines.clone())));
    // Reuses the parser that has already read a head.
    assert_eq!(parse(&mut parser, bytes, &[len], &limits), again, "alone");
    assert_eq!(
        parse(&mut parser, &other_trailing, &[len + 4], &limits),
        again,
        "with bytes behind"
    );
    let request = Request::new(bytes, &head, &lines);
    request.check_lines(bytes, &limits);
    request.check_target();
    request.check_meaning(&head);
    request.check_rewritten(&head);
}

fn parse(parser: &mut HeadParser, input: &[u8], ends: &[usize], limits: &HeadLimits) -> Outcome {
    for &end in ends {
        if let Some(len) = parser.advance(&input[..end], limits)? {
            let (head, lines) = parser.take_head();
            return Ok(Some((len, head, lines.clone())));
        }
    }
    Ok(None)
}

/// The content of a head, as text.
#[derive(Debug, PartialEq)]
struct Request<'h> {
    method: Method,
    version: Version,
    target: Vec<u8>,
    form: Form,
    path: &'h [u8],
    query: Option<&'h [u8]>,
    authority: &'h [u8],
    fields: Vec<(&'h [u8], &'h [u8])>,
}

impl<'h> Request<'h> {
    fn new(bytes: &'h [u8], head: &Head, lines: &[FieldLine]) -> Self {
        let mut words = bytes.split(|byte| b" \r\n".contains(byte));
        let target = words.by_ref().filter(|word| !word.is_empty()).nth(1);
        let field = |line: &FieldLine| (&bytes[line.name.clone()], &bytes[line.value.clone()]);
        Request {
            method: head.method,
            version: head.version,
            target: target.expect("a request line has three words").to_vec(),
            form: head.form,
            path: &bytes[head.path.clone()],
            query: head.query.clone().map(|query| &bytes[query]),
            authority: &bytes[head.authority.clone()],
            fields: lines.iter().map(field).collect(),
        }
    }

    // Every byte of the head must belong to a line, and the lines must give the parsed content.
    fn check_lines(&self, bytes: &[u8], limits: &HeadLimits) {
        let mut rest = bytes;
        for _ in 0..2 {
            rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
        }
        let rest = rest.strip_suffix(b"\r\n\r\n").expect("an empty line");
        let mut lines = rest
            .split(|&byte| byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let ended = rest.split(|&byte| byte == b'\n').rev().skip(1);
        assert!({ ended }.all(|line| line.ends_with(b"\r")), "a bare LF");

        let request_line = lines.next().expect("a split gives one");
        let version: &[u8] = match self.version {
            Version::Http10 => b"HTTP/1.0",
            Version::Http11 => b"HTTP/1.1",
        };
        let mut written = [self.method.as_str().as_bytes(), &self.target, version].join(&b' ');
        if self.version == Version::Http11 {
            // A later minor version is treated as 1.1.
            *written.last_mut().expect("a version") = *request_line.last().expect("a version");
        }
        assert_eq!(written, request_line);
        assert!(matches!(written.last(), Some(b'0'..=b'9')));
        assert!(request_line.len() <= limits.request_line_bytes);

        let fields: Vec<_> = lines
            .map(|line| field_line(line).expect("a field line"))
            .collect();
        assert_eq!(fields, self.fields);
        assert!(fields.len() <= limits.header_fields);
        let section = rest.len() - request_line.len();
        assert!(
            section <= limits.header_section_bytes,
            "{section} with its line ends"
        );
    }

    fn check_target(&self) {
        let mut written = self.path.to_vec();
        if let Some(query) = self.query {
            written.push(b'?');
            written.extend_from_slice(query);
        }
        assert!(!self.path.contains(&b'?'));
        match self.form {
            Form::Asterisk => assert_eq!((&self.target[..], &written[..]), (&b"*"[..], &b""[..])),
            Form::Origin => assert!(self.target == written && written.starts_with(b"/")),
            Form::Absolute => {
                let scheme = if self.target[4] == b':' { 7 } else { 8 };
                let start = self.target[..scheme].to_ascii_lowercase();
                assert!(start == b"http://" || start == b"https://");
                let after = [self.authority, &written].concat();
                assert_eq!(self.target[scheme..], after);
                assert!(matches!(self.path, [] | [b'/', ..]));
            }
        }
        let is_visible = |byte: &u8| byte.is_ascii_graphic() && !b"#\"<>".contains(byte);
        assert!(self.target.iter().all(is_visible) && !self.path.contains(&b'\\'));
        assert!(!self.authority.iter().any(|byte| b"@/?,".contains(byte)));
    }

    fn values(&self, name: &str) -> Vec<&'h [u8]> {
        let named = self
            .fields
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| *value).collect()
    }

    fn check_meaning(&self, head: &Head) {
        let is_1_1 = self.version == Version::Http11;
        match self.values("host")[..] {
            [] => assert!(!is_1_1),
            [host] => {
                assert!(!host.is_empty() && (host == self.authority || self.form == Form::Absolute))
            }
            _ => panic!("two hosts"),
        }
        let framing = match (
            &self.values("content-length")[..],
            &self.values("transfer-encoding")[..],
        ) {
            ([], []) => Framing::None,
            ([length], []) => {
                let length = String::from_utf8_lossy(length);
                let number: u64 = length.parse().expect("a number");
                assert_eq!(number.to_string(), length, "in one form only");
                if number == 0 {
                    Framing::None
                } else {
                    Framing::Length(number)
                }
            }
            ([], [coding]) => {
                assert!(coding.eq_ignore_ascii_case(b"chunked") && is_1_1);
                Framing::Chunked
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(head.framing, framing);
        let connection = self
            .values("connection")
            .join(&b","[..])
            .to_ascii_lowercase();
        let options: Vec<_> = connection.split(|&byte| byte == b',').map(trim).collect();
        let keep_alive =
            !options.contains(&&b"close"[..]) && (is_1_1 || options.contains(&&b"keep-alive"[..]));
        assert_eq!(head.keep_alive, keep_alive);
        let expectations = self.values("expect").join(&b","[..]);
        let mut expectations = expectations.split(|&byte| byte == b',').map(trim);
        let is_asked = expectations.any(|element| !element.is_empty());
        let expects = is_asked && is_1_1 && framing != Framing::None;
        assert_eq!(head.expects_continue, expects);
    }

    // The head, written again from its parsed content, must parse to the same: the parser added
    // nothing.
    fn check_rewritten(&self, head: &Head) {
        let mut bytes = self.method.as_str().as_bytes().to_vec();
        bytes.push(b' ');
        bytes.extend_from_slice(&self.target);
        bytes.extend_from_slice(
            format!(
                " {}\r\n",
                match self.version {
                    Version::Http10 => "HTTP/1.0",
                    Version::Http11 => "HTTP/1.1",
                }
            )
            .as_bytes(),
        );
        for (name, value) in &self.fields {
            bytes.extend([name, &b": "[..], value, b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        let limits = HeadLimits {
            header_section_bytes: usize::MAX,
            ..Limits::default().head()
        };
        let end = bytes.len();
        let outcome = parse(&mut HeadParser::default(), &bytes, &[end], &limits);
        let (len, again, lines) = outcome.expect("it was taken before").expect("it is whole");
        assert_eq!(len, end);
        assert_eq!(Request::new(&bytes, &again, &lines), *self);
        let meaning = |head: &Head| (head.framing, head.keep_alive, head.expects_continue);
        assert_eq!(meaning(&again), meaning(head));
    }
}
