//! The grammar of field lines (RFC 9110 §5, RFC 9112 §5).

use std::ops::Range;

use crate::values::error::RequestError;

/// Where a field's name and its value stand in the bytes of the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldLine {
    pub(crate) name: Range<usize>,
    pub(crate) value: Range<usize>,
}

// field-line = field-name ":" OWS field-value OWS                       RFC 9112 §5
pub(crate) fn split_field_line(
    input: &[u8],
    line: Range<usize>,
) -> Result<FieldLine, RequestError> {
    let bytes = &input[line.clone()];
    // We refuse obs-fold (RFC 9112 §5.2): proxies disagree about it, which allows request
    // smuggling.
    if let Some(b' ' | b'\t') = bytes.first() {
        return Err(RequestError::ObsFold);
    }
    let name_len = bytes
        .iter()
        .position(|&byte| !is_tchar(byte))
        .unwrap_or(bytes.len());
    if name_len == 0 || bytes.get(name_len) != Some(&b':') {
        return Err(RequestError::FieldName);
    }
    let rest = &bytes[name_len + 1..];
    if !is_field_value(rest) {
        return Err(RequestError::FieldValue);
    }
    let value = trim_ows(rest);
    let lead = rest.iter().take_while(|&&byte| is_ows(byte)).count();
    let value_start = line.start + name_len + 1 + if value.is_empty() { 0 } else { lead };
    Ok(FieldLine {
        name: line.start..line.start + name_len,
        value: value_start..value_start + value.len(),
    })
}

fn is_ows(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

// token = 1*tchar                                                       RFC 9110 §5.6.2
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_tchar(byte))
}

pub(crate) const fn is_tchar(byte: u8) -> bool {
    TCHAR[byte as usize]
}

const TCHAR: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z');
        byte += 1;
    }
    table
};

// field-vchar = VCHAR / obs-text, with SP and HTAB between              RFC 9110 §5.5
pub(crate) fn is_field_value(bytes: &[u8]) -> bool {
    // Folding the whole slice, rather than stopping at the first fault, lets the compiler use wide
    // registers.
    !bytes.iter().fold(false, |bad, &byte| {
        bad | ((byte < 0x20) & (byte != b'\t')) | (byte == 0x7f)
    })
}

/// `value` without SP and HTAB at its ends (RFC 9110 §5.6.3). VT, FF and bytes that Unicode calls
/// spaces stay.
pub(crate) fn trim_ows(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

// Content-Length = 1*DIGIT                                              RFC 9110 §8.6
//
// We refuse leading zeros too: some parsers read them as octal. `str::parse` would take "+5".
pub(crate) fn content_length(value: &[u8]) -> Result<u64, RequestError> {
    if value.is_empty() || (value[0] == b'0' && value.len() > 1) {
        return Err(RequestError::ContentLength);
    }
    value.iter().try_fold(0u64, |length, byte| {
        let digit = match byte {
            b'0'..=b'9' => u64::from(byte - b'0'),
            _ => return Err(RequestError::ContentLength),
        };
        length
            .checked_mul(10)
            .and_then(|length| length.checked_add(digit))
            .ok_or(RequestError::ContentLength)
    })
}
