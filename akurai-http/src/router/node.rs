//! The tree of patterns: finds the node that a path leads to, with its routes.

use std::sync::Arc;

use super::call::{Fallback, Route, Stack};
use super::slashes::Slashes;
use crate::codec::path::percent_decode;
use crate::codec::search::find_byte;
use crate::message::own_answers::method_not_allowed;
use crate::message::params::Params;
use crate::{Method, Response, Status};

/// A node of the tree of patterns.
#[derive(Default)]
pub(super) struct Node {
    plain: Vec<(String, Node)>,
    any: Option<Box<Node>>,
    rest: Option<Box<Node>>,
    pub(super) routes: Vec<Route>,
    /// A router was nested here. So a path that ends here without a slash is answered as with one.
    pub(super) is_prefix: bool,
    /// Longest body for these routes, in bytes, if it is not the server's default.
    pub(super) max_body_bytes: Option<u64>,
    /// Answers for the paths from here on that no route has.
    pub(super) fallback: Option<Box<Fallback>>,
}

/// What the routes of a nested router get from it, and from the place where it is nested.
pub(super) struct Nesting<'a> {
    pub(super) prefix: &'a str,
    /// The parameters of the prefix.
    pub(super) names: Vec<String>,
    pub(super) stack: Arc<Stack>,
    pub(super) slashes: Option<Slashes>,
}

impl Node {
    /// Takes over the routes of `other`, a node of a nested router. Its pattern begins after ours.
    #[track_caller]
    pub(super) fn adopt(&mut self, other: Node, nesting: &Nesting<'_>) {
        for (segment, child) in other.plain {
            // A pattern "/" after a prefix is the prefix with a slash: its segment is empty.
            self.plain_child(&segment).adopt(child, nesting);
        }
        if let Some(child) = other.any {
            self.any.get_or_insert_default().adopt(*child, nesting);
        }
        if let Some(child) = other.rest {
            self.rest.get_or_insert_default().adopt(*child, nesting);
        }
        self.is_prefix |= other.is_prefix;
        self.max_body_bytes = other.max_body_bytes.or(self.max_body_bytes);
        if let Some(mut fallback) = other.fallback {
            fallback.stacks.push(Arc::clone(&nesting.stack));
            self.set_fallback(fallback);
        }
        for route in other.routes {
            self.adopt_route(route, nesting);
        }
    }

    #[track_caller]
    fn adopt_route(&mut self, mut route: Route, nesting: &Nesting<'_>) {
        assert!(
            self.has_no_own(route.method),
            "{} has a handler already where a nested router has one too",
            name_of(route.method)
        );
        let is_new = |name| !nesting.names.contains(name);
        assert!(
            route.names.iter().all(is_new),
            "a parameter of the prefix has the name of one behind it"
        );
        route.names.splice(..0, nesting.names.iter().cloned());
        route.pattern.insert_str(0, nesting.prefix);
        route.stacks.push(Arc::clone(&nesting.stack));
        route.slashes = route.slashes.or(nesting.slashes);
        self.routes.push(route);
    }

    pub(super) fn has_no_own(&self, method: Option<Method>) -> bool {
        self.routes.iter().all(|route| route.method != method)
    }

    #[track_caller]
    pub(super) fn set_fallback(&mut self, fallback: Box<Fallback>) {
        assert!(
            self.fallback.is_none(),
            "there is a fallback for these paths already"
        );
        self.fallback = Some(fallback);
    }

    /// The node of a pattern, created if it is not there, and the names of the parameters on the
    /// way.
    #[track_caller]
    pub(super) fn at(&mut self, pattern: &str) -> (&mut Node, Vec<String>) {
        let Some(path) = pattern.strip_prefix('/') else {
            panic!("pattern {pattern:?} does not begin with '/'");
        };
        let mut names: Vec<String> = Vec::new();
        let mut node = self;
        let mut segments = path.split('/').peekable();
        while let Some(segment) = segments.next() {
            let name = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
            let name = name.filter(|name| !name.contains(['{', '}']));
            let Some(name) = name else {
                check_plain(segment, pattern);
                node = node.plain_child(segment);
                continue;
            };
            let rest = name.strip_prefix('*');
            assert!(
                rest.is_none() || segments.peek().is_none(),
                "{segment} is not the last segment of {pattern:?}"
            );
            let name = match rest {
                Some("") => "*",
                rest => rest.unwrap_or(name),
            };
            assert!(
                !name.is_empty() && !names.iter().any(|known| known == name),
                "parameter {segment} of {pattern:?} has no name of its own"
            );
            assert!(
                rest == Some("") || name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'),
                "{segment} of {pattern:?} is no parameter: write {{name}}, or {{*name}} for the rest, \
                 with letters, digits and '_' alone"
            );
            names.push(name.to_owned());
            node = match rest {
                Some(_) => node.rest.get_or_insert_default(),
                None => node.any.get_or_insert_default(),
            };
        }
        (node, names)
    }

    fn plain_child(&mut self, segment: &str) -> &mut Node {
        let found = self.plain.iter().position(|(known, _)| known == segment);
        let index = found.unwrap_or_else(|| {
            self.plain.push((segment.to_owned(), Node::default()));
            self.plain.len() - 1
        });
        &mut self.plain[index].1
    }

