//! The address of a Redis server, parsed from a URL.

use std::fmt;
use std::io;

/// The port of a URL without a port.
const PORT: u16 = 6379;

/// The server's address, and the user that connects to it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) address: Address,
    pub(super) user: String,
    /// `None` if the connection needs no authentication. A user may have an empty password.
    pub(super) password: Option<String>,
    pub(super) database: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Tcp(String, u16),
    Unix(String),
}

impl Url {
    /// `redis://[[user]:[password]@]host[:port][/database]`, where `?db=database` may replace the
    /// `/database`, or `unix:[//[[user]:[password]@]]/path[?db=database]`. `valkey:` means
    /// `redis:`.
    pub(super) fn parse(text: &str) -> io::Result<Url> {
        Url::read(text)
            .map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, format!("Redis URL: {why}")))
    }

    fn read(text: &str) -> Result<Url, &'static str> {
        let (scheme, rest) = text.split_once(':').ok_or(FORM)?;
        // The scheme's case does not matter (RFC 3986 §3.1).
        match (&*scheme.to_ascii_lowercase(), rest.strip_prefix("//")) {
            ("rediss" | "valkeys", _) => Err(TLS),
            ("redis" | "valkey", Some(rest)) => tcp(rest),
            ("unix", Some(rest)) => {
                let (credentials, path) = credentials(rest)?;
                // A password with a slash in it would be taken for a path, and shown.
                match path.starts_with('/') {
                    true => unix(credentials, path),
                    false => Err(FORM),
                }
            }
            ("unix", None) => unix(None, rest),
            _ => Err(FORM),
        }
    }
}

// The error repeats no part of the URL: any part may be a password in the wrong place.
const FORM: &str = "not of the form redis://user:password@host:port/database or unix:/path";
const TLS: &str = "rediss: and valkeys: are spoken through a sidecar, since std has no TLS";
const CREDENTIALS: &str =
    "before the @ stands user:password, or :password, percent-encoded as UTF-8";
const UNIX: &str =
    "before the @ of a Unix socket stands unix://user:password, and an @ of its path is %40";
const QUERY: &str = "behind the ? stands db=NUMBER alone, and then no database in the path";

fn tcp(text: &str) -> Result<Url, &'static str> {
    let (credentials, text) = credentials(text)?;
    let (text, queried) = query(text)?;
    let (authority, path) = text.split_once('/').unwrap_or((text, ""));
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(FORM)?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':').ok_or(FORM)?),
            };
            // A zone comes after "%25" in a URL (RFC 6874 §2), and after "%" elsewhere.
            (host.replacen("%25", "%", 1), port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (authority.to_owned(), None),
        },
    };
    if host.is_empty() || host.contains('#') {
        return Err(FORM);
    }
    let port = port.map_or(Some(PORT), |port| number(port)?.try_into().ok());
    let in_path = match path.strip_suffix('/').unwrap_or(path) {
        "" => None,
        text => Some(number(text).ok_or(FORM)?),
    };
    if in_path.is_some() && queried.is_some() {
        return Err(QUERY);
    }
    Ok(Url::new(
        Address::Tcp(host, port.ok_or(FORM)?),
        credentials,
        in_path.or(queried),
    ))
}

fn unix(credentials: Credentials, text: &str) -> Result<Url, &'static str> {
    let (path, database) = query(text)?;
    // Credentials behind `unix:` or `unix:/` would be taken for a part of the path, and shown.
    let is_user = |(before, _): (&str, &str)| before.contains(':');
    let is_word = path.contains("@/") || path.ends_with('@');
    if is_word || path.rsplit_once('@').is_some_and(is_user) {
        return Err(UNIX);
    }
    match decoded(path) {
        Some(path) if !path.is_empty() => Ok(Url::new(Address::Unix(path), credentials, database)),
        _ => Err(FORM),
    }
}

/// User and password.
type Credentials = Option<(String, String)>;

/// The credentials, and the text after the `@`. Empty credentials count as none: a variable that is
/// not set gives `:@`.
fn credentials(text: &str) -> Result<(Credentials, &str), &'static str> {
    // A path may hold an @, and a password that is not encoded may not hold a slash.
    let end = text.find('/').unwrap_or(text.len());
    let Some(at) = text[..end].rfind('@') else {
        return Ok((None, text));
    };
    let (given, rest) = (&text[..at], &text[at + 1..]);
    if given.is_empty() || given == ":" {
        return Ok((None, rest));
    }
    // Without a colon it is a password to redis-cli, and a user to redis-py.
    let (user, password) = given.split_once(':').ok_or(CREDENTIALS)?;
    match (decoded(user), decoded(password)) {
        (Some(user), Some(password)) => Ok((Some((user, password)), rest)),
        _ => Err(CREDENTIALS),
    }
}

