//! Responses and event streams with gzip. The client inflates them with its own implementation of
//! RFC 1951.

use std::io::Write;
use std::sync::{Arc, Mutex, mpsc};

use akurai_http::middleware::Gzip;
use akurai_http::{Files, Level, Request, Response, Router, SseOptions, Status};
use akurai_tests::deflate::Inflater;
use akurai_tests::{Answer, Client, DEADLINE, TempDir, TestServer};

fn ask(client: &mut Client, method: &str, path: &str, fields: &str) -> Answer {
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n"
    ));
    match method {
        "HEAD" => client.read_response_to_head(),
        _ => client.read_response(),
    }
}

const GZIP: &str = "Accept-Encoding: gzip\r\n";

/// The content of one gzip member (RFC 1952 §2.3), with its length and CRC checked.
#[track_caller]
fn gunzip(member: &[u8]) -> Vec<u8> {
    assert_eq!(&member[..4], [0x1f, 0x8b, 8, 0], "ID1 ID2 CM FLG");
    let (content, used) = Inflater::new(15)
        .stream(&member[10..])
        .expect("it is DEFLATE data");
    let end = &member[10 + used..];
    assert_eq!(end.len(), 8, "CRC32 and ISIZE, and nothing else");
    assert_eq!(end[..4], crc32(&content).to_le_bytes());
    assert_eq!(end[4..], (content.len() as u32).to_le_bytes());
    content
}

/// Bit by bit, as RFC 1952 §8 defines it.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| {
        if crc & 1 == 1 {
            0xedb8_8320 ^ (crc >> 1)
        } else {
            crc >> 1
        }
    };
    let next = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc));
    !bytes.iter().fold(!0, next)
}

fn text() -> String {
    (0..2000)
        .map(|n| format!("line {n}, the same as all\n"))
        .collect()
}

fn app() -> Router {
    Router::new()
        .get("/text", |_| {
            Response::text(text()).with_header("ETag", "\"a\"")
        })
        .get("/short", |_| Response::text("short"))
        .get("/stream", |_| {
            Response::stream(|out| {
                for line in text().split_inclusive('\n') {
                    out.write_all(line.as_bytes())?;
                }
                Ok(())
            })
            .with_header("Content-Type", "text/plain")
        })
        .get("/less", |_| {
            let response = Response::stream(|out| out.write_all(text().as_bytes()));
            response
                .with_header("Content-Type", "text/plain")
                .content_length(1 << 20)
        })
        .wrap(Gzip::new().middleware())
}

#[test]
fn a_body_is_coded_for_those_who_accept_it() {
    let server = TestServer::start(app());
    let mut client = server.connect();
    let answer = ask(&mut client, "GET", "/text", GZIP);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
    assert_eq!(answer.header("etag"), Some("W/\"a\""));
    assert_eq!(gunzip(&answer.body), text().as_bytes());
    assert!(answer.body.len() < text().len() / 4);
    let head = ask(&mut client, "HEAD", "/text", GZIP);
    assert_eq!(
        head.header("content-length"),
        answer.header("content-length")
    );
    assert_eq!(head.header("content-encoding"), Some("gzip"));
    for fields in [
        "",
        "Accept-Encoding: gzip;q=0, br\r\n",
        "Accept-Encoding: identity\r\n",
    ] {
        let answer = ask(&mut client, "GET", "/text", fields);
        assert_eq!(answer.header("content-encoding"), None, "{fields}");
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "{fields}");
        assert_eq!(
            (answer.header("etag"), answer.text()),
            (Some("\"a\""), &*text())
        );
    }
    let answer = ask(&mut client, "GET", "/short", GZIP);
    assert_eq!((answer.header("vary"), answer.text()), (None, "short"));
}

