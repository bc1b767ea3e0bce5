//! From a request to a connection.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use akurai_http::{Reply, Request, Response, Status, Upgrade, Upgraded};

use crate::codec::close;
use crate::codec::compression::{Inbound, Outbound};
use crate::codec::handshake::{self, Accepted, HandshakeError, Opening};
use crate::codec::protocol::Protocol;
use crate::conn::WsConn;
use crate::error::Error;
use crate::options::WsOptions;
use crate::read::reader::Reader;
use crate::settings::Settings;
use crate::write::outbox::{Outbox, Way};

/// Answers an opening handshake (RFC 6455 §4.2), and runs `f` with the connection on a thread of
/// its own.
///
/// A request that is not a valid upgrade gets 400 and a text that names the fault; with the wrong
/// version also `Sec-WebSocket-Version: 13`. A request from a page of another origin gets 403,
/// unless [`WsOptions::allow_origins`] or [`WsOptions::any_origin`] admits it. In neither case does
/// `f` run.
///
/// `f` outlives the request, so it cannot borrow it. Take out first what `f` needs, and move it in:
/// `let user = req.get::<User>().cloned();`, `let id = req.param("id").map(str::to_owned);`. The
/// handler runs for each request. So what it has captured stays its own, and each `f` needs a
/// clone: clone outside of `f`, and move the clone in.
///
/// ```
/// use std::sync::Arc;
/// use akurai_http::Router;
/// use akurai_ws::upgrade;
///
/// let greeting = Arc::new("hello".to_owned());
/// let router = Router::new().get("/greet", move |req| {
///     let greeting = Arc::clone(&greeting);
///     upgrade(req, move |conn| conn.send_text(&greeting))
/// });
/// # let _ = router;
/// ```
///
/// An `Err` of `f` closes the connection with 1011. The server tells it to
/// [`Server::on_error`](akurai_http::Server::on_error), if the program caused it: not if the peer
/// broke the protocol, is slow or has left, and not if the server stops ([`Upgrade::new`]).
///
/// # Errors of your own
///
/// [`Error::close`] is an error with a close code and a reason of the program's choice. It is the
/// program's answer and no failure, so `on_error` is not told. `impl From<MyError> for Error`
/// lets `?` choose them, as `impl From<MyError> for Reply` does in handlers:
///
/// ```
/// use akurai_http::{Reply, Request};
/// use akurai_ws::{Error, Message, WsConn, upgrade};
///
/// enum GameError {
///     NotYourTurn,
///     NoSuchMove(String),
/// }
///
/// impl From<GameError> for Error {
///     fn from(error: GameError) -> Self {
///         match error {
///             GameError::NotYourTurn => Error::close(4001, "not your turn"),
///             GameError::NoSuchMove(text) => Error::close(4002, &format!("no move: {text}")),
///         }
///     }
/// }
///
/// fn game(req: &Request) -> Reply {
///     upgrade(req, |mut conn| {
///         while let Some(message) = conn.recv()? {
///             if let Message::Text(text) = message {
///                 conn.send_text(make_move(&text)?)?;
///             }
///         }
///         Ok(())
///     })
/// }
///
/// fn make_move(text: &str) -> Result<&'static str, GameError> {
///     match text {
///         "e4" => Ok("e5"),
///         "e5" => Err(GameError::NotYourTurn),
///         _ => Err(GameError::NoSuchMove(text.to_owned())),
///     }
/// }
/// # let _ = game;
/// ```
///
/// # Fields of the answer
///
/// The [`Reply`] holds the head of the answer: a cookie on a handshake, for example. If it is no
/// upgrade, it is a refusal, which should set none.
///
/// ```
/// use akurai_http::{Cookie, Reply, Request};
/// use akurai_ws::upgrade;
///
/// fn visit(req: &Request) -> Reply {
///     let reply = upgrade(req, |mut conn| {
///         while conn.recv()?.is_some() {}
///         Ok(())
///     });
///     match reply {
///         Reply::Upgrade(_) => reply.cookie(Cookie::new("visited", "yes")),
///         refusal => refusal,
///     }
/// }
/// # let _ = visit;
/// ```
pub fn upgrade(
    req: &Request,
    f: impl FnOnce(WsConn) -> Result<(), Error> + Send + 'static,
) -> Reply {
    WsOptions::new().upgrade(req, f)
}

impl WsOptions {
    /// As [`upgrade`](crate::upgrade), with these options.
    ///
    /// The options have no deadline for the opening handshake: it is a request's head and its
    /// answer, bounded by [`akurai_http::Limits::head_deadline`] and
    /// [`akurai_http::Limits::write_stall`].
    pub fn upgrade(
        &self,
        req: &Request,
        f: impl FnOnce(WsConn) -> Result<(), Error> + Send + 'static,
    ) -> Reply {
        reply(req, self, f)
    }
}

