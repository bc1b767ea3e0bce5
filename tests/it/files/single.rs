//! `Response::file`: the same rules, and the handler's own fields and status have priority.

use std::path::PathBuf;

use akurai_http::{Request, Response, Router, Status};
use akurai_tests::{Client, TempDir, TestServer};

use super::byteranges::parse;
use super::{LETTERS, ask, assert_not_found, tag, values};

struct Single {
    dir: TempDir,
    server: TestServer,
}

impl Single {
    /// A server that answers `/` by GET and by POST with `respond`, which gets the path of the
    /// letters.
    fn start(respond: impl Fn(PathBuf) -> Response + Clone + Send + Sync + 'static) -> Single {
        let dir = TempDir::new();
        let path = dir.write("letters.txt", LETTERS);
        let again = (path.clone(), respond.clone());
        let app = Router::new()
            .get("/", move |_: &Request| respond(path.clone()))
            .post("/", move |_: &Request| again.1(again.0.clone()));
        Single {
            dir,
            server: TestServer::start(app),
        }
    }

    fn connect(&self) -> Client {
        self.server.connect()
    }
}

#[test]
fn files_10_other_methods_know_neither_conditions_nor_ranges() {
    let single = Single::start(Response::file);
    let mut client = single.connect();
    let etag = tag(&ask(&mut client, "GET", "/", &[]));
    for fields in [
        [("Range", "bytes=0-0")],
        [("Range", "bytes=99-")],
        [("If-None-Match", etag.as_str())],
        [("If-None-Match", "*")],
        [("If-Match", "\"other\"")],
        [("If-Modified-Since", "Tue, 14 Nov 2023 22:13:20 GMT")],
        [("If-Unmodified-Since", "Tue, 14 Nov 2000 22:13:20 GMT")],
    ] {
        let with_length = [fields[0], ("Content-Length", "0")];
        let answer = ask(&mut client, "POST", "/", &with_length);
        assert_eq!((answer.status, answer.text()), (200, LETTERS), "{fields:?}");
        assert_eq!(answer.header("content-range"), None, "{fields:?}");
    }
}

#[test]
fn files_10_another_status_knows_neither_conditions_nor_ranges() {
    for status in [Status::NOT_FOUND, Status::FORBIDDEN] {
        let single = Single::start(move |path| Response::file(path).with_status(status));
        let mut client = single.connect();
        for fields in [
            &[][..],
            &[("Range", "bytes=0-0")],
            &[("Range", "bytes=99-")],
            &[("If-None-Match", "*")],
            &[("If-Match", "\"other\"")],
            &[("If-Modified-Since", "Tue, 14 Nov 2023 22:13:20 GMT")],
        ] {
            let answer = ask(&mut client, "GET", "/", fields);
            assert_eq!(
                (answer.status, answer.text()),
                (status.code(), LETTERS),
                "{fields:?}"
            );
            let media_type = answer.header("content-type");
            assert_eq!(media_type, Some("text/plain; charset=utf-8"));
            let head = ask(&mut client, "HEAD", "/", fields);
            assert_eq!(
                (head.status, head.header("content-length")),
                (status.code(), Some("26"))
            );
        }
    }
}

#[test]
fn files_10_the_handlers_own_fields_stay() {
    let single = Single::start(|path| {
        Response::file(path)
            .with_header("Content-Type", "text/x-own")
            .with_header("Cache-Control", "private")
            .with_header("X-Own", "1")
    });
    let mut client = single.connect();
    let whole = ask(&mut client, "GET", "/", &[]);
    for (fields, status) in [
        (&[][..], 200),
        (&[("Range", "bytes=0-0")], 206),
        (&[("If-None-Match", "*")], 304),
    ] {
        let answer = ask(&mut client, "GET", "/", fields);
        // `header` fails for a field that occurs twice.
        let media_type = (status != 304).then_some("text/x-own");
        assert_eq!(
            (answer.status, values(&answer, ["cache-control", "etag"])),
            (status, [Some("private"), whole.header("etag")]),
            "{fields:?}"
        );
        if status != 304 {
            assert_eq!(
                values(&answer, ["content-type", "x-own"]),
                [media_type, Some("1")]
            );
        }
    }
}

