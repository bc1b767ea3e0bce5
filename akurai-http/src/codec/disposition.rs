//! `Content-Disposition` of a download (RFC 6266).

use crate::codec::path::percent_encode;

// content-disposition = disposition-type *( ";" disposition-parm )
// disposition-type    = "inline" / "attachment" / token
// filename-parm       = "filename" "=" value / "filename*" "=" ext-value
/// The value that makes a client save the content as `file_name`.
///
/// `filename` holds only what every client reads the same way. If the name has other characters,
/// the whole name also stands in `filename*`, as UTF-8 (RFC 8187), and clients prefer that. `_`
/// replaces separators and control characters.
pub(crate) fn attachment(file_name: &str) -> String {
    let name: String = file_name
        .chars()
        .map(|c| match c {
            '/' | '\\' => '_',
            c if c.is_control() => '_',
            c => c,
        })
        .collect();
    // Clients escape a quote or a backslash in different ways, and some decode a percent sign
    // (RFC 6266 appendix D).
    let is_plain = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '%');
    let fallback: String = name
        .chars()
        .map(|c| if is_plain(&c) { c } else { '_' })
        .collect();
    if fallback == name {
        return format!("attachment; filename=\"{name}\"");
    }
    let encoded = percent_encode(&name, is_attr_char);
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{encoded}")
}

// attr-char = ALPHA / DIGIT / "!" / "#" / "$" / "&" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~"
//                                                                       RFC 8187 §3.2.1
fn is_attr_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::attachment;

    #[test]
    fn rfc6266_filename_and_its_extended_form() {
        for (name, value) in [
            ("a.txt", "attachment; filename=\"a.txt\""),
            ("a b;c.txt", "attachment; filename=\"a b;c.txt\""),
            ("", "attachment; filename=\"\""),
            (
                "€ rates.txt",
                "attachment; filename=\"_ rates.txt\"; filename*=UTF-8''%E2%82%AC%20rates.txt",
            ),
            (
                "50%.txt",
                "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt",
            ),
            (
                "a\"b.txt",
                "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt",
            ),
            ("../a\\b", "attachment; filename=\".._a_b\""),
            (
                "a\r\nSet-Cookie: b",
                "attachment; filename=\"a__Set-Cookie: b\"",
            ),
            (
                "\u{85}ü'*",
                "attachment; filename=\"__'*\"; filename*=UTF-8''_%C3%BC%27%2A",
            ),
        ] {
            assert_eq!(attachment(name), value);
        }
    }
}
