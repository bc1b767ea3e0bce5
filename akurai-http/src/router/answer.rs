//! How a router answers: it looks up the route, and then calls the middleware and the handler.

use std::ptr;

use super::Router;
use super::call::{Call, Route, through};
use super::node::Node;
use super::slashes::{Slashes, other_path};
use crate::message::params::Params;
use crate::{App, Limits, Method, Reply, Request, RequestError, Response, Status};

/// What a router has for a request.
#[derive(Clone, Copy)]
struct Lookup<'a> {
    path: PathMatch<'a>,
    /// Where its host's patterns begin.
    tree: &'a Node,
    node: Option<&'a Node>,
    /// How many bytes at the end of the path `{*name}` matched.
    rest_bytes: usize,
}

#[derive(Clone, Copy)]
enum PathMatch<'a> {
    Route(&'a Route),
    /// The path is there, the method is not.
    OtherMethod(&'a Node),
    /// The path with its last slash added or taken away is there, and redirects.
    OtherSlash(&'a Route),
    Nothing,
    /// The router has no such host.
    Misdirected,
}

impl Lookup<'_> {
    fn max_body_bytes(&self) -> Option<u64> {
        self.node?.max_body_bytes
    }
}

impl Router {
    /// Answers a request. With it, a test can call handlers without a socket; a handler's panic
    /// reaches the test.
    pub fn handle(&self, request: &Request) -> Reply {
        self.call(request, Call::Handler)
    }

    fn call(&self, request: &Request, call: Call<'_>) -> Reply {
        let found = self.look_up_and_set(request);
        self.call_found(request, call, &found)
    }

    /// As [`call`](Router::call), for a request that was looked up already.
    fn call_found(&self, request: &Request, call: Call<'_>, found: &Lookup<'_>) -> Reply {
        let exchange = |another: &Request, _: &Request| {
            self.look_up_and_set(another);
        };
        through(&self.middleware, request, &exchange, &|inner| {
            // Middleware may pass on another request.
            let mut reply = match ptr::eq(inner, request) {
                true => dispatch(inner, call, found),
                false => dispatch(inner, call, &self.look_up_and_set(inner)),
            };
            reply.settle(inner);
            reply
        })
    }

    #[cold]
    fn refuse_found(&self, request: &Request, error: RequestError, found: &Lookup<'_>) -> Reply {
        let refusal = |_: &Request| Response::refusal(error).into();
        self.call_found(request, Call::Refusal(&refusal), found)
    }

    fn look_up_and_set(&self, request: &Request) -> Lookup<'_> {
        let mut params = Params::default();
        let found = self.look_up(request, &mut params);
        if params.is_match() {
            request.set_matched_by_hand(params);
        }
        found
    }

    /// Finds the route, and puts what its pattern matched into `params`.
    fn look_up(&self, request: &Request, params: &mut Params) -> Lookup<'_> {
        let mut found = Lookup {
            path: PathMatch::Nothing,
            tree: &self.root,
            node: None,
            rest_bytes: 0,
        };
        if !self.hosts.is_empty() {
            match self.tree_of(request.authority()) {
                Some(tree) => found.tree = tree,
                None => found.path = PathMatch::Misdirected,
            }
            if matches!(found.path, PathMatch::Misdirected) {
                return found;
            }
        }
        let path = request.path();
        found.node = found.tree.find(path.get(1..).unwrap_or(""), params);
        let mut is_other = params.lacks_slash;
        if found.node.is_none() {
            found.node = self.find_other(found.tree, path, params);
            is_other = true;
        }
        let Some(node) = found.node else {
            return found;
        };
        found.rest_bytes = params.rest_bytes;
        found.path = match node.route(request.method()) {
            Some(route) if is_other && self.redirects(route) => PathMatch::OtherSlash(route),
            Some(route) => {
                params.finish(&route.names, &route.pattern);
                PathMatch::Route(route)
            }
            None => {
                let pattern = node.routes.first().map_or("", |route| &route.pattern);
                params.finish_without_route(pattern);
                PathMatch::OtherMethod(node)
            }
        };
        found
    }

    /// The tree of a host. `None` if only other hosts have one.
    fn tree_of(&self, authority: &str) -> Option<&Node> {
        let named = self.hosts.iter().find(|(hosts, _)| hosts.names(authority));
        match named {
            Some((_, tree)) => Some(tree),
            None => Some(&self.root).filter(|root| !root.is_empty()),
        }
    }

    /// The node of the path with its last slash added or taken away, if its routes may answer.
    #[cold]
    fn find_other<'a>(&self, tree: &'a Node, path: &str, params: &mut Params) -> Option<&'a Node> {
        params.clear();
        let other = other_path(path)?;
        let node = tree.find(&other[1..], params)?;
        let own = node.routes.iter().find_map(|route| route.slashes);
        own.or(self.slashes).map(|_| node)
    }

    fn redirects(&self, route: &Route) -> bool {
        route.slashes.or(self.slashes) == Some(Slashes::Redirect)
    }
}

fn dispatch(request: &Request, call: Call<'_>, found: &Lookup<'_>) -> Reply {
    let answer: &dyn Fn() -> Response = match found.path {
        PathMatch::Route(route) => {
            request.set_rest(found.rest_bytes);
            return route.call(request, call);
        }
        PathMatch::OtherSlash(route) => return route.redirect(request, call),
        PathMatch::OtherMethod(node) => &|| node.without_route(request.method()),
        PathMatch::Nothing => &|| Response::plain(Status::NOT_FOUND, "not found"),
        PathMatch::Misdirected => &|| Response::refusal(RequestError::Misdirected),
    };
    let path = request.path();
    match (
        found.tree.fallback(Some(path.get(1..).unwrap_or("")), 0),
        call,
    ) {
        (Some((_, fallback)), _) => fallback.call(request, call, answer),
        (None, Call::Refusal(refusal)) => refusal(request),
        (None, _) => answer().into(),
    }
}

/// A handler's panic becomes 500, and the request notes it.
impl App for Router {
    fn handle(&self, request: &Request) -> Reply {
        self.call(request, Call::Caught)
    }

    fn refuse(&self, request: &Request, refusal: &dyn Fn(&Request) -> Reply) -> Reply {
        self.call(request, Call::Refusal(refusal))
    }

    fn max_body_bytes(&self, request: &Request) -> Option<u64> {
        self.look_up(request, &mut Params::default())
            .max_body_bytes()
    }

    fn allow(&self, request: &Request) -> Result<Option<String>, RequestError> {
        let found = self.look_up(request, &mut Params::default());
        match found.path {
            PathMatch::Misdirected => Err(RequestError::Misdirected),
            _ => Ok(found.node.map(Node::allow)),
        }
    }

    fn methods(&self) -> Vec<Method> {
        let mut named = Vec::new();
        let hosts = self.hosts.iter().map(|(_, tree)| tree);
        for tree in hosts.chain([&self.root]) {
            tree.name_others(&mut named);
        }
        named
    }

    fn begin_and_handle(&self, request: &mut Request, limits: &Limits) -> Reply {
        let mut params = request.take_matched();
        let found = self.look_up(request, &mut params);
        request.set_matched(params);
        match request.begin_body(limits, found.max_body_bytes()) {
            Ok(()) => self.call_found(request, Call::Caught, &found),
            Err(error) => self.refuse_found(request, error, &found),
        }
    }
}
