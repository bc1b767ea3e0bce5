//! Requests that two parsers would cut at different places. Each of these once passed some pair of
//! a proxy and a server. Here the server must refuse it once, and the hidden request must not reach
//! the application.

use akurai_tests::{Random, shown};

use crate::feeds::{all_refused, all_served};
use crate::mirror::Mirror;

const HIDDEN: &str = "GET /admin HTTP/1.1\r\nHost: t\r\n\r\n";

/// A POST with these field lines and this body. One parser reads `body` as a body, another one as a
/// request.
fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: t\r\n{fields}\r\n{body}")
}

#[test]
fn length_against_coding() {
    let mirror = Mirror::start();
    let zero_chunk = format!("0\r\n\r\n{HIDDEN}");
    let in_chunk = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    all_refused(
        &mirror,
        400,
        [
            // One parser obeys the length, the other the coding; and the reverse.
            post(
                &format!(
                    "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
                    zero_chunk.len()
                ),
                &zero_chunk,
            ),
            post(
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                &in_chunk,
            ),
            post(
                "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
                &in_chunk,
            ),
            // Of two lengths, one parser takes the first, the other the last.
            post(
                &format!("Content-Length: 0\r\nContent-Length: {}\r\n", HIDDEN.len()),
                HIDDEN,
            ),
            post(
                &format!("Content-Length: {}\r\nContent-Length: 0\r\n", HIDDEN.len()),
                HIDDEN,
            ),
            post(&format!("Content-Length: 0, {}\r\n", HIDDEN.len()), HIDDEN),
            // A length on a request that, for some parsers, must not have a body.
            format!(
                "GET / HTTP/1.1\r\nHost: t\r\nContent-Length: +{}\r\n\r\n{HIDDEN}",
                HIDDEN.len()
            ),
        ],
    );
}

#[test]
fn a_coding_that_one_of_two_overlooks() {
    let mirror = Mirror::start();
    let body = format!("0\r\n\r\n{HIDDEN}");
    let length = format!("Content-Length: {}\r\n", body.len());
    all_refused(
        &mirror,
        400,
        [
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding\t: chunked\r\n",
            "Transfer-Encoding:\u{b}chunked\r\n",
            "Transfer-Encoding: \u{b}chunked\r\n",
            "Transfer-Encoding: chunked\u{c}\r\n",
            "Transfer-Encoding:\r\n chunked\r\n",
            "Transfer-Encoding: x\r\n chunked\r\n",
            "X: y\rTransfer-Encoding: chunked\r\n",
            "X: y\nTransfer-Encoding: chunked\r\n",
            "X: y\r\n Transfer-Encoding: chunked\r\n",
            "\u{b}Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
            "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: identity, chunked\r\n",
            "Transfer-Encoding: ,chunked\r\n",
            "Transfer-Encoding\0: chunked\r\n",
            "Transfer-Encoding\u{a0}: chunked\r\n",
            "Transfer-Encoding: chunk\u{e9}d\r\n",
        ]
        .iter()
        // With a length and without: in neither case may the server guess where the message ends.
        .flat_map(|coding| {
            [
                post(&format!("{length}{coding}"), &body),
                post(coding, &body),
            ]
        }),
    );
    // Other names are other fields, whatever they resemble: the length counts, for every parser.
    all_served(
        &mirror,
        [
            "Transfer_Encoding",
            "TransferEncoding",
            "X-Transfer-Encoding",
            "TE",
            "Transfer-Encoding-",
        ]
        .map(|name| post(&format!("{length}{name}: chunked\r\n"), &body)),
    );
}

