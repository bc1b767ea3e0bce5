//! The request method.

use std::fmt;

use crate::values::field::is_tchar;

/// Longest accepted method, in bytes. The longest registered one has 17.
pub(crate) const METHOD_BYTES: usize = 32;

/// A request method: those of RFC 9110 §9.3, `PATCH` (RFC 5789), `QUERY` (RFC 10008), and any other
/// that the program [names](Method::new).
///
/// A request's method is always one of these, so it may be the label of a metric. The server
/// answers any other well-formed method with 501 before a handler runs (RFC 9110 §9.1). Methods are
/// case-sensitive, so `get` is not `GET`.
///
/// `QUERY` is safe and idempotent as `GET` is, and has a body as `POST` has. The body and its
/// `Content-Type` say what is asked for. A handler must refuse a request without a `Content-Type`
/// (400), or of a type that it does not read (415; RFC 10008 §2).
///
/// ```
/// use akurai_http::{Method, Request, Response, Router};
///
/// const PURGE: Method = Method::new("PURGE");
/// let router = Router::new()
///     .route(PURGE, "/pages/{name}", |_| Response::text("gone from the cache\n"))
///     .route(Method::Query, "/search", |req| req.body().map(Response::text));
/// let purge = Request::new(PURGE, "/pages/home");
/// assert_eq!(router.handle(&purge).response().status().code(), 200);
/// assert!(Method::Query.is_safe() && !PURGE.is_safe());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[allow(missing_docs)] // Each variant is the method of its name.
#[non_exhaustive]
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
    Query,
    #[doc(hidden)]
    Other(OtherMethod),
}

/// A method that has no variant of its own; only [`Method::new`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OtherMethod(&'static str);

impl Method {
    /// The methods that have a variant, in the order in which `Allow` lists them.
    pub(crate) const ALL: [Method; 10] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Delete,
        Method::Connect,
        Method::Options,
        Method::Trace,
        Method::Patch,
        Method::Query,
    ];

    /// The method of this name, for [`Router::route`](crate::Router::route): one of WebDAV's, or
    /// `PURGE`, for example. A name that has a variant gives that variant.
    ///
    /// # Panics
    ///
    /// If the name is not a token of 1 to 32 bytes (RFC 9110 §5.6.2). In a `const`, the compiler
    /// tells.
    #[track_caller]
    pub const fn new(name: &'static str) -> Method {
        let bytes = name.as_bytes();
        assert!(
            !bytes.is_empty() && bytes.len() <= METHOD_BYTES,
            "a method has 1 to 32 bytes"
        );
        let mut at = 0;
        while at < bytes.len() {
            assert!(is_tchar(bytes[at]), "a method is a token");
            at += 1;
        }
        match Method::from_token(bytes) {
            Some(known) => known,
            None => Method::Other(OtherMethod(name)),
        }
    }

    /// The method as it stands in a request line.
    pub const fn as_str(self) -> &'static str {
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
            Method::Query => "QUERY",
            Method::Other(OtherMethod(name)) => name,
        }
    }

    /// Whether the method only reads (RFC 9110 §9.2.1): `GET`, `HEAD`, `OPTIONS`, `TRACE` and
    /// `QUERY`. A method without a variant counts as one that writes.
    pub fn is_safe(self) -> bool {
        matches!(
            self,
            Method::Get | Method::Head | Method::Options | Method::Trace | Method::Query
        )
    }

    /// Whether a handler may answer it. `CONNECT` and `TRACE` are for proxies and debuggers.
    pub(crate) fn is_routable(self) -> bool {
        !matches!(self, Method::Connect | Method::Trace)
    }

    /// The methods that the server supports, `others` included. `OPTIONS *` asks for them
    /// (RFC 9110 §9.3.7).
    pub(crate) fn list(others: &[Method]) -> String {
        let routable = Method::ALL
            .iter()
            .chain(others)
            .filter(|method| method.is_routable());
        let names: Vec<_> = routable.map(|method| method.as_str()).collect();
        names.join(", ")
    }

    /// The method of this name, if it has a variant.
    pub(crate) const fn from_token(token: &[u8]) -> Option<Method> {
        Some(match token {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"CONNECT" => Method::Connect,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"PATCH" => Method::Patch,
            b"QUERY" => Method::Query,
            _ => return None,
        })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_variant_is_that_variant() {
        for method in Method::ALL {
            assert_eq!(Method::new(method.as_str()), method);
            assert_eq!(Method::from_token(method.as_str().as_bytes()), Some(method));
        }
        for name in ["PURGE", "get", "VERSION-CONTROL", "!#$%&'*+-.^_`|~0"] {
            let method = Method::new(name);
            assert!(matches!(method, Method::Other(_)), "{name}");
            assert_eq!(method.to_string(), name);
            assert_eq!(Method::from_token(name.as_bytes()), None);
        }
        assert!(size_of::<Method>() <= 24);
    }

    #[test]
    fn what_is_no_token_is_no_method() {
        for name in ["", "A B", "A\r\nB", "A/", "é", &"A".repeat(33)] {
            let name: &'static str = name.to_owned().leak();
            assert!(std::panic::catch_unwind(|| Method::new(name)).is_err());
        }
        assert_eq!(
            Method::new(Box::leak("A".repeat(32).into())).as_str().len(),
            32
        );
    }

    #[test]
    fn a_query_only_reads() {
        assert!(Method::Query.is_safe() && Method::Query.is_routable());
        assert!(!Method::new("PROPFIND").is_safe());
        let listed = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, QUERY, PURGE";
        assert_eq!(Method::list(&[Method::new("PURGE")]), listed);
    }
}
