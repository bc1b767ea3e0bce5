//! Compresses responses for clients that accept it.

use crate::codec::coding::{AcceptedCodings, ContentCoding};
use crate::codec::deflate::Level;
use crate::codec::gzip;
use crate::codec::media::is_compressible;
use crate::message::body_writer::Coded;
use crate::message::response::Body;
use crate::{Reply, Request, Response, Status};

/// Compresses responses with gzip (RFC 1952) for clients that accept it, for
/// [`Router::wrap`](crate::Router::wrap).
///
/// `Accept-Encoding` is read with its weights (RFC 9110 §12.5.3), and every response that could
/// have been compressed says so in `Vary`. These responses are not compressed: short ones,
/// compressed media types, ones that have a coding already, parts (206), answers without content,
/// and ones with `Cache-Control: no-transform` or a digest. A compressed response's entity tag
/// becomes weak (§8.8.1), and it no longer offers ranges. If a client still asks for a range,
/// without `If-Range`, it gets a part of the uncompressed content.
///
/// A streamed body is compressed while it is written; when its handler
/// [flushes](std::io::Write::flush), the output is sent at once. Event streams are not compressed:
/// use [`SseOptions::gzip`](crate::SseOptions::gzip) for them. Compressing takes time for each
/// response. So compress files once and put the result beside them ([`Files`](crate::Files)).
///
/// Do not compress a page that has both a secret and text that an attacker can choose: the page's
/// length shows whether the two are alike (the BREACH attack).
///
/// ```
/// use akurai_http::{Method, Request, Response, Router, middleware::Gzip};
///
/// let router = Router::new()
///     .get("/", |_| Response::text("to be or not to be, ".repeat(100)))
///     .wrap(Gzip::new().middleware());
/// let reply = router.handle(&Request::new(Method::Get, "/").with_header("Accept-Encoding", "gzip, br"));
/// let response = reply.response();
/// assert_eq!(response.headers().get("Content-Encoding"), Some("gzip"));
/// assert_eq!(response.headers().get("Vary"), Some("Accept-Encoding"));
/// assert!(response.body().unwrap().len() < 100);
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "`Gzip` does nothing until `Router::wrap` gets its `middleware()`"]
pub struct Gzip {
    level: Level,
    threshold_bytes: u64,
}

impl Gzip {
    /// Level 6, for bodies of at least 1 KiB.
    pub fn new() -> Gzip {
        Gzip {
            level: Level::default(),
            threshold_bytes: 1024,
        }
    }

    /// The compression level. Default 6.
    pub fn level(mut self, level: Level) -> Gzip {
        self.level = level;
        self
    }

    /// Shortest body that is compressed, in bytes. Default 1 KiB. A stream of unknown length is
    /// always long enough.
    pub fn threshold_bytes(mut self, bytes: u64) -> Gzip {
        self.threshold_bytes = bytes;
        self
    }

