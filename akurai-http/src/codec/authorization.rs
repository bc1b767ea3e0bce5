//! Credentials and challenges (RFC 9110 §11, RFC 7617, RFC 6750).

use crate::codec::base64::{Base64, decode};
use crate::values::field::is_tchar;

// credentials = auth-scheme [ 1*SP ( token68 / #auth-param ) ]          RFC 9110 §11.4
/// The scheme's name, and what follows the spaces behind it.
pub(crate) fn scheme(value: &[u8]) -> (&[u8], &[u8]) {
    let end = value.iter().position(|&byte| !is_tchar(byte));
    let (name, mut rest) = value.split_at(end.unwrap_or(value.len()));
    if !rest.is_empty() && rest[0] != b' ' {
        return (value, b"");
    }
    while let [b' ', behind @ ..] = rest {
        rest = behind;
    }
    (name, rest)
}

// user-pass = user-id ":" password                                      RFC 7617 §2
//
// Neither may hold a control character.
/// The user and the password of `Basic` credentials.
pub(crate) fn basic(token68: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8(decode(token68, Base64::Padded)?).ok()?;
    let (user, password) = text.split_once(':')?;
    let is_clean = !text.contains(char::is_control);
    is_clean.then(|| (user.to_owned(), password.to_owned()))
}

// b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="  RFC 6750 §2.1
pub(crate) fn is_bearer_token(token: &str) -> bool {
    let letters = token.trim_end_matches('=');
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !letters.is_empty() && letters.bytes().all(is_letter)
}

// quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE               RFC 9110 §5.6.4
/// `text` in quotes; `None` if it holds more than plain ASCII.
pub(crate) fn quoted(text: &str) -> Option<String> {
    let is_plain = text.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    is_plain.then(|| format!("\"{escaped}\""))
}
