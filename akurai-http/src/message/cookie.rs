//! Cookies that a request brings, and cookies that a response sets (RFC 6265).

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::codec::cookie;
use crate::codec::date::imf_fixdate;
use crate::values::field::is_token;
use crate::{HeaderError, Reply, Request, Response};

/// Most bytes of a name and its value together. Browsers drop a longer cookie silently
/// (RFC 6265 §6.1).
const COOKIE_BYTES: usize = 4096;

impl Request {
    /// The value of the first cookie of this name. If there are several, the first one has the
    /// longest path (RFC 6265 §5.4). Names are compared with regard to case.
    ///
    /// ```
    /// use akurai_http::{Method, Request};
    ///
    /// let request = Request::new(Method::Get, "/").with_header("Cookie", "theme=\"dark\"; lang=de");
    /// assert_eq!(request.cookie("theme"), Some("dark"));
    /// ```
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let found = self.cookies().find(|(known, _)| *known == name);
        found.map(|(_, value)| value)
    }

    /// Every cookie as name and value, over all `Cookie` fields, in order.
    ///
    /// Quotes around a value are not part of it. A pair that breaks RFC 6265's grammar is skipped:
    /// its name is no token, or its value holds a control character, a quote, a backslash or a byte
    /// that is not ASCII.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers().all("Cookie").flat_map(cookie::pairs)
    }
}

impl Response {
    /// Sets a cookie, in a `Set-Cookie` field of its own (RFC 6265 §4.1).
    ///
    /// If two cookies have one name, a browser keeps the later one. A response that is cached for
    /// everybody must not set cookies: give a response with a cookie `Cache-Control: private` or
    /// `no-store`.
    ///
    /// ```
    /// use akurai_http::{Cookie, Response};
    ///
    /// let response = Response::text("welcome")
    ///     .cookie(Cookie::new("__Host-session", "31d4d96e407aad42"))
    ///     .cookie(Cookie::new("lang", "de").http_only(false));
    /// let fields: Vec<_> = response.headers().all("Set-Cookie").collect();
    /// assert_eq!(fields[0], b"__Host-session=31d4d96e407aad42; Path=/; Secure; HttpOnly; SameSite=Lax");
    /// assert_eq!(fields[1], b"lang=de; Path=/; SameSite=Lax");
    /// ```
    pub fn cookie(self, cookie: Cookie) -> Response {
        self.with_header("Set-Cookie", cookie.to_string())
    }
}

impl Reply {
    /// Sets a cookie in the response or in the head of the upgrade, as
    /// [`Response::cookie`] does.
    pub fn cookie(mut self, cookie: Cookie) -> Reply {
        let mut fields = self.response_mut().headers_mut();
        let set = fields.append("Set-Cookie", cookie.to_string());
        set.expect("a cookie was checked when it was made");
        self
    }
}

/// A cookie to be set. [`Response::cookie`] takes it, and `Display` gives the value of its
/// `Set-Cookie` field.
///
/// If you set nothing else, the cookie lasts until the browser is closed. The browser sends it with
/// every path of this host alone (`Path=/`, no `Domain`) and hides it from scripts (`HttpOnly`). It
/// does not send it when another site posts a form here (`SameSite=Lax`). The cookie is not
/// `Secure`, since a cookie does not know how the request came that it answers: call
/// [`secure`](Cookie::secure), or name the cookie `__Host-…` if your site speaks TLS alone.
///
/// A name that begins with `__Secure-` or `__Host-` makes the cookie `Secure`, and so does
/// [`SameSite::None`]: browsers refuse such a cookie otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a cookie is not sent until `Response::cookie` gets it"]
pub struct Cookie {
    name: String,
    value: String,
    path: String,
    domain: Option<String>,
    lifetime: Lifetime,
    secure: bool,
    http_only: bool,
    same_site: SameSite,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Lifetime {
    Session,
    /// In seconds, not 0.
    MaxAge(u64),
    /// In seconds since 1970-01-01 00:00:00 UTC.
    Expires(u64),
}

/// Whether a browser sends the cookie with requests that another site caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SameSite {
    /// Never, not even when the user follows a link from there.
    Strict,
    /// Only when the user follows a link from there, and not when a form there is posted. The
    /// default.
    #[default]
    Lax,
    /// Always, which needs `Secure`.
    None,
}

impl Cookie {
    /// A cookie of this name and value.
    ///
    /// # Panics
    ///
    /// If they are malformed. Use [`try_new`](Cookie::try_new) for a value that comes from outside.
    #[track_caller]
    pub fn new(name: &str, value: &str) -> Cookie {
        match Cookie::try_new(name, value) {
            Ok(cookie) => cookie,
            Err(error) => panic!("cookie {name:?}: {error}"),
        }
    }

