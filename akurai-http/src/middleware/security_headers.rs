//! Fields that switch on protections in a browser.

use super::{add, http_head};
use crate::{Reply, Request, Response};

/// Adds fields that every site should have, unless the handler has set them itself:
///
/// | field | value | what it keeps from happening |
/// |---|---|---|
/// | `X-Content-Type-Options` | `nosniff` | an upload is run as a script |
/// | `Content-Security-Policy` | `frame-ancestors 'self'` | another site shows this one in a frame |
/// | `X-Frame-Options` | `SAMEORIGIN` | the same, in an old browser |
/// | `Referrer-Policy` | `same-origin` | another site learns which page a user came from |
/// | `Cross-Origin-Opener-Policy` | `same-origin` | another site steers the window that it opened this one in |
///
/// If the handler sets a `Content-Security-Policy` or an `X-Frame-Options`, no policy is added. A
/// browser obeys `frame-ancestors` instead of `X-Frame-Options`, so the added policy would weaken a
/// `DENY`.
///
/// ```
/// use akurai_http::{Method, Request, Response, Router, middleware};
///
/// let router = Router::new()
///     .get("/", |_| Response::text("").with_header("Referrer-Policy", "no-referrer"))
///     .wrap(middleware::security_headers());
/// let reply = router.handle(&Request::new(Method::Get, "/"));
/// let headers = reply.response().headers();
/// assert_eq!(headers.get("X-Content-Type-Options"), Some("nosniff"));
/// assert_eq!(headers.all("Referrer-Policy").collect::<Vec<_>>(), [b"no-referrer"]);
/// ```
///
/// `Strict-Transport-Security` is not added. A browser keeps that promise of TLS for months, for
/// all ports of the host, so only its owner can give it. Set it where TLS ends: in the proxy, or if
/// the server has a [session](crate::Session), in a line around everything. It must never go out
/// over a connection that [is not secure](Request::is_secure) (RFC 6797 §7.2):
///
/// ```
/// use akurai_http::{Method, Request, Response, Router};
///
/// const HSTS: &str = "Strict-Transport-Security";
/// let router = Router::new().get("/", |_| Response::text("")).wrap(|req, next| {
///     let mut reply = next(req);
///     if req.is_secure() {
///         let mut headers = reply.response_mut().headers_mut();
///         headers.set(HSTS, "max-age=31536000").expect("a value");
///     }
///     reply
/// });
/// for (target, expected) in [("https://localhost/", Some("max-age=31536000")), ("/", None)] {
///     let reply = router.handle(&Request::new(Method::Get, target));
///     assert_eq!(reply.response().headers().get(HSTS), expected);
/// }
/// ```
pub fn security_headers()
-> impl Fn(&Request, &dyn Fn(&Request) -> Reply) -> Reply + Send + Sync + 'static {
    |request, next| {
        let mut reply = next(request);
        if let Some(head) = http_head(&mut reply) {
            secure(head);
        }
        reply
    }
}

fn secure(head: &mut Response) {
    let has = |head: &Response, name| head.headers().bytes(name).is_some();
    if !has(head, "Content-Security-Policy") && !has(head, "X-Frame-Options") {
        add(head, "Content-Security-Policy", "frame-ancestors 'self'");
    }
    for (name, value) in [
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ] {
        if !has(head, name) {
            add(head, name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Method, Status, Upgrade, sse};

    #[track_caller]
    fn check(own: &[(&'static str, &'static str)], expected: &[(&str, &str)]) {
        let reply = security_headers()(&Request::new(Method::Get, "/"), &|_| {
            let plain = Response::new(Status::OK);
            own.iter()
                .fold(plain, |response, (name, value)| {
                    response.with_header(name, value)
                })
                .into()
        });
        let got: Vec<_> = reply.response().headers().iter().collect();
        let expected: Vec<_> = expected.iter().map(|&(n, v)| (n, v.as_bytes())).collect();
        assert_eq!(got, expected);
    }

    const NOSNIFF: (&str, &str) = ("X-Content-Type-Options", "nosniff");
    const POLICY: (&str, &str) = ("Content-Security-Policy", "frame-ancestors 'self'");
    const FRAMES: (&str, &str) = ("X-Frame-Options", "SAMEORIGIN");
    const REFERRER: (&str, &str) = ("Referrer-Policy", "same-origin");
    const OPENER: (&str, &str) = ("Cross-Origin-Opener-Policy", "same-origin");

    #[test]
    fn fields_are_added_once() {
        check(&[], &[POLICY, NOSNIFF, FRAMES, REFERRER, OPENER]);
        check(&[NOSNIFF], &[NOSNIFF, POLICY, FRAMES, REFERRER, OPENER]);
        let own = ("referrer-policy", "no-referrer");
        check(&[own], &[own, POLICY, NOSNIFF, FRAMES, OPENER]);
    }

    #[test]
    fn a_handler_s_own_policy_is_not_weakened() {
        let own = ("Content-Security-Policy", "default-src 'self'");
        check(&[own], &[own, NOSNIFF, FRAMES, REFERRER, OPENER]);
        let own = ("X-Frame-Options", "DENY");
        check(&[own], &[own, NOSNIFF, REFERRER, OPENER]);
    }

    #[test]
    fn upgrades_keep_their_nature() {
        let stream = security_headers()(&Request::new(Method::Get, "/"), &|_| sse(|_| Ok(())));
        assert_eq!(stream.response().headers().get(NOSNIFF.0), Some(NOSNIFF.1));
        assert!(matches!(stream, Reply::Upgrade(_)));
        let switching = security_headers()(&Request::new(Method::Get, "/"), &|_| {
            Upgrade::new(Response::new(Status::SWITCHING_PROTOCOLS), |_| Ok(())).into()
        });
        assert!(switching.response().headers().is_empty());
    }
}