    /// The best node for `path`, and the values of the parameters on the way. `path` is
    /// percent-encoded and begins after a slash.
    pub(super) fn find(&self, path: &str, params: &mut Params) -> Option<&Node> {
        let (segment, after) = first_segment(path);
        let decoded = percent_decode(segment)?;
        if let Some((_, child)) = self.plain.iter().find(|(known, _)| *known == *decoded) {
            if let Some(found) = child.onward(after, params) {
                return Some(found);
            }
        }
        if let Some(child) = self.any.as_deref().filter(|_| !decoded.is_empty()) {
            params.push(&decoded);
            if let Some(found) = child.onward(after, params) {
                return Some(found);
            }
            params.pop();
        }
        let child = self.rest.as_deref()?;
        params.push(&percent_decode(path)?);
        params.rest_bytes = path.len();
        Some(child)
    }

    fn onward(&self, after: Option<&str>, params: &mut Params) -> Option<&Node> {
        match after {
            Some(after) => self.find(after, params),
            None if !self.routes.is_empty() => Some(self),
            None if self.is_prefix => {
                let found = self.find("", params)?;
                params.lacks_slash = true;
                Some(found)
            }
            None => None,
        }
    }

    /// The fallback that lies deepest on the way of `path`, and its depth. `path` is as
    /// [`find`](Node::find)'s; `None` if the path ends here.
    pub(super) fn fallback(&self, path: Option<&str>, depth: usize) -> Option<(usize, &Fallback)> {
        let deeper = path.and_then(|path| {
            let (segment, after) = first_segment(path);
            let decoded = percent_decode(segment)?;
            let plain = self.plain.iter().find(|(known, _)| *known == *decoded);
            let plain = plain.and_then(|(_, child)| child.fallback(after, depth + 1));
            let any = self.any.as_deref().filter(|_| !decoded.is_empty());
            let any = any.and_then(|child| child.fallback(after, depth + 1));
            match (plain, any) {
                (Some(plain), Some(any)) if any.0 > plain.0 => Some(any),
                (plain, any) => plain.or(any),
            }
        });
        deeper.or_else(|| Some((depth, self.fallback.as_deref()?)))
    }

    /// Whether nothing was added here or below, except perhaps a fallback.
    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.any.is_none() && self.rest.is_none()
    }

    pub(super) fn route(&self, method: Method) -> Option<&Route> {
        let of = |method| self.routes.iter().find(|route| route.method == method);
        of(Some(method))
            .or_else(|| of(Some(Method::Get)).filter(|_| method == Method::Head))
            .or_else(|| of(None))
    }

    /// The answer to a method that has no route at this node.
    pub(super) fn without_route(&self, method: Method) -> Response {
        let response = match method {
            Method::Options => Response::new(Status::NO_CONTENT),
            _ => method_not_allowed(),
        };
        response.with_header("Allow", self.allow())
    }

    /// The methods that have a route at this node, for `Allow`.
    pub(super) fn allow(&self) -> String {
        let is_allowed = |method: &Method| {
            let is_answered = self.route(*method).is_some() || *method == Method::Options;
            method.is_routable() && is_answered
        };
        let others = self.routes.iter().filter_map(|route| route.method);
        let others = others.filter(|method| !Method::ALL.contains(method));
        let allowed: Vec<&str> = (Method::ALL.into_iter().filter(is_allowed))
            .chain(others)
            .map(Method::as_str)
            .collect();
        allowed.join(", ")
    }

    /// Adds the methods without a variant that a route names, here or below, to `named`.
    pub(super) fn name_others(&self, named: &mut Vec<Method>) {
        let children = self.plain.iter().map(|(_, child)| child);
        let children = children
            .chain(self.any.as_deref())
            .chain(self.rest.as_deref());
        children.for_each(|child| child.name_others(named));
        let own = |route: &'_ Route| route.method.into_iter().chain(route.others.clone());
        for method in self.routes.iter().flat_map(own) {
            if !Method::ALL.contains(&method) && !named.contains(&method) {
                named.push(method);
            }
        }
    }
}

/// Refuses the text of a segment that no path has, or that was meant to be a parameter.
#[track_caller]
fn check_plain(segment: &str, pattern: &str) {
    assert!(
        !segment.contains(['{', '}']),
        "a brace within a segment of {pattern:?}"
    );
    assert!(
        !segment.starts_with([':', '*', '<']),
        "{segment:?} of {pattern:?} is no parameter: write {{name}}, or {{*name}} for the rest"
    );
    let is_wrong = |c: char| matches!(c, '?' | '#' | '%' | ' ') || c.is_control();
    if let Some(wrong) = segment.chars().find(|&c| is_wrong(c)) {
        panic!("{wrong:?} in {pattern:?}: a pattern is a path, decoded, without a query");
    }
    assert!(
        !matches!(segment, "." | ".."),
        "{segment:?} in {pattern:?}: clients ask for no such path"
    );
}

/// How messages name what a route takes.
pub(super) fn name_of(method: Option<Method>) -> &'static str {
    method.map_or("any method", Method::as_str)
}

/// The first segment of a path, and what is behind the slash after it.
fn first_segment(path: &str) -> (&str, Option<&str>) {
    match find_byte(b'/', path.as_bytes()) {
        Some(slash) => (&path[..slash], Some(&path[slash + 1..])),
        None => (path, None),
    }
}
