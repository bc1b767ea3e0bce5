//! Calls a route's handler within the middleware around it.

use std::sync::Arc;

use crate::io::contain::contain;
use crate::message::own_answers::internal_error;
use crate::{Method, Reply, Request};

pub(super) type Handler = Box<dyn Fn(&Request) -> Reply + Send + Sync>;
pub(super) type Middleware =
    Box<dyn Fn(&Request, &dyn Fn(&Request) -> Reply) -> Reply + Send + Sync>;
pub(super) type Stack = Vec<Middleware>;

pub(super) struct Route {
    pub(super) method: Method,
    /// The names of the parameters on the way to this route, in order.
    pub(super) names: Vec<String>,
    pub(super) handler: Handler,
    /// The middleware of the routers that this route was nested from, the innermost first.
    pub(super) stacks: Vec<Arc<Stack>>,
}

impl Route {
    /// Calls the handler, or its replacement, within the middleware that it came with.
    pub(super) fn call(&self, request: &Request, call: Call<'_>) -> Reply {
        through_all(&self.stacks, request, &|request| match call {
            Call::Handler => (self.handler)(request),
            Call::Caught => caught(&self.handler, request),
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

/// The handler's reply. If it panics, 500, and the request notes the panic.
fn caught(handler: &Handler, request: &Request) -> Reply {
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
