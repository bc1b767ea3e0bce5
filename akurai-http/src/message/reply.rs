//! What a handler returns.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::io::registry::StopHook;
use crate::message::own_answers::overloaded;
use crate::message::params::ParamError;
use crate::values::error::refusal;
use crate::{FormError, Response, Socket, Status, Upgraded};

/// A handler's answer: a response, or a connection that leaves HTTP.
///
/// Handlers return anything that turns into a reply: a [`Response`], an [`Upgrade`], or a `Result`
/// of two such things, so that `?` works. An [`io::Error`] becomes the status of the refusal that
/// it carries (413 for a body over the limit, 408 for a body that came too slowly, 404 for a
/// [parameter](crate::Request::parse_param) that does not parse). Any other error becomes 500,
/// without its text: the client does not learn what failed. The server tells the error to
/// [`Server::on_error`](crate::Server::on_error), by default as a line on stderr, unless the client
/// left while its body was read.
///
/// ```
/// use akurai_http::{Method, Reply, Request, Response};
///
/// fn echo(req: &Request) -> std::io::Result<Response> {
///     Ok(Response::text(req.body()?))
/// }
/// let reply = Reply::from(echo(&Request::new(Method::Get, "/").with_body("hi")));
/// assert_eq!(reply.response().body(), Some(&b"hi"[..]));
/// ```
///
/// With a `Reply` as the error, `?` passes on an answer of your own as well as an [`io::Error`]:
///
/// ```
/// use akurai_http::{Method, Reply, Request, Response, Router, Status};
///
/// fn name(req: &Request) -> Result<String, Reply> {
///     String::from_utf8(req.body()?)
///         .map_err(|_| Response::new(Status::UNPROCESSABLE_CONTENT).into())
/// }
/// fn rename(req: &Request) -> Result<Response, Reply> {
///     let (id, name) = (req.parse_param::<u64>("id")?, name(req)?);
///     Ok(Response::text(format!("{id} is {name} now\n")))
/// }
/// let router = Router::new().put("/users/{id}/name", rename);
/// let rename = |path, name: &[u8]| router.handle(&Request::new(Method::Put, path).with_body(name));
/// assert_eq!(rename("/users/7/name", b"Ann").response().status(), Status::OK);
/// assert_eq!(rename("/users/7/name", b"\xff").response().status(), Status::UNPROCESSABLE_CONTENT);
/// assert_eq!(rename("/users/me/name", b"Ann").response().status(), Status::NOT_FOUND);
/// ```
///
/// For errors of your own, `impl From<MyError> for Reply` says once what each is answered with:
///
/// ```
/// use akurai_http::{Reply, Request, Response, Status};
///
/// enum ShopError {
///     SoldOut,
///     Database(std::io::Error),
/// }
///
/// impl From<ShopError> for Reply {
///     fn from(error: ShopError) -> Reply {
///         match error {
///             ShopError::SoldOut => Response::new(Status::CONFLICT).into(),
///             ShopError::Database(error) => error.into(), // 500; `Server::on_error` has the cause
///         }
///     }
/// }
///
/// fn take(left: u32) -> Result<u32, ShopError> {
///     left.checked_sub(1).ok_or(ShopError::SoldOut)
/// }
/// fn buy(_: &Request) -> Result<Response, ShopError> {
///     let left = take(0)?;
///     Ok(Response::text(format!("{left} left\n")))
/// }
/// # let _ = ShopError::Database;
/// let reply = Reply::from(buy(&Request::new(akurai_http::Method::Post, "/buy")));
/// assert_eq!(reply.response().status(), Status::CONFLICT);
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "a reply does nothing until the handler returns it"]
pub enum Reply {
    /// Answer, then go on with the next request of the connection.
    Response(Response),
    /// Write a head, then give the socket to a closure.
    Upgrade(Upgrade),
}

impl Reply {
    /// The response, or the head that an upgrade begins with.
    pub fn response(&self) -> &Response {
        match self {
            Reply::Response(response) => response,
            Reply::Upgrade(upgrade) => &upgrade.head,
        }
    }

