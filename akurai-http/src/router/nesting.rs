//! Routers within routers: at a prefix, or for a host.

use std::any::Any;
use std::sync::Arc;

use super::Router;
use super::call::{Fallback, noted};
use super::node::{Nesting, Node};
use crate::message::hosts::Hosts;
use crate::{App, Request};

impl Router {
    /// Adds all routes of another router, each after `prefix`. That router's middleware stays
    /// around its routes and its [`fallback`](Router::fallback), but not around the 404 and 405 of
    /// this router.
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
    /// [redirect](Router::redirect_slashes) instead.
    ///
    /// Instead of a router, a handler may be given, or any other [`App`]. It gets all paths from
    /// the prefix on and all methods, unless another route has them. The pattern is the prefix with
    /// `/{*}` behind it, so `req.param("*")` is the path behind the prefix. A closure must name its
    /// argument's type, `|req: &Request| …`, or the compiler says "implementation of `FnOnce` is
    /// not general enough". The longest body is set here, for that pattern.
    ///
    /// ```
    /// use akurai_http::{Method, Request, Response, Router};
    ///
    /// let old = |req: &Request| Response::text(format!("{} {}", req.method(), req.param("*").unwrap()));
    /// let router = Router::new().nest("/old", old).max_body_bytes("/old/{*}", 1 << 20);
    /// let answer = router.handle(&Request::new(Method::Put, "/old/a/b"));
    /// assert_eq!(answer.response().body(), Some(&b"PUT a/b"[..]));
    /// ```
    ///
    /// With an empty prefix, the routes keep their paths. In this way a part of a site can have its
    /// own middleware:
    ///
    /// ```
    /// use akurai_http::{Method, Reply, Request, Response, Router, Status};
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
    /// let status = |path| router.handle(&Request::new(Method::Get, path)).response().status();
    /// assert_eq!(status("/letters/7"), Status::SEE_OTHER);
    /// assert_eq!(status("/login"), Status::OK);
    /// ```
    ///
    /// # Panics
    ///
    /// If the prefix is malformed or ends with a slash or with a `{*name}`, which leaves no path
    /// for the routes after it; if a route or a fallback is there already; or if the router has
    /// [hosts](Router::host), since a path has none.
    #[track_caller]
    pub fn nest<A: App>(self, prefix: &str, app: A) -> Router {
        assert!(!prefix.ends_with('/'), "prefix {prefix:?} ends with '/'");
        let last = prefix.rsplit('/').next().unwrap_or(prefix);
        assert!(
            !last.starts_with("{*"),
            "{last} of prefix {prefix:?} takes the whole rest of the path: it reaches no route behind it"
        );
        // A router is an app too: its type tells.
        let mut app = Some(app);
        let router = (&mut app as &mut dyn Any).downcast_mut::<Option<Router>>();
        let router = router.and_then(Option::take);
        match (router, app) {
            (Some(router), _) => self.nest_router(prefix, router),
            (None, Some(app)) => self.nest_app(prefix, app),
            (None, None) => self,
        }
    }

    #[track_caller]
    fn nest_router(mut self, prefix: &str, router: Router) -> Router {
        let (node, names) = match prefix {
            "" => (&mut self.root, Vec::new()),
            _ => self.root.at(prefix),
        };
        node.is_prefix |= !prefix.is_empty();
        router.become_part_of(node, prefix, names);
        self
    }

    #[track_caller]
    fn nest_app(self, prefix: &str, app: impl App) -> Router {
        let pattern = format!("{prefix}/{{*}}");
        let others = app.methods();
        let handler = move |request: &Request| noted(request, app.handle(request));
        let mut router = self.add(None, &pattern, Box::new(handler));
        let (node, _) = router.root.at(&pattern);
        if let Some(route) = node.routes.last_mut() {
            route.others = others;
        }
        if !prefix.is_empty() {
            router.root.at(prefix).0.is_prefix = true;
        }
        router
    }

    #[track_caller]
    fn become_part_of(self, node: &mut Node, prefix: &str, names: Vec<String>) {
        assert!(
            self.hosts.is_empty(),
            "a router with hosts is nested: its hosts would be lost"
        );
        let nesting = Nesting {
            prefix,
            names,
            stack: Arc::new(self.middleware),
            slashes: self.slashes,
        };
        node.adopt(self.root, &nesting);
    }

    /// Gives the requests for these hosts to another router: host names, IPv4 addresses and IPv6
    /// addresses, each without a port, compared as [`Server::hosts`](crate::Server::hosts) does. No
    /// route of this router answers them. The other router's middleware is around all of its
    /// answers, its 404 and 405 included, and this router's middleware is around that.
    ///
    /// A request for any other host gets this router's own routes. If it has none, the answer is
    /// 421 (RFC 9110 §15.5.20), and the connection ends. This stops DNS rebinding, in which a page
    /// of another site makes its own name lead to this server. The same goes for a request without
    /// a host, which HTTP/1.0 allows and no browser sends.
    ///
    /// ```
    /// use akurai_http::{Method, Request, Response, Router};
    ///
    /// let shop = Router::new().get("/", |_| Response::text("shop"));
    /// let api = Router::new().get("/", |_| Response::text("api"));
    /// let router = Router::new()
    ///     .host(["shop.example", "www.shop.example"], shop)
    ///     .host(["api.shop.example"], api);
    /// let status = |host| {
    ///     let request = Request::new(Method::Get, "/").with_header("Host", host);
    ///     router.handle(&request).response().status().code()
    /// };
    /// assert_eq!((status("api.shop.example:8090"), status("evil.example")), (200, 421));
    /// ```
    ///
    /// # Panics
    ///
    /// If one of them is no host, has a port or has a router already; or if the other router has
    /// hosts itself.
    #[track_caller]
    pub fn host(
        mut self,
        names: impl IntoIterator<Item = impl AsRef<str>>,
        router: Router,
    ) -> Router {
        let mut hosts = Hosts::default();
        for name in names {
            if let Err(error) = hosts.add(name.as_ref()) {
                panic!("{error}");
            }
        }
        assert!(
            !self.hosts.iter().any(|(known, _)| known.overlap(&hosts)),
            "a host has a router already"
        );
        let mut tree = Node::default();
        let mut router = router;
        // Its middleware goes around its 404 too.
        router
            .root
            .fallback
            .get_or_insert_with(|| Box::new(Fallback::plain()));
        router.become_part_of(&mut tree, "", Vec::new());
        self.hosts.push((hosts, tree));
        self
    }
}
