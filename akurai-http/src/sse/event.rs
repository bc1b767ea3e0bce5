//! One event, built before it is sent.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use crate::Request;
use crate::codec::{event, form};

/// Approximate size of an event's fields without their texts, in bytes: names, line ends, a time,
/// and an id that is added.
const FIELDS_BYTES: usize = 64;

/// One event of a stream, with all its fields (WHATWG HTML §9.2.5).
///
/// Without data, the browser dispatches no event, but it still takes the id and the reconnection
/// time.
///
/// ```
/// use akurai_http::SseEvent;
/// use std::time::Duration;
///
/// let event = SseEvent::data("42\n43").event("answer").id("7").retry(Duration::from_secs(2));
/// let stream = akurai_http::sse(move |mut sink| sink.send(&event));
/// // event: answer\nid: 7\nretry: 2000\ndata: 42\ndata: 43\n\n
/// # let _ = stream;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "an event is not sent until `SseSink::send` gets it"]
pub struct SseEvent {
    comment: Option<String>,
    name: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
    data: Option<String>,
}

impl SseEvent {
    /// An event with this text. Each line break in it (LF, CR or CRLF) begins another line of the
    /// same text.
    pub fn data(text: impl Into<String>) -> SseEvent {
        SseEvent {
            data: Some(text.into()),
            ..SseEvent::default()
        }
    }

    /// A comment. The browser ignores it; a proxy sees that the stream is alive.
    pub fn comment(text: impl Into<String>) -> SseEvent {
        SseEvent {
            comment: Some(text.into()),
            ..SseEvent::default()
        }
    }

    /// The name under which the browser dispatches the event. Without it, the name is `message`.
    pub fn event(mut self, name: impl Into<String>) -> SseEvent {
        self.name = Some(name.into());
        self
    }

    /// The id that the browser remembers and sends as `Last-Event-ID` when it reconnects. An empty
    /// id resets it. An event of an id alone (`SseEvent::default().id("7")`) sets it for the events
    /// that follow.
    pub fn id(mut self, id: impl Into<String>) -> SseEvent {
        self.id = Some(id.into());
        self
    }

    /// How long the browser waits before it reconnects, in whole milliseconds. A stream that ends
    /// after it sends the browser away for this time: `SseEvent::default().retry(wait)`. After an
    /// error status, an `EventSource` would never reconnect (WHATWG HTML §9.2.3).
    pub fn retry(mut self, wait: Duration) -> SseEvent {
        self.retry = Some(wait);
        self
    }

    /// The event's bytes as they are sent, with the empty line at the end.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the name has a line break, or if the id has a control character other than
    /// a tab, or white space at either end.
    #[doc(hidden)] // Our hub sends one event to many connections.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        let texts = [&self.comment, &self.name, &self.id, &self.data];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        // One allocation for an event of a few lines, instead of one each time that the buffer
        // doubles.
        let mut bytes = Vec::with_capacity(texts + FIELDS_BYTES);
        self.append(&mut bytes)?;
        Ok(bytes)
    }

    /// Appends the event. After an error, nothing is appended.
    pub(crate) fn append(&self, out: &mut Vec<u8>) -> io::Result<()> {
        self.name.as_deref().map_or(Ok(()), check_name)?;
        self.id.as_deref().map_or(Ok(()), check_id)?;
        if let Some(text) = &self.comment {
            event::append_comment(text, out);
        }
        if let Some(name) = &self.name {
            event::append_name(name, out);
        }
        if let Some(id) = &self.id {
            event::append_id(id, out);
        }
        if let Some(wait) = self.retry {
            event::append_retry(wait.as_millis(), out);
        }
        if let Some(text) = &self.data {
            event::append_data(text, out);
        }
        out.push(b'\n');
        Ok(())
    }
}

pub(crate) fn check_name(name: &str) -> io::Result<()> {
    match event::is_event_name(name) {
        true => Ok(()),
        false => Err(invalid("event name holds a line break")),
    }
}

fn check_id(id: &str) -> io::Result<()> {
    match event::is_event_id(id) {
        true => Ok(()),
        false => Err(invalid(
            "event id holds a control character or an outer space",
        )),
    }
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// The id of the last event that the client has seen: the `Last-Event-ID` field, otherwise
/// `last_event_id` in the query. The query lets a page choose where its first connection begins,
/// since it cannot set the field. `None` if there is neither.
///
/// The id is bytes: a browser sends an id that is not ASCII as UTF-8, and a field value may hold
/// that.
///
/// ```
/// use akurai_http::{Method, Request, last_event_id};
///
/// let request = Request::new(Method::Get, "/events?last_event_id=7-0");
/// assert_eq!(last_event_id(&request).as_deref(), Some(&b"7-0"[..]));
/// let request = request.with_header("Last-Event-ID", "9-0");
/// assert_eq!(last_event_id(&request).as_deref(), Some(&b"9-0"[..]));
/// ```
pub fn last_event_id(request: &Request) -> Option<Cow<'_, [u8]>> {
    if let Some(id) = request.headers().bytes("Last-Event-ID") {
        return Some(Cow::Borrowed(id));
    }
    let query = request.query()?.as_bytes();
    let mut pairs = form::byte_pairs(query);
    let (_, id) = pairs.find(|(name, _)| name == b"last_event_id")?;
    Some(Cow::Owned(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Method;

    #[track_caller]
    fn check(event: SseEvent, bytes: &str) {
        assert_eq!(String::from_utf8(event.encode().unwrap()).unwrap(), bytes);
    }

    #[test]
    fn whatwg_9_2_5_events() {
        check(SseEvent::data(""), "data: \n\n");
        check(SseEvent::data("a\rb"), "data: a\ndata: b\n\n");
        check(SseEvent::data("a").event(""), "data: a\n\n");
        check(SseEvent::comment("a\nb"), ": a\n: b\n\n");
        check(SseEvent::default().id("7"), "id: 7\n\n");
        check(SseEvent::default().id(""), "id: \n\n");
        check(
            SseEvent::default().retry(Duration::from_millis(2500)),
            "retry: 2500\n\n",
        );
    }

    #[test]
    fn what_would_forge_a_field_is_refused_and_leaves_nothing() {
        for event in [
            SseEvent::data("a").event("a\nid: 1"),
            SseEvent::data("a").event("a\rb"),
            SseEvent::data("a").id("1\n"),
            SseEvent::data("a").id("1\0"),
            SseEvent::data("a").id(" 1"),
        ] {
            let mut out = b"before".to_vec();
            let error = event.append(&mut out).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert_eq!(out, b"before");
        }
    }

    #[test]
    fn case_18_the_cursor_is_bytes() {
        let id = |request: Request| last_event_id(&request).map(Cow::into_owned);
        let header =
            Request::new(Method::Get, "/").with_header("Last-Event-ID", b"caf\xc3\xa9\xff");
        assert_eq!(id(header), Some(b"caf\xc3\xa9\xff".to_vec()));
        let query = Request::new(
            Method::Get,
            "/?a=b&last_event_id=%C3%A9%FF+x&last_event_id=2",
        );
        assert_eq!(id(query), Some(b"\xc3\xa9\xff x".to_vec()));
        assert_eq!(
            id(Request::new(Method::Get, "/").with_header("Last-Event-ID", "")),
            Some(vec![])
        );
        assert_eq!(id(Request::new(Method::Get, "/?x")), None);
    }
}