    /// As [`response`](Reply::response), to add a header for example.
    pub fn response_mut(&mut self) -> &mut Response {
        match self {
            Reply::Response(response) => response,
            Reply::Upgrade(upgrade) => &mut upgrade.head,
        }
    }
}

/// What a handler may return: everything that turns into a [`Reply`]. For a type of your own, write
/// `impl From<MyType> for Reply`, as shown at [`Reply`].
///
/// The compiler's message for anything else says what a handler may return. A text is no reply, an
/// `async` function is no handler, and the error of a `Result` must turn into a reply too:
///
/// ```compile_fail,E0277
/// akurai_http::Router::new().get("/", |_| "a text".to_owned());
/// ```
///
/// ```compile_fail,E0277
/// use akurai_http::{Request, Response, Router};
///
/// async fn hello(_: &Request) -> Response {
///     Response::text("hello")
/// }
/// let _ = Router::new().get("/", hello);
/// ```
///
/// ```compile_fail,E0277
/// use akurai_http::{Request, Response, Router};
///
/// fn number(req: &Request) -> Result<Response, std::num::ParseIntError> {
///     let number: u64 = req.param("n").unwrap_or_default().parse()?;
///     Ok(Response::text(format!("{number}\n")))
/// }
/// let _ = Router::new().get("/{n}", number);
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot answer with `{Self}`",
    label = "this handler returns `{Self}`",
    note = "a handler returns a `Response`, a `Status`, a `Reply`, an `Upgrade` or a `Result` of \
            such things, whose error may be an `io::Error`",
    note = "for a `Result`: one of its two types is none of these; if it is the error, as with a \
            `ParseIntError`, give the error of `Request::parse_param`, an `io::Error` or a `Reply`",
    note = "for an error or a value of your own: `impl From<MyType> for akurai_http::Reply`",
    note = "for a text: `Response::text(..)`; for a future: handlers block, so remove `async`"
)]
pub trait IntoReply: Into<Reply> {}

#[diagnostic::do_not_recommend]
impl<T: Into<Reply>> IntoReply for T {}

impl From<Response> for Reply {
    fn from(response: Response) -> Reply {
        Reply::Response(response)
    }
}

/// A response of this status without a body. It shortens a handler that finds nothing:
///
/// ```
/// use akurai_http::{Request, Response, Status};
///
/// fn dot(req: &Request) -> Result<Response, Status> {
///     let size = req.query().ok_or(Status::BAD_REQUEST)?;
///     Ok(Response::text(format!("a dot of {size}")))
/// }
/// # akurai_http::Router::new().get("/dot", dot);
/// ```
impl From<Status> for Reply {
    fn from(status: Status) -> Reply {
        Response::new(status).into()
    }
}

impl From<Upgrade> for Reply {
    fn from(upgrade: Upgrade) -> Reply {
        Reply::Upgrade(upgrade)
    }
}

impl<T: Into<Reply>, E: Into<Reply>> From<Result<T, E>> for Reply {
    fn from(result: Result<T, E>) -> Reply {
        match result {
            Ok(good) => good.into(),
            Err(bad) => bad.into(),
        }
    }
}

impl From<io::Error> for Reply {
    fn from(error: io::Error) -> Reply {
        let response = match (refusal(&error), FormError::within(&error)) {
            (Some(refusal), _) => Response::refusal(refusal),
            (None, Some(refusal)) => Response::plain(refusal.status(), &refusal.to_string()),
            (None, None) if ParamError::is_within(&error) => {
                Response::plain(Status::NOT_FOUND, "not found")
            }
            (None, None) => {
                let mut failed = Response::plain(Status::INTERNAL_SERVER_ERROR, "internal error");
                failed.parts.failure = Some(error);
                failed
            }
        };
        Reply::Response(response)
    }
}

