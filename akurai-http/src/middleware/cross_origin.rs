//! Refuses what a page of another site makes a browser send (CSRF).

use crate::codec::origin::{is_origin, is_own_origin};
use crate::{Reply, Request, Response, Status};

/// Refuses requests that a page of another origin makes its visitor's browser send, with the
/// visitor's cookies (cross-site request forgery). It asks for no token in forms.
///
/// The rules are those of Go's `http.CrossOriginProtection`, in this order:
///
/// 1. A [safe](crate::Method::is_safe) method passes: `GET`, `HEAD`, `OPTIONS`, `QUERY` and
///    `TRACE`. So their handlers must change nothing. Go lets only the first three pass.
/// 2. If the request has a `Sec-Fetch-Site` field (W3C Fetch Metadata §2.3), it passes with
///    `same-origin` or `none`, and is refused with `cross-site`, `same-site` or anything else. Each
///    current browser sends the field, and no page can forge it.
/// 3. Otherwise, if it has an `Origin` (RFC 6454 §7), it passes if that names the same host and
///    port as the request's [`authority`](Request::authority). If the request
///    [is secure](Request::is_secure), the scheme must be `https` too, which Go does not compare:
///    an attacker in the network can write any page of `http:`. If it is not, the scheme is not
///    compared, since a proxy that is not [trusted](crate::Server::trust) may speak TLS.
/// 4. A request with neither comes from a program that is no browser, and passes.
///
/// A request that 2 or 3 would refuse still passes if its `Origin` is [trusted](Self::trust), or
/// its path is [bypassed](Self::bypass). If a field comes twice, each of them must pass. The answer
/// to a refused request is 403 with a line of text; no handler runs.
///
/// A browser sends `Sec-Fetch-Site` only to `https:` and to this machine itself. Elsewhere rule 3
/// decides: a proxy must pass the client's `Host` on.
///
/// [`Cors`](super::Cors) decides which pages may read an answer, and lets each request pass. Name
/// an origin in both if its pages should write and read. Wrap [`Cors`](super::Cors) later, so that
/// it also adds its fields to the 403. WebSocket's handshake is a `GET`, and `akurai-ws` checks its
/// origin.
///
/// ```
/// use akurai_http::middleware::CrossOriginProtection;
/// use akurai_http::{Method, Request, Response, Router, Status};
///
/// let protection = CrossOriginProtection::new()
///     .trust(["https://app.example"])
///     .bypass(["/webhook"]);
/// let router = Router::new()
///     .post("/transfer", |_| Response::text("done\n"))
///     .wrap(protection.middleware());
///
/// let post = || Request::new(Method::Post, "/transfer");
/// let status = |request: Request| router.handle(&request).response().status();
/// assert_eq!(status(post().with_header("Sec-Fetch-Site", "same-origin")), Status::OK);
/// assert_eq!(status(post().with_header("Sec-Fetch-Site", "cross-site")), Status::FORBIDDEN);
/// assert_eq!(status(post().with_header("Origin", "https://evil.example")), Status::FORBIDDEN);
/// assert_eq!(status(post().with_header("Origin", "https://app.example")), Status::OK);
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "it protects nothing until a router wraps its `middleware()`"]
pub struct CrossOriginProtection {
    trusted: Vec<String>,
    bypassed: Vec<String>,
}

impl CrossOriginProtection {
    /// Trusts no other origin and bypasses no path.
    pub fn new() -> CrossOriginProtection {
        CrossOriginProtection::default()
    }

    /// Lets pages of these origins send requests too: `https://app.example`, for example. Default
    /// none.
    ///
    /// # Panics
    ///
    /// If an origin could never match because browsers write it differently. They write scheme,
    /// host, and the port unless it is the scheme's default, in lower case, with nothing after
    /// them. `null` cannot be trusted: any page can have that origin.
    #[track_caller]
    pub fn trust<T: Into<String>>(mut self, origins: impl IntoIterator<Item = T>) -> Self {
        for origin in origins {
            let origin = origin.into();
            assert!(
                is_origin(&origin),
                "{origin:?} is not an origin as browsers write it, like https://app.example"
            );
            self.trusted.push(origin);
        }
        self
    }

