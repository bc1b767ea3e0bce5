//! The tree of patterns: finds the node that a path leads to, with its routes.

use std::sync::Arc;

use super::call::{Route, Stack};
use crate::codec::path::percent_decode;
use crate::codec::search::find_byte;
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
}

impl Node {
    /// Takes over the routes of `other`, a node of a nested router. Its pattern begins after ours;
    /// `names` are the parameters of ours. `stack` stays around its handlers.
    #[track_caller]
    pub(super) fn adopt(&mut self, other: Node, names: &[String], stack: &Arc<Stack>) {
        for (segment, child) in other.plain {
            // A pattern "/" after a prefix is the prefix with a slash: its segment is empty.
            self.plain_child(&segment).adopt(child, names, stack);
        }
        if let Some(child) = other.any {
            self.any.get_or_insert_default().adopt(*child, names, stack);
        }
        if let Some(child) = other.rest {
            self.rest
                .get_or_insert_default()
                .adopt(*child, names, stack);
        }
        self.is_prefix |= other.is_prefix;
        self.max_body_bytes = other.max_body_bytes.or(self.max_body_bytes);
        for mut route in other.routes {
            let method = route.method;
            assert!(
                self.routes.iter().all(|known| known.method != method),
                "{method} has a handler already where a nested router has one too"
            );
            assert!(
                route.names.iter().all(|name| !names.contains(name)),
                "a parameter of the prefix has the name of one behind it"
            );
            let mut all_names = names.to_vec();
            all_names.extend(route.names);
            route.names = all_names;
            route.stacks.push(Arc::clone(stack));
            self.routes.push(route);
        }
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
            let Some(name) = name else {
                assert!(
                    !segment.contains(['{', '}']),
                    "a brace within a segment of {pattern:?}"
                );
                node = node.plain_child(segment);
                continue;
            };
            let rest = name.strip_prefix('*');
            assert!(
                rest.is_none() || segments.peek().is_none(),
                "{segment} is not the last segment of {pattern:?}"
            );
            let name = rest.unwrap_or(name);
            assert!(
                !name.is_empty() && !names.iter().any(|known| known == name),
                "parameter {segment} of {pattern:?} has no name of its own"
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
        let (segment, after) = match find_byte(b'/', path.as_bytes()) {
            Some(slash) => (&path[..slash], Some(&path[slash + 1..])),
            None => (path, None),
        };
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
            None if self.is_prefix => self.find("", params),
            None => None,
        }
    }

    pub(super) fn route(&self, method: Method) -> Option<&Route> {
        let of = |method| self.routes.iter().find(|route| route.method == method);
        of(method).or_else(|| of(Method::Get).filter(|_| method == Method::Head))
    }

    /// The answer to a method that has no route at this node.
    pub(super) fn without_route(&self, method: Method) -> Response {
        let response = match method {
            Method::Options => Response::new(Status::NO_CONTENT),
            _ => Response::plain(Status::METHOD_NOT_ALLOWED, "method not allowed"),
        };
        response.with_header("Allow", self.allow())
    }

    pub(super) fn allow(&self) -> String {
        let allowed: Vec<&str> = Method::ALL
            .into_iter()
            .filter(|&known| known == Method::Options || self.route(known).is_some())
            .map(Method::as_str)
            .collect();
        allowed.join(", ")
    }
}
