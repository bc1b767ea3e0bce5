//! Tokens of field values (RFC 9110 §5.6.2).

// tchar = any VCHAR, except delimiters     RFC 9110 §5.6.2
/// Whether a token may have this byte.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte)
}
