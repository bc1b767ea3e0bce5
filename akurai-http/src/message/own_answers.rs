//! Answers that the server makes itself, also in place of an answer that it cannot send.

use crate::{Response, Status};

/// The answer when all places are taken.
pub(crate) fn overloaded() -> Response {
    Response::plain(Status::SERVICE_UNAVAILABLE, "too many connections")
        .with_header("Retry-After", "1")
        .closing()
}

/// The answer if the application failed. It does not tell the client why.
pub(crate) fn internal_error() -> Response {
    Response::plain(Status::INTERNAL_SERVER_ERROR, "internal error").closing()
}

impl Response {
    /// The 500 that replaces this response, which cannot be sent. It drops the fields that describe
    /// the content (RFC 9110 §8, §14, RFC 9111), and keeps all others. Among these are fields of
    /// middleware that let a page read the status.
    pub(crate) fn failed(mut self) -> Response {
        for name in [
            "Accept-Ranges",
            "Cache-Control",
            "Content-Disposition",
            "Content-Encoding",
            "Content-Language",
            "Content-Location",
            "Content-Range",
            "Content-Type",
            "ETag",
            "Expires",
            "Last-Modified",
            "Location",
        ] {
            self = self.without_header(name);
        }
        (self.parts.declared_length, self.parts.coded) = (None, None);
        self.with_status(Status::INTERNAL_SERVER_ERROR)
            .with_header("Content-Type", "text/plain; charset=utf-8")
            .with_body("internal error\n")
            .closing()
    }

    /// Adds the fields of an event stream's head that this response lacks, except
    /// `Content-Encoding`. This response is sent in place of the stream. Without the fields of
    /// CORS, a page of another site would take it for an error.
    pub(crate) fn with_fields_of(self, head: &Response) -> Response {
        if head.status() != Status::OK {
            return self;
        }
        let is_lacking = |&(name, _): &(&str, &[u8])| {
            self.headers().bytes(name).is_none() && !name.eq_ignore_ascii_case("Content-Encoding")
        };
        let lacking: Vec<_> = head.headers().iter().filter(is_lacking).collect();
        let with = |response: Response, (name, value)| response.with_header(name, value);
        lacking.into_iter().fold(self, with)
    }
}