#[test]
fn files_10_the_handlers_own_tag_is_the_one_compared() {
    let single = Single::start(|path| Response::file(path).with_header("ETag", "\"mine\""));
    let mut client = single.connect();
    for (fields, status) in [
        (&[][..], 200),
        (&[("If-None-Match", "\"mine\"")], 304),
        (&[("If-None-Match", "W/\"mine\"")], 304),
        (&[("If-None-Match", "\"other\"")], 200),
        (&[("If-Match", "\"mine\"")], 200),
        (&[("If-Match", "\"other\"")], 412),
        (&[("Range", "bytes=0-0"), ("If-Range", "\"mine\"")], 206),
        (&[("Range", "bytes=0-0"), ("If-Range", "\"other\"")], 200),
    ] {
        let answer = ask(&mut client, "GET", "/", fields);
        assert_eq!(answer.status, status, "{fields:?}");
        if status != 412 {
            assert_eq!(answer.header("etag"), Some("\"mine\""), "{fields:?}");
        }
    }
    let single = Single::start(|path| Response::file(path).with_header("ETag", "W/\"mine\""));
    let mut client = single.connect();
    for (fields, status) in [
        (&[("If-None-Match", "\"mine\"")][..], 304),
        (&[("If-Match", "W/\"mine\"")], 412),
        (&[("If-Match", "\"mine\"")], 412),
        (&[("Range", "bytes=0-0"), ("If-Range", "W/\"mine\"")], 200),
        (&[("Range", "bytes=0-0")], 206),
    ] {
        let answer = ask(&mut client, "GET", "/", fields);
        assert_eq!(answer.status, status, "weak: {fields:?}");
    }
}

#[test]
fn files_10_one_strong_tag_never_names_two_codings() {
    // RFC 9110 §8.8.3.3: two content codings of a resource have two strong tags, if they have any.
    let single = Single::start(|path| Response::file(path).with_header("ETag", "\"mine\""));
    single.dir.write("letters.txt.gz", "as coded by gzip");
    let mut client = single.connect();
    let plain = ask(&mut client, "GET", "/", &[]);
    let coded = ask(&mut client, "GET", "/", &[("Accept-Encoding", "gzip")]);
    if coded.header("content-encoding").is_some() {
        assert_ne!(tag(&plain), tag(&coded));
    } else {
        assert_eq!((plain.text(), coded.text()), (LETTERS, LETTERS));
    }
}

#[test]
fn files_10_what_the_handler_says_of_its_coding_stays() {
    let single = Single::start(|path| Response::file(path).with_header("Content-Encoding", "br"));
    single.dir.write("letters.txt.gz", "as coded by gzip");
    for accept in ["gzip", "br", "gzip, br", "identity"] {
        let answer = ask(
            &mut single.connect(),
            "GET",
            "/",
            &[("Accept-Encoding", accept)],
        );
        // The answer has one coding, and its bytes are in that coding.
        assert_eq!(answer.header("content-encoding"), Some("br"), "{accept}");
        assert_eq!(answer.text(), LETTERS, "{accept}");
    }
}

#[test]
fn files_10_a_missing_file_is_404_whatever_was_set() {
    let dir = TempDir::new();
    let absent = dir.join("absent.txt");
    let directory = dir.path().to_path_buf();
    let app = Router::new()
        .get("/absent", move |_: &Request| Response::file(&absent))
        .get("/directory", move |_: &Request| Response::file(&directory))
        .get("/empty", |_: &Request| Response::file(""))
        .get("/nul", |_: &Request| Response::file("a\0b"));
    let server = TestServer::start(app);
    let mut client = server.connect();
    for path in ["/absent", "/directory", "/empty", "/nul"] {
        assert_not_found(&ask(&mut client, "GET", path, &[]), path);
        let head = ask(&mut client, "HEAD", path, &[]);
        assert_eq!(
            (head.status, head.header("content-length")),
            (404, Some("10")),
            "{path}"
        );
    }
    let single = Single::start(|path| {
        let gone = path.with_file_name("gone.txt");
        Response::file(gone).with_header("Cache-Control", "public, max-age=31536000, immutable")
    });
    let answer = ask(&mut single.connect(), "GET", "/", &[]);
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.header("cache-control"),
        None,
        "no cache is to keep it for a year"
    );
}