#[test]
fn a_stream_is_coded_while_it_is_written() {
    let server = TestServer::start(app());
    let mut client = server.connect();
    for _ in 0..2 {
        let answer = ask(&mut client, "GET", "/stream", GZIP);
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        assert_eq!(gunzip(&answer.body), text().as_bytes());
    }
    assert_eq!(ask(&mut client, "GET", "/stream", "").text(), text());
    let head = ask(&mut client, "HEAD", "/stream", GZIP);
    assert_eq!(head.header("content-encoding"), Some("gzip"));
    // For HTTP/1.0 the body lasts until the end of the connection.
    client.send("GET /stream HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!(gunzip(&client.read_response().body), text().as_bytes());
    client.expect_eof();
}

#[test]
fn a_stream_that_is_shorter_than_it_said_does_not_look_whole() {
    let server = TestServer::start(app());
    let mut client = server.connect();
    client.send(format!("GET /less HTTP/1.1\r\nHost: t\r\n{GZIP}\r\n"));
    // The server had sent nothing yet: all of it still waited for the compressor.
    assert_eq!(client.read_response().status, 500);
}

#[test]
fn what_a_handler_flushes_goes_out_at_once() {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(Some(wait));
    let app = Router::new().get("/", move |_| {
        let wait = wait.lock().unwrap().take().expect("one request comes");
        Response::stream(move |out| {
            out.write_all(b"first")?;
            out.flush()?;
            wait.recv_timeout(DEADLINE).expect("the client has read it");
            out.write_all(b"second")
        })
        .with_header("Content-Type", "text/plain")
    });
    let server = TestServer::start(app.wrap(Gzip::new().middleware()));
    let mut client = server.connect();
    client.send(format!("GET / HTTP/1.1\r\nHost: t\r\n{GZIP}\r\n"));
    client.read_head();
    let first = client.read_through(b"\x00\x00\xff\xff\r\n");
    assert!(
        first.len() < 60,
        "the size line, ten bytes, and five that are coded"
    );
    go_on.send(()).expect("the handler waits");
    assert!(
        client
            .read_until(|bytes| bytes.ends_with(b"\r\n0\r\n\r\n"))
            .len()
            > 8
    );
}

#[test]
fn files_are_left_in_parts_and_in_their_own_coding() {
    let dir = TempDir::new();
    dir.write("a.txt", text());
    dir.write("b.js", text());
    dir.write("b.js.br", "br");
    let files = Router::new().files("/files", Files::dir(dir.path()));
    let server = TestServer::start(files.wrap(Gzip::new().middleware()));
    let mut client = server.connect();
    let coded = ask(&mut client, "GET", "/files/a.txt", GZIP);
    assert_eq!(gunzip(&coded.body), text().as_bytes());
    assert_eq!(
        (coded.header("accept-ranges"), coded.all("vary").count()),
        (None, 1)
    );
    let tag = coded.header("etag").expect("a file has one").to_owned();
    assert!(tag.starts_with("W/\""));
    let unchanged = ask(
        &mut client,
        "GET",
        "/files/a.txt",
        &format!("{GZIP}If-None-Match: {tag}\r\n"),
    );
    assert_eq!(
        (unchanged.status, unchanged.header("etag")),
        (304, Some(&*tag))
    );
    let part = ask(
        &mut client,
        "GET",
        "/files/a.txt",
        &format!("{GZIP}Range: bytes=0-3\r\n"),
    );
    assert_eq!((part.status, part.text()), (206, "line"));
    assert_eq!(part.header("content-encoding"), None);
    let other = ask(
        &mut client,
        "GET",
        "/files/b.js",
        "Accept-Encoding: gzip, br\r\n",
    );
    assert_eq!(
        (other.header("content-encoding"), other.text()),
        (Some("br"), "br")
    );
    let head = ask(&mut client, "HEAD", "/files/a.txt", GZIP);
    assert_eq!(head.header("content-encoding"), Some("gzip"));
    assert_eq!(head.header("content-length"), None);
    assert_eq!(
        ask(&mut client, "GET", "/files/none", GZIP).status,
        Status::NOT_FOUND.code()
    );
}

/// An event stream that is compressed.
fn coded() -> SseOptions {
    SseOptions::new().gzip(Level::default())
}

#[test]
fn a_coded_stream_is_whole_when_the_server_stops() {
    let (sent, was_sent) = mpsc::channel();
    let (resume, resumed) = mpsc::channel();
    let resumed = Arc::new(Mutex::new(resumed));
    let app = Router::new().get("/events", move |req: &Request| {
        let (sent, resumed) = (sent.clone(), Arc::clone(&resumed));
        coded().stream(req, move |mut sink| {
            sink.data("sent")?;
            let _ = sent.send(());
            let _ = resumed.lock().unwrap().recv_timeout(DEADLINE);
            sink.data("too late")
        })
    });
    let server = TestServer::start(app);
    let mut client = server.connect();
    client.send(format!("GET /events HTTP/1.1\r\nHost: t\r\n{GZIP}\r\n"));
    client.read_head();
    was_sent.recv_timeout(DEADLINE).unwrap();
    server.handle().shutdown(DEADLINE);
    resume.send(()).unwrap();
    let (stream, _) = client.read_to_end();
    assert_eq!(gunzip(&stream), b": \n\ndata: sent\n\n");
}

#[test]
fn each_event_of_a_coded_stream_ends_at_a_byte_and_can_be_read() {
    let app = Router::new().get("/events", |req: &Request| {
        coded().stream(req, |mut sink| {
            sink.event("tick", "1")?;
            sink.data("two\nlines")
        })
    });
    let server = TestServer::start(app);
    let mut client = server.connect();
    client.send(format!("GET /events HTTP/1.1\r\nHost: t\r\n{GZIP}\r\n"));
    let head = client.read_head();
    assert_eq!(head.header("content-encoding"), Some("gzip"));
    assert_eq!(head.header("vary"), Some("Accept-Encoding"));
    let (stream, _) = client.read_to_end();
    assert_eq!(&stream[..4], [0x1f, 0x8b, 8, 0]);
    let content = gunzip(&stream);
    // Each write ended with a flush, so that a client can decode it without the bytes after it.
    let mut inflater = Inflater::new(15);
    let mut rest = &stream[10..];
    let mut events = Vec::new();
    while let Some(end) = rest
        .windows(4)
        .position(|bytes| bytes == [0, 0, 0xff, 0xff])
    {
        let event = inflater.message(&rest[..end]).expect("it is DEFLATE data");
        events.push(String::from_utf8(event).expect("text"));
        rest = &rest[end + 4..];
    }
    assert_eq!(
        events,
        [
            ": \n\n",
            "event: tick\ndata: 1\n\n",
            "data: two\ndata: lines\n\n"
        ]
    );
    assert_eq!(content, events.concat().as_bytes());

    let mut plain = server.connect();
    plain.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = plain.read_head();
    assert_eq!(
        (head.header("content-encoding"), head.header("vary")),
        (None, Some("Accept-Encoding"))
    );
    let (stream, _) = plain.read_to_end();
    assert_eq!(stream, events.concat().as_bytes());
}

/// The end of the gzip data says that nothing is missing, and the stream has no other end.
#[test]
fn an_event_stream_whose_closure_panics_has_no_gzip_end() {
    let app = Router::new().get("/events/{how}", |req: &Request| {
        let panics = req.param("how") == Some("panic");
        coded().stream(req, move |mut sink| {
            sink.data("one")?;
            match panics {
                true => std::panic::resume_unwind(Box::new("planned")),
                false => Ok(()),
            }
        })
    });
    let server = TestServer::start(app);
    let [whole, cut] = ["end", "panic"].map(|how| {
        let mut client = server.connect();
        client.send(format!(
            "GET /events/{how} HTTP/1.1\r\nHost: t\r\n{GZIP}\r\n"
        ));
        client.read_head();
        client.read_to_end().0
    });
    assert_eq!(gunzip(&whole), b": \n\ndata: one\n\n");
    // What the client has got of it came by a flush: an empty stored block (RFC 1951 §3.2.4).
    let rest = whole.strip_prefix(&*cut).expect("the same beginning");
    assert!(cut.ends_with(&[0, 0, 0xff, 0xff]), "{cut:?}");
    assert!(rest.len() > 8, "its last block and the trailer: {rest:?}");
}
