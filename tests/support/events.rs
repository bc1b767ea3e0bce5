//! An event stream as a browser reads it.

use std::mem;

/// Reads `text/event-stream` by the algorithm of WHATWG HTML §9.2.6, in pieces of any size.
#[derive(Debug, Default)]
pub struct EventStream {
    /// The events dispatched so far.
    pub dispatched: Vec<Dispatched>,
    /// The last reconnection time, in milliseconds.
    pub retry: Option<u64>,
    /// The last event ID string: what a reconnection would send as `Last-Event-ID`.
    pub last_event_id: String,
    data: String,
    event_type: String,
    last_event_id_buffer: String,
    /// A line that has not ended yet.
    line: Vec<u8>,
    /// A CR ended the last line; an LF right after it belongs to it.
    after_cr: bool,
    /// The first line has been read: a BOM no longer counts.
    begun: bool,
}

/// An event as a page's listener sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatched {
    /// The type: `message` unless the stream named one.
    pub event: String,
    /// The data.
    pub data: String,
    /// `lastEventId`.
    pub last_event_id: String,
}

impl EventStream {
    /// Reads all of `bytes`, then the end of the stream: an unfinished event is not dispatched.
    pub fn read_all(bytes: &[u8]) -> EventStream {
        let mut stream = EventStream::default();
        stream.feed(bytes);
        stream
    }

    /// Reads the next piece.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let after_cr = mem::take(&mut self.after_cr);
            match byte {
                b'\n' if after_cr => {}
                b'\n' => self.end_line(),
                b'\r' => {
                    self.end_line();
                    self.after_cr = true;
                }
                _ => self.line.push(byte),
            }
        }
    }

    /// The data of every event dispatched so far.
    pub fn data(&self) -> Vec<&str> {
        self.dispatched
            .iter()
            .map(|event| event.data.as_str())
            .collect()
    }

    fn end_line(&mut self) {
        let mut line = mem::take(&mut self.line);
        // The UTF-8 decode algorithm decodes the stream, and removes one BOM at its start.
        if !mem::replace(&mut self.begun, true) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            return self.dispatch();
        }
        if line.starts_with(':') {
            return;
        }
        match line.split_once(':') {
            Some((field, value)) => self.field(field, value.strip_prefix(' ').unwrap_or(value)),
            None => self.field(&line, ""),
        }
    }

    fn field(&mut self, field: &str, value: &str) {
        match field {
            "event" => self.event_type = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.last_event_id_buffer = value.to_owned(),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok();
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        self.last_event_id.clone_from(&self.last_event_id_buffer);
        let event_type = mem::take(&mut self.event_type);
        let mut data = mem::take(&mut self.data);
        if data.is_empty() {
            return;
        }
        data.pop();
        self.dispatched.push(Dispatched {
            event: if event_type.is_empty() {
                "message".to_owned()
            } else {
                event_type
            },
            data,
            last_event_id: self.last_event_id.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of `stream` as (type, data, lastEventId), read both whole and byte by byte.
    #[track_caller]
    fn check(stream: &str, expected: &[(&str, &str, &str)]) -> EventStream {
        let whole = EventStream::read_all(stream.as_bytes());
        let mut bytewise = EventStream::default();
        for byte in stream.as_bytes() {
            bytewise.feed(&[*byte]);
        }
        for read in [&whole, &bytewise] {
            let events: Vec<_> = read
                .dispatched
                .iter()
                .map(|e| (e.event.as_str(), e.data.as_str(), e.last_event_id.as_str()))
                .collect();
            assert_eq!(events, expected, "{stream:?}");
        }
        whole
    }

    #[test]
    fn whatwg_9_2_6_the_examples_of_the_text() {
        check(
            "data: YHOO\ndata: +2\ndata: 10\n\n",
            &[("message", "YHOO\n+2\n10", "")],
        );
        let stream = check(
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
            &[
                ("message", "first event", "1"),
                ("message", "second event", ""),
            ],
        );
        assert_eq!(stream.last_event_id, "");
        check(
            "data\n\ndata\ndata\n\ndata:",
            &[("message", "", ""), ("message", "\n", "")],
        );
        check(
            "data:test\n\ndata: test\n\n",
            &[("message", "test", ""), ("message", "test", "")],
        );
    }

    #[test]
    fn whatwg_9_2_6_fields() {
        check("\u{feff}data: a\n\n", &[("message", "a", "")]);
        check("\u{feff}\u{feff}data: a\n\n", &[]);
        check("data: \u{feff}a\n\n", &[("message", "\u{feff}a", "")]);
        check(
            "data: a\rdata: b\r\ndata: c\n\r\n",
            &[("message", "a\nb\nc", "")],
        );
        check("event: x\n\ndata: a\n\n", &[("message", "a", "")]);
        check(
            "event: x\ndata: a\n\ndata: b\n\n",
            &[("x", "a", ""), ("message", "b", "")],
        );
        check(
            "id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n",
            &[("message", "a", "1"), ("message", "b", "1")],
        );
        check("Data: a\n\n data: a\n\n", &[]);
        assert_eq!(check("id: 7\n\n", &[]).last_event_id, "7");
        assert_eq!(check("id: 7\n", &[]).last_event_id, "");
        assert_eq!(check("retry: 2500\n", &[]).retry, Some(2500));
        assert_eq!(check("retry: 25x\n\nretry: +1\nretry:\n", &[]).retry, None);
    }
}
