//! Bytes in the form that failure messages show.

/// `bytes` as text, with everything outside printable ASCII escaped, cut after 600 bytes.
pub fn shown(bytes: &[u8]) -> String {
    const LONGEST: usize = 600;
    let head = &bytes[..bytes.len().min(LONGEST)];
    let mut text = head.escape_ascii().to_string();
    if bytes.len() > LONGEST {
        text.push_str(&format!("… ({} bytes in all)", bytes.len()));
    }
    text
}
