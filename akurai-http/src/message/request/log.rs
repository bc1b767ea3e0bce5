//! What a request tells its server and its log.

use std::fmt;
use std::io;
use std::mem;
use std::sync::PoisonError;

use super::Request;
use crate::Reply;
use crate::io::contain::contain;
use crate::io::ending::{Ending, LogField, set_field};
use crate::io::lock::lock;

/// Called with the request when it is over.
pub(crate) type AtEnd = Box<dyn FnOnce(&Request, &Ending) + Send>;

/// How many failures, and how many panics, of one request are kept. Middleware may call a handler
/// any number of times.
const MAX_NOTED: usize = 16;

/// The log lines that a request will have, their fields, and what went wrong with the request.
#[derive(Default)]
pub(crate) struct RequestLog {
    /// The errors that answers were made of: the handler's, and those of middleware. They stay
    /// here, whatever other middleware makes of the answer. At most [`MAX_NOTED`].
    failures: Vec<io::Error>,
    /// The panics of handlers. At most [`MAX_NOTED`].
    panics: Vec<io::Error>,
    /// A server answers the request, and will say when it is over.
    is_served: bool,
    at_end: Vec<AtEnd>,
    fields: Vec<LogField>,
}

impl Request {
    /// Adds a field to this request's line in the [access log](crate::middleware::access_log): the
    /// user who has logged in, or the request's id, for example. A later value of the same name
    /// replaces the earlier one. A [`Failure`](crate::Failure) of this request has the fields too.
    ///
    /// ```
    /// use akurai_http::{Method, Request, Response, Router, middleware};
    ///
    /// let router = Router::new()
    ///     .get("/", |req| {
    ///         req.log("user", "ann");
    ///         Response::text("hello\n")
    ///     })
    ///     .wrap(middleware::access_log(|line| {
    ///         assert!(line.to_string().ends_with(" user=\"ann\""));
    ///         assert_eq!(line.fields().next(), Some(("user", "ann")));
    ///     }));
    /// let _ = router.handle(&Request::new(Method::Get, "/"));
    /// ```
    pub fn log(&self, name: &'static str, value: impl fmt::Display) {
        let value = value.to_string();
        set_field(&mut lock(&self.log).fields, name, value);
    }

    /// The fields that were added so far.
    pub(crate) fn log_fields(&self) -> Vec<LogField> {
        lock(&self.log).fields.clone()
    }

    /// Calls `work` when the request is over. If no server answers this request, calls it now, with
    /// this many bytes as sent.
    pub(crate) fn at_end(&self, work: AtEnd, bytes: Option<u64>) {
        let mut log = lock(&self.log);
        if log.is_served {
            log.at_end.push(work);
            return;
        }
        let now = Ending {
            bytes_sent: bytes.unwrap_or(0),
            fields: log.fields.clone(),
            ..Ending::default()
        };
        drop(log);
        work(self, &now);
    }

    /// Keeps the error that `reply` was made of, if there is one.
    pub(crate) fn note_failure(&self, reply: &mut Reply) {
        if let Some(error) = reply.response_mut().parts.failure.take() {
            keep(&mut lock(&self.log).failures, error);
        }
    }

    pub(crate) fn note_panic(&self, panic: io::Error) {
        keep(&mut lock(&self.log).panics, panic);
    }

    /// Whether failures or panics were noted.
    #[inline]
    pub(crate) fn has_noted(&mut self) -> bool {
        let log = self.own_log();
        !log.failures.is_empty() || !log.panics.is_empty()
    }

    /// The failures and the panics that were noted.
    pub(crate) fn take_noted(&mut self) -> (Vec<io::Error>, Vec<io::Error>) {
        let log = self.own_log();
        (mem::take(&mut log.failures), mem::take(&mut log.panics))
    }

    /// Makes what `another` request notes this one's, as soon as the result is dropped: failures,
    /// panics and the fields of log lines.
    pub(crate) fn take_notes_of<'a>(&'a self, another: &'a Request) -> impl Drop + 'a {
        Notes {
            from: another,
            to: self,
        }
    }

    /// Whether anything waits for the end of this request.
    pub(crate) fn has_end(&mut self) -> bool {
        !self.own_log().at_end.is_empty()
    }

    /// Tells that the request is over. Returns the panics of the application's code.
    pub(crate) fn end(&self, mut ending: Ending) -> Vec<io::Error> {
        let (at_end, mut fields) = {
            let mut log = lock(&self.log);
            let log = &mut *log;
            (mem::take(&mut log.at_end), mem::take(&mut log.fields))
        };
        for (name, value) in mem::take(&mut ending.fields) {
            set_field(&mut fields, name, value);
        }
        ending.fields = fields;
        let mut panics = Vec::new();
        for work in at_end {
            panics.extend(contain(|| work(self, &ending)).err());
        }
        panics
    }

    /// Forgets what the connection's last request left here.
    pub(super) fn begin_log(&mut self) {
        let log = self.own_log();
        log.is_served = true;
        log.failures.clear();
        log.panics.clear();
        log.at_end.clear();
        log.fields.clear();
    }

    /// Says that no server answers this request.
    pub(super) fn serve_by_hand(&mut self) {
        self.own_log().is_served = false;
    }

    fn own_log(&mut self) -> &mut RequestLog {
        let log = self.log.get_mut();
        log.unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request's notes, on their way to another.
struct Notes<'a> {
    from: &'a Request,
    to: &'a Request,
}

impl Drop for Notes<'_> {
    fn drop(&mut self) {
        let (failures, panics, fields) = {
            let mut log = lock(&self.from.log);
            let log = &mut *log;
            (
                mem::take(&mut log.failures),
                mem::take(&mut log.panics),
                mem::take(&mut log.fields),
            )
        };
        let mut log = lock(&self.to.log);
        let log = &mut *log;
        failures
            .into_iter()
            .for_each(|error| keep(&mut log.failures, error));
        panics
            .into_iter()
            .for_each(|panic| keep(&mut log.panics, panic));
        for (name, value) in fields {
            set_field(&mut log.fields, name, value);
        }
    }
}

fn keep(noted: &mut Vec<io::Error>, error: io::Error) {
    if noted.len() < MAX_NOTED {
        noted.push(error);
    }
}
