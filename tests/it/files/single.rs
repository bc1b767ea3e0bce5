//! `Response::file`: the same rules, and the handler's own fields and status have priority.

use std::path::PathBuf;

use akurai_http::middleware::Gzip;
use akurai_http::{Reply, Request, Response, Router, Status};
use akurai_tests::{Client, TempDir, TestServer};

use super::byteranges::parse;
use super::{LETTERS, ask, assert_not_found, tag, values};

struct Single {
    dir: TempDir,
    server: TestServer,
}

impl Single {
    /// A server that answers `/` by GET and by POST with `respond`, which also gets the path of the
    /// letters.
    fn start(
        respond: impl Fn(&Request, PathBuf) -> Reply + Clone + Send + Sync + 'static,
    ) -> Single {
        let dir = TempDir::new();
        let path = dir.write("letters.txt", LETTERS);
        let again = (path.clone(), respond.clone());
        let app = Router::new()
            .get("/", move |request: &Request| respond(request, path.clone()))
            .post("/", move |request: &Request| {
                again.1(request, again.0.clone())
            });
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
        let single =
            Single::start(move |request, path| Response::new(status).send_file(request, path));
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
    let single = Single::start(|request, path| {
        Response::new(Status::OK)
            .with_header("Content-Type", "text/x-own")
            .with_header("Cache-Control", "private")
            .with_header("X-Own", "1")
            .send_file(request, path)
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
    let single = Single::start(|request, path| {
        Response::new(Status::OK)
            .with_header("ETag", "\"mine\"")
            .send_file(request, path)
    });
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
    let single = Single::start(|request, path| {
        Response::new(Status::OK)
            .with_header("ETag", "W/\"mine\"")
            .send_file(request, path)
    });
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
    let single = Single::start(|request, path| {
        Response::new(Status::OK)
            .with_header("ETag", "\"mine\"")
            .send_file(request, path)
    });
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
    let single = Single::start(|request, path| {
        Response::new(Status::OK)
            .with_header("Content-Encoding", "br")
            .send_file(request, path)
    });
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
        .get("/absent", move |request: &Request| {
            Response::file(request, &absent)
        })
        .get("/directory", move |request: &Request| {
            Response::file(request, &directory)
        })
        .get("/empty", |request: &Request| Response::file(request, ""))
        .get("/nul", |request: &Request| Response::file(request, "a\0b"));
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
    let single = Single::start(|request, path| {
        Response::new(Status::OK)
            .with_header("Cache-Control", "public, max-age=31536000, immutable")
            .send_file(request, path.with_file_name("gone.txt"))
    });
    let answer = ask(&mut single.connect(), "GET", "/", &[]);
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.header("cache-control"),
        None,
        "no cache is to keep it for a year"
    );
}

/// The rules do not depend on what calls the function that makes the reply: a router for a route, a
/// middleware instead of a route, or the server itself.
#[test]
fn files_10_a_reply_is_the_same_wherever_it_is_made() {
    let dir = TempDir::new();
    let path = dir.write("letters.txt", LETTERS.repeat(100));
    let respond = move |request: &Request| Response::file(request, &path);
    let instead = respond.clone();
    let none = |_: &Request| Response::text("");
    let servers = [
        (
            "route",
            TestServer::start(Router::new().get("/", respond.clone())),
        ),
        (
            "middleware",
            TestServer::start(
                Router::new()
                    .get("/", none)
                    .wrap(move |request, _| instead(request)),
            ),
        ),
        ("server", TestServer::start(respond)),
    ];
    for (name, server) in servers {
        let mut client = server.connect();
        let whole = ask(&mut client, "GET", "/", &[]);
        assert_eq!((whole.status, whole.body.len()), (200, 2600), "{name}");
        let head = ask(&mut client, "HEAD", "/", &[]);
        assert_eq!(head.header("content-length"), Some("2600"), "{name}");
        let part = ask(&mut client, "GET", "/", &[("Range", "bytes=3-4")]);
        assert_eq!((part.status, part.text()), (206, "de"), "{name}");
        let known = ask(&mut client, "GET", "/", &[("If-None-Match", &*tag(&whole))]);
        assert_eq!(known.status, 304, "{name}");
    }
}

#[test]
fn files_10_gzip_compresses_a_file_wherever_it_is_answered() {
    let dir = TempDir::new();
    let path = dir.write("letters.txt", LETTERS.repeat(100));
    let respond = move |request: &Request| Response::file(request, &path);
    let instead = respond.clone();
    let app = Router::new()
        .get("/route", respond)
        .get("/middleware", |_: &Request| Response::text(""))
        .wrap(move |request, next| match request.path() {
            "/middleware" => instead(request),
            _ => next(request),
        })
        .wrap(Gzip::new().middleware());
    let server = TestServer::start(app);
    for path in ["/route", "/middleware"] {
        let answer = ask(
            &mut server.connect(),
            "GET",
            path,
            &[("Accept-Encoding", "gzip")],
        );
        assert_eq!(
            (answer.status, answer.header("content-encoding")),
            (200, Some("gzip")),
            "{path}"
        );
        assert!(tag(&answer).starts_with("W/"), "{path}");
    }
}

/// The handler may delete a file as soon as it has its reply, such as one that it made for this
/// request alone.
#[cfg(unix)]
#[test]
fn files_10_a_file_is_opened_where_the_reply_is_made() {
    let dir = TempDir::new();
    let path = dir.write("once.txt", LETTERS);
    let server = TestServer::start(move |request: &Request| {
        let reply = Response::file(request, &path);
        std::fs::remove_file(&path).expect("it is there");
        reply
    });
    let answer = ask(&mut server.connect(), "GET", "/", &[]);
    assert_eq!((answer.status, answer.text()), (200, LETTERS));
}

#[test]
fn files_10_middleware_may_still_add_fields() {
    let dir = TempDir::new();
    let path = dir.write("letters.txt", LETTERS);
    let app = Router::new()
        .get("/", move |request: &Request| Response::file(request, &path))
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
    let single = Single::start(|request, path| {
        Response::new(Status::OK)
            .with_header("Content-Type", "text/x-own")
            .send_file(request, path)
    });
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
        .get("/own", move |request: &Request| {
            Response::new(Status::OK)
                .with_header("Vary", "Origin")
                .send_file(request, &path)
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
    let single = Single::start(|request, path| {
        Response::new(Status::OK)
            .content_length(5)
            .send_file(request, path)
    });
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
    let single = Single::start(move |request, path| {
        Response::new(Status::OK)
            .with_header("Last-Modified", own)
            .send_file(request, path)
    });
    let answer = ask(&mut single.connect(), "GET", "/", &[]);
    assert_eq!(answer.header("last-modified"), Some(own));
    // The client sends back the date that it got: nothing has changed since.
    let fields = [("If-Modified-Since", own)];
    let answer = ask(&mut single.connect(), "GET", "/", &fields);
    assert_eq!(answer.status, 304);
}
