//! How a response is written.

use std::io;

use super::{Begun, Connection, Outcome};
use crate::codec::response::{Persistence, ResponseFraming, append_head};
use crate::io::buffered::OUTPUT_BYTES;
use crate::io::contain::contain;
use crate::io::failure::FailureKind;
use crate::message::body_writer::{BodyWriter, Coded};
use crate::message::response::{Body, StreamFn};
use crate::{Method, Response, Status, Version};

impl Connection {
    pub(super) fn respond(&mut self, mut response: Response) -> Outcome {
        response.settle(&self.request);
        let framing = match self.framing(&response) {
            Ok(framing) => framing,
            Err(fault) => {
                self.tell(FailureKind::Response, &io::Error::other(fault));
                return self.respond_in_place_of(response);
            }
        };
        let persist = self.may_persist(&response) && framing != ResponseFraming::Close;
        let persistence = match (persist, self.request.version()) {
            (false, _) => Persistence::Close,
            (true, Version::Http10) => Persistence::KeepAlive,
            (true, Version::Http11) => Persistence::Persist,
        };
        self.begin_answer(&response, framing, persistence);
        if self.request.method() != Method::Head && !is_empty(response.status()) {
            if let Some(bytes) = response.body() {
                if self.buffered.put(bytes).is_err() {
                    return Outcome::Gone;
                }
            } else if let Body::Stream(write) = response.parts.take_body() {
                let coded = response.parts.coded;
                if !self.stream(write, framing, coded) {
                    return match self.take_back() {
                        Some(outcome) => outcome,
                        None => self.respond_in_place_of(response),
                    };
                }
            }
        }
        response.recycle();
        self.after_response(persist)
    }

    /// Answers 500, since this response cannot be sent.
    #[inline(never)] // Or `respond` becomes a loop, which costs each answer 20 instructions.
    pub(super) fn respond_in_place_of(&mut self, response: Response) -> Outcome {
        self.respond(response.failed())
    }

    /// How the client finds the end of this response, or why it cannot be sent.
    fn framing(&self, response: &Response) -> Result<ResponseFraming, &'static str> {
        let status = response.status();
        if status.is_informational() {
            return Err("a handler answered with an interim status");
        }
        if is_empty(status) {
            return Ok(match status {
                Status::RESET_CONTENT => ResponseFraming::Length(0),
                _ => ResponseFraming::Bodiless,
            });
        }
        let length = response.body().map(|bytes| bytes.len() as u64);
        match (length, response.parts.declared_length) {
            (Some(0), Some(declared)) if self.request.method() == Method::Head => {
                Ok(ResponseFraming::Length(declared))
            }
            (Some(length), Some(declared)) if length != declared => {
                Err("a handler declared another length than its body has")
            }
            (Some(length), _) | (None, Some(length)) => Ok(ResponseFraming::Length(length)),
            (None, None) if self.request.version() == Version::Http11 => {
                Ok(ResponseFraming::Chunked)
            }
            (None, None) => Ok(ResponseFraming::Close),
        }
    }

    /// Writes a streamed body. False if that failed.
    fn stream(
        &mut self,
        write: Box<StreamFn>,
        framing: ResponseFraming,
        coded: Option<Coded>,
    ) -> bool {
        let result = contain(|| {
            let mut body = BodyWriter::new(&mut self.buffered, framing, coded);
            write(&mut body).and_then(|()| body.finish())
        });
        match result {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => {
                if !self.buffered.is_broken() {
                    self.tell(FailureKind::StreamedBody, &error);
                }
            }
            Err(panic) => self.note_panic(&panic),
        }
        false
    }

    /// Whether another request may follow this response, as far as can be told before it is
    /// written.
    fn may_persist(&mut self, response: &Response) -> bool {
        let buffered = &mut *self.buffered;
        // A client that still waits for its 100 gets this answer instead, and may or may not send
        // the body now (RFC 9110 §10.1.1). The rest of a chunked body may have any length; we try
        // to read it.
        let body_may_end = buffered.skim_body()
            || !buffered.owes_continue
                && buffered.body.check().is_ok()
                && buffered.body.due() <= self.serving.limits.max_drain_bytes;
        body_may_end
            && self.request.head().keep_alive
            && !response.parts.close
            && !self.entry.is_stopping()
            && self.serving.may_wait()
    }

    fn after_response(&mut self, persist: bool) -> Outcome {
        let limits = &self.serving.limits;
        let buffered = &mut *self.buffered;
        if !persist || !buffered.drain_body(limits.max_drain_bytes, limits.drain_time) {
            return Outcome::Close;
        }
        // We write answers to pipelined requests together, when the input runs out or this much is
        // due.
        if buffered.output.len() >= OUTPUT_BYTES && buffered.flush().is_err() {
            return Outcome::Gone;
        }
        Outcome::Persist
    }

    #[inline] // Saves 25 instructions of 3,500 for each answer.
    pub(super) fn begin_answer(
        &mut self,
        head: &Response,
        framing: ResponseFraming,
        persistence: Persistence,
    ) {
        let buffered = &mut *self.buffered;
        let (output_bytes, writes) = (buffered.output.len(), buffered.writes);
        append_head(
            head.status(),
            head.headers(),
            framing,
            persistence,
            self.date.now(),
            &mut buffered.output,
        );
        self.begun = Some(Begun {
            output_bytes,
            writes,
            status: head.status(),
            body_from: self.position(),
        });
    }
}

/// Whether the status forbids content: 1xx, 204 and 304 (RFC 9110 §6.4.1), and 205 (§15.3.6).
fn is_empty(status: Status) -> bool {
    status.is_bodiless() || status == Status::RESET_CONTENT
}
