//! Finds the handler for a request by path pattern and method, and puts middleware around it.

mod call;
mod node;

use std::cell::Cell;
use std::fmt;
use std::ptr;
use std::sync::Arc;

use self::call::{Call, Handler, Route, Stack, through};
use self::node::Node;
use crate::files::{self, Files};
use crate::message::params::Params;
use crate::{App, Limits, Method, Reply, Request, Response, Status};

/// Finds the handler for a request.
///
/// A pattern is a path of segments: a plain one matches itself (percent-decoded), `{name}` matches
/// any one segment that is not empty, and `{*name}` matches the rest of the path, which may be
/// empty. A parameter is percent-decoded, so it may contain slashes and dots: do not use it as a
/// path to open a file. If several patterns match, a plain segment goes before `{name}`, and that
/// before `{*name}`. The order in which they were added does not matter.
///
/// The handler of `GET` also answers `HEAD`, unless `HEAD` has its own. `OPTIONS` is answered with
/// `Allow`. If no pattern matches the path, the answer is 404. If the pattern has no handler for
/// the method, it is 405 with `Allow`. So beside a `{*name}` that matches every path, as
/// [`files`](Router::files) at `/` does, an unknown path gets 405 for methods other than `GET`.
///
/// A handler may return any type that converts into a [`Reply`]. A closure that uses `?` must
/// declare its return type: `|req| -> std::io::Result<Response> { … }`.
///
/// ```
/// use akurai_http::{Request, Response, Router};
///
/// let router = Router::new()
///     .get("/users/{id}", |req| Response::text(req.param("id").unwrap()))
///     .get("/users/me", |_| Response::text("you"));
/// let answer = |path| router.handle(&Request::get(path)).response().body().map(<[u8]>::to_vec);
/// assert_eq!(answer("/users/j%C3%BCrgen"), Some("jürgen".into()));
/// assert_eq!(answer("/users/me"), Some("you".into()));
/// ```
#[derive(Default)]
#[must_use = "a router does nothing until `Server::run` gets it"]
pub struct Router {
    root: Node,
    middleware: Stack,
}

impl Router {
    /// A router without routes: it answers everything with 404.
    pub fn new() -> Router {
        Router::default()
    }