fn reply(
    req: &Request,
    options: &WsOptions,
    f: impl FnOnce(WsConn) -> Result<(), Error> + Send + 'static,
) -> Reply {
    let accepted = match accept(req, options) {
        Ok(accepted) => accepted,
        Err(refusal) => return refusal.into(),
    };
    let protocol = accepted.protocol;
    let settings = Settings {
        outbound: accepted.outbound,
        ..options.settings
    };
    let outbox = Outbox::new(settings, accepted.subprotocol);
    let told = Arc::downgrade(&outbox);
    Upgrade::new(accepted.head, move |upgraded| {
        match run(upgraded, outbox, protocol, f) {
            // The peer is at fault, or the program wants it so. Our Close has told the peer.
            Err(
                Error::Violation(_)
                | Error::Close { .. }
                | Error::WriteDeadline
                | Error::Closed
                | Error::Slow
                | Error::Timeout,
            ) => Ok(()),
            outcome => Ok(outcome?),
        }
    })
    .on_stop(move |socket| {
        if let Some(outbox) = told.upgrade() {
            outbox.server_stops(socket);
        }
    })
    .sets_waits()
    .into()
}

/// The outcome of a valid opening handshake.
struct AcceptedUpgrade {
    head: Response,
    protocol: Box<Protocol>,
    outbound: Option<Outbound>,
    subprotocol: Option<String>,
}

// Pages that a thread's stack has touched stay resident while its connection is silent, and so do
// freed blocks of its heap. So the parts of a connection are on the heap from the beginning. Large
// values are on the stack only in functions that call nothing deep and have returned before the
// closure runs.
#[inline(never)]
fn accept(req: &Request, options: &WsOptions) -> Result<AcceptedUpgrade, Response> {
    let opening = Opening {
        method: req.method(),
        version: req.version(),
        authority: req.authority(),
        headers: req.headers(),
        announces_body: req.announces_body(),
        is_secure: req.is_secure(),
    };
    let accepted = handshake::accept(&opening, &options.admission).map_err(refusal)?;
    let head = head(&accepted);
    let outbound = accepted.compression.as_ref().map(|agreed| Outbound {
        level: options.deflate.level,
        threshold_bytes: options.deflate.threshold_bytes,
        direction: agreed.server,
    });
    let inbound = accepted
        .compression
        .map(|agreed| Inbound::new(agreed.client));
    Ok(AcceptedUpgrade {
        head,
        protocol: protocol(options, inbound),
        outbound,
        subprotocol: accepted.subprotocol,
    })
}

#[inline(never)]
fn head(accepted: &Accepted) -> Response {
    // The server itself adds `Connection: Upgrade` to a 101.
    let mut head = Response::new(Status::SWITCHING_PROTOCOLS)
        .with_header("Upgrade", "websocket")
        .with_header("Sec-WebSocket-Accept", &accepted.accept);
    if let Some(subprotocol) = &accepted.subprotocol {
        head = head.with_header("Sec-WebSocket-Protocol", subprotocol);
    }
    if let Some(agreed) = &accepted.compression {
        head = head.with_header("Sec-WebSocket-Extensions", &agreed.response);
    }
    head
}

#[inline(never)]
fn protocol(options: &WsOptions, inbound: Option<Inbound>) -> Box<Protocol> {
    Box::new(Protocol::new(options.limits.clone()).with_compression(inbound))
}