#[test]
fn a_chunk_that_one_of_two_ends_elsewhere() {
    let mirror = Mirror::start();
    let size = HIDDEN.len();
    all_refused(
        &mirror,
        400,
        [
            // For some parsers an LF within an extension ends the line.
            format!("1;\n{size:x}\r\na\r\n{HIDDEN}\r\n0\r\n\r\n"),
            format!("1;a\nb\r\na\r\n0\r\n\r\n{HIDDEN}"),
            format!("1;a=\"\n\"\r\na\r\n0\r\n\r\n{HIDDEN}"),
            format!("1\n;a\r\na\r\n0\r\n\r\n{HIDDEN}"),
            // For some a bare CR does, too.
            format!("1;a\rb\r\na\r\n0\r\n\r\n{HIDDEN}"),
            // Two bytes after the data that some parsers skip unread.
            format!("1\r\naXX0\r\n\r\n{HIDDEN}"),
            format!("1\r\na\r\r0\r\n\r\n{HIDDEN}"),
            // A number that overflows 64 bits.
            format!("10000000000000001\r\na\r\n0\r\n\r\n{HIDDEN}"),
            // Text that is no number.
            format!("0x1\r\na\r\n0\r\n\r\n{HIDDEN}"),
            format!("1_\r\na\r\n0\r\n\r\n{HIDDEN}"),
            format!("\r\n1\r\na\r\n0\r\n\r\n{HIDDEN}"),
            // A trailer section in which another parser would begin the next request.
            format!("0\r\n\n{HIDDEN}"),
            format!("0\n\n{HIDDEN}"),
            format!("0\r\n\r\r\n{HIDDEN}"),
            format!("0\r\n{HIDDEN}"),
        ]
        .map(|body| post("Transfer-Encoding: chunked\r\n", &body)),
    );
}

#[test]
fn a_head_that_one_of_two_ends_elsewhere() {
    let mirror = Mirror::start();
    all_refused(
        &mirror,
        400,
        [
            format!("GET / HTTP/1.1\r\nHost: t\r\n\n{HIDDEN}"),
            format!("GET / HTTP/1.1\r\nHost: t\n\n{HIDDEN}"),
            format!("GET / HTTP/1.1\r\nHost: t\r\n\r{HIDDEN}"),
            format!("GET / HTTP/1.1\r\nHost: t\r\rX-A: {HIDDEN}"),
            format!("GET / HTTP/1.1\r\nHost: t\r\n\0\r\n\r\n{HIDDEN}"),
            format!("GET / HTTP/1.1\r\nHost: t\r\n \r\n{HIDDEN}"),
            format!("GET / HTTP/1.1\r\n\r\n{HIDDEN}"),
            format!("GET / HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n{HIDDEN}"),
            format!("GET / HTTP/1.1\r\nHost: t HTTP/1.1\r\n{HIDDEN}"),
            format!("GET / HTTP/1.1 HTTP/1.1\r\nHost: t\r\n\r\n{HIDDEN}"),
            format!("GET /\u{a0}HTTP/1.1\r\nHost: t\r\n\r\n{HIDDEN}"),
            format!("GET /\r\nHost: t\r\n\r\n{HIDDEN}"),
        ],
    );
}

#[test]
fn noise_gets_at_most_one_refusal() {
    let mirror = Mirror::start();
    let mut random = Random::announced();
    let seed = b"POST /a HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-T: a\r\n\r\n";
    for _ in 0..300 {
        // A valid request with up to three bytes changed, removed or inserted.
        let mut request = seed.to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(request.len());
            match random.below(3) {
                0 => request[at] = random.next_u64() as u8,
                1 => drop(request.remove(at)),
                _ => request.insert(at, random.next_u64() as u8),
            }
        }
        let mut client = mirror.connect();
        client.send_slowly(random.pieces(&request, 40));
        client.finish();
        // Whatever the server answers: a strict client can read each response to its end, no
        // response follows one that closes, and none reports a fault of the server.
        let mut closed = false;
        loop {
            match client.try_read_response(false) {
                Ok(answer) => {
                    assert!(
                        !closed,
                        "an answer after the last to \"{}\"",
                        shown(&request)
                    );
                    assert!(
                        answer.status < 500 || [501, 505].contains(&answer.status),
                        "{} to \"{}\"",
                        answer.status,
                        shown(&request)
                    );
                    closed = answer.has_token("connection", "close");
                }
                Err(akurai_tests::ReadError::Ended(_, rest)) => {
                    assert!(rest.is_empty(), "half an answer to \"{}\"", shown(&request));
                    break;
                }
                Err(error) => panic!("{error}, to \"{}\"", shown(&request)),
            }
        }
    }
    all_served(&mirror, ["GET / HTTP/1.1\r\nHost: t\r\n\r\n"]);
}
