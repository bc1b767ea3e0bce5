//! One event as text/event-stream bytes (WHATWG HTML §9.2.5).

use crate::values::field::is_field_value;

// stream  = [ bom ] *event
// event   = *( comment / field ) end-of-line
// comment = colon *any-char end-of-line
// field   = 1*name-char [ colon [ space ] *any-char ] end-of-line

/// Appends a field for each line of `value`. CR, LF and CRLF are one line break each, as the
/// browser reads them: a lone CR that is sent as it is would begin a new field.
fn append_lines(name: &[u8], value: &str, out: &mut Vec<u8>) {
    let mut rest = value.as_bytes();
    loop {
        let end = rest.iter().position(|&byte| byte == b'\r' || byte == b'\n');
        out.extend_from_slice(name);
        out.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
        out.push(b'\n');
        rest = match end {
            None => return,
            Some(end) if rest[end..].starts_with(b"\r\n") => &rest[end + 2..],
            Some(end) => &rest[end + 1..],
        };
    }
}

/// Appends `data`, one field for each of its lines. The space after the colon is always there, so
/// that a value which begins with a space keeps it.
pub(crate) fn append_data(data: &str, out: &mut Vec<u8>) {
    append_lines(b"data: ", data, out);
}

/// Appends a comment, which the browser skips.
pub(crate) fn append_comment(text: &str, out: &mut Vec<u8>) {
    append_lines(b": ", text, out);
}

/// Appends the event's name. An empty one is the default, `message`, and needs no line.
pub(crate) fn append_name(name: &str, out: &mut Vec<u8>) {
    if !name.is_empty() {
        append_lines(b"event: ", name, out);
    }
}

/// Appends the id. An empty one resets the client's.
pub(crate) fn append_id(id: &str, out: &mut Vec<u8>) {
    append_lines(b"id: ", id, out);
}

/// Appends the reconnection time in milliseconds.
pub(crate) fn append_retry(milliseconds: u128, out: &mut Vec<u8>) {
    append_lines(b"retry: ", &milliseconds.to_string(), out);
}

/// Whether an event may have this name: it must fit in one line.
pub(crate) fn is_event_name(name: &str) -> bool {
    !name.contains(['\r', '\n'])
}

/// Whether an event may have this id. It must have no line break. A NUL would make the browser
/// ignore the id. White space at either end would not come back in `Last-Event-ID`. A field value
/// cannot hold any control character except a tab.
pub(crate) fn is_event_id(id: &str) -> bool {
    is_field_value(id.as_bytes()) && !id.starts_with([' ', '\t']) && !id.ends_with([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_data(data: &str, bytes: &str) {
        let mut out = Vec::new();
        append_data(data, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), bytes, "{data:?}");
    }

    #[test]
    fn whatwg_9_2_data_rows_1_to_12() {
        check_data("hi", "data: hi\n");
        check_data(" hi", "data:  hi\n");
        check_data("\thi", "data: \thi\n");
        check_data("", "data: \n");
        check_data("a\nb", "data: a\ndata: b\n");
        check_data("a\n", "data: a\ndata: \n");
        check_data("\na", "data: \ndata: a\n");
        check_data("a\r\nb", "data: a\ndata: b\n");
        check_data("a\rb", "data: a\ndata: b\n");
        check_data("a\r\r\nb\n\r", "data: a\ndata: \ndata: b\ndata: \ndata: \n");
        check_data(
            "a\u{2028}\u{85}\u{b}\u{c}\0b",
            "data: a\u{2028}\u{85}\u{b}\u{c}\0b\n",
        );
        check_data("\u{feff}a", "data: \u{feff}a\n");
        let large = "x".repeat(1 << 20);
        check_data(&large, &format!("data: {large}\n"));
    }

    #[test]
    fn whatwg_9_2_other_fields() {
        let mut out = Vec::new();
        append_name("", &mut out);
        assert!(out.is_empty());
        append_name("tick", &mut out);
        append_id("1", &mut out);
        append_id("", &mut out);
        append_retry(2500, &mut out);
        append_comment("a\r\nb\rc", &mut out);
        assert_eq!(
            out,
            b"event: tick\nid: 1\nid: \nretry: 2500\n: a\n: b\n: c\n"
        );
    }

    #[test]
    fn names_and_ids_that_would_forge_a_field_are_told() {
        for bad in ["a\nb", "a\rb", "\n", "a\r\n"] {
            assert!(!is_event_name(bad) && !is_event_id(bad), "{bad:?}");
        }
        for bad in ["a\0", "a\x01b", "\x7f", " a", "a ", "\ta", "a\t"] {
            assert!(!is_event_id(bad), "{bad:?}");
        }
        assert!(is_event_name(" a ") && is_event_id("é 7") && is_event_id(""));
    }
}
