//! Failures of the application. The program learns of each, since the client does not.

use std::fmt;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Method;
use crate::codec::date::rfc3339;
use crate::codec::json::{one_line, quoted};
use crate::io::contain::contain;
use crate::io::ending::{LogField, json_of_client, json_of_fields};
use crate::io::lock::lock;

/// Least time between two failures of the same kind that clients can cause at any rate.
const TOLD_PAUSE: Duration = Duration::from_secs(1);

/// What went wrong in the program, as [`Server::on_error`](crate::Server::on_error) reports it.
///
/// `Display` is one line, as the server prints it by default. In it, control characters, line
/// separators and characters that change the direction of text are escaped, so text of a client
/// cannot forge another line. It ends with the [fields](Failure::fields), as a line of the access
/// log does:
///
/// ```text
/// GET /users/7: the handler failed: No such file or directory (os error 2) user="ann"
/// ```
#[derive(Debug)]
pub struct Failure<'a> {
    pub(crate) kind: FailureKind,
    pub(crate) request: Option<FailedRequest<'a>>,
    /// The peer of a failed session.
    pub(crate) peer: Option<IpAddr>,
    pub(crate) cause: &'a io::Error,
}

/// The request that was being answered.
#[derive(Debug)]
pub(crate) struct FailedRequest<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) client: Option<IpAddr>,
    pub(crate) fields: Vec<LogField>,
}

/// What failed; see [`Failure::kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// A handler returned an error, which became 500. The errors that become another status are the
    /// client's: see [`Reply`](crate::Reply).
    Handler,
    /// The program's code panicked: a handler, middleware, a closure, a hook, or the access log's
    /// sink. The cause has the panic's message.
    Panic,
    /// The closure of an event stream, or of another upgrade whose head is 200, returned an error.
    EventStream,
    /// The closure of an upgrade to another protocol, a WebSocket for example, returned an error.
    Upgrade,
    /// The writer of a [streamed body](crate::Response::stream) returned an error.
    StreamedBody,
    /// An answer cannot be sent, so the client got 500: its status is interim, its declared length
    /// is not its body's, or it switches to a protocol that it does not name.
    Response,
    /// A [session](crate::Session) failed: the peer broke its protocol, in a TLS handshake for
    /// example, or the program's code returned an error or panicked. The connection is cut.
    /// [`client_addr`](Failure::client_addr) is the peer's. Told at most once a second;
    /// [`Stats::failed_sessions`](crate::Stats::failed_sessions) counts all.
    Session,
    /// The system refused to accept a connection, for lack of descriptors for example, or to start
    /// a thread for it. The server goes on. Told at most once a second.
    Accept,
}