    /// Lets requests for exactly these paths pass, wherever they come from: `/webhook`, for
    /// example. Default none. Such a handler must not act on cookies.
    ///
    /// A path is compared with the whole path that the client sends, byte by byte. Another spelling
    /// of it, `/%77ebhook`, is not bypassed. There are no patterns: for many paths, put their
    /// routes into a router without this protection.
    ///
    /// # Panics
    ///
    /// If a path could never match, or is meant as a pattern: it does not begin with `/`, or has a
    /// `?`, `#`, `{` or `*`.
    #[track_caller]
    pub fn bypass<T: Into<String>>(mut self, paths: impl IntoIterator<Item = T>) -> Self {
        for path in paths {
            let path = path.into();
            assert!(
                path.starts_with('/') && !path.contains(['?', '#', '{', '*']),
                "{path:?} is not a whole path, like /webhook"
            );
            self.bypassed.push(path);
        }
        self
    }

    /// The function for [`Router::wrap`](crate::Router::wrap).
    pub fn middleware(
        self,
    ) -> impl Fn(&Request, &dyn Fn(&Request) -> Reply) -> Reply + Send + Sync + 'static {
        move |request, next| match self.refusal(request) {
            None => next(request),
            Some(message) => Response::plain(Status::FORBIDDEN, message).into(),
        }
    }

    /// Why the request is refused; `None` if it passes.
    fn refusal(&self, request: &Request) -> Option<&'static str> {
        if request.method().is_safe() {
            return None;
        }
        // An empty field counts as none, as in Go.
        let lines = |name| request.headers().all(name).filter(|v| !v.is_empty());
        let is_own_site = |site: &[u8]| matches!(site, b"same-origin" | b"none");
        let is_own =
            |origin: &[u8]| is_own_origin(origin, request.authority(), request.is_secure());
        let message = if lines("Sec-Fetch-Site").next().is_some() {
            if lines("Sec-Fetch-Site").all(is_own_site) {
                return None;
            }
            "cross-origin request refused (Sec-Fetch-Site)"
        } else {
            if lines("Origin").all(is_own) {
                return None;
            }
            "cross-origin request refused (Origin is another host or scheme)"
        };
        let is_trusted = |origin: &[u8]| {
            self.trusted
                .iter()
                .any(|trusted| trusted.as_bytes() == origin)
        };
        let all_trusted = lines("Origin").next().is_some() && lines("Origin").all(is_trusted);
        let is_bypassed = self.bypassed.iter().any(|path| path == request.path());
        (!all_trusted && !is_bypassed).then_some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Method;

    fn status(protection: CrossOriginProtection, request: Request) -> u16 {
        let answer = |_: &Request| Response::text("").into();
        let reply = protection.middleware()(&request, &answer);
        reply.response().status().code()
    }

    fn request(method: Method, path: &str, fields: &[(&str, &str)]) -> Request {
        let request = Request::new(method, path).with_header("Host", "example.com");
        let with =
            |request: Request, &(name, value): &(&str, &str)| request.with_header(name, value);
        fields.iter().fold(request, with)
    }

    #[track_caller]
    fn check(method: Method, fields: &[(&str, &str)], expected: u16) {
        let got = status(CrossOriginProtection::new(), request(method, "/", fields));
        assert_eq!(got, expected, "{method} {fields:?}");
    }

    const SITE: &str = "Sec-Fetch-Site";
    const ORIGIN: &str = "Origin";
    const OWN: (&str, &str) = (ORIGIN, "https://example.com");
    const EVIL: (&str, &str) = (ORIGIN, "https://attacker.example");

    #[test]
    fn the_table_of_go() {
        use Method::*;
        check(Post, &[(SITE, "same-origin")], 200);
        check(Post, &[(SITE, "none")], 200);
        check(Post, &[(SITE, "cross-site")], 403);
        check(Post, &[(SITE, "same-site")], 403);
        check(Post, &[], 200);
        check(Post, &[OWN], 200);
        check(Post, &[EVIL], 403);
        check(Post, &[(ORIGIN, "null")], 403);
        for method in [Get, Head, Options] {
            check(method, &[(SITE, "cross-site")], 200);
            check(method, &[EVIL], 200);
        }
        for method in [Put, Patch, Delete] {
            check(method, &[(SITE, "cross-site")], 403);
            check(method, &[EVIL], 403);
        }
    }

    #[test]
    fn sec_fetch_site_decides_before_origin() {
        check(Method::Post, &[(SITE, "same-origin"), EVIL], 200);
        check(Method::Post, &[(SITE, "cross-site"), OWN], 403);
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        let post = |fields: &[(&str, &str)], expected| check(Method::Post, fields, expected);
        post(&[(SITE, "Same-Origin")], 403);
        post(&[(SITE, "same-origin, cross-site")], 403);
        post(&[(SITE, "same-origin"), (SITE, "cross-site")], 403);
        post(&[(SITE, "cross-site"), (SITE, "same-origin")], 403);
        post(&[(SITE, "same-origin"), (SITE, "same-origin")], 200);
        post(&[OWN, EVIL], 403);
        post(&[EVIL, OWN], 403);
        post(&[(ORIGIN, "https://example.com/")], 403);
        post(&[(ORIGIN, "example.com")], 403);
        post(&[(SITE, ""), EVIL], 403);
        post(&[(SITE, ""), OWN], 200);
        let bytes = Request::new(Method::Post, "/").with_header(SITE, b"same-origin\xff");
        assert_eq!(status(CrossOriginProtection::new(), bytes), 403);
    }

    #[test]
    fn trusted_origins_pass_by_either_field() {
        let check = |fields: &[(&str, &str)], expected| {
            let protection = CrossOriginProtection::new().trust(["https://trusted.example"]);
            let request = request(Method::Post, "/", fields);
            assert_eq!(status(protection, request), expected, "{fields:?}");
        };
        let trusted = (ORIGIN, "https://trusted.example");
        check(&[trusted], 200);
        check(&[trusted, (SITE, "cross-site")], 200);
        check(&[EVIL, (SITE, "cross-site")], 403);
        check(&[(SITE, "cross-site")], 403);
        check(&[(ORIGIN, ""), (SITE, "cross-site")], 403);
        check(&[trusted, EVIL, (SITE, "cross-site")], 403);
        check(&[(ORIGIN, "https://trusted.example.evil.example")], 403);
        check(&[(ORIGIN, "http://trusted.example")], 403);
    }

    #[test]
    fn a_secure_request_comes_from_a_secure_page() {
        for (target, origin, expected) in [
            ("https://example.com/", "https://example.com", 200),
            ("https://example.com:443/", "https://example.com", 200),
            ("https://example.com:8443/", "https://example.com:8443", 200),
            ("https://example.com/", "http://example.com", 403),
            ("https://example.com:80/", "http://example.com", 403),
            ("https://example.com/", "https://attacker.example", 403),
            // A proxy that is not trusted may speak TLS.
            ("http://example.com/", "https://example.com", 200),
            ("http://example.com/", "http://example.com", 200),
        ] {
            let post = || Request::new(Method::Post, target).with_header(ORIGIN, origin);
            let plain = CrossOriginProtection::new();
            assert_eq!(status(plain.clone(), post()), expected, "{origin} {target}");
            let trusting = plain.trust([origin]);
            assert_eq!(status(trusting, post()), 200, "{origin} is trusted");
        }
    }

    #[test]
    fn a_bypass_is_one_path_in_one_spelling() {
        for (path, expected) in [
            ("/hook", 200),
            ("/hook?a=b", 200),
            ("/hook/", 403),
            ("/hook/x", 403),
            ("/%68ook", 403),
            ("/x/../hook", 403),
            ("//hook", 403),
            ("/Hook", 403),
        ] {
            let protection = CrossOriginProtection::new().bypass(["/hook"]);
            let request = request(Method::Post, path, &[(SITE, "cross-site"), EVIL]);
            assert_eq!(status(protection, request), expected, "{path}");
        }
    }

    #[test]
    fn what_could_never_match_is_a_panic() {
        let panics = |make: fn() -> CrossOriginProtection| std::panic::catch_unwind(make).is_err();
        assert!(panics(|| CrossOriginProtection::new().trust(["null"])));
        assert!(panics(|| CrossOriginProtection::new().trust(["https://a/"])));
        assert!(panics(|| CrossOriginProtection::new().trust(["*"])));
        assert!(panics(|| CrossOriginProtection::new().bypass(["hook"])));
        assert!(panics(|| CrossOriginProtection::new().bypass(["/{x}"])));
        assert!(panics(|| CrossOriginProtection::new().bypass([""])));
    }
}
