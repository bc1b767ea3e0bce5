use super::*;
use crate::{Upgrade, sse};

const APP: &str = "https://app.example";

fn listed() -> Cors {
    Cors::origins([APP, "http://localhost:3000"])
}

fn from(origin: &str) -> Request {
    Request::new(Method::Get, "/").with_header("Origin", origin)
}

fn preflight(origin: &str) -> Request {
    Request::new(Method::Options, "/nowhere")
        .with_header("Origin", origin)
        .with_header("Access-Control-Request-Method", "PUT")
        .with_header("Access-Control-Request-Headers", "x-token")
}

/// The reply's status and its fields, one per line. The handler's answer has the fields `own`.
fn answer(cors: &Cors, request: &Request, own: &[(&'static str, &'static str)]) -> (u16, String) {
    let reply = cors.clone().middleware()(request, &|_| {
        let plain = Response::new(Status::OK);
        own.iter()
            .fold(plain, |response, (name, value)| {
                response.with_header(name, value)
            })
            .into()
    });
    let response = reply.response();
    let mut lines = String::new();
    for (name, value) in response.headers().iter() {
        lines += &format!("{name}: {}\n", String::from_utf8_lossy(value));
    }
    (response.status().code(), lines)
}

#[track_caller]
fn check(cors: &Cors, request: &Request, expected: &str) {
    assert_eq!(answer(cors, request, &[]), (200, expected.to_owned()));
}

#[test]
fn fetch_cors_a_listed_origin() {
    check(
        &listed(),
        &from(APP),
        "Vary: Origin\nAccess-Control-Allow-Origin: https://app.example\n",
    );
    check(
        &listed().credentials().expose(["X-A", "X-B", "x-a"]),
        &from("http://localhost:3000"),
        "Vary: Origin\nAccess-Control-Allow-Origin: http://localhost:3000\n\
         Access-Control-Allow-Credentials: true\nAccess-Control-Expose-Headers: X-A, X-B\n",
    );
}

#[test]
fn fetch_cors_no_other_origin_is_ever_echoed() {
    let cors = listed()
        .credentials()
        .expose(["X-A"])
        .max_age(Duration::from_secs(9));
    let only_vary = "Vary: Origin\n";
    check(&cors, &Request::new(Method::Get, "/"), only_vary);
    for origin in [
        "",
        "null",
        "*",
        "https://app.example.evil",
        "https://evil-app.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example/",
        "HTTPS://APP.EXAMPLE",
        "https://app.example, https://app.example",
        "https://app.example https://evil",
    ] {
        check(&cors, &from(origin), only_vary);
        let refused = (204, only_vary.to_owned());
        assert_eq!(answer(&cors, &preflight(origin), &[]), refused, "{origin}");
    }
    check(
        &cors,
        &from(APP).with_header("Origin", "https://evil"),
        only_vary,
    );
}

#[test]
fn fetch_cors_any_origin_is_a_star_alone() {
    let cors = Cors::any_origin().expose(["X-A"]);
    let star = "Access-Control-Allow-Origin: *\nAccess-Control-Expose-Headers: X-A\n";
    for request in [Request::new(Method::Get, "/"), from(APP), from("null")] {
        check(&cors, &request, star);
    }
}

#[test]
fn fetch_cors_preflight() {
    let refuse_to_run = |_: &Request| -> Reply { panic!("a preflight reaches no handler") };
    let reply = listed().middleware()(&preflight(APP), &refuse_to_run);
    assert_eq!(reply.response().body(), Some(&b""[..]));

    let cors = listed()
        .credentials()
        .methods([Method::Put, Method::Get])
        .headers(["X-Token", "Content-Type", "last-event-id"])
        .expose(["X-A"])
        .max_age(Duration::from_millis(600_900));
    let expected = "Vary: Origin\nAccess-Control-Allow-Origin: https://app.example\n\
         Access-Control-Allow-Credentials: true\n\
         Access-Control-Allow-Methods: GET, HEAD, POST, PUT\n\
         Access-Control-Allow-Headers: Last-Event-ID, X-Token, Content-Type\n\
         Access-Control-Max-Age: 600\n";
    assert_eq!(
        answer(&cors, &preflight(APP), &[]),
        (204, expected.to_owned())
    );

    let expected = "Access-Control-Allow-Origin: *\nAccess-Control-Allow-Methods: GET, HEAD, POST\n\
         Access-Control-Allow-Headers: Last-Event-ID\n";
    let any = answer(&Cors::any_origin(), &preflight("null"), &[]);
    assert_eq!(any, (204, expected.to_owned()));
}

