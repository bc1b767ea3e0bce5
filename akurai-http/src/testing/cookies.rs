//! The cookies of a client.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::codec::date::http_date;
use crate::io::lock::lock;
use crate::{Headers, Request};

/// The value of each cookie, by its name.
#[derive(Debug, Default)]
pub(super) struct CookieJar(Mutex<BTreeMap<String, String>>);

impl CookieJar {
    /// The request with all cookies, unless it has some of its own.
    pub(super) fn add_to(&self, request: Request) -> Request {
        let cookies = lock(&self.0);
        if cookies.is_empty() || request.headers().bytes("Cookie").is_some() {
            return request;
        }
        let pairs: Vec<String> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        request.with_header("Cookie", pairs.join("; "))
    }

    /// Keeps what an answer sets (RFC 6265 §5.2), and removes what has expired.
    pub(super) fn take_from(&self, headers: &Headers) {
        for field in headers.all("Set-Cookie") {
            let text = String::from_utf8_lossy(field);
            let mut parts = text.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            if is_over(parts) {
                lock(&self.0).remove(name);
            } else {
                lock(&self.0).insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// Whether these attributes say that the cookie has expired. `Max-Age` comes before `Expires`.
fn is_over<'a>(attributes: impl Iterator<Item = &'a str> + Clone) -> bool {
    let value = |wanted: &str| {
        let pairs = attributes.clone().filter_map(|part| part.split_once('='));
        let mut named = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        named.next().map(|(_, value)| value)
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    match value("Max-Age") {
        Some(seconds) => seconds.parse().is_ok_and(|seconds: i64| seconds <= 0),
        None => value("Expires")
            .and_then(|date| http_date(date.as_bytes(), now))
            .is_some_and(|second| i64::try_from(now).is_ok_and(|now| second <= now)),
    }
}
