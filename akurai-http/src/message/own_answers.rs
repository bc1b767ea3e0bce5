//! What the server answers by itself, and what stands for an answer that it cannot send.

use crate::{Response, Status};

/// The answer when all places are taken.
pub(crate) fn overloaded() -> Response {
    Response::plain(Status::SERVICE_UNAVAILABLE, "too many connections")
        .header("Retry-After", "1")
        .closing()
}

/// The answer where the program failed; why is not for the client to know.
pub(crate) fn internal_error() -> Response {
    Response::plain(Status::INTERNAL_SERVER_ERROR, "internal error").closing()
}

impl Response {
    /// The 500 in the place of this response, which cannot be sent: without what describes its
    /// content (RFC 9110 §8, §14, RFC 9111), and with all other fields, such as those of middleware
    /// that let a page read the status.
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
            .header("Content-Type", "text/plain; charset=utf-8")
            .body("internal error\n")
            .closing()
    }

    /// With the fields of an event stream's head that this lacks, but for its coding: for what is
    /// answered in its place. Without those of CORS, a page of another site would take it for an
    /// error.
    pub(crate) fn with_fields_of(self, head: &Response) -> Response {
        if head.status() != Status::OK {
            return self;
        }
        let is_lacking = |&(name, _): &(&str, &[u8])| {
            self.headers().bytes(name).is_none() && !name.eq_ignore_ascii_case("Content-Encoding")
        };
        let lacking: Vec<_> = head.headers().iter().filter(is_lacking).collect();
        let with = |response: Response, (name, value)| response.header(name, value);
        lacking.into_iter().fold(self, with)
    }
}