impl Failure<'_> {
    /// What failed.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Why it failed. The error is the one that the program returned;
    /// [`get_ref`](io::Error::get_ref) has the program's own error inside it, if there is one. For
    /// a panic it has the message.
    pub fn cause(&self) -> &io::Error {
        self.cause
    }

    /// The request's method. `None` if the failure belongs to no request
    /// ([`FailureKind::Accept`], [`FailureKind::Session`], or a panic while a WebSocket or the
    /// program was told of the stop).
    pub fn method(&self) -> Option<Method> {
        self.request.as_ref().map(|request| request.method)
    }

    /// The request's path, as [`Request::path`](crate::Request::path) has it. `None` as for
    /// [`method`](Failure::method).
    pub fn path(&self) -> Option<&str> {
        self.request.as_ref().map(|request| request.path)
    }

    /// The address of the request's client, as
    /// [`Request::client_addr`](crate::Request::client_addr) has it; for
    /// [`FailureKind::Session`], the address of the connection's other end.
    pub fn client_addr(&self) -> Option<IpAddr> {
        let request = self.request.as_ref();
        request.map_or(self.peer, |request| request.client)
    }

    /// The fields that the program had added to the request's log line when it failed, by
    /// [`Request::log`](crate::Request::log): name and value, in the order in which they came. An
    /// upgrade has those that were there when it began. So the failure and the line of the [access
    /// log](crate::middleware::access_log) have the same
    /// [request id](crate::middleware::request_id), if there is one.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.log_fields().iter();
        fields.map(|(name, value)| (*name, &**value))
    }

    fn log_fields(&self) -> &[LogField] {
        self.request.as_ref().map_or(&[], |request| &request.fields)
    }

    /// The same as one line of JSON, for programs that collect logs; the names are those of
    /// [`LogLine::json`](crate::middleware::LogLine::json). `time` is now, in UTC (RFC 3339), and
    /// `kind` is the name of the [`FailureKind`]. `client`, `method` and `path` are `null` if the
    /// failure belongs to no request, and `fields` is there if there are any.
    ///
    /// ```text
    /// {"time":"1994-11-06T08:49:37.123Z","kind":"Handler","error":"timed out","client":"192.0.2.7","method":"GET","path":"/users/7","fields":{"user":"ann"}}
    /// ```
    pub fn json(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let time = rfc3339(now.unwrap_or_default().as_millis() as u64);
        let or_null = |text: Option<String>| text.unwrap_or_else(|| "null".to_owned());
        let (kind, error) = (self.kind, quoted(&self.cause.to_string()));
        let client = json_of_client(self.client_addr());
        let method = or_null(self.method().map(|method| format!("\"{method}\"")));
        let path = or_null(self.path().map(quoted));
        let mut json = format!(
            "{{\"time\":\"{time}\",\"kind\":\"{kind:?}\",\"error\":{error},\"client\":{client},\
             \"method\":{method},\"path\":{path}"
        );
        if !self.log_fields().is_empty() {
            json += &format!(",\"fields\":{}", json_of_fields(self.log_fields()));
        }
        json + "}"
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.request, self.peer) {
            (Some(request), _) => write!(f, "{} {}: ", request.method, request.path)?,
            (None, Some(peer)) => write!(f, "{peer}: ")?,
            (None, None) => {}
        }
        f.write_str(match self.kind {
            FailureKind::Handler => "the handler failed: ",
            FailureKind::Panic => "panicked: ",
            FailureKind::EventStream | FailureKind::Upgrade => "the closure failed: ",
            FailureKind::StreamedBody => "the body failed: ",
            FailureKind::Response => "",
            FailureKind::Session => "a session failed: ",
            FailureKind::Accept => "cannot accept a connection: ",
        })?;
        f.write_str(&one_line(&self.cause.to_string()))?;
        for (name, value) in self.fields() {
            write!(f, " {name}={}", quoted(value))?;
        }
        Ok(())
    }
}

type Hook = Arc<dyn Fn(&Failure<'_>) + Send + Sync>;

/// Where a server's failures go.
#[derive(Default)]
pub(crate) struct Failures {
    /// The program's; without one, each failure is a line on stderr.
    hook: Mutex<Option<Hook>>,
    /// When a failure to accept was last told, and one of a session.
    accept_told: Mutex<Option<Instant>>,
    session_told: Mutex<Option<Instant>>,
}

impl Failures {
    /// Sets the program's hook, in place of an earlier one.
    pub(crate) fn set_hook(&self, hook: Hook) {
        let old = lock(&self.hook).replace(hook);
        drop(old); // That is the program's code, so our lock must be free.
    }

    /// Tells the program. Both its hook and its errors are its own code, and may panic. Then a line
    /// on stderr stands in, if it can be made.
    pub(crate) fn tell(&self, failure: &Failure<'_>) {
        let hook = lock(&self.hook).clone();
        let is_told = hook.is_some_and(|hook| contain(move || hook(failure)).is_ok());
        if !is_told {
            let _ = contain(|| print(failure));
        }
    }

    /// Tells that a connection could not be accepted, unless the last such failure was told less
    /// than a second ago.
    pub(crate) fn tell_accept(&self, cause: &io::Error) {
        if is_due(&self.accept_told) {
            self.tell(&Failure {
                kind: FailureKind::Accept,
                request: None,
                peer: None,
                cause,
            });
        }
    }

    /// Tells that a session failed, unless the last such failure was told less than a second ago.
    pub(crate) fn tell_session(&self, peer: Option<SocketAddr>, cause: &io::Error) {
        if is_due(&self.session_told) {
            self.tell(&Failure {
                kind: FailureKind::Session,
                request: None,
                peer: peer.map(|peer| peer.ip().to_canonical()),
                cause,
            });
        }
    }
}

/// Whether a failure may be told again, now.
fn is_due(told: &Mutex<Option<Instant>>) -> bool {
    let now = Instant::now();
    let mut told = lock(told);
    let is_recent = |at: Instant| now.saturating_duration_since(at) < TOLD_PAUSE;
    let is_due = !told.is_some_and(is_recent);
    if is_due {
        *told = Some(now);
    }
    is_due
}

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failures")
    }
}