#[test]
fn files_10_middleware_may_still_add_fields() {
    let dir = TempDir::new();
    let path = dir.write("letters.txt", LETTERS);
    let app = Router::new()
        .get("/", move |_: &Request| Response::file(&path))
        .wrap(|request, next| {
            let mut reply = next(request);
            reply
                .response_mut()
                .headers_mut()
                .append("X-Seen", b"1")
                .expect("it is well-formed");
            reply
        });
    let server = TestServer::start(app);
    let mut client = server.connect();
    for (fields, status) in [
        (&[][..], 200),
        (&[("Range", "bytes=0-0")], 206),
        (&[("Range", "bytes=0-0,2-2")], 206),
    ] {
        let answer = ask(&mut client, "GET", "/", fields);
        assert_eq!(
            (answer.status, answer.header("x-seen")),
            (status, Some("1"))
        );
    }
}

#[test]
fn files_10_the_handlers_own_type_is_that_of_each_part() {
    let single =
        Single::start(|path| Response::file(path).with_header("Content-Type", "text/x-own"));
    let fields = [("Range", "bytes=0-0,2-2")];
    let answer = ask(&mut single.connect(), "GET", "/", &fields);
    let parts = parse(&answer).expect("one Content-Type, and it is multipart/byteranges");
    for part in parts {
        assert_eq!(part.media_type.as_deref(), Some("text/x-own"));
    }
}

#[test]
fn files_10_vary_names_all_that_the_answer_depends_on() {
    // RFC 9110 §12.5.5: a cache that knew of only one would give a coded file to a client that
    // asked for none.
    let dir = TempDir::new();
    let path = dir.write("letters.txt", LETTERS);
    dir.write("letters.txt.gz", "as coded by gzip");
    let app = Router::new()
        .files("/files", dir.path())
        .get("/own", move |_: &Request| {
            Response::file(&path).with_header("Vary", "Origin")
        })
        .wrap(|request, next| {
            let mut reply = next(request);
            if request.path() != "/own" {
                let added = reply.response_mut().headers_mut().append("Vary", b"Origin");
                added.expect("it is well-formed");
            }
            reply
        });
    let server = TestServer::start(app);
    let mut client = server.connect();
    for path in ["/own", "/files/letters.txt"] {
        for (fields, status) in [
            (&[][..], 200),
            (&[("Accept-Encoding", "gzip")], 200),
            (&[("Range", "bytes=0-0")], 206),
            (&[("If-None-Match", "*")], 304),
        ] {
            let answer = ask(&mut client, "GET", path, fields);
            assert_eq!(answer.status, status, "{path} {fields:?}");
            for name in ["Origin", "Accept-Encoding"] {
                assert!(answer.has_token("vary", name), "{path} {fields:?}: {name}");
            }
        }
    }
}

#[test]
fn files_10_no_length_that_the_handler_claims_is_kept_against_the_file() {
    let single = Single::start(|path| Response::file(path).content_length(5));
    let mut client = single.connect();
    for (fields, text) in [(&[][..], LETTERS), (&[("Range", "bytes=3-4")], "de")] {
        client.send(super::request("GET", "/", fields));
        // An error status is a valid answer; a body that is cut or too long is not.
        match client.try_read_response(false) {
            Ok(answer) if answer.status == 500 => {}
            Ok(answer) => assert_eq!(answer.text(), text),
            Err(_) => client = single.connect(),
        }
    }
}

#[test]
fn files_10_the_handlers_own_date_stands_alone() {
    let own = "Sun, 06 Nov 1994 08:49:37 GMT";
    let single = Single::start(move |path| Response::file(path).with_header("Last-Modified", own));
    let answer = ask(&mut single.connect(), "GET", "/", &[]);
    assert_eq!(answer.header("last-modified"), Some(own));
    // The client sends back the date that it got: nothing has changed since.
    let fields = [("If-Modified-Since", own)];
    let answer = ask(&mut single.connect(), "GET", "/", &fields);
    assert_eq!(answer.status, 304);
}