#[test]
fn an_options_that_is_no_preflight_reaches_its_handler() {
    let options = || Request::new(Method::Options, "/");
    let with = |name| options().with_header(name, "GET");
    for request in [
        options(),
        with("Access-Control-Request-Method"),
        options().with_header("Origin", APP),
        Request::new(Method::Post, "/").with_header("Access-Control-Request-Method", "PUT"),
    ] {
        assert_eq!(answer(&listed(), &request, &[]).0, 200, "{request:?}");
    }
}

#[test]
fn what_the_handler_says_stays() {
    for (own, vary) in [
        ("Accept-Encoding", "Vary: Accept-Encoding\nVary: Origin\n"),
        ("Accept, origin", "Vary: Accept, origin\n"),
        ("*", "Vary: *\n"),
    ] {
        let allowed = format!("{vary}Access-Control-Allow-Origin: {APP}\n");
        assert_eq!(answer(&listed(), &from(APP), &[("Vary", own)]).1, allowed);
    }
    let own = [("Access-Control-Allow-Origin", "https://other")];
    let line = "Access-Control-Allow-Origin: https://other\n";
    let cors = listed().credentials();
    assert_eq!(
        answer(&cors, &from(APP), &own).1,
        format!("{line}Vary: Origin\n")
    );
    assert_eq!(answer(&Cors::any_origin(), &from(APP), &own).1, line);
}

#[test]
fn upgrades_keep_their_nature() {
    let cors = listed().middleware();
    let stream = cors(&from(APP), &|_| sse(|_| Ok(())));
    assert!(matches!(stream, Reply::Upgrade(_)));
    let headers = stream.response().headers();
    assert_eq!(headers.get("Access-Control-Allow-Origin"), Some(APP));
    assert_eq!(headers.get("Content-Type"), Some("text/event-stream"));

    let switching = cors(&from(APP), &|_| {
        Upgrade::new(Response::new(Status::SWITCHING_PROTOCOLS), |_| Ok(())).into()
    });
    assert!(switching.response().headers().is_empty());
}

#[test]
fn rfc6454_6_2_origins() {
    for (text, fine) in [
        ("https://app.example", true),
        ("http://localhost:3000", true),
        ("http://[::1]:8090", true),
        ("http://192.0.2.7", true),
        ("tauri://localhost", true),
        ("chrome-extension://abcdef", true),
        ("https://app.example/", false),
        ("https://app.example:443", false),
        ("http://app.example:80", false),
        ("https://app.example:", false),
        ("https://App.example", false),
        ("https://*.example", false),
        ("https://user@app.example", false),
        ("app.example", false),
        ("https://", false),
        ("://app.example", false),
        ("null", false),
        ("*", false),
        ("", false),
    ] {
        assert_eq!(is_origin(text), fine, "{text}");
    }
}

#[test]
#[should_panic(expected = "\"*\" is not an origin as browsers write it")]
fn a_star_is_no_origin() {
    let _ = Cors::origins(["*"]);
}

#[test]
#[should_panic(expected = "credentials need a list of origins")]
fn a_star_has_no_credentials() {
    let _ = Cors::any_origin().credentials();
}

#[test]
#[should_panic(expected = "\"*\" is not a field name")]
fn a_star_is_no_field_name() {
    let _ = listed().headers(["*"]);
}
