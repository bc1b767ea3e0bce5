//! Texts that a client keeps and cannot change.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::codec::base64::{Base64, decode, encode_url};
use crate::codec::constant_time::constant_time_eq;
use crate::codec::sha256::{DIGEST_BYTES, HmacSha256};

/// Fewest bytes of a key: as many as the code has (RFC 2104 §3).
const KEY_BYTES: usize = 32;

/// What each signed message begins with. Another layout gets another number.
const LAYOUT: &[u8] = b"akurai signed value 1";

/// Signs texts that a client keeps, such as a session in a cookie, and verifies them when they come
/// back. The server keeps nothing.
///
/// A signed value has three parts, with dots between them: the text in base64url, the second since
/// 1970 at which it expires, and an HMAC-SHA-256 (RFC 2104, FIPS 180-4) of both and of the purpose,
/// in base64url. It has letters, digits, `-`, `_` and `.` only, so it can stand in a cookie and in
/// an address as it is. It is 4/3 of the text and at most 65 bytes more; a browser drops a cookie
/// of more than 4096 bytes.
///
/// - Anybody can **read** the text: it is signed, not encrypted.
/// - The **purpose** is part of what is signed. A value that was signed for one purpose is refused
///   for every other one, even with the same key.
/// - A value is valid until it **expires**, any number of times. The server cannot take a single
///   one back: keep the time short, or put a session's id into the text and look it up.
///
/// A key is at least 32 random bytes that only your servers know: `head -c 32 /dev/urandom`, in a
/// file. A password is no key.
///
/// ```
/// use akurai_http::{SignatureError, Signer};
/// use std::time::{Duration, SystemTime};
///
/// # fn main() -> std::io::Result<()> {
/// # let key = [7; 32];
/// let tickets = Signer::new("ticket", key)?;
/// let now = SystemTime::now();
/// let ticket = tickets.sign("news,user:ann", now + Duration::from_secs(30));
///
/// let signed = tickets.verify(&ticket, now).expect("it is ours");
/// assert_eq!(signed.text(), "news,user:ann");
///
/// let late = tickets.verify(&ticket, now + Duration::from_secs(30));
/// assert_eq!(late, Err(SignatureError::Expired));
/// let session = Signer::new("session", key)?.verify(&ticket, now);
/// assert_eq!(session, Err(SignatureError::Forged));
/// # Ok(())
/// # }
/// ```
///
/// To change the key, sign with the new one and accept the old one too, until what it signed has
/// expired: `Signer::new("ticket", new)?.accept(old)?`.
#[derive(Clone)]
#[must_use = "a signer does nothing by itself"]
pub struct Signer {
    /// For each key, an HMAC that has read the layout and the purpose. The first one signs.
    keys: Vec<HmacSha256>,
    purpose: String,
}

impl Signer {
    /// Signs and verifies for one purpose, such as `session` or `ticket`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the key is shorter than 32 bytes.
    pub fn new(purpose: &str, key: impl AsRef<[u8]>) -> io::Result<Signer> {
        let signer = Signer {
            keys: Vec::new(),
            purpose: purpose.to_owned(),
        };
        signer.accept(key)
    }

    /// Accepts what was signed with this older key too. It signs nothing. May be called for several
    /// keys.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the key is shorter than 32 bytes.
    pub fn accept(mut self, key: impl AsRef<[u8]>) -> io::Result<Signer> {
        let key = key.as_ref();
        if key.len() < KEY_BYTES {
            let message = format!("a key has at least {KEY_BYTES} bytes, not {}", key.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut hmac = HmacSha256::new(key);
        // Lengths before the texts: no two purposes and texts make the same message.
        hmac.update(LAYOUT);
        hmac.update(&(self.purpose.len() as u64).to_be_bytes());
        hmac.update(self.purpose.as_bytes());
        self.keys.push(hmac);
        Ok(self)
    }

    /// Signs `text`, which is valid until `expires`, in whole seconds: a fraction is cut off. A
    /// time before 1970 is 1970.
    pub fn sign(&self, text: &str, expires: SystemTime) -> String {
        let since_epoch = expires.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since_epoch.as_secs();
        let code = code(&self.keys[0], text.as_bytes(), seconds);
        let (text, code) = (encode_url(text.as_bytes()), encode_url(&code));
        format!("{text}.{seconds}.{code}")
    }

    /// The text of a signed value, if it was signed with one of the keys and for this purpose, and
    /// has not expired at `now`.
    ///
    /// It takes time in proportion to the value's length and to the number of keys. The code is
    /// compared in [constant time](crate::constant_time_eq).
    ///
    /// # Errors
    ///
    /// In this order: [`Malformed`](SignatureError::Malformed),
    /// [`Forged`](SignatureError::Forged), [`Expired`](SignatureError::Expired). Only an
    /// `Expired` value is known to be ours.
    pub fn verify(&self, value: &str, now: SystemTime) -> Result<SignedValue, SignatureError> {
        let (text, seconds, theirs) = parts(value).ok_or(SignatureError::Malformed)?;
        let is_ours = |key| constant_time_eq(code(key, &text, seconds), theirs);
        if !self.keys.iter().any(is_ours) {
            return Err(SignatureError::Forged);
        }
        // Only the same key in other hands could sign what `sign` never does.
        let text = String::from_utf8(text).map_err(|_| SignatureError::Malformed)?;
        let expires = UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .ok_or(SignatureError::Malformed)?;
        if expires <= now {
            return Err(SignatureError::Expired);
        }
        Ok(SignedValue { text, expires })
    }
}

fn code(key: &HmacSha256, text: &[u8], seconds: u64) -> [u8; DIGEST_BYTES] {
    let mut hmac = key.clone();
    hmac.update(&seconds.to_be_bytes());
    hmac.update(text);
    hmac.finish()
}

// signed-value = base64url "." 1*DIGIT "." base64url
/// The text, the second at which it expires, and the code, each in its only spelling.
fn parts(value: &str) -> Option<(Vec<u8>, u64, [u8; DIGEST_BYTES])> {
    let mut parts = value.split('.');
    let (text, seconds, code) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    // The code first: it is short, and a wrong length ends the work.
    let code = decode(code.as_bytes(), Base64::Url)?.try_into().ok()?;
    let number: u64 = seconds.parse().ok()?;
    let is_plain = number.to_string() == seconds;
    let text = decode(text.as_bytes(), Base64::Url)?;
    is_plain.then_some((text, number, code))
}

/// Without the keys.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("purpose", &self.purpose)
            .field("keys", &self.keys.len())
            .finish()
    }
}

/// A text that [`Signer::verify`] has found to be ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedValue {
    text: String,
    expires: SystemTime,
}

impl SignedValue {
    /// The text, as it was signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// When it expires, in whole seconds since 1970: to end what it has opened, such as an event
    /// stream.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }
}

/// Why [`Signer::verify`] refused a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureError {
    /// It is no signed value: it was cut off, for example.
    Malformed,
    /// It was not signed with any of the keys, or for another purpose, or was changed since.
    Forged,
    /// It is ours, but its time is over.
    Expired,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SignatureError::Malformed => "malformed signed value",
            SignatureError::Forged => "signed value is not of this key and purpose",
            SignatureError::Expired => "signed value has expired",
        })
    }
}

impl Error for SignatureError {}

#[cfg(test)]
mod tests;
