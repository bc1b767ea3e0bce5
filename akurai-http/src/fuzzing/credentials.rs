//! What a client shows: `Authorization`, and signed values.

use std::time::{Duration, UNIX_EPOCH};

use crate::codec::authorization::{basic, is_bearer_token, quoted, scheme};
use crate::codec::base64::{Base64, decode, encode_url};
use crate::{SignatureError, Signer};

/// A field's value, a realm, or a signed value.
pub fn credentials(data: &[u8]) {
    for form in [Base64::Padded, Base64::Url] {
        assert_eq!(decode(data, form), decoded(data, form));
    }
    let text = encode_url(data);
    assert_eq!(decode(text.as_bytes(), Base64::Url).as_deref(), Some(data));

    let (name, credentials) = scheme(data);
    assert!(data.starts_with(name) && data.ends_with(credentials));
    assert!(!credentials.starts_with(b" "));
    if let Some((user, password)) = basic(credentials) {
        let text = format!("{user}:{password}");
        assert!(!user.contains(':') && !text.contains(char::is_control));
        let bytes = decoded(credentials, Base64::Padded);
        assert_eq!(bytes.as_deref(), Some(text.as_bytes()));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if is_bearer_token(text) {
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    if let Some(quoted) = quoted(text) {
        assert_eq!(unquoted(&quoted).as_deref(), Some(text));
    }
    check_signed(text);
}

/// Whatever `text` is: it can be signed, and is itself no value that we have signed.
fn check_signed(text: &str) {
    let now = UNIX_EPOCH + Duration::from_secs(1_000);
    let signer = Signer::new("p", [7; 32]).expect("the key is long enough");
    let value = signer.sign(text, now + Duration::from_secs(1));
    let signed = signer.verify(&value, now).expect("it is ours");
    assert_eq!(signed.text(), text);
    let other = Signer::new(text, [7; 32]).expect("the key is long enough");
    if text != "p" {
        assert_eq!(other.verify(&value, now), Err(SignatureError::Forged));
    }
    let error = signer.verify(text, now).expect_err("nobody has our key");
    assert_ne!(error, SignatureError::Expired);
}

/// Bit by bit, as RFC 4648 §3.5, §4 and §5 have it.
fn decoded(text: &[u8], form: Base64) -> Option<Vec<u8>> {
    let last = match form {
        Base64::Padded => b"+/",
        Base64::Url => b"-_",
    };
    let alphabet: Vec<u8> = (b'A'..=b'Z')
        .chain(b'a'..=b'z')
        .chain(b'0'..=b'9')
        .chain(*last)
        .collect();
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let letters = &text[..text.len() - padding];
    let expected = match (form, letters.len() % 4) {
        (_, 1) => return None,
        (Base64::Url, _) | (_, 0) => 0,
        (Base64::Padded, over) => 4 - over,
    };
    let mut bits = Vec::new();
    for letter in letters {
        let value = alphabet.iter().position(|known| known == letter)?;
        bits.extend((0..6).rev().map(|place| value >> place & 1));
    }
    let (whole, unused) = bits.split_at(bits.len() / 8 * 8);
    let byte = |bits: &[usize]| bits.iter().fold(0, |byte, bit| byte << 1 | bit) as u8;
    let is_fine = padding == expected && unused.iter().all(|&bit| bit == 0);
    is_fine.then(|| whole.chunks(8).map(byte).collect())
}

// quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE               RFC 9110 §5.6.4
fn unquoted(quoted: &str) -> Option<String> {
    let mut chars = quoted.strip_prefix('"')?.strip_suffix('"')?.chars();
    let mut text = String::new();
    while let Some(char) = chars.next() {
        match char {
            '"' => return None,
            '\\' => text.push(chars.next()?),
            char => text.push(char),
        }
    }
    Some(text)
}
