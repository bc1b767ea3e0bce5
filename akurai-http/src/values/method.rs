//! The request method.

use std::fmt;

/// A request method (RFC 9110 §9.3, and `PATCH` of RFC 5789).
///
/// The list is closed. The server answers a well-formed method that is not on it with `501` before
/// any handler runs (RFC 9110 §9.1). Methods are case-sensitive, so `get` is not `GET`.
///
/// ```
/// use akurai_http::Method;
///
/// assert_eq!(Method::Get.as_str(), "GET");
/// assert!(Method::Get.is_safe());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[allow(missing_docs)] // Each variant is the method of its name.
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

impl Method {
    /// Every method, in the order in which `Allow` lists them.
    pub(crate) const ALL: [Method; 9] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Delete,
        Method::Connect,
        Method::Options,
        Method::Trace,
        Method::Patch,
    ];

    /// The method as it stands in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
        }
    }

    /// Whether the method only reads (RFC 9110 §9.2.1): `GET`, `HEAD`, `OPTIONS` and `TRACE`.
    pub fn is_safe(self) -> bool {
        matches!(
            self,
            Method::Get | Method::Head | Method::Options | Method::Trace
        )
    }

    /// Whether a handler may answer it. `CONNECT` and `TRACE` are for proxies and debuggers.
    pub(crate) fn is_routable(self) -> bool {
        !matches!(self, Method::Connect | Method::Trace)
    }

    /// The methods that the server supports. `OPTIONS *` asks for them (RFC 9110 §9.3.7).
    pub(crate) fn list() -> String {
        let routable = Method::ALL
            .into_iter()
            .filter(|method| method.is_routable());
        let names: Vec<_> = routable.map(Method::as_str).collect();
        names.join(", ")
    }

    pub(crate) fn from_token(token: &[u8]) -> Option<Method> {
        Method::ALL
            .into_iter()
            .find(|method| method.as_str().as_bytes() == token)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
