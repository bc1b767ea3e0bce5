//! Answers to conditional requests (RFC 9110 §13), for files and for what handlers make.

use std::mem;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::codec::conditional::{EntityTag, Validators, Verdict, evaluate, has_conditions};
use crate::codec::date::{http_date, imf_fixdate};
use crate::message::response::Unsettled;
use crate::{Method, Reply, Request, Response, Status};

/// Fields that describe content. A response without content must not have them.
const CONTENT_FIELDS: [&str; 5] = [
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Type",
];

impl Response {
    /// Names the version of the content: sets `ETag` (RFC 9110 §8.8.3), and lets the router answer
    /// the request's conditions, as for files. A `GET` or `HEAD` whose client has this version
    /// (`If-None-Match`) gets 304 without the content. One that is for another version (`If-Match`)
    /// gets 412. Conditions are for answers with status 200 to these two methods: an answer to
    /// `QUERY` is never 304, since its content depends on the request's body. The field alone, set
    /// with [`with_header`](Response::with_header), answers none.
    ///
    /// The tag stands without its quotes, such as `v7`, and is then a strong one: with it, the
    /// content is the same byte for byte. A weak tag stands as in the field: `W/"v7"`. It says that
    /// the content means the same, and matches no `If-Match`. [`Gzip`](crate::middleware::Gzip)
    /// makes the tags of what it compresses weak.
    ///
    /// The handler still makes the whole content. One that can tell the version before that calls
    /// [`check_preconditions`](Request::check_preconditions) first. So does one that changes
    /// something.
    ///
    /// ```
    /// use akurai_http::{Method, Request, Response, Router, Status};
    ///
    /// let router = Router::new().get("/news", |_| Response::text("quiet\n").etag("v7"));
    /// let request = Request::new(Method::Get, "/news").with_header("If-None-Match", "\"v7\"");
    /// assert_eq!(router.handle(&request).response().status(), Status::NOT_MODIFIED);
    /// ```
    ///
    /// # Panics
    ///
    /// If the tag has a quote, a space or a control character within.
    #[track_caller]
    pub fn etag(self, tag: &str) -> Response {
        let mut response = self
            .without_header("ETag")
            .with_header("ETag", with_quotes(tag));
        response.settle_conditions_later();
        response
    }

    /// Says when the content changed last: sets `Last-Modified` (RFC 9110 §8.8.2), and lets the
    /// router answer the request's conditions (`If-Modified-Since` with 304, `If-Unmodified-Since`
    /// with 412), as [`etag`](Response::etag) does. If the client sends conditions on the tag too,
    /// those count instead.
    ///
    /// A date has whole seconds, so use a tag for what changes more often. A time in the future
    /// becomes the present, and a time before 1970 sets no field.
    ///
    /// ```
    /// use akurai_http::Response;
    /// use std::time::{Duration, UNIX_EPOCH};
    ///
    /// let page = Response::html("…").last_modified(UNIX_EPOCH + Duration::from_secs(784_111_777));
    /// assert_eq!(page.headers().get("Last-Modified"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    /// ```
    pub fn last_modified(mut self, time: SystemTime) -> Response {
        self.parts.headers.remove("Last-Modified");
        // Never later than Date (RFC 9110 §8.8.2.1).
        let time = time.min(SystemTime::now());
        if let Ok(since) = time.duration_since(UNIX_EPOCH) {
            let date = imf_fixdate(since.as_secs());
            self.parts.headers.append_known(b"Last-Modified", &date);
            self.settle_conditions_later();
        }
        self
    }

    /// Settles what only the request decides: whether its conditions want this answer, and whether
    /// the library's own text becomes problem+json. The router calls this when a handler or
    /// middleware returns, so that the middleware around it sees the answer as it is sent. The
    /// connection does so for what passes no router.
    #[inline]
    pub(crate) fn settle(&mut self, request: &Request) {
        if self.parts.unsettled != Unsettled::Nothing {
            self.settle_with(request);
        }
    }

    fn settle_conditions_later(&mut self) {
        // The library's own texts are errors, which have no conditions.
        if self.parts.unsettled == Unsettled::Nothing {
            self.parts.unsettled = Unsettled::Conditions;
        }
    }

    #[cold]
    fn settle_with(&mut self, request: &Request) {
        if self.parts.unsettled == Unsettled::Conditions {
            self.parts.unsettled = Unsettled::Nothing;
            // With another status, the answer is not what the target names (RFC 9110 §13.2.1).
            let may_settle = reads(request) && self.status() == Status::OK;
            if may_settle && has_conditions(request.headers()) {
                let whole = mem::replace(self, Response::new(Status::OK));
                let now = unix_seconds(SystemTime::now());
                *self = match meet_conditions(request, whole, now) {
                    Ok(settled) | Err(settled) => settled,
                };
            }
        }
        if self.parts.unsettled == Unsettled::OwnText {
            self.parts.unsettled = Unsettled::Nothing;
            self.settle_own_text(request.headers());
        }
    }
}

