//! Calls a route's handler, or a fallback, within the middleware around it.

use std::ptr;
use std::sync::Arc;

use crate::io::contain::contain;
use crate::message::own_answers::internal_error;
use crate::router::slashes::{self, Slashes};
use crate::{Method, Reply, Request, Response, Status};

pub(super) type Handler = Box<dyn Fn(&Request) -> Reply + Send + Sync>;
pub(super) type Middleware =
    Box<dyn Fn(&Request, &dyn Fn(&Request) -> Reply) -> Reply + Send + Sync>;
pub(super) type Refuser = Box<dyn Fn(&Request, Response) -> Reply + Send + Sync>;
pub(super) type Stack = Vec<Middleware>;

pub(super) struct Route {
    /// `None` for all methods that have no route of their own.
    pub(super) method: Option<Method>,
    /// The methods without a variant that a nested app takes.
    pub(super) others: Vec<Method>,
    /// The whole pattern, with the prefixes of the routers that this route was nested in.
    pub(super) pattern: String,
    /// The names of the parameters on the way to this route, in order.
    pub(super) names: Vec<String>,
    pub(super) handler: Handler,
    /// The middleware of the routers that this route was nested from, the innermost first.
    pub(super) stacks: Vec<Arc<Stack>>,
    /// What the innermost router with an opinion says.
    pub(super) slashes: Option<Slashes>,
}

impl Route {
    /// Calls the handler, or its replacement, within the middleware that it came with.
    pub(super) fn call(&self, request: &Request, call: Call<'_>) -> Reply {
        through_all(&self.stacks, request, &|request| match call {
            Call::Handler => (self.handler)(request),
            Call::Caught => caught(request, &self.handler),
            Call::Refusal(refusal) => refusal(request),
        })
    }

    /// Redirects to the path that this route has, within the same middleware.
    #[cold]
    pub(super) fn redirect(&self, request: &Request, call: Call<'_>) -> Reply {
        through_all(&self.stacks, request, &|request| match call {
            Call::Handler | Call::Caught => slashes::redirect(request).into(),
            Call::Refusal(refusal) => refusal(request),
        })
    }
}

/// Answers instead of a router's own 404 and 405, which it is given.
pub(super) struct Fallback {
    pub(super) handler: Refuser,
    /// As those of a [`Route`].
    pub(super) stacks: Vec<Arc<Stack>>,
}

impl Fallback {
    /// Gives the router's own answers.
    pub(super) fn plain() -> Fallback {
        Fallback {
            handler: Box::new(|_, answer| answer.into()),
            stacks: Vec::new(),
        }
    }

    pub(super) fn call(
        &self,
        request: &Request,
        call: Call<'_>,
        answer: &dyn Fn() -> Response,
    ) -> Reply {
        let handler = |request: &Request| match answer() {
            // What `OPTIONS` asked for.
            answer if answer.status() == Status::NO_CONTENT => answer.into(),
            answer => (self.handler)(request, answer),
        };
        through_all(&self.stacks, request, &|request| match call {
            Call::Handler => handler(request),
            Call::Caught => caught(request, &handler),
            Call::Refusal(refusal) => refusal(request),
        })
    }
}

/// What to call for a route, and how to treat a panic.
#[derive(Clone, Copy)]
pub(super) enum Call<'a> {
    /// Call the handler; its panic goes on.
    Handler,
    /// Call the handler; its panic becomes an answer, which middleware gets as any other.
    Caught,
    Refusal(&'a dyn Fn(&Request) -> Reply),
}

/// A handler's reply, ready for middleware: it is settled, and the request keeps the error that it
/// was made of.
pub(super) fn noted(request: &Request, mut reply: Reply) -> Reply {
    request.note_failure(&mut reply);
    reply.settle(request);
    reply
}

/// The handler's reply. If it panics, 500, and the request notes the panic.
fn caught(request: &Request, handler: &dyn Fn(&Request) -> Reply) -> Reply {
    // A panic may leave the handler's state inconsistent. As with any thread that panics, that is
    // the handler's own state.
    contain(|| handler(request)).unwrap_or_else(|panic| {
        request.note_panic(panic);
        internal_error().into()
    })
}

/// As [`through`], from the last stack to the first.
fn through_all(
    stacks: &[Arc<Stack>],
    request: &Request,
    handler: &dyn Fn(&Request) -> Reply,
) -> Reply {
    match stacks.split_last() {
        None => handler(request),
        Some((outer, inner)) => {
            let next = |request: &Request| through_all(inner, request, handler);
            through(outer, request, &Request::take_match_of, &next)
        }
    }
}

/// What to do with another request that middleware passes on, before the rest gets it: the other
/// one, and the one that middleware was given.
pub(super) type Exchange<'a> = &'a dyn Fn(&Request, &Request);

/// Calls the middleware from the outermost, the last, to the innermost, and then `handler`.
pub(super) fn through(
    stack: &[Middleware],
    request: &Request,
    exchange: Exchange<'_>,
    handler: &dyn Fn(&Request) -> Reply,
) -> Reply {
    match stack.split_last() {
        None => handler(request),
        Some((outer, inner)) => outer(request, &|passed| {
            let next = || through(inner, passed, exchange, handler);
            match ptr::eq(passed, request) {
                true => next(),
                false => with_another(passed, request, exchange, &next),
            }
        }),
    }
}

/// Calls `next`, which handles another request than `request`. What goes wrong with that one is
/// `request`'s, for the server knows no other.
#[cold]
fn with_another(
    another: &Request,
    request: &Request,
    exchange: Exchange<'_>,
    next: &dyn Fn() -> Reply,
) -> Reply {
    exchange(another, request);
    // Middleware may panic behind the handler's failure. That failure is kept too.
    let _kept = request.take_notes_of(another);
    next()
}
