//! Finds the handler for a request by path pattern and method, and puts middleware around it.

mod answer;
mod call;
mod nesting;
mod node;
mod slashes;

use std::fmt;

use self::call::{Fallback, Handler, Route, Stack, noted};
use self::node::{Node, name_of};
use self::slashes::Slashes;
use crate::files::{self, Files};
use crate::message::hosts::Hosts;
use crate::{IntoReply, Method, Reply, Request, Response};

/// Finds the handler for a request.
///
/// A pattern is a path of segments: a plain one matches itself (percent-decoded), `{name}` matches
/// any one segment that is not empty, and `{*name}` matches the rest of the path, which may be
/// empty; `{*}` does so under the name `*`. A parameter is percent-decoded, so it may contain
/// slashes and dots: do not use it as a path to open a file. If several patterns match, a plain
/// segment goes before `{name}`, and that before `{*name}`. The order in which they were added does
/// not matter.
///
/// The handler of `GET` also answers `HEAD`, unless `HEAD` has its own. `OPTIONS` is answered with
/// `Allow`. If no pattern matches the path, the answer is 404. If the pattern has no handler for
/// the method, it is 405 with `Allow`; a [`fallback`](Router::fallback) changes both. So beside a
/// `{*name}` that matches every path, as [`files`](Router::files) at `/` does, an unknown path gets
/// 405 for methods other than `GET`. A method that no route of the router names, and that is none
/// of the usual ones, gets 501 from the server; see [`Method`].
///
/// `/a` and `/a/` are two paths, and a pattern matches the one that it spells.
/// [`redirect_slashes`](Router::redirect_slashes) and [`ignore_slashes`](Router::ignore_slashes)
/// let it have both. Two things are different without them: the prefix of [`nest`](Router::nest) is
/// answered without its slash too, and the prefix of [`files`](Router::files) is redirected to the
/// path with it.
///
/// A handler may return any type that converts into a [`Reply`]. A closure that uses `?` must
/// declare its return type: `|req| -> std::io::Result<Response> { … }`.
///
/// ```
/// use akurai_http::{Method, Request, Response, Router};
///
/// let router = Router::new()
///     .get("/users/{id}", |req| Response::text(req.param("id").unwrap()))
///     .get("/users/me", |_| Response::text("you"));
/// let answer = |path| router.handle(&Request::new(Method::Get, path)).response().body().map(<[u8]>::to_vec);
/// assert_eq!(answer("/users/j%C3%BCrgen"), Some("jürgen".into()));
/// assert_eq!(answer("/users/me"), Some("you".into()));
/// ```
#[derive(Default)]
#[must_use = "a router does nothing until `Server::run` gets it"]
pub struct Router {
    root: Node,
    /// The routers of hosts. Each has a tree of its own.
    hosts: Vec<(Hosts, Node)>,
    slashes: Option<Slashes>,
    middleware: Stack,
}

impl Router {
    /// A router without routes: it answers everything with 404.
    pub fn new() -> Router {
        Router::default()
    }