    /// As [`new`](Cookie::new), with an error instead of a panic.
    ///
    /// # Errors
    ///
    /// If the name is no token; if the value holds white space, a control character, a quote, a
    /// comma, a semicolon, a backslash or a character that is not ASCII (RFC 6265 §4.1.1); or if
    /// both together are longer than 4096 bytes. For another value, choose an encoding such as
    /// percent-encoding or base64.
    pub fn try_new(name: &str, value: &str) -> Result<Cookie, HeaderError> {
        if !is_token(name.as_bytes()) {
            return Err(HeaderError::Name);
        }
        if !cookie::is_cookie_value(value) {
            return Err(HeaderError::CookieValue);
        }
        if name.len() + value.len() > COOKIE_BYTES {
            return Err(HeaderError::CookieTooLong);
        }
        let cookie = Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            path: "/".to_owned(),
            domain: None,
            lifetime: Lifetime::Session,
            secure: false,
            http_only: true,
            same_site: SameSite::default(),
        };
        Ok(cookie)
    }

    /// Removes the cookie of this name, by a date in the past. Set the same [`path`](Cookie::path)
    /// and [`domain`](Cookie::domain) that the cookie was set with.
    ///
    /// ```
    /// use akurai_http::Cookie;
    ///
    /// let removal = Cookie::removal("lang").to_string();
    /// assert!(removal.starts_with("lang=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
    /// ```
    ///
    /// # Panics
    ///
    /// If the name is no token.
    #[track_caller]
    pub fn removal(name: &str) -> Cookie {
        Cookie::new(name, "").max_age(Duration::ZERO)
    }

    /// The path below which browsers send it. Default `/`.
    ///
    /// # Panics
    ///
    /// If it does not begin with `/`, or holds a semicolon or a character that is not printable
    /// ASCII. Also if it is not `/` and the name begins with `__Host-`.
    #[track_caller]
    pub fn path(mut self, path: &str) -> Cookie {
        assert!(
            cookie::is_path_value(path),
            "cookie path {path:?} is malformed"
        );
        assert!(
            path == "/" || !self.is_of_host(),
            "a cookie named __Host-… has the path /"
        );
        path.clone_into(&mut self.path);
        self
    }

    /// The browser sends it to all hosts of this domain. Default none: it is for this host alone.
    ///
    /// # Panics
    ///
    /// If it is no domain name (without a dot at its ends), or if the name begins with `__Host-`.
    #[track_caller]
    pub fn domain(mut self, domain: &str) -> Cookie {
        assert!(
            cookie::is_domain_value(domain),
            "cookie domain {domain:?} is malformed"
        );
        assert!(!self.is_of_host(), "a cookie named __Host-… has no domain");
        self.domain = Some(domain.to_owned());
        self
    }

    /// How long it lasts, in whole seconds; less than one removes it. Default until the browser is
    /// closed. Browsers cut it to 400 days or less. This and [`expires`](Cookie::expires) replace
    /// each other.
    pub fn max_age(mut self, age: Duration) -> Cookie {
        self.lifetime = match age.as_secs() {
            // RFC 6265 §4.1.1 has no Max-Age=0, so a date in the past removes the cookie.
            0 => Lifetime::Expires(0),
            seconds => Lifetime::MaxAge(seconds),
        };
        self
    }

    /// When it ends by the client's clock, in whole seconds; a time before 1970 counts as 1970.
    /// Default when the browser is closed. This and [`max_age`](Cookie::max_age) replace each
    /// other.
    pub fn expires(mut self, time: SystemTime) -> Cookie {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.lifetime = Lifetime::Expires(since_epoch.as_secs());
        self
    }

    /// Whether browsers send it over TLS alone (and to `localhost`). Default `false`; see
    /// [`Cookie`]. A browser takes no such cookie over a connection without TLS, so a server that
    /// has both kinds asks its request:
    ///
    /// ```
    /// use akurai_http::{Cookie, Method, Request, Response};
    ///
    /// fn login(req: &Request) -> Response {
    ///     let session = Cookie::new("session", "31d4d96e407aad42").secure(req.is_secure());
    ///     Response::text("welcome").cookie(session)
    /// }
    ///
    /// let answer = login(&Request::new(Method::Post, "https://localhost/login"));
    /// let field = answer.headers().get("Set-Cookie").unwrap();
    /// assert_eq!(field, "session=31d4d96e407aad42; Path=/; Secure; HttpOnly; SameSite=Lax");
    /// let answer = login(&Request::new(Method::Post, "/login"));
    /// assert!(!answer.headers().get("Set-Cookie").unwrap().contains("Secure"));
    /// ```
    ///
    /// Behind a proxy that speaks TLS and is not [trusted](crate::Server::trust), no request is
    /// known to be secure: trust it, or say `true`.
    pub fn secure(mut self, over_tls_alone: bool) -> Cookie {
        self.secure = over_tls_alone;
        self
    }

    /// Whether browsers hide it from scripts. Default `true`.
    pub fn http_only(mut self, hidden: bool) -> Cookie {
        self.http_only = hidden;
        self
    }

    /// Whether browsers send it when another site caused the request. Default [`SameSite::Lax`].
    pub fn same_site(mut self, same_site: SameSite) -> Cookie {
        self.same_site = same_site;
        self
    }

    fn is_of_host(&self) -> bool {
        cookie::has_prefix(&self.name, "__Host-")
    }

    fn is_secure(&self) -> bool {
        self.secure
            || self.same_site == SameSite::None
            || self.is_of_host()
            || cookie::has_prefix(&self.name, "__Secure-")
    }
}

impl fmt::Display for Cookie {
    // set-cookie-string = cookie-pair *( ";" SP cookie-av )             RFC 6265 §4.1.1
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}; Path={}", self.name, self.value, self.path)?;
        if let Some(domain) = &self.domain {
            write!(f, "; Domain={domain}")?;
        }
        match self.lifetime {
            Lifetime::Session => {}
            Lifetime::MaxAge(seconds) => write!(f, "; Max-Age={seconds}")?,
            Lifetime::Expires(seconds) => {
                let date = imf_fixdate(seconds);
                let date = std::str::from_utf8(&date).expect("a date is ASCII");
                write!(f, "; Expires={date}")?;
            }
        }
        if self.is_secure() {
            f.write_str("; Secure")?;
        }
        if self.http_only {
            f.write_str("; HttpOnly")?;
        }
        f.write_str(match self.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        })
    }
}

#[cfg(test)]
mod tests;