// The closing code depends on how `f` ends, so the connection comes back from it.
fn run(
    upgraded: Upgraded,
    outbox: Arc<Outbox>,
    protocol: Box<Protocol>,
    f: impl FnOnce(WsConn) -> Result<(), Error> + Send + 'static,
) -> Result<(), Error> {
    let Ok(reader) = Reader::new(upgraded, outbox, protocol) else {
        return Ok(()); // The peer was gone before the connection began.
    };
    let outbox = Arc::clone(reader.outbox());
    let (conn, lent) = WsConn::lend(reader);
    let outcome = catch_unwind(AssertUnwindSafe(|| f(conn)));
    let (code, reason) = match &outcome {
        Ok(Ok(())) => (close::NORMAL, ""),
        Ok(Err(Error::Close { code, reason })) => (*code, reason.as_str()),
        Ok(Err(_)) | Err(_) => (close::INTERNAL_ERROR, ""),
    };
    match lent.take_back() {
        Some(reader) => reader.finish(code, reason),
        // The thread that has the connection ends it, or a failure of the closure does: nobody else
        // would tell the peer of that.
        None if !matches!(outcome, Ok(Ok(()))) => {
            let _ = outbox.close(code, reason, Way::Post);
        }
        None => {}
    }
    // The server counts a panic.
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

fn refusal(error: HandshakeError) -> Response {
    let mut response = Response::new(error.status())
        .with_header("Content-Type", "text/plain; charset=utf-8")
        .with_body(format!("{error}\n"));
    if error.needs_version() {
        response = response.with_header("Sec-WebSocket-Version", "13");
    }
    if error == HandshakeError::Body {
        // We have not read the body, so the connection ends here.
        response = response.with_header("Connection", "close");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use akurai_http::Method;

    fn request() -> Request {
        Request::new(Method::Get, "/ws")
            .with_header("Upgrade", "websocket")
            .with_header("Connection", "Upgrade")
            .with_header("Sec-WebSocket-Version", "13")
            .with_header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    fn answer(options: &WsOptions, req: &Request) -> Reply {
        options.upgrade(req, |_| Ok(()))
    }

    #[track_caller]
    fn check_refused(req: &Request, status: u16, body: &str) -> Response {
        let Reply::Response(response) = answer(&WsOptions::new(), req) else {
            panic!("accepted");
        };
        assert_eq!(response.status().code(), status);
        assert_eq!(response.body(), Some(body.as_bytes()));
        assert_eq!(
            response.headers().get("Content-Type"),
            Some("text/plain; charset=utf-8")
        );
        response
    }

    #[test]
    fn rfc6455_1_3_opening_handshake() {
        let reply = upgrade(&request(), |_| Ok(()));
        let head = reply.response();
        assert!(matches!(reply, Reply::Upgrade(_)));
        assert_eq!(head.status().code(), 101);
        assert_eq!(head.headers().get("Upgrade"), Some("websocket"));
        let accept = head.headers().get("Sec-WebSocket-Accept");
        assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(head.headers().get("Sec-WebSocket-Protocol"), None);
        assert_eq!(head.headers().get("Sec-WebSocket-Extensions"), None);
    }

    #[test]
    fn case_1_refusal_names_the_fault() {
        let plain = Request::new(Method::Get, "/ws");
        let response = check_refused(
            &plain,
            400,
            "websocket handshake: Upgrade must list websocket\n",
        );
        assert_eq!(response.headers().get("Sec-WebSocket-Version"), None);
    }

    #[test]
    fn case_3_refusal_names_the_version() {
        let twice = request().with_header("Sec-WebSocket-Version", "13");
        let fault = "websocket handshake: Sec-WebSocket-Version must be 13, once\n";
        let response = check_refused(&twice, 400, fault);
        assert_eq!(response.headers().get("Sec-WebSocket-Version"), Some("13"));
    }

    #[test]
    fn case_5_refusal_of_a_body() {
        let with_body = request().with_body("body");
        let fault = "websocket handshake: the request must not have a body\n";
        let _ = check_refused(&with_body, 400, fault);
    }

    #[test]
    fn case_6_any_origin_admits_another_host() {
        let foreign = request().with_header("Origin", "https://evil-example.com");
        let fault = "websocket handshake: Origin is another host or scheme than the request's; \
                     WsOptions::allow_origins or any_origin on the server admits it\n";
        let _ = check_refused(&foreign, 403, fault);
        let reply = answer(&WsOptions::new().any_origin(), &foreign);
        assert_eq!(reply.response().status().code(), 101);
    }

    #[test]
    fn case_6_a_list_of_origins() {
        let options = WsOptions::new().allow_origins(["https://app.example.org"]);
        let listed = request().with_header("Origin", "https://APP.example.org:443");
        assert_eq!(answer(&options, &listed).response().status().code(), 101);
        let foreign = request().with_header("Origin", "https://evil-example.org");
        assert_eq!(answer(&options, &foreign).response().status().code(), 403);
    }

    #[test]
    fn case_7_the_chosen_subprotocol_is_told() {
        let options = WsOptions::new().subprotocols(["v2.chat", "v1.chat"]);
        let told = |offer: &str| {
            let reply = answer(
                &options,
                &request().with_header("Sec-WebSocket-Protocol", offer),
            );
            let field = reply.response().headers().get("Sec-WebSocket-Protocol");
            field.map(str::to_owned)
        };
        assert_eq!(told("v1.chat, v2.chat").as_deref(), Some("v2.chat"));
        assert_eq!(told("v0.chat"), None);
    }
}