/// The text before the `?`, and the database after it.
fn query(text: &str) -> Result<(&str, Option<u32>), &'static str> {
    let Some((text, query)) = text.split_once('?') else {
        return Ok((text, None));
    };
    let database = query.strip_prefix("db=").and_then(number).ok_or(QUERY)?;
    Ok((text, Some(database)))
}

fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Decodes percent-encoding (RFC 3986 §2.1).
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
    fn new(address: Address, credentials: Credentials, database: Option<u32>) -> Url {
        let (user, password) = credentials.unzip();
        Url {
            address,
            user: user.unwrap_or_default(),
            password,
            database: database.unwrap_or_default(),
        }
    }
}

/// Writes the address, without the password.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp(host, port) => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "{path}"),
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
    fn check(text: &str, address: Address, user: &str, password: Option<&str>, database: u32) {
        let expected = Url {
            address,
            user: user.into(),
            password: password.map(str::to_owned),
            database,
        };
        assert_eq!(Url::parse(text).unwrap(), expected, "{text}");
    }

    #[test]
    fn urls() {
        let tcp = |host: &str, port| Address::Tcp(host.into(), port);
        let unix = |path: &str| Address::Unix(path.into());
        check("redis://a", tcp("a", 6379), "", None, 0);
        check("redis://a:1/", tcp("a", 1), "", None, 0);
        check("redis://[::1]:7/15", tcp("::1", 7), "", None, 15);
        check("redis://[::1]", tcp("::1", 6379), "", None, 0);
        check("redis://:p%40%2f@a", tcp("a", 6379), "", Some("p@/"), 0);
        check("redis://u:p:@q@a:2/3", tcp("a", 2), "u", Some("p:@q"), 3);
        check("redis://:@a", tcp("a", 6379), "", None, 0);
        check("redis://@a", tcp("a", 6379), "", None, 0);
        check("redis://u:@a", tcp("a", 6379), "u", Some(""), 0);
        check("redis://:a?b#c@a", tcp("a", 6379), "", Some("a?b#c"), 0);
        check("REDIS://a", tcp("a", 6379), "", None, 0);
        check("valkey://u:p@a:1/2", tcp("a", 1), "u", Some("p"), 2);
        check("redis://a?db=3", tcp("a", 6379), "", None, 3);
        check("redis://:p@a:1/?db=3", tcp("a", 1), "", Some("p"), 3);
        check("redis://a/4/", tcp("a", 6379), "", None, 4);
        let zone = tcp("fe80::1%eth0", 7);
        check("redis://[fe80::1%25eth0]:7", zone.clone(), "", None, 0);
        check("redis://[fe80::1%eth0]:7", zone, "", None, 0);
        check("unix:/run/r.sock", unix("/run/r.sock"), "", None, 0);
        check("unix:r@s?db=2", unix("r@s"), "", None, 2);
        check("unix:///r", unix("/r"), "", None, 0);
        check("unix://u:p@/r?db=1", unix("/r"), "u", Some("p"), 1);
        check("unix://:@/r%20s", unix("/r s"), "", None, 0);
        check("unix://@/a@b", unix("/a@b"), "", None, 0);
        check("unix:/a:b", unix("/a:b"), "", None, 0);
        check("unix:/a:b%40/c", unix("/a:b@/c"), "", None, 0);
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
            "redis://a/1?db=1",
            "redis://a?db=",
            "redis://a?db=1&db=2",
            "redis://a?password=secret",
            "redis://:secret/x@a",
            "redis://secret@a",
            "redis://secret:@",
            "redis://u:%@a",
            "redis://u:%+1@a",
            "redis://u:%ff@a",
            "redis://[::1]6379",
            "unix:",
            "unix:/r?x=1",
            "unix:/r?db=",
            "unix://r",
            "unix://u:secret/x@/r",
            "unix://secret@/r",
            "unix:user:secret@/run/r.sock",
            "unix:user:secret@r.sock",
            "unix::secret@/r",
            "unix:user:secret/x@/r",
            "unix:user:secret@/a@b",
            "unix:secret@/r",
            "unix:secret@",
            "unix:/user:secret@/r",
            "unix:/secret@/r",
            "unix:///user:secret@/r?db=1",
        ] {
            let error = Url::parse(text).expect_err(text).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        for (text, part) in [
            ("rediss://a", "sidecar"),
            ("valkeys://a", "sidecar"),
            ("redis://secret@a", ":password"),
            ("unix:user:secret@/r", "unix://user:password"),
            ("redis://a?db=x", "db=NUMBER"),
        ] {
            let error = Url::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let url = Url::parse("redis://user:secret@host/1").unwrap();
        assert_eq!(format!("{url} {url:?}"), "host:6379 host:6379/1");
    }
}