    /// Adds a handler for `GET`, which answers `HEAD` too.
    #[track_caller]
    pub fn get<R: IntoReply>(
        self,
        pattern: &str,
        handler: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> Router {
        self.route(Method::Get, pattern, handler)
    }

    /// Adds a handler for `POST`.
    #[track_caller]
    pub fn post<R: IntoReply>(
        self,
        pattern: &str,
        handler: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> Router {
        self.route(Method::Post, pattern, handler)
    }

    /// Adds a handler for `PUT`.
    #[track_caller]
    pub fn put<R: IntoReply>(
        self,
        pattern: &str,
        handler: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> Router {
        self.route(Method::Put, pattern, handler)
    }

    /// Adds a handler for `DELETE`.
    #[track_caller]
    pub fn delete<R: IntoReply>(
        self,
        pattern: &str,
        handler: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> Router {
        self.route(Method::Delete, pattern, handler)
    }

    /// Adds a handler for `PATCH`.
    #[track_caller]
    pub fn patch<R: IntoReply>(
        self,
        pattern: &str,
        handler: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> Router {
        self.route(Method::Patch, pattern, handler)
    }

    /// Adds a handler for any method but `CONNECT` and `TRACE`, which the server answers itself:
    /// one of WebDAV's too, or any other that [`Method::new`] makes.
    ///
    /// # Panics
    ///
    /// If the pattern is malformed, or if it already has a handler for this method. A pattern
    /// begins with `/`. A name is letters, digits and `_` of ASCII, and is not used twice;
    /// `{*name}` is the last segment. Other segments stand decoded, without `?`, `#`, `%`, braces,
    /// spaces and control characters. They are not `.` or `..`, and do not begin with `:`, `*` or
    /// `<`: so other libraries write a parameter.
    #[track_caller]
    pub fn route<R: IntoReply>(
        self,
        method: Method,
        pattern: &str,
        handler: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> Router {
        assert!(
            method.is_routable(),
            "{method} is answered by the server itself"
        );
        let handler = move |request: &Request| noted(request, handler(request).into());
        self.add(Some(method), pattern, Box::new(handler))
    }

    /// As [`route`](Router::route), in one copy for all handlers.
    #[track_caller]
    fn add(mut self, method: Option<Method>, pattern: &str, handler: Handler) -> Router {
        let (node, names) = self.root.at(pattern);
        assert!(
            node.has_no_own(method),
            "{} {pattern} has a handler already",
            name_of(method)
        );
        node.routes.push(Route {
            method,
            others: Vec::new(),
            pattern: pattern.to_owned(),
            names,
            handler,
            stacks: Vec::new(),
            slashes: None,
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

    /// Answers where no route does. The handler gets the answer that the router would give: 404,
    /// 405 with its `Allow`, or 421 if the router has no such [host](Router::host). It may change
    /// that answer or give another. It is not called for what a route's handler answers: a 404 of
    /// its own, of [`parse_param`](crate::Request::parse_param), or of
    /// [`send_file`](crate::Response::send_file) for a file that is not there.
    /// [`wrap`](Router::wrap) is around it. For a router that is
    /// nested, it answers for the paths from the prefix on; the innermost such fallback is called.
    ///
    /// ```
    /// use akurai_http::{Method, Request, Response, Router, Status};
    ///
    /// let router = Router::new()
    ///     .get("/", |_| Response::text("hello\n"))
    ///     .fallback(|req, answer| match answer.status() {
    ///         Status::NOT_FOUND => answer.with_body(format!("nothing at {}\n", req.path())),
    ///         _ => answer,
    ///     });
    /// let reply = router.handle(&Request::new(Method::Get, "/x"));
    /// assert_eq!(reply.response().status(), Status::NOT_FOUND);
    /// assert_eq!(reply.response().body(), Some(&b"nothing at /x\n"[..]));
    /// ```
    ///
    /// # Panics
    ///
    /// If there is a fallback already.
    #[track_caller]
    pub fn fallback<R: IntoReply>(
        mut self,
        handler: impl Fn(&Request, Response) -> R + Send + Sync + 'static,
    ) -> Router {
        let handler = move |request: &Request, answer: Response| {
            noted(request, handler(request, answer).into())
        };
        self.root.set_fallback(Box::new(Fallback {
            handler: Box::new(handler),
            stacks: Vec::new(),
        }));
        self
    }

    /// Redirects a path that no route has to the path with its last slash added or taken away, if a
    /// route has that one: with 308, which keeps the method and the body, and with the query. Also
    /// redirects the prefix of [`nest`](Router::nest). Holds for all routes of this router, and for
    /// those of nested routers that do not choose for themselves.
    ///
    /// ```
    /// use akurai_http::{Method, Request, Response, Router};
    ///
    /// let router = Router::new().get("/console/", |_| Response::text("…")).redirect_slashes();
    /// let reply = router.handle(&Request::new(Method::Get, "/console?all"));
    /// assert_eq!(reply.response().headers().get("Location"), Some("/console/?all"));
    /// ```
    pub fn redirect_slashes(mut self) -> Router {
        self.slashes = Some(Slashes::Redirect);
        self
    }

    /// As [`redirect_slashes`](Router::redirect_slashes), but the route answers both paths alike. A
    /// page's relative links mean something else at each of the two.
    pub fn ignore_slashes(mut self) -> Router {
        self.slashes = Some(Slashes::Ignore);
        self
    }

    /// Puts a function around the whole router, with its 404 and 405. The function may answer by
    /// itself, or call `next` and change the reply. A function that is wrapped later goes around
    /// the earlier ones, and is called first. A closure that sometimes answers by itself and
    /// sometimes returns the reply of `next` must declare that it returns a [`Reply`]:
    /// `|req, next| -> Reply { … }`.
    ///
    /// The route is looked up first, so the function knows [`Request::pattern`] and
    /// [`Request::param`]. It hands a value to the handler with [`Request::insert`].
    ///
    /// The function may pass another request to `next`. This router looks up the route of that one.
    /// But if this router was nested, the route is settled: its handler gets the other request,
    /// with the parameters of the first. In both cases the first request's log line gets the fields
    /// of the other, and failures and panics are told as the first one's.
    ///
    /// `next` also returns the answers that the server gives instead of a handler: 500 if the
    /// handler panicked, and 413 if a request announces a body over the limit, for which no handler
    /// is called. So middleware can, for example, let a page of another site read them. Some
    /// answers do not pass through here, because there is no request to pass: answers to a head
    /// that the server does not accept (400, 408, 414, 417, 431, 501, 505), the 421 of
    /// [`Server::hosts`](crate::Server::hosts), answers to `TRACE` and `OPTIONS *`, and the 503 for
    /// a connection that finds no place. If a reply's stream fails
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
    pub fn wrap<R: IntoReply>(
        mut self,
        middleware: impl Fn(&Request, &dyn Fn(&Request) -> Reply) -> R + Send + Sync + 'static,
    ) -> Router {
        self.middleware.push(Box::new(move |request, next| {
            noted(request, middleware(request, next).into())
        }));
        self
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
