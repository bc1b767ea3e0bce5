//! One line for each request.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::codec::date::{imf_fixdate, rfc3339};
use crate::{Reply, Request, Response, Status, Version};

/// Gives one [`LogLine`] to `sink` for each request, after its handler returns and before its
/// answer is sent.
///
/// The connection's own thread calls the sink, and the answer waits for it. If a handler panics,
/// the line says 500; a panic of other middleware goes on. If the server refuses a request's head,
/// the request does not reach the router, the middleware or the log;
/// [`Handle::stats`](crate::Handle::stats) counts it. The same is true for `TRACE` and `OPTIONS *`,
/// which the server answers. Sometimes the server replaces an answer later: 503 if all upgrades are
/// taken, 500 if an answer cannot be sent. The log does not show that.
///
/// ```
/// use akurai_http::{Response, Router, middleware};
///
/// let router = Router::new()
///     .get("/", |_| Response::text("hello\n"))
///     .wrap(middleware::access_log(|line| eprintln!("{line}")));
/// # let _ = router;
/// ```
pub fn access_log(
    sink: impl Fn(&LogLine<'_>) + Send + Sync + 'static,
) -> impl Fn(&Request, &dyn Fn(&Request) -> Reply) -> Reply + Send + Sync + 'static {
    move |request, next| {
        let (time, begun) = (SystemTime::now(), Instant::now());
        // A panic leaves no state of this function half-changed, and it goes on afterwards.
        let outcome = catch_unwind(AssertUnwindSafe(|| next(request)));
        let (status, content_length) = match &outcome {
            Ok(Reply::Response(response)) => (response.status(), length(response)),
            Ok(Reply::Upgrade(upgrade)) => (upgrade.head.status(), None),
            Err(_) => (Status::INTERNAL_SERVER_ERROR, None),
        };
        sink(&LogLine {
            request,
            time,
            status,
            content_length,
            duration: begun.elapsed(),
        });
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

fn length(response: &Response) -> Option<u64> {
    let known = response.body().map(|bytes| bytes.len() as u64);
    response.parts.declared_length.or(known)
}

/// One request, as [`access_log`] reports it.
///
/// `Display` is the common log format, followed by the handler's duration in seconds:
///
/// ```text
/// 192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] "GET /users/7 HTTP/1.1" 200 5 0.000042
/// ```
///
/// It begins with the [client's address](Request::client_addr). The query is left out, since it may
/// hold secrets; a sink that wants it has [`request`](LogLine::request). The path is as the client
/// sent it, percent-encoded: it has no quote, space or control character, so a client cannot forge
/// a line or a part of one.
#[derive(Debug)]
pub struct LogLine<'a> {
    request: &'a Request,
    time: SystemTime,
    status: Status,
    content_length: Option<u64>,
    duration: Duration,
}

impl LogLine<'_> {
    /// The request. Its body may have been read.
    pub fn request(&self) -> &Request {
        self.request
    }

    /// When the handler was called.
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// The status of the answer, or of an upgrade's head.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The length of the answer's body, in bytes, before the server leaves it out for `HEAD`.
    /// `None` for an upgrade, for a stream without a declared length, whose length is not known
    /// yet, and after a panic.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// How long the handler took, with all middleware inside the log. It does not include the time
    /// of a stream.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    // Uses integers: code that writes a float adds 10 KiB to a program.
    fn seconds(&self) -> String {
        let (seconds, micros) = (self.duration.as_secs(), self.duration.subsec_micros());
        format!("{seconds}.{micros:06}")
    }

    /// The same as one line of JSON, for programs that collect logs. The time is in UTC (RFC 3339),
    /// the duration in seconds; an unknown value is `null`.
    ///
    /// ```text
    /// {"time":"1994-11-06T08:49:37.123Z","client":"192.0.2.7","method":"GET","path":"/users/7","version":"HTTP/1.1","status":200,"bytes":5,"duration":0.000042}
    /// ```
    pub fn json(&self) -> String {
        let request = self.request;
        let since_epoch = self.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = rfc3339(since_epoch.as_millis() as u64);
        let client = request.client_addr();
        let client = client.map_or("null".to_owned(), |ip| format!("\"{}\"", ip.to_canonical()));
        // A path from the network has no backslash or quote; a request made by hand may have one.
        let path = request.path().replace('\\', "\\\\").replace('"', "\\\"");
        let (method, version) = (request.method(), version(request));
        let bytes = self
            .content_length
            .map_or("null".to_owned(), |bytes| bytes.to_string());
        let (status, duration) = (self.status.code(), self.seconds());
        format!(
            "{{\"time\":\"{time}\",\"client\":{client},\"method\":\"{method}\",\"path\":\"{path}\",\
             \"version\":\"{version}\",\"status\":{status},\"bytes\":{bytes},\"duration\":{duration}}}"
        )
    }
}

