//! What a router does with a path that differs from its patterns in the last slash alone.

use std::borrow::Cow;

use crate::{Request, Response, Status};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slashes {
    /// Send the client to the path that has a route.
    Redirect,
    /// Answer both paths alike.
    Ignore,
}

/// The path with its last slash added or taken away, percent-encoded as it came. `None` if the path
/// has another empty segment: to a browser, `//host` at its beginning is the name of a host.
pub(super) fn other_path(path: &str) -> Option<Cow<'_, str>> {
    let other = match path.strip_suffix('/') {
        Some(short) => Cow::Borrowed(short),
        None => Cow::Owned(format!("{path}/")),
    };
    (other.starts_with('/') && other != "/" && !path.contains("//")).then_some(other)
}

/// Sends the client to the path with its last slash added or taken away. It keeps the method, the
/// body (308, RFC 9110 §15.4.9) and the query.
pub(super) fn redirect(request: &Request) -> Response {
    // Middleware may have passed on a request for another path.
    let Some(path) = other_path(request.path()) else {
        return Response::plain(Status::NOT_FOUND, "not found");
    };
    let location = match request.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.into_owned(),
    };
    Response::redirect(Status::PERMANENT_REDIRECT, location)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_at_most_one_other() {
        for (path, other) in [
            ("/a", Some("/a/")),
            ("/a/", Some("/a")),
            ("/a/b%2F", Some("/a/b%2F/")),
            ("/", None),
            ("*", None),
            ("//", None),
            ("/a//", None),
            ("//host", None),
            ("//host/", None),
            ("/a//b/", None),
        ] {
            assert_eq!(other_path(path).as_deref(), other, "{path}");
        }
    }
}
