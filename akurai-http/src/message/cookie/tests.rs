use super::*;
use crate::Method;

#[track_caller]
fn check(cookie: Cookie, expected: &str) {
    assert_eq!(cookie.to_string(), expected);
    let response = Response::text("").cookie(cookie);
    assert_eq!(response.headers().get("Set-Cookie"), Some(expected));
}

#[test]
fn rfc6265_4_1_1_attributes() {
    let plain = || Cookie::new("a", "b");
    check(plain(), "a=b; Path=/; HttpOnly; SameSite=Lax");
    check(Cookie::new("a", ""), "a=; Path=/; HttpOnly; SameSite=Lax");
    check(plain().http_only(false), "a=b; Path=/; SameSite=Lax");
    check(
        plain().secure(true),
        "a=b; Path=/; Secure; HttpOnly; SameSite=Lax",
    );
    check(
        plain().secure(true).secure(false),
        "a=b; Path=/; HttpOnly; SameSite=Lax",
    );
    check(plain().path("/x"), "a=b; Path=/x; HttpOnly; SameSite=Lax");
    check(
        plain().domain("example.org"),
        "a=b; Path=/; Domain=example.org; HttpOnly; SameSite=Lax",
    );
    check(
        plain().same_site(SameSite::Strict),
        "a=b; Path=/; HttpOnly; SameSite=Strict",
    );
    check(
        plain().same_site(SameSite::None),
        "a=b; Path=/; Secure; HttpOnly; SameSite=None",
    );
}

#[test]
fn rfc6265_4_1_1_lifetimes() {
    let plain = || Cookie::new("a", "b").http_only(false);
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    check(
        plain().max_age(Duration::from_millis(90_999)),
        "a=b; Path=/; Max-Age=90; SameSite=Lax",
    );
    check(
        plain().expires(at(784_111_777)),
        "a=b; Path=/; Expires=Sun, 06 Nov 1994 08:49:37 GMT; SameSite=Lax",
    );
    let past = "a=b; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; SameSite=Lax";
    check(plain().max_age(Duration::from_millis(999)), past);
    check(plain().expires(UNIX_EPOCH - Duration::from_secs(1)), past);
    // The later of the two counts.
    check(
        plain().expires(at(1)).max_age(Duration::from_secs(2)),
        "a=b; Path=/; Max-Age=2; SameSite=Lax",
    );
    check(plain().max_age(Duration::from_secs(2)).expires(at(0)), past);
}

#[test]
fn prefixes_are_held_to() {
    check(
        Cookie::new("__Secure-a", "b")
            .path("/x")
            .domain("example.org"),
        "__Secure-a=b; Path=/x; Domain=example.org; Secure; HttpOnly; SameSite=Lax",
    );
    check(
        Cookie::new("__Host-a", "b").path("/").secure(false),
        "__Host-a=b; Path=/; Secure; HttpOnly; SameSite=Lax",
    );
    check(
        Cookie::removal("__host-a"),
        "__host-a=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; HttpOnly; SameSite=Lax",
    );
}

#[test]
#[should_panic(expected = "a cookie named __Host-… has the path /")]
fn a_host_cookie_has_no_other_path() {
    let _ = Cookie::new("__HOST-a", "b").path("/x");
}

#[test]
#[should_panic(expected = "a cookie named __Host-… has no domain")]
fn a_host_cookie_has_no_domain() {
    let _ = Cookie::new("__Host-a", "b").domain("example.org");
}

#[test]
#[should_panic(expected = "cookie path \"/;Secure\" is malformed")]
fn a_path_forges_no_attribute() {
    let _ = Cookie::new("a", "b").path("/;Secure");
}

#[test]
#[should_panic(expected = "cookie \"a\": cookie value holds white space")]
fn a_bad_value_is_told() {
    let _ = Cookie::new("a", "b; Path=/x");
}

#[test]
fn what_a_browser_would_not_keep_is_refused() {
    for (name, value, error) in [
        ("", "b", HeaderError::Name),
        ("a b", "c", HeaderError::Name),
        ("a=", "b", HeaderError::Name),
        ("ä", "b", HeaderError::Name),
        ("a", "b c", HeaderError::CookieValue),
        ("a", "b\r\nSet-Cookie: c=d", HeaderError::CookieValue),
        ("a", "\"b\"", HeaderError::CookieValue),
        ("a", "ä", HeaderError::CookieValue),
        ("a", &"b".repeat(4096), HeaderError::CookieTooLong),
    ] {
        assert_eq!(Cookie::try_new(name, value), Err(error), "{name:?}");
    }
    assert!(Cookie::try_new("a", &"b".repeat(4095)).is_ok());
}

#[test]
fn cookies_come_from_every_field() {
    let request = Request::new(Method::Get, "/")
        .with_header("Cookie", "a=1; b=\"2\"")
        .with_header("X", "c=3")
        .with_header("COOKIE", "bad; b=4");
    let all: Vec<_> = request.cookies().collect();
    assert_eq!(all, [("a", "1"), ("b", "2"), ("b", "4")]);
    assert_eq!(request.cookie("b"), Some("2"));
    assert_eq!(request.cookie("B"), None);
    assert_eq!(Request::new(Method::Get, "/").cookies().count(), 0);
}

#[test]
fn several_cookies_are_several_fields() {
    let response = Response::text("")
        .cookie(Cookie::new("a", "1"))
        .cookie(Cookie::removal("b"));
    assert_eq!(response.headers().all("Set-Cookie").count(), 2);
}