impl Reply {
    /// As [`Response::settle`]. The head of an upgrade has nothing to settle.
    #[inline]
    pub(crate) fn settle(&mut self, request: &Request) {
        if let Reply::Response(response) = self {
            response.settle(request);
        }
    }
}

impl Request {
    /// Checks the request's conditions (RFC 9110 §13) before the handler acts: before `PUT`,
    /// `PATCH` or `DELETE` changes what somebody else has changed meanwhile, and before `GET` makes
    /// content that costs much. `etag` and `last_modified` are of the version that is there now, as
    /// [`Response::etag`] and [`Response::last_modified`] take them. `None` for both says that
    /// nothing is there yet: then `If-None-Match: *` lets the handler create it, and `If-Match`
    /// fails.
    ///
    /// The check and the change must be one step, under one lock or in one transaction. Otherwise
    /// somebody else can come between. A request without conditions passes; a handler that insists
    /// on them answers 428 (RFC 6585 §3) by itself.
    ///
    /// `If-Match` compares strongly: a weak tag never matches, so `PUT` needs strong tags, and
    /// content that [`Gzip`](crate::middleware::Gzip) leaves alone.
    ///
    /// ```
    /// use akurai_http::{Method, Reply, Request, Response, Status};
    /// use std::sync::Mutex;
    ///
    /// static NOTE: Mutex<(u32, String)> = Mutex::new((7, String::new()));
    ///
    /// fn save(req: &Request) -> Result<Response, Reply> {
    ///     let text = String::from_utf8_lossy(&req.body()?).into_owned();
    ///     let mut note = NOTE.lock().unwrap();
    ///     req.check_preconditions(Some(&note.0.to_string()), None)?; // 412
    ///     *note = (note.0 + 1, text);
    ///     Ok(Response::new(Status::NO_CONTENT).etag(&note.0.to_string()))
    /// }
    /// let put = |tag| Request::new(Method::Put, "/note").with_header("If-Match", tag);
    /// let status = |tag| Reply::from(save(&put(tag))).response().status();
    /// assert_eq!(status("\"6\""), Status::PRECONDITION_FAILED);
    /// assert_eq!(status("\"7\""), Status::NO_CONTENT);
    /// assert_eq!(status("\"7\""), Status::PRECONDITION_FAILED);
    /// ```
    ///
    /// # Errors
    ///
    /// The answer: 412, or 304 to a `GET` or `HEAD` whose client has this version. Any other method
    /// gets 412 instead of 304 (RFC 9110 §13.1.2), `QUERY` too. The 304 has the validators. If the
    /// whole answer has `Cache-Control`, `Expires` or `Vary`, the 304 should have them too
    /// (§15.4.5): add them to the error, or let [`Response::etag`] do it all.
    ///
    /// # Panics
    ///
    /// As [`Response::etag`].
    #[track_caller]
    pub fn check_preconditions(
        &self,
        etag: Option<&str>,
        last_modified: Option<SystemTime>,
    ) -> Result<(), Reply> {
        let mut current = Response::new(Status::OK);
        if let Some(tag) = etag {
            current = current.etag(tag);
        }
        if let Some(time) = last_modified {
            current = current.last_modified(time);
        }
        let now = unix_seconds(SystemTime::now());
        let met = meet_conditions(self, current, now);
        met.map(Response::recycle).map_err(|mut answer| {
            answer.settle(self);
            answer.into()
        })
    }
}

/// The response if the request's conditions want it; otherwise 304 or 412 in its place. `now` is in
/// seconds since 1970.
pub(crate) fn meet_conditions(
    request: &Request,
    response: Response,
    now: u64,
) -> Result<Response, Response> {
    let own = validators(&response, now);
    match evaluate(request.headers(), reads(request), own, now) {
        Verdict::Proceed => Ok(response),
        Verdict::NotModified => Err(not_modified(response)),
        Verdict::Failed => {
            Err(response.refused(Status::PRECONDITION_FAILED, "precondition failed"))
        }
    }
}

/// The validators that the response shows, from the library or the handler. `now` is in seconds
/// since 1970.
pub(crate) fn validators(response: &Response, now: u64) -> Validators<'_> {
    let field = |name| response.headers().bytes(name);
    Validators {
        etag: field("ETag").and_then(EntityTag::parse),
        last_modified: field("Last-Modified").and_then(|date| http_date(date, now)),
    }
}

