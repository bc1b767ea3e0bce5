//! Forms with files, as clients send them.

use std::io;

use akurai_http::{Request, Response, Router};
use akurai_tests::{Answer, TestServer};

/// The names and contents of a form's parts.
fn parts(req: &Request) -> io::Result<Response> {
    let mut multipart = req.multipart()?;
    let mut all = Vec::new();
    while let Some(mut part) = multipart.next_part()? {
        let text = part.text(1024)?;
        all.push(format!("{}={text}", part.name()));
    }
    Ok(Response::text(all.join("&")))
}

#[track_caller]
fn post(boundary: &str, body: &str) -> Answer {
    let server = TestServer::start(Router::new().post("/", parts));
    let mut client = server.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Type: multipart/form-data; boundary={boundary}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client.read_response()
}

fn two_parts(boundary: &str) -> String {
    let part = |name: &str| {
        format!("--{boundary}\r\nContent-Disposition: form-data; name={name}\r\n\r\nof {name}\r\n")
    };
    format!("{}{}--{boundary}--\r\n", part("x"), part("y"))
}

#[test]
fn a_form_whose_first_boundary_begins_a_line_is_read_whole() {
    for preamble in ["", "\r\n", "\n", "preamble\r\n", "preamble\n"] {
        let answer = post("b", &format!("{preamble}{}", two_parts("b")));
        assert_eq!(
            (answer.status, answer.text()),
            (200, "x=of x&y=of y"),
            "{preamble:?}"
        );
    }
}

#[test]
fn a_form_whose_first_boundary_stands_within_a_line_is_refused() {
    for preamble in [" ", "\u{feff}", "\r", "preamble", "preamble "] {
        let answer = post("b", &format!("{preamble}{}", two_parts("b")));
        assert_eq!(
            (answer.status, answer.text()),
            (400, "first boundary does not begin a line\n"),
            "{preamble:?}"
        );
    }
}

#[test]
fn a_boundary_may_have_any_character_of_a_token() {
    for boundary in ["*****", "!#$%&'*+-.^_`|~", "-"] {
        let answer = post(boundary, &two_parts(boundary));
        assert_eq!((answer.status, answer.text()), (200, "x=of x&y=of y"));
    }
}

#[test]
fn a_folded_line_of_a_parts_head_is_read_as_one() {
    for fold in [";\r\n name", ";\r\n\tname", "\r\n ;\r\n   name"] {
        let answer = post("b", &two_parts("b").replace("; name", fold));
        assert_eq!((answer.status, answer.text()), (200, "x=of x&y=of y"));
    }
}