    /// The function for [`Router::wrap`](crate::Router::wrap).
    pub fn middleware(
        self,
    ) -> impl Fn(&Request, &dyn Fn(&Request) -> Reply) -> Reply + Send + Sync + 'static {
        move |request, next| match next(request) {
            Reply::Response(response) => Reply::Response(self.respond(request, response)),
            upgrade => upgrade,
        }
    }

    fn respond(&self, request: &Request, mut response: Response) -> Response {
        // A 304 is about an earlier response. If the client's tag is weak now, that one was
        // compressed. Whether it could have been compressed is not known here. A 304 must have the
        // same `Vary` as the 200 (RFC 9110 §15.4.5).
        if response.status() == Status::NOT_MODIFIED {
            if response.headers().bytes("ETag").is_some() {
                response.vary_by_coding();
            }
            return match has_weak_tag_of(request, &response) {
                true => with_weak_tag(response),
                false => response,
            };
        }
        if !self.is_worth_it(&response) {
            return response;
        }
        response.vary_by_coding();
        match AcceptedCodings::of(request.headers()).prefers(ContentCoding::Gzip) {
            true => self.compress(response),
            false => response,
        }
    }

    fn is_worth_it(&self, response: &Response) -> bool {
        let headers = response.headers();
        let has = |name| headers.bytes(name).is_some();
        let may_transform = !headers
            .tokens("Cache-Control")
            .any(|directive| directive.eq_ignore_ascii_case(b"no-transform"));
        let known = response.body().map(|bytes| bytes.len() as u64);
        let length = match (response.parts.declared_length, known) {
            // An answer to HEAD that declares the length of GET's body.
            (Some(declared), _) => declared,
            (None, Some(known)) => known,
            (None, None) => u64::MAX,
        };
        let status = response.status();
        may_transform
            && !status.is_bodiless()
            && status != Status::PARTIAL_CONTENT
            && status != Status::RESET_CONTENT
            && !has("Content-Encoding")
            && !has("Content-Range")
            && !has("Content-Digest")
            && !has("Content-MD5")
            && length > 0
            && length >= self.threshold_bytes
            && headers.bytes("Content-Type").is_some_and(is_compressible)
    }

    fn compress(&self, mut response: Response) -> Response {
        if let Some(content @ [_, ..]) = response.body() {
            let coded = gzip::GzipEncoder::whole(self.level, content);
            if coded.len() >= content.len() {
                return response;
            }
            response.parts.declared_length = None;
            response.parts.body = Body::Bytes(coded);
        } else {
            // A stream, or an answer to HEAD: the compressed length is not known in advance.
            let content_bytes = response.parts.declared_length.take();
            if response.body().is_some() {
                response = response.with_stream(|_| Ok(()));
            }
            response.parts.coded = Some(Coded {
                level: self.level,
                content_bytes,
            });
        }
        with_weak_tag(response)
            .without_header("Accept-Ranges")
            .with_header("Content-Encoding", "gzip")
    }
}

impl Default for Gzip {
    fn default() -> Gzip {
        Gzip::new()
    }
}

/// Whether the request has the response's entity tag in its weak form.
fn has_weak_tag_of(request: &Request, response: &Response) -> bool {
    let Some(tag) = response
        .headers()
        .bytes("ETag")
        .filter(|tag| tag.starts_with(b"\""))
    else {
        return false;
    };
    let weak = [b"W/", tag].concat();
    let lists = |field: &[u8]| field.windows(weak.len()).any(|part| part == weak);
    request.headers().all("If-None-Match").any(lists)
}

