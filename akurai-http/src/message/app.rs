//! The app: the application's code that answers requests.

use crate::{IntoReply, Limits, Method, Reply, Request, RequestError, Response};

/// Answers requests: a [`Router`](crate::Router), or any function from a request to something that
/// turns into a [`Reply`].
///
/// ```
/// use akurai_http::{App, Method, Request, Response};
///
/// let app = |req: &Request| Response::text(format!("you asked for {}\n", req.path()));
/// assert_eq!(app.handle(&Request::new(Method::Get, "/x")).response().body(), Some(&b"you asked for /x\n"[..]));
/// ```
pub trait App: Send + Sync + 'static {
    /// Answers one request. Many threads call it at a time, and not always the same one for a
    /// connection. A panic costs one connection a 500.
    fn handle(&self, request: &Request) -> Reply;

    /// Answers a request whose body is announced to be too long, instead of
    /// [`handle`](App::handle). Unless an app does more, this returns the 413 that `refusal` gives.
    /// A [`Router`](crate::Router) passes it through its middleware.
    #[doc(hidden)] // A `Router` has it, and no other app needs it.
    fn refuse(&self, request: &Request, refusal: &dyn Fn(&Request) -> Reply) -> Reply {
        refusal(request)
    }

    /// Longest body for this request, in bytes; `None` leaves it at
    /// [`Limits::max_body_bytes`](crate::Limits::max_body_bytes). The server asks only for a
    /// request that announces a body, before [`handle`](App::handle).
    #[doc(hidden)] // As `refuse`.
    fn max_body_bytes(&self, request: &Request) -> Option<u64> {
        let _ = request;
        None
    }

    /// The methods that this request's target has. The server names them in `Allow` when it answers
    /// `TRACE`, which it gives to no app (RFC 9110 §15.5.6). `None` names all methods. The error
    /// is what the app refuses this request with, whatever the method.
    #[doc(hidden)] // As `refuse`.
    fn allow(&self, request: &Request) -> Result<Option<String>, RequestError> {
        let _ = request;
        Ok(None)
    }

    /// The methods without a variant in [`Method`] that the app takes, such as `PURGE`. The server
    /// asks once, when it begins to run, and answers all other unknown methods with 501. Default
    /// none, and a function has none. A [`Router`](crate::Router) names those of its routes.
    #[doc(hidden)] // As `refuse`.
    fn methods(&self) -> Vec<Method> {
        Vec::new()
    }

    /// The server calls this. It begins the request's body, and then handles the request or refuses
    /// it. A [`Router`](crate::Router) looks up the route once for both.
    #[doc(hidden)]
    fn begin_and_handle(&self, request: &mut Request, limits: &Limits) -> Reply {
        match begin_body(self, request, limits) {
            Ok(()) => self.handle(request),
            Err(refusal) => refusal,
        }
    }
}

/// Begins the body of `request`. If it is announced to be too long, returns the app's refusal.
pub(crate) fn begin_body(
    app: &(impl App + ?Sized),
    request: &Request,
    limits: &Limits,
) -> Result<(), Reply> {
    let own_bytes = match request.announces_body() {
        true => app.max_body_bytes(request),
        false => None,
    };
    request
        .begin_body(limits, own_bytes)
        .map_err(|error| app.refuse(request, &|_| Response::refusal(error).into()))
}

impl<F, R> App for F
where
    F: Fn(&Request) -> R + Send + Sync + 'static,
    R: IntoReply,
{
    fn handle(&self, request: &Request) -> Reply {
        let mut reply = self(request).into();
        reply.settle(request);
        reply
    }
}
