//! What a request tells its server and its log.

use std::fmt;
use std::io;

use super::Request;
use crate::Reply;
use crate::io::contain::contain;
use crate::io::ending::{Ending, LogField, set_field};
use crate::io::lock::lock;

/// Called with the request when it is over.
pub(crate) type AtEnd = Box<dyn FnOnce(&Request, &Ending) + Send>;

/// The log lines that a request will have, and their fields.
#[derive(Default)]
pub(crate) struct RequestLog {
    /// A server answers the request, and will say when it is over.
    is_served: bool,
    at_end: Vec<AtEnd>,
    fields: Vec<LogField>,
}

impl Request {
    /// Adds a field to this request's line in the [access log](crate::middleware::access_log): the
    /// user who has logged in, or the request's id, for example. A later value of the same name
    /// replaces the earlier one. Without an access log, nothing reads it.
    ///
    /// ```
    /// use akurai_http::{Request, Response, Router, middleware};
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
    /// let _ = router.handle(&Request::get("/"));
    /// ```
    pub fn log(&self, name: &'static str, value: impl fmt::Display) {
        let value = value.to_string();
        set_field(&mut lock(&self.log).fields, name, value);
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
            self.failure.set(Some(error));
        }
    }

    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.failure.take()
    }

    pub(crate) fn note_panic(&self, panic: io::Error) {
        self.panic.set(Some(panic));
    }

    pub(crate) fn take_panic(&self) -> Option<io::Error> {
        self.panic.take()
    }

    /// Whether anything waits for the end of this request.
    pub(crate) fn has_end(&mut self) -> bool {
        let log = self.log.get_mut();
        !log.unwrap_or_else(|poisoned| poisoned.into_inner())
            .at_end
            .is_empty()
    }

    /// Tells that the request is over. Returns the panics of the application's code.
    pub(crate) fn end(&self, mut ending: Ending) -> Vec<io::Error> {
        let (at_end, mut fields) = {
            let mut log = lock(&self.log);
            let log = &mut *log;
            (
                std::mem::take(&mut log.at_end),
                std::mem::take(&mut log.fields),
            )
        };
        for (name, value) in std::mem::take(&mut ending.fields) {
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
        let log = self.log.get_mut();
        let log = log.unwrap_or_else(|poisoned| poisoned.into_inner());
        log.is_served = true;
        log.at_end.clear();
        log.fields.clear();
    }

    /// Says that no server answers this request.
    pub(super) fn serve_by_hand(&mut self) {
        lock(&self.log).is_served = false;
    }
}