    /// Adds a handler for `GET`, which answers `HEAD` too.
    #[track_caller]
    pub fn get<R: Into<Reply>>(
        self,
        pattern: &str,
        handler: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> Router {
        self.route(Method::Get, pattern, handler)
    }

    /// Adds a handler for `POST`.
    #[track_caller]
    pub fn post<R: Into<Reply>>(
        self,
        pattern: &str,
        handler: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> Router {
        self.route(Method::Post, pattern, handler)
    }

    /// Adds a handler for `PUT`.
    #[track_caller]
    pub fn put<R: Into<Reply>>(
        self,
        pattern: &str,
        handler: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> Router {
        self.route(Method::Put, pattern, handler)
    }

    /// Adds a handler for `DELETE`.
    #[track_caller]
    pub fn delete<R: Into<Reply>>(
        self,
        pattern: &str,
        handler: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> Router {
        self.route(Method::Delete, pattern, handler)
    }

    /// Adds a handler for `PATCH`.
    #[track_caller]
    pub fn patch<R: Into<Reply>>(
        self,
        pattern: &str,
        handler: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> Router {
        self.route(Method::Patch, pattern, handler)
    }

    /// Adds a handler for any method but `CONNECT` and `TRACE`, which the server answers itself.
    ///
    /// # Panics
    ///
    /// If the pattern is malformed (it must begin with `/`; `{*name}` must be its last segment;
    /// names must not be empty or used twice), or if it already has a handler for this method.
    #[track_caller]
    pub fn route<R: Into<Reply>>(
        self,
        method: Method,
        pattern: &str,
        handler: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> Router {
        let handler = move |request: &Request| {
            let mut reply = handler(request).into();
            request.note_failure(&mut reply);
            reply
        };
        self.add(method, pattern, Box::new(handler))
    }

    /// As [`route`](Router::route), in one copy for all handlers.
    #[track_caller]
    fn add(mut self, method: Method, pattern: &str, handler: Handler) -> Router {
        assert!(
            method.is_routable(),
            "{method} is answered by the server itself"
        );
        let (node, names) = self.root.at(pattern);
        assert!(
            node.routes.iter().all(|route| route.method != method),
            "{method} {pattern} has a handler already"
        );
        node.routes.push(Route {
            method,
            names,
            handler,
            stacks: Vec::new(),
        });
        self
    }

    /// Serves a tree of [`Files`] under `prefix`. Instead of `Files`, a path may be given: it means
    /// [`Files::dir`]. The prefix without its final slash is redirected to the prefix with it.
    ///
    /// ```
    /// use akurai_http::{Files, Router};
    ///
    /// let router = Router::new()
    ///     .files("/static", "/srv/site")
    ///     .files("/pub", Files::dir("/srv/pub").listing());
    /// # let _ = router;
    /// ```
    ///
    /// # Panics
    ///
    /// As [`route`](Router::route), for the prefix, and for the prefix followed by a slash and any
    /// path.
    #[track_caller]
    pub fn files(self, prefix: &str, files: impl Into<Files>) -> Router {
        self.add_files(prefix, files.into())
    }

    #[track_caller]
    fn add_files(self, prefix: &str, files: Files) -> Router {
        let prefix = prefix.trim_end_matches('/');
        let router = self.get(&format!("{prefix}/{{*path}}"), move |request| {
            files.respond(request, request.rest())
        });
        match prefix {
            "" => router,
            prefix => router.get(prefix, files::redirect_to_directory),
        }
    }

    /// Lets the routes of this pattern take bodies of up to `bytes` bytes instead of
    /// [`Limits::max_body_bytes`](crate::Limits::max_body_bytes). The routes must have been added
    /// before. A longer body gets 413, and the connection is closed.
    ///
    /// ```
    /// use akurai_http::{Request, Response, Router};
    /// use std::io;
    ///
    /// fn upload(req: &Request) -> io::Result<Response> {
    ///     let size = io::copy(&mut req.body_reader(), &mut io::sink())?;
    ///     Ok(Response::text(format!("{size} bytes\n")))
    /// }
    /// let router = Router::new().post("/upload", upload).max_body_bytes("/upload", 4 << 30);
    /// # let _ = router;
    /// ```
    ///
    /// # Panics
    ///
    /// If no route has this pattern.
    #[track_caller]
    pub fn max_body_bytes(mut self, pattern: &str, bytes: u64) -> Router {
        let (node, _) = self.root.at(pattern);
        assert!(
            !node.routes.is_empty(),
            "no route has the pattern {pattern:?}"
        );
        node.max_body_bytes = Some(bytes);
        self
    }

    /// Adds all routes of another router, each after `prefix`. That router's middleware stays
    /// around its routes, but not around the 404 and 405 of this router.
    ///
    /// ```
    /// use akurai_http::{Response, Router};
    ///
    /// let api = Router::new().get("/users/{id}", |req| Response::text(req.param("id").unwrap()));
    /// let router = Router::new().nest("/api/v1", api); // GET /api/v1/users/7
    /// # let _ = router;
    /// ```
    ///
    /// A request for the prefix without a slash is answered as with one: `/api/v1` by the nested
    /// router's `/`, unless another route has that pattern. If the page there has relative links,
    /// redirect instead; [`files`](Router::files) does that.
    ///
    /// With an empty prefix, the routes keep their paths. In this way a part of a site can have its
    /// own middleware:
    ///
    /// ```
    /// use akurai_http::{Reply, Request, Response, Router, Status};
    ///
    /// let members = Router::new()
    ///     .get("/", |_| Response::text("welcome back"))
    ///     .get("/letters/{id}", |_| Response::text("…"))
    ///     .wrap(|req, next| -> Reply {
    ///         match req.cookie("session") {
    ///             Some("31d4d96e407aad42") => next(req),
    ///             _ => Response::redirect(Status::SEE_OTHER, "/login").into(),
    ///         }
    ///     });
    /// let router = Router::new().get("/login", |_| Response::html("<form method=post>…")).nest("", members);
    /// let status = |path| router.handle(&Request::get(path)).response().status();
    /// assert_eq!(status("/letters/7"), Status::SEE_OTHER);
    /// assert_eq!(status("/login"), Status::OK);
    /// ```
    ///
    /// # Panics
    ///
    /// If the prefix is malformed or ends with a slash or with a `{*name}`, which leaves no path
    /// for the routes after it; or if a route is there already.
    #[track_caller]
    pub fn nest(mut self, prefix: &str, router: Router) -> Router {
        assert!(!prefix.ends_with('/'), "prefix {prefix:?} ends with '/'");
        let last = prefix.rsplit('/').next().unwrap_or(prefix);
        assert!(
            !last.starts_with("{*"),
            "{last} of prefix {prefix:?} takes the whole rest of the path: it reaches no route behind it"
        );
        let (node, names) = match prefix {
            "" => (&mut self.root, Vec::new()),
            _ => self.root.at(prefix),
        };
        node.is_prefix |= !prefix.is_empty();
        node.adopt(router.root, &names, &Arc::new(router.middleware));
        self
    }

    /// Puts a function around the whole router, with its 404 and 405. The function may answer by
    /// itself, or call `next` and change the reply. A function that is wrapped later goes around
    /// the earlier ones, and is called first. A closure that sometimes answers by itself and
    /// sometimes returns the reply of `next` must declare that it returns a [`Reply`]:
    /// `|req, next| -> Reply { … }`.
    ///
    /// `next` also returns the answers that the server gives instead of a handler: 500 if the
    /// handler panicked, and 413 if a request announces a body over the limit, for which no handler
    /// is called. So middleware can, for example, let a page of another site read them. Some
    /// answers do not pass through here, because there is no request to pass: answers to a head
    /// that the server does not accept (400, 408, 414, 417, 431, 501, 505), to `TRACE` and
    /// `OPTIONS *`, and the 503 for a connection that finds no place. If a reply's stream fails
    /// before its first byte, the server sends 500 instead. That 500 keeps the reply's fields,
    /// except those about the content.
    ///
    /// ```
    /// use akurai_http::{Response, Router};
    ///
    /// let router = Router::new().get("/", |_| Response::text("hi")).wrap(|req, next| {
    ///     let mut reply = next(req);
    ///     reply.response_mut().headers_mut().append("X-Served-By", b"akurai").unwrap();
    ///     reply
    /// });
    /// # let _ = router;
    /// ```
    pub fn wrap<R: Into<Reply>>(
        mut self,
        middleware: impl Fn(&Request, &dyn Fn(&Request) -> Reply) -> R + Send + Sync + 'static,
    ) -> Router {
        self.middleware.push(Box::new(move |request, next| {
            middleware(request, next).into()
        }));
        self
    }

    /// Answers a request. With it, a test can call handlers without a socket; a handler's panic
    /// reaches the test.
    pub fn handle(&self, request: &Request) -> Reply {
        self.call(request, Call::Handler)
    }

    fn call(&self, request: &Request, call: Call<'_>) -> Reply {
        through(&self.middleware, request, &|request| {
            self.find_and_dispatch(request, call)
        })
    }

    /// Looks up the route of a request that announces a body. One lookup serves for its limit and
    /// its handler.
    #[inline(never)] // The other requests, which are most, would pay for its frame.
    fn handle_with_body(&self, request: &Request, limits: &Limits) -> Reply {
        let mut params = request.take_params();
        let node = self.find(request, &mut params);
        match request.begin_body(limits, node.and_then(|node| node.max_body_bytes)) {
            Ok(()) => self.call_at(request, Call::Caught, node, params),
            Err(error) => {
                let refusal = |_: &Request| Response::refusal(error).into();
                self.call_at(request, Call::Refusal(&refusal), node, params)
            }
        }
    }

    /// As [`call`](Router::call), for a request whose path leads to `node`.
    fn call_at(
        &self,
        request: &Request,
        call: Call<'_>,
        node: Option<&Node>,
        params: Params,
    ) -> Reply {
        let params = Cell::new(Some(params));
        let reply = through(&self.middleware, request, &|inner| {
            // Middleware may pass on another request, or the same request twice.
            match params.take().filter(|_| ptr::eq(inner, request)) {
                Some(params) => self.dispatch(inner, call, node, params),
                None => self.find_and_dispatch(inner, call),
            }
        });
        if let Some(unused) = params.take() {
            request.leave_params(unused);
        }
        reply
    }

    /// The node that the path leads to, and the values of the parameters on the way there.
    fn find(&self, request: &Request, params: &mut Params) -> Option<&Node> {
        let path = request.path();
        self.root.find(path.get(1..).unwrap_or(""), params)
    }

    fn node_of(&self, request: &Request) -> Option<&Node> {
        let mut params = request.take_params();
        let node = self.find(request, &mut params);
        request.leave_params(params);
        node
    }

    fn find_and_dispatch(&self, request: &Request, call: Call<'_>) -> Reply {
        let mut params = request.take_params();
        let node = self.find(request, &mut params);
        self.dispatch(request, call, node, params)
    }

    fn dispatch(
        &self,
        request: &Request,
        call: Call<'_>,
        node: Option<&Node>,
        mut params: Params,
    ) -> Reply {
        let route = node.and_then(|node| node.route(request.method()));
        let Some(route) = route else {
            return match (call, node) {
                (Call::Refusal(refusal), _) => refusal(request),
                (_, Some(node)) => node.without_route(request.method()).into(),
                (_, None) => Response::plain(Status::NOT_FOUND, "not found").into(),
            };
        };
        if !route.names.is_empty() {
            route.names.iter().for_each(|name| params.push(name));
            request.set_params(params);
        }
        route.call(request, call)
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
        self.node_of(request)?.max_body_bytes
    }

    fn allow(&self, request: &Request) -> Option<String> {
        self.node_of(request).map(Node::allow)
    }

    fn begin_and_handle(&self, request: &Request, limits: &Limits) -> Reply {
        // Without a body, no limit has to be looked up.
        if !request.announces_body() && request.begin_body(limits, None).is_ok() {
            return self.call(request, Call::Caught);
        }
        self.handle_with_body(request, limits)
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("middleware", &self.middleware.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