/// Makes the entity tag weak, if there is one: the content is the same, the bytes are not.
fn with_weak_tag(response: Response) -> Response {
    let Some(tag) = response.headers().get("ETag").map(str::to_owned) else {
        return response;
    };
    if tag.starts_with("W/") {
        return response;
    }
    response
        .without_header("ETag")
        .with_header("ETag", format!("W/{tag}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Method, Router, sse};

    fn text() -> Response {
        Response::text("to be or not to be, ".repeat(100))
    }

    /// The response of a handler inside the middleware.
    fn answer(accept: &str, make: fn() -> Response) -> Response {
        let router = Router::new()
            .get("/", move |_| make())
            .wrap(Gzip::new().middleware());
        let request = match accept {
            "" => Request::new(Method::Get, "/"),
            accept => Request::new(Method::Get, "/").with_header("Accept-Encoding", accept),
        };
        match router.handle(&request) {
            Reply::Response(response) => response,
            Reply::Upgrade(_) => panic!("no upgrade was made"),
        }
    }

    #[track_caller]
    fn check(accept: &str, make: fn() -> Response, coding: Option<&str>, varies: bool) {
        let response = answer(accept, make);
        let headers = response.headers();
        assert_eq!(headers.get("Content-Encoding"), coding);
        assert_eq!(headers.get("Vary").is_some(), varies);
    }

    #[test]
    fn rfc9110_12_5_3_who_gets_it() {
        check("gzip", text, Some("gzip"), true);
        check("br, x-gzip;q=0.1", text, Some("gzip"), true);
        check("*", text, Some("gzip"), true);
        for accept in ["", "br", "gzip;q=0", "identity, gzip;q=0.5", "*;q=0"] {
            check(accept, text, None, true);
        }
    }

    #[test]
    fn what_is_left_as_it_is() {
        check("gzip", || Response::text("short"), None, false);
        check(
            "gzip",
            || text().with_header("Content-Encoding", "br"),
            Some("br"),
            false,
        );
        check(
            "gzip",
            || text().with_header("Cache-Control", "public, no-transform"),
            None,
            false,
        );
        check(
            "gzip",
            || text().with_status(Status::PARTIAL_CONTENT),
            None,
            false,
        );
        check(
            "gzip",
            || text().with_status(Status::NO_CONTENT),
            None,
            false,
        );
        let picture = || {
            text()
                .without_header("Content-Type")
                .with_header("Content-Type", "image/png")
        };
        check("gzip", picture, None, false);
        check(
            "gzip",
            || text().without_header("Content-Type"),
            None,
            false,
        );
        let noise = || {
            let mut seed = 1u64;
            let mut next = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 56) as u8
            };
            Response::text((0..2000).map(|_| next()).collect::<Vec<u8>>())
        };
        check("gzip", noise, None, true);
        let events = Gzip::new().middleware()(
            &Request::new(Method::Get, "/").with_header("Accept-Encoding", "gzip"),
            &|_| sse(|_| Ok(())),
        );
        assert_eq!(events.response().headers().get("Content-Encoding"), None);
    }

    #[test]
    fn fields_that_spoke_of_the_bytes() {
        let tagged = || {
            text()
                .with_header("ETag", "\"a\"")
                .with_header("Accept-Ranges", "bytes")
                .content_length(2000)
        };
        let response = answer("gzip", tagged);
        assert_eq!(response.headers().get("ETag"), Some("W/\"a\""));
        assert_eq!(response.headers().get("Accept-Ranges"), None);
        assert_eq!(response.parts.declared_length, None);
        let response = answer("", tagged);
        assert_eq!(response.headers().get("ETag"), Some("\"a\""));
        let unchanged = |sent: &str| {
            let request = Request::new(Method::Get, "/").with_header("If-None-Match", sent);
            let reply = Gzip::new().middleware()(&request, &|_| {
                Response::new(Status::NOT_MODIFIED)
                    .with_header("ETag", "\"a\"")
                    .into()
            });
            let headers = reply.response().headers();
            (
                headers.get("ETag").map(str::to_owned),
                headers.get("Vary").is_some(),
            )
        };
        assert_eq!(unchanged("\"b\", W/\"a\""), (Some("W/\"a\"".into()), true));
        assert_eq!(unchanged("\"a\""), (Some("\"a\"".into()), true));
        let weak = || {
            text()
                .with_header("ETag", "W/\"a\"")
                .with_header("Vary", "accept-encoding")
        };
        let response = answer("gzip", weak);
        assert_eq!(
            response.headers().all("ETag").collect::<Vec<_>>(),
            [b"W/\"a\""]
        );
        assert_eq!(response.headers().all("Vary").count(), 1);
    }

    #[test]
    fn options_are_kept() {
        let lines = || {
            (0..400)
                .map(|n| format!("{} of {n}\n", n * n % 97))
                .collect::<String>()
        };
        let bytes = |gzip: Gzip, text: String| {
            let request = Request::new(Method::Get, "/").with_header("Accept-Encoding", "gzip");
            let reply = gzip.middleware()(&request, &|_| Response::text(text.clone()).into());
            let coding = reply.response().headers().get("Content-Encoding");
            let length = reply.response().body().map_or(0, <[u8]>::len);
            coding.is_some().then_some(length)
        };
        let fastest = bytes(Gzip::new().level(Level::FASTEST), lines());
        let smallest = bytes(Gzip::new().level(Level::SMALLEST), lines());
        assert!(fastest > smallest && smallest.is_some());
        let short = || "a".repeat(100);
        assert!(bytes(Gzip::new().threshold_bytes(100), short()).is_some());
        assert_eq!(bytes(Gzip::new().threshold_bytes(101), short()), None);
    }
}
