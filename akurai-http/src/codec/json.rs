//! Text as JSON (RFC 8259 §7).

/// A JSON string, on one line.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            // All control characters are in the first plane. These two break lines for some readers.
            character if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') => {
                quoted += &format!("\\u{:04x}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted + "\""
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
    }
}
