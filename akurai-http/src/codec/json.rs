//! Text as JSON (RFC 8259 §7), and as one line.

/// A JSON string, on one line.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            // All of them are in the first plane.
            character if misleads(character) => {
                quoted += &format!("\\u{:04x}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted + "\""
}

/// `text` as one line that shows all that it holds: characters that mislead are escaped.
/// It may come from a client or another server, and must not forge a line or command a terminal.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match misleads(character) {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

/// Whether a character may make a reader of a line see another text: a control character, one that
/// breaks lines for some readers, or one that changes the direction of the text behind it (UAX #9).
fn misleads(character: char) -> bool {
    let is_mark = matches!(
        character,
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    is_mark || character.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8259_7_strings() {
        assert_eq!(quoted("a é"), "\"a é\"");
        assert_eq!(
            quoted("\"\\\r\n\0\u{7f}\u{2028}"),
            "\"\\\"\\\\\\u000d\\u000a\\u0000\\u007f\\u2028\""
        );
        // Overrides and isolates show a text in another order than it has.
        for (from, to) in [('\u{202a}', '\u{202e}'), ('\u{2066}', '\u{2069}')] {
            for character in from..=to {
                let escaped = format!("\"a\\u{:04x}b\"", u32::from(character));
                assert_eq!(quoted(&format!("a{character}b")), escaped);
            }
        }
        assert_eq!(
            quoted("\u{202f}\u{2065}\u{206a}"),
            "\"\u{202f}\u{2065}\u{206a}\""
        );
    }
}
