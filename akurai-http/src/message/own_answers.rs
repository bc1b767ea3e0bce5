//! Answers that the library makes itself, also in place of an answer that it cannot send. They are
//! a line of text, or problem+json (RFC 9457) for clients that prefer JSON.

use crate::codec::coding::prefers_json;
use crate::codec::json::quoted;
use crate::message::response::{Body, Unsettled};
use crate::{Headers, RequestError, Response, Status};

const TEXT: &[u8] = b"text/plain; charset=utf-8";

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

/// The answer to a method that the target does not have. The caller adds `Allow`.
pub(crate) fn method_not_allowed() -> Response {
    Response::plain(Status::METHOD_NOT_ALLOWED, "method not allowed")
}

impl Response {
    /// A short answer that the library makes itself.
    pub(crate) fn plain(status: Status, message: &str) -> Response {
        Response::new(status).with_own_text(message)
    }

    pub(crate) fn refusal(error: RequestError) -> Response {
        Response::plain(error.status(), &error.to_string()).closing()
    }

    /// This response with another status, and with a line of text in place of the content. Caches
    /// must not keep it in the content's place.
    pub(crate) fn refused(self, status: Status, message: &str) -> Response {
        let fields = [
            "Accept-Ranges",
            "Cache-Control",
            "Content-Disposition",
            "Content-Encoding",
            "Content-Language",
            "ETag",
            "Expires",
            "Last-Modified",
        ];
        self.without_content(&fields)
            .with_status(status)
            .with_header("Cache-Control", "no-store")
            .with_own_text(message)
    }

    /// This response without what describes its content: these fields, its length and its coding.
    fn without_content(mut self, fields: &[&str]) -> Response {
        for name in fields {
            self = self.without_header(name);
        }
        (self.parts.declared_length, self.parts.coded) = (None, None);
        self
    }

    fn with_own_text(self, message: &str) -> Response {
        let mut response = self
            .with_header("Content-Type", TEXT)
            .with_body(format!("{message}\n"));
        response.parts.unsettled = Unsettled::OwnText;
        response
    }

    /// Makes the answer problem+json if the client prefers JSON to text. `of_request` are the
    /// request's fields.
    pub(super) fn settle_own_text(&mut self, of_request: &Headers) {
        // A middleware may have replaced the type. And of a refused head there are no fields.
        let is_open =
            self.headers().bytes("Content-Type") == Some(TEXT) && !of_request.source().is_empty();
        if !is_open {
            return;
        }
        self.vary_by("Accept");
        let text = match self.body() {
            Some(text) if prefers_json(of_request) => String::from_utf8_lossy(text),
            _ => return,
        };
        let problem = problem(self.status(), text.trim_end());
        let parts = &mut *self.parts;
        parts.headers.remove("Content-Type");
        parts
            .headers
            .append_known(b"Content-Type", b"application/problem+json");
        parts.body = Body::Short;
        parts.short = problem.into_bytes();
    }

    /// The 500 that replaces this response, which cannot be sent. It drops the fields that describe
    /// the content (RFC 9110 §8, §14, RFC 9111), and keeps all others. Among these are fields of
    /// middleware that let a page read the status.
    pub(crate) fn failed(self) -> Response {
        let fields = [
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
        ];
        self.without_content(&fields)
            .with_status(Status::INTERNAL_SERVER_ERROR)
            .with_own_text("internal error")
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

// RFC 9457 §3.1: with the type about:blank, the title is the status's phrase (§4.2.1).
fn problem(status: Status, detail: &str) -> String {
    let (title, code) = (quoted(status.reason()), status.code());
    let detail = quoted(detail);
    format!(
        "{{\"type\":\"about:blank\",\"title\":{title},\"status\":{code},\"detail\":{detail}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9457_3_1_a_problem_has_its_four_members() {
        assert_eq!(
            problem(Status::NOT_FOUND, "no \"a\\b\"\n"),
            "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,\
             \"detail\":\"no \\\"a\\\\b\\\"\\u000a\"}\n"
        );
    }
}
