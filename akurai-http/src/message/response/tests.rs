use std::panic::catch_unwind;

use super::*;
use crate::HeaderError;

#[test]
fn a_validator_that_no_condition_matches_is_refused_where_it_is_set() {
    let set = |name: &str, value: &str| {
        let mut response = Response::new(Status::OK);
        response.headers_mut().set(name, value).err()
    };
    let refused = Some(HeaderError::Validator);
    for (name, value, error) in [
        ("ETag", "\"ABC\"", None),
        ("etag", "W/\"\"", None),
        ("ETag", "\"é\"", None),
        ("ETag", "ABC", refused),
        ("ETAG", "", refused),
        ("ETag", "\"", refused),
        ("ETag", "w/\"ABC\"", refused),
        ("ETag", "W/ABC", refused),
        ("ETag", "\"A\"B\"", refused),
        ("ETag", "\"A B\"", refused),
        ("ETag", "\"A\", \"B\"", refused),
        ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Last-Modified", "Sunday, 06-Nov-94 08:49:37 GMT", None),
        ("Last-Modified", "Sun Nov  6 08:49:37 1994", None),
        ("Last-Modified", "Sun, 6 Nov 1994 08:49:37 +0000", refused),
        ("last-modified", "784111777", refused),
        ("X-ETag", "ABC", None),
    ] {
        assert_eq!(set(name, value), error, "{name}: {value}");
    }
    let panic = catch_unwind(|| Response::text("").with_header("ETag", "ABC"));
    let panic = panic.expect_err("no quotes").downcast::<String>();
    let message = "header \"ETag\": ETag is not \"…\" or W/\"…\" with its quotes, \
                   or Last-Modified is no HTTP-date";
    assert_eq!(panic.ok().as_deref().map(String::as_str), Some(message));
}

#[test]
fn fields_are_replaced_added_and_removed_in_place() {
    let mut response = Response::text("a")
        .with_header("Vary", "Origin")
        .with_header("Vary", "Cookie");
    let fields = |response: &Response| {
        let fields = response.headers().iter();
        fields
            .map(|(name, value)| format!("{name}: {}", value.escape_ascii()))
            .collect::<Vec<_>>()
    };
    let before = fields(&response);
    for (name, value) in [
        ("Vary", "a\r\nb"),
        ("Va ry", "a"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "many"),
        ("ETag", "ABC"),
    ] {
        let mut headers = response.headers_mut();
        let set = headers.set(name, value);
        assert!(set.is_err() && set == headers.append(name, value), "{name}");
        assert_eq!(fields(&response), before, "{name}: {value:?}");
    }
    response.headers_mut().set("vary", "*").unwrap();
    assert_eq!(
        fields(&response),
        ["Content-Type: text/plain; charset=utf-8", "vary: *"]
    );
    response.headers_mut().set("Content-Length", "7").unwrap();
    assert_eq!(response.parts.declared_length, Some(7));
    for name in ["VARY", "content-type", "content-length", "X-None"] {
        response.headers_mut().remove(name);
    }
    assert!(response.headers().is_empty());
    assert_eq!(response.parts.declared_length, None);
    // A response that must close the connection does so, whatever middleware does.
    response.headers_mut().set("Connection", "close").unwrap();
    response.headers_mut().remove("Connection");
    assert!(response.parts.close && response.headers().is_empty());
}

#[test]
fn redirects() {
    for code in [
        200, 204, 300, 301, 302, 303, 304, 305, 306, 307, 308, 309, 400,
    ] {
        let status = Status::new(code);
        let redirect = catch_unwind(|| Response::redirect(status, "/there?a=b"));
        let fields = redirect.as_ref().ok().map(|redirect| {
            let fields: Vec<_> = redirect.headers().iter().collect();
            (redirect.status(), fields, redirect.body())
        });
        let expected = [301, 302, 303, 307, 308].contains(&code).then(|| {
            let location = ("Location", &b"/there?a=b"[..]);
            (status, vec![location], Some(&b""[..]))
        });
        assert_eq!(fields, expected, "{code}");
    }
    for (location, encoded) in [
        (
            "/größe/文?ü=€#ß",
            "/gr%C3%B6%C3%9Fe/%E6%96%87?%C3%BC=%E2%82%AC#%C3%9F",
        ),
        ("https://münchen.example/", "https://m%C3%BCnchen.example/"),
        ("/a%C3%A4?b=%&c d", "/a%C3%A4?b=%&c d"),
    ] {
        let redirect = Response::redirect(Status::SEE_OTHER, location);
        assert_eq!(redirect.headers().get("Location"), Some(encoded));
    }
    let latin_1 = Response::redirect(Status::SEE_OTHER, b"/\xe4");
    assert_eq!(latin_1.headers().get("Location"), Some("/%E4"));
    for location in ["/a\r\nSet-Cookie: forged=1", "/a\n", " /a", "/a\0"] {
        let redirect = catch_unwind(|| Response::redirect(Status::SEE_OTHER, location));
        assert!(redirect.is_err(), "{location:?}");
    }
}
