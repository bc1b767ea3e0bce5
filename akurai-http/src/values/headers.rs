//! Field lines, of a request or of a response.

use std::fmt;

use crate::values::error::HeaderError;
use crate::values::field::{FieldLine, is_field_value, is_token, trim_ows};

/// How much memory [`Headers::clear`] keeps.
const KEPT_BYTES: usize = 1024;
const KEPT_LINES: usize = 16;

/// The fields of one message, in the order in which they stand on the wire.
///
/// Names are compared without regard to case (RFC 9110 §5.1). Values are bytes: an HTTP value may
/// hold 0x80 to 0xFF, which need not be UTF-8. [`get`](Headers::get) returns a value if it is
/// UTF-8, [`bytes`](Headers::bytes) returns any value.
///
/// ```
/// use akurai_http::{Method, Request};
///
/// let request = Request::new(Method::Get, "/").with_header("Accept", "text/html, */*");
/// let headers = request.headers();
/// assert_eq!(headers.get("accept"), Some("text/html, */*"));
/// assert_eq!(headers.tokens("Accept").count(), 2);
/// ```
#[derive(Clone, Default)]
pub struct Headers {
    /// The bytes that the lines point into. For a request, these are its whole head: one copy, and
    /// no allocation for each field. For a response, these are the field lines as they are sent.
    bytes: Vec<u8>,
    lines: Vec<FieldLine>,
}

impl Headers {
    /// The value of the first field of this name; `None` if there is none or if it is not UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.bytes(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The value of the first field of this name, as it came.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        let found = self.lines.iter().find(|line| self.is_named(line, name))?;
        Some(self.value(found))
    }

    /// The values of all fields of this name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.lines
            .iter()
            .filter(move |line| self.is_named(line, name))
            .map(|line| self.value(line))
    }

    /// The elements of a comma-separated list, over all fields of this name, without the white
    /// space around them. Empty elements are left out (RFC 9110 §5.6.1.2). This is for lists of
    /// tokens: a comma within a quoted string separates too.
    pub fn tokens<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(trim_ows)
            .filter(|element| !element.is_empty())
    }

    /// Every field as name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines.iter().map(|line| {
            let name = std::str::from_utf8(self.name(line)).expect("a token is ASCII");
            (name, self.value(line))
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn append(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        if !is_token(name) {
            return Err(HeaderError::Name);
        }
        if !is_field_value(value) || trim_ows(value).len() != value.len() {
            return Err(HeaderError::Value);
        }
        self.append_known(name, value);
        Ok(())
    }

    /// As [`append`](Headers::append), for a field that is known to be well-formed.
    pub(crate) fn append_known(&mut self, name: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.reserve(name.len() + value.len() + 4);
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(b": ");
        let value_start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.lines.push(FieldLine {
            name: start..start + name.len(),
            value: value_start..self.bytes.len(),
        });
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Removes every field of this name from a response.
    pub(crate) fn remove(&mut self, name: &str) {
        while let Some(at) = self.lines.iter().position(|line| self.is_named(line, name)) {
            self.remove_line(at);
        }
    }

    /// Removes every field of this name except the last from a response.
    pub(crate) fn keep_last(&mut self, name: &str) {
        let is_named = |line: &FieldLine| self.is_named(line, name);
        let last = self.lines.iter().rposition(is_named).unwrap_or(0);
        for at in (0..last).rev() {
            if self.is_named(&self.lines[at], name) {
                self.remove_line(at);
            }
        }
    }

    fn remove_line(&mut self, at: usize) {
        let line = self.lines.remove(at);
        let removed = line.name.start..line.value.end + 2;
        for later in &mut self.lines[at..] {
            for range in [&mut later.name, &mut later.value] {
                *range = range.start - removed.len()..range.end - removed.len();
            }
        }
        self.bytes.drain(removed);
    }

    /// Removes all fields. Keeps as much memory as the fields of a usual response need.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.lines.clear();
        self.lines.shrink_to(KEPT_LINES);
    }

    /// Takes a parsed head: its bytes, and lines that point into them. Both keep their allocations.
    pub(crate) fn assign(&mut self, head: &[u8], lines: &mut Vec<FieldLine>) {
        self.bytes.clear();
        self.bytes.extend_from_slice(head);
        std::mem::swap(&mut self.lines, lines);
    }

    /// How many bytes the fields' text may take without a new allocation.
    pub(crate) fn capacity_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// All bytes that the lines point into: a request's whole head, or a response's field lines as
    /// they are sent.
    pub(crate) fn source(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines
            .iter()
            .map(|line| (self.name(line), self.value(line)))
    }

    fn is_named(&self, line: &FieldLine, name: &str) -> bool {
        // The length alone rules out most names.
        line.name.len() == name.len() && self.name(line).eq_ignore_ascii_case(name.as_bytes())
    }

    fn name(&self, line: &FieldLine) -> &[u8] {
        &self.bytes[line.name.clone()]
    }

    fn value(&self, line: &FieldLine) -> &[u8] {
        &self.bytes[line.value.clone()]
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.iter()
                    .map(|(name, value)| (name, String::from_utf8_lossy(value))),
            )
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_could_split_the_message_is_refused_and_leaves_nothing() {
        let mut headers = Headers::default();
        for (name, value, error) in [
            ("X-A", "a\r\nSet-Cookie: b", HeaderError::Value),
            ("X-A", "a\nb", HeaderError::Value),
            ("X-A", "a\0b", HeaderError::Value),
            ("X-A", "a\u{7f}", HeaderError::Value),
            ("X-A", " a", HeaderError::Value),
            ("X-A", "a\t", HeaderError::Value),
            ("X A", "a", HeaderError::Name),
            ("X-A:", "a", HeaderError::Name),
            ("X-Ä", "a", HeaderError::Name),
            ("", "a", HeaderError::Name),
        ] {
            assert_eq!(
                headers.append(name.as_bytes(), value.as_bytes()),
                Err(error)
            );
            assert!(headers.is_empty() && headers.source().is_empty());
        }
        headers
            .append(b"X-A", b"caf\xe9 \t ok")
            .expect("obs-text and inner white space are fine");
        assert_eq!(headers.bytes("x-a"), Some(&b"caf\xe9 \t ok"[..]));
        assert_eq!(headers.get("x-a"), None);
    }

    #[test]
    fn lists_run_over_several_lines() {
        let mut headers = Headers::default();
        for value in ["a, b", "", " ,\t,c".trim_start()] {
            headers.append(b"List", value.as_bytes()).unwrap();
        }
        let tokens: Vec<_> = headers.tokens("list").collect();
        assert_eq!(tokens, [b"a", b"b", b"c"]);
        headers.remove("LIST");
        assert!(headers.is_empty());
    }
}