fn print(failure: &Failure<'_>) {
    // One write, so that no other thread's line comes in between.
    let line = format!("akurai-http: {failure}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Whether an error says that the client left, or takes nothing, or that the server stops. Such an
/// error is no failure of the application.
pub(crate) fn is_disconnect(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        BrokenPipe
            | ConnectionReset
            | ConnectionAborted
            | NotConnected
            | WriteZero
            | TimedOut
            | WouldBlock
    )
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn told(kind: FailureKind, path: Option<&str>, cause: &str) -> String {
        let request = path.map(|path| FailedRequest {
            method: Method::Get,
            path,
            client: None,
            fields: Vec::new(),
        });
        let cause = &io::Error::other(cause.to_owned());
        let failure = Failure {
            kind,
            request,
            peer: None,
            cause,
        };
        failure.to_string()
    }

    #[test]
    fn a_failure_is_one_line() {
        use FailureKind::*;
        assert_eq!(
            told(Handler, Some("/a"), "no such file"),
            "GET /a: the handler failed: no such file"
        );
        let forged = told(
            Response,
            Some("/a"),
            "ü\r\nakurai-http: GET /b: \u{1b}[1m\u{85}\u{2028}\u{202e}\u{2066}",
        );
        assert_eq!(
            forged,
            "GET /a: ü\\r\\nakurai-http: GET /b: \\u{1b}[1m\\u{85}\\u{2028}\\u{202e}\\u{2066}"
        );
        let full = told(Accept, None, "too many open files");
        assert_eq!(full, "cannot accept a connection: too many open files");
        let panic = told(Panic, Some("/a"), "planned");
        assert_eq!(panic, "GET /a: panicked: planned");
    }

    #[test]
    fn a_failed_session_has_the_canonical_address_of_its_peer() {
        let (failures, told) = (Failures::default(), Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&told);
        failures.set_hook(Arc::new(move |failure| {
            lock(&kept).push((failure.client_addr(), failure.to_string()));
        }));
        let peer = "[::ffff:192.0.2.7]:5".parse().ok();
        failures.tell_session(peer, &io::Error::other("no handshake"));
        let text = "192.0.2.7: a session failed: no handshake".to_owned();
        assert_eq!(*lock(&told), [("192.0.2.7".parse().ok(), text)]);
    }

    #[test]
    fn failures_to_accept_are_told_once_a_second_and_a_panic_of_the_hook_harms_nobody() {
        let (failures, calls) = (Failures::default(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&calls);
        failures.set_hook(Arc::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            resume_unwind(Box::new("a planned panic"));
        }));
        let full = io::Error::other("full");
        failures.tell_accept(&full);
        *lock(&failures.accept_told) = Some(Instant::now() + Duration::from_secs(3600));
        failures.tell_accept(&full);
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        *lock(&failures.accept_told) = Instant::now().checked_sub(TOLD_PAUSE);
        failures.tell_accept(&full);
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }
}
