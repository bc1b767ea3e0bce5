//! How a route's handler is called: within the middleware that stands around it, and by whom.

use std::sync::Arc;

use crate::io::contain::contain;
use crate::message::own_answers::internal_error;
use crate::{Method, Reply, Request, files};

pub(super) type Handler = Box<dyn Fn(&Request) -> Reply + Send + Sync>;
pub(super) type Middleware =
    Box<dyn Fn(&Request, &dyn Fn(&Request) -> Reply) -> Reply + Send + Sync>;
pub(super) type Stack = Vec<Middleware>;

pub(super) struct Route {
    pub(super) method: Method,
    /// The names of the parameters on the way here, in order.
    pub(super) names: Vec<String>,
    pub(super) handler: Handler,
    /// The middleware of the routers that it came with when they were nested, from the inside.
    pub(super) stacks: Vec<Arc<Stack>>,
}

impl Route {
    /// Calls the handler, or what stands in its place, within the middleware that it came with.
    pub(super) fn call(&self, request: &Request, call: Call<'_>) -> Reply {
        through_all(&self.stacks, request, &|request| match call {
            Call::Handler => (self.handler)(request),
            Call::Caught => caught(&self.handler, request),
            Call::Refusal(refusal) => refusal(request),
        })
    }
}

/// What stands in a handler's place, or around it.
#[derive(Clone, Copy)]
pub(super) enum Call<'a> {
    /// A panic goes on.
    Handler,
    /// A panic is an answer, which middleware gets as any other.
    Caught,
    Refusal(&'a dyn Fn(&Request) -> Reply),
}

/// A handler's reply, as middleware and the server get it.
pub(super) fn settled(request: &Request, mut reply: Reply) -> Reply {
    request.note_failure(&mut reply);
    files::settle(request, reply)
}

/// A handler's reply, or 500 if it panics, which the request remembers.
fn caught(handler: &Handler, request: &Request) -> Reply {
    // The handler's state may be torn by a panic; it is the handler's own, as with any thread that
    // panicked.
    contain(|| handler(request)).unwrap_or_else(|| {
        request.note_panic();
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
        Some((outer, inner)) => through(outer, request, &|request| {
            through_all(inner, request, handler)
        }),
    }
}

/// Calls the middleware from the outermost, the last, to the innermost, and then `handler`.
pub(super) fn through(
    stack: &[Middleware],
    request: &Request,
    handler: &dyn Fn(&Request) -> Reply,
) -> Reply {
    match stack.split_last() {
        None => handler(request),
        Some((outer, inner)) => outer(request, &|request| through(inner, request, handler)),
    }
}
