//! Where a Redis is, as text.

use std::fmt;
use std::io;

/// The port that a URL without one means.
const PORT: u16 = 6379;

/// Where a server is, and who asks it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) place: Place,
    pub(super) user: String,
    pub(super) password: Option<String>,
    pub(super) database: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Tcp(String, u16),
    Unix(String),
}

impl Url {
    /// `redis://[[user]:password@]host[:port][/database]` or `unix:[//[[user]:password@]]/path[?db=database]`.
    pub(super) fn parse(text: &str) -> io::Result<Url> {
        if text.starts_with("rediss:") {
            return Err(invalid(
                "rediss: is spoken through a sidecar, since std has no TLS",
            ));
        }
        let url = match text.strip_prefix("redis://") {
            Some(rest) => tcp(rest),
            None => text.strip_prefix("unix:").and_then(unix),
        };
        url.ok_or_else(|| {
            invalid("not of the form redis://user:password@host:port/database or unix:/path")
        })
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("Redis URL: {why}"))
}

fn tcp(text: &str) -> Option<Url> {
    let (credentials, text) = credentials(text)?;
    let (authority, database) = text.split_once('/').unwrap_or((text, ""));
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':')?),
            };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() || host.contains(['/', '?', '#']) {
        return None;
    }
    let port = port.map_or(Some(PORT), |port| number(port)?.try_into().ok())?;
    let database = match database {
        "" => 0,
        text => number(text)?,
    };
    Some(Url::new(
        Place::Tcp(host.to_owned(), port),
        credentials,
        database,
    ))
}

fn unix(text: &str) -> Option<Url> {
    let (credentials, path) = match text.strip_prefix("//") {
        Some(rest) => credentials(rest)?,
        None => (None, text),
    };
    let (path, database) = match path.split_once('?') {
        Some((path, query)) => (path, number(query.strip_prefix("db=")?)?),
        None => (path, 0),
    };
    let path = decoded(path)?;
    (!path.is_empty()).then(|| Url::new(Place::Unix(path), credentials, database))
}

/// Who asks, with the password, and what stands behind the `@`.
type Credentials = Option<(String, String)>;

fn credentials(text: &str) -> Option<(Credentials, &str)> {
    // A path may hold an @, and a password that is not encoded may not hold a slash.
    let end = text.find('/').unwrap_or(text.len());
    let Some(at) = text[..end].rfind('@') else {
        return Some((None, text));
    };
    let (user, password) = text[..at].split_once(':')?;
    Some((Some((decoded(user)?, decoded(password)?)), &text[at + 1..]))
}

fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Percent-encoding undone (RFC 3986 §2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let hex = std::str::from_utf8(rest.get(..2)?).ok()?;
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

impl Url {
    fn new(place: Place, credentials: Credentials, database: u32) -> Url {
        let (user, password) = credentials.unzip();
        Url {
            place,
            user: user.unwrap_or_default(),
            password,
            database,
        }
    }
}

/// Where it is, without the password.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Tcp(host, port) => write!(f, "{host}:{port}"),
            Place::Unix(path) => write!(f, "{path}"),
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}/{}", self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, place: Place, user: &str, password: Option<&str>, database: u32) {
        let expected = Url {
            place,
            user: user.into(),
            password: password.map(str::to_owned),
            database,
        };
        assert_eq!(Url::parse(text).unwrap(), expected, "{text}");
    }

    #[test]
    fn urls() {
        let tcp = |host: &str, port| Place::Tcp(host.into(), port);
        let unix = |path: &str| Place::Unix(path.into());
        check("redis://a", tcp("a", 6379), "", None, 0);
        check("redis://a:1/", tcp("a", 1), "", None, 0);
        check("redis://[::1]:7/15", tcp("::1", 7), "", None, 15);
        check("redis://[::1]", tcp("::1", 6379), "", None, 0);
        check("redis://:p%40%2f@a", tcp("a", 6379), "", Some("p@/"), 0);
        check("redis://u:p:@q@a:2/3", tcp("a", 2), "u", Some("p:@q"), 3);
        check("unix:/run/r.sock", unix("/run/r.sock"), "", None, 0);
        check("unix:r@s?db=2", unix("r@s"), "", None, 2);
        check("unix:///r", unix("/r"), "", None, 0);
        check("unix://u:p@/r?db=1", unix("/r"), "u", Some("p"), 1);
    }

    #[test]
    fn what_is_no_url() {
        for text in [
            "",
            "127.0.0.1:6379",
            "http://a",
            "redis:a",
            "redis://",
            "redis://:1",
            "redis://a:",
            "redis://a:65536",
            "redis://a:+1",
            "redis://a/x",
            "redis://a/1/2",
            "redis://a?db=1",
            "redis://password@a",
            "redis://u:%@a",
            "redis://u:%+1@a",
            "redis://u:%ff@a",
            "redis://[::1]6379",
            "unix:",
            "unix:/r?x=1",
            "unix:/r?db=",
        ] {
            let parsed = Url::parse(text);
            assert!(parsed.is_err(), "{text}: {parsed:?}");
        }
        let error = Url::parse("rediss://a").unwrap_err().to_string();
        assert!(error.contains("sidecar"), "{error}");
    }

    #[test]
    fn a_password_is_not_shown() {
        let url = Url::parse("redis://user:secret@host/1").unwrap();
        assert_eq!(format!("{url} {url:?}"), "host:6379 host:6379/1");
    }
}
