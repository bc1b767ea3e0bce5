//! What a request gets on its way to the handler: the route that its path matched, and the values
//! of middleware.

use std::io;
use std::mem;
use std::str::FromStr;
use std::sync::atomic::Ordering;

use super::Request;
use crate::message::params::Params;

/// Stands for a number of bytes: `{*name}` matched in the path of another request.
const REST_OF_OTHER: usize = usize::MAX;

impl Request {
    /// The text that `{name}` in the route's pattern matched, percent-decoded. `None` if no route
    /// matched, or if its pattern has no such name.
    ///
    /// A router looks up the route before it calls its middleware, so middleware gets the same
    /// answer before and after `next`. If a handler passes the request to another router, the
    /// parameters stay those of the first.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.matched()?.value(name)
    }

    /// The [parameter](Request::param), parsed.
    ///
    /// ```
    /// use akurai_http::{Method, Request, Response, Router};
    ///
    /// fn user(req: &Request) -> std::io::Result<Response> {
    ///     let id: u64 = req.parse_param("id")?;
    ///     Ok(Response::text(format!("user {id}\n")))
    /// }
    /// let router = Router::new().get("/users/{id}", user);
    /// let status = |path| router.handle(&Request::new(Method::Get, path)).response().status().code();
    /// assert_eq!((status("/users/7"), status("/users/me")), (200, 404));
    /// ```
    ///
    /// # Errors
    ///
    /// If the text does not parse: as a [`Reply`](crate::Reply), this error is 404, since nothing
    /// has this path. If the route's pattern has no such name, which is a mistake of the program:
    /// then 500.
    pub fn parse_param<T: FromStr>(&self, name: &str) -> io::Result<T> {
        match self.matched() {
            Some(params) => params.parse(name),
            None => Params::default().parse(name),
        }
    }

    /// The pattern of the route that matched, `/users/{id}` for example; with the prefixes of the
    /// routers that it was nested in. `None` if no route matched: then the router's 404, its
    /// [fallback](crate::Router::fallback) or a redirect answers. If a route has the path but not
    /// the method, this is its pattern. For [files](crate::Router::files), the pattern ends in
    /// `{*path}`; for a [nested handler](crate::Router::nest), in `{*}`.
    ///
    /// A program has few patterns, however many paths its clients ask for: so this is the label for
    /// logs and metrics.
    pub fn pattern(&self) -> Option<&str> {
        Some(self.matched()?.pattern())
    }

    /// Attaches a value. Middleware uses this to hand something to the handler: the user that a
    /// cookie stands for, for example.
    ///
    /// ```
    /// use akurai_http::{Method, Reply, Request, Response, Router, Status};
    ///
    /// #[derive(Clone)]
    /// struct User {
    ///     name: String,
    /// }
    ///
    /// fn hello(req: &Request) -> Response {
    ///     match req.get::<User>() {
    ///         Some(user) => Response::text(format!("hello {}\n", user.name)),
    ///         None => Response::new(Status::UNAUTHORIZED),
    ///     }
    /// }
    /// let router = Router::new().get("/", hello).wrap(|req, next| {
    ///     if let Some(name) = req.cookie("name") {
    ///         req.insert(User { name: name.to_owned() });
    ///     }
    ///     next(req)
    /// });
    /// let request = Request::new(Method::Get, "/").with_header("Cookie", "name=Ann");
    /// assert_eq!(router.handle(&request).response().status(), Status::OK);
    /// ```
    ///
    /// The server drops all values when the outermost middleware has returned: before it writes the
    /// answer, and before a closure of [`sse`](crate::sse) or an [`Upgrade`](crate::Upgrade) runs.
    /// The number of values has no limit; each costs one allocation, and a search goes through all.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) {
        self.values.insert(value);
    }

    /// The value of this type that was [attached](Request::insert) last. Without one, what the
    /// connection's session tells: see [`Session::info`](crate::Session::info).
    pub fn get<T: 'static>(&self) -> Option<&T> {
        let of_session = || self.session_info.as_ref()?.downcast_ref();
        self.values.get().or_else(of_session)
    }

    /// Whether anything is [attached](Request::insert).
    #[inline]
    pub(crate) fn has_values(&self) -> bool {
        !self.values.is_empty()
    }

    /// Drops what was [attached](Request::insert). The application's code runs in here.
    pub(crate) fn drop_values(&mut self) -> Vec<io::Error> {
        self.values.clear()
    }

    /// The first match of a route; without one, the first of a path.
    fn matched(&self) -> Option<&Params> {
        if self.matched.has_route() {
            return Some(&self.matched);
        }
        let by_hand = self.matched_by_hand.get().map(Box::as_ref);
        by_hand
            .or(Some(&self.matched).filter(|matched| matched.is_match()))
            .or_else(|| self.path_by_hand.get().map(Box::as_ref))
    }

    /// Empty parameters with the memory of earlier ones.
    pub(crate) fn take_matched(&mut self) -> Params {
        mem::take(&mut self.matched)
    }

    /// Sets what the path matched.
    pub(crate) fn set_matched(&mut self, params: Params) {
        self.matched = params;
    }

    /// Sets what the path matched in a router that was called by hand. If routers call one another,
    /// the first match of a route stays.
    pub(crate) fn set_matched_by_hand(&self, params: Params) {
        let slot = match params.has_route() {
            true => &self.matched_by_hand,
            false => &self.path_by_hand,
        };
        if !self.matched().is_some_and(Params::has_route) {
            let _ = slot.set(Box::new(params));
        }
    }

    /// Takes over what another request matched, since middleware of the route has passed on this
    /// one in its place.
    pub(crate) fn take_match_of(&self, other: &Request) {
        if let Some(matched) = other.matched() {
            self.set_matched_by_hand(matched.clone());
        }
        // Its path may be another one.
        let _ = self.rest_of_other.set(other.rest().into());
        self.set_rest(REST_OF_OTHER);
    }

    /// Sets how many bytes at the end of the path `{*name}` matched. If routers call one another,
    /// the last one's count.
    pub(crate) fn set_rest(&self, bytes: usize) {
        self.rest_bytes.store(bytes, Ordering::Relaxed);
    }

    /// What `{*name}` matched, percent-encoded as it came.
    pub(crate) fn rest(&self) -> &str {
        let path = self.path();
        match self.rest_bytes.load(Ordering::Relaxed) {
            REST_OF_OTHER => self.rest_of_other.get().map_or("", |rest| rest),
            bytes => &path[path.len() - bytes..],
        }
    }
}