fn version(request: &Request) -> &'static str {
    match request.version() {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
    }
}

impl fmt::Display for LogLine<'_> {
    // host ident authuser [day/month/year:hour:minute:second zone] "request" status bytes
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.request.client_addr() {
            Some(address) => write!(f, "{}", address.to_canonical())?,
            None => f.write_str("-")?,
        }
        let since_epoch = self.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        // Sun, 06 Nov 1994 08:49:37 GMT
        let date = imf_fixdate(since_epoch.as_secs());
        let date = std::str::from_utf8(&date).expect("a date is ASCII");
        let (day, month, year, time) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
        let request = self.request;
        write!(
            f,
            " - - [{day}/{month}/{year}:{time} +0000] \"{} {} {}\" {} ",
            request.method(),
            request.path(),
            version(request),
            self.status.code(),
        )?;
        match self.content_length {
            Some(bytes) => write!(f, "{bytes}")?,
            None => f.write_str("-")?,
        }
        write!(f, " {}", self.seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Method, Response, Upgrade, sse};
    use std::sync::{Arc, Mutex};

    #[track_caller]
    fn check(request: Request, status: u16, content_length: Option<u64>, expected: &str) {
        let line = LogLine {
            request: &request,
            time: UNIX_EPOCH + Duration::from_secs(784_111_777),
            status: Status::new(status),
            content_length,
            duration: Duration::from_micros(1_234_567),
        };
        assert_eq!(line.to_string(), expected);
    }

    #[test]
    fn the_common_log_format() {
        check(
            Request::new(Method::Get, "/a%20b%22?token=secret"),
            200,
            Some(5),
            "- - - [06/Nov/1994:08:49:37 +0000] \"GET /a%20b%22 HTTP/1.1\" 200 5 1.234567",
        );
        check(
            Request::new(Method::Options, "*"),
            799,
            None,
            "- - - [06/Nov/1994:08:49:37 +0000] \"OPTIONS * HTTP/1.1\" 799 - 1.234567",
        );
    }

    #[test]
    fn a_line_of_json() {
        let line = |request: &Request, content_length| {
            LogLine {
                request,
                time: UNIX_EPOCH + Duration::from_millis(784_111_777_089),
                status: Status::OK,
                content_length,
                duration: Duration::from_micros(42),
            }
            .json()
        };
        assert_eq!(
            line(&Request::new(Method::Get, "/a%22?token=secret"), Some(5)),
            "{\"time\":\"1994-11-06T08:49:37.089Z\",\"client\":null,\"method\":\"GET\",\"path\":\"/a%22\",\
             \"version\":\"HTTP/1.1\",\"status\":200,\"bytes\":5,\"duration\":0.000042}"
        );
        assert!(line(&Request::new(Method::Get, "/"), None).contains("\"bytes\":null"));
    }

    /// The lines that are logged for a request that `next` answers.
    fn logged(next: &dyn Fn(&Request) -> Reply) -> Vec<(String, u16, Option<u64>)> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let log = access_log(move |line| {
            let (path, status) = (line.request().path().to_owned(), line.status().code());
            sink.lock()
                .unwrap()
                .push((path, status, line.content_length()));
        });
        let request = Request::new(Method::Get, "/x");
        let _ = catch_unwind(AssertUnwindSafe(|| log(&request, next)));
        let lines = lines.lock().unwrap();
        lines.clone()
    }

    #[test]
    fn every_answer_is_one_line() {
        let x = |status, content_length| vec![("/x".to_owned(), status, content_length)];
        assert_eq!(logged(&|_| Response::text("12345").into()), x(200, Some(5)));
        assert_eq!(
            logged(&|_| Response::stream(|_| Ok(())).into()),
            x(200, None)
        );
        assert_eq!(logged(&|_| sse(|_| Ok(()))), x(200, None));
        let switching = |_: &Request| {
            Upgrade::new(Response::new(Status::SWITCHING_PROTOCOLS), |_| Ok(())).into()
        };
        assert_eq!(logged(&switching), x(101, None));
    }

    #[test]
    fn a_panic_is_logged_and_goes_on() {
        let quiet = |_: &Request| -> Reply { resume_unwind(Box::new("a handler's panic")) };
        assert_eq!(logged(&quiet), [("/x".to_owned(), 500, None)]);
        let log = access_log(|_| {});
        let request = Request::new(Method::Get, "/");
        let panic = catch_unwind(AssertUnwindSafe(|| log(&request, &quiet)));
        let payload = panic.expect_err("it goes on");
        assert_eq!(payload.downcast_ref(), Some(&"a handler's panic"));
    }
}