/// A connection that leaves HTTP after a response head: status 101 for another protocol, or 200 for
/// a stream without an end.
///
/// The server writes the head (for 101 with `Connection: Upgrade`, otherwise with
/// `Connection: close`). Then it calls the closure on the connection's own thread, and the
/// connection counts as upgraded from then on. It ends when the closure has dropped what it was
/// given.
///
/// ```
/// use akurai_http::{Response, Status, Upgrade};
/// use std::io::Write;
///
/// let upgrade = Upgrade::new(
///     Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "shout"),
///     |mut upgraded| upgraded.write_all(b"HELLO\n"),
/// );
/// # let _ = akurai_http::Reply::from(upgrade);
/// ```
#[must_use = "an upgrade does nothing until the handler returns it"]
pub struct Upgrade {
    pub(crate) head: Response,
    /// Sent in the same write as the head.
    pub(crate) prelude: Cow<'static, [u8]>,
    /// The answer if all places for upgraded connections are taken.
    pub(crate) when_full: fn() -> Response,
    pub(crate) run: Box<dyn FnOnce(Upgraded) -> io::Result<()> + Send>,
    pub(crate) stop_hook: Option<StopHook>,
    /// The closure may return an error.
    pub(crate) may_fail: bool,
    /// The closure sets the waits of the socket before it reads and before it writes.
    pub(crate) sets_waits: bool,
}

impl Upgrade {
    /// An upgrade with this head. A body in the head is not sent.
    ///
    /// If `run` fails, the server tells its error to [`Server::on_error`](crate::Server::on_error),
    /// by default as a line on stderr. It does not tell an error of the kinds `BrokenPipe`,
    /// `ConnectionReset`, `ConnectionAborted`, `NotConnected`, `WriteZero`, `TimedOut` and
    /// `WouldBlock` if the client has left, or a wait for it ran out in the last read or write, or
    /// the server stops.
    ///
    /// # Panics
    ///
    /// If the head's status is neither 101 nor 200.
    #[track_caller]
    pub fn new(
        head: Response,
        run: impl FnOnce(Upgraded) -> io::Result<()> + Send + 'static,
    ) -> Upgrade {
        assert!(
            matches!(head.status(), Status::SWITCHING_PROTOCOLS | Status::OK),
            "an upgrade begins with 101 or 200"
        );
        Upgrade {
            head,
            prelude: Cow::Borrowed(b""),
            when_full: overloaded,
            run: Box::new(run),
            stop_hook: None,
            may_fail: true,
            sets_waits: false,
        }
    }

    /// Makes the server call `hook` when it shuts down, and then about once a second until the
    /// connection has ended. In return, the server does not end the connection's input. A
    /// connection whose input was ended cannot end in order: the system no longer tells the client
    /// that there is room, and answers bytes that come after our FIN with a reset. So this is for a
    /// protocol that sends a last message and waits for the answer.
    ///
    /// One thread calls the hooks of all connections in turn, perhaps before the closure runs. So a
    /// hook should not wait long, or other connections learn of the stop late. The grace goes on
    /// meanwhile. If a hook still hangs when the grace is over, [`Server::run`](crate::Server::run)
    /// returns without it. The hook must not keep the socket, or the connection would not end.
    #[doc(hidden)] // `akurai-ws` needs it, to say 1001.
    pub fn on_stop(mut self, hook: impl Fn(&Socket) + Send + Sync + 'static) -> Upgrade {
        self.stop_hook = Some(StopHook::new(move |entry| {
            hook(&Socket::new(Arc::clone(entry)));
        }));
        self
    }

    /// The closure sets the longest wait of reads before it reads, and that of writes before it
    /// writes: until then they are the request's. So the server need not set any in between.
    #[doc(hidden)] // `akurai-ws` needs it. It saves two system calls of each handshake.
    pub fn sets_waits(mut self) -> Upgrade {
        self.sets_waits = true;
        self
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_that_passes_the_error_on_answers_with_its_status() {
        for (error, code) in [
            (FormError::MediaType, 415),
            (FormError::TooManyPairs, 400),
            (FormError::Boundary, 400),
            (FormError::Preamble, 400),
            (FormError::Truncated, 400),
            (FormError::TooManyParts, 400),
            (FormError::PartHeadTooLarge, 413),
            (FormError::PartTooLarge, 413),
        ] {
            let reply = Reply::from(io::Error::from(error));
            assert_eq!(reply.response().status().code(), code, "{error}");
            let body = format!("{error}\n");
            assert_eq!(reply.response().body(), Some(body.as_bytes()));
            assert!(!reply.response().parts.close, "{error}");
        }
    }
}
