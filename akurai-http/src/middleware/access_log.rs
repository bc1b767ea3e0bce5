//! One line for each request.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::codec::date::{imf_fixdate, rfc3339};
use crate::codec::json::quoted;
use crate::io::ending::{Ending, json_of_client, json_of_fields};
use crate::{Reply, Request, Response, Status, Version};

/// Gives one [`LogLine`] to `sink` for each request, when the request is over.
///
/// A request is over when its answer was written, with all of a
/// [streamed body](crate::Response::stream). The line of an event stream or of another
/// [`Upgrade`](crate::Upgrade), a WebSocket for example, comes when the connection ends, and
/// nothing is logged at its beginning (nginx, Caddy and Go's servers do the same). So it has the
/// duration and the bytes of the whole stream. Until then the connection keeps its request, in
/// about 1 KiB and the size of its head. A program that wants a line at the beginning too can write
/// one in its handler.
///
/// The thread that ends the request calls the sink: usually the connection's own, for an event
/// stream of `akurai_server::Hub` a thread that writes to many. The answer has been written by
/// then, except that answers to pipelined requests are written together: their lines may come
/// first. The connection's next request waits for the sink, so the sink should not wait long. If it
/// panics, [`Server::on_error`](crate::Server::on_error) is told, and the answer stays.
///
/// If a handler panics, the line says 500; a panic of other middleware goes on. If the server
/// refuses a request's head, the request does not reach the router, the middleware or the log;
/// [`Handle::stats`](crate::Handle::stats) counts it. The same is true for `TRACE` and `OPTIONS *`,
/// which the server answers, and for hosts that it does not serve.
///
/// Without a server, as in a test that calls [`App::handle`](crate::App::handle), the line comes
/// when the handler returns, with the length of a body that is known by then.
///
/// ```
/// use akurai_http::{Response, Router, middleware};
///
/// let router = Router::new()
///     .get("/", |req| {
///         req.log("user", "ann");
///         Response::text("hello\n")
///     })
///     .wrap(middleware::access_log(|line| eprintln!("{line}")));
/// # let _ = router;
/// ```
pub fn access_log(
    sink: impl Fn(&LogLine<'_>) + Send + Sync + 'static,
) -> impl Fn(&Request, &dyn Fn(&Request) -> Reply) -> Reply + Send + Sync + 'static {
    let sink = Arc::new(sink);
    move |request, next| {
        let (time, begun) = (SystemTime::now(), Instant::now());
        // A panic leaves no state of this function half-changed, and it goes on afterwards.
        let outcome = catch_unwind(AssertUnwindSafe(|| next(request)));
        let (status, length) = match &outcome {
            Ok(Reply::Response(response)) => (response.status(), length(response)),
            Ok(Reply::Upgrade(upgrade)) => (upgrade.head.status(), None),
            Err(_) => (Status::INTERNAL_SERVER_ERROR, None),
        };
        let sink = Arc::clone(&sink);
        let line = move |request: &Request, ending: &Ending| {
            sink(&LogLine {
                request,
                time,
                status: ending.status.unwrap_or(status),
                ending,
                duration: begun.elapsed(),
            });
        };
        request.at_end(Box::new(line), length);
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

fn length(response: &Response) -> Option<u64> {
    let known = response.body().map(|bytes| bytes.len() as u64);
    response.parts.declared_length.or(known)
}

/// One request, as [`access_log`] reports it.
///
/// `Display` is the common log format, followed by the duration in seconds, by the word `secure` if
/// the request [is that](Request::is_secure), and by the fields:
///
/// ```text
/// 192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] "GET /users/7 HTTP/1.1" 200 5 0.000042 secure user="ann"
/// ```
///
/// It begins with the [client's address](Request::client_addr). The query is left out, since it may
/// hold secrets; a sink that wants it has [`request`](LogLine::request). The path is as the client
/// sent it, percent-encoded: it has no quote, space or control character. In the values of fields,
/// quotes, backslashes, control characters, line separators and characters that change the
/// direction of text are escaped. So a client cannot forge a line or a part of one.
#[derive(Debug)]
pub struct LogLine<'a> {
    request: &'a Request,
    time: SystemTime,
    status: Status,
    ending: &'a Ending,
    duration: Duration,
}

impl LogLine<'_> {
    /// The request. Its body may have been read. After an upgrade, there is none left.
    pub fn request(&self) -> &Request {
        self.request
    }

    /// When the handler was called.
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// The status that was sent. If the client left before that, the status of the handler's
    /// answer.
    pub fn status(&self) -> Status {
        self.status
    }

    /// How many bytes were sent behind the answer's head, chunk sizes included; 0 for `HEAD`. For
    /// an upgrade, all bytes of the other protocol. Bytes that the system accepted count as sent,
    /// and so do those of an answer that is still to be written with the next pipelined one.
    pub fn bytes_sent(&self) -> u64 {
        self.ending.bytes_sent
    }

    /// How many bytes the client sent behind the request that upgraded the connection, as far as
    /// they were read. `None` if it was not upgraded.
    pub fn bytes_received(&self) -> Option<u64> {
        self.ending.bytes_received
    }

    /// How long it took from the handler's call to the end of the request, with all middleware
    /// inside the log.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The fields that the program added, by [`Request::log`] and
    /// [`Socket::log`](crate::Socket::log): name and value, in the order in which they came.
    /// `akurai-ws` adds `close`, the code with which a WebSocket ended (RFC 6455 §7.4).
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.ending.fields.iter();
        fields.map(|(name, value)| (*name, &**value))
    }

    // Uses integers: code that writes a float adds 10 KiB to a program.
    fn seconds(&self) -> String {
        let (seconds, micros) = (self.duration.as_secs(), self.duration.subsec_micros());
        format!("{seconds}.{micros:06}")
    }

    /// The same as one line of JSON, for programs that collect logs. The time is in UTC (RFC 3339),
    /// the duration in seconds; an unknown client is `null`, and `secure` is what
    /// [`Request::is_secure`] says. `bytes_received` is there after an
    /// upgrade only, and `fields` if there are any. The values of fields are strings.
    ///
    /// ```text
    /// {"time":"1994-11-06T08:49:37.123Z","client":"192.0.2.7","secure":true,"method":"GET","path":"/chat","version":"HTTP/1.1","status":101,"bytes_sent":5120,"bytes_received":97,"duration":61.000042,"fields":{"user":"ann","close":"1001"}}
    /// ```
    pub fn json(&self) -> String {
        let request = self.request;
        let since_epoch = self.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = rfc3339(since_epoch.as_millis() as u64);
        let client = json_of_client(request.client_addr());
        // A path from the network has no backslash or quote; a request made by hand may have one.
        let path = quoted(request.path());
        let (method, version) = (request.method(), version(request));
        let (status, bytes) = (self.status.code(), self.bytes_sent());
        let secure = request.is_secure();
        let mut json = format!(
            "{{\"time\":\"{time}\",\"client\":{client},\"secure\":{secure},\
             \"method\":\"{method}\",\"path\":{path},\"version\":\"{version}\",\"status\":{status},\"bytes_sent\":{bytes}"
        );
        if let Some(received) = self.bytes_received() {
            json += &format!(",\"bytes_received\":{received}");
        }
        json += &format!(",\"duration\":{}", self.seconds());
        if !self.ending.fields.is_empty() {
            json += &format!(",\"fields\":{}", json_of_fields(&self.ending.fields));
        }
        json + "}"
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
        write!(f, "{} {}", self.bytes_sent(), self.seconds())?;
        if request.is_secure() {
            f.write_str(" secure")?;
        }
        for (name, value) in self.fields() {
            write!(f, " {name}={}", quoted(value))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::ending::LogField;
    use crate::{Method, Response, Upgrade, sse};
    use std::sync::Mutex;

    fn ending(bytes_sent: u64, bytes_received: Option<u64>, fields: &[LogField]) -> Ending {
        Ending {
            status: None,
            bytes_sent,
            bytes_received,
            fields: fields.to_vec(),
        }
    }

    fn line<'a>(request: &'a Request, status: u16, ending: &'a Ending) -> LogLine<'a> {
        LogLine {
            request,
            time: UNIX_EPOCH + Duration::from_millis(784_111_777_089),
            status: Status::new(status),
            ending,
            duration: Duration::from_micros(1_234_567),
        }
    }

    #[test]
    fn the_common_log_format() {
        let get = Request::new(Method::Get, "/a%20b%22?token=secret");
        assert_eq!(
            line(&get, 200, &ending(5, None, &[])).to_string(),
            "- - - [06/Nov/1994:08:49:37 +0000] \"GET /a%20b%22 HTTP/1.1\" 200 5 1.234567",
        );
        let fields = [
            ("user", "a \"b\"\\\r\n".to_owned()),
            ("close", "1000".to_owned()),
        ];
        let secure = Request::new(Method::Get, "https://localhost/a");
        assert_eq!(
            line(&secure, 200, &ending(5, None, &fields[1..])).to_string(),
            "- - - [06/Nov/1994:08:49:37 +0000] \"GET /a HTTP/1.1\" 200 5 1.234567 secure \
             close=\"1000\"",
        );
        let options = Request::new(Method::Options, "*");
        assert_eq!(
            line(&options, 799, &ending(0, Some(7), &fields)).to_string(),
            "- - - [06/Nov/1994:08:49:37 +0000] \"OPTIONS * HTTP/1.1\" 799 0 1.234567 \
             user=\"a \\\"b\\\"\\\\\\u000d\\u000a\" close=\"1000\"",
        );
    }

    #[test]
    fn a_line_of_json() {
        let get = Request::new(Method::Get, "/a%22?token=secret");
        assert_eq!(
            line(&get, 200, &ending(5, None, &[])).json(),
            "{\"time\":\"1994-11-06T08:49:37.089Z\",\"client\":null,\"secure\":false,\
             \"method\":\"GET\",\"path\":\"/a%22\",\"version\":\"HTTP/1.1\",\"status\":200,\"bytes_sent\":5,\"duration\":1.234567}"
        );
        let fields = [
            ("user", "a\"\\\u{85}ü\u{2028}".to_owned()),
            ("close", "1000".to_owned()),
        ];
        let secure = Request::new(Method::Get, "https://localhost/a");
        let json = line(&secure, 200, &ending(5, None, &[])).json();
        assert!(json.contains("\"client\":null,\"secure\":true,"), "{json}");
        let json = line(&get, 101, &ending(5, Some(7), &fields)).json();
        assert!(
            json.ends_with(
                ",\"status\":101,\"bytes_sent\":5,\"bytes_received\":7,\"duration\":1.234567,\
                 \"fields\":{\"user\":\"a\\\"\\\\\\u0085ü\\u2028\",\"close\":\"1000\"}}"
            ),
            "{json}"
        );
    }

    /// The lines that are logged for a request that `next` answers.
    fn logged(next: &dyn Fn(&Request) -> Reply) -> Vec<(String, u16, u64)> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let log = access_log(move |line| {
            let (path, status) = (line.request().path().to_owned(), line.status().code());
            sink.lock().unwrap().push((path, status, line.bytes_sent()));
        });
        let request = Request::new(Method::Get, "/x");
        let _ = catch_unwind(AssertUnwindSafe(|| log(&request, next)));
        let lines = lines.lock().unwrap();
        lines.clone()
    }

    #[test]
    fn every_answer_without_a_server_is_one_line() {
        let x = |status, bytes| vec![("/x".to_owned(), status, bytes)];
        assert_eq!(logged(&|_| Response::text("12345").into()), x(200, 5));
        assert_eq!(logged(&|_| Response::stream(|_| Ok(())).into()), x(200, 0));
        assert_eq!(logged(&|_| sse(|_| Ok(()))), x(200, 0));
        let switching = |_: &Request| {
            Upgrade::new(Response::new(Status::SWITCHING_PROTOCOLS), |_| Ok(())).into()
        };
        assert_eq!(logged(&switching), x(101, 0));
    }

    #[test]
    fn a_panic_is_logged_and_goes_on() {
        let quiet = |_: &Request| -> Reply { resume_unwind(Box::new("a handler's panic")) };
        assert_eq!(logged(&quiet), [("/x".to_owned(), 500, 0)]);
        let log = access_log(|_| {});
        let request = Request::new(Method::Get, "/");
        let panic = catch_unwind(AssertUnwindSafe(|| log(&request, &quiet)));
        let payload = panic.expect_err("it goes on");
        assert_eq!(payload.downcast_ref(), Some(&"a handler's panic"));
    }
}
