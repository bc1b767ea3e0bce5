//! An event stream as a browser's `EventSource` reads it (HTML §9.2.6).

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::time::Duration;

use super::answer::{Answer, BodyRest};
use super::client_end::ClientEnd;
use crate::io::clock::after;
use crate::{Request, Status};

/// Longest line or event that a client takes, in bytes.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// An event of an event stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Its name: `message` if it has none.
    pub event: String,
    /// Its data; `\n` between two lines.
    pub data: String,
    /// The last id that came, with this event or before it; empty if none did. A browser sends it
    /// as `Last-Event-ID` when it comes back.
    pub id: String,
}

/// An open event stream; [`Client::events`](crate::testing::Client::events) opens it.
///
/// It gives each event as it comes. `None` is the end of the stream: an event that was not complete
/// is not given, as in a browser. An item is an error if no event came within the client's
/// [`wait`](crate::testing::Client::wait), whatever comments came meanwhile; the next call waits
/// again. A drop ends the connection.
#[derive(Debug)]
pub struct Events {
    end: ClientEnd,
    answer: Answer,
    rest: BodyRest,
    parser: EventParser,
    is_over: bool,
}

impl Events {
    pub(super) fn open(mut end: ClientEnd, request: Request) -> io::Result<Events> {
        let (answer, rest) = end.ask(request, |input, answer, rest, deadline| {
            let media_type = answer.header("Content-Type").unwrap_or_default();
            let is_stream = media_type.split(';').next() == Some("text/event-stream");
            if is_stream && answer.status() == Status::OK {
                return Ok((answer, rest));
            }
            let answer = answer.with_rest(rest, input, deadline)?;
            let text: String = answer.text().chars().take(200).collect();
            let told = format!("no event stream but {}: {text:?}", answer.status());
            Err(input.invalid(told))
        })?;
        Ok(Events {
            end,
            answer,
            rest,
            parser: EventParser::default(),
            is_over: false,
        })
    }

    /// The head of the answer. Its body is empty: the stream gives it bit by bit.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// How long the stream has told the client to wait before it comes back, so far.
    pub fn retry(&self) -> Option<Duration> {
        self.parser.retry
    }
}

impl Iterator for Events {
    type Item = io::Result<Event>;

    fn next(&mut self) -> Option<io::Result<Event>> {
        let deadline = after(self.end.input.wait);
        loop {
            if let Some(event) = self.parser.events.pop_front() {
                return Some(Ok(event));
            }
            if self.is_over {
                return None;
            }
            match self.rest.next(&mut self.end.input, deadline) {
                Ok(Some(piece)) => {
                    if let Err(told) = self.parser.feed(&piece) {
                        self.is_over = true;
                        return Some(Err(self.end.input.invalid(told)));
                    }
                }
                Ok(None) => self.is_over = true,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    let told = format!("no event has come within {:?}", self.end.input.wait);
                    let error = io::Error::new(error.kind(), told);
                    return Some(self.end.input.told(Err(error)));
                }
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Takes the stream's bytes as they come, and puts events together.
#[derive(Debug, Default)]
struct EventParser {
    line: Vec<u8>,
    /// A line has come. Only before the first may a byte order mark stand.
    has_begun: bool,
    /// The last byte was a CR: a LF behind it belongs to the same line end.
    after_cr: bool,
    event: String,
    /// Each line with a line end.
    data: String,
    id: String,
    retry: Option<Duration>,
    events: VecDeque<Event>,
}

impl EventParser {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        for &byte in bytes {
            let follows_cr = mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if follows_cr => {}
                b'\r' | b'\n' => {
                    let line = mem::take(&mut self.line);
                    let line = String::from_utf8_lossy(&line);
                    let is_first = !mem::replace(&mut self.has_begun, true);
                    match line.strip_prefix('\u{feff}').filter(|_| is_first) {
                        Some(line) => self.take_line(line),
                        None => self.take_line(&line),
                    }
                }
                _ => self.line.push(byte),
            }
        }
        match self.line.len() + self.data.len() > MAX_EVENT_BYTES {
            true => Err("an event has more than 16 MiB".to_owned()),
            false => Ok(()),
        }
    }

    fn take_line(&mut self, line: &str) {
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = value.to_owned(),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                let millis = value.parse().ok().map(Duration::from_millis);
                self.retry = millis.or(self.retry);
            }
            _ => {} // A comment, or a field that no browser knows.
        }
    }

    fn end_event(&mut self) {
        let (mut event, mut data) = (mem::take(&mut self.event), mem::take(&mut self.data));
        if data.pop().is_none() {
            return; // Without a data line there is no event.
        }
        if event.is_empty() {
            event.push_str("message");
        }
        self.events.push_back(Event {
            event,
            data,
            id: self.id.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_a_browser_reads_them_wherever_the_stream_is_cut() {
        let stream = b": hi\n\ndata: a\ndata:b\r\ndata\r\n\r\nid: 7\revent: x\rdata:  c\r\rid\n\
                       event: lost\n\nretry: 20\nretry: 2x\nretry\nid: \0\nother: 1\ndata:\n\ndata: cut";
        for cut in 0..stream.len() {
            let mut parser = EventParser::default();
            parser.feed(&stream[..cut]).expect("short");
            parser.feed(&stream[cut..]).expect("short");
            let events: Vec<_> = parser
                .events
                .iter()
                .map(|event| (&*event.event, &*event.data, &*event.id))
                .collect();
            let expected = [
                ("message", "a\nb\n", ""),
                ("x", " c", "7"),
                ("message", "", ""),
            ];
            assert_eq!(events, expected, "cut at {cut}");
            assert_eq!(parser.retry, Some(Duration::from_millis(20)));
        }
    }

    #[test]
    fn a_byte_order_mark_and_bytes_that_are_not_utf8_are_read_as_a_browser_reads_them() {
        let stream = b"\xef\xbb\xbfdata: a\xff\ndata: \xc3\xbc\n\xef\xbb\xbfdata: lost\n\n";
        for cut in 0..stream.len() {
            let mut parser = EventParser::default();
            parser.feed(&stream[..cut]).expect("short");
            parser.feed(&stream[cut..]).expect("short");
            let data: Vec<_> = parser.events.iter().map(|event| &*event.data).collect();
            assert_eq!(data, ["a\u{fffd}\n\u{fc}"], "cut at {cut}");
        }
    }
}