/// 304 names the version that it is about, and keeps the fields that caches need (RFC 9110
/// §15.4.5). The date is among them if there is no tag.
fn not_modified(mut response: Response) -> Response {
    for name in CONTENT_FIELDS {
        response = response.without_header(name);
    }
    if response.headers().bytes("ETag").is_some() {
        response = response.without_header("Last-Modified");
    }
    (response.parts.declared_length, response.parts.coded) = (None, None);
    response.with_status(Status::NOT_MODIFIED).with_body("")
}

/// Whether the request asks for content, so that conditions may spare it (RFC 9110 §13.1.2).
fn reads(request: &Request) -> bool {
    matches!(request.method(), Method::Get | Method::Head)
}

fn with_quotes(tag: &str) -> String {
    match EntityTag::parse(tag.as_bytes()) {
        Some(_) => tag.to_owned(),
        None => format!("\"{tag}\""),
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Router;
    use crate::middleware::Gzip;

    const PAST: Duration = Duration::from_secs(784_111_777);
    const PAST_DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn fields(response: &Response) -> Vec<String> {
        let fields = response.headers().iter();
        fields
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
            .collect()
    }

    #[test]
    fn rfc9110_8_8_3_a_tag_gets_its_quotes() {
        for (tag, field) in [
            ("v7", "\"v7\""),
            ("", "\"\""),
            ("W/v7", "\"W/v7\""),
            ("\"v7\"", "\"v7\""),
            ("W/\"v7\"", "W/\"v7\""),
        ] {
            let response = Response::text("").etag("before").etag(tag);
            let tags: Vec<_> = response.headers().all("ETag").collect();
            assert_eq!(tags, [field.as_bytes()], "{tag}");
        }
        for tag in ["a\"b", "a b", "a\n", "W/\"a", "\"a\", \"b\""] {
            let made = std::panic::catch_unwind(|| Response::text("").etag(tag));
            assert!(made.is_err(), "{tag:?}");
        }
    }

    #[test]
    fn rfc9110_8_8_2_a_date_is_none_of_the_future_and_none_before_1970() {
        let date = |time| {
            let response = Response::text("").last_modified(time);
            response.headers().get("Last-Modified").map(str::to_owned)
        };
        assert_eq!(date(UNIX_EPOCH + PAST).as_deref(), Some(PAST_DATE));
        assert_eq!(date(UNIX_EPOCH - Duration::from_secs(1)), None);
        let now = SystemTime::now();
        let shown = date(now + Duration::from_secs(1 << 20)).expect("a date");
        let shown = http_date(shown.as_bytes(), unix_seconds(now)).expect("a date");
        assert!(shown <= unix_seconds(SystemTime::now()) as i64);
    }

    #[test]
    fn rfc9110_15_4_5_what_a_304_keeps() {
        let page = || {
            Response::html("long")
                .with_header("Cache-Control", "max-age=60")
                .with_header("Content-Language", "en")
                .with_header("Set-Cookie", "a=b")
                .content_length(4)
                .last_modified(UNIX_EPOCH + PAST)
        };
        let get = || Request::new(Method::Get, "/");
        let mut tagged = page().etag("a");
        tagged.settle(&get().with_header("If-None-Match", "\"a\""));
        assert_eq!(tagged.status(), Status::NOT_MODIFIED);
        assert_eq!(
            fields(&tagged),
            [
                "Cache-Control: max-age=60",
                "Set-Cookie: a=b",
                "ETag: \"a\""
            ]
        );
        assert_eq!(tagged.body(), Some(&b""[..]));
        let mut dated = page();
        dated.settle(&get().with_header("If-Modified-Since", PAST_DATE));
        assert_eq!(dated.status(), Status::NOT_MODIFIED);
        assert!(fields(&dated).contains(&format!("Last-Modified: {PAST_DATE}")));
    }

    #[test]
    fn rfc9110_13_2_1_other_statuses_and_methods_have_no_conditions() {
        let settled = |method, status| {
            let request = Request::new(method, "/").with_header("If-None-Match", "\"a\"");
            let mut response = Response::text("x").with_status(status).etag("a");
            response.settle(&request);
            response.status().code()
        };
        assert_eq!(settled(Method::Get, Status::OK), 304);
        assert_eq!(settled(Method::Head, Status::OK), 304);
        assert_eq!(settled(Method::Get, Status::CREATED), 201);
        assert_eq!(settled(Method::Get, Status::NOT_FOUND), 404);
        assert_eq!(settled(Method::Put, Status::OK), 200);
        assert_eq!(settled(Method::Post, Status::OK), 200);
    }

    /// Each line: method, condition, the tag of what is there; the status, or 0 to go on.
    #[test]
    fn rfc9110_13_1_checked_before_the_handler_acts() {
        for (method, name, value, tag, status) in [
            (Method::Put, "If-Match", "\"a\"", Some("a"), 0),
            (Method::Put, "If-Match", "\"b\"", Some("a"), 412),
            (Method::Put, "If-Match", "W/\"a\"", Some("W/\"a\""), 412),
            (Method::Put, "If-Match", "*", Some("a"), 0),
            (Method::Put, "If-Match", "*", None, 412),
            (Method::Put, "If-None-Match", "*", None, 0),
            (Method::Put, "If-None-Match", "*", Some("a"), 412),
            (Method::Delete, "If-None-Match", "W/\"a\"", Some("a"), 412),
            (Method::Get, "If-None-Match", "W/\"a\"", Some("a"), 304),
            (Method::Get, "If-None-Match", "\"b\"", Some("a"), 0),
            (Method::Put, "X", "y", Some("a"), 0),
        ] {
            let request = Request::new(method, "/").with_header(name, value);
            let checked = request.check_preconditions(tag, None);
            let got = checked.map_or_else(|answer| answer.response().status().code(), |()| 0);
            assert_eq!(got, status, "{name}: {value}, {tag:?}");
        }
        let since = |name, time| {
            let request = Request::new(Method::Put, "/").with_header(name, PAST_DATE);
            request
                .check_preconditions(None, Some(UNIX_EPOCH + time))
                .is_err()
        };
        assert!(since("If-Unmodified-Since", PAST + Duration::from_secs(1)));
        assert!(!since("If-Unmodified-Since", PAST));
        assert!(!since("If-Modified-Since", PAST), "for GET and HEAD alone");
    }

    #[test]
    fn middleware_around_a_handler_sees_the_304_and_may_name_a_version_too() {
        let body = || Response::text("to be or not to be, ".repeat(100));
        let tagging = |req: &Request, next: &dyn Fn(&Request) -> Reply| -> Reply {
            match next(req) {
                Reply::Response(response) => response.etag("t").into(),
                upgrade => upgrade,
            }
        };
        let seen = |req: &Request, next: &dyn Fn(&Request) -> Reply| -> Reply {
            let mut reply = next(req);
            let status = reply.response().status().code().to_string();
            let mut headers = reply.response_mut().headers_mut();
            headers.set("X-Seen", status).expect("a number");
            reply
        };
        let inner = Router::new()
            .get("/inner", move |_| body().etag("a"))
            .wrap(seen);
        let outer = Router::new()
            .get("/outer", move |_| body())
            .wrap(tagging)
            .wrap(seen);
        let router = Router::new()
            .nest("", inner)
            .nest("", outer)
            .wrap(Gzip::new().middleware());
        for (path, tag, weak) in [
            ("/inner", "\"a\"", "W/\"a\""),
            ("/outer", "\"t\"", "W/\"t\""),
        ] {
            let get = Request::new(Method::Get, path).with_header("Accept-Encoding", "gzip");
            let whole = router.handle(&get);
            assert_eq!(
                whole.response().headers().get("ETag"),
                Some(weak),
                "compressed"
            );
            for tag in [tag, weak] {
                let get = Request::new(Method::Get, path).with_header("If-None-Match", tag);
                let reply = router.handle(&get);
                assert_eq!(reply.response().status(), Status::NOT_MODIFIED, "{path}");
                assert_eq!(
                    reply.response().headers().get("X-Seen"),
                    Some("304"),
                    "{path}"
                );
                assert_eq!(reply.response().headers().get("ETag"), Some(tag), "{path}");
            }
        }
    }

    #[test]
    fn only_the_librarys_own_text_becomes_a_problem() {
        let request = Request::new(Method::Get, "/").with_header("Accept", "application/json");
        let settled = |mut response: Response| {
            response.settle(&request);
            let content_type = response.headers().get("Content-Type").map(str::to_owned);
            content_type.unwrap_or_default()
        };
        let own = || Response::plain(Status::NOT_FOUND, "not found");
        assert_eq!(settled(own()), "application/problem+json");
        assert_eq!(settled(own().failed()), "application/problem+json");
        assert_eq!(settled(own().etag("v7")), "application/problem+json");
        let dated = own().last_modified(UNIX_EPOCH + PAST);
        assert_eq!(settled(dated), "application/problem+json");
        assert_eq!(
            settled(own().with_body("mine")),
            "text/plain; charset=utf-8"
        );
        assert_eq!(
            settled(own().with_header("Content-Type", "text/x")),
            "text/x"
        );
        assert_eq!(
            settled(Response::text("mine").with_status(Status::NOT_FOUND)),
            "text/plain; charset=utf-8"
        );
    }
}
